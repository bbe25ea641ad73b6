"""Is this process fit to answer: breakers, budgets, the last success; as a dict and as two small web apps."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Literal

from agentprod import draining, vitals
from agentprod.errors import ConfigError
from agentprod.telemetry.calls import CallRecord
from agentprod.telemetry.drops import drops
from agentprod.telemetry.sinks import subscribe

__all__ = ["asgi_app", "assemble_health", "health", "prometheus_text", "wsgi_app"]

Message = MutableMapping[str, Any]


def health() -> dict[str, Any]:
    """Return whether this process is fit to answer.

    It asks every layer and every `Alerts` of the process that has something to say, without any I/O. The age of the
    last success, and how far budgets were used by the calls of the last five minutes, are known from the first question
    on, so ask once at the start.

    Returns:
        `{"status", "reasons", "breakers", "budgets", "last_success_age", "draining", "alerts", "dropped", "in_flight",
        "layers"}`, JSON-able. The status is `"failing"` when no call can be answered: every breaker is open, or the
        process drains; `"degraded"` when a breaker is not closed, a budget is used up or an alert fires; else `"ok"`.
        `in_flight` counts the calls under way, open streams included; `layers` has the `snapshot()` of each
        `CircuitBreaker`, `RateLimit`, `Bulkhead`, `Retry` and `DeadLetter`, by class, with groups that are named after
        people numbered.
    """
    layers: dict[str, list[Any]] = {}
    breakers: dict[str, str] = {}
    budgets = _seen.budgets()
    alerts: set[str] = set()
    for part in vitals.parts():
        try:
            found = part.vitals()
        except Exception:
            drops.count("health")
            continue
        for name, state in found.get("breakers", {}).items():
            if breakers.get(name) != "open":
                breakers[name] = _STATES.get(state) or state
        for name, used in found.get("budgets", {}).items():
            budgets[name] = max(used, budgets.get(name, 0.0))
        alerts.update(found.get("alerts", ()))
        for name, snapshot in found.get("layers", {}).items():
            layers.setdefault(name, []).append(snapshot)
    judged = assemble_health(
        breakers=breakers,
        budgets=budgets,
        last_success_age=_seen.last_success_age(),
        draining=draining.begun,
        alerts=alerts,
    )
    return {**judged, "in_flight": draining.under_way(), "layers": layers}


_STATES = {"forced_open": "open", "disabled": "closed"}
"""What orders given by hand mean for whoever wants an answer."""


_BUDGET_KEPT = 300.0
_MOST_BUDGETS = 100


class _Seen:
    """What calls told of the process, from the first question on."""

    def __init__(self) -> None:
        self._stop: Callable[[], None] | None = None
        self.forget()

    def last_success_age(self) -> float | None:
        """Return the seconds since a call was last answered; `None` before the first."""
        if self._stop is None:
            self._stop = subscribe(self._heard)
        return None if self._answered is None else time.monotonic() - self._answered

    def budgets(self) -> dict[str, float]:
        """Return the used share of budgets that calls met lately, by name."""
        now = time.monotonic()
        return {name: used for name, (used, at) in self._budgets.copy().items() if now - at <= _BUDGET_KEPT}

    def forget(self) -> None:
        """Stop listening."""
        if self._stop is not None:
            self._stop()
        self._stop = None
        self._answered: float | None = None
        self._budgets: dict[str, tuple[float, float]] = {}

    def _heard(self, record: CallRecord) -> None:
        now = time.monotonic()
        if not record.failed:
            self._answered = now
        if record.budget is not None and record.budget_used is not None:
            if len(self._budgets) < _MOST_BUDGETS or record.budget in self._budgets:
                self._budgets[record.budget] = record.budget_used, now


_seen = _Seen()


def assemble_health(
    *,
    breakers: Mapping[str, str] | None = None,
    budgets: Mapping[str, float] | None = None,
    last_success_age: float | None = None,
    draining: bool = False,
    alerts: Iterable[str] = (),
    dropped: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Judge the parts and put them together.

    Args:
        breakers: state by name: `"closed"`, `"open"` or `"half_open"`.

        budgets: used share by name; 1 is used up.

        last_success_age: seconds since a call was last answered; `None` before the first.

        draining: whether the process refuses new calls.

        alerts: names of the rules that fire.

        dropped: dropped telemetry by reason; that of this process by default.

    Returns:
        `{"status", "reasons", "breakers", "budgets", "last_success_age", "draining", "alerts", "dropped"}`. The status
        is `"failing"` when no call can be answered: every breaker is open, or the process drains; `"degraded"` when a
        breaker is not closed, a budget is used up or an alert fires; else `"ok"`.
    """
    breakers, budgets, firing = dict(breakers or {}), dict(budgets or {}), sorted(alerts)
    failing = ["draining"] if draining else []
    if breakers and all(state == "open" for state in breakers.values()):
        failing.append("every circuit breaker is open")
    degraded = [f"circuit breaker {name} is {state}" for name, state in breakers.items() if state != "closed"]
    degraded += [f"budget {name} is used up" for name, used in budgets.items() if used >= 1]
    degraded += [f"alert {name} fires" for name in firing]
    status: Literal["ok", "degraded", "failing"] = "failing" if failing else "degraded" if degraded else "ok"
    return {
        "status": status,
        "reasons": failing + degraded,
        "breakers": breakers,
        "budgets": budgets,
        "last_success_age": last_success_age,
        "draining": draining,
        "alerts": firing,
        "dropped": dict(drops.snapshot() if dropped is None else dropped),
    }


