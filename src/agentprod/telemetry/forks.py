"""Locks and threads do not survive a fork; what holds some is told in the child."""

from __future__ import annotations

from typing import Protocol
from weakref import WeakSet

from agentprod.forks import after_fork
from agentprod.telemetry.drops import drops

__all__ = ["renew_after_fork"]


class Forkable(Protocol):
    """Something that can take new locks."""

    def after_fork(self) -> None:
        """Replace locks and forget threads."""


_holders: WeakSet[Forkable] = WeakSet()


def renew_after_fork(holder: Forkable) -> None:
    """Call `holder.after_fork()` in every forked child, as long as the holder lives."""
    _holders.add(holder)


def _in_child() -> None:
    for holder in list(_holders):
        holder.after_fork()


renew_after_fork(drops)
after_fork(_in_child)
