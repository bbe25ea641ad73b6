"""Identities, metas and records of callers at once never cross: 10,000 calls in each place where code runs."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import agentprod as ap
from tests.frameworks.identities import Place, with_cancelling

ROOT = Path(__file__).parent.parent.parent
CALLS = 10_000


def test_in_a_thread_pool() -> None:
    """Threads that serve one caller after the other."""
    place = Place()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: place.caller(f"u{number}", 20), range(CALLS // 20)))
    assert place.wrong == []
    assert place.calls == CALLS


def test_in_a_thread_pool_that_carries_its_callers_context() -> None:
    """`ap.propagate` takes the context of whoever submits into the thread."""
    place = Place()

    def work(name: str) -> None:
        answer = place.ask(f"{name}-1")
        if (answer, place.watch.users[f"{name}-1"]) != (f"said {name}-1", name):
            place.wrong.append(name)

    with ThreadPoolExecutor(8) as pool:
        carrying = ap.propagate(pool)
        waiting = []
        for number in range(500):
            with ap.context(user=f"u{number}"):
                waiting.append(carrying.submit(work, f"u{number}"))
        for future in waiting:
            future.result()
    assert place.wrong == []


def test_in_task_groups_with_cancelling() -> None:
    """Tasks interleave at every call, and every tenth is cancelled somewhere in the middle."""
    place = Place()
    cancelled = asyncio.run(with_cancelling(place, callers=1_200, turns=10, seed=7))
    assert place.wrong == []
    assert place.calls >= CALLS
    assert cancelled > 0


def test_in_fastapi() -> None:
    """Async and threaded endpoints, whose dependencies name the user, at the same time."""
    fastapi = pytest.importorskip("fastapi")
    httpx2 = pytest.importorskip("httpx2")
    place = Place()
    app = fastapi.FastAPI()

    async def named(user: str) -> Any:
        with ap.context(user=user):
            yield

    def named_in_a_thread(user: str) -> Any:
        with ap.context(user=user):
            yield

    @app.get("/async")
    async def asynchronous(user: str, _: None = fastapi.Depends(named)) -> str:
        await place.acaller(user, 20)
        return user

    @app.get("/sync")
    def threaded(user: str) -> str:
        place.caller(user, 20)
        return user

    @app.get("/mixed")
    def mixed(user: str, _: None = fastapi.Depends(named_in_a_thread)) -> str:
        place.caller(user, 20)
        return user

    async def ask_all() -> None:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://app") as browser:
            for group in range(0, CALLS // 20, 50):
                answers = await asyncio.gather(
                    *(
                        browser.get(("/async", "/sync", "/mixed")[number % 3], params={"user": f"u{number}"})
                        for number in range(group, group + 50)
                    )
                )
                assert [answer.json() for answer in answers] == [f"u{number}" for number in range(group, group + 50)]

    asyncio.run(ask_all())
    assert place.wrong == []
    assert place.calls == CALLS


CELLS = [
    """
import asyncio
from concurrent.futures import ThreadPoolExecutor

import agentprod as ap
from tests.frameworks.identities import Place, with_cancelling

place = Place()
await with_cancelling(place, callers=600, turns=10, seed=11)
""",
    """
with ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda number: place.caller(f"t{number}", 20), range(250)))
""",
    """
with ap.context(user="me"):
    place.ask("mine-1")
await asyncio.sleep(0)
place.watch.users["mine-1"], place.ask("nobodys-1"), place.watch.users["nobodys-1"]
""",
    "(len(place.wrong), place.calls >= 10_000)",
]


@pytest.mark.timeout(180)
def test_in_a_notebook_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells that await, cells that start threads, and cells after cells, in one kernel with its own loop."""
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat, nbclient and ipykernel")
    nbclient = pytest.importorskip("nbclient", reason="needs nbformat, nbclient and ipykernel")
    pytest.importorskip("ipykernel", reason="needs nbformat, nbclient and ipykernel")
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    sources = [f"import sys; sys.path[:0] = [{str(ROOT / 'src')!r}, {str(ROOT)!r}]", *CELLS]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    nbclient.NotebookClient(book, timeout=150).execute()
    shown = [cell.outputs[-1]["data"]["text/plain"] for cell in book.cells[-2:]]
    assert shown == ["('me', 'said nobodys-1', None)", "(0, True)"]
