"""`standard()`: what stands in it, where it works, and what its options take."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import anthropic
import openai
import pytest

import agentprod as ap
from agentprod.order import CANONICAL, check, layer_name
from agentprod.testing import Provider
from agentprod.testing import behaviours as b

QUESTION: Any = [{"role": "user", "content": "hello"}]


def names(stack: ap.Stack) -> list[str]:
    """Return what order rules call the layers."""
    return [layer_name(layer) for layer in stack]


def test_tracing_and_reliability_are_on() -> None:
    """And nothing that changes content or repeats answers."""
    assert names(ap.standard()) == ["Tracer", "Deadline", "Retry", "CircuitBreaker", "Timeout"]


@pytest.fixture
def everything() -> dict[str, Any]:
    """Return every option, as short as it goes."""
    return {
        "budget": ap.Limit(usd=5, per="day", by="global"),
        "cache": 3600,
        "semantic": True,
        "pii": True,
        "injection": "flag",
        "router": ap.Router(["gpt-5-mini", "gpt-5"]),
        "fallback": ["gpt-5-mini"],
        "store": "memory://",
    }


def test_everything_stands_in_the_recommended_order(everything: dict[str, Any]) -> None:
    """No finding of the order check, harmful or not."""
    stack = ap.standard(**everything)
    assert check(stack.layers) == []
    assert [name for name in CANONICAL if name in names(stack)] == names(stack)
    assert names(stack) == [
        *("Tracer", "Deadline", "ScrubPII", "InjectionGuard", "TokenBudget", "Cache", "SemanticCache"),
        *("Router", "Fallback", "Retry", "CircuitBreaker", "Timeout"),
    ]
    assert stack.store == "memory://"


@pytest.mark.parametrize("option", ["deadline", "retry", "breaker", "timeout"])
@pytest.mark.parametrize("off", [None, False])
def test_what_is_on_can_be_left_out(option: str, off: Any) -> None:
    """By None or False."""
    assert len(ap.standard(**{option: off})) == 4


def test_options_take_what_their_layer_is_mostly_given() -> None:
    """Numbers, limits, targets and modes; or the layer itself, the very object."""
    stack = ap.standard(
        deadline=timedelta(seconds=9),
        retry=5,
        timeout=30,
        cache=60,
        injection="block",
        budget=[ap.Limit(usd=5, by="global"), ap.Limit(tokens=1000, by="global")],
        fallback="gpt-5-mini",
    )
    assert stack[ap.Deadline].seconds == 9
    assert "attempts=5" in repr(stack[ap.Retry])
    assert stack[ap.Timeout].attempt == 30
    assert "ttl=60" in repr(stack[ap.Cache])
    retry = ap.Retry(attempts=2)
    assert ap.standard(retry=retry)[ap.Retry] is retry

    async def own(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        return await call_next(call)

    assert own in ap.standard(router=own).layers


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("deadline", "soon"),
        ("deadline", True),
        ("retry", 2.5),
        ("breaker", 3),
        ("cache", "1h"),
        ("pii", "EMAIL"),
        ("budget", 5),
        ("fallback", 3),
        ("router", True),
        ("retry", ap.Retry),
    ],
)
def test_an_option_of_another_kind_is_refused(option: str, value: Any) -> None:
    """The error names the option and what it takes."""
    with pytest.raises(ap.ConfigError, match=rf"standard\({option}=\) takes a layer"):
        ap.standard(**{option: value})


def test_values_out_of_range_are_refused_by_their_layers() -> None:
    """As the layers themselves do."""
    for options in ({"retry": 0}, {"deadline": -1}, {"timeout": 0}, {"injection": "loud"}):
        with pytest.raises(ap.ConfigError):
            ap.standard(**options)  # type: ignore[arg-type]


def test_it_decorates_functions_of_every_kind() -> None:
    """A plain synchronous function, too, which no timeout could end."""

    @ap.standard()
    def plain() -> str:
        return "a"

    @ap.standard()
    async def asynchronous() -> str:
        return "b"

    @ap.standard()
    def generator() -> Iterator[str]:
        yield "c"

    assert (plain(), asyncio.run(asynchronous()), list(generator())) == ("a", "b", ["c"])


@pytest.fixture
def provider() -> Iterator[Provider]:
    """Run a scripted provider."""
    with Provider() as running:
        yield running


def test_it_wraps_clients_of_both_sdks(provider: Provider, everything: dict[str, Any]) -> None:
    """A failure is retried; with everything on, the second call is a hit and personal data stays here."""
    provider.script([b.rate_limit(retry_after_ms=1), b.echo()])
    with openai.OpenAI(base_url=provider.openai_url, api_key="k") as bare:
        made = ap.standard().wrap(bare).chat.completions.create(model="gpt-5-mini", messages=QUESTION)
        assert len(ap.meta(made).attempts) == 2
        everything.pop("router")
        client = ap.standard(**everything).wrap(bare)
        provider.reset()
        provider.script([b.echo()])
        mail: Any = [{"role": "user", "content": "Write to wei@example.org, 李伟."}]
        first = client.chat.completions.create(model="gpt-5-mini", messages=mail)
        again = client.chat.completions.create(model="gpt-5-mini", messages=mail)
        assert "wei@example.org" in (first.choices[0].message.content or "")
        assert again.choices == first.choices
        assert ap.meta(again).cache == "hit_exact"
        assert len(provider.requests) == 1
        assert "wei@example.org" not in provider.requests[0].body.decode()
    with anthropic.Anthropic(base_url=provider.anthropic_url, api_key="k") as claude:
        made_too = ap.standard().wrap(claude).messages.create(model="claude-sonnet-5", max_tokens=9, messages=QUESTION)
        assert ap.meta(made_too).layers == ("Tracer", "Deadline", "Retry", "CircuitBreaker", "Timeout")


def test_its_layers_can_be_changed_afterwards() -> None:
    """By `replace`, `without` and `insert`, and the order is checked again."""
    stack = ap.standard().replace(ap.Timeout(3)).without(ap.Deadline).insert(ap.Bulkhead(4), inside=ap.Retry)
    assert names(stack) == ["Tracer", "Retry", "Bulkhead", "CircuitBreaker", "Timeout"]
    assert stack[ap.Timeout].attempt == 3
    with pytest.raises(ap.OrderError):
        stack.insert(ap.Retry(), inside=ap.Timeout)


def test_making_it_warns_of_nothing() -> None:
    """The preset never argues with itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ap.standard(cache=True, pii=True, injection=True)
