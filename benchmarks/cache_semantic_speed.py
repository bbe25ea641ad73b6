"""How fast a semantic cache answers a similar text, beside GPTCache; `benchmarks/cache_speed.py` prints it.

Both get a stub embedder, so that the caches are compared and not the models: GPTCache 0.1.44 with SQLite and faiss, the
stores its documentation begins with. The time is CPU time of a whole hit: reading the text, guards (ours), the search,
the reply, and what the layers write down.
"""

from __future__ import annotations

import importlib
import itertools
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from timing import Row, blocks

import agentprod as ap
from agentprod.caching.embedders import Identity

DIMS = 384
COUNTS = (1_000, 10_000)
WORDS = "card account payment refund order parcel transfer password reset login phone address travel".split()


class Stub:
    """An embedder that looks vectors up: similar for the two wordings of a question, far apart for two questions."""

    identity = Identity("stub", "1", DIMS)
    threshold = 0.95
    remote = False

    def __init__(self) -> None:
        self.rows: dict[str, np.ndarray] = {}

    def refuse(self, text: str) -> str | None:
        return None

    def embed(self, texts: Sequence[str], /) -> np.ndarray:
        return np.array([self.rows[text] for text in texts])

    async def aembed(self, texts: Sequence[str], /) -> np.ndarray:
        return self.embed(texts)


def questions(count: int, stub: Stub, wordings: int) -> tuple[list[str], list[str]]:
    """Return questions, and so many other wordings of some of them; their vectors are in the stub."""
    random = np.random.default_rng(count)
    chosen = random.integers(0, len(WORDS), (count, 4))
    stored = [
        f"How do I change the {' '.join(WORDS[n] for n in row)} setting {number}" for number, row in enumerate(chosen)
    ]
    rows = random.standard_normal((count, DIMS)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    asked = []
    times: Counter[int] = Counter()
    for number in random.integers(0, count, wordings).tolist():
        text = f"{stored[number]} please{'!' * times[number]}"  # never asked before: nothing is remembered of it
        times[number] += 1
        near = rows[number] + 0.005 * random.standard_normal(DIMS).astype(np.float32)
        stub.rows[text] = (near / np.linalg.norm(near)).astype(np.float32)
        asked.append(text)
    stub.rows.update(zip(stored, rows, strict=True))
    return stored, asked


def ours(stub: Stub, stored: Sequence[str]) -> Callable[[str], str]:
    cache = ap.SemanticCache(embedder=stub)

    @cache
    def answer(prompt: str) -> str:
        return "Four." if filling else "not found"

    filling = True
    for text in stored:
        answer(text)
    filling = False
    return answer


def gptcache(stub: Stub, stored: Sequence[str], folder: Path) -> Callable[[str], str]:
    """Return GPTCache's look-up.

    Raises:
        ImportError: it is not installed.
    """
    api = importlib.import_module("gptcache.adapter.api")
    core = importlib.import_module("gptcache")
    manager = importlib.import_module("gptcache.manager")
    pre = importlib.import_module("gptcache.processor.pre")
    evaluation = importlib.import_module("gptcache.similarity_evaluation.distance")
    importlib.import_module("faiss")
    cache: Any = core.Cache()
    base = manager.CacheBase("sqlite", sql_url=f"sqlite:///{folder}/gptcache.db")
    index = manager.VectorBase("faiss", dimension=DIMS, index_path=str(folder / "faiss.index"))
    cache.init(
        pre_embedding_func=pre.get_prompt,
        embedding_func=lambda text, **options: stub.rows[text],
        data_manager=manager.get_data_manager(base, index, max_size=1_000_000),
        similarity_evaluation=evaluation.SearchDistanceEvaluation(),
        config=core.Config(similarity_threshold=0.95),
    )
    # As its data importer does it: one by one takes milliseconds each.
    cache.import_data(list(stored), ["Four."] * len(stored))
    return lambda text: str(api.get(text, cache_obj=cache))


def semantic_hits(rounds: int) -> list[Row]:
    """Measure whole hits among 1,000 and 10,000 entries."""
    found: list[Row] = []
    for count in COUNTS:
        stub = Stub()
        stored, asked = questions(count, stub, 100 * (rounds + 2))
        answer = ours(stub, stored)
        subjects = {"ours": _asking(answer, asked), "ours again": _asking(answer, asked[:1])}
        with tempfile.TemporaryDirectory() as folder:
            try:
                subjects["gptcache"] = _asking(gptcache(stub, stored, Path(folder)), asked)
            except ImportError as error:
                print(f"left out GPTCache: {error}")
            figures = blocks(subjects, calls=100, rounds=rounds)
        found.append((f"similar text among {count:,} entries, stub embedder, µs", figures["ours"], ""))
        if "gptcache" in figures:
            found.append(("… to GPTCache with SQLite and faiss", figures["ours"] / figures["gptcache"], "≤ 0.05"))
        found.append(("… in a wording that was read before, µs", figures["ours again"], ""))
    return found


def _asking(answer: Callable[[str], str], texts: Sequence[str]) -> Callable[[], None]:
    """Return what asks the next text, from the beginning again after the last."""
    turn = itertools.cycle(texts)

    def ask() -> None:
        if answer(next(turn)) != "Four.":
            raise SystemExit("a look-up found nothing, so its time means nothing")

    return ask
