"""Count what a text is made of: words, digits, marks, characters of each script.

The counts are what byte-pair encodings split text by, so that a weighted sum of them is close to the number of tokens.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FEATURES", "count_features"]

FEATURES = (
    "words",
    "letters past 4",
    "letters past 7",
    "letters past 12",
    "capitals after capitals",
    "accented letters",
    "words of accented text",
    "words of plain text without English function words",
    "digit groups",
    "spaces before digits",
    "runs of marks",
    "marks past the first",
    "marks past the third",
    "marks before letters",
    "marks before line ends",
    "underscores",
    "brackets and quotes",
    "repeated marks",
    "runs of line ends",
    "runs of spaces",
    "letters beside digits",
    "common hanzi",
    "rare hanzi",
    "hanzi in common pairs",
    "full-width marks",
    "kana",
    "hangul",
    "Greek",
    "Cyrillic",
    "Hebrew and Arabic",
    "Devanagari",
    "other Indic",
    "Thai and its neighbours",
    "other symbols",
    "emoji and beyond",
)
"""What `count_features` counts, in order."""

_SPACE, _LINE, _LOWER, _UPPER, _DIGIT, _MARK, _HANZI, _RARE, _WIDE, _KANA, _HANGUL = range(11)
_ACCENTED, _GREEK, _CYRILLIC, _SEMITIC, _DEVANAGARI, _INDIC, _THAI, _SYMBOL, _ASTRAL = range(11, 20)

# English prose is about a third function words, and its words are more often one token than other languages' words.
_FUNCTION_WORDS = (
    " the ",
    " of ",
    " and ",
    " to ",
    " in ",
    " a ",
    " is ",
    " for ",
    " that ",
    " you ",
    " with ",
    " on ",
)
_ENGLISH_SHARE = 0.12

_BLOCKS = (
    (0x00C0, 0x0250, _ACCENTED),
    (0x0300, 0x0370, _ACCENTED),
    (0x0370, 0x0400, _GREEK),
    (0x0400, 0x0530, _CYRILLIC),
    (0x0530, 0x0900, _SEMITIC),
    (0x0900, 0x0980, _DEVANAGARI),
    (0x0980, 0x0E00, _INDIC),
    (0x0E00, 0x1200, _THAI),
    (0x1E00, 0x1F00, _ACCENTED),
    (0x1F00, 0x2000, _GREEK),
    (0x3000, 0x3040, _WIDE),
    (0x3040, 0x3100, _KANA),
    (0x3400, 0xA000, _RARE),
    (0xAC00, 0xD7B0, _HANGUL),
    (0xFF00, 0xFF61, _WIDE),
)
_WIDE_MARKS = "，。、；：？！“”‘’（）《》【】—…·"


def count_features(text: str, hanzi: NDArray[np.uint16], pairs: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Count what a text is made of.

    Args:
        text: any text but an empty one, lone surrogates included.

        hanzi: code points of the hanzi that are one token.

        pairs: sorted codes `first << 16 | second` of the pairs of hanzi that are one token.

    Returns:
        One count for each of `FEATURES`, shape `(len(FEATURES),)`.
    """
    import numpy as np

    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    kinds = np.where(codes > 0xFFFF, np.uint8(_ASTRAL), _kinds(hanzi.tobytes())[codes & 0xFFFF])
    before, after = np.empty_like(kinds), np.empty_like(kinds)
    before[0] = after[-1] = _LINE
    before[1:], after[:-1] = kinds[:-1], kinds[1:]
    number = np.bincount(kinds, minlength=20)

    letter, letter_before = _is_letter(kinds), _is_letter(before)
    return np.array(
        [
            *_count_words(text, kinds, before, letter, letter_before, number[_ACCENTED]),
            *_count_signs(text, codes, kinds, before, after, letter, letter_before),
            number[_HANZI],
            number[_RARE],
            _paired(codes, kinds, pairs),
            *number[[_WIDE, _KANA, _HANGUL, _GREEK, _CYRILLIC, _SEMITIC, _DEVANAGARI, _INDIC, _THAI, _SYMBOL, _ASTRAL]],
        ],
        dtype=np.float64,
    )


def _is_letter(kinds: NDArray[np.uint8]) -> NDArray[np.bool_]:
    letter: NDArray[np.bool_] = (kinds == _UPPER) | (kinds == _LOWER) | (kinds == _ACCENTED)
    return letter


