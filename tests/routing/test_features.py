"""Features are read off any text, quickly, in English and Chinese alike."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprod.routing.encoder import WAVES, Encoder, Example, gather
from agentprod.routing.features import BUCKETS, SURFACE, _hashes, hashed_grams, surface_features, tokens_of
from agentprod.routing.ridge import PENALTIES, Spectrum


def features(text: str) -> dict[str, float]:
    return dict(zip(SURFACE, surface_features(text, tokens_of(text)), strict=True))


def test_tokens_are_words_digits_hanzi_and_marks() -> None:
    """Words are kept, digits and hanzi stand alone."""
    assert tokens_of("Solve x²=12，求x！") == ["solve", "x", "²", "=", "1", "2", "，", "求", "x", "！"]
    assert tokens_of("zebra 斑马zoo") == ["zebra", "斑", "马", "zoo"]


@given(st.text(st.sampled_from("abzZ9 \n,，斑马é龘ﬀ\ud800"), max_size=40))
def test_tokens_are_the_text_without_blanks(text: str) -> None:
    """Nothing is lost or added, and what is no word stands alone."""
    tokens = tokens_of(text)
    assert "".join(tokens) == re.sub(r"\s", "", text.lower())
    assert all(len(token) == 1 or re.fullmatch("[a-z]+", token) for token in tokens)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("one two three", "log words", math.log1p(3)),
        ("一二三四五六七八", "log words", math.log1p(5)),
        ("extraordinary words", "share of long words", 0.5),
        ("the the the the", "share of different words", 0.25),
        ("Ada and Bob", "share of capitalised words", 2 / 3),
        ("1 and 22 and 333", "log numbers", math.log1p(3)),
        ("1 and 22 and 333", "digits of the longest number", 1.0),
        ("it is 3.5 now", "decimals", 1.0),
        ("x = y + z", "log mathematical signs", math.log1p(2)),
        ("def f(): return {}", "log marks of code", math.log1p(5)),
        ("a\nb\nc", "log lines", math.log1p(2)),
        ("Which?\nA. one\nB. two", "two or more options", 1.0),
        ("选哪个？\nA、一\nB、二\nC、三\nD、四\n（E）五", "five or more options", 1.0),
        ("It isn't so, and never was.", "log negations", math.log1p(2)),
        ("下列说法不正确的是", "log negations", math.log1p(1)),
        ("Where is it", "asks who, when, where or what", 1.0),
        ("他是谁", "asks who, when, where or what", 1.0),
        ("Explain and prove", "log demands to explain or compute", math.log1p(2)),
        ("请证明并计算", "log demands to explain or compute", math.log1p(2)),
        ("How many are there", "asks how many", 1.0),
        ("一共有多少个", "asks how many", 1.0),
        ("How far is it, with many hills", "asks how many", 0.0),
        ("if each then so", "log relations and conditions", math.log1p(4)),
        ("如果每人两个", "log relations and conditions", math.log1p(2)),
        ("what? 什么？", "log question marks", math.log1p(2)),
        ("the _ is wet", "blank to fill", 1.0),
        ("One. Two. Three.", "three or more sentences", 1.0),
        ("全是汉字", "share of hanzi", 1.0),
        ("привет", "share of other scripts", 1.0),
        ("f(x) （甲）", "log parentheses", math.log1p(2)),
    ],
)
def test_surface_features(text: str, name: str, expected: float) -> None:
    """Each feature measures what its name says, in both languages where it can."""
    assert features(text)[name] == pytest.approx(expected)


@given(st.text(max_size=200))
def test_any_text_has_features(text: str) -> None:
    """No text raises, and no feature is infinite."""
    tokens = tokens_of(text)
    assert np.isfinite(surface_features(text, tokens)).all()
    grams = hashed_grams(tokens)
    assert len(grams) == max(0, 2 * len(tokens) - 1)
    assert ((grams >= 0) & (grams < BUCKETS)).all()


def test_long_texts_are_read_at_their_ends() -> None:
    """A long text costs no more than its ends, and still counts as long."""
    short, long = "word " * 1000, "word " * 100_000
    assert len(tokens_of(long)) <= 1201
    assert features(long)["log words"] == pytest.approx(math.log1p(100_000), abs=0.05)
    assert features(long)["log words"] > features(short)["log words"] + 4


def test_grams_are_stable_and_salted() -> None:
    """Buckets are the same in every process, order matters, and a salt makes other buckets."""
    assert hashed_grams(["prove", "it"]).tolist() == hashed_grams(["prove", "it"]).tolist() == [14463, 30516, 16413]
    assert set(hashed_grams(["it", "prove"])) != set(hashed_grams(["prove", "it"]))
    assert not set(hashed_grams(["prove", "it"], salt=1)) & set(hashed_grams(["prove", "it"]))


def test_hashes_that_were_forgotten_come_back_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tokens were seen meanwhile, and with few of them remembered."""
    grams = hashed_grams(tokens_of("难吗 how hard"))
    monkeypatch.setattr("agentprod.routing.features._MOST_HASHES", 4)
    assert all(hashed_grams([f"w{number}"]).size == 1 for number in range(20))
    assert len(_hashes) <= 4
    assert hashed_grams(tokens_of("难吗 how hard")).tolist() == grams.tolist()


