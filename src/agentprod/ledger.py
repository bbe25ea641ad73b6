"""What one call used and did: attempts, tokens, money, and notes of its layers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from agentprod.ids import new_id
from agentprod.usage import Usage

if TYPE_CHECKING:
    from agentprod.board import Board
    from agentprod.call import Target
    from agentprod.dialects.base import Dialect
    from agentprod.faults import Fault
    from agentprod.identity import Context
    from agentprod.runtime.runtime import Runtime
    from agentprod.stream import EventStream

__all__ = ["Attempt", "Environment", "Estimator", "Ledger", "Note", "Pricer", "begin_attempt"]

Pricer = Callable[[str, "str | None", Usage], "Decimal | None"]
"""`(provider, model, usage) -> USD`, or `None` when the price is unknown."""

Estimator = Callable[[Mapping[str, Any], "str | None", str], Usage]
"""`(request, model, text of the reply) -> Usage`, for a provider that sent no counts."""

_log = logging.getLogger("agentprod")


class Attempt:
    """One physical try at a provider. Times are seconds."""

    number: int
    target: Target
    started: float
    """Monotonic time at which the request was sent."""
    backoff: float
    """How long the call waited before this attempt."""
    # Defaults stand in the class: making one of these is on the way of every call.
    duration: float | None = None
    ttft: float | None = None
    """Time to the first content of a stream."""
    outcome: Literal["open", "ok", "failed", "abandoned"] = "open"
    fault: Fault | None = None
    error_type: str | None = None
    error: BaseException | None = None
    """What it raised; kept until the call has ended."""
    status: int | None = None
    retry_after: float | None = None
    headers: Mapping[str, str] | None = None
    """The response's headers, when there was one."""
    hedged: bool = False
    unread: tuple[Dialect, Callable[[Any], Any] | None, Any] | None = None
    """Where the counts of a whole reply stand, until somebody asks for them."""
    uncounted: tuple[Estimator, Mapping[str, Any], str | None, Sequence[str]] | None = None
    """What a stream's counts are estimated from when somebody asks for them."""
    _usage: Usage | None = None

    @property
    def provider(self) -> str:
        """Who was asked."""
        return self.target.provider

    @property
    def model(self) -> str | None:
        """Which model was asked for."""
        return self.target.model

    @property
    def endpoint(self) -> str:
        """Provider, base URL and model."""
        return self.target.endpoint

    @property
    def provider_request_id(self) -> str | None:
        """What the provider calls this request."""
        headers = self.headers or {}
        return headers.get("x-request-id") or headers.get("request-id")

    @property
    def usage(self) -> Usage | None:
        """Tokens the provider reported for this attempt; estimated ones say so."""
        # Two threads may ask at once: each then finds the counts, or what they are read from.
        uncounted, unread = self.uncounted, self.unread
        if uncounted is not None:
            self._usage, self.uncounted = _estimated(self._usage, *uncounted), None
        if unread is not None:
            self._usage, self.unread = _read_usage(*unread), None
        return self._usage

    @usage.setter
    def usage(self, value: Usage | None) -> None:
        self.unread = self.uncounted = None
        self._usage = value

    def __repr__(self) -> str:
        told = self.fault.value if self.fault is not None else self.outcome
        return f"Attempt({self.number}, {self.target}, {told})"


def begin_attempt(number: int, target: Target, started: float, backoff: float = 0.0) -> Attempt:
    """Return an attempt that is under way."""
    attempt = Attempt()
    attempt.number = number
    attempt.target = target
    attempt.started = started
    attempt.backoff = backoff
    return attempt


def _read_usage(dialect: Dialect, load: Callable[[Any], Any] | None, native: Any) -> Usage | None:
    try:
        return dialect.usage(native if load is None else load(native))
    except Exception:  # whatever the body holds, accounting must not break the call
        _log.debug("the token counts of a reply could not be read", exc_info=True)
        return None


def _estimated(
    reported: Usage | None, estimate: Estimator, request: Mapping[str, Any], model: str | None, texts: Sequence[str]
) -> Usage | None:
    """Complete what a provider reported before its stream broke off; all of it when it reported nothing."""
    try:
        counted = estimate(request, model, "".join(texts))
    except Exception:
        _log.debug("the tokens of a stream could not be estimated", exc_info=True)
        return reported
    if reported is None:
        return counted
    return replace(reported, output_tokens=max(reported.output_tokens, counted.output_tokens), estimated=True)


