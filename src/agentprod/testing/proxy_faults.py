"""What a `FaultProxy` can do to the bytes on their way back to the client.

Byte counts are those of one connection, response heads included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agentprod.errors import ConfigError
from agentprod.testing.options import check_count, check_seconds

__all__ = [
    "ProxyFault",
    "black_hole",
    "bytewise",
    "delay",
    "dribble",
    "fin_after",
    "rst_after",
    "rst_on_connect",
    "stall_after",
]


@dataclass(frozen=True, slots=True)
class ProxyFault:
    """One fault of a proxy; made by the functions here."""

    name: str
    limit: int | None = None
    """How many bytes reach the client; `None` for all."""
    ending: Literal["fin", "rst", "stall"] = "fin"
    """What happens when the limit is reached."""
    connects: bool = True
    """Whether the target is called at all."""
    latency: float = 0.0
    """Seconds every byte comes later."""
    bytewise: bool = False
    interval: float = 0.0
    """Seconds between two bytes when they come one by one."""


def rst_on_connect() -> ProxyFault:
    """Reset every connection as soon as it is accepted."""
    return ProxyFault("rst_on_connect", limit=0, ending="rst", connects=False)


def rst_after(count: int) -> ProxyFault:
    """Reset the connection after this many bytes, 0 or more, have reached the client."""
    check_count("rst_after", "count", count, least=0)
    return ProxyFault("rst_after", limit=count, ending="rst")


def fin_after(count: int) -> ProxyFault:
    """Close the connection after this many bytes, 0 or more, have reached the client."""
    check_count("fin_after", "count", count, least=0)
    return ProxyFault("fin_after", limit=count, ending="fin")


def stall_after(count: int) -> ProxyFault:
    """Send no more after this many bytes, 0 or more, and keep the connection open until the client closes it."""
    check_count("stall_after", "count", count, least=0)
    return ProxyFault("stall_after", limit=count, ending="stall")


def black_hole() -> ProxyFault:
    """Accept every connection, swallow what comes, never answer, and never call the target."""
    return ProxyFault("black_hole", limit=0, ending="stall", connects=False)


def delay(seconds: float) -> ProxyFault:
    """Let every byte arrive this many seconds, 0 or more, later; a stream keeps its rhythm."""
    check_seconds("delay", "seconds", seconds)
    return ProxyFault("delay", latency=seconds)


def bytewise() -> ProxyFault:
    """Write every byte by itself, as fast as that goes."""
    return ProxyFault("bytewise", bytewise=True)


def dribble(interval: float = 0.002) -> ProxyFault:
    """Write every byte by itself, with this many seconds, 0 or more, after each."""
    check_seconds("dribble", "interval", interval)
    return ProxyFault("dribble", bytewise=True, interval=interval)


_NAMED = {
    "rst_on_connect": rst_on_connect,
    "black_hole": black_hole,
    "bytewise": bytewise,
    "dribble": dribble,
}


def as_fault(value: object) -> ProxyFault:
    """Return the fault a `FaultProxy` is given: a fault, the name of one that needs no number, or `None` for none."""
    if value is None:
        return ProxyFault("none")
    if isinstance(value, str) and value in _NAMED:
        return _NAMED[value]()
    if isinstance(value, ProxyFault):
        return value
    named = ", ".join(sorted(_NAMED))
    raise ConfigError(f"a fault of agentprod.testing.proxy_faults, None, or one of {named} is wanted, not {value!r}")
