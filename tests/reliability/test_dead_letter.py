"""DeadLetter: which calls are kept, what of them, and that neither sinks nor deaths of processes do harm."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

import agentprod as ap
from agentprod.testing import FakeClock, Provider, behaviours
from tests.callers import MODES, Caller, Script
from tests.sdk_errors import openai_error

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Write to ann@example.com"}]}


@pytest.fixture(params=MODES)
def caller(request: pytest.FixtureRequest) -> Caller:
    """Return a caller of each kind."""
    return Caller(request.param)


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock to move by hand."""
    return FakeClock()


def ask(caller: Caller, clock: FakeClock, sink: Any, *steps: Any, prompt: str = "hi", **options: Any) -> Any:
    """Ask once, behind a DeadLetter and a Retry of two attempts."""
    stack = ap.Stack(ap.DeadLetter(sink, **options), ap.Retry(attempts=2, seed=1), clock=clock)
    return caller.ask(caller.decorate(stack, Script(*steps, clock=clock), name="f"), prompt)


def test_scenario_50_a_lost_call_is_written_once(caller: Caller, clock: FakeClock, tmp_path: Path) -> None:
    """After the last attempt one line tells who asked what, redacted, and how each attempt went."""
    path = tmp_path / "dead.jsonl"
    error = openai_error(500)
    with ap.context(user="u1", tags={"prompt": "B"}):
        told = ask(caller, clock, path, error, prompt="Write to ann@example.com, 王伟")
    assert told.error is error
    assert told.meta is not None
    (record,) = ap.DeadLetter.read(path)
    waited = clock.slept[0]
    assert record.pop("call_id") == told.meta.request_id
    attempts = record.pop("attempts")
    assert [(each["number"], each["fault"], each["status"]) for each in attempts] == [
        (1, "server", 500),
        (2, "server", 500),
    ]
    assert record == {
        "time": record["time"],
        "operation": "function",
        "provider": "function",
        "model": None,
        "streaming": caller.streams,
        "fault": "server",
        "error": {"type": "InternalServerError", "message": str(error)},
        "context": {"user": "u1", "tags": {"prompt": "B"}},
        "request": {"prompt": "Write to [EMAIL], 王伟"},
    }
    assert record["time"].startswith("2023-11-14T22:13:2")
    assert waited < 1


def test_what_was_saved_is_no_dead_letter(caller: Caller, clock: FakeClock) -> None:
    """A call that a retry saved, a bad request, and an answer are not kept."""
    kept: list[dict[str, Any]] = []
    assert ask(caller, clock, kept.append, openai_error(500), "fine").value == "fine"
    assert ask(caller, clock, kept.append, openai_error(400)).error is not None
    assert ask(caller, clock, kept.append, "fine").value == "fine"
    assert kept == []
    assert ask(caller, clock, kept.append, openai_error(400), skip=()).error is not None
    assert [record["fault"] for record in kept] == ["bad_request"]


def test_a_cancelled_call_is_no_dead_letter() -> None:
    """Whoever cancels a call does not want it kept, neither before its answer nor in the middle of it."""
    kept: list[dict[str, Any]] = []

    @ap.DeadLetter(kept.append, skip=())
    async def hangs() -> None:
        await asyncio.Event().wait()

    async def run() -> None:
        task = asyncio.create_task(hangs())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert kept == []


@pytest.mark.parametrize("mode", ["generator", "async_generator"])
def test_a_stream_that_breaks_is_kept(mode: str, clock: FakeClock) -> None:
    """After its first content nothing saves a stream; one that its reader leaves is none."""
    kept: list[dict[str, Any]] = []
    told = ask(Caller(mode), clock, kept.append, ["some ", "text", ConnectionResetError()])
    assert isinstance(told.error, ap.StreamInterrupted)
    assert [(record["fault"], record["partial_characters"]) for record in kept] == [("connection", 9)]

    @ap.DeadLetter(kept.append)
    def items() -> Iterator[str]:
        yield "one"
        yield "two"

    stream = items()
    assert next(stream) == "one"
    stream.close()  # type: ignore[attr-defined]
    assert len(kept) == 1


