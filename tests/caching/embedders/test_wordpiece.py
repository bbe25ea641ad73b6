"""BERT's tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentprod.caching.embedders.wordpiece import WordPiece, is_cjk, read_vocabulary

_PIECES = "[UNK] [CLS] [SEP] play ##ing ##s cafe ! - don ' t 你 好 hello Hello x ##x ολος \u03c3".split()
_VOCABULARY = {piece: index for index, piece in enumerate(_PIECES)}


def _pieces(text: str, **options: bool) -> list[str]:
    return [_PIECES[token] for token in WordPiece(_VOCABULARY, **options).encode(text)[1:-1]]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("playing plays", ["play", "##ing", "play", "##s"]),
        ("don't-play!", ["don", "'", "t", "-", "play", "!"]),
        ("CAF\u00c9 cafe\u0301", ["cafe", "cafe"]),
        ("你好hello", ["你", "好", "hello"]),
        ("a play", ["[UNK]", "play"]),
        ("playx", ["play", "##x"]),
        ("playz", ["[UNK]"]),
        ("pl\u200bay\x00\ufffd hello\u00a0hello\u2028hello\thello", ["play", "hello", "hello", "hello", "hello"]),
        ("x" * 100, ["x"] + ["##x"] * 99),
        ("x" * 101, ["[UNK]"]),
        ("", []),
    ],
)
def test_words_are_cleaned_split_and_cut_into_known_pieces(text: str, pieces: list[str]) -> None:
    """The longest known piece from the left, accents and case aside, unknown words as [UNK]."""
    assert _pieces(text) == pieces


def test_a_cased_vocabulary_keeps_case() -> None:
    """Cased models tell Hello from hello."""
    assert _pieces("Hello hello", lower_case=False) == ["Hello", "hello"]


def test_each_special_token_stands_at_its_end() -> None:
    """[CLS] begins and [SEP] ends every text."""
    assert WordPiece(_VOCABULARY).encode("hello") == [1, _VOCABULARY["hello"], 2]


def test_a_chinese_vocabulary_reads_chinese(tmp_path: Path) -> None:
    """A vocabulary of thousands of ideographs is trusted with them, one of a few is not."""
    file = tmp_path / "vocab.txt"
    file.write_text("\n".join(["[UNK]", "[CLS]", "[SEP]", *map(chr, range(0x4E00, 0x4E00 + 2_500))]), encoding="utf-8")
    chinese = WordPiece(read_vocabulary(file))
    assert chinese.refuse("丁上下不", window=9) is None
    assert chinese.refuse("丁上下不" * 2, window=9) == "window"
    assert WordPiece(_VOCABULARY).refuse("你好", window=9) == "script"


def test_words_that_fall_into_single_letters_are_of_a_foreign_script() -> None:
    """A vocabulary that has only the letters of an alphabet cannot read it."""
    letters = {piece: index for index, piece in enumerate(["[UNK]", "[CLS]", "[SEP]", "п", "##а", "##р"])}
    assert WordPiece(letters).refuse("пара", window=9) == "script"
    assert WordPiece(letters).refuse("па", window=9) is None


@pytest.mark.parametrize(("char", "expected"), [("你", True), ("𠀀", True), ("ひ", False), ("a", False)])
def test_ideographs_are_told_from_other_letters(char: str, expected: bool) -> None:
    """BERT sets spaces around ideographs only, rare ones included."""
    assert is_cjk(char) is expected
