"""Runs what docs/how-to/frameworks.md tells a user to type, with a scripted provider, and counts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import agentprod as ap
from agentprod.testing import Provider

PAGE = Path(__file__).parent.parent.parent / "docs/how-to/frameworks.md"
# No connection is kept: frameworks hold clients for ever, and tests run them in loops that end.
OPTIONS: dict[str, Any] = {"api_key": "k", "max_retries": 0, "default_headers": {"connection": "close"}}
MESSAGES = [{"role": "user", "content": "Say hello to Li Wei, 李伟."}]


def typed(section: str) -> str:
    """Return the Python of one section of the page."""
    text = PAGE.read_text("utf-8")
    (body,) = re.findall(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^```python\n(.*?)^```", body, re.MULTILINE | re.DOTALL)
    assert blocks, f"no Python under {section}"
    return "\n\n".join(blocks)


class Counter:
    """Counts what passes the stack, other traffic too."""

    other_traffic = True

    def __init__(self) -> None:
        self.calls: list[ap.Call] = []

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Count one."""
        self.calls.append(call)
        return await call_next(call)


class Place:
    """A provider, a stack that counts, and the names that the page's blocks use.

    Args:
        provider: a running one.
    """

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.counter = Counter()
        self.stack = ap.Stack(self.counter)
        self.names: dict[str, Any] = {"stack": self.stack, "__name__": "typed"}

    def with_openai(self) -> Place:
        """Make the OpenAI clients."""
        import openai

        options: dict[str, Any] = {"base_url": self.provider.openai_url, **OPTIONS}
        self.names["client"] = self.stack.wrap(openai.OpenAI(**options))
        self.names["async_client"] = self.stack.wrap(openai.AsyncOpenAI(**options))
        return self

    def with_anthropic(self) -> Place:
        """Make the Anthropic clients."""
        import anthropic

        options: dict[str, Any] = {"base_url": self.provider.anthropic_url, **OPTIONS}
        self.names["claude"] = self.stack.wrap(anthropic.Anthropic(**options))
        self.names["async_claude"] = self.stack.wrap(anthropic.AsyncAnthropic(**options))
        return self

    def type(self, section: str) -> Any:
        """Run the section's Python and return what it names."""
        exec(compile(typed(section), str(PAGE), "exec", dont_inherit=True), self.names)
        return self

    def __getattr__(self, name: str) -> Any:
        try:
            return self.names[name]
        except KeyError:
            raise AttributeError(name) from None

    def saw(self, count: int, operation: str | None = None) -> None:
        """Check that so many calls were seen, as many as requests were sent, and begin counting anew."""
        seen, sent = self.counter.calls, self.provider.requests
        assert len(seen) == len(sent) == count, f"{len(seen)} calls seen, {len(sent)} requests sent, {count} expected"
        if operation is not None:
            assert {call.operation for call in seen} == {operation}
        self.counter.calls.clear()
        self.provider.reset()
