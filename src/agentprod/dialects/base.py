"""What a wire format must be able to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

from agentprod.dialects.editing import StreamEdit, edit_fragments, edit_parts
from agentprod.dialects.neutral import NeutralReply, NeutralRequest
from agentprod.dialects.neutral_stream import StreamTeller, StreamWriter
from agentprod.errors import ConfigError
from agentprod.parts import MakeEditor, Part
from agentprod.usage import Usage

__all__ = ["Dialect", "Fragment", "Reader", "whole_body"]


class Fragment(NamedTuple):
    """One piece of editable text and where it stands in its JSON."""

    part: Part
    text: str
    path: tuple[Any, ...]


class Reader:
    """Follows one stream: what came, and whether it is whole.

    Subclasses set the attributes in `feed`.
    """

    __slots__ = ("content", "done", "sealed", "texts", "usage")

    def __init__(self) -> None:
        self.content = False
        """Some text, reasoning, tool call or refusal has come."""
        self.done = False
        """The terminal marker has come: the reply is whole."""
        self.sealed = False
        """Nothing follows any more."""
        self.texts: list[str] = []
        """The text, piece by piece."""
        self.usage: Usage | None = None

    def feed(self, event: Any) -> bool:
        """Look at one event's JSON; return whether it is an error event."""
        raise NotImplementedError

    def mark(self, raw: bytes | None) -> None:
        """Look at an event without JSON, such as `[DONE]`."""

    def end(self) -> None:
        """Take note that the source has ended of itself; a format without a terminal marker is whole then."""

    def open_tool_calls(self) -> tuple[str, ...]:
        """Return the names of tool calls whose arguments are not complete."""
        return ()


def whole_body(body: Any) -> Any:
    """Return a reply that a layer made up, if it is one.

    Raises:
        ConfigError: it is neither a text nor a reply in wire form.
    """
    if isinstance(body, Mapping):
        return body
    dumped = "; an SDK's object is one after .model_dump()" if hasattr(body, "model_dump") else ""
    raise ConfigError(
        f"call.reply takes the answer's text, or a whole reply in wire form as a dict, "
        f"not {type(body).__name__}{dumped}"
    )


