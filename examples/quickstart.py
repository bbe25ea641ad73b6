"""One stack around a real OpenAI client and a real Anthropic client, through the faults of an ordinary day.

Needs no key: a scripted provider on this machine answers over real HTTP. With OPENAI_API_KEY or
ANTHROPIC_API_KEY set, that client talks to its real provider instead (and costs what it costs).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import anthropic
import openai

import agentprod as ap
from agentprod.testing import Provider
from agentprod.testing import behaviours as b

QUESTION: Any = [{"role": "user", "content": "Name the three primary colours."}]
ANSWER = "Red, yellow and blue."
WIDTHS = (36, 11, 23, 7, 10, 7)


def main() -> None:
    """Run every act and print what each layer did."""
    with ExitStack() as resources:
        acts = [*openai_acts(resources), *anthropic_acts(resources)]
        print("One stack:\n")
        print(stack().explain(), end="\n\n")
        show("what happened", "result", "what the layers did", "tokens", "cost", "time")
        show(*("-" * width for width in WIDTHS))
        with ap.record() as calls:
            for title, act in acts:
                play(title, act)
        total = calls.summary()
        print(
            f"\n{total.calls} calls, {total.attempts} attempts, {total.cached} from the cache, cost ${calls.cost:.6f}"
        )
        print("Next: docs/getting-started.md, or `ap.meta(reply)` on any reply of yours.")


def stack() -> ap.Stack:
    """Return the layers, outermost first."""
    return ap.Stack(
        ap.Tracer(),
        ap.Deadline(30),
        ap.Cache(ttl=3600),
        ap.Retry(attempts=3, wait=0.05),
        ap.Timeout(20, first_token=5, idle=5),
    )


Act = tuple[str, Callable[[], Any]]


def openai_acts(resources: ExitStack) -> list[Act]:
    """Return the acts of a synchronous OpenAI client."""
    real = bool(os.environ.get("OPENAI_API_KEY"))
    script = [
        b.ok(ANSWER),
        b.rate_limit(retry_after_ms=60),
        b.ok(ANSWER),
        b.error(500),
        b.error(503),
        b.ok(ANSWER),
        b.cut(1),
        b.ok(ANSWER),
        b.truncate(4, reply=b.ok(ANSWER)),
        b.error(500),
    ]
    provider = resources.enter_context(Provider(script))
    address: dict[str, Any] = {} if real else {"base_url": provider.openai_url, "api_key": "no-key-needed"}
    client = stack().wrap(resources.enter_context(openai.OpenAI(**address)))

    def ask(text: str, **extra: Any) -> Any:
        messages: Any = [{"role": "user", "content": text}]
        return client.chat.completions.create(model="gpt-5-mini", messages=messages, **extra)

    def stream(text: str) -> Any:
        reply = ask(text, stream=True)
        for _ in reply:
            pass
        return reply

    acts: list[Act] = [
        ("OpenAI: a question", lambda: ask("Name the three primary colours.")),
        ("OpenAI: the same question again", lambda: ask("Name the three primary colours.")),
    ]
    if not real:
        acts += [
            ("OpenAI: 429, come back in 60 ms", lambda: ask("And the secondary ones?")),
            ("OpenAI: 500, then 503", lambda: ask("And in print?")),
            ("OpenAI: stream cut before content", lambda: stream("As a poem, please.")),
            ("OpenAI: stream that just stops", lambda: stream("As a long poem, please.")),
            ("OpenAI: outage", lambda: ask("Still there?")),
        ]
    return acts


def anthropic_acts(resources: ExitStack) -> list[Act]:
    """Return the acts of an asynchronous Anthropic client."""
    real = bool(os.environ.get("ANTHROPIC_API_KEY"))
    provider = resources.enter_context(Provider([b.error(529), b.ok("红、黄、蓝。"), b.dribble(1, 0.05)]))
    address: dict[str, Any] = {} if real else {"base_url": provider.anthropic_url, "api_key": "no-key-needed"}

    def run(text: str, **who: Any) -> Any:
        async def once() -> Any:
            async with anthropic.AsyncAnthropic(**address) as bare:
                client = ap.bind(layers.wrap(bare), **who)
                async with client.messages.stream(
                    model="claude-sonnet-5", max_tokens=200, messages=[{"role": "user", "content": text}]
                ) as stream:
                    await stream.get_final_message()
                    return stream

        return asyncio.run(once())

    layers = stack()
    acts: list[Act] = [
        ("Anthropic: overloaded (529), async", lambda: run("三原色是什么？", user="li")),
        ("Anthropic: the same, streamed again", lambda: run("三原色是什么？", user="li")),
    ]
    if not real:
        acts.append(("Anthropic: dribbles, deadline 0.5 s", lambda: run("再说一遍。", user="li", deadline=0.5)))
    return acts


def play(title: str, act: Callable[[], Any]) -> None:
    """Run one act and print its line."""
    begun = time.monotonic()
    try:
        found = ap.meta(act())
        result = "cache hit" if found.cache == "hit_exact" else "answered"
    except (ap.AgentprodError, openai.OpenAIError, anthropic.AnthropicError) as error:
        found = ap.meta(error)
        result = "interrupted" if isinstance(error, ap.StreamInterrupted) else "failed"
        if isinstance(error, ap.DeadlineExceeded):
            result = "deadline"
    usage = found.usage
    tokens = f"{usage.input_tokens}+{usage.output_tokens}" if usage else "-"
    cost = "unknown" if found.cost is None else f"${found.cost:.6f}"
    show(title, result, told(found), tokens, cost, f"{time.monotonic() - begun:.2f} s")


def told(found: ap.Meta) -> str:
    """Return the attempts in a word each."""
    if not found.attempts:
        return "Cache: no request sent"
    words = []
    for attempt in found.attempts:
        fault = "ok" if attempt.fault is None else attempt.fault.value
        if attempt.fault is ap.Fault.REJECTED:
            fault = "cut off at the deadline"
        words.append(fault if attempt.status in (None, 200) else f"{attempt.status}")
    return " → ".join(words)


def show(*cells: str) -> None:
    """Print one row."""
    print("  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip())


if __name__ == "__main__":
    main()
