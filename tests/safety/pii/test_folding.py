"""Folding keeps offsets, and folding halves equals folding the whole."""

# ruff: noqa: E501 - tables of texts and what is expected of them
from __future__ import annotations

import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agentprod.safety.pii.folding import fold, strip_invisible
from tests.safety.pii.texts import texts


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("ＡＢ１２＠．－", "AB12@.-"), ("𝟏𝟑𝟖", "138"), ("𝐚𝐛", "ab"), ("٠١٢ ०१२", "012 012"), ("–—−‑", "----"), ("a\u00a0b\u3000c", "a b c"), ("plain", "plain"), ("你好，世界：", "你好，世界："),
        ("a%40b%2Ec", "a@b.c"), ("%e4%bd%a0", "你"), ("%F0%9F%98%80", "😀"), ("100% %zz %4 %00 %7F %E4%BD", "100% %zz %4 %00 %7F %E4%BD"),
        ("a\u200b\u00adb", "ab"), ("x\U000e0041y", "xy"), ("e\ufe0f", "e"), ("\ud800", "\ud800"), ("", ""),
    ],
)  # fmt: skip
def test_look_alikes_become_ascii(text: str, folded: str) -> None:
    """Full width, digits of all scripts, dashes, spaces and percent-encoding are read; invisible characters go."""
    assert fold(text).text == folded


def test_every_decimal_digit_that_unicode_knows_here_is_folded() -> None:
    """The table of digit zeros is complete up to the Unicode version it was written for."""
    digits = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Nd"]
    folded = {digit: fold(digit).text for digit in digits}
    assert [digit for digit in digits if folded[digit] != str(unicodedata.digit(digit))] == []


def test_offsets_lead_back_past_what_was_dropped() -> None:
    """What is dropped inside a range is covered by it, at its rims it is not."""
    folded = fold("\u200ba\u200b\u200bb\u200bc\u200b")
    assert folded.text == "abc"
    assert folded.original(0, 2) == (1, 5)
    assert folded.original(2, 3) == (6, 7)
    assert folded.original(1, 1) == (4, 4)
    assert fold("abc").original(1, 2) == (1, 2)
    assert fold("a%40b%29 ").original(1, 4) == (1, 8)


@given(texts, st.integers(0, 80))
def test_folding_halves_equals_folding_the_whole(text: str, cut: int) -> None:
    """Folding is done character by character, which streams rely on."""
    assume("%" not in text[max(0, cut - 11) : cut])
    assume("：" not in text[max(0, cut - 1) : cut + 1])
    assert fold(text[:cut]).text + fold(text[cut:]).text == fold(text).text


@given(texts)
def test_each_folded_character_comes_from_its_original(text: str) -> None:
    """The index map points at the character that was folded."""
    folded = fold(text)
    for index, char in enumerate(folded.text):
        start, end = folded.original(index, index + 1)
        assert fold(text[start:end]).text == char or (text[start:end], char) == ("：", ":")


def test_invisible_characters_are_stripped_from_text() -> None:
    """ASCII comes back as it is."""
    assert strip_invisible("a\u200bb\U000e0041c") == "abc"
    assert strip_invisible("abc") == "abc"


def test_what_is_no_utf_8_stays_percent_encoded() -> None:
    """An overlong form is not read as the character it would be."""
    assert fold("a%C0%AEb").text == "a%C0%AEb"
    assert fold("a%2Eb").text == "a.b"


def test_a_full_width_colon_is_folded_between_digits_only() -> None:
    """As in addresses and times; elsewhere it is the punctuation of Chinese text."""
    assert fold("２４００：３２００：：１，电话：１３８").text == "2400:3200::1，电话：138"
