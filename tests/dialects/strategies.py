"""What Hypothesis makes of wire formats: texts, bodies, cuts."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st

S = TypeVar("S", str, bytes)

TEXT = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    ["", "plain", "你好，世界", "émoji 🎉 \U0001f468‍\U0001f469", '"quoted" \\ back', "\n\t\x00", "\u2028", "a" * 200]
)
ANY_TEXT = TEXT | st.text(max_size=20)
"""Lone surrogates, too, as a broken tokenizer sends them."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=4)


def cut(whole: S, cuts: Sequence[int]) -> list[S]:
    """Cut something at these places, counted modulo its length; pieces may be empty."""
    places = sorted(place % (len(whole) + 1) for place in cuts)
    edges = [0, *places, len(whole)]
    return [whole[start:end] for start, end in itertools.pairwise(edges)]


CUTS = st.lists(st.integers(0, 10_000), max_size=12)


def maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a mapping in which each of these fields may be missing."""
    return st.fixed_dictionaries({}, optional=fields)


def merged(*parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Return the fields of all of these mappings."""
    return st.tuples(*parts).map(lambda found: {key: value for part in found for key, value in part.items()})


NAME = st.sampled_from(["search", "pay", "查询"])
ID = st.sampled_from(["id_1", "id_2"])


# OpenAI chat completions

CHAT_CALL = st.fixed_dictionaries(
    {
        "id": ID,
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": NAME, "arguments": OBJECT.map(json.dumps) | TEXT}),
    }
) | st.fixed_dictionaries(
    {"id": ID, "type": st.just("custom"), "custom": st.fixed_dictionaries({"name": NAME, "input": TEXT})}
)
LOGPROBS = st.fixed_dictionaries(
    {
        "content": st.none() | st.lists(st.fixed_dictionaries({"token": TEXT, "logprob": st.just(-0.5)}), max_size=3),
        "refusal": st.none() | st.lists(st.fixed_dictionaries({"token": TEXT}), max_size=2),
    }
)
CHAT_MESSAGE = merged(
    st.fixed_dictionaries({"role": st.just("assistant"), "content": st.none() | TEXT}),
    maybe(
        refusal=st.none() | TEXT,
        reasoning_content=TEXT,
        reasoning=TEXT,
        annotations=st.lists(JSON, max_size=2),
        audio=st.none(),
        tool_calls=st.none() | st.lists(CHAT_CALL, max_size=3),
    ),
)
CHAT_USAGE = st.fixed_dictionaries(
    {
        "prompt_tokens": st.integers(0, 99),
        "completion_tokens": st.integers(0, 99),
        "total_tokens": st.integers(0, 200),
        "prompt_tokens_details": st.none() | st.fixed_dictionaries({"cached_tokens": st.integers(0, 9)}),
    }
)
CHAT_BODY = merged(
    st.fixed_dictionaries(
        {
            "id": ID,
            "object": st.just("chat.completion"),
            "created": st.just(1_700_000_000),
            "model": st.just("m"),
            "choices": st.lists(
                merged(
                    st.fixed_dictionaries(
                        {
                            "message": CHAT_MESSAGE,
                            "logprobs": st.none() | LOGPROBS,
                            "finish_reason": st.sampled_from(["stop", "length", "tool_calls", "content_filter"]),
                        }
                    ),
                    maybe(content_filter_results=JSON),
                ),
                max_size=3,
            ).map(lambda choices: [{"index": index, **choice} for index, choice in enumerate(choices)]),
        }
    ),
    maybe(usage=CHAT_USAGE, system_fingerprint=st.none() | ID, service_tier=st.just("default")),
)


# Anthropic messages

CITATION = st.fixed_dictionaries({"type": st.just("char_location"), "cited_text": TEXT, "document_index": st.just(0)})
BLOCK = st.one_of(
    merged(
        st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}),
        maybe(citations=st.none() | st.lists(CITATION, max_size=2)),
    ),
    st.fixed_dictionaries({"type": st.just("thinking"), "thinking": TEXT, "signature": st.just("sig") | st.just("")}),
    st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": st.just("opaque")}),
    st.fixed_dictionaries({"type": st.just("tool_use"), "id": ID, "name": NAME, "input": OBJECT}),
    st.fixed_dictionaries({"type": st.just("server_tool_use"), "id": ID, "name": NAME, "input": OBJECT}),
    st.fixed_dictionaries(
        {"type": st.just("web_search_tool_result"), "tool_use_id": ID, "content": st.lists(JSON, max_size=2)}
    ),
)
MESSAGE_USAGE = merged(
    st.fixed_dictionaries({"input_tokens": st.integers(0, 99), "output_tokens": st.integers(0, 99)}),
    maybe(
        cache_read_input_tokens=st.integers(0, 9),
        cache_creation_input_tokens=st.integers(0, 9),
        service_tier=st.just("standard"),
        server_tool_use=st.fixed_dictionaries({"web_search_requests": st.integers(0, 3)}),
    ),
)
MESSAGE_BODY = merged(
    st.fixed_dictionaries(
        {
            "id": ID,
            "type": st.just("message"),
            "role": st.just("assistant"),
            "model": st.just("m"),
            "content": st.lists(BLOCK, max_size=4),
            "stop_reason": st.sampled_from(["end_turn", "tool_use", "max_tokens", "refusal", "pause_turn"]),
            "stop_sequence": st.none() | st.just("STOP"),
            "usage": MESSAGE_USAGE,
        }
    ),
    maybe(container=st.none() | st.fixed_dictionaries({"id": ID}), stop_details=st.none() | OBJECT),
)
