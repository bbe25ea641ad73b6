"""Quantiles of a stream of numbers in little memory, wrong by at most 1 %.

Values are counted in buckets whose borders grow by a constant factor, as in DDSketch (Masson, Rim, Lee:
"DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019). The borders
here are the same for every sketch, so two of them merge and subtract bucket by bucket, without loss.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from math import ceil, exp, log

__all__ = ["Sketch"]

_ERROR = 0.01
_LOG_GAMMA = log((1 + _ERROR) / (1 - _ERROR))
_PER_LOG = 1 / _LOG_GAMMA
_LOWEST, _HIGHEST = 1e-9, 1e12
_ZERO = ceil(log(_LOWEST) * _PER_LOG)
_TOP = ceil(log(_HIGHEST) * _PER_LOG)
# The point of a bucket that is equally far, relatively, from both of its borders.
_MIDDLE = 2 / (1 + (1 + _ERROR) / (1 - _ERROR))


class Sketch:
    """Counts of non-negative numbers in logarithmic buckets.

    A quantile is within 1 % of the sample of that rank, for samples from 1e-9 to 1e12; smaller ones read as 0,
    larger ones as about 1e12. At most 2,419 buckets ever exist; latencies of one service fill a few hundred.
    Not thread-safe: whoever owns it holds a lock.
    """

    __slots__ = ("_bins",)

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._bins: defaultdict[int, int] = defaultdict(int)
        for value in values:
            self.add(value)

    def add(self, value: float) -> None:
        """Count one number.

        Args:
            value: zero or more, in any unit.

        Raises:
            ValueError: the number is negative or not a number.
        """
        if value > _LOWEST:
            self._bins[ceil(log(value) * _PER_LOG) if value < _HIGHEST else _TOP] += 1
        elif value >= 0:
            self._bins[_ZERO] += 1
        else:
            raise ValueError("a sketch counts numbers from 0 up, got a negative number or NaN")

    @property
    def count(self) -> int:
        """How many numbers were counted."""
        return sum(self._bins.values())

    def quantile(self, q: float) -> float | None:
        """Return the smallest sample that at least the share `q` of all does not exceed (nearest rank), within 1 %.

        Args:
            q: from 0 (smallest) to 1 (largest).

        Returns:
            The value, or `None` when nothing was counted.

        Raises:
            ValueError: `q` lies outside 0..1.
        """
        return self.quantiles((q,))[0]

    def quantiles(self, qs: Iterable[float]) -> list[float | None]:
        """Return several quantiles at the price of one; see `quantile`."""
        wanted = list(qs)
        if not all(0 <= q <= 1 for q in wanted):
            raise ValueError("a quantile lies between 0 and 1")
        count = self.count
        if not count:
            return [None] * len(wanted)
        found: list[float | None] = [None] * len(wanted)
        order = sorted(range(len(wanted)), key=wanted.__getitem__)
        keys = iter(sorted(self._bins))
        key, seen = _ZERO, 0
        for index in order:
            rank = max(0, ceil(wanted[index] * count) - 1)
            while seen <= rank:
                key = next(keys)
                seen += self._bins[key]
            found[index] = _value(key)
        return found

    def merge(self, other: Sketch) -> None:
        """Add the counts of another sketch; the result equals one sketch fed with both streams."""
        bins = self._bins
        for key, count in other._bins.items():
            bins[key] += count

    def subtract(self, other: Sketch) -> None:
        """Take away counts that were merged in before; used by rolling windows."""
        bins = self._bins
        for key, count in other._bins.items():
            left = bins[key] - count
            if left:
                bins[key] = left
            else:
                del bins[key]

    def copy(self) -> Sketch:
        """Return an independent copy."""
        twin = Sketch()
        twin._bins = self._bins.copy()
        return twin

    def to_dict(self) -> dict[str, int]:
        """Return the buckets as JSON-able data, to merge sketches of several processes."""
        return {str(key): count for key, count in sorted(self._bins.items())}

    @classmethod
    def from_dict(cls, data: Mapping[str, int]) -> Sketch:
        """Rebuild a sketch from `to_dict`.

        Raises:
            ValueError: the data has buckets no sketch makes.
        """
        sketch = cls()
        for name, count in data.items():
            key = int(name)
            if not _ZERO <= key <= _TOP or count < 1:
                raise ValueError(f"not the data of a sketch: bucket {key} with count {count}")
            sketch._bins[key] = count
        return sketch

    def __eq__(self, other: object) -> bool:
        return self._bins == other._bins if isinstance(other, Sketch) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        p50, p95, p99 = (f"{value:.4g}" if value is not None else "-" for value in self.quantiles((0.5, 0.95, 0.99)))
        return f"<Sketch of {self.count}: p50 {p50}, p95 {p95}, p99 {p99}>"


def _value(key: int) -> float:
    return 0.0 if key == _ZERO else exp(key * _LOG_GAMMA) * _MIDDLE
