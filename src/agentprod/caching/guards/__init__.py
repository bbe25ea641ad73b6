"""Lexical guards: why two texts that an embedder finds alike must not share an answer, in English and Chinese.

A cosine does not tell `turn on` from `turn off`, nor 2023 from 2024. The guards do, without a model: each reads one
text once, and a pair is then compared in microseconds.
"""

from __future__ import annotations

from agentprod.caching.guards.code import CodeGuard
from agentprod.caching.guards.contract import Guard, GuardFeatures, Side
from agentprod.caching.guards.contrast import AntonymGuard
from agentprod.caching.guards.dates import DateGuard
from agentprod.caching.guards.entities import EntityGuard
from agentprod.caching.guards.guard_set import GuardSet
from agentprod.caching.guards.negation import NegationGuard
from agentprod.caching.guards.numbers import NumberGuard
from agentprod.caching.guards.order import OrderGuard
from agentprod.caching.guards.placeholders import PlaceholderGuard
from agentprod.caching.guards.sentence import Sentence
from agentprod.caching.guards.tense import TenseGuard
from agentprod.caching.guards.wording import WordingGuard

__all__ = [
    "AntonymGuard",
    "CodeGuard",
    "DateGuard",
    "EntityGuard",
    "Guard",
    "GuardFeatures",
    "GuardSet",
    "NegationGuard",
    "NumberGuard",
    "OrderGuard",
    "PlaceholderGuard",
    "Sentence",
    "Side",
    "TenseGuard",
    "WordingGuard",
]
