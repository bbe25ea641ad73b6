"""Turn prompts into vectors: a smooth map of surface features, and n-grams weighed by how rare they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from agentprod.routing.features import BUCKETS, SURFACE, hashed_grams, surface_features, tokens_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "CHECK_WEIGHT",
    "WAVES",
    "WAVE_HEIGHT",
    "Encoder",
    "Example",
    "Grams",
    "count_grams",
    "gather",
    "read_example",
]

WAVES = 600
"""Random Fourier features standing for a Gaussian kernel of the surface features."""

CHECK_WEIGHT = 0.6
"""Weight of a check's result beside the two parts of the kernel."""

WAVE_HEIGHT = (2 / WAVES) ** 0.5
"""What makes inner products of Fourier features approximate the kernel."""

_CLIP = 4.0
_BANDWIDTH = 0.5
_CHUNK = 2048


@dataclass(frozen=True, slots=True)
class Example:
    """What a decision is made from: the prompt, and after a first answer that answer and what was checked of it."""

    prompt: str
    answer: str | None = None
    checks: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Grams:
    """A sparse matrix of n-gram counts, by rows; of long prompts there are millions, so the numbers are small."""

    buckets: NDArray[np.int32]
    counts: NDArray[np.float32]
    rows: NDArray[np.int32]
    size: int
    """How many rows there are."""


def gather(examples: Sequence[Example]) -> tuple[NDArray[np.float64], Grams]:
    """Read off every example what can be read without having learned anything.

    Args:
        examples: at least one, with equally many checks.

    Returns:
        Surface features, shape `(n, features)`, and n-gram counts.
    """
    import numpy as np

    surface, buckets, counts = [], [], []
    for example in examples:
        values, found = read_example(example)
        surface.append(values)
        unique, times = count_grams(found)
        buckets.append(unique.astype(np.int32))
        counts.append(times.astype(np.float32))
    rows = np.repeat(np.arange(len(examples), dtype=np.int32), [len(each) for each in buckets])
    return np.array(surface, np.float64), Grams(np.concatenate(buckets), np.concatenate(counts), rows, len(examples))


def read_example(example: Example, *, grams: bool = True) -> tuple[list[float], NDArray[np.int64]]:
    """Read off one example what can be read without having learned anything.

    Args:
        example: prompt, answer, checks.

        grams: whether n-grams are wanted.

    Returns:
        Surface features, and the bucket of every n-gram, with repetitions; none when they are not wanted.
    """
    import numpy as np

    tokens = tokens_of(example.prompt)
    values = surface_features(example.prompt, tokens)
    found = hashed_grams(tokens if grams else [])
    if example.answer is not None:
        tokens = tokens_of(example.answer)
        values += surface_features(example.answer, tokens)
        if grams:
            found = np.concatenate([found, hashed_grams(tokens, salt=1)])
    values += example.checks
    return values, found


