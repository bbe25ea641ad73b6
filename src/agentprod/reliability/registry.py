"""One state object per key, for a bounded number of keys."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from agentprod.errors import ConfigError

__all__ = ["Forgettable", "Registry"]


class Forgettable(Protocol):
    """A state that can say whether forgetting it would lose anything."""

    def is_clean(self, now: float) -> bool:
        """Return whether a new state would behave the same from `now` on."""
        ...


S = TypeVar("S", bound=Forgettable)


class Registry(Generic[S]):
    """Makes states on first use and forgets the least recently used clean ones.

    A state that still matters, such as an open circuit, is never forgotten for a new key's sake: when every one of
    `max_keys` matters, the new key gets a state that is not kept. It works for that one call, and remembers nothing.

    Args:
        make: makes the state of a key.

        max_keys: how many are kept.

    Raises:
        ConfigError: `max_keys` is below 1.
    """

    def __init__(self, make: Callable[[str], S], *, max_keys: int = 1024) -> None:
        if max_keys < 1:
            raise ConfigError(f"max_keys must be at least 1, not {max_keys}")
        self._make = make
        self._max_keys = max_keys
        self._lock = threading.Lock()
        self._states: OrderedDict[str, S] = OrderedDict()
        # Most processes ask for one key again and again: it is found without the lock.
        self._latest: tuple[str | None, S | None] = (None, None)

    def get(self, key: str, now: float) -> S:
        """Return the state of `key`, the same object each time, made if need be."""
        latest, found = self._latest
        if latest is key and found is not None:
            return found
        with self._lock:
            state = self._states.get(key)
            if state is not None:
                self._states.move_to_end(key)
                self._latest = (key, state)
                return state
            state = self._make(key)
            if len(self._states) < self._max_keys or self._forget_one(now):
                self._states[key] = state
                self._latest = (key, state)
            return state

    def peek(self, key: str) -> S | None:
        """Return the state of `key` if there is one, without counting as use."""
        with self._lock:
            return self._states.get(key)

    def items(self) -> list[tuple[str, S]]:
        """Return all keys and their states, the least recently used first."""
        with self._lock:
            return list(self._states.items())

    def __len__(self) -> int:
        return len(self._states)

    def _forget_one(self, now: float) -> bool:
        for _ in range(len(self._states)):
            key, state = next(iter(self._states.items()))
            if state.is_clean(now):
                self._latest = (None, None)
                del self._states[key]
                return True
            # It cannot go now, so the next search need not meet it first.
            self._states.move_to_end(key)
        return False
