"""What type checkers see of options: names and kinds that are wrong are errors before anything runs."""

from __future__ import annotations

from typing import assert_type

import openai

import agentprod as ap
from agentprod.typing import By, ContextOptions, LayerLike, Money, Per, StoreLike

client = ap.Stack(ap.Retry()).wrap(openai.OpenAI())


async def plain(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
    """A layer that is a function."""
    return await call_next(call)


def ready_made(layers: list[LayerLike], store: StoreLike | None = None) -> ap.Stack:
    """What a framework that takes layers from its user writes."""
    return ap.Stack(*layers, store=store)


def for_request(who: ContextOptions) -> openai.OpenAI:
    """What a framework that knows its user writes."""
    with ap.context(**who):
        return ap.bind(client, **who)


def budget(usd: Money, per: Per, by: By) -> ap.TokenBudget:
    """The options of one limit are those of a budget."""
    return ap.TokenBudget(ap.Limit(tokens=1_000_000), usd=usd, per=per, by=by)


ready_made([ap.Cache(), plain, ap.when("chat", ap.Retry(), plain)], "sqlite:///state.db")
for_request({"user": "u1", "tags": {"prompt": "B"}, "deadline": 30, "cache": "refresh"})
assert_type(ap.Stack(plain).insert(ap.Cache(), outside=plain), ap.Stack)

ap.Stack(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ap.Stack(ap.Retry)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ap.Stack(ap.Stack())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ap.Stack(lambda call, call_next: 3)  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
ap.Stack(store=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ap.context(usr="u1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
ap.context(user=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ap.context(cache="off")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ap.bind(client, usr="u1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
ap.TokenBudget(dollars=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
ap.TokenBudget(usd=5, per=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def vectors(texts: list[str]) -> list[list[float]]:
    """What a local model's function looks like."""
    return [[float(len(text))] for text in texts]


async def awaited_vectors(texts: list[str]) -> list[list[float]]:
    """And one that asks a service."""
    return vectors(texts)


ap.SemanticCache(embedder=ap.embedders.of(vectors, threshold=0.9))
ap.SemanticCache(embedder=ap.embedders.of(awaited_vectors, threshold=0.9))
