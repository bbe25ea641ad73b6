"""Find, replace, give back: the engine behind `scrub` and the middleware."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Literal

from agentprod.errors import Blocked, ConfigError
from agentprod.safety.pii.entities import ALL, DEFAULT
from agentprod.safety.pii.folding import fold
from agentprod.safety.pii.memo import Memo
from agentprod.safety.pii.overlap import resolve
from agentprod.safety.pii.placeholders import LITERAL, find_placeholders
from agentprod.safety.pii.recognizer import Finder, Recognizer, as_recognizer
from agentprod.safety.pii.scrubbed import Piece, Scrubbed
from agentprod.safety.pii.spans import Span
from agentprod.safety.pii.strategies import Policy, Strategy, mask, redact
from agentprod.safety.pii.vault import Form, Vault

if TYPE_CHECKING:
    from agentprod.safety.pii.stream import ScrubStream

__all__ = ["Allow", "Direction", "OnError", "Scrubber"]

Direction = Literal["input", "output", "tool_results"]
"""Which way a text goes: to the model, from it, or to it from a tool."""

OnError = Literal["block", "redact", "ignore"]
"""What happens when a recogniser fails: nothing is sent, the whole text is replaced, or it goes on without."""

Allow = str | re.Pattern[str] | Callable[[str, str], bool]
"""A value to leave alone: the value itself in any case and width, `"@corp.com"` for a mail domain with its
subdomains, a pattern that matches all of it, or a callable `(entity, value) -> bool`."""

_UNREADABLE = "[UNREADABLE]"
_LONGEST_NAME = 14
_NAME = re.compile("[A-Za-z_]*")
"""Roles, types and keys: without a digit or a sign, and this short, nothing has the look of a value."""


class Scrubber:
    """Replaces personal data and secrets, and puts them back.

    Pure: what it knows of a text comes from the text, the vault and its options. Safe for use by many threads.

    Args:
        entities: which built-in entities to look for; see `pii.DEFAULT` and the other named sets. The entities of
            `recognizers` are always looked for.

        strategy: one for all, or one per entity with `"*"` for the rest; see `Strategy`. For secrets a bare
            `"placeholder"` means `secrets`.

        secrets: strategy of secrets that no map names.

        input: what to put in place of what is sent; `strategy` when `None`.

        output: the same for what the model wrote; `{"SECRET": "redact", "*": "pass"}` when `None`.

        tool_results: the same for what tools returned; `strategy` when `None`.

        recognizers: your own; see `Recognizer`.

        allow: values to leave alone; see `Allow`.

        threshold: findings below this score are dropped, 0.05 to 1.

        on_error: when a recogniser fails: `"block"` raises `Blocked`, `"redact"` replaces the whole text,
            `"ignore"` goes on without it.

        memo: how many texts are remembered by a keyed hash, so that an unchanged history is not scanned again. Offsets
            are kept, never texts. Callables without a window and recognisers that fail are remembered like the others.

    Raises:
        ConfigError: an option cannot work.
    """

    def __init__(
        self,
        *,
        entities: Iterable[str] = DEFAULT,
        strategy: Strategy | Mapping[str, Strategy] = "placeholder",
        secrets: Strategy = "block",
        input: Strategy | Mapping[str, Strategy] | None = None,
        output: Strategy | Mapping[str, Strategy] | None = None,
        tool_results: Strategy | Mapping[str, Strategy] | None = None,
        recognizers: Iterable[Recognizer | Finder] = (),
        allow: Iterable[Allow] = (),
        threshold: float = 0.5,
        on_error: OnError = "block",
        memo: int = 16_384,
    ) -> None:
        self.entities = frozenset([entities] if isinstance(entities, str) else entities)
        unknown = sorted(self.entities - ALL)
        if unknown:
            raise ConfigError(
                f"unknown entities {', '.join(map(repr, unknown))}: built in are {', '.join(sorted(ALL))}"
            )
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0.05 <= threshold <= 1:
            raise ConfigError(f"threshold must be a number from 0.05 to 1, not {threshold!r}")
        if on_error not in ("block", "redact", "ignore"):
            raise ConfigError(f"on_error must be 'block', 'redact' or 'ignore', not {on_error!r}")
        if isinstance(recognizers, Recognizer) or callable(recognizers):
            raise ConfigError("recognizers is a list of recognisers: write recognizers=[…]")
        self.recognizers = tuple(as_recognizer(recognizer) for recognizer in recognizers)
        # The detectors hold some 300 patterns; compiling them takes longer than importing the rest of the package.
        from agentprod.safety.pii.detectors import built_in, find_spans
        from agentprod.safety.pii.network import urls

        self._detectors = built_in(self.entities)
        self._find_spans, self._urls = find_spans, urls
        self._allow = tuple(_allow_test(entry) for entry in ([allow] if isinstance(allow, str) else allow))
        self._threshold = threshold
        self._on_error = on_error
        self._memo = Memo(memo)
        common = Policy(strategy, secrets=secrets)
        self._policies: dict[Direction, Policy] = {
            "input": common if input is None else Policy(input, secrets=secrets),
            "output": Policy(
                {"SECRET": "redact", "*": "pass"} if output is None else output, default="pass", secrets=secrets
            ),
            "tool_results": common if tool_results is None else Policy(tool_results, secrets=secrets),
        }
        # Names and addresses join over characters that otherwise part words.
        self.window = 64 if self.entities & {"PERSON", "ADDRESS"} else 0
        self._names = self.entities | {recognizer.name for recognizer in self.recognizers} | {LITERAL}
        if not self.recognizers:  # which may find what they like
            for given in (strategy, input, output, tool_results):
                _check_named(given)

    def policy(self, direction: Direction = "input") -> Policy:
        """Return the strategies of a direction."""
        return self._policies[direction]

    def for_output(self) -> Scrubber | None:
        """Return a scrubber for what a model wrote that looks only for what its strategies change; `None` for nothing.

        Less to look for is less to hold back in a stream.
        """
        policy = self._policies["output"]
        wanted = {entity for entity in self.entities if policy.of(entity) != "pass"}
        # A callable of the user's reports whatever entities it likes.
        own = [
            each
            for each in self.recognizers
            if policy.of(each.name) != "pass" or (not each.folded and policy.changes_more)
        ]
        if not wanted and not own:
            return None
        if wanted == self.entities and len(own) == len(self.recognizers):
            return self
        made = copy(self)
        made.entities = frozenset(wanted)
        made._detectors = tuple(detector for detector in self._detectors if detector.entities & wanted)
        made.recognizers = tuple(own)
        made._memo = Memo(0)
        made.window = 64 if wanted & {"PERSON", "ADDRESS"} else 0
        return made

    def find(self, text: str, *, before: str = "") -> list[Span]:
        """Return what is found in a text, disjoint and in order, in offsets of the text.

        Args:
            text: what to search.

            before: context in front of it, such as the key of a JSON value; it is read, never reported.

        Raises:
            Blocked: a recogniser failed, and `on_error` is `"block"`.
        """
        if not (before or self.recognizers) and len(text) <= _LONGEST_NAME and _NAME.fullmatch(text):
            return []
        key = self._memo.key(text, before)
        remembered = self._memo.get(key)
        if remembered is None:
            spans, _ = self.examine(before + text, len(before))
            shift = len(before)
            remembered = (
                [Span(span.start - shift, span.end - shift, span.entity, span.score) for span in spans]
                if shift
                else spans
            )
            self._memo.put(key, remembered)
        return remembered

    def examine(self, text: str, start: int) -> tuple[list[Span], list[Span]]:
        """Return the findings from `start` on, and the spans inside which a stream must not part the text."""
        folded = fold(text)
        if start >= len(text):
            return [], []
        begin = len(fold(text[:start]).text) if start else 0
        found: list[Span] = []
        raw: list[Span] = []
        failure = ""
        try:
            found += (
                span
                for span in self._find_spans(folded.text, self._detectors, begin)
                if span.entity in self.entities and span.start >= begin
            )
        except Exception as error:
            failure = f"the built-in detectors failed with {type(error).__name__}"
        if "URL" in self.entities:
            raw += self._urls(text, start)  # with its percent-encoding, which folding undoes
        for recognizer in self.recognizers:
            try:
                if recognizer.folded:
                    found += recognizer.find(folded.text, begin)
                else:
                    raw += recognizer.find(text, start)
            except Exception as error:
                failure = f"recogniser {recognizer.name} failed with {type(error).__name__}"
        # Raised out here, so that the failing exception, which may quote the text, is not attached.
        if failure and self._on_error == "block":
            raise Blocked(
                f"{failure} on a text of {len(text)} characters, and text that was not examined is not sent: mend "
                f"it, or "
                "choose on_error='redact' or 'ignore'",
                layer="ScrubPII",
            )
        if failure and self._on_error == "redact":
            return [Span(start, len(text), "UNREADABLE", 1.0)], []
        if folded.places:
            found = [Span(*folded.original(span.start, span.end), span.entity, span.score) for span in found]
        found += raw
        kept = [span for span in found if span.score >= self._threshold and span.end > span.start]
        if self._allow and kept:
            kept = self._without_allowed(text, kept)
        return resolve(text, kept), found

    def _without_allowed(self, text: str, spans: list[Span]) -> list[Span]:
        allowed = [
            span for span in spans if any(test(span.entity, text[span.start : span.end]) for test in self._allow)
        ]
        return [
            span for span in spans if not any(other.start <= span.start and span.end <= other.end for other in allowed)
        ]

    def literals(self, text: str, vault: Vault | None = None) -> list[Span]:
        """Return what in a text already reads as one of our placeholders."""
        return [
            Span(found.start, found.end, LITERAL, 2.0)
            for found in find_placeholders(text)
            if found.entity in self._names or (vault is not None and vault.knows(found.entity))
        ]

    def scrub(
        self,
        text: str,
        vault: Vault | None = None,
        *,
        direction: Direction = "input",
        before: str = "",
        form: Form = "text",
    ) -> Scrubbed:
        """Replace what is found in a text.

        Args:
            text: any text.

            vault: where reversible placeholders are kept; a new one when `None`.

            direction: whose strategies to use. In `"output"` a placeholder in the text is the model's and is left for
                `restore`; elsewhere it is the user's own text, and is hidden behind a placeholder of its own.

            before: context in front of the text, see `find`.

            form: `"number"` when the text is the digits of a JSON number.

        Raises:
            Blocked: a value has the strategy `"block"`, a recogniser failed, or the vault is full.
        """
        vault = Vault() if vault is None else vault
        spans = self.find(text, before=before)
        if direction != "output" and (literal := self.literals(text, vault)):
            spans = resolve(text, [*spans, *literal])
        return self.replace(text, spans, vault, direction=direction, form=form)

    def replace(
        self, text: str, spans: Sequence[Span], vault: Vault, *, direction: Direction = "input", form: Form = "text"
    ) -> Scrubbed:
        """Replace the spans of a text, which must be disjoint and in order."""
        if not spans:
            return Scrubbed(text, (), vault)
        policy = self._policies[direction]
        out: list[str] = []
        pieces: list[Piece] = []
        done = size = 0
        for span in spans:
            value = text[span.start : span.end]
            replacement, strategy = self._replacement(span.entity, value, policy, vault, form)
            out += (text[done : span.start], replacement)
            size += span.start - done
            pieces.append(
                Piece(span, strategy, size, size + len(replacement), value if strategy == "placeholder" else "")
            )
            size += len(replacement)
            done = span.end
        out.append(text[done:])
        return Scrubbed("".join(out), tuple(pieces), vault)

    def stream(self, vault: Vault | None = None, *, direction: Direction = "output", before: str = "") -> ScrubStream:
        """Return an object with `feed` and `flush` that scrubs a text which arrives in pieces."""
        from agentprod.safety.pii.stream import ScrubStream

        return ScrubStream(self, Vault() if vault is None else vault, direction=direction, before=before)

    def _replacement(self, entity: str, value: str, policy: Policy, vault: Vault, form: Form) -> tuple[str, str]:
        if entity == LITERAL:
            return vault.placeholder(LITERAL, value), "placeholder"
        if entity == "UNREADABLE":
            return _UNREADABLE, "redact"
        strategy = policy.of(entity)
        if strategy == "placeholder":
            return vault.placeholder(entity, value, form=form), "placeholder"
        if strategy == "redact":
            return redact(entity, value), "redact"
        if strategy == "mask":
            return mask(entity, value), "mask"
        if strategy == "pass":
            return value, "pass"
        if strategy == "block":
            raise Blocked(
                f"{entity} found in the text ({len(value)} characters), and its strategy is 'block': nothing is sent. "
                f"Remove it, or choose another strategy for {entity}",
                layer="ScrubPII",
            )
        return self._call(strategy, entity, value), "custom"

    def _call(self, strategy: Any, entity: str, value: str) -> str:
        replacement: Any = None
        try:
            replacement = strategy(entity, value)
            failed = None if isinstance(replacement, str) else f"returned {type(replacement).__name__}"
        except Exception as error:
            failed = f"failed with {type(error).__name__}"
        if failed:
            raise Blocked(f"the strategy of {entity} {failed} instead of giving a replacement", layer="ScrubPII")
        return str(replacement)

    def __repr__(self) -> str:
        own = "".join(f", {recognizer.name}" for recognizer in self.recognizers)
        return f"<Scrubber {len(self.entities)} entities{own}, {self._policies['input']!r}>"


def _check_named(given: Strategy | Mapping[str, Strategy] | None) -> None:
    """Refuse a strategy for what nothing finds: a name written wrong would leave values to another strategy."""
    named = set(given) if isinstance(given, Mapping) else set()
    for name in sorted(named - ALL - {LITERAL, "*"}):
        import difflib

        near = difflib.get_close_matches(name, ALL, 1)
        raise ConfigError(
            f"a strategy is given for {name!r}, which nothing finds: "
            + (f"did you mean {near[0]!r}?" if near else f"built in are {', '.join(sorted(ALL))}")
        )


def _allow_test(entry: Allow) -> Callable[[str, str], bool]:
    if isinstance(entry, re.Pattern):
        return lambda entity, value: entry.fullmatch(value) is not None
    if callable(entry):
        return entry
    if not isinstance(entry, str) or not entry:
        raise ConfigError(
            "allow holds strings, patterns and callables (entity, value) -> bool; an empty string allows nothing"
        )
    wanted = fold(entry).text.lower()
    if wanted.startswith("@"):

        def same_domain(entity: str, value: str) -> bool:
            domain = fold(value).text.lower().rpartition("@")[2]
            return entity == "EMAIL" and (domain == wanted[1:] or domain.endswith("." + wanted[1:]))

        return same_domain
    return lambda entity, value: fold(value).text.lower() == wanted
