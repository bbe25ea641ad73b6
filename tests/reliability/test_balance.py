"""Balance: who gets a call, and who gets it next; by the numbered acceptance scenarios."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import agentprod as ap
from agentprod.reliability.pins import Pins
from agentprod.testing import FakeClock, Provider
from agentprod.testing import behaviours as b
from tests.callers import MODES, STREAMS, Caller, Script, Takes, Told
from tests.clients.plain_http import plain_client
from tests.sdk_errors import anthropic_error, openai_error

BUSY = openai_error(429, headers={"retry-after": "3"})


@pytest.fixture(params=MODES)
def caller(request: pytest.FixtureRequest) -> Caller:
    """Return a caller of each kind."""
    return Caller(request.param)


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock to move by hand."""
    return FakeClock()


class Case:
    """Functions of one kind behind a Balance.

    Args:
        caller: makes and calls them.

        clock: of the stack.

        inner: layers inside the Balance.

        options: of the Balance.

        scripts: what each function does, call by call.
    """

    def __init__(
        self, caller: Caller, clock: FakeClock, *inner: Any, options: dict[str, Any] | None = None, **scripts: Any
    ) -> None:
        self.caller = caller
        self.clock = clock
        self.scripts = {name: Script(*_steps(script), clock=clock) for name, script in scripts.items()}
        self.functions = [self._function(name) for name in scripts]
        self.balance = ap.Balance(*self.functions, **{"seed": 1, **(options or {})})
        self._ask = ap.Stack(self.balance, *inner, clock=clock).decorate(caller.function(Script("never")))

    def _function(self, name: str) -> Callable[..., Any]:
        made = self.caller.function(self.scripts[name])
        made.__qualname__ = name
        return made

    def ask(self, *, deadline: float | None = None, **who: Any) -> Told:
        """Ask once."""
        with ap.context(deadline=deadline, **who):
            return self.caller.ask(self._ask)

    @property
    def calls(self) -> dict[str, int]:
        """How often each function was called."""
        return {name: script.calls for name, script in self.scripts.items()}


def _steps(script: Any) -> tuple[Any, ...]:
    return script if isinstance(script, tuple) else (script,)


def chosen(told: Told, event: str = "chose") -> list[str]:
    """Return where a call went."""
    assert told.meta is not None
    return [note.data["to"] for note in told.meta.notes if (note.layer, note.event) == ("Balance", event)]


# The scenarios


def test_scenario_44_retries_go_to_another_deployment_at_once(caller: Caller, clock: FakeClock) -> None:
    """The wait a provider asks for is for itself; another one answers meanwhile."""
    case = Case(caller, clock, ap.Retry(attempts=3), one=(BUSY, "one"), two="two", options={"weights": [1e9, 1]})
    told = case.ask()
    assert told.value == "two"
    assert clock.slept in ([], [0.0])
    assert case.calls == {"one": 1, "two": 1}
    assert (chosen(told), chosen(told, "moved")) == (["one"], ["two"])


def test_scenario_44_a_cooled_deployment_is_passed_over(caller: Caller, clock: FakeClock) -> None:
    """Until its rest is over."""
    case = Case(caller, clock, ap.Retry(), one=(BUSY, "one"), two="two", options={"weights": [1e9, 1]})
    assert [case.ask().value for _ in range(3)] == ["two"] * 3
    clock.advance(3.5)
    assert case.ask().value == "one"


def test_scenario_44_when_all_rest_the_earliest_is_waited_for(caller: Caller, clock: FakeClock) -> None:
    """Three seconds fit into ten."""
    later = openai_error(429, headers={"retry-after": "8"})
    case = Case(caller, clock, one=(later, "one"), two=(BUSY, "two"))
    assert case.ask().error in (later, BUSY)
    told = case.ask(deadline=10)
    assert told.value == "two"
    assert clock.slept == [pytest.approx(3, abs=0.01)]


def test_scenario_44_when_the_wait_does_not_fit_it_says_how_long_it_is(caller: Caller, clock: FakeClock) -> None:
    """Three seconds do not fit into two."""
    case = Case(caller, clock, one=(BUSY, "one"), two=(BUSY, "two"))
    case.ask()
    told = case.ask(deadline=2)
    assert isinstance(told.error, ap.AllUnavailable)
    assert told.error.retry_after == pytest.approx(3)
    assert told.error.layer == "Balance"
    assert clock.slept == []
    assert case.calls == {"one": 1, "two": 1}


