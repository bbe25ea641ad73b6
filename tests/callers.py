"""Run one scenario through every kind of callable: sync and async functions, and the generators of both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import agentprod as ap
from agentprod.testing import FakeClock

MODES = ("sync", "async", "generator", "async_generator")
STREAMS = ("generator", "async_generator")


@dataclass(frozen=True)
class Takes:
    """A step that takes some virtual time before it does what it does."""

    seconds: float
    step: Any = "ok"


class Script:
    """What a function does, call by call; the last step repeats.

    Args:
        steps: a text to answer, an exception to raise, a list of both for the items of a stream, or
            one of these after some time (`Takes`).

        clock: the clock that `Takes` moves.
    """

    def __init__(self, *steps: Any, clock: FakeClock | None = None) -> None:
        self.steps = steps
        self.clock = clock
        self.calls = 0
        self.started: list[float] = []
        """When each call began, in virtual time."""

    def begin(self) -> Any:
        """Return the step of the next call."""
        step = self.steps[min(self.calls, len(self.steps) - 1)]
        self.calls += 1
        if self.clock is not None:
            self.started.append(self.clock.monotonic())
        return step

    def take(self, seconds: float) -> None:
        """Let virtual time pass at once."""
        assert self.clock is not None
        self.clock.advance(seconds)

    async def take_slowly(self, seconds: float) -> None:
        """Let virtual time pass in steps, between which what was due happens, as it does in a loop."""
        step = 1 / 32  # a step of the clock that adds up exactly
        while seconds / step > 512:
            step *= 2
        while seconds > 0:
            self.take(min(step, seconds))
            seconds -= step
            await asyncio.sleep(0)


class Caller:
    """Makes functions of one kind and calls them.

    Args:
        mode: one of `MODES`.
    """

    def __init__(self, mode: str) -> None:
        self.mode = mode

    @property
    def streams(self) -> bool:
        """Whether its functions are generators."""
        return self.mode in STREAMS

    @property
    def is_async(self) -> bool:
        """Whether its functions need a loop."""
        return self.mode.startswith("async")

    def function(self, script: Script) -> Callable[..., Any]:
        """Return a function of this kind that does what the script says."""

        def sync(prompt: str = "hi") -> str:
            step = script.begin()
            while isinstance(step, Takes):
                script.take(step.seconds)
                step = step.step
            return _answer(step)

        async def asynchronous(prompt: str = "hi") -> str:
            step = script.begin()
            while isinstance(step, Takes):
                await script.take_slowly(step.seconds)
                step = step.step
            return _answer(step)

        def generator(prompt: str = "hi") -> Iterator[str]:
            for item in _items(script.begin()):
                if isinstance(item, Takes):
                    script.take(item.seconds)
                else:
                    yield _answer(item)

        async def async_generator(prompt: str = "hi") -> AsyncIterator[str]:
            for item in _items(script.begin()):
                if isinstance(item, Takes):
                    await script.take_slowly(item.seconds)
                else:
                    yield _answer(item)

        made = {"sync": sync, "async": asynchronous, "generator": generator, "async_generator": async_generator}
        return made[self.mode]

    def decorate(self, stack: ap.Stack, script: Script, **options: Any) -> Callable[..., Any]:
        """Return such a function behind a stack."""
        return stack.decorate(self.function(script), **options)

    def ask(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Told:
        """Call a function of this kind once, read it to its end, and return what happened."""
        if self.is_async:
            return asyncio.run(self._ask(fn, args, kwargs))
        read: list[str] = []
        try:
            value = fn(*args, **kwargs)
            if self.streams:
                read.extend(value)
                value = "".join(read)
        except Exception as error:
            return Told(None, read, error, ap.meta(error))
        return Told(value, read, None, ap.last())

    async def _ask(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Told:
        read: list[str] = []
        try:
            value: Any
            if self.streams:
                async for item in fn(*args, **kwargs):
                    read += [item]
                value = "".join(read)
            else:
                value = await fn(*args, **kwargs)
        except Exception as error:
            return Told(None, read, error, ap.meta(error))
        return Told(value, read, None, ap.last())


@dataclass
class Told:
    """How one call went."""

    value: Any
    read: list[str]
    """The items of a stream that arrived, whatever came after them."""
    error: Exception | None
    meta: ap.Meta | None

    @property
    def log(self) -> list[Any]:
        """What happened, without times of the real clock: comparable between modes."""
        assert self.meta is not None
        attempts = [(each.number, each.outcome, each.fault, each.status, each.backoff) for each in self.meta.attempts]
        notes = [(note.layer, note.event, note.data) for note in self.meta.notes]
        return [self.value, type(self.error), attempts, notes]


def _answer(step: Any) -> str:
    if isinstance(step, BaseException):
        raise step
    return str(step)


def _items(step: Any) -> list[Any]:
    if isinstance(step, Takes):
        return [Takes(step.seconds), *_items(step.step)]
    return list(step) if isinstance(step, list | tuple) else [step]
