"""Break calls on purpose, and the same way each time."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from agentprod.call import Call, CallNext, Target
from agentprod.edge.attempts import answer
from agentprod.edge.limits import first_limit
from agentprod.errors import ConfigError
from agentprod.lateness import late
from agentprod.layer import Layer
from agentprod.order import Inside
from agentprod.testing.chaos_faults import CHAOS_FAULTS, ChaosFault, as_faults, make_error
from agentprod.testing.chaos_stream import StruckSource
from agentprod.testing.options import check_seconds

if TYPE_CHECKING:
    from agentprod.ledger import Attempt
    from agentprod.reply import Reply

__all__ = ["Chaos", "Strike"]

_DEFAULT = ("connection", "timeout", "server", "overloaded", "rate_limit", "latency", "cut", "truncate", "stall")
_KEPT = 10_000
_LATE = "what stands between it and the provider never sees its faults"
_AROUND = ("Fallback", "Balance", "Router", "Cascade", "Hedge", "Retry", "RateLimit", "Bulkhead", "CircuitBreaker")

Fault = str | BaseException | Callable[[], BaseException]


class Strike(NamedTuple):
    """One attempt that went wrong on purpose."""

    attempt: int
    """Which of all attempts, counted from 1."""
    fault: str


class Chaos(Layer):
    """Lets a share of the attempts fail, to see what the layers around it and the application make of it.

    Stands innermost, in the place of the provider: every attempt is counted, timed and traced as a real one. Its errors
    are those of the wrapped SDK; in a decorated function they are `ConnectionError`, `TimeoutError` and `ChaosError`.
    With a seed, the same attempts in the same order meet the same faults, for sync calls, async calls and streams;
    calls that run at once share one series, so what each of them meets is up to the scheduler.

    | fault | what happens |
    |---|---|
    | `"connection"` `"refused"` | the connection is reset, or not accepted: the provider is not called |
    | `"timeout"` | no answer until the limit of the attempt; at once where there is none |
    | `"server"` `"overloaded"` `"rate_limit"` `"quota"` `"auth"` `"bad_request"` `"context_overflow"` \
`"content_policy"` | that error of the provider, which is not called |
    | `"latency"` | the answer comes later |
    | `"cut"` `"truncate"` | a stream breaks off after its first content, with an error or silently; of a whole answer \
the connection breaks when the provider has done its work |
    | `"stall"` | a stream pauses after its first content; a whole answer comes later |

    Streams: what the provider has sent in one piece with the first content is delivered before the fault strikes; a
    stream that has come to its end by then stays whole.

    Args:
        seed: makes the series repeatable; `None` for a new one each time.

        rate: share of the attempts that are struck, 0 to 1.

        faults: what may happen: names, exceptions, functions that make one; or a mapping from these to weights.

        latency: seconds of `"latency"` and `"stall"`: a number, or the lowest and the highest.

        retry_after: seconds that `"rate_limit"` asks for.

    Raises:
        ConfigError: an option out of range, or an unknown fault.
    """

    other_traffic = True
    order: ClassVar[tuple[Any, ...]] = tuple(Inside(name, _LATE) for name in (*_AROUND, "Timeout"))

    def __init__(
        self,
        *,
        seed: int | None = None,
        rate: float = 0.1,
        faults: Fault | Sequence[Fault] | Mapping[Any, float] = _DEFAULT,
        latency: float | tuple[float, float] = (0.5, 5.0),
        retry_after: float = 1.0,
    ) -> None:
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise ConfigError(f"Chaos rate must be a share from 0 to 1, not {rate!r}")
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise ConfigError(f"Chaos seed must be a whole number or None, not a {type(seed).__name__}")
        shortest, longest = latency if isinstance(latency, tuple) and len(latency) == 2 else (latency, latency)
        for name, value in (("latency", shortest), ("latency", longest), ("retry_after", retry_after)):
            if value is None:
                raise ConfigError(f"Chaos {name} must be a number of seconds, not None")
            check_seconds("Chaos", name, value)
        weighted = as_faults(faults)
        self.rate = float(rate)
        """Share of the attempts that are struck; may be changed while it works, 0 to stop."""
        self.log: deque[Strike] = deque(maxlen=_KEPT)
        """What was struck, in order; the last 10,000."""
        self.attempts = 0
        """How many attempts there were, struck or not."""
        self._seed = seed
        self._faults = [fault for fault, _ in weighted]
        self._weights = [weight for _, weight in weighted]
        self._latency = (float(shortest), float(longest))
        self._retry_after = float(retry_after)
        self._lock = threading.Lock()
        self._random = random.Random(seed)

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Put itself between the call and its provider."""
        target = call.target
        edge = _ChaoticEdge(self, target)
        struck = Target(
            target.provider, target.base_url, target.model, edge, target.credential, target.name, target.kind
        )
        return await call_next(call.replace(target=struck))

    def rewind(self) -> None:
        """Begin the series of a seed again, and forget what was struck."""
        with self._lock:
            self._random = random.Random(self._seed)
            self.attempts = 0
            self.log.clear()

    def draw(self) -> tuple[ChaosFault | None, float, int]:
        """Return what the next attempt meets: a fault or none, its seconds, and after how many events it strikes."""
        with self._lock:
            self.attempts += 1
            # The same draws for every attempt, so that one answer does not shift what the next ones meet.
            roll, pause, after = self._random.random(), self._random.uniform(*self._latency), self._random.randrange(8)
            (fault,) = self._random.choices(self._faults, self._weights)
            if roll >= self.rate:
                return None, 0.0, 0
            self.log.append(Strike(self.attempts, fault.name))
        return fault, pause, after

    def error(self, fault: ChaosFault, call: Call) -> BaseException:
        """Return the error of a fault, as the caller of this call knows it."""
        return make_error(fault, call, self._retry_after)

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        return {"rate": self.rate, **({} if self._seed is None else {"seed": self._seed})}


