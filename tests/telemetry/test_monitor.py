"""The monitor: figures since the start, by window, day, month, model and key."""

from __future__ import annotations

import threading
import tracemalloc
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from agentprod.errors import ConfigError
from agentprod.telemetry.calls import ToolRecord
from agentprod.telemetry.drops import drops
from agentprod.telemetry.monitor import Monitor
from agentprod.testing.clock import FakeClock
from tests.telemetry.records import cached_call, call_record, failed_call

NOON = datetime(2026, 1, 30, 12, tzinfo=UTC).timestamp()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(wall=NOON)


def monitor(clock: FakeClock, **options: Any) -> Monitor:
    return Monitor(now=clock.monotonic, wall=clock.wall, **options)


def test_figures_since_the_start(clock: FakeClock) -> None:
    """The summary covers all calls and all models."""
    watch = monitor(clock)
    watch.record(call_record(model="a", cost="0.5"))
    watch.record(call_record(model="b", cost="0.25", duration=3.0))
    watch.record_tool(ToolRecord(tool="search", status="error"))
    seen = watch.summary()
    assert (seen.calls, seen.cost, seen.tool_success_rate) == (2, Decimal("0.75"), 0.0)
    assert watch.summary(model="b").p50 == pytest.approx(3.0, rel=0.01)
    assert watch.summary(model="never").calls == 0
    assert set(watch.models()) == {"a", "b", "unknown"}
    assert repr(watch) == "<Monitor: 2 calls, 3 models, $0.7500>"


def test_a_window_forgets(clock: FakeClock) -> None:
    """The last five minutes do not know what was before, the start does."""
    watch = monitor(clock, windows=(300.0,))
    watch.record(failed_call())
    clock.advance(400)
    watch.record(call_record())
    assert watch.summary(window=300.0).success_rate == 1.0
    assert watch.summary().success_rate == 0.5


def test_a_question_after_a_long_silence_sees_nothing_recent(clock: FakeClock) -> None:
    """Calls of an hour ago are not counted as recent because nobody asked since."""
    watch = monitor(clock)
    watch.record(call_record())
    clock.advance(3000)
    assert watch.summary(window=300.0).calls == 0
    assert watch.summary(window=3600.0).calls == 1


def test_days_and_months(clock: FakeClock) -> None:
    """A call counts on the day and in the month it ended, to the second."""
    watch = monitor(clock)
    watch.record(call_record(cost="1"))
    clock.advance(12 * 3600 - 1)
    watch.record(call_record(cost="2"))
    clock.advance(1)
    watch.record(call_record(cost="4"))
    clock.advance(86400)
    watch.record(call_record(cost="8"))
    costs = {day: seen.cost for day, seen in watch.daily().items()}
    assert costs == {date(2026, 1, 30): 3, date(2026, 1, 31): 4, date(2026, 2, 1): 8}
    assert {month: seen.cost for month, seen in watch.monthly().items()} == {date(2026, 1, 1): 7, date(2026, 2, 1): 8}


def test_days_follow_the_time_zone() -> None:
    """In Shanghai the day ends eight hours earlier than in UTC, and a day of 23 hours is one day."""
    clock = FakeClock(wall=datetime(2026, 1, 30, 15, 59, 58, tzinfo=UTC).timestamp())
    watch = monitor(clock, tz="Asia/Shanghai")
    watch.record(call_record())
    clock.advance(2)
    watch.record(call_record())
    assert {day: seen.calls for day, seen in watch.daily().items()} == {date(2026, 1, 30): 1, date(2026, 1, 31): 1}
    spring = FakeClock(wall=datetime(2026, 3, 28, 23, 30, tzinfo=UTC).timestamp())  # 00:30 on the short day in Berlin
    watch = monitor(spring, tz="Europe/Berlin")
    for _ in range(23):
        watch.record(call_record())
        spring.advance(3600)
    watch.record(call_record())
    assert {day: seen.calls for day, seen in watch.daily().items()} == {date(2026, 3, 29): 23, date(2026, 3, 30): 1}


def test_totals_by_key(clock: FakeClock) -> None:
    """Each user's totals add up over days and months; calls without a user are in none."""
    watch = monitor(clock, by=("user", "tags.prompt"))
    watch.record(call_record(user="ann", cost="1", tags={"prompt": "B"}))
    watch.record(call_record())
    clock.advance(86400)
    watch.record(call_record(user="ann", cost="2"))
    watch.record(call_record(user="王", cost="4"))
    clock.advance(86400)
    watch.record(call_record(user="ann", cost="8"))

    def costs(period: Any) -> dict[str, Decimal | None]:
        return {user: seen.cost for user, seen in watch.by("user", period=period).items()}

    assert costs("day") == {"ann": 8}
    assert costs("month") == {"ann": 8}
    assert costs("total") == {"ann": 11, "王": 4}
    clock.advance(86400)
    watch.record(call_record(user="ann", cost="16"))
    assert costs("month") == {"ann": 24}
    assert watch.by("tags.prompt")["B"].calls == 1


def test_old_days_and_months_are_forgotten(clock: FakeClock) -> None:
    """Only so many days and months are kept."""
    watch = monitor(clock, days=3, months=2)
    for _ in range(100):
        watch.record(call_record())
        clock.advance(86400)
    assert len(watch.daily()) == 3
    assert len(watch.monthly()) == 2


