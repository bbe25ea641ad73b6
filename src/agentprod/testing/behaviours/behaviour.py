"""What a script consists of, and the names that stand for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

from agentprod.errors import ConfigError
from agentprod.testing.exchange import Exchange
from agentprod.testing.plan import Plan

__all__ = ["Behaviour", "as_behaviour", "short_form"]


@runtime_checkable
class Behaviour(Protocol):
    """What a provider does with one request; anything with a name and a plan is one."""

    @property
    def name(self) -> str:
        """What `RecordedRequest.behaviour` shows."""
        ...

    def plan(self, exchange: Exchange, /) -> Plan:
        """Return what to send."""
        ...


_Maker = TypeVar("_Maker", bound=Callable[[], Behaviour])
_MAKERS: dict[str, Callable[[], Behaviour]] = {}


def short_form(maker: _Maker) -> _Maker:
    """Let the name of a function stand for the behaviour it makes without arguments."""
    _MAKERS[maker.__name__] = maker
    return maker


def as_behaviour(value: object) -> Behaviour:
    """Return the behaviour that a script or `reply=` speaks of.

    Args:
        value: a behaviour, or the name of one: `"rate_limit"` is `rate_limit()`. Those that need something
            of yours, such as `raw`, have no short form.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if it is neither.
    """
    if isinstance(value, str):
        if value not in _MAKERS:
            raise ConfigError(f"no behaviour is called {value!r}; there are {', '.join(sorted(_MAKERS))}")
        return _MAKERS[value]()
    if isinstance(value, Behaviour) and not isinstance(value, type):
        return value
    raise ConfigError(f"a behaviour or the name of one is wanted here, not {type(value).__name__}")
