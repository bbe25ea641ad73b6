"""A client as it sends a synchronous request that must end in time: it says on which socket."""

from __future__ import annotations

from typing import Any

from agentprod.edge.undecoded import Undecoded

__all__ = ["watched"]

_classes: dict[type, type] = {}


class Watched:
    """One override more, for those requests alone that need it: it is on the way of every request."""

    def _build_request(self, options: Any, **arguments: Any) -> Any:
        request = super()._build_request(options, **arguments)  # type: ignore[misc]
        marker = options.post_parser
        if type(marker) is Undecoded and marker.watch is not None:
            marker.watch.also(request.extensions.get("trace"))
            request.extensions = {**request.extensions, "trace": marker.watch}
        return request


def watched(client: Any) -> Any:
    """Return a wrapped client that hands its requests the watch of their options: the same state in another class."""
    kind = type(client)
    made = _classes.get(kind)
    if made is None:
        made = _classes[kind] = type(kind.__name__, (Watched, kind), {"__module__": kind.__module__})
    twin: Any = object.__new__(made)
    twin.__dict__ = client.__dict__
    return twin
