"""Clients for Azure, Bedrock, Vertex and Foundry are wrapped like any other: told by base class, not by name."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest

import agentprod as ap
from tests.clients.conftest import Run
from tests.clients.platforms import PLATFORMS, Platform, frame
from tests.clients.surfaces import MESSAGES, claude, items, opened, result, shut


class Notes:
    """Keeps what it saw of each call, and what each stream said."""

    def __init__(self) -> None:
        self.calls: list[ap.Call] = []
        self.ends: list[ap.End] = []

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Take note."""
        self.calls.append(call)
        reply = await call_next(call.map_text(lambda text, part: text.replace("Li Wei", "[NAME]")))
        reply.on_end(self.ends.append)
        return reply


@pytest.fixture(params=PLATFORMS)
def platform(request: pytest.FixtureRequest) -> str:
    """Run the test for every platform whose client the installed SDKs have."""
    name = str(request.param)
    client, _, _ = PLATFORMS[name]
    if not hasattr(openai, client) and not hasattr(anthropic, client):
        pytest.skip(f"the installed SDK has no {client}")
    if name == "bedrock":
        pytest.importorskip("botocore")
    return name


def make(platform: str, kind: str, wire: Platform) -> Any:
    """Return a bare client of a platform."""
    return PLATFORMS[platform][2](kind, wire.options(kind))


def sdk_of(platform: str) -> str:
    """Return which SDK a platform's client belongs to."""
    return "openai" if hasattr(openai, PLATFORMS[platform][0]) else "anthropic"


async def ask(client: Any, sdk: str) -> tuple[str, Any]:
    """Ask for a whole reply; return its text and the object."""
    if sdk == "openai":
        made = await result(client.chat.completions.create(model="m", messages=MESSAGES))
        return made.choices[0].message.content, made
    made = await result(client.messages.create(**claude()))
    return made.content[0].text, made


async def ask_stream(client: Any, sdk: str) -> str:
    """Ask for a stream; return its text."""
    if sdk == "openai":
        stream = await result(client.chat.completions.create(model="m", messages=MESSAGES, stream=True))
        return "".join(chunk.choices[0].delta.content or "" for chunk in await items(stream) if chunk.choices)
    stream = await result(client.messages.create(stream=True, **claude()))
    return "".join(getattr(getattr(event, "delta", None), "text", None) or "" for event in await items(stream))


def test_a_platforms_client_passes_the_stack(platform: str, kind: str, run: Run) -> None:
    """Whole and streamed: one call, one request to the platform's own path, the provider named, the text edited."""
    sdk = sdk_of(platform)
    wire, notes = Platform(sdk), Notes()

    async def scenario() -> None:
        bare = make(platform, kind, wire)
        client = ap.Stack(notes).wrap(bare)
        assert type(client).__name__ == type(bare).__name__
        text, made = await ask(client, sdk)
        assert text == "Hello 李伟."
        assert ap.meta(made).usage.input_tokens == 3
        assert await ask_stream(client, sdk) == "Hello 李伟."
        await ask(bare, sdk)
        await ask_stream(bare, sdk)
        await shut(bare)

    run(scenario())
    assert [call.target.provider for call in notes.calls] == [PLATFORMS[platform][1]] * 2
    assert [call.streaming for call in notes.calls] == [False, True]
    assert [end.outcome for end in notes.ends] == ["complete", "complete"]
    assert [end.text for end in notes.ends] == ["Hello 李伟."] * 2
    through, streamed, bare, bare_streamed = wire.requests
    assert through.url == bare.url
    assert streamed.url == bare_streamed.url
    for request, untouched in ((through, bare), (streamed, bare_streamed)):
        told = json.dumps(json.loads(untouched.content), ensure_ascii=False)
        sent = json.dumps(json.loads(request.content), ensure_ascii=False)
        assert "Li Wei" in told
        assert sent == told.replace("Li Wei", "[NAME]")


