"""What the layers cost, onion included, beside their peers: `python benchmarks/reliability.py [section …]`.

Peers: tenacity, stamina, redress (retry), interlock-cb, pybreaker (breaker), throttled-py, limits, pyrate-limiter,
aiolimiter (limits), LiteLLM's Router (all of it). They come with the dependency group `bench`; `nox -s bench --
benchmarks/reliability.py` installs them. Figures are CPU time over a bare call, the minimum of interleaved blocks of
one run.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import datetime
import gc
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiolimiter
import pybreaker
import redress
import reliability_parts as parts
import stamina
import tenacity
import throttled
from timing import Row, async_blocks, blocks, table

import agentprod as ap
from agentprod.testing import FakeClock

CALLS, ROUNDS = 300, 60
MANY = 1e12
MESSAGES: list[dict[str, Any]] = [{"role": "user", "content": "What is the capital of France?"}]


def work() -> int:
    return 1


async def awork() -> int:
    return 1


def over(figures: dict[str, float], name: str, bare: str = "bare") -> float:
    return figures[name] - figures[bare]


def ratio(figures: dict[str, float], one: str, other: str) -> float:
    return over(figures, one) / over(figures, other)


def tenacious(fn: Any) -> Any:
    return tenacity.retry(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_random_exponential(max=8))(fn)


def interlocked(name: str) -> Any:
    return parts.interlocked(name)


def retries() -> list[Row]:
    """A call that succeeds at once, through a retry; what an onion costs that does nothing is told beside it."""
    policy = redress.RetryPolicy(
        classifier=redress.default_classifier, strategy=redress.strategies.decorrelated_jitter()
    )
    sync = blocks(
        {
            "bare": work,
            "ours": ap.Stack(ap.Retry())(work),
            "onion": ap.Stack(Nothing())(work),
            "tenacity": tenacious(work),
            "stamina": stamina.retry(on=OSError)(work),
            "redress": lambda: policy.call(work),
        },
        calls=CALLS,
        rounds=ROUNDS,
    )
    tasks = async_blocks(
        {
            "bare": awork,
            "ours": ap.Stack(ap.Retry())(awork),
            "onion": ap.Stack(Nothing())(awork),
            "tenacity": tenacious(awork),
            "stamina": stamina.retry(on=OSError)(awork),
        },
        calls=CALLS,
        rounds=ROUNDS,
    )
    return [
        ("sync, us", over(sync, "ours"), ""),
        ("sync / tenacity", ratio(sync, "ours", "tenacity"), "≤ 0.15"),
        ("sync / stamina", ratio(sync, "ours", "stamina"), ""),
        ("sync / redress", ratio(sync, "ours", "redress"), "≤ 0.5"),
        ("sync, a layer that does nothing / tenacity", ratio(sync, "onion", "tenacity"), ""),
        ("sync, a layer that does nothing / redress", ratio(sync, "onion", "redress"), ""),
        ("async, us", over(tasks, "ours"), ""),
        ("async / tenacity", ratio(tasks, "ours", "tenacity"), "≤ 0.10"),
        ("async / stamina", ratio(tasks, "ours", "stamina"), ""),
        ("async, a layer that does nothing / tenacity", ratio(tasks, "onion", "tenacity"), ""),
    ]


def breakers() -> list[Row]:
    """A call through a closed circuit; what the breaker adds to an onion that is there anyway is told beside it."""
    sync = blocks(
        {
            "bare": work,
            "ours": ap.Stack(ap.CircuitBreaker())(work),
            "onion": ap.Stack(Nothing())(work),
            "interlock": interlocked("closed")(work),
            "pybreaker": pybreaker.CircuitBreaker()(work),
        },
        calls=CALLS,
        rounds=ROUNDS,
    )
    tasks = async_blocks(
        {
            "bare": awork,
            "ours": ap.Stack(ap.CircuitBreaker())(awork),
            "onion": ap.Stack(Nothing())(awork),
            "interlock": interlocked("closed async")(awork),
        },
        calls=CALLS,
        rounds=ROUNDS,
    )
    return [
        ("sync, us", over(sync, "ours"), ""),
        ("sync / interlock", ratio(sync, "ours", "interlock"), "≤ 0.35"),
        ("sync / pybreaker", ratio(sync, "ours", "pybreaker"), "≤ 1.3"),
        ("sync, without the onion / interlock", over(sync, "ours", "onion") / over(sync, "interlock"), ""),
        ("sync, without the onion / pybreaker", over(sync, "ours", "onion") / over(sync, "pybreaker"), ""),
        ("async, us", over(tasks, "ours"), ""),
        ("async / interlock", ratio(tasks, "ours", "interlock"), "≤ 0.35"),
        ("async, without the onion / interlock", over(tasks, "ours", "onion") / over(tasks, "interlock"), ""),
    ]


class Nothing:
    """A layer that does nothing: what is left is the onion's own cost."""

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Pass the call on."""
        return await call_next(call)


class Refusing:
    """A layer that raises the error of an open circuit and does nothing else."""

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Refuse."""
        raise ap.CircuitOpen("The circuit is open.", layer="Refusing", target="work", retry_after=1.0)


