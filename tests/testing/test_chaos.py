"""Chaos: what it breaks, how, and that the same seed breaks the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

import agentprod as ap
from agentprod.testing import Chaos, ChaosError, FakeClock, Provider, behaviours
from agentprod.testing.chaos_faults import CHAOS_FAULTS
from tests.callers import MODES, Caller, Script

CHUNKS = [f"{number} " for number in range(20)]
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
BEFORE = [name for name, fault in CHAOS_FAULTS.items() if fault.kind in ("status", "connection", "refused", "timeout")]


@pytest.fixture(params=MODES)
def caller(request: pytest.FixtureRequest) -> Caller:
    """Return a caller of each kind."""
    return Caller(request.param)


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock to move by hand."""
    return FakeClock()


def logs_of(mode: str, *, seed: int | None, calls: int = 40) -> list[Any]:
    """Return what calls behind a retry, a breaker and chaos did and met."""
    clock, caller = FakeClock(), Caller(mode)
    chaos = Chaos(seed=seed, rate=0.4)
    layers = (ap.Retry(attempts=2, seed=5), ap.CircuitBreaker(seed=5), ap.Timeout(2, thread=mode == "sync"), chaos)
    script = Script(CHUNKS[:12] if caller.streams else "fine", clock=clock)
    fn = caller.decorate(ap.Stack(*layers, clock=clock), script, name="f")
    told = []
    for _ in range(calls):
        told.append(caller.ask(fn))
        clock.advance(1)  # so that the circuit closes again
    return [[each.log for each in told], list(chaos.log), clock.slept, chaos.attempts]


@pytest.mark.parametrize(("one", "other"), [("sync", "async"), ("generator", "async_generator"), ("sync", "sync")])
def test_scenario_53_the_same_seed_is_the_same_log(one: str, other: str) -> None:
    """Retries, breaker, waits and faults of 40 calls are the same for the same seed, sync as async, and streams."""
    log = logs_of(one, seed=7)
    assert log == logs_of(other, seed=7)
    assert log != logs_of(other, seed=8)
    assert len(log[1]) > 5


def test_without_a_seed_every_series_is_another() -> None:
    """Chaos without a seed is no repetition of the last one."""
    assert logs_of("sync", seed=None) != logs_of("sync", seed=None)


def test_a_share_of_the_attempts_is_struck(caller: Caller, clock: FakeClock) -> None:
    """With rate 0 none, with rate 1 all, and in between about as many as it says."""
    for rate, least, most in ((0, 0, 0), (0.25, 25, 75), (1, 200, 200)):
        chaos = Chaos(seed=1, rate=rate, faults="server")
        fn = caller.decorate(ap.Stack(chaos, clock=clock), Script("fine"), name="f")
        failed = sum(caller.ask(fn).error is not None for _ in range(200 if caller.mode == "sync" else 20))
        if caller.mode == "sync":
            assert least <= failed <= most
        assert failed == len(chaos.log)


@pytest.mark.parametrize("fault", BEFORE)
def test_the_fault_is_the_one_named(caller: Caller, clock: FakeClock, fault: str) -> None:
    """What the classifier reads from a fault of chaos is what its name says; the function is not called."""
    expected = {"refused": "connection"}.get(fault, fault)
    script = Script("fine")
    fn = caller.decorate(ap.Stack(Chaos(rate=1, faults=fault), clock=clock), script, name="f")
    told = caller.ask(fn)
    assert told.meta is not None
    assert [attempt.fault for attempt in told.meta.attempts] == [ap.Fault(expected)]
    assert script.calls == 0
    assert [(note.event, note.data) for note in told.meta.notes] == [("struck", {"fault": fault})]


def test_an_exception_of_ones_own(caller: Caller, clock: FakeClock) -> None:
    """Exceptions, and functions that make one, are faults, too; each weighs what a mapping says."""
    error = KeyError("mine")
    faults = {error: 0, ZeroDivisionError: 2}
    fn = caller.decorate(ap.Stack(Chaos(rate=1, faults=faults), clock=clock), Script("fine"), name="f")
    assert {type(caller.ask(fn).error) for _ in range(10)} == {ZeroDivisionError}
    same = caller.decorate(ap.Stack(Chaos(rate=1, faults=error), clock=clock), Script("fine"), name="f")
    assert caller.ask(same).error is error


