"""Write down calls, so that a router can be fitted to them, and say how good their answers were."""

from __future__ import annotations

import json
import logging
import math
import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentprod.call import Call, CallNext
from agentprod.errors import ConfigError
from agentprod.layer import Layer
from agentprod.meta import Meta, meta
from agentprod.order import Outside
from agentprod.reply import End, Reply
from agentprod.routing.ask import read_ask

if TYPE_CHECKING:
    from agentprod.ledger import Attempt, Ledger

__all__ = ["CallLog", "feedback"]

_log = logging.getLogger("agentprod")

_LOGGED = ("chat", "responses", "messages", "function")
_MOST_IDS = 10_000
_LONGEST_ID = 128
_SCRUBBER = "ScrubPII"

_open: weakref.WeakSet[CallLog] = weakref.WeakSet()


class CallLog(Layer):
    """Writes one line of JSON for each call: what was asked, which model answered, what it cost.

    It is the log that `python -m agentprod router fit` reads, once `ap.feedback` has said of some calls how good their
    answers were. A line holds the last question of the user, the model, dollars, tokens and seconds, the router's
    decision and the legs of a cascade; names and tags of the context are not in it. The question is the scrubbed one
    where `ScrubPII` stands in the stack; without it personal data is taken out by the built-in rules first.

    Put it into the stack, outside the router or the cascade. Calls without any attempt (cache hits, refusals) and calls
    that failed are not written. A line is one append: several threads and processes may write to one file. A line that
    cannot be written is logged and costs the call nothing.

    The file is made readable for its owner alone, and grows until you move it away; it is opened for every line, so
    that a moved file is left alone.

    Args:
        path: of the file; its folder must exist.

        answers: whether the answer is written too, scrubbed like the question; a judge (`ap.checks.Judge`) needs it.

        sample: share of calls that are written, from 0 to 1.

        now: POSIX time; for tests.

    Raises:
        ConfigError: the folder does not exist, or an option is out of range.
    """

    needs_usage = True
    order = (
        Outside("Router", "the log misses what the router decided"),
        Outside("Cascade", "every leg is written as a call of its own"),
        Outside("Retry", "every attempt is written as a call of its own"),
    )

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        answers: bool = False,
        sample: float = 1.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.path: Path = Path(path)
        if not self.path.parent.is_dir():
            raise ConfigError(f"CallLog path: the folder of {self.path.name} does not exist; make it first")
        if self.path.is_dir():
            raise ConfigError(f"CallLog path: {self.path.name} is a folder, not a file")
        if isinstance(sample, bool) or not isinstance(sample, int | float) or not 0 <= sample <= 1:
            raise ConfigError(f"CallLog sample must be a share from 0 to 1, not {sample!r}")
        self.answers: bool = bool(answers)
        self.sample: float = float(sample)
        self._now = now
        self._lock = threading.Lock()
        self._ids: OrderedDict[str, None] = OrderedDict()
        _open.add(self)

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Let the call pass, and write it down at its end."""
        if call.operation not in _LOGGED or not self._chosen(call):
            return await call_next(call)
        seen = _Seen(call)
        call.observe(seen, events=False)
        reply = await call_next(call)
        reply.on_end(lambda end: self._ended(call, seen, reply, end))
        return reply

    def knows(self, request_id: str) -> bool:
        """Tell whether a call of this id was written by this object, among its last 10,000."""
        return request_id in self._ids

    def label(self, request_id: str, score: float) -> None:
        """Write down how good the answer of a call was.

        Args:
            request_id: of the call.

            score: from 0 to 1.
        """
        self._append({"feedback": request_id, "score": score, "at": round(self._now(), 3)})

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        found: dict[str, Any] = {"path": self.path.name}
        if self.answers:
            found["answers"] = True
        if self.sample != 1:
            found["sample"] = self.sample
        return found

    def _chosen(self, call: Call) -> bool:
        # The id is random at its end, so that all layers of all processes choose the same calls.
        return self.sample >= 1 or int(call.id[-8:], 16) < self.sample * 0x100000000

    def _ended(self, call: Call, seen: _Seen, reply: Reply, end: End) -> None:
        if end.outcome != "complete":
            return
        try:
            row = _row(call, seen, _answer(reply, end) if self.answers else None, self._now())
            if row is not None:
                self._remember(row)
                self._append(row)
        except Exception as error:  # of the call nothing is lost but this line
            _log.warning("CallLog could not write to %s (%s); the call is not affected", self.path.name, error)

    def _remember(self, row: Mapping[str, Any]) -> None:
        with self._lock:
            for name in ("id", "request_id"):
                if name in row:
                    self._ids[row[name]] = None
            while len(self._ids) > _MOST_IDS:
                self._ids.popitem(last=False)

    def _append(self, row: Mapping[str, Any]) -> None:
        line = json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"
        data = line.encode("utf-8", "backslashreplace")
        with self._lock:
            file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(file, data)
            finally:
                os.close(file)


def feedback(
    result: Any, *, score: float | None = None, correct: bool | None = None, log: CallLog | None = None
) -> None:
    """Say how good an answer was: a label for the router that is fitted to your calls.

    It may come much later, from another process, and again: the last one holds.

    Args:
        result: what a wrapped client returned, its `ap.meta(...)`, or the request's id, `ap.meta(reply).request_id` or
            the `request_id` of your own that `ap.context` was given. For functions that return text, `ap.last()`.

        score: from 0 (useless) to 1 (perfect).

        correct: `True` is a score of 1, `False` of 0.

        log: where to write it; the `CallLog` of this process that wrote the call, or all there are when none did.

    Raises:
        ConfigError: neither or both of score and correct, a score out of range, nothing known of the result, or no
            `CallLog` in this process.
    """
    if (score is None) == (correct is None):
        raise ConfigError("feedback takes exactly one of score= and correct=")
    if correct is not None:
        if not isinstance(correct, bool):
            raise ConfigError(f"feedback correct must be True or False, not {type(correct).__name__}")
        value = float(correct)
    else:
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1 or math.isnan(score):
            raise ConfigError(f"feedback score must be a number from 0 to 1, not {score!r}")
        value = float(score)
    request_id = _id_of(result)
    logs = [log] if log is not None else [each for each in _open if each.knows(request_id)] or list(_open)
    if not logs:
        raise ConfigError("feedback: no CallLog is open in this process; make one with ap.CallLog(path)")
    for each in logs:
        each.label(request_id, value)


def _id_of(result: Any) -> str:
    if isinstance(result, str):
        if not result or len(result) > _LONGEST_ID or any(char.isspace() for char in result):
            raise ConfigError(
                "feedback takes a request's id, not an answer's text; for a function that returns text use "
                "ap.feedback(ap.last(), ...) right after the call"
            )
        return result
    return result.request_id if isinstance(result, Meta) else meta(result).request_id


class _Seen:
    """The request as the innermost layers saw it: the last attempt's, for a classifier asks before it."""

    __slots__ = ("_scrubbed", "request")

    def __init__(self, call: Call) -> None:
        self._scrubbed = _SCRUBBER in call.ledger.layers
        self.request: Mapping[str, Any] | None = call.safe_request if self._scrubbed else call.request

    def __call__(self, event: str, attempt: Attempt, data: Any) -> None:
        if event == "attempt_start" and self._scrubbed:
            self.request = data.safe_request


