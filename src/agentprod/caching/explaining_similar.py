"""Why a request is answered with a similar one's answer, or is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentprod.caching.explaining import Explanation

if TYPE_CHECKING:
    from agentprod.caching.embedding import Embedding
    from agentprod.caching.entries import Entry
    from agentprod.caching.keys import Ticket
    from agentprod.caching.questions import Questions
    from agentprod.call import Call

__all__ = ["explain_similar"]


async def explain_similar(call: Call, ticket: Ticket | str, questions: Questions, embedding: Embedding) -> Explanation:
    """Return what a semantic cache would do with a call, and why.

    Args:
        call: the call.

        ticket: where its answer is kept, or why it is kept nowhere.

        questions: where answers are.

        embedding: reads and embeds its text.

    Raises:
        ValueError: the vector does not fit those before it.
    """
    target = str(call.target)
    if isinstance(ticket, str):
        return Explanation("bypass", reason=ticket, target=target)
    asked = ticket.asked
    assert asked is not None

    def told(reason: str, similarity: float | None, entry: Entry | None = None, age: float = 0.0) -> Explanation:
        if entry is None:
            return Explanation("miss", reason, ticket.key, ticket.partition, target, similarity=similarity)
        left = entry.terms.fresh - age
        return Explanation("hit", reason, entry.key, ticket.partition, target, age, left, similarity)

    same = await questions.get(call.runtime, ticket)
    if same is not None and same[1] < same[0].terms.fresh:
        return told("same", 1.0, *same)
    reading = await embedding.read(call, asked.text)
    if reading is None or (reading.vector is None and not reading.probe.refusal):
        return told("no_vector", None)
    if reading.probe.refusal:
        return told(f"refused:{reading.probe.refusal}", None)
    match = await questions.match(call.runtime, asked.home, reading)
    return told(match.decision.reason, match.decision.similarity, match.entry, match.age)
