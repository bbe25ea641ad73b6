"""The reference describes everything public, once."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import agentprod as ap
from agentprod import errors, testing

PAGES = Path(__file__).parents[2] / "docs" / "reference"


def test_every_public_name_is_described_once() -> None:
    """A name of `agentprod` or `agentprod.testing` stands on one page; errors stand together on theirs."""
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES.glob("*.md"))
    described = Counter(re.findall(r"^::: agentprod\.([\w.]+)$", pages, re.MULTILINE))
    expected = {name for name in ap.__all__ if name not in errors.__all__}
    expected |= {f"testing.{name}" for name in testing.__all__}
    modules = {"errors", "stores", "typing", "usage", "testing.conformance", "testing.plugin"}
    assert set(described) - modules == expected - {"Usage"}
    assert set(described.values()) == {1}
