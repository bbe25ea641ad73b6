"""Which entries are meant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from agentprod.caching.keys import Ticket
from agentprod.errors import ConfigError
from agentprod.meta import Meta, meta

if TYPE_CHECKING:
    from agentprod.caching.entries import Entry

__all__ = ["Selection", "key_of_result", "select"]


class Selection(NamedTuple):
    """Entries that meet every condition given."""

    key: str | None = None
    tags: Mapping[str, str] | None = None
    tenant: str | None = None
    model: str | None = None
    where: Callable[[Entry], bool] | None = None

    def __call__(self, entry: Entry) -> bool:
        """Whether an entry is meant."""
        if self.key is not None and entry.key != self.key:
            return False
        if self.tenant is not None and entry.tenant != self.tenant:
            return False
        if self.model is not None and self.model not in (entry.model, entry.asked):
            return False
        if self.tags is not None and any(entry.tags.get(name) != value for name, value in self.tags.items()):
            return False
        return self.where is None or bool(self.where(entry))


def select(
    key: Any, tags: Mapping[str, str] | None, tenant: str | None, model: str | None, where: Any, *, kind: type = Ticket
) -> Selection:
    """Return the selection of these conditions; `kind` is as in `key_of_result`.

    Raises:
        ConfigError: no condition, or one of the wrong kind.
    """
    if key is None and not tags and tenant is None and model is None and where is None:
        raise ConfigError(
            "invalidate needs to know what: key=, tags=, tenant=, model= or where=; where=lambda entry: True is all"
        )
    predicate: Any = where
    if predicate is not None and not callable(predicate):
        raise ConfigError("invalidate where must be a predicate (entry) -> bool")
    if tags is not None and not isinstance(tags, Mapping):
        raise ConfigError(f"invalidate tags must be a mapping of str to str, not {type(tags).__name__}")
    found = None if tags is None else {str(name): str(value) for name, value in tags.items()}
    return Selection(None if key is None else key_of_result(key, kind), found, tenant, model, where)


def key_of_result(key: Any, kind: type = Ticket) -> str:
    """Return the key that is meant by a key, a result, or the account of one.

    Args:
        key: any of the three.

        kind: under which a cache leaves its ticket in a call's state.

    Raises:
        ConfigError: a result that no cache has seen.
    """
    if isinstance(key, str) and len(key) == 64:
        return key
    ledger = (key if isinstance(key, Meta) else meta(key))._ledger
    ticket = ledger.state.get(kind)
    if ticket is None:
        raise ConfigError("this result did not pass the cache: it was bypassed, or there is none in its stack")
    found: str = ticket.key
    return found
