"""What every layer has to hold, whatever it is for."""

from __future__ import annotations

import asyncio
import copy
import threading
import warnings
from collections.abc import Callable
from typing import Any

from agentprod.edge.function_edge import Kind
from agentprod.errors import AgentprodError, AgentprodWarning
from agentprod.layer import check_layer
from agentprod.order import Inside, Outside
from agentprod.testing.conformance.bench import MODES, STREAMS, Bench, question, text_of
from agentprod.testing.conformance.check import Check, NotConforming, expect

__all__ = ["layer_checks"]

Make = Callable[[], Any]


class _Odd(Exception):
    """An error that no layer has heard of."""


def layer_checks(make: Make, *, delivers: str = "{prompt}") -> list[Check]:
    """Return what to check of a layer.

    The layer stands alone around a function that answers each prompt with the prompt, in every mode: sync,
    async, and the generators of both. A mode that the layer refuses with `ConfigError` is left out.

    Args:
        make: returns a fresh layer, such as its class.

        delivers: what the caller gets for a prompt, where the layer changes replies, with `{prompt}` in its
            place: `"[{prompt}]"`.

    Returns:
        The checks, named by what they check and the mode.

    Raises:
        ConfigError: `make()` returns no layer.
    """
    check_layer(make())
    checks = [Check("declares_order", "its `order` holds Outside and Inside", lambda: _declares_order(make))]
    for mode in MODES:
        if not Bench.possible(make(), mode):
            continue
        named = {
            "delivers": ("the reply comes through, each time", _delivers),
            "leaves_requests_alone": ("the caller's own objects stay as they were", _leaves_requests_alone),
            "lets_errors_through": (
                "an error arrives as it is, or is the cause of an agentprod error",
                _lets_errors_through,
            ),
            "lets_interrupts_through": (
                "what is not an Exception is never swallowed, retried or wrapped",
                _lets_interrupts_through,
            ),
            "serves_many_at_once": ("replies of calls at the same time do not cross", _serves_many_at_once),
            "serves_two_stacks": ("the same object works in two stacks", _serves_two_stacks),
        }
        if mode in STREAMS:
            named["closes_streams"] = ("a stream left early is closed, and the layer works on", _closes_streams)
            named["lets_streams_flow"] = ("content arrives while the model still speaks", _lets_streams_flow)
        if mode in ("async", "async_generator"):
            named["survives_cancelling"] = ("a cancelled call leaves nothing behind", _survives_cancelling)
        for name, (says, run) in named.items():
            checks.append(Check(f"{name}[{mode}]", says, _bound(run, make, mode, delivers)))
    return checks


def _bound(run: Callable[[Make, Kind, str], None], make: Make, mode: Kind, delivers: str) -> Callable[[], None]:
    return lambda: run(make, mode, delivers)


def _declares_order(make: Make) -> None:
    for wish in getattr(make(), "order", ()):
        expect(isinstance(wish, Outside | Inside), f"order holds a {type(wish).__name__}; use ap.Outside and ap.Inside")


def _wanted(delivers: str, prompt: str) -> str:
    return delivers.replace("{prompt}", prompt)


def _delivers(make: Make, mode: Kind, delivers: str) -> None:
    bench = Bench(make(), mode)
    for prompt in ("one two", "三四", ""):
        got = text_of(bench.call(prompt))
        wanted = _wanted(delivers, prompt)
        expect(got == wanted, f"the model said {prompt!r}, the caller got {got!r} and should get {wanted!r}")
    expect(bench.opened == bench.closed, f"{bench.opened - bench.closed} of the model's streams were left open")


def _leaves_requests_alone(make: Make, mode: Kind, delivers: str) -> None:
    bench = Bench(make(), mode)
    messages = question("one two")
    before = copy.deepcopy(messages)
    asked = bench.ask(model="m", messages=messages)
    if mode == "async":
        asyncio.run(_awaited(asked))
    elif mode == "generator":
        list(asked)
    elif mode == "async_generator":
        asyncio.run(_collected(asked))
    expect(messages == before, "the caller's messages were changed; use call.replace or call.map_text")


async def _awaited(asked: Any) -> Any:
    return await asked


async def _collected(asked: Any) -> list[Any]:
    return [item async for item in asked]


def _lets_errors_through(make: Make, mode: Kind, delivers: str) -> None:
    error = _Odd("nobody knows this one")

    def answer(prompt: str) -> str:
        raise error

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AgentprodWarning)  # that it is unknown is what is checked
            got = Bench(make(), mode, answer).call("one")
    except (_Odd, AgentprodError) as caught:
        expect(_leads_to(caught, error), f"{type(caught).__name__} does not tell the error that caused it")
        return
    raise NotConforming(f"the model failed, and the caller got {got!r}")


