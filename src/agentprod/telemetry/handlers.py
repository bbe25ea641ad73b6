"""Where alerts go: a queue, one thread, and handlers that may fail or hang without anybody waiting for them."""

from __future__ import annotations

import atexit
import json
import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from agentprod.errors import ConfigError
from agentprod.identity import seconds
from agentprod.telemetry.drops import drops
from agentprod.telemetry.figures import format_span
from agentprod.telemetry.forks import renew_after_fork
from agentprod.telemetry.rules import SIGNALS

__all__ = ["Alert", "Dispatcher", "Handler", "Webhook", "log_alert"]

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.ERROR}
_COLOURS = {"info": "#439FE0", "warning": "warning", "critical": "danger"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A rule that fires, or that has recovered. It holds figures only."""

    rule: str
    state: Literal["firing", "resolved"]
    severity: Literal["info", "warning", "critical"]
    metric: str
    op: str
    threshold: float
    value: float | None
    """What was measured; `None` when a rule recovered because there was nothing left to measure."""
    count: int
    """How many observations the value rests on."""
    window: float
    """How far back was looked, in seconds."""
    at: float
    """POSIX time."""
    where: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """One line for people."""
        write = SIGNALS[self.metric].format
        measured = "no data" if self.value is None else write(self.value)
        place = "".join(f", {name}={value}" for name, value in self.where.items())
        return (
            f"[{self.state}] {self.rule} ({self.severity}): {self.metric} is {measured}, limit {self.op} "
            f"{write(self.threshold)}, over {format_span(self.window)} ({self.count} observations{place})"
        )


Handler = Callable[[Alert], object]


def log_alert(alert: Alert) -> None:
    """Write an alert to the log `agentprod.alerts`: critical as ERROR, warning as WARNING, recoveries as INFO."""
    level = _LEVELS[alert.severity] if alert.state == "firing" else logging.INFO
    extra = {
        "rule": alert.rule,
        "state": alert.state,
        "severity": alert.severity,
        "metric": alert.metric,
        "value": alert.value,
        "threshold": alert.threshold,
        "count": alert.count,
        "window_s": alert.window,
    }
    logging.getLogger("agentprod.alerts").log(level, "%s", alert.text, extra=extra)


class Webhook:
    """Posts alerts as JSON in the shape Slack, Mattermost and Discord (`/slack`) take.

    Args:
        url: where to post; it is a secret, and shown nowhere.

        headers: further headers, such as an authorisation.

        timeout: seconds each try may wait for the other side.

        retries: how often to try again after a failed connection, a 429 or a 5xx.

        backoff: seconds before the first of those; doubled for each further one.

        sleep: waits that long; for tests.

    Raises:
        ConfigError: the URL is not http or https, or an option is out of range.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 5.0,
        retries: int = 2,
        backoff: float = 1.0,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("Webhook(url=) starts with https:// or http:// and names a host")
        timeout, backoff = seconds(timeout, "Webhook(timeout=)"), seconds(backoff, "Webhook(backoff=)", zero=True)
        if not isinstance(retries, int) or retries < 0:
            raise ConfigError(f"Webhook(retries=) is a whole number, 0 or more, not {retries!r}")
        self._url, self._host = url, parts.hostname
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        self._timeout, self._retries, self._backoff = timeout, retries, backoff
        self._sleep = sleep or threading.Event().wait

    def __call__(self, alert: Alert) -> None:
        """Post one alert.

        Raises:
            OSError: the last try failed.
        """
        tries, wait = self._retries, self._backoff
        while True:
            try:
                self._post(_slack_message(alert))
                return
            except OSError as error:
                status = getattr(error, "code", None)
                if not tries or (status is not None and status != 429 and status < 500):
                    raise
            self._sleep(wait)
            tries, wait = tries - 1, wait * 2

    def _post(self, message: Mapping[str, Any]) -> None:
        from urllib.error import HTTPError
        from urllib.request import Request, urlopen

        body = json.dumps(message).encode()
        request = Request(self._url, data=body, headers=self._headers, method="POST")  # noqa: S310 - checked above
        try:
            urlopen(request, timeout=self._timeout).close()  # noqa: S310
        except HTTPError as error:
            error.close()
            raise

    def __repr__(self) -> str:
        return f"Webhook(<{self._host}>)"


def _slack_message(alert: Alert) -> dict[str, Any]:
    write = SIGNALS[alert.metric].format
    fields = {
        "Metric": alert.metric,
        "Value": "no data" if alert.value is None else write(alert.value),
        "Limit": f"{alert.op} {write(alert.threshold)}",
        "Severity": alert.severity,
        **alert.where,
    }
    attachment = {
        "color": _COLOURS[alert.severity] if alert.state == "firing" else "good",
        "fields": [{"title": name, "value": value, "short": True} for name, value in fields.items()],
        "ts": int(alert.at),
    }
    return {"text": alert.text, "attachments": [attachment]}


class Dispatcher:
    """Runs handlers on one daemon thread, which starts with the first alert.

    What a handler raises is dropped and counted, like alerts beyond `capacity`. At the end of the process those that
    wait have two seconds.

    Args:
        handlers: functions of one `Alert`.

        capacity: how many alerts may wait.

    Raises:
        ConfigError: the capacity is below 1.
    """

    def __init__(self, handlers: Sequence[Handler], *, capacity: int = 100) -> None:
        if not isinstance(capacity, int) or capacity < 1:
            raise ConfigError(f"capacity is at least 1, got {capacity!r}")
        self._handlers = tuple(handlers)
        self._capacity = capacity
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Begin anew in a forked child: what waited is the parent's to send."""
        self._changed = threading.Condition()
        self._waiting: deque[Alert] = deque()
        self._busy = self._closed = False
        self._thread: threading.Thread | None = None

    def send(self, alert: Alert) -> None:
        """Hand an alert on; returns at once."""
        if not self._handlers:
            return
        with self._changed:
            if self._closed or len(self._waiting) >= self._capacity:
                drops.count("alert_queue")
                return
            self._waiting.append(alert)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="agentprod-alert-handlers", daemon=True)
                self._thread.start()
                atexit.register(_close, weakref.ref(self))
            self._changed.notify_all()

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait until every alert was handled, at most `timeout` seconds; return whether it was."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout)

    def close(self, timeout: float = 2.0) -> None:
        """Flush, then end the thread; a handler that hangs is left behind."""
        self.flush(timeout)
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                alert = self._waiting.popleft()
                self._busy = True
            for handler in self._handlers:
                try:
                    handler(alert)
                except Exception:
                    drops.count("alert_handler")


def _close(dispatcher: weakref.ref[Dispatcher]) -> None:
    found = dispatcher()
    if found is not None:
        found.close()
