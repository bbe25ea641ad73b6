"""How good a ranking of prompts is for routing, and what each threshold on it would bring.

The measures are those of RouteLLM (Ong et al., 2024, arXiv 2406.18665): the share of the quality gap between a weak and
a strong model that is recovered, over the share of calls sent to the strong one (APGR is the area below, 0.5 for a
coin), and the least share of strong calls that recovers a given part (CPT).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["RESAMPLES", "Ranking", "areas", "interval", "rank", "smooth"]

RESAMPLES = 400
"""Bootstrap samples behind an interval."""

_MOST_NUMBERS = 1_000_000
"""What is worked on at once."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The quality gap recovered when the prompts with the highest scores go to the strong model."""

    shares: NDArray[np.float64]
    """Shares of strong calls, ascending from 0 to 1."""
    recovered: NDArray[np.float64]
    """Part of the gap recovered at each share; 0 at first and 1 at last."""
    gap: float
    """Quality of the strong model less that of the weak."""

    @property
    def apgr(self) -> float:
        """Area below the curve; 0.5 is what a coin reaches, 0 where the strong model is not better."""
        import numpy as np

        return float(np.trapezoid(self.recovered, self.shares)) if self.gap > 0 else 0.0

    def cpt(self, part: float) -> float:
        """Return the least share of strong calls that recovers a part of the gap.

        Args:
            part: from 0 to 1.
        """
        import numpy as np

        reached = np.flatnonzero(self.recovered >= part)
        if self.gap <= 0 or not len(reached):
            return 1.0
        first = int(reached[0])
        if first == 0:
            return 0.0
        before, after = self.recovered[first - 1], self.recovered[first]
        inside = (part - before) / (after - before)
        return float(self.shares[first - 1] + inside * (self.shares[first] - self.shares[first - 1]))


def rank(score: NDArray[np.float64], weak: NDArray[np.float64], strong: NDArray[np.float64]) -> Ranking:
    """Tell what ordering prompts by a score recovers.

    Rows where only one of the two models was tried count for that model alone: its mean over the rows that would be
    sent to it stands for all of them. Prompts with the same score are taken together.

    Args:
        score: higher for prompts to be sent to the strong model, shape `(n,)`.

        weak: quality of the weak model's answer, `nan` where it was not tried.

        strong: the same of the strong model.
    """
    import numpy as np

    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    size = len(score)
    ends = np.append(np.flatnonzero(np.diff(ordered) != 0) + 1, size)
    cuts = np.concatenate([[0], ends])
    quality = _mean_before(strong[order], cuts) * cuts + _mean_after(weak[order], cuts) * (size - cuts)
    low, high = quality[0], quality[-1]
    gap = float(high - low) / size
    recovered = (quality - low) / (high - low) if high != low else np.zeros(len(cuts))
    return Ranking(cuts / size, recovered, gap)


def interval(
    score: NDArray[np.float64], weak: NDArray[np.float64], strong: NDArray[np.float64], seed: int = 0
) -> tuple[float, float]:
    """Return the 95 percent interval of APGR, from the percentiles of bootstrap samples.

    Args:
        score: as for `rank`.

        weak: as for `rank`.

        strong: as for `rank`.

        seed: of the samples; the same seed gives the same interval.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    size = len(score)
    gain = strong - weak
    if np.isnan(gain).any():
        samples = (random.integers(0, size, size) for _ in range(RESAMPLES))
        found = [rank(score[drawn], weak[drawn], strong[drawn]).apgr for drawn in samples]
    else:
        ordered = gain[np.argsort(-score, kind="stable")]
        at_once = max(1, _MOST_NUMBERS // size)
        found = []
        for start in range(0, RESAMPLES, at_once):
            drawn = random.integers(0, size, (min(at_once, RESAMPLES - start), size))
            found += areas(ordered[np.sort(drawn, axis=1)]).tolist()
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def areas(gains: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the APGR of many rankings at once.

    Args:
        gains: what the strong model gains on each prompt, in the order in which prompts are sent to it, shape
            `(rankings, n)`. Prompts with the same score count one after the other.

    Returns:
        Shape `(rankings,)`; 0 where the strong model is not better.
    """
    import numpy as np

    recovered = np.cumsum(gains, axis=1)
    gap = recovered[:, -1]
    below = recovered.sum(1) - gap / 2
    better = gap > 0
    found: NDArray[np.float64] = np.where(better, below / np.where(better, gap, 1.0) / gains.shape[1], 0.0)
    return found


def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the closest series that never falls (pool adjacent violators).

    Args:
        values: a noisy series that should rise.
    """
    import numpy as np

    blocks: list[tuple[float, int]] = []
    for value in values:
        mean, size = float(value), 1
        while blocks and blocks[-1][0] > mean:
            before, count = blocks.pop()
            mean, size = (mean * size + before * count) / (size + count), size + count
        blocks.append((mean, size))
    return np.repeat([mean for mean, _ in blocks], [size for _, size in blocks])


def _mean_before(values: NDArray[np.float64], cuts: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean of the known values before each cut; that of all of them where none is known."""
    import numpy as np

    known = ~np.isnan(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])[cuts]
    counts = np.concatenate([[0], np.cumsum(known)])[cuts]
    overall = float(np.nanmean(values)) if known.any() else 0.0
    return np.where(counts > 0, sums / np.maximum(counts, 1), overall)


def _mean_after(values: NDArray[np.float64], cuts: NDArray[np.int64]) -> NDArray[np.float64]:
    return _mean_before(values[::-1], len(values) - cuts)
