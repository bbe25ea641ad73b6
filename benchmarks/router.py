"""How well routers tell apart the prompts that need the strong model, on recorded answers.

    AGENTPROD_DATA=... python benchmarks/router.py [--litellm PYTHON] [--gate]

Each set is split in half five times; a router is fitted on one half and measured on the other. Printed is APGR (area
under the quality gap recovered over the share of strong calls; a coin has 0.5), its spread over the splits, and in
brackets CPT80, the least percentage of strong calls that keeps 80 percent of the gap. The fitted routers have seen
one half of each set, which no other router here has: that is what fitting on one's own calls means. A fit that the
gate would refuse is measured too, and `n/5` says how many were accepted.

`--litellm`, or AGENTPROD_BENCH_LITELLM, names the Python of an environment with LiteLLM, whose heuristic is then
measured beside ours. `--gate`
counts how many fits to shuffled outcomes are refused. `benchmarks/router_speed.py` measures time.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from recorded import SPLITS, Recorded, load, splits
from router_prior import fit_prior

from agentprod.routing import checks
from agentprod.routing.answer import Answer
from agentprod.routing.ask import read_ask
from agentprod.routing.curve import rank
from agentprod.routing.encoder import Example
from agentprod.routing.fit import fit
from agentprod.routing.goal import Goal
from agentprod.routing.heuristic import difficulty
from agentprod.routing.learned import LearnedRouter

LITELLM = """
import json, os, sys
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
from unittest.mock import MagicMock
from litellm.router_strategy.complexity_router.complexity_router import ComplexityRouter
tiers = {"SIMPLE": "a", "MEDIUM": "b", "COMPLEX": "c", "REASONING": "d"}
router = ComplexityRouter("r", MagicMock(), {"tiers": tiers}, derive_savings_baseline=False)
found = [router.classify(prompt) for prompt in json.load(sys.stdin)]
order = list(tiers)
print(json.dumps([order.index(tier.value) * 100 + score for tier, score, _ in found]))
"""
FINAL = re.compile(r"####\s*-?[\d,.]+\s*$")
END = re.compile(r"####\s*\$?(-?[\d,.]+)")
RESULT = re.compile(r"=\s*\$?(-?[\d,.]+)>>")
HEDGE = re.compile(r"\b(?:maybe|perhaps|not sure|unclear|cannot|might|assum\w+|approximately|about)\b", re.IGNORECASE)
WEAK_PRICE = 0.05
PRICES = np.array([WEAK_PRICE, 1.0])
"""What a call of the weak and of the strong model costs, where goals are measured."""

Scorer = Callable[[str, Recorded], np.ndarray]


@dataclass
class Row:
    """One line of the table: for each set, scores and rows of every split."""

    label: str
    cells: dict[str, list[tuple[np.ndarray, Recorded]]] = field(default_factory=dict)
    accepted: dict[str, int] = field(default_factory=dict)

    def text(self, names: list[str]) -> str:
        return f"{self.label:26s}" + "".join(f"{self._cell(name):>26s}" for name in names)

    def _cell(self, name: str) -> str:
        measured = self.cells.get(name)
        if not measured:
            return "-"
        found = [rank(score, part.weak, part.strong) for score, part in measured]
        areas = [each.apgr for each in found]
        text = f"{np.mean(areas):.3f} ±{np.std(areas):.3f} ({np.mean([each.cpt(0.8) for each in found]):.0%})"
        accepted = self.accepted.get(name, SPLITS)
        return text if accepted == SPLITS else f"{text} {accepted}/{SPLITS}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--litellm", metavar="PYTHON", default=os.environ.get("AGENTPROD_BENCH_LITELLM"))
    parser.add_argument("--gate", action="store_true")
    options = parser.parse_args()
    sets, sources = load()
    if options.gate:
        print_gate(sets)
        return
    names = list(sets)
    print(f"{'':26s}" + "".join(f"{name:>26s}" for name in names))
    gaps = [f"{part.weak.mean():.3f} -> {part.strong.mean():.3f}" for part in sets.values()]
    print(f"{'weak -> strong':26s}" + "".join(f"{gap:>26s}" for gap in gaps))
    for label, score in unfitted(sources, options.litellm).items():
        row = Row(label)
        for name, part in sets.items():
            scores = score(name, part)
            row.cells[name] = [(scores[rows], part.take(rows)) for _, rows in splits(len(part.prompts))]
        print(row.text(names), flush=True)
    if not options.litellm:
        print(f"{'LiteLLM heuristic':26s}  not measured: AGENTPROD_BENCH_LITELLM=PYTHON of one that has litellm")
    goals, savings = [], {}
    for label, most in (("fitted", None), ("fitted, 400 rows", 400)):
        row = Row(label)
        for name, part in sets.items():
            row.cells[name], row.accepted[name] = [], 0
            for train, test in splits(len(part.prompts)):
                fitted, unseen = fit(part.take(train[:most]).log()), part.take(test)
                assert fitted.candidate is not None
                row.accepted[name] += fitted.router is not None
                row.cells[name].append((gains(fitted.candidate, unseen), unseen))
                if most is None:
                    goals.append(realised(fitted.candidate, unseen))
        print(row.text(names), flush=True)
        if most is None:
            savings = {name: saving(measured, WEAK_PRICE) for name, measured in row.cells.items()}
    for row in cascades(sets["GSM8K"]):
        print(row.text(names))
        if row.label.endswith("judge"):
            savings["GSM8K, cascade"] = saving(row.cells["GSM8K"], WEAK_PRICE, always=True)
    print(
        "\nsaved at 80 % of the gap, prices 1:20: " + ", ".join(f"{name} {part:.0%}" for name, part in savings.items())
    )
    print_goals(np.array(goals))


def saving(measured: list[tuple[np.ndarray, Recorded]], weak: float, *, always: bool = False) -> float:
    """Return what is saved of sending everything to the strong model, which costs 1, while keeping 80 % of the gap.

    Args:
        measured: scores and rows of every split.

        weak: what a call of the weak model costs.

        always: whether the weak model is paid for in every case, as in a cascade.
    """
    strong = float(np.mean([rank(score, part.weak, part.strong).cpt(0.8) for score, part in measured]))
    return 1 - strong - weak * (1 if always else 1 - strong)


def unfitted(sources: dict[str, Recorded], litellm: str | None) -> dict[str, Scorer]:
    """Return the routers that are measured as they are."""
    found: dict[str, Scorer] = {
        "random": lambda _, part: np.random.default_rng(1).random(len(part.prompts)),
        "oracle": lambda _, part: part.strong - part.weak,
        "length": lambda _, part: np.array([float(len(prompt)) for prompt in part.prompts]),
        "keyword heuristic": lambda _, part: np.array([difficulty(read_ask({"input": p})) for p in part.prompts]),
    }
    if litellm:
        found["LiteLLM heuristic"] = lambda _, part: litellm_scores(litellm, part.prompts)
    found["prior, set left out"] = lambda name, part: gains(
        fit_prior([source for key, source in sources.items() if key not in name.split("+")], ""), part
    )
    found["prior (has seen these)"] = lambda _, part: gains(LearnedRouter.prior(), part)
    return found


def gains(router: LearnedRouter, part: Recorded) -> np.ndarray:
    values = router.values([Example(prompt) for prompt in part.prompts])
    return values[:, -1] - values[:, 0]


def realised(router: LearnedRouter, part: Recorded) -> tuple[float, float, float]:
    """What two goals come to on prompts not seen: cost for a share of 0.4; quality kept, and its cost, for 0.8."""
    values = router.values([Example(prompt) for prompt in part.prompts])
    # The router was fitted without costs, so that its own cost is the share of strong calls.
    share = (0.4 - PRICES[0]) / (1 - PRICES[0])
    found = []
    for goal in (Goal(cost_share=share), Goal(quality=0.8)):
        chosen = np.argmax(values - router.policy.threshold(goal) * np.array(router.policy.relative), axis=1)
        quality = np.where(chosen == 1, part.strong, part.weak).mean()
        kept = (quality - part.weak.mean()) / (part.strong.mean() - part.weak.mean())
        found.append((float(PRICES[chosen].mean()), float(kept)))
    return found[0][0], found[1][1], found[1][0]


def print_goals(found: np.ndarray) -> None:
    cost, kept, paid = found.mean(0)
    print(
        f"\ngoals on the unseen half, prices 1:20, mean over sets and splits: cost_share=0.4 came to {cost:.3f} "
        f"({abs(cost / 0.4 - 1):.1%} off; single halves {np.abs(found[:, 0] / 0.4 - 1).mean():.1%}); "
        f"quality=0.8 kept {kept:.3f} of the gap at {paid:.3f} of the cost, a saving of {1 - paid:.0%}"
    )


def cascades(part: Recorded) -> list[Row]:
    """Ask the weak model first; checks of its answer alone, or a judge of answer and checks, send it on."""
    judged, checked = Row("cascade, with a judge"), Row("cascade, checks alone")
    judged.cells["GSM8K"], checked.cells["GSM8K"] = [], []
    for train, test in splits(len(part.prompts)):
        learned, unseen = part.take(train), part.take(test)
        log = [
            {**row, "answer": answer, "checks": check(answer)}
            for row, answer in zip(learned.log(), learned.answers or [], strict=True)
        ]
        router = fit(log).candidate
        assert router is not None
        names = router.about["checks"]
        results = [check(answer) for answer in unseen.answers or []]
        examples = [
            Example(prompt, answer, tuple(result[name] for name in names))
            for prompt, answer, result in zip(unseen.prompts, unseen.answers or [], results, strict=True)
        ]
        values = router.values(examples)
        judged.cells["GSM8K"].append((values[:, 1] - values[:, 0], unseen))
        failed = [result["default checks"] + result["no final answer"] for result in results]
        checked.cells["GSM8K"].append((np.array(failed), unseen))
    return [judged, checked]


def check(answer: str) -> dict[str, float]:
    """What `ap.checks` says of an answer, and what is particular to these answers."""
    seen = Answer(answer, "weak")
    return {
        "arithmetic": float(not checks.arithmetic(seen)),
        "default checks": float(sum(not each(seen) for each in checks.DEFAULT)),
        "steps": float(answer.count("<<")),
        "no final answer": float(FINAL.search(answer.strip()) is None),
        "hedges": float(len(HEDGE.findall(answer))),
        "cut off": float(not answer.strip() or answer.strip()[-1] not in ".!?0123456789"),
        "unsure": float(not checks.sure(seen)),
        "ends on a fraction": float(re.search(r"####\s*-?[\d,]*\.\d", answer) is not None),
        "ends on another figure": float(last_figure(END, answer) != last_figure(RESULT, answer)),
    }


def last_figure(pattern: re.Pattern[str], answer: str) -> str:
    found = pattern.findall(answer)
    return found[-1].strip(".").replace(",", "") if found else ""


def litellm_scores(python: str, prompts: list[str]) -> np.ndarray:
    command = [python, "-c", LITELLM]
    done = subprocess.run(command, input=json.dumps(prompts), capture_output=True, text=True, check=True)
    return np.array(json.loads(done.stdout.splitlines()[-1]))


def print_gate(sets: dict[str, Recorded]) -> None:
    """How often outcomes dealt to other prompts, and 60 rows, are refused."""
    for name in ("GSM8K", "LLMRouter"):
        part, refused, few = sets[name], 0, 0
        for seed in range(100):
            random = np.random.default_rng(seed)
            rows = random.permutation(len(part.prompts))[:400]
            dealt = part.take(rows)
            order = random.permutation(400)
            shuffled = Recorded(dealt.prompts, dealt.weak[order], dealt.strong[order])
            refused += fit(shuffled.log(), seed=seed).router is None
            few += fit(part.take(rows[:60]).log(), seed=seed).router is None
        print(f"{name}: of 100 fits to shuffled outcomes {refused} refused, of 100 fits to 60 rows {few}", flush=True)


if __name__ == "__main__":
    main()
