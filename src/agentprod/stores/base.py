"""What a store is: entries with a lifetime, an invalidation log, and counters that are reserved before they are spent.

Keys and names hold no secrets: whoever makes them hashes what is one. Values are bytes. Every method with I/O has an
async twin with an `a` prefix, and both raise `StoreUnavailable` when the store does not answer within its time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

from agentprod.errors import AgentprodError

__all__ = [
    "MOST",
    "Claim",
    "CounterState",
    "Entry",
    "Exhausted",
    "LogRead",
    "Settled",
    "Store",
    "StoreUnavailable",
    "check_claims",
    "check_key",
    "check_ttl",
]

T = TypeVar("T")

MOST = 2**52
"""Largest amount of a claim: two of them add up exactly in every store. In nano-dollars, 4.5 million dollars."""

KEPT_LAPSED = 86_400.0
"""Seconds for which a lapsed reservation can still be corrected by a late settlement."""

LOG_LENGTH = 1000
"""Messages kept per topic of the log."""


class StoreUnavailable(AgentprodError):
    """Raised when a store did not answer in time, or is known not to. What to do then is its user's to decide.

    Args:
        message: which store, and what it was asked to do; never a key, a value or a credential.

        retry_after: seconds until it is asked again; 0 when the next operation will ask it.
    """

    def __init__(self, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Entry(NamedTuple):
    """What is stored under a key."""

    value: bytes
    version: int
    """Changes with every write, and never comes again for this key; never 0."""
    age: float
    """Seconds since it was written, by the store's clock."""
    expires_in: float | None
    """Seconds it still lives; `None` for ever."""


class Claim(NamedTuple):
    """What a reservation asks of one counter."""

    counter: str
    """Name of the counter, with the window it counts in: another window is another counter."""
    amount: int
    """Units to hold, 0 or more."""
    limit: int | None
    """Most units that may be spent and held together, these included; `None` for no limit."""
    floor: int = 0
    """Units that count as spent if nobody settles before the lease ends; at most `amount`."""
    ttl: float | None = None
    """Seconds the counter is kept from now on at least; `None` for ever."""
    also: tuple[str, ...] = ()
    """Counters whose units count against the limit, too, such as the earlier buckets of a rolling window."""


class Exhausted(NamedTuple):
    """Why nothing was reserved: the first claim that did not fit, and what its counter (and `also`) hold."""

    claim: Claim
    spent: int
    held: int


class CounterState(NamedTuple):
    """What a counter holds."""

    spent: int
    held: int
    """Units of reservations that are not settled."""


class LogRead(NamedTuple):
    """What the log holds after a point."""

    messages: list[bytes]
    last: int
    """Number of the last message, to read on from."""
    complete: bool
    """False when messages after that point may have been dropped: then everything may have changed."""


Settled = Literal["settled", "late", "unknown"]
"""What a settlement found: the reservation, one whose lease had ended (now corrected), or none (settled before)."""


