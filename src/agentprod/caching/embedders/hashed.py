"""An embedder without a model: hashed words, word pairs and character n-grams, English and Chinese.

Feature hashing after Weinberger et al. (arXiv 0902.2206); character n-grams inside word limits after Bojanowski et al.
(arXiv 1607.04606). It finds what is worded alike and spelt differently, not synonyms.
"""

from __future__ import annotations

import math
import re
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from agentprod.caching.embedders.contract import Identity
from agentprod.caching.embedders.phrasing import (
    CHINESE_QUESTIONS,
    ENGLISH_WEIGHTS,
    LIGHT_CHARACTERS,
    plain_chinese,
    plain_english,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Hashed"]

_DIMS = 384
_THRESHOLD = 0.92
_WINDOW = 64
_CJK = "\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0002fa1f"
_RUN = re.compile(rf"(?P<cjk>[{_CJK}]+)|[^\W_{_CJK}]+")
_CHARACTER_PART = 0.3
_LIGHT = 0.3
_QUESTION = 0.7

Features = dict[int, tuple[int, float]]


class Hashed:
    """Signed hashes of stems, pairs of neighbours and character 3- to 5-grams, in 384 dimensions; needs no model.

    Takes some 0.2 ms per text. Words without content weigh little, the less the more others there are, and question
    words somewhat more. Chinese, Japanese and Korean are read as single characters and pairs of them, and Chinese ways
    to ask the same (怎么, 如何, 怎样) as one. Word pairs weigh more the longer the text, since any two long texts share
    most single words. The same text gives the same vector in every process and on every platform.

    Texts of more than 64 words (two CJK characters count as one) are refused: one changed word hardly moves the cosine.
    """

    remote = False
    threshold = _THRESHOLD
    identity = Identity(name="hashed-ngrams", version="1", dims=_DIMS, window=_WINDOW, unit="words")

    def refuse(self, text: str) -> str | None:
        """Return `"window"` for more than 64 words, `"empty"` when there is no letter or digit, else `None`."""
        runs = list(_RUN.finditer(text))
        if not runs:
            return "empty"
        return "window" if sum(len(run[0]) / 2 if run["cjk"] else 1 for run in runs) > _WINDOW else None

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Return float32 vectors of length 1, (texts, 384).

        Raises:
            ValueError: a text has no letter or digit; ask `refuse` first.
        """
        import numpy as np

        vectors = np.zeros((len(texts), _DIMS))
        for row, text in zip(vectors, texts, strict=True):
            features = _features(text)
            if not features:
                raise ValueError("a text without a letter or digit has no vector")
            keys = np.fromiter(features, dtype=np.uint64, count=len(features))
            values = np.array([weight * (1 + math.log(count)) for count, weight in features.values()])
            mixed = (keys * np.uint64(0x9E3779B1)) & np.uint64(0xFFFFFFFF)
            values[(mixed & np.uint64(64)) == 0] *= -1
            row += np.bincount((mixed >> np.uint64(8)).astype(np.int64) % _DIMS, weights=values, minlength=_DIMS)
        vectors /= np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
        return vectors.astype(np.float32)

    async def aembed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Do the same; it does not wait for anything."""
        return self.embed(texts)


def _features(text: str) -> Features:
    """Return each feature's hash with how often it occurs and its weight."""
    text = text if text.isascii() else unicodedata.normalize("NFKC", text)
    text = plain_english(text.lower())
    if not text.isascii():
        text = plain_chinese(text)
    runs = [(match[0], match["cjk"] is not None) for match in _RUN.finditer(text)]
    english_pairs = min(1.0, max(0.1, sum(not cjk for _, cjk in runs) / 20))
    chinese_pairs = min(2.0, max(0.4, sum(len(run) for run, cjk in runs if cjk) / 15))
    content = sum(len(run) / 2 if cjk else run not in ENGLISH_WEIGHTS for run, cjk in runs)
    emphasis = 1 + 1 / max(content, 0.5) ** 2
    features: Features = {}
    previous, weight_before = "", 0.0
    for run, cjk in runs:
        if cjk:
            for key, weight in _read_cjk(run, chinese_pairs):
                _count(features, key, weight)
            previous = ""
            continue
        weight = min(1.0, ENGLISH_WEIGHTS.get(run, 1.0) * emphasis)
        word, grams = _read_word(run, run in ENGLISH_WEIGHTS)
        _count(features, word, weight)
        for gram in grams:
            _count(features, gram, weight * _CHARACTER_PART)
        if previous:
            _count(features, zlib.crc32(f"b{previous} {run}".encode()), weight * weight_before * english_pairs)
        previous, weight_before = run, weight
    return features


def _count(features: Features, key: int, weight: float) -> None:
    seen = features.get(key)
    features[key] = (1, weight) if seen is None else (seen[0] + 1, max(seen[1], weight))


@lru_cache(maxsize=10_000)
def _read_word(word: str, light: bool) -> tuple[int, tuple[int, ...]]:
    """Return the hash of a word's stem and those of its character n-grams."""
    from agentprod.caching.guards.words_en import stem  # with all guards, which other embedders need not wait for

    root = word if light else stem(word)
    padded = f" {root} "
    grams = tuple(
        zlib.crc32(f"c{padded[start : start + size]}".encode())
        for size in (3, 4, 5)
        for start in range(len(padded) - size + 1)
    )
    return zlib.crc32(f"w{root}".encode()), grams


def _read_cjk(run: str, pairs: float) -> Iterator[tuple[int, float]]:
    """Yield features of Chinese: question words, characters, and pairs of the characters that carry meaning."""
    for part in CHINESE_QUESTIONS.split(run):
        if CHINESE_QUESTIONS.fullmatch(part):
            yield zlib.crc32(f"q{part}".encode()), _QUESTION
            continue
        kept = ""
        for char in part:
            light = char in LIGHT_CHARACTERS
            yield zlib.crc32(f"z{char}".encode()), _LIGHT if light else 1.0
            kept += "" if light else char
        for start in range(len(kept) - 1):
            yield zlib.crc32(f"y{kept[start : start + 2]}".encode()), pairs
