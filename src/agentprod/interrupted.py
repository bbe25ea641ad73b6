"""Make a broken stream's error answer to the provider's own error classes too."""

from __future__ import annotations

from agentprod.errors import StreamInterrupted

__all__ = ["adopt", "interrupted_class"]

_classes: dict[type[BaseException], type[StreamInterrupted]] = {}


def interrupted_class(error: BaseException) -> type[StreamInterrupted]:
    """Return `StreamInterrupted`, also inheriting the class of an SDK's error, so `except openai.APIError` holds."""
    kind = type(error)
    if not any(cls.__name__ in ("OpenAIError", "AnthropicError", "APIError") for cls in kind.__mro__):
        return StreamInterrupted
    made = _classes.get(kind)
    if made is None:
        made = type("StreamInterrupted", (StreamInterrupted, kind), {"__module__": StreamInterrupted.__module__})
        _classes[kind] = made
    return made


def adopt(failure: BaseException, error: BaseException) -> None:
    """Give `failure` the attributes of the SDK's error that it does not have itself, such as `request` and `body`."""
    for name, value in vars(error).items():
        failure.__dict__.setdefault(name, value)
