"""Figures in the documentation, written where they stand."""

from __future__ import annotations

from pathlib import Path

__all__ = ["fill"]


def fill(page: Path, name: str, text: str) -> None:
    """Write a text between the comments `<!-- NAME begins … -->` and `<!-- NAME ends -->` of a page.

    Raises:
        SystemExit: the page has no such comments.
    """
    head, begin, rest = page.read_text(encoding="utf-8").partition(f"<!-- {name} begins")
    mark, _, rest = rest.partition("\n")
    _, end, tail = rest.partition(f"<!-- {name} ends")
    if not begin or not end:
        raise SystemExit(f"{page} has no comments `<!-- {name} begins … -->` and `<!-- {name} ends -->`")
    page.write_text(f"{head}{begin}{mark}\n\n{text}\n\n{end}{tail}", encoding="utf-8")
