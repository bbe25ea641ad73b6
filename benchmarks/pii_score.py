"""Score detectors of personal data: what they find of what is there, what leaks, what they find where nothing is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pii_generator as generator
from safety_peers import Detect, named

__all__ = ["EVERYTHING", "Report", "Row"]

Row = dict[str, Any]
EVERYTHING = {named(entity) for entity in generator.VALUES}


class Score:
    def __init__(self) -> None:
        self.hit: Counter[str] = Counter()
        self.false: Counter[str] = Counter()
        self.gold: Counter[str] = Counter()
        self.leaked = 0
        self.misses: list[str] = []

    def add(self, row: Row, found: Iterable[tuple[int, int, str]], entities: set[str]) -> None:
        found = [(start, end, named(entity)) for start, end, entity in found]
        covered = {at for start, end, _ in found for at in range(start, end)}
        open_found = [f for f in found if f[2] in entities]
        for start, end, entity in row["spans"]:
            entity = named(entity)
            if entity not in entities:
                continue
            self.gold[entity] += 1
            best = max((f for f in open_found if f[2] == entity), key=lambda f: overlap(f, (start, end)), default=None)
            if best and overlap(best, (start, end)) >= 0.5:
                self.hit[entity] += 1
                open_found.remove(best)
            else:
                self.misses.append(f"missed {entity}: {row['text'][max(0, start - 25) : end + 15]!r}")
            self.leaked += leaks(row["text"], start, end, covered)
        for start, end, entity in open_found:
            self.false[entity] += 1
            self.misses.append(f"false {entity}: {row['text'][max(0, start - 25) : end + 15]!r}")

    @property
    def f1(self) -> float:
        hit, gold, false = self.hit.total(), self.gold.total(), self.false.total()
        return 2 * hit / (gold + hit + false) if gold else 0.0

    def line(self) -> str:
        hit, gold, false = self.hit.total(), self.gold.total(), self.false.total()
        precision = hit / (hit + false) if hit + false else 1.0
        recall = hit / gold if gold else 1.0
        return f"P {precision:.3f}  R {recall:.3f}  F1 {self.f1:.3f}  leak {100 * self.leaked / max(1, gold):5.1f} %"


def overlap(one: tuple, other: tuple) -> float:
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return shared / (one[1] - one[0] + other[1] - other[0] - shared) if shared > 0 else 0.0


def leaks(text: str, start: int, end: int, covered: set[int]) -> bool:
    run = 0
    for at in range(start, end):
        if text[at].isalnum():
            run = 0 if at in covered else run + 1
            if run >= 4:
                return True
    return False


class Report:
    """Prints what systems reach, and keeps it for a table.

    Args:
        systems: by name; ours is `"agentprod"`.

        misses: how many of our own misses to print.
    """

    def __init__(self, systems: Mapping[str, Detect], misses: int) -> None:
        self._systems, self._misses = systems, misses
        self._columns: dict[str, dict[str, str]] = {}

    def measure(self, title: str, rows: Sequence[Row], entities: Iterable[str], *, column: str = "") -> None:
        """Measure rows with marked values; `column` heads the figures in the table."""
        wanted = {named(entity) for entity in entities}
        print(
            f"\n{title} ({len(rows)} rows, {sum(named(s[2]) in wanted for row in rows for s in row['spans'])} values)"
        )
        for name, detect in self._systems.items():
            score = Score()
            for row in rows:
                score.add(row, detect(row["text"]), wanted)
            print(f"  {name:20s} {score.line()}")
            if column:
                leak = score.leaked / max(1, score.gold.total())
                self._columns.setdefault(column, {})[name] = f"{score.f1:.3f}, {leak:.1%}"
            if name == "agentprod":
                weak = [f"{e} {score.hit[e] / n:.3f}" for e, n in score.gold.items() if score.hit[e] < 0.95 * n]
                print(f"  {'':20s} entities below .95 recall: {', '.join(weak) or 'none'}")
                for miss in score.misses[: self._misses]:
                    print(f"      {miss}")

    def count_false(self, title: str, texts: Iterable[str], per: float, unit: str, *, column: str = "") -> None:
        """Count findings in texts without personal data; `column` heads the figures in the table."""
        print(f"\n{title}: findings where there is nothing, per {unit}")
        for name, detect in self._systems.items():
            counts: Counter[str] = Counter()
            examples = []
            for text in texts:
                for start, end, entity in detect(text):
                    if named(entity) in EVERYTHING:
                        counts[named(entity)] += 1
                        examples.append(f"{named(entity)}: {text[max(0, start - 25) : end + 15]!r}")
            parts = ", ".join(f"{entity} {count}" for entity, count in counts.most_common(4))
            print(f"  {name:20s} {counts.total() / per:8.1f}   {parts}")
            if column:
                self._columns.setdefault(column, {})[name] = f"{counts.total() / per:,.0f}"
            if name == "agentprod":
                for example in examples[: self._misses]:
                    print(f"      {example}")

    def table(self) -> str:
        """Return the figures with a column, in Markdown."""
        lines = [f"| | {' | '.join(self._columns)} |", f"|---|{'---|' * len(self._columns)}"]
        lines += [
            f"| {name} | {' | '.join(cells[name] for cells in self._columns.values())} |" for name in self._systems
        ]
        return "\n".join(lines)
