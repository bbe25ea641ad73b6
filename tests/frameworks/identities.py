"""Calls of many callers at once, and whether any got or left what belongs to another."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import agentprod as ap


class Watch:
    """A layer that keeps who was named in each call, by the marker in its prompt."""

    def __init__(self) -> None:
        self.users: dict[str, str | None] = {}

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Take note, and leave the marker on the call's account."""
        marker = call.request["prompt"]
        self.users[marker] = call.context.user
        call.ledger.flag(f"marker {marker}")
        return await call_next(call)


class Place:
    """A function of each kind behind one stack, and the checks of what its callers see."""

    def __init__(self) -> None:
        self.watch = Watch()
        self.stack = ap.Stack(self.watch, ap.Retry(wait=0, budget=None))
        self.wrong: list[str] = []
        self.calls = 0
        self.failures: Counter[str] = Counter()

        @self.stack
        def ask(prompt: str) -> str:
            self._stumble(prompt)
            return f"said {prompt}"

        @self.stack
        async def aask(prompt: str) -> str:
            await asyncio.sleep(0)
            self._stumble(prompt)
            return f"said {prompt}"

        self.ask, self.aask = ask, aask

    def _stumble(self, prompt: str) -> None:
        """Fail the first attempt of every tenth call, so that calls live through more than one attempt."""
        if prompt.endswith("0") and not self.failures[prompt]:
            self.failures[prompt] += 1
            raise ConnectionError("reset")

    def check(self, user: str, marker: str, answer: str, records: Any) -> None:
        """Compare what one caller sees with what belongs to it."""
        self.calls += 1
        meta = ap.last()
        attempts = 2 if marker.endswith("0") else 1
        if answer != f"said {marker}":
            self.wrong.append(f"{marker}: got {answer!r}")
        if meta is None or f"marker {marker}" not in meta.flags or len(meta.attempts) != attempts:
            self.wrong.append(f"{marker}: another's meta")
        if self.watch.users.get(marker) != user:
            self.wrong.append(f"{marker}: named {self.watch.users.get(marker)!r}, not {user!r}")
        mine = list(records)[-1:]
        if not mine or meta is None or (mine[0].user, mine[0].request_id) != (user, meta.request_id):
            self.wrong.append(f"{marker}: another's record")

    def caller(self, name: str, turns: int) -> None:
        """Make calls for one user, in this thread."""
        with ap.context(user=name), ap.record() as records:
            for turn in range(turns):
                self.check(name, f"{name}-{turn}", self.ask(f"{name}-{turn}"), records)
            self.counted(name, turns, records)

    async def acaller(self, name: str, turns: int) -> None:
        """Make calls for one user, in this task."""
        with ap.context(user=name), ap.record() as records:
            for turn in range(turns):
                self.check(name, f"{name}-{turn}", await self.aask(f"{name}-{turn}"), records)
            self.counted(name, turns, records)

    def counted(self, name: str, turns: int, records: Any) -> None:
        """See that the caller's record has all its calls and no other."""
        users = Counter(record.user for record in records)
        if users != {name: turns}:
            self.wrong.append(f"{name}: recorded {dict(users)}")


async def with_cancelling(place: Place, callers: int, turns: int, seed: int) -> int:
    """Run callers in task groups, cancel some of them in the middle, and return how many."""
    chance = random.Random(seed)
    cancelled = 0
    for group in range(0, callers, 100):
        async with asyncio.TaskGroup() as tasks:
            made = [tasks.create_task(place.acaller(f"u{group + index}", turns)) for index in range(100)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in chance.sample(made, 10):
                cancelled += task.cancel()
    return cancelled