def test_latency_counts_for_the_timeout(clock: FakeClock) -> None:
    """A slow provider is waited for as long as the attempt may take, and what is left of that is all the rest has."""
    caller = Caller("async")
    chaos = Chaos(rate=1, faults="latency", latency=3)
    bare = caller.decorate(ap.Stack(chaos, clock=clock), Script("fine"), name="f")
    assert caller.ask(bare).value == "fine"
    assert clock.slept == [3]
    late = caller.decorate(ap.Stack(ap.Timeout(2), chaos, clock=clock), Script("fine"), name="f")
    assert isinstance(caller.ask(late).error, ap.CallTimeout)
    assert clock.slept == [3, 2]
    limits: list[ap.Limits] = []

    class Look:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            edge = call.target.edge

            class Seen:
                async def send(self, call: ap.Call, attempt: ap.Attempt) -> ap.Reply:
                    limits.append(call.limits)
                    return await edge.send(call, attempt)

            target = ap.Target("p", "b", "m", Seen())
            return await call_next(call.replace(target=target))

    stack = ap.Stack(ap.Timeout(5, first_token=4), Look(), chaos, clock=clock)
    assert caller.ask(caller.decorate(stack, Script("fine"), name="f")).value == "fine"
    assert [(found.attempt, found.first_token) for found in limits] == [(2, 1)]


def test_a_timeout_takes_its_time(caller: Caller, clock: FakeClock) -> None:
    """No answer comes until the attempt's limit or the deadline, whichever is first."""
    chaos = Chaos(rate=1, faults="timeout")
    layers = (ap.Timeout(9, thread=caller.mode == "sync"), chaos)
    told = caller.ask(caller.decorate(ap.Stack(*layers, clock=clock), Script("fine"), name="f"))
    assert isinstance(told.error, ap.CallTimeout)
    assert clock.slept == [9]
    with ap.context(deadline=4):
        told = caller.ask(caller.decorate(ap.Stack(*layers, clock=clock), Script("fine"), name="f"))
    assert isinstance(told.error, ap.DeadlineExceeded)
    assert clock.slept == [9, pytest.approx(4, abs=3)]  # `context` counts in real time


@pytest.mark.parametrize("mode", ["generator", "async_generator"])
def test_streams_break_after_their_first_content(mode: str, clock: FakeClock) -> None:
    """A cut raises in the middle, a truncated stream is silent about it, a stall only pauses; nothing is repeated."""
    caller = Caller(mode)
    for fault in ("cut", "truncate", "stall"):
        chaos = Chaos(seed=3, rate=1, faults=fault, latency=7)
        told = caller.ask(caller.decorate(ap.Stack(ap.Retry(), chaos, clock=clock), Script(CHUNKS), name="f"))
        if fault == "cut":
            assert isinstance(told.error, ap.StreamInterrupted)
            assert isinstance(told.error.__cause__, ConnectionError)
        if fault != "stall":
            assert 1 <= len(told.read) < len(CHUNKS)
        assert told.read == CHUNKS[: len(told.read)]
        assert chaos.attempts == 1
    assert told.value == "".join(CHUNKS)
    assert clock.slept == [7]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_cut_loses_a_whole_answer(mode: str, clock: FakeClock) -> None:
    """The connection breaks when the work is done: the function ran, and Retry runs it again."""
    caller, script = Caller(mode), Script("fine", clock=clock)
    chaos = Chaos(rate=1, faults=["cut", "truncate"])
    told = caller.ask(caller.decorate(ap.Stack(ap.Retry(attempts=2), chaos, clock=clock), script, name="f"))
    assert isinstance(told.error, ConnectionError)
    assert script.calls == 2
    chaos = Chaos(rate=1, faults="stall", latency=4)
    told = caller.ask(caller.decorate(ap.Stack(chaos, clock=clock), script, name="f"))
    assert told.value == "fine"
    assert clock.slept[-1] == 4


def test_a_rewound_series_begins_again(clock: FakeClock) -> None:
    """After a rewind the same faults come once more, and a rate of 0 stops them."""
    caller, chaos = Caller("sync"), Chaos(seed=1, rate=0.5)
    fn = caller.decorate(ap.Stack(chaos, clock=clock), Script("fine"), name="f")
    for _ in range(30):
        caller.ask(fn)
    first = list(chaos.log)
    chaos.rewind()
    assert (chaos.attempts, list(chaos.log)) == (0, [])
    for _ in range(30):
        caller.ask(fn)
    assert list(chaos.log) == first
    chaos.rate = 0
    assert caller.ask(fn).error is None


# Real SDK clients


OPENAI_ERRORS = {
    "connection": openai.APIConnectionError,
    "refused": openai.APIConnectionError,
    "timeout": openai.APITimeoutError,
    "server": openai.InternalServerError,
    "overloaded": openai.InternalServerError,
    "rate_limit": openai.RateLimitError,
    "quota": openai.RateLimitError,
    "auth": openai.AuthenticationError,
    "bad_request": openai.BadRequestError,
    "context_overflow": openai.BadRequestError,
    "content_policy": openai.BadRequestError,
}


