"""One LLM call on its way in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from agentprod.board import Board
    from agentprod.context import Context
    from agentprod.dialects.base import Dialect
    from agentprod.faults import Classify
    from agentprod.ledger import Attempt, Ledger
    from agentprod.parts import Part
    from agentprod.reply import Reply
    from agentprod.runtime.runtime import Runtime

__all__ = ["Call", "CallNext", "Choice", "Edge", "Gate", "Handler", "Limits", "Middleware", "Target"]


class Choice(Protocol):
    """Places that may answer a call equally well. Asked by layers that send a call more than once."""

    def has_other(self, call: Call, /) -> bool:
        """Whether another place than where the call goes can answer now."""
        ...

    def other(self, call: Call, /) -> Call | None:
        """Return the call as it goes to another place that can answer now, and leave this one; `None` without any."""
        ...

    def beside(self, call: Call, /) -> Call | None:
        """Return a second call, to another place, while this one goes on; `None` without any."""
        ...


class Edge(Protocol):
    """Sends an attempt into the world."""

    def send(self, call: Call, attempt: Attempt, /) -> Reply | Awaitable[Reply]:
        """Send `call.request` once and return the open reply: at once where nothing has to be awaited for it."""
        ...


@dataclass(slots=True, eq=False)
class Target:
    """Where an attempt goes.

    `credential` is a fingerprint, never the credential itself.
    """

    provider: str
    base_url: str
    model: str | None
    edge: Edge
    credential: str = ""
    name: str | None = None
    kind: str = "sync"
    endpoint: str = field(init=False, repr=False)
    """Provider, base URL and model: what a circuit breaker watches."""
    account: str = field(init=False, repr=False)
    """Provider, base URL and credential: what a provider limits."""

    def __post_init__(self) -> None:
        self.endpoint = " ".join(part for part in (self.provider, self.base_url, self.model or "") if part)
        self.account = f"{self.provider} {self.base_url} {self.credential}"

    def __str__(self) -> str:
        return self.name or (f"{self.provider}/{self.model}" if self.model else self.provider)

    def with_model(self, model: str) -> Target:
        """Return the same place with another model."""
        return Target(self.provider, self.base_url, model, self.edge, self.credential, None, self.kind)


@dataclass(slots=True, frozen=True)
class Limits:
    """How long the waits of one attempt may take, in seconds; `None` is no limit."""

    attempt: float | None = None
    first_token: float | None = None
    idle: float | None = None
    thread: bool = False
    """Run a plain synchronous callable on a thread, so that its wait can end."""
    stream_until: float | None = None
    """Monotonic time at which a stream must have ended."""

    def until(self, when: float) -> Limits:
        """Return these limits with streams ending by `when` at the latest."""
        return replace(self, stream_until=when if self.stream_until is None else min(when, self.stream_until))

    def tightened(self, attempt: float | None, first_token: float | None, idle: float | None, thread: bool) -> Limits:
        """Return the tighter of these limits and others."""
        return Limits(
            _tighter(self.attempt, attempt),
            _tighter(self.first_token, first_token),
            _tighter(self.idle, idle),
            self.thread or thread,
            self.stream_until,
        )


def _tighter(one: float | None, other: float | None) -> float | None:
    return min(one, other) if one is not None and other is not None else other if one is None else one


NO_LIMITS = Limits()

Admit = Callable[["Call"], Awaitable[Any]]
Settle = Callable[[Any, "Attempt"], Awaitable[None]]
Gate = tuple[Admit, Settle]


class Call:
    """One logical LLM call. Treat it as immutable: change it with `replace` or `map_text`.

    Attributes:
        streaming: does the caller want a stream.

        dialect: of the caller's wire format.

        target: where an attempt goes.

        home: where the call goes by itself, whatever layers made of `target`: the caller's own client and model.

        request: the JSON the SDK would send (for a function: its arguments by name); never the
            caller's own object once changed.

        context: who is asking, captured when the call entered.

        deadline: monotonic time by which the call must have ended, or `None`.

        ledger: the account of this call.

        limits: how long the waits of one attempt may take.

        safe_request: the scrubbed view of the request, published by the innermost PII scrubber.

        variant: what besides the request decides the answer: beta features and the API's version asked for by header,
            and query parameters, of the request or by default of its client; `None` for most calls.
    """

    __slots__ = (
        "choice",
        "context",
        "deadline",
        "dialect",
        "followers",
        "gates",
        "home",
        "ledger",
        "limits",
        "observers",
        "origin",
        "request",
        "runtime",
        "safe_request",
        "streaming",
        "target",
        "variant",
    )

    streaming: bool
    dialect: Dialect
    target: Target
    home: Target
    request: Mapping[str, Any]
    context: Context
    deadline: float | None
    ledger: Ledger
    runtime: Runtime
    origin: Any
    """What the caller's own edge needs to send this call and to hand its reply back."""
    limits: Limits
    gates: tuple[Gate, ...]
    observers: tuple[Callable[..., None], ...]
    followers: tuple[Callable[..., None], ...]
    """Those of the observers that are told of every event of a stream."""
    safe_request: Mapping[str, Any] | None
    variant: str | None
    choice: Choice | None
    """The places that may answer this call equally well, when a layer chose among such."""

    @property
    def id(self) -> str:
        """The call's id, the same in span, log, audit, error and meta."""
        return self.ledger.id

    @property
    def operation(self) -> str:
        """`"chat"`, `"responses"`, `"messages"`, `"embeddings"`, `"function"` or `"other"`."""
        return self.dialect.operation

    @property
    def board(self) -> Board:
        """What is known of each target now."""
        return self.ledger.environment.board

    @property
    def state(self) -> dict[Any, Any]:
        """One dict per call for layers to keep things in; use keys of your own type."""
        return self.ledger.state

    @property
    def classify(self) -> Classify | None:
        """The stack's own classifier of exceptions."""
        return self.ledger.environment.classify

    def replace(self, **changes: Any) -> Call:
        """Return a copy with other attributes; id, ledger, board and state stay shared."""
        new = _new(Call)
        # One by one, which costs a quarter of a loop over the names: several layers change a call.
        new.streaming = self.streaming
        new.dialect = self.dialect
        new.target = self.target
        new.home = self.home
        new.request = self.request
        new.context = self.context
        new.deadline = self.deadline
        new.ledger = self.ledger
        new.runtime = self.runtime
        new.origin = self.origin
        new.limits = self.limits
        new.gates = self.gates
        new.observers = self.observers
        new.followers = self.followers
        new.safe_request = self.safe_request
        new.variant = self.variant
        new.choice = self.choice
        for name, value in changes.items():
            setattr(new, name, value)
        return new

    def __repr__(self) -> str:
        return f"Call({self.operation}, {self.target}, streaming={self.streaming})"

    def with_model(self, model: str) -> Call:
        """Return a copy that asks for `model` at the same place."""
        return self.replace(request=self.dialect.with_model(self.request, model), target=self.target.with_model(model))

    def map_text(self, fn: Callable[[str, Part], str]) -> Call:
        """Return a copy whose every text is `fn(text, part)`.

        Covers system, user, assistant and tool-result texts; of tool-call arguments each JSON
        string leaf on its own. Parts that `fn` returns unchanged keep their objects.
        """
        request = self.dialect.map_text(self.request, fn)
        return self if request is self.request else self.replace(request=request)

    def reply(self, text_or_body: Any) -> Reply:
        """Return a reply without calling the provider.

        Args:
            text_or_body: the answer's text, or a whole reply in the caller's wire form; for a
                function call, the value it shall return.

        Raises:
            ConfigError: a client is to get something that is neither.
        """
        from agentprod.reply import Reply

        return Reply.local(self, self.dialect.make_body(self.request, text_or_body))

    def gate(self, admit: Admit, settle: Settle) -> None:
        """Run `admit(call)` before every physical attempt, `settle(token, attempt)` after it.

        `admit` returns a token or raises to refuse the attempt; `settle` runs exactly once per
        admitted attempt, at its end: for a stream, when the stream ends. Register on the call you
        pass on; registering the same pair again changes nothing.
        """
        if (admit, settle) not in self.gates:
            self.gates = (*self.gates, (admit, settle))

    def observe(self, fn: Callable[[str, Attempt, Any], None], *, events: bool = True) -> None:
        """Call `fn(event, attempt, data)` at `"attempt_start"`, `"attempt_end"` and for each stream `"event"`.

        `data` is the call at the start, the error or `None` at the end, the event's JSON for events.
        What `fn` raises is logged and dropped. With `events=False` it hears of attempts only, and chunks of a stream
        cost it nothing.
        """
        if fn not in self.observers:
            self.observers = (*self.observers, fn)
            if events:
                self.followers = (*self.followers, fn)

    def helper(self) -> AbstractContextManager[None]:
        """Return a context in which calls that a layer makes itself do not enter this call's stack again."""
        from agentprod.reentry import entered

        return entered(self.ledger.environment.stack_id)


_new = object.__new__

CallNext = Callable[[Call], Awaitable["Reply"]]
"""The rest of the onion: hand it a call, get its reply."""

Handler = Callable[[Call], Awaitable["Reply"]]


class Middleware(Protocol):
    """A layer: one method. A plain `async def layer(call, call_next)` is one too."""

    async def handle(self, call: Call, call_next: CallNext, /) -> Reply:
        """Answer `call`, usually by way of `call_next`, zero, one or many times."""
        ...
