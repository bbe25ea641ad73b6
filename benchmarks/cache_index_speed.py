"""Vector search and embedding beside the peers, as ratios of CPU time on one thread.

    AGENTPROD_DATA=… PYTHONPATH=src python benchmarks/cache_index_speed.py [--sizes N …] [--skip-embedders]

Peers (faiss-cpu, hnswlib, usearch, sentence-transformers, and onnxruntime with an export named by --onnx) are measured
when they are installed; install them into an environment of their own. Vectors are MiniLM's for the development data
where both are there, each varied by mixing in another one; else random ones around centres. Goals: index against numpy
flat (np.dot and argmax) at 100,000 rows <= 0.15, recall 1; insert <= 20 us; MiniLM against sentence-transformers <= 0.8
for up to 32 tokens, cold start <= 0.3 s and 110 MB; hashed against MiniLM <= 1/30.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
from timing import blocks

from agentprod.caching.embedders import hashed, minilm, onnx, sentence_transformers
from agentprod.caching.index import PrunedIndex
from agentprod.errors import ConfigError

DIMS = 384
THRESHOLDS = (0.95, 0.90, 0.80)
TEXTS = {
    "7 tokens": "how do i reset it",
    "24 tokens": "my card payment was declined twice yesterday although i have enough money, what can i do about it?",
    "202 tokens": "word " * 200,
}
QUERIES = 1_000
ANSWER_THRESHOLDS = (0.95, 0.90, 0.85, 0.80)
ROUNDING = 1e-5
Search = Callable[[np.ndarray, float], list[int]]


def vectors(count: int) -> np.ndarray:
    random = np.random.default_rng(0)
    folder = os.environ.get("AGENTPROD_DATA")
    try:
        model = minilm() if folder else None
    except ConfigError as error:
        print(f"no MiniLM: {error}")
        model = None
    if folder and model:
        files = ("banking77.test", "clinc150.test")
        lines = [line for name in files for line in (Path(folder) / "cache" / f"{name}.jsonl").open(encoding="utf-8")]
        texts = list(dict.fromkeys(json.loads(line)["text"] for line in lines))
        base = model.embed([text for text in texts if model.refuse(text) is None])
        print(f"vectors: MiniLM's for {len(base):,} texts, varied")
    else:
        base = random.standard_normal((2_000, 40)) @ random.standard_normal((40, DIMS))
        print("vectors: random ones around centres")
    mixed = (
        base[random.integers(0, len(base), count)]
        + random.random((count, 1)) * 0.8 * base[random.integers(0, len(base), count)]
    )
    mixed += 0.02 * np.linalg.norm(mixed, axis=1, keepdims=True) * random.standard_normal((count, DIMS)) / 20
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    return np.ascontiguousarray(mixed, dtype=np.float32)


def engines(rows: np.ndarray) -> Iterator[tuple[str, Search, float]]:
    """Yield each engine's name, its search, and microseconds of CPU time per insert."""
    out = np.empty(len(rows), dtype=np.float32)

    def flat(query: np.ndarray, threshold: float) -> list[int]:
        np.dot(rows, query, out)
        best = int(out.argmax())
        return [best] if out[best] >= threshold else []

    yield "numpy flat", flat, 0.0
    index: PrunedIndex[int] = PrunedIndex(DIMS)
    yield (
        "ours (pruned, exact)",
        lambda query, t: [near.item for near in index.search(query, t, 1)],
        _build(lambda: [index.insert(number, row, number) for number, row in enumerate(rows)], len(rows)),
    )
    for name, make in (
        ("faiss Flat", _faiss_flat),
        ("faiss HNSW", _faiss_hnsw),
        ("hnswlib", _hnswlib),
        ("usearch", _usearch),
    ):
        if len(rows) > 200_000 and "Flat" not in name:
            print(f"left out {name} at {len(rows):,} rows: building takes minutes")
            continue
        try:
            search, build = make(rows)
        except ImportError:
            print(f"left out {name}: not installed")
            continue
        yield name, search, _build(build, len(rows))


