"""What is known of one finished call: figures and names, never message text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Context, Decimal
from types import MappingProxyType
from typing import Any, Literal

from agentprod.errors import ConfigError
from agentprod.telemetry.capture import ScrubbedText
from agentprod.usage import Usage

__all__ = ["AttemptRecord", "CallRecord", "RunRecord", "ToolRecord", "add_usd", "reader"]

Status = Literal["ok", "error", "cached", "rejected"]
CacheOutcome = Literal["hit_exact", "hit_semantic", "stale", "miss", "bypass", "error"]
CostSource = Literal["provider", "local", "unknown"]
StreamOutcome = Literal["completed", "closed", "abandoned", "cancelled", "error"]

_NO_TAGS: Mapping[str, str] = MappingProxyType({})

# A context of our own: an application that lowers the precision of its thread's context must not lose cents here.
_EXACT = Context(prec=60)


def add_usd(a: Decimal, b: Decimal) -> Decimal:
    """Add two amounts exactly, whatever the thread's decimal context is."""
    return _EXACT.add(a, b)


# Immutable by convention: `frozen` costs five times as much to build, and one of these is built for every call.
@dataclass(slots=True, kw_only=True)
class AttemptRecord:
    """One physical try at a provider; treat it as immutable. All times are seconds."""

    number: int = 1
    """Counted from 1 within the call."""
    model: str | None = None
    provider: str | None = None
    outcome: Literal["ok", "failed", "abandoned"] = "ok"
    """Abandoned ones were given up, such as the slower of two hedged attempts."""
    error_type: str | None = None
    """Fault kind, provider code or exception class; never a message."""
    status_code: int | None = None
    duration: float = 0.0
    """Time at the provider, without the backoff before it."""
    ttft: float | None = None
    """Time to the first content item of a stream."""
    backoff: float = 0.0
    """Time waited before this attempt."""
    retry_after: float | None = None
    """What the provider asked to wait after this attempt."""
    input_tokens: int = 0
    output_tokens: int = 0
    hedged: bool = False


@dataclass(slots=True, kw_only=True)
class CallRecord:
    """One finished logical call, with its retries, its cache look-up and its price; treat it as immutable.

    It holds metadata only. `user`, `team`, `tenant`, `conversation`, `run` and `tags` are filled when the
    application asked for them; `error_message` is text that went through `Capture`. Times are seconds, money is USD.
    """

    request_id: str
    started: float
    """Wall clock (POSIX time) at entry."""
    duration: float
    """From entry to the reply, or to the end of the stream."""
    operation: str = "chat"
    provider: str | None = None
    model: str | None = None
    """The model asked of the provider, after routing."""
    requested_model: str | None = None
    """The model the caller named, when routing or fallback changed it."""
    served_model: str | None = None
    """The model the provider says it used."""
    status: Status = "ok"
    error_type: str | None = None
    error_message: ScrubbedText | None = None
    attempts: tuple[AttemptRecord, ...] = ()
    usage: Usage | None = None
    """Billed tokens of all attempts together; `None` when nothing was billed or nothing is known."""
    cost_usd: Decimal | None = None
    """`None` when unknown, never 0 for that reason."""
    cost_source: CostSource = "unknown"
    saved_usd: Decimal | None = None
    """What the cache saved on a cached call, or what routing saved on any other."""
    cache: CacheOutcome | None = None
    similarity: float | None = None
    """Similarity of the best semantic candidate, on misses too; 0 to 1."""
    route: str | None = None
    """Reason of the routing decision, such as `"cost"` or `"fallback"`."""
    breaker: Literal["closed", "open", "half_open"] | None = None
    """State at admission."""
    budget: str | None = None
    """Name of the tightest budget."""
    budget_left: Decimal | int | None = None
    """What is left of it, in the budget's own unit."""
    budget_used: float | None = None
    """Share of it that is used; 1.2 is 20 % over."""
    pii: tuple[tuple[str, str, int], ...] = ()
    """`(direction, type, count)` of redactions; direction is `"input"` or `"output"`."""
    streaming: bool = False
    stream_outcome: StreamOutcome | None = None
    ttft: float | None = None
    chunks: int = 0
    provider_time: float = 0.0
    """Time at providers, without backoff and queues."""
    queue_wait: float = 0.0
    layers: tuple[str, ...] = ()
    trace_id: str | None = None
    span_id: str | None = None
    server_address: str | None = None
    server_port: int | None = None
    user: str | None = None
    team: str | None = None
    tenant: str | None = None
    conversation: str | None = None
    run: str | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: _NO_TAGS)

    @property
    def ended(self) -> float:
        """Wall clock (POSIX time) at the end."""
        return self.started + self.duration

    @property
    def failed(self) -> bool:
        """True when the caller got no answer."""
        return self.status == "error" or self.status == "rejected"

    @property
    def input_tokens(self) -> int:
        """Billed input tokens, 0 when there are none."""
        return 0 if self.usage is None else self.usage.input_tokens

    @property
    def output_tokens(self) -> int:
        """Billed output tokens, 0 when there are none."""
        return 0 if self.usage is None else self.usage.output_tokens

    @property
    def total_tokens(self) -> int:
        """Billed input and output tokens together."""
        return 0 if self.usage is None else self.usage.total_tokens

    @property
    def retries(self) -> int:
        """Attempts after the first."""
        return max(0, len(self.attempts) - 1)

    @property
    def pii_count(self) -> int:
        """Redactions in both directions."""
        return sum(count for _, _, count in self.pii)

    @property
    def tokens_per_second(self) -> float | None:
        """Output tokens per second after the first token; without a first-token time, over the time at the provider."""
        if self.status != "ok" or self.usage is None or not self.usage.output_tokens:
            return None
        # The stream is timed from entry, so the time before the first token holds every wait and every retry.
        span = self.duration - self.ttft if self.ttft is not None else self.provider_time
        return self.usage.output_tokens / span if span > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRecord:
    """One finished tool call. Times are seconds."""

    tool: str
    status: Literal["ok", "error"] = "ok"
    error_type: str | None = None
    duration: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One finished agent run. Times are seconds."""

    agent: str
    duration: float = 0.0
    inference_calls: int = 0
    tool_calls: int = 0
    error_type: str | None = None
    outcome: Literal["completed", "failed", "escalated", "cancelled"] | None = None
    """What the application recorded, or that it raised; `None` when nothing is known."""


_KEYS = frozenset(
    f.name for f in fields(CallRecord)
) - {"attempts", "usage", "pii", "layers", "tags", "request_id", "error_message", "trace_id", "span_id"}  # fmt: skip


def reader(by: str) -> Any:
    """Return a function that reads one grouping key from a `CallRecord`.

    Args:
        by: name of a scalar field, such as `"model"`, `"user"` or `"status"`, or `"tags.NAME"`.

    Returns:
        A function of one `CallRecord`; it gives `None` where the record has no such value.

    Raises:
        ConfigError: there is no such field.
    """
    if by.startswith("tags.") and len(by) > len("tags."):
        tag = by.removeprefix("tags.")
        return lambda record: record.tags.get(tag)
    if by not in _KEYS:
        raise ConfigError(f"cannot group calls by {by!r}: use 'tags.NAME' or one of {', '.join(sorted(_KEYS))}")
    return lambda record: getattr(record, by)