def test_scenario_44_a_shorter_hint_keeps_the_later_time(clock: FakeClock) -> None:
    """Two calls are refused at once; the second answer asks for less, and the longer rest holds."""
    hints = ["2", "30"]

    def one(prompt: str = "hi") -> str:
        hint = hints.pop(0)
        if hints:  # a second call goes out, and comes back, before this one is answered
            with pytest.raises(openai.RateLimitError):
                ask()
        raise openai_error(429, headers={"retry-after": hint})

    ask = ap.Stack(ap.Balance(one), clock=clock).decorate(lambda prompt="hi": "never")
    with pytest.raises(openai.RateLimitError):
        ask()
    with ap.context(deadline=5), pytest.raises(ap.AllUnavailable) as caught:
        ask()
    assert caught.value.retry_after == pytest.approx(30)


def test_scenario_45_a_key_stays_with_its_deployment(caller: Caller, clock: FakeClock) -> None:
    """Its prompt cache is warm there."""
    case = Case(caller, clock, one="one", two="two", options={"affinity": "conversation"})
    for conversation in ("c1", "c2", "c3", "c4"):
        answers = {case.ask(conversation=conversation).value for _ in range(5)}
        assert len(answers) == 1
    assert all(case.calls.values()), "not all keys on one"


def test_scenario_45_when_it_fails_the_key_is_pinned_anew(caller: Caller, clock: FakeClock) -> None:
    """The one that answered instead keeps it, also when the first is back."""
    options = {"affinity": "user", "weights": [1e9, 1]}
    case = Case(caller, clock, ap.Retry(), one=("one", BUSY, "one"), two="two", options=options)
    answers = [case.ask(user="u1").value for _ in range(3)]
    clock.advance(100)
    answers.append(case.ask(user="u1").value)
    assert answers == ["one", "two", "two", "two"]


def test_scenario_45_after_five_minutes_the_key_is_balanced_again(caller: Caller, clock: FakeClock) -> None:
    """Each use renews the pin."""
    options = {"affinity": "user", "weights": [1, 1e9]}
    case = Case(caller, clock, one="one", two=("two", BUSY, "two"), options={**options})
    assert case.ask(user="u1").value == "two"
    assert case.ask(user="u1").value == "one"
    clock.advance(299)
    assert case.ask(user="u1").value == "one"
    clock.advance(299)
    assert case.ask(user="u1").value == "one"
    clock.advance(301)
    assert case.ask(user="u1").value == "two"


# Who gets it


def test_shares_follow_the_weights(clock: FakeClock) -> None:
    """3 to 1, when both are equally idle."""
    case = Case(Caller("sync"), clock, one="one", two="two", options={"weights": [3, 1]})
    for _ in range(800):
        case.ask()
    assert 540 < case.calls["one"] < 660


def test_the_one_with_fewer_calls_in_flight_is_taken(clock: FakeClock) -> None:
    """Streams that go on count; of two drawn, the idle one gets the next call."""
    case = Case(Caller("generator"), clock, one="one", two="two")
    streams = []
    for _ in range(20):
        stream = case._ask()
        next(stream)
        streams.append(stream)
    assert abs(case.balance.in_flight["one"] - case.balance.in_flight["two"]) <= 4
    for stream in streams:
        stream.close()
    assert case.balance.in_flight == {"one": 0, "two": 0}


def test_the_one_that_begins_sooner_is_taken(clock: FakeClock) -> None:
    """By the moving average of the time to first content; an old latency does not stand for ever."""
    case = Case(Caller("generator"), clock, one=Takes(2, "one"), two=Takes(0.2, "two"))
    for _ in range(200):
        case.ask()
    assert 0 < case.calls["one"] < 30


def test_the_one_with_more_left_of_its_limit_is_taken() -> None:
    """The provider's headers tell; once the limit is reset, both are equal again."""
    clock = FakeClock()

    def headers(left: int) -> dict[str, object]:
        return {
            "x-ratelimit-limit-tokens": "1000",
            "x-ratelimit-remaining-tokens": str(left),
            "x-ratelimit-reset-tokens": "30s",
        }

    with Provider([b.ok(headers=headers(50))]) as scarce, Provider([b.ok(headers=headers(900))]) as ample:
        one, two = plain_client("openai", "sync", scarce), plain_client("openai", "sync", ample)
        balance = ap.Balance(ap.target(one, "m"), ap.target(two, "m"), seed=3)
        client = ap.Stack(balance, clock=clock).wrap(one)
        for _ in range(60):
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
        assert len(scarce.requests) < 12
        assert len(ample.requests) > 48
        one.close()
        two.close()


