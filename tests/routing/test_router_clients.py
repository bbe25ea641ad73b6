"""The router around real SDK clients: what is sent, what comes back, and what stands on the span."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import openai
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import agentprod as ap
from agentprod.testing import Provider, RecordedRequest, behaviours

MODELS = ["gpt-5-nano", "gpt-5"]


def answer(request: RecordedRequest) -> behaviours.Behaviour:
    """Answer as the model that was asked; the classifier's model says what the prompt wants."""
    model = request.json["model"]
    if model == "gpt-5-mini":
        return behaviours.ok("complex" if "prove" in str(request.json) else "simple")
    return behaviours.ok(f"I am {model}")


def messages(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def test_chat_completions_are_routed() -> None:
    """Create, streams and parse of a synchronous client go to the chosen model and come back as they would."""
    router = ap.Router(MODELS, stages=[ap.Rules([("prove", "gpt-5"), ("hello", "gpt-5-nano")])])
    with Provider(answer) as provider:
        original = openai.OpenAI(base_url=provider.openai_url, api_key="any")
        client = ap.Stack(router).wrap(original)
        reply = client.chat.completions.create(model="any", messages=messages("prove it"))
        assert reply.choices[0].message.content == "I am gpt-5"
        assert ap.meta(reply).served_by == "openai/gpt-5"
        stream = client.chat.completions.create(model="any", messages=messages("hello"), stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == "I am gpt-5-nano"
        response = client.responses.create(model="any", input="prove it")
        assert response.output_text == "I am gpt-5"
        client.embeddings.create(model="text-embedding-3-small", input="hello")
        assert [request.json["model"] for request in provider.requests] == [
            "gpt-5", "gpt-5-nano", "gpt-5", "text-embedding-3-small",
        ]  # fmt: skip
        original.close()


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_classifies_through_the_same_client(stream: bool) -> None:
    """The classifier's question goes out first, in the caller's wire form, and its answer never reaches the caller."""
    router = ap.Router(MODELS, stages=[ap.Classifier("gpt-5-mini", labels=("simple", "complex"))])

    async def scenario(provider: Provider) -> None:
        original = openai.AsyncOpenAI(base_url=provider.openai_url, api_key="any")
        client = ap.Stack(router).wrap(original)
        for text, model in (("prove it", "gpt-5"), ("hello", "gpt-5-nano"), ("prove it", "gpt-5")):
            if stream:
                chunks = await client.chat.completions.create(model="any", messages=messages(text), stream=True)
                said = "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])
            else:
                reply = await client.chat.completions.create(model="any", messages=messages(text))
                said = reply.choices[0].message.content or ""
            assert said == f"I am {model}"
        response = await client.responses.create(model="any", input="prove another thing")
        assert response.output_text == "I am gpt-5"
        await original.close()

    with Provider(answer) as provider:
        asyncio.run(scenario(provider))
        asked = [request.json["model"] for request in provider.requests]
    assert asked == ["gpt-5-mini", "gpt-5", "gpt-5-mini", "gpt-5-nano", "gpt-5", "gpt-5-mini", "gpt-5"]


def test_messages_are_routed_and_classified() -> None:
    """Anthropic's client is routed just so."""

    def claude(request: RecordedRequest) -> behaviours.Behaviour:
        model = request.json["model"]
        return behaviours.ok("complex" if model == "claude-haiku-4-5" else f"I am {model}")

    stage = ap.Classifier("claude-haiku-4-5", labels=("simple", "complex"))
    router = ap.Router(["claude-sonnet-4-5", "claude-opus-4-5"], stages=[stage])
    with Provider(claude) as provider:
        original = anthropic.Anthropic(base_url=provider.anthropic_url, api_key="any")
        client = ap.Stack(router).wrap(original)
        reply = client.messages.create(model="any", max_tokens=100, messages=messages("prove it"))
        assert reply.content[0].type == "text"
        assert reply.content[0].text == "I am claude-opus-4-5"
        with client.messages.stream(model="any", max_tokens=100, messages=messages("prove it")) as stream:
            assert stream.get_final_text() == "I am claude-opus-4-5"
        assert len(provider.requests) == 3
        original.close()


def test_a_route_may_cross_to_another_sdk() -> None:
    """A target at Anthropic answers a chat completion in the form of the caller's own client."""
    with Provider(answer) as provider:
        other = anthropic.Anthropic(base_url=provider.anthropic_url, api_key="any")
        claude = ap.target(other, "claude-opus-4-5", defaults={"max_tokens": 100}, name="claude")
        router = ap.Router(["gpt-5-nano", claude], stages=[ap.Rules([("prove", "claude"), ("hello", "gpt-5-nano")])])
        original = openai.OpenAI(base_url=provider.openai_url, api_key="any")
        client = ap.Stack(router).wrap(original)
        reply = client.chat.completions.create(model="any", messages=messages("prove it"))
        assert reply.choices[0].message.content == "I am claude-opus-4-5"
        assert ap.meta(reply).served_by == "claude"
        stream = client.chat.completions.create(model="any", messages=messages("prove it"), stream=True)
        said = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
        assert said == "I am claude-opus-4-5"
        near = client.chat.completions.create(model="any", messages=messages("hello"))
        assert near.choices[0].message.content == "I am gpt-5-nano"
        with pytest.raises(ap.ConfigError, match="Router target claude is sync"):
            ap.Stack(router).wrap(openai.AsyncOpenAI(base_url=provider.openai_url, api_key="any"))
        other.close()
        original.close()


def test_the_span_shows_the_decision() -> None:
    """Which model was asked for, which one was chosen, by whom and why."""
    exporter, spans = InMemorySpanExporter(), TracerProvider()
    spans.add_span_processor(SimpleSpanProcessor(exporter))
    router = ap.Router(MODELS, stages=[ap.Rules([("prove", "gpt-5")])])
    with Provider(answer) as provider:
        stack = ap.Stack(ap.Tracer(tracer_provider=spans), router)
        original = openai.OpenAI(base_url=provider.openai_url, api_key="any")
        client = stack.wrap(original)
        client.chat.completions.create(model="gpt-5-nano", messages=messages("prove it"))
        original.close()
    (attributes,) = [span.attributes for span in exporter.get_finished_spans() if span.parent is None]
    assert attributes is not None
    told = {key.removeprefix("agentprod.route."): value for key, value in attributes.items() if "route" in key}
    assert told == {
        "requested_model": "gpt-5-nano", "selected_model": "gpt-5", "policy": "rules", "reason": "keyword 1",
    }  # fmt: skip
    spans.shutdown()
