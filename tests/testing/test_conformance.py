"""The conformance checks: everything of ours passes them, and each finds what it is for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import agentprod as ap
from agentprod.dialects.anthropic_messages import MESSAGES
from agentprod.dialects.openai_chat import CHAT
from agentprod.stores import MemoryStore, SqliteStore
from agentprod.stream import open_streams
from agentprod.testing import FakeClock, conformance
from agentprod.testing.conformance import Check, NotConforming, Sample
from tests.clients.platforms import CHAT as CHAT_BODY
from tests.clients.platforms import CHUNKS, EVENTS, MESSAGE

LAYERS: dict[str, Callable[[], Any]] = {
    "Tracer": ap.Tracer,
    "Deadline": lambda: ap.Deadline(30),
    "Cache": ap.Cache,
    "Retry": lambda: ap.Retry(wait=0),
    "Bulkhead": lambda: ap.Bulkhead(32, queue=100),
    "RateLimit": lambda: ap.RateLimit(requests=10_000),
    "CircuitBreaker": ap.CircuitBreaker,
    "Timeout": lambda: ap.Timeout(30),
}
ASKED = {"model": "m", "messages": [{"role": "user", "content": "Hello, 世界"}]}
DIALECTS = {
    "chat": (CHAT, Sample(ASKED, CHAT_BODY, CHUNKS)),
    "messages": (MESSAGES, Sample({**ASKED, "max_tokens": 9, "system": "Be brief."}, MESSAGE, EVENTS)),
}


def named(checks: list[Check], owner: str) -> list[Any]:
    """Return checks as parameters with ids."""
    return [pytest.param(check, id=f"{owner}-{check}") for check in checks]


@pytest.mark.parametrize(
    "check", [one for name, make in LAYERS.items() for one in named(conformance.layer_checks(make), name)]
)
def test_our_layers_conform(check: Check) -> None:
    """Each layer holds what every layer has to."""
    check()


@pytest.mark.parametrize(
    "check",
    [
        one
        for name, (dialect, sample) in DIALECTS.items()
        for one in named(conformance.dialect_checks(dialect, [sample]), name)
    ],
)
def test_our_dialects_conform(check: Check) -> None:
    """Each wire format holds what every one has to."""
    check()


class _Now:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_our_stores_conform(kind: str, tmp_path: Path) -> None:
    """The stores that need no server, by a clock that is moved; tests/stores has more on all of them."""
    clock = _Now()
    made = iter(range(100))

    def make() -> Any:
        if kind == "memory":
            return MemoryStore(now=clock)
        return SqliteStore(tmp_path / f"{next(made)}.db", now=clock)

    checks = conformance.store_checks(make, wait=clock.move)
    assert len(checks) == 20
    conformance.verify(checks)


# Each check finds what it is for


class Honest:
    """Does nothing."""

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Pass on."""
        return await call_next(call)


class Meddling(Honest):
    """Changes the caller's own messages."""

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Write into the request."""
        call.request["messages"].append({"role": "user", "content": call.request["messages"][-1]["content"]})
        return await call_next(call)


class Swallowing(Honest):
    """Answers for a model that failed."""

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Swallow."""
        try:
            return await call_next(call)
        except Exception:
            return call.reply("sorry")


class Greedy(Honest):
    """Takes a cancellation for a failure."""

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Wrap everything."""
        try:
            return await call_next(call)
        except BaseException as error:
            raise ap.AgentprodError("failed") from error


class Sleepy(Honest):
    """Waits by asyncio."""

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Suspend."""
        await asyncio.sleep(0)
        return await call_next(call)


class Sticky(Honest):
    """Answers everybody with the first reply."""

    def __init__(self) -> None:
        self.first: Any = None

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Remember."""
        reply = await call_next(call)
        if self.first is not None:
            await reply.discard()
            return call.reply(self.first)
        self.first = call.request["messages"][-1]["content"]
        return reply


class Hoarding(Honest):
    """Opens a second stream when the first has ended, and forgets it."""

    def __init__(self) -> None:
        self.kept: list[ap.Reply] = []

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Ask once more, for nobody."""
        reply = await call_next(call)

        async def ask_again(end: ap.End) -> None:
            self.kept.append(await call_next(call))

        reply.on_settle(ask_again)
        return reply