def refusals() -> list[Row]:
    """A call that an open circuit refuses, its exception included; the bare error through the onion beside it."""
    breaker = ap.CircuitBreaker(open_for=1e6, max_open_for=1e6)
    subjects = {
        "ours": parts.quiet(ap.Stack(breaker, classify=lambda error: ap.Fault.SERVER)(parts.fail)),
        "raised": parts.quiet(ap.Stack(Refusing())(parts.fail)),
        "interlock": parts.quiet(interlocked("open too")(parts.fail)),
        "pybreaker": parts.quiet(pybreaker.CircuitBreaker(reset_timeout=1e6)(parts.fail)),
    }
    for subject in subjects.values():
        for _ in range(20):
            subject()
    assert set(breaker.state().values()) == {"open"}
    figures = blocks(subjects, calls=CALLS, rounds=ROUNDS)
    return [
        ("refusal, us", figures["ours"], ""),
        ("refusal / interlock", figures["ours"] / figures["interlock"], "≤ 0.5"),
        ("refusal / pybreaker", figures["ours"] / figures["pybreaker"], ""),
        ("a layer that only raises the error / interlock", figures["raised"] / figures["interlock"], ""),
    ]


def limit() -> ap.RateLimit:
    return ap.RateLimit(requests=MANY, input_tokens=MANY, output_tokens=MANY, by="global")


def requests_limit() -> ap.RateLimit:
    return ap.RateLimit(requests=MANY, by="global")


def throttled_layer(fn: Any) -> Any:
    quota = throttled.rate_limiter.per_duration(datetime.timedelta(seconds=1), 10**9, 10**9)
    return throttled.Throttled(key="k", using="gcra", quota=quota, store=throttled.MemoryStore())(fn)


def stacks() -> list[Row]:
    """Everything around one call."""
    sync = blocks(
        {
            "bare": work,
            "ours": ap.Stack(ap.Retry(), requests_limit(), ap.CircuitBreaker())(work),
            "theirs": tenacious(interlocked("stack")(throttled_layer(work))),
        },
        calls=CALLS,
        rounds=ROUNDS,
    )
    limiter = aiolimiter.AsyncLimiter(1e9, 1)
    guarded = interlocked("async stack")

    @tenacious
    @guarded
    async def theirs() -> int:
        async with limiter, asyncio.timeout(60):
            return await awork()

    async def other() -> int:
        return 2

    layers = (ap.Retry(), ap.Bulkhead(1000), requests_limit(), ap.CircuitBreaker(), ap.Timeout(60))
    tasks = async_blocks(
        {
            "bare": awork,
            "ours": ap.Stack(ap.Deadline(120), ap.Fallback(other), *layers)(awork),
            "theirs": theirs,
        },
        calls=CALLS,
        rounds=ROUNDS,
    )
    return [
        ("sync: retry, limit, breaker, us", over(sync, "ours"), ""),
        ("the same / tenacity + interlock + throttled", ratio(sync, "ours", "theirs"), "≤ 0.25"),
        ("async: deadline, fallback, retry, bulkhead, limit, breaker, timeout, us", over(tasks, "ours"), ""),
        ("the same / tenacity + interlock + aiolimiter + asyncio.timeout", ratio(tasks, "ours", "theirs"), "≤ 0.5"),
    ]


