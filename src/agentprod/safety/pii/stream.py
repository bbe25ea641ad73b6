"""Scrub a text that arrives in pieces, with the same result as scrubbing it whole.

A stream may be parted only where no value can reach across. Values are made of few characters and join over spaces only
between digits and a handful of words (months, "ext", "office" …), so the end of almost every word is such a place, and
what is held back is the last word. What reaches further is held from where it opens: a private key, an IBAN in groups,
a placeholder, an e-mail address in another script, whose name may be the last Chinese characters. Recognisers of your
own state how far they look (`window`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agentprod.safety.pii.birth import MONTHS
from agentprod.safety.pii.entities import SECRETS
from agentprod.safety.pii.folding import Folded, fold
from agentprod.safety.pii.identity import open_iban
from agentprod.safety.pii.mailboxes import SPACED_SCRIPTS, open_email
from agentprod.safety.pii.overlap import resolve
from agentprod.safety.pii.placeholders import open_placeholder
from agentprod.safety.pii.secrets import open_private_key
from agentprod.safety.pii.spans import Span

if TYPE_CHECKING:
    from agentprod.safety.pii.scrubber import Direction, Scrubber
    from agentprod.safety.pii.vault import Vault

__all__ = ["ScrubStream", "safe_cut"]

# All printable ASCII but the four signs that no value holds: quotation marks, angle brackets, the back-tick.
_PRINTABLE = "!#-;=?-_a-~"
_TOKEN = (
    f"{_PRINTABLE}\u00c0-\u024f{SPACED_SCRIPTS}（）：·•・∙‧挂学警港澳试超领使分机号转轉年月日出生"
    "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
)
_TOKEN_RUN = re.compile(f"[{_TOKEN}]*")
_ASCII_RUN = re.compile(f"[{_PRINTABLE}：]*")
_PROVINCE = re.compile("[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼]")
_ONLY_TOKEN = re.compile(f"[{_TOKEN}]+")
_ONLY_ASCII = re.compile(f"[{_PRINTABLE}：]+")
_LAST_WORD = re.compile("(?:[0-9](?:st|nd|rd|th)|(?<![A-Za-z])[A-Za-z]+)\\Z", re.IGNORECASE)
_FIRST_WORD = re.compile("[A-Za-z]+")
_OTHER_SCRIPT = re.compile(f"[{SPACED_SCRIPTS}]")
_JOINING = frozenset(
    (
        *MONTHS,
        *"of x ext extn extension poste durchwahl ramal office fax mobile cell home work direct phone tel mob".split(),
        *"byte bytes kb mb gb tb kib mib gib b ms us ns sec secs second seconds usd eur cny rmb wj".split(),
    )
)
_CUT_OFF = re.compile(
    "%(?:[0-9A-F]?|[CD][0-9A-F](?:%[89AB]?)?|E[0-9A-F](?:%[89AB][0-9A-F])?(?:%[89AB]?)?"
    "|F[0-4](?:%[89AB][0-9A-F]){0,2}(?:%[89AB]?)?)\\Z",
    re.IGNORECASE,
)
"""A percent-encoded character (RFC 3986, UTF-8) without its last digits."""

_EDGES = ".,;:!?()（）：-/#'[]"
_CONTEXT = 192
"""Characters of the past that decisions look at."""
_CHAIN = 320
_LONGEST_NUMBER = 160
_LONGEST_CHAIN = 512
"""Characters; what holds back more than a few words is a private key."""
_LONGEST_TOKEN = 24_576


def _joins_right(token: str) -> bool:
    """Tell whether a value may go on behind the space that follows this token."""
    core = token.rstrip(_EDGES)
    if not core or not (core[-1].isascii() and core[-1].isalpha()):
        return _is_open(core[-1:])
    word = _LAST_WORD.search(core)
    return word is not None and (word[0][0].isdigit() or word[0].lower() in _JOINING)


def _is_open(char: str) -> bool:
    """Tell whether a value may hold a space beside this character, which is no ASCII letter."""
    return char in "0123456789+%" if char.isascii() else not _OTHER_SCRIPT.match(char)


def _joins_left(token: str, *, partial: bool) -> bool:
    """Tell whether this token may belong to a value that began before the space in front of it."""
    core = token.lstrip(_EDGES)
    word = _FIRST_WORD.match(core)
    if not word:
        return _is_open(core[:1])
    lowered = word[0].lower()
    if lowered in _JOINING:
        return True
    return partial and word.end() == len(core) and any(known.startswith(lowered) for known in _JOINING)


def safe_cut(text: str, start: int, *, spaced: bool = True) -> int:
    """Return up to where folded text is final, at least `start`: no value begins before and ends after that offset.

    Args:
        text: what has arrived.

        start: up to where it was final before.

        spaced: whether values may hold spaces; credentials, but for private keys, do not.
    """
    cut = _word_cut(text, start, spaced)
    opened = open_private_key(text, start)
    if spaced:
        opened = min(opened, open_iban(text, start), open_email(text, start))
    if start < opened < cut and _ONLY_TOKEN.match(text, opened):
        # What opens inside a word is held with the whole of that word.
        return _word_cut(text[:opened], start, spaced)
    return max(start, min(cut, opened))


def _word_cut(text: str, start: int, spaced: bool) -> int:
    """Return the last place between two words over which no value reaches."""
    size = len(text)
    run = (_TOKEN_RUN if spaced else _ASCII_RUN).match(text[start:][::-1])
    cut = size - (run.end() if run else 0)
    token, partial = text[cut:], True
    while spaced and cut > start and text[cut - 1] == " ":
        gap = len(text[start:cut].rstrip(" ")) + start
        if cut - gap > 3:
            break
        left = _TOKEN_RUN.match(text[max(start, gap - _CHAIN) : gap][::-1])
        begin = gap - (left.end() if left else 0)
        if begin == gap:
            break
        plate = _PROVINCE.search(text, max(begin, gap - 6), gap)
        if not plate and not (_joins_right(text[begin:gap]) and _joins_left(token, partial=partial)):
            break
        cut, token, partial = begin, text[begin:gap], False
        if size - cut > _CHAIN:
            # No value of several words is this long: what begins far enough back is decided.
            return max(start, text.rfind(" ", start, size - _LONGEST_NUMBER) + 1)
    if size - cut > _LONGEST_TOKEN:
        cut = size - _LONGEST_TOKEN // 2
    return max(start, cut)


class ScrubStream:
    """Scrubs one text piece by piece. Build it with `Scrubber.stream`.

    Args:
        scrubber: what to find and how to replace it.

        vault: where placeholders are kept.

        direction: whose strategies to use.

        before: text in front of it, read as context and not given out.
    """

    def __init__(self, scrubber: Scrubber, vault: Vault, *, direction: Direction = "output", before: str = "") -> None:
        self._scrubber, self._vault = scrubber, vault
        self._direction: Direction = direction
        windows = [recognizer.window for recognizer in scrubber.recognizers]
        self._whole = None in windows
        self._window = max([scrubber.window, *(window or 0 for window in windows)])
        self._spaced = not scrubber.entities <= SECRETS or bool(windows)
        self._text = before
        self._done = len(before)
        self._waiting: list[str] = []
        self._waiting_size = 0
        self._word = _ONLY_TOKEN if self._spaced else _ONLY_ASCII
        self._inside_word = True
        self.counts: dict[str, int] = {}
        """How many values were found so far, by entity."""

    def feed(self, text: str, /) -> str:
        """Take the next piece and return what is final by now."""
        self._waiting.append(text)
        self._waiting_size += len(text)
        if self._whole:
            return ""
        # Inside a word nothing becomes final: a word of any length costs one scan, not one per piece.
        if self._inside_word and self.held < _LONGEST_TOKEN and self._word.fullmatch(text):
            return ""
        self._collect()
        out = self._advance(last=False)
        self._inside_word = not self._window and (
            self.held > _LONGEST_CHAIN or self._word.fullmatch(self._text, self._done) is not None
        )
        return out

    @property
    def held(self) -> int:
        """How many characters of what came in wait: they are, or may become, part of a value."""
        return len(self._text) - self._done + self._waiting_size

    def flush(self) -> str:
        """Return the rest; the text ends here."""
        self._collect()
        return self._advance(last=True)

    def _collect(self) -> None:
        self._text += "".join(self._waiting)
        self._waiting.clear()
        self._waiting_size = 0

    def _advance(self, *, last: bool) -> str:
        text, done = self._text, self._done
        cut = len(text) if last else self._part(self._known())
        if cut <= done and not last:
            return ""
        spans, inseparable = self._scrubber.examine(text, done)
        if self._direction != "output":
            literal = [span for span in self._scrubber.literals(text, self._vault) if span.start >= done]
            spans = resolve(text, [*spans, *literal]) if literal else spans
        if not last:
            whole = [*spans, *inseparable]
            while (outside := _outside(cut, done, whole)) < cut:
                cut = self._part(outside)
            if cut <= done:
                return ""
        final = [span._replace(start=span.start - done, end=span.end - done) for span in spans if span.end <= cut]
        scrubbed = self._scrubber.replace(text[done:cut], final, self._vault, direction=self._direction)
        for span in final:
            self.counts[span.entity] = self.counts.get(span.entity, 0) + 1
        self._done = cut
        self._forget()
        return scrubbed.text

    def _known(self) -> int:
        """Return up to where recognisers with a window, and the reader of placeholders, have decided."""
        text = self._text
        end = len(text)
        if self._window:
            folded = fold(text)
            end = folded.offset(max(0, len(folded.text) - self._window))
        if self._direction != "output":
            end = min(end, open_placeholder(text, self._done))
        return end

    def _part(self, end: int) -> int:
        """Return the last offset up to `end` at which the text may be parted."""
        end = _before_cut_off(self._text, self._done, end)
        if end <= self._done:
            return self._done
        folded = fold(self._text[:end])
        cut = safe_cut(folded.text, _folded_offset(folded, self._done), spaced=self._spaced)
        return end if cut >= len(folded.text) else folded.offset(cut)

    def _forget(self) -> None:
        """Drop what no decision looks at any more."""
        if self._done > 3 * _CONTEXT:
            keep = self._done - _CONTEXT
            # Invisible characters are not context.
            while keep > 0 and len(fold(self._text[keep : self._done]).text) < _CONTEXT:
                keep = max(0, keep - _CONTEXT)
            self._text = self._text[keep:]
            self._done -= keep


def _before_cut_off(text: str, start: int, end: int) -> int:
    """Return where a percent-encoded character begins that goes on behind `end`, or `end`."""
    tail = text[max(start, end - 11) : end]
    part = _CUT_OFF.search(tail) if "%" in tail else None
    return end - len(tail) + part.start() if part else end


def _outside(cut: int, done: int, spans: list[Span]) -> int:
    """Return the nearest offset before `cut` that lies in no span."""
    moved = True
    while moved:
        moved = False
        for span in spans:
            if done <= span.start < cut < span.end:
                cut, moved = span.start, True
    return cut


def _folded_offset(folded: Folded, offset: int) -> int:
    """Return the folded offset of an original one."""
    if not folded.places:
        return offset
    low, high = 0, len(folded.text)
    while low < high:
        middle = (low + high) // 2
        if folded.offset(middle) < offset:
            low = middle + 1
        else:
            high = middle
    return low
