"""A check of the user's own stands in the way of requests and replies, streams included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

import agentprod as ap
from tests.callers import MODES, STREAMS, Caller, Script


class Moderation:
    """Refuses texts with a word in them, and remembers what it was asked about."""

    def __init__(self, word: str = "bomb") -> None:
        self.word = word
        self.asked: list[str] = []

    def __call__(self, text: str) -> list[str]:
        """Check one text."""
        self.asked.append(text)
        return ["violence"] if self.word in text else []


@pytest.mark.parametrize("mode", MODES)
def test_a_refused_request_is_not_sent(mode: str) -> None:
    """The function is never called, and the error names the category and not the text."""
    caller, script = Caller(mode), Script("ok")
    told = caller.ask(caller.decorate(ap.Stack(ap.ContentFilter(Moderation())), script), "a bomb")
    assert isinstance(told.error, ap.Blocked)
    assert "violence" in str(told.error)
    assert "bomb" not in str(told.error)
    assert script.calls == 0
    assert told.meta is not None
    assert told.meta.flags == ("content",)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_refused_answer_is_not_seen(mode: str, asynchronous: bool) -> None:
    """Of a stream only what passed before is delivered, however the word is cut."""
    caller, check = Caller(mode), Moderation()

    async def later(text: str) -> list[str]:
        await asyncio.sleep(0)
        return check(text)

    if asynchronous and not caller.is_async:
        with pytest.raises(ap.ConfigError, match="must be awaited"):
            caller.decorate(ap.Stack(ap.ContentFilter(later)), Script("x"))
        return
    layer = ap.ContentFilter(later if asynchronous else check, on="output")
    script = Script(["All is well. ", "Now the bo", "mb is here. ", "More."] if caller.streams else "a bomb")
    told = caller.ask(caller.decorate(ap.Stack(layer), script), "hi")
    assert isinstance(told.error, ap.Blocked)
    assert told.read == (["All is well. "] if caller.streams else [])
    assert all("bomb" not in text for text in check.asked[:1]) or not caller.streams


@pytest.mark.parametrize("mode", MODES)
def test_what_passes_arrives_unchanged(mode: str) -> None:
    """Items are neither joined nor cut; nothing is left behind."""
    caller, check = Caller(mode), Moderation()
    items = ["One. ", "two", " three", ". ", "", "end"]
    told = caller.ask(
        caller.decorate(ap.Stack(ap.ContentFilter(check)), Script(items if caller.streams else "".join(items))), "hi"
    )
    assert told.value == "".join(items)
    assert told.read == (items if caller.streams else [])
    assert check.asked[0] == "hi"
    assert check.asked[-1].endswith("end")


@pytest.mark.parametrize("mode", STREAMS)
def test_long_pieces_are_checked_without_a_sentence_end(mode: str) -> None:
    """After `every` characters, together with the context before them."""
    caller, check = Caller(mode), Moderation()
    layer = ap.ContentFilter(check, on="output", every=4, context=3)
    told = caller.ask(caller.decorate(ap.Stack(layer), Script(["abcd", "efgh", "ij"])), "hi")
    assert told.value == "abcdefghij"
    assert check.asked == ["abcd", "bcdefgh", "fghij"]


@pytest.mark.parametrize("mode", STREAMS)
def test_a_buffered_stream_is_checked_before_any_of_it_is_seen(mode: str) -> None:
    """Where a stream is delivered only when it is complete, nothing of a refused one is."""
    caller = Caller(mode)
    for items, seen in ((["Fine. ", "bomb"], []), (["Fine. ", "too"], ["Fine. ", "too"])):
        stack = ap.Stack(ap.ContentFilter(Moderation(), on="output"), buffer=True)
        told = caller.ask(caller.decorate(stack, Script(items)), "hi")
        assert told.read == seen
        assert isinstance(told.error, ap.Blocked) is not seen or told.error is None


def test_each_text_is_checked_once() -> None:
    """A history that was checked is not checked again; a text that was refused is."""
    check = Moderation()
    ask = ap.Stack(ap.ContentFilter(check, on="input")).decorate(lambda messages: "ok")
    history = ["one", "two"]
    ask(list(history))
    ask([*history, "three"])
    assert check.asked == ["one", "two", "three"]
    for _ in range(2):
        with pytest.raises(ap.Blocked):
            ask(["bomb"])
    assert check.asked[3:] == ["bomb", "bomb"]


def test_it_may_only_tell() -> None:
    """With `action="flag"` everything passes, and `ap.meta` says what was found."""
    ask = ap.Stack(ap.ContentFilter(Moderation(), action="flag")).decorate(lambda prompt: "bomb")
    assert ask("bomb") == "bomb"
    meta = ap.last()
    assert meta is not None
    assert meta.flags == ("content",)
    assert [(note.event, note.data["on"], note.data["categories"]) for note in meta.notes] == [
        ("refused", "input", ["violence"]),
        ("refused", "output", ["violence"]),
    ]


@pytest.mark.parametrize("mode", MODES)
def test_a_check_that_fails_refuses(mode: str) -> None:
    """Unless told otherwise; its own error, which may quote the text, is not attached."""

    def broken(text: str) -> bool:
        raise RuntimeError(text)

    caller, script = Caller(mode), Script("ok")
    told = caller.ask(caller.decorate(ap.Stack(ap.ContentFilter(broken)), script), "secret")
    assert isinstance(told.error, ap.Blocked)
    assert "RuntimeError" in str(told.error)
    assert "secret" not in f"{told.error} {told.error.__context__}"
    assert script.calls == 0
    told = caller.ask(caller.decorate(ap.Stack(ap.ContentFilter(broken, on_error="pass")), script), "secret")
    assert told.value == "ok"
    assert told.meta is not None
    assert told.meta.flags == ("unchecked",)


def test_a_check_that_returns_something_to_await_is_a_mistake() -> None:
    """A coroutine is true: without this every text would be refused, or none."""

    async def later(text: str) -> bool:
        return False

    with pytest.raises(ap.ConfigError, match="async def"):
        ap.Stack(ap.ContentFilter(lambda text: later(text))).decorate(lambda prompt: "ok")("hi")  # noqa: PLW0108


@dataclass
class Result:
    """One result of a moderation endpoint."""

    flagged: bool
    categories: Any = None


@dataclass
class Moderated:
    """The reply of a moderation endpoint."""

    results: list[Any] = field(default_factory=list)


class Categories:
    """A model."""

    def model_dump(self) -> dict[str, Any]:
        """Return it as data."""
        return {"hate": True, "violence": False}


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        (None, None), (False, None), ("", None), ([], None), ({}, None), ({"hate": False}, None), (Moderated(), None),
        (Moderated([Result(False)]), None), ({"flagged": False, "categories": {"hate": True}}, None), (0, None),
        (True, "refused"), ("hate", "hate"), (["b", "a"], "a, b"), ({"hate": 0.9, "spam": 0}, "hate"),
        (Moderated([Result(False), Result(True, Categories())]), "hate"), (Result(True), "flagged"),
        ({"results": [{"flagged": True, "categories": {"x": True, "y": False}}]}, "x"),
    ],
)  # fmt: skip
def test_verdicts_of_many_forms(verdict: Any, told: str | None) -> None:
    """Booleans, names, lists, scores and the replies of moderation endpoints."""
    ask = ap.Stack(ap.ContentFilter(lambda text: verdict, on=["input"])).decorate(lambda prompt: "ok")
    if told is None:
        assert ask("hi") == "ok"
        return
    with pytest.raises(ap.Blocked, match=f": {told}$"):
        ask("hi")


@pytest.mark.parametrize(
    "options",
    [{"on": ()}, {"on": "inside"}, {"action": "log"}, {"on_error": "retry"}, {"every": 0}, {"context": -1}],
    ids=lambda options: f"{options}",
)
def test_options_that_cannot_work_are_refused(options: Any) -> None:
    """When the layer is built."""
    with pytest.raises(ap.ConfigError):
        ap.ContentFilter(Moderation(), **options)
    with pytest.raises(ap.ConfigError):
        ap.ContentFilter(None)  # type: ignore[arg-type]


def test_it_says_what_it_is() -> None:
    """`print(stack)` names the check."""
    layer = ap.ContentFilter(Moderation(), on="input", action="flag", on_error="pass")
    assert repr(layer) == "ContentFilter(check='Moderation', on=('input',), action='flag', on_error='pass')"


def test_a_stream_that_is_left_early_is_closed() -> None:
    """The generator behind it ends, and nothing unchecked was delivered."""
    ended: list[bool] = []

    def tell(prompt: str) -> Iterator[str]:
        try:
            yield "One. "
            yield "two"
            yield "bomb"
        finally:
            ended.append(True)

    stream = ap.Stack(ap.ContentFilter(Moderation(), on="output")).decorate(tell)("hi")
    assert next(stream) == "One. "
    stream.close()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    assert ended == [True]

    async def atell(prompt: str) -> AsyncIterator[str]:
        try:
            yield "One. "
            yield "bomb"
        finally:
            ended.append(True)

    async def main() -> None:
        stream = ap.Stack(ap.ContentFilter(Moderation(), on="output")).decorate(atell)("hi")
        assert await anext(stream) == "One. "
        await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(main())
    assert ended == [True, True]