def test_one_that_fails_at_once_does_not_attract_calls(clock: FakeClock) -> None:
    """It is always idle; what failed lately is passed over while others did not."""
    case = Case(Caller("sync"), clock, one=ConnectionError("down"), two=Takes(1, "two"))
    outcomes = [case.ask().error is None for _ in range(30)]
    assert outcomes.count(False) <= 5
    assert case.calls["two"] >= 25


def test_when_all_failed_lately_all_are_tried_again(clock: FakeClock) -> None:
    """A penalty never makes a call wait."""
    case = Case(Caller("sync"), clock, one=(openai_error(500), "one"), two=(openai_error(500), "two"))
    assert [case.ask().error is None for _ in range(4)] == [False, False, True, True]
    assert clock.slept == []


def test_an_open_circuit_is_passed_over(caller: Caller, clock: FakeClock) -> None:
    """The breaker inside says which endpoint is down."""
    breaker = ap.CircuitBreaker(min_calls=1)
    case = Case(caller, clock, breaker, one=openai_error(500), two="two", options={"weights": [1e9, 1]})
    assert case.ask().error is not None
    for _ in range(3):
        assert case.ask().value == "two"
    assert case.calls["one"] == 1


def test_circuits_opened_by_hand_have_no_time(clock: FakeClock) -> None:
    """Nobody knows when a person will close them."""
    breaker = ap.CircuitBreaker()
    case = Case(Caller("sync"), clock, breaker, one="one", two="two")
    while not all(case.calls.values()):
        case.ask()
    breaker.force_open()
    told = case.ask()
    assert isinstance(told.error, ap.AllUnavailable)
    assert told.error.retry_after is None


@pytest.mark.parametrize("refusal", [openai_error(429), anthropic_error(529), openai_error(401), openai_error(402)])
def test_what_was_refused_before_it_began_goes_to_the_others_without_retry(
    refusal: Exception, caller: Caller, clock: FakeClock
) -> None:
    """Nothing was done, so nothing is done twice; each is asked once."""
    case = Case(caller, clock, one=refusal, two=refusal, three="three", options={"weights": [1e9, 1e4, 1]})
    told = case.ask()
    assert told.value == "three"
    assert chosen(told) == ["one", "two", "three"]
    all_refuse = Case(caller, clock, one=refusal, two=refusal)
    assert all_refuse.ask().error is refusal
    assert all_refuse.calls == {"one": 1, "two": 1}


def test_what_failed_midway_is_left_to_retry(caller: Caller, clock: FakeClock) -> None:
    """A server error may have cost something already."""
    error = openai_error(500)
    case = Case(caller, clock, one=error, two="two", options={"weights": [1e9, 1]})
    assert case.ask().error is error
    assert case.calls["two"] == 0


def test_the_same_deployment_is_retried_when_no_other_is_ready(caller: Caller, clock: FakeClock) -> None:
    """After Retry's usual wait."""
    case = Case(caller, clock, ap.Retry(), one=(openai_error(500), "one"))
    assert case.ask().value == "one"
    assert len(clock.slept) == 1
    assert clock.slept[0] > 0


def test_when_the_others_rest_too_long_the_targets_own_error_is_raised(caller: Caller, clock: FakeClock) -> None:
    """It says more than that all are unavailable."""
    far = openai_error(429, headers={"retry-after": "600"})
    case = Case(caller, clock, one=far, two=far, options={"weights": [1e9, 1]})
    assert case.ask().error is far
    assert case.calls == {"one": 1, "two": 1}
    told = case.ask()
    assert isinstance(told.error, ap.AllUnavailable)
    assert told.error.retry_after == pytest.approx(600)


def test_retry_comes_back_to_a_deployment_that_was_tried(caller: Caller, clock: FakeClock) -> None:
    """Only the one that just failed is excluded: one, two, one."""
    case = Case(
        caller,
        clock,
        ap.Retry(attempts=3),
        one=(openai_error(500), "one"),
        two=openai_error(500),
        options={"weights": [1e9, 1]},
    )
    told = case.ask()
    assert told.value == "one"
    assert case.calls == {"one": 2, "two": 1}


