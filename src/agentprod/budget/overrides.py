"""Prices set by the user: exact names and patterns, aliases, discounts, each from a day on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from agentprod.budget.model_names import candidates
from agentprod.budget.rates import Rate
from agentprod.errors import ConfigError

__all__ = ["Discount", "Override", "Overrides", "Price", "discount"]

Price: TypeAlias = float | str | Decimal
"""Dollars per million tokens."""


@dataclass(frozen=True, slots=True)
class Discount:
    """A part taken off list prices, as exact hundred-thousandths; build one with `discount`."""

    off: int

    def apply(self, rate: Rate) -> Rate:
        """Return the rate with the part taken off, rounded up to the femto-dollar.

        Args:
            rate: the list price.
        """
        return rate.scaled(_WHOLE - self.off, _WHOLE)


Override: TypeAlias = "Rate | Discount | Mapping[str, Any] | str | int"
"""What `override` takes for one model."""

_WHOLE = 100_000
_FIELDS = ("input", "output", "cache_read", "cache_write", "cache_write_1h")


def discount(part: float | str | Decimal) -> Discount:
    """Return a discount on the list price.

    Args:
        part: what is taken off: 0.15 for 15 percent; from 0 up to, not including, 1, in steps of 0.00001.

    Raises:
        ConfigError: when it is out of range.
    """
    try:
        off = Decimal(str(part)) * _WHOLE
    except InvalidOperation:
        off = Decimal("nan")
    if not off.is_finite() or not 0 <= off < _WHOLE or off != off.to_integral_value():
        raise ConfigError("discount: expected a part from 0 up to, not including, 1, such as 0.15 for 15 percent")
    return Discount(int(off))


class Overrides:
    """An immutable stack of overrides, the latest on top."""

    def __init__(self, layers: tuple[tuple[float, dict[str, Rate | Discount | str]], ...] = ()) -> None:
        self._layers = layers

    def __len__(self) -> int:
        return sum(len(layer) for _, layer in self._layers)

    def plus(
        self,
        overrides: Mapping[str, Override],
        since: date | datetime | None,
        list_price: Callable[[str], Rate | None],
    ) -> Overrides:
        """Return these overrides with more on top.

        Args:
            overrides: values by model.

            since: from when they hold.

            list_price: finds what a partial price leaves out.

        Raises:
            ConfigError: when a value is not a price.
        """
        layer = {key.strip().lower(): _checked(key, value, list_price) for key, value in overrides.items()}
        return Overrides((*self._layers, (_start(since), layer)))

    def find(self, model: str, provider: str | None, now: float) -> tuple[Rate | Discount | str | None, float]:
        """Return the override that holds for a model now, and until when it may hold.

        Args:
            model: the name as it stands in the request or reply.

            provider: who serves it, when known.

            now: POSIX time.
        """
        until = min((start for start, _ in self._layers if start > now), default=float("inf"))
        whole = model.strip().lower()
        names = list(dict.fromkeys([whole, *candidates(model)]))
        if provider:
            names += [f"{provider}/{name}" for name in names]
        for start, layer in reversed(self._layers):
            if start > now:
                continue
            for name in names:
                if name in layer:
                    return layer[name], until
            for pattern, value in layer.items():
                if ("*" in pattern or "?" in pattern) and any(fnmatchcase(name, pattern) for name in names):
                    return value, until
        return None, until


def _checked(key: str, value: Override, list_price: Callable[[str], Rate | None]) -> Rate | Discount | str:
    if isinstance(value, Rate | Discount):
        return value
    if isinstance(value, str):
        return value.strip().lower()
    if isinstance(value, Mapping):
        return _from_mapping(key, value, list_price)
    if isinstance(value, bool) or value != 0:
        raise ConfigError(
            f"price of {key!r}: expected a mapping of dollars per million tokens, a Rate, another model's name, "
            f"discount(...) or 0, got a {type(value).__name__}"
        )
    return replace(Rate.per_million(input=0), dearer_percent=100, model=key)


def _from_mapping(key: str, prices: Mapping[str, Any], list_price: Callable[[str], Rate | None]) -> Rate:
    listed = list_price(key)
    if listed is None:
        missing = [name for name in ("input", "output") if name not in prices]
        if missing:
            raise ConfigError(f"price of {key!r}: {' and '.join(missing)} missing, and no list price to take it from")
    else:
        prices = {**{name: Decimal(getattr(listed, name)).scaleb(-9) for name in _FIELDS}, **prices}
    try:
        own = Rate.per_million(**prices)
    except ConfigError as error:
        raise ConfigError(f"price of {key!r}: {error}") from None
    except TypeError:
        known = "input, output, cache_read, cache_write, cache_write_1h, reasoning, input_audio, output_audio, "
        raise ConfigError(
            f"price of {key!r}: unknown kind of price; known are {known}input_image, call, tools"
        ) from None
    if listed is None:
        return replace(own, model=key)
    # Tiers and long calls charge a part or a multiple of the standard price, and do so when that one is your own.
    tiers = {name: _with_long(own.scaled(*_part(tier, listed)), tier) for name, tier in listed.tiers.items()}
    tools = own.tools or listed.tools
    return replace(_with_long(own, listed), tools=tools, regions=listed.regions, tiers=tiers, model=listed.model)


def _with_long(own: Rate, listed: Rate) -> Rate:
    return replace(own, long=tuple((start, own.scaled(*_part(rate, listed))) for start, rate in listed.long))


def _part(tier: Rate, standard: Rate) -> tuple[int, int]:
    """The fraction of the standard price that a tier charges."""
    return (tier.output, standard.output) if standard.output else (tier.input, standard.input or 1)


def _start(since: date | datetime | None) -> float:
    if since is None:
        return float("-inf")
    if isinstance(since, datetime):
        if since.tzinfo is None:
            raise ConfigError("since: expected a date or an aware datetime, got a datetime without a time zone")
        return since.timestamp()
    if not isinstance(since, date):
        raise ConfigError(f"since: expected a date or an aware datetime, got a {type(since).__name__}")
    return datetime.combine(since, time(), UTC).timestamp()
