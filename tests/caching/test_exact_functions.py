"""Plain functions: their results are kept by name and arguments, and come back as they were, or not at all."""

from __future__ import annotations

import array
import asyncio
import datetime
import enum
import functools
import math
import threading
import uuid
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest
from pydantic import BaseModel

import agentprod as ap
from agentprod.caching.exact import Cache


class Weather(BaseModel):
    """A model a tool may return."""

    city: str
    degrees: float
    when: datetime.date = datetime.date(2026, 1, 2)


@dataclass
class Place:
    """A data class a tool may return."""

    name: str
    inhabitants: int


class Picture:
    """An image, as the Python Imaging Library has them."""

    def __init__(self, mode: str, data: bytes, palette: bytes | None = None) -> None:
        self.mode, self.size, self._data, self._palette = mode, (1, 2), data, palette

    def tobytes(self) -> bytes:
        """Return the pixels."""
        return self._data

    def getpalette(self) -> list[int] | None:
        """Return the colours the pixels number."""
        return None if self._palette is None else list(self._palette)


class Loud(str):
    """A text of a class of its own."""


@dataclass
class Country:
    """A data class within a data class."""

    capital: Place


class Colour(enum.StrEnum):
    """A text that is more than a text."""

    RED = "red"


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    y: int


class Counted:
    """A function that counts its calls."""

    def __init__(self, result: Callable[..., Any]) -> None:
        self.calls = 0
        self._result = result

    def decorated(self, cache: Cache) -> Callable[..., Any]:
        """Return it behind a cache."""

        @cache
        def fn(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            return self._result(*args, **kwargs)

        return fn


FAITHFUL: list[Any] = [
    None,
    "",
    "text",
    0,
    1.5,
    True,
    [],
    {"a": [1, {"b": None}]},
    "\ud800",
    Weather(city="北京", degrees=3.5),
    Place("Paris", 2_100_000),
    Country(Place("Paris", 1)),
    Colour.RED,
]


@pytest.mark.parametrize("value", FAITHFUL, ids=repr)
def test_a_hit_is_the_value_of_the_miss(value: Any) -> None:
    """The second call returns an equal value of the same class, `None` and empty texts too."""
    count = Counted(lambda: value)
    fn = count.decorated(Cache())
    first, second = fn(), fn()
    assert first == second == value
    assert type(second) is type(value)
    assert count.calls == 1


UNFAITHFUL: list[Any] = [
    (1, 2),
    {1: "a"},
    {"a": (1,)},
    {1, 2},
    b"bytes",
    float("nan"),
    object(),
    Place("Paris", (1,)),  # type: ignore[arg-type]
    Place(Colour.RED, 1),
    Point(1, 2),
    Decimal("1.5"),
]


@pytest.mark.parametrize("value", UNFAITHFUL, ids=[f"{n} {type(value).__name__}" for n, value in enumerate(UNFAITHFUL)])
def test_a_value_json_cannot_bring_back_is_not_kept(value: Any) -> None:
    """What would come back different is not cached; one warning names its kind and no content."""
    cache = Cache()
    count = Counted(lambda: value)
    fn = count.decorated(cache)
    with pytest.warns(ap.AgentprodWarning, match=f"JSON cannot bring back .*{type(value).__name__}"):
        assert fn() is value
    assert fn() is value
    assert count.calls == 2
    assert cache.stats().refused == {"unfaithful": 2}


def test_a_caller_cannot_change_what_is_stored() -> None:
    """Each hit gets objects of its own."""
    fn = Counted(lambda: {"list": [1]}).decorated(Cache())
    fn()["list"].append(2)
    fn()["list"].append(3)
    assert fn() == {"list": [1]}


def f_one(x: Any = 1, *args: Any, y: Any = 2, **rest: Any) -> list[Any]:
    """Return its arguments' kinds."""
    return [str(x), len(args), str(y), len(rest)]


SAME: list[tuple[tuple[tuple[Any, ...], dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]]] = [
    (((5,), {}), ((), {"x": 5})),
    (((5,), {"y": 3, "z": 1}), ((), {"z": 1, "y": 3, "x": 5})),
    ((({"a": 1, "b": 2},), {}), (({"b": 2, "a": 1},), {})),
    ((({1, 2, 3},), {}), (({3, 2, 1},), {})),
    (((Place("a", 1),), {}), ((Place("a", 1),), {})),
    (((Weather(city="x", degrees=1),), {}), ((Weather(city="x", degrees=1.0),), {})),
    (((b"ab",), {}), ((bytes(bytearray(b"ab")),), {})),
    (((np.arange(3),), {}), ((np.array([0, 1, 2]),), {})),
    (((Decimal("1.0"),), {}), ((Decimal("1.0"),), {})),
    (
        ((datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC),), {}),
        ((datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC),), {}),
    ),
    (((uuid.UUID(int=1),), {}), ((uuid.UUID(int=1),), {})),
    (((PurePosixPath("/a"),), {}), ((PurePosixPath("/a"),), {})),
    (((float("nan"),), {}), ((float("nan"),), {})),
    (((Weather,), {}), ((Weather,), {})),
    (((Picture("P", b"ab", b"red"),), {}), ((Picture("P", b"ab", b"red"),), {})),
    (((MappingProxyType({"a": 1}),), {}), ((MappingProxyType({"a": 1}),), {})),
    (((Loud("a"),), {}), ((Loud("a"),), {})),
    (((Place,), {}), ((Place,), {})),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_equal_arguments_are_the_same_call(one: Any, other: Any) -> None:
    """Arguments count by what they say, however they are passed."""
    cache = Cache()
    fn = cache(f_one)
    assert fn(*one[0], **one[1]) == fn(*other[0], **other[1])
    assert cache.stats().misses == 1


