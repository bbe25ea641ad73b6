"""From a stored answer to a reply, in the form the caller asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentprod.caching.recording import Replay
from agentprod.call import Target
from agentprod.dialects.function import from_json
from agentprod.reply import Reply, make_reply
from agentprod.stream import EventStream

if TYPE_CHECKING:
    from agentprod.caching.counts import Counts
    from agentprod.caching.entries import Entry
    from agentprod.caching.values import Classes
    from agentprod.caching.warning import Warner
    from agentprod.call import Call

__all__ = ["Server", "is_function", "joined", "rebuild"]


def is_function(call: Call) -> bool:
    """Whether the call goes to a decorated function, whose values must come back as they were."""
    return hasattr(call.target.edge, "fn")


def rebuild(call: Call, entry: Entry, classes: Classes) -> Reply | None:
    """Return the reply an entry holds, with fresh objects; `None` when a class it needs is not known here.

    A recorded stream answers a whole call joined, a body answers a streaming call split; a stream is replayed
    event by event as it came.
    """
    kind: type | None = None
    if entry.kind is not None:
        kind = classes.find(entry.kind, getattr(call.target.edge, "fn", None))
        if kind is None:
            return None
    data = entry.data()
    if not call.streaming:
        body = data if entry.form == "body" else call.dialect.join(data)
        return make_reply(call, from_json(body, kind) if is_function(call) else None, body=body)
    events = data if entry.form == "events" else call.dialect.split(data)
    natives = None if kind is None else [from_json(item, kind) for item in events]
    return make_reply(call, stream=EventStream(Replay(events, natives), call))


class Server:
    """Serves hits, and tells what they saved.

    Args:
        classes: the classes of functions' values.

        counts, warner: where hits and failures are told.
    """

    def __init__(self, classes: Classes, counts: Counts, warner: Warner) -> None:
        self._classes = classes
        self._counts = counts
        self._warner = warner

    def serve(self, call: Call, entry: Entry, age: float, *, similar: bool = False, **why: str | float) -> Reply | None:
        """Return the reply of a hit; `None` when the entry turns out to be of no use.

        Args:
            call: the call.

            entry: its answer, or that of a similar one.

            age: of the entry, in seconds.

            similar: the entry answers a similar request.

            why: what decided, for the trace.
        """
        reply = self.copy(call, entry)
        if reply is None:
            return None
        fresh = age < entry.terms.fresh
        ledger = call.ledger
        ledger.cache = "hit_semantic" if similar else "hit_exact" if fresh else "stale"
        ledger.served = _served(call, entry)
        ledger.saved_usage = entry.usage
        ledger.note(self._warner.layer, "hit" if fresh else "stale", age=age, **why)
        self._counts.hit(entry.usage, fresh)
        return reply

    def join(self, call: Call, entry: Entry) -> Reply | None:
        """Return the reply of a caller who shared another's call; `None` when its answer is of no use."""
        reply = self.copy(call, entry)
        if reply is None:
            return None
        joined(call, _served(call, entry), self._warner.layer)
        call.ledger.saved_usage = entry.usage
        self._counts.hit(entry.usage, joined=True)
        return reply

    def copy(self, call: Call, entry: Entry) -> Reply | None:
        """Return the reply an entry holds; `None` when it cannot be read, or needs a class that is not known here."""
        try:
            return rebuild(call, entry, self._classes)
        except Exception as error:
            self._counts.add("errors")
            self._warner.failed("reading an entry", error)
            return None


def joined(call: Call, served: Target | None, layer: str) -> None:
    """Write down that a caller shared another's call."""
    call.ledger.cache = "hit_exact"
    call.ledger.served = served
    call.ledger.note(layer, "joined")


def _served(call: Call, entry: Entry) -> Target:
    """Return the target that an answer came from, for its price."""
    target = call.target
    if entry.model == target.model and entry.provider == target.provider:
        return target
    return Target(entry.provider, entry.base_url, entry.model, target.edge, target.credential, None, target.kind)
