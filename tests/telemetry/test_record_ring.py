"""The last calls: a list that forgets, and what it tells."""

from __future__ import annotations

import builtins
import threading
import tracemalloc
from decimal import Decimal
from typing import Any

import pytest

from agentprod.errors import ConfigError
from agentprod.telemetry.calls import AttemptRecord
from agentprod.telemetry.record_ring import Calls
from agentprod.usage import Usage
from tests.telemetry.records import cached_call, call_record, failed_call


def test_it_is_a_list() -> None:
    """Length, index, slice and iteration work as in a list."""
    records = [call_record(request_id=str(number)) for number in range(5)]
    calls = Calls(records)
    assert len(calls) == 5
    assert list(calls) == records
    assert calls[0] is records[0]
    assert calls[-1] is records[-1]
    assert list(calls[1:3]) == records[1:3]
    assert len(calls[5:]) == 0
    with pytest.raises(IndexError):
        calls[5]


def test_it_forgets_the_oldest() -> None:
    """Only the last calls are kept; how many went is known."""
    calls = Calls(limit=3)
    for number in range(10):
        calls.append(call_record(request_id=str(number)))
    assert [record.request_id for record in calls] == ["7", "8", "9"]
    assert calls.forgotten == 7
    calls.clear()
    assert (len(calls), calls.forgotten) == (0, 0)


def test_a_thousand_calls_stay_below_two_megabytes() -> None:
    """The ring of 1,000 calls is small, and stays so after 20,000."""
    calls = Calls()

    def fill(count: int) -> None:
        for number in range(count):
            attempts = (AttemptRecord(number=1, duration=number / 7), AttemptRecord(number=2, duration=number / 9))
            calls.append(
                call_record(
                    request_id=f"{number:032d}",
                    started=number * 1.5,
                    duration=number / 3,
                    usage=Usage(number + 1000, number + 2000),
                    cost=f"0.{number:09d}",
                    attempts=attempts,
                    tags={"prompt": f"variant {number}"},
                )
            )

    tracemalloc.start()
    fill(1000)
    full, _ = tracemalloc.get_traced_memory()
    fill(5000)
    later, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert full < 2_000_000
    assert abs(later - full) < 100_000


def test_the_cost_of_what_is_known() -> None:
    """The sum is exact; with nothing known it is `None`, with no calls 0."""
    assert Calls().cost == 0
    assert Calls([call_record(cost="0.1"), call_record(cost="0.2")]).cost == Decimal("0.3")
    unknown = call_record(cost_usd=None)
    assert Calls([unknown]).cost is None
    assert Calls([unknown, call_record(cost="0.1")]).cost == Decimal("0.1")


def test_summaries_by_key() -> None:
    """Groups come with most calls first; calls without the value are under the empty name."""
    calls = Calls(
        [
            call_record(tags={"prompt": "B"}, cost="1"),
            call_record(tags={"prompt": "A"}, cost="2"),
            call_record(tags={"prompt": "A"}, cost="4"),
            failed_call(),
        ]
    )
    groups = calls.summary(by="tags.prompt")
    assert next(iter(groups)) == "A"
    assert {name: seen.cost for name, seen in groups.items()} == {"A": 6, "B": 1, "": 0}
    assert calls.summary().calls == 4
    with pytest.raises(ConfigError, match="cannot group calls by 'colour'"):
        calls.summary(by="colour")


def test_attempts_of_all_calls() -> None:
    """The attempts stand in the order they were made."""
    calls = Calls([call_record(attempts=(AttemptRecord(number=1), AttemptRecord(number=2))), cached_call()])
    assert [attempt.number for attempt in calls.attempts()] == [1, 2]


def test_a_data_frame() -> None:
    """One row per call, one column per field and tag; money can be summed; attempts have a frame of their own."""
    pandas = pytest.importorskip("pandas", reason="needs agentprod[notebook]")
    calls = Calls([call_record(cost="0.25", tags={"prompt": "B"}, user="王伟"), failed_call(), cached_call()])
    frame = calls.to_pandas()
    assert len(frame) == 3
    assert frame["cost_usd"].sum() == 0.25
    assert list(frame["status"]) == ["ok", "error", "cached"]
    assert frame["tags.prompt"][0] == "B"
    assert frame["input_tokens"].tolist() == [100, 0, 0]
    assert frame["attempts"][1][0]["error_type"] == "500"
    assert frame["user"][0] == "王伟"
    attempts = calls.attempts_to_pandas()
    assert isinstance(attempts, pandas.DataFrame)
    assert list(attempts["outcome"]) == ["ok", "failed"]
    assert attempts["request_id"].nunique() == 1
    assert list(Calls().to_pandas().columns)[:2] == ["request_id", "started"]
    assert len(Calls().attempts_to_pandas()) == 0


def test_without_pandas_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing extra names the line to install it."""
    real = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r'pip install "agentprod\[notebook\]"'):
        Calls().to_pandas()


def test_showing_the_last_calls(capsys: pytest.CaptureFixture[str]) -> None:
    """`show` prints one line per call under its headings."""
    calls = Calls([call_record(model=f"m{number}") for number in range(5)])
    calls.show(2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["request", "model", "status", "attempts", "cache", "tokens", "time", "cost"]
    assert [line.split()[1] for line in lines[1:]] == ["m3", "m4"]
    calls.show(0)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_other_threads_may_add_while_one_reads() -> None:
    """Iterating does not break on calls that come meanwhile."""
    calls = Calls(limit=100)
    stop = threading.Event()

    def add() -> None:
        while not stop.is_set():
            calls.append(call_record())

    thread = threading.Thread(target=add)
    thread.start()
    try:
        for _ in range(100):
            assert calls.summary().calls <= 100
    finally:
        stop.set()
        thread.join()


def test_a_ring_keeps_something() -> None:
    """A ring of nothing is a mistake."""
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        Calls(limit=0)
    with pytest.raises(ConfigError, match="got '5'"):
        Calls(limit="5")  # type: ignore[arg-type]
