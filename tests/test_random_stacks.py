"""Stacks drawn at random, around a chat function that fails at random: what holds for every one of them.

A call is told the same in threads and in a loop; the hooks of every reply run once, whatever becomes of its call, and
nothing stays held. All of it in virtual time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import agentprod as ap
from agentprod import draining
from agentprod.budget.tokens import load
from agentprod.runtime.drive import drive
from agentprod.stream import open_streams
from agentprod.testing import FakeClock
from tests.sdk_errors import openai_error
from tests.virtual_time import LoopClock, run_virtually

ADDRESS = "li.wei@example.com"
TEXTS = [f"Write to {ADDRESS}", "What is the capital of France?", "你好，法国的首都是哪里？"]
ERRORS: dict[str, Callable[[], Exception]] = {
    "rate limit": lambda: openai_error(429, headers={"retry-after": "2"}),
    "server": lambda: openai_error(500),
    "overflow": lambda: openai_error(400, code="context_length_exceeded"),
    "credential": lambda: openai_error(401),
    "connection": lambda: ConnectionResetError("cut"),
    "bug": lambda: LookupError("a bug"),
}
LAYERS: dict[str, list[Callable[[], Any]]] = {  # outermost first; of each some ways to make it
    "Deadline": [lambda: ap.Deadline(60), lambda: ap.Deadline(3, streams=True)],
    "ScrubPII": [ap.ScrubPII, lambda: ap.ScrubPII(restore=False, strategy="mask")],
    "InjectionGuard": [ap.InjectionGuard],
    "ContentFilter": [lambda: ap.ContentFilter(lambda text: {"flagged": "法国" in text})],
    "TokenBudget": [lambda: ap.TokenBudget(tokens=20_000, per="day"), lambda: ap.TokenBudget(calls=2, per="minute")],
    "Cache": [ap.Cache, lambda: ap.Cache(max_entries=1, by="global")],
    "DeadLetter": [lambda: ap.DeadLetter(lambda record: None)],
    "Cascade": [lambda: ap.Cascade(["gpt-5-nano", "gpt-5"], checks=[ap.checks.answered])],
    "Fallback": [lambda: ap.Fallback("gpt-5", on_context_overflow="gpt-4.1")],
    "Hedge": [lambda: ap.Hedge(after=0.5), lambda: ap.Hedge(after=0, max_extra=2)],
    "Retry": [lambda: ap.Retry(wait=1), lambda: ap.Retry(attempts=5, wait=0), lambda: ap.Retry(wait=0, on=LookupError)],
    "Bulkhead": [lambda: ap.Bulkhead(1), lambda: ap.Bulkhead(1, queue=9)],
    "RateLimit": [lambda: ap.RateLimit(requests=2, max_wait=90), lambda: ap.RateLimit(output_tokens=9000)],
    "CircuitBreaker": [lambda: ap.CircuitBreaker(min_calls=2, seed=1), lambda: ap.CircuitBreaker(min_calls=1, seed=1)],
    "Timeout": [lambda: ap.Timeout(5, idle=2)],
}
_ONLY_ASYNC = ("Hedge", "Timeout")


@dataclass(frozen=True)
class Step:
    """What one attempt meets: an error, before anything or after some chunks, and how long it takes."""

    fails: str | None = None
    after: int = 0
    takes: float = 0.0


@dataclass(frozen=True)
class Question:
    """What a caller asks."""

    text: str
    streams: bool = False
    reads: int | None = None
    """Chunks of a stream after which they leave; `None` for all."""
    user: str | None = None
    at: float = 0.0
    cancelled: float | None = None
    """Seconds after which the task is cancelled."""


class Model:
    """A chat function that takes the steps of a script one after the other; the last repeats."""

    def __init__(self, script: list[Step]) -> None:
        self.script = script
        self.heard: list[str] = []
        self.open = 0
        """Streams that have begun and not ended."""

    def _begin(self, messages: Any) -> tuple[Step, str]:
        step = self.script[min(len(self.heard), len(self.script) - 1)]
        self.heard.append(messages[-1]["content"])
        return step, f"You said: {self.heard[-1]}"

    def _items(self, step: Step, text: str) -> Generator[Any, None, None]:
        self.open += 1
        try:
            pieces = [{"content": text[:9]}, {"content": text[9:]}, {}]
            for number, delta in enumerate(pieces):
                if step.fails is not None and number == step.after:
                    raise ERRORS[step.fails]()
                finish = None if delta else "stop"
                yield {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
            yield {"choices": [], "usage": _USAGE}
        finally:
            self.open -= 1

    def sync(self, model: str, messages: Any, stream: bool = False) -> Any:
        """Answer, or stream the answer."""
        step, text = self._begin(messages)
        return self._items(step, text) if stream else _whole(step, text)

    async def asynchronous(self, model: str, messages: Any, stream: bool = False) -> Any:
        """Do the same in a loop, where it may take some time."""
        step, text = self._begin(messages)
        try:
            await asyncio.sleep(step.takes)
        except asyncio.CancelledError:
            await asyncio.sleep(step.takes / 4)  # a connection that closes slowly
            raise
        return self._async_items(step, text) if stream else _whole(step, text)

    async def _async_items(self, step: Step, text: str) -> AsyncIterator[Any]:
        items = self._items(step, text)
        try:
            for item in items:
                yield item
                await asyncio.sleep(step.takes / 4)
        finally:
            items.close()


_USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def _whole(step: Step, text: str) -> Any:
    if step.fails is not None:
        raise ERRORS[step.fails]()
    message = {"role": "assistant", "content": text}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": _USAGE}


class Ends:
    """A layer that counts how often each reply that passes it ends."""

    def __init__(self) -> None:
        self.counts: list[dict[str, int]] = []

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Listen at both kinds of end."""
        reply = await call_next(call)
        count = {"end": 0, "settle": 0}
        self.counts.append(count)

        def end(end: ap.End) -> None:
            count["end"] += 1

        async def settle(end: ap.End) -> None:
            count["settle"] += 1

        reply.on_end(end)
        reply.on_settle(settle)
        return reply


