"""What a Redis store says to its server, written once for the synchronous and the asynchronous client.

Each operation is a generator of steps, each a call of one of the client's methods.
"""

from __future__ import annotations

import math
import re
import struct
import time
from collections.abc import Callable, Generator, Sequence
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any, TypeAlias, TypeVar

from agentprod.stores import redis_scripts
from agentprod.stores.base import (
    LOG_LENGTH,
    Claim,
    CounterState,
    Entry,
    Exhausted,
    LogRead,
    Settled,
    StoreUnavailable,
    check_claims,
    check_key,
    check_ttl,
)
from agentprod.stores.redis_scripts import Script

__all__ = ["Arg", "RedisCommands", "Steps"]

T = TypeVar("T")
Call: TypeAlias = tuple[str, tuple[Any, ...], dict[str, Any]]
"""Name of a client's method, and its arguments."""
Steps: TypeAlias = Generator[Call, Any, T]
Arg: TypeAlias = str | bytes | int | float

_HEADER = struct.Struct(">QQQ")
_BATCH = 500
_ATTEMPTS = 100
_CLOCK_HOLDS = 30.0


class RedisCommands:
    """The operations of `RedisStore`.

    Args:
        prefix: of all keys on the server.

        is_cluster: whether the clients speak to a cluster.

        unknown_script: the error of a server that has not seen a script.
    """

    def __init__(self, prefix: str, *, is_cluster: bool, unknown_script: type[Exception]) -> None:
        self._prefix = prefix
        self._is_cluster = is_cluster
        self._unknown_script = unknown_script
        # The server's clock less our monotonic one, and when that was measured: so reading an entry is one GET.
        self._offset, self._measured = 0.0, -math.inf

    def script(self, script: Script, keys: Sequence[str], args: Sequence[Arg]) -> Steps[Any]:
        """Run a script; the keys get the prefix."""
        names = [self._prefix + key for key in keys]
        try:
            return (yield _call("evalsha", script.digest, len(names), *names, *args))
        except self._unknown_script:  # the server is new, or has forgotten
            return (yield _call("eval", script.text, len(names), *names, *args))

    def get(self, key: str) -> Steps[Entry | None]:
        """See `Store.get`."""
        raw = yield _call("get", f"{self._prefix}entry:{key}")
        if raw is None or len(raw) < _HEADER.size:
            return None
        if time.monotonic() > self._measured + _CLOCK_HOLDS:
            yield from self._measure()
        now = time.monotonic() + self._offset
        version, written, expires = _HEADER.unpack_from(raw)
        left = expires / 1e6 - now if expires else None
        if left is not None and left <= 0:
            return None
        return Entry(raw[_HEADER.size :], version, max(0.0, now - written / 1e6), left)

    def set(self, key: str, value: bytes, ttl: float | None, tags: Sequence[str]) -> Steps[None]:
        """See `Store.set`."""
        check_key(key, *tags)
        check_ttl(ttl)
        for tag in tags:  # first, so that no entry is ever without its tags
            yield from self.script(redis_scripts.TAG, [f"tag:{tag}"], [key, _micros(ttl)])
        yield from self.script(redis_scripts.SET, [f"entry:{key}"], [value, _micros(ttl), ""])

    def compare_and_set(self, key: str, value: bytes, version: int, ttl: float | None) -> Steps[int | None]:
        """See `Store.compare_and_set`."""
        check_key(key)
        check_ttl(ttl)
        new = yield from self.script(redis_scripts.SET, [f"entry:{key}"], [value, _micros(ttl), version])
        return None if new is None else int(new)

    def update(self, key: str, change: Callable[[Entry | None], tuple[bytes, T]], ttl: float | None) -> Steps[T]:
        """See `Store.update`."""
        for _ in range(_ATTEMPTS):
            entry = yield from self.get(key)
            value, answer = change(entry)
            version = 0 if entry is None else entry.version
            if (yield from self.compare_and_set(key, value, version, ttl)) is not None:
                return answer
        raise StoreUnavailable("an entry of the store is changed by too many at once")

    def delete(self, keys: Sequence[str], prefix: str | None, tag: str | None) -> Steps[int]:
        """See `Store.delete`."""
        count: int = yield from self._unlink([f"{self._prefix}entry:{key}".encode() for key in keys])
        if prefix is not None:
            names = yield from self._names(prefix, math.inf)
            count += yield from self._unlink(names)
        if tag is not None:
            name = f"{self._prefix}tag:{tag}"
            members: list[bytes] = yield _call("zrange", name, 0, -1)
            count += yield from self._unlink([f"{self._prefix}entry:".encode() + member for member in members])
            for first in range(0, len(members), _BATCH):
                yield _call("zrem", name, *members[first : first + _BATCH])
        return count

    def scan(self, prefix: str, limit: int) -> Steps[list[str]]:
        """See `Store.scan`."""
        names = yield from self._names(prefix, limit)
        return [name.decode()[len(self._prefix) + len("entry:") :] for name in names[:limit]]

    def publish(self, topic: str, message: bytes) -> Steps[int]:
        """See `Store.publish`."""
        check_key(topic)
        return int((yield from self.script(redis_scripts.PUBLISH, [f"log:{topic}"], [message])))

    def read_log(self, topic: str, after: int | None) -> Steps[LogRead]:
        """See `Store.read_log`."""
        arguments = ["" if after is None else after]
        last, length, found = yield from self.script(redis_scripts.READ_LOG, [f"log:{topic}"], arguments)
        messages = [message.partition(b":")[2] for message in found]
        # When the whole of a full log is news, older news may have been dropped from it.
        return LogRead(messages, int(last or after or 0), not len(messages) == length >= LOG_LENGTH)

    def reserve(self, group: str, id: str, claims: Sequence[Claim], lease: float) -> Steps[Exhausted | None]:
        """See `Store.reserve`."""
        check_claims(group, id, claims, lease)
        arguments = [id, _micros(lease), _claims_text(claims)]
        refused = yield from self.script(redis_scripts.RESERVE, _group(group), arguments)
        return None if refused is None else Exhausted(claims[refused[0]], int(refused[1]), int(refused[2]))

    def settle(self, group: str, id: str, used: Sequence[int] | None) -> Steps[Settled]:
        """See `Store.settle`."""
        if used is not None and not used:
            raise ValueError("a settlement gives the usage of each claim, or None")
        arguments = [id] if used is None else [id, str(list(used))]  # of whole numbers, the same as JSON
        found = yield from self.script(redis_scripts.SETTLE, _group(group), arguments)
        if isinstance(found, int):
            raise ValueError(f"the reservation has {found} claims, but {len(used or ())} usages were given")
        state: Settled = found.decode()
        return state

    def renew(self, group: str, id: str, lease: float) -> Steps[bool]:
        """See `Store.renew`."""
        check_ttl(lease)
        return bool((yield from self.script(redis_scripts.RENEW, _group(group), [id, _micros(lease)])))

    def add(self, group: str, counter: str, amount: int, ttl: float | None) -> Steps[CounterState]:
        """See `Store.add`."""
        check_key(group, counter)
        check_ttl(ttl)
        found = yield from self.script(redis_scripts.ADD, _group(group), [counter, amount, _micros(ttl)])
        return CounterState(*(int(number or 0) for number in found))

    def usage(self, group: str, counters: Sequence[str]) -> Steps[list[CounterState]]:
        """See `Store.usage`."""
        if not counters:
            return []
        found = yield from self.script(redis_scripts.USAGE, _group(group), counters)
        numbers = [int(number or 0) for number in found]
        return [CounterState(*numbers[first : first + 2]) for first in range(0, len(numbers), 2)]

    def _measure(self) -> Steps[None]:
        asked = time.monotonic()
        anywhere = {"target_nodes": "random"} if self._is_cluster else {}
        seconds, micros = yield _call("time", **anywhere)
        answered = time.monotonic()
        self._offset, self._measured = seconds + micros / 1e6 - (asked + answered) / 2, answered

    def _unlink(self, names: Sequence[bytes]) -> Steps[int]:
        count = 0
        for first in range(0, len(names), _BATCH):
            count += yield _call("unlink", *names[first : first + _BATCH])
        return count

    def _names(self, prefix: str, limit: float) -> Steps[list[bytes]]:
        """Return the names on the server of entries whose keys begin with `prefix`."""
        pattern = re.sub(r"([\[\]*?\\])", r"\\\1", f"{self._prefix}entry:{prefix}") + "*"
        nodes: list[Any] = (yield _call("get_primaries")) if self._is_cluster else [None]
        found: dict[bytes, None] = {}  # a scan may name a key twice
        for node in nodes:
            cursor, where = 0, {} if node is None else {"target_nodes": node}
            while len(found) < limit:
                after, names = yield _call("scan", cursor, match=pattern, count=_BATCH, **where)
                found.update(dict.fromkeys(names))
                cursor = next(iter(after.values())) if isinstance(after, dict) else after
                if cursor == 0:
                    break
        return list(found)


def _call(method: str, *args: Any, **options: Any) -> Call:
    return method, args, options


def _claims_text(claims: Sequence[Claim]) -> str:
    # JSON, written by hand in half the time: this runs before every call of a provider.
    return f"[{','.join([_claim_text(*claim) for claim in claims])}]"


def _claim_text(
    counter: str, amount: int, limit: int | None, floor: int, ttl: float | None, also: tuple[str, ...]
) -> str:
    others = "".join([f",{_quoted(name)}" for name in also]) if also else ""
    most = "false" if limit is None else limit
    life = "false" if ttl is None else _micros(ttl)
    return f"[{_quoted(counter)},{amount},{most},{floor},{life}{others}]"


def _group(name: str) -> list[str]:
    return [f"group:{{{name}}}", f"group:{{{name}}}:ends"]


def _micros(seconds: float | None) -> str | int:
    return "" if seconds is None else max(1, round(seconds * 1e6))
