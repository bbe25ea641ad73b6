"""Token counts by modality, as the announced metrics of the conventions want them."""

from __future__ import annotations

from collections.abc import Iterator

from agentprod.usage import Usage

__all__ = ["modalities"]


def modalities(usage: Usage) -> Iterator[tuple[str, str, int]]:
    """Split token counts by modality: what the provider did not split is `"unknown"`, not guessed to be text."""
    split = usage.input_audio_tokens or usage.input_image_tokens or usage.output_audio_tokens
    rest = "text" if split else "unknown"
    parts = (
        ("input_tokens", rest, usage.input_tokens - usage.input_audio_tokens - usage.input_image_tokens),
        ("input_tokens", "audio", usage.input_audio_tokens),
        ("input_tokens", "image", usage.input_image_tokens),
        ("output_tokens", rest, usage.output_tokens - usage.output_audio_tokens),
        ("output_tokens", "audio", usage.output_audio_tokens),
        ("cache_read.input_tokens", "unknown", usage.cache_read_tokens),
        ("cache_write.input_tokens", "unknown", usage.cache_write_tokens),
        ("reasoning.output_tokens", rest, usage.reasoning_tokens),
    )
    return (part for part in parts if part[2] > 0)
