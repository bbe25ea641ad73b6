"""Streams over real sockets: what breaks, when it is retried, and how it ends (scenarios 9 to 17)."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

import agentprod as ap
from agentprod.testing import Provider
from agentprod.testing import behaviours as b
from tests.clients.conftest import Run
from tests.clients.streams import SDKS, Reading, open_stream, text_of
from tests.clients.surfaces import make_client, shut

ERRORS = {"openai": openai.APIError, "anthropic": anthropic.APIError}
# OpenAI calls an overload in a stream a server error.
OVERLOADED = {"openai": ap.Fault.SERVER, "anthropic": ap.Fault.OVERLOADED}
TEXT = ["Hel", "lo ", "wor", "ld"]


def stalled(sdk: str) -> object:
    """Return a stream that falls silent after two pieces of text."""
    return b.stall(3 if sdk == "openai" else 5, reply=b.ok(chunks=TEXT))


class Watch:
    """Notes how replies end and what gates hold."""

    def __init__(self) -> None:
        self.ends: list[ap.End] = []
        self.settled: list[ap.End] = []
        self.held = 0
        self.admitted = 0

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Register every hook there is."""
        call = call.replace()
        call.gate(self.admit, self.settle)
        reply = await call_next(call)
        reply.on_end(self.ends.append)
        reply.on_settle(self.on_settle)
        return reply

    async def admit(self, call: ap.Call) -> str:
        """Reserve."""
        self.held += 1
        self.admitted += 1
        return "token"

    async def settle(self, token: str, attempt: ap.Attempt) -> None:
        """Release."""
        assert token == "token"
        self.held -= 1

    async def on_settle(self, end: ap.End) -> None:
        """Take note."""
        self.settled.append(end)

    def outcomes(self) -> list[str]:
        """How the replies ended."""
        assert [end.outcome for end in self.ends] == [end.outcome for end in self.settled]
        return [end.outcome for end in self.ends]


@pytest.fixture(params=SDKS)
def sdk(request: pytest.FixtureRequest) -> str:
    """Run the test for both SDKs."""
    return str(request.param)


def test_scenario_09_an_error_event_before_content_is_retried(
    sdk: str, kind: str, run: Run, provider: Provider
) -> None:
    """A status-200 stream that carries an overload before any content is tried again, unseen."""
    first = 1 if sdk == "openai" else 2
    provider.script([b.sse_error(first, "overloaded_error"), b.ok(chunks=TEXT)])

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        stream = await open_stream(ap.Stack(ap.Retry(wait=0)).wrap(client), sdk)
        assert await Reading(stream).all() == TEXT
        first_try, second_try = ap.meta(stream).attempts
        assert first_try.fault is OVERLOADED[sdk]
        assert second_try.outcome == "ok"
        await shut(client)

    run(scenario())
    assert len(provider.requests) == 2


