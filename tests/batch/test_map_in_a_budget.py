"""A batch under one budget: what it pays for is done, eight at a time, and one call warms the cache for the others."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import agentprod as ap
from agentprod.testing import Provider
from agentprod.testing.behaviours.content import ok

anthropic = pytest.importorskip("anthropic")

MODEL = "claude-sonnet-5"
LONG = "These are the rules that every item of the batch is judged by. " * 150
ITEMS, PAID_FOR, AT_ONCE = 200, 120, 8


class Counting:
    """Answers with the number it was asked, and counts how many are asked at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.peak = 0
        self.answered_alone = False
        self._answered = 0

    def __call__(self, asked: Any) -> Any:
        with self._lock:
            self._now += 1
            self.peak = max(self.peak, self._now)
        if not self._answered:
            time.sleep(0.05)  # the others have time to come, and must wait
            self.answered_alone = self._now == 1
        with self._lock:
            self._now -= 1
            self._answered += 1
        return ok(asked.json["messages"][0]["content"])


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def provider(counting: Counting) -> Iterator[Provider]:
    with Provider() as running:
        running.script(counting)
        yield running


def stack() -> ap.Stack:
    return ap.Stack(ap.TokenBudget(calls=PAID_FOR, per="total", soft=None), ap.PromptCache(), ap.Retry())


def is_as_paid_for(results: Any, provider: Provider, counting: Counting) -> None:
    """120 answers and 80 refusals, each at its item's place."""
    assert len(provider.requests) == PAID_FOR
    refused = {failure.index for failure in results.errors}
    assert len(refused) == ITEMS - PAID_FOR
    assert all(isinstance(failure.error, ap.BudgetExceeded) for failure in results.errors)
    answered = {index: value for index, value in enumerate(results.values) if value is not None}
    assert answered == {index: f"item {index}" for index in answered}
    assert set(answered) | refused == set(range(ITEMS))
    assert not results.missing
    assert counting.peak <= AT_ONCE
    assert counting.answered_alone


def test_threads_under_one_budget(provider: Provider, counting: Counting) -> None:
    """200 items, a budget for 120, eight at a time, one call before the fan-out."""
    with anthropic.Anthropic(base_url=provider.anthropic_url, api_key="any", max_retries=0) as bare:
        client = stack().wrap(bare)

        def ask(number: int) -> str:
            said = [{"role": "user", "content": f"item {number}"}]
            reply = client.messages.create(model=MODEL, max_tokens=9, system=LONG, messages=said)
            return str(reply.content[0].text)

        results = ap.map(ask, range(ITEMS), concurrency=AT_ONCE, stop_on=(), progress=False)
    is_as_paid_for(results, provider, counting)


def test_tasks_under_one_budget(provider: Provider, counting: Counting) -> None:
    """The same in an event loop."""

    async def main() -> Any:
        async with anthropic.AsyncAnthropic(base_url=provider.anthropic_url, api_key="any", max_retries=0) as bare:
            client = stack().wrap(bare)

            async def ask(number: int) -> str:
                said = [{"role": "user", "content": f"item {number}"}]
                reply = await client.messages.create(model=MODEL, max_tokens=9, system=LONG, messages=said)
                return str(reply.content[0].text)

            return await ap.amap(ask, range(ITEMS), concurrency=AT_ONCE, stop_on=(), progress=False)

    is_as_paid_for(asyncio.run(main()), provider, counting)