@pytest.mark.parametrize("fault", BEFORE)
def test_openai_errors_are_openai_errors(fault: str) -> None:
    """A wrapped OpenAI client raises what it would raise had its provider failed; nobody is called."""
    with Provider() as provider, openai.OpenAI(api_key="k", base_url=provider.openai_url) as bare:
        client = ap.Stack(ap.Retry(attempts=1), Chaos(rate=1, faults=fault)).wrap(bare)
        with pytest.raises(OPENAI_ERRORS[fault]) as raised:
            client.chat.completions.create(**CHAT)
        expected = {"refused": "connection"}.get(fault, fault)
        assert [attempt.fault for attempt in ap.meta(raised.value).attempts] == [ap.Fault(expected)]
        assert not provider.requests
        if fault == "rate_limit":
            assert ap.meta(raised.value).attempts[0].retry_after == 1


@pytest.mark.parametrize("fault", BEFORE)
def test_anthropic_errors_are_anthropic_errors(fault: str) -> None:
    """The same for Anthropic's client, in its own words."""
    with Provider() as provider, anthropic.Anthropic(api_key="k", base_url=provider.anthropic_url) as bare:
        client = ap.Stack(ap.Retry(attempts=1), Chaos(rate=1, faults=fault)).wrap(bare)
        with pytest.raises(anthropic.APIError) as raised:
            client.messages.create(max_tokens=9, **CHAT)
        expected = {"refused": "connection"}.get(fault, fault)
        assert [attempt.fault for attempt in ap.meta(raised.value).attempts] == [ap.Fault(expected)]
        assert not provider.requests


def _text(chunk: Any) -> str:
    return (chunk.choices[0].delta.content or "") if chunk.choices else ""


@pytest.mark.parametrize("fault", ["cut", "truncate"])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_streams_of_clients_are_interrupted(fault: str, kind: str) -> None:
    """Over real HTTP a struck stream raises `StreamInterrupted`, and its connection is closed."""
    stalls = behaviours.stall(after=8, reply=behaviours.ok(chunks=CHUNKS))  # so that its end cannot have come by then
    read: list[str] = []

    def sync(url: str, stack: ap.Stack) -> None:
        with openai.OpenAI(api_key="k", base_url=url) as bare:
            read.extend(map(_text, stack.wrap(bare).chat.completions.create(**CHAT, stream=True)))

    async def run(url: str, stack: ap.Stack) -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=url) as bare:
            async for chunk in await stack.wrap(bare).chat.completions.create(**CHAT, stream=True):
                read.append(_text(chunk))  # noqa: PERF401 - what has come must be there when it breaks

    with Provider(stalls) as provider:
        stack = ap.Stack(ap.Retry(), Chaos(seed=2, rate=1, faults=fault))  # strikes at the next read
        with pytest.raises(ap.StreamInterrupted) as raised:
            sync(provider.openai_url, stack) if kind == "sync" else asyncio.run(run(provider.openai_url, stack))
        assert raised.value.fault == {"cut": "connection", "truncate": "truncated"}[fault]
        assert isinstance(raised.value, openai.APIConnectionError) == (fault == "cut")
        assert "".join(CHUNKS).startswith("".join(read))
        assert "".join(read) == raised.value.partial
        assert len(provider.requests) == 1


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 1.5}, "a share from 0 to 1"),
        ({"rate": True}, "a share from 0 to 1"),
        ({"seed": "x"}, "seed must be a whole number"),
        ({"faults": "sever"}, "knows the faults connection, .* not 'sever'"),
        ({"faults": ()}, "needs a fault with a weight above 0"),
        ({"faults": {"server": 0}}, "needs a fault with a weight above 0"),
        ({"faults": {"server": -1}}, "a weight of 0 or more for 'server', not -1"),
        ({"faults": [5]}, "not a int"),
        ({"latency": -1}, "finite number of seconds"),
        ({"latency": (1, None)}, "not None"),
        ({"retry_after": float("nan")}, "finite number of seconds"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    """What cannot work is refused when it is written, with what would."""
    with pytest.raises(ap.ConfigError, match=message):
        Chaos(**options)


def test_a_function_that_makes_no_exception_is_named(clock: FakeClock) -> None:
    """A fault that makes something else is an error that says so."""
    make: Callable[[], Any] = lambda: "no"  # noqa: E731
    fn = Caller("sync").decorate(ap.Stack(Chaos(rate=1, faults=make), clock=clock), Script("fine"))
    assert "made a str" in str(Caller("sync").ask(fn).error)


def test_chaos_stands_innermost() -> None:
    """Outside of what should notice it, chaos is a mistake that the stack tells."""
    with pytest.warns(ap.OrderWarning, match="Retry belongs outside Chaos"):
        ap.Stack(Chaos(), ap.Retry())
    assert repr(Chaos(seed=7, rate=0.2)) == "Chaos(rate=0.2, seed=7)"


def test_its_error_tells_the_status() -> None:
    """In a function the error of chaos has what errors of HTTP clients have."""
    fn = Caller("sync").decorate(ap.Stack(Chaos(rate=1, faults="rate_limit", retry_after=9)), Script("fine"))
    error = Caller("sync").ask(fn).error
    assert isinstance(error, ChaosError)
    assert (error.status_code, error.headers) == (429, {"retry-after": "9"})
