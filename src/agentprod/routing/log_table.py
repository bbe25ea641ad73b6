"""Read recorded calls: which prompt, which models, how good each answer was and what it cost."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentprod.errors import ConfigError
from agentprod.routing.ask import read_ask
from agentprod.routing.encoder import Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LogTable", "read_log"]

_QUALITY = ("score", "quality", "correct", "label")
_COST = ("cost", "cost_usd")


@dataclass(frozen=True, slots=True)
class LogTable:
    """Recorded calls as tables: one row for each prompt, one column for each model, the cheapest first."""

    models: tuple[str, ...]
    examples: tuple[Example, ...]
    check_names: tuple[str, ...]
    scores: NDArray[np.float64]
    """Quality of each model's answer; `nan` where it was not asked."""
    costs: NDArray[np.float64]
    """Dollars; `nan` where not recorded."""
    unlabelled: int = 0
    """Rows left out because they hold no prompt or no score."""

    def __len__(self) -> int:
        return len(self.examples)

    def mean_costs(self) -> NDArray[np.float64] | None:
        """Dollars a call of each model costs on average, or `None` when they are not recorded for all."""
        return _means(self.costs)


def read_log(rows: str | PathLike[str] | Iterable[Mapping[str, Any]], models: Iterable[str] | None = None) -> LogTable:
    """Read a call log.

    A row holds a prompt (`prompt`, or `messages` / `input` as in a request) and either `scores` by model, with `costs`
    by model, or one `model` with its `score` (also `quality`, `correct` or `label`) and `cost`. Rows of one prompt are
    put together. `answer`, the first answer, and `checks`, numbers by name, may be added for a judge of answers. A row
    `{"feedback": id, "score": …}` is the score of the row with this `id` or `request_id`; the last one holds.

    Rows without a prompt or without any score are calls nobody judged: they are counted and left out.

    Args:
        rows: path of a JSONL file, or the rows themselves.

        models: the models to read, the cheapest first; all models, ordered by mean cost, by mean quality where costs
            are not recorded, when `None`.

    Returns:
        The log.

    Raises:
        ConfigError: a line is not JSON, a score is no finite number, a cost is negative or none (the error names the
            row), a model is not in the log, or nothing usable is left.
    """
    wanted = None if models is None else list(models)
    given = list(_lines(Path(rows)) if isinstance(rows, str | PathLike) else _numbered(rows))
    feedback = dict(_feedback(given))
    found: dict[tuple[str, str | None], _Row] = {}
    unlabelled = 0
    for place, row in given:
        if "feedback" in row:
            continue
        prompt = _prompt(row)
        answer = row.get("answer")
        answer = answer if isinstance(answer, str) else None
        scores, costs = _by_model(row, place, feedback)
        if not prompt or not scores:
            unlabelled += 1
            continue
        entry = found.setdefault((prompt, answer), _Row())
        entry.scores.update(scores)
        entry.costs.update(costs)
        checks = row.get("checks")
        if isinstance(checks, Mapping):
            entry.checks.update(_numbers(checks, place, "check"))
    names = sorted({model for row in found.values() for model in row.scores})
    if wanted is not None and names and (unknown := sorted(set(wanted) - set(names))):
        raise ConfigError(f"call log: no answer of {', '.join(unknown)} is recorded; it has {', '.join(names)}")
    names = wanted or names
    kept = {key: row for key, row in found.items() if any(name in row.scores for name in names)}
    if not kept:
        raise ConfigError(
            "call log: no row has both a prompt and a score; label calls with ap.feedback, or write scores by model"
        )
    log = _table(kept, names, unlabelled)
    return log if wanted else _ordered(log)


@dataclass(slots=True)
class _Row:
    scores: dict[str, float] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    checks: dict[str, float] = field(default_factory=dict)


