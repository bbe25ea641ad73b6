"""Long texts stand in a request by their digest, worked out once for each text object."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from types import EllipsisType
from typing import Any

__all__ = ["LongTexts"]

Short = tuple[EllipsisType, str]
"""What stands for a long text."""

LONG = 1024
"""Characters from which on a look at the object's identity is cheaper than hashing it again."""

MOST_LOOKED_AT = 128
"""Messages that are looked through; in longer lists the texts are short, or hashing them is little of the work."""

_MOST_TEXTS = 512
_MOST_CHARACTERS = 8_000_000


class LongTexts:
    """Remembers the digests of texts by their identity: a text object never changes.

    System prompts and earlier turns of a conversation are mostly the same objects in every request.
    """

    def __init__(self) -> None:
        self._digests: OrderedDict[int, tuple[str, Short]] = OrderedDict()
        self._characters = 0

    def shortened(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the request with long texts of its own and of its messages replaced by digests."""
        changed: dict[str, Any] = {}
        for name, value in request.items():
            if type(value) is str:
                if len(value) >= LONG:
                    changed[name] = self._digest(value)
            elif name == "messages" and type(value) is list and len(value) <= MOST_LOOKED_AT:
                messages = self._messages(value)
                if messages is not value:
                    changed[name] = messages
        return {**request, **changed} if changed else request

    def _messages(self, messages: list[Any]) -> list[Any]:
        changed: list[Any] | None = None
        for position, message in enumerate(messages):
            if type(message) is dict:
                content = message.get("content")
                if type(content) is str and len(content) >= LONG:
                    if changed is None:
                        changed = list(messages)
                    changed[position] = {**message, "content": self._digest(content)}
        return messages if changed is None else changed

    def _digest(self, text: str) -> Short:
        found = self._digests.get(id(text))
        if found is not None and found[0] is text:
            return found[1]
        # No request holds an ellipsis, so nothing else looks like this.
        digest = (..., hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest())
        self._digests[id(text)] = (text, digest)
        self._characters += len(text)
        while self._characters > _MOST_CHARACTERS or len(self._digests) > _MOST_TEXTS:
            try:
                _, (old, _) = self._digests.popitem(last=False)
            except KeyError:  # other threads took the rest
                self._characters = 0
                break
            self._characters -= len(old)
        return digest
