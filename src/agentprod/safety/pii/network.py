"""E-mail addresses, IP and MAC addresses, and (opt-in) web addresses.

Each is found from its rarest character (`@`, `.`, `:`) outwards with bounded repeats, so time is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv6Address

from agentprod.safety.pii.spans import Span

__all__ = ["emails", "ip_addresses", "mac_addresses", "urls"]

_LATIN = "\u00c0-\u024f"
_LOCAL_TAIL = re.compile(rf"[A-Za-z0-9._%+'\-{_LATIN}]+")
_DOMAIN = re.compile(
    rf"(?:[A-Za-z0-9{_LATIN}](?:[A-Za-z0-9\-{_LATIN}]{{0,61}}[A-Za-z0-9{_LATIN}])?\.){{1,8}}"
    r"(?:xn--[A-Za-z0-9\-]{2,59}|[A-Za-z]{2,24})(?![A-Za-z0-9])"
)
_LOCAL_MAX = 64
# Names like `icon@2x.png`: retina images, not mailboxes.
_FILE_ENDINGS = frozenset("png jpg jpeg gif svg webp avif bmp ico css js ts tsx jsx py md json yml yaml html".split())
_COMMON_TLDS = frozenset("com org net edu gov io cn de uk fr es it nl eu us co info biz ru jp kr in br au ca".split())


def emails(text: str, start: int = 0) -> Iterator[Span]:
    """Yield e-mail addresses: an RFC 5322 dot-atom with Latin letters, and a domain of at most nine labels.

    Left out: quoted local parts, domains in other scripts than Latin, `git@host:path`.
    """
    at = text.find("@", start)
    while at >= 0:
        domain = _DOMAIN.match(text, at + 1)
        if domain:
            end = _without_next_sentence(text, at + 1, domain.end())
            begin = _local_start(text, max(start, at - _LOCAL_MAX), at)
            if begin < at and _is_mailbox(text, begin, at, end):
                yield Span(begin, end, "EMAIL", 0.95)
        at = text.find("@", at + 1)


def _local_start(text: str, floor: int, at: int) -> int:
    run = _LOCAL_TAIL.match(text[floor:at][::-1])
    begin = at - (run.end() if run else 0)
    while begin < at and text[begin] in ".'-":
        begin += 1
    return begin


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


_THREE_OCTETS = re.compile(r"\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9A-Za-z]|\.[0-9])")
_FIRST_OCTET = re.compile(r"[0-9]{1,3}(?![0-9.])")
_VERSION = re.compile(
    r"(?:(?<![a-z])(?:version|since|upgraded? to|ver|release|rev|revision|build|firmware|section|chapter|clause|oid|v)"
    r"|版本号?|固件|章节?|第)"
    r"[\s:：=v.\"'(]{0,3}\Z|[a-z]/\Z|[a-z][=<>~]=\Z",
    re.IGNORECASE,
)
# A list of decimals without spaces between them, as in the paths of SVG files.
_DECIMAL = re.compile(r"(?:^|[^0-9.])(?:[0-9]*\.[0-9]+|[0-9]+\.[0-9]+\.[0-9]+)[ ,]\Z")
_GLUED_IP = re.compile(r"(?:ip|addr|address|host)\Z", re.IGNORECASE)


def ip_addresses(text: str, start: int = 0) -> Iterator[Span]:
    """Yield IPv4 and IPv6 addresses (RFC 791, RFC 4291); four-part version numbers are told by what precedes them."""
    if text.count(".", start) >= 3:
        for match in _THREE_OCTETS.finditer(text, start):
            at, end = match.span()
            first = _FIRST_OCTET.match(text[max(start, at - 4) : at][::-1])
            begin = at - first.end() if first else at
            if begin < at and all(
                (len(octet) == 1 or octet[0] != "0") and int(octet) < 256 for octet in text[begin:end].split(".")
            ):
                before = text[max(0, begin - 20) : begin]
                glued = before[-1:].isascii() and (before[-1:].isalnum() or before[-1:] == "_")
                if (
                    not (glued and not _GLUED_IP.search(before))
                    and not _VERSION.search(before)
                    and not _DECIMAL.search(before)
                ):
                    yield Span(begin, end, "IP", 0.9)
    if text.count(":", start) >= 2:
        yield from _ipv6_addresses(text, start)


_IPV6_ANCHOR = re.compile(r":[0-9A-Fa-f]{0,4}:")
_IPV6_RUN = re.compile(r"[0-9A-Fa-f:]{2,39}(?:(?:\.[0-9]{1,3}){3})?")
_IPV6_LEFT = re.compile(r"[0-9A-Fa-f:]{0,39}")
_ZONE = re.compile(r"%[0-9A-Za-z]{1,15}")
_IP_WORD = re.compile(r"(?:(?<![a-z])ip(?:v6)?(?![a-z])|address|地址).{0,12}\Z", re.IGNORECASE)
_DIGITS = "0123456789"
_SUBSCRIPT = re.compile(r"[\w)\]]\[\Z")


def _ipv6_addresses(text: str, start: int) -> Iterator[Span]:
    at = start
    while anchor := _IPV6_ANCHOR.search(text, at):
        floor = max(at, anchor.start() - 39)
        left = _IPV6_LEFT.match(text[floor : anchor.start()][::-1])
        begin = anchor.start() - (left.end() if left else 0)
        run = _IPV6_RUN.match(text, begin)
        end = run.end() if run else anchor.end()
        at = max(end, anchor.end() - 1)
        if text[end - 1 : end] == ":" and text[end - 2 : end] != "::":
            end -= 1
        if text[begin] == ":" and text[begin + 1 : begin + 2] != ":":
            begin += 1
        if _is_ipv6(text, begin, end):
            zone = _ZONE.match(text, end)
            yield Span(begin, zone.end() if zone else end, "IP", 0.9)


def _is_ipv6(text: str, begin: int, end: int) -> bool:
    value = text[begin:end]
    colons = value.count(":")
    if not any(char in value for char in _DIGITS):
        return False  # whether it is looked for at all must not hang on a digit elsewhere
    if colons > 8 or (colons < 7 and "::" not in value and not (colons == 6 and "." in value)):
        return False
    before = text[max(0, begin - 24) : begin]
    named = bool(_GLUED_IP.search(before.removesuffix(":")))
    around = ("" if named else before[-1:]) + text[end : end + 1]
    if text[end : end + 1] == ":" and not text[end + 1 : end + 2].isalnum():
        around = around[:-1]
    if any(char.isascii() and (char.isalnum() or char in ":_") for char in around):
        return False
    try:
        IPv6Address(value)
    except AddressValueError:
        return False
    if colons >= 6:
        return True
    # `a::b` and `x[1::2]` are code more often than addresses.
    weak = len(value) < 6 or bool(_SUBSCRIPT.search(before))
    return not weak or bool(_IP_WORD.search(before)) or (value == "::1" and not _SUBSCRIPT.search(before))


_MAC = re.compile(
    r"([:\-])(?<=[0-9A-Fa-f]{2}[:\-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2}\1[0-9A-Fa-f]{2})?"
    r"(?![0-9A-Za-z]|\1[0-9A-Fa-f])"
)
_MAC_DOTTED = re.compile(r"\.(?<=[0-9A-Fa-f]{4}\.)[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}(?![0-9A-Za-z]|\.[0-9A-Fa-f])")
_GOES_ON = re.compile(r"[0-9A-Za-z_]\Z|(?<![0-9A-Za-z])[0-9A-Fa-f]{1,4}[:\-.]\Z")
_GLUED_MAC = re.compile(r"(?<![a-z])(?:mac|addr|address|ether)\Z", re.IGNORECASE)
_MAC_WORD = re.compile(r"(?:(?<![a-z])mac(?![a-z])|ether|物理地址|硬件地址).{0,16}\Z", re.IGNORECASE)


def mac_addresses(text: str, start: int = 0) -> Iterator[Span]:
    """Yield MAC addresses (IEEE 802 EUI-48 and EUI-64): colons, hyphens or Cisco's dotted form."""
    for pattern, width, marks, least in ((_MAC, 2, ":-", 5), (_MAC_DOTTED, 4, ".", 2)):
        if not any(text.count(mark, start) >= least for mark in marks):
            continue
        for match in pattern.finditer(text, start):
            begin = match.start() - width
            before = text[max(0, begin - 20) : begin]
            if begin < start or (_GOES_ON.search(before) and not _GLUED_MAC.search(before)):
                continue
            digits_only = not re.search("[A-Fa-f]", text[begin : match.end()])
            if digits_only and match[0][0] != ":" and not _MAC_WORD.search(before):
                continue
            yield Span(begin, match.end(), "MAC", 0.9)


_URL = re.compile(rf"://[A-Za-z0-9\[][!#-&(-;=?-_a-~{_LATIN}]{{1,2000}}")
_SCHEME = re.compile(r"[A-Za-z0-9+.\-]{1,20}")


def urls(text: str, start: int = 0) -> Iterator[Span]:
    """Yield web addresses with a scheme. Opt-in: most are public, and models need them to be useful."""
    for match in _URL.finditer(text, start):
        floor = max(start, match.start() - 20)
        scheme = _SCHEME.match(text[floor : match.start()][::-1])
        if scheme:
            end = match.start() + len(match[0].rstrip(".,;:!?)]}"))
            yield Span(match.start() - scheme.end(), end, "URL", 0.6)
