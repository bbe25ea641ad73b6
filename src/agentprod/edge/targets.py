"""Make targets: a model at another client, or a function."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from agentprod.call import Target
from agentprod.edge.foreign import ForeignEdge
from agentprod.errors import ConfigError

__all__ = ["target"]


def target(
    client: Any,
    model: str,
    *,
    drop: Collection[str] = (),
    defaults: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> Target:
    """Return a model at another client, for layers that choose among targets.

    The client may be of another SDK than the wrapped one: chat completions and messages are translated into each
    other, requests, replies, streams and errors alike, and the caller gets what its own client returns. A call that
    asks for something the target has no words for is not sent there, unless `drop` lists it.

    Args:
        client: an `openai` or `anthropic` client, sync or async like the wrapped one, without a stack of its own.

        model: the model to ask for.

        drop: names of request fields that may be left out there, such as `"logit_bias"`. What was left out stands in
            `ap.meta(result).dropped`. Thinking of another provider is left out in any case.

        defaults: request fields, in the client's own wire form, for calls that do not bring them:
            `{"max_tokens": 4096}` for Anthropic, which requires it.

        name: what to call it in `ap.meta(result).served_by`, notes and errors.

    Raises:
        ConfigError: no client of a known SDK, one that has a stack already, or an option of the wrong kind.
    """
    if not isinstance(model, str) or not model:
        raise ConfigError(f"ap.target(client, model) needs the model's name, not {model!r}")
    if isinstance(drop, str) or not all(isinstance(item, str) for item in drop):
        raise ConfigError(f"ap.target drop= takes a list of field names, such as drop=[{drop!r}]")
    if defaults is not None and not isinstance(defaults, Mapping):
        raise ConfigError(f"ap.target defaults= takes a mapping of request fields, not {type(defaults).__name__}")
    return ForeignEdge(client, frozenset(drop), defaults or {}).target(model, name)
