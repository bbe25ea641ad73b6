"""Who is asking: contexts around code, bound copies, and the way into threads and tasks."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentprod as ap
from agentprod import identity
from agentprod.context import current_context
from agentprod.listeners import listen, listening
from agentprod.testing import FakeClock
from tests.callers import MODES, Caller, Script, Takes


class Seen:
    """A layer that keeps the contexts and deadlines it sees."""

    def __init__(self) -> None:
        self.contexts: list[ap.Context] = []
        self.left: list[float | None] = []

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Keep them."""
        self.contexts.append(call.context)
        self.left.append(None if call.deadline is None else call.deadline - call.runtime.now())
        return await call_next(call)


@pytest.fixture
def seen() -> Seen:
    """Return a layer that looks."""
    return Seen()


@pytest.fixture
def ask(seen: Seen) -> Callable[[], str]:
    """Return a decorated function."""
    made: Callable[[], str] = ap.Stack(seen).decorate(lambda: "x")
    return made


class Time:
    """The time that contexts read, moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """Return it."""
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """Return the time that contexts read."""
    time = Time()
    monkeypatch.setattr(identity, "time", time)
    return time


def about(seconds: float) -> Any:
    """Return what matches a number of seconds, real milliseconds apart."""
    return pytest.approx(seconds, abs=0.2)


# Nesting


def test_a_call_knows_who_asks(ask: Callable[[], str], seen: Seen) -> None:
    """A call carries what the context around it says, and nothing without one."""
    ask()
    with ap.context(user="u", team="g", tenant="t", conversation="c", run="r", request_id="q", tags={"a": 1}) as inside:
        ask()
        assert current_context() == inside
    ask()
    bare, named, after = seen.contexts
    assert bare == after == ap.Context()
    assert named == ap.Context("u", "g", "t", "c", "r", "q", {"a": "1"})


def test_contexts_nest(ask: Callable[[], str], seen: Seen) -> None:
    """The inner context wins, name by name, and tags are added up."""
    with (
        ap.context(user="u1", tenant="t1", tags={"a": "1", "b": "1"}, ttl=5),
        ap.context(user="u2", tags={"b": "2"}, cache="bypass"),
    ):
        ask()
    (context,) = seen.contexts
    assert (context.user, context.tenant, context.tags) == ("u2", "t1", {"a": "1", "b": "2"})
    assert (context.cache, context.ttl) == ("bypass", 5)


def test_the_outer_cache_wish_stays(ask: Callable[[], str], seen: Seen) -> None:
    """An inner context that does not speak of the cache leaves the outer's wish."""
    with ap.context(cache="only"), ap.context(user="u"):
        ask()
    assert seen.contexts[0].cache == "only"


IDS = st.none() | st.sampled_from(["a", "b"])


@given(
    st.lists(
        st.fixed_dictionaries({"user": IDS, "tenant": IDS, "cache": st.sampled_from([None, "refresh"])}), max_size=4
    )
)
def test_the_innermost_that_speaks_wins(levels: list[dict[str, Any]]) -> None:
    """Over any nesting each name is what the innermost context says that says anything."""
    seen = Seen()
    ask = ap.Stack(seen).decorate(lambda: "x")

    def nest(rest: list[dict[str, Any]]) -> None:
        if not rest:
            ask()
            return
        with ap.context(**rest[0]):
            nest(rest[1:])

    nest(levels)
    for name, nothing in (("user", None), ("tenant", None), ("cache", "default")):
        said = [level[name] for level in levels if level[name] is not None]
        assert getattr(seen.contexts[0], name) == (said[-1] if said else nothing)
    assert current_context() == ap.Context()


def test_an_async_context(ask: Callable[[], str], seen: Seen) -> None:
    """`async with` works as `with` does."""

    async def scenario() -> None:
        async with ap.context(user="u"):
            ask()
        ask()

    asyncio.run(scenario())
    assert [context.user for context in seen.contexts] == ["u", None]


def test_one_context_object_many_times(ask: Callable[[], str], seen: Seen) -> None:
    """A context may be kept and entered again, within itself too."""
    mine = ap.context(user="u")
    with mine, ap.context(user="v"):
        with mine:
            ask()
        ask()
    ask()
    with mine:
        ask()
    assert [context.user for context in seen.contexts] == ["u", "v", None, "u"]


