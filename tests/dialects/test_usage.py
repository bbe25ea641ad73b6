"""Token counts are read from providers' wire replies, whole, streamed, odd or broken."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprod.dialects.usage import (
    anthropic_iterations,
    anthropic_stream_usage,
    anthropic_usage,
    merge_anthropic_usage,
    openai_chat_stream_usage,
    openai_chat_usage,
    openai_embeddings_usage,
    openai_responses_stream_usage,
    openai_responses_usage,
)
from agentprod.usage import Usage

READERS = (
    openai_chat_usage,
    openai_responses_usage,
    openai_embeddings_usage,
    anthropic_usage,
    anthropic_iterations,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    [
        "usage", "message", "response", "prompt_tokens", "completion_tokens", "total_tokens", "input_tokens",
        "output_tokens", "prompt_tokens_details", "input_tokens_details", "output_tokens_details", "cached_tokens",
        "cache_creation", "cache_creation_input_tokens", "cache_read_input_tokens", "iterations", "server_tool_use",
        "service_tier", "x_groq", "output", "tools", "type", "action",
    ]
)  # fmt: skip


def test_chat_reply_gives_every_count() -> None:
    """The details of an OpenAI chat completion are parts of its prompt and completion."""
    body = {
        "service_tier": "default",
        "usage": {
            "prompt_tokens": 2006,
            "completion_tokens": 300,
            "total_tokens": 2306,
            "prompt_tokens_details": {
                "cached_tokens": 1920, "cache_write_tokens": 50, "audio_tokens": 10, "image_tokens": 7,
            },
            "completion_tokens_details": {"reasoning_tokens": 192, "audio_tokens": 20},
        },
    }  # fmt: skip
    assert Usage(
        input_tokens=2006,
        output_tokens=300,
        cache_read_tokens=1920,
        cache_write_tokens=50,
        reasoning_tokens=192,
        input_audio_tokens=10,
        output_audio_tokens=20,
        input_image_tokens=7,
        service_tier="standard",
    ) == openai_chat_usage(body)


def test_chat_details_may_be_null() -> None:
    """Local servers send nulls where OpenAI sends details."""
    usage = {"prompt_tokens": 5, "completion_tokens": 7.0, "prompt_tokens_details": None, "total_tokens": None}
    assert Usage(input_tokens=5, output_tokens=7) == openai_chat_usage({"usage": usage})


def test_bare_usage_object_is_read() -> None:
    """The usage object alone is as good as the reply around it."""
    assert Usage(input_tokens=3, output_tokens=4) == openai_chat_usage({"prompt_tokens": 3, "completion_tokens": 4})


@pytest.mark.parametrize("name", ["prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens"])
def test_cached_tokens_beside_the_details_count(name: str) -> None:
    """DeepSeek, Moonshot and translated Anthropic replies name cached tokens at the top level."""
    usage = openai_chat_usage({"usage": {"prompt_tokens": 100, "completion_tokens": 1, name: 64}})
    assert usage is not None
    assert (100, 64) == (usage.input_tokens, usage.cache_read_tokens)


def test_cached_tokens_beyond_the_prompt_count_on_top() -> None:
    """A gateway that leaves cached tokens out of the prompt is not believed to have sent fewer than it read."""
    usage = openai_chat_usage(
        {"usage": {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 500}}}
    )
    assert usage is not None
    assert (510, 500) == (usage.input_tokens, usage.cache_read_tokens)


def test_reasoning_outside_the_completion_is_output() -> None:
    """Providers that leave reasoning out of the completion show it in the total."""
    usage = openai_chat_usage(
        {
            "usage": {
                "prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135,
                "completion_tokens_details": {"reasoning_tokens": 94},
            }
        }
    )  # fmt: skip
    assert usage is not None
    assert (103, 94) == (usage.output_tokens, usage.reasoning_tokens)


def test_cache_write_lifetimes_in_chat_form() -> None:
    """Translated Anthropic replies carry the write total and its split by lifetime."""
    usage = openai_chat_usage(
        {
            "usage": {
                "prompt_tokens": 1000, "completion_tokens": 1, "cache_creation_input_tokens": 700,
                "prompt_tokens_details": {
                    "cached_tokens": 200,
                    "cache_creation_token_details": {
                        "ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 300,
                    },
                },
            }
        }
    )  # fmt: skip
    assert usage is not None
    assert (700, 300, 200) == (usage.cache_write_tokens, usage.cache_write_1h_tokens, usage.cache_read_tokens)


@pytest.mark.parametrize("choices", [[], [{"index": 0, "delta": {}, "finish_reason": "stop"}]])
def test_chat_stream_usage_is_found_whatever_choices_hold(choices: list[Any]) -> None:
    """The chunk with the counts may be an extra one or the last with content."""
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": "hi"}}], "usage": None, "service_tier": "flex"},
        {"choices": choices, "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}},
        {"choices": []},
    ]
    assert Usage(input_tokens=9, output_tokens=2, service_tier="flex") == openai_chat_stream_usage(chunks)


def test_chat_stream_with_growing_usage_ends_at_the_largest() -> None:
    """Counts repeated on every chunk are cumulative, not to be added."""
    chunks = [{"usage": {"prompt_tokens": 9, "completion_tokens": n}} for n in (1, 2, 3)]
    assert Usage(input_tokens=9, output_tokens=3) == openai_chat_stream_usage(chunks)


def test_groq_stream_usage() -> None:
    """Groq's streams carry the counts in a field of its own."""
    assert Usage(input_tokens=4, output_tokens=6) == openai_chat_stream_usage(
        [{"choices": []}, {"x_groq": {"usage": {"prompt_tokens": 4, "completion_tokens": 6}}}]
    )


