"""CircuitBreaker: when it opens, what it lets through, and how it closes again; by the numbered scenarios."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import openai
import pytest

import agentprod as ap
from agentprod.board import Board
from agentprod.reliability.breaker_machine import BreakerMachine
from agentprod.reliability.breaker_policy import BreakerPolicy
from agentprod.reliability.shared_breaker import SharedBreaker
from agentprod.stores import MemoryStore
from agentprod.testing import FakeClock, Provider
from tests.callers import MODES, STREAMS, Caller, Script, Takes, Told
from tests.sdk_errors import openai_error

KEY = "f"


@pytest.fixture(params=MODES)
def caller(request: pytest.FixtureRequest) -> Caller:
    """Return a caller of each kind."""
    return Caller(request.param)


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock to move by hand."""
    return FakeClock()


class Bench:
    """One function behind a breaker, which answers as `script` says."""

    def __init__(self, caller: Caller, clock: FakeClock, *steps: Any, layers: Any = (), **options: Any) -> None:
        self.caller, self.clock = caller, clock
        self.breaker = ap.CircuitBreaker(by="global", **options)
        self.script = Script(*steps or ("fine",), clock=clock)
        self.stack = ap.Stack(*layers, self.breaker, clock=clock)
        self.fn = caller.decorate(self.stack, self.script, name=KEY)

    @property
    def state(self) -> str:
        return str(self.breaker.state("global"))

    def ask(self, *steps: Any) -> list[Told]:
        """Make one call for each step."""
        told = []
        for step in steps:
            self.script.steps, self.script.calls = (step,), 0
            told.append(self.caller.ask(self.fn))
        return told

    def trip(self) -> None:
        """Open the circuit."""
        self.ask(*[openai_error(500)] * 10)
        assert self.state == "open"

    def recover(self) -> None:
        """Close the circuit again."""
        self.clock.advance(17)
        self.ask("fine", "fine")
        assert self.state == "closed"


# The scenarios


def test_scenario_24_opens_at_half_of_enough_calls(caller: Caller, clock: FakeClock) -> None:
    """10 failures of 20 calls open the circuit, with the last failure and not before."""
    bench = Bench(caller, clock)
    bench.ask(*["fine"] * 10, *[openai_error(500)] * 9)
    assert bench.state == "closed"
    (told,) = bench.ask(openai_error(503))
    assert isinstance(told.error, openai.APIStatusError)  # its own, not ours
    assert bench.state == "open"
    assert [note.data for note in told.meta.notes] == [{"state": "open"}] if told.meta else False


def test_scenario_24_too_few_calls(caller: Caller, clock: FakeClock) -> None:
    """9 failures of 9 calls say nothing yet, and failures that left the window no longer count."""
    bench = Bench(caller, clock)
    bench.ask(*[openai_error(500)] * 9)
    clock.advance(70)
    bench.ask(*[openai_error(500)] * 9)
    assert bench.state == "closed"


@pytest.mark.parametrize(
    "error",
    [
        openai_error(400),
        openai_error(401),
        openai_error(400, code="content_filter"),
        openai_error(429, headers={"retry-after": "30"}),
        KeyError("nobody knows"),
        ap.Blocked("a guard says no"),
    ],
    ids=["bad request", "auth", "content policy", "rate limit", "unknown", "rejected"],
)
def test_scenario_25_what_is_not_the_endpoints_fault(caller: Caller, clock: FakeClock, error: Exception) -> None:
    """20 of these never open the circuit."""
    bench = Bench(caller, clock)
    bench.ask(*[error] * 20)
    assert bench.state == "closed"
    told = bench.ask("fine")[0]
    assert told.value == "fine"


