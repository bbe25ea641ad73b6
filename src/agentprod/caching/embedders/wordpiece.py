"""BERT's tokenizer: clean, lower-case, split, then the longest known piece from the left.

Follows `BasicTokenizer` and `WordpieceTokenizer` of https://github.com/google-research/bert (tokenization.py), with
the character classes that Hugging Face's `tokenizers` uses, so that both give the same ids.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from agentprod.errors import ConfigError

__all__ = ["WordPiece", "is_cjk", "read_vocabulary"]

_MAX_WORD_CHARS = 100
_CJK_COVERAGE = 2_000
"""A vocabulary made for Chinese knows 7,000 of its characters; an English one picks up a few hundred."""

_CJK_RANGES = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def is_cjk(char: str) -> bool:
    """Tell whether a character is a CJK ideograph, by the ranges of BERT's tokenizer."""
    code = ord(char)
    return code >= 0x3400 and any(first <= code <= last for first, last in _CJK_RANGES)


def read_vocabulary(path: Path) -> dict[str, int]:
    """Read a `vocab.txt`: one piece per line, the line number is its id.

    Args:
        path: the file.

    Returns:
        Piece to id.

    Raises:
        ConfigError: a special token of BERT is missing.
    """
    lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")  # which reads \r\n as \n
    vocabulary = dict(zip(lines, range(len(lines)), strict=True))
    for special in ("[UNK]", "[CLS]", "[SEP]"):
        if special not in vocabulary:
            raise ConfigError(f"{path.name} has no {special}: not the vocabulary of a BERT model")
    return vocabulary


class WordPiece:
    """Turns text into the ids of a BERT vocabulary.

    Args:
        vocabulary: piece to id, with `[UNK]`, `[CLS]` and `[SEP]`.

        lower_case: lower-case and strip accents, as uncased models want.

        strip_accents: `None` follows `lower_case`.
    """

    def __init__(
        self, vocabulary: Mapping[str, int], *, lower_case: bool = True, strip_accents: bool | None = None
    ) -> None:
        self._vocabulary = vocabulary
        self._lower_case = lower_case
        self._strip_accents = lower_case if strip_accents is None else strip_accents
        self._unknown = vocabulary["[UNK]"]
        self._ends = (vocabulary["[CLS]"], vocabulary["[SEP]"])

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, from `[CLS]` to `[SEP]`; nothing is cut off."""
        ids = [self._ends[0]]
        for word in self._split(text):
            ids += self._pieces(word) or (self._unknown,)
        ids.append(self._ends[1])
        return ids

    def refuse(self, text: str, *, window: int) -> str | None:
        """Say why this vocabulary cannot stand for a text.

        Args:
            text: the text.

            window: tokens that the model reads, `[CLS]` and `[SEP]` included.

        Returns:
            `"unknown"` when a word is `[UNK]`; `"script"` when the vocabulary was not made for the text's script, so
            that words fall into single characters; `"window"` when the text is too long; else `None`.
        """
        count = 2
        for word in self._split(text):
            pieces = self._pieces(word)
            if not pieces:
                return "unknown"
            if is_cjk(word[0]) and not self._reads_cjk:
                return "script"
            if len(pieces) == len(word) >= 4 and not word.isascii():
                return "script"
            count += len(pieces)
        return "window" if count > window else None

    @cached_property
    def _reads_cjk(self) -> bool:
        """Whether the vocabulary was made for Chinese."""
        return sum(len(piece) == 1 and is_cjk(piece) for piece in self._vocabulary) >= _CJK_COVERAGE

    def _split(self, text: str) -> Iterator[str]:
        text = "".join(map(_clean, text)) if not text.isascii() or not text.isprintable() else text
        if self._strip_accents and not text.isascii():
            text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
        if self._lower_case:
            text = text.lower() if text.isascii() else "".join(map(str.lower, text))  # no final sigma
        for chunk in text.split():
            start = 0
            for index, char in enumerate(chunk):
                if not char.isalnum() and _is_punctuation(char):
                    if start < index:
                        yield chunk[start:index]
                    yield char
                    start = index + 1
            if start < len(chunk):
                yield chunk[start:]

    def _pieces(self, word: str) -> tuple[int, ...]:
        """Return the ids of one word; none when it cannot be written with the vocabulary."""
        if len(word) > _MAX_WORD_CHARS:
            return ()
        whole = self._vocabulary.get(word)
        if whole is not None:
            return (whole,)
        found: list[int] = []
        start, prefix = 0, ""
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = self._vocabulary.get(prefix + word[start:end])
                if piece is not None:
                    break
            else:
                return ()
            found.append(piece)
            start, prefix = end, "##"
        return tuple(found)


def _clean(char: str) -> str:
    if char in "\t\n\r":
        return " "
    if is_cjk(char):
        return f" {char} "
    category = unicodedata.category(char)
    if category == "Zs" or char in "\u2028\u2029":
        return " "
    return "" if category[0] == "C" or char == "\ufffd" else char


def _is_punctuation(char: str) -> bool:
    return char.isascii() or unicodedata.category(char)[0] == "P"
