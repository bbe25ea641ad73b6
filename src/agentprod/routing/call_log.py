"""Read recorded calls: which prompt, which models, how good each answer was and what it cost."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentprod.errors import ConfigError
from agentprod.routing.ask import read_ask
from agentprod.routing.encoder import Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["CallLog", "read_log"]

_QUALITY = ("score", "quality", "correct", "label")
_COST = ("cost", "cost_usd")


@dataclass(frozen=True, slots=True)
class CallLog:
    """Recorded calls as tables: one row for each prompt, one column for each model, the cheapest first."""

    models: tuple[str, ...]
    examples: tuple[Example, ...]
    check_names: tuple[str, ...]
    scores: NDArray[np.float64]
    """Quality of each model's answer; `nan` where it was not asked."""
    costs: NDArray[np.float64]
    """Dollars; `nan` where not recorded."""

    def __len__(self) -> int:
        return len(self.examples)

    def mean_costs(self) -> NDArray[np.float64] | None:
        """Dollars a call of each model costs on average, or `None` when they are not recorded for all."""
        return _means(self.costs)


def read_log(rows: str | PathLike[str] | Iterable[Mapping[str, Any]], models: Iterable[str] | None = None) -> CallLog:
    """Read a call log.

    A row holds a prompt (`prompt`, or `messages` / `input` as in a request) and either `scores` by model, with `costs`
    by model, or one `model` with its `score` (also `quality`, `correct` or `label`) and `cost`. Rows of one prompt are
    put together. `answer`, the first answer, and `checks`, numbers by name, may be added for a judge of answers. Rows
    without a prompt or without any score are left out.

    Args:
        rows: path of a JSONL file, or the rows themselves.

        models: the models to read, the cheapest first; all models, ordered by mean cost, by mean quality where costs
            are not recorded, when `None`.

    Returns:
        The log.

    Raises:
        ConfigError: when a line is not JSON, or nothing usable is left.
    """
    wanted = None if models is None else list(models)
    found: dict[tuple[str, str | None], _Row] = {}
    for row in _lines(Path(rows)) if isinstance(rows, str | PathLike) else rows:
        prompt = _prompt(row)
        answer = row.get("answer")
        answer = answer if isinstance(answer, str) else None
        scores, costs = _by_model(row)
        if not prompt or not scores:
            continue
        entry = found.setdefault((prompt, answer), _Row({}, {}, {}))
        entry.scores.update(scores)
        entry.costs.update(costs)
        checks = row.get("checks")
        entry.checks.update(_numbers(checks) if isinstance(checks, Mapping) else {})
    names = wanted or sorted({model for row in found.values() for model in row.scores})
    kept = {key: row for key, row in found.items() if any(name in row.scores for name in names)}
    if not kept:
        raise ConfigError("call log: no row has both a prompt and a score")
    log = _table(kept, names)
    return log if wanted else _ordered(log)


@dataclass(slots=True)
class _Row:
    scores: dict[str, float]
    costs: dict[str, float]
    checks: dict[str, float]


def _table(rows: Mapping[tuple[str, str | None], _Row], names: list[str]) -> CallLog:
    import numpy as np

    checks = sorted({name for row in rows.values() for name in row.checks})
    has_answer = any(answer is not None for _, answer in rows)
    examples = [
        Example(prompt, (answer or "") if has_answer else None, tuple(row.checks.get(name, 0.0) for name in checks))
        for (prompt, answer), row in rows.items()
    ]
    scores = np.array([[row.scores.get(name, math.nan) for name in names] for row in rows.values()])
    costs = np.array([[row.costs.get(name, math.nan) for name in names] for row in rows.values()])
    return CallLog(tuple(names), tuple(examples), tuple(checks), scores, costs)


def _ordered(log: CallLog) -> CallLog:
    import numpy as np

    means = log.mean_costs()
    by = means if means is not None else np.nanmean(log.scores, axis=0)
    order = np.argsort(by, kind="stable")
    names = tuple(log.models[index] for index in order)
    return CallLog(names, log.examples, log.check_names, log.scores[:, order], log.costs[:, order])


def _means(table: NDArray[np.float64]) -> NDArray[np.float64] | None:
    import numpy as np

    known = ~np.isnan(table)
    if not known.any(axis=0).all():
        return None
    means: NDArray[np.float64] = np.where(known, table, 0.0).sum(0) / known.sum(0)
    return means


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError:
                raise ConfigError(f"call log: line {number} of {path.name} is not JSON") from None
            if isinstance(row, Mapping):
                yield row


def _prompt(row: Mapping[str, Any]) -> str:
    prompt = row.get("prompt")
    if isinstance(prompt, str):
        return prompt
    request = row.get("request")
    return read_ask(request if isinstance(request, Mapping) else row).text


def _by_model(row: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    scores, costs = row.get("scores"), row.get("costs")
    if isinstance(scores, Mapping):
        return _numbers(scores), _numbers(costs) if isinstance(costs, Mapping) else {}
    model = row.get("model")
    if not isinstance(model, str):
        return {}, {}
    score = next((value for name in _QUALITY if (value := _number(row.get(name))) is not None), None)
    cost = next((value for name in _COST if (value := _number(row.get(name))) is not None), None)
    return ({} if score is None else {model: score}), ({} if cost is None else {model: cost})


def _numbers(values: Mapping[Any, Any]) -> dict[str, float]:
    return {str(name): number for name, value in values.items() if (number := _number(value)) is not None}


def _number(value: object) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
