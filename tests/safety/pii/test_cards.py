"""Payment cards and Chinese bank cards."""

# ruff: noqa: E501 - tables of texts and what is expected of them
from __future__ import annotations

import pytest

from tests.safety.pii.finding import entities, found


@pytest.mark.parametrize(
    "value",
    ["4111111111111111", "4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005", "3782 822463 10005", "30569309025904", "3530111333300000", "2223003122003222"],
)  # fmt: skip
def test_cards_of_known_issuers_are_found(value: str) -> None:
    """A Luhn number in an issuer's range is a card, in any usual grouping."""
    assert found(f"it is {value}.") == [("CREDIT_CARD", value)]


@pytest.mark.parametrize(
    "value", ["6222020111122220002", "6222 0201 1112 2220 002", "6228480402564890018", "622848 0402564890018"]
)
def test_unionpay_numbers_are_chinese_bank_cards(value: str) -> None:
    """UnionPay's ranges are reported as `CN_BANK_CARD`."""
    assert found(f"请转到{value}谢谢") == [("CN_BANK_CARD", value)]


def test_a_chinese_card_number_without_luhn_needs_its_word() -> None:
    """Behind 银行卡 a number of a Chinese range is taken even when its check digit is wrong; alone it is not."""
    assert found("银行卡6222026006705354001") == [("CN_BANK_CARD", "6222026006705354001")]
    assert "CN_BANK_CARD" not in entities("数字6222026006705354001")


def test_a_luhn_number_without_a_known_issuer_needs_its_word() -> None:
    """Behind "card" any Luhn number is a card; alone it may be anything."""
    assert found("my card 1234567890123452") == [("CREDIT_CARD", "1234567890123452")]
    assert found("收款账号 1234567890123452") == [("CN_BANK_CARD", "1234567890123452")]
    assert found("it is 1234567890123452") == []


@pytest.mark.parametrize(
    "text",
    ["order 4111111111111111", "trace_id=4111111111111111", "订单号4111111111111111", "4111111111111112", "0000000000000000", "x4111111111111111", "5018000000009", "4.4111111111111111"],
)  # fmt: skip
def test_other_long_numbers_are_left_alone(text: str) -> None:
    """Orders, trace ids, wrong check digits and parts of longer words are no cards."""
    assert entities(text) & {"CREDIT_CARD", "CN_BANK_CARD"} == set()


def test_the_expiry_date_is_not_part_of_the_card() -> None:
    """What is printed behind the number stays out."""
    assert found("4111 1111 1111 1111 12/27") == [("CREDIT_CARD", "4111 1111 1111 1111")]
    assert found("4111 1111 1111 1111 123") == [("CREDIT_CARD", "4111 1111 1111 1111")]


def test_a_card_behind_other_digits_is_found() -> None:
    """A candidate that fails does not swallow the card behind it."""
    assert found("12 4111 1111 1111 1111") == [("CREDIT_CARD", "4111 1111 1111 1111")]
