"""What a routed call costs in time: a decision beside LiteLLM's, the layer, and a fit.

    python benchmarks/router_speed.py [--litellm PYTHON]

Ratios of CPU time in one run. `--litellm`, or AGENTPROD_BENCH_LITELLM, names the Python of an environment
with LiteLLM.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from timing import blocks

import agentprod as ap
from agentprod.routing.fit import fit
from agentprod.routing.goal import Goal
from agentprod.routing.learned import LearnedRouter

LITELLM = """
import json, os, sys, time
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
from unittest.mock import MagicMock
from litellm.router_strategy.complexity_router.complexity_router import ComplexityRouter
tiers = {"SIMPLE": "a", "MEDIUM": "b", "COMPLEX": "c", "REASONING": "d"}
router = ComplexityRouter("r", MagicMock(), {"tiers": tiers}, derive_savings_baseline=False)
prompts = json.load(sys.stdin)
best = 1e9
for _ in range(15):
    start = time.process_time()
    for prompt in prompts:
        router.classify(prompt)
    best = min(best, (time.process_time() - start) / len(prompts))
print(best * 1e6)
"""
WORDS = (
    "the train leaves a city at noon and travels north while another one starts from the river if each carries twice "
    "as many people how long until they meet explain why not all of them arrive before evening 3 times 45 percent"
).split()


def prompts(count: int, characters: int) -> list[str]:
    """Make prompts of about this length."""
    rng = random.Random(0)
    made = []
    for number in range(count):
        text = f"{number}."
        while len(text) < characters:
            text += " " + rng.choice(WORDS)
        made.append(text + "?")
    return made


def rows(count: int) -> list[dict[str, Any]]:
    """Make recorded calls in which prompts with a negation are harder."""
    rng = random.Random(1)
    made = []
    for prompt in prompts(count, 300):
        hard = "not" in prompt.split()
        scores = {"small": float(rng.random() < (0.3 if hard else 0.8)), "large": float(rng.random() < 0.85)}
        made.append({"prompt": prompt, "scores": scores, "costs": {"small": 0.0001, "large": 0.002}})
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--litellm", metavar="PYTHON", default=os.environ.get("AGENTPROD_BENCH_LITELLM"))
    options = parser.parse_args()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    router = fit(rows(2000)).router
    seconds = time.process_time() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert router is not None
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "router.npz"
        router.save(path)
        size = path.stat().st_size / 1e6
    print(f"fit of 2000 rows: {seconds:.1f} s CPU (goal 10), {grown:.0f} MB more memory (goal 300)")
    print(f"file: {size:.2f} MB (goal 1)")
    decisions(router, options.litellm)


def decisions(router: LearnedRouter, litellm: str | None) -> None:
    asked = prompts(200, 300)
    names, goal = ["small", "large"], Goal(quality=0.8)
    learned = ap.Router(names, stages=[ap.Learned(router)], goal=goal)
    rules = ap.Router(names, stages=[ap.Rules()])

    def chat(model: str, messages: list[Any]) -> str:
        return model

    bare, layered = ap.Stack().decorate(chat), ap.Stack(rules).decorate(chat)
    position = iter(range(10**9))

    def nth() -> str:
        return asked[next(position) % len(asked)]

    found = blocks(
        {
            "learned": lambda: router.choose(nth(), goal),
            "Router.decide, learned": lambda: learned.decide(nth()),
            "Router.decide, rules": lambda: rules.decide(nth()),
            "call without": lambda: bare("small", [{"role": "user", "content": nth()}]),
            "call with Router(rules)": lambda: layered("small", [{"role": "user", "content": nth()}]),
        },
        calls=400,
        rounds=9,
    )
    for name, micros in found.items():
        print(f"{name:28s} {micros:8.1f} us")
    if litellm is None:
        print("LiteLLM's heuristic: not measured, set AGENTPROD_BENCH_LITELLM to a Python that has litellm")
        return
    command = [litellm, "-c", LITELLM]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=True)
    theirs = float(done.stdout.splitlines()[-1])
    ratio = found["Router.decide, learned"] / theirs
    print(f"{'LiteLLM heuristic':28s} {theirs:8.1f} us; a learned decision takes {ratio:.2f} of it (goal 0.33)")


if __name__ == "__main__":
    main()