DIFFERENT: list[Any] = [
    1,
    "1",
    1.0,
    True,
    None,
    (1,),
    [1],
    {1},
    {"1": 1},
    {1: 1},
    b"1",
    Colour.RED,
    "red",
    Decimal(1),
    float("inf"),
    float("-inf"),
    datetime.date(2026, 1, 2),
    "2026-01-02",
    datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
    datetime.timedelta(1),
    Place("a", 1),
    {"name": "a", "inhabitants": 1},
    Point(1, 2),
    (1, 2),
    np.zeros(4),
    np.zeros((2, 2)),
    np.zeros(4, dtype=np.float32),
    Weather,
    Place,
    {"\0tuple": [None, 1]},
    Picture("P", b"ab", b"red"),
    Picture("P", b"ab", b"blue"),
    Picture("RGB", b"ab"),
    Picture("RGB", b"ac"),
    MappingProxyType({"1": 1}),
    Loud("1"),
]


def test_different_arguments_are_different_calls() -> None:
    """Kinds count: a tuple is no list, 1 is not "1", a data class not its mapping."""
    cache = Cache()
    fn = cache(f_one)
    for value in DIFFERENT:
        fn(value)
    fn()
    fn(y=1)
    assert cache.stats().misses == len(DIFFERENT) + 2


class Opaque:
    """An object that is no data."""


class Whole:
    """A class of no schema, made at module level."""


LOOP: list[Any] = []
LOOP.append(LOOP)


def _local_class() -> type:
    class Local:
        pass

    return Local


@pytest.mark.parametrize(
    "value",
    [
        Opaque(),
        {"a": [Opaque()]},
        lambda: 1,
        threading.Lock(),
        LOOP,
        np.array([Opaque()], dtype=object),
        array.array("i", [1]),
        _local_class(),
    ],
)
def test_arguments_that_are_no_data_keep_a_call_out(value: Any) -> None:
    """Never by `repr`, which may hold an address: not cached, with one warning that shows no value."""
    cache = Cache()
    fn = cache(f_one)
    with pytest.warns(ap.AgentprodWarning, match="does not cache f_one") as caught:
        fn(value)
    fn(value)
    assert len(caught) == 1
    assert "0x" not in str(caught[0].message)
    assert cache.stats().bypassed == {"uncacheable": 2}


def test_ignored_arguments_do_not_count() -> None:
    """`ignore` leaves arguments out, also those that are no data."""
    cache = Cache(ignore=["client"])
    calls = []

    @cache
    def ask(client: Any, question: str) -> str:
        calls.append(question)
        return question

    for question in ("a", "a", "b"):
        ask(Opaque(), question)
    assert calls == ["a", "b"]


class Agent:
    """An object with a cached method."""

    cache = Cache()

    def __init__(self, name: str) -> None:
        self.name = name

    @cache
    def ask(self, question: str) -> str:
        """Answer by name."""
        return f"{self.name}: {question}"

    @Cache(key=lambda call: [call.request["self"].name, call.request["question"]])
    def ask_by_name(self, question: str) -> str:
        """Answer by name, which counts."""
        return f"{self.name}: {question}"

    @classmethod
    @Cache()
    def make(cls, name: str) -> str:
        """Answer of a class."""
        return name


