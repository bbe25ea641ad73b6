"""How long an account rests after a provider said "too many". No circuit: it ends by itself, and nothing tests it."""

from __future__ import annotations

import math
import threading

from agentprod.errors import ConfigError
from agentprod.reliability.registry import Registry

__all__ = ["Cooldowns"]


class Cooldowns:
    """Until when each account rests, by dimension. Safe to use from any number of threads.

    A later `hit` never shortens a rest. Without a hint the rests double from one episode to the next; all answers
    to requests that were sent before the current rest ends are one episode, so a burst of refusals counts once.

    Args:
        first: seconds of the first rest without a hint.

        cap: seconds of the longest rest without a hint.

        max_accounts: accounts kept; those that rest are never forgotten for a new one's sake.

    Raises:
        ConfigError: a number is out of range.
    """

    def __init__(self, *, first: float = 1.0, cap: float = 60.0, max_accounts: int = 1024) -> None:
        if not 0 < first <= cap < math.inf:
            raise ConfigError(f"a cooldown needs 0 < first <= cap seconds, not first={first!r} and cap={cap!r}")
        self._first = first
        self._cap = cap
        self._accounts: Registry[_Account] = Registry(lambda _: _Account(), max_keys=max_accounts)
        self.known = False
        """Whether any account was ever refused."""

    def hit(
        self,
        account: str,
        now: float,
        *,
        dimension: str = "requests",
        hint: float | None = None,
        sent_at: float | None = None,
        first: float | None = None,
        cap: float | None = None,
    ) -> float:
        """Note a refusal and return until when the account rests, in monotonic seconds.

        Args:
            account: the account refused.

            now: monotonic seconds.

            dimension: what was exhausted.

            hint: seconds the provider asked to wait; `None`, and what is no positive finite number, means it did not.

            sent_at: when the refused request was sent; `None` for now.

            first: seconds of the first rest, if another than usual, as for an exhausted quota.

            cap: seconds of the longest, likewise.
        """
        self.known = True
        state = self._accounts.get(account, now)
        with state.lock:
            rest = state.rests.setdefault(dimension, _Rest())
            if (now if sent_at is None else sent_at) >= rest.until:
                rest.since = now
                rest.episodes += 1
            if hint is None or not 0 < hint < math.inf:
                longest = self._cap if cap is None else cap
                hint = min(longest, (self._first if first is None else first) * 2.0 ** min(rest.episodes - 1, 64))
            rest.until = max(rest.until, now + hint)
            return rest.until

    def success(self, account: str, now: float, *, sent_at: float | None = None) -> None:
        """Note that a request was served: the next rest without a hint is short again. A rest in progress goes on.

        Args:
            account: the account served.

            now: monotonic seconds.

            sent_at: when the request was sent; `None` for now. One sent before the account was refused says nothing.
        """
        state = self._accounts.peek(account)
        if state is None:
            return
        with state.lock:
            for rest in state.rests.values():
                if (now if sent_at is None else sent_at) >= rest.since:
                    rest.episodes = 0

    def remaining(self, account: str, now: float, *, dimension: str | None = None) -> float:
        """Return the seconds the account still rests, in one dimension or, with `None`, in any; 0 when it does not."""
        state = self._accounts.peek(account)
        if state is None:
            return 0.0
        with state.lock:
            ends = [rest.until for name, rest in state.rests.items() if dimension in (None, name)]
        return max(0.0, max(ends, default=0.0) - now)


class _Rest:
    __slots__ = ("episodes", "since", "until")

    def __init__(self) -> None:
        self.until = self.since = -math.inf
        self.episodes = 0


class _Account:
    __slots__ = ("lock", "rests")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rests: dict[str, _Rest] = {}

    def is_clean(self, now: float) -> bool:
        with self.lock:
            return all(rest.until <= now and not rest.episodes for rest in self.rests.values())
