"""A summary of calls for people, as lines in a terminal; what the card of a notebook shares with it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from agentprod.telemetry.calls import CallRecord
from agentprod.telemetry.figures import format_count, format_rate, format_seconds, format_usd
from agentprod.telemetry.summary import Summary, summarize_calls

__all__ = ["call_table", "figures", "model_groups", "shown", "text_card"]

_MODELS = 8
_WIDEST = 40


def text_card(records: Sequence[CallRecord]) -> str:
    """Return the card as plain text."""
    lines = [" · ".join(f"{value} {name}" for name, value in figures(summarize_calls(records)))]
    groups = model_groups(records)
    if len(groups) > 1:
        lines.append(_aligned(_MODEL_HEAD, [_model_row(name, calls) for name, calls in groups]))
    return "\n".join(lines)


def call_table(records: Sequence[CallRecord]) -> str:
    """Return one line for each call, under a line of headings."""
    return _aligned(_CALL_HEAD, [_call_row(record) for record in records])


_MODEL_HEAD = ("model", "calls", "answered", "p50", "p95", "tokens", "cost")
_CALL_HEAD = ("request", "model", "status", "attempts", "cache", "tokens", "time", "cost")


def figures(seen: Summary) -> list[tuple[str, str]]:
    """Return the figures of the first line; what there is nothing of is left out."""
    found = [("calls" if seen.calls != 1 else "call", format_count(seen.calls))]
    if not seen.calls:
        return found
    found.append(("answered", format_rate(seen.success_rate)))
    counted = (("errors", seen.errors), ("rejected", seen.rejected), ("retried", seen.retried), ("cached", seen.cached))
    found += [(name, format_count(count)) for name, count in counted if count]
    tokens = seen.input_tokens + seen.output_tokens
    if tokens:
        found.append(("tokens", format_count(tokens)))
    found.append(("cost", seen.cost_text))
    if seen.saved_by_cache + seen.saved_by_routing:
        found.append(("saved", format_usd(seen.saved_by_cache + seen.saved_by_routing)))
    if seen.p50 is not None:
        found += [("p50", format_seconds(seen.p50)), ("p95", format_seconds(seen.p95))]
    if seen.ttft_p50 is not None:
        found.append(("first token", format_seconds(seen.ttft_p50)))
    if seen.redactions:
        found.append(("redactions", format_count(seen.redactions)))
    return found


def model_groups(records: Iterable[CallRecord]) -> list[tuple[str, list[CallRecord]]]:
    """Return the calls by model, the most used first; beyond eight models, the others together."""
    groups: dict[str, list[CallRecord]] = {}
    for record in records:
        groups.setdefault(record.model or "-", []).append(record)
    names = sorted(groups, key=lambda name: -len(groups[name]))
    found = [(shown(name), groups[name]) for name in names[:_MODELS]]
    if len(names) > _MODELS:
        found.append((f"{len(names) - _MODELS} others", [call for name in names[_MODELS:] for call in groups[name]]))
    return found


def _model_row(name: str, records: list[CallRecord]) -> tuple[str, ...]:
    seen = summarize_calls(records)
    return (
        name,
        format_count(seen.calls),
        format_rate(seen.success_rate),
        format_seconds(seen.p50),
        format_seconds(seen.p95),
        format_count(seen.input_tokens + seen.output_tokens),
        seen.cost_text,
    )


def _call_row(record: CallRecord) -> tuple[str, ...]:
    status = record.status if record.error_type is None else f"{record.status}: {record.error_type}"
    return (
        shown(record.request_id[-8:]),
        shown(record.model or "-"),
        shown(status),
        str(len(record.attempts)),
        record.cache or "-",
        format_count(record.total_tokens),
        format_seconds(record.duration),
        format_usd(record.cost_usd),
    )


def shown(text: str) -> str:
    """Return a name fit to show: control and direction marks, which can disguise a line, become `?`."""
    clean = "".join("?" if unicodedata.category(char)[0] in "CZ" and char != " " else char for char in text[:_WIDEST])
    return clean + "…" if len(text) > _WIDEST else clean


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in plain text; wide characters count twice, so that Chinese names line up."""
    lines = [head, *rows]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(head))]
    padded = (
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    return "\n".join(padded)
