"""The card: readable, small, harmless."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprod.telemetry.calls import AttemptRecord
from agentprod.telemetry.card import call_table, text_card
from agentprod.telemetry.card_bars import FAILED, LEGEND, share_bar, time_bar
from agentprod.telemetry.card_html import html_card
from agentprod.telemetry.record_ring import Calls
from agentprod.usage import Usage
from tests.telemetry.records import cached_call, call_record, failed_call, rejected_call

TAGS = {"div", "span", "b", "table", "tr", "th", "td", "svg", "title", "rect"}
NASTY = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&`</td></table>"


class Reader(HTMLParser):
    """Collects elements and attributes, and checks that what is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def test_the_figures_people_look_for() -> None:
    """Calls, success, retries, hits, tokens, cost, savings and percentiles stand in the card."""
    retried = call_record(attempts=(AttemptRecord(outcome="failed"), AttemptRecord()), cost="0.0021", duration=1.8)
    records = [retried, cached_call(), failed_call(), rejected_call(), call_record(ttft=0.3, pii=(("input", "X", 2),))]
    text = text_card(records)
    for part in (
        "5 calls",
        "60 % answered",
        "1 errors",
        "1 rejected",
        "1 retried",
        "1 cached",
        "240 tokens",
        "$0.0031",
    ):
        assert part in text
    for part in ("$0.0010 saved", "p50", "p95", "first token", "2 redactions"):
        assert part in text
    shown = "".join(read(html_card(records)).text)
    assert "60 %" in shown
    assert "last 5 calls" in shown


def test_unknown_cost_is_not_zero() -> None:
    """A card of calls without a price says n/a."""
    records = [call_record(cost_usd=None)]
    assert "n/a cost" in text_card(records)
    assert "$0" not in text_card(records) + html_card(records) + call_table(records)


@pytest.mark.parametrize("field", ["model", "request_id", "error_type", "provider", "user", "cache", "status"])
def test_names_cannot_inject_html(field: str) -> None:
    """Whatever a name holds, the card has only its own elements, no handler and no script."""
    values: dict[str, Any] = {"model": "x", field: NASTY}
    reader = read(html_card([call_record(**values), call_record()] * 3))
    assert reader.tags <= TAGS
    assert not any(name.startswith("on") or name in ("src", "href") for name in reader.attributes)


@given(st.text(), st.text())
def test_any_name_is_shown_as_text(model: str, error: str) -> None:
    """No text breaks the markup or the lines of the table."""
    records = [call_record(model=model, error_type=error or None, status="error"), call_record(), call_record()]
    assert read(html_card(records)).tags <= TAGS
    assert len(call_table(records).splitlines()) == 4
    assert len(text_card(records).splitlines()) <= 4


def test_control_characters_cannot_disguise_a_line() -> None:
    """Escape sequences and direction marks are shown as question marks."""
    record = call_record(model="a\x1b[31mred\u202ecod\nfake line")
    text = call_table([record])
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "a?[31mred?cod?fake line" in text


def test_a_thousand_calls_fit() -> None:
    """A card of 1,000 calls with 1,000 long-named models is below 50 kB."""
    records = [
        call_record(model=f"{NASTY}{number}" * 3, duration=number % 50 + 0.1, usage=Usage(number, number))
        for number in range(1000)
    ]
    html = html_card(records)
    assert len(html.encode()) < 50_000
    assert "992 others" in html


def test_nothing_is_fetched_or_run() -> None:
    """No script, no style sheet, no address."""
    html = html_card([call_record(), failed_call(), cached_call()] * 20)
    assert not re.search(r"<script|<link|<style|<iframe|url\(|https?:|@import|javascript", html, re.IGNORECASE)


def test_it_reads_on_light_and_on_dark() -> None:
    """Text and background take the page's colours; a failure and the bars have their own, fit for both."""
    html = html_card([call_record()] * 10)
    assert set(re.findall(r"(?<![-\w])color:([^;\"]+)", html)) == {"inherit"}
    assert set(re.findall(r"background:\s*([^;\"]+)", html)) == {"transparent"}
    assert set(re.findall(r'fill="([^"]+)"', html)) <= {colour for _, colour in LEGEND}
    assert html_card([failed_call()]).count(f"color:{FAILED}") == 1


