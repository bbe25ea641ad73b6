"""Rolling windows over the calls of the last minutes or hours, in constant memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from agentprod.telemetry.calls import CallRecord, RunRecord, ToolRecord
from agentprod.telemetry.totals import Slice

__all__ = ["Rolling"]

_SLOTS = 60


class Rolling:
    """Slices of several rolling windows at once.

    A call is counted once, in the open slot; when the slot closes it is added to the running total of every window,
    and taken away again when it leaves. So a call costs the same however many windows there are. A window forgets
    in steps of `max(step, length / 60)`: it covers its length and up to one step more.

    Not thread-safe: whoever owns it holds a lock.

    Args:
        lengths: lengths of the windows in seconds.

        step: length of the open slot in seconds.
    """

    def __init__(self, lengths: Iterable[float], *, step: float = 5.0) -> None:
        self._step = step
        self._windows = {length: _Window(length, max(step, length / _SLOTS)) for length in lengths}
        self._open = Slice()
        self._closes = float("-inf")

    def add(self, record: CallRecord, now: float) -> None:
        """Count one call; `now` is monotonic time in seconds."""
        if now >= self._closes:
            self.advance(now)
        self._open.add(record)

    def absorb(self, seen: Slice, now: float) -> None:
        """Count what was counted elsewhere since the last step."""
        self.advance(now)
        self._open.merge(seen)

    def add_tool(self, record: ToolRecord, now: float) -> None:
        """Count one tool call."""
        if now >= self._closes:
            self.advance(now)
        self._open.totals.add_tool(record)

    def add_run(self, record: RunRecord, now: float) -> None:
        """Count one agent run."""
        if now >= self._closes:
            self.advance(now)
        self._open.totals.add_run(record)

    def advance(self, now: float) -> None:
        """Close the open slot when its time is over, and let the windows forget what is too old."""
        if now < self._closes:
            return
        closed, at = self._open, self._closes
        self._open, self._closes = Slice(), (now // self._step + 1) * self._step
        for window in self._windows.values():
            if closed.totals.calls or closed.totals.tools or closed.totals.runs:
                window.push(closed, at)
            window.forget(now)

    def view(self, length: float, now: float) -> Slice:
        """Return what happened within one of the windows, up to now, as a copy."""
        self.advance(now)
        seen = self._windows[length].total.copy()
        seen.merge(self._open)
        return seen


class _Window:
    """The closed slots of one window and their running total."""

    def __init__(self, length: float, step: float) -> None:
        self._length = length
        self._step = step
        self._slots: deque[tuple[float, Slice]] = deque()
        self.total = Slice()

    def push(self, closed: Slice, at: float) -> None:
        self.total.merge(closed)
        # A slot of this window ends at a multiple of its step; several closed slices may fall into one.
        end = -(-at // self._step) * self._step
        if self._slots and self._slots[-1][0] >= end:
            self._slots[-1][1].merge(closed)
        else:
            self._slots.append((end, closed.copy()))

    def forget(self, now: float) -> None:
        while self._slots and self._slots[0][0] <= now - self._length:
            self.total.subtract(self._slots.popleft()[1])
