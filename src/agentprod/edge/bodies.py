"""Bodies that the caller brings instead of JSON: bytes, files, and what can be read only once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from agentprod.edge.sdk_options import copied
from agentprod.errors import ConfigError

__all__ = ["Upload", "is_raw", "with_json"]


class Upload:
    """The files and the content of one request, which another attempt has to send once more.

    Args:
        asked: the options of the request, by name.
    """

    __slots__ = ("_positions", "once")

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self._positions: list[tuple[Any, int]] = []
        self.once = not all(self._take(content) for content in _contents(asked))
        """Whether some of it is gone once it was read."""

    def _take(self, content: Any) -> bool:
        """Remember where a file stands; return whether what it holds can be read twice."""
        if content is None or isinstance(content, bytes | bytearray | str):
            return True
        if not hasattr(content, "read"):
            return isinstance(content, list | tuple)
        try:
            if not content.seekable():
                return False
            self._positions.append((content, content.tell()))
        except (AttributeError, OSError, ValueError):
            return False
        return True

    def rewind(self) -> None:
        """Put files back to where they stood."""
        for content, position in self._positions:
            content.seek(position)


def _contents(asked: Mapping[str, Any]) -> Iterator[Any]:
    yield asked.get("content")
    files = asked.get("files") or ()
    for _, file in files.items() if isinstance(files, Mapping) else files:
        yield file[1] if isinstance(file, tuple) and len(file) > 1 else file


def is_raw(asked: Mapping[str, Any]) -> bool:
    """Whether the body is not JSON of the SDK's making."""
    return asked.get("content") is not None or isinstance(asked["json_data"], bytes)


def with_json(options: Any) -> Any:
    """Return options that hold as JSON what the caller wrote as bytes.

    Raises:
        ConfigError: it is no JSON object, or there is none before it is sent.
    """
    asked = options.__dict__
    raw = asked["json_data"] if asked.get("content") is None else asked["content"]
    try:
        body = json.loads(raw)
    except (TypeError, ValueError):
        body = None
    if not isinstance(body, dict):
        raise ConfigError(
            f"the body of a call to {asked['url']} is a {type(raw).__name__} that holds no JSON object, so that no "
            "layer can read it; pass body={...}, or the JSON's bytes as content="
        )
    made = copied(options)
    made.__dict__["json_data"] = body
    if "content" in asked:
        made.__dict__["content"] = None
    return made
