"""Behind ScrubPII: keys, texts and entries hold placeholders; users share hits and never values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

import agentprod as ap
from agentprod.caching.guards import GuardSet
from agentprod.stores import MemoryStore
from agentprod.testing import Provider, behaviours

OpenAIWith = Callable[..., openai.OpenAI]
ANN, BOB = "ann.lee@example.com", "bob.ray@example.org"
QUESTION = "Please write an invitation for the party to {}"
REWORDED = "Write an invitation for the party to {} please"
LAYERS: dict[str, Callable[..., Any]] = {"Cache": ap.Cache, "SemanticCache": ap.SemanticCache}


@pytest.fixture(params=LAYERS)
def layer(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Return one of the two caches."""
    return LAYERS[request.param]


@pytest.fixture
def echoing() -> Any:
    """Run a provider that repeats the user's text."""
    with Provider(behaviours.echo()) as provider:
        yield provider


def ask(client: Any, text: str, *, stream: bool = False) -> tuple[str, str | None]:
    """Return the answer, and what the cache did."""
    messages = [{"role": "user", "content": text}]
    found = client.chat.completions.create(model="m", temperature=0, messages=messages, stream=stream)
    if not stream:
        return found.choices[0].message.content, ap.meta(found).cache
    answer = "".join(chunk.choices[0].delta.content or "" for chunk in found if chunk.choices)
    return answer, ap.meta(found).cache


def by_tenant(call: ap.Call) -> str:
    """Share within a tenant, whoever asks."""
    return str(call.context.tenant)


@pytest.mark.parametrize("stream", [False, True])
def test_two_users_of_a_tenant_share_a_hit_and_never_a_value(
    openai_with: OpenAIWith, echoing: Provider, layer: Callable[..., Any], stream: bool
) -> None:
    """Both send the same placeholder; each gets their own value back, from one upstream call."""
    client = openai_with(echoing, ap.ScrubPII(), layer(by=by_tenant))
    with ap.context(tenant="acme", user="ann"):
        first, cache = ask(client, QUESTION.format(ANN), stream=stream)
        assert (ANN in first, cache) == (True, "miss")
    with ap.context(tenant="acme", user="bob"):
        second, cache = ask(client, QUESTION.format(BOB), stream=not stream)
        assert (second, cache) == (first.replace(ANN, BOB), "hit_exact")
    with ap.context(tenant="other", user="bob"):
        assert ask(client, QUESTION.format(BOB))[1] == "miss"
    assert len(echoing.requests) == 2
    assert not any(value in str(request.json) for request in echoing.requests for value in (ANN, BOB))


def test_a_similar_text_shares_the_answer_and_no_value(openai_with: OpenAIWith, echoing: Provider) -> None:
    """The texts compared hold placeholders, and so does the answer that both get."""
    client = openai_with(echoing, ap.ScrubPII(), ap.SemanticCache(by=by_tenant))
    with ap.context(tenant="acme", user="ann"):
        ask(client, QUESTION.format(ANN))
    with ap.context(tenant="acme", user="bob"):
        answer, cache = ask(client, REWORDED.format(BOB))
    assert cache == "hit_semantic"
    assert answer == QUESTION.format(BOB)


def test_the_default_keeps_named_users_apart(
    openai_with: OpenAIWith, echoing: Provider, layer: Callable[..., Any]
) -> None:
    """A user named in the context, or in the request's own field, is a wall, scrubbed or not."""
    client: Any = openai_with(echoing, ap.ScrubPII(), layer())
    for user in ("ann", "bob", ANN, BOB):
        with ap.context(tenant="acme", user=user):
            assert ask(client, QUESTION.format(user + "@example.net"))[1] == "miss", user
    for user in ("carl", "c@example.com", "d@example.com"):
        found = client.chat.completions.create(
            model="m", temperature=0, user=user, messages=[{"role": "user", "content": QUESTION.format(ANN)}]
        )
        assert ap.meta(found).cache == "miss", user
    assert ask(client, QUESTION.format(ANN))[1] == "miss"
    assert ask(client, QUESTION.format(BOB))[1] == "hit_exact"


def test_no_value_is_stored(
    openai_with: OpenAIWith, echoing: Provider, layer: Callable[..., Any], tmp_path: Path
) -> None:
    """Neither names nor values of a store, nor a dump, hold what the user wrote."""
    store = MemoryStore()
    cache = layer(store=store)
    client = openai_with(echoing, ap.ScrubPII(), cache)
    with ap.context(user="bob"):
        ask(client, QUESTION.format(ANN))
        ask(client, QUESTION.format(ANN), stream=True)
    names = store.scan("")
    assert names
    entries = [entry for name in names if (entry := store.get(name)) is not None]
    assert cache.dump(tmp_path / "dump") == 1
    seen = str(names) + str([entry.value for entry in entries]) + (tmp_path / "dump").read_text()
    assert "invitation" in seen
    assert ANN not in seen


def test_a_call_in_which_a_value_passed_is_not_kept(
    openai_with: OpenAIWith, echoing: Provider, layer: Callable[..., Any]
) -> None:
    """What the provider was shown may stand in its answer."""
    client = openai_with(echoing, ap.ScrubPII(strategy={"EMAIL": "pass", "*": "placeholder"}), layer(by="global"))
    for _ in range(2):
        assert ask(client, QUESTION.format(ANN))[1] == "bypass"


@pytest.mark.parametrize("layer", LAYERS)
def test_outside_the_scrubber_it_is_refused(layer: str) -> None:
    """There keys, stores and embedders would see what is personal."""
    with pytest.raises(ap.OrderError, match=f"ScrubPII belongs outside {layer}"):
        ap.Stack(LAYERS[layer](), ap.ScrubPII())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Forward the mail from {0} to {1}", "Forward the mail to {0} from {1}"),
        ("Add {0} and remove {1} from the list", "Remove {0} and add {1} to the list"),
        ("Send {0} my report and tell {1} about it", "Tell {0} about my report and send {1} it"),
        ("Share the file with {0}", "Share the file with {0} and {1}"),
        ("请把文件从{0}转给{1}", "请把文件转给{0}，从{1}那里"),
    ],
)
def test_guards_tell_placeholders_apart(one: str, other: str) -> None:
    """Numbers of placeholders go by first appearance, so one that changed its part in the sentence is another value."""
    guards = GuardSet("strict")

    def scrubbed(text: str) -> str:
        return ap.scrub(text.format(ANN, BOB)).text

    def judge(text: str, rival: str) -> str | None:
        return guards.conflict(guards.read(text), guards.read(rival))

    assert judge(scrubbed(one), scrubbed(other)) is not None
