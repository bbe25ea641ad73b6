"""Forked children have neither the threads of their parent nor any reason for its locks and dice."""

from __future__ import annotations

import os
from collections.abc import Callable

__all__ = ["after_fork"]


def after_fork(fn: Callable[[], object]) -> None:
    """Call `fn()` in every forked child, from its beginning on; where no process forks, as on Windows, never."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=fn)
