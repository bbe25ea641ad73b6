"""Keep the calls of a block of code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agentprod.listeners import listening
from agentprod.telemetry.finished import Finished
from agentprod.telemetry.record_ring import Calls

__all__ = ["record"]


@contextmanager
def record(*, limit: int = 1000) -> Iterator[Calls]:
    """Keep what happened to the calls that start within the block.

    ```python
    with ap.record() as calls:
        agent.run("…")
    calls.summary(by="tags.prompt")
    calls.cost
    calls.to_pandas()
    ```

    Tasks started in the block are kept too, and threads that `ap.propagate` carries the context
    into. A stream is added when it ends, also after the block. No message text is kept.

    Args:
        limit: how many calls to keep; older ones are forgotten.
    """
    calls = Calls(limit=limit)
    with listening(lambda call: calls.append(Finished(call).record())):
        yield calls
