"""One limit of a budget: how much of what, per window, and whose."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import tzinfo
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from agentprod.budget.holders import By, Holder
from agentprod.budget.windows import Per, Period, Window
from agentprod.errors import ConfigError
from agentprod.stores.base import MOST, Claim

if TYPE_CHECKING:
    from agentprod.call import Call

__all__ = ["NANO", "Bound", "Dimension", "Limit", "LimitOptions", "Money", "bounds_of", "in_units", "nano_usd"]

Dimension = Literal["tokens", "usd", "calls"]
Money: TypeAlias = "Decimal | float | str"
"""Dollars; `"0.01"` and `Decimal("0.01")` are exact."""

NANO = 10**9
"""Nano-dollars in a dollar."""

_DAY = 86_400.0
_RUN_KEPT = 7 * _DAY
# An application that lowers the precision of its thread's context must not lose cents here.
_EXACT = Context(prec=60)


class LimitOptions(TypedDict, total=False):
    """The options of a `Limit` that `TokenBudget` takes for a single one."""

    tokens: float | Callable[[Call], float] | None
    usd: Money | Callable[[Call], Money] | None
    calls: float | Callable[[Call], float] | None
    per: Per
    by: By
    tz: str | tzinfo
    soft: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How much may be used in a window, and by whom.

    ```python
    ap.Limit(usd=5, per="day", by="user", tz="Asia/Shanghai")
    ap.Limit(tokens=2_000_000, per="month", by="tenant")
    ap.Limit(usd=1.25, per="run")  # what runs within the run spend is its own
    ap.Limit(usd=lambda call: 50 if call.context.tags.get("plan") == "pro" else 1, by="user")
    ```

    Args:
        tokens: input and output tokens of all attempts together, or a callable `(call) -> tokens`.

        usd: dollars of all attempts, held as whole nano-dollars, or a callable `(call) -> dollars`.

        calls: logical calls: retries and further legs of one call are not counted again.

        per: `"minute" "hour" "day" "week" "month"` of the calendar, `"run"`, `"total"`, or the length of a rolling
            window (seconds or `timedelta`).

        by: `"global" "user" "team" "tenant" "conversation" "run" "model" "endpoint" "account"`, several of them as a
            tuple (each user within each team), or a callable `(call) -> str`.

        tz: time zone of the calendar's windows, by name or as `tzinfo`.

        soft: part of the limit, above 0 up to 1, from which on `on_soft` acts; `None` for never.

        name: what it is called in errors, notes and metrics; by default from `by` and `per`.

    Raises:
        ConfigError: an option is out of range, or nothing is limited.
    """

    tokens: float | Callable[[Call], float] | None = None
    usd: Money | Callable[[Call], Money] | None = None
    calls: float | Callable[[Call], float] | None = None
    per: Per = "day"
    by: By = "global"
    tz: str | tzinfo = "UTC"
    soft: float | None = 0.8
    name: str | None = None

    def __post_init__(self) -> None:
        if self.tokens is None and self.usd is None and self.calls is None:
            raise ConfigError("a Limit needs something to limit: tokens=, usd= or calls=")
        for dimension in ("tokens", "usd", "calls"):
            amount = getattr(self, dimension)
            if amount is not None and not callable(amount):
                in_units(dimension, amount)
        if self.soft is not None and not (
            isinstance(self.soft, int | float) and not isinstance(self.soft, bool) and 0 < self.soft <= 1
        ):
            raise ConfigError(f"a Limit's soft= is a part above 0 up to 1, or None, not {self.soft!r}")
        if self.name is not None and (not isinstance(self.name, str) or not 0 < len(self.name) <= 100):
            raise ConfigError("a Limit's name= has 1 to 100 characters")
        Period(self.per, self.tz)
        Holder(self.by)


