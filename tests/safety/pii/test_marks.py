"""Values between the marks of Markdown, and behind the dash and the words of a Chinese sentence."""

from __future__ import annotations

import pytest

from tests.safety.pii.finding import entities, found

VALUES = {
    "PHONE": "13812345678",
    "CREDIT_CARD": "4111111111111111",
    "CN_ID": "11010519491231002X",
    "CN_PASSPORT": "E12345678",
    "IBAN": "GB82WEST12345698765432",
    "IP": "10.1.2.3",
    "MAC": "a4:5e:60:c2:11:0f",
    "US_SSN": "536-22-1874",
    "HK_ID": "A123456(3)",
}


@pytest.mark.parametrize("entity", VALUES)
@pytest.mark.parametrize("text", ["see _{}_ ok", "__{}__", "***{}***", "`{}`", "~~{}~~", "我的——{}", "卡号–{}"])
def test_marks_around_a_value_do_not_hide_it(text: str, entity: str) -> None:
    """Emphasis, code, struck text, and a Chinese dash."""
    assert found(text.format(VALUES[entity])) == [(entity, VALUES[entity])]


@pytest.mark.parametrize(
    "text",
    [
        "blk_4111111111111111",
        "x--4111111111111111",
        "my_13812345678",
        "a____4111111111111111",
        "13812345678*2",
        "13812345678**2",
    ],
)
def test_a_name_with_marks_in_it_holds_no_value(text: str) -> None:
    """What follows `_` or `--` in an identifier is part of it."""
    assert entities(text) == set()


@pytest.mark.parametrize(
    ("text", "entity"),
    [
        ("我的DOB是1951年2月24日", "DATE_OF_BIRTH"),
        ("请看tel是8765 4321", "PHONE"),
        ("微信同号：198 36024897", "PHONE"),
        ("支付宝账号13812345678", "PHONE"),
        ("_date of birth_: _8 Oct 2010_", "DATE_OF_BIRTH"),
        ('<input name="dob" value="1951-07-23">', "DATE_OF_BIRTH"),
    ],
)
def test_words_may_touch_chinese_characters(text: str, entity: str) -> None:
    """A whole word ends where a Chinese character begins."""
    assert entity in entities(text)
