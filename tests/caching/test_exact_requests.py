"""Which requests are the same: every parameter counts, except those that never change an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

import agentprod as ap
from agentprod.caching.exact import Cache
from agentprod.testing import Provider, behaviours

OpenAIWith = Callable[..., openai.OpenAI]
AnthropicWith = Callable[..., anthropic.Anthropic]

TOOL: Any = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
BASE: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
    "temperature": 0.5,
    "tools": [TOOL],
}
CHANGES: dict[str, Any] = {
    "model": "other",
    "temperature": 0.6,
    "top_p": 0.9,
    "max_tokens": 10,
    "max_completion_tokens": 10,
    "stop": ["x"],
    "seed": 1,
    "n": 2,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "logit_bias": {"1": 2},
    "logprobs": True,
    "top_logprobs": 2,
    "response_format": {"type": "json_object"},
    "tools": [{**TOOL, "function": {**TOOL["function"], "name": "look"}}],
    "tool_choice": "none",
    "parallel_tool_calls": False,
    "reasoning_effort": "low",
    "verbosity": "low",
    "service_tier": "flex",
    "prediction": {"type": "content", "content": "x"},
    "extra_body": {"top_k": 5},
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello!"}],
    "functions": [{"name": "f"}],
    "function_call": "none",
}
HARMLESS: dict[str, Any] = {
    "metadata": {"trace": "7"},
    "prompt_cache_key": "k",
    "extra_headers": {"x-trace": "7"},
    "timeout": 5.0,
    "extra_body": {"prompt_cache_options": {"mode": "implicit"}},
}


def asks(client: Any, provider: Provider, *requests: dict[str, Any]) -> int:
    """Send chat requests and return how many reached the provider."""
    provider.reset()
    for request in requests:
        client.chat.completions.create(**request)
    return len(provider.requests)


@pytest.mark.parametrize("name", CHANGES)
def test_another_parameter_is_another_request(provider: Provider, openai_with: OpenAIWith, name: str) -> None:
    """One parameter changed, added or taken away makes a miss."""
    client = openai_with(provider, Cache())
    without = {key: value for key, value in BASE.items() if key != name or name in ("model", "messages")}
    changed = {**BASE, name: CHANGES[name]}
    distinct = [BASE, changed] if without == BASE or name not in BASE else [BASE, changed, without]
    assert asks(client, provider, *distinct, *distinct) == len(distinct)


@pytest.mark.parametrize("name", HARMLESS)
def test_what_never_changes_an_answer_does_not_count(provider: Provider, openai_with: OpenAIWith, name: str) -> None:
    """Labels, hints and waits are left out of the key."""
    client = openai_with(provider, Cache())
    assert asks(client, provider, BASE, {**BASE, name: HARMLESS[name]}) == 1


def test_the_order_of_keys_does_not_count(provider: Provider, openai_with: OpenAIWith) -> None:
    """A mapping is the same however it was written down."""
    client = openai_with(provider, Cache())
    turned = {key: BASE[key] for key in reversed(BASE)}
    turned["messages"] = [{"content": m["content"], "role": m["role"]} for m in BASE["messages"]]
    turned["tools"] = [{key: TOOL[key] for key in reversed(TOOL)}]
    assert asks(client, provider, BASE, turned) == 1


@pytest.mark.parametrize("order", [0, 1])
def test_a_text_and_one_block_of_it_are_the_same(provider: Provider, openai_with: OpenAIWith, order: int) -> None:
    """`"a"` and `[{"type": "text", "text": "a"}]` say the same."""
    client = openai_with(provider, Cache())
    blocks = {
        **BASE,
        "messages": [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in BASE["messages"]],
    }
    assert asks(client, provider, *((BASE, blocks) if order else (blocks, BASE))) == 1


def test_two_blocks_are_not_their_joined_text(provider: Provider, openai_with: OpenAIWith) -> None:
    """How a text is cut into blocks is visible to the model."""
    client = openai_with(provider, Cache())
    cut = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    requests = [{"model": "m", "messages": [{"role": "user", "content": content}]} for content in ("ab", cut)]
    assert asks(client, provider, *requests) == 2


def test_composed_and_decomposed_text_are_the_same(provider: Provider, openai_with: OpenAIWith) -> None:
    """Text counts in Unicode's form NFC: an accent of its own is the accented letter."""
    client = openai_with(provider, Cache())
    requests = [{"model": "m", "messages": [{"role": "user", "content": text}]} for text in ("caf\u00e9", "cafe\u0301")]
    assert asks(client, provider, *requests) == 1


