"""Counters with reservations and leases as rows, each function a part of one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from agentprod.stores.base import KEPT_LAPSED, Claim, CounterState, Exhausted, Settled

__all__ = ["add", "renew", "reserve", "settle", "sweep", "usage"]

# A counter that exists; one whose window is over is not brought back.
_CHANGE = "UPDATE counters SET spent = spent + ?, held = held + ? WHERE family = ? AND name = ?"
_KEEP = (
    "INSERT INTO counters VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET spent = spent + ?3, held = held + ?4,"
    " expires = CASE WHEN ?5 IS NULL THEN NULL ELSE MAX(expires, ?5) END"
)


def reserve(
    db: sqlite3.Connection, group: str, id: str, claims: Sequence[Claim], lease: float, now: float
) -> Exhausted | None:
    """See `Store.reserve`."""
    if db.execute("SELECT 1 FROM holds WHERE family = ? AND id = ?", (group, id)).fetchone():
        return None
    states = usage(db, group, [claim.counter for claim in claims])
    for claim, (spent, held) in zip(claims, states, strict=True):
        if claim.also:
            others = usage(db, group, claim.also)
            spent += sum(other.spent for other in others)
            held += sum(other.held for other in others)
        if claim.limit is not None and spent + held + claim.amount > claim.limit:
            return Exhausted(claim, spent, held)
    ends = [None if claim.ttl is None else now + claim.ttl for claim in claims]
    db.executemany(
        _KEEP, [(group, claim.counter, 0, claim.amount, end) for claim, end in zip(claims, ends, strict=True)]
    )
    rows = json.dumps([(claim.counter, claim.amount, claim.floor) for claim in claims])
    db.execute("INSERT INTO holds VALUES (?, ?, ?, ?, 0)", (group, id, rows, now + lease))
    return None


def settle(db: sqlite3.Connection, group: str, id: str, used: Sequence[int] | None) -> Settled:
    """See `Store.settle`."""
    row = db.execute("SELECT claims, lapsed FROM holds WHERE family = ? AND id = ?", (group, id)).fetchone()
    if row is None:
        return "unknown"
    claims, lapsed = json.loads(row[0]), bool(row[1])
    if used is not None and len(used) != len(claims):
        raise ValueError(f"the reservation has {len(claims)} claims, but {len(used)} usages were given")
    db.execute("DELETE FROM holds WHERE family = ? AND id = ?", (group, id))
    changes = []
    for (counter, amount, floor), spent in zip(claims, used or [0] * len(claims), strict=True):
        changes.append((spent - floor, 0, group, counter) if lapsed else (spent, -amount, group, counter))
    db.executemany(_CHANGE, changes)
    return "late" if lapsed else "settled"


def renew(db: sqlite3.Connection, group: str, id: str, lease: float, now: float) -> bool:
    """See `Store.renew`."""
    query = "UPDATE holds SET expires = ? WHERE family = ? AND id = ? AND NOT lapsed"
    return db.execute(query, (now + lease, group, id)).rowcount > 0


def add(db: sqlite3.Connection, group: str, counter: str, amount: int, ttl: float | None, now: float) -> CounterState:
    """See `Store.add`."""
    db.execute(_KEEP, (group, counter, amount, 0, None if ttl is None else now + ttl))
    return usage(db, group, [counter])[0]


def usage(db: sqlite3.Connection, group: str, counters: Sequence[str]) -> list[CounterState]:
    """See `Store.usage`."""
    query = "SELECT name, spent, held FROM counters WHERE family = ? AND name IN (SELECT value FROM json_each(?))"
    found = {name: CounterState(spent, held) for name, spent, held in db.execute(query, (group, json.dumps(counters)))}
    return [found.get(name, CounterState(0, 0)) for name in counters]


def sweep(db: sqlite3.Connection, now: float) -> None:
    """End the leases and the counters whose time is over."""
    query = "SELECT family, id, claims, lapsed FROM holds WHERE expires <= ?"
    for group, id, claims, lapsed in db.execute(query, (now,)).fetchall():
        if lapsed:
            db.execute("DELETE FROM holds WHERE family = ? AND id = ?", (group, id))
            continue
        db.executemany(_CHANGE, [(floor, -amount, group, counter) for counter, amount, floor in json.loads(claims)])
        db.execute(
            "UPDATE holds SET lapsed = 1, expires = ? WHERE family = ? AND id = ?", (now + KEPT_LAPSED, group, id)
        )
    db.execute("DELETE FROM counters WHERE expires <= ?", (now,))
