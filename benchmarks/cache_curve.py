"""Draw what a threshold alone costs: hits against precision, with and without guards and context.

    AGENTPROD_DATA=… PYTHONPATH=src python benchmarks/cache_curve.py docs/images/semantic-cache.svg

Runs the stream of restaurant8k (3,731 turns of real dialogues, one answer per meaning) through `SemanticMatcher` with
the default embedder at ten thresholds: each query once, what is not served is stored. Hit is the share of queries that
were served, precision the share of them whose stored answer had the meaning asked for. Prints the figures, too, and
writes them between the markers of a page given by --page.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cache_quality import Rule, Vectors, run, streams
from page import fill

from agentprod.caching.embedders import hashed

THRESHOLDS = (0.50, 0.60, 0.70, 0.75, 0.80, 0.85, 0.88, 0.92, 0.95, 0.98)
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 420, 64, 24, 24, 56
COLOURS = {"a threshold alone": "#c0392b", "with guards": "#d68910", "with guards, context in the key": "#1e8449"}


class Point(NamedTuple):
    threshold: float
    hit: float
    precision: float


def measure(folder: Path, orders: int) -> dict[str, list[Point]]:
    data = streams(folder)
    vectors = Vectors(hashed())
    plain, context = data["restaurant8k"], data["restaurant8k, context in the partition"]
    curves = {
        "a threshold alone": (plain, "off"),
        "with guards": (plain, "strict"),
        "with guards, context in the key": (context, "strict"),
    }
    found: dict[str, list[Point]] = {}
    for name, (queries, guards) in curves.items():
        for threshold in THRESHOLDS:
            outcome = run(queries, vectors, Rule(name, threshold, guards), orders)
            found.setdefault(name, []).append(Point(threshold, outcome.hit, 1 - outcome.wrong_share))
    return found


def draw(curves: Mapping[str, Sequence[Point]]) -> str:
    most = max(point.hit for points in curves.values() for point in points) * 1.05
    least = min(point.precision for points in curves.values() for point in points) // 0.1 / 10

    def place(hit: float, precision: float) -> tuple[float, float]:
        x = LEFT + hit / most * (WIDTH - LEFT - RIGHT)
        y = TOP + (1 - precision) / (1 - least) * (HEIGHT - TOP - BOTTOM)
        return round(x, 1), round(y, 1)

    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="13" role="img" aria-label="Hits against precision of three ways to decide">'
    )
    parts = [
        head,
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    for step in range(round(least * 10), 11):
        _, y = place(0, step / 10)
        parts.append(f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="#dddddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{step * 10} %</text>')
    for step in range(int(most * 10) + 1):
        x, y = place(step / 10, least)
        parts.append(f'<text x="{x}" y="{y + 18}" text-anchor="middle">{step * 10} %</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">queries that were served</text>')
    parts.append(
        f'<text x="16" y="{HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 16 {HEIGHT / 2})">'
        "served with the right answer</text>"
    )
    for row, (name, points) in enumerate(curves.items()):
        colour = COLOURS[name]
        line = " ".join(f"{x},{y}" for x, y in (place(point.hit, point.precision) for point in points))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for point in points:
            x, y = place(point.hit, point.precision)
            told = f"{name}, threshold {point.threshold:.2f}: {point.hit:.1%} served, {point.precision:.1%} right"
            parts.append(f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"><title>{told}</title></circle>')
        y = HEIGHT - BOTTOM - 64 + 20 * row
        parts.append(f'<circle cx="{LEFT + 20}" cy="{y}" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{LEFT + 32}" y="{y + 4}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def table(curves: Mapping[str, Sequence[Point]]) -> str:
    rows = [
        f"| threshold | {' | '.join(f'{name}: served, right' for name in curves)} |",
        f"|---|{'---|' * len(curves)}",
    ]
    for points in zip(*curves.values(), strict=True):
        cells = " | ".join(f"{point.hit:.1%}, {point.precision:.1%}" for point in points)
        rows.append(f"| {points[0].threshold:.2f} | {cells} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="the SVG file to write")
    parser.add_argument("--page", type=Path, help="a page to write the figures into")
    parser.add_argument("--orders", type=int, default=3, help="shuffles of the stream")
    options = parser.parse_args()
    folder = os.environ.get("AGENTPROD_DATA")
    if not folder:
        raise SystemExit("AGENTPROD_DATA is not set: the stream is in that folder")
    curves = measure(Path(folder) / "cache", options.orders)
    print(table(curves))
    if options.page is not None:
        fill(options.page, "curve", table(curves))
    options.path.parent.mkdir(parents=True, exist_ok=True)
    options.path.write_text(draw(curves), encoding="utf-8")


if __name__ == "__main__":
    main()
