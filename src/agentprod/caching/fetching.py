"""Ask the rest of the onion on a miss: once for all who wait, and remember what it says."""

from __future__ import annotations

import logging
import threading
import weakref
from typing import TYPE_CHECKING, Any

from agentprod.caching.recording import Recorder
from agentprod.caching.refusals import refuse_ledger
from agentprod.caching.selecting import Selection
from agentprod.caching.serving import is_function, joined
from agentprod.caching.shared_stream import Joined, SharedStream
from agentprod.caching.single_flight import Flight, Flights, Landing, fresh_copy
from agentprod.caching.values import Unfaithful
from agentprod.call import NO_LIMITS
from agentprod.errors import DeadlineExceeded
from agentprod.ledger import Ledger
from agentprod.reply import Reply
from agentprod.stream import EventStream

if TYPE_CHECKING:
    from agentprod.caching.counts import Counts
    from agentprod.caching.entries import Entry
    from agentprod.caching.keys import Ticket
    from agentprod.caching.serving import Server
    from agentprod.caching.tiers import Tiers
    from agentprod.caching.warning import Warner
    from agentprod.caching.writing import Writer
    from agentprod.call import Call, CallNext
    from agentprod.reply import End

__all__ = ["Fetcher"]

_log = logging.getLogger("agentprod")

REFRESH_SECONDS = 300.0
"""After this time a refresh that was never heard of again is forgotten."""


