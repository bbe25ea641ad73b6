"""How many retries an endpoint gets while it is failing."""

from __future__ import annotations

import threading
from collections import OrderedDict

from agentprod.errors import ConfigError

__all__ = ["RetryBudget"]

_MOST = 1024
_ROUNDING = 1e-9
"""Ten fifths of a token are two, whatever binary fractions say."""


class RetryBudget:
    """A token bucket per endpoint that bounds retries to a share of the successes.

    A retry takes one token, a success gives `per_success` back, up to `capacity`; first attempts are
    never refused. In a long outage, attempts then stay near one per call instead of `attempts` per
    call. The scheme is gRPC's retry throttling (gRFC A6); Google's SRE book asks for the same bound
    of about 10 % retries.

    Args:
        capacity: most tokens, at least 1. A fresh endpoint starts with all of them.

        per_success: tokens a success gives back, 0 or more.
    """

    def __init__(self, capacity: float = 20, per_success: float = 0.2) -> None:
        for name, value, least in (("capacity", capacity, 1), ("per_success", per_success, 0)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
                raise ConfigError(f"RetryBudget {name} must be a number of at least {least}, not {value!r}")
        self.capacity: float = float(capacity)
        self.per_success: float = float(per_success)
        self._lock = threading.Lock()
        # Only endpoints that are not full are kept, so a healthy process keeps none.
        self._tokens: OrderedDict[str, float] = OrderedDict()
        self.strained: bool = False
        """Whether any endpoint is not full."""

    def take(self, endpoint: str) -> bool:
        """Take the token of one retry; `False` when there is none."""
        with self._lock:
            tokens = self._tokens.get(endpoint, self.capacity)
            if tokens < 1 - _ROUNDING:
                return False
            self._tokens[endpoint] = max(0.0, tokens - 1)
            self.strained = True
            self._tokens.move_to_end(endpoint)
            if len(self._tokens) > _MOST:
                self._tokens.popitem(last=False)
            return True

    def succeeded(self, endpoint: str) -> None:
        """Give back the share of one success."""
        if endpoint not in self._tokens:
            return
        with self._lock:
            tokens = self._tokens.get(endpoint, self.capacity) + self.per_success
            if tokens >= self.capacity:
                self._tokens.pop(endpoint, None)
                self.strained = bool(self._tokens)
            else:
                self._tokens[endpoint] = tokens

    def left(self, endpoint: str) -> float:
        """Return the tokens an endpoint has left."""
        return self._tokens.get(endpoint, self.capacity)

    def snapshot(self) -> dict[str, float]:
        """Return the tokens left by endpoint, of endpoints that do not have all of them."""
        with self._lock:
            return dict(self._tokens)

    def __repr__(self) -> str:
        return f"RetryBudget({self.capacity:g}, {self.per_success:g})"
