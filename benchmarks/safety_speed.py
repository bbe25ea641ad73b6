"""How long scanning takes, beside other detectors, as ratios of processor time in one run.

    AGENTPROD_DATA=… PYTHONPATH=src python benchmarks/safety_speed.py [--slow]

Blocks of all systems take turns; the shortest block of each counts. English text and prose come from AGENTPROD_DATA
when it is set; otherwise English is generated and prose left out. Peers that are not installed are named and left
out; how to install them stands in safety_peers.py. `--slow` takes Presidio and detect-secrets too.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import pii_generator as generator
from safety_peers import Detect, load, ours

import agentprod as ap
from agentprod.safety.pii import ALL, Scrubber, Vault, restore

CHUNK = 2048
REQUESTS = 100
FAMILIES = (
    "a.",
    "1-",
    ":",
    "(",
    "a@a.a.",
    "http://aaa",
    "1",
    "12-",
    "1.1.",
    "@",
    "://a:b",
    "password",
    "tel ",
    "京A",
    "eyJ",
    "[[EMAIL_",
    "+1 ",
    "(010)",
)


def texts() -> dict[str, list[str]]:
    folder = Path(os.environ.get("AGENTPROD_DATA", "-"), "pii")
    if folder.is_dir():
        rows = [json.loads(line) for line in (folder / "en_structured_dev.jsonl").read_text("utf-8").splitlines()]
        structured = {"EMAIL", "PHONE", "CREDIT_CARD", "US_SSN", "IBAN", "IP"}
        dense = "\n".join(row["text"] for row in rows if any(span[2] in structured for span in row["spans"]))
        prose = "\n".join(row["text"] for row in rows if not any(span[2] in structured for span in row["spans"]))
    else:
        print("AGENTPROD_DATA is not set: English text is generated, prose is left out")
        dense, prose = "\n".join(row["text"] for row in generator.positives(1, 1500, lang="en")), ""
    corpora = {
        "English, dense": dense,
        "Chinese, dense": "\n".join(row["text"] for row in generator.positives(1, 1500)),
        "logs": generator.log_text(1, 60_000),
        "prose": prose,
    }
    return {
        name: [text[at : at + CHUNK] for at in range(0, len(text), CHUNK)][:24]
        for name, text in corpora.items()
        if text
    }


def fastest(systems: dict[str, Callable[[], object]], blocks: int = 5) -> dict[str, float]:
    """Return the shortest block of each system in seconds; blocks take turns."""
    best = dict.fromkeys(systems, float("inf"))
    for _ in range(blocks):
        for name, work in systems.items():
            start = process_time()
            work()
            best[name] = min(best[name], process_time() - start)
    return best


def scan(detect: Detect, chunks: list[str]) -> Callable[[], object]:
    return lambda: [list(detect(chunk)) for chunk in chunks]


def compare(corpora: dict[str, list[str]], *, slow: bool) -> None:
    quick = ["naive 4 patterns", "LangChain"]
    peers, missing = load([*quick, "datafog", "scrubadub", *(["Presidio patterns", "detect-secrets"] if slow else [])])
    if missing:
        print(f"not installed, left out: {', '.join(missing)} (see safety_peers.py)")
    for corpus, chunks in corpora.items():
        size = sum(map(len, chunks)) / 1024
        systems = {"secrets off": ours(secrets=False), "secrets on": ours(), **peers}
        for detect in systems.values():
            list(detect(chunks[-1]))  # the first text builds patterns and loads tables
        heavy = ("Presidio patterns", "detect-secrets", "scrubadub")
        light = fastest({name: scan(detect, chunks) for name, detect in systems.items() if name not in heavy})
        few = chunks[:6]
        part = sum(map(len, few)) / 1024
        costly = fastest({name: scan(peers[name], few) for name in heavy if name in peers}, blocks=1)
        per_kb = {name: seconds / size for name, seconds in light.items()} | {
            name: s / part for name, s in costly.items()
        }
        base = per_kb["naive 4 patterns"]
        print(f"\n{corpus} ({size:.0f} KB)")
        for name, seconds in per_kb.items():
            ratio = f"{seconds / base:7.2f} x naive"
            against = f"{seconds / per_kb['secrets off']:8.1f} x ours"
            print(f"  {name:20s} {seconds * 1e6:9.0f} us/KB {ratio} {against}")


def clean_text() -> None:
    """Text without digits, @ and keywords."""
    text = ("the quick brown fox jumps over the lazy dog and runs away from all of them " * 14)[:1024]
    peers, _ = load(["naive 4 patterns"])
    off, on = ours(secrets=False), ours()
    best = fastest(
        {
            name: lambda d=detect: [d(text) for _ in range(300)]
            for name, detect in {"off": off, "on": on, **peers}.items()
        }  # type: ignore[misc]
    )
    base = best["naive 4 patterns"]
    print(f"\nClean ASCII, x naive: secrets off {best['off'] / base:.2f}, on {best['on'] / base:.2f}")


def growth() -> None:
    """Time every built-in recogniser by itself, and all of them together, on texts made to be slow."""
    from agentprod.safety.pii.detectors import built_in, find_spans
    from agentprod.safety.pii.folding import fold

    scrubber = Scrubber(entities=ALL, memo=0)
    searches: dict[str, Callable[[str], object]] = {"all together": scrubber.find, "folding": fold}
    for each in built_in(ALL):
        searches[each.find.__name__] = partial(find_spans, detectors=(each,))
    print(f"\n128 KB of each of {len(FAMILIES)} adversarial families, and how much longer than 64 KB; the slowest")
    rows = []
    for name, search in searches.items():
        ratios: list[tuple[float, str]] = [(1.0, "-")]
        longest: list[tuple[float, str]] = []
        for unit in FAMILIES:
            half, whole = (partial(search, (unit * (size // len(unit) + 1))[:size]) for size in (65_536, 131_072))
            best = fastest({"half": half, "whole": whole}, blocks=3)
            longest.append((best["whole"], unit))
            if best["whole"] > 0.002:  # what is shorter is all noise
                ratios.append((best["whole"] / best["half"], unit))
        rows.append((max(longest), max(ratios), name))
    for (seconds, slow), (ratio, steep), name in sorted(rows, reverse=True):
        print(f"  {name:22s} {seconds * 1e3:6.1f} ms {slow!r:12s} {ratio:5.2f} x {steep!r}")


def streaming_and_restore(corpora: dict[str, list[str]]) -> None:
    scrubber = Scrubber(secrets="redact", memo=0)
    for corpus, chunks in corpora.items():
        pieces = [[chunk[at : at + 4] for at in range(0, len(chunk), 4)] for chunk in chunks[:8]]

        def stream(pieces: list[list[str]] = pieces) -> None:
            for parts in pieces:
                editor = scrubber.stream(Vault(), direction="input")
                for part in parts:
                    editor.feed(part)
                editor.flush()

        vault = Vault()
        scrubbed = [scrubber.scrub(chunk, vault).text for chunk in chunks[:8]]
        best = fastest(
            {
                "stream": stream,
                "scrub": lambda c=chunks[:8]: [scrubber.scrub(chunk, Vault()) for chunk in c],  # type: ignore[misc]
                "restore": lambda s=scrubbed, v=vault: [restore(text, v) for text in s],  # type: ignore[misc]
            }
        )
        count = sum(map(len, pieces))
        each, share = best["stream"] / count * 1e6, best["restore"] / best["scrub"]
        print(f"  {corpus:16s} stream {each:6.1f} us per piece of 4 characters, restore {share:.2f} x scrub")


def history(chunks: list[str]) -> None:
    scrubber = Scrubber(secrets="redact")

    def turns(engine: Scrubber) -> None:
        for turn in range(1, 11):
            vault = Vault()
            for message in chunks[:turn]:
                engine.scrub(message, vault)

    best = fastest(
        {"with memo": lambda: turns(scrubber), "without": lambda: turns(Scrubber(secrets="redact", memo=0))}, blocks=3
    )
    print(f"\nTen turns over a growing history: memo {best['with memo'] / best['without']:.2f} x of scanning it again")


def conversation(texts: list[str], count: int, size: int = 4096) -> list[dict[str, str]]:
    """Return so many messages, whose texts have `size` bytes of UTF-8 in all."""
    whole = " ".join(texts).encode()[:size].decode(errors="ignore")
    edges = [len(whole) * place // count for place in range(count + 1)]
    return [
        {"role": ("user", "assistant")[place % 2], "content": whole[edges[place] : edges[place + 1]]}
        for place in range(count)
    ]


def whole_stack(corpora: dict[str, list[str]]) -> None:
    """Time a call with all safety layers, of a request nobody has seen before, and of its next turn."""
    answer: dict[str, object] = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Fine."}}]}

    def completion(model: str, messages: list[dict[str, str]]) -> dict[str, object]:
        return answer

    print("\nAuditLog, ScrubPII, InjectionGuard and TokenBudget around a request of 4 KB: milliseconds, p50 and p99")
    for corpus, chunks in corpora.items():
        texts = " ".join(chunks).split("\n")
        for count in (10, 110):
            with TemporaryDirectory() as folder:
                stack = ap.Stack(
                    ap.AuditLog(Path(folder, "audit.jsonl")),
                    ap.ScrubPII(strategy={"SECRET": "redact"}),
                    ap.InjectionGuard(),
                    ap.TokenBudget(tokens=10**12, per="day"),
                )
                ask = stack.decorate(completion)
                rng = random.Random(count)
                new, again = [], []
                for _ in range(REQUESTS + 1):
                    rng.shuffle(texts)
                    messages = conversation(texts, count)
                    for times in (new, again):
                        start = process_time()
                        ask("gpt-5-mini", messages)
                        times.append((process_time() - start) * 1e3)
                        messages = [*messages, {"role": "user", "content": "And then?"}]
                stack[ap.AuditLog].close()
            shown = [
                f"{times[REQUESTS // 2]:5.2f} {times[REQUESTS * 99 // 100]:5.2f}"
                for times in (sorted(new[1:]), sorted(again[1:]))  # the first one builds patterns and tables
            ]
            print(f"  {corpus:16s} {count:4d} messages: new {shown[0]}, next turn {shown[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slow", action="store_true")
    corpora = texts()
    compare(corpora, slow=parser.parse_args().slow)
    clean_text()
    growth()
    print("\nStreams and restoring")
    streaming_and_restore(corpora)
    history(next(iter(corpora.values())))
    whole_stack(corpora)


if __name__ == "__main__":
    main()
