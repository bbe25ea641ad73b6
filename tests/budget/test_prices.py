"""Prices of models: where they come from, under which names, and what happens when there are none."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprod.budget import genai_rates, prices
from agentprod.budget.list_prices import dearest, listed
from agentprod.budget.model_names import candidates, is_regional_bedrock, vendor_of
from agentprod.budget.prices import Cost, PriceBook, Rate, discount
from agentprod.budget.rates import femto_per_token
from agentprod.errors import AgentprodWarning, ConfigError
from agentprod.usage import Usage

CHECKED = datetime.combine(prices.checked(), datetime.min.time(), UTC)
COUNTS = st.integers(0, 400_000)


@pytest.fixture
def table_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the built-in table as the only source."""
    monkeypatch.setattr(genai_rates, "installed", lambda: False)


@pytest.fixture(autouse=True)
def fresh_default() -> Iterator[None]:
    """Give every test the default book as it is after import."""
    yield
    prices.clear()


def at(moment: datetime) -> PriceBook:
    return PriceBook(now=moment.timestamp)


@pytest.mark.usefixtures("table_only")
@pytest.mark.parametrize(
    ("name", "vendor_name"),
    [
        ("claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("anthropic/claude-4.5-sonnet", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("openrouter/anthropic/claude-3.5-sonnet", "claude-3-5-sonnet"),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3-5-sonnet"),
        ("claude-opus-4@20250514", "claude-opus-4-0"),
        ("claude-haiku-3.5", "claude-3-5-haiku"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4-0"),
        ("projects/p/locations/l/publishers/anthropic/models/claude-opus-4-1@20250805", "claude-opus-4-1"),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/global.anthropic.claude-opus-4-6-v1", "claude-opus-4-6"),
        ("openai/gpt-5-mini-2025-08-07", "gpt-5-mini"),
        ("azure/GPT-4o", "gpt-4o"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-35-turbo-0125", "gpt-3.5-turbo"),
        ("gpt-4-1106-preview", "gpt-4-turbo"),
        ("gpt-5-codex", "gpt-5"),
        ("gpt-5.1-codex-max", "gpt-5.1"),
        ("ft:gpt-4o-mini-2024-07-18:acme::a1", "ft:gpt-4o-mini"),
        ("models/gemini-2.5-pro-preview-06-05", "gemini-2.5-pro"),
        ("gemini-3-pro", "gemini-3-pro-preview"),
        ("grok-4", "grok-4-0709"),
        ("deepseek-ai/DeepSeek-V3.2", "deepseek-v3.2"),
        ("GLM-4.6", "glm-4.6"),
    ],
)
def test_names_lead_to_the_vendors_own(name: str, vendor_name: str) -> None:
    """Snapshots, gateway prefixes and cloud identifiers are all the same model."""
    rate = PriceBook().lookup(name)
    assert rate is not None
    assert rate.model == vendor_name
    assert rate.source == "table"


def test_a_regional_bedrock_profile_costs_a_tenth_more() -> None:
    """From Claude 4.5 on, staying in a region has its price; older models and global profiles do not pay it."""
    globally, regionally = (listed(f"{area}.anthropic.claude-haiku-4-5-20251001-v1:0") for area in ("global", "us"))
    assert globally is not None
    assert regionally is not None
    assert regionally.input * 10 == globally.input * 11
    assert not is_regional_bedrock("us.anthropic.claude-3-5-sonnet-20241022-v2:0")
    assert not is_regional_bedrock("us.anthropic.claude-sonnet-4-20250514-v1:0")
    assert not is_regional_bedrock("us.amazon.nova-pro-v1:0")


@pytest.mark.parametrize(
    ("name", "vendor"),
    [
        ("gpt-7", "openai"), ("o3-mini", "openai"), ("claude-next", "anthropic"), ("us.anthropic.x-v1:0", None),
        ("kimi-k9", "moonshotai"), ("anthropic/new-thing", "anthropic"), ("qwen3-32b", None), ("", None),
    ],
)  # fmt: skip
def test_the_vendor_is_guessed_from_the_name(name: str, vendor: str | None) -> None:
    """Known families and gateway prefixes tell the vendor; anything else is not guessed."""
    assert vendor_of(name) == vendor


@given(st.text(max_size=60))
def test_any_text_is_a_name(name: str) -> None:
    """Names come from users: none may raise, and each has a candidate."""
    assert candidates(name)
    vendor_of(name)
    listed(name)


@pytest.mark.usefixtures("table_only")
def test_unknown_model_costs_the_upper_bound_and_warns_once() -> None:
    """A model without a price is charged the highest of its vendor's prices, never nothing."""
    book = PriceBook()
    usage = Usage(input_tokens=1000, output_tokens=1000)
    with pytest.warns(AgentprodWarning, match="no price is known for model 'claude-unheard-of'"):
        cost = book.price("claude-unheard-of", usage)
    assert cost.source == "unknown"
    assert not cost.known
    assert cost.femto_usd == dearest("anthropic").charge(usage) > 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert book.price("claude-unheard-of", usage) == cost
    assert book.lookup("claude-unheard-of") is None


@pytest.mark.usefixtures("table_only")
def test_unknown_vendor_costs_the_upper_bound_of_all() -> None:
    """Without a vendor to go by, no listed price is higher than the bound."""
    with pytest.warns(AgentprodWarning):
        cost = PriceBook().price("llama-unheard-of", input=10, output=10)
    assert cost.femto_usd == dearest(None).charge(Usage(input_tokens=10, output_tokens=10))
    assert dearest("no such vendor") == dearest(None)


@given(
    st.sampled_from(["claude-opus-4-8", "claude-sonnet-4-5", "claude-haiku-5-5", "claude-3-haiku"]),
    st.sampled_from([None, "standard", "batch", "priority", "fast"]),
    COUNTS, COUNTS, COUNTS, COUNTS,
)  # fmt: skip
def test_the_bound_is_above_every_model_of_the_vendor(
    model: str, tier: str | None, plain: int, read: int, write: int, output: int
) -> None:
    """Whatever is used on whatever tier, the bound of the vendor is not below the model's own price."""
    usage = Usage(plain + read + write, output, read, write, write // 2, output // 2, service_tier=tier)
    rate = listed(model)
    assert rate is not None
    if tier != "fast" or "fast" in rate.tiers:
        assert rate.charge(usage) <= dearest("anthropic").charge(usage)


def test_prices_of_your_own_come_first() -> None:
    """An override wins over every other source, and says so."""
    prices.override({"gpt-5-mini": {"input": "0.1", "output": "0.2"}})
    cost = prices.price("openai/gpt-5-mini-2025-08-07", input=10, output=10)
    assert cost == Cost(10 * 100_000_000 + 10 * 200_000_000, "override", "gpt-5-mini")


@pytest.mark.usefixtures("table_only")
def test_a_partial_price_takes_the_rest_from_the_list() -> None:
    """What is left out keeps its list price; tiers and long calls keep their proportion."""
    before = listed("gpt-5.4")
    after = PriceBook({"gpt-5.4": {"input": 5, "output": 30}}).lookup("gpt-5.4")
    assert before is not None
    assert after is not None
    assert after.cache_read == before.cache_read
    assert after.tiers["batch"].output == 2 * before.tiers["batch"].output
    assert after.long[0][0] == 272_000
    assert after.long[0][1].output == 2 * before.long[0][1].output
    assert after.tiers["flex"].long[0][1].output == 2 * before.tiers["flex"].long[0][1].output


@pytest.mark.usefixtures("table_only")
def test_a_partial_price_of_an_embedding_keeps_its_tiers() -> None:
    """A model without output takes its proportions from the input."""
    after = PriceBook({"gemini-embedding-2": {"input": 1}}).lookup("gemini-embedding-2")
    assert after is not None
    assert after.tiers["batch"].input == 500_000_000


def test_patterns_aliases_and_providers() -> None:
    """Keys match as file names do and may name the provider; a value may name another model."""
    book = PriceBook(
        {
            "llama-*": 0,
            "my-deployment": "gpt-4o",
            "twice-removed": "my-deployment",
            "azure/gpt-4o": {"input": 7, "output": 8},
        }
    )
    assert book.price("meta/llama-3-8b", input=10**6, output=10**6).femto_usd == 0
    assert book.price("llama-4", input=10**6, tier="priority").known
    alias, plain = book.lookup("my-deployment"), book.lookup("gpt-4o")
    assert alias == plain == book.lookup("twice-removed")
    assert alias is not None
    on_azure = book.lookup("gpt-4o", "azure")
    assert on_azure is not None
    assert on_azure.input == 7 * 10**9 != alias.input


def test_aliases_in_a_circle_end_unknown() -> None:
    """Names that lead to each other lead nowhere, and do not hang."""
    assert PriceBook({"a": "b", "b": "a"}).lookup("a") is None


@pytest.mark.usefixtures("table_only")
def test_discounts_come_off_list_prices_alone() -> None:
    """A discount changes what is listed; a price of your own is negotiated already."""
    book = PriceBook({"claude-*": discount("0.15"), "claude-opus-4-8": {"input": 4, "output": 20}})
    rate, own = book.lookup("claude-sonnet-4-5"), book.lookup("claude-opus-4-8")
    full = listed("claude-sonnet-4-5")
    assert rate is not None
    assert own is not None
    assert full is not None
    assert rate.input * 100 == full.input * 85
    assert rate.long[0][1].output * 100 == full.long[0][1].output * 85
    assert rate.source == "override"
    assert own.input == 4 * 10**9
    with pytest.warns(AgentprodWarning):
        assert book.price("claude-unheard-of", input=1).source == "unknown"


def test_dated_overrides_hold_from_their_day_on() -> None:
    """A price announced for a day changes on that day, though the old one was asked for before."""
    first = datetime(2026, 12, 1, tzinfo=UTC)
    now = [first.timestamp() - 60]
    book = PriceBook({"m": {"input": 1, "output": 1}}, now=lambda: now[0])
    book.override({"m": {"input": 2, "output": 2}}, since=first.date())
    assert book.price("m", input=1).nano_usd == 1000
    now[0] += 60
    assert book.price("m", input=1).nano_usd == 2000
    book.override({"m": {"input": 3, "output": 3}}, since=first + timedelta(hours=1))
    assert book.price("m", input=1).nano_usd == 2000
    now[0] += 3600
    assert book.price("m", input=1).nano_usd == 3000


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"new-model": {"input": 1}}, "output missing"),
        ({"new-model": {}}, "input and output missing"),
        ({"new-model": {"input": 1, "output": 2, "tokens": 3}}, "unknown kind of price"),
        ({"new-model": {"input": -1, "output": 2}}, "price of 'new-model': input: expected dollars per million tokens"),
        ({"new-model": {"input": "cheap", "output": 2}}, "got a str"),
        ({"new-model": {"input": True, "output": 2}}, "got a bool"),
        ({"new-model": {"input": "1e-10", "output": 2}}, "at most 9 decimals"),
        ({"new-model": 3}, "got a int"),
        ({"new-model": None}, "got a NoneType"),
        ({"new-model": False}, "got a bool"),
    ],
)
def test_what_is_not_a_price_is_refused(override: dict[str, Any], message: str) -> None:
    """A wrong price is an error when it is set, and names what is wrong."""
    with pytest.raises(ConfigError, match=message):
        PriceBook(override)


