"""Tell in words what a stack does, and why in this order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentprod.order import CANONICAL, RULES, check, layer_name, rules_of, shown

if TYPE_CHECKING:
    from agentprod.stack import Stack

__all__ = ["explain", "order_table"]


def explain(stack: Stack) -> str:
    """Return the layers outermost first, each with the reasons for its place, then what is wrong."""
    names = [layer_name(layer) for layer in stack.layers]
    lines = ["outermost"]
    for position, (name, layer) in enumerate(zip(names, stack.layers, strict=True)):
        lines.append(f"  {position + 1}. {shown(layer)}")
        inside = names[position + 1 :]
        lines.extend(
            f"       outside {rule.inner if rule.inner != '*' else 'everything'}: {rule.why}"
            for rule in rules_of(stack.layers)
            if rule.outer == name and (rule.inner in inside or (rule.inner == "*" and position == 0 and inside))
        )
    lines.append("  → the provider" if names else "  (no layers) → the provider")
    findings = check(stack.layers)
    lines.extend(f"{'ERROR' if finding.harmful else 'warning'}: {finding.message}" for finding in findings)
    if not findings and names:
        lines.append("The order is as recommended.")
    return "\n".join(lines)


def order_table(names: Sequence[str] = CANONICAL) -> str:
    """Return the order rules as a Markdown table, harmful ones first; the documentation is written by this."""
    rules = [rule for rule in RULES if rule.outer in names and (rule.inner in names or rule.inner == "*")]
    rules.sort(key=lambda rule: (not rule.harmful, names.index(rule.outer)))
    rows = [
        f"| `{rule.outer}` | {'everything' if rule.inner == '*' else f'`{rule.inner}`'} "
        f"| {rule.reason} | {'error' if rule.harmful else 'warning'} |"
        for rule in rules
    ]
    return "\n".join(["| outside | inside | what breaks the other way round | |", "|---|---|---|---|", *rows])
