"""Keep the calls of a block of code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from agentprod.listeners import listening
from agentprod.telemetry.calls import CallRecord
from agentprod.telemetry.finished import finished_call
from agentprod.telemetry.operation_facts import Ending
from agentprod.telemetry.record_ring import Calls

if TYPE_CHECKING:
    from agentprod.call import Call
    from agentprod.telemetry.calls import StreamOutcome

__all__ = ["describe", "record"]

_STREAMS: dict[str | None, StreamOutcome] = {
    "complete": "completed",
    "failed": "error",
    "abandoned": "abandoned",
    "discarded": "closed",
}


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
    with listening(lambda call: calls.append(describe(call))):
        yield calls


def describe(call: Call) -> CallRecord:
    """Return the record of a call that has ended."""
    ledger, context = call.ledger, call.context
    stream = _STREAMS.get(ledger.outcome) if call.streaming else None
    made = finished_call(Ending(call, ledger.error, stream), {}, ledger.usage, ledger.cost)
    first = ledger.first_content
    return replace(
        made,
        duration=ledger.duration or 0.0,
        ttft=None if first is None else first - ledger.started,
        provider_time=sum(attempt.duration or 0.0 for attempt in ledger.attempts),
        user=context.user,
        team=context.team,
        tenant=context.tenant,
        conversation=context.conversation,
        run=context.run,
        tags=context.tags,
    )
