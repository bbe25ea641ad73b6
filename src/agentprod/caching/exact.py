"""The exact cache: the same request is answered once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from agentprod.caching.canonical import Uncacheable
from agentprod.caching.counts import CacheStats, Counts
from agentprod.caching.entries import Terms
from agentprod.caching.fetching import Fetcher
from agentprod.caching.keys import Keys, Ticket
from agentprod.caching.partition import By, check_by, partition_of
from agentprod.caching.refusals import refuse_call
from agentprod.caching.serving import rebuild, server_of
from agentprod.caching.shelf import Shelf
from agentprod.caching.terms import Stale, excuses, make_stale
from agentprod.caching.tiers import Tiers
from agentprod.caching.values import Classes
from agentprod.caching.warning import Warner
from agentprod.caching.writing import Writer
from agentprod.context import seconds
from agentprod.errors import CacheMiss, ConfigError
from agentprod.layer import Layer

if TYPE_CHECKING:
    from agentprod.caching.entries import Entry
    from agentprod.call import Call, CallNext
    from agentprod.reply import Reply

__all__ = ["Cache", "CacheStats", "Stale"]

MAX_BYTES = 256_000_000


class Cache(Layer):
    """Answers a request it has answered before."""

    needs_usage: ClassVar[bool] = True

    def __init__(
        self,
        *,
        ttl: float | timedelta = 3600,
        max_entries: int = 10_000,
        by: By = "tenant",
        key: Callable[[Call], Any] | None = None,
        ignore: Iterable[str] = (),
        stale: float | timedelta | Stale | None = None,
        tool_calls: bool = False,
        nondeterministic: Literal["cache", "bypass"] = "cache",
        max_bytes: int = MAX_BYTES,
    ) -> None:
        if isinstance(max_entries, bool) or not isinstance(max_entries, int) or max_entries < 1:
            raise ConfigError(f"Cache max_entries must be a whole number of at least 1, not {max_entries!r}")
        if nondeterministic not in ("cache", "bypass"):
            raise ConfigError(f'Cache nondeterministic must be "cache" or "bypass", not {nondeterministic!r}')
        if key is not None and not callable(key):
            raise ConfigError("Cache key must be callable: (call) -> what shall be equal for equal answers")
        self.by = check_by(by, "Cache")
        self.nondeterministic = nondeterministic
        terms = Terms(seconds(ttl, "Cache ttl"), *make_stale(stale))
        self._terms = terms
        self._keys = Keys(ignore=frozenset(ignore), key=key)
        self._classes = Classes()
        self._counts = Counts()
        self._warner = Warner("Cache")
        self._shelf = Shelf(max_entries, max_bytes)
        self._tiers = Tiers(self._shelf)
        writer = Writer(terms, tool_calls=tool_calls, classes=self._classes)
        self._fetcher = Fetcher(writer, self._tiers, self._counts, self._classes, self._warner)

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Answer from memory, or ask and remember."""
        mode = call.context.cache
        ticket = self._ticket(call)
        if isinstance(ticket, str):
            return await self._past(call, call_next, ticket)
        stale = None
        if mode != "refresh":
            found = await self._look_up(call, ticket)
            if found is not None:
                entry, age = found
                late = age - entry.terms.fresh
                if late < 0 or late < entry.terms.revalidate or mode == "only":
                    reply = self._serve(call, entry, age)
                    if reply is not None:
                        if late >= 0 and mode != "only":
                            self._fetcher.refresh(call, call_next, ticket)
                        return reply
                else:
                    stale = found
            if mode == "only":
                raise _miss(call, "nothing is stored for this request")
        call.ledger.cache = "miss"
        if mode == "refresh":
            return await self._fetcher.fetch_alone(call, call_next, ticket)
        if stale is None:
            return await self._fetcher.fetch(call, call_next, ticket)
        try:
            return await self._fetcher.fetch(call, call_next, ticket)
        except Exception as error:
            reply = self._serve(call, *stale) if excuses(error, call) else None
            if reply is None:
                raise
            call.ledger.note("Cache", "stale_if_error", error=type(error).__name__)
            return reply

    def _ticket(self, call: Call) -> Ticket | str:
        """Return where the answer is kept, or why it is kept nowhere."""
        if call.context.cache == "bypass":
            return "asked"
        reason = refuse_call(call, deterministic_only=self.nondeterministic == "bypass")
        if reason is not None:
            return reason
        try:
            return self._keys.ticket(call, partition_of(call, self.by, "Cache"))
        except ConfigError:
            raise
        except Uncacheable as error:
            self._warner.uncacheable(call, str(error))
            return "uncacheable"
        except Exception as error:
            self._counts.add("errors")
            self._warner.failed("making a key", error)
            return "error"

    async def _past(self, call: Call, call_next: CallNext, reason: str) -> Reply:
        if call.context.cache == "only":
            raise _miss(call, f"such a request is never stored ({reason})")
        self._counts.bypass(reason)
        call.ledger.cache = "bypass"
        call.ledger.note("Cache", "bypass", reason=reason)
        return await call_next(call)

    async def _look_up(self, call: Call, ticket: Ticket) -> tuple[Entry, float] | None:
        try:
            return await self._tiers.get(call.runtime, ticket.key)
        except Exception as error:
            self._counts.add("errors")
            self._warner.failed("looking up", error)
            return None

    def _serve(self, call: Call, entry: Entry, age: float) -> Reply | None:
        """Return the reply of a hit; `None` when the entry turns out to be of no use."""
        try:
            reply = rebuild(call, entry, self._classes)
        except Exception as error:
            self._counts.add("errors")
            self._warner.failed("reading an entry", error)
            return None
        if reply is None:
            return None
        fresh = age < entry.terms.fresh
        ledger = call.ledger
        ledger.cache = "hit_exact" if fresh else "stale"
        ledger.served = server_of(call, entry)
        ledger.saved_usage = entry.usage
        ledger.note("Cache", "hit" if fresh else "stale", age=age)
        self._counts.hit(entry.usage, fresh)
        return reply

    def stats(self) -> CacheStats:
        """Return what this cache did so far."""
        shelf = self._shelf
        return self._counts.stats(entries=len(shelf), bytes=shelf.bytes, evicted=shelf.evicted, expired=shelf.expired)

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        return {"ttl": self._terms.fresh}


def _miss(call: Call, why: str) -> CacheMiss:
    return CacheMiss(
        f'{why}, and cache="only" forbids to ask {call.target}; drop it, or warm the cache up first',
        layer="Cache",
        target=str(call.target),
    )
