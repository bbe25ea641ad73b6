"""The layer that asks a moderation service, or any callable, about what goes in and what comes out."""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Callable, Collection, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal, get_args

from cachetools import LRUCache

from agentprod.errors import AgentprodError, Blocked, ConfigError
from agentprod.layer import Layer, Place
from agentprod.runtime.offload import in_thread
from agentprod.safety.checked_stream import CheckedStream

if TYPE_CHECKING:
    from agentprod.call import Call, CallNext
    from agentprod.parts import Part
    from agentprod.reply import Reply

__all__ = ["Check", "ContentFilter"]

Check = Callable[[str], Any]
"""Takes a text and returns, or awaits and returns, what is wrong with it: nothing (`None`, `False`, something empty)
when it may pass; `True`, a category or several when it may not. Replies of OpenAI's moderation endpoint are read as
they are."""

Where = Literal["input", "output"]
_REMEMBERED = 4096


class ContentFilter(Layer):
    """Refuses what a check refuses: before it is sent, and before the caller sees it.

    Texts of users and tools are checked once each, so that a history is not checked again every turn. An answer is
    checked whole; a stream in pieces of a sentence or more, each with what stood before it, and a piece is delivered
    when it has passed. Inside `ScrubPII`, as the recommended order has it, the check sees placeholders. Reasoning,
    arguments of tool calls, images and sound in answers are not checked.

    Args:
        check: see `Check`. A synchronous one runs on a thread in asynchronous calls.

        on: `"input"`, `"output"` or both.

        action: `"block"` raises `Blocked`; `"flag"` says so in `ap.meta` and on spans, and lets it pass.

        on_error: when the check itself fails: `"block"` refuses, `"pass"` lets the text pass, with a note.

        every: characters of a stream after which a piece is checked even without the end of a sentence, at least 1.

        context: characters before a piece of a stream that are checked with it.

    Raises:
        ConfigError: an option cannot work, or an asynchronous check meets synchronous calls.
        Blocked: a text was refused, or could not be checked. The message names categories, never text.
    """

    def __init__(
        self,
        check: Check,
        *,
        on: Where | Collection[Where] = ("input", "output"),
        action: Literal["block", "flag"] = "block",
        on_error: Literal["block", "pass"] = "block",
        every: int = 300,
        context: int = 500,
    ) -> None:
        places = {on} if isinstance(on, str) else set(on)
        if not callable(check):
            raise ConfigError("ContentFilter takes a callable (text) -> what is wrong with it")
        if not places or not places <= set(get_args(Where)):
            raise ConfigError(f"on must be 'input', 'output' or both, not {on!r}")
        if action not in ("block", "flag"):
            raise ConfigError(f"action must be 'block' or 'flag', not {action!r}")
        if on_error not in ("block", "pass"):
            raise ConfigError(f"on_error must be 'block' or 'pass', not {on_error!r}")
        for name, value, least in (("every", every, 1), ("context", context, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"{name} must be a whole number of characters from {least}, not {value!r}")
        self._check, self._places = check, places
        self._blocks, self._fails = action == "block", on_error == "block"
        self._every, self._context = every, context
        self._is_async = inspect.iscoroutinefunction(check) or inspect.iscoroutinefunction(
            getattr(check, "__call__", None)  # noqa: B004 - the method, not whether there is one
        )
        self._clean: LRUCache[bytes, bool] = LRUCache(_REMEMBERED)
        self._key = os.urandom(16)
        self._lock = threading.Lock()
        self._name = getattr(check, "__name__", type(check).__name__)

    def attach(self, place: Place) -> None:
        """Refuse synchronous calls when the check must be awaited."""
        if self._is_async and place.kind == "sync":
            raise ConfigError(
                f"the check {self._name} must be awaited, and these calls are synchronous: pass a plain one"
            )

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Check the request, send it, and check the reply."""
        if "input" in self._places:
            for text in _texts(call):
                await self._admit(call, text)
        reply = await call_next(call)
        if "output" not in self._places or call.operation == "embeddings":
            return reply
        if reply.stream is not None:
            checked = CheckedStream(
                reply.stream.source,
                reply.dialect,
                lambda text: self._refused(call, text, "output"),
                every=self._every,
                context=self._context,
            )
            events, ended = reply.stream.read_ahead
            if not ended:
                reply.stream.source = checked
                reply.stream.add(checked)
            elif (refusal := await checked.check_all(events)) is not None:
                await reply.discard()
                raise refusal
            return reply
        try:
            for fragment in reply.dialect.body_fragments(reply.body, call.request):
                if fragment.part.kind in ("text", "refusal") and fragment.text:
                    refusal = await self._refused(call, fragment.text, "output")
                    if refusal is not None:
                        raise refusal
        except BaseException:
            await reply.discard()
            raise
        return reply

    async def _admit(self, call: Call, text: str) -> None:
        digest = blake2b(text.encode(errors="surrogatepass"), key=self._key, digest_size=16).digest()
        with self._lock:
            if digest in self._clean:
                return
        before = call.ledger.flags
        refusal = await self._refused(call, text, "input")
        if refusal is not None:
            raise refusal
        if call.ledger.flags == before:
            with self._lock:
                self._clean[digest] = True

    async def _refused(self, call: Call, text: str, where: Where) -> Blocked | None:
        """Return why a text may not pass, or `None`."""
        failure = ""
        verdict: Any = None
        try:
            if self._is_async:
                verdict = await self._check(text)
            else:
                verdict = await call.runtime.run(lambda: self._check(text), lambda: in_thread(self._check, text))
                if inspect.isawaitable(verdict):
                    close = getattr(verdict, "close", None)
                    if callable(close):
                        close()
                    raise ConfigError("the check returned something to await: write it as `async def`")
        except AgentprodError:
            raise
        except Exception as error:
            failure = type(error).__name__
        if failure:
            call.ledger.note("ContentFilter", "failed", on=where, error=failure)
            if not self._fails:
                call.ledger.flag("unchecked")
                return None
            return Blocked(
                f"the check {self._name} failed with {failure}, and text that was not checked does not pass: mend it, "
                "or choose on_error='pass'",
                layer="ContentFilter",
            )
        categories = _categories(verdict)
        if not categories:
            return None
        call.ledger.flag("content")
        call.ledger.note("ContentFilter", "refused", on=where, categories=categories)
        if not self._blocks:
            return None
        what = "the request" if where == "input" else "the answer"
        return Blocked(f"{what} was refused by {self._name}: {', '.join(categories)}", layer="ContentFilter")

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        shown: dict[str, Any] = {"check": self._name}
        if self._places != set(get_args(Where)):
            shown["on"] = tuple(sorted(self._places))
        return {
            **shown,
            **({} if self._blocks else {"action": "flag"}),
            **({} if self._fails else {"on_error": "pass"}),
        }


def _texts(call: Call) -> list[str]:
    """Return what users and tools say in a request."""
    found: list[str] = []

    def look(text: str, part: Part) -> str:
        theirs = part.kind == "tool_result" or (part.kind in ("text", "argument") and part.role in ("user", "tool"))
        if theirs and text.strip():
            found.append(text)
        return text

    call.map_text(look)
    return found


def _categories(verdict: Any) -> list[str]:
    """Return what a verdict says is wrong; nothing when it may pass."""
    results = _field(verdict, "results")
    if isinstance(results, list | tuple):
        return sorted({name for result in results for name in _categories(result)})
    flagged = _field(verdict, "flagged")
    if isinstance(flagged, bool):
        categories = _field(verdict, "categories")
        dump = getattr(categories, "model_dump", None)
        named = dump() if callable(dump) else categories
        listed = [str(name) for name, hit in named.items() if hit is True] if isinstance(named, Mapping) else []
        return (sorted(listed) or ["flagged"]) if flagged else []
    if isinstance(verdict, str):
        return [verdict[:100]] if verdict else []
    if isinstance(verdict, Mapping):
        return sorted(str(name)[:100] for name, hit in verdict.items() if hit)
    if isinstance(verdict, Collection):
        return sorted(str(name)[:100] for name in verdict)
    return ["refused"] if verdict else []


def _field(verdict: Any, name: str) -> Any:
    return verdict.get(name) if isinstance(verdict, Mapping) else getattr(verdict, name, None)
