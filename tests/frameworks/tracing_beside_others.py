"""Bill each call once, whichever other instrumentation traces it: a check with the real ones.

Run it in an environment of its own, because their pins conflict with each other's and with ours:

    pip install agentprod opentelemetry-sdk openai anthropic
    pip install opentelemetry-instrumentation-genai-openai opentelemetry-instrumentation-genai-anthropic
    pip install openinference-instrumentation-openai openinference-instrumentation-anthropic
    python tests/frameworks/tracing_beside_others.py

Prints one line per instrumentation and call with the input tokens a viewer would add up, as a multiple of what the
provider billed, and exits with 1 when any is not 1. What is not installed is named and left out.
"""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

GENAI = ("opentelemetry.instrumentation.genai.openai", "opentelemetry.instrumentation.genai.anthropic")
OPENINFERENCE = ("openinference.instrumentation.openai", "openinference.instrumentation.anthropic")
INSTRUMENTATIONS: dict[str, tuple[str, ...]] = {
    "none": (),
    "native": (),
    "genai": GENAI,
    "openinference": OPENINFERENCE,
    "two at once": (*GENAI, *OPENINFERENCE),
    "the other way": (*OPENINFERENCE, *GENAI),
}
"""Anthropic's SDK traces itself in all of them but the first."""
BILLED = 1105
COUNTS = ("gen_ai.usage.input_tokens", "llm.token_count.prompt")
MESSAGES: list[Any] = [{"role": "user", "content": "Tell me a story."}]


def installed(module: str) -> bool:
    """Whether a module can be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def instrument(modules: tuple[str, ...]) -> None:
    """Switch an instrumentation on."""
    for module in modules:
        name = "OpenAIInstrumentor" if module.endswith("openai") else "AnthropicInstrumentor"
        getattr(importlib.import_module(module), name)().instrument()


def check(which: str) -> int:
    """Make every kind of call with one instrumentation on; return how many were not billed once."""
    warnings.simplefilter("ignore")
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(BatchSpanProcessor(exporter))  # as in production
    trace.set_tracer_provider(provider)
    instrument(INSTRUMENTATIONS[which])

    from agentprod.telemetry.later import later
    from agentprod.testing import Provider, behaviours
    from agentprod.usage import Usage

    wrong = 0
    reply = behaviours.ok("one two three four", chunks=4, usage=Usage(BILLED, 7))
    with Provider(reply) as server:
        for name, call in calls(server, native=which != "none").items():
            exporter.clear()
            call()
            later.flush(60)
            provider.force_flush()
            found = [
                span.attributes[key]
                for span in exporter.get_finished_spans()
                for key in COUNTS
                if key in span.attributes
            ]
            once = len(found) == 1 and (found[0] == BILLED or "cut" in name)
            wrong += not once
            print(f"{which:14} {name:34} {sum(found) / BILLED:.2f}x on {len(found)} span(s){'' if once else '  WRONG'}")
    return wrong


def calls(server: Any, *, native: bool) -> dict[str, Callable[[], Any]]:
    """Return the calls to check, each made through a stack with a tracer."""
    import anthropic
    import openai

    import agentprod as ap
    from agentprod.telemetry.tracer import Tracer

    plain_openai = openai.OpenAI(base_url=server.openai_url, api_key="k")
    tracing: Any = {} if native else {"open_telemetry": {"traces": {"enabled": False}}}
    plain_claude = anthropic.Anthropic(base_url=server.anthropic_url, api_key="k", **tracing)
    stack = ap.Stack(Tracer(), ap.Retry(wait=0))
    gpt, claude = stack.wrap(plain_openai), stack.wrap(plain_claude)

    @stack
    def complete(model: str, messages: list[Any]) -> Any:
        return plain_openai.chat.completions.create(model=model, messages=messages).model_dump()

    @stack
    def ask() -> str:
        plain_openai.chat.completions.create(model="gpt-5-mini", messages=MESSAGES)
        return "done"

    def chat(**options: Any) -> Any:
        return gpt.chat.completions.create(model="gpt-5-mini", messages=MESSAGES, **options)

    def message(**options: Any) -> Any:
        return claude.messages.create(model="claude-opus-4-5", max_tokens=9, messages=MESSAGES, **options)

    def respond(**options: Any) -> Any:
        return gpt.responses.create(model="gpt-5-mini", input="Tell me a story.", **options)

    async def achat(*, stream: bool) -> None:
        async with openai.AsyncOpenAI(base_url=server.openai_url, api_key="k") as plain:
            client = stack.wrap(plain)
            reply: Any = await client.chat.completions.create(model="gpt-5-mini", messages=MESSAGES, stream=stream)
            if stream:
                async for _ in reply:
                    pass

    def cut(stream: Any) -> None:
        iterator = iter(stream)
        for _ in range(3):
            next(iterator)
        stream.close()

    found = {
        "openai whole": chat,
        "openai stream": lambda: list(chat(stream=True)),
        "openai stream with include_usage": lambda: list(chat(stream=True, stream_options={"include_usage": True})),
        "openai stream cut": lambda: cut(chat(stream=True)),
        "openai async whole": lambda: asyncio.run(achat(stream=False)),
        "openai async stream": lambda: asyncio.run(achat(stream=True)),
        "openai responses whole": respond,
        "openai responses stream": lambda: list(respond(stream=True)),
        "anthropic whole": message,
        "anthropic stream": lambda: list(message(stream=True)),
        "anthropic stream cut": lambda: cut(message(stream=True)),
        "function that returns a completion": lambda: complete("gpt-5-mini", MESSAGES),
    }
    # Without an instrumentation of the plain client inside, nobody can know the counts.
    traced = (
        "opentelemetry.instrumentation.genai.openai" in sys.modules
        or "openinference.instrumentation.openai" in sys.modules
    )
    return {**found, "function that makes a call": ask} if traced else found


def main() -> int:
    """Check each instrumentation in a process of its own: they patch the SDKs for good."""
    if len(sys.argv) > 1:
        return check(sys.argv[1])
    wrong = 0
    for which, modules in INSTRUMENTATIONS.items():
        missing = [module for module in modules if not installed(module)]
        if missing:
            print(f"{which:14} left out: {', '.join(missing)} not installed")
            continue
        wrong += subprocess.run([sys.executable, __file__, which], check=False).returncode
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
