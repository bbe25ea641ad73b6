"""From a reply to a stored answer."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from agentprod.caching.entries import Entry, Terms
from agentprod.caching.refusals import refuse_body, refuse_ledger
from agentprod.caching.serving import is_function
from agentprod.caching.values import freeze

if TYPE_CHECKING:
    from agentprod.caching.keys import Ticket
    from agentprod.caching.recording import Recorder
    from agentprod.caching.values import Classes
    from agentprod.call import Call
    from agentprod.reply import Reply

__all__ = ["JITTER", "Writer"]

JITTER = 0.1
"""Each entry's time is spread by this share, so that what was stored together does not expire together."""

_STEPS = 256
"""How many times the spread knows, so that entries share them."""


class Writer:
    """Makes entries, and says which of them may be kept.

    Args:
        terms: how long entries live when the call does not say.

        tool_calls: keep replies that call tools.

        classes: where the classes of functions' values are remembered.
    """

    def __init__(self, terms: Terms, *, tool_calls: bool, classes: Classes) -> None:
        self._terms = terms
        self._tool_calls = tool_calls
        self._classes = classes
        self._random = random.Random()

    def whole(self, call: Call, reply: Reply, ticket: Ticket) -> tuple[Entry, Any]:
        """Return the entry of a whole reply, and its body.

        Raises:
            Unfaithful: a function's value that JSON cannot bring back equal.
        """
        body = reply.body
        if is_function(call):
            text, kind = freeze(body if reply.native is None or reply.edited else reply.native)
        else:
            text, kind = json.dumps(body, ensure_ascii=False), None
        return self._entry(call, ticket, "body", text, body, kind), body

    def recorded(self, call: Call, recorder: Recorder, ticket: Ticket) -> tuple[Entry, Any]:
        """Return the entry of a stream that was recorded to its end, and the body it joins to."""
        text = recorder.text
        body = call.dialect.join(json.loads(text))
        return self._entry(call, ticket, "events", text, body, recorder.kind), body

    def refusal(self, call: Call, body: Any) -> str | None:
        """Return why a reply is not kept, in one word; `None` when it is."""
        if not isinstance(body, Mapping) and not is_function(call):
            return "no_object"  # a page of a proxy, perhaps: no API answers with a bare text or a list
        return refuse_body(call.dialect, body, tool_calls=self._tool_calls) or refuse_ledger(call.ledger)

    def terms_of(self, call: Call) -> Terms:
        """Return how long an entry of this call lives."""
        terms = self._terms
        fresh = call.context.ttl or terms.fresh
        spread = 2 * JITTER * self._random.randrange(_STEPS + 1) / _STEPS
        return Terms(fresh * (1 - JITTER + spread), terms.revalidate, terms.if_error)

    def _entry(
        self, call: Call, ticket: Ticket, form: Literal["body", "events"], text: str, body: Any, kind: type | None
    ) -> Entry:
        context, target = call.context, call.ledger.served or call.target
        return Entry(
            key=ticket.key,
            form=form,
            text=text,
            stored=call.runtime.wall(),
            terms=_shared(self.terms_of(call)),
            operation=call.operation,
            provider=target.provider,
            base_url=target.base_url,
            model=target.model,
            asked=call.target.model,
            partition=_shared(ticket.partition),
            tenant=_shared(context.tenant),
            tags=context.tags,
            usage=call.dialect.usage(body),
            kind=None if kind is None else self._classes.learn(kind),
        )


@lru_cache(maxsize=4096)
def _shared(value: Any) -> Any:
    """Return the first of equal values, so that entries do not each keep one of their own."""
    return value