def widths(svg: str) -> list[tuple[str, float]]:
    """Return colour and width of the stretches of a bar."""
    found = re.findall(r'width="([\d.]+)" height="[\d.]+" fill="([^"]+)"', svg)
    return [(next(name for name, known in LEGEND if known == colour), float(width)) for width, colour in found]


def test_a_bar_shows_where_the_time_went() -> None:
    """Queue, failed attempt, wait, first token, answer and the rest, to scale and told in words."""
    attempts = (
        AttemptRecord(outcome="failed", error_type="429", duration=1.0),
        AttemptRecord(backoff=2.0, ttft=1.5, duration=4.0),
    )
    record = call_record(duration=10.0, queue_wait=1.0, attempts=attempts)
    svg = time_bar(record, 20.0, width=200)
    assert widths(svg) == [
        ("waiting", 10.0),
        ("failed attempt", 10.0),
        ("waiting", 20.0),
        ("until the first token", 15.0),
        ("answering", 25.0),
        ("other", 20.0),
    ]
    told = "queued 1 s, failed: 429 1 s, waited to try again 2 s, first token 1.5 s, answer 2.5 s, other 2 s"
    assert f"<title>{told}</title>" in svg
    # Attempts side by side took longer together than the call did: the bar is no longer than the call.
    hedged = call_record(duration=3.0, attempts=(AttemptRecord(duration=3.0), AttemptRecord(duration=2.0)))
    assert widths(time_bar(hedged, 3.0, width=100)) == [("answering", 100.0)]
    assert time_bar(call_record(duration=0.0), 0.0) == ""
    assert widths(share_bar(0.5)) == [("answering", 30.0)]
    assert share_bar(0.0) == ""


def test_the_card_says_why_in_words() -> None:
    """What made a call slow, cheap or partial stands beside its bar; the slowest and the dearest stand out."""
    attempts = (AttemptRecord(outcome="failed", error_type="429"), AttemptRecord(backoff=2.0, duration=1.0))
    records = [
        call_record(duration=3.0, attempts=attempts, cost="0.002"),
        call_record(duration=2.0, queue_wait=1.5, requested_model="gpt-5"),
        call_record(duration=1.0, attempts=(AttemptRecord(ttft=0.9, duration=1.0),), stream_outcome="closed"),
        cached_call(),
    ]
    html = html_card(records)
    for words in (
        "1× 429 · waited 2 s",
        "instead of gpt-5 · queued 1.5 s",
        "first token 900 ms · stream closed",
        "hit_",
    ):
        assert words in html
    assert "hit_exact" in html
    assert "<b>3 s</b>" in html
    assert "<b>$0.0020</b>" in html


def test_chinese_names_line_up() -> None:
    """Columns of a table in a terminal stay straight beside wide characters."""
    text = call_table([call_record(model="通义千问"), call_record(model="gpt-5-mini")])
    header, wide, narrow = text.splitlines()
    column = header.index("status")
    assert narrow[column:].startswith("ok")
    assert wide[column - 4 :].startswith("ok")  # four wide characters take eight columns


def test_few_or_no_calls() -> None:
    """An empty card says so, and durations over time are drawn from three calls on."""
    history = "oldest first"
    assert text_card([]) == "0 calls"
    assert "<svg" not in html_card([])
    assert history not in html_card([call_record(), call_record()])
    assert "last call<" in html_card([call_record()])
    assert history not in html_card([rejected_call()] * 5)
    assert history in html_card([call_record(duration=0.0)] * 3)


def test_a_notebook_gets_text_and_html() -> None:
    """Jupyter asks for both forms; a plain console shows the text."""
    calls = Calls([call_record(), call_record(model="b")])
    bundle = calls._repr_mimebundle_(include=None, exclude=None)
    assert set(bundle) == {"text/plain", "text/html"}
    assert repr(calls) == bundle["text/plain"]
    assert "gpt-5-mini" in bundle["text/html"]
