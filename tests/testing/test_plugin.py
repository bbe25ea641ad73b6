"""The pytest plugin and what it is made of: fixtures, waits that take no time, stacks switched off."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import time
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import agentprod as ap
from agentprod import draining
from agentprod.testing import FakeClock, no_waiting

ROOT = Path(__file__).parent.parent.parent


def run_tests(source: str, folder: Path) -> str:
    """Run tests in a process of their own with the plugin, and return what pytest says."""
    (folder / "test_it.py").write_text(textwrap.dedent(source), "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "agentprod.testing.plugin", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_the_fixtures_serve_an_application_made_at_import_time(tmp_path: Path) -> None:
    """Provider, clock, waits and the switch, for clients nobody can get at."""
    source = """
        import time

        import agentprod as ap
        from openai import OpenAI
        from agentprod.testing import behaviours as b

        stack = ap.Stack(ap.Retry(attempts=3))

        def ask():
            with OpenAI() as client:
                made = stack.wrap(client).chat.completions.create(
                    model="m", messages=[{"role": "user", "content": "hi"}]
                )
            return made.choices[0].message.content

        def test_provider(ap_provider):
            ap_provider.script([b.ok("hello")])
            assert ask() == "hello"
            assert len(ap_provider.requests) == 1

        def test_waits(ap_provider, ap_no_waiting):
            ap_provider.script([b.rate_limit(30), b.error(500), "ok"])
            begun = time.monotonic()
            assert ask()
            assert time.monotonic() - begun < 20
            assert ap_no_waiting.seconds[0] >= 30
            assert len(ap_no_waiting.seconds) == 2

        def test_clock(ap_clock):
            tries = []

            @ap.Stack(ap.Retry(attempts=3), clock=ap_clock)
            def flaky():
                tries.append(1)
                raise ConnectionError("down")

            try:
                flaky()
            except ConnectionError:
                pass
            assert len(tries) == 3
            assert len(ap_clock.slept) == 2

        def test_off(ap_provider, ap_off):
            calls = []

            @ap.Stack(ap.Retry())
            def plain():
                calls.append(1)
                raise ConnectionError("down")

            try:
                plain()
            except ConnectionError:
                pass
            assert len(calls) == 1

        def test_on_again():
            from agentprod import switch

            assert switch.active
    """
    assert "5 passed" in run_tests(source, tmp_path)


def test_the_entry_point_names_the_plugin() -> None:
    """The fixtures are found once the package is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"agentprod": "agentprod.testing.plugin"}
    plugin = import_module("agentprod.testing.plugin")
    assert all(callable(getattr(plugin, name)) for name in plugin.__all__)


def test_loading_the_plugin_loads_no_sdk(tmp_path: Path) -> None:
    """A test run that uses no fixture of ours does not pay for them."""
    source = """
        import sys

        def test_modules():
            assert not {"openai", "anthropic", "numpy", "tiktoken"} & sys.modules.keys()
    """
    assert "1 passed" in run_tests(source, tmp_path)


def test_waits_return_at_once_and_are_kept() -> None:
    """Sync and async, of stacks that were made before."""
    tries: list[int] = []

    @ap.Stack(ap.Retry(attempts=3, wait=40))
    def flaky() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError("down")
        return "up"

    @ap.Stack(ap.Retry(attempts=2, wait=50))
    async def aflaky() -> str:
        tries.append(1)
        if len(tries) < 5:
            raise ConnectionError("down")
        return "up"

    begun = time.monotonic()
    with no_waiting() as waits:
        assert flaky() == "up"
        assert asyncio.run(aflaky()) == "up"
    assert time.monotonic() - begun < 30
    assert waits.seconds == [40, 40, 50]
    assert waits.total == 130


def test_waits_take_time_again_afterwards() -> None:
    """After an error in the block as well."""
    kept = draining.pause
    with pytest.raises(ZeroDivisionError), no_waiting():
        raise ZeroDivisionError
    assert draining.pause is kept


def test_a_clock_of_the_tests_own_is_left_alone() -> None:
    """A stack with a FakeClock sleeps by that, within `no_waiting` too."""
    clock = FakeClock()

    @ap.Stack(ap.Retry(attempts=2, wait=40), clock=clock)
    def broken() -> str:
        raise ConnectionError("down")

    with no_waiting() as waits, pytest.raises(ConnectionError):
        broken()
    assert clock.slept == [40]
    assert waits.seconds == []


def test_a_rate_limit_looks_again_and_sends_no_earlier() -> None:
    """It keeps to the clock that it reads, without sleeping until then."""

    @ap.Stack(ap.RateLimit(requests=1, per=0.2))
    def ask() -> str:
        return "up"

    with no_waiting() as waits:
        assert [ask() for _ in range(2)] == ["up", "up"]
    assert waits.seconds