class _ChaoticEdge:
    """The edge of a provider, seen through chaos."""

    __slots__ = ("_chaos", "_target", "errors")

    def __init__(self, chaos: Chaos, target: Target) -> None:
        self._chaos = chaos
        self._target = target

    async def send(self, call: Call, attempt: Attempt) -> Reply:
        """Send an attempt, or let it fail."""
        chaos = self._chaos
        fault, pause, after = chaos.draw()
        call = call.replace(target=self._target)
        if fault is None:
            return await answer(self._target.edge.send(call, attempt))
        call.ledger.note("Chaos", "struck", fault=fault.name)
        kind = fault.kind
        if kind == "timeout":
            await _silence(call, chaos.error(fault, call))
        if kind in ("status", "connection", "refused", "timeout", "raise"):
            raise chaos.error(fault, call)
        if kind == "latency" or (kind == "stall" and not call.streaming):
            call = await _delayed(call, pause)
        reply = await answer(self._target.edge.send(call, attempt))
        if kind == "latency":
            return reply
        if reply.stream is None:
            if kind == "stall":
                return reply
            await reply.discard()
            raise chaos.error(CHAOS_FAULTS["connection"], call)
        if not reply.stream.reader.done:
            error = chaos.error(CHAOS_FAULTS["connection"], call) if kind == "cut" else None
            reply.stream.source = StruckSource(reply.stream, after, error, pause if kind == "stall" else None)
        return reply


async def _silence(call: Call, cause: BaseException) -> None:
    """Wait as long as the attempt may take, and say that it took too long; without any limit, come back."""
    until, phase = first_limit(call)
    if until is not None:
        await call.runtime.sleep(max(0.0, until - call.runtime.now()))
        raise late(phase, call.target, call.limits) from cause


async def _delayed(call: Call, pause: float) -> Call:
    """Wait as a slow provider lets one wait; return the call with the time that its attempt has left."""
    until, phase = first_limit(call)
    runtime = call.runtime
    if until is not None and runtime.now() + pause >= until:
        await runtime.sleep(max(0.0, until - runtime.now()))
        raise late(phase, call.target, call.limits)
    await runtime.sleep(pause)
    limits = call.limits
    attempt = None if limits.attempt is None else limits.attempt - pause
    first_token = None if limits.first_token is None else limits.first_token - pause
    return call.replace(limits=replace(limits, attempt=attempt, first_token=first_token))
