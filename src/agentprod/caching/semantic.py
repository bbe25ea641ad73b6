"""The semantic cache: a request that was answered in other words is not paid for again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from agentprod.caching import embedders
from agentprod.caching.admission import Admission, nothing_stored
from agentprod.caching.answers import Answer
from agentprod.caching.counts import CacheStats, Counts
from agentprod.caching.decision import Decision
from agentprod.caching.embedding import Embedding
from agentprod.caching.entries import Terms
from agentprod.caching.explaining import Explanation, Seen, likeliest
from agentprod.caching.explaining_similar import explain_similar
from agentprod.caching.fetching import Fetcher
from agentprod.caching.homes import Homes
from agentprod.caching.keeping import Keeper
from agentprod.caching.keys import Keys, Ticket
from agentprod.caching.matcher import SemanticMatcher
from agentprod.caching.partition import By
from agentprod.caching.question import Asked, split, text_key
from agentprod.caching.questions import Questions
from agentprod.caching.refusals import refuse_call
from agentprod.caching.seal import Seal
from agentprod.caching.serving import Server
from agentprod.caching.stock import Stock
from agentprod.caching.values import Classes
from agentprod.caching.warming import WarmUp, arequest, awarm, request, warm
from agentprod.caching.warning import Warner
from agentprod.caching.writing import Writer
from agentprod.errors import ConfigError
from agentprod.identity import seconds
from agentprod.layer import Layer
from agentprod.meta import Meta, meta
from agentprod.runtime.drive import drive

if TYPE_CHECKING:
    from agentprod.caching.embedders.contract import Embedder
    from agentprod.caching.guards import Guard
    from agentprod.call import Call, CallNext
    from agentprod.layer import Place
    from agentprod.reply import Reply
    from agentprod.runtime.runtime import Runtime
    from agentprod.stores.opening import StoreLike

__all__ = ["SemanticCache", "embedders"]

_NAME = "SemanticCache"
_MAX_BYTES = 1_000_000_000


class SemanticCache(Stock, Layer):
    """Answers a request like one that it has answered before, when nothing speaks against it.

    Two requests may share an answer when everything but the last user's text is equal, as `Cache` understands it
    (model, parameters, tools, system prompt, history, tenant); and the two texts are as near as the embedder's
    threshold says; and no guard objects: numbers, negation, dates, tense, names, opposites and order must agree, in
    English and Chinese. What every decision was, and why, stands in `ap.meta(reply).notes` and on the span.

    No threshold makes this always right: two texts may mean different things that no guard sees. Use it where a
    neighbour's answer does no harm, look at what is served, and take a wrong one back by `report_wrong`.

    Compared are only texts of two words or more, without code or data in them, which the embedder can read whole; any
    other is answered when it comes again word for word. Requests whose last message is no user's text, and those that
    may sample (see `nondeterministic`), go past. What `Cache` does not keep is not kept here either. Put it inside
    `Cache`, which finds equal requests without reading them.

    Args:
        threshold: least cosine, above 0 and up to 1; `None` takes the embedder's measured one.

        embedder: one of `ap.embedders`; `hashed()`, which needs no model and knows no synonyms, by default.

        guards: `"strict"`, `"off"`, or a list of guards' names and guards of your own.

        query: `(call) -> str` picks the text to compare, such as the question in a prompt full of retrieved text; the
            rest of the request has to be equal. A text that does not stand in the last user's text as it is returned
            (for a function: in an argument) makes the whole request have to be equal.

        by: who shares answers, as in `Cache`.

        ttl: seconds an answer is kept, spread by ±10 %; fixed when it is stored.

        max_entries: most answers in this process; the least recently used go first.

        nondeterministic: what to do with requests that may sample, whose temperature is absent or above 0:
            `"bypass"` or `"cache"`. Plain functions are not asked.

        store: where processes share answers: an object, a URL, or `["memory://", url]`; the stack's when `None`,
            and this process's memory when that has none.

        secret: as in `Cache`.

        embed_within: seconds that a service may take to embed a text; what takes longer is a miss. What computes in
            this process is not cut short.

    Raises:
        ConfigError: an option out of range, or no threshold for an embedder without a measured one.
        CacheMiss: in a call with `cache="only"` for which nothing is found.
    """

    needs_usage: ClassVar[bool] = True
    kind: ClassVar[type] = Asked

    def __init__(
        self,
        *,
        threshold: float | None = None,
        embedder: Embedder | None = None,
        guards: Literal["strict", "off"] | Iterable[str | Guard] = "strict",
        query: Callable[[Call], str] | None = None,
        by: By = "tenant",
        ttl: float | timedelta = 900,
        max_entries: int = 100_000,
        nondeterministic: Literal["cache", "bypass"] = "bypass",
        store: StoreLike | None = None,
        secret: str | bytes | None = None,
        embed_within: float | timedelta = 0.25,
    ) -> None:
        if nondeterministic not in ("cache", "bypass"):
            raise ConfigError(f'{_NAME} nondeterministic must be "cache" or "bypass", not {nondeterministic!r}')
        if threshold is not None and (isinstance(threshold, bool) or not isinstance(threshold, int | float)):
            raise ConfigError(f"{_NAME} threshold must be a cosine above 0 and up to 1, not {threshold!r}")
        if query is not None and not callable(query):
            raise ConfigError(f"{_NAME} query must be callable: (call) -> the text to compare")
        if isinstance(max_entries, bool) or not isinstance(max_entries, int) or max_entries < 1:
            raise ConfigError(f"{_NAME} max_entries must be a whole number of at least 1, not {max_entries!r}")
        self._embedder = _check_embedder(embedders.hashed() if embedder is None else embedder)
        fresh = seconds(ttl, f"{_NAME} ttl")
        self._query = query
        self._deterministic_only = nondeterministic == "bypass"
        self._counts = Counts()
        warner = Warner(_NAME)
        self._admission = Admission(Keys(refuse=self._refuse), by, self._refuse, self._counts, warner)
        self._matcher: SemanticMatcher[str | Answer] = SemanticMatcher(
            self._embedder,
            threshold=threshold,
            guards=guards,
            ttl=fresh,
            max_entries=max_entries,
            max_bytes=_MAX_BYTES,
            now=self._now,
        )
        self._questions = Questions(self._matcher, Seal(secret, "semantic"), self._counts, warner)
        Stock.__init__(self, self._questions, warner, store)
        classes = Classes()
        self._server = Server(classes, self._counts, warner)
        writer = Writer(Terms(fresh), tool_calls=False, classes=classes)
        keeper = Keeper(writer, self._questions, self._counts, warner)
        self._fetcher = Fetcher(keeper, self._server, self._questions, self._counts)
        self._embedding = Embedding(self._matcher, seconds(embed_within, f"{_NAME} embed_within"), self._counts, warner)
        self._homes = Homes(str(self._embedder.identity))
        self._seen = Seen()
        given = {
            "threshold": (threshold, None),
            "embedder": (None if embedder is None else str(self._embedder.identity), None),
            "guards": (guards if isinstance(guards, str) else "custom", "strict"),
            "by": (by, "tenant"),
            "ttl": (fresh, 900.0),
            "max_entries": (max_entries, 100_000),
            "nondeterministic": (nondeterministic, "bypass"),
        }
        self._shown = {name: value for name, (value, default) in given.items() if value != default}

    def attach(self, place: Place) -> None:
        """Refuse an embedder that only a loop can run around a synchronous client or function."""
        if place.kind == "sync" and getattr(self._embedder, "asynchronous", False):
            raise ConfigError(
                f"{_NAME}: {self._embedder.identity.name} can only be awaited, and this client or function is "
                "synchronous; give a synchronous client or function to the embedder"
            )

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Answer from the cache, or ask and remember."""
        mode = call.context.cache
        ticket = self._ticket(call)
        if isinstance(ticket, str):
            return await self._admission.past(call, call_next, ticket)
        over = self._fetcher.over
        asked = ticket.asked
        assert asked is not None
        if mode != "refresh":
            reply = await self._same(call, ticket)
            if reply is not None:
                return reply
        asked.reading = await self._embedding.read(call, asked.text)
        self._seen.note(call)
        if mode == "refresh":
            call.ledger.cache = "miss"
            return await self._fetcher.fetch_alone(call, call_next, ticket)
        reply = await self._similar(call, ticket, asked)
        if reply is not None:
            return reply
        if mode == "only":
            raise nothing_stored(call, _NAME, "nothing is stored for this request or one like it")
        call.ledger.cache = "miss"
        return await self._fetcher.fetch(call, call_next, ticket, over)

    def _ticket(self, call: Call) -> Ticket | str:
        """Return where the answer is kept, or why it is kept nowhere."""
        try:
            parts = split(call, self._query)
        except Exception as error:  # what picks the text is the user's
            return self._admission.failed("picking the text", error)
        if parts is None:
            return self._refuse(call) or "no_text"
        home = self._admission.ticket(parts.rest, self._questions.epoch)
        if isinstance(home, str):
            return home
        place = self._homes.of(home.key)
        ticket = Ticket(text_key(place, parts.text), home.partition, home.epoch, Asked(place, parts.text))
        call.ledger.state[Asked] = ticket
        return ticket

    def _refuse(self, call: Call) -> str | None:
        if call.operation == "embeddings":
            return "embeddings"
        reason = refuse_call(call, deterministic_only=self._deterministic_only)
        if reason is None and call.operation != "function" and call.request.get("n") not in (None, 1):
            return "several_answers"
        return reason

    def _now(self) -> float:
        return self._sync.now()  # of the stack's clock, once there is a stack

    async def _same(self, call: Call, ticket: Ticket) -> Reply | None:
        """Return the answer to the very same text."""
        try:
            found = await self._questions.get(call.runtime, ticket)
        except Exception as error:
            self._admission.failed("looking up", error)
            return None
        if found is None or found[1] >= found[0].terms.fresh:
            return None
        asked = ticket.asked
        assert asked is not None
        reply = self._server.serve(call, *found, reason="same")
        if reply is not None:
            self._counts.decide("same")
            same: Decision[str | Answer] = Decision(
                True, "same", self._matcher.threshold, 1.0, ticket.key, asked.home, asked.text, asked.text
            )
            self._decided(call, same)
        return reply

    async def _similar(self, call: Call, ticket: Ticket, asked: Asked) -> Reply | None:
        """Return the answer to a similar text; write down why, or why not."""
        reading = asked.reading
        if reading is None or (reading.vector is None and not reading.probe.refusal):
            self._missed(call, "no_vector")
            return None
        if reading.probe.refusal:
            self._missed(call, f"refused:{reading.probe.refusal}")
            return None
        try:
            match = await self._questions.match(call.runtime, asked.home, reading)
        except Exception as error:
            self._admission.failed("looking for similar texts", error)
            self._missed(call, "error")
            return None
        decision = match.decision
        call.ledger.similarity = decision.similarity
        why: dict[str, Any] = {"reason": decision.reason, "threshold": decision.threshold}
        if decision.similarity is not None:
            why["similarity"] = decision.similarity
        entry = match.entry
        reply = None if entry is None else self._server.serve(call, entry, match.age, similar=True, **why)
        if entry is None or reply is None:
            self._missed(call, **why)
            return None
        self._counts.decide("similar")
        self._decided(call, decision)
        call.ledger.state[Asked] = Ticket(entry.key, ticket.partition, ticket.epoch, asked)
        return reply

    def _missed(self, call: Call, reason: str, **why: Any) -> None:
        self._counts.decide(reason)
        call.ledger.note(_NAME, "miss", reason=reason, **why)

    def _decided(self, call: Call, decision: Decision[str | Answer]) -> None:
        call.ledger.state[Decision] = (self, decision)

    # Wrong answers

    def report_wrong(self, result: Any) -> None:
        """Take a wrong answer back: it is not served again, and its text never again for this one, or any as near.

        With a store all processes know at once, and after a restart; without one, `dump` and `load` carry it over.

        Args:
            result: what the caller got, or its `Meta` (`ap.last()` for a `str` or `dict`).

        Raises:
            ConfigError: it was not served by this cache.
            StoreUnavailable: the store could not be told; this process knows.
        """
        drive(self._report(self._sync, result))

    async def areport_wrong(self, result: Any) -> None:
        """Like `report_wrong`."""
        await self._report(self._async, result)

    async def _report(self, runtime: Runtime, result: Any) -> None:
        ledger = (result if isinstance(result, Meta) else meta(result))._ledger
        server, decision = ledger.state.get(Decision, (None, None))
        if server is not self or decision is None:
            raise ConfigError(
                "report_wrong takes a result that this SemanticCache served from memory; to drop any other answer "
                "use invalidate(key=result) of the cache that keeps it"
            )
        await self._questions.report(runtime, decision)

    # Ahead of calls

    def warm_up(self, requests: Iterable[Mapping[str, Any]], fn: Callable[..., Any], *, concurrency: int = 4) -> WarmUp:
        """Ask before others do; what is answered already, in these words or in others, is not asked again.

        Args:
            requests: each as a mapping of arguments.

            fn: what asks a request: a method of a wrapped client, such as `client.chat.completions.create`, or a
                decorated function.

            concurrency: how many are asked at once, at least 1.

        Returns:
            How many went through, and the errors of the others by their position.
        """
        return warm(requests, lambda item: request(fn, item), concurrency)

    async def awarm_up(
        self, requests: Iterable[Mapping[str, Any]], fn: Callable[..., Any], *, concurrency: int = 4
    ) -> WarmUp:
        """Like `warm_up`, with an async `fn`."""
        return await awarm(requests, lambda item: arequest(fn, item), concurrency, self._async)

    def explain(self, request: Mapping[str, Any]) -> Explanation:
        """Return what would happen to a request, asked in the context in force, and why; embeds its text.

        Args:
            request: as for `Cache.explain`.
        """
        return drive(self._explain(self._sync, request))

    async def aexplain(self, request: Mapping[str, Any]) -> Explanation:
        """Like `explain`, for an embedder that can only be awaited, or a store that takes its time."""
        return await self._explain(self._async, request)

    async def _explain(self, runtime: Runtime, request: Mapping[str, Any]) -> Explanation:
        return likeliest(
            [
                await explain_similar(call, self._ticket(call), self._questions, self._embedding)
                for call in self._seen.calls(request, runtime)
            ]
        )

    def stats(self) -> CacheStats:
        """Return what this cache did so far."""
        return self._counts.stats(self._matcher, shared=self._questions.store is not None)

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        return dict(self._shown)


def _check_embedder(embedder: Any) -> Embedder:
    needed = ("identity", "refuse", "embed", "aembed")
    if isinstance(embedder, type) or not all(hasattr(embedder, name) for name in needed):
        raise ConfigError(
            f"{_NAME} embedder must be one of ap.embedders, such as ap.embedders.of(function, threshold=0.9), "
            f"not a {type(embedder).__name__}"
        )
    found: Embedder = embedder
    return found
