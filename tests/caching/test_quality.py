"""How often what is served is wrong, on recorded data; `benchmarks/cache_quality.py` prints the whole tables."""

from __future__ import annotations

import json
import os
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

import agentprod as ap
from agentprod.caching.embedders import Embedder, hashed, minilm
from agentprod.caching.guards import GuardSet
from agentprod.caching.matcher import SemanticMatcher
from agentprod.errors import ConfigError

DATA = os.environ.get("AGENTPROD_DATA")
pytestmark = pytest.mark.skipif(DATA is None, reason="AGENTPROD_DATA is not set")


def rows(name: str) -> list[dict[str, Any]]:
    """Return the rows of a JSONL file of the cache data."""
    text = (Path(str(DATA)) / "cache" / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def pairs() -> list[tuple[str, str, bool]]:
    """Return PAWS-X's Chinese pairs and whether they mean the same."""
    text = (Path(str(DATA)) / "cache" / "pawsx.zh.test_2k.tsv").read_text(encoding="utf-8")
    fields = [line.split("\t") for line in text.splitlines()]
    return [(one, other, label == "1") for one, other, label in fields if label in ("0", "1")]


def serve(queries: list[tuple[str, str, str]]) -> tuple[float, float]:
    """Run a stream of (partition, text, right answer); return the share served, and the wrong share of it."""
    embedder = hashed()
    matcher: SemanticMatcher[str] = SemanticMatcher(embedder, ttl=None)
    served = wrong = 0
    for partition, text, answer in queries:
        probe = matcher.read(text)
        vector = None if probe.refusal else embedder.embed([probe.text])[0]
        decision = matcher.find(partition, probe, vector)
        if decision.hit:
            served += 1
            wrong += decision.value != answer
        else:
            matcher.put(partition, probe, vector, answer)
    return served / len(queries), wrong / max(1, served)


@pytest.mark.parametrize(
    ("name", "served", "wrong"), [("clinc150.test.jsonl", 0.03, 0.04), ("banking77.test.jsonl", 0.04, 0.08)]
)
def test_intents_are_served_rightly(name: str, served: float, wrong: float) -> None:
    """Of 1,000 questions, each asked once, at least so many are served, and at most so many of them wrongly."""
    asked = rows(name)
    random.Random(0).shuffle(asked)
    found, missed = serve([("", row["text"], row["intent"]) for row in asked[:1000]])
    assert found >= served
    assert missed <= wrong


def test_turns_of_dialogues_with_their_context() -> None:
    """With what the assistant had asked in the partition, at most one of ten answers is given to another meaning."""
    asked = rows("restaurant8k.test.jsonl")
    random.Random(0).shuffle(asked)
    queries = []
    for row in asked[:1000]:
        slots = sorted((name, value.lower()) for name, value in row["slots"])
        queries.append((json.dumps(row["requested"]), row["text"], json.dumps([slots, sorted(row["requested"])])))
    found, missed = serve(queries)
    assert found >= 0.03
    assert missed <= 0.1


def test_no_answer_crosses_to_another_context() -> None:
    """Texts that occur after different questions of the assistant are never answered across, by the layer itself."""
    places: dict[str, set[str]] = defaultdict(set)
    for row in rows("restaurant8k.test.jsonl"):
        places[row["text"]].add(json.dumps(row["requested"]))
    torn = {text: asked for text, asked in places.items() if len(asked) > 1}
    assert len(torn) > 20

    @ap.SemanticCache(nondeterministic="cache")
    def completion(model: str, messages: list[dict[str, str]]) -> str:
        return messages[0]["content"]

    for text, contexts in torn.items():
        for _ in range(2):
            for context in contexts:
                history = [{"role": "assistant", "content": context}, {"role": "user", "content": text}]
                assert completion("m", history) == context


def test_chinese_pairs_of_the_same_words() -> None:
    """The default embedder and the guards serve few of them, and nine of ten rightly at 0.95."""
    embedder: Embedder = hashed()
    matcher: SemanticMatcher[None] = SemanticMatcher(embedder)
    guards = GuardSet()
    right = wrong = 0
    for one, other, same in pairs():
        if matcher.read(one).refusal or matcher.read(other).refusal:
            continue
        first, second = embedder.embed([one, other])
        if first @ second >= 0.95 and guards.conflict(guards.read(one), guards.read(other)) is None:
            right += same
            wrong += not same
    assert right > 50
    assert right / (right + wrong) >= 0.9


def test_minilm_refuses_chinese() -> None:
    """Characters that it does not know would be one unknown word; nothing of it is compared."""
    try:
        embedder = minilm()
    except ConfigError:
        pytest.skip("needs the weights of all-MiniLM-L6-v2")
    assert all(embedder.refuse(one) or embedder.refuse(other) for one, other, _ in pairs()[:300])
