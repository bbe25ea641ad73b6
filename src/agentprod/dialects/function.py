"""Plain functions: arguments are the request, the return value is the reply."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from agentprod.dialects.base import Dialect, Fragment, Reader
from agentprod.dialects.neutral import NeutralRequest
from agentprod.dialects.openai_chat import ChatReader, OpenAIChat
from agentprod.dialects.paths import leaves
from agentprod.dialects.values import from_json, to_json
from agentprod.parts import Part

__all__ = [
    "CHAT_FUNCTION",
    "FUNCTION",
    "ChatFunction",
    "Function",
    "from_json",
    "to_json",
]


class Function(Dialect):
    """A function's arguments and value; its texts are the strings in them."""

    name: ClassVar[str] = "function"
    operation: ClassVar[str] = "function"

    def request_fragments(self, request: Mapping[str, Any]) -> Iterator[Fragment]:
        """Yield every string in the arguments; objects of other kinds are left alone."""
        for index, (name, value) in enumerate(request.items()):
            part = Part("argument", "user", 0, index, name)
            for path, text in leaves(value):
                yield Fragment(part, text, (name, *path))

    def last_user_text(self, request: Mapping[str, Any]) -> str | None:
        """Return the only string among the arguments, if there is exactly one."""
        texts = [value for value in request.values() if isinstance(value, str)]
        return texts[0] if len(texts) == 1 else None

    def map_text(self, request: Mapping[str, Any], fn: Callable[[str, Part], str]) -> Mapping[str, Any]:
        """Return the arguments with `fn(text, part)` for every string."""
        plain = dict(request)
        changed = super().map_text(plain, fn)
        return request if changed is plain else changed

    def body_fragments(self, body: Any, request: Mapping[str, Any]) -> Iterator[Fragment]:
        """Yield every string in the value."""
        for path, text in leaves(body):
            yield Fragment(Part("text"), text, path)

    def event_fragments(self, event: Any, json_text: bool = False) -> Iterator[Fragment]:
        """Yield every string in an item; only items that are strings continue one text."""
        if isinstance(event, str):
            yield Fragment(Part("text"), event, ())


class ChatFunction(OpenAIChat):
    """A function that takes `(model, messages, …)` as OpenAI's chat does, and returns what it likes."""

    def request_fragments(self, request: Mapping[str, Any]) -> Iterator[Fragment]:
        """Yield message texts, of messages that are models (a reply handed back) too."""
        yield from super().request_fragments(_dumped_messages(request))

    def map_text(self, request: Mapping[str, Any], fn: Callable[[str, Part], str]) -> Mapping[str, Any]:
        """Return the request with `fn(text, part)` for every text; a message that is a model becomes a dict then."""
        dumped = _dumped_messages(request)
        changed = super().map_text(dumped, fn)
        return request if changed is dumped else changed

    def last_user_text(self, request: Mapping[str, Any]) -> str | None:
        """Return the last message's text when it is a user's and all text."""
        return super().last_user_text(_dumped_messages(request))

    def to_neutral(self, request: Mapping[str, Any]) -> NeutralRequest:
        """Return the request in the neutral form."""
        return super().to_neutral(_dumped_messages(request))

    def text(self, body: Any) -> str:
        """Return the text, of a completion or of a plain string."""
        return body if isinstance(body, str) else super().text(body)

    def body_fragments(self, body: Any, request: Mapping[str, Any]) -> Iterator[Fragment]:
        """Yield the texts of a completion, or every string of another value."""
        if isinstance(body, Mapping) and "choices" in body:
            yield from super().body_fragments(body, request)
        else:
            yield from FUNCTION.body_fragments(body, request)

    def event_fragments(self, event: Any, json_text: bool = False) -> Iterator[Fragment]:
        """Yield the texts of a chunk, or a string item."""
        if isinstance(event, Mapping) and "choices" in event:
            yield from super().event_fragments(event, json_text)
        else:
            yield from FUNCTION.event_fragments(event)

    def text_event(self, part: Part, text: str, like: Any) -> Any:
        """Return a chunk, or the text itself where items are strings."""
        return text if isinstance(like, str) else super().text_event(part, text, like)

    def make_body(self, request: Mapping[str, Any], text_or_body: Any) -> Any:
        """Return the value as given: only the function knows what kind it returns."""
        return text_or_body

    def reader(self) -> Reader:
        """Return a reader of chunks or of plain items, whichever come."""
        return _EitherReader()

    def split(self, body: Any) -> list[Any]:
        """Return the chunks of a completion, or the value as one item."""
        return super().split(body) if isinstance(body, Mapping) and "choices" in body else FUNCTION.split(body)

    def join(self, events: list[Any]) -> Any:
        """Return the completion of chunks, or the joined items."""
        chunks = events and all(isinstance(event, Mapping) and "choices" in event for event in events)
        return super().join(events) if chunks else FUNCTION.join(events)


def _dumped_messages(request: Mapping[str, Any]) -> Mapping[str, Any]:
    messages = request.get("messages")
    if not isinstance(messages, list | tuple) or all(isinstance(message, Mapping) for message in messages):
        return request
    return {**request, "messages": [to_json(message) for message in messages]}


class _EitherReader(ChatReader):
    """Reads chat chunks as such, and anything else as plain items."""

    __slots__ = ("_items",)

    def __init__(self) -> None:
        super().__init__()
        self._items = False

    def other(self, event: Any) -> bool:
        if type(event) is dict and ("choices" in event or "error" in event):
            return super().other(event)
        self.content = self._items = True
        if isinstance(event, str):
            self.texts.append(event)
        return False

    def end(self) -> None:
        self.done = self.done or self._items


FUNCTION = Function()
CHAT_FUNCTION = ChatFunction()
