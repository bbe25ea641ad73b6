"""The layer that keeps personal data and secrets on this side of every provider, store, log and span."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from agentprod.errors import AgentprodError, Blocked, ConfigError
from agentprod.identity import seconds
from agentprod.layer import Layer
from agentprod.safety.pii.documents import restore_value
from agentprod.safety.pii.entities import DEFAULT
from agentprod.safety.pii.provider_state import keep_vault, vault_for
from agentprod.safety.pii.recognizer import Recognizer
from agentprod.safety.pii.reply_text import ReplyRestore
from agentprod.safety.pii.request_text import Binary, RequestScrub
from agentprod.safety.pii.restore import OnUnknown
from agentprod.safety.pii.restore_policy import RestorePolicy
from agentprod.safety.pii.safe_view import SafeReply, SafeRequest
from agentprod.safety.pii.scrubber import Allow, OnError, Scrubber
from agentprod.safety.pii.signatures import Signatures
from agentprod.safety.pii.vault import Vault, Vaults

if TYPE_CHECKING:
    from agentprod.call import Call, CallNext
    from agentprod.identity import Context
    from agentprod.reply import End, Reply
    from agentprod.safety.pii.recognizer import Finder
    from agentprod.safety.pii.strategies import Strategy

__all__ = ["ScrubPII"]

_LONG = 50_000
"""Characters from which an event loop is kept free of the search: some ten milliseconds' worth."""


