"""What a stack does where it was told nothing: price, estimate, scrub."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from agentprod.usage import Usage

if TYPE_CHECKING:
    from agentprod.budget.prices import PriceBook

__all__ = ["default_estimator", "default_pricer", "default_scrub"]


class DefaultPricer:
    """Prices an attempt by the built-in prices; `None` when they do not know the model."""

    def __call__(self, provider: str, model: str | None, usage: Usage) -> Decimal | None:
        return self._book(provider, model, usage)

    @property
    def version(self) -> str:
        """The day on which the list prices were taken."""
        return self._book.version

    @cached_property
    def _book(self) -> PriceBook:
        from agentprod.budget import prices

        return prices.default


default_pricer = DefaultPricer()


def default_estimator(request: Mapping[str, Any], model: str | None, text: str) -> Usage:
    """Count the tokens of a request and of the text that came back."""
    from agentprod.budget.tokens import count_request, count_tokens

    return Usage(count_request(request, model).tokens, count_tokens(text, model or ""), estimated=True)


def default_scrub(text: str) -> str:
    """Name the personal data and secrets of a text instead of showing them."""
    from agentprod.safety.pii.detectors import built_in, find_spans
    from agentprod.safety.pii.entities import DEFAULT
    from agentprod.safety.pii.folding import fold
    from agentprod.safety.pii.overlap import resolve

    folded = fold(text)
    pieces: list[str] = []
    done = 0
    for span in resolve(folded.text, find_spans(folded.text, built_in(DEFAULT))):
        start, end = folded.original(span.start, span.end)
        pieces += (text[done:start], f"[{span.entity}]")
        done = end
    return "".join((*pieces, text[done:]))