class Bound:
    """One dimension of one limit, ready to be claimed."""

    __slots__ = ("_amount", "_fn", "dimension", "holder", "name", "period", "soft")

    def __init__(self, limit: Limit, dimension: Dimension, name: str, holder: Holder, period: Period) -> None:
        self.dimension: Dimension = dimension
        self.name = name
        self.holder = holder
        self.period = period
        self.soft = limit.soft
        amount = getattr(limit, dimension)
        self._fn = amount if callable(amount) else None
        self._amount = 0 if callable(amount) else in_units(dimension, amount)

    def units(self, call: Call | None) -> int | None:
        """Return the limit in whole units; `None` where only a call can tell.

        Raises:
            ConfigError: a callable returned no amount.
        """
        if self._fn is None:
            return self._amount
        return None if call is None else in_units(self.dimension, self._fn(call))

    def claim(self, key: str, now: float, amount: int, floor: int, limit: int | None) -> Claim:
        """Return the claim of an attempt on the window that holds now (POSIX time)."""
        window = self.period.window(now)
        also: tuple[str, ...] = ()
        if self.period.is_rolling:
            also = tuple(self.counter(key, bucket) for bucket in self.period.buckets(now)[1:])
        return Claim(self.counter(key, window), amount, limit, min(floor, amount), self.kept(window, now), also)

    def counter(self, key: str, window: Window) -> str:
        """Return the name of a counter."""
        return f"{self.name}|{self.dimension}|{key}|{window.key}"

    def counters(self, key: str, now: float) -> list[str]:
        """Return the names of the counters that together count against the limit now."""
        return [self.counter(key, window) for window in self.period.buckets(now)]

    def kept(self, window: Window, now: float) -> float | None:
        """Return the seconds for which a counter is of use: a day longer than its window, for late settlements."""
        if self.period.seconds is not None:
            return self.period.seconds * 1.1 + _DAY
        if window.end == math.inf:
            return _RUN_KEPT if self.period.name == "run" else None
        return window.end - now + _DAY

    def resets_at(self, now: float) -> float | None:
        """Return the POSIX time at which more becomes free by itself; `None` when it never does."""
        end = self.period.window(now).end
        return None if end == math.inf else end

    def shown(self, units: float) -> float:
        """Return units as people count them."""
        return units / NANO if self.dimension == "usd" else units

    def __repr__(self) -> str:
        return f"Bound({self.name}, {self.dimension})"


def bounds_of(limits: Sequence[Limit]) -> tuple[Bound, ...]:
    """Return every dimension of every limit.

    Raises:
        ConfigError: something is no limit, or two count the same thing under one name.
    """
    found: list[Bound] = []
    for limit in limits:
        if not isinstance(limit, Limit):
            raise ConfigError(f"TokenBudget takes ap.Limit(...) objects, not a {type(limit).__name__}")
        period = Period(limit.per, limit.tz)
        holder = Holder(limit.by)
        if period.name == "run":
            holder = holder.with_run()
        name = limit.name or f"{holder.label} {'in total' if period.name == 'total' else f'per {period.name}'}"
        dimensions: tuple[Dimension, ...] = ("tokens", "usd", "calls")
        for dimension in dimensions:
            if getattr(limit, dimension) is None:
                continue
            if any((each.name, each.dimension) == (name, dimension) for each in found):
                raise ConfigError(f"two limits of {dimension} are called {name!r}: give one of them name=")
            found.append(Bound(limit, dimension, name, holder, period))
    return tuple(found)


def nano_usd(usd: Decimal) -> int:
    """Return dollars as whole nano-dollars, rounded up, so that a sum of many is never too low."""
    return int(_EXACT.scaleb(usd, 9).to_integral_value(ROUND_CEILING, _EXACT))


def in_units(dimension: str, amount: Any) -> int:
    """Return an amount as whole units, rounded down: a limit is never more than what was asked for.

    Args:
        dimension: `"tokens"`, `"usd"` (whose unit is the nano-dollar) or `"calls"`.

        amount: as the user wrote it.

    Raises:
        ConfigError: it is no number, negative, or beyond what counters hold.
    """
    number = Decimal("nan")
    # Money may be written as a text, to be exact; a text of tokens is a value that nobody has read.
    if not isinstance(amount, bool) and (dimension == "usd" or not isinstance(amount, str)):
        with suppress(InvalidOperation):
            number = Decimal(str(amount))
    units = _EXACT.scaleb(number, 9) if dimension == "usd" and number.is_finite() else number
    if not units.is_finite() or not 0 <= units <= MOST:
        what = "dollars" if dimension == "usd" else dimension
        raise ConfigError(
            f"a Limit's {dimension}= is a number of {what} from 0 to {MOST // NANO if dimension == 'usd' else MOST:,}, "
            f"not {amount!r}"
        )
    return int(units.to_integral_value(ROUND_FLOOR, _EXACT))
