"""Scrub every text of a request, wherever it stands.

Nothing is looked for by name: all strings of the request are scrubbed, so that a field or a kind of block that did not
exist when this was written cannot carry a value past it. Named are only the exceptions: ids and types, of which only a
value as a whole is replaced, and payloads that are no text.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from agentprod.errors import Blocked
from agentprod.safety.pii.documents import is_data_url, scrub_key, scrub_leaf, scrub_number
from agentprod.safety.pii.scrubber import Direction, Scrubber
from agentprod.safety.pii.tally import Tally
from agentprod.safety.pii.vault import Vault

__all__ = ["Binary", "RequestScrub"]

T = TypeVar("T")
Binary = Literal["pass", "block"]
"""What to do with what is no text: images, sound, files in base64, token ids."""

_FIRST = frozenset(
    ("tools", "functions", "instructions", "system", "response_format", "text", "output_config", "output_format")
)
_LAST = frozenset(("metadata", "user", "safety_identifier", "prompt_cache_key", "prediction"))
"""What stays the same from turn to turn is numbered first, so that it keeps its numbers; labels come last."""

_NAMES = frozenset(
    "id type role model object status call_id tool_call_id tool_use_id item_id file_id container_id response_id "
    "previous_response_id previous_message_id conversation media_type format detail effort".split()
)
_PAYLOADS = frozenset(("data", "file_data", "signature", "encrypted_content", "thought_signature", "bytes", "b64_json"))
_BASE64 = re.compile(r"[A-Za-z0-9+/_\-\s]{32,}={0,2}\s*")
_VALUES = frozenset(("input", "arguments", "metadata", "variables", "structured_content"))
"""Objects of the user's own shape: their keys and numbers are values, and keys are context."""

_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z_$\-]{0,39}")
_SMALLEST_NUMBER = 1_000_000
_DEEPEST = 200
_DROP = object()


