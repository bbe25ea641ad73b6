"""Server-sent events, byte for byte as the providers write them."""

from __future__ import annotations

import json
from typing import Any

from agentprod.testing.plan import Mark, Piece

__all__ = ["DONE", "dump", "event"]

DONE = Piece(b"data: [DONE]\n\n", mark="terminal")
"""The last event of OpenAI's chat streams."""


def dump(value: Any) -> bytes:
    """Return JSON as the providers write it: no spaces, text as UTF-8 and not escaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def event(
    data: Any,
    *,
    name: str | None = None,
    mark: Mark = "frame",
) -> Piece:
    """Return one event: `data:` alone, or with an `event:` line before it when it has a name."""
    head = f"event: {name}\n".encode() if name else b""
    payload = head + b"data: " + dump(data) + b"\n\n"
    return Piece(payload, mark)
