"""Why a request is answered from the cache, or is not."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentprod.ambient import Ambient
from agentprod.board import Board
from agentprod.call import Call
from agentprod.context import current_context
from agentprod.ledger import Environment
from agentprod.opening import opening

if TYPE_CHECKING:
    from agentprod.caching.partition import Partition
    from agentprod.call import Target
    from agentprod.dialects.base import Dialect
    from agentprod.runtime.runtime import Runtime

__all__ = ["Explanation", "Seen", "likeliest"]

_MOST = 16


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the cache would do with a request, asked by whoever asks now. Times are seconds."""

    answer: str
    """`"hit" "stale" "miss" "bypass"`, or `"unknown"` before the cache has seen a call to go by."""
    reason: str | None = None
    """Why it is bypassed, in one word."""
    key: str | None = None
    """64 hex digits."""
    partition: Partition | None = None
    """Who shares the answer."""
    target: str | None = None
    age: float | None = None
    expires_in: float | None = None
    """How long it is still fresh; negative when it is stale."""
    similarity: float | None = None
    """Cosine of the text that decided; of the semantic cache only."""

    def __str__(self) -> str:
        told = [f"{self.answer}: {self.reason}" if self.reason else self.answer]
        if self.similarity is not None:
            told[0] += f" {self.similarity:.3f}"
        if self.target is not None:
            told.append(f"to {self.target}")
        if self.key is not None:
            told.append(f"key {self.key[:12]}…, shared by {self.partition}")
        if self.age is not None and self.expires_in is not None:
            told.append(f"stored {self.age:.0f} s ago, fresh for {self.expires_in:.0f} s")
        return "; ".join(told)


class Seen:
    """The places that calls went to, so that a bare request can be told where it would go."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._places: OrderedDict[tuple[str, str, str], tuple[Dialect, Target]] = OrderedDict()

    def note(self, call: Call) -> None:
        """Remember where a call goes, not what it says."""
        target = call.target
        place = (target.provider, target.base_url, call.dialect.name)
        if place in self._places:
            return
        with self._lock:
            self._places[place] = (call.dialect, target)
            if len(self._places) > _MOST:
                self._places.popitem(last=False)

    def calls(self, request: Mapping[str, Any], runtime: Runtime) -> list[Call]:
        """Return the call that a request would be at each place, the latest place first."""
        with self._lock:
            places = list(reversed(self._places.values()))
        return [_call(request, dialect, target, runtime) for dialect, target in places]


def likeliest(found: Sequence[Explanation]) -> Explanation:
    """Return what holds for a request that may go to several places: one that has its answer wins."""
    known = [each for each in found if each.age is not None]
    return (*known, *found, Explanation("unknown"))[0]


def _call(request: Mapping[str, Any], dialect: Dialect, target: Target, runtime: Runtime) -> Call:
    model = dialect.model(request)
    if model is not None and dialect.operation != "function":
        target = target.with_model(model)
    open_call = opening(Environment(runtime, Board()))
    return open_call(Ambient(current_context()), False, dialect, target, request, None)
