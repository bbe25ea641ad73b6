"""Word lists as text files, one entry or set per line; `#` begins a comment."""

from __future__ import annotations

from importlib.resources import files

__all__ = ["lines"]


def lines(name: str) -> list[str]:
    """Return the lines of a list that are neither empty nor comments.

    Args:
        name: of the file, without `.txt`.
    """
    text = files("agentprod.caching.guards.vocabulary").joinpath(f"{name}.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
