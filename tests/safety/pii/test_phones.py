"""Telephone numbers of any country, and the numbers that only look like one."""

# ruff: noqa: E501 - tables of texts and what is expected of them
from __future__ import annotations

import pytest

from tests.safety.pii.finding import entities, found


@pytest.mark.parametrize(
    "value",
    [
        "+14155552671", "+1 (415) 555-2671", "+44 (0)20 7946 0958", "+86 138 1234 5678", "+8613812345678", "0086-138-1234-5678", "+49 30 123456",
        "001-748-088-2851", "+33 6 12 34 56 78", "+39 06 1234 5678", "+690 7290", "(+86)13812345678", "00 44 20 7946 0958",
    ],
)  # fmt: skip
def test_a_country_code_is_enough(value: str) -> None:
    """Numbers with a country code need no word beside them, in any language."""
    assert found(f"Bob {value} London") == [("PHONE", value)]
    assert found(f"客户{value}已登记") == [("PHONE", value)]


@pytest.mark.parametrize(
    "value",
    [
        "13812345678", "138 1234 5678", "138-1234-5678", "86-13812345678", "010-12345678", "0571-88888888-123", "(021)68881234", "（010）12345678",
        "(978) 645-9740", "978-645-9740", "978.645.9740", "1-978-645-9740", "(978)645-9740x11144", "06 12 34 56 78", "030 123456 78", "8 (495) 123-45-67",
        "03-1234-5678", "07911 123456", "0792320732", "400-810-8888", "089/123456", "(11) 4706-6184", "978-645-9740 ext. 12", "010-12345678转802", "075520707019",
        "86-571-82923906", "86-0571-82923906", "(86-10)62781234", "(86)-10-62781234", "（86）10-6278 1234", "512/555-1234",
    ],
)  # fmt: skip
def test_a_strong_shape_is_enough(value: str) -> None:
    """Chinese mobile numbers and common groupings need no word beside them; the extension belongs to the number."""
    assert found(f"张三{value}李四") == [("PHONE", value)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("You can call 469 34 883", "469 34 883"), ("phone: 785 8949", "785 8949"), ("call me at 2813882583", "2813882583"), ("电话：62345678", "62345678"),
        ("Mon numéro de téléphone : 469 34 883", "469 34 883"), ("ruf mich an unter 469 34 883", "469 34 883"), ("Mi móvil 612345678", "612345678"),
        ("携帯:9012345678", "9012345678"), ("Kiel 68748\n96 228011-Office", "96 228011"), ("61 51 81 office", "61 51 81"), ("mobile13812345678", "13812345678"),
        ("打给+ 8613812345678", "8613812345678"), ("tel (28) 1234 ext", "(28) 1234"), ("phone: 0097222937585", "0097222937585"), ("电话 + 8613812345678", "+ 8613812345678"), ("①13812345678②", "13812345678"), ('const x = "13812345678";', "13812345678"), ("call 00971561714521", "00971561714521"),
        ("?contact_number=13812345678&a", "13812345678"), ("GET /u?tel=+1%20784-266-1234 HTTP/1.1", "+1%20784-266-1234"), ("Call +54 9 3236 8950", "+54 9 3236 8950"), ("Call +3892316562995", "+3892316562995"),
    ],
)  # fmt: skip
def test_a_word_beside_it_makes_digits_a_number(text: str, value: str) -> None:
    """Words in many languages, and the labels of business cards, name a number that has no shape of its own."""
    assert found(text) == [("PHONE", value)]


@pytest.mark.parametrize(
    "text",
    [
        "order 978-645-9740", "订单号13812345678已发货", "eventTime=13812345678", "id: 13812345678", "13812345678 bytes", "13812345678元", "$13812345678",
        "2019-08-01 12:30", "01-02-2023 10", "1939-1945 1950", "range 1000-5000", "The number range is 1000-5000", "call 2019", "phone 111111111",
        "0123456789", "000.000.000.000", "x = -13812345678", "3.13812345678", "12345678901234567890", "02110-1301", "J. Maths 1 (1975) 165-184",
        "011438 354772 088", "sum=01198544741", "047.123456", "[1700000000] call", "13812345678.25", "phone 20190801", "call\n\n123 4567",
        "04:05:06 11111111", "+1234567", "my phone number order 12345678", "978-645-9740-1234", "+86", "00 00 00 00 00 00 00", "+999 123 456 789",
        "订单编号：048138542619", "9400 1688 6550 0245 9701 65", "彩票：02 32 22 08 07 22",
        "工单14073394058已关闭", "手机价格5999元，库存 1234567 件", "拨打次数 1234567", "6222 0212 3456 7890 123", "电话费1234567元abc",
        "phone costs $1234567", "+1 555 12", "电话+", "(0)", "++1 1", "T+1 +1 +1 +1 +1 +1 +1",
    ],
)  # fmt: skip
def test_other_numbers_are_left_alone(text: str) -> None:
    """Orders, identifiers, amounts, dates, ranges, times, decimals and padded counters are no telephone numbers."""
    assert "PHONE" not in entities(text)


