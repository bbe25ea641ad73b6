"""One upstream call for all who ask the same at the same time."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

from agentprod.forks import after_fork
from agentprod.lateness import late

if TYPE_CHECKING:
    from agentprod.caching.entries import Entry
    from agentprod.caching.shared_stream import SharedStream
    from agentprod.call import Call
    from agentprod.reply import Reply
    from agentprod.runtime.runtime import Job
    from agentprod.runtime.waiter import Waiter

__all__ = ["Flight", "Flights", "Landing", "fresh_copy"]


_GRACE = 0.03
"""Seconds by which the leader, which ends its own wait at the same deadline and names the cause, comes first."""


class Landing(NamedTuple):
    """What came of a flight; none of it: everybody has to ask for themselves."""

    entry: Entry | None = None
    """A whole reply, of which each caller gets a copy."""
    stream: SharedStream | None = None
    """A stream that has begun."""
    error: BaseException | None = None
    """What the leader's call raised."""


class Flight:
    """One call on its way, and those who wait for it.

    Among threads the leader is the caller who came first, and runs the call itself. Among the tasks of a loop it is
    a task of its own, so that no caller's cancellation reaches it, except the last one's.
    """

    __slots__ = ("callers", "home", "job", "key", "landing", "leader_left", "reply", "waiters")

    def __init__(self, key: object, home: object) -> None:
        self.key = key
        self.home = home
        self.callers = 1
        self.landing: Landing | None = None
        self.waiters: list[Waiter] = []
        self.job: Job | None = None
        self.reply: Reply | None = None
        """The leader's reply, until the leader's caller takes it."""
        self.leader_left = False


class Flights:
    """The flights of one cache. Its lock guards all of them, and is never held over an `await`."""

    def __init__(self) -> None:
        self._forget()
        _all.add(self)

    def _forget(self) -> None:
        # Re-entrant, as all locks here: a stream that is garbage-collected leaves its flight from a finalizer, which
        # may run on a thread that holds the lock.
        self._lock = threading.RLock()
        self._flights: dict[tuple[object, object], Flight] = {}
        self.over = 0
        """How many flights are over."""

    def __len__(self) -> int:
        return len(self._flights)

    def board(self, key: object, home: object) -> tuple[Flight, bool]:
        """Return the flight of a key, and whether the caller is its leader.

        Args:
            key: of the request; hashable.

            home: what waiting callers have in common, `runtime.home()`.
        """
        with self._lock:
            flight = self._flights.get((key, home))
            if flight is not None:
                flight.callers += 1
                return flight, False
            flight = self._flights[key, home] = Flight(key, home)
            return flight, True

    def land(self, flight: Flight, landing: Landing) -> None:
        """Say what came of a flight. A stream can still be joined; anything else is over."""
        with self._lock:
            flight.landing = landing
            if landing.stream is None:
                self._remove(flight)
            waiters, flight.waiters = flight.waiters, []
        for waiter in waiters:
            waiter.set()

    def close(self, flight: Flight) -> None:
        """Let nobody join from now on."""
        with self._lock:
            self._remove(flight)

    def leave(self, flight: Flight) -> bool:
        """Count one caller out; return whether it was the last. A flight without callers cannot be joined."""
        with self._lock:
            flight.callers -= 1
            if flight.callers > 0:
                return False
            self._remove(flight)
            return True

    async def wait(self, flight: Flight, call: Call) -> Landing:
        """Wait until a flight has landed.

        Raises:
            DeadlineExceeded: the caller's own deadline passed first.
            BaseException: the caller was cancelled. In either case the caller has left the flight, and a task that
                nobody waits for any more is cancelled.
        """
        with self._lock:
            if flight.landing is not None:
                return flight.landing
            waiter = call.runtime.waiter()
            flight.waiters.append(waiter)
        try:
            left = None if call.deadline is None else max(0.0, call.deadline - call.runtime.now()) + _GRACE
            await waiter.wait(left)
        except BaseException:
            self._give_up(flight)
            raise
        landed = _landing_of(flight)
        if landed is None:
            self._give_up(flight)
            raise late("deadline", call.target, call.limits, "waiting for the same request of another caller")
        return landed

    def _give_up(self, flight: Flight) -> None:
        if self.leave(flight) and flight.job is not None:
            flight.job.cancel()  # it is done, unless it is still asking or reads a stream for nobody

    def _remove(self, flight: Flight) -> None:
        if self._flights.get((flight.key, flight.home)) is flight:
            del self._flights[flight.key, flight.home]
            self.over += 1


_all: weakref.WeakSet[Flights] = weakref.WeakSet()


def _forget_all() -> None:
    """Begin anew in a forked child, which has the flights of its parent but nobody who flies them."""
    for flights in _all:
        flights._forget()


after_fork(_forget_all)


def _landing_of(flight: Flight) -> Landing | None:
    return flight.landing


def fresh_copy(error: BaseException) -> BaseException:
    """Return an exception like `error` with a traceback of its own.

    Callers who share a failure would write into each other's otherwise.
    """
    kind = type(error)
    try:
        copy: Any = kind.__new__(kind, *error.args)
        copy.args = error.args
        copy.__dict__.update(error.__dict__)
        notes = getattr(error, "__notes__", None)
        if notes is not None:
            copy.__notes__ = list(notes)
        if str(copy) != str(error):
            return error
    except Exception:  # a class of the provider's or the user's may be built in any way
        return error
    copy.__cause__ = error.__cause__
    copy.__suppress_context__ = error.__suppress_context__
    return copy  # type: ignore[no-any-return]
