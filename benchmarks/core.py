"""What the onion itself costs: `python benchmarks/core.py` prints ratios measured in one run.

Peers: tenacity for the retry loop, the bare OpenAI SDK on a mock transport for wrapping and streams.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from typing import Any

import httpx2
import openai
import tenacity
from timing import async_blocks, blocks, table

import agentprod as ap

MESSAGES: Any = [{"role": "user", "content": "What is the capital of France?"}]
REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "gpt-5-mini",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "The capital of France is Paris. " * 20, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 13, "completion_tokens": 120, "total_tokens": 133},
}
CHUNKS = 200


class Empty:
    """A layer that does nothing."""

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Pass the call on."""
        return await call_next(call)


class Observer:
    """A layer that looks at every event."""

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Look."""
        reply = await call_next(call)
        reply.on_event(lambda event: None)
        return reply


def stream_body() -> bytes:
    """Return a streamed reply of CHUNKS pieces."""
    events = [{"role": "assistant", "content": ""}, *({"content": f"word{n} "} for n in range(CHUNKS)), {}]
    lines = []
    for number, delta in enumerate(events):
        chunk = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1700000000,
            "model": "gpt-5-mini",
            "service_tier": "default",
            "system_fingerprint": "fp_1",
            "choices": [
                {
                    "index": 0,
                    "delta": delta,
                    "logprobs": None,
                    "finish_reason": "stop" if number == len(events) - 1 else None,
                }
            ],
        }
        lines.append(f"data: {json.dumps(chunk)}\n\n")
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


class Pieces(httpx2.SyncByteStream):
    """A body that arrives event by event."""

    def __init__(self, body: bytes) -> None:
        self.pieces = [piece + b"\n\n" for piece in body.split(b"\n\n") if piece]

    def __iter__(self) -> Any:
        return iter(self.pieces)


def bare_client() -> openai.OpenAI:
    """Return a client whose transport answers in process."""
    whole = json.dumps(REPLY).encode()
    streamed = stream_body()

    def answer(request: httpx2.Request) -> httpx2.Response:
        if b'"stream":true' in request.content:
            return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Pieces(streamed))
        return httpx2.Response(200, headers={"content-type": "application/json"}, content=whole)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    return openai.OpenAI(api_key="k", base_url="https://provider.invalid/v1", http_client=http, max_retries=0)


def functions() -> str:
    """Measure layers and Retry around a function that does nothing."""

    def plain(text: str) -> str:
        return text

    async def aplain(text: str) -> str:
        return text

    again = {"stop": tenacity.stop_after_attempt(3), "wait": tenacity.wait_random_exponential()}
    none, eight = ap.Stack(), ap.Stack(*(type(f"Empty{n}", (Empty,), {})() for n in range(8)))
    subjects = {
        "none": none(plain),
        "eight": eight(plain),
        "retry": ap.Retry()(plain),
        "tenacity": tenacity.retry(**again)(plain),
    }
    calls: dict[str, Callable[[], object]] = {name: (lambda fn=fn: fn("x")) for name, fn in subjects.items()}  # type: ignore[misc]
    best = blocks(calls, calls=1500, rounds=60)
    asubjects = {
        "none": none(aplain),
        "eight": eight(aplain),
        "retry": ap.Retry()(aplain),
        "tenacity": tenacity.retry(**again)(aplain),
    }
    acalls: dict[str, Any] = {name: (lambda fn=fn: fn("x")) for name, fn in asubjects.items()}  # type: ignore[misc]
    abest = async_blocks(acalls, calls=1500, rounds=60)
    return table(
        "Layers around a function",
        [
            ("8 empty layers, sync, µs on top of a stack of none", best["eight"] - best["none"], "≤ 3"),
            ("8 empty layers, async, µs on top of a stack of none", abest["eight"] - abest["none"], "≤ 3"),
            ("Retry, success path, sync, ratio to tenacity", best["retry"] / best["tenacity"], "≤ 0.25"),
            ("Retry, success path, async, ratio to tenacity", abest["retry"] / abest["tenacity"], "≤ 0.20"),
            ("a stack of none around a function, sync, µs", best["none"], "(information)"),
            ("tenacity around a function, sync, µs", best["tenacity"], "(information)"),
        ],
    )


def create(client: openai.OpenAI) -> Callable[[], object]:
    """Return a call of a client."""
    return lambda: client.chat.completions.create(model="gpt-5-mini", messages=MESSAGES)


def wrapping() -> tuple[float, float]:
    """Return microseconds of a call of the bare SDK and of a wrapped one, in this process."""
    bare = bare_client()
    best = blocks({"bare": create(bare), "wrapped": create(ap.Stack().wrap(bare))}, calls=60, rounds=80)
    return best["bare"], best["wrapped"]


def in_processes(count: int) -> list[tuple[float, float]]:
    """Return the same of several processes: where a process has its code in memory moves the ratio by a hundredth."""
    printed = [
        subprocess.run([sys.executable, __file__, "wrapping"], capture_output=True, text=True, check=True).stdout
        for _ in range(count)
    ]
    return [(float(bare), float(wrapped)) for bare, wrapped in (line.split() for line in printed)]


def clients() -> str:
    """Measure wrapping and streams on the real SDK."""
    bare = bare_client()
    wrapped, watched = ap.Stack().wrap(bare), ap.Stack(Observer()).wrap(bare)
    found = in_processes(7)
    ratios = sorted(wrapped / bare for bare, wrapped in found)

    def stream(client: openai.OpenAI) -> Callable[[], object]:
        def read() -> None:
            for _ in client.chat.completions.create(model="gpt-5-mini", messages=MESSAGES, stream=True):
                pass

        return read

    streams = blocks({"bare": stream(bare), "wrapped": stream(wrapped), "watched": stream(watched)}, calls=2, rounds=50)
    per_chunk = {name: cost / (CHUNKS + 2) for name, cost in streams.items()}
    return table(
        "The OpenAI SDK on a mock transport",
        [
            ("wrap + empty stack, create, ratio to the bare SDK, median of 7 processes", median(ratios), "≤ 1.03"),
            ("the same, the lowest of them", ratios[0], "(information)"),
            ("the same, the highest of them", ratios[-1], "(information)"),
            ("bare create, µs", min(bare for bare, _ in found), "(information)"),
            (
                "observing a stream, share of the SDK's own cost per chunk",
                (per_chunk["watched"] - per_chunk["bare"]) / per_chunk["bare"],
                "≤ 0.05",
            ),
            (
                "an empty stack around a stream, share of the SDK's own cost per chunk",
                (per_chunk["wrapped"] - per_chunk["bare"]) / per_chunk["bare"],
                "≤ 0.05",
            ),
            ("bare stream, µs per chunk", per_chunk["bare"], "(information)"),
        ],
    )


HEAVY = ("openai", "anthropic", "httpx", "httpx2", "numpy", "tiktoken", "pydantic")


def imports() -> str:
    """Measure `import agentprod` beside `import tenacity`, each in processes of its own."""

    def cost(statement: str) -> float:
        code = f"import time; t = time.process_time(); {statement}; print(time.process_time() - t)"
        return min(
            float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
            for _ in range(15)
        )

    loaded = subprocess.run(
        [sys.executable, "-c", f"import sys, agentprod; print([m for m in {HEAVY} if m in sys.modules])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    ours, theirs = cost("import agentprod"), cost("import tenacity")
    return (
        table(
            "Importing",
            [
                ("import agentprod, ratio to import tenacity", ours / theirs, "≤ 2"),
                ("import agentprod, ms", ours * 1e3, "(information)"),
            ],
        )
        + f"\n\nHeavy modules that `import agentprod` loads: {loaded}"
    )


def main() -> None:
    """Print all tables."""
    if sys.argv[1:] == ["wrapping"]:
        print(*wrapping())
        return
    for part in (functions, clients, imports):
        print(part(), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
