"""What the network does to a reply, on every surface: errors are the SDK's and ours, and nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest

import agentprod as ap
from agentprod.testing import FaultProxy, Provider, proxy_faults
from agentprod.testing import behaviours as b
from tests.clients.conftest import Run
from tests.clients.surfaces import SURFACES, Surface, make_client, shut

CONNECTION = {"openai": openai.APIConnectionError, "anthropic": anthropic.APIConnectionError}
TIMEOUT = {"openai": openai.APITimeoutError, "anthropic": anthropic.APITimeoutError}

LONG = " ".join(f"word{number}" for number in range(600))
LIMIT = 0.15
STREAMED, WHOLE = 12_000, 1_500
"""Bytes after which content has come, in a stream and in a whole reply, with most of it still to come."""


class At:
    """Where the proxy listens, as what clients are made for."""

    def __init__(self, proxy: FaultProxy) -> None:
        self.openai_url = f"{proxy.url}/v1"
        self.anthropic_url = proxy.url


def say(surface: Surface, text: str) -> Any:
    """Return a reply that the surface can read."""
    return b.ok(json.dumps({"name": "Li Wei", "words": text}) if surface.json else text)


@dataclass(frozen=True)
class Fault:
    """What the network does, and which error must come of it."""

    name: str
    fault: Any
    whole: Callable[[Surface, BaseException | None], bool]
    """Whether this is the right error for a whole reply."""
    stream: Callable[[Surface, BaseException | None], bool]
    """Whether this is the right error for a stream."""
    text: str = LONG


Through = Callable[..., None]


@pytest.fixture
def through(provider: Provider, kind: str, run: Run) -> Through:
    """Return what asks through a network with each of several faults, and sees that nothing is left behind."""

    def ask(surface: Surface, faults: list[Fault], stack: ap.Stack, **extra: Any) -> None:
        before = set(threading.enumerate())
        with FaultProxy(provider.host, provider.port) as proxy:
            run(_all_asked(surface, kind, provider, proxy, faults, stack, extra))
        until = time.monotonic() + 30
        while provider.open_connections and time.monotonic() < until:
            time.sleep(0.005)
        assert provider.open_connections == 0
        left = [thread.name for thread in set(threading.enumerate()) - before if not _ours_for_ever(thread)]
        assert left == []

    return ask


async def _all_asked(
    surface: Surface,
    kind: str,
    provider: Provider,
    proxy: FaultProxy,
    faults: list[Fault],
    stack: ap.Stack,
    extra: dict[str, Any],
) -> None:
    for each in faults:
        provider.script([say(surface, each.text)])
        proxy.fault(each.fault)
        error = await _asked(surface, kind, At(proxy), stack, **extra)
        right = each.stream if surface.streams else each.whole
        assert right(surface, error), f"{each.name}: {error!r}, caused by {error and error.__cause__!r}"


async def _asked(surface: Surface, kind: str, at: At, stack: ap.Stack, **extra: Any) -> BaseException | None:
    bare = make_client(surface.sdk, kind, at)
    error: BaseException | None = None
    try:
        await surface.ask(stack.wrap(bare), **extra)
    except Exception as caught:
        error = caught
    try:
        busy = [connection for connection in _pool(bare) if not connection.is_idle() and not connection.is_closed()]
        assert busy == [], f"connections still in use: {busy}"
        if kind == "async":
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            assert not tasks, f"tasks left running: {tasks}"
    finally:
        await shut(bare)
    return error


def _pool(client: Any) -> list[Any]:
    return list(client._client._transport._pool.connections)


def _ours_for_ever(thread: threading.Thread) -> bool:
    # One timer thread serves the whole process; the provider's end with their connections.
    return thread.name == "agentprod-timer" or thread.name.startswith(("agentprod-provider", "asyncio_", "AnyIO"))


every_surface = pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)


def _refused(surface: Surface, error: BaseException | None) -> bool:
    """Nothing came, so it is an error of the call, not of its stream."""
    return type(error) is CONNECTION[surface.sdk]


def _interrupted(surface: Surface, error: BaseException | None) -> bool:
    """The stream had begun: our error, which is the SDK's connection error too."""
    return isinstance(error, ap.StreamInterrupted) and isinstance(error, CONNECTION[surface.sdk])