@runtime_checkable
class Store(Protocol):
    """State that processes may share. One object serves any number of threads and event loops."""

    @property
    def url(self) -> str:
        """Where it is, without credentials."""
        ...

    def get(self, key: str, *, fresh: bool = False) -> Entry | None:
        """Return what is stored under `key`.

        Args:
            key: its name.

            fresh: ask the farthest layer, where there are several.
        """
        ...

    async def aget(self, key: str, *, fresh: bool = False) -> Entry | None:
        """Like `get`."""
        ...

    def set(self, key: str, value: bytes, *, ttl: float | None = None, tags: Sequence[str] = ()) -> None:
        """Store `value` for `ttl` seconds, or until it is pushed out.

        Args:
            key: its name.

            value: what to store.

            ttl: seconds it lives, above 0; `None` for ever. Reading does not prolong it.

            tags: names by which it can be deleted together with others.
        """
        ...

    async def aset(self, key: str, value: bytes, *, ttl: float | None = None, tags: Sequence[str] = ()) -> None:
        """Like `set`."""
        ...

    def compare_and_set(self, key: str, value: bytes, *, version: int, ttl: float | None = None) -> int | None:
        """Store `value` if the entry still has `version`, 0 meaning that there is none.

        Returns:
            The new version, or `None` when somebody else was faster.
        """
        ...

    async def acompare_and_set(self, key: str, value: bytes, *, version: int, ttl: float | None = None) -> int | None:
        """Like `compare_and_set`."""
        ...

    def update(self, key: str, change: Callable[[Entry | None], tuple[bytes, T]], *, ttl: float | None = None) -> T:
        """Read an entry, change it, and write it back, with nobody in between.

        Args:
            key: its name.

            change: gets the entry, or `None`, and returns the new value and an answer; short, and without I/O. It may
                be called more than once.

            ttl: seconds the new entry lives.

        Returns:
            The answer that belongs to what was written.
        """
        ...

    async def aupdate(
        self, key: str, change: Callable[[Entry | None], tuple[bytes, T]], *, ttl: float | None = None
    ) -> T:
        """Like `update`."""
        ...

    def delete(self, *keys: str, prefix: str | None = None, tag: str | None = None) -> int:
        """Delete these keys, all that begin with `prefix`, and all that carry `tag`; return how many there were."""
        ...

    async def adelete(self, *keys: str, prefix: str | None = None, tag: str | None = None) -> int:
        """Like `delete`."""
        ...

    def scan(self, prefix: str, *, limit: int = 10_000) -> list[str]:
        """Return up to `limit` keys that begin with `prefix`, in no order."""
        ...

    async def ascan(self, prefix: str, *, limit: int = 10_000) -> list[str]:
        """Like `scan`."""
        ...

    def publish(self, topic: str, message: bytes) -> int:
        """Append to the log of `topic`, which keeps the last 1,000 messages; return the message's number."""
        ...

    async def apublish(self, topic: str, message: bytes) -> int:
        """Like `publish`."""
        ...

    def read_log(self, topic: str, after: int | None) -> LogRead:
        """Return the messages after number `after`; with `None` none, only the number to begin from."""
        ...

    async def aread_log(self, topic: str, after: int | None) -> LogRead:
        """Like `read_log`."""
        ...

    def reserve(self, group: str, id: str, claims: Sequence[Claim], *, lease: float) -> Exhausted | None:
        """Hold every claim in one step, or none of them.

        The counters of one group are changed together, so they live in one place: on one node of a Redis Cluster.

        Args:
            group: name of the group, not empty.

            id: name of the reservation; a second call with it changes nothing and returns `None` as well.

            claims: what to hold, no counter twice.

            lease: seconds after which it counts as spent by its floors, unless it is renewed or settled before.

        Returns:
            `None` when it is held, else the first claim that did not fit.
        """
        ...

    async def areserve(self, group: str, id: str, claims: Sequence[Claim], *, lease: float) -> Exhausted | None:
        """Like `reserve`."""
        ...

    def settle(self, group: str, id: str, used: Sequence[int] | None) -> Settled:
        """Replace what a reservation holds by what was used, maybe more; doing it twice has no effect.

        Args:
            group: name of the group.

            id: name of the reservation.

            used: units by claim, in the order of the claims; `None` gives everything back.
        """
        ...

    async def asettle(self, group: str, id: str, used: Sequence[int] | None) -> Settled:
        """Like `settle`."""
        ...

    def renew(self, group: str, id: str, *, lease: float) -> bool:
        """Let a reservation's lease run for `lease` seconds from now; return whether it was still running."""
        ...

    async def arenew(self, group: str, id: str, *, lease: float) -> bool:
        """Like `renew`."""
        ...

    def add(self, group: str, counter: str, amount: int, *, ttl: float | None = None) -> CounterState:
        """Spend `amount` without a reservation and without a limit; a negative amount gives back."""
        ...

    async def aadd(self, group: str, counter: str, amount: int, *, ttl: float | None = None) -> CounterState:
        """Like `add`."""
        ...

    def usage(self, group: str, counters: Sequence[str]) -> list[CounterState]:
        """Return what these counters hold; nothing where there is no such counter."""
        ...

    async def ausage(self, group: str, counters: Sequence[str]) -> list[CounterState]:
        """Like `usage`."""
        ...

    def close(self) -> None:
        """Give connections and files back; using the store again opens them again."""
        ...

    async def aclose(self) -> None:
        """Like `close`, for the running event loop's connections too."""
        ...


def check_key(*keys: str) -> None:
    """Raise `ValueError` for a name that is empty or longer than 512 characters."""
    for key in keys:
        if not 0 < len(key) <= 512:
            raise ValueError(f"a key has 1 to 512 characters, not {len(key)}")


def check_ttl(ttl: float | None) -> None:
    """Raise `ValueError` for a lifetime that is not a positive number of seconds."""
    if ttl is not None and not 0 < ttl < math.inf:
        raise ValueError(f"a lifetime is a number of seconds above 0, not {ttl!r}")


def check_claims(group: str, id: str, claims: Sequence[Claim], lease: float) -> None:
    """Raise `ValueError` for a reservation that no store could hold."""
    check_key(group, id)
    check_ttl(lease)
    counters = set()
    for counter, amount, limit, floor, ttl, also in claims:
        counters.add(counter)
        check_key(counter, *also)
        check_ttl(ttl)
        if not 0 <= floor <= amount <= MOST or not (limit is None or -MOST <= limit <= MOST):
            raise ValueError("a claim has 0 <= floor <= amount, and all its numbers within 2**52")
    if not claims or len(counters) < len(claims):
        raise ValueError("a reservation has at least one claim, and one per counter at most")
