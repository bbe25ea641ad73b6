"""Functions and OpenAI clients as embedders."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from agentprod.caching.embedders import of, openai
from agentprod.errors import ConfigError


def lengths(texts: Sequence[str]) -> list[list[float]]:
    """Return a vector for each text."""
    return [[len(text), 1.0] for text in texts]


async def alengths(texts: Sequence[str]) -> list[list[float]]:
    """Return the same from a coroutine."""
    return lengths(texts)


def test_a_function_becomes_an_embedder_of_unit_vectors() -> None:
    """Lists are brought to float32 of length 1, and the name is the function's."""
    embedder = of(lengths, threshold=0.9, window=10)
    vectors = embedder.embed(["abc", ""])
    assert vectors.dtype == np.float32
    assert vectors == pytest.approx(np.array([[3, 1], [0, 10**0.5]]) / 10**0.5, abs=1e-6)
    assert embedder.threshold == 0.9
    assert (embedder.identity.name, embedder.identity.dims) == (f"{__name__}.lengths", 2)
    assert embedder.refuse("x" * 10) is None
    assert embedder.refuse("é" * 6) == "window"
    assert of(lengths).refuse("x" * 10**6) is None
    assert not embedder.remote
    assert asyncio.run(embedder.aembed(["abc"])) == pytest.approx(vectors[:1])


def test_a_coroutine_function_serves_coroutines_only() -> None:
    """A synchronous call cannot await, and is told so."""
    embedder = of(alengths, name="mine", version="3")
    assert embedder.remote
    assert str(embedder.identity) == "mine@3"
    assert asyncio.run(embedder.aembed(["abc"])).shape == (1, 2)
    with pytest.raises(ConfigError, match="coroutine"):
        embedder.embed(["abc"])


@pytest.mark.parametrize(
    "returned", [[[1.0, 2.0]], [1.0, 2.0], [[1.0], [2.0]], [[0.0, 0.0], [1.0, 0.0]], [[float("nan"), 0.0], [1.0, 0.0]]]
)
def test_a_function_that_returns_something_else_is_caught(returned: Any) -> None:
    """Wrong shapes, empty and infinite vectors never reach the index."""
    with pytest.raises(ValueError, match="embedder"):
        of(lambda texts: returned).embed(["a", "b"])


def test_a_change_of_dimensions_is_caught() -> None:
    """A model exchanged behind the function would mix two kinds of vectors."""
    widths = iter([2, 3])
    embedder = of(lambda texts: np.ones((len(texts), next(widths))))
    embedder.embed(["a"])
    with pytest.raises(ValueError, match="3 dims after 2"):
        embedder.embed(["a"])


def test_what_cannot_be_called_is_refused() -> None:
    """An array is no embedder."""
    with pytest.raises(ConfigError, match="function"):
        of(np.ones(3))  # type: ignore[arg-type]


class _Embeddings:
    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def create(self, **options: Any) -> Any:
        self.asked.append(options)
        rows = [SimpleNamespace(index=index, embedding=[len(text), 1.0]) for index, text in enumerate(options["input"])]
        return SimpleNamespace(data=rows[::-1])


class OpenAI:
    """A client that answers without a network."""

    def __init__(self) -> None:
        self.embeddings: Any = _Embeddings()


class AsyncOpenAI:
    """Its asynchronous twin."""

    def __init__(self) -> None:
        inner = _Embeddings()

        async def create(**options: Any) -> Any:
            return inner.create(**options)

        self.embeddings = SimpleNamespace(create=create, inner=inner)


def test_openai_is_asked_once_for_all_texts_and_answers_in_any_order() -> None:
    """Vectors are matched to texts by their index."""
    client = OpenAI()
    embedder = openai(client, "text-embedding-3-small")
    vectors = embedder.embed(["a", "abc"])
    assert (vectors[:, 0] / vectors[:, 1]).tolist() == pytest.approx([1, 3])
    assert client.embeddings.asked == [{"model": "text-embedding-3-small", "input": ["a", "abc"]}]
    assert embedder.threshold is None
    assert embedder.identity.dims == 1536
    assert asyncio.run(embedder.aembed(["a"])).shape == (1, 2)


def test_shortened_vectors_are_another_embedder() -> None:
    """`dims` reaches the API and the identity."""
    client = OpenAI()
    embedder = openai(client, "text-embedding-3-large", dims=2)
    embedder.embed(["a"])
    assert client.embeddings.asked[0]["dimensions"] == 2
    assert str(embedder.identity) != str(openai(client, "text-embedding-3-large").identity)
    assert embedder.identity.dims == 2


def test_an_asynchronous_client_is_awaited_and_refuses_synchronous_calls() -> None:
    """Each kind of client serves its kind of call."""
    embedder = openai(AsyncOpenAI(), "m")
    assert embedder.remote
    assert asyncio.run(embedder.aembed(["a", "b"])).shape == (2, 2)
    with pytest.raises(ConfigError, match="AsyncOpenAI"):
        embedder.embed(["a"])


def test_texts_openai_would_refuse_are_refused_before() -> None:
    """Empty texts, and texts that may be over 8,191 tokens, ask nobody."""
    embedder = openai(OpenAI(), "m")
    assert embedder.refuse("  ") == "empty"
    assert embedder.refuse("字" * 2731) == "window"
    assert embedder.refuse("字" * 2730) is None


def test_what_is_no_client_is_refused() -> None:
    """A key or a URL in place of the client is named."""
    with pytest.raises(ConfigError, match="str"):
        openai("sk-…", "m")
