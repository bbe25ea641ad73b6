"""Ask the rest of the onion on a miss: once for all who wait, and remember what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentprod.caching.serving import is_function, joined
from agentprod.caching.shared_stream import Joined, SharedStream
from agentprod.caching.single_flight import Flight, Flights, Landing, fresh_copy
from agentprod.errors import DeadlineExceeded
from agentprod.ledger import Ledger
from agentprod.reply import Reply, make_reply
from agentprod.stream import EventStream

if TYPE_CHECKING:
    from agentprod.caching.counts import Counts
    from agentprod.caching.keeping import Keeper
    from agentprod.caching.keys import Ticket
    from agentprod.caching.serving import Server
    from agentprod.caching.tiers import Tiers
    from agentprod.call import Call, CallNext
    from agentprod.reply import End

__all__ = ["Fetcher"]


class Fetcher:
    """Gets answers that are not stored.

    Args:
        keeper: keeps them.

        server: makes copies for those who shared a call.

        tiers: where to look again.

        counts: where misses and joiners are counted.
    """

    def __init__(self, keeper: Keeper, server: Server, tiers: Tiers, counts: Counts) -> None:
        self._keeper = keeper
        self._server = server
        self._tiers = tiers
        self._counts = counts
        self._flights = Flights()

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
        if not self._keeper.can_share(call):
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
                    call.ledger.note(self._keeper.layer, "joined")
                    raise fresh_copy(landing.error)
                continue  # it speaks of the leader alone: somebody else leads now
            reply = await self._join(flight, landing, call)
            if reply is None:
                return await self.fetch_alone(call, call_next, ticket)
            return reply

    async def _brought(self, flight: Flight, call: Call, ticket: Ticket) -> Reply | None:
        try:
            found = await self._tiers.get(call.runtime, ticket)
        except Exception as error:
            self._keeper.failed("looking up", error)
            return None
        except BaseException as error:
            self._flights.land(flight, Landing(error=error))
            raise
        if found is None or found[1] >= found[0].terms.fresh:
            return None
        reply = self._server.serve(call, *found)
        if reply is not None:
            self._flights.land(flight, Landing(entry=found[0]))
        return reply

    async def fetch_alone(self, call: Call, call_next: CallNext, ticket: Ticket) -> Reply:
        """Ask for this caller only."""
        self._counts.add("misses")
        reply = await call_next(call)
        self._keeper.keep_at_end(call, reply, ticket)
        return reply

    # Leading

    async def _lead(self, flight: Flight, call: Call, call_next: CallNext, ticket: Ticket) -> Reply:
        """Ask on the caller's own thread, for all who wait."""
        try:
            reply = await call_next(call)
        except BaseException as error:
            self._flights.land(flight, Landing(error=error))
            raise
        try:
            shared = self._land(flight, call, reply, ticket)
        except BaseException:
            await reply.discard()
            raise
        return reply if shared is None else self._view(call, shared, leads=True)

    async def _lead_by_task(self, flight: Flight, call: Call, call_next: CallNext, ticket: Ticket) -> Reply:
        """Ask in a task of its own, which lives as long as anybody waits for it."""
        flight.job = call.runtime.spawn(self._fly(flight, call, call_next, ticket))
        try:
            landing = await self._flights.wait(flight, call)
        except BaseException:
            flight.leader_left = True
            if flight.reply is not None:
                call.runtime.spawn(_release(flight.reply))
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
        try:
            shared = self._land(flight, call, reply, ticket)
        except BaseException as error:
            await reply.discard()
            if not isinstance(error, Exception):
                raise
            return  # the leader raises it
        if shared is not None:
            await shared.pump()
        elif flight.leader_left:
            await _release(reply)  # nobody hands it out: its hooks run here

    def _land(self, flight: Flight, call: Call, reply: Reply, ticket: Ticket) -> SharedStream | None:
        """Tell those who wait; return the stream that leader and joiners read, if it is one."""
        shared: SharedStream | None = None
        landing = Landing()
        try:
            if reply.stream is None:
                landing = Landing(entry=self._keeper.keep_now(call, reply, ticket))
            elif reply.dialect is call.dialect:
                recorder = self._keeper.record(call, reply, ticket)
                shared = SharedStream(reply, recorder, flight, self._flights, pumped=flight.job is not None)
                landing = Landing(stream=shared)
            else:
                # Another wire format, which is translated further out, is each caller's own business.
                self._keeper.refuse(call, "foreign_form")
        except BaseException as error:
            landing = Landing(error=error)  # a warning that is to be an error
            raise
        finally:
            flight.reply = None if shared is not None else reply
            self._flights.land(flight, landing)
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
        joined(call, shared.reply.ledger.served, self._keeper.layer)
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
        return make_reply(call, body=call.dialect.join(events))

    def _view(self, call: Call, shared: SharedStream, *, leads: bool) -> Reply:
        source = Joined(shared, call, leads=leads, copies=is_function(call) and not leads)
        stream = EventStream(source, call)
        if leads:
            # They have seen the events pass by on the way into the shared stream.
            stream.observers = stream.followers = ()
        reply = make_reply(call, shared.reply.native if leads else None, stream=stream)
        source.outer = reply
        return reply


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


async def _release(reply: Reply) -> None:
    """End a reply that nobody takes."""
    if reply.stream is None:
        await reply.finish("complete")
    else:
        await reply.stream.close("abandoned")


def _own_trouble(error: BaseException) -> bool:
    """Whether what ended the leader's call is no answer to anybody else: its own deadline, its own interruption."""
    return isinstance(error, DeadlineExceeded) or not isinstance(error, Exception)
