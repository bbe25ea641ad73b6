"""Every kind of callable behind a stack: how it is told, called, edited, and what it hands back."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import inspect
import operator
from collections import OrderedDict, defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from types import MappingProxyType
from typing import Any, NamedTuple
from unittest.mock import AsyncMock, MagicMock

import pydantic
import pytest

import agentprod as ap
from tests.callers import MODES, Caller, Script


async def upper(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
    """Write every text of the request in capitals."""
    return await call_next(call.map_text(lambda text, part: text.upper()))


async def loud(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
    """Write every text of the reply in capitals."""
    reply = await call_next(call)
    reply.edit(lambda part: Capitals())
    return reply


class Capitals:
    """An editor that writes in capitals."""

    def feed(self, text: str) -> str:
        """Return it all at once."""
        return text.upper()

    def flush(self) -> str:
        """Hold nothing back."""
        return ""


class Seen:
    """A layer that keeps the calls it sees."""

    def __init__(self) -> None:
        self.calls: list[ap.Call] = []

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Keep the call."""
        self.calls.append(call)
        return await call_next(call)


def through(fn: Callable[..., Any], *layers: Any, **options: Any) -> Any:
    """Return a function behind these layers."""
    return ap.Stack(*layers).decorate(fn, **options)


def run(result: Any) -> Any:
    """Return what a function of any kind answers, read to its end."""

    async def awaited() -> Any:
        return await result

    async def listed() -> list[Any]:
        return [item async for item in result]

    if hasattr(result, "__anext__"):
        return asyncio.run(listed())
    if inspect.isawaitable(result):
        return asyncio.run(awaited())
    return list(result) if hasattr(result, "__next__") else result


# Kinds


@pytest.mark.parametrize("mode", MODES)
def test_every_kind_passes_the_stack_and_answers_as_before(mode: str) -> None:
    """Sync, async and both generators answer as without a stack, and each call passes it once."""
    caller, seen = Caller(mode), Seen()
    told = caller.ask(caller.decorate(ap.Stack(seen), Script("fine")))
    assert told.value == "fine"
    (call,) = seen.calls
    assert call.streaming is caller.streams
    assert call.runtime.kind == ("async" if caller.is_async else "sync")
    assert call.operation == "function"


@pytest.mark.parametrize("mode", MODES)
def test_the_wrapper_is_of_the_same_kind(mode: str) -> None:
    """Frameworks that ask `inspect` what a function is get the same answer as before."""
    plain = Caller(mode).function(Script("x"))
    wrapped = through(plain, ap.Retry())
    for tell in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        assert tell(wrapped) == tell(plain)
    assert inspect.signature(wrapped) == inspect.signature(plain)
    assert (wrapped.__name__, wrapped.__doc__, wrapped.__wrapped__) == (plain.__name__, plain.__doc__, plain)


class Model:
    """Something with methods of every kind."""

    def __init__(self, name: str) -> None:
        self.name = name

    @ap.Retry()
    def plain(self, text: str) -> str:
        """Answer."""
        return f"{self.name}: {text}"

    @ap.Retry()
    async def coroutine(self, text: str) -> str:
        """Answer."""
        return f"{self.name}: {text}"

    @ap.Retry()
    def pieces(self, text: str) -> Iterator[str]:
        """Answer."""
        yield from (self.name, text)

    @ap.Retry()
    @classmethod
    def of_class(cls, text: str) -> str:
        """Answer."""
        return f"{cls.__name__}: {text}"

    @classmethod
    @ap.Retry()
    def of_class_inside(cls, text: str) -> str:
        """Answer."""
        return f"{cls.__name__}: {text}"

    @ap.Retry()
    @staticmethod
    async def of_none(text: str) -> str:
        """Answer."""
        return text


class Sub(Model):
    """A subclass."""


def test_methods() -> None:
    """A decorated method is a method: bound to its object, its class, or nothing."""
    model = Sub("m")
    assert model.plain("hi") == "m: hi"
    assert asyncio.run(model.coroutine("hi")) == "m: hi"
    assert list(model.pieces("hi")) == ["m", "hi"]
    assert Sub.of_class("hi") == model.of_class("hi") == "Sub: hi"
    assert Sub.of_class_inside("hi") == "Sub: hi"
    assert asyncio.run(model.of_none("hi")) == asyncio.run(Sub.of_none("hi")) == "hi"


def test_a_bound_method_of_an_object() -> None:
    """A bound method can be decorated from outside; the object's own stays bare."""
    seen, model = Seen(), Model("m")
    assert through(model.plain.__wrapped__.__get__(model), seen)("hi") == "m: hi"  # type: ignore[attr-defined]
    assert len(seen.calls) == 1
    assert model.plain("hi") == "m: hi"
    assert len(seen.calls) == 1


class Callee:
    """A callable object."""

    calls = 0

    def __call__(self, text: str) -> str:
        """Answer."""
        self.calls += 1
        return text


class AsyncCallee:
    """An object whose call is a coroutine."""

    async def __call__(self, text: str) -> str:
        """Answer."""
        return text


class GeneratorCallee:
    """An object whose call is a generator."""

    def __call__(self, text: str) -> Iterator[str]:
        """Answer."""
        yield text


class AsyncGeneratorCallee:
    """An object whose call is an async generator."""

    async def __call__(self, text: str) -> AsyncIterator[str]:
        """Answer."""
        yield text


