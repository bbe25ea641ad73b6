"""What type checkers see of decorated functions and of layers that users write."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import ParamSpec, TypeVar, assert_type

import agentprod as ap

P = ParamSpec("P")
R = TypeVar("R")

stack = ap.Stack(ap.Retry())


@stack
def ask(prompt: str, /, times: int = 1, *, mark: str = "!") -> list[str]:
    """Answer."""
    return [prompt + mark] * times


@ap.Retry()
async def ask_async(prompt: str) -> dict[str, int]:
    """Answer."""
    return {prompt: 1}


@stack
def pieces() -> Generator[int, None, str]:
    """Answer in pieces."""
    yield 1
    return "done"


class Service:
    """Methods of every kind."""

    @stack
    def ask(self, prompt: str) -> int:
        """Answer."""
        return len(prompt)

    @stack
    @classmethod
    def of_class(cls, prompt: str) -> int:
        """Answer."""
        return len(prompt)

    @staticmethod
    @stack
    def static(prompt: str) -> int:
        """Answer."""
        return len(prompt)

    @property
    @stack
    def size(self) -> int:
        """Answer."""
        return 1


def framework(around: ap.Stack, fn: Callable[P, R]) -> Callable[P, R]:
    """What a framework writes that decorates what its user gives it."""
    return around(fn)


async def same_types() -> None:
    """Signatures and results stay what they were."""
    assert_type(ask("a", 2, mark="?"), list[str])
    assert_type(await ask_async("a"), dict[str, int])
    assert_type(pieces(), Generator[int, None, str])
    assert_type(Service().ask("a"), int)
    assert_type(Service.of_class("a"), int)
    assert_type(Service.static("a"), int)
    assert_type(Service().size, int)
    assert_type(stack.decorate(partial(ask, "a"), name="ask")(), list[str])
    assert_type(framework(stack, ask)("a"), list[str])
    ask(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Upper:
    """An editor."""

    def feed(self, text: str) -> str:
        """Write it in capitals."""
        return text.upper()

    def flush(self) -> str:
        """Keep nothing back."""
        return ""


class Watching:
    """A layer that uses most of what there is."""

    needs_usage = True
    order = (ap.Outside("Retry"),)

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Look, edit and pass on."""
        assert_type(call.runtime.now(), float)
        call = call.map_text(lambda text, part: text.upper() if part.kind == "text" else text)
        call.observe(lambda event, attempt, data: print(event, attempt.fault))
        call.gate(self.admit, self.settle)
        reply = await call_next(call.replace(request={**call.request, "seed": 1}))
        reply.edit(lambda part: Upper() if part.kind == "text" else None)
        reply.on_end(lambda end: print(end.outcome, end.usage, end.text))
        return reply

    async def admit(self, call: ap.Call) -> int:
        """Let every attempt pass."""
        return 1

    async def settle(self, token: int, attempt: ap.Attempt) -> None:
        """Hold nothing."""


assert_type(ap.Stack(Watching(), *stack)[Watching], Watching)
