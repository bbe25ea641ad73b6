"""Fitting: what is learned, what is measured, and when a fit is refused."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentprod.errors import ConfigError
from agentprod.routing import training
from agentprod.routing.curve import rank
from agentprod.routing.encoder import Example
from agentprod.routing.fit import LEAST_ROWS, fit
from agentprod.routing.goal import Goal
from agentprod.routing.learned import LearnedRouter
from agentprod.routing.log_table import read_log
from tests.routing.recorded import prompt, rows, shuffled

DATA = os.environ.get("AGENTPROD_DATA")
with_data = pytest.mark.skipif(DATA is None, reason="AGENTPROD_DATA is not set")


def gains(router: LearnedRouter, prompts: list[str]) -> np.ndarray:
    values = router.values([Example(prompt) for prompt in prompts])
    gain: np.ndarray = values[:, -1] - values[:, 0]
    return gain


@pytest.mark.parametrize("chinese", [False, True], ids=["English", "Chinese"])
def test_hard_prompts_go_to_the_large_model(chinese: bool) -> None:
    """A router fitted to recorded outcomes tells unseen hard prompts from easy ones, in both languages."""
    fitted = fit(rows(300, chinese=chinese))
    assert fitted.router is not None
    assert fitted.report.accepted
    assert fitted.report.apgr > 0.65
    assert 0.5 < fitted.report.interval[0] < fitted.report.apgr < fitted.report.interval[1]
    unseen = rows(200, seed=9, chinese=chinese)
    found = gains(fitted.router, [row["prompt"] for row in unseen])
    levels = np.array([row["level"] for row in unseen])
    assert np.corrcoef(found, levels)[0, 1] > 0.9
    hard, easy = prompt(4, chinese=chinese), prompt(0, chinese=chinese)
    choice = fitted.router.choose(hard, Goal(quality=0.9))
    assert choice.model == "large"
    assert choice.gain == choice.qualities["large"] - choice.qualities["small"] > 0.3
    assert fitted.router.choose(easy, Goal(quality=0.9)).model == "small"


def test_the_same_log_gives_the_same_router(tmp_path: Path) -> None:
    """Fitting is deterministic, down to the bytes of the file; another seed leaves out other rows."""
    for name in ("a", "b"):
        router = fit(rows(200), seed=3).router
        assert router is not None
        router.save(tmp_path / f"{name}.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert fit(rows(200), seed=4).report.interval != fit(rows(200), seed=3).report.interval


def test_shuffled_outcomes_are_refused() -> None:
    """When outcomes have nothing to do with prompts, nearly every fit is refused and says why."""
    log = rows(120)
    fits = [fit(shuffled(log, seed), seed=seed) for seed in range(10)]
    refused = [each for each in fits if not each.report.accepted]
    assert len(refused) >= 9
    assert all("not certainly better than a coin" in str(each.report.refusal) for each in refused)
    assert all(each.router is None for each in refused)


def test_few_rows_are_refused() -> None:
    """Below a hundred prompts there is no fit, whatever they say."""
    fitted = fit(rows(60))
    assert fitted.router is None
    assert fitted.report.refusal == f"60 prompts are recorded, {LEAST_ROWS} are needed: a fit to fewer is noise"
    assert fitted.report.rows == 60
    assert (fitted.report.apgr, fitted.report.interval, fitted.report.cpt(0.8)) == (0.0, (0.0, 0.0), 1.0)


def test_one_model_is_nothing_to_choose_from() -> None:
    """A log of one model is refused."""
    one = [{"prompt": row["prompt"], "scores": {"small": 1}} for row in rows(150)]
    assert "only one model" in str(fit(one).report.refusal)


@pytest.mark.parametrize("score", [0, 1])
def test_a_log_of_one_class_is_refused(score: int) -> None:
    """When every answer was right, or every answer wrong, no prompt can be told from another."""
    same = [{"prompt": row["prompt"], "scores": {"small": score, "large": score}} for row in rows(150)]
    refusal = str(fit(same).report.refusal)
    assert refusal == f"every answer has the same score, {score}: there is nothing to learn from"


def test_a_dearer_model_that_is_worse_is_named() -> None:
    """When the dear model is worse, the report says that it is worse and dearer."""
    swapped = [
        {
            "prompt": row["prompt"],
            "scores": {"haiku": row["scores"]["small"], "flash": row["scores"]["large"]},
            "costs": {"haiku": 0.037, "flash": 0.01},
        }
        for row in rows(200)
    ]
    report = fit(swapped).report
    assert "flash is the best model and the first: haiku is worse by" in str(report.refusal)
    assert "and dearer" in str(report.refusal)
    free = fit([{key: row[key] for key in ("prompt", "scores")} for row in swapped], models=["flash", "haiku"]).report
    assert "and dearer" not in str(free.refusal)


def test_a_difference_that_may_be_none_is_refused() -> None:
    """Two models whose difference could be chance are not worth a router."""
    rng = np.random.default_rng(0)
    even = [
        {"prompt": row["prompt"], "scores": {"a": float(rng.random() < 0.5), "b": float(rng.random() < 0.51)},
         "costs": {"a": 1, "b": 2}}
        for row in rows(150)
    ]  # fmt: skip
    report = fit(even).report
    assert not report.accepted
    assert "not certainly better than a" in str(report.refusal) or "best model and the first" in str(report.refusal)


def test_logs_of_single_calls_are_enough() -> None:
    """Traffic where each prompt went to one model alone can be fitted too."""
    single = [
        {"prompt": row["prompt"], "model": model, "correct": bool(row["scores"][model]), "cost": row["costs"][model]}
        for number, row in enumerate(rows(500))
        for model in [("small", "large")[number % 2]]
    ]
    fitted = fit(single)
    assert fitted.router is not None
    unseen = rows(60, seed=5)
    levels = np.array([row["level"] for row in unseen])
    assert np.corrcoef(gains(fitted.router, [row["prompt"] for row in unseen]), levels)[0, 1] > 0.8
    dealt = fit(_dealt(single))
    assert dealt.router is None
    assert dealt.candidate is not None
    assert dealt.candidate.models == ("small", "large")
    scarce = [row for row in single if row["model"] == "small"] + [row for row in single if row["model"] == "large"][:9]
    assert "only 9 scored answers" in str(fit(scarce).report.refusal)


def _dealt(single: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    outcomes = rng.permutation([row["correct"] for row in single])
    return [{**row, "correct": bool(outcome)} for row, outcome in zip(single, outcomes, strict=True)]


def test_three_models_are_ordered_by_cost() -> None:
    """With more than two models, dearer ones are chosen only where they add something."""
    three = [
        {
            "prompt": row["prompt"],
            "scores": {**row["scores"], "middle": (row["scores"]["small"] + row["scores"]["large"]) / 2},
            "costs": {**row["costs"], "middle": 0.006},
        }
        for row in rows(300)
    ]
    router = fit(three).router
    assert router is not None
    assert router.models == ("small", "middle", "large")
    assert router.choose(prompt(0), Goal(cost_share=0.5)).model == "small"
    assert router.predict(prompt(4)).model == "large"
    assert router.choose(prompt(4), Goal(quality=0.9), among=["small", "middle"]).model == "middle"


def test_large_logs_are_fitted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what fits in memory at once, the averaged fit of parts is as good."""
    whole = fit(rows(400))
    monkeypatch.setattr(training, "_AT_ONCE", 150)
    parts = fit(rows(400))
    assert whole.router is not None
    assert parts.router is not None
    assert parts.report.apgr == pytest.approx(whole.report.apgr, abs=0.04)
    prompts = [row["prompt"] for row in rows(50, seed=2)]
    assert np.corrcoef(gains(whole.router, prompts), gains(parts.router, prompts))[0, 1] > 0.9


