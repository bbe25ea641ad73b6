"""The built-in detectors, and the one pass that runs those which are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from agentprod.safety.pii import birth, cards, china, crypto, identity, names, network, phones, secrets
from agentprod.safety.pii.numbers import number_runs
from agentprod.safety.pii.spans import Span

__all__ = ["Detector", "built_in", "find_spans"]

_DIGITS = "0123456789"


class Detector(NamedTuple):
    """A pure function over folded text.

    Args:
        entities: what it can report.

        needs: `"run"` is called for each run of seven digits, `"digit"` when the text has a digit, `"@"`, `":"` when it
            has that character, `""` always.

        find: `(text, start)`, or `(text, lo, hi)` for `"run"`. It reports nothing that begins before `start`, but may
            look at 48 characters before it.
    """

    entities: frozenset[str]
    needs: str
    find: Callable[..., Iterable[Span]]


_BUILT_IN = tuple(
    Detector(frozenset(entities.split()), needs, find)
    for entities, needs, find in (
        ("CN_ID", "run", china.cn_ids),
        ("CN_ID", "run", china.cn_old_ids),
        ("CREDIT_CARD CN_BANK_CARD", "run", cards.cards),
        ("US_SSN", "run", identity.us_ssns),
        ("PHONE", "run", phones.phones),
        ("PHONE", "context", phones.phones_by_context),
        ("CN_USCC", "digit", china.cn_usccs),
        ("CN_PASSPORT", "digit", china.cn_passports),
        ("CN_PLATE", "wide digit", china.cn_plates),
        ("IBAN", "digit", identity.ibans),
        ("HK_ID", "digit", identity.hk_ids),
        ("TW_ID", "digit", identity.tw_ids),
        ("DATE_OF_BIRTH", "digit", birth.birth_dates),
        ("CRYPTO", "digit", crypto.crypto_addresses),
        ("EMAIL", "@", network.emails),
        ("IP", "digit", network.ip_addresses),
        ("MAC", "digit", network.mac_addresses),
        ("SECRET", "", secrets.issued_secrets),
        ("SECRET", "", secrets.assigned_secrets),
        ("SECRET", "-----BEGIN", secrets.private_keys),
        ("SECRET", "://", secrets.url_passwords),
        ("URL", "://", network.urls),
        ("PERSON", "", names.people),
        ("ADDRESS", "digit", names.addresses),
    )
)


def built_in(entities: Iterable[str]) -> tuple[Detector, ...]:
    """Return the built-in detectors that can report any of `entities`."""
    wanted = frozenset(entities)
    return tuple(detector for detector in _BUILT_IN if detector.entities & wanted)


def find_spans(text: str, detectors: Iterable[Detector], start: int = 0) -> Iterator[Span]:
    """Yield what the detectors find in folded text, in no order and with overlaps.

    Args:
        text: folded text.

        detectors: what to run.

        start: text before this offset is context only.
    """
    has_digit = any(map(text.__contains__, _DIGITS))
    runs: list[tuple[int, int]] | None = None
    for detector in detectors:
        needs = detector.needs
        if not needs:
            yield from detector.find(text, start)
        elif needs in ("run", "context"):
            if not has_digit:
                continue
            if runs is None:
                runs = list(number_runs(text, start))
            if needs == "context":
                if runs:
                    yield from detector.find(text, start)
                continue
            for lo, hi in runs:
                yield from detector.find(text, lo, hi)
        elif needs == "digit":
            if has_digit:
                yield from detector.find(text, start)
        elif needs == "wide digit":
            if has_digit and not text.isascii():
                yield from detector.find(text, start)
        elif needs in text:
            yield from detector.find(text, start)