def _row(call: Call, seen: _Seen, answer: str | None, now: float) -> dict[str, Any] | None:
    ledger = call.ledger
    served = ledger.served
    if not ledger.attempts or served is None or seen.request is None:
        return None
    prompt = read_ask(seen.request).text
    if _SCRUBBER not in ledger.layers:
        prompt = _scrubbed(prompt, ledger)
    if not prompt:
        return None
    usage, cost = ledger.usage, _cost(ledger)
    row: dict[str, Any] = {
        "id": ledger.id,
        "request_id": call.context.request_id,
        "at": round(now, 3),
        "prompt": prompt,
        "model": served.name or served.model or str(served),
        "cost": cost,
        "input_tokens": None if usage is None else usage.input_tokens,
        "output_tokens": None if usage is None else usage.output_tokens,
        "seconds": round(call.runtime.now() - ledger.started, 3),
        "answer": answer,
    }
    for note in ledger.notes:
        if note.layer == "Router" and note.event == "route":
            row["policy"] = note.data["policy"]
        elif note.layer == "Cascade" and note.event == "leg":
            row.setdefault("legs", []).append(note.data)
            row.setdefault("checks", {}).update(dict.fromkeys(note.data.get("failed", ()), 1.0))
    return {name: value for name, value in row.items() if value is not None}


def _cost(ledger: Ledger) -> float | None:
    """Dollars of the attempt that answered: what its model costs, not what led to it."""
    pricer = ledger.environment.pricer
    attempt = next((each for each in reversed(ledger.attempts) if each.target is ledger.served), None)
    if pricer is None or attempt is None or attempt.usage is None:
        return None
    price = pricer(attempt.provider, attempt.model, attempt.usage)
    return None if price is None else float(price)


def _answer(reply: Reply, end: End) -> str:
    """The answer as the scrubber saw it before it put anything back; scrubbed here where there is none outside."""
    if reply.safe is not None:
        return reply.call.dialect.text(reply.safe() if callable(reply.safe) else reply.safe)
    return _scrubbed(end.text, reply.ledger)


def _scrubbed(text: str, ledger: Ledger) -> str:
    scrub = ledger.environment.scrub
    return scrub(text) if text and scrub is not None else ""
