"""What one call used and did: attempts, tokens, money, and notes of its layers."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from agentprod.usage import Usage

if TYPE_CHECKING:
    from agentprod.faults import Fault

__all__ = ["Attempt", "Ledger", "Note", "Pricer"]

Pricer = Callable[[str, "str | None", Usage], "Decimal | None"]
"""`(provider, model, usage) -> USD`, or `None` when the price is unknown."""

_ids = random.Random()


def new_id() -> str:
    """Return 32 hex digits that sort by time: 48 bits of milliseconds, then 80 random bits (as in ULID)."""
    return f"{time.time_ns() // 1_000_000:012x}{_ids.getrandbits(80):020x}"


@dataclass(slots=True)
class Attempt:
    """One physical try at a provider. Times are seconds."""

    number: int
    provider: str
    model: str | None
    endpoint: str
    started: float
    """Monotonic time at which the request was sent."""
    backoff: float = 0.0
    """How long the call waited before this attempt."""
    duration: float | None = None
    ttft: float | None = None
    """Time to the first content of a stream."""
    outcome: Literal["open", "ok", "failed", "abandoned"] = "open"
    fault: Fault | None = None
    error_type: str | None = None
    status: int | None = None
    retry_after: float | None = None
    provider_request_id: str | None = None
    hedged: bool = False
    error: BaseException | None = None
    """What it raised; kept until the call has ended."""
    read_usage: Callable[[], Usage | None] | None = None
    """Reads the counts out of a whole reply the first time somebody asks."""
    _usage: Usage | None = None

    @property
    def usage(self) -> Usage | None:
        """Tokens the provider reported for this attempt."""
        if self.read_usage is not None:
            read, self.read_usage = self.read_usage, None
            self._usage = read()
        return self._usage

    @usage.setter
    def usage(self, value: Usage | None) -> None:
        self.read_usage = None
        self._usage = value


class Note(NamedTuple):
    """Something a layer decided."""

    layer: str
    event: str
    data: dict[str, Any]


@dataclass(slots=True)
class Ledger:
    """The account of one logical call; every layer reads and writes the same one."""

    started: float
    """Monotonic time at which the call entered its outermost stack."""
    attempts: list[Attempt] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    cache: Literal["hit_exact", "hit_semantic", "stale", "miss", "bypass"] | None = None
    similarity: float | None = None
    saved_usage: Usage | None = None
    """On a hit: what the stored reply had cost in tokens."""
    served: Any = None
    """The `Target` that served the call."""
    backoff: float = 0.0
    """Wait to be written on the next attempt."""
    flags: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    layers: tuple[str, ...] = ()
    wall: float | None = None
    duration: float | None = None
    outcome: str | None = None
    error: BaseException | None = None
    pricer: Pricer | None = None
    first_content: float | None = None
    context: Any = None
    classify: Any = None
    own_retries: bool = False
    """Whether a layer retries, so that the SDK must not."""
    listeners: tuple[Callable[..., None], ...] = ()
    _id: str | None = None

    @property
    def id(self) -> str:
        """The call's id, minted on first use."""
        if self._id is None:
            self._id = new_id()
        return self._id

    def note(self, layer: str, event: str, **data: Any) -> None:
        """Write down a decision of a layer, for spans, records and `ap.meta`. Never message text."""
        self.notes.append(Note(layer, event, data))

    @property
    def usage(self) -> Usage | None:
        """Tokens of all attempts that reported any, added up; `None` when none did."""
        total: Usage | None = None
        for attempt in self.attempts:
            if attempt.usage is not None:
                total = attempt.usage if total is None else total + attempt.usage
        return total

    @property
    def cost(self) -> Decimal | None:
        """What the attempts cost in USD: 0 without attempts, `None` when a price or a count is unknown."""
        if not self.attempts:
            return Decimal(0)
        if self.pricer is None:
            return None
        total = Decimal(0)
        priced = False
        for attempt in self.attempts:
            if attempt.usage is None:
                # A failed attempt without counts is not billed by any provider we know of.
                if attempt.outcome == "failed":
                    continue
                return None
            price = self.pricer(attempt.provider, attempt.model, attempt.usage)
            if price is None:
                return None
            total += price
            priced = True
        return total if priced else None

    @property
    def saved(self) -> Decimal | None:
        """What a hit saved in USD; `None` when unknown or no hit."""
        if self.saved_usage is None or self.pricer is None or self.served is None:
            return None
        return self.pricer(self.served.provider, self.served.model, self.saved_usage)
