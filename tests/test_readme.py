"""The README says what the code does."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_the_order_table_in_the_readme_is_the_data() -> None:
    """The table is written from the rules that are checked."""
    script = runpy.run_path(str(ROOT / "scripts/order_table.py"))
    assert script["section"]() in (ROOT / "README.md").read_text(encoding="utf-8"), "run: python scripts/order_table.py"


def test_the_quickstart_shows_every_act(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Real clients over real HTTP: a hit, retries, an interrupted stream, an outage and a deadline, in one screen."""
    for key in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(key, raising=False)
    runpy.run_path(str(ROOT / "examples/quickstart.py"), run_name="__main__")
    shown = capsys.readouterr().out
    for words in ("cache hit", "429 → ok", "500 → 503 → ok", "truncated", "500 → 500 → 500", "529 → ok", "deadline"):
        assert words in shown
    assert "10 calls, 15 attempts, 2 from the cache, cost $" in shown
