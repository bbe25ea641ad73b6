"""A provider of LLMs that does what a script says, over a real socket."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from agentprod.errors import ConfigError
from agentprod.testing.behaviours.behaviour import Behaviour
from agentprod.testing.behaviours.failures import error as http_error
from agentprod.testing.exchange import Exchange, RecordedRequest
from agentprod.testing.http1 import HttpRequest
from agentprod.testing.plan import Plan
from agentprod.testing.script import Script, ScriptLike
from agentprod.testing.server import Server
from agentprod.testing.wire.surfaces import surface_of, vendor_of

__all__ = ["Provider"]


class Provider:
    """A loopback HTTP server that speaks the APIs of OpenAI and Anthropic, and misbehaves on demand.

    Use it as a context manager and point the real SDK clients at `openai_url` and `anthropic_url`;
    any key will do. Requests of one connection are answered in turn, those of several at once.

    It has no rate limits of its own, checks no key, and accepts every parameter without heeding it,
    `max_tokens` and `stop` too: what it says is what the script says. TLS and HTTP/2 it does not speak.

    Args:
        script: one behaviour for each request; see `agentprod.testing.behaviours`. A list of behaviours
            and their names, of which the last repeats; a callable from `RecordedRequest` to one; or
            a mapping from the beginning of a path to any of these. `None` answers every request with `ok()`.

        host: the address to listen on.

    Raises:
        ConfigError: if the script names no behaviour.
    """

    def __init__(self, script: ScriptLike = None, *, host: str = "127.0.0.1") -> None:
        self._host = host
        self._script = Script(script)
        self._server: Server | None = None
        self._lock = threading.Lock()
        self._requests: list[RecordedRequest] = []
        self._errors: list[Exception] = []
        self._number = 0
        self._connections_before = 0

    def __enter__(self) -> Self:
        if self._server is not None:
            raise ConfigError("this Provider is already running; make another one")
        self._server = Server(self._host, self._answer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running().close()
        self._server = None
        # A callable script that fails is a broken test; it must not pass because a client survived the 500.
        if error is None and self._errors:
            raise self._errors[0]

    @property
    def url(self) -> str:
        """The address without any path, for clients that bring their own, as Azure's does."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    @property
    def openai_url(self) -> str:
        """What OpenAI clients take as `base_url`."""
        return f"{self.url}/v1"

    @property
    def anthropic_url(self) -> str:
        """What Anthropic clients take as `base_url`."""
        return self.url

    @property
    def host(self) -> str:
        """The address it listens on."""
        return self._host

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._running().port

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests received since the start or `reset`, in the order they came."""
        with self._lock:
            return list(self._requests)

    @property
    def connections(self) -> int:
        """How many connections were opened since the start or `reset`."""
        return self._running().opened - self._connections_before

    @property
    def open_connections(self) -> int:
        """How many connections are open now; one that a client has left counts until the server notices."""
        return self._running().open

    def script(self, script: ScriptLike) -> None:
        """Go on by another script, from its beginning.

        Args:
            script: as for `Provider`.

        Raises:
            ConfigError: if the script names no behaviour; the present one stays then.
        """
        fresh = Script(script)
        with self._lock:
            self._script = fresh

    def reset(self) -> None:
        """Forget the requests and connections so far, and begin the script again; open connections stay."""
        with self._lock:
            self._requests.clear()
            self._errors.clear()
            self._script.rewind()
            self._connections_before = self._server.opened if self._server else 0

    def _running(self) -> Server:
        if self._server is None:
            raise ConfigError("this Provider is not running; use it as `with Provider(...) as provider:`")
        return self._server

    def _answer(self, request: HttpRequest, connection: int) -> Plan:
        path, _, query = request.target.partition("?")
        received = RecordedRequest(
            method=request.method,
            path=path,
            query=query,
            headers=request.headers,
            body=request.body,
            json=_parse(request.body),
            connection=connection,
            time=time.monotonic(),
        )
        surface = surface_of(request.method, path)
        with self._lock:
            self._number += 1
            exchange = Exchange(received, surface, vendor_of(surface, request.headers), self._number)
            # Recorded before a callable script is asked, which may be waiting for the test to see the request.
            self._requests.append(received)
            script = self._script
        try:
            behaviour = script.choose(received)
            plan = behaviour.plan(exchange)
        except Exception as error:
            behaviour = self._broken(error)
            plan = behaviour.plan(exchange)
        self._name(received, behaviour)
        return plan

    def _broken(self, error: Exception) -> Behaviour:
        with self._lock:
            self._errors.append(error)
        return http_error(500, message=f"the script raised {type(error).__name__}")

    def _name(self, received: RecordedRequest, behaviour: Behaviour) -> None:
        with self._lock:
            for index in range(len(self._requests) - 1, -1, -1):
                if self._requests[index] is received:
                    self._requests[index] = replace(received, behaviour=behaviour.name)


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None