def test_one_context_object_in_many_tasks(ask: Callable[[], str], seen: Seen) -> None:
    """Tasks that share a context object enter and leave it each for itself, whatever the order."""
    mine = ap.context(tenant="acme")

    async def one(wait: int) -> str | None:
        with mine:
            for _ in range(wait):
                await asyncio.sleep(0)
            inside = current_context().tenant
        assert inside == "acme"
        return current_context().tenant

    async def scenario() -> list[str | None]:
        return await asyncio.gather(*(one(wait) for wait in (3, 1, 2, 1)))

    assert asyncio.run(scenario()) == [None] * 4


def test_leaving_in_another_thread() -> None:
    """A context left in a thread that never entered it, as a generator dependency may be, changes nothing there."""
    mine = ap.context(user="u")
    entered = contextvars.copy_context()
    entered.run(mine.__enter__)
    assert current_context().user is None
    mine.__exit__(None, None, None)
    assert current_context().user is None
    assert entered.run(current_context).user == "u"
    entered.run(mine.__exit__, None, None, None)
    assert entered.run(current_context).user is None


def test_leaving_in_another_task() -> None:
    """A task that inherits a context may leave it: for itself, and not for its parent."""
    mine = ap.context(user="u")

    async def leave() -> str | None:
        mine.__exit__(None, None, None)
        return current_context().user

    async def scenario() -> tuple[str | None, str | None]:
        with mine:
            return await asyncio.create_task(leave()), current_context().user

    assert asyncio.run(scenario()) == (None, "u")


def test_leaving_out_of_order() -> None:
    """Contexts left in the wrong order, as two generators may, end with nobody speaking."""
    outer, inner = ap.context(user="outer"), ap.context(user="inner")
    with listening(lambda call: None):
        outer.__enter__()
        inner.__enter__()
        outer.__exit__(None, None, None)
        inner.__exit__(None, None, None)
        assert current_context() == ap.Context()


def test_leaving_twice() -> None:
    """Leaving a context that was left already changes nothing."""
    mine = ap.context(user="u")
    with ap.context(user="v"):
        with mine:
            pass
        mine.__exit__(None, None, None)
        assert current_context().user == "v"


def test_a_listener_outlives_a_context_left_within(ask: Callable[[], str]) -> None:
    """Leaving a context takes back who asks, and nothing else that was said meanwhile."""
    heard: list[ap.Call] = []
    mine = ap.context(user="u")
    mine.__enter__()
    with listening(heard.append):
        mine.__exit__(None, None, None)
        ask()
    assert len(heard) == 1
    assert heard[0].context.user is None


@pytest.mark.parametrize("mode", MODES)
def test_a_stream_outlives_its_context(mode: str, seen: Seen) -> None:
    """A call captures the context when it enters; a stream that is read later keeps it."""
    caller = Caller(mode)
    fn = caller.decorate(ap.Stack(seen), Script(["a", "b"] if caller.streams else "ab"))

    async def scenario() -> str:
        with ap.context(user="u"):
            result = fn()
            first = await anext(result) if mode == "async_generator" else next(result) if mode == "generator" else ""
        if mode == "async":
            with ap.context(user="u"):
                return str(await fn()) if result.close() is None else ""
        if mode == "async_generator":
            return first + "".join([item async for item in result])
        return first + "".join(result)

    assert asyncio.run(scenario()) == "ab"
    assert [context.user for context in seen.contexts] == ["u"]


# Deadlines


@pytest.mark.parametrize(("outer", "inner", "left"), [(5, 30, 5), (30, 5, 5), (None, 5, 5), (5, None, 5)])
def test_scenario_21_the_earlier_of_nested_deadlines_holds(
    ask: Callable[[], str],
    seen: Seen,
    time: Time,
    outer: float | None,
    inner: float | None,
    left: float,
) -> None:
    """`deadline=30` inside `deadline=5` leaves 5 seconds, and the other way round as well."""
    with ap.context(deadline=outer), ap.context(deadline=inner):
        ask()
    assert seen.left == [about(left)]


def test_scenario_21_time_passes_within_a_deadline(ask: Callable[[], str], seen: Seen, time: Time) -> None:
    """A later call within the same context has less time; past the deadline, none, and no attempt starts."""
    with ap.context(deadline=5, user="u"):
        ask()
        time.now += 4
        ask()
        with ap.context(deadline=3):
            ask()
        time.now += 2
        with pytest.raises(ap.DeadlineExceeded, match="passed its deadline before an attempt could start") as raised:
            ask()
    assert seen.left == [about(each) for each in (5, 1, 1, -1)]
    assert ap.history(raised.value) == []


