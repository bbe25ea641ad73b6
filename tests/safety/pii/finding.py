"""What a detector reports, in the form tests compare."""

from __future__ import annotations

from agentprod.safety.pii import ALL, Scrubber

_default = Scrubber(memo=0)
_all = Scrubber(entities=ALL, memo=0)


def found(text: str, *, weak: bool = False) -> list[tuple[str, str]]:
    """Return entity and value of everything found, in order; with `weak` what is opt-in too."""
    return [(span.entity, text[span.start : span.end]) for span in (_all if weak else _default).find(text)]


def entities(text: str) -> set[str]:
    """Return the entities found."""
    return {entity for entity, _ in found(text)}
