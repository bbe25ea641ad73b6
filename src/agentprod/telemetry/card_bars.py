"""The drawings of the notebook's card: where the time of a call went, shares, and durations over time.

Inline SVG in colours that read on light and on dark; nothing of a name or a text gets in but through `escape`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from agentprod.telemetry.calls import CallRecord
from agentprod.telemetry.figures import format_seconds

__all__ = ["FAILED", "LEGEND", "history", "share_bar", "time_bar"]

FAILED = "#d9363e"
_FIRST, _ANSWER, _WAIT, _OWN = "#9dbdf5", "#4a7fe0", "#e0a63a", "#9a9a9a"
LEGEND = (
    ("until the first token", _FIRST),
    ("answering", _ANSWER),
    ("failed attempt", FAILED),
    ("waiting", _WAIT),
    ("other", _OWN),
)
"""What the colours of `time_bar` mean."""

_STEPS = 100


def time_bar(record: CallRecord, longest: float, *, width: int = 150, height: int = 10) -> str:
    """Return where the time of a call went, as a bar that is `width` long for a call of `longest` seconds."""
    if longest <= 0:
        return ""
    drawn, at, told = [], 0.0, []
    for seconds, colour, what in _stretches(record):
        size = width * min(seconds / longest, 1.0)
        told.append(f"{what} {format_seconds(seconds)}")
        if size >= 0.3:
            drawn.append(_box(at, 0, max(size, 1.0), height, colour))
        at += size
    return _svg(width, height, ", ".join(told), "".join(drawn))


def _stretches(record: CallRecord) -> Iterator[tuple[float, str, str]]:
    """Return seconds, colour and meaning of the stretches of a call, in their order."""
    left = record.duration

    def stretch(seconds: float, colour: str, what: str) -> Iterator[tuple[float, str, str]]:
        nonlocal left
        seconds = min(seconds, left)
        left -= seconds
        if seconds > 0:
            yield seconds, colour, what

    yield from stretch(record.queue_wait, _WAIT, "queued")
    for attempt in record.attempts:
        yield from stretch(attempt.backoff, _WAIT, "waited to try again")
        if attempt.outcome == "failed":
            yield from stretch(attempt.duration, FAILED, f"failed: {attempt.error_type or 'error'}")
            continue
        first = min(attempt.ttft or 0.0, attempt.duration)
        yield from stretch(first, _FIRST, "first token")
        yield from stretch(attempt.duration - first, _ANSWER, "answer")
    yield from stretch(left, _OWN, "other")


def share_bar(share: float, *, width: int = 60, height: int = 10) -> str:
    """Return a bar for a share from 0 to 1."""
    return _svg(width, height, "", _box(0, 0, max(width * share, 1.0), height, _ANSWER)) if share > 0 else ""


def history(records: Sequence[CallRecord], *, width: int = 460, height: int = 36) -> str:
    """Return durations over time as columns, each the slowest call of its stretch, red where one failed."""
    asked = [record for record in records if record.status != "rejected"]
    if len(asked) < 3:
        return ""
    steps = min(len(asked), _STEPS)
    stretches = [asked[len(asked) * step // steps : len(asked) * (step + 1) // steps] for step in range(steps)]
    top = max(record.duration for record in asked) or 1.0
    wide = width / steps
    drawn = []
    for place, calls in enumerate(stretches):
        tall = max((height - 1) * max(call.duration for call in calls) / top, 1.0)
        colour = FAILED if any(call.failed for call in calls) else _ANSWER
        drawn.append(_box(place * wide, height - tall, max(min(wide - 1, 14), 1), tall, colour))
    return _svg(width, height, f"duration of {len(asked)} calls, up to {format_seconds(top)}", "".join(drawn))


def _box(left: float, top: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def _svg(width: int, height: int, label: str, drawn: str) -> str:
    told = escape(label)
    named = f'role="img" aria-label="{told}"><title>{told}</title>' if label else 'aria-hidden="true">'
    return f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" {named}{drawn}</svg>'
