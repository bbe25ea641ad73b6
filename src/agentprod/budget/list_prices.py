"""The built-in table of list prices, parsed on first use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache, reduce
from typing import Any

from agentprod.budget.model_names import candidates, is_regional_bedrock
from agentprod.budget.price_table import TABLE
from agentprod.budget.rates import Rate

__all__ = ["REGIONAL_PERCENT", "dearest", "listed"]

REGIONAL_PERCENT = 110
"""Percent charged for inference that stays in one region (Anthropic's and Amazon's price pages)."""

_FIELDS = ("input", "output", "cache_read", "cache_write", "cache_write_1h")


def listed(model: str) -> Rate | None:
    """Look a model up in the built-in table.

    Args:
        model: the name as it stands in the request or reply.

    Returns:
        The list price, or `None` when the model is not in the table.
    """
    names, _ = _table()
    for name in candidates(model):
        rate = names.get(name)
        if rate is not None:
            return rate.scaled(REGIONAL_PERCENT, 100) if is_regional_bedrock(model) else rate
    return None


@cache
def dearest(vendor: str | None) -> Rate:
    """Return the upper bound of what a vendor charges: the highest of each of its listed prices.

    Args:
        vendor: such as `"openai"`; the bound of all vendors when it is `None` or not listed.

    Returns:
        A rate under which no listed model of the vendor would cost more, with source `"unknown"`.
    """
    _, vendors = _table()
    rates = vendors.get(vendor or "") or [rate for group in vendors.values() for rate in group]
    return replace(reduce(Rate.upper, rates, rates[0]), source="unknown")


@cache
def _table() -> tuple[dict[str, Rate], dict[str, list[Rate]]]:
    """Rates by every name, and the rates of each vendor."""
    names: dict[str, Rate] = {}
    further: dict[str, Rate] = {}
    vendors: dict[str, list[Rate]] = {}
    tools: dict[str, int] = {}
    regions: dict[str, int] = {}
    vendor = ""
    # A line that begins with a space goes on with the one before it.
    for line in TABLE.strip().replace("\n ", " ").splitlines():
        words = line.split()
        if words[0].startswith("["):
            vendor = words[0].strip("[]")
            pairs = [word.split("=") for word in words[2:]]
            # Tools are listed by the thousand calls, tokens by the million.
            tools = {
                name: Rate.per_million(input=price).input * 1000
                for name, price in pairs
                if not name.startswith("region:")
            }
            regions = {
                name.removeprefix("region:"): int(price.rstrip("%"))
                for name, price in pairs
                if name.startswith("region:")
            }
            continue
        aliases = [part for word in words if "|" in word for part in word.split("|") if part]
        first = aliases[0] if aliases else words[0]
        prices = [word for word in words[1:] if "|" not in word]
        rate = replace(_parse(prices), tools=tools, regions=regions, source="table", model=first)
        # What Anthropic calls priority is capacity paid for in advance; its tokens cost the usual price.
        if vendor == "anthropic":
            rate = replace(rate, tiers={**rate.tiers, "priority": replace(rate, tiers={})})
        names[first] = rate
        vendors.setdefault(vendor, []).append(rate)
        for alias in aliases[1:]:
            further.setdefault(alias, rate)
    return {**further, **names}, vendors


def _parse(words: list[str]) -> Rate:
    """Read one model's prices: the standard ones first, then thresholds, tiers and prices apart."""
    standard: dict[str, str] = {}
    apart = dict(word.split("=") for word in words if "=" in word)
    groups: dict[tuple[str, int], dict[str, str]] = {}
    for word in words:
        if "=" in word:
            continue
        where, _, text = word.rpartition(":")
        tier, _, start = where.partition(">")
        prices = {name: price for name, price in zip(_FIELDS, text.split("/"), strict=False) if price}
        if not where:
            standard = prices
        groups[tier, int(start or 0)] = {**standard, **groups.get((tier, 0), {}), **prices}
    rates = {key: _rate(prices, apart) for key, prices in groups.items()}

    def with_long(tier: str) -> Rate:
        long = tuple((start, rate) for (name, start), rate in sorted(rates.items()) if name == tier and start)
        return replace(rates[tier, 0], long=long)

    tiers = {tier: with_long(tier) for tier, start in rates if tier and not start}
    return replace(with_long(""), tiers=tiers)


def _rate(prices: Mapping[str, str], apart: Mapping[str, str]) -> Rate:
    options: dict[str, Any] = {**prices, **apart}
    return Rate.per_million(**options)
