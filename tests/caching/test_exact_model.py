"""The cache against models: what is kept and pushed out, and callers that come, read and leave in any order."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import agentprod as ap
from agentprod.caching.exact import Cache
from agentprod.testing import FakeClock

MOST = 4
TTL = 1000.0
NAMES = st.sampled_from("abcdefgh")
TENANTS = st.sampled_from(["x", "y", None])


class Kept(RuleBasedStateMachine):
    """A cache of four entries beside a list of what it must hold, least recently used first."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.cache = Cache(max_entries=MOST, ttl=TTL)
        self.calls = 0
        self.ask = ap.Stack(self.cache, clock=self.clock).decorate(self._ask)
        self.model: OrderedDict[tuple[str | None, str], tuple[int, float]] = OrderedDict()

    def _ask(self, name: str) -> int:
        self.calls += 1
        return self.calls

    @rule(name=NAMES, tenant=TENANTS)
    def call(self, name: str, tenant: str | None) -> None:
        """Ask, and compare with what the model holds; near an entry's end both answers are right."""
        before = self.calls
        with ap.context(tenant=tenant):
            answer = self.ask(name)
        now = self.clock.monotonic()
        found = self.model.pop((tenant, name), None)
        if self.calls == before:
            assert found is not None
            assert found[0] == answer
            assert now - found[1] <= TTL * 1.1
            self.model[tenant, name] = found
        else:
            assert found is None or now - found[1] >= TTL * 0.9
            self.model[tenant, name] = (answer, now)
            if len(self.model) > MOST:
                self.model.popitem(last=False)

    @rule(seconds=st.sampled_from([1.0, 300.0, 1200.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass; what must be expired then is forgotten by the model, too."""
        self.clock.advance(seconds)
        now = self.clock.monotonic()
        for key in [key for key, (_, stored) in self.model.items() if now - stored > TTL * 0.9]:
            # From here on its place may be taken at any time: start over where the two may differ.
            self.cache.invalidate(where=lambda entry: True)
            self.model.clear()
            assert key is not None
            break

    @rule(tenant=st.sampled_from(["x", "y"]))
    def invalidate(self, tenant: str) -> None:
        """Drop a tenant's entries."""
        doomed = [key for key in self.model if key[0] == tenant]
        assert self.cache.invalidate(tenant=tenant) == len(doomed)
        for key in doomed:
            del self.model[key]

    @invariant()
    def bounded(self) -> None:
        """Both hold the same number of entries."""
        assert self.cache.stats().entries == len(self.model)


TestKept = Kept.TestCase
TestKept.settings = settings(max_examples=30, stateful_step_count=40)

CHUNKS = list("abcdefghij")
CALLERS = st.lists(
    st.tuples(
        st.integers(0, 12),  # the turn of the loop in which it comes
        st.none() | st.integers(0, 25),  # in which it is cancelled
        st.none() | st.integers(0, 9),  # after how many chunks it leaves
    ),
    min_size=1,
    max_size=8,
)


@given(callers=CALLERS, broken=st.none() | st.integers(0, 9))
@settings(max_examples=150)
def test_readers_that_come_and_go_get_their_part_of_one_stream(
    callers: list[tuple[int, int | None, int | None]], broken: int | None
) -> None:
    """Whoever stays reads everything, in order, up to the break if there is one; nobody hangs, nothing is left open."""
    cache = Cache()
    opened = closed = 0

    @cache
    async def stream(name: str) -> AsyncIterator[str]:
        nonlocal opened, closed
        opened += 1
        try:
            for position, chunk in enumerate(CHUNKS):
                await asyncio.sleep(0)
                if name == "x" and position == broken:
                    raise ConnectionError("gone")
                yield chunk
        finally:
            closed += 1

    async def read(leave: int | None, read_so_far: list[str]) -> str:
        items = stream("x")
        try:
            async for chunk in items:
                read_so_far.append(chunk)
                if leave is not None and len(read_so_far) > leave:
                    return "left"
        except (ConnectionError, ap.StreamInterrupted):
            return "broken"
        finally:
            await items.aclose()  # type: ignore[attr-defined]
        return "whole"

    async def one(start: int, cancel: int | None, leave: int | None) -> tuple[str, list[str]]:
        for _ in range(start):
            await asyncio.sleep(0)
        read_so_far: list[str] = []
        task = asyncio.create_task(read(leave, read_so_far))
        if cancel is not None:
            for _ in range(cancel):
                await asyncio.sleep(0)
            task.cancel()
        try:
            return await task, read_so_far
        except asyncio.CancelledError:
            return "cancelled", read_so_far

    async def run() -> list[tuple[str, list[str]]]:
        assert [chunk async for chunk in stream("known")] == CHUNKS
        return await asyncio.wait_for(asyncio.gather(*(one(*caller) for caller in callers)), 10)

    ends = asyncio.run(run())
    for (_, cancel, leave), (end, chunks) in zip(callers, ends, strict=True):
        assert chunks == CHUNKS[: len(chunks)]
        if end == "whole":
            assert broken is None
            assert chunks == CHUNKS
        elif end == "broken":
            assert broken is not None
            assert len(chunks) <= broken
        elif end == "left":
            assert leave is not None
        else:
            assert cancel is not None
    assert opened == closed
    assert len(cache._fetcher._flights) == 0


@given(
    steps=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["read", "read", "read", "close"])), max_size=60),
    broken=st.none() | st.integers(0, 9),
)
@settings(max_examples=150)
def test_synchronous_readers_take_turns(steps: list[tuple[int, str]], broken: int | None) -> None:
    """Readers of one thread that open, read and close in any order all see one stream from its beginning."""
    cache = Cache()
    opened = closed = 0

    @cache
    def stream(name: str) -> Iterator[str]:
        nonlocal opened, closed
        opened += 1
        try:
            for position, chunk in enumerate(CHUNKS):
                if name == "x" and position == broken:
                    raise ConnectionError("gone")
                yield chunk
        finally:
            closed += 1

    assert list(stream("known")) == CHUNKS
    readers: dict[int, Iterator[str]] = {}
    seen: dict[int, list[str]] = {}
    for number, action in steps:
        if action == "close":
            if number in readers:
                readers.pop(number).close()  # type: ignore[attr-defined]
            continue
        if number not in readers:
            readers[number], seen[number] = stream("x"), []
        try:
            seen[number].append(next(readers[number]))
        except StopIteration:
            assert seen[number] == CHUNKS
            del readers[number]
        except (ConnectionError, ap.StreamInterrupted):
            assert broken is not None
            assert seen[number] == CHUNKS[:broken]
            del readers[number]
        else:
            assert seen[number] == CHUNKS[: len(seen[number])]
    for reader in readers.values():
        reader.close()  # type: ignore[attr-defined]
    assert opened == closed
    assert len(cache._fetcher._flights) == 0