async def echo(text: str, mark: str = "!") -> str:
    """Answer."""
    return text + mark


def echo_pieces(text: str, times: int = 1) -> Iterator[str]:
    """Answer in pieces."""
    for _ in range(times):
        yield text


async def echo_pieces_async(text: str) -> AsyncIterator[str]:
    """Answer in pieces."""
    yield text


CALLABLES: dict[str, tuple[Any, Any]] = {
    "object": (Callee(), "hi"),
    "async object": (AsyncCallee(), "hi"),
    "generator object": (GeneratorCallee(), ["hi"]),
    "async generator object": (AsyncGeneratorCallee(), ["hi"]),
    "partial": (functools.partial(lambda text, mark: text + mark, mark="?"), "hi?"),
    "partial of async": (functools.partial(echo, mark="?"), "hi?"),
    "partial of partial": (functools.partial(functools.partial(echo), mark="?"), "hi?"),
    "partial of generator": (functools.partial(echo_pieces, times=2), ["hi", "hi"]),
    "partial of object": (functools.partial(Callee()), "hi"),
    "lambda": (lambda text: text, "hi"),
    "builtin": (len, 2),
    "builtin without signature": (max, "i"),
    "method of a str": ("{}!".format, "hi!"),
    "cached": (functools.cache(lambda text: text), "hi"),
    "itemgetter": (operator.itemgetter(0), "h"),
    "mock": (MagicMock(return_value="hi"), "hi"),
    "async mock": (AsyncMock(return_value="hi"), "hi"),
}


@pytest.mark.parametrize(("fn", "expected"), CALLABLES.values(), ids=CALLABLES)
def test_other_callables(fn: Any, expected: Any) -> None:
    """Objects, partials, lambdas, builtins and mocks are called as what they are, and seen by the layers."""
    seen = Seen()
    assert run(through(fn, seen)("hi")) == expected
    assert len(seen.calls) == 1
    assert run(through(fn, seen, ap.Retry())("hi")) == expected


def test_names_of_what_has_none() -> None:
    """A partial goes by its function's name, so that two partials of two functions are two endpoints."""
    seen = Seen()
    run(through(functools.partial(echo), seen)("x"))
    through(Callee(), seen)("x")
    through(Callee(), seen, name="second")("x")
    assert [str(call.target) for call in seen.calls] == ["echo", "Callee", "second"]
    assert through(functools.partial(echo), seen).__name__ == "echo"
    assert through(Callee(), seen).__doc__ == "A callable object."


def test_what_an_object_holds_stays_its_own() -> None:
    """The wrapper of an object does not copy its state."""
    callee = Callee()
    wrapped = through(callee, ap.Retry())
    wrapped("x")
    assert callee.calls == 1
    assert not hasattr(wrapped, "calls")


def test_what_a_function_carries_is_kept() -> None:
    """Attributes that a framework left on a function are on the wrapper, too."""

    def tool() -> None: ...

    tool.schema = {"type": "object"}  # type: ignore[attr-defined]
    assert through(tool, ap.Retry()).schema == {"type": "object"}


def test_a_wrapper_that_runs_the_loop_itself() -> None:
    """A sync wrapper that runs an async function by itself is sync, whatever it wraps."""

    @functools.wraps(echo)
    def runs(*args: Any) -> str:
        return asyncio.run(echo(*args))

    assert through(runs, ap.Retry())("hi") == "hi!"


def other_kinds() -> dict[str, tuple[Any, str, Any]]:
    """Return functions that look synchronous and are not: what they are, and what they answer."""

    class Later:
        def __await__(self) -> Iterator[None]:
            yield from ()

    return {
        "a coroutine": (lambda text: echo(text + "?"), "async", "hi?!"),
        "another awaitable": (lambda text: Later(), "async", None),
        "a generator": (lambda text: echo_pieces(text + "?"), "generator", ["hi?"]),
        "an async generator": (lambda text: echo_pieces_async(text + "?"), "async_generator", ["hi?"]),
    }


@pytest.mark.parametrize(("fn", "kind", "answer"), other_kinds().values(), ids=other_kinds())
def test_a_function_that_is_not_what_it_looks_like(fn: Any, kind: str, answer: Any) -> None:
    """What would go past the layers unseen is an error that names the `kind=` to write, and nothing is left open."""
    with pytest.raises(ap.ConfigError, match=rf'looks synchronous and returned an? \w+; decorate .*kind="{kind}"'):
        run(through(fn, ap.Retry())("hi"))
    assert run(through(fn, ap.Retry(), kind=kind)("hi")) == answer


@pytest.mark.parametrize("make", [echo_pieces, echo_pieces_async])
def test_an_async_function_that_returns_a_generator(make: Any) -> None:
    """A generator that comes out of a coroutine would go past the layers: the error says what to write instead."""

    async def hands_on(text: str) -> Any:
        return make(text)

    with pytest.raises(ap.ConfigError, match=r"returned a generator.*make it an async generator"):
        run(through(hands_on, ap.Retry())("hi"))


def test_a_function_that_is_not_async_though_said_to_be() -> None:
    """`kind="async"` on a function that answers at once is an error that says so."""
    with pytest.raises(ap.ConfigError, match=r'looks asynchronous and returned a str.*kind="sync"'):
        run(through(lambda text: text, kind="async")("hi"))


