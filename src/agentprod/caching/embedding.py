"""Embed a text for a call: off the event loop, within its time, and never at the call's expense."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from agentprod.runtime.offload import in_thread
from agentprod.stores.base import StoreUnavailable
from agentprod.stores.outage import Outage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from agentprod.caching.counts import Counts
    from agentprod.caching.decision import Probe
    from agentprod.caching.matcher import SemanticMatcher
    from agentprod.caching.warning import Warner
    from agentprod.call import Call

    Vector = NDArray[np.float32]

__all__ = ["Embedding", "Reading"]

T = TypeVar("T")

_MOST_READ = 512
"""Texts whose reading is remembered: a popular wording is not stored under its own text, and not embedded twice."""


class Reading(NamedTuple):
    """A text made ready for matching; `vector` is `None` when it is refused, or could not be embedded now."""

    probe: Probe
    vector: Vector | None


class Embedding:
    """Reads texts and embeds them.

    An embedder that raises, or a service that takes too long, gives no vector: that is counted, and warned of once.
    After three failures in a row it is left alone for 0.2 to 5 seconds. What computes in this process has until the
    call's deadline: it cannot be stopped, and under load it waits for its turn.

    Args:
        matcher: whose embedder and guards read the texts.

        within: seconds that a service may take to embed a text.

        counts, warner: where failures are told.
    """

    def __init__(self, matcher: SemanticMatcher[Any], within: float, counts: Counts, warner: Warner) -> None:
        self._matcher = matcher
        self._embedder = matcher.embedder
        self._within = within
        self._counts = counts
        self._warner = warner
        self._outage = Outage("embedder")
        self._read: OrderedDict[str, Reading] = OrderedDict()
        self._lock = threading.Lock()

    async def read(self, call: Call, text: str) -> Reading | None:
        """Return the text ready for matching; `None` when it could not be read at all."""
        known = self._read.get(text)
        if known is not None:
            return known
        reading = await self._new(call, text)
        if reading is not None and (reading.vector is not None or reading.probe.refusal):
            with self._lock:
                self._read[text] = reading
                if len(self._read) > _MOST_READ:
                    self._read.popitem(last=False)
        return reading

    async def _new(self, call: Call, text: str) -> Reading | None:
        try:
            if self._embedder.remote:
                probe = self._matcher.read(text)
                vector = None if probe.refusal else await self._ask(call, probe.text)
                return Reading(probe, vector)
            if call.runtime.kind == "sync":
                return self._compute(text)
            async with call.runtime.timeout(call.deadline):
                return await in_thread(self._compute, text)
        except Exception as error:  # guards and `refuse` may be the user's, too
            self._failed("reading a text", error)
            return None

    async def _ask(self, call: Call, text: str) -> Vector | None:
        """Embed by a service, whose own calls do not pass this stack again."""
        if not self._tried():
            return None
        runtime = call.runtime
        until = runtime.now() + self._within
        if call.deadline is not None:
            until = min(until, call.deadline)
        try:
            with call.helper():
                async with runtime.timeout(until):
                    rows: Vector = await runtime.run(
                        lambda: _in_time(lambda: self._embedder.embed([text]), until - runtime.now()),
                        lambda: self._embedder.aembed([text]),
                    )
        except Exception as error:
            self._outage.failed()
            self._failed("embedding a text", error)
            return None
        self._outage.worked()
        vector: Vector = rows[0]
        return vector

    def _compute(self, text: str) -> Reading:
        """Read and embed on this thread."""
        probe = self._matcher.read(text)
        if probe.refusal or not self._tried():
            return Reading(probe, None)
        try:
            vector = self._embedder.embed([probe.text])[0]
        except Exception as error:
            self._outage.failed()
            self._failed("embedding a text", error)
            return Reading(probe, None)
        self._outage.worked()
        return Reading(probe, vector)

    def _tried(self) -> bool:
        try:
            self._outage.check()
        except StoreUnavailable:
            return False
        return True

    def _failed(self, what: str, error: Exception) -> None:
        self._counts.add("errors")
        self._warner.failed(what, error)


def _in_time(fn: Callable[[], T], seconds: float) -> T:
    """Return `fn()`, run on a thread of its own, which is left behind when it takes longer.

    Raises:
        TimeoutError: it took longer.
        Exception: what it raised.
    """
    done: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            done.put((fn(), None))
        except BaseException as error:
            done.put((None, error))

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work,), name="agentprod-embed", daemon=True).start()
    try:
        value, error = done.get(timeout=max(0.0, seconds))
    except queue.Empty:
        raise TimeoutError(f"no vector within {seconds} s") from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]
