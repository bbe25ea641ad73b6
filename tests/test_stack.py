"""Stacks: what they take, how they are looked at and changed, what a layer may do in one."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest

import agentprod as ap
from agentprod.testing import FakeClock
from tests.callers import MODES, Caller, Script
from tests.sdk_errors import openai_error


class Note:
    """A layer that writes down when it is passed, on the way in and out."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Write and pass on."""
        self.log.append(f"{self.name} in")
        reply = await call_next(call)
        self.log.append(f"{self.name} out")
        reply.on_end(lambda end: self.log.append(f"{self.name} end {end.outcome}"))
        return reply


@pytest.fixture(params=MODES)
def caller(request: pytest.FixtureRequest) -> Caller:
    """Return a caller of each kind."""
    return Caller(request.param)


# Layers


def test_the_first_listed_is_the_outermost(caller: Caller) -> None:
    """A call passes the layers as listed, the reply the other way, and end hooks run from the inside out."""
    log: list[str] = []
    stack = ap.Stack(Note("a", log), Note("b", log))
    assert caller.ask(caller.decorate(stack, Script("fine"))).value == "fine"
    assert log == ["a in", "b in", "b out", "a out", "b end complete", "a end complete"]


def test_a_layer_may_be_a_function(caller: Caller) -> None:
    """A plain `async def layer(call, call_next)` is a layer."""
    seen: list[str] = []

    async def look(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        seen.append(str(call.target))
        return await call_next(call)

    assert caller.ask(caller.decorate(ap.Stack(look), Script("fine"), name="f")).value == "fine"
    assert seen == ["f"]


def test_a_layer_may_answer_itself(caller: Caller) -> None:
    """A layer that answers spares the call: no attempt is made."""
    script = Script("never")

    async def answer(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        return call.reply("mine")

    told = caller.ask(caller.decorate(ap.Stack(answer), script))
    assert told.value == "mine"
    assert script.calls == 0
    assert told.meta is not None
    assert (told.meta.attempts, told.meta.served_by, told.meta.cost) == ([], None, 0)


def test_a_layer_may_call_twice(caller: Caller) -> None:
    """A layer that calls again discards the reply it does not pass on, and both attempts are accounted."""
    outcomes: list[str] = []

    async def twice(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        first = await call_next(call)
        first.on_end(lambda end: outcomes.append(end.outcome))
        await first.discard()
        return await call_next(call)

    told = caller.ask(caller.decorate(ap.Stack(twice), Script("first", "second")))
    assert told.value == "second"
    assert outcomes == ["discarded"]
    assert told.meta is not None
    assert len(told.meta.attempts) == 2


def test_a_layer_may_refuse(caller: Caller) -> None:
    """What a layer raises reaches the caller as it is, with the account of the call."""
    script, refusal = Script("never"), ap.Blocked("no", layer="Guard")

    async def refuse(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        raise refusal

    told = caller.ask(caller.decorate(ap.Stack(refuse), script))
    assert told.error is refusal
    assert script.calls == 0
    assert ap.history(refusal) == []


def test_state_is_per_call(caller: Caller) -> None:
    """Layers share one dict per call, and no other call sees it."""
    seen: list[Any] = []

    async def write(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        seen.append(dict(call.state))
        call.state["key"] = 1
        return await call_next(call.replace(deadline=None))

    async def read(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        seen.append(dict(call.state))
        return await call_next(call)

    fn = caller.decorate(ap.Stack(write, read), Script("x"))
    caller.ask(fn)
    caller.ask(fn)
    assert seen == [{}, {"key": 1}, {}, {"key": 1}]


def test_one_layer_in_two_stacks_shares_its_state() -> None:
    """State lives in the layer object: a budget in two stacks is one budget."""
    budget = ap.RetryBudget(capacity=1, per_success=0)
    retry = ap.Retry(budget=budget, wait=0)
    for expected in (2, 1):
        script = Script(openai_error(500))
        with pytest.raises(Exception, match="500"):
            ap.Stack(retry).decorate(Caller("sync").function(script), name="same")()
        assert script.calls == expected


async def yields(call: ap.Call, call_next: ap.CallNext) -> AsyncIterator[ap.Reply]:
    """Answer as a layer must not."""
    yield await call_next(call)


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (ap.Retry, r"Retry is a class; write Retry\(\)"),
        (ap.Stack(), r"a stack is no layer; write Stack\(\*one, \*another\)"),
        (3, "int is no layer"),
        ([ap.Retry()], r"a list of layers is no layer; write Stack\(\*layers\)"),
        (len, "len is not `async def`, so it is no layer"),
        (yields, "yields has a `yield`, so it is no layer: it has to return the one reply"),
        (lambda call, call_next: call_next(call), r"is not `async def`.*write @Stack\(\.\.\.\)"),
        (type("Sync", (), {"handle": lambda self, call, call_next: None})(), "is not `async def`, so it is no layer"),
    ],
)
def test_what_is_no_layer(thing: Any, message: str) -> None:
    """Whatever cannot be a layer is refused when the stack is built, and by `when` as well."""
    with pytest.raises(ap.ConfigError, match=message):
        ap.Stack(thing)
    with pytest.raises(ap.ConfigError, match=message):
        ap.when("chat", thing)
    with pytest.raises(ap.ConfigError, match=message):
        ap.when("chat", ap.Retry(), thing)
    with pytest.raises(ap.ConfigError, match=message):
        ap.Stack(ap.Retry()).insert(thing, outside=ap.Retry)


def test_nothing_is_no_layer() -> None:
    """What `x and ap.Cache()` leaves when `x` is not there; `when` takes it for its second layer."""
    with pytest.raises(ap.ConfigError, match="None is no layer; a layer has `async def handle"):
        ap.Stack(ap.Retry(), None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"check": "maybe"}, 'check must be "warn", "error" or "off", not \'maybe\''),
        ({"classify": 3}, r"classify must be callable: \(exception\) -> ap.Fault"),
        ({"prices": "cheap"}, r"prices must be callable: \(provider, model, usage\)"),
        ({"clock": 3}, "clock must have monotonic, .* a int lacks monotonic"),
        ({"buffer": "yes"}, "buffer must be True or False, not 'yes'"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    """A bad option is refused when the stack is built, with what it takes."""
    with pytest.raises(ap.ConfigError, match=message):
        ap.Stack(**options)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda stack: stack[0], r"by its class, as in stack\[ap.Retry\], not by 0"),
        (lambda stack: stack["Retry"], "by its class.*not by 'Retry'"),
        (lambda stack: stack.without("Retry"), "class of a layer.*not 'Retry'"),
        (lambda stack: stack.insert(ap.Cache(), outside=ap.Tracer()), "the stack has no Tracer; it has Retry"),
    ],
)
def test_asking_for_layers_by_something_else(ask: Any, message: str) -> None:
    """What a layer is found by is said."""
    with pytest.raises(ap.ConfigError, match=message):
        ask(ap.Stack(ap.Retry()))


def test_a_layer_can_be_put_beside_one_that_is_given() -> None:
    """`insert` takes a class, a name or a layer of that class."""
    retry = ap.Retry()
    for anchor in (ap.Retry, "Retry", retry):
        assert [type(found) for found in ap.Stack(retry).insert(ap.Cache(), outside=anchor)] == [ap.Cache, ap.Retry]


def test_brackets_left_out() -> None:
    """`@ap.Retry` is what other libraries allow; here a layer is an object, and the error shows the brackets."""
    with pytest.raises(ap.ConfigError, match=r"@Retry lacks its brackets: write @Retry\(\)"):

        @ap.Retry
        def ask() -> None:
            pass


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("await call_next(call)", "layer broken returned None instead of a reply"),
        ("return 'hi'", "layer broken returned a str instead of a reply"),
        ("return call_next(call)", r"layer broken returned a coroutine.* write `await call_next\(call\)`"),
    ],
)
def test_a_layer_that_returns_no_reply(mode: str, body: str, message: str) -> None:
    """The commonest slips of those who write layers: nothing returned, no `await`."""
    names: dict[str, Any] = {}
    exec(f"async def broken(call, call_next):\n    {body}", names)
    caller = Caller(mode)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # what was not awaited is let go
        broken = names["broken"]
        for stack in (
            ap.Stack(broken),
            ap.Stack(ap.Tracer(), ap.Retry(), broken),
            ap.Stack(ap.when("function", broken)),
        ):
            told = caller.ask(caller.decorate(stack, Script("x"), name="f"))
            assert isinstance(told.error, ap.ConfigError)
            assert re.search(message, str(told.error))
        gc.collect()


