"""The exact cache: the same request is answered once."""

from __future__ import annotations

import json
import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from agentprod.caching.canonical import Uncacheable
from agentprod.caching.entries import Entry, Terms
from agentprod.caching.keys import Keys
from agentprod.caching.partition import By, check_by, partition_of
from agentprod.caching.recording import Recorder, Replay
from agentprod.caching.refusals import refuse_body, refuse_call, refuse_ledger
from agentprod.caching.shelf import Shelf
from agentprod.caching.values import Classes, Unfaithful, freeze
from agentprod.call import Call, CallNext
from agentprod.context import seconds
from agentprod.dialects.function import from_json
from agentprod.errors import AgentprodWarning, CacheMiss, ConfigError
from agentprod.layer import Layer
from agentprod.reply import End, Reply
from agentprod.stream import EventStream

if TYPE_CHECKING:
    from agentprod.dialects.base import Dialect

__all__ = ["Cache"]

JITTER = 0.1


class Cache(Layer):
    """Answers a request it has answered before.

    Args:
        ttl: seconds an answer is kept; each one's time is spread by ±10 %.

        max_entries: most answers in memory; the least recently used go first.

        by: who may share answers.

        nondeterministic: `"cache"` or `"bypass"` requests whose temperature is absent or above 0.
    """

    needs_usage: ClassVar[bool] = True

    def __init__(
        self,
        *,
        ttl: float | timedelta = 3600,
        max_entries: int = 10_000,
        by: By = "tenant",
        key: Callable[[Call], Any] | None = None,
        ignore: Iterable[str] = (),
        tool_calls: bool = False,
        nondeterministic: Literal["cache", "bypass"] = "cache",
        max_bytes: int = 256_000_000,
    ) -> None:
        if isinstance(max_entries, bool) or not isinstance(max_entries, int) or max_entries < 1:
            raise ConfigError(f"Cache max_entries must be a whole number of at least 1, not {max_entries!r}")
        if nondeterministic not in ("cache", "bypass"):
            raise ConfigError(f'Cache nondeterministic must be "cache" or "bypass", not {nondeterministic!r}')
        self.ttl = seconds(ttl, "Cache ttl")
        self.by = check_by(by, "Cache")
        self.tool_calls = tool_calls
        self.nondeterministic = nondeterministic
        self._keys = Keys(ignore=frozenset(ignore), key=key)
        self._shelf = Shelf(max_entries, max_bytes)
        self._classes = Classes()
        self._random = random.Random()
        self._counts: Counter[str] = Counter()
        self._warned: set[str] = set()

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Answer from memory, or ask and remember."""
        if call.operation == "other":
            return await call_next(call)
        mode = call.context.cache
        key, reason = self._key(call)
        if mode == "bypass":
            reason = "asked"
        if reason is not None:
            return await self._bypass(call, call_next, reason, mode)
        if mode != "refresh":
            found = self._shelf.get(key, call.runtime.now())
            if found is not None:
                reply = self._hit(call, found[0])
                if reply is not None:
                    return reply
        if mode == "only":
            raise CacheMiss(
                'nothing is stored for this request, and cache="only" forbids to ask the provider',
                layer="Cache",
                target=str(call.target),
            )
        self._counts["miss"] += 1
        call.ledger.cache = "miss"
        reply = await call_next(call)
        self._watch(call, reply, key)
        return reply

    def _key(self, call: Call) -> tuple[str, str | None]:
        reason = refuse_call(call, deterministic_only=self.nondeterministic == "bypass")
        if reason is not None:
            return "", reason
        try:
            return self._keys.of(call, partition_of(call, self.by, "Cache")), None
        except ConfigError:
            raise
        except Uncacheable as error:
            self._warn(f"{call.target} is not cached: of its arguments, {error}")
            return "", "uncacheable"

    async def _bypass(self, call: Call, call_next: CallNext, reason: str, mode: str) -> Reply:
        if mode == "only":
            raise CacheMiss(
                f'this request is not cached ({reason}), and cache="only" forbids to ask the provider',
                layer="Cache",
                target=str(call.target),
            )
        self._counts["bypass"] += 1
        call.ledger.cache = "bypass"
        call.ledger.note("Cache", "bypass", reason=reason)
        return await call_next(call)

    def _hit(self, call: Call, entry: Entry) -> Reply | None:
        reply = self._rebuilt(call, entry)
        if reply is None:
            return None
        ledger = call.ledger
        ledger.cache = "hit_exact"
        ledger.saved_usage = entry.usage
        ledger.served = call.target
        self._counts["hit"] += 1
        return reply

    def _rebuilt(self, call: Call, entry: Entry) -> Reply | None:
        data = entry.data()
        kind: type | None = None
        if entry.kind is not None:
            kind = self._classes.find(entry.kind, getattr(call.target.edge, "fn", None))
            if kind is None:
                return None
        if entry.form == "body":
            if not call.streaming:
                return Reply(call, from_json(data, kind) if _is_function(call) else None, body=data)
            data = call.dialect.split(data)
        if not call.streaming:
            return Reply(call, body=call.dialect.join(data))
        natives = [from_json(item, kind) for item in data] if kind is not None else None
        return Reply(call, stream=EventStream(Replay(data, natives), call))

    def _watch(self, call: Call, reply: Reply, key: str) -> None:
        native = _is_function(call)
        if reply.stream is None:
            try:
                text, kind = freeze(reply.native) if native else (json.dumps(reply.body, ensure_ascii=False), None)
            except Unfaithful as error:
                self._refused_value(call, str(error))
                return
            body = reply.body

            def ended(end: End) -> None:
                if end.outcome == "complete":
                    self._store(call, key, "body", text, body, kind)

            reply.on_end(ended)
            return
        recorder = Recorder(native=native)
        reply.stream.add(recorder)
        dialect = reply.dialect

        def stream_ended(end: End) -> None:
            if end.outcome != "complete" or end.partial:
                self._refuse(call, "abandoned")
            elif recorder.refused is not None:
                self._refuse(call, recorder.refused)
            else:
                self._store(call, key, "events", recorder.text, _joined(dialect, recorder.text), recorder.kind)

        reply.on_end(stream_ended)

    def _store(
        self, call: Call, key: str, form: Literal["body", "events"], text: str, body: Any, kind: type | None
    ) -> None:
        reason = refuse_body(call.dialect, body, tool_calls=self.tool_calls) or refuse_ledger(call.ledger)
        if reason is not None:
            self._refuse(call, reason)
            return
        context, target, runtime = call.context, call.target, call.runtime
        ttl = (context.ttl or self.ttl) * self._random.uniform(1 - JITTER, 1 + JITTER)
        entry = Entry(
            key=key,
            form=form,
            text=text,
            stored=runtime.wall(),
            terms=Terms(ttl),
            operation=call.operation,
            provider=target.provider,
            base_url=target.base_url,
            model=target.model,
            partition=partition_of(call, self.by, "Cache"),
            tenant=context.tenant,
            tags=context.tags,
            usage=call.dialect.usage(body),
            kind=None if kind is None else self._classes.learn(kind),
        )
        self._shelf.put(entry, runtime.now())
        self._counts["stored"] += 1

    def _refuse(self, call: Call, reason: str) -> None:
        self._counts["refused"] += 1
        call.ledger.note("Cache", "not_stored", reason=reason)

    def _refused_value(self, call: Call, kind: str) -> None:
        self._refuse(call, "unfaithful")
        self._warn(
            f"what {call.target} returns is not cached: a {kind} cannot be brought back equal from JSON; "
            "return a str, a dict, a dataclass or a pydantic model"
        )

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            warnings.warn(message, AgentprodWarning, stacklevel=2)


def _is_function(call: Call) -> bool:
    return hasattr(call.target.edge, "fn")


def _joined(dialect: Dialect, text: str) -> Any:
    return dialect.join(json.loads(text))
