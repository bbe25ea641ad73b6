"""Fit the weights of the token estimator, and print its error on every corpus.

    TIKTOKEN_CACHE_DIR=... python benchmarks/token_weights.py FOLDER [--write]

FOLDER holds corpora, one JSONL file of strings each; those whose name ends in `_test` are measured and not fitted.
The weights in the package were fitted on prompts of MMLU, LLMRouter and GSM8K with recorded answers, PAWS-X, the
tutor of Vim and the help of GnuPG in some thirty languages, Python's standard library, C headers, JavaScript, package
metadata and licences, JSON, and prompts of PIGuard and PurpleLlama.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tiktoken

from agentprod.budget.text_classes import FEATURES, TextClasses

PACKAGE = Path(__file__).parent.parent / "src" / "agentprod" / "budget"
ENCODINGS = ("o200k_base", "cl100k_base")
# Where a corpus lacks a script, its weight stays near these: tokens for each, as the encodings' designs suggest.
PRIOR = [
    0.95, 0.07, 0, 0, 0.1, 0.5, 0.2, 0.1, 1, 1, 0.9, 0.3, -0.2, -0.3, 0, 0, 0, 0, 0.4, 0.8, 0.2, 0.95, 2.2, -0.9, 0.8,
    0.8, 0.8, 0.7, 0.4, 0.5, 0.5, 0.8, 0.7, 1.5, 2.5,
]  # fmt: skip
PULL = 1e-4


def main() -> None:
    folder = Path(sys.argv[1])
    corpora = {file.stem: [json.loads(line) for line in file.open()] for file in sorted(folder.glob("*.jsonl"))}
    hanzi = {name: one_token_hanzi(name) for name in ENCODINGS}
    weights = {}
    for name in ENCODINGS:
        encoding = tiktoken.get_encoding(name)
        counts = {c: np.array([len(encoding.encode_ordinary(t)) for t in texts]) for c, texts in corpora.items()}
        classes = TextClasses(*(codes.tolist() for codes in hanzi[name]))
        rows = {c: np.array([classes.count(t) for t in texts]) for c, texts in corpora.items()}
        weights[name] = fit([(rows[c], counts[c]) for c in corpora if not c.endswith("_test")])
        print(f"{name}: error of the estimate, percent")
        for corpus in corpora:
            off = np.abs(rows[corpus] @ weights[name] / counts[corpus] - 1) * 100
            print(f"  {corpus:14s} n {len(off):5d}  median {np.median(off):5.1f}  p95 {np.percentile(off, 95):5.1f}")
    if "--write" in sys.argv:
        write(weights, hanzi)
    else:
        for feature, *values in zip(FEATURES, *weights.values(), strict=True):
            print(f"{feature:52s}", *(f"{value:7.3f}" for value in values))


def one_token_hanzi(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The hanzi, and the pairs of hanzi, that are one token."""
    single, pairs = [], []
    for token in tiktoken.get_encoding(name)._mergeable_ranks:
        text = token.decode(errors="replace")
        if text and all("一" <= char <= "鿿" for char in text) and len(text) <= 2:
            codes = [ord(char) for char in text]
            if len(codes) == 1:
                single.append(codes[0])
            else:
                pairs.append(codes[0] << 16 | codes[1])
    return np.array(sorted(single), np.uint16), np.array(sorted(pairs), np.uint32)


def fit(corpora: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Least squares of the relative error, every corpus with the same weight."""
    rows = np.vstack([x / y[:, None] / np.sqrt(len(y)) for x, y in corpora])
    ones = np.concatenate([np.full(len(y), 1 / np.sqrt(len(y))) for _, y in corpora])
    # Rows far off are met less than squarely: what matters is the usual text.
    scale = np.ones(len(rows))
    solved = np.array(PRIOR)
    for _ in range(20):
        a, b = rows * scale[:, None], ones * scale
        solved = np.linalg.solve(a.T @ a + PULL * np.eye(len(PRIOR)), a.T @ b + PULL * np.array(PRIOR))
        off = np.abs(rows @ solved / ones - 1)
        scale = 1 / np.sqrt(np.maximum(1, off / 0.1))
    return solved


def write(weights: dict[str, np.ndarray], hanzi: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    arrays: dict[str, Any] = {}
    for name in ENCODINGS:
        arrays[f"{name}_weights"] = np.round(weights[name], 4)
        arrays[f"{name}_hanzi"], arrays[f"{name}_pairs"] = hanzi[name]
    np.savez_compressed(PACKAGE / "token_weights.npz", **arrays)
    print((PACKAGE / "token_weights.npz").stat().st_size, "bytes")


if __name__ == "__main__":
    main()
