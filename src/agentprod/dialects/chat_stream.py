"""Chat completions as chunks, and chunks as a completion, without loss."""

from __future__ import annotations

from typing import Any

__all__ = ["join_chunks", "split_completion"]

_JOINED = frozenset({"content", "refusal", "reasoning_content", "reasoning", "arguments", "input"})


def split_completion(body: Any) -> list[Any]:
    """Return the chunks a provider would stream for this completion: role, content, finish, usage."""
    shared = {key: value for key, value in body.items() if key not in ("choices", "usage", "object")}
    shared["object"] = "chat.completion.chunk"
    chunks: list[Any] = []
    for choice in body.get("choices") or ():
        message = dict(choice.get("message") or {})
        index = choice.get("index", 0)
        calls = message.pop("tool_calls", None)
        role = message.pop("role", "assistant")
        content = {key: value for key, value in message.items() if value is not None}
        first = _chunk(shared, index, {"role": role, **({} if content or calls else {"content": ""})})
        chunks.append(first)
        for key, value in content.items():
            chunks.append(_chunk(shared, index, {key: value}, choice.get("logprobs") if key == "content" else None))
        if calls:
            streamed = [{"index": position, **call} for position, call in enumerate(calls)]
            chunks.extend(_chunk(shared, index, {"tool_calls": [call]}) for call in streamed)
        chunks.append(_chunk(shared, index, {}, None, choice.get("finish_reason") or "stop"))
    if body.get("usage") is not None:
        chunks.append({**shared, "choices": [], "usage": body["usage"]})
    return chunks


def _chunk(shared: dict[str, Any], index: int, delta: Any, logprobs: Any = None, finish: str | None = None) -> Any:
    return {
        **shared,
        "choices": [{"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}],
    }


def join_chunks(chunks: list[Any]) -> Any:
    """Return the completion these chunks carry: deltas joined by choice and by tool call."""
    body: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    usage = None
    for chunk in chunks:
        if not isinstance(chunk, dict):
            continue
        body.update({key: value for key, value in chunk.items() if key not in ("choices", "usage", "object")})
        usage = chunk.get("usage") or usage
        for choice in chunk.get("choices") or ():
            joined = choices.setdefault(choice.get("index", 0), {"message": {"role": "assistant", "content": None}})
            _merge(joined["message"], choice.get("delta") or {})
            if choice.get("logprobs"):
                _join_logprobs(joined, choice["logprobs"])
            if choice.get("finish_reason") is not None:
                joined["finish_reason"] = choice["finish_reason"]
            joined.update({k: v for k, v in choice.items() if k not in ("index", "delta", "logprobs", "finish_reason")})
    body["object"] = "chat.completion"
    body["choices"] = [
        {"index": index, "logprobs": None, "finish_reason": None, **choice} for index, choice in sorted(choices.items())
    ]
    if usage is not None:
        body["usage"] = usage
    return body


def _merge(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for key, value in delta.items():
        if key == "tool_calls":
            calls = message.setdefault("tool_calls", [])
            for call in value:
                _merge_call(calls, call)
        elif key in _JOINED and isinstance(value, str) and isinstance(message.get(key), str):
            message[key] += value
        elif value is not None or key not in message:
            message[key] = value


def _merge_call(calls: list[dict[str, Any]], call: dict[str, Any]) -> None:
    position = call.get("index", 0)
    while len(calls) <= position:
        calls.append({})
    known = calls[position]
    for key, value in call.items():
        if key == "index":
            continue
        if isinstance(value, dict):
            inner = known.setdefault(key, {})
            for name, text in value.items():
                if name in _JOINED and isinstance(text, str) and isinstance(inner.get(name), str):
                    inner[name] += text
                elif text is not None or name not in inner:
                    inner[name] = text
        elif value is not None or key not in known:
            known[key] = value


def _join_logprobs(joined: dict[str, Any], piece: dict[str, Any]) -> None:
    whole = joined.get("logprobs") or {}
    joined["logprobs"] = {
        key: (whole.get(key) or []) + value if isinstance(value, list) else value for key, value in piece.items()
    }
