"""One of several processes that share a rate limit and a circuit: `python -m tests.reliability.worker '{"url": …}'`.

Reads what to do as JSON from its argument, writes what it saw as JSON lines; the last one is a summary. With `forks` it
becomes so many processes, which write to files in the folder `out`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import agentprod as ap
from agentprod.stores import RedisStore
from agentprod.stores.redis_scripts import Script


class TimedStore(RedisStore):
    """Remembers when, by its server's clock, it last admitted a call of this thread."""

    here = threading.local()

    def run(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int | float]) -> Any:
        answer = super().run(script, keys, args)
        if args[0] == "reserve":
            self.here.admitted = float(answer[-1])
        return answer


def say(**facts: Any) -> None:
    """Tell the parent."""
    print(json.dumps(facts), flush=True)


def limited(task: dict[str, Any], store: RedisStore) -> None:
    """Make calls behind a limit; tell when each was admitted and what it used."""
    limit = ap.RateLimit(
        requests=task["requests"], tokens=task["tokens"], per=task["per"], by="global", store=store, sync_headers=False
    )
    breaker = ap.CircuitBreaker(by="global", store=store)
    used = task["used"]

    async def told(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)
        assert reply.attempt is not None
        reply.attempt.usage = ap.Usage(used, 0)
        return reply

    admitted: list[float] = []

    @ap.Stack(limit, breaker, told)
    def ask(number: int, max_tokens: int) -> int:
        admitted.append(store.here.admitted if isinstance(store, TimedStore) else 0.0)
        return number

    for number in range(task["calls"]):
        assert ask(number, max_tokens=1) == number
        if number % 10 == 0:
            say(progress=number)
        if task.get("pause"):
            time.sleep(task["pause"])
    say(answers=task["calls"], admitted=admitted)


def opening(task: dict[str, Any], store: RedisStore) -> None:
    """Fail until the circuit opens; tell when it did."""
    breaker = ap.CircuitBreaker(by="global", store=store, min_calls=5)

    @ap.Stack(breaker)
    def ask() -> None:
        raise ConnectionResetError

    say(ready=True)
    sys.stdin.readline()
    while breaker.state("global") != "open":
        try:
            ask()
        except ConnectionResetError:
            pass
    say(opened=time.monotonic())


def watching(task: dict[str, Any], store: RedisStore) -> None:
    """Succeed until a call is refused; tell when that was."""

    @ap.Stack(ap.CircuitBreaker(by="global", store=store, min_calls=5))
    def ask() -> str:
        return "fine"

    ask()
    say(ready=True)
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            ask()
        except ap.CircuitOpen:
            break
        time.sleep(0.02)
    say(refused=time.monotonic())


def main(task: dict[str, Any]) -> None:
    """Do what the parent wants."""
    import agentprod.stack

    for number in range(task.get("forks", 0)):
        if os.fork() == 0:
            # One import for all of them; each goes on with a store, and an output, of its own.
            with open(f"{task['out']}/{number}.jsonl", "w") as sys.stdout:
                main({**task, "forks": 0})
            os._exit(0)
    if task.get("forks"):
        for _ in range(task["forks"]):
            assert os.wait()[1] == 0
        return
    booked = task.get("booked", 0)
    agentprod.stack.default_estimator = lambda request, model, text: ap.Usage(booked - 1, 0, estimated=True)
    store = TimedStore(task["url"], prefix=task["prefix"], lookup_timeout=task.get("timeout", 5), timeout=5)
    try:
        {"limited": limited, "opening": opening, "watching": watching}[task["do"]](task, store)
    finally:
        store.close()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