def test_self_is_no_part_of_the_key_unless_asked() -> None:
    """A method's results are shared by all objects of its class; `key` can name what tells them apart."""
    assert [Agent("a").ask("?"), Agent("b").ask("?")] == ["a: ?", "a: ?"]
    assert [Agent("a").ask_by_name("?"), Agent("b").ask_by_name("?")] == ["a: ?", "b: ?"]
    assert [Agent.make("x"), Agent.make("x"), Agent.make("y")] == ["x", "x", "y"]


def test_two_functions_do_not_share_results() -> None:
    """The qualified name is part of the key."""
    cache = Cache()

    @cache
    def one(x: int) -> str:
        return "one"

    @cache
    def two(x: int) -> str:
        return "two"

    assert [one(1), two(1), one(1)] == ["one", "two", "one"]


def test_functions_of_one_name_are_told_apart() -> None:
    """Closures, defaults, partials, bound methods and callable objects count where names do not tell."""
    cache = Cache()
    stack = ap.Stack(cache)

    def closure(greeting: Any) -> Callable[[str], str]:
        @cache
        def greet(name: str) -> str:
            return f"{greeting} {name}"

        return greet

    def default(greeting: str) -> Callable[[str], str]:
        @cache
        def greet(name: str, greeting: str = greeting) -> str:
            return f"{greeting} {name}"

        return greet

    class Greeter:
        def __init__(self, greeting: str) -> None:
            self.greeting = greeting

        def __call__(self, name: str) -> str:
            return f"{self.greeting} {name}"

        def greet(self, name: str) -> str:
            return f"{self.greeting} {name}"

    def greet_as(greeting: str, name: str) -> str:
        return f"{greeting} {name}"

    makers: list[Callable[[str], Callable[[str], str]]] = [
        closure,
        default,
        lambda greeting: stack.decorate(Greeter(greeting)),
        lambda greeting: stack.decorate(Greeter(greeting).greet),
        lambda greeting: stack.decorate(functools.partial(greet_as, greeting)),
        lambda greeting: stack.decorate(lambda name: f"{greeting} {name}"),
    ]
    for make in makers:
        hello, bye = make("Hello"), make("Bye")
        assert [hello("you"), bye("you"), hello("you")] == ["Hello you", "Bye you", "Hello you"]
    opaque = closure(Opaque())
    assert opaque("you") == opaque("you")


def test_a_function_made_twice_alike_is_the_same() -> None:
    """The same code with the same closure shares results, so that what is made per request can hit."""
    cache = Cache()

    def make(greeting: str) -> Callable[[str], str]:
        def greet(name: str) -> str:
            return f"{greeting} {name}"

        return cache(greet)

    assert [make(greeting)("you") for greeting in ("Hello", "Hello", "Bye")] == ["Hello you", "Hello you", "Bye you"]
    assert cache.stats().misses == 2


def test_a_partial_that_holds_no_data_is_known_by_itself() -> None:
    """What cannot be compared is kept apart by the object; functions of modules by their names."""
    cache = Cache()
    stack = ap.Stack(cache)

    def greet(client: Any, name: str) -> str:
        return f"{client.__class__.__name__} {name}"

    for _ in range(2):
        one = stack.decorate(functools.partial(greet, Opaque()))
        assert [one("x"), one("x")] == ["Opaque x", "Opaque x"]
    assert cache.stats().misses == 2
    assert [stack.decorate(math.sqrt)(4), stack.decorate(math.sqrt)(4)] == [2.0, 2.0]
    assert cache.stats().misses == 3


def test_messages_of_a_function_may_be_objects() -> None:
    """A chat function's messages count by what they hold, as data or as models."""
    cache = Cache()

    @cache
    def completion(model: str, messages: list[Any]) -> str:
        return "x"

    for city in ("a", "a", "b"):
        completion("m", [Weather(city=city, degrees=1)])
    assert cache.stats().misses == 2


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_warning_that_is_an_error_reaches_its_caller(kind: str) -> None:
    """Where warnings are errors, the caller gets them, and nobody waits in vain."""
    cache = Cache()

    @cache
    def fetch() -> object:
        return object()

    @cache
    async def afetch() -> object:
        await asyncio.sleep(0)
        return object()

    async def run() -> list[Any]:
        return await asyncio.gather(*(afetch() for _ in range(3)), return_exceptions=True)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if kind == "sync":
            with pytest.raises(ap.AgentprodWarning, match="JSON cannot bring back"):
                fetch()
        else:
            assert [type(error) for error in asyncio.run(run())] == [ap.AgentprodWarning] * 3


