"""Deadlines and timeouts hold on real sockets, in sync and async, with our error and the SDK's as its cause."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import anthropic
import openai
import pytest

import agentprod as ap
from agentprod.testing import FakeClock, FaultProxy, Provider, proxy_faults
from agentprod.testing import behaviours as b
from tests.clients.conftest import Run
from tests.clients.platforms import Platform
from tests.clients.streams import SDKS, Reading, open_stream
from tests.clients.surfaces import SURFACES, items, make_client, result, shut

TIMEOUTS = {"openai": openai.APITimeoutError, "anthropic": anthropic.APITimeoutError}
LIMIT = 0.6
MOST = LIMIT * 1.2


@pytest.fixture(autouse=True)
def loaded(sdk: str, kind: str, run: Run) -> None:
    """Let the SDK load what it loads with the first call of a process: that blocks a loop, and no deadline with it."""
    if (sdk, kind) in _LOADED:
        return
    _LOADED.add((sdk, kind))

    async def scenario() -> None:
        client = make_client(sdk, kind, warm)
        await create(client, sdk)
        await shut(client)

    with Provider() as warm:
        run(scenario())


_LOADED: set[tuple[str, str]] = set()
NOWHERE = SimpleNamespace(openai_url="http://nowhere.invalid/v1", anthropic_url="http://nowhere.invalid")


@pytest.fixture(params=SDKS)
def sdk(request: pytest.FixtureRequest) -> str:
    """Run the test for both SDKs."""
    return str(request.param)


async def create(client: Any, sdk: str, **extra: Any) -> Any:
    """Ask for a whole reply."""
    return await next(found for found in SURFACES if found.name == f"{sdk}.create").ask(client, **extra)


async def timed(asking: Any) -> tuple[float, BaseException]:
    """Return how long something took to fail, and how."""
    begun = time.monotonic()
    with pytest.raises(ap.AgentprodError) as caught:
        await asking
    return time.monotonic() - begun, caught.value


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("behaviour", [b.dribble(1, 0.02), b.black_hole(), b.slow(5)])
def test_a_deadline_holds_against_a_dribbling_and_a_silent_provider(
    behaviour: Any, streaming: bool, sdk: str, kind: str, run: Run, provider: Provider
) -> None:
    """At most 1.2 times the deadline; DeadlineExceeded, with the SDK's timeout error as cause."""
    provider.script([behaviour])

    async def scenario() -> tuple[float, BaseException]:
        client = make_client(sdk, kind, provider)
        wrapped = ap.Stack(ap.Deadline(LIMIT)).wrap(client)
        found = await timed(open_stream(wrapped, sdk) if streaming else create(wrapped, sdk))
        await shut(client)
        return found

    took, error = run(scenario())
    assert LIMIT * 0.9 < took < MOST
    assert isinstance(error, ap.DeadlineExceeded)
    assert isinstance(error, TimeoutError)
    assert isinstance(error.__cause__, TIMEOUTS[sdk])
    assert "deadline" in str(error)