def _table(rows: Mapping[tuple[str, str | None], _Row], names: list[str], unlabelled: int) -> LogTable:
    import numpy as np

    checks = sorted({name for row in rows.values() for name in row.checks})
    has_answer = any(answer is not None for _, answer in rows)
    examples = [
        Example(prompt, (answer or "") if has_answer else None, tuple(row.checks.get(name, 0.0) for name in checks))
        for (prompt, answer), row in rows.items()
    ]
    scores = np.array([[row.scores.get(name, math.nan) for name in names] for row in rows.values()])
    costs = np.array([[row.costs.get(name, math.nan) for name in names] for row in rows.values()])
    return LogTable(tuple(names), tuple(examples), tuple(checks), scores, costs, unlabelled)


def _ordered(log: LogTable) -> LogTable:
    import numpy as np

    means = log.mean_costs()
    by = means if means is not None else np.nanmean(log.scores, axis=0)
    order = np.argsort(by, kind="stable")
    names = tuple(log.models[index] for index in order)
    return LogTable(names, log.examples, log.check_names, log.scores[:, order], log.costs[:, order], log.unlabelled)


def _means(table: NDArray[np.float64]) -> NDArray[np.float64] | None:
    import numpy as np

    known = ~np.isnan(table)
    if not known.any(axis=0).all():
        return None
    means: NDArray[np.float64] = np.where(known, table, 0.0).sum(0) / known.sum(0)
    return means


def _lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            place = f"line {number} of {path.name}"
            try:
                row = json.loads(line)
            except ValueError:
                raise ConfigError(f"call log: {place} is not JSON in UTF-8") from None
            if not isinstance(row, Mapping):
                raise ConfigError(f"call log: {place} is a {type(row).__name__}, not an object")
            yield place, row


def _numbered(rows: Iterable[Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise ConfigError(f"call log: row {number} is a {type(row).__name__}, not a mapping")
        yield f"row {number}", row


def _feedback(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[tuple[str, float]]:
    for place, row in rows:
        named = row.get("feedback")
        if isinstance(named, str):
            score = _score(row, place)
            if score is not None:
                yield named, score


def _prompt(row: Mapping[str, Any]) -> str:
    prompt = row.get("prompt")
    if isinstance(prompt, str):
        return prompt
    request = row.get("request")
    return read_ask(request if isinstance(request, Mapping) else row).text


def _by_model(
    row: Mapping[str, Any], place: str, feedback: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, float]]:
    scores, costs = row.get("scores"), row.get("costs")
    if isinstance(scores, Mapping):
        return _numbers(scores, place, "score"), _costs(costs if isinstance(costs, Mapping) else {}, place)
    model = row.get("model")
    if not isinstance(model, str):
        return {}, {}
    said = [
        feedback[name] for key in ("request_id", "id") if isinstance(name := row.get(key), str) and name in feedback
    ]
    score = said[-1] if said else _score(row, place)
    cost = next((row[name] for name in _COST if row.get(name) is not None), None)
    return ({} if score is None else {model: score}), _costs({} if cost is None else {model: cost}, place)


def _score(row: Mapping[str, Any], place: str) -> float | None:
    value = next((row[name] for name in _QUALITY if row.get(name) is not None), None)
    return None if value is None else _number(value, place, "score")


def _costs(values: Mapping[Any, Any], place: str) -> dict[str, float]:
    found = _numbers(values, place, "cost")
    for model, cost in found.items():
        if cost < 0:
            raise ConfigError(f"call log: {place}: the cost of {model} is negative; dollars are at least 0")
    return found


def _numbers(values: Mapping[Any, Any], place: str, what: str) -> dict[str, float]:
    return {
        str(name): _number(value, place, f"{what} of {name}") for name, value in values.items() if value is not None
    }


def _number(value: object, place: str, what: str) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"call log: {place}: the {what} is a {type(value).__name__}, not a number") from None
    if not math.isfinite(number):
        raise ConfigError(f"call log: {place}: the {what} is {number}, not a finite number; leave it out if unknown")
    return number
