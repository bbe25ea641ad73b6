"""When a circuit opens, for how long, and how it closes again."""

from __future__ import annotations

import math
from dataclasses import dataclass

from agentprod.errors import ConfigError

__all__ = ["BreakerPolicy", "SlowCalls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowCalls:
    """What counts as a slow call. The time of a whole LLM call says little, as it grows with the length of the answer.

    Args:
        ttft: seconds to the first content, above which a call is slow; `None` does not look.

        per_token: seconds per output token, above which a call is slow; `None` does not look.

        rate: share of slow calls among the measured ones that opens the circuit, above 0 and up to 1.

    Raises:
        ConfigError: neither limit is given, or a value is out of range.
    """

    ttft: float | None = None
    per_token: float | None = None
    rate: float = 0.8

    def __post_init__(self) -> None:
        if self.ttft is None and self.per_token is None:
            raise ConfigError("SlowCalls needs ttft= or per_token=, in seconds: without a limit no call is slow")
        for name in ("ttft", "per_token"):
            if (value := getattr(self, name)) is not None:
                _check(name, value, low=0)
        _check("rate", self.rate, low=0, high=1)

    def judge(self, ttft: float | None, per_token: float | None) -> bool | None:
        """Say whether a call was slow; `None` when nothing that has a limit was measured."""
        slow: bool | None = None
        if self.ttft is not None and ttft is not None:
            slow = ttft > self.ttft
        if self.per_token is not None and per_token is not None:
            slow = bool(slow) or per_token > self.per_token
        return slow


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """The numbers of a circuit breaker. All times are seconds.

    Args:
        failure_rate: share of failed calls in the window that opens the circuit, above 0 and up to 1.

        min_calls: fewer calls than this in the window never open it.

        window: length of the window.

        buckets: in how many parts the window moves.

        open_for: how long the circuit stays open the first time; doubled each time it opens again before it
            has recovered.

        max_open_for: the longest it stays open, before jitter.

        jitter: each wait is spread by up to this share, both ways, so that processes do not probe in step.

        probes: how many calls may test a half-open circuit at the same time.

        close_after: how many successes close it.

        lease: how long a test call may take; one that has not answered by then counts as failed, so that a hung
            call cannot keep the circuit from recovering.

        ramp: shares of calls let through, in equal steps over `ramp_for`, after the circuit has closed.

        ramp_for: how long that takes; 0 lets everything through at once.

        slow: when slow calls open the circuit too; `None` for never.

    Raises:
        ConfigError: a value is out of range.
    """

    failure_rate: float = 0.5
    min_calls: int = 10
    window: float = 60.0
    buckets: int = 12
    open_for: float = 15.0
    max_open_for: float = 300.0
    jitter: float = 0.1
    probes: int = 1
    close_after: int = 2
    lease: float = 60.0
    ramp: tuple[float, ...] = (0.25, 0.5)
    ramp_for: float = 10.0
    slow: SlowCalls | None = None

    def __post_init__(self) -> None:
        _check("failure_rate", self.failure_rate, low=0, high=1)
        for name in ("min_calls", "buckets", "probes", "close_after"):
            count = getattr(self, name)
            if not isinstance(count, int) or isinstance(count, bool) or count < 1:
                raise ConfigError(f"CircuitBreaker {name} must be a whole number of at least 1, not {count!r}")
        for name in ("window", "open_for", "lease"):
            _check(name, getattr(self, name), low=0)
        if not self.open_for <= self.max_open_for < math.inf:
            raise ConfigError(
                f"CircuitBreaker max_open_for must be at least open_for, {self.open_for:g} seconds, "
                f"not {self.max_open_for!r}"
            )
        _check("jitter", self.jitter, low=0, high=1, closed=True)
        _check("ramp_for", self.ramp_for, low=0, closed=True)
        for share in self.ramp:
            _check("each step of ramp", share, low=0, high=1)

    def wait(self, reopened: int, spread: float) -> float:
        """Return how long to stay open.

        Args:
            reopened: how many times the circuit has opened before without recovering in between.

            spread: a random number from 0 to 1, for the jitter.
        """
        wait = min(self.open_for * 2.0 ** min(reopened, 64), self.max_open_for)
        return wait * (1 + self.jitter * (2 * spread - 1))


def _check(name: str, value: object, *, low: float, high: float = math.inf, closed: bool = False) -> None:
    in_range = isinstance(value, int | float) and (low <= value if closed else low < value) and value <= high
    if not in_range or isinstance(value, bool) or value == math.inf:
        above = f"at least {low:g}" if closed else f"above {low:g}"
        most = "" if high == math.inf else f" and at most {high:g}"
        raise ConfigError(f"CircuitBreaker {name} must be {above}{most}, not {value!r}")
