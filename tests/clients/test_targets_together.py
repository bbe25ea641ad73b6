"""Every layer that chooses targets in one stack, under faults of all kinds, many calls at once: nothing leaks."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import agentprod as ap
from agentprod.testing import Provider
from agentprod.testing import behaviours as b
from tests.clients.plain_http import plain_client

QUESTION: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def flaky(seed: int) -> Any:
    """Return a script under which half of the requests go wrong in some way."""
    draw = random.Random(seed)
    faults = [
        b.error(500),
        b.rate_limit(retry_after=0.05),
        b.sse_error(after=1),
        b.cut(after=1),
        b.slow(0.05, reply=b.ok(chunks=4)),
    ]
    return lambda request: draw.choice(faults) if draw.random() < 0.5 else b.ok(chunks=4)


class Together:
    """Two deployments that fail half of the time, and another provider that does not."""

    def __init__(self, kind: str, *providers: Provider) -> None:
        one, two, three = providers
        self.clients = [
            plain_client("openai", kind, one),
            plain_client("openai", kind, two, api_key="other-key"),
            plain_client("anthropic", kind, three),
        ]
        home, other, claude = self.clients
        self.balance = ap.Balance("m", ap.target(other, "m", name="other"), seed=1)
        self.bulkhead = ap.Bulkhead(10, queue=1000)
        hedge = (ap.Hedge(after=0.08),) if kind == "async" else ()
        self.client = ap.Stack(
            ap.Deadline(30),
            ap.Fallback(ap.target(claude, "claude", defaults={"max_tokens": 9}, name="backup")),
            self.balance,
            *hedge,
            ap.Retry(attempts=3, wait=0.01),
            self.bulkhead,
            ap.RateLimit(requests=1_000_000),
            ap.CircuitBreaker(min_calls=100_000),
            ap.Timeout(10, first_token=5, idle=5),
        ).wrap(home)
        self.served: Counter[str | None] = Counter()

    def check(self) -> None:
        """Every call was answered, and what was held has been given back."""
        assert sum(self.served.values()) == 80
        # Whether both deployments fail one call three times in a row is chance; then the backup serves it.
        assert {"openai/m", "other"} <= set(self.served) <= {"openai/m", "other", "backup"}
        assert set(self.balance.in_flight.values()) == {0}
        assert (self.bulkhead.in_flight, self.bulkhead.waiting) == (0, 0)


def test_tasks() -> None:
    """Whole replies, streams read to the end, and streams left early."""
    with Provider(flaky(1)) as one, Provider(flaky(2)) as two, Provider([b.ok("backup")]) as three:

        async def main() -> None:
            together = Together("async", one, two, three)

            async def ask(number: int) -> None:
                create = together.client.chat.completions.create
                made: Any
                if number % 2:
                    made = await create(**QUESTION, stream=True)
                    if number % 6 == 1:
                        await anext(made)
                        await made.close()
                    else:
                        assert [chunk async for chunk in made]
                else:
                    made = await create(**QUESTION)
                    assert made.choices[0].message.content
                together.served[ap.meta(made).served_by] += 1

            await asyncio.gather(*map(ask, range(80)))
            together.check()
            for client in together.clients:
                await client.close()
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(main())


def test_threads() -> None:
    """The same from many threads, through one client."""
    with Provider(flaky(3)) as one, Provider(flaky(4)) as two, Provider([b.ok("backup")]) as three:
        together = Together("sync", one, two, three)

        def ask(number: int) -> str | None:
            create = together.client.chat.completions.create
            made: Any
            if number % 2:
                made = create(**QUESTION, stream=True)
                if number % 6 == 1:
                    next(made)
                    made.close()
                else:
                    assert list(made)
            else:
                made = create(**QUESTION)
                assert made.choices[0].message.content
            return ap.meta(made).served_by

        with ThreadPoolExecutor(16) as pool:
            together.served.update(pool.map(ask, range(80)))
        together.check()
        for client in together.clients:
            client.close()
