"""Check digits from their standards, against values that others published."""

# ruff: noqa: E501 - tables of values and what is expected of them
from __future__ import annotations

from collections.abc import Callable

import pytest

from agentprod.safety.pii import checksums as check


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (check.luhn_ok, "79927398713", "79927398710"), (check.iban_ok, "GB82WEST12345698765432", "GB83WEST12345698765432"), (check.cn_id_ok, "11010519491231002X", "110105194912310021"),
        (check.cn_uscc_ok, "91350100M000100Y43", "91350100M000100Y44"), (check.hk_id_ok, "A1234563", "A1234564"), (check.hk_id_ok, "AB9876543", "AB9876542"), (check.hk_id_ok, "C6686689", "C6686681"),
        (check.tw_id_ok, "A123456789", "A123456788"), (check.cn_id_ok, "911124198108030024", "911124198108030025"), (check.cn_uscc_ok, "91350100M000100Y43", "91350100I000100Y43"),
    ],
)  # fmt: skip
def test_a_check_digit_holds_or_not(rule: Callable[[str], bool], good: str, bad: str) -> None:
    """The published value passes, one character off does not."""
    assert rule(good)
    assert not rule(bad)


@pytest.mark.parametrize(
    "number",
    ["11010518991231002X", "110105194902310020", "090105194912310028"],
)
def test_an_identity_number_needs_a_real_day_and_province(number: str) -> None:
    """Before 1900, 31 February, and a province that does not exist."""
    assert not check.cn_id_ok(number)


def test_addresses_of_wallets() -> None:
    """Version bytes and prefixes come out when the checksum holds."""
    assert check.base58check_version("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2") == 0
    assert check.base58check_version("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3") is None
    assert check.base58check_version("0OIl") is None
    assert check.base58check_version("z" * 60) is None
    assert check.bech32_prefix("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq") == "bc"
    assert check.bech32_prefix("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdz") is None
    assert check.bech32_prefix("bc1b") is None
    assert check.bech32_prefix("qqqq") is None


def test_the_calendar() -> None:
    """Leap years count."""
    assert check.valid_date(2000, 2, 29)
    assert not check.valid_date(1900, 2, 29)
