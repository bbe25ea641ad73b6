"""Token counts of one reply, in one form for every provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType

__all__ = ["Usage"]

_NOTHING: Mapping[str, int] = MappingProxyType({})


# Immutable by convention: `frozen` costs four times as much to build, and one of these is built for every call.
@dataclass(slots=True)
class Usage:
    """Token counts of one reply, or of several added up; treat it as immutable.

    `input_tokens` counts *all* input tokens, cached ones included, whatever the provider's own
    convention; the cache, audio and image counts are parts of it. `reasoning_tokens` and
    `output_audio_tokens` are parts of `output_tokens`. All counts are tokens, never negative.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    """The part of `cache_write_tokens` written with a lifetime of one hour."""
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    input_image_tokens: int = 0
    server_tool_calls: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    """Calls of tools the provider runs and bills itself, by name, such as `{"web_search": 2}`."""
    service_tier: str | None = None
    """What the provider says it served: `"standard"`, `"priority"`, `"batch"`, `"flex"`, `"fast"` …"""
    inference_geo: str | None = None
    """Where the provider says it ran the request, such as `"us"`; some charge more for a fixed region."""
    estimated: bool = False
    """True when the provider sent no counts and these are counted here."""
    parts: tuple[tuple[str | None, Usage], ...] = ()
    """What each model was used for, where one reply used several (a server-side fallback, compaction, an advisor), as
    each has its own price; `None` is the model asked for. Their sum is this usage; empty for a reply of one model."""

    @property
    def total_tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        if not isinstance(other, Usage):
            return NotImplemented
        tools = dict(self.server_tool_calls)
        for name, count in other.server_tool_calls.items():
            tools[name] = tools.get(name, 0) + count
        sums = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        parts = (*_parts(self), *_parts(other)) if self.parts or other.parts else ()
        return Usage(
            **sums,
            server_tool_calls=tools or _NOTHING,
            service_tier=self.service_tier if self.service_tier == other.service_tier else None,
            inference_geo=self.inference_geo if self.inference_geo == other.inference_geo else None,
            estimated=self.estimated or other.estimated,
            parts=parts,
        )


def _parts(usage: Usage) -> tuple[tuple[str | None, Usage], ...]:
    return usage.parts or ((None, usage),)


_COUNTS = tuple(f.name for f in fields(Usage) if f.name.endswith("_tokens"))
