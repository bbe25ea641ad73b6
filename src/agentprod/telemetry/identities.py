"""Names of users, tenants and tags as they may leave the process: many applications use mail addresses for them."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from agentprod.telemetry.drops import drops

__all__ = ["leaving", "scrub_with"]

# Ids that hold no personal data whatever a scrubber thinks of them: few digits, or the digits of a hash, UUID or ULID.
_PLAIN = re.compile(
    r"(?=(?:\D*\d){0,6}\D*$)[A-Za-z0-9_.:/-]{1,64}|[0-9a-f]{32}|[0-9a-f-]{36}|[0-9A-HJKMNP-TV-Z]{26}", re.ASCII
)

_scrub: Callable[[str], str] | None = None


def scrub_with(scrub: Callable[[str], str] | None) -> None:
    """Say how the stack of the call that ends scrubs text."""
    global _scrub  # noqa: PLW0603 - one per process, by intent
    _scrub = scrub


def leaving(text: str) -> str:
    """Return a name as logs and audit files may hold it, with personal data replaced by its kind."""
    return text if _scrub is None else _scrubbed(text, _scrub)


@lru_cache(maxsize=4096)
def _scrubbed(text: str, scrub: Callable[[str], str]) -> str:
    if _PLAIN.fullmatch(text):
        return text
    try:
        return scrub(text)
    except Exception:
        drops.count("capture")
        return "[dropped]"