def test_a_lone_surrogate_is_text_too(provider: Provider, openai_with: OpenAIWith) -> None:
    """What UTF-8 cannot hold still has a key of its own."""
    cache = Cache()
    client = openai_with(provider, cache)
    requests = [{"model": "m", "messages": [{"role": "user", "content": text}]} for text in ("\ud800", "\ud801")]
    explained = []
    for request in requests:
        asks(client, provider, {"model": "m", "messages": BASE["messages"]})
        explained.append(cache.explain(request).key)
    assert len(set(explained)) == 2


def test_images_count_by_their_bytes(provider: Provider, openai_with: OpenAIWith) -> None:
    """Two images with one caption are two requests."""
    client = openai_with(provider, Cache())

    def request(data: str) -> dict[str, Any]:
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
        return {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, image]}]}

    assert asks(client, provider, request("AAAA"), request("AAAB"), request("AAAA")) == 2


@pytest.mark.parametrize("field", ["user", "safety_identifier"])
def test_the_request_s_own_user_partitions(provider: Provider, openai_with: OpenAIWith, field: str) -> None:
    """Users named in requests do not share answers, unless all do."""
    requests = [{**BASE, field: "u1"}, {**BASE, field: "u2"}, BASE, {**BASE, field: "u1"}]
    assert asks(openai_with(provider, Cache()), provider, *requests) == 3
    assert asks(openai_with(provider, Cache(by="global")), provider, *requests) == 1


def test_hints_for_the_provider_s_cache_do_not_count(provider: Provider, anthropic_with: AnthropicWith) -> None:
    """`cache_control` on system, tools, messages and the request leaves the key alone."""
    client: Any = anthropic_with(provider, Cache())
    mark = {"cache_control": {"type": "ephemeral"}}
    tool = {"name": "find", "input_schema": {"type": "object"}}

    def request(extra: dict[str, Any]) -> dict[str, Any]:
        return {
            "model": "m",
            "max_tokens": 9,
            "system": [{"type": "text", "text": "Be brief.", **extra}],
            "tools": [{**tool, **extra}],
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello", **extra}]}],
        }

    client.messages.create(**request({}))
    client.messages.create(**request(mark))
    plain = request({})
    plain["system"], plain["messages"] = "Be brief.", [{"role": "user", "content": "Hello"}]
    client.messages.create(**plain, extra_body=mark)
    assert len(provider.requests) == 1


def test_a_tool_s_parameter_of_a_hint_s_name_counts(provider: Provider, anthropic_with: AnthropicWith) -> None:
    """Only hints are left out, not what a schema happens to call by their names."""
    client: Any = anthropic_with(provider, Cache())
    for kind in ("string", "integer"):
        schema = {"type": "object", "properties": {"cache_control": {"type": kind}}}
        tool = {"name": "find", "input_schema": schema}
        client.messages.create(model="m", max_tokens=9, tools=[tool], messages=[{"role": "user", "content": "Hello"}])
    assert len(provider.requests) == 2


def test_the_system_prompt_counts(provider: Provider, anthropic_with: AnthropicWith) -> None:
    """The same question under another system prompt is another request."""
    client = anthropic_with(provider, Cache())
    for system in ("Be brief.", "Be verbose.", "Be brief."):
        client.messages.create(model="m", max_tokens=9, system=system, messages=[{"role": "user", "content": "Hello"}])
    assert len(provider.requests) == 2