def test_scenario_51_a_sink_that_fails_changes_nothing(
    caller: Caller, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The call raises its own error; the loss is logged and counted."""

    def sink(record: dict[str, Any]) -> None:
        raise OSError("disk full")

    error = openai_error(500)
    letter = ap.DeadLetter(sink)
    stack = ap.Stack(letter, clock=clock)
    assert caller.ask(caller.decorate(stack, Script(error), name="f")).error is error
    assert letter.snapshot() == {"written": 0, "lost": 1}
    assert "could not be written" in caplog.text


def test_an_asynchronous_sink(clock: FakeClock) -> None:
    """It is awaited in asynchronous calls, and refused where it could not be."""
    kept: list[dict[str, Any]] = []

    async def sink(record: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        kept.append(record)

    assert ask(Caller("async"), clock, sink, openai_error(500)).error is not None
    assert len(kept) == 1
    with pytest.raises(ap.ConfigError, match="asynchronous sink"):
        ask(Caller("sync"), clock, sink, openai_error(500))


def test_a_real_client_and_what_its_scrubber_saw() -> None:
    """Of an SDK call the wire JSON is kept, with texts scrubbed and tools, options and images as they were."""
    kept: list[dict[str, Any]] = []
    tools = [{"type": "function", "function": {"name": "send", "parameters": {"type": "object"}}}]
    with (
        Provider(behaviours.error(500)) as provider,
        openai.OpenAI(api_key="sk-1", base_url=provider.openai_url) as bare,
    ):
        client: Any = ap.Stack(ap.DeadLetter(kept.append), ap.Retry(attempts=1)).wrap(bare)
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(**CHAT, tools=tools, temperature=0.5)
        given: list[Any] = []

        async def scrubber(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            given.append(call.request)
            return await call_next(call.replace(safe_request={"model": "m", "messages": ["safe"]}))

        client = ap.Stack(scrubber, ap.DeadLetter(kept.append), ap.Retry(attempts=1)).wrap(bare)
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(**CHAT)
        bare.close()
    first, second = kept
    assert first["request"] == {
        "model": "m",
        "messages": [{"role": "user", "content": "Write to [EMAIL]"}],
        "tools": tools,
        "temperature": 0.5,
    }
    assert (first["operation"], first["provider"], first["model"]) == ("chat", "openai", "m")
    assert second["request"] == {"model": "m", "messages": ["safe"]}
    assert "sk-1" not in json.dumps(kept)
    assert "ann@" not in json.dumps(kept)


def test_text_that_cannot_be_scrubbed_is_left_out(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrubber that fails costs the text, never the record; arguments that are no JSON are named by their kind."""

    def broken(text: str) -> str:
        raise RuntimeError("scrub")

    monkeypatch.setattr("agentprod.stack.default_scrub", broken)
    kept: list[dict[str, Any]] = []
    assert ask(Caller("sync"), clock, kept.append, openai_error(500), prompt="secret").error is not None
    assert kept[0]["request"] == {"prompt": "[not scrubbed, so left out]"}
    assert kept[0]["error"]["message"] == "[not scrubbed, so left out]"


def test_arguments_of_any_kind(tmp_path: Path) -> None:
    """What JSON cannot hold is named by its class in the file; a call that fits no signature has no request."""
    path = tmp_path / "dead.jsonl"

    @ap.DeadLetter(path, skip=())
    def ask_it(what: object) -> str:
        raise KeyError("x")

    with pytest.raises(KeyError):
        ask_it(object())
    with pytest.raises(TypeError):
        ask_it()  # type: ignore[call-arg]
    first, second = ap.DeadLetter.read(path)
    assert first["request"] == {"what": "<object>"}
    assert second["request"] is None
    assert path.stat().st_mode & 0o077 == 0


WRITER = """
import sys
from agentprod.reliability.dead_letter_file import DeadLetterFile
file, number = DeadLetterFile(sys.argv[1]), 0
print("writing", flush=True)
while True:
    file.append({"writer": sys.argv[2], "number": number, "filling": "x" * 20_000})
    number += 1
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_scenario_50_killed_in_the_middle_of_a_write(tmp_path: Path) -> None:
    """Writers that are killed leave a file whose every line parses, and others go on with it."""
    path = tmp_path / "dead.jsonl"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [
        subprocess.Popen([*command, str(n)], stdout=subprocess.PIPE, text=True, env=environment) for n in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
    while not path.exists() or path.stat().st_size < 1_000_000:
        assert all(writer.poll() is None for writer in writers)
    for writer in writers:
        writer.kill()
        writer.communicate()
    # A writer that looks while another is still writing begins a new line to be safe, which leaves an empty one.
    lines = [line for line in path.read_bytes().splitlines() if line]
    whole = list(ap.DeadLetter.read(path))
    assert len(whole) >= len(lines) - 2
    for name in "01":
        numbers = [record["number"] for record in whole if record["writer"] == name]
        assert numbers == list(range(len(numbers)))


def test_half_a_line_spoils_nothing(tmp_path: Path) -> None:
    """What comes after a torn line begins a new one; reading passes over what is no record."""
    path = tmp_path / "dead.jsonl"
    path.write_bytes(b'{"call_id": "1"}\n[1]\n{"call_id": "2", "requ')
    clock = FakeClock()
    ask(Caller("sync"), clock, path, openai_error(500))
    assert [record.get("call_id") == "1" for record in ap.DeadLetter.read(path)] == [True, False]
    assert path.read_bytes().count(b"\n") == 4


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    """Calls that fail at once do not run into each other."""
    path = tmp_path / "dead.jsonl"
    letter = ap.DeadLetter(path)

    @letter
    def fails(number: int) -> None:
        raise ConnectionResetError(str(number))

    with ThreadPoolExecutor(16) as pool:
        errors = [future.exception(10) for future in [pool.submit(fails, number) for number in range(200)]]
    assert {type(error) for error in errors} == {ConnectionResetError}
    assert sorted(record["request"]["number"] for record in ap.DeadLetter.read(path)) == list(range(200))
    assert letter.snapshot() == {"written": 200, "lost": 0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sink": "no/such/folder/dead.jsonl"}, "folder of the dead letters does not exist"),
        ({"sink": "."}, "is a folder"),
        ({"sink": 5}, "path of a file or a function of the record, not int"),
        ({"sink": print, "skip": "bad_request"}, r"a list of ap\.Fault"),
        ({"sink": print, "skip": ["bad_request"]}, r"a list of ap\.Fault"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    """What cannot work is refused when it is built, not when the first call is lost."""
    with pytest.raises(ap.ConfigError, match=message):
        ap.DeadLetter(**options)


def test_shown() -> None:
    """A stack shows where its dead letters go."""
    assert repr(ap.DeadLetter(print)) == "DeadLetter(sink='print')"
    assert repr(ap.DeadLetter("dead.jsonl", skip=[ap.Fault.AUTH])) == "DeadLetter(sink='dead.jsonl', skip=['auth'])"


def test_its_place_is_outside_retry() -> None:
    """Inside, every failed attempt would be written."""
    with pytest.warns(ap.OrderWarning, match="every failed attempt is written"):
        ap.Stack(ap.Retry(), ap.DeadLetter(print))
