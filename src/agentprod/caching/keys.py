"""The key of a request: a digest of everything that decides the answer, worked out once."""

from __future__ import annotations

import hashlib
import json
import marshal
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from agentprod.caching.canonical import canonical_value, canonical_wire
from agentprod.caching.identity import Identity, function_identity
from agentprod.caching.long_texts import LongTexts
from agentprod.caching.partition import Partition
from agentprod.caching.refusals import LOOKED_AT
from agentprod.caching.wire import EXCLUDED, meaning
from agentprod.dialects.arguments import Arguments

if TYPE_CHECKING:
    from agentprod.caching.question import Asked
    from agentprod.call import Call

__all__ = ["VERSION", "Keys", "Ticket"]

VERSION = 1
"""Of the key's form; entries of other versions are never found."""

_MOST_KNOWN = 8192
_SHORT = 512
"""Bytes up to which a request is remembered as it is; a digest takes longer to work out than it saves."""


class Ticket(NamedTuple):
    """Where a call's answer is kept."""

    key: str
    """64 hex digits."""
    partition: Partition
    epoch: int
    """Which invalidations had been when the call came."""
    asked: Asked | None = None
    """The text that stands for the request, where similar ones may share its answer."""


class Keys:
    """Makes the keys of one cache.

    The key is a blake2b-256 digest (RFC 7693) over the version, the partition, provider, base URL, operation and
    model, and the canonical JSON of the request without what never changes an answer. Working that out costs more
    than all the rest of a hit, so it is done once for each way a request is written down: the request's own bytes,
    as `marshal` gives them in a fraction of the time, lead to the key they had before.

    Args:
        refuse: returns why a request has no place in the cache, in one word, or `None`; it looks at nothing but what
            goes into the key.

        ignore: names of parameters, or of a function's arguments, to leave out.

        key: `(call) -> JSON-able` that takes the request's place in the key.
    """

    def __init__(
        self,
        *,
        refuse: Callable[[Call], str | None],
        ignore: frozenset[str] = frozenset(),
        key: Callable[[Call], Any] | None = None,
    ) -> None:
        self._refuse = refuse
        self._ignore = ignore
        # What refusals look at stays in, so that a request never gets the refusal of another.
        self._left_out = EXCLUDED | (ignore - LOOKED_AT)
        self._key = key
        self._known: OrderedDict[bytes, tuple[str, str | None]] = OrderedDict()
        self._texts = LongTexts()

    def ticket(self, call: Call, partition: Partition, epoch: int = 0) -> Ticket | str:
        """Return where the answer to a call is kept, or why it is not.

        Raises:
            Uncacheable: the request has no stable key.
        """
        target = call.target
        own = function_identity(target.edge)
        # Between a function's value and its items nothing converts: only it knows what kinds it returns.
        function = None if own is None else (own.mark, call.streaming)
        place = (target.provider, target.base_url, target.model, call.dialect.operation, call.variant)
        marks = (partition, place, function)
        subject = self._subject(call, own)
        try:
            # Version 2 of the format writes equal values alike and unequal ones apart, whichever objects they are.
            # Classes of the user's raise; what has a buffer, such as an array, is written as its bytes.
            written = marshal.dumps((marks, subject), 2)
        except ValueError:
            key, reason = self._work_out(call, own, marks, subject)
        else:
            seen = written if len(written) <= _SHORT else hashlib.blake2b(written, digest_size=32).digest()
            known = self._known.get(seen)
            if known is None:
                known = self._work_out(call, own, marks, subject)
                if _is_plain(subject):
                    self._remember(seen, known)
            key, reason = known
        return Ticket(key, partition, epoch) if reason is None else reason

    def _remember(self, seen: bytes, known: tuple[str, str | None]) -> None:
        self._known[seen] = known
        if len(self._known) > _MOST_KNOWN:
            try:
                self._known.popitem(last=False)
            except KeyError:  # other threads took the rest
                pass

    def _subject(self, call: Call, own: Identity | None) -> Any:
        """Return what tells this request from others as it is written down."""
        if self._key is not None:
            return self._key(call)
        request = call.request
        if type(request) is Arguments:
            # Not bound to names yet: the same call passed another way is only known under another name.
            args = request.args if own is None or own.receiver is None else request.args[1:]
            return args, request.kwargs
        if not self._left_out.isdisjoint(request):
            request = {name: value for name, value in request.items() if name not in self._left_out}
        return self._texts.shortened(request)

    def _work_out(
        self, call: Call, own: Identity | None, marks: tuple[Any, ...], subject: Any
    ) -> tuple[str, str | None]:
        reason = self._refuse(call)
        if reason is not None:
            return "", reason
        digest = hashlib.blake2b(digest_size=32, person=b"agentprod-cache")
        digest.update(json.dumps([VERSION, *marks]).encode("ascii"))
        digest.update(canonical_value(subject) if self._key is not None else self._document(call, own))
        return digest.hexdigest(), None

    def _document(self, call: Call, own: Identity | None) -> bytes:
        """Return what of the request goes into the key."""
        ignore = self._ignore if own is None or own.receiver is None else self._ignore | {own.receiver}
        if call.operation != "function":
            return canonical_wire(meaning(call.request, ignore))
        return canonical_value({name: value for name, value in call.request.items() if name not in ignore})


_LEAVES = frozenset({str, int, float, bool, type(None), type(Ellipsis)})


def _is_plain(subject: Any) -> bool:
    """Whether a request holds no bytes and nothing that is written as bytes, so that no other is written like it."""
    kind = type(subject)
    if kind in _LEAVES:
        return True
    if kind is list or kind is tuple:
        return all(_is_plain(item) for item in subject)
    if kind is dict:
        return all(_is_plain(key) and _is_plain(item) for key, item in subject.items())
    return False
