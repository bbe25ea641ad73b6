"""Wire replies of the providers, priced by hand to the nano-dollar.

The replies are written from the fields that the API references document. Prices are dollars per million tokens, set
here, so that the arithmetic stands beside what it is about; one dollar per million tokens is 1000 nano-dollars each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest

from agentprod.budget.prices import PriceBook, Rate
from agentprod.dialects.usage import (
    anthropic_iterations,
    anthropic_stream_usage,
    anthropic_usage,
    openai_chat_stream_usage,
    openai_chat_usage,
    openai_embeddings_usage,
    openai_responses_stream_usage,
    openai_responses_usage,
)
from agentprod.usage import Usage


def rate(
    standard: dict[str, Any],
    *,
    above: tuple[int, dict[str, Any]] | None = None,
    regions: dict[str, int] | None = None,
    **tiers: dict[str, Any],
) -> Rate:
    """A rate with tiers, a threshold and regions."""
    rates = {name: Rate.per_million(**prices) for name, prices in {"standard": standard, **tiers}.items()}
    base = rates.pop("standard")
    long = ((above[0], Rate.per_million(**above[1])),) if above else ()
    return replace(base, tiers=rates, long=long, regions=regions or {})


SONNET = {"input": 3, "output": 15, "cache_read": "0.3", "cache_write": "3.75", "cache_write_1h": 6}
SONNET_LONG = {"input": 6, "output": "22.5", "cache_read": "0.6", "cache_write": "7.5", "cache_write_1h": 12}
OPUS = {"input": 5, "output": 25, "cache_read": "0.5", "cache_write": "6.25", "cache_write_1h": 10}
SEARCH = {"web_search": "0.01", "web_fetch": 0}

BOOK = PriceBook(
    {
        "gpt-mini": rate(
            {"input": "0.25", "output": 2, "cache_read": "0.025"},
            flex={"input": "0.125", "output": 1, "cache_read": "0.0125"},
            batch={"input": "0.125", "output": 1, "cache_read": "0.0125"},
            priority={"input": "0.45", "output": "3.6", "cache_read": "0.045"},
        ),
        "gpt-writes": rate(
            {"input": 2, "output": 10, "cache_read": "0.2", "cache_write": "2.5"},
            above=(272_000, {"input": 4, "output": 15, "cache_read": "0.4", "cache_write": 5}),
        ),
        "gpt-search": Rate.per_million(
            input=2,
            output=8,
            cache_read="0.5",
            tools={"web_search": "0.01", "web_search_preview": "0.025", "file_search": "0.0025",
                   "code_interpreter": "0.03"},
        ),
        "gpt-audio": Rate.per_million(input="2.5", output=10, input_audio=32, output_audio=64),
        "embed-small": Rate.per_million(input="0.02"),
        "grok": Rate.per_million(input=3, output=15, cache_read="0.75"),
        "deepseek": Rate.per_million(input="0.27", output="1.1", cache_read="0.07"),
        "gemini": Rate.per_million(input="0.3", output="2.5", cache_read="0.03", input_audio=1, input_image="0.45"),
        "claude-sonnet": rate({**SONNET, "tools": SEARCH}, above=(200_000, SONNET_LONG), regions={"us": 110}),
        "claude-haiku": rate({"input": 1, "output": 5, "cache_read": "0.1", "cache_write": "1.25",
                              "cache_write_1h": 2, "tools": SEARCH}),
        "claude-opus": rate(
            {**OPUS, "tools": SEARCH},
            regions={"us": 110},
            batch={"input": "2.5", "output": "12.5", "cache_read": "0.25", "cache_write": "3.125",
                   "cache_write_1h": 5},
            fast={"input": 10, "output": 50, "cache_read": 1, "cache_write": "12.5", "cache_write_1h": 20},
            priority=OPUS,
        ),
    }
)  # fmt: skip


@dataclass(frozen=True)
class Reply:
    """One wire reply and what it costs."""

    id: str
    read: Callable[[Any], Usage | None]
    model: str
    wire: Any
    nano_usd: float


def chat(**usage: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": "chat.completion", "choices": [], "usage": usage}


def message(**usage: Any) -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": usage}


def response(*output: dict[str, Any], tools: list[dict[str, Any]] | None = None, **usage: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "output": list(output), "tools": tools or [], "usage": usage}


REPLIES = [
    Reply(
        "chat-plain", openai_chat_usage, "gpt-mini",
        chat(prompt_tokens=1000, completion_tokens=200, total_tokens=1200),
        1000 * 250 + 200 * 2000,
    ),
    Reply(
        "chat-cached", openai_chat_usage, "gpt-mini",
        chat(prompt_tokens=2006, completion_tokens=300, prompt_tokens_details={"cached_tokens": 1920}),
        86 * 250 + 1920 * 25 + 300 * 2000,
    ),
    Reply(
        "chat-reasoning-is-output", openai_chat_usage, "gpt-mini",
        chat(prompt_tokens=10, completion_tokens=1200, completion_tokens_details={"reasoning_tokens": 1152}),
        10 * 250 + 1200 * 2000,
    ),
    Reply(
        "chat-rejected-predictions-are-in-the-output", openai_chat_usage, "gpt-mini",
        chat(prompt_tokens=50, completion_tokens=80,
             completion_tokens_details={"accepted_prediction_tokens": 30, "rejected_prediction_tokens": 20}),
        50 * 250 + 80 * 2000,
    ),
    Reply(
        "chat-flex", openai_chat_usage, "gpt-mini",
        {**chat(prompt_tokens=1000, completion_tokens=100, prompt_tokens_details={"cached_tokens": 512}),
         "service_tier": "flex"},
        488 * 125 + 512 * 12.5 + 100 * 1000,
    ),
    Reply(
        "chat-priority", openai_chat_usage, "gpt-mini",
        {**chat(prompt_tokens=1000, completion_tokens=100), "service_tier": "priority"},
        1000 * 450 + 100 * 3600,
    ),
    Reply(
        "chat-default-tier-is-standard", openai_chat_usage, "gpt-mini",
        {**chat(prompt_tokens=1000, completion_tokens=100), "service_tier": "default"},
        1000 * 250 + 100 * 2000,
    ),
    Reply(
        "chat-cache-write", openai_chat_usage, "gpt-writes",
        chat(prompt_tokens=5000, completion_tokens=100,
             prompt_tokens_details={"cached_tokens": 1024, "cache_write_tokens": 3000}),
        976 * 2000 + 1024 * 200 + 3000 * 2500 + 100 * 10_000,
    ),
    Reply(
        "chat-at-the-threshold", openai_chat_usage, "gpt-writes",
        chat(prompt_tokens=272_000, completion_tokens=1),
        272_000 * 2000 + 1 * 10_000,
    ),
    Reply(
        "chat-above-the-threshold-everything-is-dearer", openai_chat_usage, "gpt-writes",
        chat(prompt_tokens=272_001, completion_tokens=10, prompt_tokens_details={"cached_tokens": 272_000}),
        1 * 4000 + 272_000 * 400 + 10 * 15_000,
    ),
    Reply(
        "chat-audio-both-ways", openai_chat_usage, "gpt-audio",
        chat(prompt_tokens=120, completion_tokens=300, prompt_tokens_details={"audio_tokens": 100},
             completion_tokens_details={"audio_tokens": 250}),
        20 * 2500 + 100 * 32_000 + 50 * 10_000 + 250 * 64_000,
    ),
    Reply(
        "chat-stream-usage-on-an-extra-chunk", openai_chat_stream_usage, "gpt-mini",
        [{"choices": [{"delta": {"content": "a"}}], "usage": None},
         {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}],
        9 * 250 + 2 * 2000,
    ),
    Reply(
        "chat-stream-usage-beside-a-choice", openai_chat_stream_usage, "gpt-mini",
        [{"choices": [{"delta": {"content": "a"}}]},
         {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}],
        9 * 250 + 2 * 2000,
    ),
    Reply(
        "chat-stream-cumulative", openai_chat_stream_usage, "gpt-mini",
        [{"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": n}} for n in (1, 5, 40)],
        9 * 250 + 40 * 2000,
    ),
    Reply(
        "xai-reasoning-outside-the-completion", openai_chat_usage, "grok",
        chat(prompt_tokens=32, completion_tokens=9, total_tokens=135,
             completion_tokens_details={"reasoning_tokens": 94}, prompt_tokens_details={"cached_tokens": 6}),
        26 * 3000 + 6 * 750 + 103 * 15_000,
    ),
    Reply(
        "deepseek-hits-at-the-top-level", openai_chat_usage, "deepseek",
        chat(prompt_tokens=1000, completion_tokens=50, prompt_cache_hit_tokens=960, prompt_cache_miss_tokens=40),
        40 * 270 + 960 * 70 + 50 * 1100,
    ),
    Reply(
        "gemini-thoughts-in-the-total-alone", openai_chat_usage, "gemini",
        chat(prompt_tokens=8, completion_tokens=10, total_tokens=518),
        8 * 300 + 510 * 2500,
    ),
    Reply(
        "gemini-audio-and-image-parts", openai_chat_usage, "gemini",
        chat(prompt_tokens=1000, completion_tokens=10,
             prompt_tokens_details={"audio_tokens": 400, "image_tokens": 258}),
        342 * 300 + 400 * 1000 + 258 * 450 + 10 * 2500,
    ),
    Reply(
        "groq-stream", openai_chat_stream_usage, "deepseek",
        [{"x_groq": {"usage": {"prompt_tokens": 100, "completion_tokens": 10}}}],
        100 * 270 + 10 * 1100,
    ),
    Reply(
        "chat-form-of-claude-written-beyond-the-breakdown", openai_chat_usage, "claude-sonnet",
        chat(prompt_tokens=184_507, completion_tokens=300, cache_creation_input_tokens=184_457,
             prompt_tokens_details={"cached_tokens": 0, "cache_creation_tokens": 184_457,
                                    "cache_creation_token_details": {"ephemeral_5m_input_tokens": 31_490,
                                                                     "ephemeral_1h_input_tokens": 0}}),
        50 * 3000 + 184_457 * 3750 + 300 * 15_000,
    ),
    Reply(
        "responses-plain", openai_responses_usage, "gpt-mini",
        response(input_tokens=36, output_tokens=87, input_tokens_details={"cached_tokens": 0},
                 output_tokens_details={"reasoning_tokens": 0}, total_tokens=123),
        36 * 250 + 87 * 2000,
    ),
    Reply(
        "responses-cached-and-reasoning", openai_responses_usage, "gpt-mini",
        response(input_tokens=4000, output_tokens=900, input_tokens_details={"cached_tokens": 3840},
                 output_tokens_details={"reasoning_tokens": 832}),
        160 * 250 + 3840 * 25 + 900 * 2000,
    ),
    Reply(
        "responses-cache-write", openai_responses_usage, "gpt-writes",
        response(input_tokens=4000, output_tokens=10,
                 input_tokens_details={"cached_tokens": 0, "cache_write_tokens": 3990}),
        10 * 2000 + 3990 * 2500 + 10 * 10_000,
    ),
    Reply(
        "responses-searches-but-not-opened-pages", openai_responses_usage, "gpt-search",
        response({"type": "web_search_call", "action": {"type": "search"}},
                 {"type": "web_search_call", "action": {"type": "open_page"}},
                 {"type": "web_search_call", "action": {"type": "search"}},
                 tools=[{"type": "web_search"}], input_tokens=8000, output_tokens=500),
        8000 * 2000 + 500 * 8000 + 2 * 10_000_000,
    ),
    Reply(
        "responses-preview-search-files-and-one-container", openai_responses_usage, "gpt-search",
        response({"type": "web_search_call"}, {"type": "file_search_call"},
                 {"type": "code_interpreter_call", "container_id": "cntr_1"},
                 {"type": "code_interpreter_call", "container_id": "cntr_1"},
                 tools=[{"type": "web_search_preview"}], input_tokens=100, output_tokens=10),
        100 * 2000 + 10 * 8000 + 25_000_000 + 2_500_000 + 30_000_000,
    ),
    Reply(
        "responses-stream-completed", openai_responses_stream_usage, "gpt-mini",
        [{"type": "response.created", "response": {"usage": None}},
         {"type": "response.completed", "response": response(input_tokens=11, output_tokens=12)}],
        11 * 250 + 12 * 2000,
    ),
    Reply(
        "responses-stream-cut-at-the-limit", openai_responses_stream_usage, "gpt-mini",
        [{"type": "response.incomplete",
          "response": {**response(input_tokens=11, output_tokens=4096), "status": "incomplete"}}],
        11 * 250 + 4096 * 2000,
    ),
    Reply(
        "embeddings", openai_embeddings_usage, "embed-small",
        {"object": "list", "data": [], "usage": {"prompt_tokens": 8191, "total_tokens": 8191}},
        8191 * 20,
    ),
    Reply(
        "messages-plain", anthropic_usage, "claude-sonnet",
        message(input_tokens=2095, output_tokens=503),
        2095 * 3000 + 503 * 15_000,
    ),
    Reply(
        "messages-cache-read-beside-the-input", anthropic_usage, "claude-sonnet",
        message(input_tokens=21, output_tokens=393, cache_read_input_tokens=188_086, cache_creation_input_tokens=0),
        21 * 3000 + 188_086 * 300 + 393 * 15_000,
    ),
    Reply(
        "messages-written-for-five-minutes-and-an-hour", anthropic_usage, "claude-sonnet",
        message(input_tokens=2048, output_tokens=503, cache_read_input_tokens=1800, cache_creation_input_tokens=248,
                cache_creation={"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100}),
        2048 * 3000 + 1800 * 300 + 148 * 3750 + 100 * 6000 + 503 * 15_000,
    ),
    Reply(
        "messages-written-beyond-the-breakdown", anthropic_usage, "claude-sonnet",
        message(input_tokens=50, output_tokens=300, cache_creation_input_tokens=184_457,
                cache_creation={"ephemeral_5m_input_tokens": 31_490, "ephemeral_1h_input_tokens": 0}),
        50 * 3000 + 184_457 * 3750 + 300 * 15_000,
    ),
    Reply(
        "messages-long-context-counts-the-cache", anthropic_usage, "claude-sonnet",
        message(input_tokens=1000, output_tokens=100, cache_read_input_tokens=199_001),
        1000 * 6000 + 199_001 * 600 + 100 * 22_500,
    ),
    Reply(
        "messages-thinking-is-output", anthropic_usage, "claude-opus",
        message(input_tokens=100, output_tokens=2000, output_tokens_details={"thinking_tokens": 1800}),
        100 * 5000 + 2000 * 25_000,
    ),
    Reply(
        "messages-web-search-and-fetch", anthropic_usage, "claude-opus",
        message(input_tokens=10_682, output_tokens=510,
                server_tool_use={"web_search_requests": 3, "web_fetch_requests": 2}),
        10_682 * 5000 + 510 * 25_000 + 3 * 10_000_000,
    ),
    Reply(
        "messages-batch", anthropic_usage, "claude-opus",
        message(input_tokens=1000, output_tokens=100, cache_read_input_tokens=500, service_tier="batch"),
        1000 * 2500 + 500 * 250 + 100 * 12_500,
    ),
    Reply(
        "messages-priority-capacity-is-paid-in-advance", anthropic_usage, "claude-opus",
        message(input_tokens=1000, output_tokens=100, service_tier="priority"),
        1000 * 5000 + 100 * 25_000,
    ),
    Reply(
        "messages-fast-mode", anthropic_usage, "claude-opus",
        message(input_tokens=1000, output_tokens=100, cache_creation_input_tokens=40, speed="fast",
                service_tier="standard"),
        1000 * 10_000 + 40 * 12_500 + 100 * 50_000,
    ),
    Reply(
        "messages-inference-in-the-us", anthropic_usage, "claude-opus",
        message(input_tokens=1000, output_tokens=100, inference_geo="us",
                server_tool_use={"web_search_requests": 1}),
        (1000 * 5000 + 100 * 25_000) * 1.1 + 10_000_000,
    ),
    Reply(
        "messages-inference-anywhere", anthropic_usage, "claude-opus",
        message(input_tokens=1000, output_tokens=100, inference_geo="global"),
        1000 * 5000 + 100 * 25_000,
    ),
    Reply(
        "messages-stream", anthropic_stream_usage, "claude-sonnet",
        [{"type": "message_start", "message": message(
            input_tokens=25, output_tokens=1, cache_creation_input_tokens=100,
            cache_creation={"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 100})},
         {"type": "content_block_delta"},
         {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 15}}],
        25 * 3000 + 100 * 6000 + 15 * 15_000,
    ),
    Reply(
        "messages-stream-with-a-search-in-it", anthropic_stream_usage, "claude-sonnet",
        [{"type": "message_start", "message": message(input_tokens=2679, output_tokens=3)},
         {"type": "message_delta", "usage": {"input_tokens": 10_682, "output_tokens": 510,
                                             "server_tool_use": {"web_search_requests": 1}}}],
        10_682 * 3000 + 510 * 15_000 + 10_000_000,
    ),
    Reply(
        "messages-stream-broken-off", anthropic_stream_usage, "claude-sonnet",
        [{"type": "message_start", "message": message(input_tokens=500, output_tokens=2)}],
        500 * 3000 + 2 * 15_000,
    ),
    Reply(
        "messages-with-a-compaction", anthropic_usage, "claude-opus",
        message(input_tokens=23_000, output_tokens=1000, iterations=[
            {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3500},
            {"type": "message", "input_tokens": 23_000, "output_tokens": 1000}]),
        203_000 * 5000 + 4500 * 25_000,
    ),
]  # fmt: skip


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: reply.id)
def test_reply_costs_what_the_hand_figure_says(reply: Reply) -> None:
    """From the wire to the bill, every token is charged once and at its own price."""
    usage = reply.read(reply.wire)
    assert usage is not None
    cost = BOOK.price(reply.model, usage)
    assert cost.femto_usd == int(reply.nano_usd * 10**6)
    assert cost.source == "override"


def test_there_are_enough_shapes() -> None:
    """At least thirty shapes of reply are priced, each under a name of its own."""
    assert len({reply.id for reply in REPLIES}) == len(REPLIES) >= 30


def test_the_reply_that_was_underbilled_elsewhere() -> None:
    """A written total far above its breakdown costs 69.6 cents, not 12."""
    reply = next(reply for reply in REPLIES if reply.id == "messages-written-beyond-the-breakdown")
    usage = anthropic_usage(reply.wire)
    assert str(BOOK.price("claude-sonnet", usage).usd.normalize()) == "0.69636375"


def test_iterations_cost_what_their_models_charge() -> None:
    """A fallback inside the provider is billed attempt by attempt, each at its own model's price."""
    wire = message(
        input_tokens=500, output_tokens=80,
        iterations=[
            {"type": "message", "model": "claude-haiku", "input_tokens": 100, "output_tokens": 1},
            {"type": "advisor_message", "model": "claude-opus", "input_tokens": 50, "output_tokens": 20},
            {"type": "fallback_message", "model": "claude-sonnet", "input_tokens": 400, "output_tokens": 79},
        ],
    )  # fmt: skip
    total = sum(BOOK.price(model or "claude-haiku", usage).nano_usd for model, usage in anthropic_iterations(wire))
    assert total == (100 * 1000 + 1 * 5000) + (50 * 5000 + 20 * 25_000) + (400 * 3000 + 79 * 15_000)
    usage = anthropic_usage(wire)
    assert usage is not None
    assert BOOK.price("claude-haiku", usage).nano_usd == total
    assert BOOK("anthropic", "claude-haiku", usage) == Decimal(total).scaleb(-9)
