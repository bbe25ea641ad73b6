"""Many items: bounded, in order, errors kept, resumable."""

from __future__ import annotations

import asyncio
import functools
import json
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentprod as ap
from agentprod.batch import progress as progress_module
from tests.telemetry.tracing import HELLO, MODEL, openai_client, running

Map = Callable[..., Any]


def map_tasks(fn: Callable[..., Any], items: Any, **options: Any) -> Any:
    """Run `amap` with a coroutine function made of `fn`."""

    @functools.wraps(fn)
    async def asynchronous(item: Any) -> Any:
        await asyncio.sleep(0)
        return fn(item)

    return asyncio.run(ap.amap(asynchronous, items, **options))


def map_in_threads(fn: Callable[..., Any], items: Any, **options: Any) -> Any:
    """Run `amap` with a synchronous function."""
    return asyncio.run(ap.amap(fn, items, **options))


@pytest.fixture(params=[ap.map, map_tasks, map_in_threads], ids=["map", "amap", "amap of a sync function"])
def run(request: pytest.FixtureRequest) -> Map:
    """Every way to map."""
    return request.param  # type: ignore[no-any-return]


def think(text: str) -> dict[str, Any]:
    """Answer as a provider would."""
    return {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


@ap.Stack(prices=lambda *_: Decimal("0.01"))
def complete(model: str, messages: list[Any]) -> dict[str, Any]:
    """A model call that costs a cent."""
    if messages[0]["content"] == "bad":
        raise ValueError("cannot answer bad")
    return think(messages[0]["content"])


def ask(item: str) -> str:
    """One item is one call."""
    return str(complete(MODEL, [{"role": "user", "content": item}])["choices"][0]["message"]["content"]).upper()


def test_values_in_order_and_errors_beside_them(run: Map) -> None:
    """Every item has its place; what one raises is kept and stops nobody; calls and cost are those made."""
    results = run(ask, ["a", "bad", "c"])
    assert results.values == ["A", None, "C"] == list(results)
    ((index, item, error),) = [(failure.index, failure.item, failure.error) for failure in results.errors]
    assert (index, item, type(error)) == (1, "bad", ValueError)
    assert (len(results), results[2], results.missing, results.restored) == (3, "C", [], 0)
    assert len(results.calls) == 3
    assert results.cost == Decimal("0.02")


@given(st.lists(st.integers()), st.integers(1, 5))
def test_it_is_map(items: list[int], concurrency: int) -> None:
    """Whatever the items and the concurrency, the values are those of the built-in map."""
    assert ap.map(lambda item: item * 2, items, concurrency=concurrency).values == [item * 2 for item in items]


def test_so_many_at_a_time() -> None:
    """Never more than `concurrency` run at once, and that many do."""
    lock, now, most = threading.Lock(), 0, 0
    together = threading.Barrier(3)

    def work(item: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        together.wait(10)
        with lock:
            now -= 1

    assert not ap.map(work, range(9), concurrency=3).errors
    assert most == 3


def test_so_many_tasks_at_a_time() -> None:
    """The same for tasks."""
    now = most = 0

    async def work(item: int) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1

    asyncio.run(ap.amap(work, range(20), concurrency=4))
    assert most == 4


def test_items_are_made_as_they_are_needed(run: Map) -> None:
    """A generator is read no further than so many ahead, and an endless one can be stopped."""
    read = 0

    def numbers() -> Iterator[int]:
        nonlocal read
        while True:
            read += 1
            yield read

    def work(item: int) -> int:
        if item == 10:
            raise ap.BudgetExceeded("used up")
        return item

    results = run(work, numbers(), concurrency=2)
    assert isinstance(results.stopped, ap.BudgetExceeded)
    assert 10 <= read <= 14
    assert not results.missing


def test_items_of_an_async_iterator() -> None:
    """`amap` reads async iterators too."""

    async def numbers() -> AsyncIterator[int]:
        for number in range(5):
            yield number

    assert asyncio.run(ap.amap(str, numbers())).values == ["0", "1", "2", "3", "4"]


def test_a_budget_that_is_used_up_ends_the_run(run: Map) -> None:
    """Nothing new is begun after an error of stop_on; what was not begun is named."""

    def work(item: int) -> int:
        if item == 2:
            raise LookupError("enough")
        return item

    results = run(work, list(range(8)), concurrency=1, stop_on=(LookupError,))
    assert results.values[:2] == [0, 1]
    assert results.missing == [3, 4, 5, 6, 7]
    assert isinstance(results.stopped, LookupError)
    assert "3 items" not in repr(results)
    assert repr(results).startswith("2 of 8 items, 1 failed, 5 not begun\n  [2] LookupError\n  stopped by LookupError")


def test_the_context_holds_in_every_call(run: Map) -> None:
    """Who asks, the run and the records of the caller are those of the calls."""
    with ap.context(user="u1"), ap.agent("batch") as agent, ap.record() as calls:
        run(ask, ["a", "b"])
    assert [call.user for call in calls] == ["u1", "u1"]
    assert agent.model_calls == 2


def test_streams_are_counted_when_they_are_looked_at() -> None:
    """A stream left early has its tokens in the results, and a price or none."""
    with running() as provider:
        client = ap.Stack().wrap(openai_client(provider))

        def first(item: str) -> str:
            with client.chat.completions.create(model=MODEL, messages=HELLO, stream=True) as stream:
                return next(iter(stream)).id

        results = ap.map(first, ["a"])
    assert results.calls[0].usage is not None
    assert results.calls[0].usage.estimated
    assert results.to_pandas()["input_tokens"][0] > 0


# The checkpoint


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "done.jsonl"


def test_a_second_run_goes_on(run: Map, path: Path) -> None:
    """What is done is read from the file and not called again; what failed is tried again."""
    begun: list[Any] = []

    def work(item: Any) -> Any:
        begun.append(item)
        if item == {"n": 3} and len(begun) < 5:
            raise ValueError
        return {"got": item, "文": "好"}

    items = ["a", {"n": 2}, {"n": 3}, "a"]
    first = run(work, items, checkpoint=path)
    assert len(first.errors) == 1
    second = run(work, items, checkpoint=path)
    assert second.values == [{"got": item, "文": "好"} for item in items]
    assert begun[4:] == [{"n": 3}]
    assert (second.restored, second.cost) == (3, 0)
    assert repr(second).startswith("4 of 4 items, 3 restored")


def test_a_key_of_ones_own(path: Path) -> None:
    """Items that JSON does not know are named by `key`."""
    with pytest.raises(ap.ConfigError, match="give key="):
        ap.map(str, [object()], checkpoint=path)
    path.unlink()
    assert ap.map(_real, [1 + 2j], checkpoint=path, key=str).values == [1.0]
    assert ap.map(_real, [1 + 2j], checkpoint=path, key=str).restored == 1


def _real(number: complex) -> float:
    return number.real


@pytest.mark.parametrize("torn", [b'{"key": "x", "val', b"\xe4\xb8"])
def test_a_line_that_a_kill_tore_is_cut_off(path: Path, torn: bytes) -> None:
    """A process killed in the middle of a line loses that line only."""
    ap.map(str, [1, 2], checkpoint=path)
    with path.open("ab") as file:
        file.write(torn)
    results = ap.map(str, [1, 2, 3], checkpoint=path)
    assert (results.values, results.restored) == (["1", "2", "3"], 2)
    assert all(json.loads(line) for line in path.read_text("utf-8").splitlines())


def test_half_of_a_pair_comes_back(path: Path) -> None:
    """Text of models that UTF-8 cannot hold survives the file."""
    assert ap.map(chr, [0xD83D], checkpoint=path).values == ["\ud83d"]
    assert ap.map(chr, [0xD83D], checkpoint=path).values == ["\ud83d"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not ours\n", "is no checkpoint of ours"),
        (b'{"checkpoint": 9, "function": "str"}\n', "is no checkpoint of ours"),
        (b'{"checkpoint": 1, "function": "other"}\n', "checkpoint of other, not of str"),
    ],
)
def test_another_file_is_refused(path: Path, content: bytes, message: str) -> None:
    """Values of something else are never taken for this function's."""
    path.write_bytes(content)
    with pytest.raises(ap.ConfigError, match=message):
        ap.map(str, [1], checkpoint=path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("value", [(1, 2), {1: 2}, object()])
def test_a_value_that_would_come_back_otherwise(run: Map, path: Path, value: Any) -> None:
    """A value that JSON changes or does not know is told at once, not at the next run."""
    with pytest.raises(ap.ConfigError, match="would not come back as it is"):
        run(lambda item: value, [1, 2, 3], checkpoint=path, concurrency=1)


def test_the_folder_must_exist(tmp_path: Path) -> None:
    """A checkpoint in a folder that is not there is refused before anything is called."""
    with pytest.raises(ap.ConfigError, match="folder"):
        ap.map(str, [1], checkpoint=tmp_path / "no" / "x")


def test_a_killed_process_loses_nothing_that_was_done(path: Path) -> None:
    """After a kill in the middle of a run, the next run does only the rest."""
    import subprocess

    script = f"""
import os, sys, agentprod as ap
def work(item):
    if item == 6:
        os._exit(9)  # as a kill does: no clean-up, no flush
    return item * 2
ap.map(work, range(10), concurrency=1, checkpoint={str(path)!r})
"""
    environment = {"PYTHONPATH": ":".join(entry for entry in sys.path if entry)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=False, timeout=60)
    assert done.returncode == 9
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return item * 2

    work.__qualname__ = "work"
    assert ap.map(work, range(10), checkpoint=path).values == [item * 2 for item in range(10)]
    assert sorted(begun) == [6, 7, 8, 9]


# What goes wrong


def test_map_of_a_coroutine_function(path: Path) -> None:
    """It is said which of the two to use, also where it only shows in the value."""

    async def asynchronous(item: int) -> int:
        return item

    def wrapped(item: int) -> Any:
        return asynchronous(item)

    for fn in (asynchronous, wrapped):
        with pytest.raises(ap.ConfigError, match=r"await ap\.amap"):
            ap.map(fn, [1])


def test_amap_awaits_what_a_function_returns() -> None:
    """A lambda around a coroutine function, and an object with an async call, are awaited."""

    class Asker:
        async def __call__(self, item: int) -> int:
            return item

    asker = Asker()

    def wrapped(item: int) -> Any:
        return asker(item)

    assert asyncio.run(ap.amap(asker, [1])).values == [1]
    assert asyncio.run(ap.amap(wrapped, [1])).values == [1]


def test_cancelling_amap_cancels_what_is_under_way(path: Path) -> None:
    """A cancelled caller leaves no task behind, and what was done is in the checkpoint."""
    ended: list[str] = []

    async def work(item: int) -> int:
        if item == 0:
            return 0
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("ended")
        return item

    async def main() -> None:
        task = asyncio.create_task(ap.amap(work, [0, 1, 2], concurrency=2, checkpoint=path))
        while not path.exists() or len(path.read_text().splitlines()) < 2:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    assert ended
    assert len(path.read_text().splitlines()) == 2


def test_an_interrupt_does_not_wait(path: Path) -> None:
    """Ctrl-C returns at once; a call under way ends in the background, and is still written down."""
    go, done = threading.Event(), threading.Event()

    def work(item: int) -> int:
        go.wait(10)
        return item

    def items() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        ap.map(work, items(), checkpoint=path)
    assert time.monotonic() - begun < 5
    go.set()
    for thread in threading.enumerate():
        if thread.name.startswith("agentprod-map"):
            thread.join(10)
    done.set()
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concurrency": 0}, "from 1 up"),
        ({"concurrency": True}, "from 1 up"),
        ({"progress": "always"}, "progress is True, False"),
        ({"stop_on": "BudgetExceeded"}, "tuple of exception types"),
        ({"stop_on": (KeyboardInterrupt,)}, "tuple of exception types"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    """Options out of range are named."""
    with pytest.raises(ap.ConfigError, match=message):
        ap.map(str, [1], **options)
    with pytest.raises(ap.ConfigError, match="in this order"):
        ap.map([1], str)  # type: ignore[arg-type, call-overload, unused-ignore]


# What people see


def test_progress_with_the_running_cost(capsys: pytest.CaptureFixture[str]) -> None:
    """The bar counts items, failures and dollars."""
    pytest.importorskip("tqdm")
    ap.map(ask, ["a", "bad", "c"], progress=True, concurrency=1)
    shown = capsys.readouterr().err
    assert "3/3" in shown
    assert "$0.0200, 1 failed" in shown


def test_a_price_that_is_not_known_shows(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    """A plus says that there is more than the sum; restored items count as done."""
    pytest.importorskip("tqdm")
    unknown = ap.Stack(prices=lambda *_: None)(lambda model, messages: think("x"))
    ap.map(lambda item: unknown(MODEL, HELLO) and 1, ["a"], progress=True, checkpoint=path)
    assert "$0+" in capsys.readouterr().err
    ap.map(lambda item: unknown(MODEL, HELLO) and 1, ["a"], progress=True, checkpoint=path)
    assert "1/1" in capsys.readouterr().err


def test_plain_programs_print_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody watches, nothing is written."""
    ap.map(ask, ["a"])
    assert capsys.readouterr() == ("", "")


def test_without_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without tqdm there is no bar, and asking for one says what to install."""

    def missing(name: str) -> ModuleType:
        raise ImportError(name)

    monkeypatch.setattr(progress_module, "import_module", missing)
    monkeypatch.setattr(progress_module, "_watched", lambda: True)
    assert ap.map(str, [1]).values == ["1"]
    with pytest.raises(ap.ConfigError, match=r'pip install "agentprod\[notebook\]"'):
        ap.map(str, [1], progress=True)


def test_a_frame_of_items(run: Map) -> None:
    """One row per item, with what it cost and how it failed."""
    pytest.importorskip("pandas")
    frame = run(ask, ["a", "bad"]).to_pandas()
    assert frame["value"][0] == "A"
    assert list(frame["value"].isna()) == [False, True]
    assert frame["error"][1] == "ValueError"
    assert frame["cost"][0] == 0.01
    assert list(frame["calls"]) == [1, 1]


def test_the_card() -> None:
    """In a notebook the results show errors by their class, escaped, without what was asked."""

    class Wrong(Exception):
        """A name fit to show."""

    def work(item: str) -> str:
        raise Wrong("<script>secret</script>")

    bundle = ap.map(work, ["<b>"] * 7)._repr_mimebundle_()
    assert "0 of 7 items, 7 failed" in bundle["text/plain"]
    assert "and 2 more in .errors" in bundle["text/html"]
    assert "secret" not in str(bundle)
    assert "<b>" not in bundle["text/html"].replace("<b>7</b>", "").replace("<b>0</b>", "")