def test_the_sdks_own_retries_repeat_the_request(platform: str, kind: str, run: Run) -> None:
    """What a platform does to a request, to its path or headers, it does to each of the SDK's own tries anew."""
    sdk = sdk_of(platform)
    wire, untouched = Platform(sdk, failures=2), Platform(sdk)

    async def scenario() -> None:
        bare, once = make(platform, kind, wire), make(platform, kind, untouched)
        bare.max_retries = 2
        client = ap.Stack().wrap(bare)
        text, made = await ask(client, sdk)
        assert text == "Hello 李伟."
        assert ap.meta(made).attempts[-1].outcome == "ok"
        await ask(once, sdk)
        await shut(bare)
        await shut(once)

    run(scenario())
    alone = untouched.requests[0]
    assert len(wire.requests) == 3
    for request in wire.requests:
        assert request.url == alone.url
        assert json.loads(request.content) == json.loads(alone.content)
        assert request.headers.keys() == alone.headers.keys()
    keys = {request.headers.get("idempotency-key") for request in wire.requests}
    assert len(keys) == 1


def test_a_platforms_client_replays_from_the_cache(platform: str, kind: str, run: Run) -> None:
    """A hit comes out as the platform's client would have read it, whole and streamed, without a request."""
    sdk = sdk_of(platform)
    wire = Platform(sdk)

    async def scenario() -> None:
        bare = make(platform, kind, wire)
        client = ap.Stack(ap.Cache()).wrap(bare)
        for _ in range(2):
            text, _made = await ask(client, sdk)
            assert text == "Hello 李伟."
            assert await ask_stream(client, sdk) == "Hello 李伟."
        await shut(bare)

    run(scenario())
    assert len(wire.requests) <= 2  # a cache may also serve a stream from the whole reply


def test_a_platforms_client_keeps_its_address_in_copies(platform: str, kind: str, run: Run) -> None:
    """`with_options` of a wrapped client asks the same address, within the stack."""
    sdk = sdk_of(platform)
    wire, notes = Platform(sdk), Notes()

    async def scenario() -> None:
        bare = make(platform, kind, wire)
        try:
            await ask(bare.with_options(timeout=9), sdk)
        except Exception as error:
            pytest.skip(f"copies of the bare client do not work either: {type(error).__name__}")
        await ask(ap.Stack(notes).wrap(bare).with_options(timeout=9), sdk)
        await shut(bare)

    run(scenario())
    assert len(notes.calls) == 1
    assert wire.requests[0].url == wire.requests[1].url


def test_the_helper_reads_a_framed_stream(kind: str, run: Run) -> None:
    """Bedrock's binary stream comes out of the `.stream()` helper too, and bare once stacks are switched off."""
    pytest.importorskip("botocore")
    wire, notes = Platform("anthropic"), Notes()

    async def scenario() -> None:
        bare = make("bedrock", kind, wire)
        client = ap.Stack(notes).wrap(bare)
        async with opened(client.messages.stream(**claude())) as stream:
            final = await result(stream.get_final_message())
        assert final.content[0].text == "Hello 李伟."
        assert final.usage.output_tokens == 2
        ap.set_active(False)
        try:
            assert await ask_stream(client, "anthropic") == "Hello 李伟."
        finally:
            ap.set_active(True)
        await shut(bare)

    run(scenario())
    assert len(notes.calls) == 1


def test_an_error_frame_is_the_sdks_error(kind: str, run: Run) -> None:
    """An exception that Bedrock frames into a stream interrupts it, as the SDK's own error."""
    pytest.importorskip("botocore")
    wire = Platform("anthropic", ending=frame({"message": "slow down"}, "exception", "throttlingException"))

    async def scenario() -> None:
        bare = make("bedrock", kind, wire)
        with pytest.raises(ap.StreamInterrupted) as caught:
            await ask_stream(ap.Stack(Notes()).wrap(bare), "anthropic")
        # Older SDKs raise a ValueError for it.
        assert isinstance(caught.value, anthropic.APIError | ValueError) or "throttling" in repr(caught.value.__cause__)
        await shut(bare)

    run(scenario())


@pytest.mark.parametrize("damage", ["cut", "checksum"])
def test_a_damaged_frame_interrupts(damage: str, kind: str, run: Run) -> None:
    """Half a frame, and one whose checksum is wrong, end the stream with an error and not as if it were whole."""
    pytest.importorskip("botocore")
    last = frame({"type": "message_stop"})
    wire = Platform("anthropic", ending=last[:-20] if damage == "cut" else last[:-1] + bytes([last[-1] ^ 1]))

    async def scenario() -> None:
        bare = make("bedrock", kind, wire)
        with pytest.raises(ap.StreamInterrupted):
            await ask_stream(ap.Stack(Notes()).wrap(bare), "anthropic")
        await shut(bare)

    run(scenario())