def count_grams(found: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the buckets that occur, ascending, and one plus the logarithm of how often.

    Args:
        found: buckets, with repetitions.
    """
    import numpy as np

    if not len(found):
        return found, np.zeros(0)
    ordered = np.sort(found)
    last = np.empty(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=last[:-1])
    last[-1] = True
    ends = last.nonzero()[0]
    times = np.empty(len(ends))
    times[0] = ends[0] + 1
    np.subtract(ends[1:], ends[:-1], out=times[1:])
    np.log(times, out=times)
    times += 1.0
    return ordered[ends], times


class Encoder:
    """The map from what is read off a prompt to the space in which a model is linear.

    Random Fourier features (Rahimi and Recht, 2007) of the standardised surface features approximate a Gaussian
    kernel; n-grams are weighed by term frequency and inverse document frequency and scaled to length one. Both parts
    have the same weight; results of checks are added as they are.

    Args:
        mean: of the surface features.

        scale: their standard deviations, not zero.

        rarity: inverse document frequency of every bucket, shape `(BUCKETS,)`.
    """

    def __init__(self, mean: NDArray[np.float64], scale: NDArray[np.float64], rarity: NDArray[np.float64]) -> None:
        import numpy as np

        self.mean, self.scale, self.rarity = mean, scale, rarity
        # The same seed everywhere: a model file need not hold the directions.
        random = np.random.Generator(np.random.PCG64(20240607))
        size = len(mean)
        # Single precision is more than enough for a cosine that is one of hundreds, and twice as fast.
        self._directions = random.normal(0.0, np.sqrt(2 * _BANDWIDTH / size), (size, WAVES)).astype(np.float32)
        self._phases = random.uniform(0.0, 2 * np.pi, WAVES).astype(np.float32)

    @classmethod
    def learn(cls, surface: NDArray[np.float64], grams: Grams) -> Encoder:
        """Learn scales and rarities.

        Args:
            surface: features of the examples, shape `(n, features)`.

            grams: their n-grams.
        """
        import numpy as np

        seen = np.bincount(grams.buckets, minlength=BUCKETS)
        rarity = np.log((1 + grams.size) / (1 + seen)) + 1
        return cls(surface.mean(0), surface.std(0) + 1e-3, rarity)

    @property
    def has_answer(self) -> bool:
        """True when examples have an answer beside the prompt."""
        return len(self.mean) >= 2 * len(SURFACE)

    @property
    def checks(self) -> int:
        """How many checks examples have."""
        return len(self.mean) - len(SURFACE) * (1 + self.has_answer)

    def scaled(self, surface: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return surface features in standard deviations from their means, outliers drawn in.

        Args:
            surface: shape `(n, features)`.
        """
        import numpy as np

        scaled: NDArray[np.float64] = (surface - self.mean) / self.scale
        np.maximum(scaled, -_CLIP, out=scaled)
        np.minimum(scaled, _CLIP, out=scaled)
        return scaled

    def waves(self, surface: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the Fourier features of surface features, shape `(n, WAVES)`.

        Args:
            surface: shape `(n, features)`.
        """
        import numpy as np

        waves: NDArray[np.float64] = WAVE_HEIGHT * self.turns(self.scaled(surface)).astype(np.float64)
        return waves

    def turns(self, scaled: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the Fourier features before they are scaled by `WAVE_HEIGHT`.

        Args:
            scaled: what `scaled` returns.
        """
        import numpy as np

        turns: NDArray[np.float32] = scaled.astype(np.float32) @ self._directions
        turns += self._phases
        return np.cos(turns, out=turns)

    def checked(self, surface: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the scaled results of checks alone, weighed for the kernel, shape `(n, checks)`.

        A check speaks for itself: among dozens of surface features it would be lost.

        Args:
            surface: shape `(n, features)`.
        """
        return CHECK_WEIGHT * self.scaled(surface)[:, surface.shape[1] - self.checks :]

    def weigh(self, grams: Grams) -> NDArray[np.float64]:
        """Return the weight of every n-gram found, each row of length one.

        Args:
            grams: n-grams of one or more examples.
        """
        import numpy as np

        values = grams.counts * self.rarity[grams.buckets]
        length = np.sqrt(np.bincount(grams.rows, values * values, grams.size))
        weighed: NDArray[np.float64] = values / np.maximum(length, 1e-12)[grams.rows]
        return weighed

    def kernel(self, surface: NDArray[np.float64], grams: Grams) -> NDArray[np.float64]:
        """Return the inner products of all pairs of examples, shape `(n, n)`.

        Args:
            surface: shape `(n, features)`.

            grams: their n-grams.
        """
        import numpy as np

        waves = self.waves(surface)
        checked = self.checked(surface)
        product: NDArray[np.float64] = waves @ waves.T + checked @ checked.T
        # A gram of one example alone adds to no pair but the one with itself, where every row's sum is one.
        common = np.bincount(grams.buckets, minlength=BUCKETS) > 1
        column = (np.cumsum(common) - 1).astype(np.uint16)  # sorted in one pass
        kept = common[grams.buckets]
        columns, rows = column[grams.buckets[kept]], grams.rows[kept]
        values = self.weigh(grams)[kept].astype(np.float32)
        order = np.argsort(columns, kind="stable")
        columns, rows, values = columns[order], rows[order], values[order]
        starts = np.arange(0, int(common.sum()) + _CHUNK, _CHUNK, dtype=np.uint16)
        bounds = np.searchsorted(columns, starts)
        # A block of columns at a time: the whole matrix would be large.
        for start, (low, high) in zip(starts, pairwise(bounds), strict=False):
            block = np.zeros((grams.size, _CHUNK), np.float32)
            block[rows[low:high], columns[low:high] - start] = values[low:high]
            product += block @ block.T
        own = (waves * waves).sum(1) + (checked * checked).sum(1)
        np.fill_diagonal(product, own + (np.bincount(grams.rows, minlength=grams.size) > 0))
        return product
