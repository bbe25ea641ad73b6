"""Make findings disjoint: the surest one wins, and nothing of a loser is left standing beside it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from agentprod.safety.pii.spans import Span

__all__ = ["resolve"]

# On equal score and length the more harmful one wins.
_PRIORITY = (
    "SECRET",
    "CN_ID",
    "CN_BANK_CARD",
    "CREDIT_CARD",
    "IBAN",
    "US_SSN",
    "CN_USCC",
    "CN_PASSPORT",
    "EMAIL",
    "IP",
    "PHONE",
)
_RANK = {entity: rank for rank, entity in enumerate(_PRIORITY)}
_RESIDUE = 4


def resolve(text: str, spans: Iterable[Span]) -> list[Span]:
    """Return disjoint spans in order.

    Spans are ranked by score, then length, then entity. A span that overlaps a better one is dropped; when the part of
    it that sticks out holds four or more letters or digits, the winner grows over it, so no readable half of a value
    stays. Neighbours are never merged.

    Args:
        text: the text the offsets count in.

        spans: findings of any detectors, in any order.
    """
    resolved: list[Span] = []
    cluster: list[Span] = []
    reach = -1
    for span in sorted(spans):
        start, end, _, _ = span
        if end <= start:
            continue
        if start >= reach:
            resolved += cluster if len(cluster) < 2 else _resolve_cluster(text, cluster)
            cluster = [span]
            reach = end
        else:
            cluster.append(span)
            reach = max(reach, end)
    return resolved + (cluster if len(cluster) < 2 else _resolve_cluster(text, cluster))


def _resolve_cluster(text: str, cluster: list[Span]) -> list[Span]:
    best = min(cluster, key=_rank)
    if all(best.start <= span.start and span.end <= best.end for span in cluster):
        return [best]
    ranked = sorted(cluster, key=_rank)
    winners: list[Span] = []
    for span in ranked:
        first = bisect_right(winners, span.start, key=lambda winner: winner.end)
        last = bisect_left(winners, span.end, key=lambda winner: winner.start)
        if first == last:
            winners.insert(first, span)
            continue
        # Grow the outermost rivals over what sticks out, as far as the next winner; between two rivals too.
        for place in range(first, last):
            winner = winners[place]
            floor = winners[place - 1].end if place else 0
            ceiling = winners[place + 1].start if place + 1 < len(winners) else len(text)
            start = max(floor, min(winner.start, span.start))
            end = min(ceiling, max(winner.end, span.end))
            if _readable(text, start, winner.start) < _RESIDUE:
                start = winner.start
            if _readable(text, winner.end, end) < _RESIDUE:
                end = winner.end
            winners[place] = winner._replace(start=start, end=end)
    return winners


def _rank(span: Span) -> tuple[float, int, int, int]:
    return -span.score, span.start - span.end, _RANK.get(span.entity, 99), span.start


def _readable(text: str, start: int, end: int) -> int:
    return sum(map(str.isalnum, text[start:end]))
