"""Stay with a conversation's model unless leaving it pays for the prompt cache that is lost."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentprod.context import seconds
from agentprod.errors import ConfigError

if TYPE_CHECKING:
    from datetime import timedelta

    from agentprod.call import Call

__all__ = ["Session", "Sticky", "sticky_of"]

_SCOPES = ("conversation", "run", "user", "team", "tenant")


@dataclass(slots=True)
class Session:
    """One conversation: its model, and what each model's provider holds of it."""

    model: str
    cached: dict[str, tuple[int, float]] = field(default_factory=dict)
    """By model: tokens of the prefix that its last call left in the provider's cache, and when (monotonic)."""


class Sticky:
    """Keeps a conversation with its model.

    A dearer model is taken as soon as a stage asks for it. A cheaper one is taken only when the next call costs less
    there, the prefix that the provider has cached counted at its cached price: a switch that saves less than the cache
    is worth loses money. In the middle of a tool exchange, and for a message that only says to go on, the model stays.
    Calls that name no conversation are routed one by one.

    It looks one call ahead. Where a cheaper model would pay only over many turns, it is not gone to.

    Args:
        by: what makes calls one conversation: `"conversation"`, `"run"`, `"user"`, `"team"` or `"tenant"` of
            `ap.context`, or a function `(call) -> str | None`.

        cache_regret: `False` to switch whenever a stage asks for it, except in tool exchanges.

        ttl: seconds for which a provider keeps a cached prefix; five minutes are the default of both Anthropic and
            OpenAI (their prompt caching guides).

        max_conversations: how many are remembered; those quiet for longest are forgotten first.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(
        self,
        *,
        by: str | Callable[[Call], str | None] = "conversation",
        cache_regret: bool = True,
        ttl: float | timedelta = 300.0,
        max_conversations: int = 10_000,
    ) -> None:
        if not callable(by) and by not in _SCOPES:
            raise ConfigError(f"Sticky by must be one of {', '.join(_SCOPES)} or a function of the call, not {by!r}")
        if isinstance(max_conversations, bool) or not isinstance(max_conversations, int) or max_conversations < 1:
            raise ConfigError(f"Sticky max_conversations must be a whole number from 1, not {max_conversations!r}")
        self.by = by
        self.cache_regret = cache_regret
        self.ttl: float = seconds(ttl, "Sticky ttl")
        self._most = max_conversations
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def key(self, call: Call) -> str | None:
        """Return what names the call's conversation; `None` when nothing does."""
        found = self.by(call) if callable(self.by) else getattr(call.context, self.by)
        if not found:
            return None
        # The same name in two tenants is two conversations.
        return f"{call.context.tenant or ''}\x1f{found}"

    def find(self, key: str) -> Session | None:
        """Return a conversation."""
        return self._sessions.get(key)

    def cached(self, session: Session, model: str, now: float) -> int:
        """Return the tokens that a model's provider still holds of a conversation."""
        tokens, at = session.cached.get(model, (0, 0.0))
        return tokens if now - at < self.ttl else 0

    def remember(self, key: str, model: str, tokens: int | None, now: float) -> None:
        """Note which model answered and what its provider now holds.

        Args:
            key: names the conversation.

            model: the model.

            tokens: of request and reply together; `None` when nobody counted.

            now: monotonic time.
        """
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                session = self._sessions[key] = Session(model)
            self._sessions.move_to_end(key)
            session.model = model
            if tokens is not None:
                session.cached[model] = (tokens, now)
            if len(self._sessions) > self._most:
                self._sessions.popitem(last=False)


def sticky_of(given: Any) -> Sticky | None:
    """Read the option of the router.

    Raises:
        ConfigError: it is none of `None`, `True`, a scope, a function or a `Sticky`.
    """
    if given is None or given is False or isinstance(given, Sticky):
        return given or None
    return Sticky() if given is True else Sticky(by=given)