def test_layers_meet_their_stack() -> None:
    """A layer that wants to know its stack is told, within `when` as well."""
    met: list[ap.Stack] = []

    class Curious(Note):
        def join_stack(self, stack: ap.Stack) -> None:
            met.append(stack)

    curious = Curious("c", [])
    one, two = ap.Stack(curious), ap.Stack(ap.when("chat", curious, Curious("d", [])))
    assert met == [one, two, two]


def test_a_place_can_be_refused() -> None:
    """A layer may refuse where it cannot work; `when` asks both of its layers."""
    places: list[tuple[str, str | None, bool]] = []

    class Picky(Note):
        def attach(self, place: ap.Place) -> None:
            places.append((place.kind, place.function, place.streams))
            if place.kind == "sync":
                raise ap.ConfigError("async only")

    stack = ap.Stack(Note("n", []), ap.when("chat", Note("m", []), Picky("p", [])))
    for mode in ("async", "async_generator"):
        Caller(mode).decorate(stack, Script("x"), name="f")
    for mode in ("sync", "generator"):
        with pytest.raises(ap.ConfigError, match="async only"):
            Caller(mode).decorate(stack, Script("x"), name="f")
    assert places == [("async", "f", False), ("async", "f", True), ("sync", "f", False), ("sync", "f", True)]