def test_a_function_that_returns_an_iterator() -> None:
    """`kind="generator"` makes a stream of what a plain function returns."""
    seen = Seen()
    fn = through(lambda text: iter([text, text]), seen, loud, kind="generator")
    assert list(fn("hi")) == ["HI", "HI"]
    assert seen.calls[0].streaming


class Endless:
    """An async iterable that is no iterator itself."""

    async def __aiter__(self) -> AsyncIterator[str]:
        yield "a"
        yield "b"


def test_an_async_iterable_that_is_no_iterator() -> None:
    """Anything `async for` reads is a stream."""
    endless = Endless()
    fn = through(lambda: endless, loud, kind="async_generator")
    assert run(fn()) == ["A", "B"]


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (Callee, "Callee is a class"),
        (3, "int cannot be decorated"),
        (property(lambda self: 1), "property cannot be decorated"),
        (ap.Retry(), "a Retry cannot be decorated; to put layers together list them in one stack"),
        (ap.Stack(), "a Stack cannot be decorated; to put layers together"),
    ],
)
def test_what_cannot_be_decorated(thing: Any, message: str) -> None:
    """Classes and things that cannot be called are refused with what to do."""
    with pytest.raises(ap.ConfigError, match=message):
        ap.Stack().decorate(thing)


def test_an_unknown_kind() -> None:
    """A kind that does not exist is refused with those that do."""
    with pytest.raises(
        ap.ConfigError, match=r"kind must be one of sync, async, generator, async_generator, not 'aync'"
    ):
        ap.Stack().decorate(len, kind="aync")  # type: ignore[arg-type]


# Joining


def test_decorating_a_decorated_function_joins_the_stacks() -> None:
    """Two decorations are one onion, the later one outside, and one call."""
    outer, inner = Seen(), Seen()
    fn = through(through(lambda text: text, ap.Retry(), inner), outer)
    assert fn("hi") == "hi"
    assert len(outer.calls) == len(inner.calls) == 1
    assert outer.calls[0].ledger is inner.calls[0].ledger
    assert [type(layer) for layer in ap.stack_of(fn)] == [Seen, ap.Retry, Seen]


def test_a_foreign_wrapper_of_a_decorated_function_is_not_joined() -> None:
    """`functools.wraps` copies the marker; the wrapper around it still runs, so it is a function of its own."""
    inner = Seen()
    decorated = through(lambda text: text, inner)

    @functools.wraps(decorated)
    def shout(text: str) -> str:
        return str(decorated(text)).upper()

    outer = Seen()
    fn = through(shout, outer)
    assert fn("hi") == "HI"
    assert outer.calls[0].ledger is not inner.calls[0].ledger
    with pytest.raises(ap.ConfigError, match="no stack around this function"):
        ap.stack_of(shout)


def test_joining_keeps_what_was_bound() -> None:
    """Who a function speaks for survives another decoration."""
    seen = Seen()
    mine = ap.bind(through(lambda text: text, seen), user="u1")
    through(mine, ap.Retry())("hi")
    assert seen.calls[0].context.user == "u1"


class Asker:
    """Something with a decorated method."""

    @ap.Stack(upper)
    def ask(self, prompt: str) -> str:
        """Answer."""
        return prompt + "!"


def test_a_decorated_method_of_an_object() -> None:
    """A bound method is as decorated as its function: it is looked into, bound, unwrapped and joined alike."""
    asker, seen = Asker(), Seen()
    assert [type(layer).__name__ for layer in ap.stack_of(asker.ask)] == ["function"]
    assert ap.unwrap(asker.ask)("hi") == "hi!"
    joined = ap.bind(ap.Stack(seen).decorate(asker.ask), user="u1")
    assert joined("hi") == "HI!"
    assert seen.calls[0].context.user == "u1"
    assert len(ap.stack_of(joined)) == 2
    assert asker.ask("hi") == "HI!"
    with pytest.raises(ap.OrderError, match="holds Retry twice"):
        ap.Retry()(ap.Retry()(asker.ask))


def test_what_has_no_stack_cannot_be_bound() -> None:
    """Who speaks can be said of what has a stack only, and the error says how it gets one."""
    with pytest.raises(ap.ConfigError, match="this function has no stack; wrap the client or decorate the function"):
        ap.bind(echo, user="u1")


def test_unwrap() -> None:
    """`unwrap` gives back the very function; what has no stack is returned as it is."""
    fn = through(echo, ap.Retry())
    assert ap.unwrap(fn) is echo
    assert ap.unwrap(through(fn, Seen())) is echo
    assert ap.unwrap(echo) is echo


# StopIteration


def test_stop_iteration_crosses_the_stack() -> None:
    """A function may raise StopIteration: it comes out as itself, not as a RuntimeError of a coroutine."""
    stop = StopIteration("end")

    def ends() -> None:
        raise stop

    with pytest.raises(StopIteration) as raised:
        through(ends, Seen())()
    assert raised.value is stop
    assert [attempt.error_type for attempt in ap.meta(raised.value).attempts] == ["StopIteration"]


def test_next_as_a_function() -> None:
    """`next` of an iterator, behind a stack, still ends a loop by StopIteration."""
    items = iter(["a"])
    fn = through(lambda: next(items), Seen())
    assert list(iter(fn, "never")) == ["a"]


def test_stop_iteration_from_a_thread() -> None:
    """The same on the thread that a timeout runs a function on."""

    def ends() -> None:
        raise StopIteration(7)

    with pytest.raises(StopIteration) as raised:
        through(ends, ap.Timeout(10, thread=True))()
    assert raised.value.value == 7


