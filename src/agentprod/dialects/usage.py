"""Read the token counts out of providers' replies, as they stand on the wire.

Every function takes decoded JSON: a whole reply, one stream event, or the bare usage object. It returns `None`
where no counts are reported, so that "not reported" is never taken for "free". Fields that are missing, `None` or
not numbers count as absent; nothing here raises on what a provider or a gateway sends.

Field names are those of the OpenAI and Anthropic API references, and of the gateways that speak their formats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

from agentprod.usage import Usage

__all__ = [
    "anthropic_iterations",
    "anthropic_stream_usage",
    "anthropic_usage",
    "merge_anthropic_usage",
    "openai_chat_stream_usage",
    "openai_chat_usage",
    "openai_embeddings_usage",
    "openai_responses_stream_usage",
    "openai_responses_usage",
]

JSON = Mapping[str, Any]
_EMPTY: JSON = {}


def openai_chat_usage(body: object) -> Usage | None:
    """Read the usage of an OpenAI chat completion, of one of its stream chunks, or of a compatible provider's.

    `prompt_tokens` includes what was read from and written to the cache. Where a provider reports more cached
    tokens than prompt tokens, it counts them beside the prompt, and so does this function. Where `total_tokens`
    is more than prompt and completion together, the rest is reasoning that the provider bills as output but
    leaves out of `completion_tokens` (xAI, and Gemini's compatible endpoint).

    Args:
        body: the reply, the chunk, or the usage object itself.

    Returns:
        The counts, or `None` when there are none.
    """
    whole = _mapping(body)
    usage = _usage_of(whole, "prompt_tokens", "completion_tokens")
    if usage is None:
        # Groq puts the counts of a stream beside the standard field.
        usage = _usage_of(_mapping(whole.get("x_groq")), "prompt_tokens", "completion_tokens")
    if usage is None:
        return None
    details = _mapping(usage.get("prompt_tokens_details"))
    counts, inside, outside = _counts(usage), _counts(details), _counts(usage.get("completion_tokens_details"))
    prompt, completion = counts.get("prompt_tokens", 0), counts.get("completion_tokens", 0)
    # Three counts alone say nothing of a cache.
    write, write_1h = _chat_cache_write(usage, details) if details or len(usage) > 3 else (0, 0)
    # DeepSeek, Moonshot and translated Anthropic replies name what was read from the cache beside the details.
    read = inside.get("cached_tokens") or max(
        counts.get("cached_tokens", 0),
        counts.get("prompt_cache_hit_tokens", 0),
        counts.get("cache_read_input_tokens", 0),
    )
    if read + write > prompt:
        prompt += read + write
    unlisted = max(0, counts.get("total_tokens", 0) - prompt - completion)
    return Usage(
        input_tokens=prompt,
        output_tokens=completion + unlisted,
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=write_1h,
        reasoning_tokens=min(max(outside.get("reasoning_tokens", 0), unlisted), completion + unlisted),
        input_audio_tokens=inside.get("audio_tokens", 0),
        output_audio_tokens=outside.get("audio_tokens", 0),
        input_image_tokens=inside.get("image_tokens", 0),
        service_tier=_openai_tier(whole, usage),
    )


def openai_responses_usage(body: object) -> Usage | None:
    """Read the usage of an OpenAI Responses reply, or of a stream event that carries one.

    Tool calls that OpenAI runs and bills itself are counted from the output items: searches (not the pages opened
    or searched in), file searches, and code interpreter containers.

    Args:
        body: the response, an event such as `response.completed`, or the usage object itself.

    Returns:
        The counts, or `None` when there are none.
    """
    whole = _mapping(body)
    whole = _mapping(whole.get("response")) or whole
    usage = _usage_of(whole, "input_tokens", "output_tokens")
    if usage is None:
        return None
    inside, outside = _mapping(usage.get("input_tokens_details")), _mapping(usage.get("output_tokens_details"))
    prompt, output = _count(usage, "input_tokens"), _count(usage, "output_tokens")
    read, write = _count(inside, "cached_tokens"), _count(inside, "cache_write_tokens")
    return Usage(
        input_tokens=prompt if read + write <= prompt else prompt + read + write,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=write,
        reasoning_tokens=min(_count(outside, "reasoning_tokens"), output),
        input_audio_tokens=_count(inside, "audio_tokens"),
        output_audio_tokens=_count(outside, "audio_tokens"),
        input_image_tokens=_count(inside, "image_tokens"),
        server_tool_calls=_responses_tools(whole),
        service_tier=_openai_tier(whole, usage),
    )


def openai_embeddings_usage(body: object) -> Usage | None:
    """Read the usage of an OpenAI embeddings reply.

    Args:
        body: the reply, or the usage object itself.

    Returns:
        The counts, or `None` when there are none.
    """
    usage = _usage_of(_mapping(body), "prompt_tokens", "total_tokens")
    if usage is None:
        return None
    return Usage(input_tokens=max(_count(usage, "prompt_tokens"), _count(usage, "total_tokens")))


def openai_chat_stream_usage(chunks: Iterable[object]) -> Usage | None:
    """Read the usage of a whole chat stream, from whichever chunk carries it.

    Providers put the counts on an extra last chunk, on the chunk that ends the text, or, growing, on every chunk;
    the largest total is the final one.

    Args:
        chunks: the decoded stream chunks.

    Returns:
        The counts, or `None` when no chunk carries any.
    """
    best: Usage | None = None
    tier: str | None = None
    for chunk in chunks:
        usage = openai_chat_usage(chunk)
        tier = _openai_tier(_mapping(chunk), _EMPTY) or tier
        if usage is not None and (best is None or usage.total_tokens >= best.total_tokens):
            best = usage
    return replace(best, service_tier=tier) if best is not None and best.service_tier is None else best


def openai_responses_stream_usage(events: Iterable[object]) -> Usage | None:
    """Read the usage of a whole Responses stream, from the last event that carries it.

    Args:
        events: the decoded stream events.

    Returns:
        The counts, or `None` when no event carries any.
    """
    last: Usage | None = None
    for event in events:
        last = openai_responses_usage(event) or last
    return last


def anthropic_usage(body: object) -> Usage | None:
    """Read the usage of an Anthropic message.

    Anthropic counts cached tokens beside `input_tokens`; here they are part of it. What was written to the cache
    and is missing from the breakdown by lifetime is taken as written for five minutes. A reply of several
    iterations (compaction, advisor, server-side fallback) gives their sum, with each of them in `parts`, to be priced
    with its own model.

    Args:
        body: the message, a `message_start` or `message_delta` event, or the usage object itself.

    Returns:
        The counts, or `None` when there are none.
    """
    iterations = anthropic_iterations(body)
    total: Usage | None = None
    for _, usage in iterations:
        total = usage if total is None else total + usage
    if total is None or all(model is None for model, _ in iterations):
        return total
    return replace(total, parts=iterations)


def anthropic_iterations(body: object) -> tuple[tuple[str | None, Usage], ...]:
    """Read what each model was used for in one Anthropic message.

    Args:
        body: the message, a `message_start` or `message_delta` event, or the usage object itself.

    Returns:
        Pairs of model and usage, one for each iteration listed, one in all when none is listed, none when no
        counts are reported. The model is `None` when it is the one that was asked for.
    """
    whole = _mapping(body)
    whole = _mapping(whole.get("message")) or whole
    usage = _usage_of(whole, "input_tokens", "output_tokens")
    if usage is None:
        return ()
    top = _anthropic_counts(usage)
    tier, geo = _anthropic_tier(usage), _text(usage, "inference_geo")
    listed = usage.get("iterations")
    entries = [entry for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []
    if not entries:
        return ((None, replace(top, service_tier=tier, inference_geo=geo)),)
    parts = [(_text(entry, "model"), _anthropic_counts(entry)) for entry in entries]
    # The top level leaves out compaction and advisor iterations, and alone knows tools and thinking.
    main = [i for i, entry in enumerate(entries) if entry.get("type") not in ("compaction", "advisor_message")]
    if not main:
        return (
            (None, replace(top, service_tier=tier, inference_geo=geo)),
            *((model, replace(part, service_tier=tier, inference_geo=geo)) for model, part in parts),
        )
    served = main[-1]
    model, part = parts[served]
    parts[served] = (model, _raise_to(part, top, [parts[i][1] for i in main]))
    return tuple((model, replace(part, service_tier=tier, inference_geo=geo)) for model, part in parts)


def anthropic_stream_usage(events: Iterable[object]) -> Usage | None:
    """Read the usage of an Anthropic stream, whole or broken off.

    Args:
        events: the decoded stream events.

    Returns:
        The counts so far, or `None` when no event carries any.
    """
    merged: JSON = {}
    for event in events:
        whole = _mapping(event)
        merged = merge_anthropic_usage(merged, (_mapping(whole.get("message")) or whole).get("usage"))
    return anthropic_usage(merged)


def merge_anthropic_usage(earlier: object, later: object) -> dict[str, Any]:
    """Merge the usage objects of `message_start` and of the `message_delta`s that follow it.

    Deltas are cumulative, so each count becomes the larger of the two; what only one of them says is kept.

    Args:
        earlier: the usage object merged so far; anything but a mapping counts as empty.

        later: the usage object of the next event.

    Returns:
        A new usage object in Anthropic's own form.
    """
    merged = dict(_mapping(earlier))
    for name, value in _mapping(later).items():
        before = merged.get(name)
        if value is None:
            continue
        if isinstance(value, Mapping):
            merged[name] = merge_anthropic_usage(before, value)
        elif _number(value) is not None and _number(before) is not None:
            merged[name] = max(_number(before) or 0, _number(value) or 0)
        else:
            merged[name] = value
    return merged


def _anthropic_counts(usage: JSON) -> Usage:
    breakdown = _mapping(usage.get("cache_creation"))
    hour = _count(breakdown, "ephemeral_1h_input_tokens")
    write = max(_count(usage, "cache_creation_input_tokens"), hour + _count(breakdown, "ephemeral_5m_input_tokens"))
    read = _count(usage, "cache_read_input_tokens")
    output = _count(usage, "output_tokens")
    thinking = _count(_mapping(usage.get("output_tokens_details")), "thinking_tokens")
    tools = _mapping(usage.get("server_tool_use"))
    calls = {name.removesuffix("_requests"): _count(tools, name) for name in tools if isinstance(name, str)}
    return Usage(
        input_tokens=_count(usage, "input_tokens") + read + write,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=hour,
        reasoning_tokens=min(thinking, output),
        server_tool_calls={name: count for name, count in calls.items() if count},
    )


def _raise_to(part: Usage, top: Usage, listed: list[Usage]) -> Usage:
    """Give the serving iteration what the top level reports and the iterations together do not."""
    changes: dict[str, Any] = {"server_tool_calls": top.server_tool_calls}
    for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens"):
        missing = getattr(top, name) - sum(getattr(usage, name) for usage in listed)
        changes[name] = getattr(part, name) + max(0, missing)
    changes["reasoning_tokens"] = min(top.reasoning_tokens, changes["output_tokens"])
    return replace(part, **changes)


def _anthropic_tier(usage: JSON) -> str | None:
    return "fast" if usage.get("speed") == "fast" else _text(usage, "service_tier")


def _openai_tier(whole: JSON, usage: JSON) -> str | None:
    tier = _text(whole, "service_tier") or _text(usage, "service_tier")
    return {"default": "standard", "auto": None}.get(tier, tier) if tier else None


def _chat_cache_write(usage: JSON, details: JSON) -> tuple[int, int]:
    """Tokens written to the cache, and the part of them written for an hour, under the names in use."""
    breakdown = (
        _mapping(details.get("cache_creation"))
        or _mapping(details.get("cache_creation_token_details"))
        or _mapping(usage.get("cache_creation"))
    )
    hour = _count(breakdown, "ephemeral_1h_input_tokens")
    reported = max(
        _count(details, "cache_write_tokens"),
        _count(details, "cache_creation_tokens"),
        _count(details, "cache_creation_input_tokens"),
        _count(usage, "cache_creation_input_tokens"),
    )
    return max(reported, hour + _count(breakdown, "ephemeral_5m_input_tokens")), hour


def _responses_tools(whole: JSON) -> dict[str, int]:
    output = whole.get("output")
    items = [item for item in output if isinstance(item, Mapping)] if isinstance(output, list) else []
    calls: dict[str, int] = {}
    containers = set()
    for item in items:
        kind = item.get("type")
        if kind == "web_search_call" and _mapping(item.get("action")).get("type", "search") == "search":
            name = _web_search_name(whole)
        elif kind == "code_interpreter_call":
            containers.add(str(item.get("container_id")))
            continue
        elif kind == "file_search_call":
            name = "file_search"
        else:
            continue
        calls[name] = calls.get(name, 0) + 1
    if containers:
        calls["code_interpreter"] = len(containers)
    return calls


def _web_search_name(whole: JSON) -> str:
    """The preview tool has prices of its own; the reply repeats which tools were offered."""
    tools = whole.get("tools")
    kinds = [str(_mapping(tool).get("type")) for tool in tools] if isinstance(tools, list) else []
    searches = [kind for kind in kinds if kind.startswith("web_search")]
    preview = bool(searches) and all(kind.startswith("web_search_preview") for kind in searches)
    return "web_search_preview" if preview else "web_search"


def _usage_of(whole: JSON, *counts: str) -> JSON | None:
    """The usage object inside `whole`, or `whole` itself; `None` unless it holds at least one of the counts."""
    for found in (whole.get("usage"), whole):
        usage = _mapping(found)
        for name in counts:
            if _number(usage.get(name)) is not None:
                return usage
    return None


def _mapping(value: object) -> JSON:
    # Asking for an abstract class costs many times as much, and this reads every reply.
    if type(value) is dict:
        return value
    return value if value is not None and isinstance(value, Mapping) else _EMPTY


def _text(holder: JSON, name: str) -> str | None:
    value = holder.get(name)
    return value if isinstance(value, str) and value else None


def _count(holder: JSON, name: str) -> int:
    value = holder.get(name)
    return 0 if value is None else max(0, _number(value) or 0)


def _counts(value: object) -> dict[str, int]:
    """All counts above 0 that a mapping holds."""
    found: dict[str, int] = {}
    for name, count in _mapping(value).items():
        number = count if type(count) is int else _number(count)
        if number is not None and number > 0:
            found[name] = number
    return found


def _number(value: object) -> int | None:
    """A count as an integer; some gateways send whole numbers as floats."""
    if isinstance(value, int):
        return None if isinstance(value, bool) else value
    return int(value) if isinstance(value, float) and isfinite(value) else None
