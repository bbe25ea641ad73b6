"""One log line for each finished call, on the standard `logging`."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from agentprod.errors import ConfigError
from agentprod.telemetry.calls import CallRecord
from agentprod.telemetry.drops import drops
from agentprod.telemetry.identities import leaving
from agentprod.telemetry.sinks import subscribe

__all__ = ["JsonFormatter", "TextFormatter", "call_fields", "log_call", "setup", "write_calls"]

_EVENT = "llm.call"

logger = logging.getLogger("agentprod")
logger.addHandler(logging.NullHandler())

_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", None, None).__dict__) | {"message", "asctime", "taskName"}
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: `ts`, `level`, `logger`, `event`, then whatever `extra=` held."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; times are UTC with milliseconds."""
        line: dict[str, Any] = {
            "ts": _timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line.update(record.__dict__)
        for name in _STANDARD:
            line.pop(name, None)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        text = _encode(line)
        # Half of a surrogate pair would make the handler fail, and print a traceback.
        return text if text.isascii() else text.encode("utf-8", "replace").decode()


class TextFormatter(logging.Formatter):
    """Formats a record as `time LEVEL event name=value …`; values that would break the line are quoted."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; what has no value is left out."""
        extra = (
            f"{name}={_quoted(value)}"
            for name, value in record.__dict__.items()
            if name not in _STANDARD and value is not None
        )
        line = " ".join((_timestamp(record.created), record.levelname, _quoted(record.getMessage(), " "), *extra))
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return line.encode("utf-8", "replace").decode()


def setup(level: int | str = "INFO", *, json: bool = True, stream: TextIO | None = None) -> logging.Handler:
    """Write the log of agentprod, with one line for each call, to a stream; again, it replaces what it did before.

    Args:
        level: `"DEBUG"`, `"INFO"`, `"WARNING"` … or its number. Calls are logged at INFO, failed ones at WARNING.

        json: one JSON object per line, or text for people.

        stream: where to write; standard error by default.

    Returns:
        The handler, for those who want to change or remove it.

    Raises:
        ConfigError: there is no such level.
    """
    known = logging.getLevelNamesMapping()
    if isinstance(level, str) and level.upper() not in known:
        raise ConfigError(f"no log level {level!r}: use one of {', '.join(known)}")
    if not isinstance(level, str | int):
        raise ConfigError(f"a log level is a name or a whole number, not {type(level).__name__}")
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if json else TextFormatter())
    for old in [each for each in logger.handlers if isinstance(each, _Handler)]:
        logger.removeHandler(old)
    logger.addHandler(handler)
    logger.setLevel(level.upper() if isinstance(level, str) else level)
    # The root logger may have handlers too; a line must not appear twice.
    logger.propagate = False
    write_calls()
    return handler


_stop: Callable[[], None] | None = None


def write_calls(on: bool = True) -> None:
    """Log every call of this process from now on to the logger `agentprod`, for those who set up `logging` themselves.

    Args:
        on: `False` ends it.
    """
    global _stop  # noqa: PLW0603 - one log in a process
    if on and _stop is None:
        _stop = subscribe(log_call)
    elif not on and _stop is not None:
        _stop()
        _stop = None


def log_call(record: CallRecord) -> None:
    """Write the line of a finished call; never raises."""
    level = logging.WARNING if record.failed else logging.INFO
    try:
        if logger.isEnabledFor(level):
            # What `logger.log` does, without looking for the line of code it was called from, which is this one.
            line = logger.makeRecord(logger.name, level, "", 0, _EVENT, (), None)
            line.__dict__.update(call_fields(record))
            logger.handle(line)
    except Exception:
        drops.count("log")


def call_fields(record: CallRecord) -> dict[str, Any]:
    """Return the fields of a call's log line: names and figures, no message text."""
    usage, cost = record.usage, record.cost_usd
    return {
        "request_id": record.request_id,
        "trace_id": record.trace_id,
        "span_id": record.span_id,
        "operation": record.operation,
        "provider": record.provider,
        "model": record.model,
        "status": record.status,
        "error_type": record.error_type,
        "error_message": record.error_message,
        "attempts": len(record.attempts),
        "input_tokens": None if usage is None else usage.input_tokens,
        "output_tokens": None if usage is None else usage.output_tokens,
        "cache_read_tokens": None if usage is None else usage.cache_read_tokens,
        "cache_write_tokens": None if usage is None else usage.cache_write_tokens,
        "ttft_ms": _milliseconds(record.ttft),
        "duration_ms": _milliseconds(record.duration),
        "provider_ms": _milliseconds(record.provider_time),
        "cost_usd": None if cost is None else float(cost),
        "cost_source": record.cost_source,
        "cache": record.cache,
        "similarity": record.similarity,
        "route": record.route,
        "breaker": record.breaker,
        "budget_left": None if record.budget_left is None else float(record.budget_left),
        "pii_count": record.pii_count if record.pii else 0,
        "stream_outcome": record.stream_outcome,
        **{
            name: leaving(value)
            for name in ("user", "team", "tenant", "conversation", "run")
            if (value := getattr(record, name)) is not None
        },
        **({"tags": {leaving(tag): leaving(value) for tag, value in record.tags.items()}} if record.tags else {}),
    }


class _Handler(logging.StreamHandler[TextIO]):
    """The handler `setup` made, to be told from those of the application."""


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


_second = (-1, "")


def _timestamp(created: float) -> str:
    # Writing a date costs as much as a third of the line; it changes once a second. The pair is replaced whole.
    global _second  # noqa: PLW0603
    whole = int(created)
    second, text = _second
    if second != whole:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
        _second = (whole, text)
    return f"{text}.{int((created - whole) * 1000):03d}Z"


def _quoted(value: Any, allowed: str = "") -> str:
    text = str(value)
    plain = all(char.isprintable() and (char not in ' "=' or char in allowed) for char in text)
    return text if plain and text else json.dumps(text, ensure_ascii=False)
