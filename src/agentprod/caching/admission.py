"""Which calls a cache takes, and where their answers are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from agentprod.caching.canonical import Uncacheable
from agentprod.caching.keys import Keys, Ticket
from agentprod.caching.partition import By, check_by, partition_of
from agentprod.errors import CacheMiss, ConfigError

if TYPE_CHECKING:
    from agentprod.caching.counts import Counts
    from agentprod.caching.warning import Warner
    from agentprod.call import Call, CallNext
    from agentprod.reply import Reply

__all__ = ["Admission", "further_in", "nothing_stored"]


class Admission:
    """The door of a cache.

    Args:
        keys: makes the keys.

        by: who shares answers.

        refuse: returns why a request has no place in the cache, in one word, or `None`.

        counts, warner: where refusals and failures are told.

    Raises:
        ConfigError: an unknown `by`.
    """

    def __init__(
        self, keys: Keys, by: By, refuse: Callable[[Call], str | None], counts: Counts, warner: Warner
    ) -> None:
        self._by = check_by(by, warner.layer)
        self._keys = keys
        self._refuse = refuse
        self._counts = counts
        self._warner = warner

    def ticket(self, call: Call, epoch: int) -> Ticket | str:
        """Return where a call's answer is kept, or why it is kept nowhere.

        Raises:
            ConfigError: partitioned by somebody whom the call does not name.
        """
        if call.context.cache == "bypass":
            return "asked"
        try:
            return self._keys.ticket(call, partition_of(call, self._by, self._warner.layer), epoch)
        except ConfigError:
            reason = self._refuse(call)
            if reason is None:
                raise
            return reason
        except Uncacheable as error:
            self._warner.uncacheable(call, str(error))
            return "uncacheable"
        except Exception as error:
            return self.failed("making a key", error)

    def failed(self, what: str, error: Exception) -> str:
        """Tell that something inside the cache failed; return the reason for going past it."""
        self._counts.add("errors")
        self._warner.failed(what, error)
        return "error"

    async def past(self, call: Call, call_next: CallNext, reason: str) -> Reply:
        """Let a call go past the cache.

        Raises:
            CacheMiss: it must not be asked.
        """
        layer = self._warner.layer
        if call.context.cache == "only" and not further_in(call, "SemanticCache", layer):
            raise nothing_stored(call, layer, f"such a request is never stored ({reason})")
        self._counts.bypass(reason)
        if call.ledger.cache is None:
            call.ledger.cache = "bypass"
        call.ledger.note(layer, "bypass", reason=reason)
        return await call_next(call)


def further_in(call: Call, other: str, layer: str) -> bool:
    """Whether another layer stands inside this one."""
    layers = call.ledger.layers
    return other in layers and layer in layers and layers.index(layer) < layers.index(other)


def nothing_stored(call: Call, layer: str, why: str) -> CacheMiss:
    """Return what to raise when a call may not be asked."""
    return CacheMiss(
        f'{why}, and cache="only" forbids to ask {call.target}; drop it, or warm the cache up first',
        layer=layer,
        target=str(call.target),
    )
