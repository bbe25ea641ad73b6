"""What model calls cost.

Prices come, in this order, from what you set with `override`, from the genai-prices package when it is installed
(`pip install "agentprod[prices]"`), and from a built-in table of list prices. A model that none of them knows is never
free: it is charged the highest price its vendor lists, with one warning.

List prices go stale: `checked` tells the day on which the built-in ones were taken.
"""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal

from agentprod.budget import genai_rates
from agentprod.budget.list_prices import dearest, listed
from agentprod.budget.model_names import vendor_of
from agentprod.budget.overrides import Discount, Override, Overrides, Price, discount
from agentprod.budget.price_table import CHECKED
from agentprod.budget.rates import Cost, Rate
from agentprod.errors import AgentprodWarning, ConfigError
from agentprod.usage import Usage

__all__ = [
    "STALE_AFTER",
    "Cost",
    "Discount",
    "Price",
    "PriceBook",
    "Rate",
    "checked",
    "clear",
    "default",
    "discount",
    "lookup",
    "override",
    "price",
    "rate",
]

_VERSION = CHECKED.isoformat()
STALE_AFTER = 90
"""Days after which the built-in table logs that it is old."""

_MOST_KEPT = 4096
"""Names of models may come from users, so what is kept per name is bounded."""

_SHORT_NAMES = {
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "aws.bedrock": "bedrock",
    "gcp.vertex_ai": "vertex",
    "gcp.gemini": "gemini",
}
"""OpenTelemetry's names of providers, by which spans and targets call them, as people write them."""

_log = logging.getLogger("agentprod.prices")


@dataclass(frozen=True, slots=True)
class _Entry:
    rate: Rate
    known: bool
    until: float


