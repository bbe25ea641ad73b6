"""When a provider says one may try again: what the headers of its answers tell.

Sources: RFC 9110 §10.2.3 (Retry-After), OpenAI "Rate limits" guide, Anthropic "Rate limits" reference.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

__all__ = ["rate_limit_resets", "retry_hint", "whole_number"]

_LONGEST = 86_400.0
"""Seconds: no provider's rate limit is of longer windows, and neither a clock that is wrong nor a broken proxy may shut
an account out for good."""


def retry_hint(headers: Mapping[str, str], wall: Callable[[], float] | None = None) -> float | None:
    """Read how long a provider asks to wait, in seconds; `None` when it does not say anything usable.

    `retry-after-ms` wins over `retry-after` (seconds or an HTTP date), which wins over the longest
    reset among the rate-limit dimensions that are used up. Zero, negative, NaN, infinite or
    unreadable values are no hint; more than a day is taken as a day.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if not isinstance(value, str):
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            seconds = _until(value, wall) if name == "retry-after" else math.nan
        if math.isfinite(seconds) and seconds > 0:
            return min(seconds, _LONGEST)
    resets = [reset for _, remaining, reset in rate_limit_resets(headers, wall) if remaining == 0 and reset > 0]
    return max(resets, default=None)


def _until(date: str, wall: Callable[[], float] | None) -> float:
    try:
        import email.utils

        return _timestamp(email.utils.parsedate_to_datetime(date)) - _wall(wall)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _timestamp(when: datetime) -> float:
    return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()


def _wall(wall: Callable[[], float] | None) -> float:
    return wall() if wall is not None else time.time()


_DURATION = re.compile("".join(rf"(?:(\d+(?:\.\d+)?){unit})?" for unit in ("d", "h", "m(?!s)", "s", "ms")))
_RESET = re.compile(r"^(?:x|anthropic)-ratelimit-(?:reset-(?P<dim>[\w-]+)|(?P<dim2>[\w-]+)-reset)$")


def rate_limit_resets(
    headers: Mapping[str, str], wall: Callable[[], float] | None = None
) -> list[tuple[str, int | None, float]]:
    """Return `(dimension, remaining, seconds until reset)` for each rate-limit dimension in `headers`.

    Reads OpenAI's (`x-ratelimit-reset-tokens: 6m0s`, `12ms`) and Anthropic's
    (`anthropic-ratelimit-input-tokens-reset: 2026-…Z`) forms. `remaining` is `None` when absent or
    negative: Azure sends -1 for "does not apply". No reset is later than in a day.
    """
    found: list[tuple[str, int | None, float]] = []
    raw = getattr(headers, "raw", None)
    if raw is not None and b"ratelimit" not in b" ".join([name for name, _ in raw]).lower():
        return found  # to decode the names of all headers of an answer costs more than a limiter's own work
    for name in headers:
        if "ratelimit" not in (lowered := name.lower()):  # as of most headers of every answer
            continue
        match = _RESET.match(lowered)
        if match is None:
            continue
        dim = match["dim"] or match["dim2"]
        reset = _reset(headers[name], wall)
        if reset is None:
            continue
        remaining = headers.get(f"x-ratelimit-remaining-{dim}") or headers.get(f"anthropic-ratelimit-{dim}-remaining")
        found.append((dim, whole_number(remaining), reset))
    return found


def whole_number(value: object) -> int | None:
    """Read a header that is a whole number of 0 or more; `None` for anything else."""
    if isinstance(value, str) and value.isdecimal() and len(value) <= _DIGITS:
        return int(value)
    return None


_DIGITS = 18
"""More are nonsense, and Python refuses to read thousands of them."""


def _reset(value: str, wall: Callable[[], float] | None) -> float | None:
    match = _DURATION.fullmatch(value.strip())
    if match and match[0]:
        day, hour, minute, second, milli = (float(group or 0) for group in match.groups())
        seconds = day * 86400 + hour * 3600 + minute * 60 + second + milli / 1000
    else:
        try:
            seconds = float(value)
        except ValueError:
            try:
                seconds = _timestamp(datetime.fromisoformat(value)) - _wall(wall)
            except (ValueError, OverflowError):
                return None
    return min(max(0.0, seconds), _LONGEST) if math.isfinite(seconds) else None
