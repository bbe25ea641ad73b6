"""Slots for calls in flight, and the line in front of them."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentprod.reliability.line import Wakeable

__all__ = ["Place", "Slots"]


class Place:
    """A place in line."""

    __slots__ = ("is_served", "waiter")

    def __init__(self, waiter: Wakeable) -> None:
        self.waiter = waiter
        self.is_served = False
        """Whether it holds a slot by now."""


class Slots:
    """A number of slots, given out first come, first served. Safe to use from any number of threads and loops.

    A slot that is given back goes to whoever is first in line, so nobody who comes later can take it.

    Args:
        size: how many slots.

        line: how many may stand in line.
    """

    def __init__(self, size: int, line: int) -> None:
        self.size = size
        self.line = line
        self.taken = 0
        """Slots in use."""
        self._lock = threading.Lock()
        self._places: deque[Place] = deque()

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._places)

    def take(self) -> bool:
        """Take a slot if one is free."""
        with self._lock:
            if self.taken >= self.size:
                return False
            self.taken += 1
            return True

    def join(self, waiter: Wakeable) -> Place | None:
        """Stand in line, or take the slot that has become free; `None` when the line is full.

        Args:
            waiter: set when the place holds a slot.
        """
        place = Place(waiter)
        with self._lock:
            if self.taken < self.size:
                self.taken += 1
                place.is_served = True
            elif len(self._places) >= self.line:
                return None
            else:
                self._places.append(place)
                return place
        waiter.set()
        return place

    def leave(self, place: Place) -> bool:
        """Leave the line; return whether the place holds a slot, which has to be given back then."""
        with self._lock:
            if not place.is_served:
                self._places.remove(place)
            return place.is_served

    def give_back(self) -> None:
        """Give a slot back."""
        with self._lock:
            if not self._places:
                self.taken -= 1
                return
            place = self._places.popleft()
            place.is_served = True
        place.waiter.set()