class ScrubPII(Layer):
    """Replaces personal data and secrets in requests, and puts the values back into replies.

    Every string of the whole request is looked at in every call: all messages of the history, tool calls and their
    results, tool definitions, labels such as `user` and `metadata`, and whatever field a provider invents. Numbers are
    replaced inside tool arguments and other values of the user's own shape. What was searched before is not searched
    again. The answer, whole or streamed, and the arguments of tool calls get the values back.

    What has a shape or a checksum is found; **names and postal addresses are not**, unless a model for them is plugged
    in (`recognizers=[ap.pii.spacy()]`). Images, sound, files in base64 and token ids are not looked into
    (`binary="block"` refuses them). Model calls pass here, and what is asked about texts beside them: token counts,
    moderation, legacy completions, images and speech. File uploads, batches, and what a provider keeps (assistants'
    threads, vector stores) do not.

    Numbers of placeholders go by first appearance in the request, so a history keeps its placeholders from turn to
    turn, and two users who ask the same about different values send the same text.

    Args:
        entities: what to look for; see `ap.pii.DEFAULT` and the other sets.

        strategy: what to put in its place: `"placeholder"` (comes back), `"redact"`, `"mask"`, `"block"`, `"pass"`, an
            `ap.pii.KeyedHash` or any callable `(entity, value) -> str`; or a map by entity, `"*"` for the rest.
            Secrets are blocked unless the map names `"SECRET"`. A call in which a value passed is not cached.

        restore: `True` for texts and the arguments of every tool; `False`; or a policy such as `{"text": True,
            "tools": {"send_email": ["EMAIL"]}}`, where a tool that is not named gets nothing. Never inside web
            addresses, unless it says `"urls": True`.

        on_error: when a recogniser fails: `"block"` refuses the call, `"redact"` replaces the whole text, `"ignore"`
            goes on without it.

        recognizers: your own; see `ap.Recognizer`.

        allow: values to leave alone; see `ap.pii.Allow`.

        input: strategies for what is sent; `strategy` when `None`.

        output: strategies for what the model itself wrote; `{"SECRET": "redact", "*": "pass"}` when `None`.

        tool_results: strategies for what tools returned; `strategy` when `None`.

        threshold: findings below this score are dropped, 0.05 to 1.

        unknown: a placeholder in the answer that was never given out is kept (`"keep"`), dropped (`"drop"`) or refused
            (`"raise"`).

        binary: `"pass"` or `"block"` what is no text.

        max_values: most different values of one call.

        ttl: seconds for which values are kept, in this process, after a call whose reply the provider remembers
            (`previous_response_id`); other calls leave nothing behind.

    Raises:
        ConfigError: an option cannot work.
        Blocked: a value has the strategy `"block"`, a recogniser failed, or something cannot be examined. The call is
            not sent, and the message does not quote the value.
    """

    other_traffic: ClassVar[bool] = True

    def __init__(
        self,
        *,
        entities: Iterable[str] = DEFAULT,
        strategy: Strategy | Mapping[str, Strategy] = "placeholder",
        restore: bool | Mapping[str, Any] | RestorePolicy = True,
        on_error: OnError = "block",
        recognizers: Iterable[Recognizer | Finder] = (),
        allow: Iterable[Allow] = (),
        input: Strategy | Mapping[str, Strategy] | None = None,
        output: Strategy | Mapping[str, Strategy] | None = None,
        tool_results: Strategy | Mapping[str, Strategy] | None = None,
        threshold: float = 0.5,
        unknown: OnUnknown = "keep",
        binary: Binary = "pass",
        max_values: int = 10_000,
        ttl: float | timedelta = 3600,
    ) -> None:
        if unknown not in get_args(OnUnknown):
            raise ConfigError(f"unknown must be 'keep', 'drop' or 'raise', not {unknown!r}")
        if binary not in get_args(Binary):
            raise ConfigError(f"binary must be 'pass' or 'block', not {binary!r}")
        # Consumed more than once below.
        wanted = frozenset([entities] if isinstance(entities, str) else entities)
        own = recognizers if callable(recognizers) or isinstance(recognizers, Recognizer) else tuple(recognizers)
        left = allow if isinstance(allow, str) else tuple(allow)
        self._policy = RestorePolicy.of(restore)
        self._unknown: OnUnknown = unknown
        self._binary: Binary = binary
        self._max_values = max_values
        Vault(max_values=max_values)
        self._scrubber = Scrubber(
            entities=wanted,
            strategy=strategy,
            input=input,
            output=output,
            tool_results=tool_results,
            recognizers=own,
            allow=left,
            threshold=threshold,
            on_error=on_error,
        )
        self._output = self._scrubber.for_output()
        self._complete = wanted >= DEFAULT
        """Whether what was scrubbed here may be shown without another look."""
        self._view = Scrubber(
            entities=wanted | DEFAULT, output="redact", recognizers=own, allow=left, on_error="redact", memo=0
        )
        self._vaults = Vaults(ttl=seconds(ttl, "ScrubPII ttl"), max_values=max_values)
        self._signatures = Signatures()
        self._slow = any(recognizer.window is None for recognizer in self._scrubber.recognizers)
        given = {
            "entities": (sorted(wanted), sorted(DEFAULT)),
            "strategy": (strategy, "placeholder"),
            "restore": (restore, True),
            "on_error": (on_error, "block"),
            "recognizers": ([recognizer.name for recognizer in self._scrubber.recognizers], []),
        }
        self._shown = {name: value for name, (value, default) in given.items() if value != default}

    def scrub_text(self, text: str) -> str:
        """Return a text as telemetry may show it, with what is found named, as in `[EMAIL]`.

        Spans, logs and audit files of this layer's stack use it for the text of exceptions, for what tools are called
        with and what they return, and for names of users.
        """
        return self._view.scrub(text, direction="output").text

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Scrub the request, send it, and put the values back into the reply."""
        if call.operation == "other" and not call.request:
            return await call_next(call)
        vault = vault_for(self._vaults, call.request, call.context, self._max_values)
        request = RequestScrub(
            self._scrubber,
            vault,
            binary=self._binary,
            knows=self._signatures.knows,
            function=call.operation == "function",
        )
        scrubbed = await self._scrub(call, request)
        if request.tally.counts:
            call.ledger.note("ScrubPII", "scrubbed", **request.tally.counts)
        if request.dropped:
            call.ledger.note("ScrubPII", "dropped_reasoning", blocks=request.dropped)
        shown = scrubbed if self._complete and not request.tally.passed else SafeRequest(scrubbed, self._view)
        context = _inner_context(call, scrubbed, passed=request.tally.passed)
        reply = await call_next(call.replace(request=scrubbed, safe_request=shown, context=context))
        if call.operation == "embeddings":
            return reply
        failure = ""
        try:
            if call.operation == "other":
                self._restore_body(reply, vault)
            else:
                self._restore(call, reply, vault)
        except AgentprodError:
            await reply.discard()
            raise
        except Exception as error:
            failure = type(error).__name__
        if failure:
            await reply.discard()
            raise Blocked(f"scrubbing the reply failed with {failure}: it is withheld", layer="ScrubPII")
        return reply

    async def _scrub(self, call: Call, request: RequestScrub) -> Mapping[str, Any]:
        failure = ""
        try:
            if call.runtime.kind == "sync" or not (self._slow or _is_long(call.request)):
                return request.scrub(call.request)
            from agentprod.runtime.offload import in_thread

            return await call.runtime.run(
                lambda: request.scrub(call.request), lambda: in_thread(request.scrub, call.request)
            )
        except (AgentprodError, TypeError) as error:
            # A function called with arguments it does not take says so itself.
            if isinstance(error, AgentprodError) or call.operation == "function":
                raise
            failure = type(error).__name__
        except Exception as error:
            failure = type(error).__name__
        # Raised out here, so that the failing exception, which may quote the text, is not attached.
        raise Blocked(f"scrubbing the request failed with {failure}: nothing is sent", layer="ScrubPII")

    def _restore(self, call: Call, reply: Reply, vault: Vault) -> None:
        dialect = reply.dialect
        restore = ReplyRestore(vault, self._policy, self._output, self._unknown)

        def note() -> None:
            if restore.unknown:
                call.ledger.note("ScrubPII", "unknown_placeholders", count=restore.unknown)

        if reply.streaming:
            events: list[Any] = []
            reply.on_event(events.append)
            reply.safe = SafeReply(lambda: dialect.join(events), self._view)

            def ended(end: End) -> None:
                note()
                self._signatures.learn_events(events)
                if call.operation == "responses":
                    keep_vault(self._vaults, vault, call.request, call.context, _response_id(events))

            reply.on_end(ended)
            if restore.needed:
                reply.edit(restore)
            return
        body = reply.body
        reply.safe = SafeReply(lambda: body, self._view)
        self._signatures.learn(body)
        if call.operation == "responses":
            keep_vault(self._vaults, vault, call.request, call.context, _response_id([{"response": body}]))
        if restore.needed:
            reply.edit(restore)
            note()

    def _restore_body(self, reply: Reply, vault: Vault) -> None:
        """Restore a reply of no known form, if it is JSON."""
        body = reply.body if len(vault) else None
        restored = restore_value(body, vault, allows=self._policy.in_text(), urls=self._policy.urls)
        if restored is not body:
            reply.body = restored

    def forget(self, conversation: str, *, tenant: str | None = None, user: str | None = None) -> None:
        """Erase what is kept of a conversation that the provider remembers.

        Args:
            conversation: the id from `ap.context(conversation=…)`, or of a response or conversation of the provider's.

            tenant: whose it is, as in the context of its calls.

            user: see `tenant`.
        """
        for kind in ("id", "conversation"):
            self._vaults.forget("\0".join((tenant or "", user or "", kind, conversation)))

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        return dict(self._shown)


def _inner_context(call: Call, scrubbed: Mapping[str, Any], *, passed: bool) -> Context:
    """Return the context for the layers inside, which keep what they know of users apart by it."""
    context = call.context
    if passed and context.cache in ("default", "refresh"):
        context = replace(context, cache="bypass")
    if scrubbed is not call.request and context.user is None:
        named = call.dialect.user(call.request)
        if named is not None and call.dialect.user(scrubbed) != named:
            # Two users named by their addresses only must not become one by their placeholders.
            digest = hashlib.sha256(f"agentprod.user\0{named}".encode(errors="surrogatepass")).hexdigest()
            context = replace(context, user=f"user-{digest[:24]}")
    return context


def _response_id(events: list[Any]) -> str | None:
    for event in events[:8]:
        response = event.get("response") if isinstance(event, Mapping) else None
        if isinstance(response, Mapping) and isinstance(response.get("id"), str):
            return str(response["id"])
    return None


def _is_long(value: Any) -> bool:
    """Tell whether the texts in a value come to more than `_LONG` characters."""
    left = _LONG
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            left -= len(item)
        elif isinstance(item, Mapping):
            stack.extend(item.values())
        elif isinstance(item, list | tuple):
            left -= len(item)
            stack.extend(item)
        if left < 0:
            return True
    return False
