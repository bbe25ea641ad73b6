"""What each price of quality brings: from a goal to the threshold that reaches it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from agentprod.errors import ConfigError
from agentprod.routing.curve import smooth
from agentprod.routing.goal import Goal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Policy"]

_STEPS = 200
_BEYOND = 1000.0


@dataclass(frozen=True, slots=True)
class Policy:
    """A table of thresholds. A prompt goes to the model with the most expected quality less threshold times cost."""

    usd: tuple[float, ...] | None
    """Mean dollars a call of each model, the cheapest first; `None` when not recorded."""
    relative: tuple[float, ...]
    """The same as a share of the dearest; evenly spaced from 0 to 1 when costs are not recorded."""
    thresholds: tuple[float, ...]
    """Falling: the first sends every prompt to the cheapest model."""
    recovered: tuple[float, ...]
    """Part of the quality gap that each threshold recovered on prompts not seen in fitting."""
    cost_shares: tuple[float, ...]
    """Cost under each threshold, as a share of sending every prompt to the dearest model."""

    @classmethod
    def measure(
        cls,
        values: NDArray[np.float64],
        scores: NDArray[np.float64],
        costs: NDArray[np.float64],
        usd: NDArray[np.float64] | None,
    ) -> Policy:
        """Make the table from predictions for prompts that were not fitted on.

        Args:
            values: expected quality, shape `(n, models)`, the cheapest model first.

            scores: quality as recorded, `nan` where a model was not asked.

            costs: dollars as recorded, `nan` where they were not.

            usd: mean dollars of each model, or `None`.
        """
        import numpy as np

        models = values.shape[1]
        relative = np.linspace(0.0, 1.0, models) if usd is None else usd / max(float(usd.max()), 1e-12)
        spent = np.where(np.isnan(costs), relative if usd is None else usd, costs if usd is not None else relative)
        dearest = float(spent[:, int(np.argmax(relative))].mean()) or 1.0
        means = np.nanmean(scores, axis=0)
        low, gap = float(means[0]), float(means.max() - means[0]) or 1.0
        thresholds = _candidates(values, relative)
        recovered, shares = [], []
        for threshold in thresholds:
            chosen = np.argmax(values - threshold * relative, axis=1)
            recovered.append((_observed(chosen, scores, means) - low) / gap)
            shares.append(float(spent[np.arange(len(chosen)), chosen].mean()) / dearest)
        order = np.argsort(shares, kind="stable")
        return cls(
            usd=None if usd is None else tuple(map(float, usd)),
            relative=tuple(map(float, relative)),
            thresholds=tuple(float(thresholds[index]) for index in order),
            recovered=tuple(map(float, smooth(np.array(recovered)[order]))),
            cost_shares=tuple(float(shares[index]) for index in order),
        )

    def threshold(self, goal: Goal) -> float:
        """Return the threshold that reaches a goal on average, by what was measured.

        Args:
            goal: what is to be reached. A quality beyond what was recovered gives the most that was; with dollars a
                call, quality alone decides among the models within them.
        """
        if goal.quality is not None:
            reached = [index for index, part in enumerate(self.recovered) if part >= goal.quality]
            return self.thresholds[reached[0] if reached else -1]
        if goal.cost_share is not None:
            return self._at_cost(float(goal.cost_share))
        return 0.0

    def within(self, goal: Goal, models: Sequence[str], costs: Mapping[str, float] | None) -> list[int]:
        """Return which models one call may go to by its cost alone; the cheapest when all are too dear.

        Args:
            goal: what is to be reached.

            models: names, in the order of the table.

            costs: expected dollars of the call; recorded means where a model is missing.

        Returns:
            Places in the table, at least one.

        Raises:
            ConfigError: when the goal is in dollars and a model's cost is neither given nor recorded.
        """
        if goal.max_usd is None:
            return list(range(len(models)))
        known = dict(zip(models, self.usd, strict=True)) if self.usd is not None else {}
        known.update(costs or {})
        if missing := [model for model in models if model not in known]:
            raise ConfigError(
                f"goal: max_usd needs what a call of {', '.join(missing)} costs: a call log with costs, or prices; "
                "use cost_share or quality"
            )
        usd = [float(known[model]) for model in models]
        return [place for place, cost in enumerate(usd) if cost <= float(goal.max_usd)] or [usd.index(min(usd))]

    def relative_costs(self, models: Sequence[str], costs: Mapping[str, float] | None) -> Sequence[float]:
        """Return what one call would cost by model, as a share of the dearest.

        Args:
            models: names, in the order of the table.

            costs: expected dollars of the call; used when known for all models.
        """
        if costs is None or any(model not in costs for model in models):
            return self.relative
        values = [float(costs[model]) for model in models]
        dearest = max(*values, 1e-12)
        return [value / dearest for value in values]

    def as_dict(self) -> dict[str, Any]:
        """Return the table as JSON-able data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Policy:
        """Read what `as_dict` returned, also after JSON.

        Args:
            data: the mapping.

        Raises:
            ValueError: its columns do not belong together.
        """
        usd = data["usd"]
        columns = [tuple(map(float, data[name])) for name in ("relative", "thresholds", "recovered", "cost_shares")]
        steps = {len(column) for column in columns[1:]}
        if len(steps) != 1 or 0 in steps or (usd is not None and len(usd) != len(columns[0])):
            raise ValueError("a policy has one entry for every model, and one for every threshold")
        return cls(None if usd is None else tuple(map(float, usd)), *columns)

    def _at_cost(self, share: float) -> float:
        after = bisect_right(self.cost_shares, share)
        if after == 0:
            return self.thresholds[0]
        if after == len(self.thresholds):
            return self.thresholds[-1]
        before, next_one = self.cost_shares[after - 1], self.cost_shares[after]
        inside = (share - before) / (next_one - before)
        return self.thresholds[after - 1] + inside * (self.thresholds[after] - self.thresholds[after - 1])


def _candidates(values: NDArray[np.float64], relative: NDArray[np.float64]) -> NDArray[np.float64]:
    """Thresholds at which equally many prompts change their model, from one beyond them all to none: quality alone."""
    import numpy as np

    ratios = [
        (values[:, dear] - values[:, cheap]) / (relative[dear] - relative[cheap])
        for dear in range(values.shape[1])
        for cheap in range(dear)
        if relative[dear] > relative[cheap]
    ]
    if not ratios:
        return np.zeros(1)
    steps = np.quantile(np.concatenate(ratios), np.linspace(1.0, 0.0, _STEPS + 1))
    # Below zero, money would be paid for less quality; far above all, every prompt not seen stays cheap as well.
    beyond = _BEYOND * max(1.0, float(steps[0]))
    return np.unique(np.concatenate([[beyond], np.maximum(steps, 0.0), [0.0]]))[::-1]


def _observed(chosen: NDArray[np.int64], scores: NDArray[np.float64], means: NDArray[np.float64]) -> float:
    """Mean quality of the chosen models; prompts on which the chosen one was not tried count as those where it was."""
    import numpy as np

    total = 0.0
    for model in range(scores.shape[1]):
        mine = scores[chosen == model, model]
        known = mine[~np.isnan(mine)]
        total += len(mine) * float(known.mean() if len(known) else means[model])
    return total / len(chosen)
