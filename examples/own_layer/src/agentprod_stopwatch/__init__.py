"""A layer that tells which calls took long."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import agentprod as ap

__all__ = ["Stopwatch"]

_log = logging.getLogger(__name__)


class Stopwatch(ap.Layer):
    """Tells calls that take longer than a limit: streams by the time to their end.

    It needs nothing but `handle`; deriving from `ap.Layer` makes `@Stopwatch()` a decorator too.

    Args:
        over: seconds, 0 or more; what takes longer is told.

        tell: called with one line of text that holds no prompt and no reply; logs it when `None`.

    Raises:
        ConfigError: `over` is negative.
    """

    order = (ap.Outside("Retry", "it would tell each attempt, and not what the caller waited for"),)
    other_traffic = True

    def __init__(self, over: float = 5.0, *, tell: Callable[[str], Any] | None = None) -> None:
        if not over >= 0:
            raise ap.ConfigError(f"Stopwatch(over=) must be 0 or more seconds, not {over!r}")
        self._over = over
        self._tell = tell or _log.warning

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Measure one call, whichever way it ends."""
        begun = call.runtime.now()
        try:
            reply = await call_next(call)
        except Exception as error:
            self._look(call, begun, type(error).__name__)
            raise
        reply.on_end(lambda end: self._look(call, begun, end.outcome))
        return reply

    def _look(self, call: ap.Call, begun: float, how: str) -> None:
        took = call.runtime.now() - begun
        if took > self._over:
            self._tell(f"{call.target} took {took:.1f} s: {how}")

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults, for `print(stack)`."""
        return {"over": self._over}
