"""Find personal data and secrets, replace them, and give them back.

Pure functions and classes: `scrub` for one text, `Scrubber` for many, `Vault` for what placeholders stand for.
"""

from agentprod.safety.pii.adapters import gliner, presidio, spacy
from agentprod.safety.pii.documents import (
    json_restore_stream,
    json_scrub_stream,
    restore_json,
    restore_value,
    scrub_json,
    scrub_value,
)
from agentprod.safety.pii.entities import ALL, CHINA, CONTACT, DEFAULT, FINANCIAL, NETWORK, SECRETS, WEAK
from agentprod.safety.pii.recognizer import Finder, Recognizer
from agentprod.safety.pii.restore import Allows, OnUnknown, RestoreStream, restore
from agentprod.safety.pii.restore_policy import RestorePolicy
from agentprod.safety.pii.scrub import forget, scrub
from agentprod.safety.pii.scrubbed import Piece, Scrubbed
from agentprod.safety.pii.scrubber import Allow, Direction, OnError, Scrubber
from agentprod.safety.pii.spans import Span
from agentprod.safety.pii.strategies import KeyedHash, Policy, Strategy, mask, redact
from agentprod.safety.pii.vault import Vault, Vaults

__all__ = [
    "ALL",
    "CHINA",
    "CONTACT",
    "DEFAULT",
    "FINANCIAL",
    "NETWORK",
    "SECRETS",
    "WEAK",
    "Allow",
    "Allows",
    "Direction",
    "Finder",
    "KeyedHash",
    "OnError",
    "OnUnknown",
    "Piece",
    "Policy",
    "Recognizer",
    "RestorePolicy",
    "RestoreStream",
    "Scrubbed",
    "Scrubber",
    "Span",
    "Strategy",
    "Vault",
    "Vaults",
    "forget",
    "gliner",
    "json_restore_stream",
    "json_scrub_stream",
    "mask",
    "presidio",
    "redact",
    "restore",
    "restore_json",
    "restore_value",
    "scrub",
    "scrub_json",
    "scrub_value",
    "spacy",
]
