"""What can be read off a prompt in a tenth of a millisecond: 30 surface features and hashed n-grams.

No model and no network is involved. Chinese and English are treated alike: a hanzi is a token, and so two in a row
are a bigram; digits are split, so that numbers share features.
"""

from __future__ import annotations

import re
from itertools import pairwise
from math import log1p
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["BUCKETS", "SURFACE", "hashed_grams", "surface_features", "tokens_of"]

BUCKETS = 1 << 15
"""Buckets that n-grams are hashed into."""

SURFACE = (
    "log words",
    "log words squared",
    "log sentences",
    "words in a sentence",
    "word length",
    "share of long words",
    "share of different words",
    "share of capitalised words",
    "log numbers",
    "share of numbers",
    "digits of the longest number",
    "decimals",
    "log mathematical signs",
    "log marks of code",
    "log lines",
    "two or more options",
    "five or more options",
    "log negations",
    "asks who, when, where or what",
    "log demands to explain or compute",
    "asks how many",
    "log relations and conditions",
    "log question marks",
    "blank to fill",
    "share of commas",
    "share of quotes",
    "share of other scripts",
    "share of hanzi",
    "three or more sentences",
    "log parentheses",
)
"""What `surface_features` returns, in order."""

_LONGEST = 6000
"""Characters that are looked at: of a longer text, half of them at each end."""

_TOKEN = re.compile(r"[a-z]+|[^\sa-z]")
_PIECE = re.compile(r"[a-z]+|[一-鿿]+|[^\sa-z]")
_HANZI = re.compile("[一-鿿]+")
_SENTENCE_ENDS = re.compile(r"[.!?](?=\s|$)|[。！？\n]")
_NUMBER = re.compile(r"\d+")
_DECIMAL = re.compile(r"\d\.\d")
_CAPITALISED = re.compile(r"\b[A-Z]")
_OPTION = re.compile(r"^\s*[(（]?[A-Ja-j1-9][)）.、:：]\s*\S", re.MULTILINE)
_MATH = re.compile(r"[=+*/^<>√∑∫π≤≥±×÷%°$]|\\[a-z]+")
_CODE = re.compile(r"[{};]|\b(?:def|return|import|class|assert)\b|=>|::|\(\)|\[\]|```")

# Tokens without any of which there is nothing to find.
_DIGITS = frozenset("0123456789")
_MATH_SIGNS = frozenset("=+*/^<>√∑∫π≤≥±×÷%°$\\")
_CODE_SIGNS = frozenset("{ } ; = : ( [ ` def return import class assert".split())

_NEGATIONS = frozenset("not no never except without least false incorrect none neither nor cannot".split())
_WHO = frozenset("who when where which what whom whose".split())
_EXPLAIN = frozenset(
    "how why explain describe prove derive compare analyze analyse calculate find compute determine evaluate solve"
    " implement write show discuss".split()
)
_RELATIONS = frozenset(
    "each every per times twice half percent than total remaining left if then because therefore suppose given let"
    " assume so but although unless until while since more less".split()
)
_LISTED = _NEGATIONS | _RELATIONS | _WHO | _EXPLAIN
_NEGATIONS_ZH = re.compile("不|没|非|无|错误|除了|以外")
_WHO_ZH = re.compile("谁|哪|何时|什么")
_EXPLAIN_ZH = re.compile("为什么|怎|如何|证明|推导|计算|求|分析|比较|解释|写|论述|简述|设计")
_MANY_ZH = re.compile("多少|几")
_RELATIONS_ZH = re.compile("每|倍|一半|共|剩|如果|假设|已知|设|因为|所以|但|则|若|比")

_MOST_HASHES = 1 << 16

# Any odd number spreads bigrams; this one is 2^32 over the golden ratio.
_SPREAD = 2654435769


