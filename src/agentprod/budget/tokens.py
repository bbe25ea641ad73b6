"""Count tokens, offline: by tiktoken where its encoding is on this machine, by an estimate where it is not.

A text for an OpenAI model is counted exactly when the encoding can be had (`load`). Everything else is an estimate:
tools, images and the frame of messages are counted by published rules, models without a public tokenizer by a stand-in
times a factor. `learn` corrects the factor of each model from reported usage, within a few calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agentprod.budget import encodings, exact_counts
from agentprod.budget.encodings import load
from agentprod.budget.estimate import estimate_tokens
from agentprod.budget.exact_counts import count_by_provider
from agentprod.budget.message_tokens import count_message, count_messages, count_tools
from agentprod.budget.model_names import plain_name
from agentprod.budget.token_factors import TokenFactors
from agentprod.budget.tokenizers import tokenizer_of

__all__ = ["TokenCount", "count_request", "count_tokens", "forget", "learn", "load", "measure", "unit_counter"]

_MOST_TEXTS = 8192
_MOST_CHARACTERS = 8_000_000
_LONGEST = 1_000_000


@dataclass(frozen=True, slots=True)
class TokenCount:
    """A count, and what it takes to learn from the provider's own."""

    tokens: int
    unscaled: int
    """The count before the model's factor; hand it to `learn` with the reported tokens."""
    exact: bool
    """True for a text counted with the model's own encoding."""


class _Memo:
    """Counts of texts seen before, bounded in number and size; a history is counted once, not at every turn."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._characters = 0

    def put(self, text: str, tokens: int) -> None:
        # Without a lock: two threads at once can only make the bound a little loose.
        size = len(text)
        if size > _LONGEST:
            return
        if len(self.counts) >= _MOST_TEXTS or self._characters > _MOST_CHARACTERS:
            self.counts.clear()
            self._characters = 0
        self.counts[text] = tokens
        self._characters += size


_memos: dict[tuple[str, bool], _Memo] = {(name, real): _Memo() for name in encodings.BUILT_IN for real in (True, False)}
_factors = TokenFactors()


def count_tokens(messages: object, model: str, tools: object = None, *, client: Any = None) -> int:
    """Count the tokens of a text, or of messages with their tools and images.

    Without a client it never raises for what it is given, and never uses the network. Inside a running event loop the
    first calls are estimates, while the encoding loads on a thread; `load()` at start-up avoids that.

    Args:
        messages: a text, or a list of messages as they go over the wire: OpenAI chat, Responses items, Anthropic.

        model: the name as it stands in the request.

        tools: the request's tools.

        client: a synchronous `anthropic` or `openai` client whose counting endpoint is to be asked instead, which is
            exact, takes a request, and may raise; what was counted before is not asked again.

    Returns:
        Tokens: exact for a text and an OpenAI model whose encoding is loaded, an estimate otherwise.
    """
    if client is not None:
        return count_by_provider(client, messages, model, tools)
    return measure(messages, model, tools).tokens


def count_request(request: Mapping[str, Any], model: str | None = None) -> TokenCount:
    """Count the input tokens of a whole wire request.

    Args:
        request: the JSON body of a chat completion, a response, a message or an embedding.

        model: the model to count for, when it is not the request's own.
    """
    model = model if model is not None else str(request.get("model", ""))
    prompts = [request[name] for name in ("system", "instructions") if request.get(name)]
    parts: list[Any] = [{"role": "system", "content": prompt} for prompt in prompts]
    content = request.get("messages")
    if content is None:
        content = request.get("input")
    if isinstance(content, str):
        if not parts and not request.get("tools"):
            return measure(content, model)
        content = [{"role": "user", "content": content}]
    if isinstance(content, Iterable) and not isinstance(content, Mapping):
        parts.extend(content)
    return measure(parts, model, request.get("tools"))


def measure(messages: object, model: str, tools: object = None) -> TokenCount:
    """Count tokens, keeping what is needed to learn from the reported count.

    Args:
        messages: a text, or a list of messages as they go over the wire.

        model: the name as it stands in the request.

        tools: the request's tools.
    """
    tokenizer = tokenizer_of(model)
    count, is_real = _counting(tokenizer.encoding)
    unscaled = count_messages(messages, count, model) + count_tools(tools, count, tokenizer.tools)
    if isinstance(messages, str) and tools is None and tokenizer.own and is_real:
        return TokenCount(unscaled, unscaled, exact=True)
    factor = _factors.factor(plain_name(model), tokenizer.factor)
    return TokenCount(max(round(unscaled * factor), 1 if unscaled else 0), unscaled, exact=False)


def unit_counter(model: str) -> Callable[[object], int]:
    """Return a function that counts one message or item of a conversation, quickly when it has seen its texts before.

    Args:
        model: the name as it stands in the request.
    """
    tokenizer = tokenizer_of(model)
    count, _ = _counting(tokenizer.encoding)
    factor = _factors.factor(plain_name(model), tokenizer.factor)

    def count_unit(item: object) -> int:
        return math.ceil(factor * count_message(item, count, model))

    return count_unit


def _counting(name: str) -> tuple[Callable[[str], int], bool]:
    """Return what counts one text, and whether it does so with the encoding itself."""
    encoding = encodings.get(name)
    memo = _memos[name, encoding is not None]
    known = memo.counts

    def count(text: str) -> int:
        tokens = known.get(text)
        if tokens is None:
            if encoding is not None:
                tokens = encodings.encode_length(encoding, text)
            else:
                tokens = estimate_tokens(text, name)
            memo.put(text, tokens)
        return tokens

    return count, encoding is not None


def learn(model: str, unscaled: int, reported: int) -> None:
    """Correct a model's factor from what its provider reported.

    Args:
        model: the name as it stands in the request or reply.

        unscaled: `TokenCount.unscaled` of the request.

        reported: the input tokens of the reply's usage, cached ones included.
    """
    _factors.learn(plain_name(model), unscaled, reported)


def forget() -> None:
    """Forget learned factors, counted texts and loaded encodings."""
    _factors.clear()
    encodings.forget()
    exact_counts.forget()
    for key in _memos:
        _memos[key] = _Memo()
