"""What happened to a call, read from what the caller got."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from agentprod.errors import ConfigError
from agentprod.ledger import Attempt, Ledger
from agentprod.usage import Usage

__all__ = ["Meta", "add_note", "attach", "last", "meta", "remember"]

_log = logging.getLogger("agentprod")

_ATTRIBUTE = "_agentprod"
# Where the results of SDK helpers keep the raw stream they were made around.
_INNER = ("_raw_stream", "_agentprod_stream", "_stream")

_last: contextvars.ContextVar[Ledger | None] = contextvars.ContextVar("agentprod_last", default=None)


class Meta:
    """A live view of one call; a stream's is final once the stream has ended. Times are seconds."""

    __slots__ = ("_ledger",)

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @property
    def request_id(self) -> str:
        """The call's id, the same in span, log, audit and error."""
        return self._ledger.id

    @property
    def served_by(self) -> str | None:
        """Name of the target that answered; `None` when none did."""
        return None if self._ledger.served is None else str(self._ledger.served)

    @property
    def attempts(self) -> list[Attempt]:
        """Every physical try, in order; none for a cache hit or a refusal."""
        return list(self._ledger.attempts)

    @property
    def cache(self) -> str | None:
        """`"hit_exact" "hit_semantic" "stale" "miss" "bypass"`, or `None` without a cache."""
        return self._ledger.cache

    @property
    def similarity(self) -> float | None:
        """Similarity of the best semantic candidate, 0 to 1."""
        return self._ledger.similarity

    @property
    def cost(self) -> Decimal | None:
        """USD of all attempts; 0 on a hit, `None` when unknown."""
        return self._ledger.cost

    @property
    def saved(self) -> Decimal | None:
        """USD that a cache hit saved; `None` when unknown."""
        return self._ledger.saved

    @property
    def usage(self) -> Usage | None:
        """Tokens of all attempts together; `None` when none were reported."""
        return self._ledger.usage

    @property
    def ttft(self) -> float | None:
        """Time from entry to the first content of a stream."""
        first = self._ledger.first_content
        return None if first is None else first - self._ledger.started

    @property
    def duration(self) -> float | None:
        """Time from entry to the end; `None` while a stream runs."""
        return self._ledger.duration

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers the call passed, outermost first."""
        return self._ledger.layers

    @property
    def notes(self) -> list[Any]:
        """What the layers decided, as `(layer, event, data)`."""
        return list(self._ledger.notes)

    @property
    def dropped(self) -> tuple[str, ...]:
        """What had no counterpart at the target that served, or no longer held after an edit."""
        return tuple(self._ledger.dropped)

    @property
    def flags(self) -> tuple[str, ...]:
        """Remarks of layers, such as `"usage_estimated"`."""
        return tuple(self._ledger.flags)

    def __repr__(self) -> str:
        parts = [f"request_id={self.request_id!r}", f"served_by={self.served_by!r}"]
        if self.cache is not None:
            parts.append(f"cache={self.cache!r}")
        parts.append(f"attempts={[attempt.outcome for attempt in self.attempts]}")
        if self.usage is not None:
            parts.append(f"tokens={self.usage.input_tokens}+{self.usage.output_tokens}")
        cost = self.cost
        parts.append("cost=None" if cost is None else f"cost={cost.normalize():f}")
        if self.duration is not None:
            parts.append(f"duration={self.duration:.3f}")
        return f"Meta({', '.join(parts)})"


def attach(result: Any, ledger: Ledger) -> None:
    """Leave the account on what the caller gets, where nothing that copies, compares or dumps it sees it."""
    try:
        object.__setattr__(result, _ATTRIBUTE, ledger)
    except (AttributeError, TypeError):
        pass  # str, dict and the like hold no attributes: `last()` is for them


def add_note(error: BaseException, note: str) -> None:
    """Add a note to what the caller gets, where it takes one: an exception may be frozen, or lock its attributes."""
    try:
        error.add_note(note)
    except Exception:  # whatever its own `__setattr__` raises must not stand in for it
        _log.debug("a %s takes no notes", type(error).__name__)


remember: Callable[[Ledger | None], object] = _last.set
"""Makes a ledger what `last()` speaks of in this context."""


def meta(result: Any) -> Meta:
    """Return what happened to the call that made `result`.

    Args:
        result: what a wrapped client or a decorated function returned or raised: a reply, a stream,
            a raw response, an exception. A message that an SDK put together from a stream is none of these; the
            stream is.

    Raises:
        ConfigError: nothing is known of `result`; for `str` and `dict` results use `ap.last()` or
            `ap.record()`.
    """
    seen: Any = result
    for _ in range(3):
        ledger = getattr(seen, _ATTRIBUTE, None)
        if isinstance(ledger, Ledger):
            return Meta(ledger)
        seen = next((inner for name in _INNER if (inner := getattr(seen, name, None)) is not None), None)
    raise ConfigError(
        f"nothing is known of this {type(result).__name__}: it did not come from a wrapped client or a decorated "
        "function, or it is of a kind that holds no attributes; use ap.last() right after the call, or ap.record(). "
        "What get_final_message() and its like put together, the stream knows: ap.meta(stream)"
    )


def last() -> Meta | None:
    """Return what happened to the last call that ended in this context (task or thread); `None` before the first."""
    ledger = _last.get()
    return None if ledger is None else Meta(ledger)