def targets() -> list[Row]:
    """What the choice of a target costs while all is well: over an onion of a layer that does nothing."""

    async def other() -> int:
        return 2

    def sync_other() -> int:
        return 2

    sync = blocks(
        {
            "onion": ap.Stack(Nothing())(work),
            "fallback": ap.Stack(ap.Fallback(sync_other))(work),
            "balance": ap.Stack(ap.Balance(work, sync_other))(work),
        },
        calls=CALLS,
        rounds=ROUNDS,
    )
    tasks = async_blocks(
        {
            "onion": ap.Stack(Nothing())(awork),
            "fallback": ap.Stack(ap.Fallback(other))(awork),
            "balance": ap.Stack(ap.Balance(awork, other))(awork),
            "hedge": ap.Stack(ap.Hedge(after=60))(awork),
            "task": lambda: asyncio.create_task(awork()),
        },
        calls=CALLS,
        rounds=ROUNDS,
    )
    return [
        ("Fallback, sync, us", over(sync, "fallback", "onion"), ""),
        ("Fallback, async, us", over(tasks, "fallback", "onion"), ""),
        ("Balance over two, sync, us", over(sync, "balance", "onion"), ""),
        ("Balance over two, async, us", over(tasks, "balance", "onion"), ""),
        ("Hedge that sends nothing extra, async, us", over(tasks, "hedge", "onion"), ""),
        ("the same / asyncio.create_task alone", over(tasks, "hedge", "onion") / tasks["task"], ""),
    ]


