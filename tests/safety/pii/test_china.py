"""Identifiers of mainland China, Hong Kong and Taiwan."""

# ruff: noqa: E501 - tables of texts and what is expected of them
from __future__ import annotations

import random

import pytest

from benchmarks import pii_generator as generator
from tests.safety.pii.finding import entities, found


@pytest.mark.parametrize(
    "value", ["11010519491231002X", "11010519491231002x", "110105 19491231 002X", "110105-19491231-002X"]
)
def test_an_identity_number_with_its_check_character_is_found(value: str) -> None:
    """GB 11643 holds, and Chinese characters may touch the number."""
    assert found(f"身份证号{value}已核验") == [("CN_ID", value)]


@pytest.mark.parametrize(
    "text",
    ["110105194912310021", "11010519491331002X", "99999919491231002X", "身份证 110105194912310020", "00110519491231002X", "1234511010519491231002X"],
)  # fmt: skip
def test_an_invalid_identity_number_is_not(text: str) -> None:
    """A wrong check character, month or province, or a longer number, is left alone."""
    assert "CN_ID" not in entities(text)


def test_a_number_of_before_1999_needs_its_word() -> None:
    """Fifteen digits have no check digit."""
    assert found("身份证130503670401001") == [("CN_ID", "130503670401001")]
    assert "CN_ID" not in entities("编号130503670401001")


@pytest.mark.parametrize("value", ["91230184MA1BUFLT44", "92371000MA3MXH0E3W", "91350100M000100Y43"])
def test_a_credit_code_is_found(value: str) -> None:
    """GB 32100 holds."""
    assert found(f"公司{value}开票") == [("CN_USCC", value)]


def test_eighteen_digits_that_pass_by_chance_are_no_credit_code() -> None:
    """One in 31 numbers passes the check character, so digits alone need the code inside, or a word."""
    rng = random.Random(5)
    passing = [code for code in ("9" + generator.digits(rng, 17) for _ in range(3000)) if _uscc_check(code)]
    assert len(passing) > 50
    alone = [code for code in passing if "CN_USCC" in entities(f"x {code} y")]
    assert len(alone) < len(passing) / 5
    assert all("CN_USCC" in entities(f"统一社会信用代码{code}") for code in passing)


def _uscc_check(code: str) -> bool:
    total = sum(int(char) * pow(3, place, 31) for place, char in enumerate(code[:17]))
    return "0123456789ABCDEFGHJKLMNPQRTUWXY"[(31 - total % 31) % 31] == code[17]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("护照E12345678到期", "E12345678"), ("持EA1234567入境", "EA1234567"), ("passport g12345678", "g12345678"), ("港澳通行证C12345678", "C12345678"),
        ("回乡证H1234567890", "H1234567890"), ("台胞证号12345678", "12345678"), ("护照号码：141234567", "141234567"), ("护照DE1234567", "DE1234567"), ("张三/EM7873389/上海", "EM7873389"),
    ],
)  # fmt: skip
def test_passports_and_permits_are_found(text: str, value: str) -> None:
    """Ordinary passports by their shape, permits and old numbers behind their word."""
    assert found(text) == [("CN_PASSPORT", value)]


@pytest.mark.parametrize(
    "text",
    [
        "订单E12345678",
        "型号G12345678",
        "H12345678",
        "e12345678",
        "XE12345678",
        "E1234567",
        "E12345678-1",
        "id=E12345678",
        "/items/E12345678",
        "护照12345678901",
    ],
)
def test_other_codes_are_no_passports(text: str) -> None:
    """Order and model numbers, and permits without their word, are left alone."""
    assert "CN_PASSPORT" not in entities(text)


@pytest.mark.parametrize(
    "value",
    [
        "京A12345",
        "粤B·12345",
        "沪A D1234 5".replace(" 5", "5"),
        "京AD92035",
        "京A12345D",
        "粤Z1234港",
        "甘G23459F",
        "琼A1234学",
        "京A 12345",
    ],
)
def test_plates_are_found(value: str) -> None:
    """Five places, six for new-energy vehicles, and special plates; a separator is allowed."""
    assert found(f"车牌{value}停在门口") == [("CN_PLATE", value)]


def test_a_police_plate_is_found() -> None:
    """WJ and a province."""
    assert found("车牌WJ京1234X") == [("CN_PLATE", "WJ京1234X")]


@pytest.mark.parametrize(
    "text", ["宁AD1234555555", "浙苏H6F681", "京东ABCDE", "川ABCDEF", "京A1234", "云IO1234", "xWJ京1234X"]
)
def test_other_characters_are_no_plates(text: str) -> None:
    """Too long, too short, or with too few digits."""
    assert "CN_PLATE" not in entities(text)


def test_hong_kong_and_taiwan_numbers_are_found() -> None:
    """The check character must hold; without brackets, or in Taiwan, a word is needed."""
    assert found("證件A123456(3)") == [("HK_ID", "A123456(3)")]
    assert found("香港身份证AB987654(3)") == [("HK_ID", "AB987654(3)")]
    assert found("HKID A1234563") == [("HK_ID", "A1234563")]
    assert found("編號A1234563") == found("A123456(4)") == found("xx_A123456(3)") == []
    assert found("身分證字號A123456789") == [("TW_ID", "A123456789")]
    assert found("A123456789") == []
