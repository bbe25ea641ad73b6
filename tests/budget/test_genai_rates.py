"""genai-prices behind the integer cache: same answers, until its next change."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest

from agentprod.budget import genai_rates
from agentprod.budget.prices import PriceBook
from agentprod.usage import Usage

genai_prices = pytest.importorskip("genai_prices")
from genai_prices import types  # noqa: E402
from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot  # noqa: E402

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW = NOON.timestamp()
MODELS = [
    ("gpt-5-mini", "openai"),
    ("gpt-5.4", "openai"),
    ("o4-mini", "openai"),
    ("claude-sonnet-4-5", "anthropic"),
    ("claude-opus-4-8", "anthropic"),
    ("gemini-2.5-pro", "google"),
    ("gemini-2.5-flash", "google"),
    ("deepseek-chat", "deepseek"),
    ("grok-4.3", "x-ai"),
    ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "bedrock"),
]
TIERS = [
    (None, None),
    ("batch", {"processing": "batch"}),
    ("priority", {"service_tier": "priority"}),
    ("flex", {"service_tier": "flex"}),
]


@pytest.mark.parametrize(("model", "provider"), MODELS, ids=[model for model, _ in MODELS])
@pytest.mark.parametrize("size", [1000, 250_000, 300_000])
@pytest.mark.parametrize(("tier", "context"), TIERS, ids=[str(tier) for tier, _ in TIERS])
def test_compiled_rates_equal_the_package(
    model: str, provider: str, size: int, tier: str | None, context: dict[str, str] | None
) -> None:
    """Every model, size and tier costs to the nano-dollar what genai-prices says."""
    found = genai_rates.compiled(model, provider, NOW)
    assert found is not None
    usage = Usage(input_tokens=size, output_tokens=777, cache_read_tokens=size // 2, cache_write_tokens=size // 10)
    theirs = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
        ),
        model,
        provider_id={"bedrock": "aws"}.get(provider, provider),
        genai_request_timestamp=NOON,
        price_context=context,
    )
    rate = found[0]
    ours = Decimal(rate.charge(replace(usage, service_tier=tier))).scaleb(-15)
    if tier == "priority" and tier not in rate.tiers:
        # The package charges the standard price where no priority price is listed; here that is not believed.
        assert ours > theirs.total_price
    else:
        assert ours == theirs.total_price


def test_azure_charges_what_openai_lists() -> None:
    """A cloud without a price of its own takes the vendor's, tiers included."""
    azure, openai = (genai_rates.compiled("gpt-4o", provider, NOW) for provider in ("azure", "openai"))
    assert azure is not None
    assert azure == openai


