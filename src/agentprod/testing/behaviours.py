"""What a scripted `Provider` can do with a request.

Each function returns one behaviour; a script is made of them. Those with `reply=` damage or delay
what another behaviour delivers, and may be nested: `slow(0.1, reply=cut(after=3, how="rst"))`.

`after` counts the events of a stream as they are on the wire, preamble included; `None` is the middle
of the content, with at least one piece of it delivered. Where the caller did not ask for a stream, the
fault strikes within the JSON body: before its first byte with `after=0`, else halfway.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from agentprod.errors import ConfigError
from agentprod.testing.answers import Answer, ToolCall
from agentprod.testing.damage import Cut, Dribble, Malformed, Pings, Slow, Stall, StreamError, Truncation
from agentprod.testing.options import check_after, check_count, check_headers, check_seconds, check_status
from agentprod.testing.replies import Behaviour, Delivery, Events, Failure, JsonBody, RawBytes, Refusal, Silence
from agentprod.testing.wire.sse import event
from agentprod.usage import Usage

__all__ = [
    "Behaviour",
    "black_hole",
    "cut",
    "dribble",
    "echo",
    "error",
    "json_body",
    "malformed",
    "named",
    "ok",
    "pings",
    "rate_limit",
    "raw",
    "refuse",
    "slow",
    "sse_error",
    "sse_events",
    "stall",
    "truncate",
]

DEFAULT_TEXT = "Hello from the scripted provider."


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
    if text == DEFAULT_TEXT and (tool_calls or refusal is not None or _is_list(chunks)):
        text = None
    return Delivery(
        Answer(
            text="".join(chunks) if text is None and isinstance(chunks, Sequence) else text,
            tool_calls=tuple(_tool_call(call) for call in tool_calls),
            reasoning=reasoning,
            usage=_usage(usage),
            finish=finish,
            refusal=refusal,
            chunks=_chunks(chunks, text),
            headers=check_headers("ok", headers or {}),
        )
    )


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


def rate_limit(
    retry_after: float | str | None = None,
    *,
    retry_after_ms: float | None = None,
    headers: Mapping[str, object] | None = None,
    code: str | None = None,
    message: str | None = None,
) -> Behaviour:
    """Refuse with status 429.

    Args:
        retry_after: the `retry-after` header: seconds, or an HTTP date as text; `None` sends none.

        retry_after_ms: the `retry-after-ms` header, in milliseconds.

        headers: more response headers.

        code: the error's code, such as `"insufficient_quota"`.

        message: the error's message.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if a header would break the HTTP head.
    """
    sent: dict[str, object] = {}
    if retry_after is not None:
        sent["retry-after"] = retry_after
    if retry_after_ms is not None:
        sent["retry-after-ms"] = retry_after_ms
    kind = "insufficient_quota" if code == "insufficient_quota" else None
    checked = check_headers("rate_limit", {**sent, **(headers or {})})
    return Failure(429, kind, code, message, checked, name="rate_limit")


def error(
    status: int = 500,
    *,
    type: str | None = None,
    code: str | None = None,
    message: str | None = None,
    headers: Mapping[str, object] | None = None,
) -> Behaviour:
    """Answer with an HTTP error in the shape of the provider that is asked.

    Args:
        status: 400 to 599; 529 is Anthropic's "overloaded".

        type: the error's type; `None` takes the one the provider has for the status.

        code: the error's code; Anthropic has it as `details.error_code`.

        message: the error's message.

        headers: more response headers.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if the status is no error or a header would break the HTTP head.
    """
    check_status("error", status, least=400)
    return Failure(status, type, code, message, check_headers("error", headers or {}))


def cut(
    after: int | None = None, how: Literal["fin", "rst"] = "fin", *, reply: Behaviour | str | None = None
) -> Behaviour:
    """Let the socket die in the middle of the body.

    Args:
        after: events delivered before; 0 is after the headers, and as many as there are or more is after the last
            event but before the end of the HTTP body.

        how: `"fin"` closes the connection, `"rst"` resets it.

        reply: what is delivered until then.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if an option is not of that form.
    """
    check_after("cut", after)
    if how not in ("fin", "rst"):
        raise ConfigError(f'cut(how=) must be "fin" or "rst", not {how!r}')
    return Cut(_reply(reply), after, how)


def refuse() -> Behaviour:
    """Reset the connection as soon as the request is read, before any byte of response."""
    return Refusal()


def truncate(
    after: int | None = None, *, inside_tool_call: bool = False, reply: Behaviour | str | None = None
) -> Behaviour:
    """End the body too early, with complete HTTP framing: nothing says that the reply is finished.

    Args:
        after: events delivered before; what says that the reply is finished is never among them.

        inside_tool_call: stop while the arguments of a tool call are incomplete, at the first such place
            from `after` on.

        reply: what is delivered until then.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if an option is not of that form, or the reply has no tool call to stop in.
    """
    check_after("truncate", after)
    if reply is None and inside_tool_call:
        reply = ok(tool_calls=[{"name": "get_weather", "arguments": {"city": "Berlin"}}])
    shortened = _reply(reply)
    if inside_tool_call and not _has_tool_calls(shortened):
        raise ConfigError("truncate(inside_tool_call=True) needs reply=ok(tool_calls=[...]) to stop inside of")
    return Truncation(shortened, after, inside_tool_call)


def malformed(after: int | None = None, *, reply: Behaviour | str | None = None) -> Behaviour:
    """Put an event that is not JSON into the stream; a whole body is not JSON at all.

    Args:
        after: events delivered before it; the others follow.

        reply: what is delivered otherwise.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if an option is not of that form.
    """
    check_after("malformed", after)
    return Malformed(_reply(reply), after)


def sse_error(
    after: int | None = None,
    type: str | None = None,
    message: str | None = None,
    *,
    reply: Behaviour | str | None = None,
) -> Behaviour:
    """Fail in the middle of a stream that began with status 200, in the shape of the provider that is asked.

    Where no stream is asked for, it is the HTTP error of the same type.

    Args:
        after: events delivered before the error, which is the last.

        type: such as `"overloaded_error"` or `"server_error"`, translated to the provider's word; `None` takes
            overloaded for Anthropic and a server error for OpenAI.

        message: the error's message.

        reply: what is delivered until then.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if an option is not of that form.
    """
    check_after("sse_error", after)
    return StreamError(_reply(reply), after, type, message)


def slow(
    seconds: float = 0.1,
    first: float | None = None,
    *,
    between: float | None = None,
    reply: Behaviour | str | None = None,
) -> Behaviour:
    """Deliver late. The delays are real time.

    Args:
        seconds: before the headers.

        first: between headers and preamble, which come on time, and the first content.

        between: before every further piece of content.

        reply: what is delivered.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if a delay is negative or not finite.
    """
    for option, value in (("seconds", seconds), ("first", first), ("between", between)):
        check_seconds("slow", option, value)
    return Slow(_reply(reply), seconds, first, between)


def stall(after: int | None = None, *, reply: Behaviour | str | None = None) -> Behaviour:
    """Stop sending in the middle of the body, and keep the socket open until the client or the provider closes it.

    Args:
        after: events delivered before; 0 is after the headers.

        reply: what is delivered until then.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if an option is not of that form.
    """
    check_after("stall", after)
    return Stall(_reply(reply), after)


def black_hole() -> Behaviour:
    """Read the request and never answer, with the socket open until the client or the provider closes it."""
    return Silence()


def dribble(
    bytes_per_write: int = 1, interval: float = 0.002, *, reply: Behaviour | str | None = None
) -> Behaviour:
    """Deliver the whole response, headers too, in tiny writes; no read ever waits long, yet all of it takes long.

    Args:
        bytes_per_write: 1 or more.

        interval: seconds between writes, in real time.

        reply: what is delivered.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if an option is not of that form.
    """
    check_count("dribble", "bytes_per_write", bytes_per_write, least=1)
    check_seconds("dribble", "interval", interval)
    return Dribble(_reply(reply), bytes_per_write, interval)


def pings(
    every: float = 0.01, count: int = 3, *, after: int | None = None, reply: Behaviour | str | None = None
) -> Behaviour:
    """Send signs of life in the middle of a stream: Anthropic's ping events, or comments elsewhere.

    A reply that is no stream is delivered as it is.

    Args:
        every: seconds before each of them, in real time.

        count: how many.

        after: events delivered before the first of them.

        reply: what is delivered around them.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if an option is not of that form.
    """
    check_seconds("pings", "every", every)
    check_count("pings", "count", count, least=1)
    check_after("pings", after)
    return Pings(_reply(reply), every, count, after)


def json_body(body: Any, status: int = 200, *, headers: Mapping[str, object] | None = None) -> Behaviour:
    """Answer with a JSON body of your own.

    Args:
        body: anything `json.dumps` takes.

        status: 200 to 599.

        headers: more response headers.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if the body cannot be JSON, or the status or a header is not of that form.
    """
    check_status("json_body", status, least=200)
    try:
        json.dumps(body)
    except (TypeError, ValueError) as problem:
        raise ConfigError(f"json_body(body) must be what JSON can say: {problem}") from problem
    return JsonBody(body, status, check_headers("json_body", headers or {}))


def sse_events(
    events: Sequence[str | bytes | Mapping[str, Any] | tuple[str, Mapping[str, Any]]],
    *,
    headers: Mapping[str, object] | None = None,
) -> Behaviour:
    """Answer with a stream of your own events; nothing is added to them.

    Args:
        events: text and bytes are sent verbatim, blank line included; a mapping becomes `data: {...}`, and a
            pair of a name and a mapping becomes `event: name` and `data: {...}`.

        headers: more response headers.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if an event or a header is not of that form.
    """
    encoded = tuple(_event(item) for item in events)
    return Events(encoded, check_headers("sse_events", headers or {}))


def raw(data: bytes) -> Behaviour:
    """Send these bytes in the place of an HTTP response, status line included, and close the connection.

    Args:
        data: what to send.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if `data` is not bytes.
    """
    if not isinstance(data, bytes):
        raise ConfigError(f"raw(data) must be bytes, not {data.__class__.__name__}")
    return RawBytes(data)


_NAMED: dict[str, Callable[[], Behaviour]] = {
    "ok": ok,
    "echo": echo,
    "rate_limit": rate_limit,
    "error": error,
    "cut": cut,
    "refuse": refuse,
    "truncate": truncate,
    "malformed": malformed,
    "sse_error": sse_error,
    "slow": slow,
    "stall": stall,
    "black_hole": black_hole,
    "dribble": dribble,
    "pings": pings,
}


def named(name: str) -> Behaviour:
    """Return the behaviour of a name, with its defaults: `"rate_limit"` is `rate_limit()`.

    Args:
        name: one of the functions here; those that need something of yours have no short form.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if there is no such behaviour.
    """
    try:
        return _NAMED[name]()
    except KeyError:
        raise ConfigError(f"no behaviour is called {name!r}; there are {', '.join(sorted(_NAMED))}") from None


def _reply(reply: Behaviour | str | None) -> Behaviour:
    if reply is None:
        return ok()
    if isinstance(reply, str):
        return named(reply)
    if not isinstance(reply, Behaviour):
        raise ConfigError(f"reply= must be a behaviour or the name of one, not {type(reply).__name__}")
    return reply


def _has_tool_calls(behaviour: Any) -> bool:
    while hasattr(behaviour, "reply"):
        behaviour = behaviour.reply
    return isinstance(behaviour, Delivery) and bool(behaviour.answer.tool_calls)


def _tool_call(call: Mapping[str, Any]) -> ToolCall:
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


def _event(item: Any) -> bytes:
    if isinstance(item, bytes):
        return item
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, Mapping):
        return event(item).data
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
        return event(item[1], item[0]).data
    raise ConfigError(f"sse_events() takes text, bytes, mappings and (name, mapping) pairs, not {type(item).__name__}")