def test_scenario_25_a_rate_limit_cools_the_account(caller: Caller, clock: FakeClock) -> None:
    """A 429 leaves the circuit closed, and the account cooling on the board."""
    seen: list[Any] = []

    async def look(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        seen.append(call.board.refuses(call.target, call.runtime.now()))
        return await call_next(call)

    bench = Bench(caller, clock, layers=[look])
    bench.ask(*[openai_error(429, headers={"retry-after": "30"})] * 20, "fine")
    assert seen[-1] == ("cooldown", 30)


def test_scenario_25_cancellations(clock: FakeClock) -> None:
    """20 cancelled calls never open the circuit."""
    breaker = ap.CircuitBreaker(by="global")

    async def run() -> None:
        @ap.Stack(breaker, clock=clock)
        async def ask() -> None:
            await asyncio.Event().wait()

        tasks = [asyncio.ensure_future(ask()) for _ in range(20)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        assert all(
            isinstance(each, asyncio.CancelledError) for each in await asyncio.gather(*tasks, return_exceptions=True)
        )

    asyncio.run(run())
    assert breaker.state() == {"global": "closed"}


def test_scenario_26_one_probe_of_fifty(clock: FakeClock) -> None:
    """Of 50 concurrent calls after the wait, one reaches the provider; 49 are told when to come again."""
    bench = Bench(Caller("async"), clock)
    bench.trip()
    clock.advance(17)
    reached = 0

    async def run() -> list[Any]:
        go = asyncio.Event()

        @bench.stack
        async def ask() -> str:
            nonlocal reached
            reached += 1
            await go.wait()
            return "fine"

        tasks = [asyncio.ensure_future(ask()) for _ in range(50)]
        await asyncio.sleep(0)
        go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    answers = asyncio.run(run())
    refused = [each for each in answers if isinstance(each, ap.CircuitOpen)]
    assert (reached, len(refused), answers.count("fine")) == (1, 49, 1)
    assert all(each.retry_after and each.retry_after > 0 for each in refused)


def test_scenario_26_while_open(caller: Caller, clock: FakeClock) -> None:
    """An open circuit refuses at once, tells when to come again, and is raised from the error that opened it."""
    bench = Bench(caller, clock)
    bench.trip()
    (told,) = bench.ask("fine")
    error = told.error
    assert isinstance(error, ap.CircuitOpen)
    assert bench.script.calls == 0
    assert error.retry_after is not None
    assert 13.5 <= error.retry_after <= 16.5
    assert isinstance(error.__cause__, openai.InternalServerError)
    assert (error.layer, error.status_code) == ("CircuitBreaker", 503)
    assert told.meta is not None
    (note,) = told.meta.notes
    assert (note.event, note.data["state"], note.data["fault"], note.data["rejected"]) == (
        "refused",
        "open",
        "server",
        True,
    )
    assert told.meta.attempts == []


def test_scenario_27_a_hung_probe(clock: FakeClock) -> None:
    """A test call that never answers loses its lease: the circuit opens for longer, and recovers later."""
    bench = Bench(Caller("async"), clock)
    bench.trip()
    clock.advance(17)

    async def hang() -> None:
        @bench.stack
        async def ask() -> None:
            await asyncio.Event().wait()

        task = asyncio.ensure_future(ask())
        await asyncio.sleep(0)
        assert bench.state == "half_open"
        clock.advance(61)
        assert bench.state == "open"
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(hang())
    (told,) = bench.ask("fine")
    assert isinstance(told.error, ap.CircuitOpen)
    assert told.error.retry_after is not None
    assert 20 < told.error.retry_after <= 33
    clock.advance(33)
    bench.ask("fine", "fine")
    assert bench.state == "closed"


def test_scenario_27_a_timeout_inside_sets_the_lease(clock: FakeClock) -> None:
    """With Timeout(attempt=200) inside, a test call may take that long."""
    breaker = ap.CircuitBreaker(by="global")
    stack = ap.Stack(breaker, ap.Timeout(200), clock=clock)
    caller = Caller("async")
    bad = caller.decorate(stack, Script(openai_error(500)))
    for _ in range(10):
        caller.ask(bad)
    clock.advance(17)
    told = caller.ask(caller.decorate(stack, Script(Takes(150, "fine"), clock=clock)))
    assert told.value == "fine"
    assert breaker.state("global") == "half_open"


@pytest.mark.parametrize("late", ["success", "failure"])
def test_scenario_28_outcomes_of_an_earlier_time(clock: FakeClock, late: str) -> None:
    """A call that began before the circuit changed says nothing about it afterwards."""
    bench = Bench(Caller("async"), clock, min_calls=1)

    async def run() -> None:
        go = asyncio.Event()

        @bench.stack
        async def ask() -> str:
            await go.wait()
            if late == "failure":
                raise openai_error(500)
            return "fine"

        @bench.stack
        async def other(error: Exception | None) -> str:
            if error is not None:
                raise error
            return "fine"

        task = asyncio.ensure_future(ask())
        await asyncio.sleep(0)
        with suppress(openai.InternalServerError):
            await other(openai_error(500))
        if late == "failure":  # by then the circuit has closed again
            clock.advance(17)
            await other(None)
            await other(None)
        before = bench.state
        go.set()
        await asyncio.gather(task, return_exceptions=True)
        assert bench.state == before == ("closed" if late == "failure" else "open")

    asyncio.run(run())


def test_scenario_29_a_bad_request_as_probe(caller: Caller, clock: FakeClock) -> None:
    """A 400 gives the permit back: the state stays half-open, and the next call tests."""
    bench = Bench(caller, clock)
    bench.trip()
    clock.advance(17)
    bench.ask(openai_error(400))
    assert bench.state == "half_open"
    first, second = bench.ask("fine", "fine")
    assert (first.value, second.value, bench.state) == ("fine", "fine", "closed")


def test_scenario_30_the_wall_clock_jumps(caller: Caller, clock: FakeClock) -> None:
    """The wall clock may jump by an hour either way without any effect."""
    bench = Bench(caller, clock)
    bench.trip()
    clock.jump_wall(3600)
    assert isinstance(bench.ask("fine")[0].error, ap.CircuitOpen)
    clock.jump_wall(-7200)
    clock.advance(17)
    assert bench.ask("fine")[0].value == "fine"


def test_scenario_31_many_threads(clock: FakeClock) -> None:
    """16 threads are counted exactly: the circuit opens with the very failure that reaches half."""
    bench = Bench(Caller("sync"), clock, min_calls=320)
    barrier = threading.Barrier(16)
    inside = threading.Barrier(16, timeout=10)  # passes only if calls run beside one another

    @bench.stack
    def ask(fails: bool) -> str:
        inside.wait()
        if fails:
            raise openai_error(500)
        return "fine"

    def work(number: int) -> None:
        barrier.wait()
        for _ in range(20):
            with suppress(openai.InternalServerError):
                ask(number % 2 == 0)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bench.state == "open"


def test_scenario_32_every_kind_of_callable(clock: FakeClock) -> None:
    """Partials, callable objects and bound methods are counted like functions."""

    class Agent:
        def ask(self) -> str:
            raise openai_error(500)

        def __call__(self) -> str:
            raise openai_error(500)

    def ask(text: str) -> str:
        raise openai_error(500)

    for fn in (Agent().ask, Agent(), partial(ask, "hi")):
        breaker = ap.CircuitBreaker(by="global", min_calls=2)
        wrapped: Any = ap.Stack(breaker, clock=clock).decorate(fn)
        for _ in range(2):
            with pytest.raises(openai.InternalServerError):
                wrapped()
        assert breaker.state("global") == "open"


def test_scenario_33_the_ramp(caller: Caller, clock: FakeClock) -> None:
    """After closing 25 %, then 50 %, then all calls are let through."""
    bench = Bench(caller, clock)
    bench.trip()
    bench.recover()
    shares = []
    for _ in range(3):
        told = bench.ask(*["fine"] * 20)
        shares.append(sum(each.error is None for each in told))
        clock.advance(5)
    assert shares == [5, 10, 20]


# Streams


@pytest.mark.parametrize("mode", STREAMS)
def test_a_stream_counts_when_it_ends(clock: FakeClock, mode: str) -> None:
    """A stream that breaks after its first content is a failure."""
    bench = Bench(Caller(mode), clock)
    told = bench.ask(*[["a", "b", openai_error(500)]] * 10)
    assert all(isinstance(each.error, ap.StreamInterrupted) for each in told)
    assert bench.state == "open"


@pytest.mark.parametrize("mode", STREAMS)
def test_scenario_11_a_truncated_stream_is_a_failure(clock: FakeClock, mode: str) -> None:
    """A stream that ends without its terminal marker counts against its endpoint; one that has it does not."""
    breaker = ap.CircuitBreaker(by="global", min_calls=4)
    said = {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}
    ended = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    events: list[Any] = []

    def chunks(model: str, messages: list[Any], stream: bool = True) -> Iterator[Any]:
        yield from events

    async def async_chunks(model: str, messages: list[Any], stream: bool = True) -> AsyncIterator[Any]:
        for event in events:
            yield event

    async def read() -> None:
        async for _ in fn("m", []):
            pass

    stack = ap.Stack(breaker, clock=clock)
    fn: Any = stack.decorate(chunks if mode == "generator" else async_chunks)

    def ask() -> None:
        if mode == "generator":
            list(fn("m", []))
        else:
            asyncio.run(read())

    for events[:] in [said, ended], [said, ended]:
        ask()
    for events[:] in [said], [said]:
        assert breaker.state("global") == "closed"
        with pytest.raises(ap.StreamInterrupted, match="without its terminal marker"):
            ask()
    assert breaker.state("global") == "open"


def test_scenario_17_leaving_a_stream_early(clock: FakeClock) -> None:
    """A consumer that leaves early says nothing; a test call's permit is given back, by the collector too."""
    bench = Bench(Caller("generator"), clock)
    bench.trip()
    clock.advance(17)

    @bench.stack
    def ask() -> Iterator[str]:
        yield "a"
        yield "b"

    for close in (True, False):
        stream: Any = ask()
        assert next(stream) == "a"
        with pytest.raises(ap.CircuitOpen):
            next(ask())
        if close:
            stream.close()
        del stream
        gc.collect()
        assert bench.state == "half_open"
    assert list(ask()) == ["a", "b"]


def test_a_long_stream_keeps_its_lease(clock: FakeClock) -> None:
    """A test call whose stream goes on for longer than a lease has not hung."""
    bench = Bench(Caller("generator"), clock)
    bench.trip()
    clock.advance(17)
    (told,) = bench.ask(["a", *[item for _ in range(10) for item in (Takes(30), "b")]])
    assert told.value == "a" + "b" * 10
    assert bench.state == "half_open"
    bench.ask("fine")
    assert bench.state == "closed"


def test_slow_streams_open_it() -> None:
    """Streams whose first content comes too late open the circuit though none failed."""
    clock = FakeClock()
    bench = Bench(Caller("generator"), clock, slow=ap.SlowCalls(ttft=5))
    bench.ask(*[Takes(6, ["a"])] * 10)
    assert bench.state == "open"


def test_slow_answers_open_it(caller: Caller, clock: FakeClock) -> None:
    """So do answers that take too long for each of their tokens, whole ones and streams; uncounted ones do not."""

    async def count(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)
        attempt = reply.attempt
        assert attempt is not None
        if reply.streaming:
            reply.on_end(lambda end: setattr(end.attempt, "usage", ap.Usage(1, 10)))
        else:
            attempt.usage = ap.Usage(1, 10)
        return reply

    rule = ap.SlowCalls(per_token=0.5)
    assert ap.CircuitBreaker(slow=rule).needs_usage
    for layers, state in (([], "closed"), ([count], "open")):
        breaker = ap.CircuitBreaker(by="global", slow=rule)
        stack = ap.Stack(breaker, *layers, clock=clock)
        step = ["a", Takes(6), "b"] if caller.streams else Takes(6, "a")
        fn = caller.decorate(stack, Script(step, clock=clock))
        for _ in range(10):
            caller.ask(fn)
        assert breaker.state("global") == state


# By hand, shadow, groups


def test_orders_by_hand(caller: Caller, clock: FakeClock) -> None:
    """force_open refuses everything, disable admits everything, until reset."""
    bench = Bench(caller, clock)
    bench.breaker.force_open()
    (told,) = bench.ask("fine")
    assert isinstance(told.error, ap.CircuitOpen)
    assert told.error.retry_after is None
    assert "reset()" in str(told.error)
    clock.advance(10_000)
    assert bench.state == "forced_open"
    bench.breaker.disable()
    bench.ask(*[openai_error(500)] * 30)
    assert bench.state == "disabled"
    bench.breaker.reset()
    assert bench.ask("fine")[0].value == "fine"
    assert bench.state == "closed"
    bench.breaker.force_open("global")
    assert bench.state == "forced_open"
    assert bench.breaker.state("unheard of") == "closed"


def test_shadow_refuses_nothing(caller: Caller, clock: FakeClock) -> None:
    """In shadow mode calls go through, with a note that says what would have been refused."""
    bench = Bench(caller, clock, shadow=True)
    bench.trip()
    (told,) = bench.ask("fine")
    assert told.value == "fine"
    assert told.meta is not None
    assert [(note.event, note.data["state"]) for note in told.meta.notes] == [("would_refuse", "open")]


def test_groups_do_not_share_a_circuit(clock: FakeClock) -> None:
    """By tenant: one tenant's open circuit is not another's, and who names no tenant is told to."""
    breaker = ap.CircuitBreaker(by="tenant", min_calls=1)
    caller = Caller("sync")
    fn = caller.decorate(ap.Stack(breaker, clock=clock), Script(openai_error(500), "fine"))
    with ap.context(tenant="a"):
        caller.ask(fn)
        assert isinstance(caller.ask(fn).error, ap.CircuitOpen)
    with ap.context(tenant="b"):
        assert caller.ask(fn).value == "fine"
    error = caller.ask(fn).error
    assert isinstance(error, ap.ConfigError)
    assert "tenant" in str(error)


def test_a_callable_names_the_group(clock: FakeClock) -> None:
    """`by` may be a function of the call, which must return text."""
    breaker = ap.CircuitBreaker(by=lambda call: f"{call.operation}")
    caller = Caller("sync")
    caller.ask(caller.decorate(ap.Stack(breaker, clock=clock), Script("fine")))
    assert breaker.state() == {"function": "closed"}
    wrong = ap.CircuitBreaker(by=lambda call: 7)  # type: ignore[arg-type, return-value]
    told = caller.ask(caller.decorate(ap.Stack(wrong, clock=clock), Script("fine")))
    assert isinstance(told.error, ap.ConfigError)


def test_a_real_client(clock: FakeClock) -> None:
    """Around an SDK's client the key is provider, address and model, and 500s open the circuit."""
    breaker = ap.CircuitBreaker(min_calls=2)
    with (
        Provider(["error"]) as provider,
        openai.OpenAI(api_key="any", base_url=provider.openai_url, max_retries=0) as original,
    ):
        client = ap.Stack(breaker, clock=clock).wrap(original)
        for _ in range(2):
            with pytest.raises(openai.InternalServerError):
                client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        with pytest.raises(ap.CircuitOpen):
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        assert breaker.state() == {f"openai {provider.openai_url}/ m": "open"}
        assert len(provider.requests) == 2


def test_the_board_knows(clock: FakeClock) -> None:
    """The board refuses a target whose circuit is open, and forgets a breaker that is gone."""
    seen: list[Any] = []

    async def look(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        seen.append((call.board, call.target, call.board.refuses(call.target, call.runtime.now())))
        return await call_next(call)

    bench = Bench(Caller("sync"), clock, layers=[look])
    bench.trip()
    bench.ask("fine")
    board, target, refusal = seen[-1]
    assert isinstance(board, Board)
    assert refusal.reason == "circuit"
    assert 13 < refusal.retry_after < 17
    bench.breaker.force_open()
    assert board.refuses(target, clock.monotonic()) == ("circuit", float("inf"))
    del bench
    gc.collect()
    assert board.refuses(target, clock.monotonic()) is None


# Shared


def test_processes_share_a_circuit(caller: Caller, clock: FakeClock) -> None:
    """What opens in one process is open in the other, and one of them tests it."""
    store = MemoryStore(now=clock.monotonic)
    one = Bench(caller, clock, store=store)
    other = Bench(caller, clock, store=store)
    other.ask("fine")
    one.trip()
    clock.advance(2)
    (told,) = other.ask("fine")
    assert isinstance(told.error, ap.CircuitOpen)
    clock.advance(17)
    other.ask("fine", "fine")
    clock.advance(2)
    one.ask("fine")
    assert (one.state, other.state) == ("closed", "closed")


def test_the_stack_has_the_store(clock: FakeClock) -> None:
    """A breaker without a store takes the stack's; two stacks with different ones do not go together."""
    store = MemoryStore(now=clock.monotonic)
    breaker, caller = ap.CircuitBreaker(by="global", min_calls=1), Caller("sync")
    fn = caller.decorate(ap.Stack(breaker, store=store, clock=clock), Script(openai_error(500)))
    caller.ask(fn)
    entry = store.get("circuit:global")
    assert entry is not None
    assert json.loads(entry.value)["state"] == "open"
    ap.Stack(breaker, store=store, clock=clock)
    with pytest.raises(ap.ConfigError, match="different stores"):
        ap.Stack(breaker, store=MemoryStore(), clock=clock)


def test_orders_reach_other_processes(clock: FakeClock) -> None:
    """A circuit forced open by hand is so in every process."""
    store = MemoryStore(now=clock.monotonic)
    one, other = (Bench(Caller("sync"), clock, store=store) for _ in range(2))
    one.ask("fine")
    other.ask("fine")
    one.breaker.force_open()
    clock.advance(2)
    assert isinstance(other.ask("fine")[0].error, ap.CircuitOpen)


def test_scenario_18_a_cancelled_probe_is_given_back_to_all(clock: FakeClock) -> None:
    """A test call that is cancelled gives its permit back, in the store too."""
    store = MemoryStore(now=clock.monotonic)
    bench = Bench(Caller("async"), clock, store=store)
    bench.trip()
    clock.advance(17)

    async def run() -> None:
        @bench.stack
        async def ask() -> None:
            await asyncio.Event().wait()

        task = asyncio.ensure_future(ask())
        await asyncio.sleep(0)
        assert json.loads(store.get("circuit:global").value)["leases"]  # type: ignore[union-attr]
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)

    asyncio.run(run())
    known = SharedBreaker(BreakerMachine(BreakerPolicy()), store, "global")
    known.exchange(clock.monotonic())
    assert known.machine.snapshot(clock.monotonic())["leases"] == {}


@pytest.mark.parametrize("mode", STREAMS)
def test_a_shared_circuit_and_streams(clock: FakeClock, mode: str) -> None:
    """Streams are recorded at their end in the store too."""
    store = MemoryStore(now=clock.monotonic)
    bench = Bench(Caller(mode), clock, store=store)
    bench.ask(*[["a", openai_error(500)]] * 10)
    entry = store.get("circuit:global")
    assert entry is not None
    assert json.loads(entry.value)["state"] == "open"


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"failure_rate": 0},
        {"failure_rate": 1.5},
        {"min_calls": 0},
        {"window": 0},
        {"open_for": -1},
        {"max_open_for": 1},
        {"slow": 3},
        {"by": "nobody"},
        {"store": 7},
    ],
)
def test_bad_options(options: dict[str, Any]) -> None:
    """An option out of range is refused when the layer is built."""
    with pytest.raises(ap.ConfigError):
        ap.CircuitBreaker(**options)