def test_a_clock_set_back_goes_on_with_the_old_day(clock: FakeClock) -> None:
    """When the wall clock is corrected past midnight, the day before is counted on."""
    watch = monitor(clock)
    clock.advance(12 * 3600 + 1)
    watch.record(call_record())
    clock.advance(10)
    clock.jump_wall(-60)
    watch.record(call_record())
    watch.summary()
    assert {day.day: seen.calls for day, seen in watch.daily().items()} == {31: 1, 30: 1}


def test_made_up_names_do_not_fill_the_memory(clock: FakeClock) -> None:
    """100,000 calls with 10,000 junk models and users stay within a hundred names each, in flat memory."""
    watch = monitor(clock, by=("user",), max_keys=100)
    records = [call_record(model=f"junk-{n}", user=f"user-{n}") for n in range(10_000)]

    def go_through() -> None:
        for record in records:
            watch.record(record)
            clock.advance(0.01)

    go_through()
    tracemalloc.start()
    for _ in range(9):
        go_through()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert watch.summary().calls == 100_000
    assert len(watch.models()) == 101
    assert watch.models()["other"].calls == 99_000
    assert len(watch.by("user")) == 101
    assert grown < 1_000_000


def test_names_that_never_worked_leave_room_for_those_that_do(clock: FakeClock) -> None:
    """A flood of failing made-up models takes a fifth of the names, the real ones still have their own."""
    watch = monitor(clock, max_models=10)
    for number in range(50):
        watch.record(failed_call(model=f"junk-{number}"))
    for number in range(8):
        watch.record(call_record(model=f"real-{number}"))
    assert {f"real-{number}" for number in range(8)} < set(watch.models())


def test_nothing_raises_into_the_caller(clock: FakeClock) -> None:
    """A record that cannot be counted is dropped and counted as such."""
    watch = monitor(clock)
    before = drops.snapshot().get("monitor", 0)
    watch.record(call_record(duration=float("nan")))
    watch.record_tool(None)  # type: ignore[arg-type]
    assert drops.snapshot()["monitor"] == before + 2
    watch.record(call_record())
    assert watch.summary().calls == 1


def test_a_call_that_ends_while_its_thread_counts_does_not_block(clock: FakeClock) -> None:
    """A stream that garbage collection ends in the middle of counting is counted later, not waited for."""
    watch = monitor(clock)
    with watch._lock:
        watch.record(call_record())
        watch.record_tool(ToolRecord(tool="search"))
    assert watch.summary().calls == 1
    assert watch.summary().tool_success_rate == 1.0


def test_many_threads_lose_nothing() -> None:
    """Calls recorded from eight threads at once are all counted."""
    watch = Monitor()
    record, hit = call_record(), cached_call()

    def work() -> None:
        for _ in range(500):
            watch.record(record)
            watch.record(hit)
            watch.summary()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = watch.summary()
    assert (seen.calls, seen.cached, seen.cost) == (8000, 4000, Decimal(4))


def test_reset_forgets(clock: FakeClock) -> None:
    """After a reset the monitor is as new."""
    watch = monitor(clock, by=("user",))
    watch.record(call_record(user="ann"))
    watch.reset()
    assert watch.summary().calls == 0
    assert watch.by("user") == {}
    assert watch.daily() == {}


def test_a_forked_child_has_a_lock_of_its_own(clock: FakeClock) -> None:
    """A lock that another thread held at the fork does not stop the child."""
    watch = monitor(clock)
    watch._lock.acquire()
    watch.after_fork()
    watch.record(call_record())
    assert watch.summary().calls == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tz": "Mars/Olympus"}, "no time zone named 'Mars/Olympus'"),
        ({"tz": 8}, "no time zone named 8"),
        ({"days": 0}, "Monitor\\(days=\\) is at least 1"),
        ({"max_models": 0}, "max_models"),
        ({"days": "7"}, "days=. is at least 1, got '7'"),
        ({"windows": (0.0,)}, "more than 0 seconds"),
        ({"windows": ("5m",)}, "windows=. must be seconds"),
        ({"by": "user"}, "write by=.'user',."),
        ({"by": ("prompt",)}, "cannot group calls by 'prompt'"),
        ({"by": ("tags.",)}, "cannot group calls by 'tags.'"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    """What cannot work raises when the monitor is made."""
    with pytest.raises(ConfigError, match=message):
        Monitor(**options)


def test_bad_questions_are_named(clock: FakeClock) -> None:
    """What the monitor does not keep it says, instead of answering nothing."""
    watch = monitor(clock, by=("user",))
    with pytest.raises(ConfigError, match=r"keeps 300\.0, 3600\.0"):
        watch.summary(window=60.0)
    with pytest.raises(ConfigError, match="not both"):
        watch.summary(model="a", window=300.0)
    with pytest.raises(ConfigError, match="Monitor\\(by=\\('tenant',\\)\\)"):
        watch.by("tenant")
    with pytest.raises(ConfigError, match="'day', 'month' or 'total'"):
        watch.by("user", period="week")  # type: ignore[arg-type]
