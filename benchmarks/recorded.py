"""Recorded answers of a weak and a strong model, from the development data."""

from __future__ import annotations

import gzip
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["SPLITS", "STRONG", "WEAK", "Recorded", "folder", "joined", "load", "of_models", "read_lines", "splits"]

SPLITS = 5
WEAK = ("mistral-7b-instruct-v0.3", "qwen2.5-7b-instruct", "gemma-2-9b-it", "llama-3.1-8b-instruct", "codegemma-7b")
STRONG = ("llama-3.1-nemotron-51b-instruct", "llama-3.3-nemotron-super-49b-v1")


@dataclass(frozen=True)
class Recorded:
    """Prompts with the quality of two models' answers."""

    prompts: list[str]
    weak: np.ndarray
    strong: np.ndarray
    answers: list[str] | None = None
    """The weak model's, where they are recorded."""

    def take(self, rows: np.ndarray) -> Recorded:
        answers = None if self.answers is None else [self.answers[row] for row in rows]
        return Recorded([self.prompts[row] for row in rows], self.weak[rows], self.strong[rows], answers)

    def log(self) -> list[dict[str, Any]]:
        rows = zip(self.prompts, self.weak, self.strong, strict=True)
        return [{"prompt": p, "scores": {"weak": float(w), "strong": float(s)}} for p, w, s in rows]


def folder() -> Path:
    """Return where the data is, or end with what is missing."""
    named = os.environ.get("AGENTPROD_DATA")
    if not named:
        sys.exit("set AGENTPROD_DATA to the folder of the development data; nothing is measured without it")
    return Path(named) / "router"


def load() -> tuple[dict[str, Recorded], dict[str, Recorded]]:
    """Return the sets to measure on, and the larger ones that the bundled prior is fitted on."""
    data = folder()
    mmlu, gsm8k = _two(data / "routellm_mmlu.jsonl.gz"), _two(data / "routellm_gsm8k.jsonl.gz")
    llmrouter = read_lines(data / "llmrouter9.jsonl.gz")
    some = mmlu.take(np.random.default_rng(0).permutation(len(mmlu.prompts))[:4000])
    pair = of_models(llmrouter, WEAK[:1], STRONG[:1])
    sets = {"MMLU": some, "GSM8K": gsm8k, "MMLU+GSM8K": joined(some, gsm8k), "LLMRouter": pair}
    return sets, {"MMLU": mmlu, "GSM8K": gsm8k, "LLMRouter": of_models(llmrouter, WEAK, STRONG)}


def splits(size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return seeded halves: the rows to fit on, and those to measure on."""
    orders = [np.random.default_rng(seed).permutation(size) for seed in range(SPLITS)]
    return [(order[: size // 2], order[size // 2 :]) for order in orders]


def read_lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def of_models(rows: list[dict[str, Any]], weak: tuple[str, ...], strong: tuple[str, ...]) -> Recorded:
    """Return the mean quality of some models against that of others."""
    sides = [np.array([np.mean([row["scores"][m] for m in models]) for row in rows]) for models in (weak, strong)]
    return Recorded([row["prompt"] for row in rows], sides[0], sides[1])


def joined(one: Recorded, other: Recorded) -> Recorded:
    weak, strong = np.concatenate([one.weak, other.weak]), np.concatenate([one.strong, other.strong])
    return Recorded(one.prompts + other.prompts, weak, strong)


def _two(path: Path) -> Recorded:
    rows = read_lines(path)
    sides = [np.array([float(row["scores"][side]) for row in rows]) for side in ("weak", "strong")]
    answers = [row["responses"]["weak"] for row in rows] if "responses" in rows[0] else None
    return Recorded([row["prompt"] for row in rows], sides[0], sides[1], answers)
