"""Where alerts go: webhooks against real servers, and the thread that calls them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from agentprod.errors import ConfigError
from agentprod.telemetry.alerts import Alerts
from agentprod.telemetry.handlers import Alert, Dispatcher, Webhook
from agentprod.telemetry.rules import Rule
from tests.telemetry.records import failed_call

ALERT = Alert(
    rule="error_rate",
    state="firing",
    severity="critical",
    metric="error_rate",
    op=">",
    threshold=0.1,
    value=0.152,
    count=312,
    window=300.0,
    at=1_700_000_000.0,
    where={"model": "通义千问"},
)


class Receiver(BaseHTTPRequestHandler):
    """Answers with the next of `statuses`; "hang" never answers."""

    statuses: ClassVar[list[int | str]] = []
    bodies: ClassVar[list[Any]] = []
    headers_seen: ClassVar[list[dict[str, str]]] = []
    release: ClassVar[threading.Event] = threading.Event()
    arrived: ClassVar[threading.Event] = threading.Event()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).bodies.append(json.loads(body))
        type(self).headers_seen.append(dict(self.headers))
        status = type(self).statuses.pop(0) if type(self).statuses else 200
        type(self).arrived.set()
        if status == "hang":
            type(self).release.wait(60)
            return
        self.send_response(int(status))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    Receiver.statuses, Receiver.bodies, Receiver.headers_seen = [], [], []
    Receiver.release, Receiver.arrived = threading.Event(), threading.Event()
    made = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    made.daemon_threads = True
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    Receiver.release.set()
    made.shutdown()
    made.server_close()
    thread.join()


def webhook(server: HTTPServer, **options: Any) -> Webhook:
    return Webhook(f"http://127.0.0.1:{server.server_port}/services/T0/secret", **options)


def test_a_webhook_posts_what_slack_takes(server: HTTPServer) -> None:
    """The message has a line of text, a colour and the figures as fields."""
    webhook(server, headers={"Authorization": "Bearer x"})(ALERT)
    (body,) = Receiver.bodies
    assert body["text"] == (
        "[firing] error_rate (critical): error_rate is 15.2 %, limit > 10 %, over 5m (312 observations, model=通义千问)"
    )
    (attachment,) = body["attachments"]
    assert attachment["color"] == "danger"
    assert {field["title"]: field["value"] for field in attachment["fields"]} == {
        "Metric": "error_rate",
        "Value": "15.2 %",
        "Limit": "> 10 %",
        "Severity": "critical",
        "model": "通义千问",
    }
    assert attachment["ts"] == 1_700_000_000
    assert Receiver.headers_seen[0]["Authorization"] == "Bearer x"
    assert Receiver.headers_seen[0]["Content-Type"] == "application/json"


def test_a_recovery_is_green(server: HTTPServer) -> None:
    """A recovered rule, with nothing left to measure, says so."""
    fields = {name: getattr(ALERT, name) for name in ALERT.__slots__}
    webhook(server)(Alert(**{**fields, "state": "resolved", "value": None}))
    assert Receiver.bodies[0]["attachments"][0]["color"] == "good"
    assert Receiver.bodies[0]["attachments"][0]["fields"][1]["value"] == "no data"


def test_server_errors_are_tried_again(server: HTTPServer) -> None:
    """A 503 and a 429 are tried again after one and two seconds."""
    waited: list[float] = []
    Receiver.statuses = [503, 429]
    webhook(server, sleep=waited.append)(ALERT)
    assert len(Receiver.bodies) == 3
    assert waited == [1.0, 2.0]


def test_a_refusal_is_final(server: HTTPServer) -> None:
    """A 404 will be a 404 next time too."""
    Receiver.statuses = [404]
    with pytest.raises(OSError, match="404"):
        webhook(server)(ALERT)
    assert len(Receiver.bodies) == 1


def test_after_the_last_retry_it_gives_up(server: HTTPServer) -> None:
    """A server that stays broken raises to the thread, which counts it."""
    Receiver.statuses = [500, 500]
    with pytest.raises(OSError, match="500"):
        webhook(server, retries=1, backoff=0)(ALERT)
    assert len(Receiver.bodies) == 2


def test_a_hanging_receiver_does_not_delay_the_caller(server: HTTPServer, dropped: Callable[[str], int]) -> None:
    """A thousand calls are recorded and judged while the receiver still hangs; its alert is counted as lost."""
    Receiver.statuses = ["hang"]
    dispatcher = Dispatcher([webhook(server, timeout=20, retries=0)])
    alerts = Alerts([Rule("error_rate", ">", 0.5)], timer=False)
    alerts._dispatcher = dispatcher
    alerts.record(failed_call())
    alerts.evaluate()
    assert Receiver.arrived.wait(20)
    for _ in range(1000):
        alerts.record(failed_call())
    alerts.evaluate()
    assert not dispatcher.flush(0)
    Receiver.release.set()
    alerts.close(timeout=20)
    assert dropped("alert_handler") == 1


def test_a_receiver_that_says_nothing_is_given_up(server: HTTPServer) -> None:
    """After its timeout a webhook does not wait on."""
    Receiver.statuses = ["hang"]
    with pytest.raises(TimeoutError):
        webhook(server, timeout=0.2, retries=0)(ALERT)


def test_a_receiver_that_is_down_is_counted(server: HTTPServer, dropped: Callable[[str], int]) -> None:
    """A refused connection is tried as often as asked, then dropped and counted."""
    waited: list[float] = []
    dead = Webhook("http://127.0.0.1:9/x", retries=2, sleep=waited.append)
    dispatcher = Dispatcher([dead])
    dispatcher.send(ALERT)
    assert dispatcher.flush(10)
    assert dropped("alert_handler") == 1
    assert len(waited) == 2
    dispatcher.close()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "https://", "not a url"])
def test_only_web_addresses_are_taken(url: str) -> None:
    """Schemes that urllib would also open are refused."""
    with pytest.raises(ConfigError, match="starts with https"):
        Webhook(url)


def test_bad_options_are_named() -> None:
    """Times that make no sense raise when the webhook is made."""
    with pytest.raises(ConfigError, match="timeout"):
        Webhook("https://example.com", timeout=0)
    with pytest.raises(ConfigError, match="backoff"):
        Webhook("https://example.com", backoff=-1)
    with pytest.raises(ConfigError, match="retries"):
        Webhook("https://example.com", retries=0.5)  # type: ignore[arg-type]


def test_the_address_is_a_secret() -> None:
    """Only the host is shown."""
    assert repr(Webhook("https://hooks.example.com/services/T0/secret")) == "Webhook(<hooks.example.com>)"


def test_alerts_arrive_in_order() -> None:
    """One thread calls the handlers, in the order the alerts came."""
    seen: list[int] = []
    dispatcher = Dispatcher([lambda alert: seen.append(alert.count)])
    fields = {name: getattr(ALERT, name) for name in ALERT.__slots__}
    for count in range(50):
        dispatcher.send(Alert(**{**fields, "count": count}))
    dispatcher.close()
    assert seen == list(range(50))


def test_after_closing_alerts_are_counted_as_dropped(dropped: Callable[[str], int]) -> None:
    """A closed dispatcher takes nothing and says so; one without handlers takes nothing and need not."""
    dispatcher = Dispatcher([lambda alert: None])
    dispatcher.send(ALERT)
    dispatcher.close()
    dispatcher.send(ALERT)
    assert dropped("alert_queue") == 1
    Dispatcher([]).send(ALERT)
    assert dropped("alert_queue") == 1


SCRIPT = """
import sys, time
from agentprod.telemetry.alerts import Alerts
from agentprod.telemetry.rules import Rule
from tests.telemetry.records import call_record
def handler(alert):
    time.sleep({seconds})
    print(alert.rule, flush=True)
alerts = Alerts([Rule("calls", ">", 0)], [handler], timer=False)
alerts.record(call_record())
alerts.evaluate()
"""


def run_script(seconds: float) -> tuple[str, float]:
    environment = {**os.environ, "PYTHONPATH": ":".join(path for path in sys.path if path)}
    before = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(seconds=seconds)],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )
    return done.stdout.strip(), time.monotonic() - before


def test_the_last_alert_of_a_process_is_still_sent() -> None:
    """A script that fires an alert and ends waits a moment for its handler."""
    assert run_script(0.2)[0] == "calls"


def test_a_hanging_handler_does_not_hold_up_the_exit() -> None:
    """The wait at the end of the process is two seconds, not as long as the handler takes."""
    output, took = run_script(50)
    assert output == ""
    assert took < 20
