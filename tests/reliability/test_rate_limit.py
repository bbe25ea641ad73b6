"""RateLimit: what waits, what is refused, what is booked and given back; by the numbered scenarios."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

import agentprod as ap
from agentprod.reliability.limit_accounts import LocalAccount
from agentprod.stores import MemoryStore, StoreUnavailable
from agentprod.testing import FakeClock
from tests.callers import MODES, Caller, Script, Told
from tests.sdk_errors import openai_error
from tests.virtual_time import LoopClock, run_virtually


@pytest.fixture(params=MODES)
def caller(request: pytest.FixtureRequest) -> Caller:
    """Return a caller of each kind."""
    return Caller(request.param)


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock to move by hand."""
    return FakeClock()


@pytest.fixture(autouse=True)
def estimator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count a token for each character, so that tests can tell numbers."""

    def count(request: Mapping[str, Any], model: str | None, text: str) -> ap.Usage:
        return ap.Usage(len(str(request.get("prompt", ""))), len(text), estimated=True)

    monkeypatch.setattr("agentprod.stack.default_estimator", count)


def answers(headers: Mapping[str, str] | None = None, usage: ap.Usage | None = None) -> Any:
    """Return a layer that tells of each answer what a provider would have told."""

    async def tell(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)
        assert reply.attempt is not None
        if headers is not None:
            reply.attempt.headers = headers
        if usage is not None and reply.streaming:
            reply.on_end(lambda end: setattr(end.attempt, "usage", usage))
        elif usage is not None:
            reply.attempt.usage = usage
        return reply

    return tell


class Bench:
    """One function behind a limit, which answers as it is told."""

    def __init__(self, caller: Caller, clock: FakeClock, *inner: Any, outer: Any = (), **options: Any) -> None:
        self.caller, self.clock = caller, clock
        self.limit = ap.RateLimit(**options)
        self.script = Script("fine", clock=clock)
        self.stack = ap.Stack(*outer, self.limit, *inner, clock=clock)
        self.fn = caller.decorate(self.stack, self.script)

    def ask(self, *steps: Any, prompt: str = "hi") -> list[Told]:
        """Make one call for each step."""
        told = []
        for step in steps:
            self.script.steps, self.script.calls = (step,), 0
            told.append(self.caller.ask(self.fn, prompt))
        return told


def waits(told: Told) -> list[float]:
    """Return how long RateLimit let a call wait."""
    assert told.meta is not None
    return [note.data["wait"] for note in told.meta.notes if note.event == "waited"]


# The scenarios


def test_scenario_36_never_more_than_the_limit(caller: Caller, clock: FakeClock) -> None:
    """150 calls, one after the other: no sliding minute sees more than limit plus burst, in requests and in tokens."""
    bench = Bench(caller, clock, answers(usage=ap.Usage(3000)), requests=60, tokens=90_000)
    bench.script.steps = ("fine",)
    for _ in range(150):
        assert caller.ask(bench.fn, "x" * 3000).error is None
    sent = bench.script.started
    assert len(sent) == 150
    for start in sent:
        calls = sum(start <= each < start + 60 for each in sent)
        assert calls * 3000 <= 90_000 + 90_000
        assert calls <= 60 + 60
    assert 235 <= sent[-1] - sent[0] <= 245  # 450,000 tokens, of which 90,000 at once and 1,500 a second


def test_scenario_36_fifty_callers() -> None:
    """50 at once, three calls of 3,000 tokens each: no sliding minute sees more than limit plus burst, and all end."""
    sent: list[float] = []

    async def run(clock: LoopClock) -> None:
        @ap.Stack(ap.RateLimit(requests=60, tokens=90_000), answers(usage=ap.Usage(3000)), clock=clock)
        async def ask(prompt: str) -> str:
            sent.append(clock.monotonic())
            await asyncio.sleep(2)
            return "fine"

        async def caller() -> list[str]:
            return [await ask("x" * 3000) for _ in range(3)]

        assert await asyncio.gather(*(caller() for _ in range(50))) == [["fine"] * 3] * 50

    run_virtually(run)
    assert len(sent) == 150
    for start in sent:
        calls = sum(start <= each < start + 60 for each in sent)
        assert calls * 3000 <= 90_000 + 90_000
        assert calls <= 60 + 60


def test_scenario_36_requests_are_not_used_when_tokens_refuse(caller: Caller, clock: FakeClock) -> None:
    """All or none: a call without room for its tokens books no request."""
    bench = Bench(caller, clock, requests=2, input_tokens=100, max_wait=0)
    first, refused, small = (*bench.ask("fine", "fine", prompt="x" * 60), *bench.ask("fine", prompt="x" * 30))
    assert first.error is None
    assert isinstance(refused.error, ap.RateLimited)
    assert "input_tokens" in str(refused.error)
    assert small.error is None
    (last,) = bench.ask("fine", prompt="")
    assert isinstance(last.error, ap.RateLimited)
    assert "requests" in str(last.error)


@pytest.mark.parametrize(("used", "wait"), [(600, None), (6000, 60.0)])
def test_scenario_37_settled_by_what_was_used(clock: FakeClock, used: int, wait: float | None) -> None:
    """4,000 booked and 600 used: the next goes at once. 6,000 used: the debt delays it."""
    bench = Bench(Caller("sync"), clock, answers(usage=ap.Usage(used)), input_tokens=4000)
    first, second = bench.ask("fine", "fine", prompt="x" * 4000)[0], bench.ask("fine", prompt="x" * 3000)[0]
    assert waits(first) == []
    if wait is None:
        assert waits(second) == []
    else:
        assert waits(second)[0] > wait  # 6,000 used and 3,000 wanted of 4,000 per minute


def test_scenario_38_first_come_first_served(clock: FakeClock) -> None:
    """One who needs 900 units is served in its turn among many who need 10; one beyond the burst goes alone."""
    limit = ap.RateLimit(input_tokens=1000, per="second")
    order: list[int] = []

    async def run() -> None:
        @ap.Stack(limit, clock=clock)
        async def ask(prompt: str) -> str:
            order.append(len(prompt))
            return "fine"

        sizes = [1000, *[10] * 5, 900, *[10] * 5, 5000, 10]
        await asyncio.gather(*(ask("x" * size) for size in sizes))
        assert order == sizes

    asyncio.run(run())


def test_scenario_39_what_headers_say(caller: Caller, clock: FakeClock) -> None:
    """With nothing remaining the next call waits for the reset, though the local bucket is full."""
    headers = {
        "x-ratelimit-limit-requests": "600",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "20s",
    }
    bench = Bench(caller, clock, answers(headers), requests=600)
    _, second = bench.ask("fine", "fine")
    assert waits(second) == [pytest.approx(20)]


@pytest.mark.parametrize(
    "options", [{"requests": 600, "per": "hour"}, {"requests": 600, "by": "global"}, {"requests": 9}]
)
def test_scenario_39_headers_of_what_is_not_limited_here(
    caller: Caller, clock: FakeClock, options: dict[str, Any]
) -> None:
    """An exhausted dimension without a bucket here lets the account rest until its reset."""
    name = "requests" if len(options) == 2 else "tokens"
    headers = {f"x-ratelimit-remaining-{name}": "0", f"x-ratelimit-reset-{name}": "20s"}
    bench = Bench(caller, clock, answers(headers), **options)
    _, second = bench.ask("fine", "fine")
    assert waits(second) == [20]


def test_scenario_39_late_headers_are_ignored(clock: FakeClock) -> None:
    """What an older request's answer says does not count after a newer one's."""
    limit = ap.RateLimit(requests=600)
    told: list[dict[str, str]] = []

    async def tell(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)
        assert reply.attempt is not None
        reply.attempt.headers = told.pop()
        return reply

    async def run() -> None:
        go = asyncio.Event()

        @ap.Stack(limit, tell, clock=clock)
        async def ask(wait: bool) -> str:
            if wait:
                await go.wait()
            return "fine"

        old = asyncio.ensure_future(ask(True))
        await asyncio.sleep(0)
        clock.advance(1)
        told.append({"x-ratelimit-remaining-requests": "500", "x-ratelimit-reset-requests": "1s"})
        await ask(False)
        told.append({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "50s"})
        go.set()
        await old
        told.append({})
        before = clock.monotonic()
        await ask(False)
        assert clock.monotonic() == before

    asyncio.run(run())


def test_scenario_39_limits_learnt_from_headers(caller: Caller, clock: FakeClock) -> None:
    """Without limits of one's own those in the headers hold; unusable ones (-1, junk) are ignored."""
    odd = {"x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "0s", "x-ratelimit-limit-tokens": "-1"}
    headers = {
        "anthropic-ratelimit-requests-limit": "2",
        "anthropic-ratelimit-requests-remaining": "1",
        "anthropic-ratelimit-requests-reset": "1s",
        **odd,
    }
    bench = Bench(caller, clock, answers(headers))
    told = bench.ask("fine", "fine", "fine")
    assert [bool(waits(each)) for each in told] == [False, False, True]


def test_headers_of_thousands_of_digits_change_nothing(caller: Caller, clock: FakeClock) -> None:
    """Python refuses to read such numbers; the answer they came with is delivered all the same."""
    digits = "9" * 5000
    headers = {
        "x-ratelimit-limit-requests": digits,
        "x-ratelimit-remaining-requests": digits,
        "x-ratelimit-reset-requests": f"{digits}s",
        "x-ratelimit-reset-tokens": "1s",
        "x-ratelimit-remaining-tokens": digits,
        "x-ratelimit-limit-tokens": digits,
    }
    bench = Bench(caller, clock, answers(headers), requests=2, tokens=1e6)
    told = bench.ask("fine", "fine")
    assert [each.value for each in told] == ["fine", "fine"]
    assert [waits(each) for each in told] == [[], []]


def test_scenario_40_two_loops_and_threads() -> None:
    """One object serves two event loops and threads, on the real clock, and one who gives back wakes who waits."""
    limit = ap.RateLimit(requests=1, per=3600)
    stack = ap.Stack(limit)

    async def run() -> str:
        entered, go = asyncio.Event(), asyncio.Event()

        @stack
        async def refused() -> str:
            entered.set()
            await go.wait()
            raise ConnectionRefusedError

        @stack
        async def ask() -> str:
            return "fine"

        async def give_back() -> None:
            with pytest.raises(ConnectionRefusedError):
                await refused()

        first = asyncio.ensure_future(give_back())
        await entered.wait()
        second = asyncio.ensure_future(ask())  # would wait for an hour
        await asyncio.sleep(0)
        go.set()
        await first
        return await second

    assert asyncio.run(run()) == "fine"

    other = ap.RateLimit(requests=100)
    told: list[Any] = []

    @ap.Stack(other)
    def fn() -> str:
        return "fine"

    threads = [threading.Thread(target=lambda: told.append(fn())) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert told == ["fine"] * 16

    async def once() -> str:
        async def ask() -> str:
            return "fine"

        return await ap.Stack(other).decorate(ask)()

    assert [asyncio.run(once()), asyncio.run(once())] == ["fine", "fine"]


def test_scenario_40_groups_do_not_delay_one_another(clock: FakeClock) -> None:
    """One tenant's used-up limit never delays another tenant."""
    bench = Bench(Caller("sync"), clock, requests=1, by="tenant", max_wait=0)
    with ap.context(tenant="a"):
        first, second = bench.ask("fine", "fine")
    with ap.context(tenant="b"):
        (third,) = bench.ask("fine")
    assert [each.error is None for each in (first, second, third)] == [True, False, True]
    assert "one tenant" in str(second.error)


# Waiting


def test_what_does_not_fit_in_time_is_refused_at_once(caller: Caller, clock: FakeClock) -> None:
    """Beyond max_wait, or the deadline, a call is refused without any wait, and told when to come again."""
    for options, outer in (({"max_wait": 30}, []), ({}, [ap.Deadline(30)])):
        bench = Bench(caller, clock, requests=1, outer=outer, **options)
        first, second = bench.ask("fine", "fine")
        assert first.error is None
        error = second.error
        assert isinstance(error, ap.RateLimited)
        assert error.retry_after == pytest.approx(60)
        assert (error.status_code, error.layer) == (429, "RateLimit")
        assert clock.slept == []


def test_what_fits_in_time_waits(caller: Caller, clock: FakeClock) -> None:
    """Within max_wait a call waits, and says for how long."""
    bench = Bench(caller, clock, requests=2, max_wait=60)
    told = bench.ask("fine", "fine", "fine")
    assert [waits(each) for each in told] == [[], [], [pytest.approx(30)]]


def test_a_cooling_account_is_waited_for(caller: Caller, clock: FakeClock) -> None:
    """After a 429 the account rests as long as the provider asked, or, without a hint, a second and then longer."""
    bench = Bench(caller, clock, requests=600)
    _, second, _, fourth, _, sixth = bench.ask(
        openai_error(429, headers={"retry-after": "7"}), "fine", openai_error(429), "fine", openai_error(429), "fine"
    )
    assert waits(second) == [7]
    assert (waits(fourth), waits(sixth)) == ([1], [1])
    _, _, last = bench.ask(openai_error(429), openai_error(429), "fine")
    assert waits(last) == [2]
    bench = Bench(caller, clock, requests=600, max_wait=1)
    _, refused = bench.ask(openai_error(429, headers={"retry-after": "7"}), "fine")
    assert isinstance(refused.error, ap.RateLimited)
    assert refused.error.retry_after == 7


def test_a_used_up_quota_rests_for_long(clock: FakeClock) -> None:
    """An exhausted quota lets the account rest for five minutes."""
    bench = Bench(Caller("sync"), clock, requests=600, max_wait=60)
    _, refused = bench.ask(openai_error(429, code="insufficient_quota"), "fine")
    assert isinstance(refused.error, ap.RateLimited)
    assert refused.error.retry_after == 300


# Giving back


@pytest.mark.parametrize(
    ("error", "given_back"),
    [
        (ConnectionRefusedError(), True),
        (ap.Blocked("a layer inside refused"), True),
        (openai_error(500), False),
        (openai_error(400), False),
        (TimeoutError(), False),
    ],
    ids=["refused connection", "rejected", "server error", "bad request", "timeout"],
)
def test_refunds(caller: Caller, clock: FakeClock, error: Exception, given_back: bool) -> None:
    """A request that was not processed is given back; one that may have been is not."""
    bench = Bench(caller, clock, requests=1, max_wait=0)
    _, second = bench.ask(error, "fine")
    assert (second.error is None) == given_back


def test_a_bad_request_costs_no_tokens(clock: FakeClock) -> None:
    """What no model has read gives its tokens back."""
    bench = Bench(Caller("sync"), clock, input_tokens=100, max_wait=0)
    _, second = bench.ask(openai_error(400), "fine", prompt="x" * 100)
    assert second.error is None


def test_a_circuit_found_open_gives_back(clock: FakeClock) -> None:
    """A circuit inside that refuses costs nothing, and nobody waits in line for it."""
    breaker = ap.CircuitBreaker()
    bench = Bench(Caller("sync"), clock, breaker, requests=1)
    bench.ask("fine")
    clock.advance(60)
    breaker.force_open()
    (told,) = bench.ask("fine")
    assert isinstance(told.error, ap.CircuitOpen)
    breaker.reset()
    (first,) = bench.ask("fine")
    assert waits(first) == []
    breaker.force_open()
    (second,) = bench.ask("fine")
    assert isinstance(second.error, ap.CircuitOpen)
    assert clock.slept == []


def test_scenario_18_cancelled_in_line(clock: FakeClock) -> None:
    """A call that is cancelled while it waits gives up its place, and reaches nobody."""
    real = ap.RateLimit(requests=1, per=3600)
    reached: list[int] = []

    async def run() -> None:
        @ap.Stack(real)
        async def ask(number: int) -> None:
            reached.append(number)

        await ask(1)
        waiting = asyncio.ensure_future(ask(2))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(run())
    assert reached == [1]


def test_streams_are_settled_at_their_end(clock: FakeClock) -> None:
    """Until a stream has ended what it booked is in use; then what it used counts, and its end may be a close."""

    async def run() -> None:
        limit = ap.RateLimit(output_tokens=1000, max_wait=0)

        @ap.Stack(limit, answers(usage=ap.Usage(0, 6)), clock=clock)
        async def ask(prompt: str) -> AsyncIterator[str]:
            yield "abc"
            yield "def"

        stream = ask("")
        assert await anext(stream) == "abc"
        with pytest.raises(ap.RateLimited):
            await anext(ask(""))
        await stream.aclose()  # type: ignore[attr-defined]
        with pytest.raises(ap.RateLimited) as raised:
            await anext(ask(""))
        assert raised.value.retry_after == pytest.approx(0.36)  # 6 of 1,000 a minute
        clock.advance(0.37)
        assert [item async for item in ask("")] == ["abc", "def"]
        assert [item async for item in ask("")] == ["abc", "def"]

    asyncio.run(run())


# Shared


def test_processes_share_a_limit(caller: Caller, clock: FakeClock) -> None:
    """Two processes with one store keep one limit together, and give back to each other."""
    store = MemoryStore(now=clock.monotonic)
    one, other = (Bench(caller, clock, requests=2, store=store, by="global") for _ in range(2))
    one.ask(ConnectionRefusedError(), "fine")
    assert waits(other.ask("fine")[0]) == []
    assert waits(one.ask("fine")[0]) == [pytest.approx(30, abs=0.1)]
    refusing = Bench(caller, clock, requests=2, store=store, by="global", max_wait=1)
    assert isinstance(refusing.ask("fine")[0].error, ap.RateLimited)


def test_processes_share_a_rest(caller: Caller, clock: FakeClock) -> None:
    """An account that the provider refused to one process rests for the other, too, as long and no longer."""
    store = MemoryStore(now=clock.monotonic)
    one, other = (Bench(caller, clock, requests=600, store=store, by="global") for _ in range(2))
    one.ask("fine", openai_error(429, headers={"retry-after": "7"}))
    assert waits(other.ask("fine")[0]) == [pytest.approx(7, abs=0.1)]
    assert waits(other.ask("fine")[0]) == []


def test_shared_headers_and_streams(caller: Caller, clock: FakeClock) -> None:
    """What one process learns from headers holds for the other."""
    store = MemoryStore(now=clock.monotonic)
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20s"}
    one = Bench(caller, clock, answers(headers), requests=600, store=store, by="model")
    other = Bench(caller, clock, requests=600, store=store, by="model")
    one.ask("fine")
    assert waits(other.ask("fine")[0]) == [pytest.approx(20, abs=0.1)]


def test_a_store_that_is_down(caller: Caller, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """Without its store a process keeps to the limit by itself, and warns once."""

    class Down(MemoryStore):
        def update(self, *args: Any, **options: Any) -> Any:
            raise StoreUnavailable("it is down")

        async def aupdate(self, *args: Any, **options: Any) -> Any:
            raise StoreUnavailable("it is down")

    headers = {"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "20s"}
    bench = Bench(caller, clock, answers(headers), requests=2, max_wait=0, store=Down())
    told = bench.ask("fine", "fine", "fine")
    assert [each.error is None for each in told] == [True, True, False]
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1


def test_the_stack_has_the_store(clock: FakeClock) -> None:
    """A limit without a store takes the stack's; two stacks with different ones do not go together."""
    store = MemoryStore(now=clock.monotonic)
    limit = ap.RateLimit(requests=1, max_wait=0)
    for expected in (True, False):
        fn = ap.Stack(limit, store=store, clock=clock).decorate(lambda: "fine", name="f")
        assert (Caller("sync").ask(fn).error is None) == expected
    with pytest.raises(ap.ConfigError, match="different stores"):
        ap.Stack(limit, store=MemoryStore(), clock=clock)


def test_a_shared_place_in_line_is_given_up(clock: FakeClock) -> None:
    """A call cancelled in a shared line, or in flight, gives up its place in the store, beside it."""
    store = MemoryStore(now=clock.monotonic)
    limit = ap.RateLimit(input_tokens=60, store=store, by="global")
    other = ap.RateLimit(input_tokens=60, store=store, by="global", max_wait=0)

    async def run() -> None:
        entered = asyncio.Event()

        @ap.Stack(limit, clock=clock)
        async def ask(prompt: str) -> None:
            entered.set()
            await asyncio.Event().wait()

        async def refuse(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            entered.set()
            await asyncio.Event().wait()
            raise AssertionError("it is cancelled before")

        @ap.Stack(limit, refuse, clock=clock)
        async def unsent(prompt: str) -> None:
            raise AssertionError("it is never sent")

        @ap.Stack(other, clock=clock)
        async def fits(prompt: str) -> str:
            return "fine"

        task = asyncio.ensure_future(unsent("x" * 60))
        await entered.wait()
        with pytest.raises(ap.RateLimited):
            await fits("x" * 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.01)
        assert await fits("x" * 60) == "fine"

        class Held(FakeClock):
            async def asleep(self, seconds: float) -> None:
                await asyncio.Event().wait()

        @ap.Stack(limit, clock=Held(clock.monotonic()))
        async def waits_long(prompt: str) -> None:
            raise AssertionError("it is cancelled in line")

        waiting = asyncio.ensure_future(waits_long("x" * 60))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(0.01)
        clock.advance(60)
        assert await fits("x" * 60) == "fine"

    asyncio.run(run())


def test_a_store_that_goes_down_in_between(clock: FakeClock) -> None:
    """A store that fails while a call is in flight does not fail the call."""

    class Fails(MemoryStore):
        is_down = False

        asked = 0

        def update(self, *args: Any, **options: Any) -> Any:
            self.asked += 1
            if self.is_down:
                raise StoreUnavailable("it is down")
            return super().update(*args, **options)

    store = Fails(now=clock.monotonic)

    async def cut(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        store.is_down = True
        return await call_next(call)

    headers = {"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "20s"}
    bench = Bench(Caller("sync"), clock, cut, answers(headers), requests=9, store=store)
    assert bench.ask("fine")[0].value == "fine"
    assert store.asked > 1


# Estimates


def test_what_the_answer_may_cost(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is booked at no more than the request allows, then as earlier answers were; input roughly at worst."""

    def broken(request: Mapping[str, Any], model: str | None, text: str) -> ap.Usage:
        raise RuntimeError("no tokenizer")

    monkeypatch.setattr("agentprod.stack.default_estimator", broken)
    limit = ap.RateLimit(tokens=10_000, max_wait=0)
    left: list[float] = []

    async def look(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        ((_, account),) = limit._accounts.items()
        assert isinstance(account, LocalAccount)
        left.append(account._gcra.remaining(clock.monotonic())["tokens"])
        return await call_next(call)

    @ap.Stack(limit, look, answers(usage=ap.Usage(0, 300)), clock=clock)
    def ask(max_tokens: int) -> str:
        return "fine"

    for most in (100, 5000):
        ask(max_tokens=most)
        clock.advance(60)
    assert 9850 < left[0] < 9900  # 100, and some for the request
    assert 9650 < left[1] < 9700  # 300, as the answer before


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"requests": 0},
        {"tokens": -1},
        {"sync_headers": False},
        {"per": "hour"},
        {"by": "user"},
        {"requests": 1, "per": "week"},
        {"requests": 1, "per": 0},
        {"requests": 1, "max_wait": -1},
        {"requests": 1, "by": "nobody"},
        {"requests": 1, "store": 7},
    ],
)
def test_bad_options(options: dict[str, Any]) -> None:
    """An option out of range is refused when the layer is built."""
    with pytest.raises(ap.ConfigError):
        ap.RateLimit(**options)


def test_shown() -> None:
    """What differs from the defaults is shown."""
    assert repr(ap.RateLimit()) == "RateLimit()"
    assert repr(ap.RateLimit(requests=5, per="hour", max_wait=3)) == "RateLimit(requests=5, per=3600.0, max_wait=3.0)"


# Looking


def test_a_snapshot_says_what_is_left(clock: FakeClock) -> None:
    """By group: limits, configured or learnt, the units left of them, and who waits, as JSON-able data."""
    bench = Bench(Caller("sync"), clock, requests=10, by="global")
    assert bench.limit.snapshot() == {}
    bench.ask("fine", "fine")
    assert json.loads(json.dumps(bench.limit.snapshot())) == {
        "global": {"limits": {"requests": 10}, "left": {"requests": pytest.approx(8)}, "waiting": 0}
    }

    async def wait(count: int) -> None:
        limit = ap.RateLimit(requests=1, by="global")

        @ap.Stack(limit)
        async def ask() -> str:
            return "fine"

        await ask()
        waiting = [asyncio.create_task(ask()) for _ in range(count)]
        await asyncio.sleep(0)
        assert limit.snapshot()["global"]["waiting"] == count
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert limit.snapshot()["global"]["waiting"] == 0

    asyncio.run(wait(3))


def test_a_snapshot_does_not_ask_the_store(clock: FakeClock) -> None:
    """What is in a store costs a round trip to know, so it only says so."""
    bench = Bench(Caller("sync"), clock, requests=10, by="global", store=MemoryStore(now=clock.monotonic))
    bench.ask("fine")
    assert bench.limit.snapshot() == {"global": {"shared": True}}


def test_attempts_side_by_side_are_counted_apart() -> None:
    """Of a hedged call both attempts are booked, and each settles what itself has used."""

    async def main(clock: LoopClock) -> None:
        limit = ap.RateLimit(requests=100, input_tokens=1000, per="hour", by="global")
        used = iter([ap.Usage(100), ap.Usage(7)])

        async def told(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            reply = await call_next(call)
            assert reply.attempt is not None
            reply.attempt.usage = next(used)
            return reply

        seconds = iter([3.0, 0.5])

        @ap.Stack(ap.Hedge(after=1), limit, told, clock=clock)
        async def ask() -> str:
            await asyncio.sleep(next(seconds))
            return "fine"

        assert await ask() == "fine"
        await asyncio.sleep(5)
        assert limit.snapshot()["global"]["left"]["requests"] == pytest.approx(98, abs=0.3)
        (account,) = [found for _, found in limit._accounts.items()]
        assert not account._gcra.reservations  # type: ignore[union-attr]

    run_virtually(main)
