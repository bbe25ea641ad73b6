"""The last calls, kept to be looked at: a list that forgets its oldest entries."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import fields
from decimal import Decimal
from typing import TYPE_CHECKING, Any, overload

from agentprod.errors import ConfigError
from agentprod.telemetry.calls import AttemptRecord, CallRecord, add_usd, reader
from agentprod.telemetry.card import call_table, text_card
from agentprod.telemetry.card_html import html_card
from agentprod.telemetry.summary import Summary, summarize_calls
from agentprod.usage import Usage

if TYPE_CHECKING:
    import pandas

__all__ = ["Calls"]

_NESTED = ("attempts", "usage", "pii", "tags")
_CALL_COLUMNS = tuple(field.name for field in fields(CallRecord) if field.name not in _NESTED)
_USAGE_COLUMNS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_ATTEMPT_COLUMNS = tuple(field.name for field in fields(AttemptRecord))


class Calls:
    """The last finished calls, oldest first; indexed, sliced and iterated like a list.

    In a notebook it shows itself as a card.

    Args:
        records: calls to begin with.

        limit: how many to keep; older ones are forgotten, and counted in `forgotten`.

    Raises:
        ConfigError: the limit is below 1.
    """

    def __init__(self, records: Iterable[CallRecord] = (), *, limit: int = 1000) -> None:
        if not isinstance(limit, int) or limit < 1:
            raise ConfigError(f"Calls(limit=) is at least 1, got {limit!r}")
        self._records = deque(records, limit)
        self._added = len(self._records)

    def append(self, record: CallRecord) -> None:
        """Add one finished call; safe from any thread."""
        self._records.append(record)
        self._added += 1

    def clear(self) -> None:
        """Forget all calls."""
        self._records.clear()
        self._added = 0

    @property
    def forgotten(self) -> int:
        """How many calls were pushed out by later ones."""
        return max(0, self._added - len(self._records))

    @property
    def cost(self) -> Decimal | None:
        """USD of the calls whose cost is known; `None` when there are calls and none of them is."""
        known = [record.cost_usd for record in self if record.cost_usd is not None]
        if not known and len(self._records):
            return None
        total = Decimal(0)
        for amount in known:
            total = add_usd(total, amount)
        return total

    @overload
    def summary(self, by: None = None) -> Summary: ...

    @overload
    def summary(self, by: str) -> dict[str, Summary]: ...

    def summary(self, by: str | None = None) -> Summary | dict[str, Summary]:
        """Return the figures of these calls.

        Args:
            by: a grouping key such as `"model"`, `"status"`, `"user"` or `"tags.prompt"`; see `reader`.

        Returns:
            One summary, or with `by` one for each value, most calls first; calls without the value are under `""`.

        Raises:
            ConfigError: there is no such key.
        """
        if by is None:
            return summarize_calls(self)
        read = reader(by)
        groups: dict[str, list[CallRecord]] = {}
        for record in self:
            value = read(record)
            groups.setdefault("" if value is None else str(value), []).append(record)
        return {name: summarize_calls(groups[name]) for name in sorted(groups, key=lambda name: -len(groups[name]))}

    def attempts(self) -> list[AttemptRecord]:
        """Return the attempts of all calls, in order."""
        return [attempt for record in self for attempt in record.attempts]

    def to_pandas(self) -> pandas.DataFrame:
        """Return one row per call; tags are columns `tags.NAME`, `attempts` is a list of dicts in its cell.

        Money becomes `float`, which pandas can sum and plot; `cost` keeps the exact amount.

        Raises:
            ConfigError: pandas is not installed.
        """
        return _frame([_call_row(record) for record in self], (*_CALL_COLUMNS, *_USAGE_COLUMNS, "attempts"))

    def attempts_to_pandas(self) -> pandas.DataFrame:
        """Return one row per attempt, with the `request_id` of its call.

        Raises:
            ConfigError: pandas is not installed.
        """
        rows = [
            {"request_id": record.request_id, **_attempt_row(attempt)} for record in self for attempt in record.attempts
        ]
        return _frame(rows, ("request_id", *_ATTEMPT_COLUMNS))

    def show(self, n: int = 10) -> None:
        """Print the last `n` calls, one to a line."""
        print(call_table(list(self)[-n:] if n > 0 else []))  # noqa: T201 - that is what it is for

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        records = list(self)
        return {"text/plain": text_card(records), "text/html": html_card(records)}

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[CallRecord]:
        # A copy: other threads may append while this one iterates.
        return iter(self._records.copy())

    @overload
    def __getitem__(self, index: int) -> CallRecord: ...

    @overload
    def __getitem__(self, index: slice) -> Calls: ...

    def __getitem__(self, index: int | slice) -> CallRecord | Calls:
        if isinstance(index, slice):
            chosen = list(self)[index]
            return Calls(chosen, limit=max(1, len(chosen)))
        return self._records[index]

    def __repr__(self) -> str:
        return text_card(list(self))


def _call_row(call: CallRecord) -> dict[str, Any]:
    row = {name: _plain(getattr(call, name)) for name in _CALL_COLUMNS}
    usage = call.usage or Usage()
    row.update((name, getattr(usage, name)) for name in _USAGE_COLUMNS)
    row["attempts"] = [_attempt_row(attempt) for attempt in call.attempts]
    row.update((f"tags.{name}", value) for name, value in call.tags.items())
    return row


def _attempt_row(attempt: AttemptRecord) -> dict[str, Any]:
    return {name: getattr(attempt, name) for name in _ATTEMPT_COLUMNS}


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _frame(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> pandas.DataFrame:
    try:
        import pandas
    except ImportError as error:
        raise ConfigError('a data frame needs pandas: pip install "agentprod[notebook]"') from error
    extra = sorted({name for row in rows for name in row} - set(columns))
    return pandas.DataFrame(rows, columns=[*columns, *extra])