@pytest.mark.parametrize(
    ("wire", "tier"),
    [("default", "standard"), ("auto", None), ("flex", "flex"), ("priority", "priority"), ("", None), (3, None)],
)
def test_openai_service_tiers(wire: object, tier: str | None) -> None:
    """What OpenAI calls default is the standard tier; auto says nothing of what was served."""
    usage = openai_chat_usage({"service_tier": wire, "usage": {"prompt_tokens": 1}})
    assert usage is not None
    assert tier == usage.service_tier


def test_responses_reply_counts_tools_that_are_billed() -> None:
    """Searches, file searches and containers are counted; opened pages and functions are not."""
    body = {
        "service_tier": "priority",
        "tools": [{"type": "web_search"}],
        "output": [
            {"type": "reasoning"},
            {"type": "web_search_call", "action": {"type": "search", "query": "q"}},
            {"type": "web_search_call", "action": {"type": "open_page"}},
            {"type": "web_search_call"},
            {"type": "file_search_call"},
            {"type": "code_interpreter_call", "container_id": "c1"},
            {"type": "code_interpreter_call", "container_id": "c1"},
            {"type": "function_call"},
            {"type": ["odd"]},
            "odd",
        ],
        "usage": {
            "input_tokens": 500, "output_tokens": 100,
            "input_tokens_details": {"cached_tokens": 128, "cache_write_tokens": 256},
            "output_tokens_details": {"reasoning_tokens": 64},
        },
    }  # fmt: skip
    assert Usage(
        input_tokens=500,
        output_tokens=100,
        cache_read_tokens=128,
        cache_write_tokens=256,
        reasoning_tokens=64,
        server_tool_calls={"web_search": 2, "file_search": 1, "code_interpreter": 1},
        service_tier="priority",
    ) == openai_responses_usage(body)


def test_responses_preview_search_has_its_own_name() -> None:
    """The preview search tool is priced apart from the present one."""
    usage = openai_responses_usage(
        {
            "tools": [{"type": "web_search_preview_2025_03_11"}, {"type": "function"}, None],
            "output": [{"type": "web_search_call"}],
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
    )
    assert usage is not None
    assert {"web_search_preview": 1} == usage.server_tool_calls


def test_responses_stream_takes_the_last_event_with_counts() -> None:
    """The response inside the terminal event carries the counts; earlier events have none."""
    events = [
        {"type": "response.created", "response": {"usage": None}},
        {"type": "response.output_text.delta", "delta": "hi"},
        {"type": "response.incomplete", "response": {"usage": {"input_tokens": 8, "output_tokens": 3}}},
    ]
    assert Usage(input_tokens=8, output_tokens=3) == openai_responses_stream_usage(events)
    assert openai_responses_stream_usage(events[:2]) is None


def test_responses_cached_tokens_beyond_the_input_count_on_top() -> None:
    """A gateway that leaves cached tokens out of the input is counted up, not down."""
    usage = openai_responses_usage(
        {"usage": {"input_tokens": 10, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 500}}}
    )
    assert usage is not None
    assert 510 == usage.input_tokens


