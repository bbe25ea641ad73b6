"""The card of calls in a notebook: what they cost, and why they were slow, at a glance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from html import escape

from agentprod.telemetry.calls import CallRecord
from agentprod.telemetry.card import figures, model_groups, shown
from agentprod.telemetry.card_bars import FAILED, LEGEND, history, share_bar, time_bar
from agentprod.telemetry.figures import format_count, format_rate, format_seconds, format_usd
from agentprod.telemetry.summary import summarize_calls

__all__ = ["html_card"]

_CALLS = 15
_NOTABLE, _MOST = 0.1, 0.5
"""Shares of a call from which a wait, and the time to the first token, is told in words."""

# Colours of text come from the page, so the card reads on light and on dark; no style sheet, no script, nothing to
# fetch. Chinese is named after the fonts that have it, for `sans-serif` alone may be one without.
_BOX = (
    "font:13px/1.5 system-ui,'PingFang SC','Microsoft YaHei','Noto Sans CJK SC',sans-serif;"
    "border:1px solid rgba(128,128,128,.35);border-radius:8px;padding:14px 18px;max-width:72em"
)
# Pages without a doctype, and style sheets of notebooks, give tables a size and a colour of their own.
_TABLE = "border-collapse:collapse;margin:0;font:inherit;color:inherit"
_CELL = "padding:2px 18px 2px 0;border:0;background:transparent;white-space:nowrap;text-align:"
_HEAD = ";font-weight:600;font-size:12px;opacity:.65"
_QUIET = "font-size:12px;opacity:.65"
_TITLE = f"margin:12px 0 3px;{_QUIET}"

Cell = tuple[str, str]
"""HTML of a cell, and its further style."""


def html_card(records: Sequence[CallRecord]) -> str:
    """Return the card as an HTML fragment: below 50 kB however many calls, every name escaped, no script."""
    tiles = "".join(
        f'<div style="margin-right:20px"><div style="font-size:17px;line-height:1.3"><b>{escape(value)}</b></div>'
        f'<div style="{_QUIET}">{escape(name)}</div></div>'
        for name, value in figures(summarize_calls(records))
    )
    blocks = [f'<div style="display:flex;flex-wrap:wrap;row-gap:6px">{tiles}</div>']
    drawn = history(records)
    if drawn:
        top = format_seconds(max(record.duration for record in records if record.status != "rejected"))
        blocks.append(f'<div style="{_TITLE}">durations, oldest first, up to {escape(top)}</div>{drawn}')
    groups = model_groups(records)
    if len(groups) > 1:
        blocks.append('<div style="height:8px"></div>')
        blocks.append(_table(("model", "calls", "answered", "p50", "p95", "tokens", "cost", ""), _models(groups)))
    if records:
        last = records[-_CALLS:]
        count = "last call" if len(last) == 1 else f"last {len(last)} calls"
        blocks.append(f'<div style="margin:12px 0 3px"><span style="{_QUIET}">{count}</span>{_legend()}</div>')
        blocks.append(_table(("request", "model", "status", "tokens", "cost", "time", "", "why"), _last(last)))
    return f'<div style="{_BOX}">{"".join(blocks)}</div>'


def _legend() -> str:
    return "".join(
        f'<span style="white-space:nowrap;margin-left:14px"><svg width="9" height="9" aria-hidden="true">'
        f'<rect width="9" height="9" fill="{colour}"/></svg> <span style="{_QUIET}">{escape(name)}</span></span>'
        for name, colour in LEGEND
    )


def _models(groups: Sequence[tuple[str, list[CallRecord]]]) -> Iterable[list[Cell]]:
    summaries = [(name, summarize_calls(records)) for name, records in groups]
    whole = sum((seen.cost or Decimal(0) for _, seen in summaries), Decimal(0))
    for name, seen in summaries:
        share = float((seen.cost or Decimal(0)) / whole) if whole else 0.0
        yield [
            _left(name),
            _right(format_count(seen.calls)),
            _right(format_rate(seen.success_rate)),
            _right(format_seconds(seen.p50)),
            _right(format_seconds(seen.p95)),
            _right(format_count(seen.input_tokens + seen.output_tokens)),
            _right(seen.cost_text),
            (share_bar(share), "left"),
        ]


def _last(records: Sequence[CallRecord]) -> Iterable[list[Cell]]:
    longest = max(record.duration for record in records)
    dearest = max((record.cost_usd for record in records if record.cost_usd is not None), default=Decimal(0))
    for record in records:
        status = record.status if record.error_type is None else f"{record.status}: {record.error_type}"
        dear = record.cost_usd is not None and record.cost_usd == dearest and len(records) > 1 and dearest > 0
        slow = record.duration == longest and len(records) > 1
        yield [
            _left(shown(record.request_id[-8:])),
            _left(shown(record.model or "-")),
            _left(shown(status), f";color:{FAILED}" if record.failed else ""),
            _right(format_count(record.total_tokens) if record.total_tokens else "-"),
            _right(format_usd(record.cost_usd), strong=dear),
            _right(format_seconds(record.duration), strong=slow),
            (time_bar(record, longest), "left"),
            _left(" · ".join(_reasons(record))),
        ]


def _reasons(record: CallRecord) -> Iterable[str]:
    """Return in words why a call took its time, or took none."""
    if record.cache is not None and record.status == "cached":
        yield shown(record.cache)
    if record.requested_model is not None:
        yield f"instead of {shown(record.requested_model)}"
    if len(record.attempts) > 1:
        failed = Counter(attempt.error_type or "error" for attempt in record.attempts if attempt.outcome == "failed")
        yield from (f"{count}× {shown(kind)}" for kind, count in failed.items())
    waits = (
        ("queued", record.queue_wait, _NOTABLE),
        ("waited", sum(attempt.backoff for attempt in record.attempts), _NOTABLE),
        ("first token", max((attempt.ttft or 0.0 for attempt in record.attempts), default=0.0), _MOST),
    )
    for name, seconds, share in waits:
        if seconds > share * record.duration:
            yield f"{name} {format_seconds(seconds)}"
    if record.stream_outcome is not None and record.stream_outcome not in ("completed", "error"):
        yield f"stream {shown(record.stream_outcome)}"


def _left(text: str, style: str = "") -> Cell:
    return escape(text), f"left{style}"


def _right(text: str, *, strong: bool = False) -> Cell:
    return (f"<b>{escape(text)}</b>" if strong else escape(text)), "right"


_WORDS = frozenset({"model", "request", "status", "why", ""})
"""Columns of words and bars stand left, those of figures right."""


def _table(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    def line(tag: str, cells: Iterable[Cell]) -> str:
        made = (f'<{tag} style="{_CELL}{style}">{html}</{tag}>' for html, style in cells)
        return f'<tr style="background:transparent">{"".join(made)}</tr>'

    titles = ((escape(name), ("left" if name in _WORDS else "right") + _HEAD) for name in head)
    body = "".join(line("td", row) for row in rows)
    return f'<div style="overflow-x:auto"><table style="{_TABLE}">{line("th", titles)}{body}</table></div>'
