"""E-mail addresses in any script, found whole and in streams."""

from __future__ import annotations

import pytest

from agentprod.safety.pii import Scrubber
from tests.safety.pii.finding import entities, found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Write to ann.lee+news@mail.example.org.", "ann.lee+news@mail.example.org"),
        ("我的邮箱是zhang@corp.com请查收", "zhang@corp.com"),
        ("<o'neil@a.co>", "o'neil@a.co"),
        ("josé@exámple.es says", "josé@exámple.es"),
        ("mail bob@corp.com.Please answer", "bob@corp.com"),
        ("ｚｈａｎｇ＠ｃｏｒｐ．ｃｏｍ", "ｚｈａｎｇ＠ｃｏｒｐ．ｃｏｍ"),
        ("zh\u200bang@co\u2060rp.com", "zh\u200bang@co\u2060rp.com"),
        ("x@xn--fiqs8s.xn--fiqz9s ok", "x@xn--fiqs8s.xn--fiqz9s"),
        ("https://h.example/?to=ann%40corp.com&x=1", "ann%40corp.com"),
        ("https://h.example/?a=b:c&to=ann@corp.com", "ann@corp.com"),
    ],
)
def test_an_email_address_is_found_whole(text: str, value: str) -> None:
    """An address is found beside Chinese characters, in full width, and with invisible characters inside."""
    assert found(text) == [("EMAIL", value)]


@pytest.mark.parametrize(
    "text",
    [
        "icon@2x.png",
        "@types/node",
        "git@github.com:a/b.git",
        "a @property",
        "a@b",
        "x@1.2.3",
        "me@",
        "@me.org",
        "'.@x.org",
    ],
)
def test_what_only_has_an_at_sign_is_no_address(text: str) -> None:
    """Retina images, decorators, packages and repositories are left alone."""
    assert "EMAIL" not in entities(text)


def test_three_addresses_in_a_row_stay_three() -> None:
    """Neighbours are never merged over a space."""
    assert [value for _, value in found("a@x.org b@y.org c@z.org")] == ["a@x.org", "b@y.org", "c@z.org"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("写信给li@例子.中国，谢谢", "li@例子.中国"),
        ("邮箱是张三@qq.com吗", "张三@qq.com"),
        ("联系人：李@example.cn", "李@example.cn"),
        ("「用户名@域名.公司」", "用户名@域名.公司"),
        ("пиши: иван.петров2@почта.рф!", "иван.петров2@почта.рф"),
        ("δοκιμή@παράδειγμα.ελ", "δοκιμή@παράδειγμα.ελ"),
        ("مثال@موقع.امارات", "مثال@موقع.امارات"),
        ("user@उदाहरण.भारत", "user@उदाहरण.भारत"),
        ("mail=%E5%BC%A0%E4%B8%89@qq.com&x=1", "%E5%BC%A0%E4%B8%89@qq.com"),
        ("ann@회사.한국", "ann@회사.한국"),
    ],
)
def test_an_address_in_another_script_is_found_whole(text: str, value: str) -> None:
    """In the name, in the domain, or in both; a word of the sentence before it is not taken along."""
    assert found(text) == [("EMAIL", value)]
    stream = Scrubber(output="placeholder", memo=0).stream()
    told = "".join(stream.feed(char) for char in text) + stream.flush()
    assert told == text.replace(value, "[[EMAIL_1]]")


@pytest.mark.parametrize("text", ["@张三 你好", "微博@小明。转发", "找我@北京.晚上见", "大家都可以来找我们@qq.com"])
def test_a_mention_is_no_address(text: str) -> None:
    """Nor is a sentence before an `@` a name."""
    assert "EMAIL" not in entities(text)


def test_an_address_behind_another_is_held_too() -> None:
    """What was read before, percent-encoded or not, does not hide the name that may begin."""
    text = "a%40b.cn，李@护照.curl x"
    for size in range(1, 9):
        stream = Scrubber(output="placeholder", memo=0).stream()
        told = [stream.feed(text[at : at + size]) for at in range(0, len(text), size)]
        assert "".join(told) + stream.flush() == "[[EMAIL_1]]，[[EMAIL_2]] x"
