"""A stream in progress that any number of calls read, each from its beginning."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from agentprod.caching.single_flight import fresh_copy
from agentprod.caching.values import Unfaithful, freeze
from agentprod.dialects.function import from_json
from agentprod.errors import StreamInterrupted
from agentprod.events import Event
from agentprod.lateness import late

if TYPE_CHECKING:
    from agentprod.caching.recording import Recorder
    from agentprod.caching.single_flight import Flight, Flights
    from agentprod.call import Call
    from agentprod.reply import End, Reply
    from agentprod.runtime.waiter import Waiter
    from agentprod.stream import EventStream

__all__ = ["Joined", "SharedStream"]

LOOK_AHEAD = 64
"""Batches a task reads beyond what anybody has asked for."""


class SharedStream:
    """The events of one upstream stream, kept from the first on for those who join later.

    Among threads whoever needs the next batch pulls it, so that a caller who leaves, or is slow, holds up
    nobody. In a loop the flight's own task pulls (`pump`), since a cancelled caller would take the connection along.

    Args:
        reply: the leader's reply, open and streaming.

        recorder: the stage that records it. What it refuses is not kept for joining either.

        flight, flights: where callers are counted.

        pumped: whether a task pulls.
    """

    def __init__(self, reply: Reply, recorder: Recorder, flight: Flight, flights: Flights, *, pumped: bool) -> None:
        assert reply.stream is not None
        self.reply = reply
        self.inner: EventStream = reply.stream
        self.flight = flight
        self.flights = flights
        self._recorder = recorder
        self._pumped = pumped
        self._lock = threading.RLock()
        self._batches: list[list[Event]] = []
        self._dropped = 0
        self._wanted = 0
        self._consumers: set[Joined] = set()
        self._waiters: list[Waiter] = []
        self._demand: Waiter | None = None
        self._pulling = False
        self.ended = False
        self.error: BaseException | None = None
        self._whole = False
        reply.on_end(self._note_end)
        # It is no longer the leader's to close when the leader's call fails.
        ledger = reply.ledger
        ledger.streams = tuple(stream for stream in ledger.streams if stream is not self.inner)

    def _note_end(self, end: End) -> None:
        self._whole = end.outcome == "complete" and not end.partial

    def attach(self, consumer: Joined) -> None:
        """Count a consumer in."""
        with self._lock:
            self._consumers.add(consumer)

    async def read(self, consumer: Joined, call: Call) -> list[Event] | None:
        """Return the batch at a consumer's position; `None` at the end.

        Raises:
            DeadlineExceeded: the consumer's own deadline passed.
            Exception: what broke the stream.
        """
        while True:
            waiter = demand = None
            with self._lock:
                index = consumer.position - self._dropped
                if index < len(self._batches):
                    return self._batches[index]
                if self.ended:
                    break
                if self._pumped or self._pulling:
                    waiter = call.runtime.waiter()
                    self._waiters.append(waiter)
                    self._wanted = max(self._wanted, consumer.position + 1)
                    demand, self._demand = self._demand, None
                else:
                    self._pulling = True
            if waiter is None:
                await self._pull()
                continue
            if demand is not None:
                demand.set()
            until = call.limits.stream_until
            if not await waiter.wait(None if until is None else max(0.0, until - call.runtime.now())):
                raise late("deadline", call.target, call.limits)
        if self.error is not None:
            raise self.error if consumer.leads else fresh_copy(self.error)
        return None

    async def pump(self) -> None:
        """Pull for the consumers until the end, a little ahead of them."""
        try:
            while not self.ended:
                with self._lock:
                    waiter = None
                    if self._dropped + len(self._batches) >= self._wanted + LOOK_AHEAD:
                        waiter = self._demand = self.inner.runtime.waiter()
                if waiter is not None:
                    await waiter.wait()
                else:
                    await self._pull()
        except GeneratorExit:  # nothing may be awaited any more
            self.inner.drop()
            raise
        except BaseException:
            await self.inner.close("abandoned")
            raise
        finally:
            self._end(self._interruption())

    async def _pull(self) -> None:
        try:
            batch = await self.inner.pull()
        except Exception as error:
            self._end(error)
            return
        except BaseException:
            self._end(self._interruption())
            raise
        if batch is None:
            self._end(self._interruption())
            return
        with self._lock:
            self._batches.append(batch)
            self._pulling = False
            waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.set()
        if self._recorder.refused is not None:
            self._forget()

    def _forget(self) -> None:
        """Keep only what somebody has still to read."""
        self.flights.close(self.flight)
        with self._lock:
            if self.flight.callers > len(self._consumers):
                return  # somebody is about to read from the beginning
            read = min((consumer.position for consumer in self._consumers), default=0) - self._dropped
            if read > 0:
                del self._batches[:read]
                self._dropped += read

    def _end(self, error: BaseException | None) -> None:
        with self._lock:
            if self.ended:
                return
            self.ended, self.error, self._pulling = True, error, False
            waiters, self._waiters = self._waiters, []
        self.flights.close(self.flight)
        for waiter in waiters:
            waiter.set()

    def _interruption(self) -> StreamInterrupted | None:
        """Return what those who read on get when the stream has ended here; `None` when it is whole."""
        if self.ended or self._whole:
            return None
        text = self.inner.text()
        return StreamInterrupted(
            f"The stream from {self.inner.target} was left by the caller who was reading it, after {len(text)} "
            "characters of text.",
            partial=text,
            fault="cancelled",
            target=str(self.inner.target),
            open_tool_calls=self.inner.reader.open_tool_calls(),
            usage=self.inner.reader.usage,
        )

    async def detach(self, consumer: Joined) -> None:
        """Count a consumer out; after the last one the upstream stream is closed."""
        if self.inner.reader.sealed and not self.ended:
            # All is read but the end of the connection, which nobody need wait for. First the answer is stored,
            # then the flight can be left: who asks in between finds one or the other.
            await self._stop()
        if self._count_out(consumer):
            await self._stop()

    async def _stop(self) -> None:
        """Close the upstream stream."""
        with self._lock:
            if self.ended or (self._pulling and not self._pumped):
                return
            self._pulling = True
            waiter = self.inner.runtime.waiter()
            self._waiters.append(waiter)
        if self._pumped and self.flight.job is not None:
            self.flight.job.cancel()
            await waiter.wait()
        else:
            try:
                await self.inner.close("abandoned")
            finally:
                self._end(self._interruption())

    def drop(self, consumer: Joined) -> None:
        """Count a consumer out from a finalizer, on whatever thread it runs."""
        if not self._count_out(consumer):
            return
        if self._pumped and self.flight.job is not None:
            try:
                self.flight.job.cancel()
            except RuntimeError:  # the loop is closed, and the task with it
                pass
        else:
            self.inner.drop()

    def _count_out(self, consumer: Joined) -> bool:
        with self._lock:
            self._consumers.discard(consumer)
        return self.flights.leave(self.flight) and not self.ended


class Joined:
    """One caller's view of a shared stream: the source of the stream that this caller gets.

    Args:
        shared: the stream.

        call: the caller's.

        leads: whether this caller began it, and is told of the attempt behind it.

        copies: whether items are a function's own values, of which each caller needs a copy.
    """

    def __init__(self, shared: SharedStream, call: Call, *, leads: bool = False, copies: bool = False) -> None:
        self.position = 0
        self.leads = leads
        self.outer: Reply | None = None
        """The reply that reads from here."""
        self._shared = shared
        self._call = call
        self._copies = copies
        self._left = False
        shared.attach(self)

    async def read(self) -> list[Event] | None:
        """Return the next batch."""
        if self._left:
            return None
        try:
            batch = await self._shared.read(self, self._call)
        except Exception:
            self._account()
            raise
        if batch is None:
            self._account()
            return None
        self.position += 1
        return [_copied(event) for event in batch] if self._copies else list(batch)

    async def close(self) -> None:
        """Leave."""
        if not self._left:
            self._left = True
            await self._shared.detach(self)
            self._account()

    def drop(self) -> None:
        """Leave without waiting."""
        if not self._left:
            self._left = True
            self._shared.drop(self)

    async def error(self, event: Event) -> Exception:
        """Return a plain error: what a provider reports breaks the stream before it comes here."""
        return RuntimeError("the stream carried an error event")

    def broken(self, error: BaseException) -> BaseException:
        """Return `error` as it is."""
        return error

    def late(self) -> BaseException | None:
        """Return nothing: no SDK is behind this source."""
        return None

    def _account(self) -> None:
        """Give the leader's reply its attempt once that has ended; until then one's end is not the other's."""
        attempt = self._shared.reply.attempt
        if self.leads and self.outer is not None and attempt is not None and attempt.duration is not None:
            self.outer.attempt = attempt


def _copied(event: Event) -> Event:
    value = event.data if event.native is None else event.native
    try:
        text, kind = freeze(value)
    except Unfaithful:  # an item in the middle of a stream that has been plain so far
        return event
    copy = from_json(json.loads(text), kind)
    return Event(copy if event.native is None else event.data, event.raw, None if event.native is None else copy)