class RequestScrub:
    """Scrubs one request. Build one per call.

    Args:
        scrubber: what to find and how to replace it.

        vault: where placeholders are kept.

        binary: see `Binary`.

        knows: tells whether a signature of reasoning came from the provider itself.

        function: whether the request is the arguments of a plain function.
    """

    def __init__(
        self,
        scrubber: Scrubber,
        vault: Vault,
        *,
        binary: Binary = "pass",
        knows: Callable[[str], bool] | None = None,
        function: bool = False,
    ) -> None:
        self.tally = Tally(scrubber)
        self._vault, self._binary, self._function = vault, binary, function
        self._knows = knows
        self._all_keys = bool(scrubber.recognizers)
        self.dropped = 0
        """How many signed reasoning blocks were left out, because an edit would break their signature."""

    def scrub(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the request with everything found replaced; the same object when nothing was found.

        Raises:
            Blocked: a value has the strategy `"block"`, a recogniser failed, or something cannot be examined.
        """
        edited: dict[str, Any] = {}
        for name in sorted(request, key=lambda name: (name in _LAST) - (name in _FIRST)):
            value = request[name]
            if self._function:
                edited[name] = self._argument(name, value)
            else:
                data = name in _VALUES and isinstance(value, Mapping)
                edited[name] = self._value(value, name, "", "input", data, ())
        if all(edited[name] is value for name, value in request.items()):
            return request
        return {name: edited[name] for name in request}

    def _argument(self, name: str, value: Any) -> Any:
        # A number that the function takes stays one; deeper ones are data.
        if isinstance(value, int | float):
            return value
        return self._value(value, name, "" if isinstance(value, str) else f"{name}: ", "input", True, ())

    def _value(
        self, value: Any, key: str, before: str, direction: Direction, data: bool, above: tuple[int, ...]
    ) -> Any:
        if isinstance(value, str):
            return self._text(value, key, before, direction, data)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            if abs(value) < _SMALLEST_NUMBER or not (data or len(above) > 1):
                return value
            return scrub_number(
                value, self.tally, self._vault, direction=direction, before=before if data else f"{key}: "
            )
        if isinstance(value, bytes | bytearray | memoryview):
            return self._no_text(value)
        if id(value) in above:
            raise Blocked("the request contains itself: it cannot be sent", layer="ScrubPII")
        if len(above) >= _DEEPEST:
            raise Blocked(
                f"the request is nested deeper than {_DEEPEST}: it cannot be examined, and what was not examined is "
                "not sent",
                layer="ScrubPII",
            )
        above = (*above, id(value))
        if isinstance(value, Mapping):
            return self._mapping(value, direction, data, above)
        if isinstance(value, list | tuple | set | frozenset):
            return self._items(value, key, before, direction, data, above)
        return self._object(value, direction, above)

    def _text(self, text: str, key: str, before: str, direction: Direction, data: bool) -> str:
        if not data:
            if key in _NAMES:
                return self._name(text, direction)
            if key in _PAYLOADS and _BASE64.fullmatch(text):
                return self._no_text(text)
        if text[:5] == "data:" and is_data_url(text):
            return self._no_text(text)
        return scrub_leaf(text, self.tally, self._vault, direction=direction, before=before)

    def _name(self, text: str, direction: Direction) -> str:
        """Ids and types must stay as they are, unless one is a value altogether."""
        if len(text) < 6 or text.isalpha():
            return text
        spans = self.tally.find(text)
        if len(spans) != 1 or spans[0].start or spans[0].end < len(text):
            return text
        return self.tally.replace(text, spans, self._vault, direction=direction).text

    def _no_text(self, value: T) -> T:
        if self._binary == "block":
            raise Blocked(
                "the request holds an image, sound, a file or token ids, which are not examined, and binary='block'",
                layer="ScrubPII",
            )
        return value

    def _items(
        self, value: Any, key: str, before: str, direction: Direction, data: bool, above: tuple[int, ...]
    ) -> Any:
        if self._binary == "block" and value and key == "input" and not data and _token_ids(value):
            self._no_text(value)
        edited = [self._value(item, key, before, direction, data, above) for item in value]
        if all(new is old for new, old in zip(edited, value, strict=True)):
            return value
        if any(new is _DROP for new in edited):
            edited = [new for new in edited if new is not _DROP] or [{"type": "text", "text": "[reasoning left out]"}]
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*edited)
        return edited if isinstance(value, list) else type(value)(edited)

    def _mapping(self, value: Mapping[Any, Any], direction: Direction, data: bool, above: tuple[int, ...]) -> Any:
        if not data:
            kind, role = value.get("type"), value.get("role")
            if kind == "thinking" and isinstance(value.get("signature"), str) and value["signature"]:
                return self._thinking(value)
            if role in ("tool", "function") or (
                isinstance(kind, str) and kind.endswith(("tool_result", "_call_output"))
            ):
                direction = "tool_results"
        edited: dict[Any, Any] = {}
        changed = False
        beside = ""
        for key, item in value.items():
            name = key if isinstance(key, str) else str(key)
            new_key = key
            if isinstance(key, str) and (self._all_keys or not _PLAIN_KEY.fullmatch(key)):
                new_key = scrub_key(key, self.tally, self._vault, direction=direction)
            inner = data or (name in _VALUES and isinstance(item, Mapping))
            before = f"{beside} {name[:64]}: " if data else ""
            new = self._value(item, name, before, direction, inner, above)
            if data and isinstance(item, str) and len(item) <= 24:
                beside = item
            edited[new_key] = new
            changed = changed or new is not item or new_key is not key
        return edited if changed else value

    def _thinking(self, block: Mapping[str, Any]) -> Any:
        """Signed reasoning cannot be edited. What the provider itself wrote may go back to it; other text may not."""
        text = block.get("thinking")
        if not isinstance(text, str) or (self._knows is not None and self._knows(block["signature"])):
            return block
        if not self.tally.find(text):
            return block
        self.dropped += 1
        return _DROP

    def _object(self, value: Any, direction: Direction, above: tuple[int, ...]) -> Any:
        """Copy a pydantic model or a dataclass with its texts scrubbed; other objects are left alone."""
        model_copy = getattr(value, "model_copy", None)
        if isinstance(value, type):
            return value
        if dataclasses.is_dataclass(value):
            names = [field.name for field in dataclasses.fields(value) if field.init]
            fields = {name: getattr(value, name) for name in names}
        elif callable(model_copy) and isinstance(getattr(value, "__dict__", None), dict):
            fields = {**value.__dict__, **(getattr(value, "model_extra", None) or {})}
        else:
            return value
        edited: dict[str, Any] = {}
        for name, item in fields.items():
            new = self._value(item, name, f"{name}: ", direction, True, above)
            if new is not item:
                edited[name] = new
        if not edited:
            return value
        if dataclasses.is_dataclass(value):
            return dataclasses.replace(value, **edited)  # type: ignore[type-var]  # an instance, as asked above
        return model_copy(update=edited) if callable(model_copy) else value


def _token_ids(value: Any) -> bool:
    items = list(value)
    if all(isinstance(item, list | tuple) for item in items):
        items = [token for item in items for token in item]
    return bool(items) and all(isinstance(item, int) for item in items)
