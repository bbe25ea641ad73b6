"""Links between the pages, as they are followed in a clone, where no site shows a menu."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")


def targets(page: Path) -> Iterator[Path]:
    """Yield the files that a page links to."""
    for target in LINK.findall(FENCED.sub("", page.read_text("utf-8"))):
        yield (page.parent / target).resolve()


def test_every_page_is_found_from_the_readme() -> None:
    """Whoever follows links from the README comes to every page, and to nothing that is not there."""
    found, ahead = set[Path](), {ROOT / "README.md"}
    while ahead:
        page = ahead.pop()
        assert page.exists(), f"something links to {page.relative_to(ROOT)}"
        if page.suffix == ".md":
            found.add(page)
            ahead |= set(targets(page)) - found
    assert set((ROOT / "docs").rglob("*.md")) <= found
