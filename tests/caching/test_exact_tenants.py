"""Who shares answers with whom."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import openai
import pytest

import agentprod as ap
from agentprod.caching.exact import Cache
from agentprod.testing import Provider

OpenAIWith = Callable[..., openai.OpenAI]
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}

WHO: list[dict[str, str]] = [
    {},
    {"tenant": "a"},
    {"tenant": "b"},
    {"tenant": "a", "user": "u"},
    {"tenant": "b", "user": "u"},
    {"user": "u"},
    {"user": "a"},
    {"user": "v"},
]


def test_named_callers_share_with_themselves_alone(openai_with: OpenAIWith, provider: Provider) -> None:
    """Tenant and user partition; nobody named is a partition of its own."""
    client = openai_with(provider, Cache())
    for _ in range(2):
        for who in WHO:
            ap.bind(client, **who).chat.completions.create(**CHAT)
    assert len(provider.requests) == len(WHO)


def test_a_user_counts_wherever_it_is_named(openai_with: OpenAIWith, provider: Provider) -> None:
    """A user of the context and one of the request are the same partition; two different ones a third."""
    client = openai_with(provider, Cache())
    ap.bind(client, user="u").chat.completions.create(**CHAT)
    client.chat.completions.create(**CHAT, user="u")
    ap.bind(client, user="u").chat.completions.create(**CHAT, user="u")
    assert len(provider.requests) == 1
    ap.bind(client, user="u").chat.completions.create(**CHAT, user="v")
    ap.bind(client, user="v").chat.completions.create(**CHAT, user="u")
    assert len(provider.requests) == 3


@pytest.mark.parametrize("by", ["user", "team", "conversation", "run"])
def test_a_partition_by_somebody_needs_a_name(openai_with: OpenAIWith, provider: Provider, by: str) -> None:
    """Named, they share with themselves whatever the tenant; unnamed, the call is refused with advice."""
    client = openai_with(provider, Cache(by=by))
    for tenant in ("a", "b"):
        for name in ("x", "y"):
            ap.bind(client, tenant=tenant, **{by: name}).chat.completions.create(**CHAT)
    assert len(provider.requests) == 2
    with pytest.raises(ap.ConfigError, match=rf"ap\.context\({by}="):
        client.chat.completions.create(**CHAT)


def test_by_user_takes_the_request_s_own(openai_with: OpenAIWith, provider: Provider) -> None:
    """The user field of the request is a name, too."""
    client = openai_with(provider, Cache(by="user"))
    for user in ("u", "v", "u"):
        client.chat.completions.create(**CHAT, user=user)
    assert len(provider.requests) == 2


def test_by_global_everybody_shares(openai_with: OpenAIWith, provider: Provider) -> None:
    """Sharing across tenants is possible, on purpose."""
    client = openai_with(provider, Cache(by="global"))
    for who in WHO:
        ap.bind(client, **who).chat.completions.create(**CHAT)
    assert len(provider.requests) == 1


def test_by_account_credentials_partition(openai_with: OpenAIWith, provider: Provider) -> None:
    """Customers who bring their own keys can be kept apart by them."""
    client = openai_with(provider, Cache(by="account"))
    for key in ("k1", "k2", "k1"):
        client.with_options(api_key=key).chat.completions.create(**CHAT)
    assert len(provider.requests) == 2


def test_by_a_function_of_the_call(openai_with: OpenAIWith, provider: Provider) -> None:
    """A callable names the partition."""
    client = openai_with(provider, Cache(by=lambda call: call.context.tags["region"]))
    for region in ("eu", "us", "eu"):
        ap.bind(client, tenant=region * 2, tags={"region": region}).chat.completions.create(**CHAT)
    assert len(provider.requests) == 2


def test_ten_thousand_requests_of_fifty_tenants_never_cross() -> None:
    """Every answer names the tenant and user it was made for; names are chosen to look like each other."""
    cache = Cache()

    @cache
    def ask(question: str) -> list[str | None]:
        context = ap.context().__enter__()
        return [context.tenant, context.user, question]

    generator = random.Random(7)
    names = [None, *(f"t{n}" for n in range(20)), *(f"t{n}|u" for n in range(10)), *(["a", "b"] * 10)][:50]
    for _ in range(10_000):
        tenant, user = generator.choice(names), generator.choice([None, "u", "t1", "a"])
        question = f"q{generator.randrange(20)}"
        with ap.context(tenant=tenant, user=user):
            assert ask(question) == [tenant, user, question]
    assert cache.stats().hits > 5_000
