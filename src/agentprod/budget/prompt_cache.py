"""Use the provider's prompt cache: mark what comes again, where it pays, and tell what breaks it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

from agentprod.budget.cache_marks import (
    Mark,
    fixed_segments,
    has_marks,
    mark_anthropic,
    mark_openai,
    plan,
    takes_breakpoints,
)
from agentprod.budget.prefix_history import LIFETIMES, Found, PrefixHistory, Segment
from agentprod.budget.tokens import count_tokens, unit_counter
from agentprod.budget.warm_up import WarmUp
from agentprod.call import Call, CallNext
from agentprod.capabilities import capabilities
from agentprod.errors import ConfigError
from agentprod.identity import seconds
from agentprod.layer import Layer
from agentprod.order import Inside, Outside
from agentprod.reply import End, Reply

__all__ = ["PromptCache"]

_LEAST = 1024
"""Tokens of the shortest prefix cached by models of which nothing else is known."""


class PromptCache(Layer):
    """Marks the beginnings of requests so that providers bill what comes again at a tenth.

    For Anthropic it sets up to four `cache_control` marks: at the end of the tools and of the system prompt, and in
    conversations at the last message and the one where the request before ended. No mark is set on a prefix that is
    shorter than what the model caches, nor behind text that changes from call to call, nor where prompts never come
    again. Entries live five minutes or an hour, whichever costs less at the pace at which the prompt came so far.

    For OpenAI, which caches unasked, it sets a `prompt_cache_key`, so that requests of one prompt reach one machine,
    and for models that take them (GPT-5.6 and later) a breakpoint behind the system messages.

    When a prompt comes that was the same but for a change, the change is reported with its place, as the note
    `changed` of `ap.meta(reply)`: a date or an id in a system prompt makes every call write the cache anew. When a
    marked prefix is not yet in the cache and many calls come at once, one goes first, and the others follow when it
    has its answer. Marks that the application sets itself are left as they are.

    Args:
        ttl: `"auto"`, or `"5m"` or `"1h"` for all marks.

        warm_up: let one call go first.

        max_wait: seconds the others wait for it at most.

        openai: whether to send what only OpenAI is sure to know; by default to addresses of OpenAI and Azure alone.

    Raises:
        ConfigError: an option out of range.
    """

    needs_usage = True
    order = (
        Inside("ContextWindow", "the history is cut behind the marks, and the marked prefix is another one"),
        Outside("Retry", "the marks are planned again for every attempt"),
    )

    def __init__(
        self,
        *,
        ttl: Literal["auto", "5m", "1h"] = "auto",
        warm_up: bool = True,
        max_wait: float | timedelta = 30.0,
        openai: bool | None = None,
    ) -> None:
        if ttl not in ("auto", *LIFETIMES):
            raise ConfigError(f'PromptCache ttl must be "auto", "5m" or "1h", not {ttl!r}')
        self.ttl = ttl
        self.warm_up = warm_up
        self.openai = openai
        self._history = PrefixHistory()
        self._talks = PrefixHistory()
        self._warm = WarmUp(seconds(max_wait, "PromptCache max_wait"))

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Mark the request, wait for a first one if need be, and look at what was read."""
        if call.operation not in ("chat", "responses", "messages"):
            return await call_next(call)
        request, now = call.request, call.runtime.now()
        segments = fixed_segments(request)
        found = self._history.see(call.target.account + call.target.endpoint, segments, now)
        if found.changed is not None:
            told = {"place": found.changed} if found.at is None else {"place": found.changed, "at": found.at}
            call.ledger.note("PromptCache", "changed", **told)
        if call.operation != "messages":
            return await call_next(self._for_openai(call, segments, found))
        if has_marks(request):
            return await call_next(call)
        marks = self._plan(call, segments, found, now)
        if not marks:
            return await call_next(call)
        lifetime = LIFETIMES[marks[0].lifetime]
        call.ledger.note("PromptCache", "marked", marks=len(marks), lifetime=marks[0].lifetime)
        marked = call.replace(request=mark_anthropic(request, marks))
        key = f"{call.target.account} {call.target.endpoint} {found.digest} {found.stable}"
        return await self._send(marked, call_next, key, lifetime)

    async def _send(self, call: Call, call_next: CallNext, key: str, lifetime: float) -> Reply:
        was_warm = self._warm.is_warm(key, call.runtime.now())
        is_first = await self._warm.enter(key, call) if self.warm_up else False
        warm_until: float | None = None
        try:
            reply = await call_next(call)
            # An entry is there from the moment the first answer begins.
            warm_until = call.runtime.now() + lifetime
        finally:
            if is_first:
                self._warm.leave(key, warm_until)
        if not is_first:
            self._warm.used(key, call.runtime.now() + lifetime)

        def ended(end: End) -> None:
            usage = end.usage
            if was_warm and usage is not None and not usage.estimated and not usage.cache_read_tokens:
                call.ledger.note("PromptCache", "missed", written=usage.cache_write_tokens)

        reply.on_end(ended)
        return reply

    def _plan(self, call: Call, segments: Sequence[Segment], found: Found, now: float) -> list[Mark]:
        request, model = call.request, call.target.model or ""
        messages = request.get("messages") or ()
        is_talk = len(messages) > 2 or bool(request.get("tools"))
        if not found.comes_again and not is_talk:
            return []
        talk_lifetime = "5m"
        if is_talk and self.ttl == "auto":
            talk = [Segment("talk", found.digest), Segment("talk", str(messages[:1]))]
            talk_lifetime = self._talks.see(call.target.endpoint, talk, now).lifetime
        fixed = self.ttl if self.ttl != "auto" else found.lifetime
        return plan(
            request,
            segments,
            stable=found.stable,
            least=capabilities(model).cached_prefix or _LEAST,
            count=unit_counter(model),
            count_fixed=lambda part: sum(count_tokens(segment.text, model) for segment in part),
            lifetime=fixed,
            talk_lifetime=self.ttl if self.ttl != "auto" else talk_lifetime,
            is_talk=is_talk,
        )

    def _for_openai(self, call: Call, segments: Sequence[Segment], found: Found) -> Call:
        if not segments or not self._is_openai(call):
            return call
        request = dict(call.request)
        if "prompt_cache_key" not in request:
            request["prompt_cache_key"] = found.digest
        model = call.target.model
        explicit = takes_breakpoints(model) and not has_marks(request) and found.stable == len(segments)
        if explicit and found.comes_again:
            if sum(count_tokens(segment.text, model or "") for segment in segments) >= _LEAST:
                request = mark_openai(request) or request
        return call.replace(request=request)

    def _is_openai(self, call: Call) -> bool:
        if self.openai is not None:
            return self.openai
        host = urlsplit(call.target.base_url).hostname or ""
        return host.endswith(("openai.com", "azure.com"))

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        found: dict[str, Any] = {}
        if self.ttl != "auto":
            found["ttl"] = self.ttl
        if not self.warm_up:
            found["warm_up"] = False
        return found
