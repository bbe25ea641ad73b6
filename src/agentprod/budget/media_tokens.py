"""Tokens of images, audio and documents, by the rules in the vendors' guides to vision and pricing.

Where a size is not in the request, as with an image given by its address, the largest that the model takes is assumed.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from collections.abc import Mapping
from typing import Any

from agentprod.budget.model_names import plain_name, vendor_of

__all__ = ["audio_tokens", "document_tokens", "image_size", "image_tokens"]

# OpenAI, "Images and vision": models that count 512 px tiles, as (base, tile), and those that count 32 px patches,
# as the multiplier on at most 1,536 of them.
_TILES = (
    (re.compile(r"gpt-4o-mini"), (2833, 5667)),
    (re.compile(r"gpt-5(?:-chat|-codex|-pro)?$|gpt-5\.[12]"), (70, 140)),
    (re.compile(r"o1|o3"), (75, 150)),
    (re.compile(r"computer-use"), (65, 129)),
    (re.compile(r"gpt-4|chatgpt"), (85, 170)),
)
_PATCHES = (
    (re.compile(r"gpt-4\.1-mini|gpt-5-mini"), 1.62),
    (re.compile(r"gpt-4\.1-nano|gpt-5-nano"), 2.46),
    (re.compile(r"o4-mini"), 1.72),
    (re.compile(r"."), 1.62),
)
_MOST_PATCHES = 1536
_PIXELS_PER_CLAUDE_TOKEN = 750
_PAGE = 2250
"""Tokens of a page: Anthropic's guide to PDF gives 1,500 to 3,000."""


def image_tokens(model: str, size: tuple[int, int] | None, detail: str = "auto") -> int:
    """Return the tokens an image takes.

    Args:
        model: the name as it stands in the request.

        size: width and height in pixels; the largest useful one when `None`.

        detail: OpenAI's detail, `"low"`, `"high"` or `"auto"`.
    """
    vendor, name = vendor_of(model), plain_name(model)
    if vendor == "openai":
        return _openai(name, size, detail)
    if vendor == "google":
        width, height = size or (1536, 1536)
        return 258 * (1 if max(width, height) <= 384 else math.ceil(width / 768) * math.ceil(height / 768))
    return _claude(name, size)


def audio_tokens(data: str, form: str) -> int:
    """Return the tokens of spoken input: one for 100 ms, as OpenAI's audio guide counts them.

    Args:
        data: the audio in base64.

        form: `"wav"` (taken as 24 kHz, 16 bit, mono) or a compressed one (taken as 128 kbit/s).
    """
    length = len(data) * 3 // 4
    return 1 + length // (4800 if form in ("wav", "pcm16") else 1600)


def document_tokens(data: str) -> int:
    """Return the tokens of a PDF, from its number of pages.

    Args:
        data: the document in base64.
    """
    try:
        content = base64.b64decode(data)
    except (binascii.Error, ValueError):
        content = b""
    pages = len(re.findall(rb"/Type\s*/Page\b", content))
    # Compressed object streams hide their pages; a page takes some 50 kB.
    return _PAGE * max(1, pages or len(content) // 50_000)


def image_size(source: str | Mapping[str, Any]) -> tuple[int, int] | None:
    """Read an image's size from its first bytes.

    Args:
        source: a data URL, bare base64, or an Anthropic source with `data`.

    Returns:
        Width and height in pixels, or `None` when it is elsewhere or of a kind not known here.
    """
    text = source if isinstance(source, str) else source.get("data")
    if not isinstance(text, str) or text.startswith(("http://", "https://")):
        return None
    if text.startswith("data:"):
        text = text.partition(",")[2]
    # A JPEG's size comes after its metadata, a thumbnail among it.
    head = text[:200_000]
    try:
        data = base64.b64decode(head[: len(head) // 4 * 4])
    except (binascii.Error, ValueError):
        return None
    size = _size(data)
    return size if size and min(size) > 0 else None


def _openai(name: str, size: tuple[int, int] | None, detail: str) -> int:
    for pattern, multiplier in _PATCHES[:-1]:
        if pattern.match(name):
            return _patches(size, multiplier)
    for pattern, (base, tile) in _TILES:
        if pattern.match(name):
            if detail == "low":
                return base
            width, height = size or (2048, 2048)
            scale = min(1.0, 2048 / max(width, height))
            scale = min(scale, 768 / min(width, height))
            return base + tile * math.ceil(width * scale / 512) * math.ceil(height * scale / 512)
    return _patches(size, _PATCHES[-1][1])


def _patches(size: tuple[int, int] | None, multiplier: float) -> int:
    count = math.ceil(size[0] / 32) * math.ceil(size[1] / 32) if size else _MOST_PATCHES
    return math.ceil(min(count, _MOST_PATCHES) * multiplier)


def _claude(name: str, size: tuple[int, int] | None) -> int:
    newer = re.search(r"opus-4-[789]|(?:opus|sonnet|haiku)-[5-9]|fable|mythos", name)
    edge, most = (2576, 4784) if newer else (1568, 1600)
    if size is None:
        return most
    scale = min(1.0, edge / max(size))
    return min(most, math.ceil(size[0] * scale * size[1] * scale / _PIXELS_PER_CLAUDE_TOKEN))


def _size(data: bytes) -> tuple[int, int] | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        width, height = struct.unpack("<HH", data[6:10])
        return width, height
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    return _jpeg(data) if data.startswith(b"\xff\xd8") else None


def _webp(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8 " and len(data) >= 30:
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    """Walk the segments to the frame header, which is the first of the SOF markers."""
    place = 2
    while place + 9 <= len(data):
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return width, height
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None