def prometheus_text() -> tuple[bytes, str]:
    """Return what Prometheus scrapes, and its content type.

    It is what `opentelemetry-exporter-prometheus` keeps: the application sets a `MeterProvider` with its
    `PrometheusMetricReader`, as for any OpenTelemetry metric.

    Raises:
        ConfigError: the exporter is not installed.
    """
    try:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
    except ImportError as error:
        raise ConfigError('/metrics needs the Prometheus exporter: pip install "agentprod[prometheus]"') from error
    return generate_latest(), CONTENT_TYPE_LATEST


def asgi_app(
    health: Callable[[], Mapping[str, Any]] = health, metrics: Callable[[], tuple[bytes, str]] = prometheus_text
) -> Callable[..., Awaitable[None]]:
    """Return an ASGI app with `/healthz` and `/metrics`.

    `/healthz` answers 200 while the status is `"ok"` or `"degraded"`, 503 when it is `"failing"`.

    Args:
        health: returns what `/healthz` tells; `ap.health` by default.

        metrics: returns the body and content type of `/metrics`.
    """

    async def app(
        scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        status, kind, body = _answer(scope["path"].removeprefix(scope.get("root_path", "")), health, metrics)
        headers = [(name.lower().encode(), value.encode()) for name, value in _headers(kind, body)]
        await send({"type": "http.response.start", "status": int(status[:3]), "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return app


def wsgi_app(
    health: Callable[[], Mapping[str, Any]] = health, metrics: Callable[[], tuple[bytes, str]] = prometheus_text
) -> Callable[..., list[bytes]]:
    """Return a WSGI app with `/healthz` and `/metrics`; see `asgi_app`."""

    def app(environ: Mapping[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        status, kind, body = _answer(environ.get("PATH_INFO", ""), health, metrics)
        start_response(status, _headers(kind, body))
        return [b"" if environ.get("REQUEST_METHOD") == "HEAD" else body]

    return app


def _answer(
    path: str, health: Callable[[], Mapping[str, Any]], metrics: Callable[[], tuple[bytes, str]]
) -> tuple[str, str, bytes]:
    try:
        if path == "/healthz":
            found = health()
            status = "503 Service Unavailable" if found["status"] == "failing" else "200 OK"
            return status, "application/json", json.dumps(found).encode()
        if path == "/metrics":
            body, kind = metrics()
            return "200 OK", kind, body
    except ConfigError as error:
        return "501 Not Implemented", "text/plain; charset=utf-8", str(error).encode()
    except Exception as error:
        # Only the kind of failure: who asks may be anyone.
        return "500 Internal Server Error", "text/plain; charset=utf-8", type(error).__name__.encode()
    return "404 Not Found", "text/plain; charset=utf-8", b"only /healthz and /metrics are here"


def _headers(kind: str, body: bytes) -> list[tuple[str, str]]:
    return [("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