def test_a_layer_may_retry_stop_iteration() -> None:
    """Layers see the StopIteration itself, so `on=` can name it."""
    answers: list[Any] = [StopIteration(), "fine"]

    def ends() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, StopIteration):
            raise answer
        return answer

    assert through(ends, ap.Retry(on=StopIteration, wait=0))() == "fine"


# Editing arguments


def every(a: str, /, b: str, *rest: str, c: str = "c", **free: str) -> Any:
    """Take arguments in every way."""
    return a, b, rest, c, free


ARGUMENTS: dict[str, tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = {
    "positional": (every, ("a", "b"), {}, ("A", "B", (), "c", {})),
    "by name": (every, ("a",), {"b": "b", "c": "d"}, ("A", "B", (), "D", {})),
    "varargs": (every, ("a", "b", "x", "y"), {}, ("A", "B", ("X", "Y"), "c", {})),
    "all": (every, ("a", "b", "x"), {"c": "d", "z": "z"}, ("A", "B", ("X",), "D", {"z": "Z"})),
    "a free name of a positional parameter": (every, ("a", "b"), {"a": "x"}, ("A", "B", (), "c", {"a": "X"})),
    "a free name of the star": (every, ("a", "b"), {"rest": "x"}, ("A", "B", (), "c", {"rest": "X"})),
    "a free name of the double star": (every, ("a", "b"), {"free": "x"}, ("A", "B", (), "c", {"free": "X"})),
    "only positional": (lambda a, b, /: (a, b), ("a", "b"), {}, ("A", "B")),
    "only positional with defaults": (lambda a="p", b="q", /: (a, b), ("a",), {}, ("A", "q")),
    "only by name": (lambda *, a, b="q": (a, b), (), {"a": "a"}, ("A", "q")),
    "before varargs": (lambda a, b, *rest: (a, b, rest), ("a", "b", "x"), {}, ("A", "B", ("X",))),
    "default before varargs": (lambda a, b="q", *rest: (a, b, rest), ("a",), {}, ("A", "q", ())),
    "method of a str": ("{} {x}".format, ("a",), {"x": "b"}, "A B"),
    "no signature": (max, ("a", "b"), {}, "B"),
    "no signature, by name": (max, (["a", "b"],), {"default": "c"}, "B"),
    "nothing": (lambda: "x", (), {}, "x"),
}


@pytest.mark.parametrize(("fn", "args", "kwargs", "expected"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_edited_arguments_arrive_as_they_were_passed(
    fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], expected: Any
) -> None:
    """Every text of the arguments is edited, and each argument arrives where the caller put it."""
    assert through(fn, upper)(*args, **kwargs) == expected
    assert through(fn, ap.Retry())(*args, **kwargs) == fn(*args, **kwargs)


def test_a_layer_adds_an_argument_after_one_left_out() -> None:
    """A positional-only parameter that a layer fills keeps its place: the default before it is passed along."""

    async def fill(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        return await call_next(call.replace(request={**call.request, "b": "added"}))

    assert through(lambda a="p", b="q", /: (a, b), fill)() == ("p", "added")


def test_a_layer_adds_varargs() -> None:
    """Rest arguments that a layer adds come after the defaults before them."""

    async def fill(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        return await call_next(call.replace(request={**call.request, "rest": ["x"]}))

    assert through(lambda a, b="q", *rest: (a, b, rest), fill)("a") == ("a", "q", ("x",))


class Pair(NamedTuple):
    """A named tuple."""

    left: str
    right: str


def nested(depth: int) -> Any:
    """Return a text in lists in lists."""
    value: Any = "a"
    for _ in range(depth):
        value = [value]
    return value


CONTAINERS: dict[str, Any] = {
    "list": ["a", 1, None, ["b"]],
    "tuple": ("a", ("b",)),
    "named tuple": Pair("a", "b"),
    "dict": {"k": {"a": "a"}, "n": 1.5},
    "ordered dict": OrderedDict(a="a", b="b"),
    "default dict": defaultdict(list, a=["a"]),
    "mapping": MappingProxyType({"a": "a"}),
    "deep": nested(3000),
}


@pytest.mark.parametrize("value", CONTAINERS.values(), ids=CONTAINERS)
def test_an_edited_container_is_of_its_kind_and_the_caller_s_own_untouched(value: Any) -> None:
    """Editing copies containers along the way, keeps their types, and never changes the caller's."""
    before = repr(value) if not isinstance(value, list) or len(value) > 1 else None
    got: list[Any] = []
    through(got.append, upper)(value)
    assert got[0] is not value
    if isinstance(value, MappingProxyType):
        assert got[0] == {"a": "A"}
        return
    assert type(got[0]) is type(value)
    if before is not None:
        assert repr(value) == before
        assert repr(got[0]).lower() == before.lower() != repr(got[0])


def test_arguments_that_are_no_text_stay_the_same_objects() -> None:
    """What is not edited is passed on as the very object, whatever it is, in an edited call too."""
    thing, array, words = object(), [1, 2], ["a"]
    got: list[Any] = []
    through(lambda *args: got.extend(args), upper)(thing, array, words, "text")
    assert got[0] is thing
    assert got[1] is array
    assert got[2:] == [["A"], "TEXT"]


def test_nothing_edited_nothing_copied() -> None:
    """When no text changes, the call keeps its request, and the function its arguments."""
    words = ["A"]
    kept: list[bool] = []

    async def edit(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        edited = call.map_text(lambda text, part: text.upper())
        kept.append(edited is call)
        return await call_next(edited)

    got: list[Any] = []
    through(got.append, edit)(words)
    assert kept == [True]
    assert got[0] is words


def test_arguments_that_do_not_fit() -> None:
    """Wrong arguments raise Python's own TypeError, from layers that look at them as from the function."""

    def one(text: str) -> str:
        return text

    for layers in ((), (upper,)):
        with pytest.raises(TypeError, match="argument"):
            through(one, *layers)("a", "b")


def test_how_a_request_shows() -> None:
    """The request of a function is a mapping by name that shows no values: they may be anybody's data."""
    seen = Seen()
    through(every, seen)("secret", "b", "x", z="y")
    (call,) = seen.calls
    assert repr(call.request) == "Arguments(a, b, rest, z)"
    assert dict(call.request) == {"a": "secret", "b": "b", "rest": ("x",), "z": "y"}
    assert len(call.request) == 4
    assert call.request["z"] == "y"
    assert repr(call) == "Call(function, every, streaming=False)"


def test_the_parts_of_arguments() -> None:
    """Each text of the arguments is a part that names its parameter."""
    parts: list[ap.Part] = []

    async def look(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        return await call_next(call.map_text(lambda text, part: parts.append(part) or text))  # type: ignore[func-returns-value]

    through(lambda text, history: text, look)("a", ["b"])
    assert parts == [ap.Part("argument", "user", 0, 0, "text"), ap.Part("argument", "user", 0, 1, "history")]


def test_the_only_text_is_the_question() -> None:
    """The only string among the arguments is what the user said; of several nobody can tell."""
    seen = Seen()
    fn = through(lambda *args, **kwargs: "", seen)
    fn(n=3, text="hello")
    fn(text="hello", tone="kind")
    assert [call.dialect.last_user_text(call.request) for call in seen.calls] == ["hello", None]


# Results


@dataclasses.dataclass
class Line:
    """Part of an answer."""

    text: str
    score: float = 0.0


@dataclasses.dataclass
class Page:
    """An answer of answers."""

    title: str
    first: Line
    lines: list[Line]
    by_name: dict[str, Line] = dataclasses.field(default_factory=dict)
    pair: tuple[Line, str] | None = None
    more: tuple[Line, ...] = ()
    note: Note | None = None
    either: int | Line = 0
    loose: Any = None
    secret: object = dataclasses.field(default_factory=object)
    made: str = dataclasses.field(default="made", init=False)


class Note(pydantic.BaseModel):
    """A model within an answer."""

    text: str


class Aliased(pydantic.BaseModel):
    """A model whose wire names are not its fields' names."""

    the_text: str = pydantic.Field(alias="theText")
    inner: Note = Note(text="n")

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def length(self) -> int:
        """Something that cannot be given back."""
        return len(self.the_text)

    model_config = pydantic.ConfigDict(extra="forbid")


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    """A dataclass that can hold no attributes."""

    text: str


class Shout(str):
    """A str of its own kind."""


RESULTS: dict[str, tuple[Any, Any]] = {
    "str": ("a", "A"),
    "number": (3, 3),
    "none": (None, None),
    "list": (["a", {"k": "b"}], ["A", {"k": "B"}]),
    "tuple": (("a", 1), ("A", 1)),
    "named tuple": (Pair("a", "b"), Pair("A", "B")),
    "subclass of str": (Shout("a"), Shout("A")),
    "dataclass": (Line("a", 0.5), Line("A", 0.5)),
    "frozen dataclass": (Frozen("a"), Frozen("A")),
    "model": (Note(text="a"), Note(text="A")),
    "aliased model": (Aliased(theText="a"), Aliased(theText="A", inner=Note(text="N"))),
    "object": (dataclasses, dataclasses),
}


@pytest.mark.parametrize(("value", "expected"), RESULTS.values(), ids=RESULTS)
def test_an_edited_result_is_of_its_kind(value: Any, expected: Any) -> None:
    """The texts of a result are edited, and it comes back as what the function returned."""
    result = through(lambda: value, loud)()
    assert result == expected
    assert type(result) is type(expected)
    assert through(lambda: value, ap.Retry())() is value


def test_a_dataclass_of_dataclasses() -> None:
    """Dataclasses within dataclasses, lists, dicts, tuples and unions are rebuilt as such, and objects kept."""
    page = Page(
        "t",
        Line("a"),
        [Line("b"), Line("c")],
        {"k": Line("d")},
        (Line("e"), "f"),
        (Line("g"), Line("h")),
        Note(text="i"),
        Line("j"),
        {"free": ["k"]},
    )
    result = through(lambda: page, loud)()
    expected = Page(
        "T",
        Line("A"),
        [Line("B"), Line("C")],
        {"k": Line("D")},
        (Line("E"), "F"),
        (Line("G"), Line("H")),
        Note(text="I"),
        Line("J"),
        {"free": ["K"]},
        page.secret,
    )
    expected.made = "MADE"
    assert result == expected
    assert page.first == Line("a")


def test_a_dataclass_whose_annotations_cannot_be_read() -> None:
    """A dataclass with annotations that name nothing is rebuilt with its fields as they are."""

    @dataclasses.dataclass
    class Local:
        text: str
        odd: Unknown  # type: ignore[name-defined]  # noqa: F821

    assert through(lambda: Local("a", {"b": "c"}), loud)() == Local("A", {"b": "C"})


def test_a_union_takes_the_kind_that_fits() -> None:
    """Of two dataclasses in a union the one whose fields are there is built."""

    @dataclasses.dataclass
    class Holder:
        what: Line | Frozen | None

    globals()["Holder"] = Holder
    try:
        assert through(lambda: Holder(Frozen("a")), loud)() == Holder(Frozen("A"))
        assert through(lambda: Holder(None), loud)() == Holder(None)
    finally:
        del globals()["Holder"]


def test_an_object_with_a_dump_of_its_own() -> None:
    """A `model_dump` that takes no options is read, too."""

    class Own:
        def __init__(self, text: str) -> None:
            self.text = text

        def model_dump(self) -> dict[str, str]:
            return {"text": self.text}

        @classmethod
        def model_validate(cls, data: dict[str, str]) -> Own:
            return cls(**data)

    assert through(lambda: Own("a"), loud)().text == "A"


def answering(value: Any) -> Callable[..., Any]:
    """Return a layer that answers without calling."""

    async def answer(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        return call.reply(value)

    return answer


def returns_line() -> Line:
    """Return a dataclass."""
    raise AssertionError("not called")


def returns_note() -> Note:
    """Return a model."""
    raise AssertionError("not called")


def returns_float() -> float:
    """Return a number."""
    raise AssertionError("not called")


def returns_pair() -> Pair:
    """Return a named tuple."""
    raise AssertionError("not called")


def returns_tuple() -> tuple:  # type: ignore[type-arg]
    """Return a tuple."""
    raise AssertionError("not called")


def returns_bool() -> bool:
    """Return a bool."""
    raise AssertionError("not called")


async def returns_shout() -> Shout:
    """Return a str of its own kind."""
    raise AssertionError("not called")


SHORT: dict[str, tuple[Any, Any, Any]] = {
    "dataclass": (returns_line, {"text": "a", "score": 2}, Line("a", 2)),
    "the object itself": (returns_line, Line("a"), Line("a")),
    "model": (returns_note, {"text": "a"}, Note(text="a")),
    "whole number for a float": (returns_float, 3, 3.0),
    "named tuple": (returns_pair, ["a", "b"], Pair("a", "b")),
    "tuple": (returns_tuple, ["a", "b"], ("a", "b")),
    "async": (returns_shout, "a", Shout("a")),
    "partial": (functools.partial(returns_line), {"text": "a"}, Line("a")),
    "nothing": (returns_line, None, None),
    "no annotation": (lambda: 1, {"any": "thing"}, {"any": "thing"}),
    "builtin": (len, 7, 7),
}


@pytest.mark.parametrize(("fn", "value", "expected"), SHORT.values(), ids=SHORT)
def test_a_layer_s_answer_is_built_as_annotated(fn: Any, value: Any, expected: Any) -> None:
    """What a layer answers in JSON comes out as what the function says it returns."""
    result = run(through(fn, answering(value))(*([""] if fn is len else [])))
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(("fn", "value"), [(returns_line, "text"), (returns_bool, "no"), (returns_pair, "ab")])
def test_an_answer_that_cannot_be_built(fn: Any, value: Any) -> None:
    """JSON that the annotated class cannot be built from is a TypeError that names both."""
    with pytest.raises(TypeError, match=rf"cannot be built from {type(value).__name__}"):
        through(fn, answering(value))()


def test_meta_of_objects() -> None:
    """What happened to a call stands on the objects it returned, made by the function or by a layer."""
    for result in (through(lambda: Line("a"), ap.Retry())(), run(through(AsyncCallee(), ap.Retry())("x")) and None):
        if result is not None:
            assert len(ap.meta(result).attempts) == 1
    assert ap.meta(through(lambda: Line("a"), loud)()).attempts
    assert ap.meta(through(returns_line, answering({"text": "a"}))()).attempts == []


def test_meta_of_an_object_from_an_async_function() -> None:
    """The same for async functions."""

    async def note() -> Note:
        return Note(text="a")

    assert len(ap.meta(asyncio.run(through(note, ap.Retry())())).attempts) == 1


# Functions that speak OpenAI's chat


def completion(text: str) -> dict[str, Any]:
    """Return a completion."""
    return {
        "id": "c",
        "object": "chat.completion",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
    }


def chunks(*texts: str, finish: str | None = "stop") -> list[dict[str, Any]]:
    """Return the chunks of a completion."""
    events = [{"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]} for text in texts]
    end = [{"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}] if finish else []
    return [{"choices": [{"index": 0, "delta": {"role": "assistant"}}]}, *events, *end]


class Chat:
    """A function of LiteLLM's shape."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.requests: list[dict[str, Any]] = []

    def __call__(self, model: str, messages: list[Any], stream: bool = False, **options: Any) -> Any:
        """Answer, or stream the answer."""
        self.requests.append({"model": model, "messages": messages, "stream": stream, **options})
        return iter(self.answer) if stream and isinstance(self.answer, list) else self.answer


HELLO = [{"role": "user", "content": "hello"}]


def test_a_chat_function_is_recognised() -> None:
    """`(model, messages)` is OpenAI's chat: operation, model, text and token counts are read."""
    seen, chat = Seen(), Chat(completion("hi"))
    result = through(chat, seen, provider="litellm")("gpt", HELLO)
    assert result is chat.answer
    (call,) = seen.calls
    assert (call.operation, call.streaming, call.target.model) == ("chat", False, "gpt")
    assert call.target.provider == "litellm"
    assert call.dialect.last_user_text(call.request) == "hello"
    told = ap.last()
    assert told is not None
    assert (told.served_by, told.usage) == ("litellm/gpt", ap.Usage(7, 2))


def test_a_model_object_s_counts_are_read() -> None:
    """Token counts are found on objects as in dicts, and the object is not kept alive by its account."""

    class Completion(pydantic.BaseModel):
        choices: list[Any]
        usage: dict[str, int]

    made = Completion(**completion("hi"))
    result = through(Chat(made), ap.Retry())("gpt", HELLO)
    assert result is made
    assert ap.meta(result).usage == ap.Usage(7, 2)


def test_the_model_can_be_said_once() -> None:
    """A model named at decoration is the target's for every call; else each call's own."""
    seen = Seen()
    fixed = through(Chat(completion("")), seen, model="fixed")
    free = through(Chat(completion("")), seen)
    fixed("a", HELLO)
    free("a", HELLO)
    free("b", HELLO)
    assert [call.target.model for call in seen.calls] == ["fixed", "a", "b"]


def test_a_chat_function_is_edited() -> None:
    """Message texts of a chat function are edited, and names and roles are not."""
    chat = Chat(completion("hi"))
    result = through(chat, loud, upper)("gpt", HELLO, temperature=0)
    assert result["choices"][0]["message"]["content"] == "HI"
    assert chat.requests == [
        {"model": "gpt", "messages": [{"role": "user", "content": "HELLO"}], "stream": False, "temperature": 0}
    ]
    assert HELLO == [{"role": "user", "content": "hello"}]


class Message(pydantic.BaseModel):
    """A reply's message, handed back in the next request."""

    role: str
    content: str


def test_messages_that_are_objects_are_edited() -> None:
    """A message object of an earlier reply cannot carry text past a layer: edited, it is a dict."""
    chat, seen = Chat(completion("hi")), Seen()
    messages = [Message(role="assistant", content="hi"), Message(role="user", content="hello")]
    through(chat, seen, upper)("gpt", messages)
    assert chat.requests[0]["messages"] == [
        {"role": "assistant", "content": "HI"},
        {"role": "user", "content": "HELLO"},
    ]
    dialect, request = seen.calls[0].dialect, seen.calls[0].request
    assert [fragment.text for fragment in dialect.request_fragments(request)] == ["hi", "hello"]
    assert dialect.last_user_text(request) == "hello"
    through(chat, seen)("gpt", messages)
    assert chat.requests[1]["messages"] is messages


def test_a_chat_function_that_streams() -> None:
    """With `stream=True` the chunks pass the layers one by one, and an edit reaches each text."""
    seen = Seen()
    stream = through(Chat(chunks("a", "b")), seen, loud)("gpt", HELLO, stream=True)
    texts = [chunk["choices"][0]["delta"].get("content") for chunk in stream]
    assert texts == [None, "A", "B", None]
    assert seen.calls[0].streaming
    assert ap.meta(stream).attempts[0].outcome == "ok"


def test_a_chat_function_that_does_not_stream_when_asked() -> None:
    """A function that answers whole although asked to stream is passed on whole."""
    answer = completion("hi")
    assert through(Chat(answer), ap.Retry())("gpt", HELLO, stream=True) is answer
    assert through(Chat(None), ap.Retry())("gpt", HELLO, stream=True) is None


def test_a_chat_stream_that_breaks_off() -> None:
    """Chunks that end without a finish reason are a broken stream, with what was open named."""
    call = {"index": 0, "id": "t", "function": {"name": "pay", "arguments": '{"amount": 1'}}
    broken = [{"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}]
    stream = through(Chat(broken), ap.Retry())("gpt", HELLO, stream=True)
    with pytest.raises(ap.StreamInterrupted) as raised:
        list(stream)
    assert raised.value.fault == "truncated"
    assert raised.value.open_tool_calls == ("pay",)


def test_a_chat_function_that_yields_text() -> None:
    """A chat-shaped generator of plain strings is read as text."""

    def complete(model: str, messages: list[Any]) -> Iterator[str]:
        yield from ("a", "b")

    assert list(through(complete, loud)("m", HELLO)) == ["A", "B"]
    answered = through(complete, answering("whole"))("m", HELLO)
    assert list(answered) == ["whole"]


def test_a_chat_function_that_returns_text() -> None:
    """A chat-shaped function that returns a string is read and edited as text."""
    texts: list[str] = []

    async def read(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)
        texts.append(reply.text)
        return reply

    assert through(Chat("hi"), loud, read)("m", HELLO) == "HI"
    assert through(Chat(completion("yo")), read)("m", HELLO)
    assert texts == ["hi", "yo"]


def test_an_async_chat_stream() -> None:
    """An async chat function that returns an async iterator streams as such, and may be closed by `async with`."""

    async def complete(model: str, messages: list[Any], stream: bool = False) -> Any:
        async def items() -> AsyncIterator[Any]:
            for chunk in chunks("a", "b"):
                yield chunk

        return items()

    async def scenario() -> list[Any]:
        async with await through(complete, loud)("m", HELLO, stream=True) as stream:
            return [chunk["choices"][0]["delta"].get("content") async for chunk in stream]

    assert asyncio.run(scenario()) == [None, "A", "B", None]


def test_an_async_chat_function_that_returns_a_plain_iterator() -> None:
    """What an async function returns is handed on as the kind of iterator it is."""

    async def complete(model: str, messages: list[Any], stream: bool = False) -> Any:
        return iter(chunks("a"))

    stream = asyncio.run(through(complete, loud)("m", HELLO, stream=True))
    assert [chunk["choices"][0]["delta"].get("content") for chunk in stream] == [None, "A", None]


def test_a_dialect_of_the_user_s() -> None:
    """A wire format of one's own tells a stack where the texts are."""

    class Prompt(ap.Dialect):
        name = "prompt"

        def request_fragments(self, request: Any) -> Any:
            from agentprod.dialects.base import Fragment

            yield Fragment(ap.Part("text", "user"), request["prompt"], ("prompt",))

    seen = Seen()
    fn = through(lambda prompt, system: f"{prompt} {system}", seen, upper, loud, dialect=Prompt(), model="m")
    assert fn("hi", "be kind") == "HI BE KIND"
    assert (seen.calls[0].dialect.name, seen.calls[0].target.model) == ("prompt", "m")
    assert through(lambda prompt: prompt, upper, dialect=Prompt())("hi") == "HI"


# Switches


@pytest.mark.parametrize("mode", MODES)
def test_stacks_can_be_switched_off(mode: str) -> None:
    """While stacks are off a decorated function is bare."""
    caller, seen = Caller(mode), Seen()
    fn = caller.decorate(ap.Stack(seen), Script("fine"))
    ap.set_active(False)
    try:
        value = run(fn())
    finally:
        ap.set_active(True)
    assert value in ("fine", ["fine"])
    assert not seen.calls


def test_leaving_a_bare_async_generator_early() -> None:
    """While stacks are off, too, `aclose` of the wrapper closes the function's own generator before it returns."""
    log: list[str] = []

    async def pieces() -> AsyncGenerator[str, None]:
        try:
            yield "a"
            yield "b"
        finally:
            log.append("closed")

    async def scenario() -> None:
        items = ap.Stack().decorate(pieces)()
        assert await anext(items) == "a"
        await items.aclose()
        log.append("left")

    ap.set_active(False)
    try:
        asyncio.run(scenario())
    finally:
        ap.set_active(True)
    assert log == ["closed", "left"]


def test_the_switch_takes_a_bool() -> None:
    """`"off"` is true."""
    with pytest.raises(ap.ConfigError, match="takes True or False, not 'off'"):
        ap.set_active("off")  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", MODES)
def test_a_layer_s_own_calls_do_not_enter_its_stack_again(mode: str) -> None:
    """Within `call.helper()` a decorated function is bare, so a layer cannot wait for itself."""
    caller = Caller(mode)
    depth: list[str] = []

    async def asks_itself(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        depth.append("in")
        with call.helper():
            result = fn()
            if caller.mode == "async_generator":
                depth.append("".join([item async for item in result]))
            else:
                depth.append("".join(await result if caller.mode == "async" else result))
        return await call_next(call)

    fn = caller.decorate(ap.Stack(asks_itself), Script("inner", "outer"))
    assert caller.ask(fn).value == "outer"
    assert depth == ["in", "inner"]


def test_a_generator_s_return_value() -> None:
    """What a generator returns at its end comes through `yield from`, as without a stack."""

    def steps() -> Generator[str, None, str]:
        yield "a"
        return "result"

    def outer() -> Iterator[str]:
        found.append((yield from through(steps, Seen())()))

    found: list[Any] = []
    assert list(outer()) == ["a"]
    assert found == ["result"]


def test_a_generator_that_lets_a_stop_async_iteration_out() -> None:
    """Only StopIteration ends a plain generator: one that bridges an async one and forgets its end has broken."""

    async def one() -> AsyncIterator[str]:
        yield "a"

    def bridge() -> Iterator[str]:
        items = one()
        while True:
            try:
                anext(items).__await__().send(None)
            except StopIteration as item:
                yield item.value

    with pytest.raises(ap.StreamInterrupted, match="StopAsyncIteration"):
        list(through(bridge)())


def test_nothing_can_be_sent_into_a_generator() -> None:
    """`send` would go past the layers, so it is refused and the stream left."""
    sent: list[Any] = []

    def talks() -> Iterator[Any]:
        try:
            sent.append((yield "a"))
            yield "b"
        finally:
            sent.append("closed")

    fn = through(talks, Seen())()
    next(fn)
    with pytest.raises(TypeError, match="nothing can be sent"):
        fn.send("x")
    assert sent == ["closed"]


def test_nothing_can_be_sent_into_an_async_generator() -> None:
    """The same for async generators."""

    async def talks() -> AsyncIterator[Any]:
        yield "a"
        yield "b"

    async def scenario() -> None:
        fn = through(talks, Seen())()
        await anext(fn)
        with pytest.raises(TypeError, match="nothing can be sent"):
            await fn.asend("x")

    asyncio.run(scenario())


def test_an_error_thrown_into_a_generator() -> None:
    """An exception thrown into the wrapper comes out of it, and the function's generator is closed."""
    closed: list[bool] = []

    def talks() -> Iterator[str]:
        try:
            yield "a"
        finally:
            closed.append(True)

    fn = through(talks, Seen())()
    next(fn)
    with pytest.raises(KeyError, match="thrown"):
        fn.throw(KeyError("thrown"))
    assert closed == [True]
