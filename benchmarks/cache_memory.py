"""How much memory the caches take: flat under a million insertions, and per entry of the semantic cache.

    python benchmarks/cache_memory.py [--inserts N] [--entries N]

Goals: 1,000,000 insertions at a bound of 10,000 entries leave the resident memory where it was after the first 100,000,
within 5 %; an entry of the semantic cache takes at most 1,300 bytes beside the texts and what the exact cache keeps of
a reply. Resident memory is what /proc/self/status says, so this runs on Linux alone.
"""

from __future__ import annotations

import argparse
import gc
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import agentprod as ap
from agentprod.caching.embedders import Identity
from agentprod.caching.embedders.hashed import Hashed

DIMS = 384
BOUND = 10_000


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
    texts = [f"How do I change setting {number} of my account?" for number in range(count)]
    exact, semantic = ap.Cache(max_entries=count, max_bytes=10**10), ap.SemanticCache(embedder=Random())
    print("\n### Bytes per entry, beside the texts\n\n| cache | entries | bytes each |\n|---|---|---|")
    for name, layer in (("Cache", exact), ("SemanticCache", semantic)):

        @layer
        def answer(prompt: str) -> str:
            return "Four."

        answer("How do I begin to use this?")
        gc.collect()
        tracemalloc.start()
        for text in texts:
            answer(text)
        gc.collect()
        used = tracemalloc.get_traced_memory()[0] / count
        tracemalloc.stop()
        print(f"| {name} | {count:,} | {used:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inserts", type=int, default=1_000_000)
    parser.add_argument("--entries", type=int, default=100_000)
    options = parser.parse_args()
    flat(options.inserts)
    per_entry(options.entries)


if __name__ == "__main__":
    main()