def test_a_judge_looks_at_the_answer_and_its_checks() -> None:
    """Fitted with first answers and what was checked of them, it knows wrong answers when it sees them."""
    rng = np.random.default_rng(0)
    judged = []
    for row in rows(300):
        wrong = bool(rng.random() < 0.4)
        answer = "I am not sure, perhaps it is seven" if wrong else "The answer is seven."
        check = float(rng.random() < (0.7 if wrong else 0.1))
        scores = {"small": float(not wrong), "large": float(rng.random() < 0.9)}
        judged.append({**row, "scores": scores, "answer": answer, "checks": {"schema failed": check}})
    router = fit(judged).router
    assert router is not None
    assert router.encoder.has_answer
    assert router.about["checks"] == ["schema failed"]
    asked = prompt(1)
    good = router.predict(asked, answer="The answer is seven.", checks={"schema failed": 0})
    bad = router.predict(asked, answer="I am not sure, perhaps it is seven", checks={"schema failed": 1})
    assert bad.gain > good.gain + 0.3
    failed = router.predict(asked, answer="The answer is seven.", checks={"schema failed": 1})
    assert failed.gain > good.gain
    assert router.predict(asked).gain == router.predict(asked, answer="").gain


def test_goals_are_reached_on_prompts_not_seen() -> None:
    """Cost and quality on unseen prompts are close to what was asked for."""
    router = fit(rows(600)).router
    assert router is not None
    unseen = rows(600, seed=7)
    values = router.values([Example(row["prompt"]) for row in unseen])
    relative = np.array(router.policy.relative)
    for share in (0.3, 0.5):
        threshold = router.policy.threshold(Goal(cost_share=share))
        chosen = np.argmax(values - threshold * relative, axis=1)
        assert np.where(chosen == 1, 1.0, 0.05).mean() == pytest.approx(share, abs=0.07)
    assert router.policy.threshold(Goal(max_usd=0.01)) == 0.0
    threshold = router.policy.threshold(Goal(quality=0.8))
    chosen = np.argmax(values - threshold * relative, axis=1)
    scores = np.array([[row["scores"]["small"], row["scores"]["large"]] for row in unseen])
    quality = scores[np.arange(len(chosen)), chosen].mean()
    weak, strong = scores.mean(0)
    assert (quality - weak) / (strong - weak) > 0.7