class Case:
    """One stack around one model.

    Args:
        made: layers, outermost first, each by its name and what makes it.

        script: of the model.

        clock: of the stack.

        is_async: whether the model's function is.
    """

    def __init__(self, made: Any, script: list[Step], clock: Any, *, is_async: bool) -> None:
        self.model = Model(script)
        self.layers = {name: make() for name, make in made}
        self.ends = Ends()
        between = [each for layer in self.layers.values() for each in (self.ends, layer)]
        self.stack = ap.Stack(*between, self.ends, clock=clock, check="off")
        self.is_async = is_async
        self.fn: Any = self.stack.decorate(self.model.asynchronous if is_async else self.model.sync, name="model")
        self.told: list[Any] = []
        self.attempts: list[ap.Attempt] = []

    async def ask(self, question: Question) -> None:
        """Ask once, and write down what came of it."""
        messages = [{"role": "user", "content": question.text}]
        kept = deepcopy(messages)
        text, error, meta = "", "", None
        try:
            with ap.context(user=question.user):
                found = self.fn("gpt-5-mini", messages, stream=question.streams)
                found = await found if self.is_async else found
            if question.streams:
                meta = ap.meta(found)
                try:
                    for _ in range(99 if question.reads is None else question.reads):
                        text += _piece(await anext(found) if self.is_async else next(found))
                except (StopIteration, StopAsyncIteration):
                    pass
                finally:
                    await found.aclose() if self.is_async else found.close()
            else:
                meta, text = ap.last(), found["choices"][0]["message"]["content"]
        except Exception as raised:
            error, meta = f"{type(raised).__name__}: {raised}", ap.meta(raised)
        assert messages == kept
        assert meta is not None
        attempts = [(each.model, each.outcome, each.fault, each.usage, each.backoff) for each in meta.attempts]
        notes = [(note.layer, note.event, note.data) for note in meta.notes]
        self.told.append((text, error, meta.served_by, meta.cache, meta.cost, meta.usage, meta.flags, attempts, notes))
        self.attempts += meta.attempts

    def check(self) -> None:
        """Look for what should not be left."""
        assert self.ends.counts == [{"end": 1, "settle": 1}] * len(self.ends.counts)
        assert all(attempt.outcome != "open" and (attempt.duration or 0) >= 0 for attempt in self.attempts)
        assert self.model.open == 0
        assert not draining.under_way()
        assert not open_streams()
        if (bulkhead := self.layers.get("Bulkhead")) is not None:
            assert bulkhead.in_flight == bulkhead.waiting == 0
        if (limit := self.layers.get("RateLimit")) is not None:
            assert not any(each["waiting"] for each in limit.snapshot().values())
        if (budget := self.layers.get("TokenBudget")) is not None:
            assert not any(each.held for each in budget.status())
        if "ScrubPII" in self.layers:
            assert not any(ADDRESS in text for text in self.model.heard)