# Looking and changing


def test_looking_into_a_stack() -> None:
    """A stack is a sequence of its layers, found by class."""
    retry, timeout = ap.Retry(), ap.Timeout(3)
    stack = ap.Stack(retry, timeout)
    assert list(stack) == [retry, timeout]
    assert len(stack) == 2
    assert stack[ap.Timeout] is timeout
    assert ap.Retry in stack
    assert ap.Deadline not in stack
    assert "Retry" not in stack
    with pytest.raises(KeyError, match="the stack has no Deadline; it has Retry, Timeout"):
        stack[ap.Deadline]
    with pytest.raises(KeyError, match="it has none"):
        ap.Stack()[ap.Deadline]


def test_how_a_stack_shows() -> None:
    """A stack shows its layers with the options that differ from the defaults."""

    async def look(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        return await call_next(call)

    assert repr(ap.Stack(look, Note("n", []), ap.Retry(attempts=5, idempotent=False), ap.Timeout(3, thread=True))) == (
        "Stack(look, Note(), Retry(attempts=5, idempotent=False), Timeout(attempt=3.0, thread=True))"
    )
    assert repr(ap.Stack(ap.Deadline(9, streams=True))) == "Stack(Deadline(seconds=9.0, streams=True))"
    assert repr(ap.when("chat", ap.Deadline(9), look)) == "when(…, Deadline(seconds=9.0), look)"
    assert repr(ap.when(callable, look)) == "when(…, look)"


def test_changing_a_stack_makes_another() -> None:
    """`replace`, `without` and `insert` return new stacks with the same options; the old one stays."""
    clock = FakeClock()
    stack = ap.Stack(ap.Deadline(9), ap.Retry(), ap.Timeout(3), clock=clock, check="error")
    assert [layer.attempts for layer in stack.replace(ap.Retry(attempts=7)) if isinstance(layer, ap.Retry)] == [7]
    assert [type(layer) for layer in stack.without(ap.Retry)] == [ap.Deadline, ap.Timeout]
    log: list[str] = []
    outside = stack.insert(Note("n", log), outside=ap.Retry)
    inside = outside.insert(Note("m", log), inside="Retry")
    assert [type(layer).__name__ for layer in inside] == ["Deadline", "Note", "Retry", "Note", "Timeout"]
    assert len(stack) == 3
    with pytest.raises(ap.OrderError):
        stack.insert(ap.when("chat", ap.Retry()), outside=ap.Deadline)
    assert asyncio.run(inside.decorate(Caller("async").function(Script("x")))()) == "x"
    assert log[:4] == ["n in", "m in", "m out", "n out"]


def test_looking_for_layers_that_apply_to_some_calls() -> None:
    """A layer within `ap.when` is found by its class; without it its calls pass, and the others' layer stays theirs."""
    log: list[str] = []
    meant, other = Note("meant", log), ap.Retry(attempts=7)
    stack = ap.Stack(ap.Deadline(9), ap.when(lambda call: call.request["word"] == "a", meant, other))
    assert stack[Note] is meant
    assert stack[ap.Retry] is other
    assert Note in stack
    assert ap.Cache not in stack
    assert list(stack.without(ap.Cache)) == list(stack)
    assert [repr(layer) for layer in stack.without(ap.Retry)] == ["Deadline(seconds=9.0)", "when(…, Note())"]
    assert [repr(layer) for layer in stack.without(Note)] == ["Deadline(seconds=9.0)", "when(…, Retry(attempts=7))"]
    assert [repr(layer) for layer in stack.without(Note).without(ap.Retry)] == ["Deadline(seconds=9.0)"]

    swapped = ap.Stack(ap.when(lambda call: call.request["word"] == "a", other, meant)).without(ap.Retry)
    shout = swapped.decorate(lambda word: word.upper())
    assert [shout("a"), log] == ["A", []]
    assert [shout("b"), log[:1]] == ["B", ["meant in"]]


def test_changing_what_is_not_there() -> None:
    """Changes that name a layer the stack does not have, or no place, say what it has."""
    stack = ap.Stack(ap.Retry())
    with pytest.raises(ap.ConfigError, match="the stack has no Timeout; it has Retry"):
        stack.replace(ap.Timeout(3))
    with pytest.raises(ap.ConfigError, match="it has no layers"):
        ap.Stack().insert(ap.Retry(), inside=ap.Timeout)
    for where in ({}, {"inside": ap.Retry, "outside": ap.Retry}):
        with pytest.raises(ap.ConfigError, match="exactly one of outside= and inside="):
            stack.insert(ap.Timeout(3), **where)
    assert len(stack.without(ap.Timeout)) == 1


# Joining


def test_joining_keeps_the_inner_classifier() -> None:
    """The inner stack's `classify=` goes on teaching; where both have one, the outer is asked first."""

    class Odd(Exception):
        """Something only the user knows."""

    script = Script(Odd("x"), "fine")
    inner = ap.Stack(ap.Retry(wait=0), classify=lambda error: ap.Fault.SERVER)
    fn = ap.Stack(Note("n", [])).decorate(inner.decorate(Caller("sync").function(script)))
    assert fn() == "fine"
    both = ap.Stack(classify=lambda error: ap.Fault.BAD_REQUEST if "no" in str(error) else None).decorate(
        inner.decorate(Caller("sync").function(Script(Odd("x"), Odd("no"), "never")))
    )
    with pytest.raises(Odd, match="no"):
        both()


def test_joining_keeps_the_inner_buffer(caller: Caller) -> None:
    """A stream that the inner stack delivers only when complete is still retried as a whole."""
    if not caller.streams:
        pytest.skip("only streams can be buffered")
    script = Script(["half", openai_error(500)], ["whole", " stream"])
    inner = ap.Stack(ap.Retry(wait=0), buffer=True)
    fn = ap.Stack(Note("n", [])).decorate(caller.decorate(inner, script))
    assert caller.ask(fn).read == ["whole", " stream"]


def test_joining_takes_the_outer_clock() -> None:
    """Options that both stacks were given are the outer one's, others whoever has them."""
    outer, inner = FakeClock(), FakeClock()
    script = Script(openai_error(500), "fine")
    fn = ap.Stack(clock=outer).decorate(
        ap.Stack(ap.Retry(wait=1), clock=inner).decorate(Caller("sync").function(script))
    )
    assert fn() == "fine"
    assert (outer.slept, inner.slept) == ([1], [])
    script = Script(openai_error(500), "fine")
    fn = ap.Stack().decorate(ap.Stack(ap.Retry(wait=1), clock=inner).decorate(Caller("sync").function(script)))
    assert fn() == "fine"
    assert inner.slept == [1]


# when


def test_when_by_operation(caller: Caller) -> None:
    """`when("function", …)` applies to functions; another operation's layer is passed by."""
    log: list[str] = []
    stack = ap.Stack(ap.when("function", Note("f", log)), ap.when("chat", Note("c", log)))
    assert caller.ask(caller.decorate(stack, Script("x"))).value == "x"
    assert log == ["f in", "f out", "f end complete"]


def test_when_by_predicate(caller: Caller) -> None:
    """A predicate picks the calls; the others go to `otherwise`."""
    log: list[str] = []
    stack = ap.Stack(ap.when(lambda call: call.request["prompt"] == "a", Note("yes", log), Note("no", log)))
    fn = caller.decorate(stack, Script("x"))
    caller.ask(fn, prompt="a")
    caller.ask(fn, prompt="b")
    assert [entry for entry in log if entry.endswith("in")] == ["yes in", "no in"]


async def yes(call: ap.Call) -> bool:
    """Answer what nobody awaits."""
    return True


@pytest.mark.parametrize(
    ("predicate", "message"),
    [
        ("chats", "when takes a predicate or one of chat, responses, .*, not 'chats'"),
        (yes, "when takes a plain predicate .* not an `async def`"),
        (3, r"when takes a predicate \(call\) -> bool or an operation, not 3"),
    ],
)
def test_when_with_a_bad_predicate(predicate: Any, message: str) -> None:
    """An operation that does not exist, or something that cannot be asked, is refused."""
    with pytest.raises(ap.ConfigError, match=message):
        ap.when(predicate, ap.Retry())


def test_when_asks_for_what_its_layers_need() -> None:
    """`when` needs token counts, and wants other traffic, if either of its layers does."""

    class Counting(Note):
        needs_usage = True
        other_traffic = True

    plain, counting = Note("p", []), Counting("c", [])
    for layer, expected in ((ap.when("chat", plain), False), (ap.when("chat", plain, counting), True)):
        assert (layer.needs_usage, layer.other_traffic) == (expected, expected)
        assert ap.Stack(layer).entry.needs_usage is expected


def test_when_decorates() -> None:
    """`when` is a decorator, as every layer is."""
    log: list[str] = []
    assert ap.when("function", Note("n", log))(lambda: "x")() == "x"
    assert len(log) == 3


# Gates and observers


class Gate:
    """A layer with a gate that keeps what it admits and settles."""

    def __init__(self, name: str, log: list[Any], refuses: BaseException | None = None) -> None:
        self.name, self.log, self.refuses = name, log, refuses

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Register the gate, twice."""
        for _ in range(2):
            call.gate(self.admit, self.settle)
        return await call_next(call)

    async def admit(self, call: ap.Call) -> str:
        """Admit, or refuse."""
        if self.refuses is not None:
            raise self.refuses
        self.log.append((self.name, "admit"))
        return f"token {self.name}"

    async def settle(self, token: str, attempt: ap.Attempt) -> None:
        """Settle."""
        self.log.append((self.name, token, attempt.number, attempt.outcome))


def test_gates_surround_every_attempt(caller: Caller) -> None:
    """Each attempt is admitted by each gate once, and settled once with its own outcome, in reverse order."""
    log: list[Any] = []
    stack = ap.Stack(Gate("a", log), ap.Retry(wait=0), Gate("b", log))
    assert caller.ask(caller.decorate(stack, Script(openai_error(500), "fine"))).value == "fine"
    first = [("a", "admit"), ("b", "admit"), ("b", "token b", 1, "failed"), ("a", "token a", 1, "failed")]
    second = [("a", "admit"), ("b", "admit"), ("b", "token b", 2, "ok"), ("a", "token a", 2, "ok")]
    assert log == first + second


@pytest.mark.parametrize("refusal", [ap.BudgetExceeded("empty"), asyncio.CancelledError()])
def test_a_gate_that_refuses(caller: Caller, refusal: BaseException) -> None:
    """A refusal gives back what gates before it admitted; there is no attempt."""
    log: list[Any] = []
    script = Script("never")
    fn = caller.decorate(ap.Stack(Gate("a", log), Gate("b", log, refusal)), script)
    if isinstance(refusal, Exception):
        assert caller.ask(fn).error is refusal
    else:
        with pytest.raises(asyncio.CancelledError):
            caller.ask(fn)
    assert script.calls == 0
    assert log == [("a", "admit"), ("a", "token a", 0, "abandoned")]


def test_observers_hear_of_attempts_and_events(caller: Caller) -> None:
    """An observer hears the start, each event of a stream, and the end of every attempt, once each."""
    heard: list[Any] = []

    def observe(event: str, attempt: ap.Attempt | None, data: Any) -> None:
        if event == "attempt_start":
            data = data.operation
        heard.append((event, attempt and attempt.number, data))

    async def watch(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        call.observe(observe)
        call.observe(observe)
        return await call_next(call)

    error = openai_error(500)
    stack = ap.Stack(ap.Retry(wait=0), watch)
    assert caller.ask(caller.decorate(stack, Script(error, ["a", "b"] if caller.streams else "ab"))).value == "ab"
    events = [("event", 2, "a"), ("event", 2, "b")] if caller.streams else []
    assert heard == [
        ("attempt_start", 1, "function"),
        ("attempt_end", 1, error),
        ("attempt_start", 2, "function"),
        *events,
        ("attempt_end", 2, None),
    ]


def test_an_observer_of_attempts_alone(caller: Caller) -> None:
    """An observer that asks for no events hears of the attempt, and of nothing between its start and its end."""
    heard: list[str] = []

    async def watch(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        call.observe(lambda event, attempt, data: heard.append(event), events=False)
        return await call_next(call)

    assert caller.ask(caller.decorate(ap.Stack(watch), Script(["a", "b"] if caller.streams else "ab"))).value == "ab"
    assert heard == ["attempt_start", "attempt_end"]


def test_an_observer_that_fails(caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """What an observer raises is logged, and the call does not feel it."""

    def observe(event: str, attempt: Any, data: Any) -> None:
        raise RuntimeError(event)

    async def watch(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        call.observe(observe)
        return await call_next(call)

    with caplog.at_level(logging.ERROR, "agentprod"):
        assert caller.ask(caller.decorate(ap.Stack(watch), Script("fine"))).value == "fine"
    assert "an observer failed at attempt_end" in caplog.text


# Calls


def test_a_call_with_another_model() -> None:
    """`with_model` changes request and target together, and leaves the first call as it was."""
    kept: list[ap.Call] = []

    async def switch(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        kept.extend((call, call.with_model("big")))
        return await call_next(kept[1])

    asked: list[str] = []

    def complete(model: str, messages: list[Any]) -> str:
        asked.append(model)
        return "x"

    assert ap.Stack(switch).decorate(complete)("small", []) == "x"
    assert asked == ["big"]
    assert [(call.request["model"], call.target.model) for call in kept] == [("small", "small"), ("big", "big")]
    assert kept[0].id == kept[1].id
    told = ap.last()
    assert told is not None
    assert told.served_by == "function/big"


def test_a_target_s_names() -> None:
    """The endpoint is provider, address and model; the account leaves the model out and adds the credential."""
    edge: Any = None
    target = ap.Target("p", "http://x", "m", edge, "cafe")
    assert (target.endpoint, target.account, str(target)) == ("p http://x m", "p http://x cafe", "p/m")
    assert target.endpoint == "p http://x m"
    assert str(ap.Target("p", "", None, edge)) == "p"
    assert ap.Target("p", "", None, edge).endpoint == "p"
    assert str(ap.Target("p", "", "m", edge, name="primary")) == "primary"
    assert target.with_model("n").account == target.account


def test_limits_tighten() -> None:
    """Of two limits the tighter holds, whichever was said first."""
    one = ap.Limits(attempt=3, idle=None).tightened(5, 7, None, False)
    assert one == ap.Limits(attempt=3, first_token=7)
    assert one.tightened(1, None, 9, True) == ap.Limits(attempt=1, first_token=7, idle=9, thread=True)
    assert one.until(5).until(9).stream_until == 5
    assert one.until(9).until(5).stream_until == 5
