"""Rules: keywords, patterns and functions of your own, or the usual labels of a prompt."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from agentprod.errors import ConfigError
from agentprod.routing.ask import Ask
from agentprod.routing.decision import Opinion, Question
from agentprod.routing.heuristic import LABELS, classify

__all__ = ["Condition", "Rules", "spread"]

Condition: TypeAlias = "str | re.Pattern[str] | Callable[[Ask], Any]"
"""What may stand in a rule: a text, a pattern, or a function of what is asked."""


class Rules:
    r"""A stage that chooses by rules. What no rule speaks of is left to the next stage.

    ```python
    ap.Rules([("退款", "gpt-5"), (re.compile(r"\bSQL\b"), "gpt-5"), (lambda ask: ask.turns > 20, "claude-opus-5")])
    ap.Rules({"simple": "gpt-5-nano", "code": "gpt-5", "reasoning": "claude-opus-5"})  # labels by keywords and length
    ap.Rules()  # the same labels, spread over the models
    ```

    The labels are the usual rule of thumb, in English and Chinese: more than ten user messages are `"complex"`; a
    word such as 分析 比较 推导 证明, analyse, compare, derive, prove makes it `"reasoning"`; code makes it `"code"`;
    more than 500 characters (a hanzi counts as two and a half) `"medium"`; all else `"simple"`. It is not dependable:
    on recorded answers it is little better than length alone, and on some sets of prompts worse than a coin; see
    `docs/how-to/router.md` for the figures. Without a mapping, `"simple"` is no opinion: that no keyword was found
    says nothing about a prompt.

    Args:
        rules: pairs of a condition and a model, the first that holds decides: a text that the last question contains
            (case is ignored), a compiled pattern that is found in it, or a function of the `Ask`; or a mapping of
            labels to models.

    Raises:
        ConfigError: a rule is no such pair, or a label is not one of the five.
    """

    name = "rules"

    def __init__(self, rules: Sequence[tuple[Condition, str]] | Mapping[str, str] | None = None) -> None:
        self._labels: Mapping[str, str] | None = None
        self._pairs: list[tuple[Callable[[Ask], bool], str, str]] = []
        self._spreads = rules is None
        if isinstance(rules, Mapping):
            if unknown := [str(label) for label in rules if label not in LABELS]:
                raise ConfigError(f"Rules has no label {', '.join(unknown)}; the labels are {', '.join(LABELS)}")
            self._labels = dict(rules)
        elif rules is not None:
            self._pairs = [_rule(pair, number) for number, pair in enumerate(rules, 1)]

    def check(self, names: Sequence[str]) -> None:
        """Refuse models that the router does not have."""
        models = list((self._labels or {}).values()) + [model for _, model, _ in self._pairs]
        if unknown := sorted({str(model) for model in models if model not in names}):
            raise ConfigError(f"Rules names {', '.join(unknown)}; the Router has {', '.join(names)}")

    def decide(self, question: Question) -> Opinion | None:
        """Return what the first rule that holds says."""
        if self._pairs:
            for holds, model, reason in self._pairs:
                if holds(question.ask):
                    return Opinion(model, reason)
            return None
        label = classify(question.ask)
        if self._spreads:
            if label == LABELS[0]:
                return None
            return Opinion(question.names[spread(LABELS.index(label), len(LABELS), len(question.names))], label)
        chosen = (self._labels or {}).get(label)
        return None if chosen is None else Opinion(chosen, label)


def spread(level: int, levels: int, models: int) -> int:
    """Return the place of a level among models, the lowest at the first and the highest at the last.

    Args:
        level: from 0.

        levels: how many there are.

        models: how many models there are.
    """
    return round(level * (models - 1) / (levels - 1)) if levels > 1 else models - 1


def _rule(pair: Any, number: int) -> tuple[Callable[[Ask], bool], str, str]:
    if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(pair[1], str):
        raise ConfigError(f"Rules rule {number} must be a pair of a condition and a model's name")
    condition, model = pair
    if isinstance(condition, str) and condition:
        wanted = condition.casefold()
        return (lambda ask: wanted in ask.text.casefold()), model, f"keyword {number}"
    if isinstance(condition, re.Pattern) and isinstance(condition.pattern, str):
        search = condition.search
        return (lambda ask: search(ask.text) is not None), model, f"pattern {number}"
    if callable(condition) and not isinstance(condition, type):
        return (lambda ask: bool(condition(ask))), model, getattr(condition, "__name__", f"rule {number}")
    raise ConfigError(
        f"Rules rule {number}: the condition must be a text, a compiled pattern or a function of the ask, "
        f"not {type(condition).__name__}"
    )
