"""The scenarios that scrubbing is built for, through the layer.

A1 to A6 (quality) are measured by `benchmarks/safety_quality.py` and bounded in `pii/test_quality.py` and
`pii/test_secrets.py`; A9 and the canaries are in `clients/test_pii.py`, A10 in `test_scrub_pii.py`, A14 in
`test_injection.py`, A15 in `tools/test_guard.py`, A16 in `telemetry/test_audit.py`. A7, A8, A9 and A11 at their full
size: `benchmarks/safety_scenarios.py`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import agentprod as ap
from benchmarks import pii_generator as generator

LAYER = ap.ScrubPII(strategy={"SECRET": "placeholder"}, output={"*": "redact"})
ECHO = ap.ScrubPII(strategy={"SECRET": "placeholder"})


def rows(seed: int, count: int) -> list[str]:
    """Return texts of the generator in both languages and several disguises."""
    texts: list[str] = []
    for how in ("", "full-width", "zero-width"):
        for lang in ("zh", "en"):
            made = generator.positives(seed, count, carriers="other", lang=lang, how=how)
            texts += [str(row["text"]) for row in made]
    return texts


def cut(rng: random.Random, text: str, longest: int) -> list[str]:
    """Return a text in random pieces."""
    pieces, at = [], 0
    while at < len(text):
        size = rng.randint(1, longest)
        pieces.append(text[at : at + size])
        at += size
    return pieces


@pytest.mark.parametrize("longest", [1, 8])
def test_a7_streams_equal_the_whole(longest: int) -> None:
    """A7: whatever the chunks, a stream is scrubbed and restored as the whole text is."""
    rng = random.Random(longest)
    answer = ""

    def whole(prompt: str) -> str:
        return answer

    def stream(prompt: str) -> Iterator[str]:
        yield from cut(rng, answer, longest)

    ask, tell = ap.Stack(LAYER).decorate(whole), ap.Stack(LAYER).decorate(stream)
    for text in rows(5, 12):
        answer = f"{text} [[EMAIL_1]] and [[PHONE_1]], [[EMAIL_7]]"
        told = ask("ann@example.org 13812345678")
        assert told.endswith(" ann@example.org and 13812345678, [[EMAIL_7]]")
        assert "".join(tell("ann@example.org 13812345678")) == told


def documents(seed: int, count: int) -> list[Any]:
    """Return nested tool arguments with values as strings, numbers and keys, and the characters JSON escapes."""
    rng = random.Random(seed)
    texts = rows(seed, count)
    made: list[Any] = []
    for text in texts[:count]:
        phone = int(f"138{rng.randrange(10**8):08d}")
        made.append(
            {
                "note": f'{text} "quoted" C:\\temp\n😀',
                "phone": phone,
                f"for {rng.randrange(10**6)}@example.org": {"list": [phone, text, True, None, 1.5, {"deep": [text]}]},
                "plain": "nothing here",
                "count": rng.randrange(1000),
            }
        )
    return made


def test_a8_tool_call_documents_stay_valid() -> None:
    """A8: no value in what leaves, what holds none is untouched, and everything comes back with its type."""
    seen: list[Any] = []

    def completion(model: str, messages: list[Any]) -> dict[str, Any]:
        seen.append(messages[0]["tool_calls"][0]["function"]["arguments"])
        call = {"id": "2", "type": "function", "function": {"name": "send", "arguments": seen[-1]}}
        return {"choices": [{"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [call]}}]}

    ask: Any = ap.Stack(ECHO).decorate(completion)
    for document in documents(3, 60):
        function = {"name": "send", "arguments": json.dumps(document)}
        call = {"id": "1", "type": "function", "function": function}
        reply = ask("m", [{"role": "assistant", "content": None, "tool_calls": [call]}])
        sent = json.loads(seen[-1])
        assert (sent["plain"], sent["count"]) == (document["plain"], document["count"])
        assert isinstance(sent["phone"], str)
        assert str(document["phone"]) not in seen[-1]
        back = json.loads(reply["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])
        assert back == document
        assert type(back["phone"]) is int


def test_a9_what_was_restored_is_scrubbed_to_the_same() -> None:
    """The prefix that a provider caches stays byte for byte, however long the conversation."""
    sent: list[list[str]] = []

    def answer(messages: list[str]) -> str:
        sent.append(list(messages))
        return f"About {messages[-1]}: done."

    ask = ap.Stack(ECHO).decorate(answer)
    history: list[str] = []
    for text in rows(9, 4):
        history.append(text)
        history.append(ask(list(history)))
    for before, after in itertools.pairwise(sent):
        assert after[: len(before)] == before


def test_a11_conversations_never_mix() -> None:
    """A11: 32 threads and 200 tasks, each with a conversation of its own, get their own values back and no other."""
    stack = ap.Stack(ap.ScrubPII())

    def tell(prompt: str) -> str:
        return prompt * 5

    async def atell(prompt: str) -> AsyncIterator[str]:
        for piece in cut(random.Random(prompt), prompt * 5, 6):
            await asyncio.sleep(0)
            yield piece

    ask, stream = stack.decorate(tell), stack.decorate(atell)

    def thread(number: int) -> None:
        for turn in range(20):
            text = f"user{number}.{turn}@example.org 138{number:04d}{turn:04d} "
            with ap.context(conversation=f"c{number}"):
                assert ask(text) == text * 5

    async def task(number: int) -> None:
        text = f"task{number}@example.org 139{number:08d} "
        with ap.context(conversation=f"t{number}"):
            assert "".join([piece async for piece in stream(text)]) == text * 5

    async def tasks() -> None:
        await asyncio.gather(*map(task, range(200)))

    with ThreadPoolExecutor(32) as pool:
        futures = [pool.submit(thread, number) for number in range(32)]
        asyncio.run(tasks())
        for future in futures:
            future.result()


MANGLED = (
    *("[[EMAIL_1]]", "[[email_1]]", "[[ EMAIL_1 ]]", "[[EMAIL\\_1]]", "[EMAIL_1]", "【EMAIL_1】", "［［EMAIL_1］］"),
    *("[[EMAIL 1]]", "[[EMAIL-1]]", "**[[EMAIL_1]]**", "\\[\\[EMAIL_1\\]\\]", "&#91;&#91;EMAIL_1&#93;&#93;"),
)


def test_a12_mangled_forged_and_unknown_placeholders() -> None:
    """A12: what a model makes of a placeholder is read; another number, a forged one and one in an address are not."""
    one, two = "ann@example.org", "bob@example.org"
    restored = 0
    for mangled in MANGLED:
        ask = ap.Stack(ECHO).decorate(lambda prompt, mangled=mangled: f"to {mangled}.")
        answer = ask(f"{one} {two}")
        restored += one in answer
        assert two not in answer
    assert restored >= 11
    for text in (
        "[[EMAIL_3]]",
        "[[EMAIL_11]]",
        "[[PHONE_1]]",
        "https://evil.example/?q=[[EMAIL_1]]",
        "![](//e.example/[[EMAIL_1]])",
    ):
        ask = ap.Stack(ECHO).decorate(lambda prompt, text=text: text)
        assert ask(f"{one} {two}") == text
    echo = ap.Stack(ECHO).decorate(lambda prompt: prompt)
    assert echo(f"[[EMAIL_1]] {one}") == f"[[EMAIL_1]] {one}"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a13_a_recogniser_that_hangs_stops_the_call(asynchronous: bool) -> None:
    """A13: after its time the call is refused, not sent unexamined."""
    go = threading.Event()

    def hangs(text: str) -> Any:
        go.wait(5)
        return []

    layer = ap.ScrubPII(recognizers=[ap.Recognizer.of(hangs, name="MODEL", timeout=0.05)])
    calls: list[str] = []

    async def aask(prompt: str) -> str:
        calls.append(prompt)
        return prompt

    def ask(prompt: str) -> str:
        calls.append(prompt)
        return prompt

    stack = ap.Stack(layer)
    with pytest.raises(ap.Blocked, match="recogniser MODEL failed with TimeoutError"):
        if asynchronous:
            asyncio.run(stack.decorate(aask)("ann@example.org"))
        else:
            stack.decorate(ask)("ann@example.org")
    go.set()
    assert calls == []


@pytest.mark.parametrize(
    "text",
    [
        "\ud800 ann@example.org \udfff",
        "ann@example.org\x00",
        "\u202eann@example.org",
        "ann@exa\u00admple.org",
        "a" * 200_000 + " ann@example.org",
    ],
    ids=["lone surrogates", "nul", "direction", "soft hyphen", "long word"],
)
def test_odd_texts_are_scrubbed_and_come_back(text: str) -> None:
    """Whatever characters there are."""
    sent: list[str] = []

    def ask(prompt: str) -> str:
        sent.append(prompt)
        return prompt

    assert ap.Stack(ECHO).decorate(ask)(text) == text
    assert "[[EMAIL_1]]" in sent[0]
    assert "example" not in sent[0]


def test_a_text_of_ten_megabytes_passes() -> None:
    """In time that grows with its length, and with its values replaced at both ends."""
    text = "ann@example.org " + "the quick brown fox " * 524_288 + "bob@example.org"
    sent: list[str] = []

    def ask(prompt: str) -> str:
        sent.append(prompt)
        return "[[EMAIL_2]]"

    started = time.process_time()
    assert ap.Stack(ap.ScrubPII()).decorate(ask)(text) == "bob@example.org"
    assert sent[0].startswith("[[EMAIL_1]] the")
    assert time.process_time() - started < 60
