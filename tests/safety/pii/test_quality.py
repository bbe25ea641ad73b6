"""What is found of what is there, on the development set and on generated rows with other sentences and seeds."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from agentprod.safety.pii import Scrubber
from benchmarks import pii_generator as generator
from benchmarks import pii_value_list as value_list

SCRUBBER = Scrubber(memo=0)
DATA = Path(os.environ.get("AGENTPROD_DATA", "-"), "pii")
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="AGENTPROD_DATA is not set: the development sets are left out"
)


def score(rows: Iterable[dict[str, Any]], wanted: set[str]) -> tuple[float, float, dict[str, float]]:
    """Return precision, recall and recall by entity: same entity, at least half of the union shared."""
    hits: Counter[str] = Counter()
    gold: Counter[str] = Counter()
    wrong = 0
    for row in rows:
        found = [span for span in SCRUBBER.find(row["text"]) if span.entity in wanted]
        for start, end, entity in row["spans"]:
            if entity not in wanted:
                continue
            gold[entity] += 1
            for span in found:
                shared = min(end, span.end) - max(start, span.start)
                if span.entity == entity and shared > 0 and 2 * shared >= max(end, span.end) - min(start, span.start):
                    hits[entity] += 1
                    found.remove(span)
                    break
        wrong += len(found)
    total = hits.total()
    return (
        total / (total + wrong or 1),
        total / (gold.total() or 1),
        {entity: hits[entity] / gold[entity] for entity in gold},
    )


def leak(rows: Iterable[dict[str, Any]], wanted: set[str]) -> float:
    """Return the share of values of which four letters or digits in a row, or more, are covered by nothing."""
    readable = total = 0
    for row in rows:
        covered = {at for span in SCRUBBER.find(row["text"]) for at in range(span.start, span.end)}
        for start, end, entity in row["spans"]:
            if entity in wanted:
                total += 1
                shown = "".join(
                    char if char.isalnum() and at not in covered else " " if char.isalnum() else ""
                    for at, char in enumerate(row["text"][start:end], start)
                )
                readable += max(map(len, shown.split()), default=0) >= 4
    return readable / total


@pytest.mark.parametrize("carriers", ["plain", "other"])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_generated_values_are_found(lang: str, carriers: str) -> None:
    """A3: every entity in 97 of 100 rows, hardly anything else."""
    precision, recall, by_entity = score(
        generator.positives(21, 400, carriers=carriers, lang=lang), set(generator.VALUES)
    )
    assert precision >= 0.98
    assert recall >= 0.97
    assert min(by_entity.values()) >= 0.95


@pytest.mark.parametrize("how", ["", "full-width"])
def test_values_in_chats_tables_code_and_letters_are_found(how: str) -> None:
    """Every entity in 97 of 100 rows of every kind of carrier, hardly anything else."""
    precision, recall, by_entity = score(generator.documents(26, 1, how=how), set(generator.VALUES))
    assert precision >= 0.98
    assert recall >= 0.98
    assert min(by_entity.values()) >= 0.95


@pytest.mark.parametrize("how", ["full-width", "zero-width", "arabic", "dashes"])
def test_disguised_values_are_found(how: str) -> None:
    """A3: 98 of 100."""
    _, recall, _ = score(generator.positives(22, 300, carriers="other", how=how), set(generator.VALUES))
    assert recall >= 0.98


def test_telephones_of_many_countries_are_found() -> None:
    """A2: 95 of 100 in eight languages, at most 6 of 100 left readable."""
    rows = list(generator.phone_rows(23, 400))
    precision, recall, _ = score(rows, {"PHONE"})
    assert leak(rows, {"PHONE"}) <= 0.06
    assert precision >= 0.98
    assert recall >= 0.95


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_rows_without_personal_data_stay_clean(lang: str) -> None:
    """A3: at most 5 findings in 800 rows."""
    found = [
        (span.entity, row["text"])
        for row in generator.negatives(24, 800, lang=lang)
        for span in SCRUBBER.find(row["text"])
    ]
    assert len(found) <= 5, found


def test_logs_stay_clean() -> None:
    """A4: at most 15 findings per megabyte."""
    text = generator.log_text(25, 200_000)
    found = [(span.entity, text[span.start - 20 : span.end]) for span in SCRUBBER.find(text)]
    assert len(found) <= 3, found


@needs_data
def test_the_english_development_set() -> None:
    """A1: F1 at least 0.96, precision 0.98, at most 5 of 100 values left readable."""
    rows = [json.loads(line) for line in (DATA / "en_structured_dev.jsonl").read_text("utf-8").splitlines()]
    wanted = {"EMAIL", "PHONE", "CREDIT_CARD", "US_SSN", "IBAN", "IP"}
    precision, recall, _ = score(rows, wanted)
    assert leak(rows, wanted) <= 0.05
    assert precision >= 0.98
    assert 2 * precision * recall / (precision + recall) >= 0.96


@needs_data
def test_numbers_and_dates_stay_clean() -> None:
    """A4: at most 2 findings in 1,000 rows."""
    rows = [json.loads(line) for line in (DATA / "neg_numbers_dates.jsonl").read_text("utf-8").splitlines()]
    found = [span for row in rows for span in SCRUBBER.find(row["text"]) if span.entity in row["labelled"]]
    assert len(found) <= 2 * len(rows) / 1000


@needs_data
def test_the_list_of_chinese_identifiers() -> None:
    """A5: every example in an English and a Chinese sentence; no counter-example, none whose check digit is wrong."""
    entries = [json.loads(line) for line in (DATA / "values_anyrule_cn.jsonl").read_text("utf-8").splitlines()]
    rows, others = value_list.sentences(entries)
    precision, recall, _ = score(rows, {row["spans"][0][2] for row in rows})
    assert (precision, recall) == (1.0, 1.0)
    assert [text for text in others if SCRUBBER.find(text)] == []