def test_kernels_are_inner_products_of_what_predicts() -> None:
    """The kernel used in fitting is that of the features used in predicting."""
    examples = [Example(f"prompt {n} of some kind", f"answer {n % 3}", (float(n), n % 2)) for n in range(40)]
    surface, grams = gather(examples)
    encoder = Encoder.learn(surface, grams)
    assert encoder.has_answer
    assert encoder.checks == 2
    dense = np.zeros((40, BUCKETS))
    dense[grams.rows, grams.buckets] = encoder.weigh(grams)
    whole = np.hstack([encoder.waves(surface), encoder.checked(surface), dense])
    assert whole.shape[1] == WAVES + 2 + BUCKETS
    np.testing.assert_allclose(encoder.kernel(surface, grams), whole @ whole.T, atol=1e-5)


def test_the_letters_of_options_are_no_words_of_a_chinese_text() -> None:
    """Whether a Chinese question mentions a Latin letter or word does not change how long its words seem."""
    place = SURFACE.index("word length")
    texts = (
        "下列说法中不正确的是哪一项？",
        "下列说法中不正确的是哪一项？A. 甲 B. 乙",
        "下列关于DNA的说法中不正确的是哪一项？",
    )
    found = {surface_features(text, tokens_of(text))[place] for text in texts}
    assert found == {0.9}
    english = "Which statement about DNA is wrong?"
    assert surface_features(english, tokens_of(english))[place] not in found


def test_examples_without_words_can_be_encoded() -> None:
    """An empty prompt is a row like any other."""
    surface, grams = gather([Example(""), Example("a word"), Example("")])
    kernel = Encoder.learn(surface, grams).kernel(surface, grams)
    assert np.isfinite(kernel).all()
    assert kernel[0, 0] == pytest.approx(kernel[0, 2])


def exact(kernel: Any, targets: Any, penalty: float) -> Any:
    return np.linalg.solve(kernel + penalty * np.eye(len(kernel)), targets)


@pytest.mark.parametrize("penalty", [PENALTIES[0], PENALTIES[-1]])
def test_solutions_are_exact(penalty: float) -> None:
    """Though the kernel is decomposed in single precision, and has values far apart."""
    random = np.random.default_rng(2)
    points = np.abs(random.normal(size=(120, 20)))
    kernel, targets = points @ points.T, random.normal(size=(120, 2))
    found = Spectrum.of(kernel).solve(kernel, targets, penalty)
    assert found == pytest.approx(exact(kernel, targets, penalty), rel=1e-9, abs=1e-12)


def test_leaving_one_out_is_what_the_shortcut_computes() -> None:
    """The penalty chosen in closed form is the one that leaving out each row in turn chooses."""
    random = np.random.default_rng(0)
    points = random.normal(size=(40, 3))
    kernel = points @ points.T
    targets = (points @ [1.0, -1.0, 0.5] + random.normal(size=40))[:, None]
    targets -= targets.mean()
    errors = []
    for penalty in PENALTIES:
        left_out = [
            float(kernel[row, keep] @ exact(kernel[np.ix_(keep, keep)], targets[keep], penalty)[:, 0]) - targets[row, 0]
            for row in range(40)
            if (keep := [other for other in range(40) if other != row])
        ]
        errors.append(np.mean(np.square(left_out)))
    assert Spectrum.of(kernel).best_penalty(targets) == PENALTIES[int(np.argmin(errors))]


def test_rows_left_out_are_not_seen() -> None:
    """Changing a row's own outcome does not change what is predicted for it."""
    random = np.random.default_rng(1)
    points = random.normal(size=(30, 4))
    spectrum, targets = Spectrum.of(points @ points.T), random.normal(size=(30, 1))
    before = spectrum.leave_one_out(targets, 1.0)
    keep = np.arange(1, 30)
    others = targets[keep] - targets[keep].mean()
    kernel = points @ points.T
    assert before[0, 0] == pytest.approx(
        float(kernel[0, keep] @ exact(kernel[np.ix_(keep, keep)], others, 1.0)[:, 0]), abs=1e-5
    )
    targets[0] += 10
    after = spectrum.leave_one_out(targets, 1.0)
    assert after[0, 0] == pytest.approx(before[0, 0], abs=1e-4)
    assert not np.allclose(after[1:], before[1:])
