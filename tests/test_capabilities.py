"""What models can take is looked up by any of their names."""

from __future__ import annotations

import pytest

from agentprod import capabilities as module
from agentprod.capabilities import UNKNOWN, capabilities


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("gpt-5-mini-2025-08-07", "gpt-5-mini"),
        ("openai/gpt-5-mini", "gpt-5-mini"),
        ("GPT-4o", "gpt-4o"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("claude-haiku-4-5@20251001", "claude-haiku-4-5"),
        ("deepseek/deepseek-chat", "deepseek-chat"),
        ("qwen-plus-latest", "qwen-plus"),
    ],
)
def test_names_of_one_model_find_it(name: str, like: str) -> None:
    """Dated, prefixed and clouds' names are the vendor's own model."""
    assert capabilities(name) is capabilities(like)
    assert capabilities(like) is not UNKNOWN


def test_figures_are_those_of_the_table() -> None:
    """Sizes, kinds of content, tools and the least cached prefix are told apart."""
    sonnet = capabilities("claude-sonnet-4-5")
    assert (sonnet.input_tokens, sonnet.output_tokens, sonnet.cached_prefix) == (200_000, 64_000, 1024)
    assert sonnet.media == {"image", "file"}
    assert sonnet.tools
    assert capabilities("o3-mini").media == frozenset()
    assert capabilities("mistral-large-4").output_tokens is None


@pytest.mark.parametrize("name", ["my-own-model", "", None, "x" * 10_000, "gpt", "/", "-2024-01-01"])
def test_unknown_models_are_not_judged(name: str | None) -> None:
    """A model that is not listed is neither refused nor promised anything."""
    assert capabilities(name) == UNKNOWN


def test_names_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names may come from users, so what is remembered of them does not grow for ever."""
    monkeypatch.setattr(module, "_kept", {})
    monkeypatch.setattr(module, "_MOST_KEPT", 10)
    for number in range(50):
        capabilities(f"model-{number}")
    assert len(module._kept) <= 10
