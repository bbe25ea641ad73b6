"""Adapters for other projects: what they take over, and what they say when the project is missing."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from agentprod.errors import ConfigError
from agentprod.safety.pii import Scrubber, gliner, presidio, spacy


class Analyzer:
    """Answers as Presidio's engine does."""

    def analyze(self, *, text: str, language: str, entities: list[str] | None) -> list[SimpleNamespace]:
        """Find Ann, an address and something unsure."""
        assert (language, entities) == ("en", ["PERSON", "EMAIL_ADDRESS"])
        return [
            SimpleNamespace(start=0, end=3, entity_type="PERSON", score=0.85),
            SimpleNamespace(start=4, end=13, entity_type="EMAIL_ADDRESS", score=1.0),
            SimpleNamespace(start=14, end=17, entity_type="PERSON", score=0.2),
        ]


def test_presidio_findings_get_our_names() -> None:
    """Scores below the limit are dropped."""
    own = presidio(Analyzer(), entities=["PERSON", "EMAIL_ADDRESS"])
    assert Scrubber(entities=[], recognizers=[own]).scrub("Ann ann@x.org Bob").text == "[[PERSON_1]] [[EMAIL_1]] Bob"


def test_spacy_entities_are_taken_by_label() -> None:
    """Labels that are not asked for are left."""
    ents = [
        SimpleNamespace(start_char=0, end_char=3, label_="PERSON"),
        SimpleNamespace(start_char=7, end_char=11, label_="DATE"),
    ]
    assert (
        Scrubber(recognizers=[spacy(lambda text: SimpleNamespace(ents=ents))]).scrub("Ann on 1999").text
        == "[[PERSON_1]] on 1999"
    )


def test_gliner_entities_are_taken_by_the_words_asked_for() -> None:
    """The words map to entities."""

    class Model:
        def predict_entities(self, text: str, labels: list[str], threshold: float) -> list[dict[str, Any]]:
            assert (labels, threshold) == (["person"], 0.4)
            return [{"start": 0, "end": 3, "label": "person", "score": 0.9}]

    own = gliner(Model(), labels={"person": "PERSON"}, threshold=0.4)
    assert Scrubber(recognizers=[own]).scrub("Ann here").text == "[[PERSON_1]] here"


@pytest.mark.parametrize(
    ("build", "module", "extra"),
    [(presidio, "presidio_analyzer", "presidio"), (spacy, "spacy", "spacy"), (gliner, "gliner", "gliner")],
)
def test_a_missing_project_says_what_to_install(
    build: Any, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error prints the command."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=f"pip install {extra}"):
        build()


def test_models_are_loaded_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a model that is not there says how to get it."""

    def load(name: str) -> Any:
        if name == "there":
            return lambda text: SimpleNamespace(ents=[])
        raise OSError(name)

    monkeypatch.setitem(sys.modules, "spacy", SimpleNamespace(load=load))
    monkeypatch.setitem(sys.modules, "presidio_analyzer", SimpleNamespace(AnalyzerEngine=Analyzer))
    loaded = SimpleNamespace(predict_entities=lambda text, labels, threshold: [])
    monkeypatch.setitem(
        sys.modules, "gliner", SimpleNamespace(GLiNER=SimpleNamespace(from_pretrained=lambda name: loaded))
    )
    assert Scrubber(recognizers=[spacy("there"), gliner(), presidio(entities=["PERSON", "EMAIL_ADDRESS"])]).find(
        "Ann ann@x.org Bob"
    )
    with pytest.raises(ConfigError, match="spacy download gone"):
        spacy("gone")
