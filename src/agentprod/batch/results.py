"""What many calls gave: values in order, errors beside them, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from agentprod.errors import ConfigError
from agentprod.telemetry.calls import CallRecord
from agentprod.telemetry.finished import Finished
from agentprod.telemetry.record_ring import Calls
from agentprod.telemetry.summary import summarize_calls

if TYPE_CHECKING:
    import pandas

__all__ = ["Failure", "Item", "Results"]

R = TypeVar("R")

_SHOWN_ERRORS = 5


@dataclass(slots=True)
class Item(Generic[R]):
    """One item, and what became of it."""

    index: int
    item: Any
    value: R | None = None
    error: Exception | None = None
    restored: bool = False
    """Whether the value is that of an earlier run."""
    missing: bool = False
    """Whether it was never begun, because the run stopped."""
    duration: float | None = None
    """Seconds."""
    refused: Exception | None = None
    """Why the whole run cannot go on with it."""
    finished: list[Finished] = field(default_factory=list)
    """Calls that have ended and are not described yet."""
    records: list[CallRecord] = field(default_factory=list)

    def describe(self, *, counting: bool) -> list[CallRecord]:
        """Describe the calls of the item, which lets go of what they hold.

        Args:
            counting: describe also those whose tokens have yet to be counted, which takes time.
        """
        left = []
        for finished in self.finished:
            if finished.takes_time and not counting:
                left.append(finished)
            else:
                self.records.append(finished.record())
        self.finished = left
        return self.records


@dataclass(frozen=True, slots=True)
class Failure:
    """An item whose function raised."""

    index: int
    item: Any
    error: Exception


class Results(Generic[R]):
    """Values in the order of the items; `None` stands where an item failed or was never begun.

    In a notebook it shows itself as a card.

    Attributes:
        stopped: the error of `stop_on` that ended the run early; `None` when all items were done.
    """

    def __init__(self, items: Sequence[Item[R]], stopped: Exception | None) -> None:
        self._items = items
        self.stopped = stopped
        self._calls: Calls | None = None

    @property
    def values(self) -> list[R | None]:
        """What the function returned for each item."""
        return [each.value for each in self._items]

    @property
    def errors(self) -> list[Failure]:
        """Items whose function raised."""
        return [Failure(each.index, each.item, each.error) for each in self._items if each.error is not None]

    @property
    def missing(self) -> list[int]:
        """Positions of items that were never begun, because an error of `stop_on` came first."""
        return [each.index for each in self._items if each.missing]

    @property
    def restored(self) -> int:
        """How many values are those of an earlier run."""
        return sum(each.restored for each in self._items)

    @property
    def calls(self) -> Calls:
        """Every call that was made, in the order of the items."""
        if self._calls is None:
            records = [record for each in self._items for record in each.describe(counting=True)]
            self._calls = Calls(records, limit=max(1, len(records)))
        return self._calls

    @property
    def cost(self) -> Decimal | None:
        """USD of the calls made now, where known; restored values cost nothing again."""
        return self.calls.cost

    def to_pandas(self) -> pandas.DataFrame:
        """Return one row per item: `item`, `value`, `error`, `calls`, `cost`, tokens, `duration` in seconds.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ConfigError('a data frame needs pandas: pip install "agentprod[notebook]"') from error
        return pandas.DataFrame([_row(each) for each in self._items], columns=_COLUMNS)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[R | None]:
        return iter(self.values)

    def __getitem__(self, index: int) -> R | None:
        return self._items[index].value

    def __repr__(self) -> str:
        return "\n".join([self._headline(), *self._told(), repr(self.calls)])

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        told = "".join(f"<div>{escape(line)}</div>" for line in [self._headline(), *self._told()])
        card = self.calls._repr_mimebundle_()["text/html"]
        return {"text/plain": repr(self), "text/html": f"{told}{card}"}

    def _headline(self) -> str:
        failed, missing = len(self.errors), len(self.missing)
        parts = [f"{len(self) - failed - missing} of {len(self)} items"]
        parts += [f"{count} {what}" for count, what in ((failed, "failed"), (missing, "not begun")) if count]
        if self.restored:
            parts.append(f"{self.restored} restored")
        return ", ".join(parts)

    def _told(self) -> list[str]:
        """Return the first errors by class: their messages may quote what was asked."""
        errors = self.errors
        lines = [f"  [{failure.index}] {type(failure.error).__name__}" for failure in errors[:_SHOWN_ERRORS]]
        if len(errors) > _SHOWN_ERRORS:
            lines.append(f"  and {len(errors) - _SHOWN_ERRORS} more in .errors")
        if self.stopped is not None:
            lines.append(f"  stopped by {type(self.stopped).__name__}")
        return lines


_COLUMNS = ["item", "value", "error", "restored", "calls", "cost", "input_tokens", "output_tokens", "duration"]


def _row(each: Item[Any]) -> dict[str, Any]:
    seen = summarize_calls(each.describe(counting=True))
    return {
        "item": each.item,
        "value": each.value,
        "error": None if each.error is None else type(each.error).__name__,
        "restored": each.restored,
        "calls": seen.calls,
        "cost": None if seen.cost is None else float(seen.cost),
        "input_tokens": seen.input_tokens,
        "output_tokens": seen.output_tokens,
        "duration": each.duration,
    }