def test_a_deadline_in_the_context_holds_without_any_layer(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """`ap.context(deadline=…)` reaches the edge of an empty stack."""
    provider.script([b.dribble(1, 0.02)])

    async def scenario() -> tuple[float, BaseException]:
        client = make_client(sdk, kind, provider)
        with ap.context(deadline=LIMIT):
            found = await timed(create(ap.Stack().wrap(client), sdk))
        await shut(client)
        return found

    took, error = run(scenario())
    assert took < MOST
    assert isinstance(error, ap.DeadlineExceeded)


def test_a_reused_connection_is_bounded_too(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """The socket of a kept-alive connection is found, though no connect announces it."""
    provider.script(["ok", b.dribble(1, 0.02)])

    async def scenario() -> tuple[float, BaseException]:
        client = make_client(sdk, kind, provider)
        wrapped = ap.Stack(ap.Deadline(LIMIT)).wrap(client)
        await create(wrapped, sdk)
        found = await timed(create(wrapped, sdk))
        await shut(client)
        return found

    took, error = run(scenario())
    assert provider.connections == 1
    assert took < MOST
    assert isinstance(error, ap.DeadlineExceeded)


def test_a_client_works_on_after_a_deadline(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """The connection that was shut down is replaced."""
    provider.script([b.dribble(1, 0.02), "ok"])

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        wrapped = ap.Stack(ap.Deadline(LIMIT)).wrap(client)
        await timed(create(wrapped, sdk))
        await create(wrapped, sdk)
        await shut(client)

    run(scenario())


def test_a_streams_own_life_is_bounded_on_request(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """`Deadline(streams=True)` ends a stream that dribbles on after its first content."""
    provider.script([b.slow(0, between=0.15, reply=b.ok(chunks=["a"] * 40))])

    async def scenario() -> tuple[float, BaseException]:
        client = make_client(sdk, kind, provider)
        begun = time.monotonic()
        reading = Reading(await open_stream(ap.Stack(ap.Deadline(LIMIT, streams=True)).wrap(client), sdk))
        with pytest.raises(ap.StreamInterrupted) as caught:
            await reading.all()
        await shut(client)
        return time.monotonic() - begun, caught.value

    took, error = run(scenario())
    assert took < MOST + 0.1
    assert isinstance(error.__cause__, ap.DeadlineExceeded)
    assert error.partial  # type: ignore[attr-defined]


def test_a_stream_outlives_a_deadline_that_is_not_for_streams(
    sdk: str, kind: str, run: Run, provider: Provider
) -> None:
    """Without `streams=True` only the wait for the first content is bounded."""
    provider.script([b.slow(0, between=0.06, reply=b.ok(chunks=["a"] * 8))])

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        reading = Reading(await open_stream(ap.Stack(ap.Deadline(0.2)).wrap(client), sdk))
        assert len(await reading.all()) == 8
        await shut(client)

    run(scenario())


def test_one_slow_attempt_is_a_timeout_and_retried(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """`Timeout` bounds an attempt, not the call."""
    provider.script([b.dribble(1, 0.02), "ok"])

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        wrapped = ap.Stack(ap.Retry(wait=0), ap.Timeout(0.25)).wrap(client)
        raw = await result(
            wrapped.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
            if sdk == "openai"
            else wrapped.messages.create(model="m", max_tokens=5, messages=[{"role": "user", "content": "hi"}])
        )
        assert [attempt.fault for attempt in ap.meta(raw).attempts] == [ap.Fault.TIMEOUT, None]
        await shut(client)

    run(scenario())


def test_the_last_timeout_carries_the_sdks_own(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """CallTimeout names the limit and what to do; its cause is the SDK's timeout error."""
    provider.script([b.black_hole()])

    async def scenario() -> tuple[float, BaseException]:
        client = make_client(sdk, kind, provider)
        found = await timed(create(ap.Stack(ap.Timeout(LIMIT)).wrap(client), sdk))
        await shut(client)
        return found

    took, error = run(scenario())
    assert took < MOST
    assert isinstance(error, ap.CallTimeout)
    assert isinstance(error.__cause__, TIMEOUTS[sdk])
    assert error.limit == LIMIT
    assert "Timeout(attempt=" in str(error)


def test_the_sdks_own_retries_never_sleep_past_the_deadline(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """Without Retry the SDK's retries stay on; asked to wait too long, they raise the original error at once."""
    provider.script([b.rate_limit(30)])
    kinds: dict[str, Any] = {"openai": openai.RateLimitError, "anthropic": anthropic.RateLimitError}

    async def scenario() -> float:
        client = make_client(sdk, kind, provider, max_retries=2)
        begun = time.monotonic()
        with pytest.raises(kinds[sdk]):
            await create(ap.Stack(ap.Deadline(5)).wrap(client), sdk)
        await shut(client)
        return time.monotonic() - begun

    assert run(scenario()) < 1
    assert len(provider.requests) == 1


def test_the_sdks_own_retries_stay_when_the_stack_has_none(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """They count as one attempt of ours."""
    retry_now = {"retry-after-ms": "1"}
    provider.script([b.error(500, headers=retry_now), b.error(500, headers=retry_now), "ok"])

    async def scenario() -> None:
        client = make_client(sdk, kind, provider, max_retries=2)
        await create(ap.Stack(ap.Deadline(10)).wrap(client), sdk)
        await shut(client)

    run(scenario())
    assert len(provider.requests) == 3


def test_scenario_22_retries_do_not_multiply(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """With Retry in the stack every HTTP request is an attempt of ours; the caller's client keeps its own."""
    provider.script([b.error(500)])
    kinds: dict[str, Any] = {"openai": openai.InternalServerError, "anthropic": anthropic.InternalServerError}

    async def scenario() -> None:
        client = make_client(sdk, kind, provider, max_retries=2)
        with pytest.raises(kinds[sdk]) as caught:
            await create(ap.Stack(ap.Retry(attempts=3, wait=0)).wrap(client), sdk)
        assert len(ap.history(caught.value)) == 3
        assert any("3 attempts" in note for note in caught.value.__notes__)
        assert client.max_retries == 2
        await shut(client)

    run(scenario())
    assert len(provider.requests) == 3
    counts = [request.headers["x-stainless-retry-count"] for request in provider.requests]
    assert counts == ["0", "1", "2"]


def test_a_deadline_holds_behind_a_proxy_that_dribbles_headers(
    sdk: str, kind: str, run: Run, provider: Provider
) -> None:
    """Status line and headers, byte by byte, do not keep a call alive."""
    with FaultProxy(provider.host, provider.port, proxy_faults.dribble(0.02)) as proxy:

        async def scenario() -> tuple[float, BaseException]:
            client = make_client(sdk, kind, _At(proxy.url))
            found = await timed(create(ap.Stack(ap.Deadline(LIMIT)).wrap(client), sdk))
            await shut(client)
            return found

        took, error = run(scenario())
    assert took < MOST
    assert isinstance(error, ap.DeadlineExceeded)


class _At:
    """The addresses of the provider behind a proxy."""

    def __init__(self, url: str) -> None:
        self.anthropic_url = url
        self.openai_url = f"{url}/v1"


class LateTimers(FakeClock):
    """A clock whose timers a busy machine does not get around to for a day."""

    def call_at(self, when: float, fn: Callable[[], object]) -> Any:
        """Return a timer that fires late."""
        return super().call_at(when + 86_400, fn)


@pytest.mark.parametrize("begun", [False, True])
def test_the_sdks_own_timer_may_come_first(begun: bool, sdk: str, kind: str, run: Run) -> None:
    """The socket gives up when the stream's time is over, before our timer does: the error is ours all the same."""
    clock, wire = LateTimers(), Platform(sdk)
    http = wire.http

    class Body(http.SyncByteStream, http.AsyncByteStream):  # type: ignore[misc]
        def __iter__(self) -> Any:
            if begun:
                yield from wire.pieces()[:3]
            clock.advance(LIMIT)
            raise http.ReadTimeout("timed out")

        async def __aiter__(self) -> Any:
            for piece in self:
                yield piece

    def answer(request: Any) -> Any:
        return http.Response(200, headers={"content-type": "text/event-stream"}, stream=Body())

    async def scenario() -> BaseException:
        made = http.Client if kind == "sync" else http.AsyncClient
        client = make_client(sdk, kind, NOWHERE, http_client=made(transport=http.MockTransport(answer)))
        limit = ap.Timeout(idle=LIMIT) if begun else ap.Timeout(first_token=LIMIT)
        with pytest.raises(ap.AgentprodError) as caught:
            await items(await open_stream(ap.Stack(limit, clock=clock).wrap(client), sdk))
        await shut(client)
        return caught.value

    error = run(scenario())
    if begun:
        assert isinstance(error, ap.StreamInterrupted)
        assert error.fault == "idle"
        assert error.partial.startswith("Hello ")
    else:
        assert isinstance(error, ap.CallTimeout)
        assert isinstance(error.__cause__, TIMEOUTS[sdk])
