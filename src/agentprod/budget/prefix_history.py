"""What is known of the prompts of late: which beginnings come again, when, and where one has changed."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

__all__ = ["LIFETIMES", "Found", "PrefixHistory", "Segment", "choose_lifetime"]

LIFETIMES = {"5m": 300.0, "1h": 3600.0}
"""Seconds for which Anthropic keeps what was written for each."""

_WRITE = {"5m": 1.25, "1h": 2.0}
_READ = 0.1
"""Price of writing and reading in parts of the input price (Anthropic, "Prompt caching")."""

_MOST_FAMILIES = 32
_MOST_TEXT = 500_000  # characters of a prompt that are kept to find what changed in it
_LATE = 20
_ENOUGH = 8
_ALIKE = 0.5


class Segment(NamedTuple):
    """One tool or one block of a system prompt: where it stands, and its JSON."""

    place: str
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """What was known of a prompt when it came."""

    digest: str
    stable: int
    """Leading segments that are the same as last time; all of them for a prompt seen for the first time."""
    changed: str | None
    """Place of the first segment that changed."""
    at: int | None
    """Characters into that segment's JSON at which it changed."""
    lifetime: str
    """The one that pays: `"5m"` or `"1h"`."""
    comes_again: bool
    """False where prompts of late never came again, so that writing them to a cache would only cost."""


class _Family:
    __slots__ = ("digest", "segments", "stable", "times")

    def __init__(self, digest: str, segments: Sequence[Segment]) -> None:
        self.digest = digest
        self.segments = list(segments)
        self.stable = len(segments)
        self.times: deque[float] = deque(maxlen=_LATE)


class PrefixHistory:
    """Remembers the beginnings of prompts, of each endpoint apart. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, OrderedDict[str, _Family]] = {}
        self._reused: dict[str, deque[bool]] = {}

    def see(self, group: str, segments: Sequence[Segment], now: float) -> Found:
        """Note a prompt, and return what is known of it.

        Args:
            group: the endpoint, or what else must not be mixed.

            segments: its tools and its system prompt, in the order in which a cache reads them.

            now: monotonic seconds.
        """
        digest = _digest(segments)
        with self._lock:
            families = self._known.setdefault(group, OrderedDict())
            reused = self._reused.setdefault(group, deque(maxlen=_LATE))
            family = families.pop(digest, None)
            changed = at = None
            if family is not None:
                family.stable = len(family.segments)
                reused.append(True)
            else:
                like = _most_alike(families.values(), segments)
                reused.append(False)
                if like is None:
                    family = _Family(digest, segments if _size(segments) <= _MOST_TEXT else ())
                    family.stable = len(segments)
                else:
                    del families[like.digest]
                    stable, at = _difference(like.segments, segments)
                    changed = segments[stable].place if stable < len(segments) else like.segments[stable].place
                    family = like
                    family.digest, family.segments, family.stable = digest, list(segments), stable
            lifetime = choose_lifetime(list(family.times), now)
            family.times.append(now)
            families[digest] = family
            if len(families) > _MOST_FAMILIES:
                families.popitem(last=False)
            again = len(reused) < _ENOUGH or sum(reused) / len(reused) > _break_even()
            return Found(digest, family.stable, changed, at, lifetime, again)


def choose_lifetime(times: Sequence[float], now: float) -> str:
    """Return the lifetime that costs least for a prompt that came at these times.

    An entry read before it ends costs a tenth of its input, and lives on; one that is late is written again, for 1.25
    or twice its input. So five minutes pay from the second use within them on, an hour from the third within it on,
    and only where uses are more than five minutes apart. One use within five minutes is assumed to begin with.

    Args:
        times: of earlier uses, in monotonic seconds, oldest first.

        now: of this use.
    """
    uses = [*times, now]
    gaps = [0.0, *(later - earlier for earlier, later in pairwise(uses))]

    def cost(lifetime: str) -> float:
        alive = sum(gap <= LIFETIMES[lifetime] for gap in gaps) / len(gaps)
        return alive * _READ + (1 - alive) * _WRITE[lifetime]

    if len(uses) < 3:
        return "5m"
    return min(("5m", "1h"), key=cost)


def _break_even() -> float:
    """Part of uses that must find an entry so that writing it pays: 1.25 (1 - p) + 0.1 p < 1."""
    return (_WRITE["5m"] - 1) / (_WRITE["5m"] - _READ)


def _most_alike(families: Iterable[_Family], segments: Sequence[Segment]) -> _Family | None:
    """Return the prompt that this one is a changed version of, if any is."""
    best, score = None, _ALIKE
    for family in reversed(list(families)):
        if not family.segments or not segments:
            continue
        alike = _alike(family.segments, segments)
        if alike > score:
            best, score = family, alike
    return best


def _alike(old: Sequence[Segment], new: Sequence[Segment]) -> float:
    """Part of the characters that two prompts have in common at their beginnings and ends."""
    one, other = "".join(each.text for each in old), "".join(each.text for each in new)
    longest = max(len(one), len(other))
    if not longest:
        return 0.0
    head = _common(one, other)
    tail = _common(one[head:][::-1], other[head:][::-1])
    return (head + tail) / longest


def _difference(old: Sequence[Segment], new: Sequence[Segment]) -> tuple[int, int | None]:
    """Return how many leading segments are the same, and where the next one differs."""
    for index, (one, other) in enumerate(zip(old, new, strict=False)):
        if one.text != other.text:
            return index, _common(one.text, other.text)
    return min(len(old), len(new)), None


def _common(one: str, other: str) -> int:
    """Return the length of the common beginning of two texts."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _digest(segments: Sequence[Segment]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for segment in segments:
        found.update(segment.text.encode("utf-8", "surrogatepass"))
        found.update(b"\x00")
    return found.hexdigest()


def _size(segments: Sequence[Segment]) -> int:
    return sum(len(segment.text) for segment in segments)
