"""Make findings disjoint: the surest one wins, and nothing of a loser is left standing beside it."""

from __future__ import annotations

from collections.abc import Iterable

from agentprod.safety.pii.spans import Span

__all__ = ["resolve"]

# On equal score and length the more harmful one wins.
_PRIORITY = ("SECRET", "CN_ID", "CN_BANK_CARD", "CREDIT_CARD", "IBAN", "US_SSN", "CN_USCC", "CN_PASSPORT", "EMAIL", "IP", "PHONE")
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
    ordered = sorted(spans)
    if all(left.end <= right.start for left, right in zip(ordered, ordered[1:], strict=False)):
        return ordered
    kept: list[Span] = []
    cluster: list[Span] = []
    reach = -1
    for span in ordered:
        if span.start >= reach and cluster:
            kept += _resolve_cluster(text, cluster)
            cluster = []
        cluster.append(span)
        reach = max(reach, span.end)
    return kept + _resolve_cluster(text, cluster)


def _resolve_cluster(text: str, cluster: list[Span]) -> list[Span]:
    if len(cluster) < 2:
        return cluster
    ranked = sorted(cluster, key=lambda span: (-span.score, span.start - span.end, _RANK.get(span.entity, 99), span.start))
    winners: list[Span] = []
    for span in ranked:
        rivals = [place for place, winner in enumerate(winners) if winner.start < span.end and span.start < winner.end]
        if not rivals:
            winners.append(span)
            continue
        # Grow the neighbours over what sticks out, as far as the next winner.
        for place in rivals:
            winner = winners[place]
            floor = max((other.end for other in winners if other.end <= winner.start), default=0)
            ceiling = min((other.start for other in winners if other.start >= winner.end), default=len(text))
            start = max(floor, min(winner.start, span.start))
            end = min(ceiling, max(winner.end, span.end))
            if _readable(text, start, winner.start) < _RESIDUE:
                start = winner.start
            if _readable(text, winner.end, end) < _RESIDUE:
                end = winner.end
            winners[place] = winner._replace(start=start, end=end)
    return sorted(winners)


def _readable(text: str, start: int, end: int) -> int:
    return sum(char.isalnum() for char in text[start:end])
