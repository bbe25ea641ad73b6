"""Which layer belongs outside which, and what breaks the other way round: as data.

`Stack(...)` checks it, `explain()` and the documentation are written from it. Nothing is ever re-sorted.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from agentprod.callsite import outside_level
from agentprod.errors import ConfigError, OrderError, OrderWarning

__all__ = [
    "CANONICAL",
    "RULES",
    "Finding",
    "Inside",
    "Outside",
    "Rule",
    "check",
    "enforce_order",
    "layer_name",
    "rules_of",
    "shown",
]

CANONICAL = (
    "Tracer",
    "AuditLog",
    "Deadline",
    "StepLimit",
    "ScrubPII",
    "InjectionGuard",
    "ContentFilter",
    "TokenBudget",
    "Cache",
    "SemanticCache",
    "DeadLetter",
    "Router",
    "Cascade",
    "Fallback",
    "Balance",
    "ContextWindow",
    "PromptCache",
    "Hedge",
    "Retry",
    "Bulkhead",
    "RateLimit",
    "CircuitBreaker",
    "Timeout",
)
"""The recommended order, outermost first. `Router | Cascade` and `Fallback | Balance` share a place."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`outer` belongs outside `inner`; `reason` is what breaks otherwise. Harmful ones are errors."""

    outer: str
    inner: str
    reason: str
    harmful: bool = False

    @property
    def why(self) -> str:
        """The reason as the end of a sentence."""
        return f"otherwise {self.reason}" if self.reason else "its author says so"


@dataclass(frozen=True, slots=True)
class Outside:
    """Declares in a layer's `order` that it belongs outside the layer named.

    Args:
        layer: its name: that of its class, or its own `name`.

        reason: what breaks otherwise, as the end of a sentence that begins with "otherwise".

        harmful: whether the other order is an error instead of a warning.

    Raises:
        ConfigError: `layer` is no name.
    """

    layer: str
    reason: str = ""
    harmful: bool = False

    def __post_init__(self) -> None:
        _check_name("Outside", self.layer)


@dataclass(frozen=True, slots=True)
class Inside:
    """Declares in a layer's `order` that it belongs inside the layer named; the arguments are those of `Outside`."""

    layer: str
    reason: str = ""
    harmful: bool = False

    def __post_init__(self) -> None:
        _check_name("Inside", self.layer)


def _check_name(wish: str, layer: Any) -> None:
    if not isinstance(layer, str):
        meant = layer.__name__ if isinstance(layer, type) else "Retry"
        raise ConfigError(f'{wish} takes the name of a layer, not the layer itself: write ap.{wish}("{meant}")')


_RAW = "raw personal data lands in cache keys, stores and embedding services"
_OPENS_LATE = "the breaker counts a whole series of retries as one, opens late, and the hammering continues"
_HIDES = "the fallback hides the error and Retry never runs, or attempts multiply by targets"

RULES: tuple[Rule, ...] = (
    Rule("ScrubPII", "Cache", _RAW, harmful=True),
    Rule("ScrubPII", "SemanticCache", _RAW, harmful=True),
    Rule("Retry", "CircuitBreaker", _OPENS_LATE, harmful=True),
    Rule("Fallback", "Retry", _HIDES, harmful=True),
    Rule("Deadline", "Retry", "every attempt gets a fresh deadline, so the call has none", harmful=True),
    Rule("Tracer", "*", "one span per attempt, and none for hits and rejections"),
    Rule("AuditLog", "Cache", "hits are missing from the record"),
    Rule("AuditLog", "TokenBudget", "refusals are missing from the record"),
    Rule("Deadline", "Cache", "waiting for another caller's answer is not bounded"),
    Rule("StepLimit", "Cache", "a loop that repeats one question is served from the cache for ever"),
    Rule("ScrubPII", "InjectionGuard", "the guard reads, and may log, personal data"),
    Rule("ScrubPII", "Router", "a classifier sees personal data"),
    Rule("ScrubPII", "Fallback", "another provider may get text that was scrubbed for the first only"),
    Rule("ScrubPII", "Retry", "the request is scrubbed again for every attempt"),
    Rule("InjectionGuard", "Cache", "a poisoned reply is stored and served"),
    Rule("ContentFilter", "Cache", "an unfiltered reply is stored and served"),
    Rule("Cache", "Retry", "cache faults are retried as provider faults, and hits wait behind retries"),
    Rule("Cache", "CircuitBreaker", "an open circuit blocks hits"),
    Rule("Cache", "RateLimit", "hits use up the rate limit"),
    Rule("Cache", "Bulkhead", "hits queue for a slot"),
    Rule("Cache", "Router", "routing work is done on hits, and one prompt is cached under two models"),
    Rule("Cache", "Fallback", "replies of a fallback model are stored as the primary's"),
    Rule("Cache", "SemanticCache", "an embedding is computed for what an exact look-up would have found"),
    Rule("SemanticCache", "Retry", "cache faults are retried as provider faults"),
    Rule("SemanticCache", "CircuitBreaker", "an open circuit blocks hits"),
    Rule("SemanticCache", "Router", "one prompt is cached under two models"),
    Rule("TokenBudget", "Retry", "an exhausted budget is retried"),
    Rule("TokenBudget", "Fallback", "an exhausted budget falls through to the next target"),
    Rule("DeadLetter", "Retry", "every failed attempt is written, not every failed call"),
    Rule("DeadLetter", "Fallback", "calls that a fallback saved are written as lost"),
    Rule("Router", "Fallback", "the fallback's targets are routed again"),
    Rule("Router", "Retry", "every attempt is routed anew and may change the model"),
    Rule("Cascade", "Retry", "every attempt runs the whole cascade"),
    Rule("Balance", "Retry", "a retry stays with the deployment that just failed"),
    Rule("ContextWindow", "Retry", "the history is reduced again for every attempt"),
    Rule("Router", "ContextWindow", "the history is reduced for another model than the one that is called"),
    Rule("Fallback", "ContextWindow", "the history is reduced for another model than the one that is called"),
    Rule("Hedge", "Retry", "a hedge starts only after all retries of the first request"),
    Rule("Retry", "Bulkhead", "a sleeping retry holds a slot"),
    Rule("Retry", "RateLimit", "retries exceed the quota, because only the first attempt is counted"),
    Rule("Retry", "Timeout", "one slow attempt eats the time of all the others"),
    Rule("Bulkhead", "RateLimit", "what waits for the limit is not counted as in flight"),
    Rule("RateLimit", "CircuitBreaker", "a half-open probe's lease runs out while it waits for the limit"),
    Rule("Bulkhead", "CircuitBreaker", "a half-open probe's lease runs out while it waits for a slot"),
    Rule("RateLimit", "Timeout", "waiting for the limit counts as a slow provider"),
    Rule("Bulkhead", "Timeout", "waiting for a slot counts as a slow provider"),
    Rule("CircuitBreaker", "Timeout", "the breaker never sees a timeout"),
)

