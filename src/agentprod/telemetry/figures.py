"""Money, time and counts as people read them."""

from __future__ import annotations

from decimal import Decimal

__all__ = ["format_count", "format_rate", "format_seconds", "format_span", "format_usd"]


def format_usd(amount: Decimal | None) -> str:
    """Write an amount: cents from a dollar up, four digits below, two significant ones below $0.001.

    `None` is "n/a".
    """
    if amount is None:
        return "n/a"
    if amount == 0:
        return "$0"
    size = abs(amount)
    digits = 2 if size >= 1 else 4 if size >= Decimal("0.001") else min(1 - size.adjusted(), 12)
    return f"{'-' if amount < 0 else ''}${size:,.{digits}f}"


def format_seconds(seconds: float | None) -> str:
    """Write a duration in ms, s or min, with three digits; `None` is "-"."""
    if seconds is None:
        return "-"
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 99.95:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:,.1f} min"


def format_span(seconds: float) -> str:
    """Write the length of a window in its largest whole unit, as Prometheus does: 300 is "5m"."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds * 1000:.0f}ms" if seconds else "0s"


def format_count(number: float) -> str:
    """Write a count with three digits and k, M or G: 4100 is "4.1 k"."""
    for unit in ("", " k", " M"):
        if number < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:,.1f} G"


def format_rate(rate: float | None) -> str:
    """Write a share from 0 to 1 as per cent; `None` is "-"."""
    return "-" if rate is None else f"{rate * 100:.3g} %"
