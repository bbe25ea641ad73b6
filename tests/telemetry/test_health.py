"""Health: the judgement, and two web apps that tell it."""

from __future__ import annotations

import builtins
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from weakref import WeakSet
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

import agentprod as ap
from agentprod import vitals
from agentprod.telemetry.drops import drops
from agentprod.telemetry.health import asgi_app, assemble_health, prometheus_text, wsgi_app
from agentprod.testing import FakeClock
from tests.callers import Caller, Script


@pytest.mark.parametrize(
    ("parts", "status", "reasons"),
    [
        ({}, "ok", []),
        ({"breakers": {"a": "closed"}, "budgets": {"daily": 0.99}}, "ok", []),
        ({"breakers": {"a": "open", "b": "closed"}}, "degraded", ["circuit breaker a is open"]),
        ({"breakers": {"a": "half_open"}}, "degraded", ["circuit breaker a is half_open"]),
        ({"budgets": {"daily": 1.0}}, "degraded", ["budget daily is used up"]),
        ({"alerts": ["p95"]}, "degraded", ["alert p95 fires"]),
        ({"draining": True}, "failing", ["draining"]),
        (
            {"breakers": {"a": "open"}},
            "failing",
            ["every circuit breaker is open", "circuit breaker a is open"],
        ),
    ],
)
def test_the_judgement(parts: dict[str, Any], status: str, reasons: list[str]) -> None:
    """It fails when no call can be answered, and is degraded when something is wrong."""
    found = assemble_health(**parts)
    assert (found["status"], found["reasons"]) == (status, reasons)
    assert json.loads(json.dumps(found)) == found


