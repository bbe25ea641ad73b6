"""Which encoding counts for which model, and by how much it is off."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from agentprod.budget.model_names import plain_name, vendor_of

__all__ = ["Tokenizer", "tokenizer_of"]

_OLD_OPENAI = re.compile(r"^(?:ft:)?(?:gpt-3\.5|gpt-4(?![.o\d])|text-embedding|davinci|babbage)")
_NEWER_CLAUDE = re.compile(r"claude-(?:opus-4-[789]|opus-[5-9]|sonnet-[5-9]|haiku-[5-9]|fable|mythos)")


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """The encoding that stands for a model's tokenizer."""

    encoding: str
    own: bool
    """True when it is the model's own encoding, False when it only stands in for one that is not public."""
    factor: float = 1.0
    """The model's tokens for each token of the encoding, before any are reported."""
    tools: int = 0
    """Tokens the provider adds once when tools are offered."""


@lru_cache(maxsize=1024)
def tokenizer_of(model: str) -> Tokenizer:
    """Return the tokenizer of a model.

    Claude's factor is that of the measurements in strands-agents/harness-sdk#2031 (tiktoken counts 15 to 28 percent
    less on text), with the 30 percent that Anthropic's token counting guide gives for Opus 4.7 and later on top; its
    tool preamble is that of Anthropic's tool use guide. All of them are replaced by what is learned from reports.

    Args:
        model: the name as it stands in the request.

    Returns:
        Its encoding; o200k_base, with a factor of 1, for models of which nothing is known.
    """
    name, vendor = plain_name(model), vendor_of(model)
    if vendor == "openai":
        return Tokenizer("cl100k_base" if _OLD_OPENAI.match(name) else "o200k_base", own=True)
    if vendor == "anthropic":
        return Tokenizer("o200k_base", own=False, factor=1.56 if _NEWER_CLAUDE.search(name) else 1.2, tools=346)
    return Tokenizer("o200k_base", own=False)
