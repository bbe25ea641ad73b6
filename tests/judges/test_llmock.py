"""A judge that strangers wrote: PyPI's `llmock` breaks what it serves and says how the client coped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from tenacity import wait_exponential

import agentprod as ap

pytest.importorskip("llmock", reason="llmock is the judge of a session of its own: nox -s judge")

import anthropic
import openai

pytestmark = pytest.mark.filterwarnings("ignore")

QUESTION = [{"role": "user", "content": "Say hello to Li Wei, 李伟."}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def resilient() -> ap.Stack:
    """Return the stack under judgement: streams arrive whole or not at all, so that they can be asked for again."""
    return ap.Stack(
        ap.Deadline(20, streams=True),
        ap.Retry(attempts=4, wait=wait_exponential(multiplier=0.1)),
        ap.Timeout(5, first_token=0.5, idle=0.5),
        buffer=True,
    )


def client(sdk: str, kind: str, mock: Any) -> Any:
    """Return a bare client."""
    classes = {
        ("openai", "sync"): openai.OpenAI,
        ("openai", "async"): openai.AsyncOpenAI,
        ("anthropic", "sync"): anthropic.Anthropic,
        ("anthropic", "async"): anthropic.AsyncAnthropic,
    }
    headers = {"connection": "close"}  # so that an async client keeps none beyond its loop
    return classes[sdk, kind](base_url=mock.base_url(sdk), api_key="k", default_headers=headers)


@pytest.fixture(params=["openai", "anthropic"])
def sdk(request: pytest.FixtureRequest) -> str:
    """Run the test for both SDKs."""
    return str(request.param)


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    """Run the test for sync and async clients."""
    return str(request.param)


def ask(made: Any, sdk: str, **extra: Any) -> str:
    """Ask for a whole reply and return its text."""
    asked: dict[str, Any] = {"model": "m", "messages": QUESTION, **extra}
    if sdk == "anthropic":
        asked["max_tokens"] = 99
    create = made.chat.completions.create if sdk == "openai" else made.messages.create
    reply = create(**asked)
    reply = asyncio.run(_awaited(reply)) if asyncio.iscoroutine(reply) else reply
    if sdk == "openai":
        return reply.choices[0].message.content or ""
    return "".join(block.text for block in reply.content if block.type == "text")


async def _awaited(value: Any) -> Any:
    return await value


def read(made: Any, sdk: str) -> str:
    """Ask for a stream and return its text."""
    asked: dict[str, Any] = {"model": "m", "messages": QUESTION, "stream": True}
    if sdk == "anthropic":
        asked["max_tokens"] = 99
    create = made.chat.completions.create if sdk == "openai" else made.messages.create
    stream = create(**asked)
    if not asyncio.iscoroutine(stream):
        return "".join(_text(event) for event in stream)

    async def collect() -> str:
        return "".join([_text(event) async for event in await stream])

    return asyncio.run(collect())


def _text(event: Any) -> str:
    if hasattr(event, "choices"):
        return (event.choices[0].delta.content or "") if event.choices else ""
    return getattr(getattr(event, "delta", None), "text", None) or ""


WHOLE: dict[str, Callable[[Any], Any]] = {
    "rate limited twice": lambda mock: mock.rate_limit(times=2, retry_after=0.3),
    "server error": lambda mock: mock.fail(500),
    "overloaded": lambda mock: mock.fail(529),
    "unavailable": lambda mock: mock.fail(503, times=2),
    "request timeout": lambda mock: mock.fail(408),
    "conflict": lambda mock: mock.fail(409),
    "late": lambda mock: mock.delay(0.3),
}
STREAMED: dict[str, Callable[[Any], Any]] = {
    "truncated": lambda mock: mock.truncate(after_chunks=3),
    "truncated at once": lambda mock: mock.truncate(after_chunks=0),
    "disconnected": lambda mock: mock.disconnect(after_chunks=2),
    # Paced, so that the judge can see who stops reading: a short stream is sent before anybody could.
    "malformed": lambda mock: mock.corrupt(after_chunks=2).pace(30),
    "stalled": lambda mock: mock.stall(after_chunks=2, seconds=3),
    "slow to begin": lambda mock: mock.slow_first_token(3),
    "truncated twice": lambda mock: mock.truncate(after_chunks=2, times=2),
}
FINAL: dict[str, tuple[Callable[[Any], Any], str]] = {
    "bad request": (lambda mock: mock.fail(400), "BadRequestError"),
    "no credentials": (lambda mock: mock.fail(401), "AuthenticationError"),
    "no permission": (lambda mock: mock.fail(403), "PermissionDeniedError"),
    "not found": (lambda mock: mock.fail(404), "NotFoundError"),
    "too long": (lambda mock: mock.context_overflow(), "BadRequestError"),
    "outage": (lambda mock: mock.outage(), "InternalServerError"),
}


@pytest.mark.parametrize("scenario", WHOLE)
def test_a_failing_call_is_handled(scenario: str, sdk: str, kind: str, llmock: Any) -> None:
    """The reply comes, and the judge has nothing to say, warnings included."""
    expected = ask(client(sdk, kind, llmock), sdk)
    llmock.reset()
    WHOLE[scenario](llmock)
    assert ask(resilient().wrap(client(sdk, kind, llmock)), sdk) == expected
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("scenario", {**WHOLE, **STREAMED})
def test_a_failing_stream_is_handled(scenario: str, sdk: str, kind: str, llmock: Any) -> None:
    """The whole text comes, and the judge has nothing to say, warnings included."""
    expected = read(client(sdk, kind, llmock), sdk)
    assert expected
    llmock.reset()
    {**WHOLE, **STREAMED}[scenario](llmock)
    assert read(resilient().wrap(client(sdk, kind, llmock)), sdk) == expected
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("scenario", FINAL)
def test_what_cannot_be_mended_is_raised_as_the_sdks_own_error(scenario: str, sdk: str, kind: str, llmock: Any) -> None:
    """No attempt is wasted on what no retry can mend, and an outage ends after a few."""
    script, error = FINAL[scenario]
    script(llmock)
    module = openai if sdk == "openai" else anthropic
    with pytest.raises(getattr(module, error)):
        ask(resilient().wrap(client(sdk, kind, llmock)), sdk)
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("fault", ["malformed_arguments", "unknown_tool"])
def test_a_broken_tool_call_comes_through_as_it_is(fault: str, sdk: str, llmock: Any) -> None:
    """What a model makes up is for the application to judge: the reply arrives as the bare client has it."""
    tools: Any = [{"name": "weather", "description": "Tell the weather.", "input_schema": WEATHER}]
    if sdk == "openai":
        tools = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]
    asked: dict[str, Any] = {"model": "m", "messages": QUESTION, "tools": tools}
    if sdk == "anthropic":
        asked["max_tokens"] = 99

    def call(made: Any) -> Any:
        llmock.reset().call_tool("weather", {"city": "x"}).break_tool_call(fault)
        if sdk == "openai":
            (found,) = made.chat.completions.create(**asked).choices[0].message.tool_calls
            return found.function.name, found.function.arguments
        (block,) = (block for block in made.messages.create(**asked).content if block.type == "tool_use")
        return block.name, block.input

    bare = client(sdk, "sync", llmock)
    expected = call(bare)
    assert call(resilient().wrap(bare)) == expected
    llmock.assert_resilient(strict=True)


def test_a_quota_is_kept_to(sdk: str, kind: str, llmock: Any) -> None:
    """The provider's own limit answers 429 with the true wait, which is waited for or given up, not hammered."""
    llmock.limits(rpm=2)
    wrapped = resilient().wrap(client(sdk, kind, llmock))
    module = openai if sdk == "openai" else anthropic
    for _ in range(2):
        ask(wrapped, sdk)
    with contextlib.suppress(module.RateLimitError, ap.DeadlineExceeded):
        ask(resilient().replace(ap.Deadline(1)).wrap(client(sdk, kind, llmock)), sdk)
    findings = [finding for finding in llmock.verdict().findings if finding.code != "gave_up"]
    assert findings == []  # giving up before a wait that would outlast the deadline is on purpose


@pytest.mark.parametrize("fault", ["truncate", "disconnect", "corrupt"])
def test_a_stream_that_is_not_buffered_says_that_it_broke(fault: str, sdk: str, kind: str, llmock: Any) -> None:
    """Without `buffer` what was delivered cannot be taken back: the caller is told."""
    getattr(llmock, fault)(after_chunks=5)
    with pytest.raises(ap.StreamInterrupted):
        read(ap.Stack(ap.Retry()).wrap(client(sdk, kind, llmock)), sdk)


def test_the_bare_client_takes_half_an_answer_for_a_whole_one(sdk: str, kind: str, llmock: Any) -> None:
    """What the judge says of the SDK alone: a truncated stream is accepted without a word."""
    llmock.truncate(after_chunks=5)
    assert read(client(sdk, kind, llmock), sdk)
    with pytest.raises(AssertionError, match="truncated_stream_accepted"):
        llmock.assert_resilient()