@pytest.mark.parametrize("mode", STREAMS)
def test_a_stream_counts_until_it_ends(mode: str, clock: FakeClock) -> None:
    """And a failed one, and one that broke, count no longer."""
    case = Case(Caller(mode), clock, one=["a ", "b"], two=["a ", "b"])
    case.ask()
    assert sum(case.balance.in_flight.values()) == 0
    broken = Case(Caller(mode), clock, one="")
    broken.scripts["one"].steps = (["a", openai_error(500)],)
    assert isinstance(broken.ask().error, ap.StreamInterrupted)
    assert broken.balance.in_flight == {"one": 0}


def test_a_cancelled_call_counts_no_longer(clock: FakeClock) -> None:
    """Whatever ends it."""
    case = Case(Caller("sync"), clock, one=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        case.ask()
    assert case.balance.in_flight == {"one": 0}


OUTCOMES = {
    "fine": "fine",
    "busy": BUSY,
    "down": openai_error(500),
    "full": anthropic_error(529),
    "bad": openai_error(400),
}
PLANS = st.lists(st.lists(st.sampled_from(sorted(OUTCOMES)), min_size=1, max_size=4), min_size=1, max_size=3)


@settings(max_examples=40)
@given(
    PLANS, st.lists(st.sampled_from([0.0, 1.0, 4.0, 400.0]), min_size=1, max_size=6), st.booleans(), st.integers(0, 9)
)
def test_all_kinds_of_callables_are_balanced_alike(
    plans: list[list[str]], pauses: list[float], retries: bool, seed: int
) -> None:
    """Sync, async and streams, with the same draws: same choices, same moves, same ends; and all calls come back."""
    logs = []
    for mode in MODES:
        clock = FakeClock()
        scripts = {f"d{n}": tuple(OUTCOMES[name] for name in plan) for n, plan in enumerate(plans)}
        inner = (ap.Retry(wait=0.5),) if retries else ()
        case = Case(Caller(mode), clock, *inner, options={"seed": seed}, **scripts)
        log = []
        for pause in pauses:
            clock.advance(pause)
            told = case.ask()
            log.append((told.log, chosen(told), chosen(told, "moved")))
        assert set(case.balance.in_flight.values()) == {0}
        logs.append((log, case.calls, clock.slept))
    assert all(log == logs[0] for log in logs)


# With other layers, and clients


def test_names_and_other_clients_may_be_mixed() -> None:
    """A name is the caller's own client; what has no words for a call is passed over."""
    with Provider([b.ok("home")]) as here, Provider([b.ok("away")]) as there:
        home, claude = plain_client("openai", "sync", here), plain_client("anthropic", "sync", there)
        target = ap.target(claude, "claude-sonnet-5", defaults={"max_tokens": 50})
        client = ap.Stack(ap.Balance("gpt-5-mini", target, seed=5)).wrap(home)
        question: Any = {"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}]}
        said = Counter(client.chat.completions.create(**question).choices[0].message.content for _ in range(20))
        assert set(said) == {"home", "away"}
        assert here.requests[0].json["model"] == "gpt-5-mini"
        there.reset()
        for _ in range(10):
            client.chat.completions.create(**question, seed=7)
        assert there.requests == []
        alone = ap.Stack(ap.Balance(target)).wrap(home)
        with pytest.raises(ap.ConfigError, match="none of the targets of Balance can answer this call: its API has no"):
            alone.chat.completions.create(**question, seed=7)
        home.close()
        claude.close()


def test_fallback_stands_around_it(clock: FakeClock) -> None:
    """When every deployment failed, the fallback answers; where it goes, Balance does not interfere."""
    case = Case(Caller("sync"), clock, one=openai_error(503), two=openai_error(503))

    def backup(prompt: str = "hi") -> str:
        return "backup"

    def primary(prompt: str = "hi") -> str:
        return "never"

    ask = ap.Stack(ap.Fallback(backup), case.balance, ap.Retry(attempts=2, wait=0), clock=clock).decorate(primary)
    assert ask() == "backup"
    assert case.calls == {"one": 1, "two": 1}


def test_a_resting_home_does_not_keep_fallback_from_balance(clock: FakeClock) -> None:
    """Behind Balance stand others than the home that rests."""

    def primary(prompt: str = "hi") -> str:
        return "primary"

    case = Case(Caller("sync"), clock, one="one")
    stack = ap.Stack(ap.Fallback(lambda prompt="hi": "backup"), case.balance, clock=clock)
    rest: list[ap.Call] = []

    async def look(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        rest.append(call)
        return await call_next(call)

    ask = stack.insert(look, outside=ap.Fallback).decorate(primary)
    assert ask() == "one"
    rest[0].board.cool(rest[0].home, clock.monotonic() + 1000)
    assert ask() == "one"


def test_it_serves_threads_and_tasks_at_once() -> None:
    """Counts are exact whatever happens at the same time."""
    balance = ap.Balance(lambda n: n, lambda n: -n)

    @ap.Stack(balance)
    def ask(n: int) -> int:
        return 0

    def work() -> None:
        for n in range(200):
            assert abs(ask(n)) == n

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(balance.in_flight.values()) == {0}

    async def one(n: int) -> int:
        await asyncio.sleep(0)
        return n

    async def two(n: int) -> int:
        return n

    both = ap.Balance(one, two)

    @ap.Stack(both)
    async def aask(n: int) -> int:
        return -1

    async def many() -> None:
        assert await asyncio.gather(*(aask(n) for n in range(200))) == list(range(200))

    asyncio.run(many())
    assert set(both.in_flight.values()) == {0}


def test_affinity_may_be_a_function(clock: FakeClock) -> None:
    """It returns a key, or `None` for calls that may go anywhere."""
    case = Case(Caller("sync"), clock, one="one", two="two", options={"affinity": lambda call: None})
    for _ in range(20):
        case.ask()
    assert all(case.calls.values())
    wrong = Case(Caller("sync"), clock, one="one", options={"affinity": lambda call: 7})
    with pytest.raises(ap.ConfigError, match="must return a str or None, not int"):
        raise wrong.ask().error or AssertionError


# Mistakes


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (ap.Balance, "needs targets"),
        (lambda: ap.Balance("a", "a"), "lists a twice"),
        (lambda: ap.Balance("a", weights=[1, 2]), "one weight for each of its 1 targets"),
        (lambda: ap.Balance("a", weights=[0]), "above 0, not 0"),
        (lambda: ap.Balance("a", weights=[float("nan")]), "above 0"),
        (lambda: ap.Balance("a", weights=[True]), "above 0, not True"),
        (lambda: ap.Balance("a", affinity="colour"), "affinity= takes"),
    ],
)
def test_options_that_cannot_work_are_refused(make: Any, words: str) -> None:
    """When the layer is built."""
    with pytest.raises(ap.ConfigError, match=words):
        make()


def test_it_shows_its_options() -> None:
    """As written."""
    assert repr(ap.Balance("a", "b")) == "Balance(targets=['a', 'b'])"
    assert repr(ap.Balance("a", "b", weights=[1, 2], affinity="user")) == (
        "Balance(targets=['a', 'b'], weights=[1, 2], affinity='user')"
    )


def test_targets_of_the_other_kind_are_refused_when_attached() -> None:
    """A sync client cannot be asked through an async one."""

    async def ask(prompt: str) -> str:
        return ""

    with openai.OpenAI(api_key="k") as client, pytest.raises(ap.ConfigError, match="Balance target"):
        ap.Stack(ap.Balance(ap.target(client, "m"))).decorate(ask)


# Pins


class PinModel:
    """What `Pins` shall do, said simply."""

    def __init__(self) -> None:
        self.pins: dict[str, tuple[int, float]] = {}

    def get(self, key: str, now: float) -> int | None:
        """Return the place, while its time runs."""
        place, until = self.pins.get(key, (0, -1.0))
        return place if now < until else None


STEPS = st.lists(
    st.tuples(st.sampled_from(["set", "get", "drop"]), st.sampled_from("abc"), st.integers(1, 3), st.integers(0, 200)),
    max_size=40,
)


@given(STEPS)
def test_pins_hold_until_their_time_is_over(steps: list[tuple[str, str, int, int]]) -> None:
    """Set renews, drop forgets, get tells."""
    pins: Pins[int] = Pins()
    model, now = PinModel(), 0.0
    for step, key, place, passed in steps:
        now += passed
        if step == "set":
            pins.set(key, place, now)
            model.pins[key] = (place, now + 300)
        elif step == "drop":
            pins.drop(key)
            model.pins.pop(key, None)
        assert pins.get(key, now) == model.get(key, now)


def test_pins_are_bounded() -> None:
    """The least recently used key goes first."""
    pins: Pins[int] = Pins(most=2)
    for place, key in enumerate("abc"):
        pins.set(key, place, 0)
    assert [pins.get(key, 1) for key in "abc"] == [None, 1, 2]
    assert len(pins) == 2
    pins.drop(None)
