"""A TCP proxy that damages what comes back through it, whatever protocol that is."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Self, TypeAlias

from agentprod.errors import ConfigError
from agentprod.testing.proxy_faults import ProxyFault, as_fault

__all__ = ["FaultProxy"]

_RESET_GRACE = 0.005  # so that what was sent is read before the reset overtakes it
_CHUNK = 65_536
_Arrivals: TypeAlias = "asyncio.Queue[tuple[float, bytes | None]]"


class FaultProxy:
    """A loopback TCP proxy in front of any server, a `Provider`, a Redis or a database.

    It runs an event loop in a thread of its own, and is used as a context manager. What the client
    sends goes through untouched; the fault is for what comes back.

    Args:
        target_host: the server's address.

        target_port: the server's port.

        fault: one of `agentprod.testing.proxy_faults`, the name of one that needs no number, or `None`
            to pass everything on.

    Raises:
        ConfigError: if there is no such fault.
    """

    def __init__(self, target_host: str, target_port: int, fault: ProxyFault | str | None = None) -> None:
        self._target = (target_host, target_port)
        self._fault = as_fault(fault)
        self._started = threading.Event()
        self._thread: threading.Thread | None = None
        self._port = 0
        self._connections = 0

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise ConfigError("this FaultProxy is already running; make another one")
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._port = listener.getsockname()[1]
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._main(listener),), name=f"agentprod-proxy-{self._port}", daemon=True
        )
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        thread = self._running()
        self._loop.call_soon_threadsafe(self._stop.set)
        thread.join()
        self._thread = None
        self._started.clear()

    @property
    def port(self) -> int:
        """The port to connect to."""
        self._running()
        return self._port

    @property
    def url(self) -> str:
        """The address to connect to, for HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections were accepted."""
        return self._connections

    def fault(self, fault: ProxyFault | str | None) -> None:
        """Treat the connections accepted from now on by another fault.

        Args:
            fault: as for `FaultProxy`.

        Raises:
            ConfigError: if there is no such fault.
        """
        self._fault = as_fault(fault)

    def _running(self) -> threading.Thread:
        if self._thread is None:
            raise ConfigError("this FaultProxy is not running; use it as `with FaultProxy(...) as proxy:`")
        return self._thread

    async def _main(self, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._connections += 1
            task = asyncio.create_task(_Connection(self._target, self._fault, reader, writer).run())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            # A task that is cancelled before its first step closes nothing itself.
            task.add_done_callback(lambda _: writer.transport.abort())

        server = await asyncio.start_server(accept, sock=listener)
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # aborted transports close their sockets in the loop's next turn
        await server.wait_closed()


class _Connection:
    def __init__(
        self,
        target: tuple[str, int],
        fault: ProxyFault,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._target = target
        self._fault = fault
        self._reader = reader
        self._writer = writer
        self._left = fault.limit

    async def run(self) -> None:
        upstream: asyncio.StreamWriter | None = None
        tasks: list[asyncio.Task[None]] = []
        try:
            with contextlib.suppress(OSError):
                reader = None
                if self._fault.connects:
                    reader, upstream = await asyncio.open_connection(*self._target)
                upward = asyncio.create_task(self._swallow() if upstream is None else self._take_up(upstream))
                tasks.append(upward)
                if reader is not None and self._left != 0:
                    arrivals: _Arrivals = asyncio.Queue()
                    tasks.append(asyncio.create_task(self._take_down(reader, arrivals)))
                    await self._bring_down(arrivals)
                if self._left == 0:
                    await self._strike(upward)
        finally:
            # Before anything is awaited here, which may be cancelled.
            for writer in (self._writer, upstream):
                if writer is not None:
                    writer.transport.abort()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _take_up(self, upstream: asyncio.StreamWriter) -> None:
        """Pass on what the client sends until it closes."""
        while data := await self._reader.read(_CHUNK):
            upstream.write(data)
            await upstream.drain()
        upstream.write_eof()

    async def _swallow(self) -> None:
        while await self._reader.read(_CHUNK):
            pass

    async def _take_down(self, reader: asyncio.StreamReader, arrivals: _Arrivals) -> None:
        """Note what the target sends with the time it is to arrive; `None` stands for its reset."""
        data: bytes | None = b"-"
        while data:
            try:
                data = await reader.read(_CHUNK)
            except OSError:
                data = None
            arrivals.put_nowait((time.monotonic() + self._fault.latency, data))

    async def _bring_down(self, arrivals: _Arrivals) -> None:
        """Send what arrived, until the target is through or the fault strikes."""
        while self._left != 0:
            when, data = await arrivals.get()
            await asyncio.sleep(when - time.monotonic())
            if not data:
                await self._finish(reset=data is None)
                return
            await self._send(data)

    async def _send(self, data: bytes) -> None:
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        size = 1 if self._fault.bytewise else len(data)
        for start in range(0, len(data), size):
            self._writer.write(data[start : start + size])
            await self._writer.drain()
            if self._fault.bytewise:
                await asyncio.sleep(self._fault.interval)

    async def _strike(self, upward: asyncio.Task[None]) -> None:
        if self._fault.ending == "stall":
            await upward
        else:
            await self._finish(reset=self._fault.ending == "rst")

    async def _finish(self, *, reset: bool) -> None:
        if reset:
            await asyncio.sleep(_RESET_GRACE)
            sock = self._writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            self._writer.close()
            await self._writer.wait_closed()