class Fetcher:
    """Gets answers that are not stored, and stores them."""

    def __init__(self, writer: Writer, server: Server, tiers: Tiers, counts: Counts, warner: Warner) -> None:
        self._writer = writer
        self._server = server
        self._tiers = tiers
        self._counts = counts
        self._warner = warner
        self._flights = Flights()
        # Functions whose values or items are known to come back equal, or not to.
        self._faithful: weakref.WeakSet[Any] = weakref.WeakSet()
        self._unfaithful: weakref.WeakSet[Any] = weakref.WeakSet()
        self._refreshing: dict[tuple[str, object], float] = {}
        self._lock = threading.RLock()

    @property
    def over(self) -> int:
        """How many flights are over; to be read before a look-up whose miss leads to `fetch`."""
        return self._flights.over

    async def fetch(self, call: Call, call_next: CallNext, ticket: Ticket, over: int) -> Reply:
        """Ask, or wait for somebody who is asking the same.

        Args:
            call: the call.

            call_next: whom it goes to.

            ticket: where its answer is kept.

            over: how many flights were over before the look-up that found nothing.
        """
        if is_function(call):
            edge = call.target.edge
            if edge in self._unfaithful or (call.streaming and edge not in self._faithful):
                return await self.fetch_alone(call, call_next, ticket)
        while True:
            flight, leads = self._flights.board((ticket.key, ticket.epoch), call.runtime.home())
            if leads:
                # One that ended since may have brought what was missing.
                reply = await self._brought(flight, call, ticket) if self.over != over else None
                if reply is not None:
                    return reply
                self._counts.add("misses")
                if call.runtime.kind == "sync":
                    return await self._lead(flight, call, call_next, ticket)
                return await self._lead_by_task(flight, call, call_next, ticket)
            landing = flight.landing or await self._flights.wait(flight, call)
            if landing.error is not None:
                if not _own_trouble(landing.error):
                    call.ledger.note("Cache", "joined")
                    raise fresh_copy(landing.error)
                continue  # it speaks of the leader alone: somebody else leads now
            reply = await self._join(flight, landing, call)
            if reply is None:
                return await self.fetch_alone(call, call_next, ticket)
            return reply

    async def _brought(self, flight: Flight, call: Call, ticket: Ticket) -> Reply | None:
        try:
            found = await self._tiers.get(call.runtime, ticket.key)
        except BaseException as error:
            self._flights.land(flight, Landing(error=error))
            if not isinstance(error, Exception):
                raise
            self._failed("looking up", error)
            return None
        if found is None or found[1] >= found[0].terms.fresh:
            return None
        reply = self._server.serve(call, *found)
        if reply is not None:
            self._flights.land(flight, Landing(entry=found[0]))
        return reply

    async def fetch_alone(self, call: Call, call_next: CallNext, ticket: Ticket) -> Reply:
        """Ask for this caller only."""
        self._counts.add("misses")
        return await self._ask_alone(call, call_next, ticket)

    async def _ask_alone(self, call: Call, call_next: CallNext, ticket: Ticket) -> Reply:
        reply = await call_next(call)
        if reply.stream is not None:
            self._record(call, reply, ticket)
            return reply
        captured = self._capture(call, reply, ticket)
        if captured is not None:
            entry, body = captured

            def ended(end: End) -> None:
                if end.outcome == "complete":
                    self._keep(call, entry, body, ticket)

            reply.on_end(ended)
        return reply

    # Leading

    async def _lead(self, flight: Flight, call: Call, call_next: CallNext, ticket: Ticket) -> Reply:
        """Ask on the caller's own thread, for all who wait."""
        try:
            reply = await call_next(call)
        except BaseException as error:
            self._flights.land(flight, Landing(error=error))
            raise
        shared = self._land(flight, call, reply, ticket)
        return reply if shared is None else self._view(call, shared, leads=True)

    async def _lead_by_task(self, flight: Flight, call: Call, call_next: CallNext, ticket: Ticket) -> Reply:
        """Ask in a task of its own, which lives as long as anybody waits for it."""
        flight.job = call.runtime.spawn(self._fly(flight, call, call_next, ticket))
        try:
            landing = await self._flights.wait(flight, call)
        except BaseException:
            flight.leader_left = True
            if flight.reply is not None:
                call.runtime.spawn(flight.reply.finish("complete"))
            raise
        if landing.stream is not None:
            return self._view(call, landing.stream, leads=True)
        if landing.error is not None:
            raise landing.error
        assert flight.reply is not None
        return flight.reply

    async def _fly(self, flight: Flight, call: Call, call_next: CallNext, ticket: Ticket) -> None:
        try:
            reply = await call_next(call)
        except Exception as error:
            self._flights.land(flight, Landing(error=error))
            return
        except BaseException as error:
            self._flights.land(flight, Landing(error=error))
            raise
        flight.reply = reply
        shared = self._land(flight, call, reply, ticket)
        if shared is not None:
            await shared.pump()
        elif flight.leader_left:
            await reply.finish("complete")  # nobody hands it out: its hooks run here

    def _land(self, flight: Flight, call: Call, reply: Reply, ticket: Ticket) -> SharedStream | None:
        """Tell those who wait; return the stream that leader and joiners read, if it is one."""
        if reply.stream is None:
            captured = self._capture(call, reply, ticket)
            entry = None
            if captured is not None:
                entry, body = captured
                if self._keep(call, entry, body, ticket):
                    reply.on_settle(_Retraction(self._tiers, call, entry.key))
            self._flights.land(flight, Landing(entry=entry))
            return None
        if reply.dialect is not call.dialect:
            # Another wire format, which is translated further out: each caller's own business.
            self._refuse(call, "foreign_form")
            self._flights.land(flight, Landing())
            return None
        recorder = self._record(call, reply, ticket)
        shared = SharedStream(reply, recorder, flight, self._flights, pumped=flight.job is not None)
        self._flights.land(flight, Landing(stream=shared))
        return shared

    # Joining

    async def _join(self, flight: Flight, landing: Landing, call: Call) -> Reply | None:
        """Return a joiner's reply; `None` when it has to ask for itself after all."""
        shared = landing.stream
        if shared is None:
            return None if landing.entry is None else self._server.join(call, landing.entry)
        reply: Reply | None
        if call.streaming:
            reply = self._view(call, shared, leads=False)
            assert reply.stream is not None
            reply.on_end(_Savings(self._counts, call.ledger, reply.stream))
        else:
            reply = await self._drained(call, shared)
            if reply is None:
                return None
            call.ledger.saved_usage = reply.usage
            self._counts.hit(reply.usage, joined=True)
        joined(call, shared.reply.ledger.served)
        return reply

    async def _drained(self, call: Call, shared: SharedStream) -> Reply | None:
        """Read a stream to its end for a caller who wants the whole; `None` when it broke."""
        source = Joined(shared, call)
        events: list[Any] = []
        try:
            while (batch := await source.read()) is not None:
                events.extend(event.data for event in batch if event.data is not None)
        except DeadlineExceeded:
            raise
        except Exception:
            return None
        finally:
            await source.close()
        return Reply(call, body=call.dialect.join(events))

    def _view(self, call: Call, shared: SharedStream, *, leads: bool) -> Reply:
        source = Joined(shared, call, leads=leads, copies=is_function(call) and not leads)
        reply = Reply(call, shared.reply.native if leads else None, stream=EventStream(source, call))
        source.outer = reply
        return reply

    # Remembering

    def _capture(self, call: Call, reply: Reply, ticket: Ticket) -> tuple[Entry, Any] | None:
        """Return the entry of a whole reply and its body; `None` when there can be none."""
        if reply.dialect is not call.dialect:
            self._refuse(call, "foreign_form")
            return None
        try:
            return self._writer.whole(call, reply, ticket)
        except Unfaithful as error:
            self._unfaithful.add(call.target.edge)
            self._refuse(call, "unfaithful")
            self._warner.unfaithful(call, f"a {error}")
        except Exception as error:
            self._failed("making an entry", error)
        return None

    def _record(self, call: Call, reply: Reply, ticket: Ticket) -> Recorder:
        """Let a stream be written down as it passes, and be kept when it has ended well."""
        assert reply.stream is not None
        recorder = Recorder(native=is_function(call))
        if reply.dialect is not call.dialect:
            recorder.refused = "foreign_form"
        reply.stream.add(recorder)

        def ended(end: End) -> None:
            if recorder.unfaithful is not None:
                self._unfaithful.add(call.target.edge)
                self._warner.unfaithful(call, recorder.unfaithful)
            if end.outcome != "complete" or end.partial:
                self._refuse(call, "unread")
            elif recorder.refused is not None:
                self._refuse(call, recorder.refused)
            else:
                if is_function(call):
                    self._faithful.add(call.target.edge)
                try:
                    entry, body = self._writer.recorded(call, recorder, ticket)
                except Exception as error:
                    self._failed("making an entry", error)
                else:
                    self._keep(call, entry, body, ticket)

        reply.on_end(ended)
        return recorder

    def _keep(self, call: Call, entry: Entry, body: Any, ticket: Ticket) -> bool:
        try:
            reason = self._writer.refusal(call, body)
            if reason is not None:
                self._refuse(call, reason)
                return False
            if not self._tiers.put(call.runtime, entry, ticket):
                self._refuse(call, "invalidated")
                return False
        except Exception as error:
            self._failed("keeping an entry", error)
            return False
        self._counts.add("stored")
        return True

    def _refuse(self, call: Call, reason: str) -> None:
        self._counts.refuse(reason)
        call.ledger.note("Cache", "not_stored", reason=reason)

    def _failed(self, what: str, error: Exception) -> None:
        self._counts.add("errors")
        self._warner.failed(what, error)

    # Refreshing

    def refresh(self, call: Call, call_next: CallNext, ticket: Ticket) -> None:
        """Fetch an answer anew beside the call, unless somebody does already."""
        here = (ticket.key, call.runtime.home())
        now = call.runtime.now()
        with self._lock:
            if now - self._refreshing.get(here, -REFRESH_SECONDS) < REFRESH_SECONDS:
                return
            self._refreshing[here] = now
        ledger = Ledger(now, call.ledger.environment, call.context, call.ledger.listeners)
        ledger.note("Cache", "refresh")
        # Nobody waits for it, and the span of the call it belongs to will have ended.
        anew = call.replace(ledger=ledger, deadline=None, limits=NO_LIMITS, observers=())
        call.runtime.spawn(self._refresh(anew, call_next, ticket, here))

    async def _refresh(self, call: Call, call_next: CallNext, ticket: Ticket, here: tuple[str, object]) -> None:
        ledger = call.ledger
        try:
            reply = await self._ask_alone(call, call_next, ticket)
            if reply.stream is None:
                await reply.finish("complete")
            else:
                while await reply.stream.pull() is not None:
                    pass
            ledger.outcome = "complete"
            self._counts.add("refreshed")
        except Exception as error:
            ledger.outcome, ledger.error = "failed", error
            _log.debug("a stale answer could not be fetched anew: %s", type(error).__name__)
        finally:
            ledger.duration = call.runtime.now() - ledger.started
            with self._lock:
                self._refreshing.pop(here, None)
        for listener in ledger.listeners:
            try:
                listener(call)
            except Exception:
                _log.exception("a listener at the end of a refresh failed")


class _Savings:
    """Counts what a joined stream saved, once its end has told."""

    __slots__ = ("_counts", "_ledger", "_stream")

    def __init__(self, counts: Counts, ledger: Ledger, stream: EventStream) -> None:
        self._counts = counts
        self._ledger = ledger
        self._stream = stream

    def __call__(self, end: End) -> None:
        self._ledger.saved_usage = self._stream.reader.usage
        self._counts.hit(self._stream.reader.usage, joined=True)


class _Retraction:
    """Takes an entry back when a layer further out dropped the reply, or flagged it."""

    __slots__ = ("_call", "_key", "_tiers")

    def __init__(self, tiers: Tiers, call: Call, key: str) -> None:
        self._tiers = tiers
        self._call = call
        self._key = key

    async def __call__(self, end: End) -> None:
        if end.outcome == "discarded" or refuse_ledger(self._call.ledger) is not None:
            await self._tiers.remove(self._call.runtime, Selection(key=self._key))


def _own_trouble(error: BaseException) -> bool:
    """Whether what ended the leader's call is no answer to anybody else: its own deadline, its own interruption."""
    return isinstance(error, DeadlineExceeded) or not isinstance(error, Exception)
