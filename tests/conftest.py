"""Settings and guards that every test shares."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import settings
from opentelemetry import trace

from agentprod.stream import open_streams

settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> Iterator[None]:
    """Fail a test that leaves a non-daemon thread running: in an application it would hold up the exit."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and not thread.daemon]
    for thread in left:
        thread.join(timeout=10)  # one that is ending may end
    names = [thread.name for thread in left if thread.is_alive()]
    assert not names, f"threads left running: {names}"


@pytest.fixture(autouse=True)
def no_span_left_current() -> Iterator[None]:
    """Fail a test that leaves a span current: it would become the parent of whatever is traced next."""
    yield
    assert not trace.get_current_span().get_span_context().is_valid, "a span was left current"


@pytest.fixture(autouse=True)
def no_stream_left_open() -> Iterator[None]:
    """Fail a test that leaves a stream open: it would be under way for ever."""
    before = set(open_streams())
    yield
    until = time.monotonic() + 10
    while set(open_streams()) - before and time.monotonic() < until:
        gc.collect()  # what is garbage may end, on a thread
        time.sleep(0.01)
    assert not set(open_streams()) - before, "streams were left open"


@pytest.fixture(autouse=True)
def no_asyncio_complaint() -> Iterator[None]:
    """Fail on what asyncio tells its log alone: destroyed pending tasks, exceptions nobody retrieved."""
    complaints: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: complaints.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("asyncio")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)
    assert not complaints, complaints


@pytest.fixture(autouse=True)
def no_health_check_left_listening() -> Iterator[None]:
    """Let `ap.health()`, which listens from its first question on, begin anew with each test."""
    yield
    health = sys.modules.get("agentprod.telemetry.health")
    if health is not None:
        health._seen.forget()


@pytest.fixture(autouse=True)
def no_logger_left_changed() -> Iterator[None]:
    """Fail a test that leaves our loggers silent, chatty or with handlers: the tests after it would hear otherwise."""
    before = logger_states()
    yield
    after = logger_states()
    changed = {name: state for name, state in after.items() if state != before.get(name, _UNTOUCHED)}
    assert not changed, f"loggers left changed: {changed}"


_UNTOUCHED = (logging.NOTSET, True, False, 0)


def logger_states() -> dict[str, tuple[int, bool, bool, int]]:
    """Return level, propagation, whether it is off, and the number of handlers of each of our loggers and the root."""
    ours = {
        name: logging.getLogger(name)
        for name in list(logging.Logger.manager.loggerDict)
        if name.split(".")[0] == "agentprod"
    }
    found = {"root": logging.getLogger(), **ours}
    states = {
        name: (logger.level, logger.propagate, logger.disabled, len([each for each in logger.handlers if _lasts(each)]))
        for name, logger in found.items()
    }
    return {**states, "disable": (logging.root.manager.disable, True, False, 0)}


def _lasts(handler: logging.Handler) -> bool:
    """Whether a handler may tell the tests apart: pytest's own come and go, and a `NullHandler` says nothing."""
    return not isinstance(handler, logging.NullHandler) and not type(handler).__module__.startswith("_pytest")