def _timed_out(surface: Surface, error: BaseException | None) -> bool:
    """Our error, with the SDK's as its cause."""
    return isinstance(error, ap.CallTimeout) and isinstance(error.__cause__, TIMEOUT[surface.sdk])


def _fell_silent(surface: Surface, error: BaseException | None) -> bool:
    """The stream had begun, and what broke it is the time that passed."""
    return isinstance(error, ap.StreamInterrupted) and isinstance(error.__cause__, ap.CallTimeout)


def _arrived(surface: Surface, error: BaseException | None) -> bool:
    return error is None


def _late(surface: Surface, error: BaseException | None) -> bool:
    return isinstance(error, ap.DeadlineExceeded) or (
        isinstance(error, ap.StreamInterrupted) and isinstance(error.__cause__, ap.DeadlineExceeded)
    )


def after(surface: Surface) -> int:
    """Return after how many bytes content has come and most is still to come."""
    return STREAMED if surface.streams else WHOLE


@every_surface
def test_a_broken_connection_is_the_sdks_connection_error(surface: Surface, through: Through) -> None:
    """Reset or closed, on connecting, before the first byte, in the reply; cut into single bytes it arrives whole."""
    count = after(surface)
    small = {"dimensions": 4} if "embeddings" in surface.name else {}
    through(
        surface,
        [
            Fault("reset on connecting", "rst_on_connect", _refused, _refused),
            Fault("reset before the first byte", proxy_faults.rst_after(0), _refused, _refused),
            Fault("closed before the first byte", proxy_faults.fin_after(0), _refused, _refused),
        ],
        ap.Stack(ap.Retry(attempts=1)),
    )
    through(
        surface,
        [
            Fault("reset in the reply", proxy_faults.rst_after(count), _refused, _interrupted),
            Fault("closed in the reply", proxy_faults.fin_after(count), _refused, _interrupted),
        ],
        ap.Stack(ap.Retry(attempts=1)),
    )
    through(
        surface,
        [Fault("single bytes", "bytewise", _arrived, _arrived, text="Hello 李伟.")],
        ap.Stack(ap.Retry(attempts=1)),
        **small,
    )


@every_surface
def test_a_silent_connection_is_a_timeout(surface: Surface, through: Through) -> None:
    """No answer at all, and one that stops halfway."""
    timeout = ap.Timeout(first_token=2 * LIMIT, idle=LIMIT) if surface.streams else ap.Timeout(2 * LIMIT)
    through(surface, [Fault("black hole", "black_hole", _timed_out, _timed_out)], ap.Stack(timeout))
    timeout = ap.Timeout(first_token=20 * LIMIT, idle=LIMIT) if surface.streams else ap.Timeout(2 * LIMIT)
    stalled = Fault("stalls", proxy_faults.stall_after(after(surface)), _timed_out, _fell_silent)
    through(surface, [stalled], ap.Stack(timeout))


@every_surface
def test_a_dribbling_reply_ends_at_the_deadline(surface: Surface, through: Through) -> None:
    """Each byte comes in time, and the whole does not: a per-read timeout would never end it."""
    begun = time.monotonic()
    stack = ap.Stack(ap.Deadline(LIMIT, streams=True), ap.Retry(attempts=1))
    through(surface, [Fault("dribbles", proxy_faults.dribble(0.002), _late, _late)], stack)
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_a_network_that_recovers_is_asked_again(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """What breaks before content is retried through the next connection."""
    surface = next(found for found in SURFACES if found.name == f"{sdk}.stream")
    provider.script([say(surface, "Hello 李伟.")])
    with FaultProxy(provider.host, provider.port, "rst_on_connect") as proxy:
        tries: list[ap.Call] = []

        async def recover(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            tries.append(call)
            if len(tries) == 3:
                proxy.fault(None)
            return await call_next(call)

        stack = ap.Stack(ap.Retry(attempts=4, wait=0), recover, check="off")
        assert run(_asked(surface, kind, At(proxy), stack)) is None
    assert len(tries) == 3
    assert len(provider.requests) == 1
