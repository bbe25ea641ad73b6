"""Hedge: when a second request is sent, who wins, and what becomes of the other; by acceptance scenario 46."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import agentprod as ap
from agentprod.reliability.latencies import Latencies
from agentprod.testing import Provider
from agentprod.testing import behaviours as b
from tests.clients.plain_http import plain_client
from tests.sdk_errors import anthropic_error, openai_error
from tests.virtual_time import LoopClock, run_virtually


class Case:
    """An async function, or async generator, whose sendings each take their time, behind a Hedge.

    Args:
        clock: of the loop.

        steps: for each sending `(seconds, what)`: a text to answer or an exception; the last repeats.

        layers: inside the Hedge.

        stream: whether it is a generator.

        options: of the Hedge.
    """

    def __init__(
        self, clock: LoopClock, *steps: tuple[float, Any], layers: Any = (), stream: bool = False, **options: Any
    ):
        self.steps = steps
        self.clock = clock
        self.begun: list[float] = []
        self.cancelled: list[int] = []
        self.hedge = ap.Hedge(**options)
        stack = ap.Stack(self.hedge, *layers, clock=clock)
        self.fn: Callable[..., Any] = stack.decorate(self._stream if stream else self._ask, name="f")
        self.stream = stream

    async def _take(self) -> Any:
        number = len(self.begun)
        self.begun.append(self.clock.monotonic())
        seconds, what = self.steps[min(number, len(self.steps) - 1)]
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        if isinstance(what, BaseException):
            raise what
        return what

    async def _ask(self, prompt: str = "hi") -> str:
        return str(await self._take())

    async def _stream(self, prompt: str = "hi") -> AsyncIterator[str]:
        number = len(self.begun)
        try:
            yield await self._take()
            await asyncio.sleep(1)
            yield " more"
        except GeneratorExit:
            self.cancelled.append(number)
            raise

    async def ask(self) -> str:
        """Ask once, and read it to its end."""
        if self.stream:
            return "".join([item async for item in self.fn()])
        return str(await self.fn())


def notes(meta: ap.Meta | None, event: str) -> list[dict[str, Any]]:
    """Return what Hedge noted."""
    assert meta is not None
    return [note.data for note in meta.notes if (note.layer, note.event) == ("Hedge", event)]


def case(*steps: tuple[float, Any], **options: Any) -> tuple[Any, Case, ap.Meta, float]:
    """Ask once in virtual time; return answer or error, the case, the account, and how long it took."""

    async def main(clock: LoopClock) -> tuple[Any, Case, ap.Meta, float]:
        made = Case(clock, *steps, **options)
        begun = clock.monotonic()
        found: Any
        try:
            found = await made.ask()
        except Exception as error:
            found = error
        took = clock.monotonic() - begun
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left
        meta = ap.meta(found) if isinstance(found, Exception) else ap.last()
        assert meta is not None
        return found, made, meta, took

    return run_virtually(main)


# Scenario 46


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_scenario_46_a_slow_first_gets_one_extra_and_the_first_content_wins(stream: bool) -> None:
    """The loser is closed, and stands in the account as given up; no task is left."""
    found, made, meta, took = case((60, "first"), (1, "second"), stream=stream)
    assert found == ("second more" if stream else "second")
    assert took == pytest.approx(4 if stream else 3)
    assert [begun - made.begun[0] for begun in made.begun] == pytest.approx([0, 2])
    assert made.cancelled == [0]
    assert [(attempt.outcome, attempt.hedged) for attempt in meta.attempts] == [("abandoned", False), ("ok", True)]
    assert notes(meta, "won") == [{"leg": 1, "given_up": 1}]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_scenario_46_when_the_first_comes_after_all_the_extra_is_closed(stream: bool) -> None:
    """It was sent for nothing, and is counted."""
    found, made, meta, took = case((2.5, "first"), (60, "second"), stream=stream)
    assert found.startswith("first")
    assert took == pytest.approx(3.5 if stream else 2.5)
    assert made.cancelled == [1]
    assert [(attempt.outcome, attempt.hedged) for attempt in meta.attempts] == [("ok", False), ("abandoned", True)]


def test_a_quick_first_is_alone() -> None:
    """Nothing is sent, nothing is noted."""
    found, made, meta, _ = case((1.9, "first"), (0, "never"))
    assert (found, len(made.begun), meta.notes) == ("first", 1, [])


@pytest.mark.parametrize("throttled", [openai_error(429), anthropic_error(529)])
def test_scenario_46_no_extra_while_the_provider_says_less(throttled: Exception) -> None:
    """Retry waits for its turn; Hedge does not jump the queue."""
    found, made, meta, _ = case((0, throttled), (1, "at last"), layers=[ap.Retry(wait=5)])
    assert (found, len(made.begun)) == ("at last", 2)
    assert notes(meta, "not_sent") == [{"reason": "throttled"}]
    assert notes(meta, "sent") == []


def test_scenario_46_a_throttled_extra_ends_the_hedging() -> None:
    """The first goes on alone."""
    found, made, meta, took = case((10, "first"), (1, openai_error(429)), max_extra=3)
    assert (found, len(made.begun), took) == ("first", 2, 10)
    assert notes(meta, "not_sent") == [{"reason": "throttled"}]


def test_scenario_46_an_extra_that_costs_too_much_is_not_sent() -> None:
    """By its input and the most output it allows; an unknown price is too much."""
    for cap, price, sent in ((Decimal("0.02"), "0.01", 1), ("0.001", "0.01", 0), (1.0, None, 0)):

        async def main(clock: LoopClock, cap: Any = cap, price: Any = price) -> tuple[int, ap.Meta | None]:
            begun: list[int] = []

            @ap.Stack(
                ap.Hedge(max_cost=cap),
                clock=clock,
                prices=lambda provider, model, usage: (
                    None if price is None else usage.output_tokens * Decimal(price) / 100
                ),
            )
            async def ask(model: str, messages: list[Any], max_tokens: int) -> str:
                begun.append(1)
                await asyncio.sleep(3)
                return "fine"

            await ask("m", [{"role": "user", "content": "Hi"}], max_tokens=100)
            return len(begun), ap.last()

        count, meta = run_virtually(main)
        assert count == 1 + sent
        if not sent:
            assert notes(meta, "not_sent") == [{"reason": "price_unknown" if price is None else "cost"}]


def test_scenario_46_an_empty_budget_sends_nothing() -> None:
    """Retries and extra requests strain a provider alike, and share one budget."""

    async def main(clock: LoopClock) -> tuple[int, ap.Meta | None]:
        made = Case(clock, (3, "fine"), layers=[ap.Retry(budget=ap.RetryBudget(capacity=1, per_success=0))])
        for _ in range(3):
            await made.ask()
        return len(made.begun), ap.last()

    count, meta = run_virtually(main)
    assert count == 4
    assert notes(meta, "not_sent") == [{"reason": "budget"}]


def test_without_retry_it_has_a_budget_of_its_own() -> None:
    """Which successes fill up again."""

    async def main(clock: LoopClock) -> int:
        made = Case(clock, (3, "fine"))
        for _ in range(30):
            await made.ask()
        return len(made.begun)

    assert 30 + 20 < run_virtually(main) < 30 + 30


@pytest.mark.parametrize("error", [openai_error(400), openai_error(404), openai_error(500), ValueError("bug")])
def test_scenario_46_a_fault_before_its_time_sends_nothing(error: Exception) -> None:
    """It is raised as without Hedge, the same object."""
    found, made, _, took = case((1, error))
    assert found is error
    assert (len(made.begun), took) == (1, 1)


def test_a_fault_of_the_request_ends_both() -> None:
    """The extra would be refused as well."""
    error = openai_error(400)
    found, made, _, took = case((3, error), (60, "never"))
    assert found is error
    assert (took, made.cancelled) == (3, [1])


def test_a_fault_of_one_provider_leaves_the_other_its_chance() -> None:
    """Whichever of the two fails."""
    assert case((3, openai_error(500)), (2, "second"))[0] == "second"
    assert case((10, "first"), (1, openai_error(500)))[0] == "first"


def test_when_both_fail_the_first_ones_error_is_raised() -> None:
    """Not that of a request the caller knows nothing of."""
    first = openai_error(500)
    found, _made, meta, took = case((5, first), (1, openai_error(503)))
    assert found is first
    assert took == 5
    assert [attempt.outcome for attempt in meta.attempts] == ["failed", "failed"]


# When


def test_the_delay_may_be_told() -> None:
    """Zero sends both at once."""
    assert [round(begun - 1000, 3) for begun in case((60, "a"), (1, "b"), after=5)[1].begun] == [0, 5]
    found, made, _, took = case((60, "a"), (1, "b"), after=0)
    assert (found, took, len(made.begun)) == ("b", 1, 2)


def test_several_extras_come_one_after_the_other() -> None:
    """Each after as long again."""
    found, made, meta, _ = case((60, "a"), (60, "b"), (60, "c"), (1, "d"), after=2, max_extra=3)
    assert found == "d"
    assert [begun - 1000 for begun in made.begun] == pytest.approx([0, 2, 4, 6])
    assert sorted(made.cancelled) == [0, 1, 2]
    assert len(meta.attempts) == 4
    assert len(case((9, "a"), (60, "b"), after=2, max_extra=2)[1].begun) == 3


def test_the_delay_follows_what_the_endpoint_usually_takes() -> None:
    """When most answers take four seconds, three are not slow."""

    async def main(clock: LoopClock) -> tuple[int, int]:
        begun: list[float] = []
        slowness = [1.0]

        @ap.Stack(ap.Hedge(), clock=clock)
        async def ask(number: int) -> str:
            begun.append(clock.monotonic())
            await asyncio.sleep(4 if number % 10 == 0 else slowness[0])
            return "fine"

        async def extras() -> int:
            before = len(begun)
            for number in range(1, 51):
                await ask(number)
            return len(begun) - before - 50

        quick = await extras()
        slowness[0] = 3.5
        await extras()
        return quick, await extras()

    quick, usual = run_virtually(main)
    assert quick == 5  # one in ten was slower than two seconds
    assert usual <= 5  # 3.5 seconds are no news any more


def test_latencies_are_the_95th_percentile_of_the_last_hundred() -> None:
    """None before there are twenty; bounded in keys."""
    latencies = Latencies()
    for n in range(19):
        latencies.add("k", n)
    assert latencies.p95("k") is None
    for n in range(19, 100):
        latencies.add("k", n)
    assert latencies.p95("k") == pytest.approx(94, abs=10)
    for _ in range(200):
        latencies.add("k", 1)
    assert latencies.p95("k") == 1
    for n in range(1100):
        latencies.add(f"k{n}", 1)
    assert latencies.p95("k") is None


@pytest.mark.parametrize(
    ("path", "fields", "hedged"),
    [
        ("chat", {}, True),
        ("chat", {"store": True}, False),
        ("responses", {}, False),
        ("responses", {"store": False}, True),
        ("responses", {"store": False, "background": True}, False),
        ("responses", {"store": False, "previous_response_id": "r1"}, False),
        ("responses", {"store": False, "tools": [{"type": "mcp", "server_label": "s", "server_url": "u"}]}, False),
    ],
)
def test_requests_that_leave_something_behind_are_sent_once(path: str, fields: Any, hedged: bool) -> None:
    """A second one would be stored, continued, or done twice."""
    with Provider([b.slow(0.15)]) as provider:

        async def main() -> None:
            home = plain_client("openai", "async", provider)
            client = ap.Stack(ap.Hedge(after=0.05)).wrap(home)
            if path == "chat":
                await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}], **fields)
            else:
                await client.responses.create(model="m", input="Hi", **fields)
            await home.close()

        asyncio.run(main())
        assert len(provider.requests) == 1 + hedged


# Cancellation and what is left


@settings(max_examples=60)
@given(
    at=st.floats(0, 8),
    first=st.floats(0, 10),
    second=st.floats(0, 10),
    faulty=st.sampled_from([None, 0, 1]),
    stream=st.booleans(),
)
def test_a_cancelled_call_leaves_no_task(
    at: float, first: float, second: float, faulty: int | None, stream: bool
) -> None:
    """At whatever moment, everything that was sent has ended when the cancellation comes out."""

    async def main(clock: LoopClock) -> None:
        steps: list[tuple[float, Any]] = [(first, "a"), (second, "b")]
        if faulty is not None:
            steps[faulty] = (steps[faulty][0], openai_error(500))
        made = Case(clock, *steps, stream=stream)
        task = asyncio.ensure_future(made.ask())
        await asyncio.sleep(at)
        task.cancel()
        try:
            assert (await task).startswith(("a", "b"))
        except (asyncio.CancelledError, openai.InternalServerError):
            pass
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtually(main)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("at", [1.5, 3.125, 3.25])
def test_cancelled_while_the_loser_closes_every_reply_is_ended(at: float, times: int) -> None:
    """Of the winner nobody takes, and of a loser whose answer comes all the same, what they hold is given back."""

    async def main(clock: LoopClock) -> None:
        sent: list[float] = []
        replies: list[list[str]] = []

        async def ask() -> str:
            sent.append(clock.monotonic())
            try:
                await asyncio.sleep(60 if len(sent) == 1 else 1)
            except asyncio.CancelledError:
                await asyncio.sleep(0.5)  # it closes slowly, and answers
            return "fine"

        async def look(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            reply = await call_next(call)
            ends: list[str] = []
            replies.append(ends)
            reply.on_end(lambda end: ends.append(end.outcome))
            return reply

        task = asyncio.ensure_future(ap.Stack(ap.Hedge(after=2), look, clock=clock).decorate(ask)())
        for moment in range(times):
            asyncio.get_running_loop().call_later(at + moment / 8, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(9)
        assert replies == [["discarded"]] * len(sent)

    run_virtually(main)


def test_a_coroutine_that_is_closed_gives_up_what_it_sent() -> None:
    """Nothing may be awaited then; the loop sees the rest to its end."""

    async def main(clock: LoopClock) -> None:
        made = Case(clock, (60, "a"))
        call = made.fn()
        call.send(None)
        await asyncio.sleep(3)
        assert len(made.begun) == 1
        call.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert made.cancelled == [0]

    run_virtually(main)


def test_the_deadline_ends_both() -> None:
    """And no later."""

    async def main(clock: LoopClock) -> tuple[float, list[int], ap.Meta]:
        begun: list[float] = []
        ended: list[int] = []

        @ap.Stack(ap.Deadline(5), ap.Hedge(), clock=clock)
        async def ask() -> str:
            number = len(begun)
            begun.append(clock.monotonic())
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(number)
            return ""

        with pytest.raises(ap.DeadlineExceeded) as caught:
            await ask()
        return clock.monotonic() - begun[0], ended, ap.meta(caught.value)

    took, ended, meta = run_virtually(main)
    assert took == pytest.approx(5, abs=0.1)
    assert sorted(ended) == [0, 1]
    assert len(meta.attempts) == 2


def test_slots_and_bookings_come_back() -> None:
    """The loser holds none."""

    async def main(clock: LoopClock) -> None:
        bulkhead = ap.Bulkhead(2)
        made = Case(clock, (60, "a"), (1, "b"), layers=[bulkhead, ap.RateLimit(requests=100), ap.CircuitBreaker()])
        assert await made.ask() == "b"
        assert bulkhead.in_flight == 0

    run_virtually(main)


def test_a_call_keeps_nothing_for_the_collector() -> None:
    """Neither a quick one nor one that was hedged."""

    class Thing:
        pass

    async def main(clock: LoopClock) -> None:
        for first in (0, 60):
            seen: list[weakref.ref[Any]] = []

            @ap.Stack(ap.Hedge(), clock=clock)
            async def ask(thing: Any, first: float = first, seen: Any = seen) -> str:
                seen.append(weakref.ref(thing))
                await asyncio.sleep(first if len(seen) == 1 else 0)
                return "fine"

            gc.collect()
            gc.disable()
            try:
                assert await ask(Thing()) == "fine"
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert [thing() for thing in seen] == [None] * len(seen)
            finally:
                gc.enable()

    run_virtually(main)


# Real clients


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_loser_is_billed_and_its_connection_closed(stream: bool) -> None:
    """What a provider may charge for a request it was sent stands in the account, marked as estimated."""
    with Provider() as provider:
        answers = iter([b.slow(5, reply=b.ok("slow")), b.ok("quick", usage={"input_tokens": 3, "output_tokens": 1})])
        provider.script(lambda request: next(answers))

        async def main() -> None:
            home = plain_client("openai", "async", provider)
            client = ap.Stack(ap.Hedge(after=0.1), ap.Retry()).wrap(home)
            question: Any = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hi there, how are you?"}]}
            made: Any
            if stream:
                made = await client.chat.completions.create(
                    **question, stream=True, stream_options={"include_usage": True}
                )
                text = "".join([c.choices[0].delta.content or "" async for c in made if c.choices])
            else:
                made = await client.chat.completions.create(**question)
                text = made.choices[0].message.content
            assert text == "quick"
            meta = ap.meta(made)
            slow, quick = meta.attempts
            assert (slow.outcome, quick.outcome) == ("abandoned", "ok")
            assert slow.usage is not None
            assert slow.usage.estimated
            assert slow.usage.input_tokens > 3
            assert meta.usage is not None
            assert meta.usage.input_tokens == slow.usage.input_tokens + 3
            for _ in range(1000):
                if provider.open_connections <= 1:
                    break
                await asyncio.sleep(0.02)
            assert provider.open_connections <= 1
            await home.close()

        asyncio.run(main())


def test_behind_balance_the_extra_goes_elsewhere() -> None:
    """A slow deployment is not asked twice."""
    with Provider([b.slow(5)]) as slow, Provider([b.ok("quick")]) as quick:

        async def main() -> None:
            one, two = plain_client("openai", "async", slow), plain_client("openai", "async", quick)
            balance = ap.Balance(ap.target(one, "m", name="one"), ap.target(two, "m", name="two"), weights=[1e9, 1])
            client = ap.Stack(balance, ap.Hedge(after=0.1), ap.Retry()).wrap(one)
            made = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
            assert made.choices[0].message.content == "quick"
            assert ap.meta(made).served_by == "two"
            assert set(balance.in_flight.values()) == {0}
            assert (len(slow.requests), len(quick.requests)) == (1, 1)
            await one.close()
            await two.close()

        asyncio.run(main())


def test_a_resting_target_gets_no_extra() -> None:
    """It was refused to somebody else a moment ago."""

    async def main(clock: LoopClock) -> ap.Meta | None:
        made = Case(clock, (3, "fine"))
        calls: list[ap.Call] = []

        async def look(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            calls.append(call)
            call.board.cool(call.target, clock.monotonic() + 100)
            return await call_next(call)

        stack = ap.Stack(ap.Hedge(), look, clock=clock)
        assert await stack.decorate(made._ask)() == "fine"
        assert len(made.begun) == 1
        return ap.last()

    assert notes(run_virtually(main), "not_sent") == [{"reason": "resting"}]


# Mistakes


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ap.Hedge(after=-1), "at least 0 seconds"),
        (lambda: ap.Hedge(max_extra=0), "at least 1, not 0"),
        (lambda: ap.Hedge(max_extra=True), "not True"),
        (lambda: ap.Hedge(max_cost=0), "more than 0, not 0"),
        (lambda: ap.Hedge(max_cost="dear"), "more than 0, not 'dear'"),
        (lambda: ap.Hedge(max_cost=float("inf")), "more than 0, not inf"),
    ],
)
def test_options_that_cannot_work_are_refused(make: Any, words: str) -> None:
    """When the layer is built."""
    with pytest.raises(ap.ConfigError, match=words):
        make()


def test_synchronous_places_are_refused() -> None:
    """Two requests at once need a loop: told when the stack is attached."""
    with pytest.raises(ap.ConfigError, match=r"ask: use the asynchronous"):

        @ap.Hedge()
        def ask() -> str:
            return ""

    with openai.OpenAI(api_key="k") as client, pytest.raises(ap.ConfigError, match="a synchronous client"):
        ap.Stack(ap.Hedge()).wrap(client)


def test_it_shows_its_options() -> None:
    """As written."""
    assert repr(ap.Hedge()) == "Hedge()"
    assert repr(ap.Hedge(after=3, max_extra=2, max_cost="0.05")) == "Hedge(after=3.0, max_extra=2, max_cost=0.05)"
