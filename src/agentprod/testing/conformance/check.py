"""One check, and running many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["Check", "NotConforming", "expect", "verify"]


class NotConforming(AssertionError):
    """Raised by a check: what must hold, and what was seen instead."""


class Check:
    """One thing that must hold. Call it to check; as a string it is its name.

    Attributes:
        name: which check, and in which mode.

        says: what must hold.
    """

    def __init__(self, name: str, says: str, run: Callable[[], None]) -> None:
        self.name = name
        self.says = says
        self._run = run

    def __call__(self) -> None:
        """Check.

        Raises:
            NotConforming: it does not hold.
        """
        self._run()

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__


def expect(holds: Any, says: str) -> None:
    """Raise unless something holds."""
    if not holds:
        raise NotConforming(says)


def verify(checks: Iterable[Check]) -> None:
    """Run every check and tell all that fail at once.

    Args:
        checks: what `layer_checks`, `dialect_checks` or `store_checks` returned.

    Raises:
        NotConforming: a check fails; the message has a line for each that does.
    """
    failed = []
    for check in checks:
        try:
            check()
        except Exception as error:  # whatever a check meets, the others are told as well
            failed.append(f"{check.name}: {type(error).__name__}: {error}")
    if failed:
        raise NotConforming("\n".join(failed))
