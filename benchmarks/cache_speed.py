"""How fast the caches answer, beside those people use around LLM calls today.

    pip install aiocache cashews cachetools diskcache gptcache sqlalchemy faiss-cpu hnswlib usearch
    python benchmarks/cache_speed.py [--rounds N] [--size N]

The first three are needed; of the others, what is not installed is named and left out.

Ratios of CPU time in one run: interleaved blocks, the minimum of each. The peers hash no request: aiocache makes its
key of `str(args)`, cashews of a formatted template, and cachetools of `hash(args)`, so that they take a request as
the text it is; agentprod takes it as messages, and tells apart what differs.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import tempfile
import threading
from importlib import import_module
from typing import Any

import aiocache
import cachetools
import cashews
from cache_index_speed import compare_indexes
from cache_semantic_speed import semantic_hits
from timing import Row, async_blocks, blocks, table

import agentprod as ap
from agentprod.caching.entries import Entry, Terms
from agentprod.caching.exact import Cache
from agentprod.caching.shelf import Shelf

WORDS = "the quick brown fox jumps over a lazy dog while seven wizards mix odd potions by night".split()


def request(size: int, *, long_text: bool = False) -> dict[str, Any]:
    """Return a chat request of about so many bytes of JSON."""
    words = random.Random(size)
    head = {"model": "gpt-5-mini", "temperature": 0, "max_tokens": 512}
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
    messages: list[dict[str, Any]] = [{"role": "system", "content": "You are a helpful assistant. Be brief."}]
    while len(json.dumps({**head, "tools": [tool], "messages": messages})) < size - 120:
        count = 2000 if long_text else 16
        role = "user" if len(messages) % 2 else "assistant"
        messages.append({"role": role, "content": " ".join(words.choices(WORDS, k=count))})
    return {**head, "tools": [tool], "messages": messages}


ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-5-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Four."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 200, "completion_tokens": 2, "total_tokens": 202},
}


def hits(rounds: int) -> list[Row]:
    """Measure hits through decorators, sync and async, with a request of 1.3 KB."""
    small = request(1300)
    text = json.dumps(small)

    @Cache()
    async def ours(model: str, messages: list[Any], **options: Any) -> str:
        return "Four."

    @Cache()
    async def ours_text(prompt: str) -> str:
        return "Four."

    @aiocache.cached(ttl=3600)
    async def by_aiocache(prompt: str) -> str:
        return "Four."

    cashews.cache.setup("mem://", size=10_000)

    @cashews.cache(ttl="1h")
    async def by_cashews(prompt: str) -> str:
        return "Four."

    asynchronous = async_blocks(
        {
            "agentprod": lambda: ours(**small),
            "agentprod, one text": lambda: ours_text(text),
            "aiocache": lambda: by_aiocache(text),
            "cashews": lambda: by_cashews(text),
        },
        calls=2000,
        rounds=rounds,
    )

    @Cache()
    def sync_ours(model: str, messages: list[Any], **options: Any) -> str:
        return "Four."

    @cachetools.cached(cachetools.TTLCache(10_000, 3600), lock=threading.Lock())
    def by_cachetools(prompt: str) -> str:
        return "Four."

    subjects: dict[str, Any] = {"agentprod": lambda: sync_ours(**small), "cachetools": lambda: by_cachetools(text)}
    with tempfile.TemporaryDirectory() as folder:
        try:
            disk: Any = import_module("diskcache").Cache(folder)
        except ImportError:
            print("left out diskcache: not installed")
        else:
            by_diskcache = disk.memoize(expire=3600)(lambda prompt: "Four.")
            subjects["diskcache"] = lambda: by_diskcache(text)
        synchronous = blocks(subjects, calls=2000, rounds=rounds)
        if "diskcache" in subjects:
            disk.close()
    us, text_us, sync_us = asynchronous["agentprod"], asynchronous["agentprod, one text"], synchronous["agentprod"]
    return [
        ("async hit, 1.3 KB of messages, µs", us, ""),
        ("… to aiocache `@cached`", us / asynchronous["aiocache"], "≤ 1.3"),
        ("… to cashews `@cache`", us / asynchronous["cashews"], "≤ 0.8"),
        ("async hit, 1.3 KB as one text, to aiocache", text_us / asynchronous["aiocache"], ""),
        ("sync hit, 1.3 KB of messages, µs", sync_us, ""),
        ("sync hit to cachetools TTLCache, which hashes one text", sync_us / synchronous["cachetools"], ""),
        *((f"sync hit to {name}", sync_us / synchronous[name], "") for name in synchronous if name == "diskcache"),
    ]


def large(rounds: int) -> list[Row]:
    """Measure hits with a request of 95 KB: of many messages, and of a few long texts that come again and again."""
    many, few = request(95_000), request(95_000, long_text=True)

    @Cache()
    def ours(model: str, messages: list[Any], **options: Any) -> str:
        return "Four."

    def by_hand(data: dict[str, Any]) -> str:
        return hashlib.sha256(json.dumps(data, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def by_hand_ascii(data: dict[str, Any]) -> str:
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()

    fresh = json.dumps(few)
    figures = blocks(
        {
            "ours many": lambda: ours(**many),
            "ours few": lambda: ours(**few),
            "hand many": lambda: by_hand(many),
            "hand few": lambda: by_hand(few),
            "parse": lambda: json.loads(fresh),
            "parse and ours": lambda: ours(**json.loads(fresh)),
            "hand ascii": lambda: by_hand_ascii(many),
        },
        calls=200,
        rounds=rounds,
    )
    first_seen = figures["parse and ours"] - figures["parse"]
    return [
        ("sync hit, 95 KB in many messages, µs", figures["ours many"], ""),
        ("… to json.dumps + sha256 alone", figures["ours many"] / figures["hand many"], "≤ 1.2"),
        ("sync hit, 95 KB in a few long texts, µs", figures["ours few"], ""),
        ("… to json.dumps + sha256 alone", figures["ours few"] / figures["hand few"], "≤ 0.4"),
        ("… when every text is a new object", first_seen / figures["hand few"], "≤ 1.2"),
    ]


def coalesced(rounds: int) -> list[Row]:
    """Measure what each of 50 callers pays for sharing one call."""
    number = 50

    async def upstream() -> str:
        await asyncio.sleep(0)
        return "Four."

    calls = [0]

    @Cache()
    async def ours(key: int) -> str:
        return await upstream()

    async def all_ours() -> None:
        calls[0] += 1
        await asyncio.gather(*(ours(calls[0]) for _ in range(number)))

    async def shielded() -> None:
        shared: dict[int, asyncio.Future[str]] = {}

        async def one(key: int) -> str:
            future = shared.get(key)
            if future is None:
                future = shared[key] = asyncio.ensure_future(upstream())
            return await asyncio.shield(future)

        await asyncio.gather(*(one(1) for _ in range(number)))

    async def passes(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        return await call_next(call)

    onion = ap.Stack(passes).decorate(upstream)

    async def all_onion() -> None:
        await asyncio.gather(*(onion() for _ in range(number)))

    async def all_bare() -> None:
        await asyncio.gather(*(upstream() for _ in range(number)))

    figures = async_blocks(
        {"ours": all_ours, "shield": shielded, "onion": all_onion, "bare": all_bare}, calls=20, rounds=rounds
    )
    entering = figures["onion"] - figures["bare"]
    return [
        ("one of 50 coalesced callers, µs", figures["ours"] / number, ""),
        ("… of it entering and leaving the onion, as any call does, µs", entering / number, ""),
        ("… the rest, to asyncio.shield around one future", (figures["ours"] - entering) / figures["shield"], "≤ 2"),
        ("… all of it, to asyncio.shield around one future", figures["ours"] / figures["shield"], ""),
    ]


def containers(rounds: int) -> list[Row]:
    """Measure a look-up in the memory of the cache, and in the containers of cachetools under a lock."""
    shelf = Shelf(10_000, 100_000_000)
    lru: Any = cachetools.LRUCache(10_000)
    tlru: Any = cachetools.TLRUCache(10_000, ttu=lambda key, value, now: now + 3600)
    lock = threading.Lock()
    keys = [f"{number:064x}" for number in range(5000)]
    for key in keys:
        entry = Entry(key, "body", "{}", 0.0, Terms(3600), "chat", "p", "u", "m", "m", ("tenant", None, None))
        shelf.put(entry, 0.0)
        lru[key] = tlru[key] = entry

    def ours() -> None:
        for key in keys:
            shelf.get(key, 1.0)

    def by_lru() -> None:
        for key in keys:
            with lock:
                lru.get(key)

    def by_tlru() -> None:
        for key in keys:
            with lock:
                tlru.get(key)

    figures = blocks({"ours": ours, "LRUCache": by_lru, "TLRUCache": by_tlru}, calls=4, rounds=rounds)
    return [
        ("look-up among 5,000 entries, µs", figures["ours"] / len(keys), ""),
        ("… to cachetools LRUCache, which knows no time", figures["ours"] / figures["LRUCache"], ""),
        ("… to cachetools TLRUCache", figures["ours"] / figures["TLRUCache"], "≤ 1"),
    ]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", type=int, default=100_000, help="vectors in the indexes that are compared")
    options = parser.parse_args()
    rounds = options.rounds
    print(f"aiocache {aiocache.__version__}; cachetools {cachetools.__version__}\n")
    print(table("Exact hits", hits(rounds)), "\n")
    print(table("Large requests", large(rounds)), "\n")
    print(table("Memory", containers(rounds)), "\n")
    print(table("Single-flight", coalesced(rounds)), "\n")
    print(table("Semantic hits", semantic_hits(rounds)))
    compare_indexes(options.size)


if __name__ == "__main__":
    main()