def test_a_deadline_begins_when_entered(ask: Callable[[], str], seen: Seen, time: Time) -> None:
    """A context made early, or entered again, gives its calls the whole time from then on."""
    mine = ap.context(deadline=5)
    time.now += 100
    with mine:
        ask()
    time.now += 100
    with mine:
        time.now += 1
        ask()
    assert seen.left == [about(5), about(4)]


def test_a_deadline_as_timedelta(ask: Callable[[], str], seen: Seen, time: Time) -> None:
    """Durations may be timedeltas."""
    with ap.context(deadline=timedelta(minutes=1), ttl=timedelta(hours=1)) as inside:
        ask()
    assert seen.left == [about(60)]
    assert inside.ttl == 3600


@pytest.mark.parametrize("mode", ["generator", "async_generator"])
def test_a_context_s_deadline_ends_streams(mode: str) -> None:
    """A deadline of the context bounds a stream's whole life: a silent stream is ended by it."""
    clock = FakeClock()
    caller = Caller(mode)
    script = Script(["a", Takes(20), "b"], clock=clock)
    fn = caller.decorate(ap.Stack(clock=clock), script)
    with ap.context(deadline=5):
        told = caller.ask(fn)
    assert told.read == ["a"]
    assert isinstance(told.error, ap.StreamInterrupted)
    assert isinstance(told.error.__cause__, ap.DeadlineExceeded)


# Bound copies


def test_bind(seen: Seen) -> None:
    """A bound copy speaks for somebody in every call; the function it was made of does not."""
    fn = ap.Stack(seen).decorate(lambda text: text)
    mine = ap.bind(fn, user="u1", tenant="acme", tags={"prompt": "B"})
    assert mine("x") == "x"
    fn("x")
    assert [(context.user, context.tenant) for context in seen.contexts] == [("u1", "acme"), (None, None)]
    assert ap.stack_of(mine) is ap.stack_of(fn)
    assert ap.unwrap(mine) is ap.unwrap(fn)


def test_what_is_bound_wins_over_the_context(seen: Seen) -> None:
    """A bound name holds in any context; what is not bound comes from it."""
    mine = ap.bind(ap.Stack(seen).decorate(lambda: "x"), user="u1", tags={"a": "bound"})
    with ap.context(user="u2", tenant="t2", tags={"a": "around", "b": "around"}):
        mine()
    (context,) = seen.contexts
    assert (context.user, context.tenant, context.tags) == ("u1", "t2", {"a": "bound", "b": "around"})


def test_binding_twice(seen: Seen) -> None:
    """Binding again adds to what was bound, the later one winning."""
    fn = ap.Stack(seen).decorate(lambda: "x")
    ap.bind(ap.bind(fn, user="u1", tenant="t"), user="u2")()
    assert (seen.contexts[0].user, seen.contexts[0].tenant) == ("u2", "t")


@pytest.mark.parametrize("mode", MODES)
def test_bind_holds_in_threads(mode: str, seen: Seen) -> None:
    """No context variable is involved: a bound function speaks for its user in any thread."""
    caller = Caller(mode)
    mine = ap.bind(caller.decorate(ap.Stack(seen), Script("x")), user="u1")
    thread = threading.Thread(target=caller.ask, args=(mine,))
    thread.start()
    thread.join()
    assert seen.contexts[0].user == "u1"


def test_bind_what_has_no_stack() -> None:
    """Only wrapped clients and decorated functions can be bound."""
    with pytest.raises(ap.ConfigError, match="has no stack; wrap the client"):
        ap.bind(len, user="u")


# Threads


def test_threads_start_with_nobody(ask: Callable[[], str], seen: Seen) -> None:
    """A plain executor does not carry the context."""
    with ap.context(user="u"), ThreadPoolExecutor(1) as pool:
        pool.submit(ask).result()
    assert seen.contexts[0].user is None


def test_propagate(ask: Callable[[], str], seen: Seen) -> None:
    """`propagate` carries the context of the line that submits, not that of the line that made the pool."""
    with ap.context(user="early"):
        pool = ap.propagate(ThreadPoolExecutor(2))
    with pool:
        with ap.context(user="u1"):
            assert pool.submit(ask).result() == "x"
        with ap.context(user="u2"):
            assert list(pool.map(lambda _: ask(), range(3))) == ["x"] * 3
        assert pool.submit(lambda a, b: a + b, "x", b="y").result() == "xy"
    assert [context.user for context in seen.contexts] == ["u1", "u2", "u2", "u2"]
    with pytest.raises(RuntimeError, match="shutdown"):
        pool.submit(ask)


