"""A stream of events inside the onion: read, watched, edited, and ended exactly once.

There is no loop and no task here. Whoever holds the caller's end pulls; one pull reads one batch
from the source, runs it through the stages that layers added, and returns it.

Between a function and its caller often nothing stands that looks at the items. Then whoever holds the
caller's end may take them straight from the iterator, between the same `ask` and `took` that a pull has
around its reading. What is not an item (an end, an error, a limit) is noted, and the next pull ends the
stream by it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from agentprod.errors import ShuttingDown
from agentprod.events import ErrorEvent, Event, Recorded, Source, Stage, Watch
from agentprod.runtime.alarm import NEVER
from agentprod.stream_end import end_attempt, notify, release
from agentprod.stream_errors import interrupted, meaning, overdue, truncated

if TYPE_CHECKING:
    import asyncio

    from agentprod.call import Call, Limits, Target
    from agentprod.dialects.base import Dialect, Reader
    from agentprod.ledger import Attempt, Ledger
    from agentprod.parts import MakeEditor
    from agentprod.reply import Outcome, Reply
    from agentprod.runtime.alarm import Alarm
    from agentprod.runtime.runtime import Runtime

__all__ = ["Event", "EventStream", "Recorded", "Source", "Stage", "notify", "open_streams"]

PREAMBLE_EVENTS = 16
PREAMBLE_SECONDS = 5.0

_log = logging.getLogger("agentprod")


class EventStream:
    """One stream of one attempt.

    `open()` reads until the first content, so that what fails before it fails like a whole call;
    from then on nothing is replayed, and a break raises `StreamInterrupted`.
    """

    def __init__(
        self, source: Source, call: Call, *, dialect: Dialect | None = None, alarm: Alarm | None = None
    ) -> None:
        self.source = source
        self.origin = source
        """The source as its edge made it, whatever layers put around it."""
        self.dialect: Dialect = dialect or call.dialect
        self.caller: Dialect = call.dialect
        self.reader: Reader = self.dialect.reader()
        self.counts: Reader = getattr(source, "reader", None) or self.reader
        """Knows the token counts: of a stream that is translated, the reader of what the provider sends."""
        self.runtime: Runtime = call.runtime
        self._now = call.runtime.now
        self.alarm = alarm
        self.ask: Callable[[], None] = _nothing if alarm is None else alarm.ask
        """Begins a wait for the source, within the limits."""
        self.limits: Limits = call.limits
        self.target: Target = call.target
        self.ledger: Ledger = call.ledger
        self.observers: tuple[Callable[..., None], ...] = call.observers
        self.followers: tuple[Callable[..., None], ...] = call.followers
        self.reply: Reply | None = None
        self.attempt: Attempt | None = None
        """The one that sent it; its edge says so."""
        self.started: float = call.runtime.now()
        self.committed: bool = False
        self.left: Literal["closed", "abandoned", "cancelled"] | None = None
        """How the consumer left early: it closed the stream, dropped it unclosed, or was cancelled."""
        self.opening: tuple[float, str] | None = None
        """When the first content must have come, and which limit says so."""
        self._pending: list[Event] = []
        self._failure: BaseException | None = None
        self._stopped: Exception | None = None
        self._stages: list[Stage] = []
        self._texts: list[list[str]] = [self.reader.texts]
        self._exhausted = False
        self.closed: bool = False
        """Whether the stream has ended."""
        self.loop: asyncio.AbstractEventLoop | None = None
        """The loop it belongs to; a stream of a thread belongs to none."""
        if call.runtime.kind == "async":
            self.loop = sys.modules["asyncio"].get_running_loop()  # it runs, so the module is loaded
        # Without this, the collector would finalize the generators that read the connection, all at
        # once and in no order, before or while `drop` has them closed from the outside in.
        _open.add(self)

    # Reading

    async def open(self, until: float | None = None, phase: str = "first_token", *, whole: bool = False) -> None:
        """Read up to the first content event, holding what comes before.

        Args:
            until: monotonic time by which the first content must have come.

            phase: which limit says so: `"first_token"`, `"attempt"` or `"deadline"`.

            whole: read to the end instead, so that a break anywhere fails like a whole call.

        Raises:
            CallTimeout: first content did not come in time.
            StreamInterrupted: the stream ended without content and without its terminal marker.
            Exception: what the provider's SDK raises.
        """
        self.opening = None if until is None else (until, phase)
        self._set_limits()
        held: list[Event] = []
        while whole or (not self.reader.content and not self.reader.sealed):
            batch = await self._batch()
            if batch is None:
                self._exhaust()
                break
            held += batch
            if whole or not self.reader.content:
                self._raise_failure()  # after content it is delivered first, then the stream is interrupted
            if not whole and (len(held) >= PREAMBLE_EVENTS or self._now() - self.started > PREAMBLE_SECONDS):
                break
        if self._exhausted and not self.reader.done:
            raise truncated(self)
        self.committed = True
        self._set_limits()
        self._pending = held

    async def _batch(self) -> list[Event] | None:
        """Read one batch within the limits, let the reader see it, and stop it short at an error event."""
        alarm = self.alarm
        if alarm is not None:
            alarm.ask()
        try:
            batch = await self.source.read()
        except BaseException as error:
            raise meaning(self, error)  # noqa: B904 - what it means says itself what it comes from
        if alarm is not None and (failure := self._answered(alarm)) is not None:
            raise failure
        if batch is None:
            return None
        feed, followers = self.reader.feed, self.followers
        for position, event in enumerate(batch):
            data = event.data
            if data is None:
                self.reader.mark(event.raw)
            elif feed(data):
                self._failure = await self.source.error(event)
                return batch[:position]
            elif followers:
                self._tell(data)
        return batch

    def _set_limits(self) -> None:
        """Say how long the waits may take: until the first content otherwise than after it."""
        alarm, limits = self.alarm, self.limits
        if alarm is None:
            return
        alarm.until = NEVER if limits.stream_until is None else limits.stream_until
        if self.opening is not None and not self.committed:
            alarm.until = min(alarm.until, self.opening[0])
        quiet_at_first = limits.first_token is not None and not self.committed
        alarm.idle = NEVER if limits.idle is None or quiet_at_first else limits.idle

    def _answered(self, alarm: Alarm) -> Exception | None:
        """End the wait for the source; return the error for an answer that comes too late."""
        failure = overdue(self) if alarm.fired or self._now() > alarm.when else None
        alarm.when = NEVER
        return failure

    @property
    def direct(self) -> bool:
        """Whether nothing looks at what the source gives, and nothing of it waits, so that it may be taken as it is."""
        return not (self._stages or self.followers or self._pending or self._exhausted or self._failure)

    def took(self, data: Any) -> bool:
        """End the wait for the source with an item's JSON; return whether the caller may have it, or a pull raises."""
        alarm = self.alarm
        if alarm is not None:  # the same as `_answered`, without a call for every item
            if alarm.fired or self._now() > alarm.when:
                self._failure = self._answered(alarm)
                return False
            alarm.when = NEVER
        if data is None:
            self.reader.mark(None)
        elif self.reader.feed(data):
            self._failure = ErrorEvent(data)
        return self._failure is None

    def got(self, error: BaseException) -> None:
        """End the wait for the source with what it raised instead of an item; the next pull ends the stream."""
        if isinstance(error, StopIteration if self.loop is None else StopAsyncIteration):
            self._failure = None if self.alarm is None else self._answered(self.alarm)
            self._exhausted = self._failure is None
        else:
            self._failure = meaning(self, error)

    def _exhaust(self) -> None:
        self._exhausted = True
        self.reader.end()

    def _tell(self, data: Any) -> None:
        for follower in self.followers:
            notify(follower, "event", self.attempt, data)

    # Layers' side

    def edit(self, make: MakeEditor, dialect: Dialect, request: Any) -> None:
        """Add an editing stage."""
        stage = dialect.stream_editor(make, request)
        self._stages.append(stage)
        self._texts.append(stage.texts)

    def watch(self, fn: Callable[[Any], None]) -> None:
        """Add a stage that only looks."""
        self._stages.append(Watch(fn))

    def add(self, stage: Stage) -> None:
        """Add any stage."""
        self._stages.append(stage)

    @property
    def stages(self) -> Sequence[Stage]:
        """What layers added, innermost first."""
        return self._stages

    @property
    def read_ahead(self) -> tuple[Sequence[Event], bool]:
        """Events that were read and not delivered yet, and whether those are the last."""
        return self._pending, self._exhausted

    def text(self) -> str:
        """The text so far, as the outermost stage let it pass."""
        return "".join(self._texts[-1])

    def text_reader(self) -> Callable[[], str]:
        """Return a function that gives the text as it passes here."""
        texts = self._texts[-1]
        return lambda: "".join(texts)

    # The consumer's side

    async def pull(self) -> list[Event] | None:
        """Return the next events for the consumer; `None` once the stream has ended well.

        Raises:
            StreamInterrupted: the stream broke; also an instance of the SDK's error class when the
                SDK has one for it.
        """
        while not self.closed:
            batch: list[Event] | None
            if self._pending:
                batch, self._pending = self._pending, []
            elif self._exhausted:
                batch = None
            else:
                try:
                    if self._failure is not None:
                        self._raise_failure()
                    batch = await self._batch()
                except GeneratorExit:  # nothing may be awaited any more
                    self.drop()
                    raise
                except Exception as error:
                    await self._fail(error)
                except BaseException:
                    self.left = "cancelled"
                    await self.close("abandoned")
                    raise
            if batch is None:
                return await self._complete()
            try:
                for stage in self._stages:
                    batch = stage.feed(batch)
            except Exception as error:  # a layer's own: a guard that refuses what it reads, or a bug
                await self._end("failed", error)
                raise
            if batch:
                return batch
        if self._stopped is not None:
            raise self._stopped
        return None

    async def interrupt(self, reason: str) -> None:
        """End the stream from beside its consumer, on its own loop; the consumer's next read raises.

        Args:
            reason: why, for the message.
        """
        if not self.closed:
            error = ShuttingDown(reason, target=str(self.target))
            self._stopped = interrupted(self, error)
            self._stopped.__cause__ = error
            await self._end("failed", self._stopped)

    async def _complete(self) -> list[Event] | None:
        """End the stream after its last event, and return what the stages kept back."""
        self._exhaust()
        if not self.reader.done:
            await self._fail(truncated(self))
        try:
            rest = self._flush()
        except Exception as error:
            await self._end("failed", error)
            raise
        await self._end("complete")
        return rest or None

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _flush(self) -> list[Event]:
        rest: list[Event] = []
        for stage in self._stages:
            rest = (stage.feed(rest) if rest else []) + stage.finish()
        return rest

    async def _fail(self, error: Exception) -> NoReturn:
        failure = interrupted(self, error)
        if failure is not error:
            failure.__cause__ = error  # the hooks want to know it, too
        await self._end("failed", failure)
        raise failure

    async def close(self, outcome: Outcome = "abandoned") -> None:
        """End the stream from the consumer's side.

        When the terminal marker had come already, that is a complete reply whatever was left unread.
        """
        if outcome == "abandoned" and self.reader.done:
            outcome = "complete"
        self.left = self.left or "closed"
        await self._end(outcome)

    async def _end(self, outcome: Outcome, error: Exception | None = None) -> None:
        if self.closed:
            return
        self.closed = True
        await self.finish(outcome, error)

    async def finish(self, outcome: Outcome, error: Exception | None = None, *, dropped: bool = False) -> None:
        """Release the connection and run the hooks; whoever calls this has marked the stream as closed."""
        _open.discard(self)
        try:
            if dropped:
                self.source.drop()  # no loop to wait in
            else:
                await self.source.close()
        except Exception as problem:
            _log.debug("closing a stream's connection failed: %s", type(problem).__name__)
        finally:
            if self.alarm is not None:
                self.alarm.close()
            reply, self.reply = self.reply, None  # it holds this stream: a cycle for the collector to find
            if reply is not None:
                partial = outcome != "complete" or not (self.reader.sealed or self._exhausted)
                end_attempt(reply, self, outcome, error)
                await reply.finish(outcome, error, partial=partial)

    def drop(self) -> None:
        """End a stream whose consumer is gone: called from a finalizer, on whatever thread it runs."""
        if self.closed:
            return
        self.closed = True
        self.left = self.left or "abandoned"
        outcome: Outcome = "complete" if self.reader.done else "abandoned"
        release(self, outcome)


def _nothing() -> None:
    """Begin a wait that nothing bounds."""


_open: set[EventStream] = set()


def open_streams() -> list[EventStream]:
    """Return the streams of this process that have not ended."""
    return list(_open)
