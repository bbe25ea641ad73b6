"""What something cost, whatever it is: a result, an error, a reply from elsewhere, bare token counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from agentprod.budget.prices import default
from agentprod.dialects.usage import (
    anthropic_usage,
    openai_chat_usage,
    openai_embeddings_usage,
    openai_responses_usage,
)
from agentprod.errors import ConfigError
from agentprod.meta import meta
from agentprod.usage import Usage

__all__ = ["cost"]


def cost(obj: Any, *, model: str | None = None, provider: str | None = None) -> Decimal | None:
    """Return what something cost.

    ```python
    ap.cost(reply)  # what came from a wrapped client, failed attempts and retries included
    ap.cost(other_reply)  # any OpenAI or Anthropic reply, as an object or as JSON: by its own token counts
    ap.cost(usage, model="gpt-5-mini")
    ```

    Args:
        obj: what a wrapped client returned or raised, an `ap.Meta`, the calls of `ap.record()`, a reply that passed no
            stack, as an SDK's object or as JSON, or a `Usage`.

        model: the model, where `obj` does not name it; it wins over what it names.

        provider: who served it, such as `"azure"` or `"bedrock"`, where prices differ.

    Returns:
        USD, exactly: 0 for a cache hit, and `None` when the counts or the price are not known.

    Raises:
        ConfigError: nothing of it can be priced, or the model is missing.
    """
    if isinstance(obj, Usage):
        return _priced(obj, model, provider)
    if isinstance(getattr(type(obj), "cost", None), property):  # an account: ap.Meta, the calls of ap.record()
        return obj.cost  # type: ignore[no-any-return]
    try:
        return meta(obj).cost
    except ConfigError:
        pass
    body = _body(obj)
    if body is None:
        raise ConfigError(
            f"nothing is known of the cost of this {type(obj).__name__}: it came through no stack and holds no token "
            "counts; give a reply, or a Usage with model="
        )
    usage = _read(body)
    if usage is None:
        return None
    named = body.get("model")
    return _priced(usage, model or (named if isinstance(named, str) else None), provider)


def _priced(usage: Usage, model: str | None, provider: str | None) -> Decimal | None:
    if model is None:
        raise ConfigError("ap.cost needs to know the model: ap.cost(usage, model=...)")
    return default(provider or "", model, usage)


def _body(obj: Any) -> Mapping[str, Any] | None:
    if isinstance(obj, Mapping):
        return obj
    dump = getattr(obj, "model_dump", None) or getattr(obj, "to_dict", None)
    found = dump() if callable(dump) and not isinstance(obj, BaseException) else None
    return found if isinstance(found, Mapping) else None


def _read(body: Mapping[str, Any]) -> Usage | None:
    read: Callable[[object], Usage | None] = openai_chat_usage
    kind, counts = body.get("object"), body.get("usage")
    if kind == "response":
        read = openai_responses_usage
    elif kind == "list":
        read = openai_embeddings_usage
    elif body.get("type") == "message" or (isinstance(counts, Mapping) and "input_tokens" in counts):
        read = anthropic_usage
    return read(body)
