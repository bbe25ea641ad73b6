"""IP and MAC addresses, and web addresses."""

# ruff: noqa: E501 - tables of texts and what is expected of them
from __future__ import annotations

import pytest

from tests.safety.pii.finding import entities, found


@pytest.mark.parametrize(
    "value",
    [
        "10.218.6.131",
        "127.0.0.1",
        "2001:db8:85a3:0:0:8a2e:370:7334",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "fe80::1%eth0",
        "::1",
    ],
)
def test_ip_addresses_of_both_versions_are_found(value: str) -> None:
    """An address is found in English and Chinese sentences."""
    assert found(f"from {value} today") == [("IP", value)]
    assert found(f"服务器{value}连不上") == [("IP", value)]


def test_an_address_glued_to_its_keyword_is_found() -> None:
    """`IP10.1.2.3` is how forms come out of a PDF."""
    assert found("IP10.1.2.3 ok") == [("IP", "10.1.2.3")]
    assert found("IP2001:db8::fa10:c3ed已登记") == [("IP", "2001:db8::fa10:c3ed")]
    assert found("ip:fe80:1ec9:a3c7::14a9.") == [("IP", "fe80:1ec9:a3c7::14a9")]
    assert found("MACa8-f3-c6-6f-2f-39已登记") == [("MAC", "a8-f3-c6-6f-2f-39")]
    assert found("device:A1:4A:16:A3:2A:B7,") == [("MAC", "A1:4A:16:A3:2A:B7")]


@pytest.mark.parametrize(
    "text",
    [
        "version 1.2.3.4", "Chrome/96.0.46.110", "v10.0.0.1", "section 1.2.3.4", "1.2.3.4.5", "256.1.1.1", "10.01.2.3", "foo10.1.2.3",
        "std::vector<int>", "a::b", "x[1::2]", "x[::1]", "12:30:45", "face::dead", "the :: operator", "A[:, 1::2]", "since 1.6.5.2",
        "c 3.01 4.01 3.51.98.32 2", "1:2:3:4:5:6:7:8:9:a", ":::::::", "2001:db8::1::2",
    ],
)  # fmt: skip
def test_versions_times_and_code_are_no_addresses(text: str) -> None:
    """Four-part versions, times, slices and scopes are left alone."""
    assert "IP" not in entities(text)


def test_a_lone_compressed_address_needs_a_word() -> None:
    """`::8` is an address when the text says so."""
    assert found("My IP is ::8 now") == [("IP", "::8")]
    assert found("take ::8 now") == []


def test_an_ipv6_address_before_a_colon_ends_there() -> None:
    """The colon of a sentence is not part of the address."""
    assert found("2001:db8::9: unreachable") == [("IP", "2001:db8::9")]


@pytest.mark.parametrize("value", ["38:f9:d3:4b:f5:51", "00-0C-29-CA-E4-66", "0011.22aa.3344", "00:00:00:00:00:00"])
def test_mac_addresses_are_found_in_three_forms(value: str) -> None:
    """Colons, hyphens and Cisco's dots."""
    assert found(f"设备{value}离线") == [("MAC", value)]


@pytest.mark.parametrize(
    "text", ["01-05-12-23-33-07", "1234.5678.9012", "ab38:f9:d3:4b:f5:51", "38:f9:d3:4b:f5:51:", "x_38:f9:d3:4b:f5:51"]
)
def test_digit_pairs_and_parts_of_longer_words_are_no_mac_address(text: str) -> None:
    """Lottery numbers and parts of identifiers are left alone."""
    found_here = [entity for entity, _ in found(text) if entity == "MAC"]
    assert found_here == ([] if not text.endswith(":") else ["MAC"])


def test_digit_pairs_named_a_mac_address_are_one() -> None:
    """With the word before it, digits alone are enough."""
    assert found("MAC 01-05-12-23-33-07") == [("MAC", "01-05-12-23-33-07")]


def test_web_addresses_are_found_when_asked_for() -> None:
    """The sentence's full stop is not part of the address."""
    assert found("见 https://example.org/a?b=c，谢谢 http://x.io.", weak=True) == [
        ("URL", "https://example.org/a?b=c"),
        ("URL", "http://x.io"),
    ]
    assert found("see https://example.org/a?q=3%20%28x%29 now", weak=True) == [
        ("URL", "https://example.org/a?q=3%20%28x%29")
    ]


@pytest.mark.parametrize("word", ["server", "driver", "prev", "intersection", "receiver", "rebuild", "webrelease"])
def test_a_word_that_ends_like_version_hides_no_address(word: str) -> None:
    """`server 10.0.0.12` is an address, `ver 10.0.0.12` is a version."""
    assert found(f"{word} 10.0.0.12:8080") == [("IP", "10.0.0.12")]


@pytest.mark.parametrize("word", ["ver", "version:", "build", "since v", "Release", "版本"])
def test_a_version_of_four_parts_is_no_address(word: str) -> None:
    """Behind such a word."""
    assert found(f"{word} 10.0.0.12") == []


@pytest.mark.parametrize(
    "text",
    ["addr:ab:", "device:", "de:ad:", "x:ffff::", ":a:", "::", "1:2:", "ipv6:1:", "_::1_", "1 xa::", "9 device::"],
)
def test_what_ends_within_an_address_is_read_to_its_end(text: str) -> None:
    """Nothing is looked for behind the last character."""
    assert "MAC" not in entities(text)


@pytest.mark.parametrize("text", ["MAC: A45E60C2110F", '{"mac": "a45e60c2110f"}', "物理地址a45e60c2110f"])
def test_twelve_digits_named_a_mac_address_are_one(text: str) -> None:
    """Without separators the word decides."""
    assert [value.lower() for _, value in found(text)] == ["a45e60c2110f"]
    assert entities("commit a45e60c2110f of the machine") == entities("the mac has 123 abcdefabcdef") == set()
