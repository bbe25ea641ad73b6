"""No text makes the scanner slow: four times the text costs about four times the time, never sixteen."""

# ruff: noqa: E501 - tables of texts and what is expected of them
from __future__ import annotations

from collections.abc import Callable
from time import process_time

import pytest

from agentprod.safety.pii import ALL, Scrubber, Vault
from agentprod.safety.pii.placeholders import find_placeholders
from agentprod.safety.pii.restore import restore

FAMILIES = (
    "a.", "1-", ":", "(", "a@a.a.", "http://aaa", "1", "12-", "1.1.", "@", "://a:b", "password", "tel ", "京A", "-----BEGIN PRIVATE KEY-----", "eyJ", "[[EMAIL_", "ab:", "+1 ", "(010)",
    "token=a", "key=", "GB82 ", "\u200b", "１", "4111 ", "born ", "王先生", "1 号", "ghp_", "Q~", "&#91;", "x[", "%40", "%E4%BD", "a%40b.", "出生1990年", "护照", "born <b>",
)  # fmt: skip


def _growth(work: Callable[[str], object], unit: str) -> float:
    """Return how much longer four times the text takes; short times count as no growth."""
    times = []
    for size in (6_000, 24_000):
        text = (unit * (size // len(unit) + 1))[:size]
        best = float("inf")
        for _ in range(3):
            start = process_time()
            work(text)
            best = min(best, process_time() - start)
        times.append(best)
    return times[1] / times[0] if times[1] > 0.004 else 1.0


@pytest.mark.parametrize("unit", FAMILIES, ids=repr)
def test_finding_takes_linear_time(unit: str) -> None:
    """Every built-in detector, on texts made to make patterns backtrack."""
    scrubber = Scrubber(entities=ALL, memo=0)
    assert _growth(scrubber.find, unit) < 9


@pytest.mark.parametrize(
    "unit", ["[[EMAIL_1]]", "[", "[[a ", "https://x/[[EMAIL_1]]", "](", "&#91;", "<a src='", "url("], ids=repr
)
def test_restoring_takes_linear_time(unit: str) -> None:
    """The reader of placeholders, and the look back for web addresses."""
    vault = Vault()
    vault.placeholder("EMAIL", "ann@x.org")
    assert _growth(lambda text: restore(text, vault), unit) < 9
    assert _growth(lambda text: list(find_placeholders(text)), unit) < 9


@pytest.mark.parametrize("unit", ["word ", "12 ", "a", "汉字", "138 1234 5678 ", "-----BEGIN ", "[["], ids=repr)
def test_streaming_takes_linear_time(unit: str) -> None:
    """Fed in pieces of seven characters."""
    scrubber = Scrubber(memo=0)

    def stream(text: str) -> None:
        editor = scrubber.stream(Vault())
        for at in range(0, len(text), 7):
            editor.feed(text[at : at + 7])
        editor.flush()

    assert _growth(stream, unit) < 9