class PriceBook:
    """Prices of models, with your own on top.

    One book serves every thread. A stack takes its own with `Stack(prices=...)`; otherwise all share `default`.

    Args:
        overrides: as for `override`.

        now: returns the POSIX time.

    Raises:
        ConfigError: when an override is not a price.
    """

    def __init__(
        self, overrides: Mapping[str, Override] | None = None, *, now: Callable[[], float] = time.time
    ) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._overrides = Overrides()
        self._entries: dict[tuple[str, str | None], _Entry] = {}
        self._warned: set[str] = set()
        self._said_stale = False
        if overrides:
            self.override(overrides)

    def override(self, overrides: Mapping[str, Override], *, since: date | datetime | None = None) -> None:
        """Set your own prices, from now on or from a day on.

        Later ones win over earlier ones. A key is a model's name, with or without a provider before a slash; `*` and
        `?` match as in file names. A value is

        - a mapping of dollars per million tokens (the arguments of `Rate.per_million`); what it leaves out is taken
          from the list price,
        - a `Rate`,
        - the name of another model, whose prices then hold (a deployment's alias),
        - `discount(0.15)` for 15 percent off the list price,
        - `0` for what runs on machines of your own.

        Args:
            overrides: values by model.

            since: the day (UTC) or the aware moment from which they hold; at once when `None`.

        Raises:
            ConfigError: when a value is not a price, or a new price lacks input or output.
        """
        with self._lock:
            self._overrides = self._overrides.plus(overrides, since, lambda name: self._list_price(name, None)[0])
            self._entries = {}

    @property
    def version(self) -> str:
        """The day on which the list prices were taken, as spans tell it beside a cost."""
        return _VERSION

    def clear(self) -> None:
        """Forget every override and every warning given."""
        with self._lock:
            self._overrides = Overrides()
            self._entries = {}
            self._warned = set()

    def lookup(self, model: str, provider: str | None = None) -> Rate | None:
        """Return what a model charges.

        Args:
            model: the name as it stands in the request or reply: dated, prefixed or a cloud's identifier.

            provider: who serves it, when known: `"openai"`, `"azure"`, `"bedrock"` …

        Returns:
            The rate, or `None` when nothing knows the model.
        """
        entry = self._entry(model, provider)
        return entry.rate if entry.known else None

    def rate(self, model: str, provider: str | None = None) -> Rate:
        """Return what a model charges, or the upper bound of its vendor's prices when nothing knows it.

        Warns once (`AgentprodWarning`) for every model that is not known.

        Args:
            model: the name as it stands in the request or reply.

            provider: who serves it, when known.

        Returns:
            The rate; its `source` is `"unknown"` when it is the upper bound.
        """
        entry = self._entry(model, provider)
        if not entry.known:
            self._warn_unknown(model, entry.rate)
        return entry.rate

    def price(
        self,
        model: str,
        usage: Usage | None = None,
        *,
        input: int = 0,
        output: int = 0,
        cache_read: int = 0,
        cache_write: int = 0,
        cache_write_1h: int = 0,
        reasoning: int = 0,
        input_audio: int = 0,
        output_audio: int = 0,
        tools: Mapping[str, int] | None = None,
        tier: str | None = None,
        provider: str | None = None,
    ) -> Cost:
        """Price one call.

        Args:
            model: the name as it stands in the request or reply.

            usage: the counts as reported; otherwise give them one by one.

            input: all input tokens, the cached ones included.

            output: all output tokens, reasoning included.

            cache_read: the part of `input` read from the cache.

            cache_write: the part of `input` written to the cache.

            cache_write_1h: the part of `cache_write` kept for an hour.

            reasoning: the part of `output` that is reasoning.

            input_audio: the part of `input` that is audio.

            output_audio: the part of `output` that is audio.

            tools: calls of tools the provider runs, by name.

            tier: service tier, such as `"batch"`, `"flex"`, `"priority"`; it wins over the usage's own.

            provider: who serves the model, when known.

        Returns:
            The exact cost. For a model that nothing knows, an upper bound with source `"unknown"`.

        Raises:
            ConfigError: a count given one by one is no whole number of tokens.
        """
        if usage is None:
            counts = {
                "input": input,
                "output": output,
                "cache_read": cache_read,
                "cache_write": cache_write,
                "cache_write_1h": cache_write_1h,
                "reasoning": reasoning,
                "input_audio": input_audio,
                "output_audio": output_audio,
                **(tools or {}),
            }
            _check_counts(counts)
            usage = Usage(
                input_tokens=input,
                output_tokens=output,
                cache_read_tokens=cache_read,
                cache_write_tokens=cache_write,
                cache_write_1h_tokens=cache_write_1h,
                reasoning_tokens=reasoning,
                input_audio_tokens=input_audio,
                output_audio_tokens=output_audio,
                server_tool_calls=tools or {},
                service_tier=tier,
            )
        elif tier is not None:
            parts = tuple((name, replace(part, service_tier=tier)) for name, part in usage.parts)
            usage = replace(usage, service_tier=tier, parts=parts)
        entry = self._entry(model, provider)
        rate = entry.rate
        if not entry.known:
            self._warn_unknown(model, rate)
        if usage.parts:
            return self._parts_cost(model, usage, rate, provider)
        return Cost(rate.charge(usage), rate.source, rate.model)

    def __call__(self, provider: str, model: str | None, usage: Usage) -> Decimal | None:
        """Price an attempt, as `Stack(prices=...)` asks for it.

        Args:
            provider: who served it.

            model: the name asked for.

            usage: the counts.

        Returns:
            USD, or `None` when nothing knows the model or one that served a part of the reply.
        """
        if model is None:
            return None
        entry = self._entry(model, provider)
        if not entry.known:
            return None
        if not usage.parts:
            return Decimal(entry.rate.charge(usage)).scaleb(-15)
        if any(part is not None and self.lookup(part, provider) is None for part, _ in usage.parts):
            return None
        return self._parts_cost(model, usage, entry.rate, provider).usd

    def _parts_cost(self, model: str, usage: Usage, rate: Rate, provider: str | None) -> Cost:
        total, source = 0, rate.source
        for name, part in usage.parts:
            served = rate if name is None or name == model else self.rate(name, provider)
            source = "unknown" if served.source == "unknown" else source
            total += served.charge(part)
        return Cost(total, source, rate.model)

    def _entry(self, model: str, provider: str | None) -> _Entry:
        entry = self._entries.get((model, provider))
        if entry is None or entry.until <= self._now():
            entry = self._resolve(model, provider)
        return entry

    def _resolve(self, model: str, served_by: str | None) -> _Entry:
        with self._lock:
            now, provider = self._now(), _SHORT_NAMES.get(served_by or "", served_by)
            overrides = self._overrides
            own, until = overrides.find(model, provider, now)
            target = own if isinstance(own, str) else model
            hops = 0
            while isinstance(own, str) and hops < len(overrides):
                hops, target = hops + 1, own
                own, end = overrides.find(target, None, now)
                until = min(until, end)
            if isinstance(own, Rate):
                entry = _Entry(own, True, until)
            else:
                rate, end = self._list_price(target, provider if target is model else None)
                if rate is not None and isinstance(own, Discount):
                    rate = replace(own.apply(rate), source="override")
                bound = rate if rate is not None else replace(dearest(vendor_of(target) or provider), model=model)
                entry = _Entry(bound, rate is not None, min(until, end))
            if len(self._entries) >= _MOST_KEPT:
                self._entries = {}
            self._entries[model, served_by] = entry
            return entry

    def _list_price(self, model: str, provider: str | None) -> tuple[Rate | None, float]:
        now = self._now()
        found = genai_rates.compiled(model, provider, now)
        if found is not None:
            return found
        rate = listed(model)
        if rate is not None and not self._said_stale and (age := self._age(now)) > STALE_AFTER:
            self._said_stale = True
            _log.warning(
                "list prices are %d days old (taken %s): set your own with prices.override, or "
                'pip install --upgrade "agentprod[prices]"',
                age,
                CHECKED,
            )
        return rate, now + genai_rates.KEPT

    def _warn_unknown(self, model: str, bound: Rate) -> None:
        with self._lock:
            if model in self._warned or len(self._warned) >= _MOST_KEPT:
                return
            self._warned.add(model)
        warnings.warn(
            f"no price is known for model {model!r}: it is charged the highest listed price "
            f"(${bound.input / 10**9:g} input, ${bound.output / 10**9:g} output per million tokens); "
            "set it with ap.prices.override",
            AgentprodWarning,
            stacklevel=4,
        )

    @staticmethod
    def _age(now: float) -> int:
        return (datetime.fromtimestamp(now, UTC).date() - CHECKED).days


def _check_counts(counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise ConfigError(f"price: {name} is a whole number from 0, not {count!r}")


default = PriceBook()
"""The book used wherever none is given."""

override = default.override
"""Set prices of your own; see `PriceBook.override`."""

clear = default.clear
"""Forget the prices you set; see `PriceBook.clear`."""

lookup = default.lookup
"""Find a model's rate, if it has one; see `PriceBook.lookup`."""

rate = default.rate
"""Find a model's rate, or the one it is charged when nobody knows its own; see `PriceBook.rate`."""

price = default.price
"""Price one call: `price("gpt-5-mini", input=10_000, output=1_000)`; see `PriceBook.price` for all that it takes."""


def checked() -> date:
    """Return the day on which the built-in list prices were taken."""
    return CHECKED
