"""Fit a router to recorded calls, and refuse when it would be no better than a coin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

from agentprod.routing.ask import read_ask
from agentprod.routing.curve import interval, rank
from agentprod.routing.heuristic import difficulty
from agentprod.routing.learned import LearnedRouter
from agentprod.routing.log_table import LogTable, read_log
from agentprod.routing.policy import Policy
from agentprod.routing.report import FitReport, Pair
from agentprod.routing.training import LEAST_OF_MODEL, Training

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LEAST_ROWS", "Fitted", "fit"]

LEAST_ROWS = 100
"""Fewer recorded prompts are noise: on recorded data, APGR of such fits varies by 0.05 to 0.10."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What fitting gave."""

    router: LearnedRouter | None
    """`None` when the fit was refused."""
    report: FitReport
    candidate: LearnedRouter | None = None
    """What was fitted, refused or not, for measuring it; `None` where there was too little to fit."""


def fit(
    log: str | PathLike[str] | Iterable[Mapping[str, Any]] | LogTable,
    *,
    models: Iterable[str] | None = None,
    seed: int = 0,
) -> Fitted:
    """Fit a router to a call log.

    Two kernel ridge regressions: one of the mean quality of all models on a prompt, one of each model's deviation from
    it, so that the strength of the second suits the difference between models, which is what routing is about. Every
    figure of the report is measured on prompts left out of fitting, each in its turn.

    Args:
        log: a path of a JSONL file or rows as `read_log` takes them, or a log read before.

        models: the models to choose from, the cheapest first; all of the log's when `None`.

        seed: of shuffles and bootstrap samples; the same log and seed give the same router.

    Returns:
        Router and report. The router is `None` when there are fewer than 100 prompts, fewer than two models, when no
        dearer model is better than the cheapest, or when the lower bound of APGR is not above 0.5.

    Raises:
        ConfigError: when the log holds nothing usable.
    """
    import numpy as np

    table = log if isinstance(log, LogTable) else read_log(log, models)
    refused = _too_little(table)
    if refused:
        return Fitted(None, FitReport.refused(table, refused))
    trained = Training(table, np.random.default_rng(seed))
    # One slope for all models makes expectations the right size and leaves every comparison as it is.
    slope = _slope(trained.left_out, table.scores)
    values = trained.means + slope * (trained.left_out - trained.means)
    means = np.nanmean(table.scores, axis=0)
    strong = int(np.argmax(means))
    usd = table.mean_costs()
    policy = Policy.measure(values, table.scores, table.costs, usd)
    pair = None
    if strong > 0:
        pair = _pair(values[:, strong] - values[:, 0], table, strong, seed, trained.luck)
    report = FitReport.of(table, values, policy, pair)
    about = {
        "rows": len(table),
        "checks": list(table.check_names),
        "apgr": round(report.apgr, 4),
        "interval": [round(bound, 4) for bound in report.interval],
        "seed": seed,
    }
    router = trained.router(table, slope, policy, about)
    return Fitted(router if report.accepted else None, report, router)


def _pair(gain: NDArray[np.float64], log: LogTable, strong: int, seed: int, luck: float) -> Pair:
    """The cheapest model against the best, on prompts left out."""
    import numpy as np

    weak_scores, strong_scores = log.scores[:, 0], log.scores[:, strong]
    asks = [read_ask({"input": example.prompt}) for example in log.examples]
    keywords = np.array([difficulty(ask) for ask in asks])
    length = np.array([float(len(ask.text)) for ask in asks])
    return Pair(
        weak=log.models[0],
        strong=log.models[strong],
        ranking=rank(gain, weak_scores, strong_scores),
        interval=interval(gain, weak_scores, strong_scores, seed),
        chance=luck,
        keywords=rank(keywords, weak_scores, strong_scores).apgr,
        length=rank(length, weak_scores, strong_scores).apgr,
        gap_interval=_gap_interval(weak_scores, strong_scores),
    )


def _gap_interval(weak: NDArray[np.float64], strong: NDArray[np.float64]) -> tuple[float, float]:
    """95 percent interval of the difference in mean quality."""
    import numpy as np

    both = strong - weak
    paired = both[~np.isnan(both)]
    if len(paired) > len(both) / 2:
        mean, error = float(paired.mean()), float(paired.std() / np.sqrt(len(paired)))
    else:
        sides = [side[~np.isnan(side)] for side in (strong, weak)]
        mean = float(sides[0].mean() - sides[1].mean())
        error = float(np.sqrt(sum(side.var() / max(1, len(side)) for side in sides)))
    return mean - 1.96 * error, mean + 1.96 * error


def _slope(predicted: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    import numpy as np

    known = ~np.isnan(scores)
    means = np.nanmean(scores, axis=0)
    x, y = (predicted - means)[known], (scores - means)[known]
    spread = float(x @ x)
    return float(np.clip(x @ y / spread, 0.25, 2.0)) if spread > 0 else 1.0


def _too_little(log: LogTable) -> str | None:
    import numpy as np

    if len(log.models) < 2:
        return "only one model is recorded: nothing to choose from"
    if float(np.nanmax(log.scores)) == float(np.nanmin(log.scores)):
        return f"every answer has the same score, {float(np.nanmax(log.scores)):g}: there is nothing to learn from"
    if len(log) < LEAST_ROWS:
        return f"{len(log)} prompts are recorded, {LEAST_ROWS} are needed: a fit to fewer is noise"
    least = int((~np.isnan(log.scores)).sum(0).min())
    if least < LEAST_OF_MODEL:
        return f"a model has only {least} scored answers, {LEAST_OF_MODEL} are needed"
    return None