def test_dropped_telemetry_is_shown() -> None:
    """Drops are part of the picture, not a reason to be unfit."""
    drops.count("test_health")
    found = assemble_health(last_success_age=1.5)
    assert (found["status"], found["last_success_age"]) == ("ok", 1.5)
    assert found["dropped"]["test_health"] >= 1
    assert assemble_health(dropped={})["dropped"] == {}


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without the parts of other tests."""
    monkeypatch.setattr(vitals, "_parts", WeakSet())


@pytest.mark.usefixtures("alone")
def test_health_asks_the_parts_of_the_process() -> None:
    """A circuit that opens shows at once, and so does an alert that fires; the age is that of the last answer."""
    clock, script = FakeClock(), Script("fine", ConnectionError("down"))
    breaker = ap.CircuitBreaker(min_calls=1)
    caller = Caller("sync")
    fn = caller.decorate(ap.Stack(breaker, clock=clock), script)
    alerts = ap.Alerts([ap.Rule("error_rate", ">", 0.3)], [lambda alert: None], timer=False)
    assert ap.health()["status"] == "ok"
    assert ap.health()["last_success_age"] is None
    caller.ask(fn)
    assert ap.health()["last_success_age"] < 60
    caller.ask(fn)
    alerts.evaluate()
    found = ap.health()
    assert list(found["breakers"].values()) == ["open"]
    assert (found["status"], found["alerts"]) == ("failing", ["error_rate"])
    breaker.disable()
    alerts.close()
    found = ap.health()
    assert (found["status"], list(found["breakers"].values()), found["alerts"]) == ("ok", ["closed"], [])
    breaker.force_open()
    assert list(ap.health()["breakers"].values()) == ["open"]


@pytest.mark.usefixtures("alone")
def test_health_shows_the_layers() -> None:
    """Circuits, limits, slots, retry budgets and dead letters, as JSON; names of people are not told."""
    clock, caller = FakeClock(), Caller("sync")
    layers = (
        ap.DeadLetter(lambda record: None),
        ap.Retry(attempts=2),
        ap.Bulkhead(3, queue=4),
        ap.RateLimit(requests=1000, by="user"),
        ap.CircuitBreaker(min_calls=4, shadow=True),
    )
    seen: list[dict[str, Any]] = []

    def ask() -> None:
        seen.append(ap.health())
        raise ConnectionResetError

    fn = ap.Stack(*layers, clock=clock).decorate(ask, name="f")
    with ap.context(user="ann"):
        for _ in range(2):
            assert caller.ask(fn).error is not None
    found = json.loads(json.dumps(ap.health()))
    key = f"function {__name__}.f"
    assert (found["status"], found["breakers"], found["in_flight"]) == ("ok", {}, seen[0]["in_flight"] - 1)
    assert seen[0]["layers"]["Bulkhead"] == [{"in_flight": 1, "max_in_flight": 3, "waiting": 0, "queue": 4}]
    assert found["layers"]["Retry"] == [{"budget": {key: 18}}]
    assert found["layers"]["DeadLetter"] == [{"written": 2, "lost": 0}]
    ((group, limit),) = found["layers"]["RateLimit"][0].items()
    assert (group, limit["limits"], limit["waiting"]) == ("one user 1", {"requests": 1000}, 0)
    assert found["layers"]["CircuitBreaker"][0][key]["reason"] == "failure rate 1.00 of 4 calls"
    assert "ann" not in json.dumps(found)


@pytest.mark.usefixtures("alone")
def test_a_budget_that_is_used_up() -> None:
    """What the calls met of budgets is part of the picture, refusals included."""
    ap.health()
    fn = Caller("sync").decorate(ap.Stack(ap.TokenBudget(calls=2, per="day")), Script("fine"))
    for _ in range(2):
        Caller("sync").ask(fn)
    assert isinstance(Caller("sync").ask(fn).error, ap.BudgetExceeded)
    found = ap.health()
    assert (found["status"], list(found["budgets"].values())) == ("degraded", [1.0])


@pytest.mark.usefixtures("alone")
def test_a_part_that_fails_or_is_in_shadow(dropped: Callable[[str], int]) -> None:
    """What cannot say how it is, is counted and left out; a breaker that refuses nothing has no say."""

    class Broken:
        def vitals(self) -> Mapping[str, Any]:
            raise RuntimeError

    class Budget:
        def vitals(self) -> Mapping[str, Any]:
            return {"budgets": {"daily": 1.2}}

    parts = [Broken(), Budget(), ap.CircuitBreaker(shadow=True)]
    vitals.report(parts[0])  # type: ignore[arg-type]
    vitals.report(parts[1])  # type: ignore[arg-type]
    assert ap.health()["reasons"] == ["budget daily is used up"]
    assert dropped("health") == 1


def test_circuits_are_listened_to() -> None:
    """Who listens hears of every change of a circuit, until it leaves."""
    heard: list[tuple[str, str]] = []
    stop = vitals.hear_circuits(lambda name, state: heard.append((name, state)))
    caller = Caller("sync")
    fn = caller.decorate(ap.Stack(ap.CircuitBreaker(min_calls=1), clock=FakeClock()), Script(ConnectionError("down")))
    caller.ask(fn)
    stop()
    assert [state for _, state in heard] == ["open"]


def health(status: str = "ok") -> Mapping[str, Any]:
    return {"status": status}


def metrics() -> tuple[bytes, str]:
    return b"agentprod_requests_total 1.0\n", "text/plain; version=0.0.4"


def broken() -> Any:
    raise RuntimeError("ann@example.com")


def test_both_apps_answer_alike() -> None:
    """ASGI and WSGI answer with the same status, headers and body."""
    testclient = pytest.importorskip("starlette.testclient", reason="needs starlette")
    cases = [
        ("/healthz", health, 200, {"status": "ok"}),
        ("/healthz", lambda: health("degraded"), 200, {"status": "degraded"}),
        ("/healthz", lambda: health("failing"), 503, {"status": "failing"}),
        ("/healthz", broken, 500, "RuntimeError"),
        ("/metrics", health, 200, metrics()[0].decode()),
        ("/", health, 404, "only /healthz and /metrics are here"),
    ]
    for path, source, status, expected in cases:
        with testclient.TestClient(asgi_app(source, metrics)) as client:
            found = client.get(path)
        assert found.status_code == status
        assert (found.json() if isinstance(expected, dict) else found.text) == expected
        assert found.headers["cache-control"] == "no-store"
        started: list[Any] = []
        body = wsgi_app(source, metrics)({"PATH_INFO": path}, lambda *given: started.append(given))  # noqa: B023
        assert int(started[0][0][:3]) == status
        assert b"".join(body) == found.content
        assert dict(started[0][1])["Content-Length"] == str(len(found.content))


def test_a_head_request_has_no_body() -> None:
    """HEAD gets the headers of GET."""
    testclient = pytest.importorskip("starlette.testclient", reason="needs starlette")
    client = testclient.TestClient(asgi_app(health, metrics))
    found = client.head("/metrics")
    assert (found.status_code, found.content) == (200, b"")
    assert found.headers["content-length"] == str(len(metrics()[0]))
    assert wsgi_app(health, metrics)({"PATH_INFO": "/metrics", "REQUEST_METHOD": "HEAD"}, lambda *_: None) == [b""]


def test_it_can_be_mounted() -> None:
    """Below another application's path it still finds its own."""
    applications = pytest.importorskip("starlette.applications", reason="needs starlette")
    from starlette.routing import Mount
    from starlette.testclient import TestClient

    outer = applications.Starlette(routes=[Mount("/internal", app=asgi_app(health, metrics))])
    assert TestClient(outer).get("/internal/healthz").json() == {"status": "ok"}


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def test_a_real_server_serves_it() -> None:
    """Behind the standard library's server the app answers over the network."""
    server = make_server("127.0.0.1", 0, wsgi_app(lambda: health("failing"), metrics), handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        with urlopen(f"{address}/metrics", timeout=10) as found:
            assert found.read() == metrics()[0]
        with pytest.raises(HTTPError) as caught:
            urlopen(Request(f"{address}/healthz", method="GET"), timeout=10)
        assert caught.value.code == 503
        caught.value.close()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_exporter_is_asked_for_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """`/metrics` is what the Prometheus exporter holds; without it the answer says what to install."""
    pytest.importorskip("prometheus_client", reason="needs agentprod[prometheus]")
    body, kind = prometheus_text()
    assert b"python_info" in body
    assert kind.startswith("text/plain")
    real = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name == "prometheus_client":
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    started: list[Any] = []
    (text,) = wsgi_app(health)({"PATH_INFO": "/metrics"}, lambda *given: started.append(given))
    assert started[0][0] == "501 Not Implemented"
    assert b'pip install "agentprod[prometheus]"' in text
