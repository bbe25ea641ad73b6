"""IP and MAC addresses, and (opt-in) web addresses.

Each is found from its rarest character (`.`, `:`) outwards with bounded repeats, so time is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from socket import AF_INET6, inet_pton

from agentprod.safety.pii.keywords import backwards
from agentprod.safety.pii.numbers import Glued, is_emphasis
from agentprod.safety.pii.spans import Span

__all__ = ["ip_addresses", "mac_addresses", "urls"]

_THREE_OCTETS = re.compile(r"\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9A-Za-z]|\.[0-9])")
_FIRST_OCTET = re.compile(r"[0-9]{1,3}(?![0-9.])")
_EN_VERSIONS = (
    "version|since|upgrade to|upgraded to|ver|release|rev|revision|build|firmware|section|chapter|clause|oid|v"
).split("|")
_CN_VERSIONS = "版本|版本号|固件|章|章节|第".split("|")
_VERSION = re.compile(
    rf"[\s:：=v.\"'(]{{0,3}}(?:{backwards(_CN_VERSIONS)}|(?:{backwards(_EN_VERSIONS)})(?![a-z]))"
    r"|/[a-z]|=[=<>~][a-z]",
    re.IGNORECASE,
)
"""Of the text before four numbers, turned round: what makes them a version."""

# A list of decimals without spaces between them, as in the paths of SVG files.
_DECIMAL = re.compile(r"(?:^|[^0-9.])(?:[0-9]*\.[0-9]+|[0-9]+\.[0-9]+\.[0-9]+)[ ,]\Z")
_GLUED_IP = Glued("ip ipv4 ipv6 addr address host 地址")


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
                glued = before[-1:].isascii() and (
                    before[-1:].isalnum() or (before[-1:] == "_" and not is_emphasis(text, begin))
                )
                if glued and not _GLUED_IP.ends(before):
                    continue
                if not _VERSION.match(before[::-1]) and not (before[-1:] in " ," and _DECIMAL.search(before)):
                    yield Span(begin, end, "IP", 0.9)
    if text.count(":", start) >= 2:
        yield from _ipv6_addresses(text, start)


_IPV6_ANCHOR = re.compile(r":[0-9A-Fa-f]{0,4}:")
_IPV6_RUN = re.compile(r"[0-9A-Fa-f:]{2,39}(?:(?:\.[0-9]{1,3}){3})?")
_IPV6_LEFT = re.compile(r"[0-9A-Fa-f:]{0,39}")
_ZONE = re.compile(r"%[0-9A-Za-z]{1,15}(?:\.[0-9]{1,5})?")
_IP_WORD = re.compile(r"(?:(?<![a-z])ip(?:v6)?(?![a-z])|address|地址).{0,12}\Z", re.IGNORECASE)
_DIGITS = "0123456789"
_WORD_END = re.compile(r"(?<=[G-Zg-z])(?:[A-Fa-f]{1,4}|(?<=[Vv])[46]):")
_NAMED = re.compile(r"[A-Za-z_][A-Za-z_0-9]{0,16}[G-Zg-z_][A-Za-z_0-9]{0,4}:\Z")
_SUBSCRIPT = re.compile(r"[\w)\]]\[\Z")


def _ipv6_addresses(text: str, start: int) -> Iterator[Span]:
    at = start
    while anchor := _IPV6_ANCHOR.search(text, at):
        floor = max(at, anchor.start() - 39)
        left = _IPV6_LEFT.match(text[floor : anchor.start()][::-1])
        begin = anchor.start() - (left.end() if left else 0)
        word_end = _WORD_END.match(text, begin)
        if word_end:
            # In `device:fe80::1` the end of the word is hexadecimal, but not of the address.
            begin = word_end.end()
        if text[begin : begin + 1] == ":" != text[begin + 1 : begin + 2]:
            begin += 1
        run = _IPV6_RUN.match(text, begin)
        end = run.end() if run else anchor.end()
        at = max(end, anchor.end() - 1)
        if text[end - 1 : end] == ":" and text[end - 2 : end] != "::":
            end -= 1
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
    named = _GLUED_IP.ends(before.removesuffix(":")) or (colons > 2 and _NAMED.search(before) is not None)
    emphasis = is_emphasis(text, begin)
    around = ("" if named or emphasis else before[-1:]) + text[end : end + 1]
    if (text[end : end + 1] == ":" and not text[end + 1 : end + 2].isalnum()) or (
        emphasis and text[end : end + 1] == "_"
    ):
        around = around[:-1]
    if any(char.isascii() and (char.isalnum() or char in ":_") for char in around):
        return False
    try:
        inet_pton(AF_INET6, value)
    except OSError:
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
_GOES_ON = re.compile(r"[0-9A-Za-z_]|[:\-.][0-9A-Fa-f]{1,4}(?![0-9A-Za-z])")
"""Of the text before an address, turned round: what makes it part of something longer."""

_GLUED_MAC = re.compile(r"(?<![a-z])(?:mac|addr|address|ether)\Z", re.IGNORECASE)
_BARE_MAC = re.compile("(?<![0-9A-Za-z])(?=[A-Fa-f]*[0-9])[0-9A-Fa-f]{12}(?![0-9A-Za-z])")
_MAC_NAMES = ("mac", "Mac", "MAC", "物理地址", "硬件地址")
_MAC_WORD = re.compile(r"(?:(?<![a-z])mac(?![a-z])|ether|物理地址|硬件地址).{0,16}\Z", re.IGNORECASE)


def mac_addresses(text: str, start: int = 0) -> Iterator[Span]:
    """Yield MAC addresses (IEEE 802 EUI-48 and EUI-64): colons, hyphens, Cisco's dotted form, or a word before them."""
    for pattern, width, marks, least in ((_MAC, 2, ":-", 5), (_MAC_DOTTED, 4, ".", 2)):
        if not any(text.count(mark, start) >= least for mark in marks):
            continue
        for match in pattern.finditer(text, start):
            begin = match.start() - width
            before = text[max(0, begin - 20) : begin]
            inside = _GOES_ON.match(before[::-1]) and not (_GLUED_MAC.search(before) or is_emphasis(text, begin))
            if begin < start or inside:
                continue
            digits_only = not re.search("[A-Fa-f]", text[begin : match.end()])
            if digits_only and match[0][0] != ":" and not _MAC_WORD.search(before):
                continue
            yield Span(begin, match.end(), "MAC", 0.9)
    for name in _MAC_NAMES:
        at = text.find(name, max(0, start - 20))
        while at >= 0:
            end = at + len(name)
            for bare in _BARE_MAC.finditer(text, max(start, end), end + 29):
                begin = bare.start()
                if begin <= end + 16 and _MAC_WORD.search(text[max(0, begin - 20) : begin]):
                    yield Span(begin, bare.end(), "MAC", 0.85)
            at = text.find(name, end)


_URL = re.compile(r"://[A-Za-z0-9\[][!#-&(-;=?-_a-~\u00c0-\u024f]{1,2000}")
_SCHEME = re.compile(r"[A-Za-z0-9+.\-]{1,20}")


def urls(text: str, start: int = 0) -> Iterator[Span]:
    """Yield web addresses with a scheme. Opt-in: most are public, and models need them to be useful."""
    for match in _URL.finditer(text, start):
        floor = max(start, match.start() - 20)
        scheme = _SCHEME.match(text[floor : match.start()][::-1])
        if scheme:
            end = match.start() + len(match[0].rstrip(".,;:!?)]}"))
            yield Span(match.start() - scheme.end(), end, "URL", 0.6)
