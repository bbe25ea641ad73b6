"""What the tests of the semantic cache ask, and how they read what happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import agentprod as ap

FIRST = "How do I reset my password?"
SIMILAR = "How can I reset my password please?"


def reason(meta: ap.Meta | None) -> tuple[str | None, str]:
    """Return what the cache did, and why."""
    assert meta is not None
    (note,) = [note for note in meta.notes if note.layer == "SemanticCache" and note.event != "not_stored"]
    return meta.cache, note.data["reason"]


def answering(*layers: Any, **options: Any) -> Callable[[str], str]:
    """Return a function behind these layers that answers with the question, so that answers tell whose they are."""

    def answer(prompt: str) -> str:
        return prompt

    return ap.Stack(*layers, **options).decorate(answer)
