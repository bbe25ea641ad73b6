"""Counters with reservations and leases as rows, each function a part of one transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentprod.stores.base import KEPT_LAPSED, Claim, CounterState, Exhausted, Settled

if TYPE_CHECKING:
    from agentprod.stores.sql import Session

__all__ = ["add", "renew", "reserve", "settle", "sweep", "usage"]

# A counter that exists; one whose window is over is not brought back.
_CHANGE = "UPDATE counters SET spent = spent + ?, held = held + ? WHERE family = ? AND name = ?"
# The longest lifetime that was asked for holds. Not MAX or GREATEST: databases differ in what these make of NULL.
_KEEP = """
INSERT INTO counters VALUES (?, ?, ?, ?, ?) ON CONFLICT (family, name) DO UPDATE SET
    spent = counters.spent + excluded.spent,
    held = counters.held + excluded.held,
    expires = CASE
        WHEN counters.expires IS NULL OR excluded.expires IS NULL THEN NULL
        WHEN counters.expires > excluded.expires THEN counters.expires
        ELSE excluded.expires
    END
"""
# `|| ''` leaves the database the index of ends to find these by: few have ended, of the very many a group may have.
_ENDED = "SELECT id, claims, lapsed FROM holds WHERE expires <= ? AND family || '' = ?"
_FORGET = "DELETE FROM counters WHERE expires <= ? AND family || '' = ?"


def reserve(
    session: Session, group: str, id: str, claims: Sequence[Claim], lease: float, now: float
) -> Exhausted | None:
    """See `Store.reserve`."""
    if session.execute("SELECT 1 FROM holds WHERE family = ? AND id = ?", (group, id)).fetchone():
        return None
    names = {name for claim in claims for name in (claim.counter, *claim.also)}
    states = dict(zip(names, usage(session, group, [*names]), strict=True))
    for claim in claims:
        counted = [states[name] for name in (claim.counter, *claim.also)]
        spent = sum(state.spent for state in counted)
        held = sum(state.held for state in counted)
        if claim.limit is not None and spent + held + claim.amount > claim.limit:
            return Exhausted(claim, spent, held)
    ends = [None if claim.ttl is None else now + claim.ttl for claim in claims]
    session.executemany(
        _KEEP, [(group, claim.counter, 0, claim.amount, end) for claim, end in zip(claims, ends, strict=True)]
    )
    rows = json.dumps([(claim.counter, claim.amount, claim.floor) for claim in claims])
    session.execute("INSERT INTO holds VALUES (?, ?, ?, ?, 0)", (group, id, rows, now + lease))
    return None


def settle(session: Session, group: str, id: str, used: Sequence[int] | None) -> Settled:
    """See `Store.settle`."""
    row = session.execute("SELECT claims, lapsed FROM holds WHERE family = ? AND id = ?", (group, id)).fetchone()
    if row is None:
        return "unknown"
    claims, lapsed = json.loads(row[0]), bool(row[1])
    if used is not None and len(used) != len(claims):
        raise ValueError(f"the reservation has {len(claims)} claims, but {len(used)} usages were given")
    session.execute("DELETE FROM holds WHERE family = ? AND id = ?", (group, id))
    changes = []
    for (counter, amount, floor), spent in zip(claims, used or [0] * len(claims), strict=True):
        changes.append((spent - floor, 0, group, counter) if lapsed else (spent, -amount, group, counter))
    session.executemany(_CHANGE, changes)
    return "late" if lapsed else "settled"


def renew(session: Session, group: str, id: str, lease: float, now: float) -> bool:
    """See `Store.renew`."""
    query = "UPDATE holds SET expires = ? WHERE family = ? AND id = ? AND lapsed = 0"
    found: int = session.execute(query, (now + lease, group, id)).rowcount
    return found > 0


def add(session: Session, group: str, counter: str, amount: int, ttl: float | None, now: float) -> CounterState:
    """See `Store.add`."""
    session.execute(_KEEP, (group, counter, amount, 0, None if ttl is None else now + ttl))
    return usage(session, group, [counter])[0]


def usage(session: Session, group: str, counters: Sequence[str]) -> list[CounterState]:
    """See `Store.usage`."""
    if not counters:
        return []
    marks = ", ".join("?" * len(counters))
    query = f"SELECT name, spent, held FROM counters WHERE family = ? AND name IN ({marks})"  # noqa: S608
    found = {name: CounterState(spent, held) for name, spent, held in session.execute(query, (group, *counters))}
    return [found.get(name, CounterState(0, 0)) for name in counters]


def sweep(session: Session, group: str, now: float) -> None:
    """End the leases and the counters of a group whose time is over."""
    for id, claims, lapsed in session.execute(_ENDED, (now, group)).fetchall():
        if lapsed:
            session.execute("DELETE FROM holds WHERE family = ? AND id = ?", (group, id))
            continue
        ended = [(floor, -amount, group, counter) for counter, amount, floor in json.loads(claims)]
        session.executemany(_CHANGE, ended)
        session.execute(
            "UPDATE holds SET lapsed = 1, expires = ? WHERE family = ? AND id = ?", (now + KEPT_LAPSED, group, id)
        )
    session.execute(_FORGET, (now, group))
