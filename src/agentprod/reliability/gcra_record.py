"""A rate limit as data that processes share: the same limiter, taken out of a store, used, and put back.

Reservations and places in line have names here. Times in the data are relative to when it was written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from agentprod.reliability.gcra import Dimension, Gcra, Reservation, Shortage, Ticket

__all__ = ["PATIENCE", "dump", "leave", "load", "reservation_of", "reserve"]

PATIENCE = 10.0
"""Seconds after the wait it was told for which a place in line is kept for somebody who does not come back."""


def dump(gcra: Gcra, now: float) -> dict[str, Any]:
    """Return the state of a limiter as JSON-able data."""
    return {
        "buckets": [
            {
                "limit": bucket.limit,
                "tat": _left(bucket.tat, now),
                "blocked": _left(bucket.blocked_until, now),
                "sent": _left(bucket.sent_at, now),
            }
            for bucket in gcra.buckets
        ],
        "reservations": {
            each.id: {
                "at": each.at - now,
                "costs": list(each.costs),
                "starts": [
                    "counted" if mark == math.inf else _left(mark - bucket.freed, now)
                    for mark, bucket in zip(each.marks or (), gcra.buckets, strict=True)
                ],
            }
            for each in gcra.reservations
        },
        "line": [
            {"id": ticket.id, "costs": list(ticket.costs), "expires": ticket.expires - now}
            for ticket in gcra.line.tickets
            if not ticket.is_gone
        ],
    }


def load(
    dimensions: Sequence[Dimension], lease: float, data: Mapping[str, Any] | None, then: float, now: float
) -> Gcra:
    """Return a limiter in the state that `dump` wrote at `then`, or a new one for `None`.

    Reservations whose lease has ended by `now` are left out: what they booked leaks like everything else.

    Raises:
        ValueError: the data is something else.
    """
    gcra = Gcra(dimensions, lease=lease)
    if data is None:
        return gcra
    try:
        for bucket, state in zip(gcra.buckets, data["buckets"], strict=True):
            if state["limit"] is not None:
                bucket.adopt_limit(float(state["limit"]), then)
            bucket.tat, bucket.blocked_until = _time(state["tat"], then), _time(state["blocked"], then)
            bucket.sent_at = _time(state["sent"], then)
        gcra.blocked_until = max(bucket.blocked_until for bucket in gcra.buckets)
        for id, state in data["reservations"].items():
            if then + float(state["at"]) + lease <= now:
                continue
            costs = tuple(float(cost) for cost in state["costs"])
            marks = [math.inf if start == "counted" else _time(start, then) for start in state["starts"]]
            gcra.reservations[Reservation(then + float(state["at"]), costs, marks, id)] = None
            for bucket, cost in zip(gcra.buckets, costs, strict=True):
                bucket.in_flight += cost
        for state in data["line"]:
            gcra.line.join([float(cost) for cost in state["costs"]], state["id"], then + float(state["expires"]))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError("not the state of a rate limit") from error
    return gcra


def reserve(gcra: Gcra, id: str, costs: Sequence[float], now: float, *, wait: bool) -> Reservation | Shortage:
    """Book `costs` under the name `id`, or stand in line for them; asking again tells whether they are there by now."""
    if (known := reservation_of(gcra, id)) is not None:
        return known
    ticket = _place_of(gcra, id)
    if ticket is not None and ticket.expires <= now:
        ticket.is_gone = True
    if ticket is None or ticket.is_gone:
        answer = gcra.reserve(costs, now, id)
        if isinstance(answer, Reservation) or not wait:
            return answer
        ticket = gcra.join(costs, id, math.inf)
    answer = gcra.claim(ticket, now)
    if isinstance(answer, Shortage):
        ticket.expires = now + answer.retry_after + PATIENCE
    return answer


def leave(gcra: Gcra, id: str, now: float) -> None:
    """Give up the place in line, or everything it has brought."""
    if (known := reservation_of(gcra, id)) is not None:
        gcra.refund(known, now)
    elif (ticket := _place_of(gcra, id)) is not None:
        gcra.leave(ticket, now)


def reservation_of(gcra: Gcra, id: str) -> Reservation | None:
    """Return the reservation of this name, if it is neither settled nor past its lease."""
    return next((each for each in gcra.reservations if each.id == id), None)


def _place_of(gcra: Gcra, id: str) -> Ticket | None:
    return next((ticket for ticket in gcra.line.tickets if ticket.id == id and not ticket.is_gone), None)


def _left(time: float, now: float) -> float | None:
    return None if time == -math.inf else time - now


def _time(left: float | None, then: float) -> float:
    return -math.inf if left is None else then + float(left)
