"""Send a call through another client than the one it was made with, and hand its reply back in the caller's words."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentprod.call import Call, Target
from agentprod.dialects.anthropic_messages import MESSAGES
from agentprod.dialects.base import Dialect
from agentprod.dialects.openai_chat import CHAT
from agentprod.dialects.openai_embeddings import EMBEDDINGS
from agentprod.dialects.openai_responses import RESPONSES
from agentprod.edge.origin import Origin, origin_of
from agentprod.edge.retelling import RetoldSource, retold_error, retold_reply
from agentprod.edge.sdk_options import FEATURES
from agentprod.edge.wrap import lent_client
from agentprod.errors import ConfigError

if TYPE_CHECKING:
    from agentprod.ledger import Attempt
    from agentprod.reply import Reply
    from agentprod.stream import Source

__all__ = ["ForeignEdge"]

_SPEAKS: dict[str, tuple[Dialect, ...]] = {"openai": (CHAT, RESPONSES, EMBEDDINGS), "anthropic": (MESSAGES,)}
"""The wire formats of each SDK; what is translated is translated into the first."""
_PATHS = {"openai": "/chat/completions", "anthropic": "/v1/messages"}

_ITS_OWN = frozenset({"message.reasoning", "message.redacted_thinking"})
"""Thinking of one provider, which no other can read or check: it is left out, whoever asks."""


class ForeignEdge:
    """Sends calls of any caller through one client.

    Args:
        client: an SDK client without a stack.

        drop: names of request fields that may be left out.

        defaults: request fields for calls that do not have them, in the client's own wire form.

    Raises:
        ConfigError: no client of a known SDK.
    """

    def __init__(self, client: Any, drop: frozenset[str], defaults: Mapping[str, Any]) -> None:
        self._client, self._sdk = lent_client(client)
        self._root = self._sdk.errors.sdk
        if self._root not in _SPEAKS:
            raise ConfigError(
                f"ap.target knows how to ask clients of the openai and anthropic SDKs, not a {type(client).__name__} "
                f"of {self._root}; list a function that asks it as the target"
            )
        self._drop = drop
        self._defaults = dict(defaults)
        self._options = sys.modules[f"{self._root}._models"].FinalRequestOptions

    def target(self, model: str, name: str | None) -> Target:
        """Return the target of a model at this client."""
        place = self._sdk.target(self._client, model)
        return Target(place.provider, place.base_url, model, self, place.credential, name, place.kind)

    def obstacle(self, call: Call, target: Target) -> str | None:
        """Return why this client cannot be asked this; `None` when it can."""
        return self._translated(call, target)[2]

    async def send(self, call: Call, attempt: Attempt) -> Reply:
        """Send one attempt."""
        target = call.target
        request, lost, reason = self._translated(call, target)
        if reason is not None:
            raise ConfigError(f"{target} cannot answer this call: {reason}")
        own = self._speaks(call)
        try:
            reply = await self._sdk.send(self._call(call, request, own), attempt)
        except Exception as error:
            raised = retold_error(error, call)
            if raised is error:
                raise
            raise raised from error
        for name in lost:
            call.ledger.drop(name)
        return reply if own or reply.stream is not None else retold_reply(reply, call)

    def _speaks(self, call: Call) -> bool:
        return call.dialect in _SPEAKS[self._root]

    def _translated(self, call: Call, target: Target) -> tuple[dict[str, Any], list[str], str | None]:
        """Return the request in this client's words, what had none, and why it cannot be sent."""
        if self._speaks(call):
            kept = {name: value for name, value in call.request.items() if name not in self._drop}
            return self._filled(kept, target), sorted(call.request.keys() & self._drop), None
        neutral = call.dialect.to_neutral(call.request)
        made = None if neutral is None else _SPEAKS[self._root][0].from_neutral(neutral)
        if neutral is None or made is None:
            return {}, [], f"a {call.operation} request has no words in the API of {self._root}"
        request = self._filled(made, target)
        missing = sorted(name for name in neutral.lost if not self._may_drop(name))
        if missing:
            return {}, [], f"its API has no words for {', '.join(missing)}; name them in drop= to leave them out"
        if self._root == "anthropic" and request.get("max_tokens") is None:
            return {}, [], 'Anthropic needs max_tokens; give the target defaults={"max_tokens": …}'
        return request, neutral.lost, None

    def _filled(self, request: dict[str, Any], target: Target) -> dict[str, Any]:
        return {**self._defaults, **request, "model": target.model}

    def _may_drop(self, name: str) -> bool:
        return name in _ITS_OWN or name in self._drop or name.partition(" ")[0] in self._drop

    def _call(self, call: Call, request: dict[str, Any], own: bool) -> Call:
        """Return the call as this client sends it."""
        caller: Origin | None = call.origin if isinstance(call.origin, Origin) else None
        given: dict[str, Any] = {"method": "post", "url": _PATHS[self._root], "json_data": request}
        if own and caller is not None:
            given["url"] = caller.options.url
            features = _features(caller.options.headers)
            if features:
                given["headers"] = features
        wish = caller.options.timeout if caller is not None else None
        given["timeout"] = wish if isinstance(wish, int | float) else self._client.timeout
        if call.streaming:
            request["stream"] = True
        if caller is not None:
            given["idempotency_key"] = caller.asked["idempotency_key"]
        origin = origin_of(self._client, object, self._options.construct(**given), call.streaming, None)
        origin.request = request
        if own:
            origin.hides_usage = caller is not None and caller.hides_usage
            return call.replace(request=request, origin=origin)
        dialect = _SPEAKS[self._root][0]
        # The caller's own format may promise counts, so they are asked for; who did not ask does not see them.
        origin.hides_usage = call.streaming and not dialect.asks_usage(request)
        sent = call.replace(request=request, origin=origin, dialect=dialect)

        def retell(source: Source) -> tuple[Source, Call]:
            return RetoldSource(source, dialect, call), call

        origin.retell = retell
        return sent


def _features(headers: Any) -> dict[str, str]:
    """Return the headers that switch features of an API on; others may hold what is meant for the caller's own host."""
    given = headers.items() if hasattr(headers, "items") else ()
    return {name: value for name, value in given if str(name).lower() in FEATURES}
