"""Random texts for property tests: sentences of the generator, and fragments glued at random."""

# ruff: noqa: E501 - tables of texts and what is expected of them
from __future__ import annotations

from hypothesis import strategies as st

from benchmarks import pii_generator as generator

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEabcdefabcdefabcdef\n-----END RSA PRIVATE KEY-----"

FRAGMENTS = (
    "138 1234 5678", "GB82 WEST 1234 5698 7654 32", "gb82 west 1234 5698 7654 32", "password: ", "hunter2!x9", " ext 12", KEY, KEY[:50], "[[EMAIL_1]]", "[[ email 1", "京A 12345", "born on ",
    "March 3, 1985", "3rd of March 1985", "office", "(978) 645-9740", " ", "  ", "\n", "，", "4111 1111 1111 1111", "110105 19491231 002X", "+44 20 7946 0958", "call me at 469 34 883",
    "0431 35 06 90-Office", "12345678 bytes", "2001:db8::1", "a@b.co", "https://u:pw12@h.io/x", 'api_key = "', "ghp_" + "a1" * 18, "转 12", "分机", "（010）", "\u200b", "12345678", "：", "【", "x",
    "eyJhbGciOi.eyJzdWIiOjEyMw.abcdefghij", "123-45-6789", "00:1a:2b:3c:4d:5e", "SSN 123 45 6789", "fax", "785 8949", "\t", "年", "1990 年 3 月 12 日", "出生日期", "A123456(3)", "\u00ad", "#5",
    "x818", "curl -u a:", "密码", ".", "-", "E12345678", "护照", "银行卡", "６２２２", "😀", "\ud800", "the", "of", "1", "+", "-----BEGIN",
    "ann%40example.org", "%20", "+44%2020%207946%200958", "%4", "%E4%BA%ACA12345", "②", "1990年3月12日", "出生", "mac", "IP", "(978)%20645-9740%29",
    "李@", "@例子.中国", "иван@почта.рф", "张三", "@", "１：２：：３", "_", "——", "用户名", "@qq.com", "是", "ip:fe80::1", "姓名：", "name: ", "Bob Lee", "王芳先生", "device:", "a:b:c",
    '"', "<b>", "`", "元", "KB", "mysql -u r -p", "sshpass -p ", "redis-cli -a ", "setPassword(", "value: ", "Authorization: Token ", "%E5%BC", "%F0%9F", "aabbccddeeff", "86-571-82923906", "/62785678",
)  # fmt: skip

fragments = st.lists(st.sampled_from(FRAGMENTS), max_size=10).map("".join)


@st.composite
def sentences(draw: st.DrawFn) -> str:
    """Draw a row of the generator, in any language and disguise."""
    seed = draw(st.integers(0, 10_000))
    carriers = draw(st.sampled_from(("plain", "other")))
    lang = draw(st.sampled_from(("zh", "en")))
    how = draw(st.sampled_from(("", "full-width", "zero-width", "arabic", "dashes")))
    (row,) = generator.positives(seed, 1, carriers=carriers, lang=lang, how=how)
    return str(row["text"])


texts = st.one_of(fragments, sentences(), st.text(max_size=60))
"""Any text, most of them with personal data."""


@st.composite
def pieces(draw: st.DrawFn, source: st.SearchStrategy[str] = texts) -> list[str]:
    """Draw a text cut at random places, empty pieces included."""
    text = draw(source)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=len(text) + 2)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
