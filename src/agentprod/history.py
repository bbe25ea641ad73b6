"""The attempts behind an error."""

from __future__ import annotations

from agentprod.ledger import Attempt
from agentprod.meta import meta

__all__ = ["history"]


def history(error: BaseException) -> list[Attempt]:
    """Return the attempts that ended in `error`, in order.

    Raises:
        ConfigError: the error did not come out of a stack.
    """
    return meta(error).attempts