def litellm_router() -> list[Row]:
    """LiteLLM's Router, over the call it makes."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    model = {"model_name": "m", "litellm_params": {"model": "openai/gpt-4o", "api_key": "k", "mock_response": "Paris"}}
    router: Any = litellm.Router(model_list=[model], num_retries=2)
    answer = litellm.completion(model="openai/gpt-4o", messages=MESSAGES, mock_response="Paris")

    def completion(model: str, messages: list[dict[str, Any]]) -> Any:
        return answer

    layers = (ap.Retry(), requests_limit(), ap.CircuitBreaker())
    ours = ap.Stack(ap.Fallback(completion), *layers)(completion)
    figures = blocks(
        {
            "completion": lambda: litellm.completion(model="openai/gpt-4o", messages=MESSAGES, mock_response="Paris"),
            "router": lambda: router.completion(model="m", messages=MESSAGES),
        },
        calls=20,
        rounds=20,
    )
    figures |= blocks(
        {"bare": lambda: completion("m", MESSAGES), "ours": lambda: ours("m", MESSAGES)}, calls=CALLS, rounds=ROUNDS
    )
    theirs = figures["router"] - figures["completion"]
    return [
        ("fallback, retry, limit, breaker: overhead, us", over(figures, "ours"), ""),
        ("LiteLLM Router: overhead over litellm.completion, us", theirs, ""),
        ("ours / theirs", over(figures, "ours") / theirs, "≤ 0.033"),
    ]


def sdk() -> list[Row]:
    """The same layers around an OpenAI client on a transport that answers in process."""
    import openai

    http: Any = sys.modules[openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0]]
    message = {"role": "assistant", "content": "Paris"}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    reply = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    body = json.dumps(reply).encode()
    head = {"content-type": "application/json"}
    transport = http.MockTransport(lambda request: http.Response(200, headers=head, content=body))
    client = http.Client(transport=transport)
    bare = openai.OpenAI(api_key="k", base_url="https://provider.invalid/v1", http_client=client, max_retries=0)
    layers = (ap.Deadline(120), ap.Retry(), ap.Bulkhead(1000), requests_limit(), ap.CircuitBreaker(), ap.Timeout(60))
    few = ap.Stack(ap.Retry(), requests_limit(), ap.CircuitBreaker()).wrap(bare)
    all_of_it = ap.Stack(*layers).wrap(bare)

    def ask(client: Any) -> Callable[[], Any]:
        return lambda: client.chat.completions.create(model="m", messages=MESSAGES)

    figures = blocks({"bare": ask(bare), "few": ask(few), "all": ask(all_of_it)}, calls=40, rounds=30)
    return [
        ("bare SDK call, us", figures["bare"], ""),
        ("retry, limit, breaker: share of it", over(figures, "few") / figures["bare"], "≤ 0.05"),
        ("deadline, bulkhead and timeout, too: share of it", over(figures, "all") / figures["bare"], ""),
    ]


CHUNK = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "word "}}]}
LAST = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
CHUNKS = 1000


def streams() -> list[Row]:
    """One chunk of a stream: idle limit, truncation and usage watched."""

    async def completion(model: str, messages: list[Any], stream: bool = True) -> AsyncIterator[dict[str, Any]]:
        for _ in range(CHUNKS):
            yield CHUNK
        yield LAST

    ours = ap.Stack(ap.Retry(), ap.CircuitBreaker(), ap.Timeout(idle=60))(completion)

    async def read(stream: AsyncIterator[Any]) -> None:
        async for _ in stream:
            pass

    async def with_timeout(stream: AsyncIterator[Any]) -> None:
        try:
            while True:
                async with asyncio.timeout(60):
                    await anext(stream)
        except StopAsyncIteration:
            pass

    async def looked_at(stream: AsyncIterator[Any]) -> AsyncIterator[Any]:
        finished = usage = None
        async for chunk in stream:
            usage = chunk.get("usage") or usage
            for choice in chunk["choices"]:
                finished = choice.get("finish_reason") or finished
            yield chunk
        assert finished

    async def with_wait_for(stream: AsyncIterator[Any]) -> None:
        try:
            while True:
                await asyncio.wait_for(anext(stream), 60)
        except StopAsyncIteration:
            pass

    figures = async_blocks(
        {
            "bare": lambda: read(completion("m", MESSAGES)),
            "ours": lambda: read(ours("m", MESSAGES)),
            "looked at": lambda: read(looked_at(completion("m", MESSAGES))),
            "timeout": lambda: with_timeout(completion("m", MESSAGES)),
            "wait_for": lambda: with_wait_for(completion("m", MESSAGES)),
        },
        calls=1,
        rounds=ROUNDS,
    )
    return [
        ("per chunk, us", over(figures, "ours") / CHUNKS, "≤ 1.2"),
        ("per chunk / asyncio.timeout", ratio(figures, "ours", "timeout"), "≤ 0.15"),
        ("per chunk / asyncio.wait_for", ratio(figures, "ours", "wait_for"), "≤ 0.04"),
        (
            "a generator that looks for finish and usage, no more / asyncio.timeout",
            ratio(figures, "looked at", "timeout"),
            "",
        ),
    ]


def idle_streams() -> list[Row]:
    """10,000 open streams that wait for their next chunk."""

    async def main() -> list[Row]:
        go = asyncio.Event()

        @ap.Stack(ap.Retry(), ap.CircuitBreaker(), ap.Timeout(idle=600))
        async def stream() -> AsyncIterator[str]:
            yield "first"
            await go.wait()
            yield "last"

        async def read() -> None:
            async for _ in stream():
                pass

        readers = [asyncio.create_task(read()) for _ in range(10_000)]
        await asyncio.sleep(1)
        loop: Any = asyncio.get_running_loop()
        tasks, timers = len(asyncio.all_tasks()) - len(readers) - 1, len(loop._scheduled)
        go.set()
        await asyncio.gather(*readers)
        return [("tasks per stream", tasks / 10_000, "0"), ("timers per stream", timers / 10_000, "≤ 1")]

    return asyncio.run(main())


def threads() -> list[Row]:
    """160 calls of 20 ms on 16 threads, by the clock on the wall."""

    def slow() -> int:
        time.sleep(0.02)
        return 1

    def wall(fn: Callable[[], int]) -> float:
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda _: None, range(16)))
            begun = time.perf_counter()
            list(pool.map(lambda _: fn(), range(160)))
            return time.perf_counter() - begun

    layers = (ap.Retry(), ap.Bulkhead(1000), requests_limit(), ap.CircuitBreaker())
    subjects = {"bare": slow, "ours": ap.Stack(*layers)(slow), "pybreaker": pybreaker.CircuitBreaker()(slow)}
    best = {name: min(wall(fn) for _ in range(5 if name != "pybreaker" else 1)) for name, fn in subjects.items()}
    return [
        ("throughput of retry, bulkhead, limit, breaker / bare", best["bare"] / best["ours"], "≥ 0.9"),
        ("the same / pybreaker alone", best["pybreaker"] / best["ours"], "≥ 12"),
    ]


def outage() -> list[Row]:
    """Attempts per call when the provider is down for 1,000 calls."""
    clock = FakeClock()
    attempts = 0

    def down() -> None:
        nonlocal attempts
        attempts += 1
        raise ConnectionResetError

    def calls(fn: Callable[[], None]) -> float:
        nonlocal attempts
        attempts = 0
        for _ in range(1000):
            try:
                fn()
            except Exception:
                clock.advance(0.01)
        return attempts / 1000

    retry = tenacity.retry(stop=tenacity.stop_after_attempt(4), sleep=lambda seconds: None, reraise=True)
    both = ap.Stack(ap.Retry(attempts=4), ap.CircuitBreaker(), clock=clock)(down)
    return [
        ("our Retry(attempts=4)", calls(ap.Stack(ap.Retry(attempts=4), clock=clock)(down)), "≤ 1.2"),
        ("with a CircuitBreaker inside", calls(both), ""),
        ("tenacity, 4 attempts", calls(retry(down)), ""),
    ]


def imports() -> list[Row]:
    """`import` in a fresh interpreter, CPU time over that of an empty one."""

    def cpu(statement: str) -> float:
        best = float("inf")
        for _ in range(12):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-c", statement], check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return best

    empty = cpu("pass")
    ours, theirs = cpu("import agentprod") - empty, cpu("import tenacity") - empty
    return [("import agentprod / import tenacity", ours / theirs, "≤ 2")]


SECTIONS: dict[str, Callable[[], list[Row]]] = {
    "retry": retries,
    "breaker": breakers,
    "refusal": refusals,
    "limiters": parts.limiters,
    "weights": parts.weights,
    "starvation": parts.starvation,
    "stack": stacks,
    "targets": targets,
    "litellm": litellm_router,
    "sdk": sdk,
    "stream": streams,
    "idle": idle_streams,
    "threads": threads,
    "half_open": parts.half_open,
    "outage": outage,
    "import": imports,
}


def main(names: list[str]) -> None:
    unknown = set(names) - SECTIONS.keys()
    if unknown:
        raise SystemExit(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    random.seed(1)
    for name in names or SECTIONS:
        section = SECTIONS[name]
        gc.freeze()  # what peers of earlier sections have loaded is not to be walked through at the cost of this one
        print(table((section.__doc__ or name).rstrip("."), section()), flush=True)
        print()


if __name__ == "__main__":
    main(sys.argv[1:])