def tokens_of(text: str) -> list[str]:
    """Split a text into lower-case words, single digits, single hanzi and single marks.

    Args:
        text: the text; of a very long one, the ends.
    """
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} {text[-_LONGEST // 2 :]}"
    if text.isascii() or _HANZI.search(text) is None:
        return _TOKEN.findall(text.lower())
    tokens: list[str] = []
    for piece in _PIECE.findall(text.lower()):
        # Going through a run of hanzi takes a third of finding each of them.
        if piece >= "一":
            tokens += piece
        else:
            tokens.append(piece)
    return tokens


def hashed_grams(tokens: list[str], salt: int = 0) -> NDArray[np.int64]:
    """Return the buckets of every token and of every pair of neighbours.

    Args:
        tokens: what `tokens_of` returns.

        salt: another number puts the same tokens into other buckets, for a second text beside the first.

    Returns:
        Bucket numbers below `BUCKETS`, with repetitions, shape `(2 * len(tokens) - 1,)`.
    """
    import numpy as np

    if not tokens:
        return np.zeros(0, np.int64)
    size = len(tokens)
    both = np.empty(2 * size - 1, np.uint64)
    single, pairs = both[:size], both[size:]
    single[:] = np.fromiter(map(_hashes.__getitem__, tokens), np.uint64, size)
    if salt:
        single += np.uint64(salt * 7919)
    np.multiply(single[:-1], np.uint64(_SPREAD), out=pairs)
    pairs += single[1:] * np.uint64(40503)
    pairs >>= np.uint64(7)
    both &= np.uint64(BUCKETS - 1)
    return both.view(np.int64)


def surface_features(text: str, tokens: list[str]) -> list[float]:
    """Return what the text looks like.

    Args:
        text: the prompt.

        tokens: what `tokens_of` returns for it.

    Returns:
        One number for each of `SURFACE`.
    """
    if len(text) > _LONGEST:
        # Shares are those of the ends; the length is that of the whole.
        longer = len(text) / _LONGEST
        text = f"{text[: _LONGEST // 2]} {text[-_LONGEST // 2 :]}"
    else:
        longer = 1.0
    # This runs on every decision: what an ASCII text cannot hold is not looked for, and nothing is looked for twice.
    plain = text.isascii()
    latin = [token for token in tokens if len(token) > 1 or token == "a" or token == "i"]
    hanzi = 0 if plain else len(text) - len(_HANZI.sub("", text))
    words = len(latin) + hanzi / 1.6
    at_least_one = max(1.0, words)
    different = set(tokens)
    numbers = [] if plain and different.isdisjoint(_DIGITS) else _NUMBER.findall(text)
    sentences = len(_SENTENCE_ENDS.findall(text)) + 1
    options = len(_OPTION.findall(text)) if "\n" in text else 0
    negations, relations, who, explain, many = _listed_words(text, latin, chinese=hanzi > 0)
    lengths = list(map(len, latin))
    countable = len(latin) + hanzi
    log_words = log1p(words * longer)
    return [
        log_words,
        log_words * log_words / 6,
        log1p(sentences * longer),
        words / sentences / 20,
        # In a Chinese text the odd Latin word, or the letter of an option, says nothing of how long words are.
        sum(lengths) / len(latin) / 5 if latin and len(latin) >= hanzi else 0.9,
        sum([length >= 8 for length in lengths]) / at_least_one,
        len(different) / max(1, len(tokens)) if countable else 0.8,
        len(_CAPITALISED.findall(text)) / max(1, len(latin)),
        log1p(len(numbers)),
        len(numbers) / at_least_one * 5,
        min(max(map(len, numbers), default=0), 12) / 3,
        float(bool(numbers) and _DECIMAL.search(text) is not None),
        0.0 if different.isdisjoint(_MATH_SIGNS) else log1p(len(_MATH.findall(text))),
        0.0 if different.isdisjoint(_CODE_SIGNS) else log1p(len(_CODE.findall(text))),
        log1p(text.count("\n")),
        float(options >= 2),
        float(options >= 5),
        log1p(negations),
        float(who),
        log1p(explain),
        float(many),
        log1p(relations),
        log1p(text.count("?") + text.count("？")),
        float("_" in text or "（ ）" in text or "____" in text),
        (text.count(",") + text.count("，")) / at_least_one * 10,
        (text.count('"') + text.count("'") + text.count("“")) / at_least_one * 5,
        0.0 if plain else (len(text) - len(text.encode("ascii", "ignore"))) / len(text) - hanzi / len(text),
        hanzi / max(1, len(text)),
        float(sentences >= 3),
        log1p(text.count("(") + text.count("（")),
    ]


def _listed_words(text: str, latin: list[str], *, chinese: bool) -> tuple[int, int, bool, int, bool]:
    """Count negations, relations and words that ask to explain; tell whether "who" and "how many" are asked."""
    negations = relations = explain = 0
    who = False
    for token in latin:
        if token in _LISTED:
            if token in _NEGATIONS:
                negations += 1
            elif token in _RELATIONS:
                relations += 1
            elif token in _WHO:
                who = True
            else:
                explain += 1
    many = "how" in latin and any(a == "how" and b in ("many", "much") for a, b in pairwise(latin))
    if "n't" in text:
        negations += text.count("n't")
    if chinese:
        negations += len(_NEGATIONS_ZH.findall(text))
        relations += len(_RELATIONS_ZH.findall(text))
        explain += len(_EXPLAIN_ZH.findall(text))
        who = who or _WHO_ZH.search(text) is not None
        many = many or _MANY_ZH.search(text) is not None
    return negations, relations, who, explain, many


class _Hashes(dict[str, int]):
    """Hashes of tokens, remembered: a dictionary is asked in half the time that a function with a cache takes."""

    def __missing__(self, token: str) -> int:
        if len(self) >= _MOST_HASHES:
            self.clear()
        found = self[token] = crc32(token.encode("utf-8", "surrogatepass"))
        return found


_hashes = _Hashes()
