"""The key of a request: a digest of everything that decides the answer, hashed once."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from agentprod.caching.canonical import canonical_value, canonical_wire
from agentprod.caching.identity import function_identity
from agentprod.caching.partition import Partition
from agentprod.caching.wire import meaning

if TYPE_CHECKING:
    from agentprod.call import Call

__all__ = ["VERSION", "Keys", "Ticket"]

VERSION = 1
"""Of the key's form; entries of other versions are never found."""

_MOST_HEADS = 1024


class Ticket(NamedTuple):
    """Where a call's answer is kept."""

    key: str
    """64 hex digits."""
    partition: Partition
    epoch: int
    """Which invalidations had been when the call came."""


class Keys:
    """Makes the keys of one cache.

    The key is a blake2b-256 digest (RFC 7693) over the version, the partition, provider, base URL, operation and
    model, and the canonical JSON of the request without what never changes an answer.

    Args:
        ignore: names of parameters, or of a function's arguments, to leave out.

        key: `(call) -> JSON-able` that takes the request's place in the key.
    """

    def __init__(self, *, ignore: frozenset[str] = frozenset(), key: Callable[[Call], Any] | None = None) -> None:
        self._ignore = ignore
        self._key = key
        self._heads: OrderedDict[tuple[Any, ...], hashlib.blake2b] = OrderedDict()

    def ticket(self, call: Call, partition: Partition, epoch: int = 0) -> Ticket:
        """Return where the answer to a call is kept.

        Raises:
            Uncacheable: the request has no stable key.
        """
        state = self._head(call, partition).copy()
        state.update(self.document(call))
        return Ticket(state.hexdigest(), partition, epoch)

    def document(self, call: Call) -> bytes:
        """Return what of the request goes into the key.

        Raises:
            Uncacheable: the request has no stable key.
        """
        if self._key is not None:
            return canonical_value(self._key(call))
        own = function_identity(call.target.edge)
        ignore = self._ignore if own is None or own.receiver is None else self._ignore | {own.receiver}
        if call.operation != "function":
            return canonical_wire(meaning(call.request, ignore))
        return canonical_value({name: value for name, value in call.request.items() if name not in ignore})

    def _head(self, call: Call, partition: Partition) -> hashlib.blake2b:
        target = call.target
        own = function_identity(target.edge)
        # Between a function's value and its items nothing converts: only it knows what kinds it returns.
        function = None if own is None else (own.mark, call.streaming)
        marks = (partition, target.provider, target.base_url, target.model, call.operation, function)
        state = self._heads.get(marks)
        if state is None:
            state = hashlib.blake2b(digest_size=32, person=b"agentprod-cache")
            state.update(json.dumps([VERSION, *marks]).encode("ascii"))
            self._heads[marks] = state
            if len(self._heads) > _MOST_HEADS:
                try:
                    self._heads.popitem(last=False)
                except KeyError:  # another thread took it
                    pass
        return state
