"""What peers of the budget do, each in an environment of its own: `python benchmarks/budget_peers.py NAME` prints JSON.

Called by `benchmarks/budget.py`; needs neither agentprod nor any other peer.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

CALLS, CAP = 100, 20
WORDS = "what a budget holds is what was said before it was spent "


def best(fn: Callable[[], object], calls: int, rounds: int = 5) -> float:
    """Return microseconds of CPU time per call, the minimum over blocks."""
    fn()
    found = float("inf")
    for _ in range(rounds):
        begun = time.process_time()
        for _ in range(calls):
            fn()
        found = min(found, (time.process_time() - begun) / calls * 1e6)
    return found


def history(turns: int) -> list[dict[str, Any]]:
    """Return the conversation that `benchmarks/budget.py` counts and trims."""
    made: list[dict[str, Any]] = [{"role": "system", "content": "You are kind."}]
    for turn in range(turns):
        call = {"id": f"c{turn}", "type": "function", "function": {"name": "look", "arguments": '{"at": "it"}'}}
        made += [
            {"role": "user", "content": f"Question {turn}: {WORDS * 8}"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"c{turn}", "content": f"result {turn} {WORDS * 12}"},
            {"role": "assistant", "content": f"Answer {turn}: {WORDS * 8}"},
        ]
    return made


def litellm() -> dict[str, float]:
    """LiteLLM's BudgetManager, prices, counter and trimmer."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    begun = time.process_time()
    lite = importlib.import_module("litellm")
    found = {"import_s": time.process_time() - begun}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        books = lite.BudgetManager(project_name="bench", client_type="local")
        told = {"model": "gpt-3.5-turbo", "input_text": WORDS * 20, "output_text": WORDS * 20}
        books.create_budget(total_budget=1, user="one")
        books.update_cost(user="one", **told)
        books.create_budget(total_budget=books.get_current_cost("one") * CAP, user="many")
        sent: list[int] = []

        def call(_: int) -> None:
            if books.get_current_cost("many") < books.get_total_budget("many"):
                time.sleep(0.02)  # the provider answers
                sent.append(1)
                books.update_cost(user="many", **told)

        with ThreadPoolExecutor(CALLS) as pool:
            list(pool.map(call, range(CALLS)))
        found["sent"] = len(sent)
    cost, count = lite.cost_per_token, lite.token_counter
    found["price"] = best(lambda: cost(model="gpt-5-mini", prompt_tokens=1000, completion_tokens=200), 300)
    body = lite.ModelResponse(
        model="gpt-5-mini", usage={"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
    )
    found["completion_cost"] = best(lambda: lite.completion_cost(completion_response=body), 300)
    twenty = history(5)[:20]
    found["count"] = best(lambda: count(model="gpt-5-mini", messages=twenty), 50)
    found["count_claude"] = best(lambda: count(model="claude-sonnet-4-5", messages=twenty), 20)
    long = history(125)
    trim = importlib.import_module("litellm.utils").trim_messages
    found["trim"] = best(lambda: trim([dict(message) for message in long], "gpt-5-mini", max_tokens=8000), 1, 2)
    return found


def langchain() -> dict[str, float]:
    """LangChain's trimmer, with its approximate counter."""
    messages = importlib.import_module("langchain_core.messages")
    made = messages.convert_to_messages(history(125))
    count = messages.utils.count_tokens_approximately
    return {
        "trim": best(lambda: messages.trim_messages(made, max_tokens=8000, token_counter=count, strategy="last"), 3, 3)
    }


def snipz() -> dict[str, float]:
    """Snipz' ledger on SQLite: 100 tasks at once, and reserve and commit over four scopes."""
    ledger = importlib.import_module("snipz")

    async def main() -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            budget = ledger.Budget(str(Path(folder) / "snipz.db"))
            await budget.migrate()
            many = ledger.Scope("user", "many")
            await budget.set_limit(many, Decimal(CAP))
            sent: list[int] = []

            async def call() -> None:
                try:
                    async with await budget.reserve(many, Decimal(1)) as held:
                        await asyncio.sleep(0.02)
                        sent.append(1)
                        await held.commit(Decimal(1))
                except ledger.BudgetExceededError:
                    pass

            for _ in range(0, CALLS, 10):  # more at once wait for its lock in vain
                await asyncio.gather(*(call() for _ in range(10)))
            scopes = [ledger.Scope(kind, "x") for kind in ("user", "team", "run", "global")]
            for scope in scopes:
                await budget.set_limit(scope, Decimal(10**9))
            fastest = float("inf")
            for _ in range(5):
                begun = time.process_time()
                for _ in range(20):
                    held = await budget.reserve(scopes, Decimal(1))
                    await held.commit(Decimal(1))
                fastest = min(fastest, (time.process_time() - begun) / 20 * 1e6)
            await budget.close()
            return {"sent": len(sent), "reserve": fastest}

    return asyncio.run(main())


if __name__ == "__main__":
    print(json.dumps({"litellm": litellm, "langchain": langchain, "snipz": snipz}[sys.argv[1]]()))
