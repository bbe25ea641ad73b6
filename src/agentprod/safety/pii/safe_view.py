"""What spans, logs and audits may read of a call: computed only when somebody reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from agentprod.safety.pii.documents import scrub_value
from agentprod.safety.pii.scrubber import Scrubber
from agentprod.safety.pii.vault import Vault

__all__ = ["SafeReply", "SafeRequest", "view_of"]


def view_of(value: Any, scrubber: Scrubber) -> Any:
    """Return JSON-able data with everything found named instead of shown; placeholders stay.

    What cannot be examined becomes `None`: a view that leaks is worse than none.
    """
    try:
        return scrub_value(value, scrubber, Vault(), direction="output")
    except Exception:  # whatever is wrong with it, nobody must see it
        return None


class SafeRequest(Mapping[str, Any]):
    """The scrubbed request, with what the strategies let pass named as well.

    Args:
        request: as it is sent.

        scrubber: names what is found.
    """

    __slots__ = ("_made", "_request", "_scrubber")

    def __init__(self, request: Mapping[str, Any], scrubber: Scrubber) -> None:
        self._request, self._scrubber = request, scrubber
        self._made: Mapping[str, Any] | None = None

    def _view(self) -> Mapping[str, Any]:
        made = self._made
        if made is None:
            made = self._made = view_of(dict(self._request), self._scrubber) or {}
        return made

    def __getitem__(self, name: str) -> Any:
        return self._view()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._view())

    def __len__(self) -> int:
        return len(self._view())

    def __repr__(self) -> str:
        return f"<SafeRequest of {len(self._request)} fields>"


class SafeReply:
    """The reply before values came back, with what the model made up named: call it to get the body.

    Args:
        load: returns the body.

        scrubber: names what is found.
    """

    __slots__ = ("_load", "_scrubber")

    def __init__(self, load: Callable[[], Any], scrubber: Scrubber) -> None:
        self._load, self._scrubber = load, scrubber

    def __call__(self) -> Any:
        """Return the body; of a stream, what has come so far."""
        return view_of(self._load(), self._scrubber)

    def __repr__(self) -> str:
        return "<SafeReply>"