def test_embeddings_reply() -> None:
    """Embeddings have input only; some servers fill the total alone."""
    assert Usage(input_tokens=8) == openai_embeddings_usage({"usage": {"prompt_tokens": 8, "total_tokens": 8}})
    assert Usage(input_tokens=8) == openai_embeddings_usage({"usage": {"prompt_tokens": 0, "total_tokens": 8}})


def test_anthropic_input_includes_the_cache_parts() -> None:
    """Anthropic counts cached tokens beside the input; the common form counts them in it."""
    body = {
        "usage": {
            "input_tokens": 21, "output_tokens": 393, "cache_creation_input_tokens": 188,
            "cache_read_input_tokens": 2048,
            "cache_creation": {"ephemeral_5m_input_tokens": 88, "ephemeral_1h_input_tokens": 100},
            "output_tokens_details": {"thinking_tokens": 120},
            "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0},
            "service_tier": "standard", "inference_geo": "us",
        }
    }  # fmt: skip
    assert Usage(
        input_tokens=21 + 188 + 2048,
        output_tokens=393,
        cache_read_tokens=2048,
        cache_write_tokens=188,
        cache_write_1h_tokens=100,
        reasoning_tokens=120,
        server_tool_calls={"web_search": 2},
        service_tier="standard",
        inference_geo="us",
    ) == anthropic_usage(body)


def test_anthropic_fast_mode_is_a_tier() -> None:
    """Fast mode has prices of its own, so it stands where the tier stands."""
    usage = anthropic_usage({"usage": {"input_tokens": 1, "output_tokens": 1, "speed": "fast"}})
    assert usage is not None
    assert "fast" == usage.service_tier


def test_anthropic_write_total_beyond_the_breakdown_is_kept() -> None:
    """The total written is billed even where the breakdown by lifetime lists less."""
    usage = anthropic_usage(
        {
            "usage": {
                "input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": 184457,
                "cache_creation": {"ephemeral_5m_input_tokens": 31490, "ephemeral_1h_input_tokens": 0},
            }
        }
    )  # fmt: skip
    assert usage is not None
    assert (184457, 0) == (usage.cache_write_tokens, usage.cache_write_1h_tokens)


def test_anthropic_compaction_is_counted_with_the_message() -> None:
    """A compaction is billed, though the top level leaves it out."""
    body = {
        "model": "claude-opus-4-8",
        "usage": {
            "input_tokens": 23000, "output_tokens": 1000,
            "iterations": [
                {"type": "compaction", "input_tokens": 180000, "output_tokens": 3500},
                {"type": "message", "input_tokens": 23000, "output_tokens": 1000},
            ],
        },
    }  # fmt: skip
    assert (
        (None, Usage(input_tokens=180000, output_tokens=3500)),
        (None, Usage(input_tokens=23000, output_tokens=1000)),
    ) == anthropic_iterations(body)
    assert Usage(input_tokens=203000, output_tokens=4500) == anthropic_usage(body)