@given(callers=CALLERS)
@settings(max_examples=100)
def test_callers_that_come_and_go_share_whole_answers(callers: list[tuple[int, int | None, int | None]]) -> None:
    """Whoever is not cancelled gets the answer, and calls never run side by side."""
    cache = Cache()
    running = most = 0

    @cache
    async def ask() -> dict[str, Any]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            for _ in range(8):
                await asyncio.sleep(0)
            return {"answer": 42}
        finally:
            running -= 1

    async def one(start: int, cancel: int | None) -> Any:
        for _ in range(start):
            await asyncio.sleep(0)
        task = asyncio.create_task(ask())
        if cancel is not None:
            for _ in range(cancel):
                await asyncio.sleep(0)
            task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            assert cancel is not None
            return "cancelled"

    async def run() -> list[Any]:
        return await asyncio.wait_for(asyncio.gather(*(one(start, cancel) for start, cancel, _ in callers)), 10)

    answers = asyncio.run(run())
    assert all(answer in ({"answer": 42}, "cancelled") for answer in answers)
    assert most <= 2  # a call that nobody waits for any more may still be ending when the next begins
    assert running == 0
    assert len(cache._fetcher._flights) == 0


@pytest.mark.parametrize("stale", [None, 100])
def test_many_insertions_leave_no_more_than_the_bound(stale: float | None) -> None:
    """Entries, and what is remembered of requests, stay bounded however many come."""
    cache = Cache(max_entries=50, ttl=10, stale=stale)
    for number in range(20_000):
        cache.get_or_compute(number, lambda: "x")
    stats = cache.stats()
    assert stats.entries == 50
    assert stats.evicted == 19_950
    assert stats.bytes is not None
    assert stats.bytes < 100_000
    assert len(cache._admission._keys._known) <= 8192