ONCE = {
    "Retry": "attempts multiply",
    "Cache": "every reply is stored and looked up twice",
    "ScrubPII": "placeholders are scrubbed again and cannot be restored",
}
"""Layers that do harm when a stack holds two of them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with an order."""

    message: str
    harmful: bool


def layer_name(layer: Any) -> str:
    """Return what order rules call a layer: its `name`, its class, or its function's name."""
    name = getattr(layer, "name", None)
    if isinstance(name, str):
        return name
    return getattr(layer, "__name__", None) or type(layer).__name__


def shown(layer: Any) -> str:
    """Return a layer as text, for people."""
    text = getattr(layer, "__name__", None) or repr(layer)
    return f"{type(layer).__name__}()" if " object at 0x" in text else text


def check(layers: Sequence[Any]) -> list[Finding]:
    """Return what is wrong with an order, harmful findings first.

    Args:
        layers: outermost first.
    """
    names = [layer_name(layer) for layer in layers]
    findings = [
        Finding(f"a stack holds {name} twice: {why}; keep one", True)
        for name, why in ONCE.items()
        if names.count(name) > 1
    ]
    for rule in rules_of(layers):
        for outer, inner in _violations(names, rule):
            findings.append(
                Finding(
                    f"{outer} belongs outside {inner}: {rule.why}. "
                    f"List {outer} before {inner} (first listed is outermost)",
                    rule.harmful,
                )
            )
    unique = list(dict.fromkeys(findings))
    return sorted(unique, key=lambda finding: not finding.harmful)


def enforce_order(layers: Sequence[Any], check_as: str, known: Sequence[Finding] = ()) -> None:
    """Raise or warn about what is wrong with an order, at the caller's line.

    Args:
        layers: outermost first.

        check_as: `"warn"`, `"error"` or `"off"`.

        known: findings that have been told before.

    Raises:
        OrderError: an order that does harm, or with `"error"` one that costs something.
        ConfigError: a layer's own `order` is no tuple of wishes.
    """
    if check_as == "off":
        return
    for finding in check(layers):
        if finding in known:
            continue
        if finding.harmful or check_as == "error":
            raise OrderError(finding.message + '. Pass check="off" to Stack if you mean it')
        warnings.warn(finding.message, OrderWarning, stacklevel=outside_level())


def rules_of(layers: Iterable[Any]) -> list[Rule]:
    """Return the rules that hold for these layers: the built-in ones and those that layers declare."""
    rules = list(RULES)
    for layer in layers:
        name = layer_name(layer)
        for wish in _wishes(layer, name):
            outer, inner = (name, wish.layer) if isinstance(wish, Outside) else (wish.layer, name)
            rules.append(Rule(outer, inner, wish.reason, wish.harmful))
    return rules


def _wishes(layer: Any, name: str) -> Sequence[Outside | Inside]:
    wishes = getattr(layer, "order", ())
    if not isinstance(wishes, list | tuple) or not all(isinstance(wish, Outside | Inside) for wish in wishes):
        raise ConfigError(
            f"the order of {name} must be a tuple of ap.Outside and ap.Inside: write "
            'order = (ap.Outside("Retry"),), with the comma'
        )
    return wishes


def _violations(names: Sequence[str], rule: Rule) -> list[tuple[str, str]]:
    outers = [position for position, name in enumerate(names) if name == rule.outer]
    if rule.inner == "*":
        return [(rule.outer, names[0])] if outers and outers[0] != 0 else []
    inners = [position for position, name in enumerate(names) if name == rule.inner]
    if outers and inners and min(inners) < max(outers):
        return [(rule.outer, rule.inner)]
    return []
