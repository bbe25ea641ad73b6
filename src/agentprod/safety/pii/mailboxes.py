"""E-mail addresses, in any script.

Each is found from its `@` outwards with bounded repeats, so time is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from agentprod.safety.pii.spans import Span

__all__ = ["SPACED_SCRIPTS", "emails", "open_email"]

SPACED_SCRIPTS = "\u0370-\u060b\u060d-\u061a\u0620-\u0963\u0966-\u0dff\u10a0-\u1fff"
"""Body of a character class: letters of scripts that part words by spaces, from Greek on."""

_LATIN = "\u00c0-\u024f"
_HANZI = "\u3041-\u30ff\u3400-\u9fff"
_MOST_HANZI = 3
"""Longest name in Chinese characters. Longer runs of them are sentences, in which nothing parts words, and a stream
holds back what may be a name."""

_LOCAL_TAIL = re.compile(rf"[A-Za-z0-9._%+'\-{_LATIN}{SPACED_SCRIPTS}]+")
_NAME = re.compile(f"[{_HANZI}]{{1,{_MOST_HANZI}}}?(?=[^{_HANZI}A-Za-z0-9]|[是为给到至系箱址件]|\\Z)")
"""A name read backwards, up to what parts it from the sentence: a mark, or as in 邮箱是张三@…, 发给张三@…."""

_ASCII_TLD = r"(?:xn--[A-Za-z0-9\-]{2,59}|[A-Za-z]{2,24})(?![A-Za-z0-9])"
_DOMAIN = re.compile(
    rf"(?:[A-Za-z0-9{_LATIN}](?:[A-Za-z0-9\-{_LATIN}]{{0,61}}[A-Za-z0-9{_LATIN}])?\.){{1,8}}{_ASCII_TLD}"
)
# Top-level domains in scripts without spaces, most used first: IANA root zone database. No end can be seen otherwise.
_WIDE_TLD = (
    "中国|中國|公司|网络|公益|政务|在线|中文网|网址|商城|商店|集团|我爱你|移动|手机|娱乐|游戏|企业|网站|时尚|香港|台湾"
    "|台灣|澳门|澳門|新加坡|购物|健康|信息|广东|佛山|政府|机构|食品|慈善|世界|通販|招聘|餐厅|书籍|みんな|コム|ストア|セール"
    "|クラウド|ポイント|ファッション|テスト"
)
_WIDE = f"A-Za-z0-9{_LATIN}{SPACED_SCRIPTS}{_HANZI}\uac00-\ud7a3"
_WIDE_DOMAIN = re.compile(
    rf"(?:[{_WIDE}](?:[{_WIDE}\-]{{0,22}}[{_WIDE}])?\.){{1,4}}"
    rf"(?:{_WIDE_TLD}|[{SPACED_SCRIPTS}]{{2,18}}(?![{SPACED_SCRIPTS}])|[\uac00-\ud7a3]{{2,4}}|{_ASCII_TLD})"
)
_OPEN_DOMAIN = re.compile(rf"[{_WIDE}.\-]{{0,119}}")
_LOCAL_MAX = 64
# Names like `icon@2x.png`: retina images, not mailboxes.
_FILE_ENDINGS = frozenset("png jpg jpeg gif svg webp avif bmp ico css js ts tsx jsx py md json yml yaml html".split())
_COMMON_TLDS = frozenset("com org net edu gov io cn de uk fr es it nl eu us co info biz ru jp kr in br au ca".split())


def emails(text: str, start: int = 0) -> Iterator[Span]:
    """Yield e-mail addresses: RFC 5322 dot-atoms, internationalised ones (RFC 6531) included.

    A name in Chinese characters has at most three of them, behind a mark or a word such as 是; a domain in them ends
    with a known top-level domain. Left out: quoted local parts, `git@host:path`.
    """
    at = text.find("@", start)
    while at >= 0:
        end = _domain_end(text, at + 1) if text[at + 1 : at + 2].isalnum() else 0
        begin = _local_start(text, max(start, at - _LOCAL_MAX), at) if end else at
        if begin < at and _is_mailbox(text, begin, at, end):
            yield Span(begin, end, "EMAIL", 0.95)
        at = text.find("@", at + 1)


def _domain_end(text: str, begin: int) -> int:
    """Return where the domain ends that begins there, 0 if there is none."""
    domain = _DOMAIN.match(text, begin)
    if domain:
        return _without_next_sentence(text, begin, domain.end())
    if text.isascii():
        return 0
    wide = _WIDE_DOMAIN.match(text, begin)
    return wide.end() if wide else 0


def _local_start(text: str, floor: int, at: int) -> int:
    run = _LOCAL_TAIL.match(text[floor:at][::-1])
    if not run:
        return _name_start(text, floor, at)
    begin = at - run.end()
    while begin < at and text[begin] in ".'-":
        begin += 1
    return begin


def _name_start(text: str, floor: int, at: int) -> int:
    """Return where a name in Chinese characters begins that ends at `at`, or `at`."""
    name = _NAME.match(text[max(0, at - _MOST_HANZI - 1) : at][::-1])
    return at - name.end() if name and at - name.end() >= floor else at


def open_email(text: str, start: int) -> int:
    """Return where an address begins that the end of the text has not completed, or the length of the text.

    Only of what no run of Latin characters holds: names and domains in other scripts.
    """
    size = len(text)
    if text.isascii():
        return size
    at = text.rfind("@", max(start, size - 120))
    tail = _OPEN_DOMAIN.match(text, at + 1) if at >= 0 else None
    if tail and tail.end() == size and not ((domain := _DOMAIN.match(text, at + 1)) and domain.end() < size):
        return _local_start(text, max(start, at - _LOCAL_MAX), at)
    return _name_start(text, start, size)


def _without_next_sentence(text: str, begin: int, end: int) -> int:
    """Return where the domain ends, without a sentence that follows it with no space: `corp.com.Please`."""
    labels = text[begin:end].rsplit(".", 2)
    if len(labels) == 3 and labels[2][0].isupper() and labels[2][1:].islower() and labels[1] in _COMMON_TLDS:
        return end - len(labels[2]) - 1
    return end


def _is_mailbox(text: str, begin: int, at: int, end: int) -> bool:
    if text[end - 5 : end].rpartition(".")[2].lower() in _FILE_ENDINGS:
        return False
    if text[begin:at] == "git" and text[end : end + 1] == ":":
        return False
    # `scheme://user:password@host` belongs to the credentials detector, whatever the password is made of.
    _, scheme, user = text[max(0, begin - 160) : at].rpartition("://")
    return not scheme or ":" not in user or any(char in "/?" or char.isspace() for char in user)
