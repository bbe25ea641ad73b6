"""Web addresses leave an answer only for listed hosts."""

# ruff: noqa: E501 - tables of texts and what is expected of them
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprod.errors import ConfigError
from agentprod.safety.egress import Egress, EgressStream, host_of

EGRESS = Egress(["good.org"])


@pytest.mark.parametrize(
    ("text", "filtered"),
    [
        ("![x](https://evil.com/?q=1) ok", "[image: x] ok"), ("![](//evil.com)", "[image]"), ("[t](https://evil.com/a \"title\")!", "t!"), ("see https://good.org@evil.com/a b", "see [link] b"),
        ("https://evil.com\\@good.org/", "[link]"), ("<img src='//evil.com/a'> t", " t"), ("<a href='https://evil.com'>x</a>", "x</a>"), ("[r]: http://evil.com/x\n![a][r]", "\n![a][r]"),
        ("[x](javascript:x)", "x"), ("www.evil.com!", "[link]"), ("时间https://evil.com/路径，好", "时间[link]，好"), ("[a](https:evil.com)", "a"), ("[a](HTTP://EVIL.com)", "a"), ("<iframe src=https://evil.com>", ""),
        ("https://good.org.evil.com/", "[link]"), ("ftp://evil.com/x", "[link]"),
    ],
)  # fmt: skip
def test_addresses_of_other_hosts_are_removed(text: str, filtered: str) -> None:
    """Markdown, HTML and bare; user names, backslashes and lookalike endings do not help."""
    assert EGRESS.filter(text) == filtered


@pytest.mark.parametrize(
    "text",
    [
        "![x](https://good.org/a.png)", "[t](https://a.good.org:8443/x)", "https://GOOD.org/x", '<a href="https://good.org">', "[rel](/path)", "mailto:a@b.co [m](mailto:a@b.co)", "a: b", "[note] text (x)", "<b>x</b>",
        "![i](data:image/png;base64,AAAA)", "[anchor](#top)", "1 < 2 > 0", "<a name=x>",
    ],
)  # fmt: skip
def test_listed_hosts_and_other_text_stay(text: str) -> None:
    """Subdomains, ports and relative links too."""
    assert EGRESS.filter(text) == text
    assert EGRESS.find(text) == []


def test_what_is_found_is_named() -> None:
    """Offsets, kind and host, for a report."""
    (image, link) = EGRESS.find("![x](https://evil.com/?q=1) https://other.net")
    assert (image.kind, image.host, image.start, image.end) == ("image", "evil.com", 0, 27)
    assert (link.kind, link.host, link.text) == ("bare", "other.net", "[link]")


def test_links_may_be_left_to_the_reader() -> None:
    """Images load by themselves and never stay."""
    lenient = Egress([], links=False)
    assert (
        lenient.filter("[t](https://x.org) ![i](https://x.org) https://y.org")
        == "[t](https://x.org) [image: i] https://y.org"
    )


@pytest.mark.parametrize("host", ["", "https://x.org", "x.org/", " x.org"])
def test_an_entry_that_is_no_host_is_refused(host: str) -> None:
    """A URL in the list would allow nothing."""
    with pytest.raises(ConfigError, match="no host"):
        Egress([host])
    assert Egress("x.org").allows("x.org")


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("https://x.org:80/a", "x.org"), ("//x.org", "x.org"), ("/a", None), ("a/b", None), ("https://u:p@x.org/", "x.org"), ("ht\ntps://x.org", "x.org"), ("https:///x.org", "x.org"), ("javascript:alert(1)", ""),
        ("custom://x.org/a", "x.org"), ("tel:1", None), ("https://", ""), ("https://例子.中国/x", "例子.中国"), ("\\\\x.org\\a", "x.org"), ("https://[2001:db8::1]/", "[2001:db8::1]"),
    ],
)  # fmt: skip
def test_hosts_are_read_as_browsers_do(target: str, host: str | None) -> None:
    """Whatever is in front of them."""
    assert host_of(target) == host


answers = st.lists(
    st.sampled_from(
        ("![x](", "https://evil.com/a?b=c", ")", " ", "[t](", "](", "<img src='", "//evil.com'", ">", "good.org", "https://good.org/", "\n[r]: http://e.co\n", "word", "www.", "!", "[", "]", "汉", "，", "<", "a.b", ":", "/", "\\", "javascript:")
    ),
    max_size=12,
).map("".join)  # fmt: skip


@given(st.one_of(answers, st.text(max_size=30)), st.lists(st.integers(0, 300)))
def test_an_answer_in_pieces_equals_the_whole(text: str, cuts: list[int]) -> None:
    """Wherever the stream is cut."""
    places = sorted(cut % (len(text) + 1) for cut in cuts)
    stream = EgressStream(EGRESS)
    out = "".join(stream.feed(text[start:end]) for start, end in zip([0, *places], [*places, len(text)], strict=True))
    assert out + stream.flush() == EGRESS.filter(text)


@given(answers)
def test_nothing_of_another_host_is_left(text: str) -> None:
    """After filtering there is nothing to filter."""
    assert all("evil.com" not in address.host for address in EGRESS.find(EGRESS.filter(text)))


def test_removed_addresses_are_counted() -> None:
    """For the report of a stream."""
    stream = EgressStream(EGRESS)
    stream.feed("a https://evil.com b ![x](http://e.co) ")
    stream.flush()
    assert stream.removed == 2
