"""Faithful replies: `ok` and `echo`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentprod.errors import ConfigError
from agentprod.testing.answers import Answer, ToolCall
from agentprod.testing.behaviours.behaviour import Behaviour, short_form
from agentprod.testing.exchange import Exchange
from agentprod.testing.options import check_headers
from agentprod.testing.plan import Plan
from agentprod.testing.wire.surfaces import plan_answer
from agentprod.usage import Usage

__all__ = ["Delivery", "echo", "ok"]

DEFAULT_TEXT = "Hello from the scripted provider."


@dataclass(frozen=True, slots=True)
class Delivery:
    """A faithful reply."""

    answer: Answer
    name: str = "ok"

    def plan(self, exchange: Exchange) -> Plan:
        """Return what to send."""
        return plan_answer(exchange, self.answer)


@short_form
def ok(
    text: str | None = DEFAULT_TEXT,
    *,
    tool_calls: Sequence[Mapping[str, Any]] = (),
    reasoning: str | None = None,
    usage: Mapping[str, Any] | Usage | None = None,
    finish: str | None = None,
    refusal: str | None = None,
    chunks: int | Sequence[str] | None = None,
    headers: Mapping[str, object] | None = None,
) -> Behaviour:
    """Answer as the provider would.

    Args:
        text: what to say. Next to tool calls, a refusal or `chunks` the default text is left out.

        tool_calls: `{"name": str, "arguments": dict}` each.

        reasoning: thinking that precedes the text: `reasoning_content`, a reasoning item, or a thinking block.

        usage: token counts by the names of `agentprod.Usage`, such as `{"input_tokens": 9, "output_tokens": 3}`;
            `None` counts words and CJK characters; `{}` sends none, where the wire format allows that
            (Anthropic's and the embeddings' does not: they are counted then).

        finish: why the reply ended: `"stop"`, `"length"`, `"tool_calls"`, `"content_filter"`, translated for
            the other wire formats; any other word is sent as it is.

        refusal: the model's refusal, in the place the wire format has for it.

        chunks: how a stream cuts the text: into words (`None`), this many pieces, or exactly these.

        headers: more response headers, such as the rate limits; they win over the usual ones.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if a tool call, the usage, the chunks or a header is not of that form.
    """
    for option, value in (("text", text), ("reasoning", reasoning), ("finish", finish), ("refusal", refusal)):
        if value is not None and not isinstance(value, str):
            raise ConfigError(f"ok({option}=) must be text or None, not {type(value).__name__}")
    if text == DEFAULT_TEXT and (tool_calls or refusal is not None or _is_list(chunks)):
        text = None
    pieces = _chunks(chunks, text)
    return Delivery(
        Answer(
            text="".join(pieces) if text is None and isinstance(pieces, tuple) else text,
            tool_calls=tuple(_tool_call(call) for call in tool_calls),
            reasoning=reasoning,
            usage=_usage(usage),
            finish=finish,
            refusal=refusal,
            chunks=pieces,
            headers=check_headers("ok", headers or {}),
        )
    )


@short_form
def echo(
    *,
    everything: bool = False,
    chunks: int | None = None,
    usage: Mapping[str, Any] | Usage | None = None,
    headers: Mapping[str, object] | None = None,
) -> Behaviour:
    """Answer with what was asked.

    Args:
        everything: answer with all text of the request as a JSON list, instructions, messages, tool calls and
            tool results in their order, and not only with the user's last text.

        chunks: how many pieces a stream cuts the text into; `None` cuts it into words.

        usage: as for `ok`.

        headers: as for `ok`.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if the usage, the chunks or a header is not of that form.
    """
    return Delivery(
        Answer(
            echo="everything" if everything else "last",
            chunks=_chunks(chunks, None),
            usage=_usage(usage),
            headers=check_headers("echo", headers or {}),
        ),
        name="echo",
    )


def _tool_call(call: object) -> ToolCall:
    if not isinstance(call, Mapping) or set(call) != {"name", "arguments"}:
        raise ConfigError('ok(tool_calls=) takes {"name": ..., "arguments": {...}} each')
    name, arguments = call["name"], call["arguments"]
    if not isinstance(name, str) or not isinstance(arguments, Mapping):
        raise ConfigError("ok(tool_calls=): the name must be text and the arguments a mapping")
    try:
        return ToolCall(name, json.dumps(dict(arguments), ensure_ascii=False))
    except (TypeError, ValueError) as problem:
        raise ConfigError(f"ok(tool_calls=): the arguments must be what JSON can say: {problem}") from problem


def _usage(usage: Mapping[str, Any] | Usage | None) -> Usage | Literal["counted", "none"]:
    if usage is None:
        return "counted"
    if isinstance(usage, Usage):
        return usage
    if not usage:
        return "none"
    try:
        return Usage(**usage)
    except TypeError:
        raise ConfigError(f"usage= takes the names of agentprod.Usage, such as input_tokens; not {[*usage]}") from None


def _is_list(chunks: Any) -> bool:
    return isinstance(chunks, Sequence) and not isinstance(chunks, str)


def _chunks(chunks: int | Sequence[str] | None, text: str | None) -> int | tuple[str, ...] | None:
    if chunks is None or (isinstance(chunks, int) and not isinstance(chunks, bool) and chunks >= 1):
        return chunks
    if not _is_list(chunks) or not all(isinstance(piece, str) for piece in chunks):  # type: ignore[union-attr]
        raise ConfigError("chunks= must be None, a number of pieces, 1 or more, or a list of texts")
    pieces = tuple(chunks)  # type: ignore[arg-type]
    if text is not None and text != "".join(pieces):
        raise ConfigError("chunks= and text= say different things; give only one of them")
    return pieces
