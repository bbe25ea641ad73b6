"""The layer that writes every call into the audit file."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from agentprod.call import Call, CallNext
from agentprod.errors import Blocked, ConfigError
from agentprod.layer import Layer
from agentprod.ledger import Attempt
from agentprod.reply import End, Reply
from agentprod.runtime.offload import in_thread
from agentprod.telemetry.audit import AuditWriter
from agentprod.telemetry.calls import CallRecord
from agentprod.telemetry.drops import drops
from agentprod.telemetry.finished import finished_call
from agentprod.telemetry.identities import scrub_with
from agentprod.telemetry.operation_facts import Ending, stream_outcome

__all__ = ["AuditLog"]

T = TypeVar("T")

_log = logging.getLogger("agentprod.audit")


class AuditLog(Layer):
    """Writes one line for every call into an append-only file in which a changed line shows.

    The line is in the file before the caller has the reply, or has read a stream's end. It holds who asked whom and
    when, attempts, tokens, cost, and what the layers decided; never message text. Request and answer are in it as
    salted digests where those cannot be guessed: with `ScrubPII` in the stack, whose placeholders are digested, or
    with a `salt` of your own. `python -m agentprod audit verify FILE` checks the file.

    Args:
        path: the file; its folder must exist. `<path>.head` appears beside it.

        on_error: what to do when the file cannot be written: `"drop"` logs it, counts it and lets the call go on;
            `"block"` writes a line before every call too, and refuses the call when that fails.

        fsync: `"always"`, `"never"`, or at most once in so many seconds; see `AuditWriter`.

        key: secret of 16 bytes or more, so that no one without it can forge lines.

        salt: secret of 16 bytes or more for the digests of text; by default a random one that stands in the file.

    Raises:
        ConfigError: the folder does not exist, or an option is out of range.

        Blocked: on a call, with `on_error="block"`, when the file cannot be written.
    """

    needs_usage = True

    def __init__(
        self,
        path: str | Path,
        *,
        on_error: Literal["drop", "block"] = "drop",
        fsync: Literal["never", "always"] | float = 1.0,
        key: bytes | None = None,
        salt: bytes | None = None,
    ) -> None:
        if on_error not in ("drop", "block"):
            raise ConfigError(f'AuditLog on_error must be "drop" or "block", not {on_error!r}')
        self._writer = AuditWriter(path, fsync=fsync, key=key, salt=salt)
        self._blocks = on_error == "block"
        self._own_salt = salt is not None

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._writer.path

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Write down one call."""
        if self._blocks:
            await self._announce(call)
        sent = _Sent(call, self._own_salt)
        call.observe(sent.observe, events=False)
        try:
            reply = await call_next(call)
        except BaseException as error:
            record, content = _record(call, error, None, None), sent.content(None, None)
            if isinstance(error, Exception):
                await self._settle(call, record, content)
            else:  # cancelled: nothing may be awaited any more
                self._write(record, content)
            raise

        async def settle(end: End) -> None:
            await self._settle(call, _record(call, end.error, reply, end), sent.content(reply, end))

        reply.on_settle(settle)
        return reply

    async def _announce(self, call: Call) -> None:
        facts = {"request_id": call.id, "operation": call.operation, "model": call.target.model}
        failure = ""
        try:
            await _run(call, lambda: self._writer.append("llm.asked", facts))
        except OSError as error:
            failure = type(error).__name__
        if failure:
            raise Blocked(f"the audit file cannot be written ({failure}): the call is refused", layer="AuditLog")

    async def _settle(self, call: Call, record: CallRecord, content: Mapping[str, str]) -> None:
        await _run(call, lambda: self._write(record, content))

    def _write(self, record: CallRecord, content: Mapping[str, str]) -> None:
        try:
            self._writer.record(record, content=content)
        except Exception as error:
            drops.count("audit")
            _log.error("call %s is not in the audit file: %s", record.request_id, type(error).__name__)

    def append(self, event: str, data: Mapping[str, Any] | None = None, **content: str) -> None:
        """Add a line of your own, such as a human's decision, to the same chain.

        Args:
            event: what happened, such as `"refund.approved"`.

            data: names and figures; never message text.

            content: texts, of which only a digest and the length are kept.

        Raises:
            OSError: the file cannot be written.
        """
        self._writer.append(event, data, content=content)

    def close(self) -> None:
        """Force what was written to disk and close the file; the next call opens it again."""
        self._writer.close()

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        return {"path": self.path.name, **({"on_error": "block"} if self._blocks else {})}


class _Sent:
    """The request as the innermost layer had it, as text for digests; empty where digests could be guessed."""

    __slots__ = ("_digested", "_request", "_scrubbed")

    def __init__(self, call: Call, own_salt: bool) -> None:
        self._scrubbed = "ScrubPII" in call.ledger.layers
        self._digested = self._scrubbed or own_salt
        self._request: Mapping[str, Any] | None = None

    def observe(self, event: str, attempt: Attempt, data: Any) -> None:
        if event == "attempt_start" and self._digested:
            self._request = data.safe_request if self._scrubbed else data.request

    def content(self, reply: Reply | None, end: End | None) -> dict[str, str]:
        """Return what is digested of request and reply."""
        if not self._digested:
            return {}
        request = self._request
        if request is None and reply is not None:
            request = reply.call.safe_request if self._scrubbed else reply.call.request
        found = {} if request is None else {"request": _canonical(request)}
        if reply is not None and end is not None:
            text = self._answer(reply, end)
            if text:
                found["reply"] = text
        return found

    def _answer(self, reply: Reply, end: End) -> str:
        if not self._scrubbed:
            return end.text
        body = reply.safe() if callable(reply.safe) else reply.safe
        return "" if body is None else reply.dialect.text(body)


def _canonical(request: Mapping[str, Any]) -> str:
    return json.dumps(dict(request), sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=_kind)


def _kind(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else f"<{type(value).__name__}>"


def _record(call: Call, error: BaseException | None, reply: Reply | None, end: End | None) -> CallRecord:
    scrub_with(call.ledger.environment.scrub)
    stream = stream_outcome(reply, end) if reply is not None and end is not None else None
    return finished_call(Ending(call, error, stream), {}, call.ledger.usage, call.ledger.cost)


async def _run(call: Call, write: Callable[[], T]) -> T:
    return await call.runtime.run(write, lambda: in_thread(write))
