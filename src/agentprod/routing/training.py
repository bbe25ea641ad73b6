"""Weights fitted to all rows, predictions for rows left out, and what luck alone would predict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentprod.routing.curve import areas, rank
from agentprod.routing.encoder import CHECK_WEIGHT, WAVES, Encoder, Grams, gather
from agentprod.routing.features import BUCKETS
from agentprod.routing.learned import LearnedRouter
from agentprod.routing.log_table import LogTable
from agentprod.routing.policy import Policy
from agentprod.routing.ridge import Spectrum

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LEAST_OF_MODEL", "Training"]

LEAST_OF_MODEL = 20
"""Scored answers that a model needs to be fitted."""

_AT_ONCE = 3000
_SHUFFLES = 200


@dataclass(frozen=True, slots=True)
class _Heads:
    weights: NDArray[np.float64]
    """Of every example, by model."""
    predicted: NDArray[np.float64]
    """Of every example left out, by model."""
    shuffled: NDArray[np.float64]
    """Gain of the best model over the first, predicted from outcomes dealt to other prompts, shape `(n, shuffles)`."""


class Training:
    """A fit of all rows of a log.

    Args:
        log: at least two models, each with enough answers.

        random: deals rows to parts, and outcomes to prompts.
    """

    def __init__(self, log: LogTable, random: np.random.Generator) -> None:
        import numpy as np

        size, models = log.scores.shape
        self._surface, self._all = gather(log.examples)
        self.encoder = Encoder.learn(self._surface, self._all)
        self.means = np.nanmean(log.scores, axis=0)
        self.linear = np.zeros((self._surface.shape[1], models))
        self.waves = np.zeros((WAVES, models))
        self.grams = np.zeros((BUCKETS, models))
        self.left_out = np.tile(self.means, (size, 1))
        """Quality predicted for every row by weights fitted without it, shape `(n, models)`."""
        strong = int(np.argmax(self.means))
        lucky = []
        parts = np.array_split(random.permutation(size), -(-size // _AT_ONCE))
        # Fits of equal parts are averaged (Zhang, Duchi and Wainwright, 2013): memory stays that of one part.
        for rows in parts:
            surface, grams = self._take(rows)
            deals = np.array([random.permutation(len(rows)) for _ in range(_SHUFFLES)])
            scores = log.scores[rows]
            heads = _fit_heads(self.encoder.kernel(surface, grams), scores - self.means, strong, deals)
            found = self.encoder.weigh(grams)
            waves = self.encoder.waves(surface).T @ heads.weights / len(parts)
            buckets = np.column_stack(
                [np.bincount(grams.buckets, found * heads.weights[grams.rows, m], BUCKETS) for m in range(models)]
            ) / len(parts)
            checks = CHECK_WEIGHT * self.encoder.checked(surface).T @ heads.weights / len(parts)
            self.linear[len(self.linear) - self.encoder.checks :] += checks
            self.waves += waves
            self.grams += buckets
            self.left_out[rows] += heads.predicted / len(parts)
            others = np.setdiff1d(np.arange(size), rows)
            if len(others):
                self.left_out[others] += self._apply(others, checks, waves, buckets)
            lucky.append(_luck(heads, scores, strong, deals))
        self.luck = float(np.mean(lucky))
        """How often outcomes dealt to other prompts are ranked as well as the real ones: a permutation test."""

    def router(self, log: LogTable, slope: float, policy: Policy, about: Mapping[str, Any]) -> LearnedRouter:
        """Return the router with these weights.

        Args:
            log: what was fitted.

            slope: what deviations from the means are multiplied by.

            policy: what thresholds bring.

            about: where the router comes from.
        """
        return LearnedRouter(
            log.models,
            self.encoder,
            means=self.means,
            linear=self.linear * slope,
            waves=self.waves * slope,
            grams=self.grams * slope,
            policy=policy,
            about=about,
        )

    def _take(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], Grams]:
        import numpy as np

        place = np.full(self._all.size, -1, np.int32)
        place[rows] = np.arange(len(rows))
        kept = place[self._all.rows] >= 0
        grams = Grams(self._all.buckets[kept], self._all.counts[kept], place[self._all.rows[kept]], len(rows))
        return self._surface[rows], grams

    def _apply(
        self,
        rows: NDArray[np.int64],
        checks: NDArray[np.float64],
        waves: NDArray[np.float64],
        buckets: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        import numpy as np

        surface, grams = self._take(rows)
        result: NDArray[np.float64] = self.encoder.waves(surface) @ waves
        result += self.encoder.checked(surface) @ checks / CHECK_WEIGHT
        found = self.encoder.weigh(grams)
        for model in range(waves.shape[1]):
            result[:, model] += np.bincount(grams.rows, found * buckets[grams.buckets, model], grams.size)
        return result


def _fit_heads(
    kernel: NDArray[np.float64],
    targets: NDArray[np.float64],
    strong: int,
    deals: NDArray[np.int64],
) -> _Heads:
    """Fit what models have in common apart from what sets them apart, or, with gaps in the table, every model alone."""
    import numpy as np

    if np.isnan(targets).any():
        return _fit_alone(kernel, targets, strong, deals)
    common = targets.mean(1, keepdims=True)
    spectrum = Spectrum.of(kernel)
    penalty = spectrum.best_penalty(common)
    weights = np.tile(spectrum.solve(kernel, common, penalty), (1, targets.shape[1]))
    predicted = np.tile(spectrum.leave_one_out(common, penalty), (1, targets.shape[1]))
    apart = targets - common
    penalty = spectrum.best_penalty(apart)
    weights += spectrum.solve(kernel, apart, penalty)
    gain = targets[:, strong] - targets[:, 0]
    both = spectrum.leave_one_out(np.column_stack([apart, gain[deals].T]), penalty)
    return _Heads(weights, predicted + both[:, : targets.shape[1]], both[:, targets.shape[1] :])


def _fit_alone(
    kernel: NDArray[np.float64],
    targets: NDArray[np.float64],
    strong: int,
    deals: NDArray[np.int64],
) -> _Heads:
    import numpy as np

    weights, predicted = np.zeros_like(targets), np.zeros_like(targets)
    shuffled = np.zeros((len(targets), len(deals)))
    for model in range(targets.shape[1]):
        rows = np.flatnonzero(~np.isnan(targets[:, model]))
        own, part = kernel[np.ix_(rows, rows)], targets[rows, model]
        spectrum = Spectrum.of(own)
        penalty = spectrum.best_penalty(part[:, None])
        outcomes = np.column_stack([part, *(part[_within(deal, rows)] for deal in deals)])
        fitted = spectrum.solve(own, outcomes, penalty)
        weights[rows, model] = fitted[:, 0]
        everywhere = kernel[:, rows] @ fitted
        everywhere[rows] = spectrum.leave_one_out(outcomes, penalty)
        predicted[:, model] = everywhere[:, 0]
        if model in (0, strong):
            shuffled += (1 if model == strong else -1) * everywhere[:, 1:]
    return _Heads(weights, predicted, shuffled)


def _within(deal: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """A permutation of the rows of one model, made of one of all rows."""
    import numpy as np

    return np.argsort(deal[rows], kind="stable")


def _luck(heads: _Heads, scores: NDArray[np.float64], strong: int, deals: NDArray[np.int64]) -> float:
    import numpy as np

    weak, best = scores[:, 0], scores[:, strong]
    reached = rank(heads.predicted[:, strong] - heads.predicted[:, 0], weak, best).apgr
    if not np.isnan(scores).any():
        dealt = np.take_along_axis((best - weak)[deals], np.argsort(-heads.shuffled.T, axis=1, kind="stable"), axis=1)
        better = int((areas(dealt) >= reached).sum())
    else:
        shuffled = ((_dealt(weak, deal), _dealt(best, deal)) for deal in deals)
        better = sum(rank(heads.shuffled[:, number], *sides).apgr >= reached for number, sides in enumerate(shuffled))
    return (1 + better) / (1 + len(deals))


def _dealt(side: NDArray[np.float64], deal: NDArray[np.int64]) -> NDArray[np.float64]:
    """The outcomes of one model dealt to other prompts on which it was tried."""
    import numpy as np

    rows = np.flatnonzero(~np.isnan(side))
    result = side.copy()
    result[rows] = side[rows][_within(deal, rows)]
    return result
