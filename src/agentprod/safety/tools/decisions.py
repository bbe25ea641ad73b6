"""What a guard is asked, and what it decides."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, NamedTuple

from agentprod.safety.tools.tool import Risk

__all__ = ["Asked", "Reason", "Request", "ToolDecision", "Unreadable", "canonical", "digest_of", "parse"]

Reason = Literal[
    "allowed",
    "not_listed",
    "not_for_this_agent",
    "too_large",
    "too_deep",
    "unreadable",
    "invalid",
    "rate",
    "max_calls",
    "needs_approval",
    "denied",
    "approval_timeout",
    "approval_failed",
    "changed",
    "audit_failed",
]
"""Why a tool call ran or did not."""


class Asked(NamedTuple):
    """One call as a model wrote it.

    Args:
        id: its id, which the result must carry.

        name: of the tool.

        arguments: JSON text, or the object itself.
    """

    id: str
    name: str
    arguments: Any


@dataclass(frozen=True, slots=True)
class Request:
    """What `approve` decides on.

    Attributes:
        tool: name of the tool.

        arguments: a copy; changing it changes nothing.

        digest: SHA-256 over tool and canonical arguments: what was approved is what runs.

        risk: of the tool.

        call_id: the model's id of the call.

        agent: name of the run it is part of, or `None`.

        tainted: whether an argument quotes text that was passed as untrusted.
    """

    tool: str
    arguments: dict[str, Any]
    digest: str
    risk: Risk
    call_id: str
    agent: str | None = None
    tainted: bool = False


@dataclass(frozen=True, slots=True)
class ToolDecision:
    """Whether a call may run, and why; it holds no argument.

    Attributes:
        tool: name of the tool, as the model wrote it.

        allowed: whether it runs.

        reason: one of `Reason`.

        call_id: the model's id of the call.

        risk: of the tool; `None` when it is not listed.

        approved: whether a human or your callback was asked and agreed.

        message: what the model is told.
    """

    tool: str
    allowed: bool
    reason: Reason
    call_id: str
    risk: Risk | None = None
    approved: bool = False
    message: str = ""


class Unreadable(ValueError):
    """Raised for arguments that are no JSON object, or could be read in two ways."""


def parse(text: str) -> Any:
    """Return JSON text as data.

    Raises:
        Unreadable: it is no JSON, names a key twice, or holds NaN, infinity or `1e999`: what is approved must have one
            meaning.
        RecursionError: it is nested too deep.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise Unreadable("they name a key twice")
        return found

    def refuse(word: str) -> Any:
        raise Unreadable(f"{word} is no JSON")

    def finite(word: str) -> float:
        number = float(word)
        return number if isfinite(number) else refuse("a number beyond all bounds")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=refuse, parse_float=finite)
    except json.JSONDecodeError as error:
        place = f"{error.msg} at character {error.pos}"
    raise Unreadable(place)


def canonical(tool: str, arguments: Mapping[str, Any]) -> str:
    """Return tool and arguments as the one text that stands for them."""
    return json.dumps([tool, arguments], sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(tool: str, arguments: Mapping[str, Any]) -> str:
    """Return the SHA-256 of `canonical`, in hexadecimal digits."""
    return hashlib.sha256(canonical(tool, arguments).encode()).hexdigest()
