"""`ap.price`, `ap.cost`, `ap.count_tokens`, and cost wherever a call is spoken of, without any setup."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import agentprod as ap
from agentprod.testing import Provider

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")

QUESTION = [{"role": "user", "content": "What does this cost?"}]
SOURCE = Path(__file__).parent.parent.parent / "src"


@pytest.fixture(autouse=True)
def list_prices() -> Iterator[None]:
    """Leave no override behind."""
    yield
    ap.prices.clear()


def test_price_of_counts() -> None:
    """1,000 input and 200 output tokens of gpt-5-mini: 1,000 * $0.25/M + 200 * $2/M."""
    priced = ap.price("gpt-5-mini", input=1000, output=200)
    assert (priced.usd, str(priced)) == (Decimal("0.00065"), "$0.00065")
    assert ap.prices.price("gpt-5-mini", input=1000, output=200) == priced


def test_overrides_reach_every_price() -> None:
    """A price set by the user holds for `price`, `cost` and the account of a call."""
    ap.prices.override({"gpt-5-mini": {"input": 1000, "output": 0}})
    assert ap.price("gpt-5-mini", input=1000).usd == 1
    with Provider() as provider, openai.OpenAI(base_url=provider.openai_url, api_key="any") as client:
        reply = ap.Stack().wrap(client).chat.completions.create(model="gpt-5-mini", messages=QUESTION)
    assert ap.meta(reply).cost == Decimal(reply.usage.prompt_tokens) / 1000


def test_count_of_a_text_and_of_messages() -> None:
    """A text counts its tokens; messages count what frames them, too."""
    text = ap.count_tokens("What does this cost?", "gpt-5-mini")
    assert 0 < text < ap.count_tokens(QUESTION, "gpt-5-mini")


def test_cost_is_known_without_setup(subtests: Any) -> None:
    """Ledger, meta, `last` and `record` agree on what a call cost, for every surface, whole and streamed."""
    with (
        Provider() as provider,
        openai.OpenAI(base_url=provider.openai_url, api_key="any") as one,
        anthropic.Anthropic(base_url=provider.anthropic_url, api_key="any") as other,
    ):
        stack = ap.Stack(ap.Tracer(), ap.Retry())
        chat, messages = stack.wrap(one), stack.wrap(other)
        asks = {
            "chat": lambda: chat.chat.completions.create(model="gpt-5-mini", messages=QUESTION),
            "responses": lambda: chat.responses.create(model="gpt-5-mini", input="What does this cost?"),
            "messages": lambda: messages.messages.create(model="claude-sonnet-5", messages=QUESTION, max_tokens=99),
            "chat stream": lambda: list(
                chat.chat.completions.create(model="gpt-5-mini", messages=QUESTION, stream=True)
            ),
        }
        for name, ask in asks.items():
            with subtests.test(name), ap.record() as calls:
                ask()
                cost = ap.last().cost  # type: ignore[union-attr]
                assert cost is not None
                assert cost > 0
                assert calls.cost == cost == ap.cost(calls) == ap.cost(ap.last())


def test_cost_of_a_reply_that_passed_no_stack(subtests: Any) -> None:
    """A reply's own counts and model tell its cost, as an object and as JSON."""
    with (
        Provider() as provider,
        openai.OpenAI(base_url=provider.openai_url, api_key="any") as one,
        anthropic.Anthropic(base_url=provider.anthropic_url, api_key="any") as other,
    ):
        chat = one.chat.completions.create(model="gpt-5-mini", messages=QUESTION)
        response = one.responses.create(model="gpt-5-mini", input="hi")
        message = other.messages.create(model="claude-sonnet-5", messages=QUESTION, max_tokens=99)
    counts = chat.usage.prompt_tokens, chat.usage.completion_tokens
    for reply, model, (read, written) in (
        (chat, "gpt-5-mini", counts),
        (response, "gpt-5-mini", (response.usage.input_tokens, response.usage.output_tokens)),
        (message, "claude-sonnet-5", (message.usage.input_tokens, message.usage.output_tokens)),
    ):
        with subtests.test(type(reply).__name__):
            expected = ap.price(model, input=read, output=written).usd
            assert ap.cost(reply) == ap.cost(reply.model_dump()) == expected
    embedded = {"object": "list", "model": "text-embedding-3-small", "usage": {"prompt_tokens": 50, "total_tokens": 50}}
    assert ap.cost(embedded) == Decimal("0.000001")
    assert ap.cost({"model": "gpt-5-mini", "choices": []}) is None


def test_cost_of_counts() -> None:
    """Bare counts need a model; one that nobody knows has no cost, never 0."""
    usage = ap.Usage(input_tokens=1000, output_tokens=200)
    assert ap.cost(usage, model="gpt-5-mini") == Decimal("0.00065")
    assert ap.cost(usage, model="my-own-model") is None
    with pytest.raises(ap.ConfigError, match="needs to know the model"):
        ap.cost(usage)
    with pytest.raises(ap.ConfigError, match="no token counts"):
        ap.cost("an answer")


def test_a_stack_takes_a_price_book() -> None:
    """`Stack(prices=PriceBook(...))` prices its calls by that book alone."""
    book = ap.prices.PriceBook({"in-house": {"input": 1, "output": 0}})

    @ap.Stack(prices=book)
    def ask(model: str, messages: list[Any]) -> Any:
        return {"choices": [], "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 5}}

    ask("in-house", QUESTION)
    assert ap.last().cost == 1  # type: ignore[union-attr]
    ask("nobody-knows", QUESTION)
    assert ap.last().cost is None  # type: ignore[union-attr]


OFFLINE = """
import socket, sys

def refuse(*args, **kwargs):
    raise AssertionError("the network was asked")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import agentprod as ap

assert ap.count_tokens("The quick brown fox jumps over the lazy dog", "gpt-5-mini") > 5
assert ap.count_tokens([{"role": "user", "content": "你好，世界"}], "claude-sonnet-5") > 3
assert ap.price("gpt-5-mini", input=1000, output=200).usd > 0

@ap.Stack(ap.Tracer())
def ask(model, messages):
    return {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}

ask("gpt-5-mini", [])
assert ap.last().cost > 0

budget = ap.TokenBudget(ap.Limit(usd="0.01", tokens=10_000, per="day", tz="Asia/Shanghai"), on_exceeded="shorten")

@ap.Stack(budget, ap.Router(["gpt-5-nano", "gpt-5-mini"]), ap.ContextWindow(), ap.PromptCache())
def route(model, messages, max_tokens):
    return {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}

route("gpt-5-mini", [{"role": "user", "content": "证明勾股定理"}], 100)
assert budget.status()[0].spent == 15
print("ok")
"""


def test_prices_and_counts_need_no_network(tmp_path: Path) -> None:
    """With sockets blocked and empty caches, counting, pricing, routing and budgets work."""
    environment = {"PYTHONPATH": str(SOURCE), "PATH": os.environ["PATH"], "TIKTOKEN_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", OFFLINE],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "ok", done.stderr