@pytest.mark.parametrize(
    ("name", "served_by", "listed"),
    [
        ("groq/llama-3.3-70b-versatile", "groq", "llama-3.3-70b-versatile"),
        ("together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo", "together", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
        ("qwen-max", "openrouter", "qwen/qwen-max"),
        ("dashscope/qwen-plus", "openrouter", "qwen/qwen-plus"),
    ],
)
def test_a_prefix_names_who_serves_a_model(name: str, served_by: str, listed: str) -> None:
    """And what the package lists by no price list of its maker's own costs what it costs on OpenRouter."""
    found = genai_rates.compiled(name, None, NOW)
    usage = Usage(input_tokens=1000, output_tokens=100)
    theirs = genai_prices.calc_price(
        genai_prices.Usage(input_tokens=1000, output_tokens=100), listed, provider_id=served_by
    )
    assert found is not None
    assert Decimal(PriceBook().price(name, usage).nano_usd) / 10**9 == pytest.approx(theirs.total_price)
    assert found[0].model.lower() == listed.lower()


def snapshot_of(*prices: types.ConditionalPrice, match: str = "some-model") -> DataSnapshot:
    model = types.ModelInfo(id=match, match=types.ClauseEquals(equals=match), prices=list(prices))
    provider = types.Provider(id="openai", name="t", api_pattern="t", models=[model])
    return DataSnapshot(providers=[provider], from_auto_update=False)


@pytest.fixture
def snapshot() -> Iterator[None]:
    """Put the package's own data back after a test that replaced it."""
    yield
    set_custom_snapshot(None)


def dollars(price: int, **rest: Decimal) -> types.ModelPrice:
    return types.ModelPrice(input_mtok=Decimal(price), output_mtok=Decimal(price), **rest)


@pytest.mark.usefixtures("snapshot")
def test_a_dated_price_is_taken_on_its_day() -> None:
    """A rate is kept only until the next price begins."""
    set_custom_snapshot(
        snapshot_of(
            types.ConditionalPrice(prices=dollars(1)),
            types.ConditionalPrice(constraint=types.StartDateConstraint(date(2026, 11, 21)), prices=dollars(2)),
        )
    )
    midnight = datetime(2026, 11, 21, tzinfo=UTC).timestamp()
    moment = [midnight - 60]
    book = PriceBook(now=lambda: moment[0])
    assert book.price("some-model", input=1, provider="openai").nano_usd == 1000
    moment[0] = midnight
    assert book.price("some-model", input=1, provider="openai").nano_usd == 2000
    assert book.price("some-model", input=1, provider="openai").source == "genai-prices"


@pytest.mark.usefixtures("snapshot")
def test_an_hourly_price_is_taken_in_its_hours() -> None:
    """Peak prices begin and end at their hour."""
    peak = types.TimeOfDateConstraint(time(1, tzinfo=UTC), time(4, tzinfo=UTC))
    set_custom_snapshot(
        snapshot_of(
            types.ConditionalPrice(prices=dollars(1)), types.ConditionalPrice(constraint=peak, prices=dollars(2))
        )
    )
    day = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
    seen = []
    moment = [day]
    book = PriceBook(now=lambda: moment[0])
    for minutes in (59, 60, 239, 240, 24 * 60 + 59, 24 * 60 + 60):
        moment[0] = day + 60 * minutes
        seen.append(book.price("some-model", input=1, provider="openai").nano_usd)
    assert seen == [1000, 2000, 2000, 1000, 1000, 2000]


@pytest.mark.usefixtures("snapshot")
def test_prices_by_the_call_are_counted() -> None:
    """A fee for each request is in the package's data and in ours."""
    set_custom_snapshot(snapshot_of(types.ConditionalPrice(prices=dollars(1, requests_kcount=Decimal(5)))))
    found = genai_rates.compiled("some-model", "openai", NOW)
    assert found is not None
    assert found[0].charge(Usage()) == 5 * 10**12


@pytest.mark.usefixtures("snapshot")
def test_what_is_priced_by_other_units_is_not_free() -> None:
    """A model listed without token prices counts as unknown."""
    by_the_hour = types.ModelPrice(audio_hours=Decimal(1))
    set_custom_snapshot(snapshot_of(types.ConditionalPrice(prices=by_the_hour)))
    assert genai_rates.compiled("some-model", "openai", NOW) is None
    set_custom_snapshot(snapshot_of(types.ConditionalPrice(prices=types.ModelPrice()), match="some-model:free"))
    free = genai_rates.compiled("some-model:free", "openai", NOW)
    assert free is not None
    assert free[0].charge(Usage(input_tokens=10)) == 0


@pytest.mark.usefixtures("snapshot")
def test_prices_finer_than_a_femto_dollar_round_up() -> None:
    """What cannot be held exactly is never held too low."""
    fine = types.ModelPrice(input_mtok=Decimal("0.0000000001"), output_mtok=Decimal(0))
    set_custom_snapshot(snapshot_of(types.ConditionalPrice(prices=fine)))
    found = genai_rates.compiled("some-model", "openai", NOW)
    assert found is not None
    assert found[0].input == 1


def test_a_missing_package_leaves_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without genai-prices, prices come from the built-in table."""
    genai_rates.installed.cache_clear()
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    try:
        assert not genai_rates.installed()
        rate = PriceBook().lookup("gpt-5-mini")
        assert rate is not None
        assert rate.source == "table"
    finally:
        genai_rates.installed.cache_clear()
