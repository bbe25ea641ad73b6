"""How much memory the caches take: flat under a million insertions, and per entry of the semantic cache.

    python benchmarks/cache_memory.py [--inserts N] [--entries N]

Goals: 1,000,000 insertions at a bound of 10,000 entries leave the resident memory where it was after the first 100,000,
within 5 %; each of 100,000 entries of the semantic cache takes at most 1,300 bytes beside the text asked and the reply:
a vector of 384 dimensions, what bounds its cosine, guard readings and all bookkeeping. Resident memory is what
/proc/self/status says, so this runs on Linux alone.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # threads that wait for each other take most of the time on a busy machine

import argparse
import gc
import json
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from sys import getsizeof
from typing import Any

import numpy as np

import agentprod as ap
from agentprod.caching.embedders import Identity
from agentprod.caching.embedders.hashed import Hashed

DIMS = 384
BOUND = 10_000
FIRST = 2_500
DAY = 86_400.0


class Random:
    """An embedder that gives every text a vector far from all others."""

    identity = Identity("random", "1", DIMS)
    threshold = 0.95
    remote = False

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)

    def refuse(self, text: str) -> str | None:
        return None

    def embed(self, texts: Sequence[str], /) -> np.ndarray:
        rows = self._random.standard_normal((len(texts), DIMS)).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    async def aembed(self, texts: Sequence[str], /) -> np.ndarray:
        return self.embed(texts)


def resident() -> float:
    """Return the resident memory of this process in MB."""
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def insert(name: str, put: Callable[[int], object], count: int) -> None:
    """Insert, and print the resident memory at each tenth."""
    figures = []
    for number in range(1, count + 1):
        put(number)
        if number % (count // 10) == 0:
            figures.append(resident())
    growth = figures[-1] / figures[0] - 1
    told = ", ".join(f"{figure:.0f}" for figure in figures)
    print(f"| {name} | {count:,} at a bound of {BOUND:,} | {told} | {growth:+.1%} |", flush=True)


def flat(count: int) -> None:
    print("### Insertions\n\n| cache | insertions | resident MB at each tenth | growth |\n|---|---|---|---|")
    exact = ap.Cache(max_entries=BOUND)
    insert("Cache", lambda number: exact.get_or_compute(number, lambda: "Four."), count)

    @ap.SemanticCache(max_entries=BOUND, embedder=Hashed())
    def answer(prompt: str) -> str:
        return "Four."

    insert("SemanticCache", lambda number: answer(f"What is {number} plus {number * 7}?"), count // 10)


def per_entry(count: int) -> None:
    print("\n### Bytes of resident memory per entry\n")
    print("| cache | entries | all | of it the text asked | of it the reply | beside both |\n|---|---|---|---|---|---|")
    # Each in a process of its own: what one has freed, the other would take.
    for name in ("Cache", "SemanticCache", "SemanticCache, each in a partition of its own"):
        process = get_context("spawn").Process(target=fill, args=(name, count))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(process.exitcode)


def fill(name: str, count: int) -> None:
    """Fill a cache with texts and replies that nothing else holds, and print what that took."""
    semantic, alone = name != "Cache", name.endswith("own")
    cache: Any = ap.Cache(max_entries=count + FIRST, max_bytes=10**10, ttl=DAY)
    if semantic:
        by = (lambda call: str(asked[0])) if alone else "tenant"
        cache = ap.SemanticCache(max_entries=count + FIRST, embedder=Random(), ttl=DAY, by=by)

    def answer_to(number: int) -> str:
        return f"Open the settings, choose entry {number}, and follow what is written there."

    @cache
    def answer(prompt: str) -> str:
        return answer_to(asked[0])

    def text(number: int) -> str:
        return f"How do I change setting {number} of my account?"

    asked = [0]
    # What is there once, such as the room that BLAS works in, is none of an entry's.
    with ap.context(cache="refresh"):  # nothing is looked for, which takes longer than storing
        for asked[0] in range(-FIRST, 0):
            answer(text(asked[0]))
        begun = resident()
        for asked[0] in range(count):
            answer(text(asked[0]))
    used = (resident() - begun) * 2**20 / count
    reply = getsizeof(json.dumps(answer_to(count - 1)))
    # The exact cache keeps a digest instead of the text.
    asked_text = getsizeof(text(count - 1)) if semantic else 0
    print(f"| {name} | {count:,} | {used:.0f} | {asked_text} | {reply} | {used - reply - asked_text:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inserts", type=int, default=1_000_000)
    parser.add_argument("--entries", type=int, default=100_000)
    options = parser.parse_args()
    flat(options.inserts)
    per_entry(options.entries)


if __name__ == "__main__":
    main()
