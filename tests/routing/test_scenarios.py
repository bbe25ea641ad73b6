"""What a router and a cascade have to show, on recorded answers and without any network."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agentprod as ap
from agentprod.routing import checks
from agentprod.routing.answer import Answer
from agentprod.routing.curve import rank
from agentprod.routing.encoder import Example
from agentprod.routing.fit import fit

DATA = os.environ.get("AGENTPROD_DATA")
with_data = pytest.mark.skipif(DATA is None, reason="AGENTPROD_DATA is not set")


def recorded_gsm8k() -> list[dict[str, Any]]:
    """Prompts with both models' answers and whether they were right."""
    with gzip.open(Path(str(DATA)) / "router" / "routellm_gsm8k.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def failed(answer: str) -> dict[str, float]:
    """What free checks say of an answer of this kind."""
    seen = Answer(answer, "weak")
    ends = checks.matches(r"####\s*-?[\d,.]+\s*$")(Answer(answer.strip(), "weak"))
    return {
        "arithmetic": float(not checks.arithmetic(seen)),
        "no final answer": float(not ends),
        "steps": float(answer.count("<<")),
        "default": float(sum(not check(seen) for check in checks.DEFAULT)),
        "ends on a fraction": float(re.search(r"####\s*-?[\d,]*\.\d", answer) is not None),
        "ends on another figure": float(last_figure(END, answer) != last_figure(RESULT, answer)),
    }


END = re.compile(r"####\s*\$?(-?[\d,.]+)")
RESULT = re.compile(r"=\s*\$?(-?[\d,.]+)>>")


def last_figure(pattern: re.Pattern[str], answer: str) -> str:
    found = pattern.findall(answer)
    return found[-1].strip(".").replace(",", "") if found else ""


@with_data
def test_a_cascade_judged_by_checks_keeps_most_of_the_gap_for_few_calls() -> None:
    """GSM8K, fitted on one half: APGR 0.76 and more, 80 % of the gap for at most 42 % of calls going on."""
    rows = recorded_gsm8k()
    order = np.random.default_rng(0).permutation(len(rows))
    half = len(rows) // 2
    log = [
        {
            "prompt": rows[row]["prompt"],
            "scores": rows[row]["scores"],
            "answer": rows[row]["responses"]["weak"],
            "checks": failed(rows[row]["responses"]["weak"]),
        }
        for row in order[:half]
    ]
    router = fit(log, models=["weak", "strong"]).router
    assert router is not None
    unseen = [rows[row] for row in order[half:]]
    examples = [
        Example(row["prompt"], answer, tuple(failed(answer)[name] for name in router.about["checks"]))
        for row in unseen
        for answer in [row["responses"]["weak"]]
    ]
    values = router.values(examples)
    sides = [np.array([float(row["scores"][side]) for row in unseen]) for side in ("weak", "strong")]
    ranking = rank(values[:, 1] - values[:, 0], *sides)
    assert ranking.apgr >= 0.76
    assert ranking.cpt(0.8) <= 0.42


@with_data
def test_the_layer_does_with_recorded_answers_what_was_measured() -> None:
    """The Cascade itself, over answers as they were recorded: better than the weak model for a part of the calls."""
    rows = recorded_gsm8k()[:300]
    answers = {row["prompt"]: row["responses"] for row in rows}
    cascade = ap.Cascade(["weak", "strong"], checks=[*checks.DEFAULT, checks.matches(r"####\s*-?[\d,.]+\s*$")])

    @ap.Stack(cascade)
    def chat(model: str, messages: list[dict[str, Any]]) -> str:
        return str(answers[messages[-1]["content"]][model]).strip()

    right, escalated = 0.0, 0
    for row in rows:
        chat("any", [{"role": "user", "content": row["prompt"]}])
        meta = ap.last()
        assert meta is not None
        served = str(meta.attempts[-1].model)
        right += row["scores"][served]
        escalated += served == "strong"
    weak = sum(row["scores"]["weak"] for row in rows)
    strong = sum(row["scores"]["strong"] for row in rows)
    share = escalated / len(rows)
    assert 0.05 < share < 0.5
    assert (right - weak) / (strong - weak) > share, "better than the same share at random"


def test_two_of_three_weak_models_agreeing_beat_a_random_mix() -> None:
    """Two models that are each right 75 % of the time, and seldom wrong in the same way, stand for a strong one."""
    rng = np.random.default_rng(0)
    right, dear = 0, 0
    asked: list[dict[str, str]] = []
    for _ in range(300):
        truth = str(rng.integers(1000, 9999))
        wrong = [str(rng.integers(1000, 9999)) for _ in range(3)]
        accuracy = zip(("a", "b", "strong"), (0.75, 0.75, 0.93), wrong, strict=True)
        asked.append({name: (truth if rng.random() < share else other) for name, share, other in accuracy})
        asked[-1]["truth"] = truth

    @ap.Stack(ap.Cascade(["a", "b", "strong"], agree=2))
    def chat(model: str, messages: list[dict[str, Any]]) -> str:
        return f"The answer is {asked[int(messages[0]['content'])][model]}."

    for number, answers in enumerate(asked):
        right += answers["truth"] in chat("any", [{"role": "user", "content": str(number)}])
        meta = ap.last()
        assert meta is not None
        dear += len(meta.attempts) == 3
    assert right / 300 >= 0.93
    assert dear / 300 < 0.5


OFFLINE = """
import socket
def refuse(*args, **kwargs):
    raise OSError("no network here")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import agentprod as ap
from agentprod.routing.fit import fit
from tests.routing.recorded import rows, prompt
assert ap.Router(["small", "large"]).decide("Which of these is not true?").model in ("small", "large")
router = fit(rows(120)).candidate
chosen = ap.Router(["small", "large"], stages=[ap.Rules([("x", "small")]), ap.Learned(router)])
asked = ap.Stack(ap.CallLog("calls.jsonl"), chosen, ap.Cascade(["small", "large"])).decorate(
    lambda model, messages: model
)
print(asked("any", [{"role": "user", "content": prompt(4)}]))
"""


def test_everything_works_without_a_network(tmp_path: Path) -> None:
    """Routing, fitting, cascading and logging ask nobody, with empty caches too."""
    root = Path(__file__).parent.parent.parent
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}", "TIKTOKEN_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-W", "ignore", "-c", OFFLINE]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("small", "large")
