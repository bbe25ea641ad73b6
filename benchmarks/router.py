"""How well routers tell apart the prompts that need the strong model, on recorded answers.

    AGENTPROD_DATA=... python benchmarks/router.py [--litellm PYTHON] [--prior] [--speed]

Each set is split in half five times; a router is fitted on one half and measured on the other. Printed is APGR (area
under the quality gap recovered over the share of strong calls; a coin has 0.5), its spread over the splits, and in
brackets CPT80, the least percentage of strong calls that keeps 80 percent of the gap. The fitted routers have seen
one half of each set, which no other router here has: that is what fitting on one's own calls means.

`--litellm` names the Python of an environment with LiteLLM, whose heuristics are then measured too. `--prior` fits the
router that comes with the package again and writes it. `--speed` prints times of a decision and of a fit.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import agentprod.routing.learned
from agentprod.routing.ask import read_ask
from agentprod.routing.curve import rank
from agentprod.routing.encoder import WAVES, Encoder, Example
from agentprod.routing.features import BUCKETS, SURFACE, surface_features, tokens_of
from agentprod.routing.fit import fit
from agentprod.routing.goal import Goal
from agentprod.routing.heuristic import difficulty
from agentprod.routing.learned import LearnedRouter
from agentprod.routing.policy import Policy

SPLITS = 5
# Left out of the prior: how long a prompt is and how it lists options differs between collections of prompts more
# than it tells about them, and hardly any of those it is fitted on are in other scripts.
NOT_IN_PRIOR = {
    "log words", "log words squared", "log sentences", "words in a sentence", "three or more sentences", "log lines",
    "share of commas", "two or more options", "five or more options", "share of other scripts", "share of hanzi",
}  # fmt: skip
WEAK = ("mistral-7b-instruct-v0.3", "qwen2.5-7b-instruct", "gemma-2-9b-it", "llama-3.1-8b-instruct", "codegemma-7b")
STRONG = ("llama-3.1-nemotron-51b-instruct", "llama-3.3-nemotron-super-49b-v1")
LITELLM = """
import json, os, sys, time
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
from unittest.mock import MagicMock
from litellm.router_strategy.complexity_router.complexity_router import ComplexityRouter
tiers = {"SIMPLE": "a", "MEDIUM": "b", "COMPLEX": "c", "REASONING": "d"}
router = ComplexityRouter("r", MagicMock(), {"tiers": tiers}, derive_savings_baseline=False)
prompts = json.load(sys.stdin)
start = time.process_time()
found = [router.classify(prompt) for prompt in prompts]
spent = time.process_time() - start
order = list(tiers)
print(json.dumps([[order.index(tier.value) * 100 + score for tier, score, _ in found], spent / len(prompts)]))
"""
FINAL = re.compile(r"####\s*-?[\d,.]+\s*$")
STEP = re.compile(r"<<([-+*/().\d\s]+)=(-?[\d.]+)>>")
HEDGE = re.compile(r"\b(?:maybe|perhaps|not sure|unclear|cannot|might|assum\w+|approximately|about)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Recorded:
    """Prompts with the quality of two models' answers."""

    prompts: list[str]
    weak: np.ndarray
    strong: np.ndarray
    answers: list[str] | None = None

    def take(self, rows: np.ndarray) -> Recorded:
        answers = None if self.answers is None else [self.answers[row] for row in rows]
        return Recorded([self.prompts[row] for row in rows], self.weak[rows], self.strong[rows], answers)

    def log(self) -> list[dict[str, Any]]:
        rows = zip(self.prompts, self.weak, self.strong, strict=True)
        return [{"prompt": p, "scores": {"weak": float(w), "strong": float(s)}} for p, w, s in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--litellm", metavar="PYTHON")
    parser.add_argument("--prior", action="store_true")
    parser.add_argument("--speed", action="store_true")
    options = parser.parse_args()
    folder = os.environ.get("AGENTPROD_DATA")
    if not folder:
        sys.exit("set AGENTPROD_DATA to the folder of the development data")
    data = Path(folder) / "router"
    mmlu, gsm8k = read(data / "routellm_mmlu.jsonl.gz"), read(data / "routellm_gsm8k.jsonl.gz")
    llmrouter = lines(data / "llmrouter9.jsonl.gz")
    pair = of_models(llmrouter, WEAK[:1], STRONG[:1])
    some = mmlu.take(np.random.default_rng(0).permutation(len(mmlu.prompts))[:4000])
    sets = {"MMLU": some, "GSM8K": gsm8k, "MMLU+GSM8K": joined(some, gsm8k), "LLMRouter": pair}
    sources = {"MMLU": mmlu, "GSM8K": gsm8k, "LLMRouter": of_models(llmrouter, WEAK, STRONG)}
    if options.prior:
        write_prior(sources)
    if options.speed:
        print_speed(some, options.litellm)
        return
    print_table(sets, sources, options.litellm)


def print_table(sets: dict[str, Recorded], sources: dict[str, Recorded], litellm: str | None) -> None:
    scorers: dict[str, Callable[[str, Recorded], np.ndarray]] = {
        "random": lambda _, part: np.random.default_rng(1).random(len(part.prompts)),
        "oracle": lambda _, part: part.strong - part.weak,
        "length": lambda _, part: np.array([float(len(prompt)) for prompt in part.prompts]),
        "keyword heuristic": lambda _, part: np.array([difficulty(read_ask({"input": p})) for p in part.prompts]),
        "prior, set left out": lambda name, part: prior_score(sources, name, part),
        "prior (has seen these)": lambda _, part: gains(LearnedRouter.prior(), part),
    }
    if litellm:
        scorers["LiteLLM heuristic"] = lambda _, part: litellm_scores(litellm, part.prompts)[0]
    print(f"{'':24s}" + "".join(f"{name:>26s}" for name in sets))
    gaps = [f"{part.weak.mean():.3f} -> {part.strong.mean():.3f}" for part in sets.values()]
    print(f"{'weak -> strong':24s}" + "".join(f"{gap:>26s}" for gap in gaps))
    whole = {label: {name: score(name, part) for name, part in sets.items()} for label, score in scorers.items()}
    for label, scores in whole.items():
        cells = []
        for name, part in sets.items():
            halves = [rows for _, rows in splits(len(part.prompts))]
            cells.append(cell([(scores[name][rows], part.take(rows)) for rows in halves]))
        print(f"{label:24s}" + "".join(f"{text:>26s}" for text in cells))
    if not litellm:
        print(f"{'LiteLLM heuristic':24s}" + f"{'missing: --litellm PYTHON':>34s}")
    fitted_rows(sets)


def fitted_rows(sets: dict[str, Recorded]) -> None:
    results: dict[str, list[list[tuple[np.ndarray, Recorded]]]] = {"fitted": [], "fitted, 400 rows": []}
    goals = []
    for part in sets.values():
        for label, least in (("fitted", None), ("fitted, 400 rows", 400)):
            measured = []
            for train, test in splits(len(part.prompts)):
                fitted = fit(part.take(train[:least]).log())
                if fitted.router is None:
                    continue
                unseen = part.take(test)
                measured.append((gains(fitted.router, unseen), unseen))
                if least is None:
                    goals.append(realised(fitted.router, unseen))
            results[label].append(measured)
    for label, columns in results.items():
        texts = [cell(measured) + ("" if len(measured) == SPLITS else f" {len(measured)}/5") for measured in columns]
        print(f"{label:24s}" + "".join(f"{text:>26s}" for text in texts))
    cascade = [cascade_scores(sets["GSM8K"], train, test) for train, test in splits(len(sets["GSM8K"].prompts))]
    blank = f"{'-':>26s}"
    print(f"{'cascade, simulated':24s}{blank}{cell(cascade):>26s}{blank}{blank}")
    off = np.array(goals)
    print(
        f"\ngoals on the unseen half, prices 1:20: cost_share=0.4 cost {off[:, 0].mean():.3f} of all-strong "
        f"(most off {np.abs(off[:, 0] / 0.4 - 1).max():.1%}); quality=0.8 kept {off[:, 1].mean():.3f} of the gap "
        f"at {off[:, 2].mean():.3f} of the cost"
    )


def cell(measured: list[tuple[np.ndarray, Recorded]]) -> str:
    if not measured:
        return "refused"
    found = [rank(score, part.weak, part.strong) for score, part in measured]
    areas = [each.apgr for each in found]
    return f"{np.mean(areas):.3f} ±{np.std(areas):.3f} ({np.mean([each.cpt(0.8) for each in found]):.0%})"


def splits(size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    orders = [np.random.default_rng(seed).permutation(size) for seed in range(SPLITS)]
    return [(order[: size // 2], order[size // 2 :]) for order in orders]


def gains(router: LearnedRouter, part: Recorded) -> np.ndarray:
    values = router.values([Example(prompt) for prompt in part.prompts])
    return values[:, -1] - values[:, 0]


def realised(router: LearnedRouter, part: Recorded) -> tuple[float, float, float]:
    """What two goals come to on prompts not seen, at prices of 1 to 20."""
    relative = np.array([0.05, 1.0])
    values = router.values([Example(prompt) for prompt in part.prompts])
    result = []
    share = (0.4 - 0.05) / 0.95  # the policy was fitted without costs: its cost is the share of strong calls
    for goal in (Goal(cost_share=share), Goal(quality=0.8)):
        chosen = np.argmax(values - router.policy.threshold(goal) * np.array(router.policy.relative), axis=1)
        quality = np.where(chosen == 1, part.strong, part.weak).mean()
        kept = (quality - part.weak.mean()) / (part.strong.mean() - part.weak.mean())
        result.append((float(relative[chosen].mean()), float(kept)))
    return result[0][0], result[1][1], result[1][0]


def cascade_scores(part: Recorded, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, Recorded]:
    """Ask the weak model first; a judge of its answer, with free checks, decides whether to ask the strong one."""
    assert part.answers is not None
    learned, unseen = part.take(train), part.take(test)
    log = [
        {**row, "answer": answer, "checks": checks(answer)}
        for row, answer in zip(learned.log(), learned.answers or [], strict=True)
    ]
    router = fit(log).router
    assert router is not None
    names = router.about["checks"]
    examples = [
        Example(prompt, answer, tuple(checks(answer)[name] for name in names))
        for prompt, answer in zip(unseen.prompts, unseen.answers or [], strict=True)
    ]
    values = router.values(examples)
    return values[:, 1] - values[:, 0], unseen


def checks(answer: str) -> dict[str, float]:
    wrong = sum(not correct(*step) for step in STEP.findall(answer))
    return {
        "wrong steps": float(wrong > 0),
        "steps": float(len(STEP.findall(answer))),
        "no final answer": float(FINAL.search(answer.strip()) is None),
        "hedges": float(len(HEDGE.findall(answer))),
        "cut off": float(not answer.strip() or answer.strip()[-1] not in ".!?0123456789"),
    }


def correct(expression: str, result: str) -> bool:
    try:
        value = float(eval(expression, {"__builtins__": {}}))
    except (SyntaxError, ZeroDivisionError, ValueError, TypeError, OverflowError):
        return False
    return abs(value - float(result)) <= 0.01 * max(1.0, abs(value))


def litellm_scores(python: str, prompts: list[str]) -> tuple[np.ndarray, float]:
    done = subprocess.run(
        [python, "-c", LITELLM], input=json.dumps(prompts), capture_output=True, text=True, check=True
    )
    scores, seconds = json.loads(done.stdout.splitlines()[-1])
    return np.array(scores), seconds


def prior_score(sources: dict[str, Recorded], name: str, part: Recorded) -> np.ndarray:
    """A prior fitted without the set it is measured on."""
    kept = [source for key, source in sources.items() if key not in name.split("+")]
    return gains(fit_prior(kept, "left out"), part)


def fit_prior(sources: list[Recorded], about: str) -> LearnedRouter:
    """Ridge regression of the gain on surface features; every source has the same weight."""
    surfaces = [
        np.array([surface_features(prompt, tokens_of(prompt)) for prompt in source.prompts]) for source in sources
    ]
    rows = np.vstack(surfaces)
    gain = np.concatenate([(s := source.strong - source.weak) - s.mean() for source in sources])
    weight = np.concatenate([np.full(len(source.prompts), 1 / len(source.prompts)) for source in sources])
    weight /= weight.sum()
    mean = weight @ rows
    scale = np.sqrt(weight @ (rows - mean) ** 2) + 1e-3
    used = np.array([name not in NOT_IN_PRIOR for name in SURFACE])
    scaled = np.clip((rows - mean) / scale, -4, 4) * used
    beta = np.linalg.solve((scaled * weight[:, None]).T @ scaled + np.eye(len(SURFACE)), scaled.T @ (weight * gain))
    weak = float(np.mean([source.weak.mean() for source in sources]))
    strong = float(np.mean([source.strong.mean() for source in sources]))
    linear = np.column_stack([np.zeros(len(SURFACE)), beta * used])
    values = scaled @ linear + [weak, strong]
    drawn = np.random.default_rng(0).choice(len(rows), 6000, p=weight)
    scores = np.column_stack([np.concatenate([getattr(s, side) for s in sources]) for side in ("weak", "strong")])
    policy = Policy.measure(values[drawn], scores[drawn], np.full((6000, 2), np.nan), None)
    return LearnedRouter(
        ("weak", "strong"),
        Encoder(mean, scale, np.ones(BUCKETS)),
        means=np.array([weak, strong]),
        linear=linear,
        waves=np.zeros((WAVES, 2)),
        grams=np.zeros((BUCKETS, 2)),
        policy=policy,
        about={"rows": len(rows), "provenance": about},
    )


def write_prior(sources: dict[str, Recorded]) -> None:
    about = (
        "Fitted by benchmarks/router.py on recorded correctness: lm-sys/RouteLLM (Apache-2.0) MMLU and GSM8K answers "
        "of Mixtral 8x7B and GPT-4, and ulab-uiuc/LLMRouter (MIT), 14 tasks, the mean of five models of 7 to 9 billion "
        "parameters against that of two of about 50. Thirty weights; no prompt can be read from them."
    )
    path = Path(agentprod.routing.learned.__file__).with_name("prior.npz")
    fit_prior(list(sources.values()), about).save(path)
    print(f"wrote {path.name}, {path.stat().st_size} bytes")


def print_speed(part: Recorded, litellm: str | None) -> None:
    prompts = [prompt for prompt in part.prompts if 250 < len(prompt) < 350][:300]
    rows = part.take(np.arange(2000)).log()
    start = time.process_time()
    router = fit(rows).router
    seconds = time.process_time() - start
    assert router is not None
    choose, goal = router.choose, Goal(quality=0.8)
    best = min(timed(lambda: [choose(prompt, goal) for prompt in prompts]) for _ in range(7)) / len(prompts)
    print(f"fit of 2000 rows {seconds:.1f} s CPU; decision on 300 characters {best * 1e6:.0f} us")
    if litellm:
        theirs = min(litellm_scores(litellm, prompts)[1] for _ in range(3))
        print(f"LiteLLM heuristic {theirs * 1e6:.0f} us; ours takes {best / theirs:.2f} of it")


def timed(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def read(path: Path) -> Recorded:
    rows = lines(path)
    sides = [np.array([float(row["scores"][side]) for row in rows]) for side in ("weak", "strong")]
    answers = [row["responses"]["weak"] for row in rows] if "responses" in rows[0] else None
    return Recorded([row["prompt"] for row in rows], sides[0], sides[1], answers)


def lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def of_models(rows: list[dict[str, Any]], weak: tuple[str, ...], strong: tuple[str, ...]) -> Recorded:
    sides = [np.array([np.mean([row["scores"][m] for m in models]) for row in rows]) for models in (weak, strong)]
    return Recorded([row["prompt"] for row in rows], sides[0], sides[1])


def joined(one: Recorded, other: Recorded) -> Recorded:
    weak, strong = np.concatenate([one.weak, other.weak]), np.concatenate([one.strong, other.strong])
    return Recorded(one.prompts + other.prompts, weak, strong)


if __name__ == "__main__":
    main()
