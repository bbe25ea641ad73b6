"""What a routed call costs in time: a decision beside those of peers, the layer, and a fit.

    python benchmarks/router_speed.py

Ratios of CPU time in one run. AGENTPROD_BENCH_LITELLM and AGENTPROD_BENCH_UNCOMMON name the Pythons of environments
with LiteLLM and with uncommon-route (`--no-deps` is enough: of what it decides by, its classifier of texts alone is
measured, without embeddings); with AGENTPROD_DATA, a fit to recorded answers is measured too.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from timing import Row, blocks, table

import agentprod as ap
from agentprod.routing.fit import fit
from agentprod.routing.goal import Goal

PEERS = {
    "LiteLLM": """
import os
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
from unittest.mock import MagicMock
from litellm.router_strategy.complexity_router.complexity_router import ComplexityRouter
tiers = {"SIMPLE": "a", "MEDIUM": "b", "COMPLEX": "c", "REASONING": "d"}
decide = ComplexityRouter("r", MagicMock(), {"tiers": tiers}, derive_savings_baseline=False).classify
""",
    "uncommon": """
from uncommon_route import classify as decide
""",
}
TIMED = """
import json, sys, time
prompts = json.load(sys.stdin)
best = 1e9
for _ in range(15):
    start = time.process_time()
    for prompt in prompts:
        decide(prompt)
    best = min(best, (time.process_time() - start) / len(prompts))
print(best * 1e6)
"""
GOALS = {"LiteLLM": 1 / 3, "uncommon": 1 / 8}
WORDS = (
    "the train leaves a city at noon and travels north while another one starts from the river if each carries twice "
    "as many people how long until they meet explain why not all of them arrive before evening 3 times 45 percent"
).split()
CHINESE = "下列关于语言模型的说法中哪一项不是正确的如果已知参数规模不断增加那么计算成本会如何变化为什么请比较并分析选项"


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


def chinese(count: int, characters: int) -> list[str]:
    """Make prompts of this length in Chinese."""
    rng = random.Random(0)
    return ["，".join("".join(rng.choices(CHINESE, k=9)) for _ in range(characters // 10)) + "？" for _ in range(count)]


def recorded() -> list[dict[str, Any]]:
    """Return 2,000 recorded calls of the development data."""
    import numpy as np
    from recorded import load

    part = load()[0]["LLMRouter"]
    return part.take(np.random.default_rng(0).permutation(len(part.prompts))[:2000]).log()


def measure_fit(log: list[dict[str, Any]]) -> tuple[float, float, float]:
    """Return seconds of CPU time, more megabytes of memory, and megabytes of the file, in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    router = fit(log).candidate
    seconds = time.process_time() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert router is not None
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "router.npz"
        router.save(path)
        return seconds, grown, path.stat().st_size / 1e6


def main() -> None:
    fits()
    decisions()


def fits() -> None:
    logs = {"made up": rows(2000)}
    if "AGENTPROD_DATA" in os.environ:
        logs["recorded"] = recorded()
    found: list[Row] = []
    for name, log in logs.items():
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            seconds, grown, size = process.submit(measure_fit, log).result()
        found += [
            (f"{name}: seconds of CPU", seconds, "<= 10"),
            (f"{name}: MB more memory", grown, "<= 300"),
            (f"{name}: MB of file", size, "<= 1"),
        ]
    print(table("fit of 2,000 rows", found))


def decisions() -> None:
    asked = prompts(200, 300)
    names, goal = ["small", "large"], Goal(quality=0.8)
    router = fit(rows(400)).candidate
    assert router is not None
    learned = ap.Router(names, stages=[ap.Learned(router)], goal=goal)
    rules = ap.Router(names, stages=[ap.Rules()])

    def chat(model: str, messages: list[Any]) -> str:
        return model

    bare, layered = ap.Stack().decorate(chat), ap.Stack(rules).decorate(chat)
    position = iter(range(10**9))

    def nth(of: list[str] = asked) -> str:
        return of[next(position) % len(of)]

    hanzi = chinese(200, 300)
    found = blocks(
        {
            "Router.decide, learned": lambda: learned.decide(nth()),
            "Router.decide, learned, Chinese": lambda: learned.decide(nth(hanzi)),
            "Router.decide, rules": lambda: rules.decide(nth()),
            "call without": lambda: bare("small", [{"role": "user", "content": nth()}]),
            "call with Router(rules)": lambda: layered("small", [{"role": "user", "content": nth()}]),
        },
        calls=400,
        rounds=9,
    )
    shown: list[Row] = [(f"{name}: us", us, "<= 200" if "learned" in name else "") for name, us in found.items()]
    for name, goal_of in GOALS.items():
        theirs = peer(name, asked)
        if theirs:
            shown.append((f"{name}: us", theirs, ""))
            shown.append((f"learned / {name}", found["Router.decide, learned"] / theirs, f"<= {goal_of:.3f}"))
    print(table("a decision on 300 characters", shown))


def peer(name: str, asked: list[str]) -> float | None:
    """Return what a decision of a peer takes; `None` when its environment is not named, or it fails."""
    variable = f"AGENTPROD_BENCH_{name.upper()}"
    python = os.environ.get(variable)
    if not python:
        print(f"(left out: {name}; set {variable} to a python that has it)")
        return None
    command = [python, "-c", PEERS[name] + TIMED]
    with tempfile.TemporaryDirectory() as home:  # one of them writes there
        own = {**os.environ, "HOME": home}
        done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, env=own, check=False)
    if done.returncode:
        print(f"(left out: {name}; it failed: {done.stderr.strip().splitlines()[-1:]})")
        return None
    return float(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
