"""Keep what was asked in calls that failed for good."""

from __future__ import annotations

import inspect
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from agentprod import vitals
from agentprod.call import Call, CallNext
from agentprod.errors import ConfigError
from agentprod.faults import Fault, classify
from agentprod.layer import Layer, Place
from agentprod.reliability.dead_letter_file import DeadLetterFile, read_lines
from agentprod.reply import End, Reply
from agentprod.runtime.offload import in_thread

__all__ = ["DeadLetter"]

Sink: TypeAlias = "str | os.PathLike[str] | Callable[[dict[str, Any]], object]"

_log = logging.getLogger("agentprod")

_SKIPPED = (Fault.BAD_REQUEST,)


class DeadLetter(Layer):
    """Hands every call that failed for good to a sink, once, so that nothing asked is lost without a trace.

    Stands outside `Retry` and `Fallback`: what they save is no dead letter. The error goes on to the caller; a sink
    that fails is logged, and the call is not affected. Cancelled calls are no dead letters, and by default neither are
    bad requests, which would fail again.

    A record has `call_id`, `time` (UTC, ISO 8601), `operation`, `provider`, `model`, `streaming`, `fault` (its kind),
    `error` (class and message), `attempts` (number, target, outcome, fault, status, seconds), `context` (who asked),
    and `request`: what was asked, as wire JSON or arguments by name, with personal data and secrets in its texts
    replaced: by the `ScrubPII` outside, or else by the built-in scrub. Texts that cannot be scrubbed are left out.
    Images and other files in a request stay as they are; so do the names in `context`.

    Streams: one that breaks after its first content is a dead letter, too, with `partial_characters`.

    Args:
        sink: a file, to which one line of JSON is appended per call (`DeadLetter.read` reads it); or a function of the
            record, which in asynchronous calls may be `async def` and otherwise runs on a thread.

        skip: kinds of fault that are not kept.

    Raises:
        ConfigError: the file's folder does not exist, the sink is neither, or `skip` names no faults.
    """

    def __init__(self, sink: Sink, *, skip: Collection[Fault] = _SKIPPED) -> None:
        if not isinstance(skip, Collection) or not all(isinstance(fault, Fault) for fault in skip):
            raise ConfigError("DeadLetter skip must be a list of ap.Fault, such as [ap.Fault.BAD_REQUEST]")
        write: Any = DeadLetterFile(sink).append if isinstance(sink, str | os.PathLike) else sink
        if not callable(write):
            raise ConfigError(
                f"DeadLetter takes the path of a file or a function of the record, not {type(sink).__name__}"
            )
        self.skip: frozenset[Fault] = frozenset(skip)
        self._shown = str(sink) if isinstance(sink, str | os.PathLike) else getattr(sink, "__name__", "a function")
        self._write: Callable[[dict[str, Any]], Any] = write
        self._is_async = inspect.iscoroutinefunction(write)
        self._lock = threading.Lock()
        self._counts = {"written": 0, "lost": 0}
        vitals.report(self)

    @staticmethod
    def read(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
        """Yield the records of a file of dead letters, oldest first; a line that was never finished is passed over.

        Args:
            path: the file.

        Raises:
            OSError: it cannot be read.
        """
        return read_lines(path)

    def attach(self, place: Place) -> None:
        """Refuse an asynchronous sink where there is no loop to run it."""
        if place.kind == "sync" and self._is_async:
            raise ConfigError(
                "DeadLetter has an asynchronous sink, but these calls are synchronous: make it a plain def"
            )

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Pass the call on, and keep it if it fails."""
        try:
            reply = await call_next(call)
        except Exception as error:
            await self._keep(call, error, None)
            raise
        if reply.stream is not None:

            async def settle(end: End) -> None:
                if end.outcome == "failed" and isinstance(end.error, Exception):
                    await self._keep(call, end.error, len(end.text))

            reply.on_settle(settle)
        return reply

    async def _keep(self, call: Call, error: Exception, partial: int | None) -> None:
        error = getattr(error, "carried", error)
        fault = classify(error, call.classify, wall=call.runtime.wall).fault
        if fault in self.skip:
            return
        try:
            record = _record(call, error, fault)
            if partial is not None:
                record["partial_characters"] = partial
            write: Callable[[dict[str, Any]], Any] = self._write
            await call.runtime.run(lambda: write(record), lambda: self._write_beside(record))
        except Exception:
            self._count("lost")
            _log.exception("a dead letter could not be written; the call itself is not affected")
        else:
            self._count("written")
            call.ledger.note("DeadLetter", "written", fault=fault.value)

    def _write_beside(self, record: dict[str, Any]) -> Awaitable[Any]:
        if self._is_async:
            found: Awaitable[Any] = self._write(record)
            return found
        return in_thread(self._write, record)

    def _count(self, name: str) -> None:
        with self._lock:
            self._counts[name] += 1

    def vitals(self) -> dict[str, Any]:
        """Return how many calls were kept and lost, for health checks."""
        return {"layers": {"DeadLetter": self.snapshot()}}

    def snapshot(self) -> dict[str, int]:
        """Return how many calls were `written`, and how many were `lost` because the sink failed."""
        with self._lock:
            return dict(self._counts)

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        skip = {} if self.skip == frozenset(_SKIPPED) else {"skip": sorted(fault.value for fault in self.skip)}
        return {"sink": self._shown, **skip}


def _record(call: Call, error: Exception, fault: Fault) -> dict[str, Any]:
    scrub, context = call.ledger.environment.scrub or _nothing, call.context
    who = {name: getattr(context, name) for name in ("user", "team", "tenant", "conversation", "run", "request_id")}
    named = {name: value for name, value in who.items() if value is not None}
    return {
        "call_id": call.id,
        "time": datetime.fromtimestamp(call.runtime.wall(), UTC).isoformat(timespec="milliseconds"),
        "operation": call.operation,
        "provider": call.target.provider,
        "model": call.target.model,
        "streaming": call.streaming,
        "fault": fault.value,
        "error": {"type": type(error).__name__, "message": _scrubbed(scrub, str(error))},
        "attempts": [
            {
                "number": attempt.number,
                "target": str(attempt.target),
                "outcome": attempt.outcome,
                "fault": None if attempt.fault is None else attempt.fault.value,
                "status": attempt.status,
                "seconds": attempt.duration,
            }
            for attempt in call.ledger.attempts
        ],
        "context": {**named, **({"tags": dict(context.tags)} if context.tags else {})},
        "request": _safe_request(call, scrub),
    }


def _safe_request(call: Call, scrub: Callable[[str], str]) -> Mapping[str, Any] | None:
    if call.safe_request is not None:
        return dict(call.safe_request)
    try:
        return dict(call.map_text(lambda text, part: _scrubbed(scrub, text)).request)
    except Exception:  # arguments that fit no signature, a request that is no mapping
        _log.debug("a dead letter's request could not be read", exc_info=True)
        return None


def _scrubbed(scrub: Callable[[str], str], text: str) -> str:
    try:
        return scrub(text)
    except Exception:
        return "[not scrubbed, so left out]"


def _nothing(text: str) -> str:
    return "[left out]"
