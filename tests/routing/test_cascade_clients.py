"""The cascade around real SDK clients: what is sent, and that callers see one answer of one kind."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import openai
import pytest

import agentprod as ap
from agentprod.testing import Provider, RecordedRequest, behaviours

MESSAGES: list[Any] = [{"role": "user", "content": "What is 6 times 7?"}]


def script(small: str) -> Any:
    """The small model says this, the large one says 42."""

    def answer(request: RecordedRequest) -> behaviours.Behaviour:
        return behaviours.ok("42" if request.json["model"] in ("gpt-5", "claude-opus-4-5") else small)

    return answer


@pytest.mark.parametrize(("small", "said", "asked"), [("6 * 7 = 42", "6 * 7 = 42", 1), ("6 * 7 = 43", "42", 2)])
@pytest.mark.parametrize("stream", [False, True])
def test_chat_completions_cascade(small: str, said: str, asked: int, stream: bool) -> None:
    """Whole and streamed, sync and async, the caller gets the answer that was kept, and the bill has every leg."""
    cascade = ap.Cascade(["gpt-5-nano", "gpt-5"], checks=[ap.checks.arithmetic])

    async def scenario(provider: Provider) -> None:
        async with openai.AsyncOpenAI(base_url=provider.openai_url, api_key="any") as original:
            client = ap.Stack(cascade).wrap(original)
            if stream:
                chunks = await client.chat.completions.create(model="any", messages=MESSAGES, stream=True)
                text = "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])
                meta = ap.meta(chunks)
            else:
                reply = await client.chat.completions.create(model="any", messages=MESSAGES)
                text, meta = reply.choices[0].message.content or "", ap.meta(reply)
        assert text == said
        assert len(meta.attempts) == asked
        assert all(attempt.outcome == "ok" for attempt in meta.attempts)

    with Provider(script(small)) as provider:
        asyncio.run(scenario(provider))
        with openai.OpenAI(base_url=provider.openai_url, api_key="any") as original:
            client = ap.Stack(cascade).wrap(original)
            response = client.responses.create(model="any", input="What is 6 times 7?")
            assert response.output_text == said
            with client.responses.stream(model="any", input="What is 6 times 7?") as events:
                assert events.get_final_response().output_text == said
        assert len(provider.requests) == 3 * asked


@pytest.mark.parametrize(("small", "said"), [("It is 42.", "It is 42."), ("I'm not sure.", "42")])
def test_messages_cascade(small: str, said: str) -> None:
    """Anthropic's client and its stream helper get one answer, whichever model gave it."""
    cascade = ap.Cascade(["claude-haiku-4-5", "claude-opus-4-5"])
    with (
        Provider(script(small)) as provider,
        anthropic.Anthropic(base_url=provider.anthropic_url, api_key="any") as original,
    ):
        client = ap.Stack(cascade).wrap(original)
        reply = client.messages.create(model="any", max_tokens=100, messages=MESSAGES)
        assert reply.content[0].type == "text"
        assert reply.content[0].text == said
        with client.messages.stream(model="any", max_tokens=100, messages=MESSAGES) as stream:
            assert "".join(stream.text_stream) == said
            assert stream.get_final_message().usage.output_tokens > 0


def test_a_cheap_stream_that_is_cut_costs_no_answer() -> None:
    """A stream that breaks before it was kept was shown to nobody: the dear model answers."""

    def answer(request: RecordedRequest) -> behaviours.Behaviour:
        said = behaviours.ok("one two three four five six")
        return said if request.json["model"] == "gpt-5" else behaviours.cut(after=3, reply=said)

    with Provider(answer) as provider, openai.OpenAI(base_url=provider.openai_url, api_key="any") as original:
        client = ap.Stack(ap.Cascade(["gpt-5-nano", "gpt-5"])).wrap(original)
        stream = client.chat.completions.create(model="any", messages=MESSAGES, stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
        assert text == "one two three four five six"
        assert [attempt.outcome for attempt in ap.meta(stream).attempts] == ["failed", "ok"]


def test_a_caller_that_asked_for_no_usage_sees_none() -> None:
    """The counts that a layer needs are hidden in a stream that was held back, too; and shown where they were asked."""

    class Counting:
        needs_usage = True

        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            return await call_next(call)

    with (
        Provider(script("It is 42.")) as provider,
        openai.OpenAI(base_url=provider.openai_url, api_key="any") as original,
    ):
        client = ap.Stack(Counting(), ap.Cascade(["gpt-5-nano", "gpt-5"])).wrap(original)
        for options, wanted in (({}, 0), ({"stream_options": {"include_usage": True}}, 1)):
            extra: dict[str, Any] = options
            stream = client.chat.completions.create(model="any", messages=MESSAGES, stream=True, **extra)
            assert len([chunk for chunk in stream if chunk.usage is not None]) == wanted
            assert ap.meta(stream).usage is not None
