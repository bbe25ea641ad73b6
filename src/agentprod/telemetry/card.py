"""A summary of calls for people: a card in a notebook, lines in a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from html import escape

from agentprod.telemetry.calls import CallRecord
from agentprod.telemetry.figures import format_count, format_rate, format_seconds, format_usd
from agentprod.telemetry.summary import Summary, summarize_calls

__all__ = ["call_table", "html_card", "text_card"]

_MODELS = 8
_CALLS = 15
_WIDEST = 40
# Colours come from the page, so the card reads on light and on dark; no style sheet, no script, nothing to fetch.
_BOX = (
    "font:13px/1.5 system-ui,sans-serif;border:1px solid rgba(128,128,128,.4);border-radius:6px;"
    "padding:10px 14px;max-width:60em"
)
# Pages without a doctype, and style sheets of notebooks, give tables a size and a colour of their own.
_TABLE = "border-collapse:collapse;margin:0;font:inherit;color:inherit"
_CELL = "padding:1px 16px 1px 0;text-align:left;border:0;background:transparent"
_RIGHT = "padding:1px 16px 1px 0;text-align:right;border:0;background:transparent"
_BAD = ";color:#d9363e"
_WORDS = frozenset({"model", "request", "status", "cache"})
"""Columns of words stand left, those of figures right."""
_QUIET = "opacity:.7"


def html_card(records: Sequence[CallRecord]) -> str:
    """Return the card as an HTML fragment: below 50 kB however many calls, every name escaped, no script."""
    seen = summarize_calls(records)
    figures = "".join(
        f'<span style="display:inline-block;margin-right:1.4em"><b>{escape(value)}</b> '
        f'<span style="{_QUIET}">{escape(name)}</span></span>'
        for name, value in _figures(seen)
    )
    blocks = [f'<div style="margin-bottom:6px">{figures}</div>', _sparkline(records)]
    if len({record.model for record in records}) > 1:
        blocks.append(_table(_MODEL_HEAD, _model_rows(records)))
    if records:
        blocks.append(f'<div style="margin-top:6px;{_QUIET}">last {min(len(records), _CALLS)} calls</div>')
        blocks.append(_table(_CALL_HEAD, [_call_row(record) for record in records[-_CALLS:]]))
    return f'<div style="{_BOX}">{"".join(blocks)}</div>'


def text_card(records: Sequence[CallRecord]) -> str:
    """Return the card as plain text."""
    lines = [" · ".join(f"{value} {name}" for name, value in _figures(summarize_calls(records)))]
    if len({record.model for record in records}) > 1:
        lines.append(_aligned(_MODEL_HEAD, _model_rows(records)))
    return "\n".join(lines)


def call_table(records: Sequence[CallRecord]) -> str:
    """Return one line for each call, under a line of headings."""
    return _aligned(_CALL_HEAD, [_call_row(record) for record in records])


_MODEL_HEAD = ("model", "calls", "answered", "p50", "p95", "tokens", "cost")
_CALL_HEAD = ("request", "model", "status", "attempts", "cache", "tokens", "time", "cost")


def _figures(seen: Summary) -> list[tuple[str, str]]:
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


def _model_rows(records: Iterable[CallRecord]) -> list[tuple[str, ...]]:
    groups: dict[str, list[CallRecord]] = {}
    for record in records:
        groups.setdefault(record.model or "-", []).append(record)
    names = sorted(groups, key=lambda name: -len(groups[name]))
    rows = [_model_row(_short(name), groups[name]) for name in names[:_MODELS]]
    if len(names) > _MODELS:
        rest = [record for name in names[_MODELS:] for record in groups[name]]
        rows.append(_model_row(f"{len(names) - _MODELS} others", rest))
    return rows


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
        _short(record.request_id[-8:]),
        _short(record.model or "-"),
        _short(status),
        str(len(record.attempts)),
        record.cache or "-",
        format_count(record.total_tokens),
        format_seconds(record.duration),
        format_usd(record.cost_usd),
    )


def _short(text: str) -> str:
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


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    styles = [_CELL if name in _WORDS else _RIGHT for name in head]

    def style(place: int, cell: str) -> str:
        return styles[place] + (_BAD if head[place] == "status" and cell.startswith(_FAILED) else "")

    def line(tag: str, cells: Sequence[str]) -> str:
        made = (f'<{tag} style="{style(place, cell)}">{escape(cell)}</{tag}>' for place, cell in enumerate(cells))
        return f'<tr style="background:transparent">{"".join(made)}</tr>'

    body = "".join(line("td", row) for row in rows)
    return f'<table style="{_TABLE}">{line("th", head)}{body}</table>'


_FAILED = ("error", "rejected")


def _sparkline(records: Sequence[CallRecord], *, width: int = 300, height: int = 28) -> str:
    """Return durations over time as a line drawing; each step is the slowest call of its stretch."""
    durations = [record.duration for record in records if record.status != "rejected"]
    if len(durations) < 3:
        return ""
    steps = min(len(durations), 100)
    slowest = [
        max(durations[len(durations) * step // steps : len(durations) * (step + 1) // steps]) for step in range(steps)
    ]
    top = max(slowest) or 1.0
    points = " ".join(
        f"{width * place / (steps - 1):.0f},{height - 1 - (height - 2) * value / top:.1f}"
        for place, value in enumerate(slowest)
    )
    label = escape(f"duration of {len(durations)} calls, up to {format_seconds(top)}")
    return (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">'
        f'<title>{label}</title><polyline points="{points}" fill="none" stroke="currentColor" stroke-opacity=".6"/>'
        "</svg>"
    )
