"""One word exchanged in a long text."""

from __future__ import annotations

from tests.caching.guards.judging import judge

_LETTER = "Please write a short letter to my landlord where I politely complain about the noisy {} beside my bedroom"
_CHINESE = "请帮我写一封简短的信给房东礼貌地抱怨卧室窗户旁边噪音很大的{}并要求尽快处理"


def test_an_exchanged_word_in_a_long_text_is_blocked() -> None:
    """A template filled with another word asks for another answer."""
    assert judge(_LETTER.format("compressor"), _LETTER.format("waterfall"), "wording") == "wording"
    assert judge(_CHINESE.format("健身房"), _CHINESE.format("幼儿园"), "wording") == "wording"


def test_a_synonym_or_another_spelling_in_a_long_text_passes() -> None:
    """Known synonyms and words spelt alike are no other word."""
    assert judge(_LETTER.format("automobile"), _LETTER.format("car"), "wording") is None
    assert judge(_LETTER.format("compressor"), _LETTER.format("compresor"), "wording") is None


def test_an_exchanged_word_in_a_short_text_passes() -> None:
    """In a short text the cosine sees the difference itself."""
    assert judge("buy a compressor", "buy a waterfall", "wording") is None


def test_a_long_text_worded_quite_differently_passes() -> None:
    """The guard asks for one exchanged word, not for another text, nor for more words."""
    other = "My landlord should get a polite letter: complain that noise near the bedroom keeps me awake, be brief"
    assert judge(_LETTER.format("pump"), other, "wording") is None
    assert judge(_LETTER.format("pump"), _LETTER.format("pump") + " every single night", "wording") is None


def test_a_word_that_moved_is_not_exchanged() -> None:
    """A word that stands elsewhere in the other text was moved."""
    one = (
        "compressor noise beside my bedroom window keeps everyone awake every single night since last winter renovation"
    )
    other = (
        "window noise beside my bedroom compressor keeps everyone awake every single night since last winter renovation"
    )
    assert judge(one, other, "wording") is None
