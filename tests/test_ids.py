"""Ids of calls and runs."""

from __future__ import annotations

import os
import random
import re
import time

import pytest

from agentprod.ids import new_id


def test_ids_sort_by_time() -> None:
    """An id begins with the milliseconds of its making."""
    before = time.time_ns() // 1_000_000
    made = new_id()
    after = time.time_ns() // 1_000_000
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert before <= int(made[:12], 16) <= after


def test_no_id_is_given_twice() -> None:
    """Many ids of one moment all differ."""
    assert len({new_id() for _ in range(10_000)}) == 10_000


def test_seeding_the_random_numbers_of_an_application_repeats_no_id() -> None:
    """Two processes that seed alike, as experiments do, get ids of their own."""
    state = random.getstate()
    try:
        random.seed(7)
        first = new_id()[12:]
        random.seed(7)
        assert new_id()[12:] != first
    finally:
        random.setstate(state)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_ids_of_its_own() -> None:
    """Parent and child do not go on with the same random numbers."""
    new_id()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, new_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 32).decode()
    os.close(reading)
    os.close(writing)
    assert len(theirs) == 32
    assert theirs[12:] != new_id()[12:]
