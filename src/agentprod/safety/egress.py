"""Keep a model's answer from carrying data out in web addresses: only listed hosts may be linked or loaded.

An image in Markdown or HTML is fetched the moment it is shown, with whatever stands in its address. Hosts are compared
the way browsers read them: user names before `@`, backslashes and case do not help.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from agentprod.errors import ConfigError

__all__ = ["Address", "Egress", "EgressStream"]

Kind = Literal["image", "link", "bare"]

_HOST = re.compile(r"[A-Za-z0-9\-.\[\]:_\u0080-\U0010ffff]+")
_DESTINATION = r"[ \n]{0,3}<?([^\s)>]{1,2048})>?(?:[ \n]{1,3}[\"'(][^\n]{0,200}?[\"')])?[ \n]{0,3}\)"
_ADDRESS = re.compile(
    rf"(?P<image>!\[(?P<alt>[^\]\n]{{0,300}})\]\({_DESTINATION})"
    rf"|(?P<link>\[(?P<label>[^\[\]\n]{{0,300}})\]\({_DESTINATION})"
    r"|(?P<definition>(?:^|(?<=\n))[ ]{0,3}\[[^\]\n]{1,100}\]:[ \t]{0,4}<?(?P<defined>[^\s>]{1,2048})>?)"
    r"|(?P<tag><(?:img|image|video|audio|source|iframe|embed|object|link|script|a|form|input|svg|use)\b[^>]{0,2048}>?)"
    r"|(?P<bare>(?:(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9+.\-]{1,20}:(?://|\\\\)|(?<![A-Za-z0-9./@\-])www\.)[^\s<>\"'`，。；！？）】》、]{1,2048})",
    re.IGNORECASE,
)
_IN_TAG = re.compile(
    r"(?:src|href|srcset|poster|data|action|formaction|background|xlink:href)\s{0,8}=\s{0,8}(?:\"([^\"]*)|'([^']*)|([^\s>]+))",
    re.IGNORECASE,
)
_OPEN = re.compile(
    r"(?:!?\[[^\[\]\n]{0,300}(?:\](?:\([^)]{0,2300})?)?|!|<[A-Za-z][^>]{0,2048}|<|[A-Za-z][A-Za-z0-9+.\-]{0,20}(?::(?:/|\\)?)?"
    r"|(?:[A-Za-z][A-Za-z0-9+.\-]{1,20}:(?://|\\\\)|www\.)[^\s<>\"'`，。；！？）】》、]{0,2048}"
    r"|\n[ ]{0,3}(?:\[[^\]\n]{0,100}(?:\](?::[ \t]{0,4}<?[^\s>]{0,2048})?)?)?)\Z",
    re.IGNORECASE,
)
_REACH = 2900


class Address(NamedTuple):
    """A web address in a text.

    Args:
        start: offset of the link, image, tag or address.

        end: offset after it.

        kind: `"image"` loads when shown, `"link"` has a text of its own, `"bare"` is written out.

        host: of the address in lower case; empty when there is none, as in `javascript:…`.

        text: what remains readable without the address.
    """

    start: int
    end: int
    kind: Kind
    host: str
    text: str


class Egress:
    """An allow-list of hosts.

    Args:
        allow: hosts such as `"example.org"`; each stands for its subdomains too.

        links: whether links and written-out addresses are removed as well as images. Images always are.

    Raises:
        ConfigError: an entry is a URL or empty.
    """

    __slots__ = ("_hosts", "_links")

    def __init__(self, allow: Iterable[str] = (), *, links: bool = True) -> None:
        hosts = [allow] if isinstance(allow, str) else list(allow)
        for host in hosts:
            if not host or "/" in host or host != host.strip():
                raise ConfigError(f"{host!r} is no host: write 'example.org', without scheme and path")
        self._hosts = tuple(host.lower().strip(".") for host in hosts)
        self._links = links

    def allows(self, host: str) -> bool:
        """Tell whether addresses of this host may stand."""
        return any(host == allowed or host.endswith("." + allowed) for allowed in self._hosts)

    def find(self, text: str) -> list[Address]:
        """Return the addresses in a text that are not allowed, in order."""
        return [address for match in _ADDRESS.finditer(text) if (address := self.judge(match))]

    def filter(self, text: str) -> str:
        """Return the text without the addresses that are not allowed; labels and descriptions stay."""
        stream = EgressStream(self)
        return stream.feed(text) + stream.flush()

    def judge(self, match: re.Match[str]) -> Address | None:
        """Return what `find` matched as an address, or `None` when it may stand."""
        start, end = match.span()
        kind: Kind
        if match["image"] is not None:
            targets, kind, shown = [match[3]], "image", f"[image: {match['alt']}]" if match["alt"] else "[image]"
        elif match["link"] is not None:
            targets, kind, shown = [match[6]], "link", match["label"]
        elif match["definition"] is not None:
            targets, kind, shown = [match["defined"]], "image", ""
        elif match["tag"] is not None:
            targets = ["".join(filter(None, parts)) for parts in _IN_TAG.findall(match["tag"])]
            kind = "link" if match["tag"][1:3].lower() in ("a ", "a\n") else "image"
            shown = ""
        else:
            targets, kind, shown = [match["bare"]], "bare", "[link]"
        if kind != "image" and not self._links:
            return None
        for target in targets:
            host = host_of(target)
            if host is None or self.allows(host):
                continue
            return Address(start, end, kind, host, shown)
        return None


def host_of(target: str) -> str | None:
    """Return the host that a browser would ask, `""` for a scheme without one, `None` for a relative address."""
    target = re.sub(r"[\x00-\x20]+", "", target).replace("\\", "/").lower()
    if target.startswith("www."):
        target = "//" + target
    scheme, colon, rest = target.partition(":")
    if colon and re.fullmatch(r"[a-z][a-z0-9+.\-]*", scheme):
        if scheme in ("mailto", "tel", "sms") or target.startswith("data:image/"):
            return None
        if scheme in ("http", "https", "ftp", "ws", "wss"):
            # Browsers read `https:host` and `https:///host` as `https://host`.
            target = "//" + rest.lstrip("/")
        elif not rest.startswith("//"):
            return ""
        else:
            target = rest
    if not target.startswith("//"):
        return None
    authority = re.split(r"[/?#]", target[2:], maxsplit=1)[0].rpartition("@")[2]
    host = _HOST.match(authority)
    return re.sub(r":\d*\Z", "", host[0]).strip(".") if host else ""


class EgressStream:
    """Filters a text that arrives in pieces; the outputs joined equal `Egress.filter` of the whole.

    Args:
        egress: the allow-list.
    """

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._text = ""
        self._done = 0
        self.removed = 0
        """How many addresses were removed so far."""

    def feed(self, text: str, /) -> str:
        """Take the next piece and return what is final by now."""
        self._text += text
        floor = max(self._done, len(self._text) - _REACH)
        tail = _OPEN.search(self._text, floor)
        return self._advance(tail.start() if tail else len(self._text))

    def flush(self) -> str:
        """Return the rest; the text ends here."""
        return self._advance(len(self._text))

    def _advance(self, cut: int) -> str:
        out: list[str] = []
        text = self._text
        for match in _ADDRESS.finditer(text, self._done):
            if match.start() >= cut:
                break
            address = self._egress.judge(match)
            if match.end() > cut:
                cut = match.start()
                break
            if address:
                out += (text[self._done : address.start], address.text)
                self._done = address.end
                self.removed += 1
        cut = max(cut, self._done)
        out.append(text[self._done : cut])
        keep = max(0, cut - 64)
        self._text, self._done = text[keep:], cut - keep
        return "".join(out)
