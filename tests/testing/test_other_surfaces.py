"""Embeddings, models, and every path without a wire format of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

from agentprod.testing import Provider, behaviours

OpenAIAt = Callable[[Provider], openai.OpenAI]
AnthropicAt = Callable[[Provider], anthropic.Anthropic]


def embed(client: openai.OpenAI, text: Any, **options: Any) -> list[list[float]]:
    """Return the vectors of a text or of several."""
    return [item.embedding for item in client.embeddings.create(model="e", input=text, **options).data]


def test_floats_and_base64_are_the_same_vectors(openai_session: openai.OpenAI, provider: Provider) -> None:
    """The SDK's own default, base64, decodes to what floats say, up to single precision."""
    client = openai_session.with_options(base_url=provider.openai_url)
    texts = ["How do I reset my password?", "如何重置密码"]
    decoded, floats = embed(client, texts), embed(client, texts, encoding_format="float")
    assert provider.requests[0].json["encoding_format"] == "base64"
    for one, other in zip(decoded, floats, strict=True):
        assert one == pytest.approx(other, abs=1e-6)
        assert len(other) == 1536
        assert math.hypot(*other) == pytest.approx(1.0)


def test_vectors_tell_texts_apart(openai_at: OpenAIAt, provider: Provider) -> None:
    """The same text has the same vector, another text another one, and shared words bring two nearer."""
    texts = ["reset my password", "reset my password", "reset my account", "weather in Berlin"]
    same, again, near, far = embed(openai_at(provider), texts, encoding_format="float")
    assert same == again
    dot = [sum(a * b for a, b in zip(same, other, strict=True)) for other in (near, far)]
    assert 1 > dot[0] > dot[1]


@pytest.mark.parametrize("text", ["", "a", [1, 2, 3]])
def test_every_input_has_a_vector(openai_at: OpenAIAt, provider: Provider, text: Any) -> None:
    """Empty text and tokens have a vector of length 1, of the dimensions asked for."""
    (vector,) = embed(openai_at(provider), text, dimensions=2, encoding_format="float")
    assert math.hypot(*vector) == pytest.approx(1.0)
    assert len(vector) == 2


def test_words_that_cancel_out_have_a_vector(openai_at: OpenAIAt, provider: Provider) -> None:
    """In one dimension half of the words are the other half's negative; no text ends up as zero."""
    words = [f"word{n}" for n in range(20)]
    client = openai_at(provider)
    for first in words[:5]:
        for (value,) in embed(client, [f"{first} {word}" for word in words], dimensions=1, encoding_format="float"):
            assert abs(value) == 1.0


def test_lists_of_tokens_are_several_inputs(openai_at: OpenAIAt, provider: Provider) -> None:
    """Two lists of tokens make two vectors; without an input there are none."""
    client = openai_at(provider)
    assert len(embed(client, [[1, 2], [3]], dimensions=3, encoding_format="float")) == 2
    assert client.post("/embeddings", body={"model": "e"}, cast_to=object) == {
        "object": "list",
        "data": [],
        "model": "e",
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
    }


def test_embeddings_count_their_input(openai_at: OpenAIAt) -> None:
    """Counted from the input, or scripted."""
    with Provider(["ok", behaviours.ok(usage={"input_tokens": 77})]) as provider:
        client = openai_at(provider)
        usages = [client.embeddings.create(model="e", input=["a b", "c"], encoding_format="float") for _ in "12"]
    assert [each.usage.prompt_tokens for each in usages] == [3, 77]


def test_models_are_listed_in_each_vendors_shape(
    openai_at: OpenAIAt, anthropic_at: AnthropicAt, provider: Provider
) -> None:
    """Lists and single models parse with both clients."""
    assert "gpt-5" in [model.id for model in openai_at(provider).models.list()]
    assert openai_at(provider).models.retrieve("gpt-x").id == "gpt-x"
    assert "claude-sonnet-4-5" in [model.id for model in anthropic_at(provider).models.list()]
    assert anthropic_at(provider).models.retrieve("claude-x").id == "claude-x"


def test_other_paths_get_a_small_object(openai_session: openai.OpenAI, provider: Provider) -> None:
    """Creating, reading, listing and deleting something unknown succeeds, with the id that was asked for."""
    client = openai_session.with_options(base_url=provider.openai_url)
    created = client.batches.create(
        input_file_id="f", endpoint="/v1/chat/completions", completion_window="24h", metadata={}
    )
    assert client.batches.retrieve(created.id).id == created.id
    assert client.batches.cancel("batch_1").status == "completed"
    assert list(client.batches.list()) == []
    deleted = client.files.delete("file-1")
    assert (deleted.id, deleted.deleted) == ("file-1", True)
    assert [request.method for request in provider.requests] == ["POST", "GET", "POST", "GET", "DELETE"]


def test_other_paths_may_be_scripted(openai_at: OpenAIAt) -> None:
    """A script by path gives any surface a body of its own."""
    model = {"id": "mine", "object": "model", "created": 1, "owned_by": "me"}
    with Provider({"/v1/models": behaviours.json_body(model)}) as provider:
        assert openai_at(provider).models.retrieve("mine").owned_by == "me"


def test_vertex_paths_are_messages(anthropic_at: AnthropicAt, provider: Provider) -> None:
    """Vertex names the model in the path and the method after a colon."""
    client = anthropic_at(provider)
    path = "/v1/projects/p/locations/l/publishers/anthropic/models/claude"
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    whole = client.post(f"{path}:rawPredict", body=body, cast_to=anthropic.types.Message)
    assert whole.stop_reason == "end_turn"
    event: Any = anthropic.types.RawMessageStreamEvent
    stream = client.post(
        f"{path}:streamRawPredict",
        body={**body, "stream": True},
        cast_to=event,
        stream=True,
        stream_cls=anthropic.Stream[anthropic.types.RawMessageStreamEvent],
    )
    assert [each.type for each in stream][-1] == "message_stop"
