"""A rate limit that several processes keep together, through a store."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from agentprod.reliability import gcra_record
from agentprod.reliability.gcra import Dimension, Gcra, Shortage
from agentprod.reliability.gcra_lua import GCRA, KEY_PARTS
from agentprod.reliability.store_steps import Steps, ado, call, do
from agentprod.stores import Entry, LayeredStore, Store
from agentprod.stores.redis_scripts import Script

__all__ = ["SharedLimiter"]

T = TypeVar("T")
_KEPT = 86_400.0


@runtime_checkable
class _Scripted(Protocol):
    """A store that runs scripts where its data is."""

    def run(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int | float]) -> Any: ...

    async def arun(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int | float]) -> Any: ...


class SharedLimiter:
    """What `Gcra` does, for all processes that use the same store and key.

    On Redis each operation is one script and one round trip, timed by the server's clock; on other stores the state
    is read, changed here and written back in one step. Reservations and places in line have names, which
    their callers make up. Those in line are served in the order in which they came to the store, whichever process
    they are of; each has to ask again when its `retry_after` has passed, and loses its place 10 seconds later.

    Processes with other dimensions keep another account, so a change of limits begins a new one.

    Args:
        store: where it is kept.

        key: which limit it is; no secret.

        dimensions: what is limited.

        lease: seconds after which a reservation that nobody settled is taken as used.

        now: returns monotonic seconds.

    Raises:
        ConfigError: the dimensions are not those of a limit.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        dimensions: Sequence[Dimension],
        *,
        lease: float = 600.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dimensions = Gcra(dimensions, lease=lease).dimensions
        self._store = store.far if isinstance(store, LayeredStore) else store
        shape = json.dumps([(each.name, each.limit, each.per, each.burst) for each in self.dimensions])
        self._key = f"limit:{{{key}:{hashlib.sha256(shape.encode()).hexdigest()[:12]}}}"
        self._lease = lease
        self._now = now
        self._setting: list[str | bytes | int | float] = [len(self.dimensions), lease]
        for each in self.dimensions:
            self._setting += ["" if number is None else number for number in (each.limit, each.per, each.burst)]

    def reserve(self, id: str, costs: Sequence[float], *, wait: bool = False) -> Shortage | None:
        """Book all `costs` under the name `id`, or nothing; asking again tells whether they are there by now.

        Args:
            id: name of the reservation.

            costs: units by dimension, none negative.

            wait: stand in line when there is no room; then `leave` must follow where the reservation is given up.

        Returns:
            `None` when it is booked, else what is short and for how long.
        """
        return do(self._store, self._reserve(id, costs, wait))

    async def areserve(self, id: str, costs: Sequence[float], *, wait: bool = False) -> Shortage | None:
        """Like `reserve`."""
        return await ado(self._store, self._reserve(id, costs, wait))

    def settle(self, id: str, used: Sequence[float] | None = None) -> bool:
        """Replace what was booked by what was used; return whether it was still open.

        Args:
            id: name of the reservation.

            used: units by dimension; `None` leaves all that was booked, zeros give everything back.
        """
        return do(self._store, self._settle(id, used))

    async def asettle(self, id: str, used: Sequence[float] | None = None) -> bool:
        """Like `settle`."""
        return await ado(self._store, self._settle(id, used))

    def leave(self, id: str) -> None:
        """Give up the place in line, or everything it has brought."""
        do(self._store, self._leave(id))

    async def aleave(self, id: str) -> None:
        """Like `leave`."""
        await ado(self._store, self._leave(id))

    def learn(
        self,
        dimension: str,
        *,
        sent_ago: float,
        limit: float | None = None,
        remaining: float | None = None,
        reset: float | None = None,
        counted: str = "",
    ) -> None:
        """Take in what a response's headers say, see `Gcra.sync`.

        Args:
            dimension: its name; an unknown one is ignored.

            sent_ago: seconds since the request was sent that this answers.

            limit: units per period.

            remaining: units left.

            reset: seconds until everything is back.

            counted: name of the answered request's reservation when `remaining` has its cost taken off already.
        """
        do(self._store, self._learn(dimension, sent_ago, limit, remaining, reset, counted))

    async def alearn(
        self,
        dimension: str,
        *,
        sent_ago: float,
        limit: float | None = None,
        remaining: float | None = None,
        reset: float | None = None,
        counted: str = "",
    ) -> None:
        """Like `learn`."""
        await ado(self._store, self._learn(dimension, sent_ago, limit, remaining, reset, counted))

    def rest(self, seconds: float) -> None:
        """Admit nothing for so many seconds, in any process; a longer rest in progress goes on."""
        do(self._store, self._rest(seconds))

    async def arest(self, seconds: float) -> None:
        """Like `rest`."""
        await ado(self._store, self._rest(seconds))

    def remaining(self) -> dict[str, float]:
        """Return the units left by dimension, negative in debt; infinite where no limit is known."""
        return do(self._store, self._remaining())

    async def aremaining(self) -> dict[str, float]:
        """Like `remaining`."""
        return await ado(self._store, self._remaining())

    def _reserve(self, id: str, costs: Sequence[float], wait: bool) -> Steps[Shortage | None]:
        if len(costs) != len(self.dimensions) or not all(0 <= cost < math.inf for cost in costs):
            raise ValueError(f"there are {len(self.dimensions)} dimensions, each with a cost of 0 or more units")
        if not id:
            raise ValueError("a reservation needs a name")
        if isinstance(self._store, _Scripted):
            taken, *short = yield from self._script("reserve", id, *costs, int(wait))
            return None if taken else self._shortage(*short[:3])

        def work(gcra: Gcra, now: float) -> Shortage | None:
            answer = gcra_record.reserve(gcra, id, tuple(costs), now, wait=wait)
            return answer if isinstance(answer, Shortage) else None

        return (yield from self._update(work))

    def _settle(self, id: str, used: Sequence[float] | None) -> Steps[bool]:
        if used is not None and len(used) != len(self.dimensions):
            raise ValueError(f"there are {len(self.dimensions)} dimensions, but {len(used)} usages")
        if isinstance(self._store, _Scripted):
            found, *_ = yield from self._script("settle", id, *(used or ()))
            return bool(found)

        def work(gcra: Gcra, now: float) -> bool:
            reservation = gcra_record.reservation_of(gcra, id)
            if reservation is not None:
                gcra.settle(reservation, now, used)
            return reservation is not None

        return (yield from self._update(work))

    def _leave(self, id: str) -> Steps[None]:
        if isinstance(self._store, _Scripted):
            yield from self._script("leave", id)
        else:
            yield from self._update(lambda gcra, now: gcra_record.leave(gcra, id, now))

    def _learn(
        self,
        dimension: str,
        sent_ago: float,
        limit: float | None,
        remaining: float | None,
        reset: float | None,
        counted: str,
    ) -> Steps[None]:
        names = [each.name for each in self.dimensions]
        if dimension not in names:
            return
        if isinstance(self._store, _Scripted):
            told = ["" if number is None else number for number in (limit, remaining, reset)]
            yield from self._script("sync", names.index(dimension), sent_ago, *told, counted)
            return

        def work(gcra: Gcra, now: float) -> None:
            gcra.sync(
                dimension,
                now,
                sent_at=now - sent_ago,
                limit=limit,
                remaining=remaining,
                reset=reset,
                counted=gcra_record.reservation_of(gcra, counted),
            )

        yield from self._update(work)

    def _rest(self, seconds: float) -> Steps[None]:
        if isinstance(self._store, _Scripted):
            yield from self._script("rest", seconds)
        else:
            yield from self._update(lambda gcra, now: gcra.rest(now, seconds))

    def _remaining(self) -> Steps[dict[str, float]]:
        if isinstance(self._store, _Scripted):
            *left, _ = yield from self._script("remaining")
            return {each.name: float(units) for each, units in zip(self.dimensions, left, strict=True)}
        return (yield from self._update(lambda gcra, now: gcra.remaining(now)))

    def _shortage(self, index: int, wait: bytes, limit: bytes | None) -> Shortage:
        return Shortage(self.dimensions[index].name, float(wait), None if limit is None else float(limit))

    def _script(self, operation: str, *arguments: str | float) -> Steps[Any]:
        keys = [f"{self._key}:{part}" for part in KEY_PARTS]
        return (yield call("run", GCRA, keys, [operation, *self._setting, *arguments]))

    def _update(self, work: Callable[[Gcra, float], T]) -> Steps[T]:
        def change(entry: Entry | None) -> tuple[bytes, T]:
            now = self._now()
            data = None if entry is None else json.loads(entry.value)
            then = now - (0.0 if entry is None else entry.age)
            gcra = gcra_record.load(self.dimensions, self._lease, data, then, now)
            answer = work(gcra, now)
            return json.dumps(gcra_record.dump(gcra, now)).encode(), answer

        answer: T = yield call("update", self._key, change, ttl=_KEPT + self._lease)
        return answer
