"""From a stored answer to a reply, in the form the caller asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentprod.caching.recording import Replay
from agentprod.call import Target
from agentprod.dialects.function import from_json
from agentprod.reply import Reply
from agentprod.stream import EventStream

if TYPE_CHECKING:
    from agentprod.caching.entries import Entry
    from agentprod.caching.values import Classes
    from agentprod.call import Call

__all__ = ["is_function", "rebuild", "server_of"]


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
        return Reply(call, from_json(body, kind) if is_function(call) else None, body=body)
    events = data if entry.form == "events" else call.dialect.split(data)
    natives = None if kind is None else [from_json(item, kind) for item in events]
    return Reply(call, stream=EventStream(Replay(events, natives), call))


def server_of(call: Call, entry: Entry) -> Target:
    """Return the target that an answer came from, for its price."""
    target = call.target
    if entry.model == target.model and entry.provider == target.provider:
        return target
    return Target(entry.provider, entry.base_url, entry.model, target.edge, target.credential, None, target.kind)