def _leads_to(caught: BaseException | None, error: BaseException) -> bool:
    seen: set[int] = set()
    while caught is not None and id(caught) not in seen:
        if caught is error:
            return True
        seen.add(id(caught))
        caught = caught.__cause__ or caught.__context__
    return False


class _Interrupt(BaseException):
    """Like KeyboardInterrupt, without ending the tests."""


def _lets_interrupts_through(make: Make, mode: Kind, delivers: str) -> None:
    # In a loop it is nearly always a cancellation, which layers that wait for one another must not keep.
    error = asyncio.CancelledError() if mode in ("async", "async_generator") else _Interrupt()

    def answer(prompt: str) -> str:
        raise error

    bench = Bench(make(), mode, answer)

    async def acaught() -> BaseException | None:
        try:
            await bench.acall("one")
        except BaseException as caught:
            return caught
        return None

    caught: BaseException | None = None
    if mode in ("async", "async_generator"):
        caught = asyncio.run(acaught())
    else:
        try:
            bench.call("one")
        except BaseException as raised:
            caught = raised
    name = type(error).__name__
    expect(caught is not None, f"a {name} was swallowed")
    expect(type(caught) is type(error), f"a {name} came out as {type(caught).__name__}")
    expect(len(bench.asked) == 1, f"the model was asked again after a {name}")


def _serves_many_at_once(make: Make, mode: Kind, delivers: str) -> None:
    bench = Bench(make(), mode)
    wrong: list[str] = []

    def one(prompt: str, got: Any) -> None:
        if text_of(got) != _wanted(delivers, prompt):
            wrong.append(prompt)

    prompts = [f"prompt {number}" for number in range(32)]
    if mode in ("async", "async_generator"):

        async def all_at_once() -> None:
            replies = await asyncio.gather(*(bench.acall(prompt) for prompt in prompts))
            for prompt, got in zip(prompts, replies, strict=True):
                one(prompt, got)

        asyncio.run(all_at_once())
    else:
        _in_threads(prompts, lambda prompt: one(prompt, bench.call(prompt)))
    expect(not wrong, f"{len(wrong)} of {len(prompts)} callers at once got another's reply")


def _in_threads(prompts: list[str], run: Callable[[str], None]) -> None:
    failed: list[BaseException] = []

    def guarded(mine: list[str]) -> None:
        try:
            for prompt in mine:
                run(prompt)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(prompts[start::8],)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def _serves_two_stacks(make: Make, mode: Kind, delivers: str) -> None:
    layer = make()
    for prompt in ("one", "two"):
        got = text_of(Bench(layer, mode).call(prompt))
        expect(got == _wanted(delivers, prompt), f"in another stack the caller got {got!r}")


def _closes_streams(make: Make, mode: Kind, delivers: str) -> None:
    bench = Bench(make(), mode)
    bench.call("one two", most=1)
    expect(bench.opened == bench.closed, "the caller left the stream, and the model's stream is still open")
    got = text_of(bench.call("three four"))
    expect(got == _wanted(delivers, "three four"), f"after a stream was left, the next caller got {got!r}")


def _lets_streams_flow(make: Make, mode: Kind, delivers: str) -> None:
    produced = 0

    def count() -> None:
        nonlocal produced
        produced += 1

    bench = Bench(make(), mode, between=count)
    bench.call("one two three four", most=2)
    expect(produced < 4, "the caller saw nothing before the model had said everything; edit streams as they flow")


def _survives_cancelling(make: Make, mode: Kind, delivers: str) -> None:
    bench = Bench(make(), mode)

    async def scenario() -> str:
        waiting = asyncio.Event()

        async def hang(prompt: str) -> Any:
            waiting.set()
            return await bench.acall(prompt)

        task = asyncio.create_task(hang("one"))
        await waiting.wait()
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for _ in range(5):
            await asyncio.sleep(0)
        left = [task for task in others if task is not None and not task.done()]
        expect(not left, f"{len(left)} tasks are left after a call was cancelled")
        return text_of(await bench.acall("two"))

    got = asyncio.run(scenario())
    expect(got == _wanted(delivers, "two"), f"after a call was cancelled, the next caller got {got!r}")
    expect(bench.opened == bench.closed, "a cancelled caller's stream is still open")
