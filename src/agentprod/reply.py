"""What comes back out of the onion: one reply, whole or streaming, in the caller's wire form."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from agentprod.usage import Usage

if TYPE_CHECKING:
    from agentprod.call import Call, Target
    from agentprod.dialects.base import Dialect
    from agentprod.ledger import Attempt, Ledger
    from agentprod.meta import Meta
    from agentprod.parts import MakeEditor
    from agentprod.stream import EventStream

__all__ = ["End", "Outcome", "Reply"]

Outcome = Literal["complete", "failed", "abandoned", "discarded"]

_log = logging.getLogger("agentprod")


@dataclass(slots=True, eq=False)
class End:
    """How a reply ended.

    `outcome` is `"complete"` (all of it was produced), `"failed"` (an error broke it),
    `"abandoned"` (the consumer left early) or `"discarded"` (a layer dropped it). `partial` is true
    when not everything was read, which can go with `"complete"`: a consumer that stops at the
    finish reason never sees the usage event behind it.
    """

    outcome: Outcome
    usage: Usage | None = None
    error: BaseException | None = None
    partial: bool = False
    read_text: Callable[[], str] = str

    @property
    def text(self) -> str:
        """The text as it passed the layer that registered the hook."""
        return self.read_text()


OnEnd = Callable[[End], None]
OnSettle = Callable[[End], Awaitable[None]]


class Reply:
    """The reply to a call.

    Attributes:
        streaming: whether it is a stream; then `body` is the whole reply only after the end.

        dialect: of its wire form.

        safe: the scrubbed view of the body, published by the innermost PII scrubber before it restores.
    """

    __slots__ = (
        "_body",
        "_ended",
        "_hooks",
        "_load",
        "attempt",
        "dialect",
        "edited",
        "ledger",
        "native",
        "request",
        "safe",
        "stream",
        "target",
    )

    def __init__(
        self,
        call: Call,
        *,
        body: Any = None,
        load: Callable[[], Any] | None = None,
        stream: EventStream | None = None,
        native: Any = None,
        attempt: Attempt | None = None,
        dialect: Dialect | None = None,
    ) -> None:
        self.dialect = dialect or call.dialect
        self.ledger: Ledger = call.ledger
        self.request = call.request
        self.target: Target = call.target
        self.native = native
        self.attempt = attempt
        self.stream = stream
        self.edited = False
        self.safe: Any = None
        self._body = body
        self._load = load
        self._hooks: list[tuple[bool, Any, Callable[[], str]]] = []
        self._ended = False
        if stream is not None:
            stream.reply = self

    @classmethod
    def local(cls, call: Call, body: Any, events: list[Any] | None = None) -> Reply:
        """Make a reply that no provider sent: from a body, or for a stream from its events.

        Args:
            call: the call it answers; decides whether it streams.

            body: the whole reply as wire JSON.

            events: the stream's events as wire JSON; made from `body` when absent.
        """
        if not call.streaming:
            return cls(call, body=body)
        from agentprod.stream import EventStream, Recorded

        return cls(
            call,
            body=body,
            stream=EventStream(Recorded(call.dialect.split(body) if events is None else events), call),
        )

    @property
    def streaming(self) -> bool:
        """Whether this reply is a stream."""
        return self.stream is not None

    @property
    def body(self) -> Any:
        """The whole reply as JSON-able data; `None` for a stream that has not ended."""
        if self._load is not None:
            self._body, self._load = self._load(), None
        return self._body

    @body.setter
    def body(self, value: Any) -> None:
        self._load = None
        self._body = value
        self.edited = True

    @property
    def text(self) -> str:
        """The answer's text; of a stream, what has come so far."""
        if self.stream is not None:
            return self.stream.text()
        return self.dialect.text(self.body)

    @property
    def usage(self) -> Usage | None:
        """Token counts the provider reported; `None` when it reported none (yet)."""
        if self.stream is not None:
            return self.stream.reader.usage
        return self.dialect.usage(self.body)

    def read_usage(self) -> Usage | None:
        """Return the counts of the whole reply as it came; never raises, whatever the body holds."""
        try:
            return self.dialect.usage(self.body)
        except Exception:
            _log.debug("the token counts of a reply could not be read", exc_info=True)
            return None

    @property
    def meta(self) -> Meta:
        """What happened to this call so far."""
        from agentprod.meta import Meta

        return Meta(self.ledger)

    def edit(self, make: MakeEditor) -> None:
        """Rewrite the reply part by part.

        A whole reply is rewritten now, a stream as it flows. `make(part)` is called once for each
        part and returns its editor or `None`. Tool-call arguments and JSON-format text are edited
        as JSON string leaves, so the document stays valid. Signed or encrypted reasoning is never
        edited.

        Args:
            make: gives each `Part` an editor with `feed(str) -> str` and `flush() -> str`.
        """
        if self.stream is not None:
            self.stream.edit(make, self.dialect, self.request)
            return
        body = self.dialect.edit_body(self.body, make, self.request)
        if body is not self._body:
            self.body = body

    def on_event(self, fn: Callable[[Any], None]) -> None:
        """Call `fn(event)` with each stream event's JSON as it passes this layer; a whole reply has none."""
        if self.stream is not None:
            self.stream.watch(fn)

    def on_end(self, fn: OnEnd) -> None:
        """Call `fn(end)` exactly once when the reply has ended: inner layers' hooks first. No I/O in it."""
        self._hooks.append((False, fn, self._text_here()))

    def on_settle(self, fn: OnSettle) -> None:
        """Await `fn(end)` exactly once when the reply has ended; it may do I/O through `call.runtime`.

        For a stream that is garbage-collected it runs on a thread of its own.
        """
        self._hooks.append((True, fn, self._text_here()))

    def _text_here(self) -> Callable[[], str]:
        if self.stream is not None:
            return self.stream.text_reader()
        body = self._body
        if self._load is not None:
            return lambda: self.dialect.text(self.body)
        return lambda: self.dialect.text(body)

    @property
    def ended(self) -> bool:
        """Whether the hooks have run."""
        return self._ended

    @property
    def settles(self) -> bool:
        """Whether some hook may do I/O."""
        return any(settle for settle, _, _ in self._hooks)

    async def finish(self, outcome: Outcome, error: BaseException | None = None, *, partial: bool = False) -> None:
        """Run the hooks, once. What a hook raises is logged: the reply is the caller's, whatever a hook does."""
        if self._ended:
            return
        self._ended = True
        hooks, self._hooks = self._hooks, []
        if not hooks:
            return
        usage = self.attempt.usage if self.attempt is not None else None
        for settle, fn, text in hooks:
            end = End(outcome, usage, error, partial, text)
            try:
                if settle:
                    await fn(end)
                else:
                    fn(end)
            except Exception:
                _log.exception("a hook at the end of a reply failed; the reply itself is not affected")

    async def discard(self) -> None:
        """Drop this reply: close its stream and release what it holds.

        A layer that does not pass a reply on must call this.
        """
        if self.stream is not None:
            await self.stream.close("discarded")
        else:
            await self.finish("discarded")