def test_reports_read_as_text() -> None:
    """The report names models, the figure with its interval, the rules of thumb beside it, and the outcome."""
    text = str(fit(rows(200)).report)
    for part in ("200 prompts", "small", "large", "0.020000", "APGR", "95 % interval", "keywords", "length",
                 "80% of the gap", "of the cost of the dearest model", "fitted"):  # fmt: skip
        assert part in text
    without_costs = str(fit(rows(200, costs=False)).report)
    assert "of the calls" in without_costs
    assert str(fit(shuffled(rows(200), 1)).report).endswith("or use another stage")
    assert str(fit(rows(10)).report).endswith("a fit to fewer is noise")


def test_logs_read_before_can_be_fitted() -> None:
    """A log may be read once and fitted from memory."""
    log = read_log(rows(120))
    assert len(log) == 120
    assert fit(log).report.apgr == fit(rows(120)).report.apgr


@with_data
@pytest.mark.parametrize(
    ("file", "weak", "strong", "least", "most"),
    [
        ("routellm_gsm8k.jsonl.gz", "weak", "strong", 0.63, 0.62),
        ("llmrouter9.jsonl.gz", "mistral-7b-instruct-v0.3", "llama-3.1-nemotron-51b-instruct", 0.68, 0.56),
    ],
    ids=["GSM8K", "LLMRouter"],
)
def test_recorded_sets_are_ranked_well(file: str, weak: str, strong: str, least: float, most: float) -> None:
    """On recorded answers, a router fitted to a few hundred of them beats every rule of thumb on the rest."""
    with gzip.open(Path(str(DATA)) / "router" / file, "rt", encoding="utf-8") as lines:
        recorded = [json.loads(line) for line in lines]
    order = np.random.default_rng(0).permutation(len(recorded))
    log = [{"prompt": recorded[row]["prompt"], "scores": {m: recorded[row]["scores"][m] for m in (weak, strong)}}
           for row in order[:800]]  # fmt: skip
    fitted = fit(log, models=[weak, strong])
    assert fitted.router is not None
    unseen = [recorded[row] for row in order[800:]]
    sides = [np.array([float(row["scores"][model]) for row in unseen]) for model in (weak, strong)]
    ranking = rank(gains(fitted.router, [row["prompt"] for row in unseen]), *sides)
    assert ranking.apgr >= least
    assert ranking.cpt(0.8) <= most


def test_an_empty_log_is_an_error() -> None:
    """Nothing to fit is a mistake of the call, not a refusal."""
    with pytest.raises(ConfigError, match="no row has both a prompt and a score"):
        fit([])