class Holding(Honest):
    """Keeps a stream back until it is complete."""

    class Editor:
        """Gives everything at the end."""

        def __init__(self) -> None:
            self.text = ""

        def feed(self, text: str) -> str:
            """Keep."""
            self.text += text
            return ""

        def flush(self) -> str:
            """Give."""
            return self.text

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Drain."""
        reply = await call_next(call)
        if reply.streaming:
            text = "".join([str(event) for event in await _drained(reply)])
            return call.reply(text)
        return reply


async def _drained(reply: ap.Reply) -> list[str]:
    texts: list[str] = []
    stream = reply.stream
    assert stream is not None
    while (batch := await stream.pull()) is not None:
        for event in batch:
            choices = event.data["choices"] if event.data else []
            texts += [choice["delta"].get("content") or "" for choice in choices]
    return texts


class Disordered(Honest):
    """Declares an order by strings."""

    order = ("Retry",)


FAULTY = [
    (Meddling, "leaves_requests_alone[sync]"),
    (Swallowing, "lets_errors_through[async]"),
    (Greedy, "lets_interrupts_through[generator]"),
    (Sleepy, "delivers[sync]"),
    (Sticky, "delivers[async]"),
    (Sticky, "serves_many_at_once[sync]"),
    (Sticky, "serves_two_stacks[async_generator]"),
    (Hoarding, "delivers[generator]"),
    (Holding, "lets_streams_flow[generator]"),
    (Disordered, "declares_order"),
]


@pytest.mark.parametrize(("make", "name"), FAULTY, ids=lambda value: getattr(value, "__name__", value))
def test_a_check_finds_the_layer_that_breaks_it(make: Any, name: str) -> None:
    """A layer with one fault fails the check that is for it; an honest one passes all."""
    before = set(open_streams())
    with pytest.raises((NotConforming, ap.SuspendedError)):
        _find(conformance.layer_checks(make), name)()
    for stream in set(open_streams()) - before:  # one of them forgets its streams
        stream.drop()


def _find(checks: list[Check], name: str) -> Check:
    (found,) = (check for check in checks if check.name == name)
    return found


def test_an_honest_layer_passes_every_check() -> None:
    """Nothing is asked for that a layer which does nothing would not have."""
    conformance.verify(conformance.layer_checks(Honest))


def test_a_layer_that_edits_says_what_it_delivers() -> None:
    """`delivers` tells the checks what to expect."""

    class Quoting:
        class Editor:
            def __init__(self) -> None:
                self.begun = False

            def feed(self, text: str) -> str:
                return text.upper()

            def flush(self) -> str:
                return "!"

        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            reply = await call_next(call)
            reply.edit(lambda part: self.Editor())
            return reply

    with pytest.raises(NotConforming, match="should get"):
        conformance.verify(conformance.layer_checks(Quoting))


def test_a_layer_refusing_a_mode_is_checked_in_the_others() -> None:
    """A ConfigError when attached is an answer, not a failure."""
    names = {check.name for check in conformance.layer_checks(lambda: ap.Timeout(5))}
    assert "delivers[async]" in names
    assert "delivers[sync]" not in names


def test_verify_tells_every_check_that_fails() -> None:
    """One line each, and those that hold are not mentioned."""

    def fail() -> None:
        raise NotConforming("no")

    def crash() -> None:
        raise ZeroDivisionError("by zero")

    checks = [Check("good", "", lambda: None), Check("bad", "", fail), Check("broken", "", crash)]
    with pytest.raises(NotConforming) as caught:
        conformance.verify(checks)
    assert str(caught.value).splitlines() == ["bad: NotConforming: no", "broken: ZeroDivisionError: by zero"]


def test_what_is_no_layer_is_refused_at_once() -> None:
    """The error is the one a stack raises."""
    with pytest.raises(ap.ConfigError):
        conformance.layer_checks(object)
    with pytest.raises(ValueError, match="at least one sample"):
        conformance.dialect_checks(CHAT, [])


class Careless(type(CHAT)):  # type: ignore[misc]
    """Chat, but it forgets the terminal marker and writes into requests."""

    def with_model(self, request: Any, model: str) -> Any:
        """Change the request itself."""
        request["model"] = model
        return request

    def join(self, events: list[Any]) -> Any:
        """Lose half of the text."""
        return super().join(events[: len(events) // 2])


def test_a_check_finds_the_dialect_that_breaks_it() -> None:
    """Writing into what it is given, and losing text, are told."""
    sample = Sample(dict(ASKED), CHAT_BODY, CHUNKS)
    with pytest.raises(NotConforming) as caught:
        conformance.verify(conformance.dialect_checks(Careless(), [sample]))
    told = str(caught.value)
    assert "changes_nothing_it_is_given[0]" in told
    assert "joins_and_splits[0]" in told


class Forgetful(MemoryStore):
    """Ignores limits and lifetimes."""

    def set(self, key: str, value: bytes, *, ttl: float | None = None, tags: Any = ()) -> None:
        """Keep for ever."""
        super().set(key, value, tags=tags)

    def reserve(self, group: str, id: str, claims: Any, *, lease: float) -> Any:
        """Hold anything."""
        return super().reserve(group, id, [claim._replace(limit=None) for claim in claims], lease=lease)


def test_a_check_finds_the_store_that_breaks_it() -> None:
    """Only what is broken fails, in the way it is called."""
    clock = _Now()
    with pytest.raises(NotConforming) as caught:
        conformance.verify(conformance.store_checks(lambda: Forgetful(now=clock), wait=clock.move))
    failed = {line.partition(":")[0] for line in str(caught.value).splitlines()}
    assert {"lifetimes[sync]", "reservations[sync]", "many_threads"} <= failed
    assert "entries[sync]" not in failed
    assert FakeClock().slept == []