def test_an_async_function_is_cached() -> None:
    """Async functions keep results as others do."""
    calls = []

    @Cache()
    async def ask(name: str) -> str:
        calls.append(name)
        return name

    async def run() -> list[str]:
        return [await ask("a"), await ask("a"), await ask("b")]

    assert asyncio.run(run()) == ["a", "a", "b"]
    assert calls == ["a", "b"]


def items(kind: str) -> list[Any]:
    """Return what a generator yields."""
    return {
        "texts": ["a", "", "b"],
        "dicts": [{"n": 1}, {"n": 2}],
        "nothing": [None, None],
        "models": [Weather(city="a", degrees=1), Weather(city="b", degrees=2)],
    }[kind]


@pytest.mark.parametrize("kind", ["texts", "dicts", "nothing", "models"])
def test_a_generator_is_replayed_item_by_item(kind: str) -> None:
    """Items come back as they were, falsy ones too."""
    calls = []

    @Cache()
    def stream(kind: str) -> Iterator[Any]:
        calls.append(kind)
        yield from items(kind)

    assert [list(stream(kind)) for _ in range(3)] == [items(kind)] * 3
    assert len(calls) == 1


@pytest.mark.parametrize("kind", ["texts", "models"])
def test_an_async_generator_is_replayed_item_by_item(kind: str) -> None:
    """The same for async generators."""
    calls = []

    @Cache()
    async def stream(kind: str) -> AsyncIterator[Any]:
        calls.append(kind)
        for item in items(kind):
            yield item

    async def run() -> list[list[Any]]:
        return [[item async for item in stream(kind)] for _ in range(3)]

    assert asyncio.run(run()) == [items(kind)] * 3
    assert len(calls) == 1


@pytest.mark.parametrize("yielded", [[(1, 2)], ["a", Weather(city="a", degrees=1)], ["a", object()]])
def test_items_that_json_cannot_bring_back_are_not_kept(yielded: list[Any]) -> None:
    """One item that would come back different, or items of several classes, keep the whole out."""
    calls = []

    @Cache()
    def stream() -> Iterator[Any]:
        calls.append(1)
        yield from yielded

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert list(stream()) == yielded
        assert list(stream()) == yielded
    assert len(calls) == 2
    told = [str(warning.message) for warning in caught]
    assert len(told) == 1
    assert "JSON cannot bring back" in told[0]


def test_a_stream_too_long_to_record_is_delivered_whole() -> None:
    """Recordings are bounded; what is longer passes, and is not kept."""
    cache = Cache()

    @cache
    def stream() -> Iterator[str]:
        for _ in range(25):
            yield "x" * 100_000

    assert sum(len(item) for item in stream()) == 2_500_000
    assert cache.stats().refused == {"too_large": 1}


def test_a_chat_function_keeps_streams_and_values_apart() -> None:
    """What a function yields and what it returns are its own kinds: nothing is converted between them."""
    calls = []

    @Cache()
    def completion(model: str, messages: list[Any], stream: bool = False) -> Any:
        calls.append(stream)
        chunk = {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]}
        return iter([chunk]) if stream else "hi"

    for stream in (True, False, True, False):
        answer = completion("m", [{"role": "user", "content": "?"}], stream=stream)
        assert list(answer) if stream else answer == "hi"
    assert calls == [True, False]


def test_a_chat_function_s_truncated_reply_is_not_kept() -> None:
    """Functions that return completions are held to the same rules as clients."""
    calls = []

    @Cache()
    def completion(model: str, messages: list[Any]) -> dict[str, Any]:
        calls.append(model)
        message = {"role": "assistant", "content": "half"}
        return {"choices": [{"index": 0, "message": message, "finish_reason": "length"}]}

    for _ in range(2):
        completion("m", [])
    assert len(calls) == 2


def test_a_value_edited_inside_is_kept_edited() -> None:
    """What a layer between cache and function makes of the value is what is stored."""

    class Shout:
        def feed(self, text: str) -> str:
            return text.upper()

        def flush(self) -> str:
            return ""

    async def shouting(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)
        reply.edit(lambda part: Shout())
        return reply

    calls = []

    def ask() -> str:
        calls.append(1)
        return "hi"

    fn = ap.Stack(Cache(), shouting).decorate(ask)
    assert [fn(), fn()] == ["HI", "HI"]
    assert len(calls) == 1