def test_anthropic_iterations_name_their_models() -> None:
    """Advisor and fallback iterations run on models of their own; tools belong to the one that served."""
    pairs = anthropic_iterations(
        {
            "usage": {
                "input_tokens": 700, "output_tokens": 90, "service_tier": "standard",
                "server_tool_use": {"web_search_requests": 1},
                "output_tokens_details": {"thinking_tokens": 30},
                "iterations": [
                    {"type": "message", "model": "claude-haiku-4-5", "input_tokens": 100, "output_tokens": 1},
                    {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 50, "output_tokens": 20},
                    {"type": "fallback_message", "model": "claude-sonnet-4-6", "input_tokens": 500,
                     "output_tokens": 80, "cache_read_input_tokens": 0},
                ],
            }
        }
    )  # fmt: skip
    assert ["claude-haiku-4-5", "claude-opus-4-8", "claude-sonnet-4-6"] == [model for model, _ in pairs]
    served = pairs[-1][1]
    # 700 - 100 - 500 input and 90 - 1 - 80 output tokens are reported by the top level alone.
    assert (600, 89, 30) == (served.input_tokens, served.output_tokens, served.reasoning_tokens)
    assert {"web_search": 1} == served.server_tool_calls
    assert {"standard"} == {usage.service_tier for _, usage in pairs}


def test_anthropic_lone_compaction_adds_to_the_top_level() -> None:
    """Without a message iteration the top level stands for the message itself."""
    usage = anthropic_usage(
        {
            "usage": {
                "input_tokens": 10, "output_tokens": 2,
                "iterations": [None, {"type": "compaction", "input_tokens": 100, "output_tokens": 5}],
            }
        }
    )  # fmt: skip
    assert Usage(input_tokens=110, output_tokens=7) == usage


def test_anthropic_stream_raises_the_start_to_the_deltas() -> None:
    """Deltas are cumulative; what only the start says is kept."""
    start = {
        "type": "message_start",
        "message": {
            "usage": {
                "input_tokens": 472, "output_tokens": 2, "cache_creation_input_tokens": 50,
                "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 50},
                "service_tier": "standard",
            }
        },
    }  # fmt: skip
    deltas = [
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 40, "input_tokens": None}},
        {
            "type": "message_delta",
            "usage": {"input_tokens": 10682, "output_tokens": 510, "server_tool_use": {"web_search_requests": 1}},
        },
    ]
    events = [start, {"type": "ping"}, *deltas, {"type": "message_stop"}]
    assert Usage(
        input_tokens=10682 + 50,
        output_tokens=510,
        cache_write_tokens=50,
        cache_write_1h_tokens=50,
        server_tool_calls={"web_search": 1},
        service_tier="standard",
    ) == anthropic_stream_usage(events)
    broken_off = anthropic_stream_usage(events[:3])
    assert broken_off is not None
    assert 40 == broken_off.output_tokens


def test_merge_replaces_lists_and_keeps_the_inputs() -> None:
    """The later list of iterations wins, and neither argument is changed."""
    earlier: dict[str, Any] = {"iterations": [{}], "output_tokens": 5}
    later: dict[str, Any] = {"iterations": [{}, {}], "output_tokens": 3}
    assert {"iterations": [{}, {}], "output_tokens": 5} == merge_anthropic_usage(earlier, later)
    assert 1 == len(earlier["iterations"])


@pytest.mark.parametrize("body", [None, "text", 3, [], {}, {"usage": None}, {"usage": {}}, {"usage": {"x": 1}}])
def test_no_counts_is_none_not_zero(body: object) -> None:
    """A reply that reports nothing is not a free reply."""
    for reader in READERS:
        assert not reader(body)
    assert openai_chat_stream_usage([body]) is None
    assert anthropic_stream_usage([body]) is None


@given(st.recursive(JSON, lambda inner: st.dictionaries(FIELDS, inner, max_size=6) | st.lists(inner, max_size=3)))
def test_garbage_never_raises_and_never_counts_below_zero(body: object) -> None:
    """Whatever a gateway sends, counts are whole, not negative, and parts fit the whole."""
    for reader in (openai_chat_usage, openai_responses_usage, openai_embeddings_usage, anthropic_usage):
        usage = reader(body)
        if usage is not None:
            assert 0 <= usage.cache_read_tokens + usage.cache_write_tokens <= usage.input_tokens
            assert 0 <= usage.reasoning_tokens <= usage.output_tokens
            assert 0 <= usage.cache_write_1h_tokens <= usage.cache_write_tokens
    anthropic_stream_usage([body, body])
    openai_chat_stream_usage([body, body])
