"""Message content: a string, or a list of typed blocks; OpenAI and Anthropic agree on that much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from agentprod.dialects.base import Fragment
from agentprod.dialects.paths import Path, leaves
from agentprod.parts import Part

__all__ = ["content_fragments", "text_of"]

_OPAQUE = frozenset(
    {"image", "image_url", "input_image", "input_audio", "audio", "video", "redacted_thinking", "compaction"}
)
_PAYLOAD = frozenset({"data", "file_data", "signature", "encrypted_content", "url", "id", "file_id", "media_type"})


def content_fragments(content: Any, part: Part, path: Path) -> Iterator[Fragment]:
    """Yield the texts of a message's content.

    Of block types not known here every string is yielded except types, ids and payloads, so that a
    new kind of block cannot carry text past an editor.
    """
    if isinstance(content, str):
        if content:
            yield Fragment(part, content, path)
        return
    if not isinstance(content, list | tuple):
        return
    for position, block in enumerate(content):
        here = (*path, position)
        if isinstance(block, str):
            yield Fragment(part, block, here)
        elif isinstance(block, Mapping):
            yield from _block_fragments(block, part, here)


def _block_fragments(block: Mapping[str, Any], part: Part, path: Path) -> Iterator[Fragment]:
    kind = block.get("type")
    if kind in _OPAQUE or (kind == "thinking" and block.get("signature")):
        return  # signed or encrypted: an edit would break the signature
    if kind in ("text", "input_text", "output_text") and isinstance(block.get("text"), str):
        if block["text"]:
            yield Fragment(part, block["text"], (*path, "text"))
        return
    if kind == "refusal" and isinstance(block.get("refusal"), str):
        yield Fragment(replace(part, kind="refusal"), block["refusal"], (*path, "refusal"))
        return
    if kind == "thinking" and isinstance(block.get("thinking"), str):
        yield Fragment(replace(part, kind="reasoning"), block["thinking"], (*path, "thinking"))
        return
    if kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
        tool = block.get("name")
        inner = replace(part, kind="tool_arguments", tool=tool if isinstance(tool, str) else None)
        for below, text in leaves(block.get("input")):
            yield Fragment(inner, text, (*path, "input", *below))
        return
    if isinstance(kind, str) and kind.endswith("tool_result"):
        inner = replace(part, kind="tool_result", role="tool")
        if isinstance(block.get("content"), Mapping):
            yield from _strings(block["content"], inner, (*path, "content"))
        else:
            yield from content_fragments(block.get("content"), inner, (*path, "content"))
        return
    yield from _strings(block, part, path)


def _strings(block: Mapping[str, Any], part: Part, path: Path) -> Iterator[Fragment]:
    for below, text in leaves(dict(block)):
        key = below[-1] if below else None
        if text and key != "type" and key not in _PAYLOAD:
            yield Fragment(part, text, (*path, *below))


def text_of(content: Any, *, strict: bool = False) -> str | None:
    """Return the text of a message's content, its text blocks joined.

    With `strict`, `None` when anything but text stands in it, or nothing at all.
    """
    if isinstance(content, str):
        return content
    if not isinstance(content, list | tuple):
        return None
    texts = []
    for block in content:
        if (
            isinstance(block, Mapping)
            and isinstance(block.get("text"), str)
            and block.get("type")
            in (
                "text",
                "input_text",
                "output_text",
            )
        ):
            texts.append(block["text"])
        elif strict:
            return None
    return "".join(texts) if texts or not strict else None
