"""Count what a scrubber replaced in one request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from agentprod.safety.pii.scrubbed import Scrubbed
from agentprod.safety.pii.scrubber import Direction, Scrubber
from agentprod.safety.pii.spans import Span
from agentprod.safety.pii.vault import Form, Vault

__all__ = ["Tally"]


class Tally:
    """Scrubs like a scrubber, and knows afterwards what it found.

    Args:
        scrubber: does the work.
    """

    __slots__ = ("_scrubber", "counts", "find", "passed")

    def __init__(self, scrubber: Scrubber) -> None:
        self._scrubber = scrubber
        self.find = scrubber.find
        self.counts: Counter[str] = Counter()
        """How many values were found, by entity."""
        self.passed = False
        """Whether a value was left where it was by the strategy `"pass"`."""

    def scrub(
        self,
        text: str,
        vault: Vault | None = None,
        *,
        direction: Direction = "input",
        before: str = "",
        form: Form = "text",
    ) -> Scrubbed:
        """Replace what is found, and count it."""
        return self._counted(self._scrubber.scrub(text, vault, direction=direction, before=before, form=form))

    def replace(
        self, text: str, spans: Sequence[Span], vault: Vault, *, direction: Direction = "input", form: Form = "text"
    ) -> Scrubbed:
        """Replace the spans, and count them."""
        return self._counted(self._scrubber.replace(text, spans, vault, direction=direction, form=form))

    def _counted(self, scrubbed: Scrubbed) -> Scrubbed:
        for span in scrubbed.spans:
            self.counts[span.entity] += 1
        self.passed = self.passed or scrubbed.passed
        return scrubbed
