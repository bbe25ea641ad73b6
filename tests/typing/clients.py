"""What type checkers see of wrapped clients and decorated functions: checked, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

import anthropic
import openai
from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk

import agentprod as ap

stack = ap.Stack(ap.Retry(attempts=2), ap.Timeout(5))

client = stack.wrap(openai.OpenAI())
assert_type(client, openai.OpenAI)
assert_type(stack.wrap(openai.AzureOpenAI()), openai.AzureOpenAI)
assert_type(ap.bind(client, user="u1"), openai.OpenAI)
assert_type(ap.unwrap(client), openai.OpenAI)
assert_type(ap.stack_of(client), ap.Stack)
assert_type(ap.standard(budget=ap.Limit(usd=5, per="day"), cache=3600, pii=True).wrap(openai.OpenAI()), openai.OpenAI)
assert_type(ap.standard(fallback=["gpt-5-nano"], retry=ap.Retry(attempts=2), breaker=None), ap.Stack)

assert_type(client.chat.completions.create(model="m", messages=[]), ChatCompletion)
assert_type(client.chat.completions.create(model="m", messages=[], stream=True), openai.Stream[ChatCompletionChunk])

claude = stack.wrap(anthropic.AsyncAnthropic())
assert_type(claude, anthropic.AsyncAnthropic)


async def messages() -> None:
    """Overloads survive in async clients."""
    assert_type(await claude.messages.create(model="m", max_tokens=1, messages=[]), Message)
    stream = await claude.messages.create(model="m", max_tokens=1, messages=[], stream=True)
    assert_type(stream, anthropic.AsyncStream[RawMessageStreamEvent])


@stack
def ask(prompt: str, *, strict: bool = False) -> str:
    """A function keeps its signature."""
    return prompt


@ap.Retry(attempts=5, on=KeyError)
async def fetch(model: str, temperature: float = 0.0) -> dict[str, int]:
    """One layer is a stack, too."""
    return {}


@stack
def words(text: str) -> Iterator[str]:
    """Generators keep theirs."""
    yield text


@stack
async def tokens(text: str) -> AsyncIterator[str]:
    """Async generators keep theirs."""
    yield text


assert_type(ask("hi", strict=True), str)
assert_type(words("hi"), Iterator[str])
assert_type(tokens("hi"), AsyncIterator[str])
assert_type(ap.bind(ask, tenant="t")("hi"), str)

ask(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ask("hi", strikt=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
client.chat.completions.create(model="m", mesages=[])  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


async def run() -> None:
    """Async functions keep theirs."""
    assert_type(await fetch("m"), dict[str, int])


class Agent:
    """Methods keep theirs."""

    @stack
    def answer(self, question: str) -> str:
        """Answer."""
        return question

    @staticmethod
    @stack
    def shout(text: str) -> str:
        """Shout."""
        return text


assert_type(Agent().answer("q"), str)
assert_type(Agent.shout("q"), str)

create = stack.decorate(openai.OpenAI().chat.completions.create)
assert_type(create(model="m", messages=[], stream=True), openai.Stream[ChatCompletionChunk])


class Stopwatch:
    """A layer of one's own."""

    order = (ap.Outside("Retry"),)

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Time the call."""
        start = call.runtime.now()
        reply = await call_next(call)
        reply.on_end(lambda end: print(call.target.model, call.runtime.now() - start, end.outcome))
        return reply


layer: ap.Middleware = Stopwatch()
ap.Stack(Stopwatch(), ap.Retry())
assert_type(ap.meta(object()).attempts, list[ap.Attempt])
assert_type(stack[ap.Retry], ap.Retry)