class Dialect:
    """One wire format. Subclass it for a format of your own and pass it to `stack.decorate(fn, dialect=…)`.

    Requests, bodies and events are JSON-able data. Every method is pure: it never changes what it is
    given. The methods below work for any format whose reply is plain text or JSON; override what your
    format does differently. `agentprod.testing.conformance.dialect_checks` tells what is wrong with it.
    """

    name: ClassVar[str] = "plain"
    operation: ClassVar[str] = "function"
    sentinel: ClassVar[bytes] = b""
    """Bytes that close an encoded stream, such as `data: [DONE]`."""

    repeatable: ClassVar[bool] = True
    """Whether sending a request twice does no more than sending it once, but for the bill."""

    once: ClassVar[bool] = False
    """Whether a request cannot be sent a second time, because what it is made of is read while it is sent."""

    paths: ClassVar[tuple[str, ...]] = ()
    """How the paths end that requests of this format are posted to, such as `"/generate"`.

    For clients that `wrap` takes, once a package registers the format as an entry point of the group
    `agentprod.dialects`.
    """

    # Requests

    def model(self, request: Mapping[str, Any]) -> str | None:
        """Return the model asked for."""
        model = request.get("model")
        return model if isinstance(model, str) else None

    def with_model(self, request: Mapping[str, Any], model: str) -> dict[str, Any]:
        """Return the request with another model."""
        return {**request, "model": model}

    def request_fragments(self, request: Mapping[str, Any]) -> Iterable[Fragment]:
        """Yield every editable text of a request."""
        return ()

    def map_text(self, request: Mapping[str, Any], fn: Callable[[str, Part], str]) -> Mapping[str, Any]:
        """Return the request with `fn(text, part)` for every text; the same object when nothing changed."""
        return edit_fragments(request, self.request_fragments(request), fn)  # type: ignore[no-any-return]

    def last_user_text(self, request: Mapping[str, Any]) -> str | None:
        """Return the text of the last message when it is a user's and all text; `None` otherwise."""
        return None

    def tools(self, request: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the tool definitions of a request."""
        return []

    def wants_json(self, request: Mapping[str, Any]) -> bool:
        """Whether the reply's text will be JSON."""
        return False

    def user(self, request: Mapping[str, Any]) -> str | None:
        """Return the end user named in the request itself."""
        return None

    # Replies

    def text(self, body: Any) -> str:
        """Return the text of a whole reply (of its first choice)."""
        return body if isinstance(body, str) else ""

    def usage(self, body: Any) -> Usage | None:
        """Return the token counts of a whole reply; `None` when it carries none."""
        return None

    def finish(self, body: Any) -> str | None:
        """Return why a whole reply ended: `"stop" "length" "tool_calls" "content_filter" "other"`; `None` if unsaid."""
        return None

    def tool_calls(self, body: Any) -> list[dict[str, Any]]:
        """Return the tool calls of a whole reply, each with `id`, `name` and `arguments`."""
        return []

    def body_fragments(self, body: Any, request: Mapping[str, Any]) -> Iterable[Fragment]:
        """Yield every editable text of a whole reply."""
        if isinstance(body, str):
            yield Fragment(Part("text"), body, ())

    def edit_body(self, body: Any, make: MakeEditor, request: Mapping[str, Any]) -> Any:
        """Return the reply rewritten by editors; the same object when nothing changed."""
        edited = edit_parts(body, self.body_fragments(body, request), make)
        return body if edited is body else self.forget_details(edited)

    def forget_details(self, body: Any) -> Any:
        """Drop what an edit made untrue, such as log-probabilities of the old text."""
        return body

    def make_body(self, request: Mapping[str, Any], text_or_body: Any) -> Any:
        """Return a whole reply in wire form, from a text or a body given as it is."""
        return text_or_body

    # The neutral form

    def to_neutral(self, request: Mapping[str, Any]) -> NeutralRequest | None:
        """Return the request in the neutral form; `None` when this format has no way there."""
        return None

    def from_neutral(self, neutral: NeutralRequest) -> dict[str, Any] | None:
        """Return a request of this format; what it cannot say is added to `neutral.lost`."""
        return None

    def reply_to_neutral(self, body: Any) -> NeutralReply | None:
        """Return a whole reply in the neutral form."""
        return None

    def reply_from_neutral(self, neutral: NeutralReply) -> Any:
        """Return a whole reply of this format; what it cannot say is added to `neutral.lost`."""
        return None

    def stream_to_neutral(self) -> StreamTeller | None:
        """Return what tells what a stream's events say; `None` when this format has no way there."""
        return None

    def stream_from_neutral(self) -> StreamWriter | None:
        """Return what writes a stream's events in this format."""
        return None

    # Streams

    def reader(self) -> Reader:
        """Return a fresh reader for one stream."""
        return _ItemReader()

    def event_fragments(self, event: Any, json_text: bool = False) -> Iterable[Fragment]:
        """Yield the text pieces one event carries."""
        if isinstance(event, str):
            yield Fragment(Part("text"), event, ())

    def ends(self, event: Any, open_parts: Iterable[Part]) -> list[Part]:
        """Return which open parts end with or before this event."""
        return []

    def text_event(self, part: Part, text: str, like: Any) -> Any:
        """Return an event that carries only `text` of `part`; `like` is an earlier event of the part."""
        return text

    def tool_names(self, event: Any) -> Iterable[tuple[int, int, str]]:
        """Return `(choice, index, name)` of tool calls that this event names; their arguments follow without it."""
        return ()

    def rewrite_snapshots(self, event: Any, finals: Mapping[Part, str]) -> Any:
        """Return the event with repeated whole texts replaced by their edited ones."""
        return event

    def stream_editor(self, make: MakeEditor, request: Mapping[str, Any]) -> StreamEdit:
        """Return the stage that edits a stream."""
        return StreamEdit(self, make, json_text=self.wants_json(request))

    def encode(self, event: Any) -> bytes:
        """Return an event's bytes on the wire."""
        from agentprod.dialects.sse import encode

        return encode(event)

    def is_usage_only(self, event: Any) -> bool:
        """Whether the event exists only because usage was asked for."""
        return False

    def asks_usage(self, request: Mapping[str, Any]) -> bool:
        """Whether the request asks for token counts in the stream, or always gets them."""
        return True

    def ask_usage(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the request with token counts in the stream asked for."""
        return dict(request)

    def split(self, body: Any) -> list[Any]:
        """Return the stream events that carry a whole reply."""
        return list(body) if isinstance(body, list) else [body]

    def join(self, events: list[Any]) -> Any:
        """Return the whole reply that a stream's events carry."""
        if all(isinstance(event, str) for event in events):
            return "".join(events)
        return list(events)


class _ItemReader(Reader):
    """Reads the items of a plain generator: each is content, and the generator's end is the terminal marker."""

    __slots__ = ()

    def feed(self, event: Any) -> bool:
        self.content = True
        if isinstance(event, str):
            self.texts.append(event)
        return False

    def end(self) -> None:
        self.done = True
