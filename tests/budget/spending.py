"""Functions that cost money, for the tests of budgets."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import agentprod as ap
from agentprod.stores import MemoryStore, PostgresStore, RedisStore, SqliteStore, Store

MODEL = "gpt-5-mini"
HELLO = [{"role": "user", "content": "hello"}]
STORES = ("memory", "sqlite", "redis", "postgres")


def by_output(provider: str, model: str | None, usage: ap.Usage) -> Decimal:
    """A hundredth of a dollar for each output token, so that `max_tokens` says what is reserved."""
    return Decimal(usage.output_tokens) / 100


def answer(tokens: int, text: str = "hi", *, read: int = 10, **message: Any) -> dict[str, Any]:
    """A chat completion of so many output tokens."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": "stop"}
    usage = {"prompt_tokens": read, "completion_tokens": tokens, "total_tokens": read + tokens}
    return {"object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage}


class Sent:
    """Counts what reached the provider."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.calls = 0
        self.requests: list[dict[str, Any]] = []

    def count(self) -> None:
        with self._lock:
            self.calls += 1


def asks(budget: ap.TokenBudget, *inside: Any, tokens: int = 100, **options: Any) -> tuple[Callable[..., Any], Sent]:
    """A function behind a budget whose every call costs `tokens` cents, and what counts its calls."""
    sent = Sent()
    options.setdefault("prices", by_output)

    @ap.Stack(budget, *inside, **options)
    def send(model: str, messages: Any, max_tokens: int) -> dict[str, Any]:
        sent.count()
        sent.requests.append({"model": model, "messages": messages, "max_tokens": max_tokens})
        return answer(tokens)

    def ask(model: str = MODEL, messages: Any = HELLO, max_tokens: int = 100) -> dict[str, Any]:
        return send(model, messages, max_tokens)

    return ask, sent


def make_store(kind: str, folder: Path, server: Callable[[str], str]) -> Store:
    """A new store of a kind, on a real server where it needs one: `server` knows the fixture's URL."""
    if kind == "memory":
        return MemoryStore()
    if kind == "sqlite":
        return SqliteStore(folder / "budget.db", timeout=30)
    if kind == "postgres":
        return PostgresStore(server("postgres_url"), schema=f"test_{uuid.uuid4().hex}", timeout=30)
    return RedisStore(server("redis_url"), prefix=f"test-{uuid.uuid4().hex}:", lookup_timeout=30, timeout=30)


def spent(budget: ap.TokenBudget, **scope: str) -> list[tuple[float, float]]:
    """What is spent and held of each limit."""
    return [(each.spent, each.held) for each in budget.status(**scope)]


class Remote:
    """Looks like a store elsewhere, and is a store in memory, or nowhere."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def remote(inner: Any) -> Any:
    """Return a store in memory that is asked as one elsewhere is."""
    return Remote(inner)
