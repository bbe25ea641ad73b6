"""The one way by which message text may leave a call: scrubbed first, then cut, then handed on.

Spans, events, error messages, logs and the notebook card take text from here only. Whatever fails on the way drops
the content and counts it; there is no second, unscrubbed way.
"""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, NewType

from agentprod.errors import ConfigError
from agentprod.telemetry.binary import TYPE_KEYS, describe_encoded, without_data_urls
from agentprod.telemetry.drops import drops

__all__ = ["Capture", "CaptureMode", "ScrubbedText", "capture_mode"]

ScrubbedText = NewType("ScrubbedText", str)
"""Text that went through a `Capture`."""

_ERROR_BYTES = 500
# A constant, for `dict | list | tuple` would be built anew for every value.
_CONTAINERS = (dict, list, tuple)
_MAX_DEPTH = 24
_MAX_ITEMS = 200
# What a scrubber may need to see behind a place to know what stands there: a private key is about 3,300 characters.
_CONTEXT = 4096
# Allowed for each number, word or key and the punctuation around it.
_WORD = 8
_SHORT = 64
_LONGEST_KEY = 256
# Words of the wire formats, which hold no content and would each cost a scrub.
_PLAIN = frozenset(
    {
        *("role", "type", "content", "parts", "text", "user", "assistant", "system", "developer", "tool", "function"),
        *("name", "id", "arguments", "response", "tool_call", "tool_calls", "tool_call_response", "tool_call_id"),
        *("tool_use", "tool_result", "tool_use_id", "input", "output", "input_text", "output_text", "message"),
        *("reasoning", "image_url", "url", "source", "media_type", "mime_type", "modality", "base64", "data", "blob"),
    }
)
_LONGEST_PLAIN = max(map(len, _PLAIN))
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class CaptureMode:
    """Where message text is recorded."""

    span: bool = False
    event: bool = False

    def __bool__(self) -> bool:
        return self.span or self.event


_MODES = {
    "none": CaptureMode(),
    "span": CaptureMode(span=True),
    "event": CaptureMode(event=True),
    "both": CaptureMode(span=True, event=True),
}
_ENVIRONMENT = {"SPAN_ONLY": "span", "EVENT_ONLY": "event", "SPAN_AND_EVENT": "both"}


def capture_mode(option: str | None = None, *, environ: Mapping[str, str] = os.environ) -> CaptureMode:
    """Return where message text goes.

    Args:
        option: `"none"`, `"span"`, `"event"` or `"both"`; `None` asks the environment variable that the
            OpenTelemetry instrumentations use, `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`
            (`NO_CONTENT`, `SPAN_ONLY`, `EVENT_ONLY`, `SPAN_AND_EVENT`), and without it nothing is captured.

        environ: the environment.

    Raises:
        ConfigError: the option is none of these.
    """
    if option is None:
        asked = environ.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "")
        option = _ENVIRONMENT.get(asked.strip().upper(), "none")
    if option not in _MODES:
        raise ConfigError(f"capture is one of {', '.join(map(repr, _MODES))}, got {option!r}")
    return _MODES[option]


