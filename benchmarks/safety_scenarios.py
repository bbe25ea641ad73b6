"""Scrubbing at the size of its scenarios: streams, tool documents, conversations, threads.

    AGENTPROD_DATA=… PYTHONPATH=src python benchmarks/safety_scenarios.py [--seed N]

Prints how much went wrong of how many; the same is asserted on fewer cases in tests/safety/test_scenarios.py.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pii_generator as generator

import agentprod as ap
from agentprod.safety.pii import RestoreStream, Scrubber, Vault, restore

LAYER = ap.ScrubPII(strategy={"SECRET": "placeholder"})


def texts(seed: int, each: int) -> list[str]:
    """Return rows with and without personal data in both languages, some of them disguised."""
    rows: list[str] = []
    for lang, how in itertools.product(("zh", "en"), ("", "full-width", "zero-width")):
        rows += [row["text"] for row in generator.positives(seed, each, carriers="other", lang=lang, how=how)]
        rows += [row["text"] for row in generator.negatives(seed, each // 3, lang=lang)]
    return rows


def cut(rng: random.Random, text: str, longest: int) -> Iterator[str]:
    at = 0
    while at < len(text):
        size = rng.randint(1, longest)
        yield text[at : at + size]
        at += size


def streams(seed: int) -> None:
    """Compare 1,600 texts in pieces of one and of one to eight characters with the whole, both ways."""
    rng = random.Random(seed)
    scrubber = Scrubber(secrets="redact", output="placeholder", memo=0)
    rows = texts(seed, 200)
    scrubbed = restored = 0
    for longest, row in itertools.product((1, 8), rows):
        vault, same = Vault(), Vault()
        whole = scrubber.scrub(row, vault, direction="output").text
        stream = scrubber.stream(same, direction="output")
        scrubbed += "".join(map(stream.feed, cut(rng, row, longest))) + stream.flush() != whole
        answer = f"{whole} [[EMAIL_1]], [[PHONE_7]]"
        back = RestoreStream(vault)
        restored += "".join(map(back.feed, cut(rng, answer, longest))) + back.flush() != restore(answer, vault)
    print(f"streams: of {2 * len(rows):,} texts {scrubbed} scrubbed and {restored} restored otherwise than as a whole")
    corpora = {
        "Chinese, values of eight kinds": [
            row["text"]
            for row in (*generator.positives(seed, 600), *generator.negatives(seed, 300))
            if {span[2] for span in row["spans"]} <= SHORT
        ],
        "rows made of values, keys and IBANs too": rows,
        "tables, code, letters, logs": [row["text"] for row in generator.documents(seed, 1)],
    }
    path = Path(os.environ.get("AGENTPROD_DATA", "-"), "pii", "en_structured_dev.jsonl")
    if path.is_file():
        lines = path.read_text("utf-8").splitlines()
        corpora["English, development set"] = [json.loads(line)["text"] for line in lines]
    print("  characters that wait after each piece of 1, and of 1 to 8: mean, p50, p95, p99")
    for title, made in corpora.items():
        print(f"    {title}")
        held_back(random.Random(seed), made, scrubber)


SHORT = {"EMAIL", "PHONE", "CN_ID", "CN_BANK_CARD", "CREDIT_CARD", "CN_USCC", "CN_PASSPORT", "CN_PLATE"}


def held_back(rng: random.Random, rows: list[str], scrubber: Scrubber) -> None:
    """Print how many characters wait: scrubbing, the least possible, scrubbing for keys alone, and restoring.

    The least possible is what waits where it is known beforehand which values come: the beginnings of values, no more.
    """
    keys = Scrubber().for_output()
    assert keys is not None
    ways: dict[str, tuple[list[int], list[int]]] = {
        name: ([], []) for name in ("everything", "least possible", "keys alone, the default", "restoring")
    }
    for row in rows:
        vault = Vault()
        answer = scrubber.scrub(row, vault, direction="output").text
        spans = scrubber.find(row)
        for place, longest in enumerate((1, 8)):
            whole, key, back = scrubber.stream(Vault()), keys.stream(Vault()), RestoreStream(vault)
            come = 0
            for piece in cut(rng, row, longest):
                whole.feed(piece)
                key.feed(piece)
                come += len(piece)
                ways["everything"][place].append(whole.held)
                ways["keys alone, the default"][place].append(key.held)
                inside = [come - span.start for span in spans if span.start < come < span.end]
                ways["least possible"][place].append(max(inside, default=0))
            for piece in cut(rng, answer, longest):
                back.feed(piece)
                ways["restoring"][place].append(back.held)
    for name, counts in ways.items():
        shown = []
        for held in counts:
            held.sort()
            p50, p95, p99 = (held[int(len(held) * share)] for share in (0.5, 0.95, 0.99))
            shown.append(f"{sum(held) / len(held):5.1f} {p50:3d} {p95:3d} {p99:3d}")
        print(f"      {name:26s}{'     '.join(shown)}")


def document(rng: random.Random, text: str) -> Any:
    phone = int(f"138{rng.randrange(10**8):08d}")
    return {
        "note": f'{text} "quoted" C:\\temp\n😀',
        "phone": phone,
        f"for {rng.randrange(10**6)}@example.org": {"list": [phone, text, True, None, 1.5, {"deep": [text]}]},
        "plain": "nothing here",
        "count": rng.randrange(1000),
    }


def tool_documents(seed: int) -> None:
    """Send 400 tool calls with values in strings, numbers and keys, and have them sent back."""
    rng = random.Random(seed)
    sent: list[str] = []

    def completion(model: str, messages: list[Any]) -> dict[str, Any]:
        sent.append(messages[0]["tool_calls"][0]["function"]["arguments"])
        call = {"id": "2", "type": "function", "function": {"name": "send", "arguments": sent[-1]}}
        return {"choices": [{"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [call]}}]}

    ask: Any = ap.Stack(LAYER).decorate(completion)
    broken = touched = shown = changed = 0
    rows = texts(seed, 67)[:400]
    for row in rows:
        made = document(rng, row)
        call = {"id": "1", "type": "function", "function": {"name": "send", "arguments": json.dumps(made)}}
        reply = ask("m", [{"role": "assistant", "content": None, "tool_calls": [call]}])
        try:
            left = json.loads(sent[-1])
        except ValueError:
            broken += 1
            continue
        touched += (left["plain"], left["count"]) != (made["plain"], made["count"])
        shown += str(made["phone"]) in sent[-1] or "@example.org" in sent[-1]
        changed += json.loads(reply["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]) != made
    print(
        f"tool documents: of {len(rows)} {broken} not valid, {touched} with a harmless leaf touched, "
        f"{shown} with a value in clear, {changed} not the same after the way back"
    )


def conversations(seed: int) -> None:
    """Hold 200 conversations of six turns with a tool loop in the forms of OpenAI and Anthropic."""
    for form, ask, sent in (chat(), messages_form()):
        moved = shown = wrong = 0
        for number in range(200):
            sent.clear()
            rng = random.Random(f"{seed}/{number}")
            history: list[Any] = []
            values = [f"user{rng.randrange(10**6)}@postbox.example" for _ in range(6)]
            for turn, value in enumerate(values):
                phone = 13800000000 + rng.randrange(10**8)
                history.append(
                    {"role": "user", "content": f"turn {turn}: write to {value}, not to {values[0]}, {phone}"}
                )
                wrong += ask(history) != history[-1]["content"]
                history.append({"role": "assistant", "content": history[-1]["content"]})
                history += tool_turn(form, turn, {"to": value, "n": phone, "q": 'a "quote"\n'})
            shown += any(value in json.dumps(body) for value in values for body in sent)
            shown += any("138" in json.dumps(body) for body in sent)
            moved += any(after[: len(before)] != before for before, after in itertools.pairwise(sent))
        print(
            f"conversations, {form}: of 200 x 6 turns {shown} showed a value, {moved} moved a prefix, "
            f"{wrong} came back wrong"
        )


def chat() -> tuple[str, Callable[[list[Any]], str], list[Any]]:
    sent: list[Any] = []

    def completion(model: str, messages: list[Any]) -> dict[str, Any]:
        sent.append(list(messages))
        return {"choices": [{"index": 0, "message": {"role": "assistant", "content": messages[-1]["content"]}}]}

    ask: Any = ap.Stack(LAYER).decorate(completion)
    return "OpenAI", lambda history: ask("m", history)["choices"][0]["message"]["content"], sent


def messages_form() -> tuple[str, Callable[[list[Any]], str], list[Any]]:
    sent: list[Any] = []

    def message(model: str, max_tokens: int, messages: list[Any]) -> dict[str, Any]:
        sent.append(list(messages))
        content = [{"type": "text", "text": messages[-1]["content"]}]
        return {"type": "message", "role": "assistant", "content": content, "stop_reason": "end_turn"}

    ask: Any = ap.Stack(LAYER).decorate(message)
    return "Anthropic", lambda history: ask("m", 100, history)["content"][0]["text"], sent


def tool_turn(form: str, turn: int, arguments: Any) -> list[Any]:
    found = json.dumps({"ok": True, **arguments})
    if form == "OpenAI":
        call = {"id": f"c{turn}", "type": "function", "function": {"name": "send", "arguments": json.dumps(arguments)}}
        return [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"c{turn}", "content": found},
        ]
    use = {"type": "tool_use", "id": f"t{turn}", "name": "send", "input": arguments}
    return [
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"t{turn}", "content": found}]},
    ]


def side_by_side() -> None:
    """Restore 100,000 values in 32 threads and 200 tasks, each with conversations of its own."""
    stack = ap.Stack(LAYER)

    def tell(prompt: str) -> str:
        return prompt * 10

    async def atell(prompt: str) -> str:
        await asyncio.sleep(0)
        return prompt * 10

    ask, aask = stack.decorate(tell), stack.decorate(atell)

    def thread(number: int) -> int:
        wrong = 0
        for turn in range(140):
            text = f"user{number}.{turn}@example.org 138{number:04d}{turn:04d} "
            with ap.context(conversation=f"c{number}"):
                wrong += ask(text) != text * 10
        return wrong

    async def task(number: int) -> int:
        wrong = 0
        for turn in range(3):
            text = f"task{number}.{turn}@example.org 139{number:04d}{turn:04d} "
            with ap.context(conversation=f"t{number}"):
                wrong += await aask(text) != text * 10
        return wrong

    async def tasks() -> int:
        return sum(await asyncio.gather(*map(task, range(200))))

    with ThreadPoolExecutor(32) as pool:
        futures = [pool.submit(thread, number) for number in range(32)]
        wrong = asyncio.run(tasks()) + sum(future.result() for future in futures)
    count = (32 * 140 + 200 * 3) * 20
    print(f"side by side: of {count:,} values restored in 32 threads and 200 tasks, {wrong} answers were another's")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=5)
    seed = parser.parse_args().seed
    streams(seed)
    tool_documents(seed)
    conversations(seed)
    side_by_side()


if __name__ == "__main__":
    main()