def _piece(chunk: Any) -> str:
    return "".join(choice["delta"].get("content", "") for choice in chunk["choices"])


def _stacks(names: list[str]) -> st.SearchStrategy[Any]:
    """Draw some of these layers, in their order, each made in one of its ways."""
    return st.lists(st.sampled_from(names), unique=True, max_size=8).flatmap(
        lambda chosen: st.tuples(
            *(st.sampled_from([(name, make) for make in LAYERS[name]]) for name in names if name in chosen)
        )
    )


def _scripts(takes: st.SearchStrategy[float]) -> st.SearchStrategy[list[Step]]:
    fails = st.none() | st.sampled_from(list(ERRORS))
    return st.lists(st.builds(Step, fails, st.integers(0, 3), takes), min_size=1, max_size=5)


_MOMENTS = st.sampled_from([0.0, 0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 8.0])
_READS = st.none() | st.integers(0, 3)
_USERS = st.sampled_from([None, "u"])
_ASKED = st.builds(Question, st.sampled_from(TEXTS), st.booleans(), _READS, _USERS)
_ASKED_AT_ONCE = st.builds(
    Question, st.sampled_from(TEXTS), st.booleans(), _READS, _USERS, _MOMENTS, st.none() | st.none() | _MOMENTS
)


@pytest.fixture(scope="module", autouse=True)
def counters() -> None:
    """Load what tokens are counted with: a stream that ends meanwhile would be counted otherwise than the next."""
    load()


@pytest.mark.filterwarnings("ignore::agentprod.AgentprodWarning")
@settings(max_examples=150)
@given(
    _stacks([name for name in LAYERS if name not in _ONLY_ASYNC]),
    _scripts(st.just(0.0)),
    st.lists(_ASKED, min_size=1, max_size=3),
)
def test_threads_and_loops_are_told_the_same(made: Any, script: list[Step], questions: list[Question]) -> None:
    """Answers, errors, attempts, counts, money and notes; and each time nothing is left."""
    told = []
    for is_async in (False, True):
        case = Case(made, script, FakeClock(), is_async=is_async)

        async def ask_all(case: Case = case) -> None:
            for question in questions:
                await case.ask(question)
                case.check()

        if is_async:
            asyncio.run(ask_all())
        else:
            drive(ask_all())
        told.append(case.told)
    if not ("Cache" in case.layers and any(question.streams and question.reads is not None for question in questions)):
        assert told[0] == told[1]  # in a loop, a cache reads on where a caller has left


@pytest.mark.filterwarnings("ignore::agentprod.AgentprodWarning")
@settings(max_examples=150)
@given(_stacks(list(LAYERS)), _scripts(_MOMENTS), st.lists(_ASKED_AT_ONCE, min_size=2, max_size=5))
def test_nothing_is_left_of_many_at_once(made: Any, script: list[Step], questions: list[Question]) -> None:
    """Whoever waits for whom, is cancelled, or leaves early."""

    async def main(clock: LoopClock) -> None:
        case = Case(made, script, clock, is_async=True)

        async def ask(question: Question) -> None:
            await asyncio.sleep(question.at)
            await case.ask(question)

        tasks = [asyncio.ensure_future(ask(question)) for question in questions]
        for task, question in zip(tasks, questions, strict=True):
            if question.cancelled is not None:
                asyncio.get_running_loop().call_later(question.at + question.cancelled, task.cancel)
        for raised in await asyncio.gather(*tasks, return_exceptions=True):
            assert raised is None or isinstance(raised, asyncio.CancelledError), raised
        while left := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(left)  # what closes after its call; for ever is an error of this loop
        case.check()

    run_virtually(main)