def test_a_date_behind_a_number_is_not_part_of_it() -> None:
    """The numbering plan says where a number with a country code ends."""
    assert found("+1 415 555 2671 2020") == [("PHONE", "+1 415 555 2671")]


def test_numbers_in_a_row_stay_apart() -> None:
    """Numbers with only a space or slash between them are found one by one."""
    assert [value for _, value in found("13812345678 13912345678/010-12345678")] == [
        "13812345678", "13912345678", "010-12345678",
    ]  # fmt: skip
    assert [value for _, value in found("电话010-62781234/62785678,62781235")] == [
        "010-62781234",
        "62785678",
        "62781235",
    ]


def test_letters_that_grow_in_lower_case_do_not_shift_offsets() -> None:
    """İ has two characters in lower case."""
    assert found("İİİİ phone 785 8949") == [("PHONE", "785 8949")]


def test_the_nearest_word_decides() -> None:
    """A word for a telephone that is nearer than "order" names the number."""
    assert found("order phone: 785 8949") == [("PHONE", "785 8949")]
    assert found("phone for order 785 8949") == []


@pytest.mark.parametrize(
    "value", ["٠١٠-١٢٣٤٥٦٧٨", "１３８１２３４５６７８", "138\u200b1234\u00ad5678", "978–645–9740", "१३८१२३४५६७८"]
)
def test_digits_of_other_scripts_and_disguises_are_found(value: str) -> None:
    """Full-width, Arabic and Devanagari digits, other dashes and invisible characters do not hide a number."""
    assert found(f"联系{value}吧") == [("PHONE", value)]


@pytest.mark.parametrize(
    "text",
    [
        "τηλ. 210 1234567",
        "मोबाइल 98765 43210",
        "जन फोन: 98765 43210",
        "هاتف 0501234567",
        "נייד 054-1234567",
        "โทร 02-123-4567",
    ],
)
def test_words_of_more_languages_name_a_telephone(text: str) -> None:
    """Greek, Hindi, Arabic, Hebrew and Thai."""
    assert "PHONE" in entities(text)


@pytest.mark.parametrize("word", ["Madrid", "Ingrid", "Astrid", "call anytime", "daytime"])
def test_a_name_that_ends_like_an_identifier_hides_no_telephone(word: str) -> None:
    """`userId 415-555-2671` is no telephone, `Ingrid 415-555-2671` is."""
    assert found(f"{word} 415-555-2671") == [("PHONE", "415-555-2671")]
    assert found("userId: 415-555-2671") == []
    assert found("userid=13812345678") == []


def test_an_assigned_number_in_groups_is_a_telephone() -> None:
    """Programs assign bare digits; people write groups."""
    assert found("contact = (415) 555-2671") == [("PHONE", "(415) 555-2671")]
    assert found("size = 4155552671") == []
    assert found("orderId = 415-555-2671") == []


def test_a_key_in_the_path_of_an_address_is_no_telephone() -> None:
    """Unless the path calls it one."""
    assert entities("https://shop.example/items/0642004048?t=1") == set()
    assert found("https://api.example/phone/0642004048") == [("PHONE", "0642004048")]
    assert found("https://wa.me/4917112345678?text=hi") == [("PHONE", "4917112345678")]


@pytest.mark.parametrize(
    "value", ["171.2418.5393", "198 36024897", "1306 5762 920", "0086 171-2418-5393", "(86)13912345678", "400 1234 567"]
)
def test_a_chinese_number_in_less_usual_groups_is_found(value: str) -> None:
    """As people read them out."""
    assert found(f"打给{value}就行") == [("PHONE", value)]