def test_another_address_is_another_request(openai_with: OpenAIWith) -> None:
    """Two servers never share answers, though model and messages agree."""
    cache = Cache()
    with Provider(behaviours.ok("one")) as first, Provider(behaviours.ok("two")) as second:
        answers = [openai_with(each, cache).chat.completions.create(**BASE) for each in (first, second, first)]
        assert [answer.choices[0].message.content for answer in answers] == ["one", "two", "one"]


def test_streamed_and_whole_requests_share_an_answer(provider: Provider, openai_with: OpenAIWith) -> None:
    """Who wants a stream and who does not are asked for once, in either order."""
    for first, second in ((True, False), (False, True)):
        client: Any = openai_with(provider, Cache())
        provider.reset()
        texts = []
        for streams in (first, second):
            if streams:
                chunks = client.chat.completions.create(**BASE, stream=True)
                texts.append("".join(chunk.choices[0].delta.content or "" for chunk in chunks))
            else:
                texts.append(client.chat.completions.create(**BASE).choices[0].message.content)
        assert texts[0] == texts[1]
        assert len(provider.requests) == 1


def test_usage_chunks_come_to_those_who_ask(provider: Provider, openai_with: OpenAIWith) -> None:
    """A replayed stream carries the token counts exactly when its caller asked for them."""
    client: Any = openai_with(provider, Cache())

    def chunks(**options: Any) -> list[Any]:
        return [chunk for chunk in client.chat.completions.create(**BASE, stream=True, **options) if chunk.usage]

    asked = {"stream_options": {"include_usage": True}}
    assert [len(found) for found in (chunks(), chunks(**asked), chunks())] == [0, 1, 0]
    assert len(provider.requests) == 1


def test_ignored_parameters_do_not_count(provider: Provider, openai_with: OpenAIWith) -> None:
    """`ignore` leaves more parameters out."""
    client = openai_with(provider, Cache(ignore=["seed"]))
    assert asks(client, provider, {**BASE, "seed": 1}, {**BASE, "seed": 2}, {**BASE, "n": 2}) == 2


def test_a_key_of_the_user_s_own(provider: Provider, openai_with: OpenAIWith) -> None:
    """`key` stands for the request; another model still is another request."""

    def last_word(call: ap.Call) -> Any:
        return call.request["messages"][-1]["content"].split()[-1]

    client = openai_with(provider, Cache(key=last_word))
    requests = [
        {"model": model, "messages": [{"role": "user", "content": text}]}
        for model, text in (("m", "one apple"), ("m", "two apple"), ("m", "one pear"), ("n", "one apple"))
    ]
    assert asks(client, provider, *requests) == 3


@pytest.mark.parametrize(
    "defaults",
    [
        {"default_query": {"api-version": "2"}},
        {"default_headers": {"anthropic-version": "2024-01-01"}},
        {"default_headers": {"Anthropic-Beta": "a-2025"}},
    ],
)
def test_defaults_of_a_client_count(
    provider: Provider, anthropic_with: AnthropicWith, defaults: dict[str, dict[str, str]]
) -> None:
    """A client that asks for another version, or for features, by itself, is not served what another was told."""
    client: Any = anthropic_with(provider, Cache())
    other = client.with_options(**defaults)
    for asking in (client, other, client, other):
        asking.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hello"}])
    assert len(provider.requests) == 2


def test_beta_features_count(provider: Provider, anthropic_with: AnthropicWith) -> None:
    """Features switched on by header change answers as parameters do."""
    client: Any = anthropic_with(provider, Cache())
    for betas in (["a-2025"], ["b-2025"], ["a-2025"], []):
        client.beta.messages.create(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "Hello"}], betas=betas
        )
    assert len(provider.requests) == 3
