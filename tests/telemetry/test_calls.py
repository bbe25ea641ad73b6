"""Records of finished calls, and who is told of them."""

from __future__ import annotations

import dataclasses
import gc
import os
import sys
from collections.abc import Callable
from decimal import Decimal

import pytest

from agentprod.errors import ConfigError
from agentprod.telemetry import forks, sinks
from agentprod.telemetry.calls import AttemptRecord, CallRecord, reader
from agentprod.telemetry.drops import Drops, drops
from agentprod.telemetry.monitor import Monitor
from agentprod.usage import Usage
from tests.telemetry.records import call_record, failed_call, rejected_call


def test_a_record_is_changed_on_a_copy() -> None:
    """Many look at one record, in many threads; another one is made with `replace`, and no field can be added."""
    record = call_record()
    other = dataclasses.replace(record, model="x")
    assert (record.model, other.model) == ("gpt-5-mini", "x")
    with pytest.raises(AttributeError):
        record.note = "x"  # type: ignore[attr-defined]


def test_derived_figures() -> None:
    """What follows from the fields need not be stored."""
    record = call_record(
        started=100.0,
        duration=2.5,
        attempts=(AttemptRecord(), AttemptRecord(number=2)),
        pii=(("input", "EMAIL", 2), ("output", "EMAIL", 1)),
    )
    assert (record.ended, record.retries, record.pii_count) == (102.5, 1, 3)
    assert (record.input_tokens, record.output_tokens, record.total_tokens) == (100, 20, 120)
    empty = CallRecord(request_id="x", started=0.0, duration=0.0)
    assert (empty.retries, empty.input_tokens, empty.output_tokens, empty.total_tokens) == (0, 0, 0, 0)


def test_refused_and_failed_calls_have_failed() -> None:
    """A refusal is no answer either."""
    assert failed_call().failed
    assert rejected_call().failed
    assert not call_record().failed


@pytest.mark.parametrize(
    ("by", "value"), [("model", "gpt-5-mini"), ("user", "ann"), ("tags.prompt", "B"), ("tags.none", None)]
)
def test_grouping_keys(by: str, value: str | None) -> None:
    """Fields and tags can be grouped by."""
    assert reader(by)(call_record(user="ann", tags={"prompt": "B"})) == value


@pytest.mark.parametrize("by", ["request_id", "attempts", "tags", "tags.", "no_such", "error_message"])
def test_what_makes_no_groups_is_refused(by: str) -> None:
    """Ids and lists are no grouping keys."""
    with pytest.raises(ConfigError, match=r"use 'tags\.NAME' or one of breaker"):
        reader(by)


def test_a_thousand_records_fit_in_two_megabytes() -> None:
    """A record with two attempts, all its own objects counted, stays below 2 kB."""
    record = call_record(
        request_id="1" * 32,
        started=1.5,
        duration=2.25,
        usage=Usage(1000, 2000),
        cost_usd=Decimal("0.00123"),
        attempts=(AttemptRecord(number=1, duration=0.5), AttemptRecord(number=2, duration=1.25)),
        tags={"prompt": "B"},
    )
    seen: set[int] = set()

    def size(value: object) -> int:
        if id(value) in seen or value is None or isinstance(value, type):
            return 0
        seen.add(id(value))
        own = sys.getsizeof(value)
        if dataclasses.is_dataclass(value):
            return own + sum(size(getattr(value, field.name)) for field in dataclasses.fields(value))
        if isinstance(value, tuple | list):
            return own + sum(map(size, value))
        return own

    assert size(record) < 2000


def test_subscribers_are_told(dropped: Callable[[str], int]) -> None:
    """Every subscriber hears of every call until it leaves, whatever another one raises."""
    heard: list[CallRecord] = []

    def fail(record: CallRecord) -> None:
        raise RuntimeError

    assert not sinks.wanted()
    leave_failing = sinks.subscribe(fail)
    leave = sinks.subscribe(heard.append)
    assert sinks.wanted()
    record = call_record()
    sinks.publish(record)
    leave_failing()
    leave()
    leave()
    sinks.publish(record)
    assert heard == [record]
    assert dropped("sink") == 1
    assert not sinks.wanted()


def test_drops_are_counted_by_reason() -> None:
    """Counts are kept by reason; a forked child takes a lock of its own."""
    counts = Drops()
    counts.count("a")
    counts.count("a")
    counts._lock.acquire()
    counts.after_fork()
    counts.count("b")
    assert counts.snapshot() == {"a": 2, "b": 1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_can_count_at_once() -> None:
    """Locks held by other threads at the moment of a fork do not stop the child."""
    monitor = Monitor()
    drops._lock.acquire()
    monitor._lock.acquire()
    child = os.fork()
    if not child:
        drops.count("child")
        monitor.record(call_record())
        os._exit(0 if monitor.summary().calls == 1 else 1)
    drops._lock.release()
    monitor._lock.release()
    assert os.waitpid(child, 0)[1] == 0


def test_what_is_gone_is_not_told_of_a_fork() -> None:
    """Nothing is kept alive only to be told of forks."""

    class Holder:
        def after_fork(self) -> None:
            told.append(self)

    told: list[Holder] = []
    kept, gone = Holder(), Holder()
    forks.renew_after_fork(kept)
    forks.renew_after_fork(gone)
    del gone
    gc.collect()
    forks._in_child()
    assert told == [kept]