@pytest.mark.parametrize("listeners", [print, [1]])
def test_listeners_are_functions(listeners: Any) -> None:
    """What is no list of functions is refused when the breaker is built."""
    with pytest.raises(ap.ConfigError, match="a list of functions"):
        ap.CircuitBreaker(listeners=listeners)


def test_shown() -> None:
    """What differs from the defaults is shown."""
    assert repr(ap.CircuitBreaker()) == "CircuitBreaker()"
    assert repr(ap.CircuitBreaker(min_calls=5, shadow=True)) == "CircuitBreaker(min_calls=5, shadow=True)"


def test_an_answer_of_an_inner_layer_says_nothing(clock: FakeClock) -> None:
    """A reply that no provider sent does not count as a success."""

    async def answer(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        return call.reply("from here")

    breaker = ap.CircuitBreaker(by="global", min_calls=1)
    caller = Caller("sync")
    stack = ap.Stack(breaker, answer, clock=clock)
    assert caller.ask(caller.decorate(stack, Script("fine"))).value == "from here"
    assert breaker._circuits.get("global", 0).machine.snapshot(clock.monotonic())["calls"] == 0


def test_scenario_51_listeners_cannot_break_a_call(caller: Caller, clock: FakeClock) -> None:
    """They hear of every change with its key, may ask the breaker, and what one raises reaches nobody."""
    heard: list[tuple[str, str, str, Any]] = []

    def broken(key: str, change: Any) -> None:
        raise RuntimeError("listener")

    def note(key: str, change: Any) -> None:
        heard.append((key, change.old.value, change.new.value, bench.breaker.state(key)))

    bench = Bench(caller, clock, listeners=[broken, note])
    bench.trip()
    bench.recover()
    pairs = [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]
    assert heard == [("global", old, new, new) for old, new in pairs]


def test_a_snapshot_says_what_led_there(caller: Caller, clock: FakeClock) -> None:
    """State, reason, last fault, since when, how long still, and the counts of the window, as JSON-able data."""
    bench = Bench(caller, clock, seed=1)
    assert bench.breaker.snapshot() == {}
    bench.trip()
    clock.advance(2)
    (found,) = json.loads(json.dumps(bench.breaker.snapshot())).values()
    assert 11 <= found.pop("retry_after") <= 15
    assert found == {
        "state": "open",
        "reason": "failure rate 1.00 of 10 calls",
        "fault": "server",
        "calls": found["calls"],
        "failures": found["failures"],
        "slow_calls": 0,
        "since": 2,
    }
    bench.breaker.force_open()
    assert bench.breaker.snapshot()["global"]["retry_after"] is None


def test_a_seed_repeats_the_waits() -> None:
    """The jitter of two breakers with one seed is the same, and that of others is not."""

    def wait(seed: int | None) -> Any:
        bench = Bench(Caller("sync"), FakeClock(), seed=seed)
        bench.trip()
        return bench.breaker.snapshot()["global"]["retry_after"]

    assert wait(3) == wait(3)
    assert len({wait(None) for _ in range(5)} | {wait(3)}) > 2


def test_changes_are_logged(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """An opening is a warning in the log; whose circuit it is only when that is no person."""
    with caplog.at_level(logging.INFO, "agentprod"):
        Bench(Caller("sync"), clock).trip()
        breaker = ap.CircuitBreaker(by="user", min_calls=1)
        caller = Caller("sync")
        with ap.context(user="ada@example.com"):
            caller.ask(caller.decorate(ap.Stack(breaker, clock=clock), Script(openai_error(500))))
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "ada" not in caplog.text
