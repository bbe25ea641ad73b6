"""What type checkers see of routers, cascades and the call log: checked, never run."""

from __future__ import annotations

import re
from typing import assert_type

import openai

import agentprod as ap
from agentprod.routing.decision import Decision


def in_europe(call: ap.Call, model: str) -> bool:
    """A requirement."""
    return call.context.tenant is None or model.startswith("eu-")


def brief(answer: ap.checks.Answer) -> bool:
    """A check."""
    return len(answer.text) < 100


router = ap.Router(
    ["gpt-5-nano", ap.target(openai.OpenAI(), "gpt-5")],
    stages=[
        ap.Rules([("退款", "gpt-5"), (re.compile("SQL"), "gpt-5"), (lambda ask: ask.turns > 3, "gpt-5-nano")]),
        ap.Rules({"code": "gpt-5"}),
        ap.Learned("router.npz", names={"small": "gpt-5-nano"}),
        ap.Classifier("gpt-5-nano", labels=("simple", "complex"), timeout=2),
        lambda ask: "gpt-5" if ask.has_tools else None,
    ],
    goal=ap.Goal(quality=0.8),
    require=in_europe,
    sticky=ap.Sticky(by="run", ttl=600),
)
assert_type(router.decide("a prompt"), Decision)
assert_type(router.decide({"messages": []}).model, str)

cascade = ap.Cascade(["gpt-5-nano", "gpt-5"], checks=[ap.checks.sure, ap.checks.matches("x"), brief], max_legs=2)
log = ap.CallLog("calls.jsonl", answers=True)
client = ap.Stack(log, router).wrap(openai.OpenAI())
assert_type(client, openai.OpenAI)
ap.feedback(client.models.list(), correct=True)
ap.feedback("id", score=0.5, log=log)


@cascade
def ask(model: str, messages: list[dict[str, str]]) -> str:
    """A function keeps its signature."""
    return model


assert_type(ask("m", []), str)
