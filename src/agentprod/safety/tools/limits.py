"""How often a tool may be called."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic

from agentprod.errors import ConfigError

__all__ = ["Rate", "Rates"]

Rate = str | tuple[int, float]
"""`"5/hour"`, or how many calls in how many seconds: `(5, 3600)`."""

_UNITS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_WRITTEN = re.compile(r"\s*(\d+)\s*/\s*(second|minute|hour|day)\s*")


class Rates:
    """Sliding windows: at most so many calls of a tool in any stretch of that length.

    Args:
        rates: one for all tools together, or by tool name, `"*"` for each tool that is not named.

        now: monotonic clock, in seconds.

    Raises:
        ConfigError: a rate is none.
    """

    def __init__(self, rates: Rate | Mapping[str, Rate] | None, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._together = rates is not None and not isinstance(rates, Mapping)
        given = rates if isinstance(rates, Mapping) else {} if rates is None else {"*": rates}
        self._rates = {tool: _read(rate, tool) for tool, rate in given.items()}
        self._calls: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def admit(self, tool: str) -> float:
        """Count a call, and return 0; or return the seconds until there is room, and count nothing."""
        rate = self._rates.get(tool) or self._rates.get("*")
        if rate is None:
            return 0.0
        most, window = rate
        with self._lock:
            calls = self._calls.setdefault("*" if self._together else tool, deque())
            now = self._now()
            while calls and calls[0] <= now - window:
                calls.popleft()
            if len(calls) >= most:
                return calls[0] + window - now if calls else window
            calls.append(now)
            return 0.0


def _read(rate: Rate, tool: str) -> tuple[int, float]:
    if isinstance(rate, str) and (written := _WRITTEN.fullmatch(rate)):
        return int(written[1]), _UNITS[written[2]]
    if isinstance(rate, tuple) and len(rate) == 2:
        most, window = rate
        if isinstance(most, int) and not isinstance(most, bool) and most >= 0 and window > 0:
            return most, float(window)
    raise ConfigError(f"the rate of {tool} must read like '5/hour' or (5, 3600), not {rate!r}")
