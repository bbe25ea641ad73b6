"""Other detectors of personal data and secrets behind one form: a callable from text to (start, end, entity).

They pin what they need tightly, so they go into an environment of their own, together with this package, which is
what `nox -s bench_safety` does:

    python -m venv peers
    peers/bin/pip install -e . langchain presidio-analyzer scrubadub datafog detect-secrets
    peers/bin/python benchmarks/safety_quality.py
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterable

Found = tuple[int, int, str]
Detect = Callable[[str], Iterable[Found]]

SAME = {
    "EMAIL_ADDRESS" : "EMAIL", "PHONE_NUMBER" : "PHONE", "IP_ADDRESS" : "IP", "IBAN_CODE" : "IBAN", "MAC_ADDRESS" :
    "MAC", "SSN" : "US_SSN",
    "SOCIAL_SECURITY_NUMBER" : "US_SSN", "CREDIT_CARD_NUMBER" : "CREDIT_CARD", "CREDENTIAL" : "SECRET",
    "CN_BANK_CARD" : "CREDIT_CARD",
}  # fmt: skip
"""What systems call the same thing; Chinese bank cards count as cards for everyone."""

NAIVE = {
    "EMAIL": r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}\b",
    "PHONE": r"\b(?:\+?\d{1,3}[-.\s]?)?\(?\d{3}\)?[-.\s]?\d{3}[-.\s]?\d{4}\b",
    "US_SSN": r"\b\d{3}-\d{2}-\d{4}\b",
    "CREDIT_CARD": r"\b(?:\d[ -]*?){13,16}\b",
}
"""The four patterns of most tutorials."""


def ours(*, secrets: bool = True) -> Detect:
    from agentprod.safety.pii import DEFAULT, SECRETS, Scrubber

    scrubber = Scrubber(entities=DEFAULT if secrets else DEFAULT - SECRETS, memo=0)
    return lambda text: [(span.start, span.end, span.entity) for span in scrubber.find(text)]


def naive() -> Detect:
    patterns = [(entity, re.compile(pattern)) for entity, pattern in NAIVE.items()]
    return lambda text: [(m.start(), m.end(), entity) for entity, pattern in patterns for m in pattern.finditer(text)]


def langchain() -> Detect:
    from langchain.agents.middleware import _redaction

    detectors = list(_redaction.BUILTIN_DETECTORS.values())
    return lambda text: [(m["start"], m["end"], m["type"]) for detect in detectors for m in detect(text)]


def presidio(threshold: float = 0.35) -> Detect:
    import spacy
    import tldextract
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    # The list of domains is fetched from the network otherwise.
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())
    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)

    class Blank(SpacyNlpEngine):
        def __init__(self) -> None:
            super().__init__(models=[{"lang_code": "en", "model_name": "blank"}])
            self.nlp = {"en": spacy.blank("en")}

        def load(self) -> None: ...

        def is_loaded(self) -> bool:
            return True

    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    registry.recognizers = [r for r in registry.recognizers if "Spacy" not in type(r).__name__]
    engine = AnalyzerEngine(registry=registry, nlp_engine=Blank(), supported_languages=["en"])

    def detect(text: str) -> list[Found]:
        found = engine.analyze(text, language="en", score_threshold=threshold)
        kept: list[tuple[float, Found]] = []
        for r in sorted(found, key=lambda r: (-r.score, r.start - r.end)):
            if all(r.end <= k[0] or k[1] <= r.start for _, k in kept):
                kept.append((r.score, (r.start, r.end, r.entity_type)))
        return [k for _, k in kept]

    return detect


def scrubadub() -> Detect:
    import scrubadub

    scrubber = scrubadub.Scrubber()
    return lambda text: [(f.beg, f.end, str(f.type)) for f in scrubber.iter_filth(text)]


def datafog() -> Detect:
    import datafog

    def detect(text: str) -> list[Found]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [(e.start, e.end, e.type) for e in datafog.scan(text).entities]

    return detect


def detect_secrets() -> Detect:
    from detect_secrets.core.scan import scan_line
    from detect_secrets.settings import default_settings

    def detect(text: str) -> list[Found]:
        found: list[Found] = []
        with default_settings():
            at = 0
            for line in text.split("\n"):
                for secret in scan_line(line):
                    start = line.find(secret.secret_value)
                    found.append((at + start, at + start + len(secret.secret_value), "SECRET"))
                at += len(line) + 1
        return found

    return detect


PEERS: dict[str, Callable[[], Detect]] = {
    "naive 4 patterns": naive,
    "LangChain": langchain,
    "Presidio patterns": presidio,
    "scrubadub": scrubadub,
    "datafog": datafog,
    "detect-secrets": detect_secrets,
}


def load(names: Iterable[str] = PEERS) -> tuple[dict[str, Detect], list[str]]:
    """Return the peers that are installed, and the names of those that are not."""
    there: dict[str, Detect] = {}
    missing: list[str] = []
    for name in names:
        try:
            there[name] = PEERS[name]()
        except ImportError:
            missing.append(name)
    return there, missing


def named(entity: str) -> str:
    upper = entity.upper()
    return SAME.get(upper, upper)
