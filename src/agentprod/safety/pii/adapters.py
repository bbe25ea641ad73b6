"""Recognisers from other projects, for what patterns cannot find: names, addresses, organisations.

Each imports its project when it is built. Results are spans like any other; overlaps are resolved by score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from agentprod.errors import ConfigError
from agentprod.safety.pii.recognizer import Recognizer
from agentprod.safety.pii.spans import Span

__all__ = ["gliner", "presidio", "spacy"]

_PACKAGES = {"presidio": "presidio-analyzer", "spacy": "spacy", "gliner": "gliner"}


def _load(module: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise ConfigError(f"pii.{extra} needs the package {_PACKAGES[extra]}: pip install {_PACKAGES[extra]}") from None


def presidio(
    analyzer: Any = None,
    *,
    language: str = "en",
    entities: Iterable[str] | None = None,
    score: float = 0.5,
    timeout: float | None = None,
) -> Recognizer:
    """Return a recogniser that asks Microsoft Presidio.

    Args:
        analyzer: an `AnalyzerEngine`, or anything with `analyze(text=, language=, entities=)`; built when `None`, which
            loads a spaCy model that must be installed.

        language: of the texts.

        entities: Presidio's names of what to look for; all when `None`.

        score: findings below it are dropped.

        timeout: seconds, see `Recognizer.of`.
    """
    if analyzer is None:
        analyzer = _load("presidio_analyzer", "presidio").AnalyzerEngine()
    wanted = None if entities is None else list(entities)
    names: dict[Any, str] = {"EMAIL_ADDRESS": "EMAIL", "PHONE_NUMBER": "PHONE", "IP_ADDRESS": "IP", "IBAN_CODE": "IBAN"}

    def find(text: str) -> list[Span]:
        results = analyzer.analyze(text=text, language=language, entities=wanted)
        return [
            Span(result.start, result.end, names.get(result.entity_type, str(result.entity_type)), float(result.score))
            for result in results
            if result.score >= score
        ]

    return Recognizer.of(find, name="PRESIDIO", timeout=timeout)


def spacy(
    model: Any = "en_core_web_sm",
    *,
    labels: Mapping[str, str] | None = None,
    score: float = 0.6,
    timeout: float | None = None,
) -> Recognizer:
    """Return a recogniser that asks a spaCy model for named entities.

    Args:
        model: a loaded pipeline, or the name of an installed one.

        labels: which labels to take, and the entity each becomes; default persons and places.

        score: confidence given to each, since spaCy has none.

        timeout: seconds, see `Recognizer.of`.
    """
    if isinstance(model, str):
        try:
            model = _load("spacy", "spacy").load(model)
        except OSError:
            raise ConfigError(f"the spaCy model {model!r} is not installed: python -m spacy download {model}") from None
    wanted = dict(labels or {"PERSON": "PERSON", "PER": "PERSON", "GPE": "LOCATION", "LOC": "LOCATION"})

    def find(text: str) -> list[Span]:
        return [
            Span(found.start_char, found.end_char, wanted[found.label_], score)
            for found in model(text).ents
            if found.label_ in wanted
        ]

    return Recognizer.of(find, name="SPACY", timeout=timeout)


def gliner(
    model: Any = "urchade/gliner_multi_pii-v1",
    *,
    labels: Mapping[str, str] | None = None,
    threshold: float = 0.5,
    timeout: float | None = None,
) -> Recognizer:
    """Return a recogniser that asks a GLiNER model.

    Args:
        model: a loaded model, or the name or path of one.

        labels: the words asked for, and the entity each becomes; default person, address and organization.

        threshold: GLiNER's own, 0 to 1.

        timeout: seconds, see `Recognizer.of`.
    """
    if isinstance(model, str):
        model = _load("gliner", "gliner").GLiNER.from_pretrained(model)
    wanted = dict(labels or {"person": "PERSON", "address": "ADDRESS", "organization": "ORGANIZATION"})

    def find(text: str) -> list[Span]:
        results = model.predict_entities(text, list(wanted), threshold=threshold)
        return [Span(found["start"], found["end"], wanted[found["label"]], float(found["score"])) for found in results]

    return Recognizer.of(find, name="GLINER", timeout=timeout)