def test_propagate_hands_errors_on() -> None:
    """What the work raises comes out of its future."""
    with ap.propagate(ThreadPoolExecutor(1)) as pool, pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 / 0).result()


def test_propagate_takes_executors_only() -> None:
    """Anything but an executor is refused, by kind."""
    with pytest.raises(ap.ConfigError, match=r"concurrent.futures.Executor, not int"):
        ap.propagate(8)  # type: ignore[arg-type]
    with ProcessPoolExecutor(1) as processes, pytest.raises(ap.ConfigError, match="into threads; other processes"):
        ap.propagate(processes)


def test_asyncio_carries_the_context(ask: Callable[[], str], seen: Seen) -> None:
    """Tasks and `asyncio.to_thread` carry it by themselves."""

    async def scenario() -> None:
        with ap.context(user="u"):
            await asyncio.gather(asyncio.to_thread(ask), asyncio.create_task(asyncio.to_thread(ask)))

    asyncio.run(scenario())
    assert [context.user for context in seen.contexts] == ["u", "u"]


# Listeners


def test_listeners_hear_of_calls_that_start_within(ask: Callable[[], str]) -> None:
    """`listening` hears of the calls of its block, an inner one too; one that fails is logged and not felt."""
    outer: list[ap.Call] = []
    inner: list[ap.Call] = []
    with listening(outer.append):
        ask()
        with listening(inner.append):
            ask()
    ask()
    assert (len(outer), len(inner)) == (2, 1)


def test_a_listener_left_where_it_never_was(ask: Callable[[], str]) -> None:
    """A block left in another thread than it was entered in, as a generator's may be, leaves others alone."""
    heard: list[ap.Call] = []
    block = listening(lambda call: None)
    contextvars.copy_context().run(block.__enter__)
    with listening(heard.append):
        block.__exit__(None, None, None)
        ask()
    assert len(heard) == 1


def test_a_listener_of_the_process(ask: Callable[[], str], caplog: pytest.LogCaptureFixture) -> None:
    """`listen` hears of every call until it is stopped, and what it raises is logged."""
    heard: list[str] = []

    def listener(call: ap.Call) -> None:
        heard.append(str(call.ledger.outcome))
        raise RuntimeError("broken listener")

    stop = listen(listener)
    try:
        assert ask() == "x"
    finally:
        stop()
    ask()
    assert heard == ["complete"]
    assert "a listener at the end of a call failed" in caplog.text


# Bad options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"usr": "u"}, r"context has no usr; it takes cache, conversation, deadline, request_id, run, tags, team, "),
        ({"user": 7}, r"context user must be a str, not int; write user=str\(\.\.\.\)"),
        ({"tenant": b"t"}, "context tenant must be a str, not bytes"),
        ({"user": ""}, "context user must not be empty; leave it out where nobody is known"),
        ({"tags": ["a"]}, "context tags must be a mapping of str to str, not list"),
        ({"cache": "never"}, "context cache must be one of default, bypass, refresh, only, not 'never'"),
        ({"deadline": 0}, "context deadline must be more than 0 seconds, not 0"),
        ({"deadline": -1}, "context deadline must be more than 0 seconds, not -1"),
        ({"deadline": float("nan")}, "context deadline must be more than 0 seconds, not nan"),
        ({"deadline": "5"}, "context deadline must be seconds as a number or timedelta, not str"),
        ({"ttl": True}, "context ttl must be seconds as a number or timedelta, not bool"),
        ({"ttl": timedelta(0)}, "context ttl must be more than 0 seconds"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    """Each bad option is refused where it is written, with what is allowed; for `bind` as well."""
    with pytest.raises(ap.ConfigError, match=message):
        ap.context(**options)
    with pytest.raises(ap.ConfigError, match=message):
        ap.bind(ap.Stack().decorate(lambda: "x"), **options)


def test_nothing_said_is_nothing_changed(ask: Callable[[], str], seen: Seen) -> None:
    """None means: not said."""
    with ap.context(user="u"), ap.context(user=None, tags=None, deadline=None):
        ask()
    assert seen.contexts[0].user == "u"
