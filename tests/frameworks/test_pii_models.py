"""Presidio and spaCy themselves as recognisers; their models for names are not needed, rules stand in for them.

GLiNER is not run: it does nothing without its weights.
"""

from __future__ import annotations

from typing import Any

import pytest

import agentprod as ap
from agentprod.errors import ConfigError

_WHERE = "tested in a session of its own: nox -s 'frameworks(pii_models)'"
spacy = pytest.importorskip("spacy", reason=f"spaCy is {_WHERE}")
presidio_analyzer = pytest.importorskip("presidio_analyzer", reason=f"Presidio is {_WHERE}")
pytestmark = pytest.mark.filterwarnings("ignore")


def blank_engine() -> Any:
    """Return Presidio's engine with its recognisers of patterns, a list of names, and an empty spaCy pipeline."""
    tldextract = pytest.importorskip("tldextract")
    # The list of domains is fetched from the network otherwise.
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())

    class Blank(presidio_analyzer.nlp_engine.SpacyNlpEngine):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__(models=[{"lang_code": "en", "model_name": "blank"}])
            self.nlp = {"en": spacy.blank("en")}

        def load(self) -> None: ...

        def is_loaded(self) -> bool:
            return True

    registry = presidio_analyzer.RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    registry.recognizers = [each for each in registry.recognizers if "Spacy" not in type(each).__name__]
    registry.add_recognizer(
        presidio_analyzer.PatternRecognizer(supported_entity="PERSON", deny_list=["Ann Lee", "李雷"], name="names")
    )
    return presidio_analyzer.AnalyzerEngine(registry=registry, nlp_engine=Blank(), supported_languages=["en"])


def ruled(language: str, patterns: list[dict[str, Any]]) -> Any:
    """Return a spaCy pipeline that knows entities by rules."""
    pipeline = spacy.blank(language)
    pipeline.add_pipe("entity_ruler").add_patterns(patterns)
    return pipeline


def test_presidio_and_our_detectors_find_together() -> None:
    """Names come from Presidio, what both find counts once, and everything comes back."""
    sent: list[str] = []

    def ask(prompt: str) -> str:
        sent.append(prompt)
        return prompt

    layer = ap.ScrubPII(recognizers=[ap.pii.presidio(blank_engine(), timeout=30)])
    text = "Ann Lee, ann@example.org, licence 4111 1111 1111 1111, medical 2345678901"
    assert ap.Stack(layer).decorate(ask)(text) == text
    assert sent == ["[[PERSON_1]], [[EMAIL_1]], licence [[CREDIT_CARD_1]], medical 2345678901"]


def test_presidio_keeps_offsets_beside_chinese() -> None:
    """Characters are counted alike."""
    scrubber = ap.pii.Scrubber(recognizers=[ap.pii.presidio(blank_engine())])
    assert scrubber.scrub("请联系 李雷 😀 13812345678").text == "请联系 [[PERSON_1]] 😀 [[PHONE_1]]"


@pytest.mark.parametrize(
    ("language", "text", "scrubbed"),
    [
        ("en", "Ann met Bob in Paris on Monday.", "[[PERSON_1]] met Bob in [[LOCATION_1]] on Monday."),
        ("zh", "李雷住在上海，电话13812345678", "[[PERSON_1]]住在[[LOCATION_1]]，电话[[PHONE_1]]"),
    ],
)
def test_spacy_finds_persons_and_places(language: str, text: str, scrubbed: str) -> None:
    """A loaded pipeline of any language; labels that are not asked for stay."""
    names = {"en": ("Ann", "Paris", "Monday"), "zh": ("李雷", "上海", "星期一")}[language]
    patterns = [{"label": label, "pattern": name} for label, name in zip(("PERSON", "GPE", "DATE"), names, strict=True)]
    scrubber = ap.pii.Scrubber(recognizers=[ap.pii.spacy(ruled(language, patterns))])
    assert scrubber.scrub(text).text == scrubbed


def test_spacy_in_a_stream_decides_at_its_end() -> None:
    """A model sees the whole text, so nothing is given out before."""
    scrubber = ap.pii.Scrubber(
        recognizers=[ap.pii.spacy(ruled("en", [{"label": "PERSON", "pattern": "Ann Lee"}]))], output="redact"
    )
    stream = scrubber.stream()
    assert [stream.feed("It is Ann "), stream.feed("Lee.")] == ["", ""]
    assert stream.flush() == "It is [PERSON]."


def test_a_model_that_is_not_there_is_named() -> None:
    """With the line that installs it."""
    with pytest.raises(ConfigError, match="python -m spacy download xx_no_such_model"):
        ap.pii.spacy("xx_no_such_model")
