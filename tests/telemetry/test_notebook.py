"""The example notebook, run by a real kernel: the footer, the card, frames, a progress bar, top-level await."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs nbformat and nbclient")
nbclient = pytest.importorskip("nbclient", reason="needs nbformat and nbclient")
pytest.importorskip("ipykernel", reason="needs ipykernel")
pytest.importorskip("pandas", reason="needs agentprod[notebook]")

NOTEBOOK = Path(__file__).parent.parent.parent / "examples" / "notebook.ipynb"
LOAD, PROVIDER, CLIENTS, CALLS, CARD, FRAME, AWAIT, MAP, RESULTS, AMAP, UNLOAD, END = range(12)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook with its outputs."""
    folder = tmp_path_factory.mktemp("notebook")
    found = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        patch.setenv("IPYTHONDIR", str(folder))
        patch.setenv("PYTHONPATH", ":".join(entry for entry in sys.path if entry))
        nbclient.NotebookClient(found, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return found


@pytest.fixture(scope="module")
def outputs(notebook: Any) -> list[list[Any]]:
    """Outputs of each code cell."""
    return [cell["outputs"] for cell in notebook.cells if cell["cell_type"] == "code"]


def printed(outputs: list[Any]) -> str:
    """What a cell printed."""
    return "".join(each["text"] for each in outputs if each["output_type"] == "stream" and each["name"] == "stdout")


def footer(outputs: list[Any]) -> str:
    """The line below a cell."""
    return "".join(each["data"]["text/plain"] for each in outputs if each["output_type"] == "display_data")


def data(outputs: list[Any]) -> dict[str, str]:
    """What a cell's value showed as."""
    (result,) = [each for each in outputs if each["output_type"] == "execute_result"]
    return dict(result["data"])


def test_loading_shows_nothing(outputs: list[list[Any]]) -> None:
    """Setting up is silent."""
    assert outputs[LOAD] == outputs[PROVIDER] == outputs[CLIENTS] == []


def test_the_footer_of_a_cell(outputs: list[list[Any]]) -> None:
    """A cell that made calls is followed by one line of figures, others by none."""
    line = r"3 calls · 1 retry · 2 cache hits · [\d.]+ k? ?tokens · \$[\d.]+ · p95 [\d.]+ m?s"
    assert re.fullmatch(line, footer(outputs[CALLS])), outputs[CALLS]
    assert footer(outputs[CARD]) == ""
    assert footer(outputs[UNLOAD]) == ""


def test_the_card(outputs: list[list[Any]]) -> None:
    """Text and HTML of the same figures, without script, style sheet or anything to fetch."""
    shown = data(outputs[CARD])
    assert shown["text/plain"].startswith("3 calls · 100 % answered · 1 retried · 2 cached")
    html = shown["text/html"]
    assert len(html) < 50_000
    assert "<b>3</b>" in html
    assert not re.search(r"<script|<style|<link|src=|https?:|@import|alert", html)


def test_one_row_per_call(outputs: list[list[Any]]) -> None:
    """The frame has a row for each operation, hits included."""
    assert printed(outputs[FRAME]).startswith("3 ['ok', 'cached', 'cached']")
    assert "text/html" in data(outputs[FRAME])


def test_top_level_await(outputs: list[list[Any]]) -> None:
    """The asynchronous client works in a cell, and has its footer."""
    assert printed(outputs[AWAIT]) == "assistant\n"
    assert footer(outputs[AWAIT]).startswith("1 call · ")


def test_many_items(notebook: Any, outputs: list[list[Any]]) -> None:
    """`map` shows a bar with the running cost and a card, and works inside the kernel's loop."""
    bar = f"{notebook.metadata.get('widgets')}{outputs[MAP]}"
    assert "5/5" in bar
    assert re.search(r"\$0\.\d+", bar)
    assert data(outputs[RESULTS])["text/plain"].startswith("5 of 5 items")
    assert "5 of 5 items" in data(outputs[RESULTS])["text/html"]
    assert printed(outputs[AMAP]).startswith("3\n")
    assert outputs[END] == []
