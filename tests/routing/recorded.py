"""Recorded calls made up for tests: prompts of which some kinds need the strong model."""

from __future__ import annotations

import random
from typing import Any

TOPICS = ("rivers", "planets", "trains", "bread", "music", "rocks", "birds", "glass", "ships", "clouds")


CLAUSES = ("if x is not odd", "then derive y", "unless z is prime", "because each w is even")
CLAUSES_ZH = ("已知x不是奇数", "推导y的值", "除非z是质数", "证明w是偶数")


def prompt(level: int, number: int = 0, topic: str = "rivers", *, chinese: bool = False) -> str:
    """A prompt that is the harder, the higher its level, from 0 to 4."""
    if chinese:
        return f"给我讲讲{topic}，编号{number}" + "".join(f"，{clause}" for clause in CLAUSES_ZH[:level]) + "。"
    return f"Tell me about {topic}, number {number}" + "".join(f", {clause}" for clause in CLAUSES[:level]) + "."


def rows(count: int = 300, *, seed: int = 0, chinese: bool = False, costs: bool = True) -> list[dict[str, Any]]:
    """Rows of a log in which the small model fails the more, the more conditions a prompt has."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        level = rng.randrange(5)
        weak = float(rng.random() < 0.95 - 0.2 * level)
        strong = float(rng.random() < 0.95 - 0.05 * level)
        row: dict[str, Any] = {
            "prompt": prompt(level, number, rng.choice(TOPICS), chinese=chinese),
            "level": level,
            "scores": {"small": weak, "large": strong},
        }
        if costs:
            row["costs"] = {"small": 0.001, "large": 0.02}
        made.append(row)
    return made


def shuffled(given: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """The same rows with outcomes dealt to other prompts."""
    rng = random.Random(seed)
    outcomes = [(row["scores"], row.get("costs")) for row in given]
    rng.shuffle(outcomes)
    return [
        {"prompt": row["prompt"], "scores": scores, **({"costs": costs} if costs else {})}
        for row, (scores, costs) in zip(given, outcomes, strict=True)
    ]
