"""What a fit is worth, measured on prompts that were left out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentprod.routing.curve import Ranking
from agentprod.routing.log_table import LogTable
from agentprod.routing.policy import Policy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FitReport", "ModelSummary", "Pair"]

_COIN = 0.5
_LUCK = 0.02
_PARTS = (0.5, 0.8, 0.9, 0.95)
_BINS = 10


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """One model of the log."""

    name: str
    answers: int
    quality: float
    usd: float | None
    """Mean dollars a call; `None` when not recorded."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The cheapest model and the best one."""

    weak: str
    strong: str
    ranking: Ranking
    interval: tuple[float, float]
    """95 percent interval of APGR."""
    chance: float
    """How often a fit to outcomes dealt to other prompts is as good: a permutation test."""
    keywords: float
    """APGR of the keyword heuristic on the same prompts."""
    length: float
    """APGR of ranking them by length."""
    gap_interval: tuple[float, float]
    """95 percent interval of the difference in quality."""


@dataclass(frozen=True, slots=True)
class FitReport:
    """The report of a fit. `str(report)` is a page of text."""

    rows: int
    models: tuple[ModelSummary, ...]
    refusal: str | None
    """Why there is no router; `None` when there is one."""
    pair: Pair | None = None
    calibration_error: float | None = None
    """Mean difference between expected and recorded quality, over tenths of the prompts."""
    policy: Policy | None = None

    @classmethod
    def refused(cls, log: LogTable, reason: str) -> FitReport:
        """Return the report of a log that was not fitted.

        Args:
            log: the log.

            reason: why not.
        """
        return cls(len(log), _summaries(log), reason)

    @classmethod
    def of(cls, log: LogTable, values: NDArray[np.float64], policy: Policy, pair: Pair | None) -> FitReport:
        """Return the report of a fit.

        Args:
            log: what it was fitted to.

            values: expected quality of prompts left out, shape `(n, models)`.

            policy: what thresholds on them bring.

            pair: the cheapest model against the best; `None` when they are the same.
        """
        models = _summaries(log)
        return cls(len(log), models, _refusal(models, pair), pair, _calibration_error(values, log.scores), policy)

    @property
    def accepted(self) -> bool:
        """True when the router may be used."""
        return self.refusal is None

    @property
    def apgr(self) -> float:
        """Area below the quality recovered over the share of calls to the best model; 0.5 is what a coin reaches."""
        return self.pair.ranking.apgr if self.pair else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 percent interval of APGR."""
        return self.pair.interval if self.pair else (0.0, 0.0)

    def cpt(self, part: float) -> float:
        """Return the least share of calls to the best model that keeps a part of the quality gap.

        Args:
            part: from 0 to 1.
        """
        return self.pair.ranking.cpt(part) if self.pair else 1.0

    def __str__(self) -> str:
        lines = [f"{self.rows} prompts", "", f"{'model':40s} {'answers':>8s} {'quality':>8s} {'USD a call':>12s}"]
        for model in self.models:
            usd = "-" if model.usd is None else f"{model.usd:.6f}"
            lines.append(f"{model.name:40s} {model.answers:8d} {model.quality:8.3f} {usd:>12s}")
        lines.append("")
        if self.pair is not None:
            lines += self._ranking()
        if self.policy is not None and self.accepted:
            lines += self._costs()
        lines.append("fitted" if self.refusal is None else f"refused: {self.refusal}")
        return "\n".join(lines)

    def _ranking(self) -> list[str]:
        pair = self.pair
        assert pair is not None
        low, high = pair.interval
        shares = ", ".join(f"{part:.0%} of the gap: {self.cpt(part):.0%}" for part in _PARTS[:2])
        others = f"a coin 0.500, keywords {pair.keywords:.3f}, length {pair.length:.3f}"
        return [
            f"{pair.weak} against {pair.strong}, on prompts left out of fitting:",
            f"  APGR {self.apgr:.3f} (95 % interval {low:.3f} to {high:.3f}); {others}",
            f"  share of calls to {pair.strong} that keeps {shares}",
            f"  calibration error {self.calibration_error:.3f}",
            "",
        ]

    def _costs(self) -> list[str]:
        policy = self.policy
        assert policy is not None
        unit = "of the cost of the dearest model" if policy.usd is not None else "of the calls"
        lines = ["quality kept and what it takes:"]
        for part in _PARTS:
            reached = [cost for got, cost in zip(policy.recovered, policy.cost_shares, strict=True) if got >= part]
            lines.append(f"  {part:.0%} of the gap: {f'{min(reached):.0%} {unit}' if reached else 'not reached'}")
        return [*lines, ""]


def _refusal(models: tuple[ModelSummary, ...], pair: Pair | None) -> str | None:
    if pair is None:
        cheapest = models[0]
        second = max(models[1:], key=lambda model: model.quality)
        dearer = "" if second.usd is None else " and dearer"
        return (
            f"{cheapest.name} is the best model and the first: {second.name} is worse by "
            f"{cheapest.quality - second.quality:.3f}{dearer}. Use {cheapest.name} for everything"
        )
    if pair.gap_interval[0] <= 0:
        low, high = pair.gap_interval
        return (
            f"{pair.strong} is not certainly better than {pair.weak}: "
            f"the difference lies between {low:.3f} and {high:.3f}"
        )
    if pair.interval[0] <= _COIN or pair.chance > _LUCK:
        return (
            f"not certainly better than a coin: the lower bound of APGR is {pair.interval[0]:.3f}, not above 0.5, "
            f"and {pair.chance:.1%} of fits to shuffled outcomes are as good, more than {_LUCK:.0%} are too many. "
            "Record more calls, or use another stage"
        )
    return None


def _summaries(log: LogTable) -> tuple[ModelSummary, ...]:
    import numpy as np

    usd = log.mean_costs()
    known = ~np.isnan(log.scores)
    return tuple(
        ModelSummary(
            name,
            int(known[:, index].sum()),
            float(np.nanmean(log.scores[:, index])) if known[:, index].any() else float("nan"),
            None if usd is None else float(usd[index]),
        )
        for index, name in enumerate(log.models)
    )


def _calibration_error(values: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    import numpy as np

    errors = []
    for model in range(values.shape[1]):
        known = ~np.isnan(scores[:, model])
        order = np.argsort(values[known, model], kind="stable")
        expected, recorded = values[known, model][order], scores[known, model][order]
        errors += [
            abs(float(a.mean() - b.mean()))
            for a, b in zip(np.array_split(expected, _BINS), np.array_split(recorded, _BINS), strict=True)
        ]
    return float(np.mean(errors))
