"""Where a semantic cache's entries are, and the matcher that finds them by similar texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from agentprod.caching.answers import Answer, name_of
from agentprod.caching.counter_examples import Wrong, text_digest
from agentprod.caching.decision import Decision, Probe
from agentprod.caching.embedding import Reading
from agentprod.caching.exchange import Exchange
from agentprod.caching.guards import GuardFeatures
from agentprod.caching.matcher import SemanticMatcher
from agentprod.caching.question import Asked
from agentprod.caching.selecting import Selection
from agentprod.caching.tiers import BUDGET, Tiers
from agentprod.caching.vectors import Question, pack, unpack
from agentprod.runtime.offload import in_thread
from agentprod.stores.base import StoreUnavailable
from agentprod.stores.layered import LayeredStore

if TYPE_CHECKING:
    from agentprod.caching.counts import Counts
    from agentprod.caching.entries import Entry
    from agentprod.caching.keys import Ticket
    from agentprod.caching.seal import Seal
    from agentprod.caching.warning import Warner
    from agentprod.runtime.runtime import Runtime
    from agentprod.stores.base import Store

__all__ = ["Match", "Questions"]

_LARGE = 20_000
"""Entries from which on a search leaves the event loop."""


class Match(NamedTuple):
    """What was decided about a text, with the entry when it is a hit."""

    decision: Decision[str | Answer]
    entry: Entry | None = None
    age: float = 0.0


class Questions(Tiers):
    """The place of a semantic cache's entries. The matcher finds them by their texts.

    In this process it holds them, too. With a store it knows their keys, and the store has the replies: an entry that
    was dropped or has expired is noticed when the matcher names it, so that what one process invalidates no other
    serves. In a store entries carry their text and vector, by which other processes learn them.

    Args:
        matcher: finds texts.

        seal, counts, warner: as for `Tiers`.
    """

    def __init__(self, matcher: SemanticMatcher[str | Answer], seal: Seal, counts: Counts, warner: Warner) -> None:
        super().__init__(seal, counts, warner)
        self._matcher = matcher
        self._exchange: Exchange | None = None

    def use(self, store: Store) -> None:
        """Keep entries in a store from now on."""
        super().use(store)
        self._exchange = Exchange(store.far if isinstance(store, LayeredStore) else store, self._seal, self._counts)

    # In this process

    def near(self, runtime: Runtime, ticket: Ticket) -> tuple[Entry, float] | None:
        """Return what this process has for the very text of a call, and its age in seconds; `None` for nothing."""
        asked = ticket.asked
        assert asked is not None
        found = self._matcher.get(asked.home, name_of(asked, ticket.key))
        return found.entry(runtime.now(), runtime.wall()) if isinstance(found, Answer) else None

    def _keep(self, runtime: Runtime, entry: Entry, ticket: Ticket, age: float) -> None:
        asked = ticket.asked
        assert asked is not None
        ttl = entry.terms.whole - age
        if asked.reading is not None and asked.reading.vector is not None:
            try:
                self._matcher.add(asked.home, *asked.reading, Answer(entry), ttl=ttl)
                return
            except ValueError as error:  # of another length than those before: the text alone finds it, then
                self._failed("learning an entry", error)
        name = name_of(asked, ticket.key)
        self._matcher.add(asked.home, Probe(name, GuardFeatures(name, ""), "plain"), None, Answer(entry), ttl=ttl)

    def _drop(self, runtime: Runtime, selection: Selection) -> int:
        doomed = [entry.question for entry, _ in self._alive(runtime) if selection(entry)]
        return sum(self._matcher.remove(question.home, question.text) for question in doomed if question is not None)

    def _alive(self, runtime: Runtime) -> list[tuple[Entry, float]]:
        now, wall = runtime.now(), runtime.wall()
        answers = [stored.value for stored in self._matcher.entries()]
        return [answer.entry(now, wall) for answer in answers if isinstance(answer, Answer)]

    async def retract(self, runtime: Runtime, entry: Entry, ticket: Ticket) -> None:
        """Take back what a call has stored.

        Raises:
            StoreUnavailable: the store could not be asked.
        """
        if self.store is not None or ticket.asked is None:
            await super().retract(runtime, entry, ticket)
            return
        self._forbid(Selection(key=entry.key))
        self._matcher.remove(ticket.asked.home, name_of(ticket.asked, ticket.key))

    # Reading

    async def get(self, runtime: Runtime, ticket: Ticket) -> tuple[Entry, float] | None:
        """Return the entry of the very text of a call, and its age in seconds; `None` when there is none."""
        found = await super().get(runtime, ticket)
        if found is not None and self.store is not None and ticket.asked is not None:
            self._matcher.get(ticket.asked.home, ticket.asked.text)  # counts as used
        return found

    async def match(self, runtime: Runtime, home: str, reading: Reading) -> Match:
        """Decide about a text, and look its entry up.

        Raises:
            ValueError: the vector does not fit those before it.
        """
        heard = self._exchange is None
        while True:
            if len(self._matcher) < _LARGE:
                decision = self._matcher.find_similar(home, *reading)
            else:
                decision = await self._find_aside(runtime, home, reading)
            if decision.value is None or decision.matched is None:
                if heard or not await self._hear(runtime, home):
                    return Match(decision)
                heard = True
                continue
            found: tuple[Entry, float] | None = None
            if self.store is not None:
                found = await self._far(runtime, self.store, _key(decision.value))
            elif isinstance(decision.value, Answer):
                found = decision.value.entry(runtime.now(), runtime.wall())
            if found is not None and found[1] < found[0].terms.fresh:
                return Match(decision, *found)
            if not self._matcher.remove(home, decision.matched):
                return Match(decision._replace(hit=False, reason="none", value=None))

    async def _find_aside(self, runtime: Runtime, home: str, reading: Reading) -> Decision[str | Answer]:
        """Decide about a text off the event loop."""

        def find() -> Decision[str | Answer]:
            return self._matcher.find_similar(home, *reading)

        return await runtime.run(find, lambda: in_thread(find))

    async def _hear(self, runtime: Runtime, home: str) -> bool:
        """Learn what other processes stored; return whether there was anything."""
        assert self._exchange is not None
        until = runtime.now() + BUDGET

        def learn() -> bool:
            return self._learn_news(home, lambda: runtime.now() < until, runtime)

        try:
            async with runtime.timeout(until):
                return await runtime.run(learn, lambda: in_thread(learn))
        except (StoreUnavailable, TimeoutError) as error:
            self._failed("hearing of other processes", error)
            return False

    def _learn_news(self, home: str, in_time: Callable[[], bool], runtime: Runtime) -> bool:
        assert self._exchange is not None
        assert self.store is not None
        keys, reports = self._exchange.news(home)
        for wrong in reports:
            self.learn_wrong(wrong)
        later: dict[str, int] = {}
        for key, tried in reversed(keys.items()):
            name = self._seal.name(key)
            found = self.store.get(name) if in_time() else None
            entry = None if found is None else self._unsealed(name, found.value)
            if entry is None or found is None:
                later[key] = tried if in_time() else tried - 1
            elif entry.question is not None and entry.question.home == home:
                self._learn(self._asked(entry.question), entry, found.age)
        self._exchange.again(home, later)
        return len(keys) > len(later) or bool(reports)

    # Writing

    def put(self, runtime: Runtime, entry: Entry, ticket: Ticket, age: float = 0.0) -> bool:
        """Keep an entry, and let similar texts find it."""
        asked = ticket.asked
        if asked is None:  # one that was loaded
            if entry.question is None:
                return False
            asked = self._asked(entry.question)
            ticket = ticket._replace(asked=asked)
        vector = None if asked.reading is None else asked.reading.vector
        if self.store is not None:
            entry.question = Question(asked.home, asked.text, "" if vector is None else pack(vector))
        if not super().put(runtime, entry, ticket, age):
            return False
        if self.store is not None and vector is not None:
            self._learn(asked, entry, age)
            self._announce(asked.home, entry.key)
        return True

    def _learn(self, asked: Asked, entry: Entry, age: float) -> None:
        """Let similar texts find an entry of the store."""
        if asked.reading is not None and asked.reading.vector is not None:
            try:
                self._matcher.put(asked.home, *asked.reading, entry.key, ttl=entry.terms.whole - age)
            except ValueError as error:  # of another length than those before: an embedder without a new version
                self._failed("learning an entry", error)

    def _asked(self, question: Question) -> Asked:
        """Read the text of an entry that brings its own vector."""
        asked = Asked(question.home, question.text)
        try:
            probe = self._matcher.read(question.text)
            if question.vector and not probe.refusal:
                asked.reading = Reading(probe, unpack(question.vector))
        except ValueError as error:
            self._failed("learning an entry", error)
        return asked

    def _announce(self, home: str, key: str) -> None:
        if self._exchange is not None:
            self._exchange.announce(home, key)

    def flush(self, timeout: float) -> bool:
        """Wait until the store has everything; return whether it has."""
        return super().flush(timeout) and (self._exchange is None or self._exchange.flush(timeout))

    async def all(self, runtime: Runtime) -> list[tuple[Entry, float]]:
        """Return all entries with their ages in seconds; each brings its vector, if it has one."""
        return [(self._whole(entry), age) for entry, age in await super().all(runtime)]

    def _whole(self, entry: Entry) -> Entry:
        question = entry.question
        if question is None or question.vector:
            return entry
        vector = self._matcher.vector(question.home, question.text)
        return entry if vector is None else replace(entry, question=question._replace(vector=pack(vector)))

    # Reports

    async def report(self, runtime: Runtime, decision: Decision[str | Answer]) -> None:
        """Take a wrong hit back, in all processes.

        Raises:
            StoreUnavailable: the store could not be asked; this process knows all the same.
        """
        self._matcher.report_wrong(decision)
        if decision.similarity is not None and decision.matched not in (None, decision.text):
            assert decision.matched is not None
            home, similarity = str(decision.partition), decision.similarity
            reports = [Wrong(home, text_digest(text).hex(), similarity) for text in (decision.text, decision.matched)]
            exchange = self._exchange
            if exchange is not None:
                await runtime.run(lambda: exchange.tell_wrong(reports), lambda: in_thread(exchange.tell_wrong, reports))
        if decision.value is not None:
            await self._take_back(runtime, Selection(key=_key(decision.value)))

    async def _take_back(self, runtime: Runtime, selection: Selection) -> None:
        if self.store is None:
            self._forbid(selection)  # the matcher has dropped it already
        else:
            await self.remove(runtime, selection)

    def wrong(self) -> list[Wrong]:
        """Return the texts that were answered wrongly."""
        return [Wrong(str(home), digest.hex(), similarity) for home, digest, similarity in self._matcher.wrong.export()]

    def learn_wrong(self, wrong: Wrong) -> None:
        """Take in a report."""
        self._matcher.wrong.restore(wrong.home, bytes.fromhex(wrong.digest), wrong.similarity)


def _key(value: str | Answer) -> str:
    return value if isinstance(value, str) else value.key
