"""Social security numbers, IBANs, wallets and dates of birth."""

# ruff: noqa: E501 - tables of texts and what is expected of them
from __future__ import annotations

import pytest

from tests.safety.pii.finding import entities, found


@pytest.mark.parametrize(
    ("text", "value"),
    [("on file: 141-01-9056.", "141-01-9056"), ("SSN 141 01 9056", "141 01 9056"), ("ssn141019056", "141019056"), ("社会安全号141-01-9056", "141-01-9056")],
)  # fmt: skip
def test_social_security_numbers_are_found(text: str, value: str) -> None:
    """Hyphens are enough; other forms need their word."""
    assert found(text) == [("US_SSN", value)]


@pytest.mark.parametrize(
    "text",
    [
        "000-12-3456",
        "666-12-3456",
        "900-12-3456",
        "141-00-9056",
        "141-01-0000",
        "141 01 9056",
        "141019056",
        "141-01-90567",
        "1-141-01-9056",
        "141-01-9056-1",
    ],
)
def test_numbers_never_issued_are_left_alone(text: str) -> None:
    """Areas, groups and serials that do not exist, bare digits, and longer numbers."""
    assert "US_SSN" not in entities(text)


@pytest.mark.parametrize(
    "value",
    ["GB82WEST12345698765432", "GB82 WEST 1234 5698 7654 32", "gb82 west 1234 5698 7654 32", "DE89370400440532013000", "NO9386011117947", "MT84MALT011000012345MTLCAST001S"],
)  # fmt: skip
def test_ibans_are_found_in_any_grouping(value: str) -> None:
    """Length and checksum hold, whatever follows."""
    assert found(f"转到{value}谢谢") == found(f"to {value} and then") == found(f"x {value}") or value.islower()
    assert ("IBAN", value) in found(f"to {value} now")


@pytest.mark.parametrize(
    "text",
    [
        "GB82WEST12345698765433",
        "ZZ82WEST12345698765432",
        "XGB82WEST12345698765432",
        "GB82WEST1234569876543",
        "GB82WEST123456987654321",
    ],
)
def test_other_codes_are_no_ibans(text: str) -> None:
    """A wrong checksum, country or length."""
    assert "IBAN" not in entities(text)


@pytest.mark.parametrize(
    "value",
    [
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
        "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr", "0x52908400098527886E0F7030069857D2E4169EE7", "TJRyWwFs9wTFGZg3JbrVriFbNfCug5tDeC",
    ],
)  # fmt: skip
def test_wallets_with_a_valid_checksum_are_found(value: str) -> None:
    """Base58Check, Bech32 and Bech32m, and hexadecimal addresses."""
    assert found(f"钱包{value}吗") == [("CRYPTO", value)]


@pytest.mark.parametrize(
    "text",
    [
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3",
        "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdz",
        "0x5290840009852788",
        "1" * 30,
        "z" * 34,
    ],
)
def test_a_wrong_checksum_is_no_wallet(text: str) -> None:
    """One wrong character is enough."""
    assert "CRYPTO" not in entities(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("She was born on 12 March 1985.", "12 March 1985"), ("DOB: 03/12/1985", "03/12/1985"), ("出生日期：1990年3月12日", "1990年3月12日"), ("生日1990-03-12", "1990-03-12"),
        ('"birthday": "1990-03-12"', "1990-03-12"), ("date of birth: March 3rd, 1985", "March 3rd, 1985"), ("出生于19900312", "19900312"), ("born on the 3rd of May, 1970", "3rd of May, 1970"),
        ("> 出生日期：**1985.06.16**", "1985.06.16"), ("<p>date_of_birth: <b>1983-08-02</b></p>", "1983-08-02"), ("### dob\n01/01/1951\n", "01/01/1951"), (r'{\"dob\": \"2002/11/26\"}', "2002/11/26"),
        ("张三，1990年7月26日出生，汉族", "1990年7月26日"),
    ],
)  # fmt: skip
def test_a_date_of_birth_is_found_behind_its_word(text: str, value: str) -> None:
    """The word stays readable, the date does not."""
    assert found(text) == [("DATE_OF_BIRTH", value)]


@pytest.mark.parametrize(
    "text",
    [
        "on 12 March 1985",
        "2019-08-01",
        "stubborn 1985-01-01",
        "出生日期：1990-13-12",
        "生日快乐",
        "a new bond 1990-01-01",
        "2001年10月1日及之前出生",
        "签发2011-10-01出生地上海",
    ],
)
def test_other_dates_are_left_alone(text: str) -> None:
    """Dates without the word, and dates that no calendar has."""
    assert "DATE_OF_BIRTH" not in entities(text)


def test_names_and_addresses_are_found_behind_their_words() -> None:
    """Opt-in and weak: only what words name."""
    assert found("联系人：王小明，张先生", weak=True) == [("PERSON", "王小明"), ("PERSON", "张")]
    assert found("My name is Ann Lee. Dr. Who", weak=True) == [("PERSON", "Ann Lee"), ("PERSON", "Who")]
    assert found("地址是浙江省杭州市西湖区文三路123号4栋502室", weak=True) == [
        ("ADDRESS", "浙江省杭州市西湖区文三路123号4栋502室")
    ]
    assert found("今天是5号，第3室，人数123号", weak=True) == []
