"""Put values back in place of their placeholders, in whole texts and in streams."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from agentprod.errors import Blocked
from agentprod.safety.pii.placeholders import find_placeholders, open_placeholder
from agentprod.safety.pii.vault import Vault

__all__ = ["Allows", "OnUnknown", "RestoreStream", "in_url", "restore"]

Allows = Callable[[str], bool]
"""Tells whether values of an entity may be put back here."""

OnUnknown = Literal["keep", "drop", "raise"]
"""What to do with a placeholder of a known entity whose number was never given out."""

_LOOK_BACK = 2048
_URL_RUN = re.compile('[^\\s"<>`“”「」，。；！？）】》、]*')
_BARE_HOST = re.compile(
    r"(?:^|[^A-Za-z0-9@.\-])[A-Za-z0-9\-]{1,63}(?:\.[A-Za-z0-9\-]{1,63}){0,6}\.[A-Za-z]{2,24}(?::\d{1,5})?[/?]"
)
_ATTRIBUTE = re.compile(
    r"(?:src|href|srcset|action|formaction|poster|data|background|cite|ping|content)\s{0,8}=\s{0,8}(?:\"[^\"]*|'[^']*|[^\s\"'>]*)\Z",
    re.IGNORECASE,
)
_CSS = re.compile(r"url\(\s*[\"']?[^)\"']*\Z", re.IGNORECASE)
_HARMLESS = ("mailto:", "tel:", "sms:")


def in_url(text: str, at: int) -> bool:
    """Tell whether offset `at` lies in a web address, where a value would leave with the first click or image load.

    Counted as such: a run of characters with `://`, a leading `//` or `www.`, or a host with a path behind it; a
    Markdown link's or image's destination; an HTML attribute that loads or links; `url(…)`. `mailto:` and `tel:` are
    not. Looks back 2,048 characters.
    """
    window = text[max(0, at - _LOOK_BACK) : at]
    opened = window.rfind("](")
    if opened >= 0:
        destination = window[opened + 2 :]
        if ")" not in destination and "\n\n" not in destination:
            return not destination.lstrip(" \n<").lower().startswith(_HARMLESS)
    if "<" in window and "=" in window and (attribute := _ATTRIBUTE.search(window)):
        value = attribute[0].partition("=")[2].lstrip(" \n\t\"'").lower()
        return not value.startswith(_HARMLESS)
    if "(" in window and _CSS.search(window[window.rfind(")") + 1 :]):
        return True
    if not window or window[-1].isspace():
        return False
    word = window.rsplit(None, 1)[-1]
    reversed_run = _URL_RUN.match(word[::-1])
    run = word[len(word) - reversed_run.end() :].lower() if reversed_run else ""
    if "://" in run or run.startswith(("//", "www.")):
        return True
    return ("/" in run or "?" in run) and _BARE_HOST.search(run) is not None


class RestoreStream:
    """Restores a text that arrives in pieces; the outputs joined equal `restore` of the whole.

    Held back is only what may still become a placeholder.

    Args:
        vault: what the placeholders stand for.

        allows: which entities may be put back; all when `None`.

        urls: whether values may be put back inside web addresses.

        unknown: see `OnUnknown`.
    """

    def __init__(
        self, vault: Vault, *, allows: Allows | None = None, urls: bool = False, unknown: OnUnknown = "keep"
    ) -> None:
        self._vault, self._allows, self._urls, self._on_unknown = vault, allows, urls, unknown
        self._text = ""
        self._done = 0
        self.restored = 0
        """How many values were put back."""
        self.unknown = 0
        """How many placeholders of a known entity had a number that was never given out."""

    @property
    def held(self) -> int:
        """How many characters of what came in wait: they may be the beginning of a placeholder."""
        return len(self._text) - self._done

    def feed(self, text: str, /) -> str:
        """Take the next piece and return what is final by now."""
        self._text += text
        return self._advance(open_placeholder(self._text, self._done))

    def flush(self) -> str:
        """Return the rest; the text ends here."""
        return self._advance(len(self._text))

    def _advance(self, end: int) -> str:
        out: list[str] = []
        for found in find_placeholders(self._text[:end], self._done):
            value = self._value(found.entity, found.number, found.start)
            if value is not None:
                out += (self._text[self._done : found.start], value)
                self._done = found.end
        out.append(self._text[self._done : end])
        self._done = max(self._done, end)
        if self._done > 2 * _LOOK_BACK:
            self._text = self._text[self._done - _LOOK_BACK :]
            self._done = _LOOK_BACK
        return "".join(out)

    def _value(self, entity: str, number: int, start: int) -> str | None:
        if not self._vault.knows(entity):
            return None
        held = self._vault.value(entity, number)
        if held is None:
            self.unknown += 1
            if self._on_unknown == "raise":
                raise Blocked(
                    f"the answer holds a placeholder {entity} {number} that was never given out", layer="ScrubPII"
                )
            return "" if self._on_unknown == "drop" else None
        if (self._allows and not self._allows(entity)) or (not self._urls and in_url(self._text, start)):
            return None
        self.restored += 1
        return held[0]


def restore(
    text: str, vault: Vault, *, allows: Allows | None = None, urls: bool = False, unknown: OnUnknown = "keep"
) -> str:
    """Return the text with the values put back; see `RestoreStream` for the arguments.

    Restored values are not searched again: a value that reads as a placeholder stays as it is.

    Raises:
        Blocked: a number was never given out and `unknown` is `"raise"`.
    """
    stream = RestoreStream(vault, allows=allows, urls=urls, unknown=unknown)
    return stream.feed(text) + stream.flush()
