"""The exact cache: the same request is answered once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from agentprod.caching.admission import Admission, further_in, nothing_stored
from agentprod.caching.computing import acompute, compute, computed, value_of
from agentprod.caching.counts import CacheStats, Counts
from agentprod.caching.entries import Terms
from agentprod.caching.explaining import Explanation, Seen, likeliest
from agentprod.caching.fetching import Fetcher
from agentprod.caching.keeping import Keeper
from agentprod.caching.keys import Keys, Ticket
from agentprod.caching.partition import By
from agentprod.caching.refreshing import Refresher
from agentprod.caching.refusals import refuse_call
from agentprod.caching.seal import Seal
from agentprod.caching.serving import Server
from agentprod.caching.shelf import Shelf
from agentprod.caching.stock import Stock
from agentprod.caching.terms import Stale, excuses, make_stale
from agentprod.caching.tiers import Replies
from agentprod.caching.values import Classes
from agentprod.caching.warming import WarmUp, arequest, awarm, request, warm
from agentprod.caching.warning import Warner
from agentprod.caching.writing import Writer
from agentprod.errors import ConfigError
from agentprod.identity import seconds
from agentprod.layer import Layer
from agentprod.runtime.drive import drive

if TYPE_CHECKING:
    from agentprod.caching.entries import Entry
    from agentprod.call import Call, CallNext
    from agentprod.reply import Reply
    from agentprod.runtime.runtime import Runtime
    from agentprod.stores.opening import StoreLike

__all__ = ["Cache", "CacheStats", "Explanation", "Stale", "WarmUp"]

MAX_BYTES = 256_000_000


class Cache(Stock, Layer):
    """Answers a request that it has answered before, and asks once for all who ask the same at once.

    Two requests are the same when everything that decides the answer is: provider, address, model, every
    parameter as sent, tools, and all messages. Left out are `stream`, labels (`user`, `metadata`) and hints for
    the provider's own prompt cache. Whole and streamed requests share one answer; a stream is replayed event by
    event as it came. A hit has no attempts and costs 0.

    Kept are replies that ended by themselves and said something. Not kept: errors, truncated and filtered
    replies, refusals, empty ones, tool calls (unless `tool_calls`), streams not read to their end, replies of a
    fallback, flagged ones, and requests whose answer depends on more than themselves: web search, code
    execution, `store`, `previous_response_id`, sound and images.

    On a plain function it caches results by its qualified name and arguments. What it returns must survive JSON:
    texts, numbers, lists, dicts, dataclasses, pydantic models; anything else is not cached, with a warning. A
    method's `self` is no part of the key: use `key=` when it matters.

    A failure of the cache itself is a miss: counted in `stats()`, warned of once, never felt by the call.

    Args:
        ttl: seconds an answer is kept, spread by ±10 %; fixed when it is stored, so hits do not prolong it.

        max_entries: most answers in this process; the least recently used go first.

        by: who shares answers: `"tenant"` (a user named by the context or the request is kept apart, too),
            `"user" "team" "conversation" "run" "endpoint" "account" "model"`, `"global"`, or `(call) -> str`.

        key: `(call) -> data` that stands for the request; provider, model and partition stay in the key.

        ignore: names of more parameters, or of arguments of a function, that do not matter.

        stale: seconds after its time in which an answer is still served while it is fetched anew, and when that
            fails; `Stale(revalidate=…, if_error=…)` for the two apart.

        tool_calls: keep replies that call tools.

        nondeterministic: what to do with requests that may sample, whose temperature is absent or above 0:
            `"cache"` or `"bypass"`.

        store: where processes share answers: an object, a URL, or `["memory://", url]`; the stack's when `None`,
            and this process's memory when that has none. Values are JSON, never pickles.

        secret: 16 to 64 bytes; gives names in the store that tell nothing, and values a code that shows changes.

        max_bytes: most bytes of answers in this process.

    Raises:
        ConfigError: an option out of range.
        CacheMiss: in a call with `cache="only"` for which nothing is stored.
    """

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
        store: StoreLike | None = None,
        secret: str | bytes | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        for name, bound in (("max_entries", max_entries), ("max_bytes", max_bytes)):
            if isinstance(bound, bool) or not isinstance(bound, int) or bound < 1:
                raise ConfigError(f"Cache {name} must be a whole number of at least 1, not {bound!r}")
        if nondeterministic not in ("cache", "bypass"):
            raise ConfigError(f'Cache nondeterministic must be "cache" or "bypass", not {nondeterministic!r}')
        if key is not None and not callable(key):
            raise ConfigError("Cache key must be callable: (call) -> what is equal for equal answers")
        if isinstance(ignore, str):
            raise ConfigError(f'Cache ignore takes a list of names: ignore=["{ignore}"]')
        ignore = frozenset(ignore)
        if not all(isinstance(name, str) for name in ignore):
            kinds = ", ".join(sorted({type(name).__name__ for name in ignore} - {"str"}))
            raise ConfigError(f"Cache ignore takes names of parameters as str, not {kinds}")
        if not isinstance(tool_calls, bool):
            raise ConfigError(f"Cache tool_calls must be True or False, not {tool_calls!r}")
        self._deterministic_only = nondeterministic == "bypass"
        self._terms = Terms(seconds(ttl, "Cache ttl"), *make_stale(stale))
        self._classes = Classes()
        self._counts = Counts()
        warner = Warner("Cache")
        keys = Keys(refuse=self._refuse, ignore=ignore, key=key)
        self._admission = Admission(keys, by, self._refuse, self._counts, warner)
        self._shelf = Shelf(max_entries, max_bytes)
        tiers = Replies(self._shelf, Seal(secret), self._counts, warner)
        Stock.__init__(self, tiers, warner, store)
        writer = Writer(self._terms, tool_calls=tool_calls, classes=self._classes)
        self._server = Server(self._classes, self._counts, warner)
        keeper = Keeper(writer, tiers, self._counts, warner)
        self._fetcher = Fetcher(keeper, self._server, tiers, self._counts)
        self._refresher = Refresher(keeper, self._counts)
        self._seen = Seen()
        given = {
            "ttl": (self._terms.fresh, None),
            "max_entries": (max_entries, 10_000),
            "by": (by, "tenant"),
            "stale": (stale, None),
            "tool_calls": (tool_calls, False),
            "nondeterministic": (nondeterministic, "cache"),
        }
        self._shown = {name: value for name, (value, default) in given.items() if value != default}

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Answer from the cache, or ask and remember."""
        mode = call.context.cache
        ticket = self._ticket(call)
        if isinstance(ticket, str):
            return await self._admission.past(call, call_next, ticket)
        stale, over = None, self._fetcher.over
        if mode != "refresh":
            found = self._near(call, ticket.key) if self._tiers.store is None else await self._far(call, ticket)
            if found is not None:
                entry, age = found
                late = age - entry.terms.fresh
                if late < 0 or late < entry.terms.revalidate or mode == "only":
                    reply = self._server.serve(call, entry, age)
                    if reply is not None:
                        if late >= 0 and mode != "only":
                            self._refresher.refresh(call, call_next, ticket)
                        return reply
                else:
                    stale = found
            if mode == "only" and not further_in(call, "SemanticCache", "Cache"):
                raise nothing_stored(call, "Cache", "nothing is stored for this request")
        call.ledger.cache = "miss"
        self._seen.note(call)
        if mode == "refresh":
            return await self._fetcher.fetch_alone(call, call_next, ticket)
        if stale is None:
            return await self._fetcher.fetch(call, call_next, ticket, over)
        try:
            return await self._fetcher.fetch(call, call_next, ticket, over)
        except Exception as error:
            reply = self._server.serve(call, *stale) if excuses(error, call) else None
            if reply is None:
                raise
            call.ledger.note("Cache", "stale_if_error", error=type(error).__name__)
            return reply

    def _ticket(self, call: Call) -> Ticket | str:
        """Return where the answer is kept, or why it is kept nowhere."""
        ticket = self._admission.ticket(call, self._tiers.epoch)
        if isinstance(ticket, Ticket):
            call.ledger.state[Ticket] = ticket
        return ticket

    def _refuse(self, call: Call) -> str | None:
        return refuse_call(call, deterministic_only=self._deterministic_only)

    def _near(self, call: Call, key: str) -> tuple[Entry, float] | None:
        try:
            return self._shelf.get(key, call.runtime.now())
        except Exception as error:
            self._admission.failed("looking up", error)
            return None

    async def _far(self, call: Call, ticket: Ticket) -> tuple[Entry, float] | None:
        try:
            return await self._tiers.get(call.runtime, ticket)
        except Exception as error:
            self._admission.failed("looking up", error)
            return None

    # Values without a client

    def get_or_compute(self, key: Any, fn: Callable[[], Any], **who: Any) -> Any:
        """Return the value kept for a key, or what `fn()` returns, which is kept then.

        Concurrent callers of the same key wait for one computation. The partition is that of the context.

        Args:
            key: a `str`, or any data: a request, a tuple of arguments.

            fn: computes the value, which must survive JSON to be kept.

            who: as for `ap.context`: `ttl=`, `tags=`, `tenant=`, `cache=` …

        Raises:
            CacheMiss: with `cache="only"`, when nothing is kept.
            Exception: whatever `fn` raises; nothing is kept then.
        """
        return drive(self._computed(computed(self._sync, key, who), lambda call: compute(call, fn)))

    async def aget_or_compute(self, key: Any, fn: Callable[[], Any | Awaitable[Any]], **who: Any) -> Any:
        """Like `get_or_compute`; `fn` may be async."""
        return await self._computed(computed(self._async, key, who), lambda call: acompute(call, fn))

    async def _computed(self, call: Call, call_next: CallNext) -> Any:
        reply = await self.handle(call, call_next)
        value = value_of(reply)
        await reply.finish("complete")
        return value

    def warm_up(self, items: Iterable[Any], fn: Callable[..., Any] | None = None, *, concurrency: int = 4) -> WarmUp:
        """Fill the cache before it is needed.

        Args:
            items: `(key, value)` pairs, as `get_or_compute` keeps them; with `fn`, requests as mappings of arguments.

            fn: what asks a request: a method of a wrapped client, such as `client.chat.completions.create`, or a
                decorated function. What is kept already is not asked again.

            concurrency: how many are asked at once, at least 1.

        Returns:
            How many went through, and the errors of the others by their position.
        """

        def keep(item: Any) -> None:
            name, value = item
            self.get_or_compute(name, lambda: value, cache="refresh")

        return warm(items, keep if fn is None else lambda item: request(fn, item), concurrency)

    async def awarm_up(
        self, items: Iterable[Any], fn: Callable[..., Any] | None = None, *, concurrency: int = 4
    ) -> WarmUp:
        """Like `warm_up`, with an async `fn`."""

        async def keep(item: Any) -> None:
            name, value = item
            await self.aget_or_compute(name, lambda: value, cache="refresh")

        return await awarm(items, keep if fn is None else lambda item: arequest(fn, item), concurrency, self._async)

    def explain(self, request: Mapping[str, Any]) -> Explanation:
        """Return what would happen to a request, asked in the context in force, and why.

        Args:
            request: its parameters, as for `create`, or a function's arguments by name. It is taken to go where
                the latest calls went; a place that has its answer wins.
        """
        return drive(self._explain(self._sync, request))

    async def aexplain(self, request: Mapping[str, Any]) -> Explanation:
        """Like `explain`."""
        return await self._explain(self._async, request)

    async def _explain(self, runtime: Runtime, request: Mapping[str, Any]) -> Explanation:
        return likeliest([await self._explained(call) for call in self._seen.calls(request, runtime)])

    async def _explained(self, call: Call) -> Explanation:
        ticket = self._ticket(call)
        if isinstance(ticket, str):
            return Explanation("bypass", reason=ticket, target=str(call.target))
        stored = await self._far(call, ticket)
        if stored is None:
            return Explanation("miss", key=ticket.key, partition=ticket.partition, target=str(call.target))
        entry, age = stored
        left = entry.terms.fresh - age
        answer = "hit" if left > 0 else "stale"
        return Explanation(answer, None, ticket.key, ticket.partition, str(call.target), age, left)

    def stats(self) -> CacheStats:
        """Return what this cache did so far."""
        return self._counts.stats(self._shelf, shared=self._tiers.store is not None)

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        return dict(self._shown)