@pytest.mark.parametrize("part", [-0.1, 1, "much", float("nan"), "0.000001"])
def test_a_discount_is_a_part(part: Any) -> None:
    """A discount takes off some, not all, and not a negative part."""
    with pytest.raises(ConfigError, match="discount"):
        discount(part)


def test_naive_moments_are_refused() -> None:
    """A moment without a time zone could be a day off."""
    with pytest.raises(ConfigError, match="time zone"):
        PriceBook().override({"m": 0}, since=datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(ConfigError, match=r"since: expected a date .* got a str"):
        PriceBook().override({"m": 0}, since="2026-01-01")  # type: ignore[arg-type]


def test_a_tier_that_is_not_listed_is_never_cheaper() -> None:
    """Cheap tiers without a price cost the standard one, dear ones two and a half times it."""
    rate = Rate.per_million(input=1, output=2)
    usage = Usage(input_tokens=100, output_tokens=10)
    standard = rate.charge(usage)
    assert rate.charge(replace(usage, service_tier="batch")) == standard
    assert rate.charge(replace(usage, service_tier="scale")) == standard
    assert rate.charge(replace(usage, service_tier="priority")) * 2 == standard * 5
    served_as = replace(rate, tiers={"priority": Rate.per_million(input=2, output=4)})
    assert served_as.charge(replace(usage, service_tier="fast")) == 2 * standard


def test_a_tool_that_is_not_listed_costs_as_the_dearest() -> None:
    """Provider-run tools without a price are charged, not given away."""
    rate = Rate.per_million(input=1, tools={"a": "0.01", "b": "0.02"})
    usage = Usage(server_tool_calls={"a": 1, "mystery": 2})
    assert rate.charge(usage) == 5 * 10**13
    assert Rate.per_million(input=1).charge(usage) == 0


def test_prices_by_the_call_and_for_reasoning() -> None:
    """A fee for every call and a price of its own for reasoning are both counted."""
    rate = Rate.per_million(input=1, output=10, reasoning=3, call="0.005")
    usage = Usage(input_tokens=10, output_tokens=30, reasoning_tokens=20)
    assert rate.charge(usage) == 5 * 10**12 + (10 * 1 + 10 * 10 + 20 * 3) * 10**9


def test_cached_audio_is_not_given_away() -> None:
    """Audio that may also be cached is charged as audio; nothing becomes negative."""
    rate = Rate.per_million(input=1, output=1, cache_read="0.1", input_audio=10, input_image=5, output_audio=20)
    usage = Usage(
        input_tokens=100, output_tokens=10, cache_read_tokens=100, input_audio_tokens=100, input_image_tokens=100,
        output_audio_tokens=50,
    )  # fmt: skip
    assert rate.charge(usage) == (100 * 0.1 + 100 * 10 + 100 * 5 + 50 * 20) * 10**9


@given(COUNTS, COUNTS, COUNTS, COUNTS, st.sampled_from([None, "batch", "fast"]))
def test_more_tokens_never_cost_less(plain: int, read: int, write: int, output: int, tier: str | None) -> None:
    """Adding any kind of token adds to the bill or leaves it."""
    rate = listed("claude-opus-4-8")
    assert rate is not None
    usage = Usage(plain + read + write, output, read, write, service_tier=tier)
    cost = rate.charge(usage)
    assert cost <= rate.charge(replace(usage, input_tokens=usage.input_tokens + 1))
    assert cost <= rate.charge(replace(usage, output_tokens=output + 1))


def test_a_cost_is_exact_and_rounds_up() -> None:
    """Dollars are exact; whole nano-dollars never undercount."""
    cost = Cost(1_000_001, "table", "m")
    assert cost.usd == Decimal("0.000000001000001")
    assert cost.nano_usd == 2
    assert str(Cost(1_250_000_000_000_000, "table", "m")) == "$1.25"
    assert repr(Cost(1_250_000_000_000_000, "table", "m")) == "Cost($1.25, source='table', model='m')"
    assert float(Cost(10**15, "table", "m")) == 1.0
    assert femto_per_token("0.0375") == 37_500_000


def test_counts_may_be_given_one_by_one() -> None:
    """The keyword form prices what the usage form prices."""
    one_by_one = prices.price(
        "claude-sonnet-4-5", input=1000, output=100, cache_read=300, cache_write=200, cache_write_1h=50,
        reasoning=20, tier="batch", tools={"web_search": 1}, input_audio=0, output_audio=0,
    )  # fmt: skip
    usage = Usage(1000, 100, 300, 200, 50, 20, server_tool_calls={"web_search": 1})
    assert prices.price("claude-sonnet-4-5", usage, tier="batch") == one_by_one
    assert prices.rate("claude-sonnet-4-5").cost(replace(usage, service_tier="batch")) == one_by_one


@pytest.mark.parametrize("given", [{"input": -1}, {"output": 1.5}, {"cache_read": True}, {"tools": {"web_search": -2}}])
def test_counts_by_hand_are_whole_numbers(given: dict[str, Any]) -> None:
    """A count that cannot be is an error that names it, not a price of nothing."""
    with pytest.raises(ConfigError, match=f"{next(iter(given.get('tools', given)))} is a whole number"):
        prices.price("gpt-5-mini", **given)


@pytest.mark.usefixtures("table_only")
def test_an_old_table_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    """Past ninety days the built-in prices are logged as old, once."""
    old = at(CHECKED + timedelta(days=91))
    with caplog.at_level(logging.WARNING, "agentprod.prices"):
        assert old.lookup("gpt-4o")
        assert old.lookup("gpt-5")
        assert at(CHECKED + timedelta(days=90)).lookup("gpt-4o")
    assert len(caplog.records) == 1
    assert "91 days old" in caplog.text


@pytest.mark.usefixtures("table_only")
def test_what_is_kept_per_name_is_bounded() -> None:
    """Names come from users; ten thousand of them do not stay."""
    book = PriceBook()
    for number in range(10_000):
        book.lookup(f"claude-{number}-x")
    assert len(book._entries) <= 4096


def test_one_book_serves_many_threads() -> None:
    """Overrides set while others price are seen whole or not at all."""
    book = PriceBook({"m": {"input": 1, "output": 1}})
    seen: set[int] = set()

    def ask() -> None:
        for _ in range(300):
            seen.add(book.price("m", input=1, output=1).nano_usd)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for price in (2, 3, 4):
        book.override({"m": {"input": price, "output": price}})
    for thread in threads:
        thread.join()
    assert seen <= {2000, 4000, 6000, 8000}
