"""State of this process alone."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from agentprod.errors import ConfigError
from agentprod.stores.base import (
    LOG_LENGTH,
    Claim,
    CounterState,
    Entry,
    Exhausted,
    LogRead,
    Settled,
    check_claims,
    check_key,
    check_ttl,
)
from agentprod.stores.counters import Counters
from agentprod.stores.twins import AsyncTwins

__all__ = ["MemoryStore"]


T = TypeVar("T")


class _Record(NamedTuple):
    value: bytes
    version: int
    written: float
    expires: float
    tags: tuple[str, ...]


class MemoryStore(AsyncTwins):
    """Entries in order of use, bounded by count and bytes; counters and logs, which are not pushed out.

    Its own container rather than a cachetools one: those have either an order of use or a lifetime per entry, and a
    look-up in `TTLCache` under a lock takes about three times as long.

    Args:
        max_entries: entries kept; the least recently used go first.

        max_bytes: bytes of keys and values kept; `None` for no bound. A larger entry is not stored.

        now: returns seconds that never go back.

    Raises:
        ConfigError: a bound is below 1.
    """

    def __init__(
        self, *, max_entries: int = 10_000, max_bytes: int | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        if max_entries < 1 or (max_bytes is not None and max_bytes < 1):
            raise ConfigError("MemoryStore needs max_entries and max_bytes of at least 1")
        self._max_entries = max_entries
        self._max_bytes = math.inf if max_bytes is None else max_bytes
        self._now = now
        self._lock = threading.Lock()
        self._versions = itertools.count(1)
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._bytes = 0
        self._tagged: dict[str, set[str]] = {}
        self._logs: dict[str, deque[tuple[int, bytes]]] = {}
        self._groups: dict[str, Counters] = {}

    @property
    def url(self) -> str:
        """Where it is."""
        return "memory://"

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._records)} of {self._max_entries} entries)"

    def get(self, key: str, *, fresh: bool = False) -> Entry | None:
        """See `Store.get`; reading counts as use."""
        now = self._now()
        with self._lock:
            return self._read(key, now)

    def set(self, key: str, value: bytes, *, ttl: float | None = None, tags: Sequence[str] = ()) -> None:
        """See `Store.set`."""
        check_key(key, *tags)
        check_ttl(ttl)
        now = self._now()
        with self._lock:
            self._put(key, _Record(value, next(self._versions), now, now + (ttl or math.inf), tuple(tags)), now)

    def keep(self, key: str, entry: Entry, *, tags: Sequence[str] = ()) -> None:
        """Store an entry of another store with its version, its age and what is left of its lifetime."""
        now = self._now()
        expires = math.inf if entry.expires_in is None else now + entry.expires_in
        with self._lock:
            self._put(key, _Record(entry.value, entry.version, now - entry.age, expires, tuple(tags)), now)

    def compare_and_set(self, key: str, value: bytes, *, version: int, ttl: float | None = None) -> int | None:
        """See `Store.compare_and_set`."""
        check_key(key)
        check_ttl(ttl)
        now = self._now()
        with self._lock:
            record = self._records.get(key)
            if (record.version if record is not None and record.expires > now else 0) != version:
                return None
            new = next(self._versions)
            self._put(key, _Record(value, new, now, now + (ttl or math.inf), record.tags if record else ()), now)
            return new

    def update(self, key: str, change: Callable[[Entry | None], tuple[bytes, T]], *, ttl: float | None = None) -> T:
        """See `Store.update`; the change is made under the store's lock."""
        check_key(key)
        check_ttl(ttl)
        now = self._now()
        with self._lock:
            value, answer = change(self._read(key, now))
            self._put(key, _Record(value, next(self._versions), now, now + (ttl or math.inf), ()), now)
            return answer

    def delete(self, *keys: str, prefix: str | None = None, tag: str | None = None) -> int:
        """See `Store.delete`."""
        now = self._now()
        with self._lock:
            doomed = set(keys)
            if prefix is not None:
                doomed.update(key for key in self._records if key.startswith(prefix))
            if tag is not None:
                doomed.update(self._tagged.get(tag, ()))
            return sum(self._remove(key) > now for key in doomed)

    def scan(self, prefix: str, *, limit: int = 10_000) -> list[str]:
        """See `Store.scan`."""
        now = self._now()
        with self._lock:
            live = (key for key, each in self._records.items() if each.expires > now and key.startswith(prefix))
            return list(itertools.islice(live, limit))

    def publish(self, topic: str, message: bytes) -> int:
        """See `Store.publish`."""
        check_key(topic)
        with self._lock:
            log = self._logs.setdefault(topic, deque(maxlen=LOG_LENGTH))
            number = log[-1][0] + 1 if log else 1
            log.append((number, message))
            return number

    def read_log(self, topic: str, after: int | None) -> LogRead:
        """See `Store.read_log`."""
        with self._lock:
            log = self._logs.get(topic, ())
            last = log[-1][0] if log else 0
            if after is None:
                return LogRead([], last, True)
            return LogRead([message for number, message in log if number > after], last, last - after <= LOG_LENGTH)

    def reserve(self, group: str, id: str, claims: Sequence[Claim], *, lease: float) -> Exhausted | None:
        """See `Store.reserve`."""
        check_claims(group, id, claims, lease)
        with self._lock:
            return self._group(group).reserve(id, claims, lease, self._now())

    def settle(self, group: str, id: str, used: Sequence[int] | None) -> Settled:
        """See `Store.settle`."""
        with self._lock:
            return self._group(group).settle(id, used, self._now())

    def renew(self, group: str, id: str, *, lease: float) -> bool:
        """See `Store.renew`."""
        check_ttl(lease)
        with self._lock:
            return self._group(group).renew(id, lease, self._now())

    def add(self, group: str, counter: str, amount: int, *, ttl: float | None = None) -> CounterState:
        """See `Store.add`."""
        check_key(group, counter)
        check_ttl(ttl)
        with self._lock:
            return self._group(group).add(counter, amount, ttl, self._now())

    def usage(self, group: str, counters: Sequence[str]) -> list[CounterState]:
        """See `Store.usage`."""
        with self._lock:
            return self._group(group).usage(counters, self._now())

    def close(self) -> None:
        """Do nothing: there is nothing to give back, and closing must not forget what was spent."""

    # Everything below runs under the lock.

    def _read(self, key: str, now: float) -> Entry | None:
        record = self._records.get(key)
        if record is None:
            return None
        value, version, written, expires, _ = record
        if expires <= now:
            self._remove(key)
            return None
        self._records.move_to_end(key)
        return Entry(value, version, now - written, None if expires == math.inf else expires - now)

    def _group(self, name: str) -> Counters:
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Counters()
        return group

    def _put(self, key: str, record: _Record, now: float) -> None:
        self._remove(key)
        size = len(key) + len(record.value)
        if size > self._max_bytes:
            return
        self._records[key] = record
        self._bytes += size
        for tag in record.tags:
            self._tagged.setdefault(tag, set()).add(key)
        # Two looks at the old end for each write find what has expired there before it piles up.
        for _ in range(2):
            oldest = next(iter(self._records))
            if self._records[oldest].expires > now:
                break
            self._remove(oldest)
        while len(self._records) > self._max_entries or self._bytes > self._max_bytes:
            self._remove(next(iter(self._records)))

    def _remove(self, key: str) -> float:
        """Remove an entry and return when it would have expired; minus infinity when there is none."""
        record = self._records.pop(key, None)
        if record is None:
            return -math.inf
        self._bytes -= len(key) + len(record.value)
        for tag in record.tags:
            keys = self._tagged[tag]
            keys.discard(key)
            if not keys:
                del self._tagged[tag]
        return record.expires
