"""What every wire format has to hold."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentprod.dialects.base import Dialect
from agentprod.events import Event
from agentprod.parts import Part
from agentprod.testing.conformance.check import Check, expect

__all__ = ["Sample", "dialect_checks"]


@dataclass(frozen=True)
class Sample:
    """One request of a format, and its reply whole and as a stream; both say the same.

    Attributes:
        request: the request's JSON.

        body: the whole reply's JSON.

        events: the JSON of the stream's events, in order; empty where the format has no streams.
    """

    request: Mapping[str, Any]
    body: Any
    events: Sequence[Any] = ()


def dialect_checks(dialect: Dialect, samples: Sequence[Sample]) -> list[Check]:
    """Return what to check of a wire format.

    Args:
        dialect: an instance of it.

        samples: at least one request with its reply, as the provider really sends them.

    Returns:
        The checks, named by what they check and the sample's number.

    Raises:
        ValueError: there is no sample.
    """
    if not samples:
        raise ValueError("dialect_checks needs at least one sample: a format can only be checked on what it reads")
    checks = []
    for number, sample in enumerate(samples):
        named: dict[str, tuple[str, Callable[[Dialect, Sample], None]]] = {
            "changes_nothing_it_is_given": ("every method is pure", _is_pure),
            "names_the_model": ("with_model is what model reads", _names_the_model),
            "maps_request_texts": ("every text of a request can be edited, and nothing else changes", _maps_texts),
            "edits_bodies": ("every text of a reply can be edited", _edits_bodies),
            "makes_bodies": ("a reply made of a text says that text", _makes_bodies),
            "stays_json": ("what it returns can be written as JSON", _stays_json),
        }
        if sample.events:
            named["reads_streams"] = ("a stream says what the whole reply says, and is whole at its end", _reads)
            named["joins_and_splits"] = ("a stream joins to the whole reply, and that splits to a stream", _joins)
            named["edits_streams"] = ("editing a stream gives what editing the whole reply gives", _edits_streams)
            named["tells_a_cut_stream"] = ("a stream cut after its first content is not whole", _tells_a_cut)
        for name, (says, run) in named.items():
            checks.append(Check(f"{name}[{number}]", says, _bound(run, dialect, sample)))
    return checks


def _bound(run: Callable[[Dialect, Sample], None], dialect: Dialect, sample: Sample) -> Callable[[], None]:
    return lambda: run(dialect, sample)


class _Upper:
    """Upper-cases, one character late, so that there is something to flush."""

    def __init__(self) -> None:
        self._kept = ""

    def feed(self, text: str) -> str:
        text = self._kept + text
        self._kept = text[-1:]
        return text[:-1].upper()

    def flush(self) -> str:
        kept, self._kept = self._kept, ""
        return kept.upper()


def _upper(text: str, part: Part) -> str:
    return text.upper()


def _read(dialect: Dialect, events: Sequence[Any]) -> Any:
    reader = dialect.reader()
    for event in events:
        expect(not reader.feed(event), "an event of the sample is read as an error")
    return reader


def _is_pure(dialect: Dialect, sample: Sample) -> None:
    before = copy.deepcopy(sample)
    dialect.map_text(sample.request, _upper)
    dialect.with_model(sample.request, "another")
    dialect.ask_usage(sample.request)
    dialect.edit_body(sample.body, lambda part: _Upper(), sample.request)
    dialect.usage(sample.body)
    dialect.split(sample.body)
    dialect.to_neutral(sample.request)
    dialect.reply_to_neutral(sample.body)
    if sample.events:
        _read(dialect, sample.events)
        dialect.join(list(sample.events))
        _edited(dialect, sample)
    expect(sample == before, "it changed what it was given; copy along the path that changes")


def _names_the_model(dialect: Dialect, sample: Sample) -> None:
    made = dialect.model(dialect.with_model(sample.request, "another"))
    expect(made == "another", f"with_model wrote 'another', model reads {made!r}")


def _maps_texts(dialect: Dialect, sample: Sample) -> None:
    same = dialect.map_text(sample.request, lambda text, part: text)
    expect(same is sample.request, "map_text with no change returns another object; caches compare by identity")
    mapped = dialect.map_text(sample.request, _upper)
    texts = [fragment.text for fragment in dialect.request_fragments(sample.request) if not fragment.part.json]
    expect(texts, "request_fragments finds no text in the sample's request")
    new = [fragment.text for fragment in dialect.request_fragments(mapped) if not fragment.part.json]
    expect(new == [text.upper() for text in texts], "map_text did not change every text that request_fragments finds")


def _edits_bodies(dialect: Dialect, sample: Sample) -> None:
    text = dialect.text(sample.body)
    same = dialect.edit_body(sample.body, lambda part: None, sample.request)
    expect(same is sample.body, "edit_body without an editor returns another object")
    edited = dialect.text(dialect.edit_body(sample.body, lambda part: _Upper(), sample.request))
    expect(edited == text.upper(), f"edit_body made {edited!r} of {text!r}")


def _makes_bodies(dialect: Dialect, sample: Sample) -> None:
    made = dialect.text(dialect.make_body(sample.request, "hello 世界"))
    expect(made == "hello 世界", f"make_body of a text says {made!r}")
    given = dialect.make_body(sample.request, sample.body)
    expect(dialect.text(given) == dialect.text(sample.body), "make_body of a whole body says something else")


def _stays_json(dialect: Dialect, sample: Sample) -> None:
    for made in (
        dialect.map_text(sample.request, _upper),
        dialect.with_model(sample.request, "m"),
        dialect.ask_usage(sample.request),
        dialect.edit_body(sample.body, lambda part: _Upper(), sample.request),
        dialect.make_body(sample.request, "hello"),
        dialect.split(sample.body),
    ):
        json.dumps(made)


def _reads(dialect: Dialect, sample: Sample) -> None:
    reader = _read(dialect, sample.events)
    reader.end()
    expect(reader.content, "the reader saw no content in the sample's stream")
    expect(reader.done, "the reader did not find the terminal marker of the sample's stream")
    said, whole = "".join(reader.texts), dialect.text(sample.body)
    expect(said == whole, f"the stream says {said!r}, the whole reply {whole!r}")


def _joins(dialect: Dialect, sample: Sample) -> None:
    whole = dialect.text(sample.body)
    joined = dialect.text(dialect.join(list(sample.events)))
    expect(joined == whole, f"the joined stream says {joined!r}, the whole reply {whole!r}")
    reader = _read(dialect, dialect.split(sample.body))
    reader.end()
    expect(reader.done, "a reply that was split has no terminal marker")
    expect("".join(reader.texts) == whole, f"a reply that was split says {''.join(reader.texts)!r}")


def _edited(dialect: Dialect, sample: Sample) -> list[Any]:
    stage = dialect.stream_editor(lambda part: _Upper(), sample.request)
    out = [event for data in sample.events for event in stage.feed([Event(data)])]
    return [event.data for event in (*out, *stage.finish())]


def _edits_streams(dialect: Dialect, sample: Sample) -> None:
    said = "".join(_read(dialect, _edited(dialect, sample)).texts)
    wanted = dialect.text(sample.body).upper()
    expect(said == wanted, f"the edited stream says {said!r} and should say {wanted!r}")


def _tells_a_cut(dialect: Dialect, sample: Sample) -> None:
    reader = dialect.reader()
    for event in sample.events[:-1]:
        reader.feed(event)
        if reader.content:
            expect(not reader.done, "the stream counts as whole with its first content")
            return