def test_scenario_09_an_error_event_after_content_interrupts(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """After content nothing is replayed; the error is ours and the SDK's at once."""
    after = 3 if sdk == "openai" else 5
    provider.script([b.sse_error(after, "overloaded_error", reply=b.ok(chunks=TEXT))])
    watch = Watch()

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        reading = Reading(await open_stream(ap.Stack(watch, ap.Retry(wait=0)).wrap(client), sdk))
        with pytest.raises(ap.StreamInterrupted) as caught:
            await reading.all()
        error = caught.value
        assert isinstance(error, ERRORS[sdk])
        assert error.fault == OVERLOADED[sdk].value
        assert error.partial == "".join(reading.texts) == "Hello "
        assert error.__cause__ is not None
        assert ap.meta(error).attempts[0].fault is OVERLOADED[sdk]
        await shut(client)

    run(scenario())
    assert watch.outcomes() == ["failed"]
    assert watch.held == 0
    assert len(provider.requests) == 1


@pytest.mark.parametrize("how", ["rst", "fin"])
def test_scenario_10_a_cut_socket_after_content_interrupts(
    how: str, sdk: str, kind: str, run: Run, provider: Provider
) -> None:
    """What came is delivered once, the error says so, the connection is gone."""
    after = 4 if sdk == "openai" else 6
    provider.script([b.cut(after, how, reply=b.ok(chunks=TEXT))])  # type: ignore[arg-type]
    watch = Watch()

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        reading = Reading(await open_stream(ap.Stack(watch, ap.Retry(wait=0)).wrap(client), sdk))
        with pytest.raises(ap.StreamInterrupted) as caught:
            await reading.all()
        assert isinstance(caught.value, ERRORS[sdk])
        assert caught.value.fault == "connection"
        assert caught.value.partial == "".join(reading.texts)
        assert "Hello wor".startswith(caught.value.partial)
        await shut(client)

    run(scenario())
    assert watch.outcomes() == ["failed"]
    assert watch.held == 0
    assert len(provider.requests) == 1


def test_scenario_11_a_truncated_stream_is_an_error(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """A stream that ends without its terminal marker raises, though the SDK alone would not notice."""
    provider.script([b.truncate(6, reply=b.ok(chunks=TEXT))])

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        bare = Reading(await open_stream(client, sdk))
        assert await bare.all()
        reading = Reading(await open_stream(ap.Stack(ap.Retry(wait=0)).wrap(client), sdk))
        with pytest.raises(ap.StreamInterrupted, match="without its terminal marker") as caught:
            await reading.all()
        assert caught.value.fault == "truncated"
        assert ap.meta(reading.stream).attempts[0].fault is ap.Fault.TRUNCATED
        await shut(client)

    run(scenario())


def test_scenario_12_half_a_tool_call_is_flagged(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """An agent learns which tool call it must not execute."""
    calls = [{"name": "send_mail", "arguments": {"to": "wei@example.org", "text": "hello hello hello"}}]
    provider.script([b.truncate(inside_tool_call=True, reply=b.ok(None, tool_calls=calls))])

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        reading = Reading(await open_stream(ap.Stack().wrap(client), sdk))
        with pytest.raises(ap.StreamInterrupted, match="send_mail") as caught:
            await reading.all()
        assert caught.value.open_tool_calls == ("send_mail",)
        await shut(client)

    run(scenario())


def test_scenario_13_a_stream_without_content_and_a_proper_end_is_fine(
    sdk: str, kind: str, run: Run, provider: Provider
) -> None:
    """Nothing said is an answer: no retry, no error."""
    provider.script([b.ok("")])

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        reading = Reading(await open_stream(ap.Stack(ap.Retry(wait=0)).wrap(client), sdk))
        assert await reading.all() == []
        assert ap.meta(reading.stream).attempts[0].outcome == "ok"
        await shut(client)

    run(scenario())
    assert len(provider.requests) == 1


@pytest.mark.parametrize("how", ["rst", "fin"])
def test_scenario_14_a_preamble_and_a_death_are_never_seen(
    how: str, sdk: str, kind: str, run: Run, provider: Provider
) -> None:
    """The consumer sees one clean stream with one beginning."""
    preamble = 1 if sdk == "openai" else 3
    provider.script([b.cut(preamble, how), b.ok(chunks=TEXT)])  # type: ignore[arg-type]

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        reading = Reading(await open_stream(ap.Stack(ap.Retry(wait=0)).wrap(client), sdk))
        assert await reading.all() == TEXT
        if sdk == "anthropic":
            assert [item.type for item in reading.items].count("message_start") == 1
        else:
            assert [bool(item.choices and item.choices[0].delta.role) for item in reading.items].count(True) == 1
        await shut(client)

    run(scenario())
    assert len(provider.requests) == 2


def test_scenario_15_silence_after_content_is_idle(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """A stalled stream ends by the idle limit."""
    after = 4 if sdk == "openai" else 6
    provider.script([b.stall(after, reply=b.ok(chunks=TEXT))])
    watch = Watch()

    async def scenario() -> float:
        client = make_client(sdk, kind, provider)
        stack = ap.Stack(watch, ap.Retry(wait=0), ap.Timeout(idle=0.2))
        reading = Reading(await open_stream(stack.wrap(client), sdk))
        begun = time.monotonic()
        with pytest.raises(ap.StreamInterrupted) as caught:
            await reading.all()
        assert caught.value.fault == "idle"
        assert isinstance(caught.value.__cause__, ap.CallTimeout)
        took = time.monotonic() - begun
        await shut(client)
        return took

    assert run(scenario()) < 1.0
    assert watch.outcomes() == ["failed"]
    assert watch.held == 0


def test_scenario_15_pings_keep_a_stream_alive(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """What comes, even a ping, resets the idle limit."""
    provider.script([b.pings(0.1, 4, reply=b.ok(chunks=TEXT))])

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        stack = ap.Stack(ap.Retry(wait=0), ap.Timeout(idle=0.3))
        assert await Reading(await open_stream(stack.wrap(client), sdk)).all() == TEXT
        await shut(client)

    run(scenario())


def test_scenario_16_no_headers_is_a_first_token_timeout_and_retried(
    sdk: str, kind: str, run: Run, provider: Provider
) -> None:
    """A provider that never answers is left behind, and the next attempt answers."""
    provider.script([b.black_hole(), b.ok(chunks=TEXT)])
    watch = Watch()

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        stack = ap.Stack(watch, ap.Retry(wait=0), ap.Timeout(first_token=0.2))
        reading = Reading(await open_stream(stack.wrap(client), sdk))
        assert await reading.all() == TEXT
        assert [attempt.fault for attempt in ap.meta(reading.stream).attempts] == [ap.Fault.TIMEOUT, None]
        await shut(client)

    run(scenario())
    assert watch.admitted == 2
    assert watch.held == 0


async def leave_by_close(reading: Reading) -> None:
    """Close the stream."""
    await reading.close()


async def leave_by_with(reading: Reading) -> None:
    """Leave its `with` block."""
    if hasattr(reading.stream, "__aenter__"):
        async with reading.stream:
            pass
    else:
        with reading.stream:
            pass


async def leave_by_response(reading: Reading) -> None:
    """Close its response, as a framework may."""
    response = reading.stream.response
    if hasattr(reading.stream, "__aenter__"):
        await response.aclose()
    else:
        response.close()


@pytest.mark.parametrize("leave", [leave_by_close, leave_by_with, leave_by_response])
def test_scenario_17_leaving_early_releases_everything_once(
    leave: Callable[[Reading], Any], sdk: str, kind: str, run: Run, provider: Provider
) -> None:
    """One piece read, then left: connection closed, hooks once, nothing held."""
    provider.script([stalled(sdk)])
    watch = Watch()

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        reading = Reading(await open_stream(ap.Stack(watch).wrap(client), sdk))
        await reading.until_text()
        assert watch.held == 1
        await leave(reading)
        await leave(reading)
        assert watch.outcomes() == ["abandoned"]
        assert watch.held == 0
        assert ap.meta(reading.stream).attempts[0].outcome == "abandoned"
        assert watch.ends[0].text == reading.texts[0]
        await shut(client)

    run(scenario())
    assert_closed(provider)


def test_scenario_17_a_dropped_stream_releases_everything_once(
    sdk: str, kind: str, run: Run, provider: Provider
) -> None:
    """A stream nobody holds any more is closed by the garbage collector."""
    provider.script([stalled(sdk)])
    watch = Watch()

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        reading = Reading(await open_stream(ap.Stack(watch).wrap(client), sdk))
        await reading.until_text()
        del reading
        gc.collect()
        await settled(watch, kind, provider)
        assert watch.outcomes() == ["abandoned"]
        assert watch.held == 0
        await shut(client)

    run(scenario())
    assert_closed(provider)


def test_a_stream_never_read_is_released_when_dropped(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """Opening is enough to hold a connection, so dropping must give it back."""
    provider.script([stalled(sdk)])
    watch = Watch()

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        await open_stream(ap.Stack(watch).wrap(client), sdk)
        gc.collect()
        await settled(watch, kind, provider)
        assert watch.outcomes() == ["abandoned"]
        await shut(client)

    run(scenario())
    assert_closed(provider)


async def settled(watch: Watch, kind: str, provider: Provider) -> None:
    """Wait for the hooks of a dropped stream: on a thread in sync, in a later step of the loop in async."""
    for _ in range(2000):
        if watch.settled and not provider.open_connections:
            return
        if kind == "async":
            await asyncio.sleep(0.005)
        else:
            time.sleep(0.005)


def assert_closed(provider: Provider) -> None:
    """Wait until the provider has no open connection left."""
    for _ in range(2000):
        if provider.open_connections == 0:
            return
        time.sleep(0.005)
    raise AssertionError(f"{provider.open_connections} connections left open")


@pytest.mark.parametrize("sdk_name", SDKS)
def test_scenario_18_cancelling_a_read_releases_everything_once(sdk_name: str, provider: Provider) -> None:
    """The caller's cancellation goes through at once and leaves nothing behind."""
    provider.script([stalled(sdk_name)])
    watch = Watch()

    async def scenario() -> None:
        client = make_client(sdk_name, "async", provider)
        reading = Reading(await open_stream(ap.Stack(watch, ap.Retry()).wrap(client), sdk_name))
        await reading.until_text()
        task = asyncio.ensure_future(reading.all())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert watch.outcomes() == ["abandoned"]
        assert watch.held == 0
        await shut(client)

    asyncio.run(scenario())
    assert_closed(provider)
    assert len(provider.requests) == 1


@pytest.mark.parametrize("sdk_name", SDKS)
def test_scenario_18_cancelling_an_open_call_counts_nothing(sdk_name: str, provider: Provider) -> None:
    """A cancelled wait for the answer is no fault and no retry."""
    provider.script(["black_hole"])
    watch = Watch()

    async def scenario() -> None:
        client = make_client(sdk_name, "async", provider)
        task = asyncio.ensure_future(open_stream(ap.Stack(watch, ap.Retry()).wrap(client), sdk_name))
        while not provider.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert ap.meta(caught.value).attempts[0].outcome == "abandoned"
        assert watch.held == 0
        await shut(client)

    asyncio.run(scenario())
    assert len(provider.requests) == 1


def test_a_malformed_event_before_content_is_retried(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """What is no JSON is the provider's fault; before content it is never seen."""
    provider.script([b.malformed(1 if sdk == "openai" else 3), b.ok(chunks=TEXT)])

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        reading = Reading(await open_stream(ap.Stack(ap.Retry(wait=0)).wrap(client), sdk))
        assert await reading.all() == TEXT
        assert ap.meta(reading.stream).attempts[0].fault is ap.Fault.SERVER
        await shut(client)

    run(scenario())


def test_a_malformed_event_after_content_interrupts(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """After content it is an interrupted stream, not a bare JSON error."""
    provider.script([b.malformed(4 if sdk == "openai" else 6, reply=b.ok(chunks=TEXT))])

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        reading = Reading(await open_stream(ap.Stack().wrap(client), sdk))
        with pytest.raises(ap.StreamInterrupted):
            await reading.all()
        assert reading.texts
        await shut(client)

    run(scenario())


def test_a_buffered_stream_is_retried_as_a_whole(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """With buffer=True a cut after content is retried, and the consumer sees one clean stream."""
    provider.script([b.cut(6, reply=b.ok(chunks=TEXT)), b.truncate(6, reply=b.ok(chunks=TEXT)), b.ok(chunks=TEXT)])

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        stream = await open_stream(ap.Stack(ap.Retry(wait=0), buffer=True).wrap(client), sdk)
        assert await Reading(stream).all() == TEXT
        await shut(client)

    run(scenario())
    assert len(provider.requests) == 3


class WantsUsage:
    """A layer that needs token counts."""

    needs_usage = True

    def __init__(self) -> None:
        self.usages: list[ap.Usage | None] = []

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Keep the counts."""
        reply = await call_next(call)
        reply.on_end(lambda end: self.usages.append(end.usage))
        return reply


@pytest.mark.parametrize("asked", [True, False])
def test_usage_is_asked_for_and_hidden_from_callers_who_did_not(
    asked: bool, kind: str, run: Run, provider: Provider
) -> None:
    """A layer gets the counts either way; only a caller who asked sees the extra chunk."""
    provider.script([b.ok(chunks=TEXT, usage={"input_tokens": 7, "output_tokens": 4})])
    layer = WantsUsage()

    async def scenario() -> Reading:
        client = make_client("openai", kind, provider)
        extra = {"stream_options": {"include_usage": True}} if asked else {}
        reading = Reading(await open_stream(ap.Stack(layer).wrap(client), "openai", **extra))
        await reading.all()
        await shut(client)
        return reading

    reading = run(scenario())
    assert provider.requests[0].json["stream_options"] == {"include_usage": True}
    assert layer.usages[0] == ap.Usage(input_tokens=7, output_tokens=4, service_tier="standard")
    assert any(not item.choices for item in reading.items) is asked


def test_usage_is_not_asked_for_when_no_layer_needs_it(kind: str, run: Run, provider: Provider) -> None:
    """A stack that does not count does not change the request."""

    async def scenario() -> None:
        client = make_client("openai", kind, provider)
        await Reading(await open_stream(ap.Stack(ap.Retry()).wrap(client), "openai")).all()
        await shut(client)

    run(scenario())
    assert "stream_options" not in provider.requests[0].json


def test_a_target_that_refuses_usage_is_remembered(kind: str, run: Run, provider: Provider) -> None:
    """A 400 to stream_options is answered without them, and not provoked again."""
    refusal = b.error(400, code="unknown_parameter", message="Unknown parameter: 'stream_options.include_usage'.")
    provider.script(lambda request: refusal if "stream_options" in request.json else b.ok(chunks=TEXT))
    layer = WantsUsage()

    async def scenario() -> None:
        bare = make_client("openai", kind, provider)
        client = ap.Stack(layer).wrap(bare)
        for _ in range(2):
            stream = await open_stream(client, "openai")
            assert await Reading(stream).all() == TEXT
            assert len(ap.meta(stream).attempts) == 1
        await shut(bare)

    run(scenario())
    assert ["stream_options" in request.json for request in provider.requests] == [True, False, False]


def test_events_of_any_cut_of_the_network_arrive_whole(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """One byte per write, and the consumer sees the same events."""
    provider.script([b.dribble(1, 0.0, reply=b.ok(chunks=["你", "好 \U0001f600"]))])

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        reading = Reading(await open_stream(ap.Stack().wrap(client), sdk))
        assert await reading.all() == ["你", "好 \U0001f600"]
        assert text_of(reading.items[-1]) == ""
        await shut(client)

    run(scenario())


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
def test_on_a_hit_only_callers_who_asked_see_the_usage(
    first: bool, second: bool, kind: str, run: Run, provider: Provider
) -> None:
    """The recorded stream carries the counts; each caller sees them if that caller asked."""
    provider.script([b.ok(chunks=TEXT, usage={"input_tokens": 7, "output_tokens": 4})])

    async def scenario() -> list[bool]:
        bare = make_client("openai", kind, provider)
        client = ap.Stack(ap.Cache()).wrap(bare)
        shown = []
        for asked in (first, second):
            extra = {"stream_options": {"include_usage": True}} if asked else {}
            reading = Reading(await open_stream(client, "openai", **extra))
            assert await reading.all() == TEXT
            shown.append(any(not item.choices and item.usage.total_tokens == 11 for item in reading.items))
        await shut(bare)
        return shown

    assert run(scenario()) == [first, second]
    assert len(provider.requests) == 1


class SlowEnd:
    """A layer whose settling gives others a turn, as a store that is asked over a socket does."""

    def __init__(self) -> None:
        self.settled: list[str] = []

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Settle at the end."""
        reply = await call_next(call)

        async def settle(end: ap.End) -> None:
            for _ in range(3):
                await asyncio.sleep(0)
            self.settled.append(end.outcome)

        reply.on_settle(settle)
        return reply


def test_settling_a_stream_is_not_cut_off_by_the_sdks_own_time_limit(
    sdk: str, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenAI's client reads behind the end marker within a limit, here none at all: hooks still run to their end."""
    cleanup = pytest.importorskip("openai._streaming_cleanup", reason="this version of openai does not read on")
    monkeypatch.setattr(cleanup, "_DRAIN_TIMEOUT", 0.0)
    slow = SlowEnd()

    async def read() -> list[str]:
        bare = make_client(sdk, "async", provider)
        try:
            wrapped = ap.Stack(slow).wrap(bare)
            return ["".join(await Reading(await open_stream(wrapped, sdk)).all()) for _ in range(2)]
        finally:
            await shut(bare)

    provider.script([b.ok(chunks=TEXT)] * 2)
    assert asyncio.run(read()) == ["".join(TEXT)] * 2
    assert slow.settled == ["complete", "complete"]
