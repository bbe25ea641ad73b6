"""What every store has to hold, through its methods and their async twins."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from typing import Any

from agentprod.stores.base import Claim, CounterState, Exhausted, Store
from agentprod.testing.conformance.check import Check, expect

__all__ = ["store_checks"]

NOTHING = CounterState(0, 0)


class _Twins:
    """Calls the async twin of each method, all in one event loop."""

    def __init__(self, store: Any, runner: asyncio.Runner) -> None:
        self._store = store
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        twin = getattr(self._store, f"a{name}")
        return lambda *given, **options: self._runner.run(twin(*given, **options))


def store_checks(make: Callable[[], Store], *, wait: Callable[[float], object]) -> list[Check]:
    """Return what to check of a store.

    Args:
        make: returns a fresh, empty store; it is closed after each check.

        wait: lets so many seconds pass for the store: `time.sleep`, or what moves its clock.

    Returns:
        The checks, named by what they check and the way the store is called, sync or async.
    """
    checks = [Check("has_every_method", "it is a Store, each method with its async twin", lambda: _complete(make))]
    for way in ("sync", "async"):
        for run in (_entries, _lifetimes, _versions, _updates, _deletion, _log, _reservations, _leases, _counters):
            says = inspect.getdoc(run) or ""
            checks.append(Check(f"{run.__name__.strip('_')}[{way}]", says, _bound(run, make, way, wait)))
    checks.append(
        Check("many_threads", "updates and reservations of many threads are all there", lambda: _threads(make))
    )
    return checks


def _bound(
    run: Callable[[Any, Callable[[float], object]], None],
    make: Callable[[], Store],
    way: str,
    wait: Callable[[float], object],
) -> Callable[[], None]:
    def check() -> None:
        store = make()
        if way == "sync":
            try:
                run(store, wait)
            finally:
                store.close()
            return
        with asyncio.Runner() as runner:
            try:
                run(_Twins(store, runner), wait)
            finally:
                runner.run(store.aclose())

    return check


def _complete(make: Callable[[], Store]) -> None:
    store = make()
    try:
        lacking = [name for name in dir(Store) if not name.startswith("_") and not hasattr(store, name)]
        expect(not lacking, f"{type(store).__name__} lacks methods of agentprod.stores.Store: {', '.join(lacking)}")
        for name in dir(Store):
            twin = f"a{name}"
            if not name.startswith("_") and hasattr(Store, twin):
                expect(inspect.iscoroutinefunction(getattr(store, twin)), f"{twin} is not an async method")
    finally:
        store.close()


def _entries(store: Any, wait: Callable[[float], object]) -> None:
    """Bytes come back as they were, under any text as key, and what was never set is not there."""
    blob = bytes(range(256))
    for key in ("k", "缓存:键", "a b", "a*b[c]?", "{x}", "\\"):
        store.set(key, blob + key.encode())
        entry = store.get(key)
        expect(
            entry is not None and entry.value == blob + key.encode(), f"what was set under {key!r} did not come back"
        )
    expect(store.get("never set") is None, "a key that was never set has a value")
    found = store.scan("a*")
    expect(found == ["a*b[c]?"], f"scan('a*') found {found!r}; prefixes are literal")


def _lifetimes(store: Any, wait: Callable[[float], object]) -> None:
    """An entry ends with its lifetime, reading does not prolong it, and setting again does."""
    for key in ("short", "again", "endless"):
        store.set(key, b"v", ttl=0.2)
    store.get("short")
    store.set("again", b"w", ttl=60)
    store.set("endless", b"w")
    entry = store.get("again")
    expect(entry.expires_in is not None and 50 < entry.expires_in <= 60, f"expires_in is {entry.expires_in!r} of 60")
    expect(store.get("endless").expires_in is None, "an entry without a lifetime has one")
    wait(0.25)
    expect(store.get("short") is None, "an entry is there after its lifetime")
    expect(store.get("again") is not None, "an entry that was set again ended with its old lifetime")
    expect(store.get("endless") is not None, "an entry set again without a lifetime ended with its old one")


def _versions(store: Any, wait: Callable[[float], object]) -> None:
    """compare_and_set lets one writer win; version 0 means that there is no entry; no version comes again."""
    first = store.compare_and_set("k", b"a", version=0)
    expect(first, "compare_and_set with version 0 did not create an entry")
    expect(store.compare_and_set("k", b"b", version=0) is None, "version 0 replaced an entry that is there")
    second = store.compare_and_set("k", b"b", version=first)
    expect(second not in (None, first), f"the second write has version {second!r} after {first!r}")
    expect(store.compare_and_set("k", b"c", version=first) is None, "an old version won")
    entry = store.get("k", fresh=True)
    expect((entry.value, entry.version) == (b"b", second), "the entry is not what the last writer wrote")
    store.delete("k")
    wait(0.01)
    third = store.compare_and_set("k", b"d", version=0)
    expect(third not in (None, first, second), "a version came again after the key was deleted")


def _updates(store: Any, wait: Callable[[float], object]) -> None:
    """An update reads, changes and writes in one step, and returns its answer."""

    def change(entry: Any) -> tuple[bytes, int]:
        number = 0 if entry is None else int(entry.value)
        return str(number + 1).encode(), number

    answers = [store.update("n", change) for _ in range(3)]
    expect(answers == [0, 1, 2], f"updates answered {answers}")
    expect(store.get("n").value == b"3", "updates were lost")


def _deletion(store: Any, wait: Callable[[float], object]) -> None:
    """By key, by literal prefix and by tag; how many there were is returned."""
    for key, tags in (("a:1", ("red",)), ("a:2", ("red", "blue")), ("b:1", ("blue",)), ("b:2", ())):
        store.set(key, b"v", tags=tags)
    expect(store.delete("b:2", "never") == 1, "deleting one key and one that is not there did not return 1")
    expect(store.delete(tag="blue") == 2, "deleting by tag did not return 2")
    expect(store.scan("") == ["a:1"], f"after deleting, {sorted(store.scan(''))} are left of ['a:1']")
    expect(store.delete(prefix="a:") == 1, "deleting by prefix did not return 1")


def _log(store: Any, wait: Callable[[float], object]) -> None:
    """A log is read on from a point, tells its last number, and says when news were dropped."""
    begin = store.read_log("t", None)
    expect(begin.messages == [], "a log read from its end has messages")
    store.publish("t", b"one")
    number = store.publish("t", b"two")
    news = store.read_log("t", begin.last)
    expect(news.messages == [b"one", b"two"], f"the log has {news.messages!r}")
    expect(news.last == number, f"the last number is {news.last}, the last message's {number}")
    expect(news.complete, "a log that dropped nothing says that it did")
    expect(store.read_log("t", number).messages == [], "messages come twice")


def _reservations(store: Any, wait: Callable[[float], object]) -> None:
    """All claims are held or none; settling replaces what is held by what was used, once."""
    small, large = Claim("calls", 1, 2), Claim("tokens", 60, 100)
    expect(store.reserve("g", "r1", [small, large], lease=60) is None, "a reservation that fits was refused")
    expect(store.usage("g", ["calls", "tokens"]) == [CounterState(0, 1), CounterState(0, 60)], "it is not held")
    refused = store.reserve("g", "r2", [small, large], lease=60)
    expect(isinstance(refused, Exhausted), "more was reserved than the limit leaves")
    expect(refused.claim.counter == "tokens", f"the claim that did not fit is told as {refused.claim.counter!r}")
    expect(store.usage("g", ["calls"]) == [CounterState(0, 1)], "of a refused reservation something is held")
    expect(store.settle("g", "r1", [1, 45]) == "settled", "settling an open reservation was not 'settled'")
    expect(store.settle("g", "r1", [1, 45]) == "unknown", "settling twice was not 'unknown' the second time")
    expect(store.usage("g", ["calls", "tokens"]) == [CounterState(1, 0), CounterState(45, 0)], "it counts otherwise")
    store.reserve("g", "r3", [large._replace(amount=5)], lease=60)
    store.settle("g", "r3", None)
    expect(store.usage("g", ["tokens"]) == [CounterState(45, 0)], "what was released still counts")


def _leases(store: Any, wait: Callable[[float], object]) -> None:
    """A lapsed lease counts as spent by its floor, can be renewed before, and be corrected after."""
    store.reserve("g", "lapses", [Claim("a", 10, None, floor=4)], lease=0.2)
    store.reserve("g", "renewed", [Claim("b", 10, None, floor=4)], lease=0.2)
    expect(store.renew("g", "renewed", lease=60) is True, "a running lease could not be renewed")
    wait(0.25)
    expect(store.usage("g", ["a"]) == [CounterState(4, 0)], f"a lapsed lease counts {store.usage('g', ['a'])}")
    expect(store.usage("g", ["b"]) == [CounterState(0, 10)], "a renewed lease lapsed")
    expect(store.renew("g", "lapses", lease=60) is False, "a lapsed lease was renewed")
    expect(store.settle("g", "lapses", [7]) == "late", "settling after the lease was not 'late'")
    expect(store.usage("g", ["a"]) == [CounterState(7, 0)], "a late settlement did not correct the counter")


def _counters(store: Any, wait: Callable[[float], object]) -> None:
    """Adding spends without a limit, groups are apart, and a counter ends with its window."""
    expect(store.add("g", "n", 5) == CounterState(5, 0), "adding 5 to nothing is not 5")
    expect(store.add("g", "n", -2) == CounterState(3, 0), "giving 2 back of 5 is not 3")
    expect(store.usage("other", ["n"]) == [NOTHING], "groups share a counter")
    store.add("g", "brief", 1, ttl=0.2)
    wait(0.25)
    expect(store.usage("g", ["brief"]) == [NOTHING], "a counter is there after its window")


def _threads(make: Callable[[], Store]) -> None:
    store = make()
    held: list[Any] = []
    failed: list[BaseException] = []

    def count(entry: Any) -> tuple[bytes, None]:
        return str(1 + (0 if entry is None else int(entry.value))).encode(), None

    def work(name: int) -> None:
        try:
            for turn in range(10):
                store.update("n", count)
                if store.reserve("g", f"{name}-{turn}", [Claim("c", 1, 30)], lease=60) is None:
                    held.append(turn)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]
        entry = store.get("n", fresh=True)
        expect(entry is not None and entry.value == b"80", "updates of several threads were lost")
        expect(len(held) == 30, f"{len(held)} reservations of several threads fit into a limit of 30")
    finally:
        store.close()
