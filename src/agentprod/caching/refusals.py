"""What is never stored, and why: as data where a list can say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentprod.call import Call
    from agentprod.dialects.base import Dialect
    from agentprod.ledger import Ledger

__all__ = ["LOOKED_AT", "refuse_body", "refuse_call", "refuse_ledger", "refuse_request"]

_STATEFUL = ("store", "background", "previous_response_id", "conversation", "container")
"""Parameters by which a reply depends on, or leaves behind, something at the provider."""

_LIVE = ("web_search_options", "search_parameters", "mcp_servers", "plugins")
"""Parameters that let the provider look things up."""

LOOKED_AT = frozenset({*_STATEFUL, *_LIVE, "modalities", "prompt", "tools", "model", "temperature"})
"""Every parameter that decides whether a request is refused."""

_LIVE_TOOLS = (
    "web_search",
    "web_fetch",
    "file_search",
    "code_interpreter",
    "code_execution",
    "image_generation",
    "mcp",
    "tool_search",
    "google_search",
    "url_context",
)
"""Beginnings of the types of tools that the provider runs itself."""

_LIVE_MODELS = ("-search-preview", "-search-api", "deep-research", ":online")
"""Parts of names of models that search by themselves."""

_ENDED_WELL = frozenset({"stop"})
_ENDED_WELL_OR_CALLS = frozenset({"stop", "tool_calls"})
_HARMLESS_FLAGS = ("usage",)


def refuse_request(request: Mapping[str, Any]) -> str | None:
    """Return why replies to a wire request are not kept, in one word; `None` when they may be."""
    for name in _STATEFUL:
        if request.get(name):
            return name
    for name in _LIVE:
        if request.get(name) is not None:
            return name
    modalities = request.get("modalities")
    if isinstance(modalities, list | tuple) and any(kind != "text" for kind in modalities):
        return "modalities"
    prompt = request.get("prompt")
    if isinstance(prompt, Mapping) and not prompt.get("version"):
        return "prompt"
    tools = request.get("tools")
    for tool in tools if isinstance(tools, list | tuple) else ():
        kind = tool.get("type") if isinstance(tool, Mapping) else None
        if isinstance(kind, str) and kind.startswith(_LIVE_TOOLS):
            return "provider_tool"
    model = request.get("model")
    if isinstance(model, str) and any(part in model for part in _LIVE_MODELS):
        return "searching_model"
    return None


def refuse_call(call: Call, *, deterministic_only: bool) -> str | None:
    """Return why a call neither reads nor writes the cache; `None` when it may.

    Args:
        call: the call.

        deterministic_only: refuse requests that may sample: temperature absent or above 0.
    """
    operation = call.operation
    if operation == "function":
        return None
    if operation == "embeddings":
        return None
    reason = refuse_request(call.request)
    if reason is None and deterministic_only and call.request.get("temperature") != 0:
        return "temperature"
    return reason


def refuse_body(dialect: Dialect, body: Any, *, tool_calls: bool) -> str | None:
    """Return why a whole reply is not kept; `None` when it may be.

    Only replies that ended by themselves and said something are kept. What a plain function returns is its
    own business: everything is kept, `None` and empty texts too.
    """
    if dialect.operation == "function":
        return None
    if isinstance(body, Mapping) and body.get("error"):
        return "error"
    if dialect.operation == "embeddings":
        return None if isinstance(body, Mapping) and body.get("data") else "empty"
    if not isinstance(body, Mapping):
        # A function of chat's arguments that returns plain values.
        return "empty" if body == "" else None
    choices = body.get("choices")
    if isinstance(choices, list) and len(choices) > 1:
        reasons = (_refuse_answer(dialect, {**body, "choices": [choice]}, tool_calls) for choice in choices)
        return next((reason for reason in reasons if reason is not None), None)
    return _refuse_answer(dialect, body, tool_calls)


def _refuse_answer(dialect: Dialect, body: Mapping[str, Any], tool_calls: bool) -> str | None:
    calls = dialect.tool_calls(body)
    if calls and not tool_calls:
        return "tool_calls"
    finish = dialect.finish(body)
    if finish not in (_ENDED_WELL_OR_CALLS if tool_calls else _ENDED_WELL):
        return "unfinished" if finish is None else finish
    if _refusal(body):
        return "refusal"
    if not calls and not dialect.text(body).strip():
        return "empty"
    return None


def _refusal(body: Mapping[str, Any]) -> bool:
    """Whether a model declined in the place made for it, or answered in sound or images."""
    for choice in body.get("choices") or ():
        message = choice.get("message") if isinstance(choice, Mapping) else None
        if isinstance(message, Mapping) and (message.get("refusal") or message.get("audio") or message.get("images")):
            return True
    for item in _list(body.get("output")):
        if any(_mapping(part).get("type") == "refusal" for part in _list(_mapping(item).get("content"))):
            return True
    return False


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def refuse_ledger(ledger: Ledger) -> str | None:
    """Return why a reply is not kept after what happened to its call; `None` when it may be.

    A reply of a fallback is not what was asked for; one that a layer flagged is suspect; one that the semantic cache
    gave may be a guess, which it must be able to take back, and has its own time to live.
    """
    if any(note.layer == "Fallback" for note in ledger.notes):
        return "fallback"
    if any(not flag.startswith(_HARMLESS_FLAGS) for flag in ledger.flags):
        return "flagged"
    if ledger.dropped:
        return "dropped"
    if ledger.cache == "hit_semantic" or any(
        note.layer == "SemanticCache" and note.event == "hit" for note in ledger.notes
    ):
        return "semantic"
    return None
