"""Figures as people read them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agentprod.telemetry.figures import format_count, format_rate, format_seconds, format_span, format_usd


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "n/a"),
        ("0", "$0"),
        ("0.0000123", "$0.000012"),
        ("0.00099", "$0.00099"),
        ("0.0021", "$0.0021"),
        ("0.75", "$0.7500"),
        ("12.345", "$12.34"),
        ("1234567.8", "$1,234,567.80"),
        ("-0.5", "-$0.5000"),
        ("0.00000000000001", "$0.000000000000"),
    ],
)
def test_money(amount: str | None, text: str) -> None:
    """Small amounts keep two significant digits, large ones cents, unknown ones are not zero."""
    assert format_usd(None if amount is None else Decimal(amount)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.0, "0 ms"),
        (0.00123, "1.23 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (1.8, "1.8 s"),
        (99.9, "99.9 s"),
        (120.0, "2.0 min"),
        (7200000.0, "120,000.0 min"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    """Milliseconds, seconds and minutes change over where the number stays short."""
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1000, "1 k"), (4100, "4.1 k"), (999_499, "999 k"), (999_500, "1 M"), (2.5e9, "2.5 G")],
)
def test_counts(number: float, text: str) -> None:
    """Counts have three digits and a unit."""
    assert format_count(number) == text


@pytest.mark.parametrize(("rate", "text"), [(None, "-"), (0.5, "50 %"), (0.12345, "12.3 %"), (1.0, "100 %")])
def test_rates(rate: float | None, text: str) -> None:
    """Shares are per cent."""
    assert format_rate(rate) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0s"), (0.25, "250ms"), (5, "5s"), (90, "90s"), (300, "5m"), (3600, "1h"), (86400, "1d")],
)
def test_windows(seconds: float, text: str) -> None:
    """The length of a window is written as Prometheus writes it."""
    assert format_span(seconds) == text
