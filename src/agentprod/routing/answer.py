"""What a check looks at: one answer, and what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from agentprod.routing.ask import read_ask

if TYPE_CHECKING:
    from agentprod.call import Call

__all__ = ["Answer", "read_answer"]


@dataclass(frozen=True)
class Answer:
    """One model's answer to a request."""

    text: str
    model: str
    request: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Wire JSON, or the arguments of a function."""
    body: Any = field(default=None, repr=False)
    """The whole reply in the caller's wire form."""
    finish: str | None = None
    """Why it ended: `"stop"`, `"length"`, `"tool_calls"`, `"content_filter"`, `"other"`; `None` if unsaid."""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    """Each with `name` and `arguments`."""
    tools: tuple[str, ...] = ()
    """Names of the tools that were offered."""
    wants_json: bool = False
    """Whether the request asks for JSON."""
    failed: Mapping[str, float] = field(default_factory=dict)
    """1 for each check before this one that failed, 0 for each that passed."""

    @cached_property
    def prompt(self) -> str:
        """The last question of the user."""
        return read_ask(self.request).text


def read_answer(call: Call, body: Any, model: str) -> Answer:
    """Read an answer in the caller's wire form.

    Args:
        call: what was asked.

        body: the whole reply.

        model: who answered.
    """
    dialect, request = call.dialect, call.request
    return Answer(
        dialect.text(body),
        model,
        request,
        body,
        dialect.finish(body),
        tuple(dialect.tool_calls(body)),
        tuple(name for tool in dialect.tools(request) if (name := _tool_name(tool)) is not None),
        dialect.wants_json(request),
    )


def _tool_name(tool: Mapping[str, Any]) -> str | None:
    function = tool.get("function")
    name = function.get("name") if isinstance(function, Mapping) else tool.get("name")
    return name if isinstance(name, str) else None
