"""What one model charges, and what one reply cost, in exact integers.

Prices are held in femto-dollars (1e-15 USD) per token: a price of $0.0375 per million tokens is 37,500,000 of them,
so every published price is a whole number and sums have no rounding at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from agentprod.errors import ConfigError
from agentprod.usage import Usage

__all__ = ["FEMTO", "Cost", "Rate", "femto_per_token"]

FEMTO = 10**15
"""Femto-dollars in one dollar."""

_PER_NANO = 10**6
_DEARER_TIERS = frozenset({"priority", "fast"})


@dataclass(frozen=True, slots=True)
class Cost:
    """What a reply cost, exactly.

    `source` says where the prices came from: `"override"` (set by you), `"table"` (built in), `"genai-prices"`, or
    `"unknown"`: the model is not listed, and the cost is an upper bound.
    """

    femto_usd: int
    """The cost in femto-dollars (1e-15 USD)."""
    source: str
    model: str
    """The name under which the prices are listed."""

    @property
    def usd(self) -> Decimal:
        """The cost in dollars, exact to the last digit."""
        return Decimal(self.femto_usd).scaleb(-15)

    @property
    def nano_usd(self) -> int:
        """The cost in whole nano-dollars, rounded up, so that a sum of many is never too low."""
        return -(-self.femto_usd // _PER_NANO)

    @property
    def known(self) -> bool:
        """False when the model is not listed and the cost is an upper bound."""
        return self.source != "unknown"

    def __float__(self) -> float:
        return self.femto_usd / FEMTO

    def __str__(self) -> str:
        return f"${self.usd.normalize():f}"

    def __repr__(self) -> str:
        return f"Cost({self}, source={self.source!r}, model={self.model!r})"


@dataclass(frozen=True, slots=True)
class Rate:
    """Prices of one model in femto-dollars (1e-15 USD) per token; build one with `Rate.per_million`.

    A price that is `None` is not charged apart: those tokens cost what plain input or output costs.
    """

    input: int
    output: int
    cache_read: int
    cache_write: int
    """Written for five minutes, or for the provider's only lifetime."""
    cache_write_1h: int
    reasoning: int | None = None
    input_audio: int | None = None
    output_audio: int | None = None
    input_image: int | None = None
    call: int = 0
    """Femto-dollars for every call, whatever its tokens."""
    tools: Mapping[str, int] = field(default_factory=dict)
    """Femto-dollars for each call of a tool that the provider runs, by name as in `Usage.server_tool_calls`."""
    long: tuple[tuple[int, Rate], ...] = ()
    """`(threshold, rate)` ascending: above so many input tokens, the rate holds for the whole call."""
    tiers: Mapping[str, Rate] = field(default_factory=dict)
    """Rates of service tiers other than the standard one: `"batch"`, `"flex"`, `"priority"`, `"fast"`."""
    regions: Mapping[str, int] = field(default_factory=dict)
    """Percent of the token prices charged where `Usage.inference_geo` names the region."""
    dearer_percent: int = 250
    """Percent of the standard prices charged for a priority or fast tier that is not listed."""
    source: str = "override"
    model: str = ""

    @classmethod
    def per_million(
        cls,
        *,
        input: object,
        output: object = 0,
        cache_read: object = None,
        cache_write: object = None,
        cache_write_1h: object = None,
        reasoning: object = None,
        input_audio: object = None,
        output_audio: object = None,
        input_image: object = None,
        call: object = 0,
        tools: Mapping[str, object] | None = None,
    ) -> Rate:
        """Build a rate from dollars per million tokens, the unit of the vendors' price pages.

        Args:
            input: dollars per million input tokens; number, string or `Decimal`, not negative.

            output: the same for output; 0 for embeddings.

            cache_read: for input read from the cache; the input price when `None`.

            cache_write: for input written to the cache; the input price when `None`.

            cache_write_1h: for input cached for an hour; `cache_write` when `None`.

            reasoning: for reasoning tokens; the output price when `None`.

            input_audio: for audio in the input; the input price when `None`.

            output_audio: for audio in the output; the output price when `None`.

            input_image: for images in the input, by the token; the input price when `None`.

            call: dollars for every call.

            tools: dollars for one call of each server tool.

        Returns:
            The rate.

        Raises:
            ConfigError: when a price is negative, not a number, or finer than 1e-15 dollars per token.
        """
        plain = femto_per_token(input, "input")
        write = plain if cache_write is None else femto_per_token(cache_write, "cache_write")
        return cls(
            input=plain,
            output=femto_per_token(output, "output"),
            cache_read=plain if cache_read is None else femto_per_token(cache_read, "cache_read"),
            cache_write=write,
            cache_write_1h=write if cache_write_1h is None else femto_per_token(cache_write_1h, "cache_write_1h"),
            reasoning=None if reasoning is None else femto_per_token(reasoning, "reasoning"),
            input_audio=None if input_audio is None else femto_per_token(input_audio, "input_audio"),
            output_audio=None if output_audio is None else femto_per_token(output_audio, "output_audio"),
            input_image=None if input_image is None else femto_per_token(input_image, "input_image"),
            call=femto_per_token(call, "call") * 10**6,
            tools={name: femto_per_token(price, f"tools[{name!r}]") * 10**6 for name, price in (tools or {}).items()},
        )

    def charge(self, usage: Usage) -> int:
        """Price a usage.

        The tier is `usage.service_tier`. A cheaper tier that is not listed costs what the standard tier costs, a
        dearer one `dearer_percent` of it. Audio and image tokens that may also be cached are charged as if they
        were not. A tool that is not listed costs as much as the dearest that is.

        Args:
            usage: the token counts.

        Returns:
            Femto-dollars.
        """
        rate = self
        tier = usage.service_tier
        if tier is not None and tier != "standard":
            rate = self.for_tier(tier)
        tokens_in = usage.input_tokens
        for threshold, dearer in rate.long:
            if tokens_in > threshold:
                rate = dearer
        tokens_out = usage.output_tokens
        total = rate.call
        read = usage.cache_read_tokens
        write = usage.cache_write_tokens
        if read or write:
            hour = usage.cache_write_1h_tokens
            tokens_in -= read + write
            total += read * rate.cache_read + (write - hour) * rate.cache_write + hour * rate.cache_write_1h
        if usage.input_audio_tokens and rate.input_audio is not None:
            tokens_in -= usage.input_audio_tokens
            total += usage.input_audio_tokens * rate.input_audio
        if usage.input_image_tokens and rate.input_image is not None:
            tokens_in -= usage.input_image_tokens
            total += usage.input_image_tokens * rate.input_image
        if usage.reasoning_tokens and rate.reasoning is not None:
            tokens_out -= usage.reasoning_tokens
            total += usage.reasoning_tokens * rate.reasoning
        if usage.output_audio_tokens and rate.output_audio is not None:
            tokens_out -= usage.output_audio_tokens
            total += usage.output_audio_tokens * rate.output_audio
        if tokens_in > 0:
            total += tokens_in * rate.input
        if tokens_out > 0:
            total += tokens_out * rate.output
        geo = usage.inference_geo
        if geo is not None and geo in self.regions:
            total = -(-total * self.regions[geo] // 100)
        if usage.server_tool_calls:
            dearest = max(self.tools.values(), default=0)
            total += sum(self.tools.get(name, dearest) * count for name, count in usage.server_tool_calls.items())
        return total

    def cost(self, usage: Usage) -> Cost:
        """Price a usage.

        Args:
            usage: the token counts.

        Returns:
            The cost, with the source of this rate.
        """
        return Cost(self.charge(usage), self.source, self.model)

    def for_tier(self, tier: str) -> Rate:
        """Return the rate of a service tier.

        Args:
            tier: the provider's name of it, such as `"batch"` or `"priority"`.

        Returns:
            The listed rate; for a tier that is not listed, this one or a dearer one.
        """
        if tier in self.tiers:
            return self.tiers[tier]
        if tier not in _DEARER_TIERS:
            return self
        # OpenAI names the same tier "fast" when asked for and "priority" when served.
        for other in _DEARER_TIERS & self.tiers.keys():
            return self.tiers[other]
        return self.scaled(self.dearer_percent, 100)

    def scaled(self, numerator: int, denominator: int) -> Rate:
        """Return this rate with every token and call price multiplied by a fraction, rounded up.

        Args:
            numerator: not negative.

            denominator: positive.

        Returns:
            The new rate; prices of server tools stay.
        """

        def scale(price: int | None) -> int | None:
            return None if price is None else -(-price * numerator // denominator)

        changes: dict[str, Any] = {name: scale(getattr(self, name)) for name in _PRICES}
        changes["long"] = tuple((start, rate.scaled(numerator, denominator)) for start, rate in self.long)
        changes["tiers"] = {name: rate.scaled(numerator, denominator) for name, rate in self.tiers.items()}
        return replace(self, **changes)

    def upper(self, other: Rate) -> Rate:
        """Return the dearer of two rates, price by price, with all their tiers and thresholds folded in.

        Args:
            other: another rate.

        Returns:
            A rate under which no usage costs less than under either.
        """
        pool = [*self._all(), *other._all()]
        plain_in, plain_out = max(rate.input for rate in pool), max(rate.output for rate in pool)
        changes: dict[str, Any] = {
            name: max((price for rate in pool if (price := getattr(rate, name)) is not None), default=None)
            for name in _PRICES
        }
        for name in ("input_audio", "input_image"):
            changes[name] = None if changes[name] is None else max(changes[name], plain_in)
        for name in ("reasoning", "output_audio"):
            changes[name] = None if changes[name] is None else max(changes[name], plain_out)
        names = self.tools.keys() | other.tools.keys()
        changes["tools"] = {name: max(self.tools.get(name, 0), other.tools.get(name, 0)) for name in names}
        regions = self.regions.keys() | other.regions.keys()
        changes["regions"] = {name: max(self.regions.get(name, 100), other.regions.get(name, 100)) for name in regions}
        return replace(self, **changes, long=(), tiers={}, dearer_percent=100)

    def _all(self) -> list[Rate]:
        rates = [self, *self.tiers.values()]
        return rates + [dearer for rate in rates for _, dearer in rate.long]


_PRICES = tuple(
    item.name
    for item in fields(Rate)
    if item.name not in ("tools", "long", "tiers", "regions", "dearer_percent", "source", "model")
)


def femto_per_token(dollars_per_million: object, name: str = "price") -> int:
    """Turn dollars per million tokens into femto-dollars per token.

    Args:
        dollars_per_million: number, string or `Decimal`; floats are read as they print.

        name: what the price is of, for the error.

    Returns:
        The whole number of femto-dollars per token.

    Raises:
        ConfigError: when it is negative, not a finite number, or finer than 1e-9 dollars per million tokens.
    """
    try:
        price = Decimal(str(dollars_per_million)) if not isinstance(dollars_per_million, bool) else Decimal("nan")
    except InvalidOperation:
        price = Decimal("nan")
    if not price.is_finite() or price < 0:
        msg = f"{name}: expected dollars per million tokens, 0 or more, got a {type(dollars_per_million).__name__}"
        raise ConfigError(msg)
    femto = price.scaleb(9)
    if femto != femto.to_integral_value():
        raise ConfigError(f"{name}: at most 9 decimals of a dollar per million tokens can be held exactly")
    return int(femto)
