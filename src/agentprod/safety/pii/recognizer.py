"""Recognisers of your own: a pattern, a list of terms, or any callable from text to spans."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from agentprod.errors import ConfigError
from agentprod.safety.pii.deadline import within
from agentprod.safety.pii.folding import fold
from agentprod.safety.pii.keywords import Keywords, lower
from agentprod.safety.pii.pattern_shape import reach
from agentprod.safety.pii.redos import slow_probe
from agentprod.safety.pii.spans import Span
from agentprod.safety.pii.strategies import ENTITY_NAME

__all__ = ["Finder", "Recognizer", "as_recognizer"]

Finder = Callable[[str], Iterable[Any]]
"""Takes the text and returns spans: `Span`s, `(start, end, entity[, score])`, or objects with `start`, `end` and
`entity_type` or `label`, as Presidio, spaCy and GLiNER return them."""

_LONGEST = 1024


class Recognizer:
    """Finds one or more entities of yours. Build one with `regex`, `terms` or `of`.

    Args:
        name: the entity, or of a callable its name in errors; like `"EMPLOYEE_ID"`.

        find: `(text, start)` to spans that begin at or after `start`.

        window: how many characters a decision about one place can look ahead. A stream holds back that many. `None`
            for the whole text: then a stream gives out nothing before its end.

        folded: read the folded text (see `folding`), or the original.
    """

    __slots__ = ("find", "folded", "name", "window")

    def __init__(
        self, name: str, find: Callable[[str, int], Iterable[Span]], *, window: int | None, folded: bool = True
    ) -> None:
        if not ENTITY_NAME.fullmatch(name):
            raise ConfigError(f"{name!r} is no entity name: use capitals, digits and '_', like 'EMPLOYEE_ID'")
        self.name: str = name
        self.find: Callable[[str, int], Iterable[Span]] = find
        self.window: int | None = window
        self.folded: bool = folded

    @classmethod
    def regex(
        cls,
        name: str,
        pattern: str | re.Pattern[str],
        *,
        validate: Callable[[str], bool] | None = None,
        context: Iterable[str] = (),
        score: float = 0.85,
        probe: bool = True,
    ) -> Recognizer:
        r"""Return a recogniser for a regular expression.

        It is searched in the folded text, so `EMP-\d{6}` also finds `ＥＭＰ－１２３４５６`. Between Chinese characters
        `\b` does not hold: write `(?<![0-9A-Za-z])` and `(?![0-9A-Za-z])`.

        Args:
            name: the entity to report, in capitals, such as `"EMPLOYEE_ID"`.

            pattern: the whole match is the value, or its group `value` when it has one. Matches of more than 1,024
                characters are cut there.

            validate: gets the value; what it refuses is not reported.

            context: words; when given, one of them must stand within 40 characters before the value.

            score: confidence of a match, 0 to 1.

            probe: whether to measure first that no text makes the pattern slow.

        Raises:
            ConfigError: the pattern is invalid, matches the empty string, or becomes slow (backtracking).
        """
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            raise ConfigError(f"the pattern of {name} is invalid: {error}") from None
        if not 0 < score <= 1:
            raise ConfigError(f"score must be above 0 and at most 1, not {score}")
        if compiled.match(""):
            raise ConfigError(f"the pattern of {name} matches the empty string: it would match everywhere")
        if probe and (slow := slow_probe(compiled)):
            raise ConfigError(
                f"the pattern of {name} becomes slow on {slow}: bound its repeats ({{0,63}}), begin it with a boundary "
                "like (?<![0-9A-Za-z]), and nest no optional groups; probe=False skips this check"
            )
        listed = [lower(fold(word).text) for word in ([context] if isinstance(context, str) else context)]
        words = Keywords(listed)
        group = "value" if "value" in compiled.groupindex else 0

        def find(text: str, start: int) -> Iterator[Span]:
            ends = [found[0] for found in words.find(lower(text))] if listed else []
            at = start
            while match := compiled.search(text, at):
                if match.end() - match.start() > _LONGEST:
                    match = compiled.match(text, match.start(), match.start() + _LONGEST) or match
                begin, end = match.span(group)
                near = not listed or any(begin - 40 <= word <= begin for word in ends)
                taken = end > begin and near and (validate is None or validate(text[begin:end]))
                if taken:
                    yield Span(begin, end, name, score)
                if not taken or group:
                    # Score 0: reported to no one, but a stream must not part the text inside what was searched as one.
                    yield Span(match.start(), match.end(), name, 0.0)
                at = max(match.end(), at + 1)

        return cls(name, find, window=reach(compiled, _LONGEST))

    @classmethod
    def terms(cls, name: str, terms: Iterable[str], *, whole: bool = True) -> Recognizer:
        """Return a recogniser for fixed terms, such as project names, in any case and width.

        Args:
            name: the entity to report, in capitals, such as `"PROJECT"`.

            terms: what to find; none may be empty.

            whole: whether a term must not touch another letter or digit of its own script. Chinese characters may
                touch it.
        """
        listed = [lower(fold(term).text) for term in terms]
        if not listed or not all(listed):
            raise ConfigError(f"the terms of {name} are empty, or one of them is")
        words = Keywords(listed)

        def find(text: str, start: int) -> Iterator[Span]:
            lowered = lower(text)
            for end, begin, _ in words.find(lowered, start):
                around = (lowered[begin - 1 : begin], lowered[begin]), (lowered[end : end + 1], lowered[end - 1])
                if not whole or not any(out.isalnum() and out.isascii() and inner.isascii() for out, inner in around):
                    yield Span(begin, end, name, 0.9)

        return cls(name, find, window=max(map(len, listed)) + 1)

    @classmethod
    def of(
        cls, find: Finder, *, name: str | None = None, window: int | None = None, timeout: float | None = None
    ) -> Recognizer:
        """Return a recogniser for a callable, such as a model.

        Args:
            find: takes the original text; see `Finder`.

            name: shown in errors; default the callable's own name.

            window: as in the constructor. `None`, the default, suits models.

            timeout: seconds; the callable then runs on a thread of a small pool, and taking longer is an error.
        """
        label = name or re.sub(r"[^A-Z0-9]+", "_", getattr(find, "__name__", type(find).__name__).upper()).strip("_")
        label = label if ENTITY_NAME.fullmatch(label) else "CUSTOM"
        call = find if timeout is None else within(find, timeout)

        def spans(text: str, start: int) -> Iterator[Span]:
            for item in call(text):
                span = _as_span(item, len(text))
                if span.start >= start:
                    yield span

        return cls(label, spans, window=window, folded=False)

    def __repr__(self) -> str:
        return f"Recognizer({self.name!r})"


def as_recognizer(recognizer: Recognizer | Finder) -> Recognizer:
    """Return a recogniser for whatever was passed as one."""
    if isinstance(recognizer, Recognizer):
        return recognizer
    if callable(recognizer):
        return Recognizer.of(recognizer)
    raise ConfigError(f"a recogniser is a Recognizer or a callable (text) -> spans, not {type(recognizer).__name__}")


def _as_span(item: Any, size: int) -> Span:
    if isinstance(item, Span):
        span = item
    elif isinstance(item, (tuple, list)):
        start, end, entity, *rest = item
        span = Span(int(start), int(end), str(entity), float(rest[0]) if rest else 0.85)
    else:
        span = _from_fields(item)
    if not 0 <= span.start <= span.end <= size:
        raise ValueError(f"span {span.start}:{span.end} lies outside the text of {size} characters")
    name = re.sub(r"[^A-Z0-9]+", "_", span.entity.upper()).strip("_")
    if not ENTITY_NAME.fullmatch(name):
        raise ValueError("the span has no usable entity name")
    return span._replace(entity=name)


def _from_fields(item: Any) -> Span:
    fields: dict[str, Any] = {}
    for field, names in _FIELDS.items():
        for name in names:
            value = item.get(name) if isinstance(item, Mapping) else getattr(item, name, None)
            if value is not None:
                fields[field] = value
                break
    return Span(int(fields["start"]), int(fields["end"]), str(fields["entity"]), float(fields.get("score", 0.85)))


# The names that Presidio, spaCy, transformers' pipelines and GLiNER use; spaCy's `start` counts tokens.
_FIELDS = {
    "start": ("start_char", "start"),
    "end": ("end_char", "end"),
    "entity": ("entity_type", "entity_group", "entity", "label_", "label"),
    "score": ("score",),
}
