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
# One look, which mostly finds nothing, tells of the counters in a last row: a server may be a long way off.
_ENDED = """
SELECT id, claims, lapsed FROM holds WHERE expires <= ? AND family || '' = ?
UNION ALL
SELECT NULL, NULL, NULL WHERE EXISTS (SELECT 1 FROM counters WHERE expires <= ? AND family || '' = ?)
"""
_FORGET = "DELETE FROM counters WHERE expires <= ? AND family || '' = ?"

_UNUSED = CounterState(0, 0)


def reserve(
    session: Session, group: str, id: str, claims: Sequence[Claim], lease: float, now: float
) -> Exhausted | None:
    """See `Store.reserve`."""
    names = [*{name for claim in claims for name in (claim.counter, *claim.also)}]
    query = f"{_usage_of(names)} UNION ALL SELECT NULL, NULL, NULL FROM holds WHERE family = ? AND id = ?"  # noqa: S608
    known = session.execute(query, (group, *names, group, id))
    found = {name: CounterState(spent, held) for name, spent, held in known}
    if None in found:  # it holds these already
        return None
    for claim in claims:
        counted = [found.get(name, _UNUSED) for name in (claim.counter, *claim.also)]
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
    query = "DELETE FROM holds WHERE family = ? AND id = ? RETURNING claims, lapsed"
    rows = session.execute(query, (group, id)).fetchall()
    if not rows:
        return "unknown"
    claims, lapsed = json.loads(rows[0][0]), bool(rows[0][1])
    if used is not None and len(used) != len(claims):
        raise ValueError(f"the reservation has {len(claims)} claims, but {len(used)} usages were given")
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
    row = (group, counter, amount, 0, None if ttl is None else now + ttl)
    ((spent, held),) = session.execute(f"{_KEEP} RETURNING spent, held", row).fetchall()
    return CounterState(spent, held)


def usage(session: Session, group: str, counters: Sequence[str]) -> list[CounterState]:
    """See `Store.usage`."""
    if not counters:
        return []
    rows = session.execute(_usage_of(counters), (group, *counters))
    found = {name: CounterState(spent, held) for name, spent, held in rows}
    return [found.get(name, _UNUSED) for name in counters]


def sweep(session: Session, group: str, now: float) -> None:
    """End the leases and the counters of a group whose time is over."""
    for id, claims, lapsed in session.execute(_ENDED, (now, group, now, group)).fetchall():
        if id is None:
            session.execute(_FORGET, (now, group))
        elif lapsed:
            session.execute("DELETE FROM holds WHERE family = ? AND id = ?", (group, id))
        else:
            ended = [(floor, -amount, group, counter) for counter, amount, floor in json.loads(claims)]
            session.executemany(_CHANGE, ended)
            session.execute(
                "UPDATE holds SET lapsed = 1, expires = ? WHERE family = ? AND id = ?", (now + KEPT_LAPSED, group, id)
            )


def _usage_of(counters: Sequence[str]) -> str:
    return f"SELECT name, spent, held FROM counters WHERE family = ? AND name IN ({', '.join('?' * len(counters))})"  # noqa: S608
