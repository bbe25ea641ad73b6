"""The key of a request: equal for equal requests however they are written down, different for different ones."""

from __future__ import annotations

import copy
import math
import unicodedata
from collections.abc import Callable
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import agentprod as ap
from agentprod.caching.exact import Cache
from agentprod.testing import Provider

OpenAIWith = Callable[..., openai.OpenAI]

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.binary(max_size=4)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same data: of the same kinds throughout, texts in the form NFC."""
    if type(one) is not type(other):
        return False
    if isinstance(one, str):
        return unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or repr(one) == repr(other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            any(same(key, k) and same(value, v) for k, v in other.items()) for key, value in one.items()
        )
    return bool(one == other)


def turned(value: Any) -> Any:
    """Return the same data with every mapping written down the other way round."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    if isinstance(value, list | tuple):
        return type(value)(turned(item) for item in value)
    return copy.copy(value)


@pytest.fixture(scope="module")
def key_of() -> Callable[[Any], str | None]:
    """Return what tells the key of a function's argument."""
    cache = Cache()
    fn = cache(lambda value: 1)
    fn(0)
    return lambda value: cache.explain({"value": value}).key


@given(value=VALUES)
@settings(max_examples=200)
def test_data_written_down_differently_has_one_key(key_of: Callable[[Any], str | None], value: Any) -> None:
    """The order of mappings and the identity of objects do not matter."""
    key = key_of(value)
    assert key is not None
    assert key_of(turned(value)) == key
    assert key_of(copy.deepcopy(value)) == key


@given(one=VALUES, other=VALUES)
@settings(max_examples=400)
def test_keys_are_equal_exactly_when_data_is(key_of: Callable[[Any], str | None], one: Any, other: Any) -> None:
    """No two different values share a key, no equal ones differ."""
    assert (key_of(one) == key_of(other)) == same(one, other)


LONG = "You are a helpful assistant. " * 100


def asked(client: Any, provider: Provider, *requests: dict[str, Any]) -> int:
    """Send chat requests and return how many reached the provider."""
    provider.reset()
    for request in requests:
        client.chat.completions.create(model="m", **request)
    return len(provider.requests)


def chat(system: str, user: str = "Hello", **more: Any) -> dict[str, Any]:
    """Return a request with a system prompt."""
    return {"messages": [{"role": "system", "content": system}, {"role": "user", "content": user}], **more}


def test_long_texts_count_by_what_they_say(openai_with: OpenAIWith, provider: Provider) -> None:
    """A long text is known again by its object, and recognised in another object that says the same."""
    client = openai_with(provider, Cache())
    again = "".join(list(LONG))
    assert again is not LONG
    assert asked(client, provider, chat(LONG), chat(LONG), chat(again), chat(LONG + "!"), chat(LONG)) == 2
    assert asked(client, provider, chat("Be brief.", LONG), chat(LONG, "Be brief."), chat("Be brief.", again)) == 2


def test_a_long_text_is_no_other_place_s(openai_with: OpenAIWith, provider: Provider) -> None:
    """Texts at the top of a request and in its messages are told apart, and a digest in the clear is only text."""
    client = openai_with(provider, Cache())
    body = {"extra_body": {"prompt_template": LONG}}
    assert asked(client, provider, chat("x", **body), chat("x", extra_body={"other": LONG}), chat("x", **body)) == 2


def test_a_changed_message_list_is_another_request(openai_with: OpenAIWith, provider: Provider) -> None:
    """The same list object with another content is another request: lists are read anew each time."""
    client = openai_with(provider, Cache())
    request = chat(LONG)
    assert asked(client, provider, request) == 1
    request["messages"][1]["content"] = "Bye"
    assert asked(client, provider, request) == 1
    request["messages"].append({"role": "assistant", "content": LONG})
    assert asked(client, provider, request, copy.deepcopy(request)) == 1


def test_many_long_texts_are_forgotten_in_turn(openai_with: OpenAIWith, provider: Provider) -> None:
    """However many long texts come by, requests stay what they are."""
    client = openai_with(provider, Cache())
    texts = [f"{number} {LONG}" for number in range(600)]
    big = ["x" * 5_000_000, "y" * 5_000_000]
    for text in (*texts[:20], *big, *texts[580:]):
        client.chat.completions.create(model="m", **chat(text))
    assert asked(client, provider, *(chat(text) for text in (*texts[:20], *big, *texts[580:]))) == 0


def test_long_conversations_have_keys_too(openai_with: OpenAIWith, provider: Provider) -> None:
    """Requests of very many messages are hashed as they are."""
    client = openai_with(provider, Cache())
    messages = [{"role": "user", "content": f"{n} {LONG if n % 50 == 0 else ''}"} for n in range(300)]
    other = copy.deepcopy(messages)
    other[150]["content"] += "!"
    requests = [{"messages": each} for each in (messages, other, copy.deepcopy(messages))]
    assert asked(client, provider, *requests) == 2


def test_more_requests_than_are_remembered_keep_their_keys() -> None:
    """What is forgotten of how a request was written is worked out again, to the same key."""
    cache = Cache(max_entries=20_000)
    fn = cache(lambda n: n)
    for number in range(9_000):
        fn(number)
    for number in (0, 1, 8_999):
        fn(number)
    stats = cache.stats()
    assert (stats.misses, stats.hits) == (9_000, 3)


def test_a_refusal_is_not_remembered_for_another_request(openai_with: OpenAIWith, provider: Provider) -> None:
    """An ignored parameter that a refusal looks at does not mix requests up."""
    client = openai_with(provider, Cache(ignore=["store", "temperature"], nondeterministic="bypass"))
    caches = [
        ap.meta(client.chat.completions.create(model="m", **chat("x", **more))).cache
        for more in ({"store": True}, {}, {"temperature": 0}, {"temperature": 1}, {"temperature": 0, "store": True})
    ]
    assert caches == ["bypass", "bypass", "miss", "bypass", "bypass"]


def test_odd_requests_go_through(openai_with: OpenAIWith, provider: Provider) -> None:
    """What is no list of messages is somebody else's error to report."""
    client: Any = openai_with(provider, Cache())
    for messages in ("text", [], ["text"], [{"role": "user", "content": None}], [{"role": "user", "content": [1]}]):
        client.chat.completions.create(model="m", messages=messages)
    assert len(provider.requests) >= 4


def test_numbers_that_json_cannot_hold_go_past(provider: Provider) -> None:
    """A request that cannot be written down has no key."""
    cache = Cache()

    @cache
    def completion(model: str, messages: list[Any], temperature: float) -> str:
        return "x"

    with pytest.warns(ap.AgentprodWarning, match="not finite"):
        completion("m", [], float("nan"))
    with pytest.warns(ap.AgentprodWarning):
        Cache()(_chat)("m", [{1: "a", "b": 2}])


def _chat(model: str, messages: list[Any]) -> str:
    return "x"