def _build(build: Callable[[], object], count: int) -> float:
    begun = time.process_time()
    build()
    return (time.process_time() - begun) / count * 1e6


def _faiss_flat(rows: np.ndarray) -> tuple[Search, Callable[[], object]]:
    index = import_module("faiss").IndexFlatIP(DIMS)
    return lambda query, t: index.search(query[None], 1)[1][0].tolist(), lambda: index.add(rows)


def _faiss_hnsw(rows: np.ndarray) -> tuple[Search, Callable[[], object]]:
    faiss = import_module("faiss")
    index = faiss.IndexHNSWFlat(DIMS, 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efSearch = 64
    return lambda query, t: index.search(query[None], 1)[1][0].tolist(), lambda: index.add(rows)


def _hnswlib(rows: np.ndarray) -> tuple[Search, Callable[[], object]]:
    index = import_module("hnswlib").Index("ip", DIMS)
    index.init_index(len(rows), M=16, ef_construction=200)
    index.set_ef(64)
    return lambda query, t: index.knn_query(query, 1, num_threads=1)[0][0].tolist(), lambda: index.add_items(
        rows, num_threads=1
    )


def _usearch(rows: np.ndarray) -> tuple[Search, Callable[[], object]]:
    index = import_module("usearch.index").Index(ndim=DIMS, metric="ip")
    return lambda query, t: index.search(query, 1, threads=1).keys.tolist(), lambda: index.add(
        np.arange(len(rows)), rows, threads=1
    )


def compare_indexes(size: int) -> None:
    rows = vectors(size)
    random = np.random.default_rng(1)
    queries = rows[random.integers(0, size, 40)] + 0.015 * random.standard_normal((40, DIMS), dtype=np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    truth = [int(np.dot(rows, query).argmax()) for query in queries]
    print(f"\n### {size:,} vectors of {DIMS} dimensions\n")
    print("| engine | cosine | ms, median | x numpy flat | right nearest | insert us |\n|---|---|---|---|---|---|")
    base = 0.0
    for name, search, insert in engines(rows):
        for threshold in THRESHOLDS if name.startswith("ours") else THRESHOLDS[:1]:
            spent, right = [], 0
            for query, nearest in zip(queries, truth, strict=True):
                best = min(_cpu(search, query, threshold) for _ in range(3))
                spent.append(best)
                expected = [nearest] if rows[nearest] @ query >= threshold else []
                found = [number for number in search(query, threshold) if rows[number] @ query >= threshold]
                right += found == expected
            median = statistics.median(spent)
            base = base or median
            print(
                f"| {name} | {threshold} | {median * 1e3:.3f} | {median / base:.3f} | {right / len(queries):.3f}"
                f" | {insert:.1f} |",
                flush=True,
            )


def compare_answers(size: int) -> None:
    """Ask as many questions as a test would not, and count the answers that brute force gives otherwise."""
    rows = vectors(size)
    index: PrunedIndex[int] = PrunedIndex(DIMS)
    for number, row in enumerate(rows):
        index.insert(number, row, number)
    random = np.random.default_rng(2)
    queries = rows[random.integers(0, size, QUERIES)] + 0.02 * random.standard_normal((QUERIES, DIMS), dtype=np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    other = found = 0
    for query in queries:
        similarities = rows @ query
        order = np.argsort(-similarities, kind="stable")[:6]
        for threshold in ANSWER_THRESHOLDS:
            expected = [int(row) for row in order[:5] if similarities[row] >= threshold]
            near = index.search(query, threshold, 5)
            found += len(near)
            if [each.item for each in near] != expected:
                other += not _within_rounding(similarities, expected, [each.item for each in near], threshold)
    asked = QUERIES * len(ANSWER_THRESHOLDS)
    print(f"\n{asked:,} searches among {size:,} vectors: {found:,} neighbours, {other} answers unlike brute force")


def _within_rounding(similarities: np.ndarray, expected: list[int], found: list[int], threshold: float) -> bool:
    """Tell whether two answers differ by no more than 16-bit vectors do from 32-bit ones."""
    if len(expected) != len(found):
        apart = set(expected) ^ set(found)
        return all(abs(similarities[row] - threshold) < ROUNDING for row in apart)
    return all(abs(similarities[one] - similarities[two]) < ROUNDING for one, two in zip(expected, found, strict=True))


def _cpu(search: Search, query: np.ndarray, threshold: float) -> float:
    begun = time.process_time()
    search(query, threshold)
    return time.process_time() - begun


def compare_embedders(export: str | None) -> None:
    makers: dict[str, Callable[[], Callable[[Sequence[str]], object]]] = {
        "MiniLM, numpy (ours)": lambda: minilm().embed,
        "hashed (ours)": lambda: hashed().embed,
        "MiniLM, sentence-transformers": lambda: sentence_transformers(_model_folder()).embed,
    }
    if export:
        makers["MiniLM, onnxruntime (through ours)"] = lambda: onnx(export).embed
    embedders: dict[str, Callable[[Sequence[str]], object]] = {}
    for name, make in makers.items():
        try:
            embedders[name] = make()
        except ConfigError as error:
            print(f"left out {name}: {error}")
    print("\n### Embedding one text\n\n| embedder | text | ms | x MiniLM numpy |\n|---|---|---|---|")
    for label, text in TEXTS.items():
        subjects = {
            name: (lambda embed=embed, text=text: embed([text]))
            for name, embed in embedders.items()
            if not (name.startswith("hashed") and hashed().refuse(text))
        }
        spent = blocks(subjects, calls=5, rounds=12)
        base = spent.get("MiniLM, numpy (ours)", float("nan"))
        for name, microseconds in spent.items():
            print(f"| {name} | {label} | {microseconds / 1e3:.2f} | {microseconds / base:.3f} |", flush=True)


def _model_folder() -> str:
    from agentprod.caching.embedders.model_folder import ModelFolder

    return str(ModelFolder(None).path)


COLD = """
import time
{}
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(round(time.process_time(), 2), round(int(status["VmHWM"].split()[0]) / 1024))
"""


def compare_cold_starts() -> None:
    print("\n### Start, import, load and first text in a new process\n\n| embedder | CPU seconds | MB |\n|---|---|---|")
    starts = {
        "nothing": "",
        "numpy": "import numpy",
        "hashed (ours)": "from agentprod.caching.embedders import hashed; hashed().embed(['hello there'])",
        "MiniLM, numpy (ours)": "from agentprod.caching.embedders import minilm; minilm().embed(['hello there'])",
        "MiniLM, sentence-transformers": "from sentence_transformers import SentenceTransformer as S;"
        f"S({_model_folder()!r}, device='cpu').encode(['hello there'])",
    }
    for name, code in starts.items():
        command = [sys.executable, "-W", "ignore", "-c", COLD.format(code)]
        done = [subprocess.run(command, capture_output=True, text=True, check=False) for _ in range(3)]
        figures = [tuple(map(float, run.stdout.split()[-2:])) for run in done if run.returncode == 0]
        if figures:
            seconds, megabytes = min(figures)
            print(f"| {name} | {seconds} | {megabytes:.0f} |", flush=True)
        else:
            print(f"left out {name}: {done[0].stderr.strip().splitlines()[-1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--skip-embedders", action="store_true")
    parser.add_argument("--onnx", help="folder of an ONNX export of all-MiniLM-L6-v2, with its vocab.txt")
    options = parser.parse_args()
    for size in options.sizes:
        compare_indexes(size)
    if options.sizes:
        compare_answers(max(size for size in options.sizes if size <= 100_000 or size == min(options.sizes)))
    if not options.skip_embedders:
        compare_embedders(options.onnx)
        try:
            compare_cold_starts()
        except (ConfigError, FileNotFoundError) as error:
            print(f"left out cold starts: {error}")


if __name__ == "__main__":
    main()