class Note(NamedTuple):
    """Something a layer decided."""

    layer: str
    event: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Environment:
    """What all calls of one stack in one mode (sync or async) have in common."""

    runtime: Runtime
    board: Board
    layers: tuple[str, ...] = ()
    pricer: Pricer | None = None
    estimate: Estimator | None = None
    scrub: Callable[[str], str] | None = None
    """Takes personal data out of text that leaves the process as telemetry, where no `ScrubPII` did."""
    classify: Callable[[BaseException], Fault | None] | None = None
    own_retries: bool = False
    """Whether a layer retries, so that the SDK must not."""
    stack_id: int = 0
    buffer: bool = False
    """Whether a stream is delivered only once it is complete."""


class Ledger:
    """The account of one logical call; every layer reads and writes the same one."""

    started: float
    """Monotonic time at which the call entered its outermost stack."""
    environment: Environment
    context: Context
    listeners: tuple[Callable[..., None], ...]
    attempts: list[Attempt]
    backoff: float
    """Wait to be written on the next attempt."""
    notes: Sequence[Note] = ()
    cache: Literal["hit_exact", "hit_semantic", "stale", "miss", "bypass"] | None = None
    similarity: float | None = None
    saved_usage: Usage | None = None
    """On a hit: what the stored reply had cost in tokens."""
    served: Target | None = None
    """Who served the call."""
    flags: Sequence[str] = ()
    dropped: Sequence[str] = ()
    duration: float | None = None
    outcome: str | None = None
    error: BaseException | None = None
    """What the call raised; kept until all who listen have heard of it."""
    first_content: float | None = None
    """Monotonic time of the first content of a stream."""
    streams: tuple[EventStream, ...] = ()
    """Streams that attempts opened."""
    _id: str | None = None
    _state: dict[Any, Any] | None = None

    def __deepcopy__(self, memo: Any) -> Ledger:
        return self  # a deep copy of a result speaks of the same call

    def __reduce__(self) -> Any:
        return type(None), ()  # the account of a pickled result or error stays behind

    @property
    def id(self) -> str:
        """The call's id, minted on first use."""
        found = self._id
        if found is None:
            found = self.__dict__.setdefault("_id", new_id())  # one id, whichever thread asks first
        return found

    @property
    def state(self) -> dict[Any, Any]:
        """What layers keep for the call."""
        if self._state is None:
            self._state = {}
        return self._state

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers the call passes, outermost first."""
        return self.environment.layers

    def flag(self, remark: str) -> None:
        """Remark something for `ap.meta(result).flags`, once."""
        if remark not in self.flags:
            self.flags = (*self.flags, remark)

    def drop(self, what: str) -> None:
        """Remark something that could not be carried over, for `ap.meta(result).dropped`, once."""
        if what not in self.dropped:
            self.dropped = (*self.dropped, what)

    def note(self, layer: str, event: str, **data: Any) -> None:
        """Write down a decision of a layer, for spans, records and `ap.meta`. Never message text."""
        self.notes = (*self.notes, Note(layer, event, data))

    @property
    def usage(self) -> Usage | None:
        """Tokens of all attempts that reported any, added up; `None` when none did."""
        total: Usage | None = None
        for attempt in self.attempts:
            usage = attempt.usage
            if usage is not None:
                total = usage if total is None else total + usage
        return total

    @property
    def cost(self) -> Decimal | None:
        """What the attempts cost in USD: 0 without attempts, `None` when a price or a count is unknown."""
        if not self.attempts:
            return Decimal(0)
        pricer = self.environment.pricer
        if pricer is None:
            return None
        total: Decimal | None = None
        for attempt in self.attempts:
            usage = attempt.usage
            if usage is None:
                # A failed attempt without counts is not billed by any provider we know of.
                if attempt.outcome == "failed":
                    continue
                return None
            price = pricer(attempt.provider, attempt.model, usage)
            if price is None:
                return None
            total = price if total is None else total + price
        if total is None and all(attempt.status is not None and attempt.status >= 400 for attempt in self.attempts):
            return Decimal(0)  # an error status is no bill; a cut or a timeout may be one
        return total

    @property
    def saved(self) -> Decimal | None:
        """What a hit saved in USD; `None` when unknown or no hit."""
        pricer = self.environment.pricer
        if self.saved_usage is None or pricer is None or self.served is None:
            return None
        return pricer(self.served.provider, self.served.model, self.saved_usage)
