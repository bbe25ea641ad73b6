"""What a model can take: how much, which kinds of content, whether tools."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from agentprod.capability_table import TABLE

__all__ = ["Capabilities", "capabilities"]

_TRIMMED = re.compile(
    r"[-@](?:20\d{2}-\d{2}-\d{2}|20\d{6}|\d{4}|\d{2}-\d{2})$|-v\d+(?::\d+)?$|[-@](?:latest|default|preview|\d{3})$|:\w+$"
)
_CLOUD = re.compile(r"^(?:(?:us|eu|apac|jp|global)\.)?(?:anthropic|mistral|deepseek|openai|qwen|moonshotai|zai)\.")
_MOST_KEPT = 1024


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one model can take. `None` is not known."""

    input_tokens: int | None = None
    """Most tokens of a request."""
    output_tokens: int | None = None
    """Most tokens of a reply."""
    media: frozenset[str] | None = None
    """Kinds of content besides text: of `"image"`, `"audio"` and `"file"`."""
    tools: bool | None = None
    """Whether it calls tools."""
    cached_prefix: int | None = None
    """Tokens of the shortest prefix that its provider's prompt cache keeps."""


UNKNOWN = Capabilities()


def capabilities(model: str | None) -> Capabilities:
    """Return what is known of a model, from a dated table that comes with the package.

    Dates, channels and the prefixes of gateways and clouds are left out of account: `openai/gpt-5-mini-2025-08-07` is
    `gpt-5-mini`.

    Args:
        model: the name as it stands in the request.

    Returns:
        Its capabilities; nothing but `None` for a model that is not in the table.
    """
    return UNKNOWN if not model else _find(model[:_LONGEST])


_LONGEST = 200


@cache
def _table() -> dict[str, Capabilities]:
    found = {}
    for line in TABLE.split("\n"):
        if not line:
            continue
        name, sizes, *told = line.split()
        most_in, _, most_out = sizes.partition("/")
        prefix = next((int(word[6:]) for word in told if word.startswith("cache=")), None)
        media = frozenset(word for word in told if word in ("image", "audio", "file"))
        found[name] = Capabilities(int(most_in), int(most_out) if most_out else None, media, "tools" in told, prefix)
    return found


_kept: dict[str, Capabilities] = {}


def _find(model: str) -> Capabilities:
    known = _kept.get(model)
    if known is None:
        known = _look_up(model)
        if len(_kept) >= _MOST_KEPT:  # names may come from users
            _kept.clear()
        _kept[model] = known
    return known


def _look_up(model: str) -> Capabilities:
    table = _table()
    name = _CLOUD.sub("", model.strip().lower().rpartition("/")[2])
    while True:
        for spelled in (name, re.sub(r"(?<=\d)\.(?=\d)", "-", name)):
            if spelled in table:
                return table[spelled]
        shorter = _TRIMMED.sub("", name)
        if shorter == name:
            return UNKNOWN
        name = shorter
