"""How fitted routers do where it is hard: other topics, other pairs of models, few rows, wrong labels.

    AGENTPROD_DATA=... python benchmarks/router_general.py [--rows 120,400] [--seeds 3] [--only WORD]

Each line is one problem cut out of the development data: some prompts to fit on, others to measure on. Printed is
APGR (a coin has 0.5) and in brackets CPT80, of the prior fitted without that collection, of keywords, of length, and
of fits to so many rows: mean and spread over the seeds, and how many of the fits the gate accepted. What the gate
refuses is measured all the same. `benchmarks/router.py` measures whole collections.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any
from zlib import crc32

import numpy as np
from recorded import STRONG, WEAK, Recorded, folder, load, of_models, read_lines
from router_prior import fit_prior

from agentprod.routing.ask import read_ask
from agentprod.routing.curve import Ranking, rank
from agentprod.routing.encoder import Example
from agentprod.routing.fit import fit
from agentprod.routing.heuristic import difficulty
from agentprod.routing.learned import LearnedRouter

MOST = 1500
"""Prompts that a problem is measured on at most."""
EXACT = (
    *("mathematics", "physics", "chemistry", "computer", "engineering", "algebra", "statistics", "astronomy"),
    *("biology", "machine", "logic", "econometrics", "medicine", "virology", "anatomy"),
)
CHOICE = ("arc_challenge", "openbook_qa", "commonsense_qa")
OPEN = ("natural_qa", "trivia_qa", "math", "gsm8k", "mbpp")

Rows = list[dict[str, Any]]
Problem = tuple[str, str, Recorded, Recorded]
"""Its name, the collection it is cut from, what to fit on, and what to measure on."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="120,400", type=lambda text: [int(size) for size in text.split(",")])
    parser.add_argument("--seeds", default=3, type=int)
    parser.add_argument("--only", default="", help="problems with this in their names")
    options = parser.parse_args()
    _, sources = load()
    priors = {
        name: fit_prior([other for key, other in sources.items() if key != name], "") for name in sources
    }  # what it is measured on, it has not seen
    fits = "".join(f"{f'{size} rows':>25s}" for size in options.rows)
    print(f"{'':30s}{'prior':>13s}{'keywords':>13s}{'length':>13s}{fits}")
    for name, collection, known, unseen in problems():
        if options.only in name:
            test = some(unseen, MOST, seed=99)
            cells = [cell(rank(score, test.weak, test.strong)) for score in unfitted(priors[collection], test)]
            cells += [fitted(known, test, size, options.seeds) for size in options.rows]
            print(f"{name:30s}" + "".join(cells), flush=True)


def problems() -> Iterator[Problem]:
    mmlu = read_lines(folder() / "routellm_mmlu.jsonl.gz")
    mixed = read_lines(folder() / "llmrouter9.jsonl.gz")

    def two(rows: Rows) -> Recorded:
        return of_models(rows, ("weak",), ("strong",))

    def is_exact(row: dict[str, Any]) -> bool:
        return any(word in row["task"] for word in EXACT)

    exact, others = [row for row in mmlu if is_exact(row)], [row for row in mmlu if not is_exact(row)]
    yield "MMLU sciences", "MMLU", *halves(exact, two)
    yield "MMLU humanities", "MMLU", *halves(others, two)
    yield "MMLU sciences -> humanities", "MMLU", two(exact), two(others)
    yield "MMLU humanities -> sciences", "MMLU", two(others), two(exact)
    noisy, unseen = halves(mmlu, two)
    for part in (0.2, 0.4):
        yield f"MMLU, {part:.0%} of labels wrong", "MMLU", flipped(noisy, part), unseen
    for weak in WEAK[:4]:

        def pair(rows: Rows, weak: str = weak) -> Recorded:
            return of_models(rows, (weak,), STRONG[:1])

        short = weak.partition("-")[0]
        yield f"mixed, {short}", "LLMRouter", *halves(mixed, pair)
        yield f"multiple choice, {short}", "LLMRouter", *halves(tasks(mixed, CHOICE), pair)
        yield f"open questions, {short}", "LLMRouter", *halves(tasks(mixed, OPEN), pair)
        odd = [row for row in mixed if crc32(row["task"].encode()) % 2]
        even = [row for row in mixed if not crc32(row["task"].encode()) % 2]
        yield f"other tasks, {short}", "LLMRouter", pair(odd), pair(even)


def tasks(rows: Rows, names: tuple[str, ...]) -> Rows:
    return [row for row in rows if row["task"] in names]


def halves(rows: Rows, read: Callable[[Rows], Recorded]) -> tuple[Recorded, Recorded]:
    order = np.random.default_rng(0).permutation(len(rows))
    first, second = order[: len(rows) // 2], order[len(rows) // 2 :]
    return read([rows[row] for row in first]), read([rows[row] for row in second])


def flipped(part: Recorded, share: float) -> Recorded:
    random = np.random.default_rng(0)
    sides = [np.where(random.random(len(side)) < share, 1 - side, side) for side in (part.weak, part.strong)]
    return Recorded(part.prompts, sides[0], sides[1])


def some(part: Recorded, most: int, seed: int) -> Recorded:
    return part.take(np.random.default_rng(seed).permutation(len(part.prompts))[:most])


def unfitted(prior: LearnedRouter, part: Recorded) -> tuple[np.ndarray, ...]:
    keywords = np.array([difficulty(read_ask({"input": prompt})) for prompt in part.prompts])
    return gains(prior, part), keywords, np.array([float(len(prompt)) for prompt in part.prompts])


def gains(router: LearnedRouter, part: Recorded) -> np.ndarray:
    values = router.values([Example(prompt) for prompt in part.prompts])
    return values[:, -1] - values[:, 0]


def fitted(known: Recorded, test: Recorded, size: int, seeds: int) -> str:
    found: list[Ranking] = []
    accepted = 0
    for seed in range(seeds):
        done = fit(some(known, size, seed).log(), models=("weak", "strong"), seed=seed)
        accepted += done.router is not None
        if done.candidate is not None:
            found.append(rank(gains(done.candidate, test), test.weak, test.strong))
    if not found:
        return f"{'refused':>25s}"
    areas = [each.apgr for each in found]
    text = f"{np.mean(areas):.3f} ±{np.std(areas):.3f} ({np.mean([each.cpt(0.8) for each in found]):.0%})"
    return f"{text} {accepted}/{seeds}".rjust(25)


def cell(found: Ranking) -> str:
    return f"{found.apgr:.3f} ({found.cpt(0.8):.0%})".rjust(13)


if __name__ == "__main__":
    main()
