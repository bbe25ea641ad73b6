"""When the spans of a provider are seen: each as it ends, or many together."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["Delivery"]


class Delivery:
    """How a provider of the OpenTelemetry SDK hands its spans on.

    Args:
        chain: its span processors, as SDK 1.45 keeps them.

        first: ours, which finishes what waits before any of the others is flushed or shut down.
    """

    __slots__ = ("_chain", "_first", "_in_batches", "_seen")

    def __init__(self, chain: Any, first: Any) -> None:
        self._chain = chain
        self._first = first
        self._seen: Any = None
        self._in_batches = False

    @property
    def in_batches(self) -> bool:
        """Whether spans wait for a batch in any case, so that nobody can tell whether one ends now or a little later.

        A processor of another kind may look at each span as it ends, in the context of the call.
        """
        processors = self._chain._span_processors
        if processors is not self._seen:  # they are replaced, never changed
            self._in_batches = self._all_batch(processors)
            self._seen = processors
        return self._in_batches

    def _all_batch(self, processors: Any) -> bool:
        export = sys.modules.get("opentelemetry.sdk.trace.export")
        if export is None or not isinstance(processors, tuple) or len(processors) < 2:
            return False
        first, *others = processors
        return first is self._first and all(type(other) is export.BatchSpanProcessor for other in others)