class Capture:
    """Turns message text into what may be recorded.

    Encoded files become their type and size; every string, keys included, goes through `scrub`; long strings and long
    conversations are cut so that the result is still a conversation; then `hook` sees it.
    No method raises: what fails is dropped, counted under `"capture"`, and reads `None`.

    Args:
        scrub: takes personal data out of a text. Where the stack already scrubbed, pass the scrubbed view and `str`.

        message_bytes: bytes of JSON a message may have.

        span_bytes: bytes of JSON all messages together may have.

        hook: sees what is about to be recorded, as JSON-able data, and returns what to record; `None` drops it.

    Raises:
        ConfigError: a limit is too small to say anything.
    """

    def __init__(
        self,
        scrub: Callable[[str], str],
        *,
        message_bytes: int = 8192,
        span_bytes: int = 65536,
        hook: Callable[[Any], Any] | None = None,
    ) -> None:
        if message_bytes < 256 or span_bytes < 2 * message_bytes:
            raise ConfigError(
                "message_bytes is at least 256 and span_bytes at least twice that, "
                f"got {message_bytes} and {span_bytes}"
            )
        self._scrub = scrub
        self._message_bytes = message_bytes
        self._span_bytes = span_bytes
        self._hook = hook

    def messages(self, messages: Sequence[Any]) -> str | None:
        """Return a conversation as JSON text for a span or event attribute.

        Args:
            messages: JSON-able messages, in the neutral form or any other.

        Returns:
            A JSON array no longer than `span_bytes`. When messages had to go, the first and the latest stay and one
            that says how many are missing stands between them.
        """
        try:
            whole, text = self._together(messages) or self._one_by_one(messages)
            return text if self._hook is None else self._hooked(whole)
        except Exception:
            drops.count("capture")
            return None

    def value(self, value: Any) -> str | None:
        """Return a tool's arguments, a tool's result or any other JSON-able value as JSON text for one attribute."""
        try:
            cleaned, text, _ = self._message(value)
            return text if self._hook is None else self._hooked(cleaned)
        except Exception:
            drops.count("capture")
            return None

    def text(self, text: str, *, limit: int | None = None) -> ScrubbedText | None:
        """Return a plain text, scrubbed and cut to `limit` bytes (`message_bytes` by default)."""
        try:
            made = self._string(text, limit or self._message_bytes)
            return ScrubbedText(made.encode("utf-8", "replace").decode())
        except Exception:
            drops.count("capture")
            return None

    def error(self, error: BaseException) -> ScrubbedText | None:
        """Return the message of an exception, which often quotes the prompt, scrubbed and cut to 500 bytes."""
        try:
            message = str(error)
        except Exception:
            drops.count("capture")
            return None
        return self.text(message, limit=_ERROR_BYTES)

    def stack(self, error: BaseException) -> ScrubbedText | None:
        """Return the formatted traceback of an exception, scrubbed and cut to `message_bytes`."""
        try:
            lines = "".join(traceback.format_exception(error))
        except Exception:
            drops.count("capture")
            return None
        return self.text(lines)

    def _hooked(self, value: Any) -> str | None:
        assert self._hook is not None
        value = self._hook(value)
        return None if value is None else _as_json(value)[1]

    def _together(self, messages: Sequence[Any]) -> tuple[list[Any], str] | None:
        """Return all messages as data and as JSON text, if together they are no more than one may be; else `None`."""
        cleaned, left = [], self._message_bytes
        for message in messages:
            room = _Room(self._message_bytes - 64)
            cleaned.append(self._clean(message, room, 0))
            left -= self._message_bytes - 64 - room.left
            if left < 0:
                return None
        _, text, size = _as_json(cleaned)
        return (cleaned, text) if size <= self._message_bytes else None

    def _one_by_one(self, messages: Sequence[Any]) -> tuple[list[Any], str]:
        """Return the first message and as many of the latest as fit, as data and as JSON text."""
        made, latest = [self._message(messages[0])], []
        left = self._span_bytes - 256 - made[0][2]
        for message in reversed(messages[1:]):
            one = self._message(message)
            left -= one[2] + 1
            if left < 0:
                break
            latest.append(one)
        missing = len(messages) - len(made) - len(latest)
        if missing:
            made.append(_as_json(_note(f"[{missing} messages left out]")))
        made += reversed(latest)
        return [cleaned for cleaned, _, _ in made], f"[{','.join(text for _, text, _ in made)}]"

    def _message(self, message: Any) -> tuple[Any, str, int]:
        """Return a message that is fit to record, as data and as JSON text, and its size in bytes."""
        # Counting escapes exactly for every string would cost more than the JSON itself. They are counted once, in the
        # result; only text full of them (quotes, line breaks, control characters) needs another round.
        room = self._message_bytes - 64
        made = _as_json(self._clean(message, _Room(room), 0))
        for _ in range(2):
            if made[2] <= self._message_bytes:
                return made
            room = room * self._message_bytes // (made[2] + 64)
            made = _as_json(self._clean(message, _Room(room), 0))
        if made[2] <= self._message_bytes:
            return made
        return _as_json(_note(f"[a message of many small parts, {made[2]} bytes, left out]"))

    def _clean(self, value: Any, room: _Room, depth: int) -> Any:
        if isinstance(value, str):
            room.left -= _WORD
            if len(value) <= _LONGEST_PLAIN and value in _PLAIN:
                return value
            # What is short still fits when a long text before it took its share: ids, names, types.
            return room.take(self._string(value, max(room.left - room.spare, _SHORT)))
        if isinstance(value, _CONTAINERS):
            if depth >= _MAX_DEPTH:
                return "[nested too deep]"
            return self._object(value, room, depth) if isinstance(value, dict) else self._array(value, room, depth)
        room.left -= _WORD
        if value is None or isinstance(value, int):
            return value
        if isinstance(value, float):
            return value if isfinite(value) else str(value)
        if isinstance(value, Mapping):
            return self._clean(dict(value), room, depth)
        # Its repr might hold anything; its type is safe to tell.
        return f"[{type(value).__name__}]"

    def _object(self, value: dict[Any, Any], room: _Room, depth: int) -> dict[str, Any]:
        encoded = describe_encoded(value) if not TYPE_KEYS.isdisjoint(value) else None
        cleaned: dict[str, Any] = {}
        for key, item in value.items():
            if room.left <= 0 or len(cleaned) >= _MAX_ITEMS:
                cleaned["…"] = f"[{len(value) - len(cleaned)} more left out]"
                break
            room.left -= _WORD
            name = key if key in _PLAIN else room.take(self._string(str(key), _LONGEST_KEY))
            cleaned[name] = encoded[key] if encoded and key in encoded else self._clean(item, room, depth + 1)
        return cleaned

    def _array(self, value: Sequence[Any], room: _Room, depth: int) -> list[Any]:
        cleaned: list[Any] = []
        for item in value:
            if room.left <= 0 or len(cleaned) >= _MAX_ITEMS:
                cleaned.append(f"[{len(value) - len(cleaned)} more left out]")
                break
            cleaned.append(self._clean(item, room, depth + 1))
        return cleaned

    def _string(self, text: str, limit: int) -> str:
        text = without_data_urls(text)
        window = 4 * limit + 2 * _CONTEXT
        if len(text) <= window:
            return _cut(self._scrub(text), limit, 0)
        scrubbed = self._scrub(text[:window])
        # What stood near the end of the window was scrubbed without sight of what follows, so it is not used.
        scrubbed = scrubbed[: max(0, len(scrubbed) - _CONTEXT)]
        return _cut(scrubbed, limit, len(text) - window + _CONTEXT)


class _Room:
    """Bytes that are left for a message, and how many of them a long text leaves to what comes after it."""

    __slots__ = ("left", "spare")

    def __init__(self, left: int) -> None:
        self.left, self.spare = left, left // 8

    def take(self, text: str) -> str:
        self.left -= _bytes(text)
        return text


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _as_json(value: Any) -> tuple[Any, str, int]:
    text = _encode(value)
    if text.isascii():
        return value, text, len(text)
    try:
        return value, text, len(text.encode())
    except UnicodeEncodeError:
        # Half of a surrogate pair: no exporter could send it, and the whole span would be lost.
        sound = text.encode("utf-8", "replace")
        return value, sound.decode(), len(sound)


def _cut(text: str, limit: int, missing: int) -> str:
    """Shorten to `limit` bytes, saying how much is missing; `missing` characters are gone already."""
    if not missing and (len(text) * 4 <= limit or _bytes(text) <= limit):
        return text
    room = max(0, limit - 40)
    kept = text[:room].encode("utf-8", "replace")[:room].decode("utf-8", "ignore")
    return f"{kept}… [{len(text) - len(kept) + missing} more characters]"


def _note(text: str) -> dict[str, Any]:
    return {"role": "system", "parts": [{"type": "text", "content": text}]}
