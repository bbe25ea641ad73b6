"""The thread that works later, when it is replaced."""

from __future__ import annotations

from threading import Event

from agentprod.telemetry.later import Later


def test_a_thread_from_before_a_fork_ends_by_itself() -> None:
    """What is made anew has a thread of its own; the old one finds no work, and says nothing."""
    work, first, second = Later(), Event(), Event()
    assert work.submit(first.set)
    assert first.wait(10)
    old = work._thread
    assert old is not None
    work.after_fork()
    assert work.submit(second.set)
    assert second.wait(10)
    assert work._thread is not old
    old.join(10)
    assert not old.is_alive()
