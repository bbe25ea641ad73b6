"""Prices from the genai-prices package, compiled into integer rates.

genai-prices knows some two thousand models, follows dated and hourly prices, and can update itself; asking it takes
tens of microseconds, so what it says is kept as a `Rate` until its next change.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from agentprod.budget.list_prices import listed
from agentprod.budget.model_names import candidates
from agentprod.budget.rates import Rate

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

__all__ = ["KEPT", "compiled", "installed"]

KEPT = 3600.0
"""Longest time in seconds for which a compiled rate is used before genai-prices is asked again."""

_PROVIDERS = {
    "bedrock": "aws",
    "amazon": "aws",
    "vertex": "google",
    "vertex_ai": "google",
    "gemini": "google",
    "xai": "x-ai",
    "moonshot": "moonshotai",
    "zhipu": "zhipuai",
    "azure_ai": "azure",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
}
_MAKERS = {"qwen": "qwen", "qwq": "qwen", "llama": "meta-llama", "hunyuan": "tencent", "gemma": "google"}
"""How OpenRouter calls the makers of models whose own price lists the package does not have."""
_CONTEXTS = {
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "fast": {"speed": "fast"},
}
_PRICES = {
    "input": ("input_mtok",),
    "output": ("output_mtok",),
    "cache_read": ("cache_read_mtok",),
    "cache_write": ("cache_write_mtok", "cache_write_5m_mtok"),
    "cache_write_1h": ("cache_write_1h_mtok",),
    "reasoning": ("output_reasoning_mtok",),
    "input_audio": ("input_audio_mtok",),
    "output_audio": ("output_audio_mtok",),
    "input_image": ("input_image_mtok",),
}
_TOOLS = {
    "web_search": "web_searches_kcount",
    "file_search": "storage_searches_kcount",
    "code_execution": "code_executions_kcount",
}
_PER_THOUSAND = Decimal(10) ** 12
_PER_MILLION = Decimal(10) ** 9


@cache
def installed() -> bool:
    """Tell whether genai-prices can be imported; its import takes a fifth of a second, once."""
    try:
        importlib.import_module("genai_prices")
    except ImportError:
        return False
    return True


def compiled(model: str, provider: str | None, now: float) -> tuple[Rate, float] | None:
    """Compile what genai-prices says of a model.

    Args:
        model: the name as it stands in the request or reply.

        provider: who serves it, such as `"openai"` or `"bedrock"`; guessed from the name when `None`.

        now: POSIX time for which the prices are wanted.

    Returns:
        The rate and the POSIX time until which it holds, or `None` when the package is missing, does not know the
        model, or has no price by the token or by the call for it.
    """
    if not installed():
        return None
    info = _find(model, _PROVIDERS.get(provider or "", provider))
    if info is None:
        return None
    moment = datetime.fromtimestamp(now, UTC)
    standard = info.get_prices(moment)
    if not _is_priced(standard) and not info.id.endswith(":free"):
        return None
    rate = replace(_rate(standard), source="genai-prices", model=info.id)
    tiers = {}
    for tier, context in _CONTEXTS.items():
        prices = info.get_prices(moment, context)
        if prices != standard:
            tiers[tier] = _rate(prices)
    # The built-in table knows tools and regions that the package leaves out.
    own = listed(info.id)
    tools = {**(own.tools if own else {}), **_tools(standard)}
    regions = own.regions if own else {}
    if "claude" in info.id:
        tiers.setdefault("priority", rate)
    return replace(rate, tiers=tiers, regions=regions, tools=tools), min(now + KEPT, _next_change(info, moment))


def _find(model: str, provider: str | None) -> ModelInfo | None:
    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    for served_by, name in _places(model, provider):
        try:
            return snapshot.find_provider_model(name, None, served_by, None)[1]
        except LookupError:
            continue
    return None


def _places(model: str, provider: str | None) -> Iterator[tuple[str | None, str]]:
    """Who may serve a model under which name: who was named, who the prefix names, anyone, and OpenRouter."""
    asked = model.strip().lower()
    names = [asked, *candidates(model)]
    prefixes = asked.split("/")[:-1]
    hosts = [_PROVIDERS.get(prefix, prefix) for prefix in prefixes]
    for served_by in dict.fromkeys((provider, *hosts, None)):
        for name in dict.fromkeys(("/".join(asked.split("/")[1:]), *names) if served_by in hosts else names):
            yield served_by, name
    for name in names:
        for beginning, maker in _MAKERS.items():
            if name.startswith(beginning):
                yield "openrouter", f"{maker}/{name}"


def _is_priced(prices: ModelPrice) -> bool:
    return any(getattr(prices, name) is not None for name in ("input_mtok", "output_mtok", "requests_kcount"))


def _rate(prices: ModelPrice) -> Rate:
    """The rate of one tier, with the thresholds of all its prices in one list."""
    starts = {
        tier.start
        for names in _PRICES.values()
        for name in names
        for tier in getattr(getattr(prices, name), "tiers", ())
    }
    long = tuple((start, _rate_above(prices, start)) for start in sorted(starts))
    return replace(_rate_above(prices, 0), long=long)


def _rate_above(prices: ModelPrice, tokens: int) -> Rate:
    values = {field: _price(prices, names, tokens) for field, names in _PRICES.items()}
    plain, write = values["input"] or 0, values["cache_write"]
    write = plain if write is None else write
    return Rate(
        input=plain,
        output=values["output"] or 0,
        cache_read=plain if values["cache_read"] is None else values["cache_read"],
        cache_write=write,
        cache_write_1h=write if values["cache_write_1h"] is None else values["cache_write_1h"],
        reasoning=values["reasoning"],
        input_audio=values["input_audio"],
        output_audio=values["output_audio"],
        input_image=values["input_image"],
        call=_whole(prices.requests_kcount or 0, _PER_THOUSAND),
    )


def _price(prices: ModelPrice, names: tuple[str, ...], tokens: int) -> int | None:
    """The price above so many input tokens, by the first of the names that is priced."""
    for name in names:
        price: Any = getattr(prices, name)
        if price is None:
            continue
        for tier in reversed(getattr(price, "tiers", ())):
            if tokens >= tier.start:
                return _whole(tier.price, _PER_MILLION)
        return _whole(getattr(price, "base", price), _PER_MILLION)
    return None


def _tools(prices: ModelPrice) -> dict[str, int]:
    found: dict[str, Any] = {name: getattr(prices, key) for name, key in _TOOLS.items()}
    return {
        name: _whole(getattr(price, "base", price), _PER_THOUSAND) for name, price in found.items() if price is not None
    }


def _whole(price: Any, unit: Decimal) -> int:
    return int((price * unit).to_integral_value(ROUND_CEILING))


def _next_change(info: ModelInfo, moment: datetime) -> float:
    """The POSIX time at which the next dated or hourly price of the model begins or ends."""
    from genai_prices.types import StartDateConstraint, TimeOfDateConstraint

    changes: list[datetime] = []
    for constraint in _constraints(info):
        if isinstance(constraint, StartDateConstraint):
            changes.append(datetime.combine(constraint.start_date, datetime.min.time(), UTC))
        elif isinstance(constraint, TimeOfDateConstraint):
            for edge in (constraint.start_time, constraint.end_time):
                zone = edge.tzinfo or UTC
                today = datetime.combine(moment.astimezone(zone).date(), edge.replace(tzinfo=zone))
                changes += [today, today + timedelta(days=1)]
    return min((change.timestamp() for change in changes if change > moment), default=float("inf"))


def _constraints(info: ModelInfo) -> Iterator[object]:
    if isinstance(info.prices, list):
        yield from (conditional.constraint for conditional in info.prices)
    yield from (variant.constraint for variant in info.price_variants or ())
