"""What comes back out of the onion: one reply, whole or streaming, in the caller's wire form."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
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

__all__ = ["End", "Outcome", "Reply", "make_reply"]

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
    attempt: Attempt | None = None
    """The one that sent the reply; none did for a reply from a cache."""
    error: BaseException | None = None
    partial: bool = False
    read_text: Callable[[], str] = str

    @property
    def usage(self) -> Usage | None:
        """Tokens of the attempt."""
        return None if self.attempt is None else self.attempt.usage

    @property
    def text(self) -> str:
        """The text as it passed the layer that registered the hook."""
        return self.read_text()


OnEnd = Callable[[End], None]
OnSettle = Callable[[End], Awaitable[None]]


class Reply:
    """The reply to a call.

    Attributes:
        call: the call as it was sent.

        dialect: of its wire form; the target's own until it leaves the onion.

        native: what the edge got, to be handed out as it is when nobody edits; `load` reads the
            body out of it.

        safe: the scrubbed view of the body, published by the innermost PII scrubber before it restores.
    """

    __slots__ = (
        "_body",
        "accounts",
        "attempt",
        "call",
        "dialect",
        "edited",
        "ended",
        "hooks",
        "load",
        "native",
        "safe",
        "stream",
    )

    call: Call
    dialect: Dialect
    native: Any
    load: Callable[[Any], Any] | None
    stream: EventStream | None
    attempt: Attempt | None
    safe: Any
    ended: bool
    """Whether the hooks have run."""
    edited: bool
    accounts: tuple[Dialect, Callable[[Any], Any] | None, Any] | None
    """What the token counts stand in, when that is not to be `native`: of which dialect, how to load it, and it."""
    hooks: Sequence[tuple[bool, Any, Callable[[], str]]]
    _body: Any

    @staticmethod
    def local(call: Call, body: Any, events: list[Any] | None = None) -> Reply:
        """Make a reply that no provider sent: from a body, or for a stream from its events.

        Args:
            call: the call it answers; decides whether it streams.

            body: the whole reply as wire JSON.

            events: the stream's events as wire JSON; made from `body` when absent.
        """
        if not call.streaming:
            return make_reply(call, body=body)
        from agentprod.stream import EventStream, Recorded

        return make_reply(
            call,
            body=body,
            stream=EventStream(Recorded(call.dialect.split(body) if events is None else events), call),
        )

    @property
    def ledger(self) -> Ledger:
        """The account of the call it answers."""
        return self.call.ledger

    @property
    def target(self) -> Target:
        """Who was asked."""
        return self.call.target

    @property
    def streaming(self) -> bool:
        """Whether this reply is a stream."""
        return self.stream is not None

    @property
    def body(self) -> Any:
        """The whole reply as JSON-able data; `None` for a stream that has not ended."""
        if self.load is not None:
            self._body, self.load = self.load(self.native), None
        return self._body

    @body.setter
    def body(self, value: Any) -> None:
        self.load = None
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
            return self.stream.counts.usage
        return self.dialect.usage(self.body)

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
            self.stream.edit(make, self.dialect, self.call.request)
            return
        body = self.dialect.edit_body(self.body, make, self.call.request)
        if body is not self._body:
            self.body = body

    def on_event(self, fn: Callable[[Any], None]) -> None:
        """Call `fn(event)` with each stream event's JSON as it passes this layer; a whole reply has none."""
        if self.stream is not None:
            self.stream.watch(fn)

    def on_end(self, fn: OnEnd) -> None:
        """Call `fn(end)` exactly once when the reply has ended: inner layers' hooks first. No I/O in it."""
        self.hooks = (*self.hooks, (False, fn, self._text_here()))

    def on_settle(self, fn: OnSettle) -> None:
        """Await `fn(end)` exactly once when the reply has ended; it may do I/O through `call.runtime`.

        For a stream that is garbage-collected it runs on a thread of its own.
        """
        self.hooks = (*self.hooks, (True, fn, self._text_here()))

    def _text_here(self) -> Callable[[], str]:
        if self.stream is not None:
            return self.stream.text_reader()
        body = self._body
        if self.load is not None:
            return lambda: self.dialect.text(self.body)
        return lambda: self.dialect.text(body)

    async def finish(self, outcome: Outcome, error: BaseException | None = None, *, partial: bool = False) -> None:
        """Run the hooks, once. What a hook raises is logged: the reply is the caller's, whatever a hook does."""
        if self.ended:
            return
        self.ended = True
        hooks, self.hooks = self.hooks, ()
        if not hooks:
            return
        stopped: BaseException | None = None
        for settle, fn, text in hooks:
            end = End(outcome, self.attempt, error, partial, text)
            try:
                if settle:
                    await fn(end)
                else:
                    fn(end)
            except Exception:
                _log.exception("a hook at the end of a reply failed; the reply itself is not affected")
            except BaseException as stop:  # a cancelled caller, too, leaves the other hooks their turn
                stopped = stopped or stop
        if stopped is not None:
            raise stopped

    async def discard(self) -> None:
        """Drop this reply: close its stream and release what it holds.

        A layer that does not pass a reply on must call this.
        """
        if self.stream is not None:
            await self.stream.close("discarded")
        else:
            await self.finish("discarded")


def make_reply(
    call: Call,
    native: Any = None,
    load: Callable[[Any], Any] | None = None,
    body: Any = None,
    stream: EventStream | None = None,
) -> Reply:
    """Return a reply to a call.

    Args:
        call: as it was sent.

        native: what the edge got.

        load: reads the body out of `native`.

        body: the whole reply as JSON-able data, where there is no `native`.

        stream: of a streaming reply.
    """
    reply = Reply()  # without an `__init__`, like a call
    reply.call = call
    reply.dialect = call.dialect
    reply.native = native
    reply.load = load
    reply.stream = stream
    reply.attempt = None
    reply.safe = None
    reply.ended = False
    reply.edited = False
    reply.accounts = None
    reply.hooks = ()
    reply._body = body
    if stream is not None:
        stream.reply = reply
    return reply
