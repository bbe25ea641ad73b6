"""The built-in detectors, and the one pass that runs those which are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from agentprod.safety.pii import birth, cards, china, crypto, identity, mailboxes, names, network, phones, secrets
from agentprod.safety.pii.keywords import long_words
from agentprod.safety.pii.numbers import Run, lettered, number_runs
from agentprod.safety.pii.spans import Span

__all__ = ["Detector", "built_in", "find_spans"]

_DIGITS = "0123456789"


class Detector(NamedTuple):
    """A pure function over folded text.

    Args:
        entities: what it can report.

        needs: when to run it. `"runs"` when there are runs of six digits, `"codes"` when such runs touch letters,
            `"long words"` when there are words of 15 characters, `"digit"` when the text has a digit, `"wide digit"`
            when it also is not ASCII, `""` always, anything else when the text contains it.

        find: `(text, start)`, `(text, runs)` for `"runs"`, `(text, codes)` for `"codes"` (see `numbers.lettered`),
            `(text, start, words)` for `"long words"`. It reports nothing that begins before `start`, but may look at
            48 characters before it.
    """

    entities: frozenset[str]
    needs: str
    find: Callable[..., Iterable[Span]]


_BUILT_IN = tuple(
    Detector(frozenset(entities.split()), needs, find)
    for entities, needs, find in (
        ("CN_ID", "runs", china.cn_ids),
        ("CN_ID", "runs", china.cn_old_ids),
        ("CREDIT_CARD CN_BANK_CARD", "runs", cards.cards),
        ("US_SSN", "runs", identity.us_ssns),
        ("PHONE", "runs", phones.phones),
        ("CN_USCC", "runs", china.cn_usccs),
        ("CN_PASSPORT", "runs", china.cn_numbered_passports),
        ("CN_PASSPORT", "codes", china.cn_passports),
        ("CN_PLATE", "wide digit", china.cn_plates),
        ("IBAN", "digit", identity.ibans),
        ("HK_ID", "codes", identity.hk_ids),
        ("TW_ID", "codes", identity.tw_ids),
        ("DATE_OF_BIRTH", "digit", birth.birth_dates),
        ("CRYPTO", "long words", crypto.crypto_addresses),
        ("EMAIL", "@", mailboxes.emails),
        ("IP", "digit", network.ip_addresses),
        ("MAC", "digit", network.mac_addresses),
        ("SECRET", "long words", secrets.issued_secrets),
        ("SECRET", "", secrets.assigned_secrets),
        ("SECRET", "-----BEGIN", secrets.private_keys),
        ("SECRET", "://", secrets.url_passwords),
        ("SECRET", "", secrets.command_passwords),
        ("PERSON", "", names.people),
        ("ADDRESS", "digit", names.addresses),
    )
)


def built_in(entities: Iterable[str]) -> tuple[Detector, ...]:
    """Return the built-in detectors that can report any of `entities`."""
    wanted = frozenset(entities)
    return tuple(detector for detector in _BUILT_IN if detector.entities & wanted)


_SURE = 0.95
"""Score of a checksum with an issuer or a date: no telephone number outweighs it."""


def find_spans(text: str, detectors: Iterable[Detector], start: int = 0) -> list[Span]:
    """Return what the detectors find in folded text, in no order and with overlaps.

    Args:
        text: folded text.

        detectors: what to run.

        start: text before this offset is context only.
    """
    tail = text[start:] if start else text
    has_digit = any(map(tail.__contains__, _DIGITS))
    wide = has_digit and not text.isascii()
    runs: list[Run] | None = None
    codes: list[tuple[Run, int]] | None = None
    words: list[str] | None = None
    found: list[Span] = []
    for _, needs, find in detectors:
        if needs in ("runs", "codes"):
            if runs is None:
                runs = number_runs(text, start) if has_digit else []
            if not runs:
                continue
            if needs == "codes":
                codes = lettered(text, runs) if codes is None else codes
                found += find(text, codes) if codes else ()
                continue
            spans = list(find(text, runs))
            if spans:
                found += spans
                runs = _undecided(runs, spans)
        elif needs == "long words":
            if words is None:
                words = long_words(text, start)
            if words:
                found += find(text, start, words)
        elif not needs or (needs == "digit" and has_digit) or (needs == "wide digit" and wide) or needs in tail:
            found += find(text, start)
    return found


def _undecided(runs: list[Run], spans: list[Span]) -> list[Run]:
    """Return the runs without those of which all is known to be one number."""
    ends = {span.start: span.end for span in spans if span.score >= _SURE}
    return [run for run in runs if ends.get(run.start, -1) < run.end] if ends else runs
