"""Keep what may be kept of a reply."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from agentprod.caching.recording import Recorder
from agentprod.caching.refusals import refuse_ledger
from agentprod.caching.serving import is_function
from agentprod.caching.values import Unfaithful

if TYPE_CHECKING:
    from agentprod.caching.counts import Counts
    from agentprod.caching.entries import Entry
    from agentprod.caching.keys import Ticket
    from agentprod.caching.tiers import Tiers
    from agentprod.caching.warning import Warner
    from agentprod.caching.writing import Writer
    from agentprod.call import Call
    from agentprod.reply import End, Reply

__all__ = ["Keeper"]


class Keeper:
    """Makes entries of replies and keeps them. What fails in it is told, and nothing else.

    Args:
        writer: makes entries, and says which may be kept.

        tiers: where they go.

        counts, warner: where refusals and failures are told.
    """

    def __init__(self, writer: Writer, tiers: Tiers, counts: Counts, warner: Warner) -> None:
        self._writer = writer
        self._tiers = tiers
        self._counts = counts
        self._warner = warner
        self.layer = warner.layer
        """Whose replies these are."""
        # Functions whose values or items are known to come back equal, or not to.
        self._faithful: weakref.WeakSet[Any] = weakref.WeakSet()
        self._unfaithful: weakref.WeakSet[Any] = weakref.WeakSet()
        self._doubted = False

    def can_share(self, call: Call) -> bool:
        """Whether several callers may get copies of one reply.

        Of a function's values it is found out by the first one; items have been handed out by then, so a function
        that streams has to have done so once before.
        """
        if not is_function(call):
            return True
        edge = call.target.edge
        if self._doubted and edge in self._unfaithful:
            return False
        return not call.streaming or edge in self._faithful

    def _doubt(self, call: Call) -> None:
        self._unfaithful.add(call.target.edge)
        self._doubted = True  # asking the set takes longer than anything else a waiting caller is asked

    def keep_now(self, call: Call, reply: Reply, ticket: Ticket) -> Entry | None:
        """Keep a whole reply, until a layer further out drops it; return its entry, if there can be one."""
        captured = self._capture(call, reply, ticket)
        if captured is None:
            return None
        entry, body = captured
        if self._keep(call, entry, body, ticket):
            reply.on_settle(_Retraction(self._tiers, call, entry, ticket))
        return entry

    def keep_at_end(self, call: Call, reply: Reply, ticket: Ticket) -> None:
        """Keep a reply once it has left the onion whole."""
        if reply.stream is not None:
            self.record(call, reply, ticket)
            return
        captured = self._capture(call, reply, ticket)
        if captured is not None:
            entry, body = captured

            def ended(end: End) -> None:
                if end.outcome == "complete":
                    self._keep(call, entry, body, ticket)

            reply.on_end(ended)

    def _capture(self, call: Call, reply: Reply, ticket: Ticket) -> tuple[Entry, Any] | None:
        """Return the entry of a whole reply and its body; `None` when there can be none."""
        if reply.dialect is not call.dialect:
            self.refuse(call, "foreign_form")
            return None
        try:
            return self._writer.whole(call, reply, ticket)
        except Unfaithful as error:
            self._doubt(call)
            self.refuse(call, "unfaithful")
            self._warner.unfaithful(call, f"a {error}")
        except Exception as error:
            self.failed("making an entry", error)
        return None

    def record(self, call: Call, reply: Reply, ticket: Ticket) -> Recorder:
        """Let a stream be written down as it passes, and be kept when it has ended well."""
        assert reply.stream is not None
        recorder = Recorder(native=is_function(call))
        if reply.dialect is not call.dialect:
            recorder.refused = "foreign_form"
        reply.stream.add(recorder)

        def ended(end: End) -> None:
            if recorder.unfaithful is not None:
                self._doubt(call)
                self._warner.unfaithful(call, recorder.unfaithful)
            if end.outcome != "complete" or end.partial:
                self.refuse(call, "unread")
            elif recorder.refused is not None:
                self.refuse(call, recorder.refused)
            else:
                if is_function(call):
                    self._faithful.add(call.target.edge)
                try:
                    entry, body = self._writer.recorded(call, recorder, ticket)
                except Exception as error:
                    self.failed("making an entry", error)
                else:
                    self._keep(call, entry, body, ticket)

        reply.on_end(ended)
        return recorder

    def _keep(self, call: Call, entry: Entry, body: Any, ticket: Ticket) -> bool:
        try:
            reason = self._writer.refusal(call, body)
            if reason is not None:
                self.refuse(call, reason)
                return False
            if not self._tiers.put(call.runtime, entry, ticket):
                self.refuse(call, "invalidated")
                return False
        except Exception as error:
            self.failed("keeping an entry", error)
            return False
        self._counts.add("stored")
        return True

    def refuse(self, call: Call, reason: str) -> None:
        """Tell that a reply is not kept, and why in one word."""
        self._counts.refuse(reason)
        call.ledger.note(self.layer, "not_stored", reason=reason)

    def failed(self, what: str, error: Exception) -> None:
        """Tell that something inside the cache failed."""
        self._counts.add("errors")
        self._warner.failed(what, error)


class _Retraction:
    """Takes an entry back when a layer further out dropped the reply, or flagged it."""

    __slots__ = ("_call", "_entry", "_ticket", "_tiers")

    def __init__(self, tiers: Tiers, call: Call, entry: Entry, ticket: Ticket) -> None:
        self._tiers = tiers
        self._call = call
        self._entry = entry
        self._ticket = ticket

    async def __call__(self, end: End) -> None:
        if end.outcome == "discarded" or refuse_ledger(self._call.ledger) is not None:
            await self._tiers.retract(self._call.runtime, self._entry, self._ticket)