def _count_words(
    text: str,
    kinds: NDArray[np.uint8],
    before: NDArray[np.uint8],
    letter: NDArray[np.bool_],
    letter_before: NDArray[np.bool_],
    accented: int,
) -> list[Any]:
    """Count words of letters, long ones, and those of languages with accents or other words than English."""
    import numpy as np

    upper = kinds == _UPPER
    # A capital after a small letter begins a word too: camelCase is two.
    starts = letter & (~letter_before | (upper & letter_before & (before != _UPPER)))
    begins = np.flatnonzero(starts)
    ends = np.flatnonzero(letter & ~np.append(letter[1:] & ~starts[1:], False))
    lengths = ends - begins + 1
    words = len(begins)
    english = sum(text.count(word) for word in _FUNCTION_WORDS)
    in_accented = words * min(1.0, accented / (0.15 * words)) if words else 0.0
    foreign = words * max(0.0, 1.0 - english / (_ENGLISH_SHARE * words)) if words else 0.0
    return [
        words,
        *(np.maximum(0, lengths - least).sum() for least in (4, 7, 12)),
        np.count_nonzero(upper & (before == _UPPER)),
        accented,
        in_accented,
        foreign - min(foreign, in_accented),
    ]


def _count_signs(
    text: str,
    codes: NDArray[np.uint32],
    kinds: NDArray[np.uint8],
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    letter: NDArray[np.bool_],
    letter_before: NDArray[np.bool_],
) -> list[Any]:
    """Count digits, marks and blanks, and where they touch each other and words."""
    import numpy as np

    digit, space, mark = kinds == _DIGIT, kinds == _SPACE, kinds == _MARK
    digits, marks, blanks = _run_lengths(digit), _run_lengths(mark), _run_lengths(space)
    return [
        ((digits + 2) // 3).sum(),
        np.count_nonzero(space & (after == _DIGIT)),
        len(marks),
        np.maximum(0, marks - 1).sum(),
        np.maximum(0, marks - 3).sum(),
        np.count_nonzero(mark & ((after == _LOWER) | (after == _UPPER))),
        np.count_nonzero(mark & (after == _LINE)),
        text.count("_"),
        np.count_nonzero(mark & _is_paired()[np.minimum(codes, 127)]),
        np.count_nonzero(mark[1:] & (codes[1:] == codes[:-1])),
        ((_run_lengths(kinds == _LINE) + 15) // 16).sum(),
        ((blanks[blanks > 1] + 79) // 80).sum(),
        np.count_nonzero((letter & (before == _DIGIT)) | (digit & letter_before)),
    ]


def _run_lengths(inside: NDArray[np.bool_]) -> NDArray[Any]:
    """The lengths of the runs of true values."""
    import numpy as np

    edges = np.flatnonzero(np.diff(inside, prepend=False, append=False))
    return edges[1::2] - edges[::2]


def _paired(codes: NDArray[np.uint32], kinds: NDArray[np.uint8], pairs: NDArray[np.uint32]) -> int:
    """How many pairs of hanzi would be taken, left to right, without overlap."""
    import numpy as np

    if len(codes) < 2 or not ((kinds == _HANZI) | (kinds == _RARE)).any():
        return 0
    found = (codes[:-1] << np.uint32(16)) | codes[1:]
    place = np.searchsorted(pairs, found)
    place[place == len(pairs)] = 0
    runs = _run_lengths(pairs[place] == found)
    return int(((runs + 1) // 2).sum())


@cache
def _is_paired() -> NDArray[np.bool_]:
    import numpy as np

    paired = np.zeros(128, np.bool_)
    paired[[ord(char) for char in "()[]{}\"'"]] = True
    return paired


@cache
def _kinds(hanzi: bytes) -> NDArray[np.uint8]:
    """The kind of every code point below 65,536."""
    import numpy as np

    kinds = np.full(0x10000, _SYMBOL, np.uint8)
    for code in range(128):
        char = chr(code)
        if char.islower():
            kind = _LOWER
        elif char.isupper():
            kind = _UPPER
        elif char.isdigit():
            kind = _DIGIT
        elif char in "\r\n":
            kind = _LINE
        else:
            kind = _SPACE if char.isspace() or code < 32 else _MARK
        kinds[code] = kind
    for start, stop, kind in _BLOCKS:
        kinds[start:stop] = kind
    kinds[[0xA0, 0x3000]] = _SPACE
    kinds[[ord(char) for char in _WIDE_MARKS]] = _WIDE
    kinds[np.frombuffer(hanzi, np.uint16)] = _HANZI
    return kinds
