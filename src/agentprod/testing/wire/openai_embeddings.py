"""OpenAI's `POST /v1/embeddings`, as floats and as base64."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Sequence
from typing import Any

from agentprod.testing.answers import Answer
from agentprod.testing.exchange import Exchange
from agentprod.testing.plan import Plan
from agentprod.testing.request_text import split_words
from agentprod.testing.wire.http_plans import json_plan

__all__ = ["embed", "plan_embeddings"]

_DIMENSIONS = 1536


def plan_embeddings(exchange: Exchange, answer: Answer) -> Plan:
    """Return the reply to an embeddings request; of the answer only usage and headers count."""
    inputs = _inputs(exchange.body.get("input"))
    asked = exchange.body.get("dimensions")
    dimensions = asked if isinstance(asked, int) and asked > 0 else _DIMENSIONS
    vectors = [embed(text, dimensions) for text in inputs]
    in_base64 = exchange.body.get("encoding_format") == "base64"
    tokens = answer.reply_to(exchange).usage.input_tokens
    body = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _base64(vector) if in_base64 else vector}
            for index, vector in enumerate(vectors)
        ],
        "model": exchange.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return json_plan(exchange, body, answer.headers)


def embed(text: str, dimensions: int) -> list[float]:
    """Return a vector of length 1 that depends on the text alone; texts that share words point the same way.

    Each word is hashed to one place with one sign (feature hashing, Weinberger et al. 2009). It knows nothing
    of meaning: it serves to tell texts apart.
    """
    vector = [0.0] * dimensions
    for word in split_words(text.casefold()) or [""]:
        digest = hashlib.blake2b(word.strip().encode(), digest_size=8).digest()
        place = int.from_bytes(digest[:7], "big") % dimensions
        vector[place] += 1.0 if digest[7] & 1 else -1.0
    # Two words may have cancelled out.
    length = math.sqrt(sum(value * value for value in vector))
    if not length:
        vector[0] = length = 1.0
    return [value / length for value in vector]


def _inputs(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Sequence):
        return []
    # A list of numbers is one text in tokens; a list of such lists is several.
    if value and all(isinstance(item, int) for item in value):
        return [" ".join(map(str, value))]
    return [item if isinstance(item, str) else " ".join(map(str, item)) for item in value]


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
