"""Plain functions: arguments are the request, the return value is the reply."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from agentprod.dialects.base import Dialect, Fragment, Reader
from agentprod.dialects.openai_chat import OpenAIChat
from agentprod.dialects.paths import leaves
from agentprod.parts import Part

__all__ = ["CHAT_FUNCTION", "FUNCTION", "Arguments", "ChatFunction", "Function", "from_json", "to_json"]


class Arguments(Mapping[str, Any]):
    """The arguments of one function call by name, bound to the signature only when somebody looks.

    `**kwargs` of the function are flattened in; `*args` stand under their parameter's name.
    """

    __slots__ = ("_bound", "_signature", "args", "kwargs")

    def __init__(self, signature: inspect.Signature | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._signature = signature
        self.args = args
        self.kwargs = kwargs
        self._bound: dict[str, Any] | None = None

    def bound(self) -> dict[str, Any]:
        """Return the arguments by name, defaults left out.

        Raises:
            TypeError: they do not fit the signature, as the function itself would say.
        """
        if self._bound is None:
            self._bound = self._bind()
        return self._bound

    def _bind(self) -> dict[str, Any]:
        if self._signature is None:
            return {**{f"arg{n}": value for n, value in enumerate(self.args)}, **self.kwargs}
        found = dict(self._signature.bind(*self.args, **self.kwargs).arguments)
        for parameter in self._signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                found.update(found.pop(parameter.name, {}))
        return found

    def __getitem__(self, name: str) -> Any:
        return self.bound()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.bound())

    def __len__(self) -> int:
        return len(self.bound())

    def __repr__(self) -> str:
        return f"Arguments({', '.join(self.bound())})"


def call_with(
    signature: inspect.Signature | None, request: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and keyword arguments that pass `request` to a function of this signature."""
    if signature is None:
        return (), dict(request)
    rest = dict(request)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        if parameter.name not in rest:
            continue
        value = rest.pop(parameter.name)
        if parameter.kind is parameter.VAR_POSITIONAL:
            args.extend(value)
        elif parameter.kind is parameter.POSITIONAL_ONLY:
            args.append(value)
        else:
            kwargs[parameter.name] = value
    if any(p.kind is p.VAR_POSITIONAL and request.get(p.name) for p in signature.parameters.values()):
        # Positional parameters before *args must be passed by position too.
        named = [p.name for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
        args = [kwargs.pop(name) for name in named if name in kwargs] + args
    return tuple(args), {**kwargs, **rest}


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
        changed = super().map_text(dict(request), fn)
        return request if changed == dict(request) else changed

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
        return _EitherReader(super().reader())

    def split(self, body: Any) -> list[Any]:
        """Return the chunks of a completion, or the value as one item."""
        return super().split(body) if isinstance(body, Mapping) and "choices" in body else FUNCTION.split(body)

    def join(self, events: list[Any]) -> Any:
        """Return the completion of chunks, or the joined items."""
        chunks = events and all(isinstance(event, Mapping) and "choices" in event for event in events)
        return super().join(events) if chunks else FUNCTION.join(events)


class _EitherReader(Reader):
    """Reads chat chunks as such, and anything else as plain items."""

    __slots__ = ("_chunks",)

    def __init__(self, chunks: Reader) -> None:
        super().__init__()
        self._chunks = chunks
        self.texts = chunks.texts

    def feed(self, event: Any) -> bool:
        if isinstance(event, dict) and ("choices" in event or "error" in event):
            broken = self._chunks.feed(event)
            self.content, self.done, self.usage = self._chunks.content, self._chunks.done, self._chunks.usage
            return broken
        self.content = self.done = True
        if isinstance(event, str):
            self.texts.append(event)
        return False

    def open_tool_calls(self) -> tuple[str, ...]:
        return self._chunks.open_tool_calls()


FUNCTION = Function()
CHAT_FUNCTION = ChatFunction()

_PLAIN = (str, int, float, bool, type(None), dict, list)


def to_json(value: Any) -> Any:
    """Return what a function returned as JSON-able data where its kind allows: models and dataclasses are dumped."""
    if isinstance(value, _PLAIN):
        return value
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return value


def from_json(data: Any, kind: Any) -> Any:
    """Return `data` as an instance of `kind`, the class a function returned or is annotated with.

    Raises:
        TypeError: the class has no way to be built from JSON.
    """
    if data is None or not isinstance(kind, type) or isinstance(data, kind):
        return data
    build = getattr(kind, "model_validate", None)
    if callable(build):
        return build(data)
    if dataclasses.is_dataclass(kind) and isinstance(data, dict):
        return kind(**data)
    if issubclass(kind, str | dict | list | int | float):
        return kind(data)
    raise TypeError(f"a {kind.__name__} cannot be rebuilt from JSON; return a dict, a dataclass or a pydantic model")
