"""How much personal data is found, how much leaks, and how often something else is taken for it.

    AGENTPROD_DATA=… PYTHONPATH=src python benchmarks/safety_quality.py [--seed N] [--rows N] [--misses N]

Development sets need AGENTPROD_DATA; generated ones do not. Peers that are not installed are named and left out; how to
install them stands in safety_peers.py. Match = same entity and at least half of the union shared. Leak = a value of
which four letters or digits in a row, or more, are covered by nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import injection_phrases as phrases
import pii_generator as generator
import pii_value_list as value_list
from safety_peers import Detect, load, named, ours

Row = dict
EVERYTHING = {named(entity) for entity in generator.VALUES}
ENGLISH = ["CREDIT_CARD", "PHONE", "EMAIL", "IBAN", "US_SSN", "IP"]


class Score:
    def __init__(self) -> None:
        self.hit: Counter[str] = Counter()
        self.false: Counter[str] = Counter()
        self.gold: Counter[str] = Counter()
        self.leaked = 0
        self.misses: list[str] = []

    def add(self, row: Row, found: Iterable[tuple[int, int, str]], entities: set[str]) -> None:
        found = [(start, end, named(entity)) for start, end, entity in found]
        covered = {at for start, end, _ in found for at in range(start, end)}
        open_found = [f for f in found if f[2] in entities]
        for start, end, entity in row["spans"]:
            entity = named(entity)
            if entity not in entities:
                continue
            self.gold[entity] += 1
            best = max((f for f in open_found if f[2] == entity), key=lambda f: overlap(f, (start, end)), default=None)
            if best and overlap(best, (start, end)) >= 0.5:
                self.hit[entity] += 1
                open_found.remove(best)
            else:
                self.misses.append(f"missed {entity}: {row['text'][max(0, start - 25) : end + 15]!r}")
            self.leaked += leaks(row["text"], start, end, covered)
        for start, end, entity in open_found:
            self.false[entity] += 1
            self.misses.append(f"false {entity}: {row['text'][max(0, start - 25) : end + 15]!r}")

    @property
    def f1(self) -> float:
        hit, gold, false = self.hit.total(), self.gold.total(), self.false.total()
        return 2 * hit / (gold + hit + false) if gold else 0.0

    def line(self) -> str:
        hit, gold, false = self.hit.total(), self.gold.total(), self.false.total()
        precision = hit / (hit + false) if hit + false else 1.0
        recall = hit / gold if gold else 1.0
        return f"P {precision:.3f}  R {recall:.3f}  F1 {self.f1:.3f}  leak {100 * self.leaked / max(1, gold):5.1f} %"


def overlap(one: tuple, other: tuple) -> float:
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return shared / (one[1] - one[0] + other[1] - other[0] - shared) if shared > 0 else 0.0


def leaks(text: str, start: int, end: int, covered: set[int]) -> bool:
    run = 0
    for at in range(start, end):
        if text[at].isalnum():
            run = 0 if at in covered else run + 1
            if run >= 4:
                return True
    return False


def measure(title: str, rows: list[Row], systems: dict[str, Detect], entities: Iterable[str], misses: int) -> None:
    wanted = {named(entity) for entity in entities}
    print(f"\n{title} ({len(rows)} rows, {sum(named(s[2]) in wanted for row in rows for s in row['spans'])} values)")
    for name, detect in systems.items():
        score = Score()
        for row in rows:
            score.add(row, detect(row["text"]), wanted)
        print(f"  {name:20s} {score.line()}")
        if name == "agentprod":
            weak = [f"{e} {score.hit[e] / n:.3f}" for e, n in score.gold.items() if score.hit[e] < 0.95 * n]
            print(f"  {'':20s} entities below .95 recall: {', '.join(weak) or 'none'}")
            for miss in score.misses[:misses]:
                print(f"      {miss}")


def count_false(
    title: str, texts: Sequence[str], systems: dict[str, Detect], per: float, unit: str, misses: int
) -> None:
    print(f"\n{title}: findings where there is nothing, per {unit}")
    for name, detect in systems.items():
        counts: Counter[str] = Counter()
        examples = []
        for text in texts:
            for start, end, entity in detect(text):
                if named(entity) not in EVERYTHING:
                    continue
                counts[named(entity)] += 1
                examples.append(f"{named(entity)}: {text[max(0, start - 25) : end + 15]!r}")
        parts = ", ".join(f"{entity} {count}" for entity, count in counts.most_common(4))
        print(f"  {name:20s} {counts.total() / per:8.1f}   {parts}")
        if name == "agentprod":
            for example in examples[:misses]:
                print(f"      {example}")


ASSIGNED = """{i}_api_token = "{v}"
{I}_TOKEN={v}
{i}Token: {v}
<{i}Token>{v}</{i}Token>
var {i}Token string = "{v}"
"{i}_token": "{v}",
{i}_secret: '{v}'
"{i}_token" => "{v}"
--{i}-api-key {v}
{i}.client_secret={v}
headers = {{"Authorization": "Bearer {v}"}}
密钥：{v}
https://h.example/?api_key={v}&q=1
curl -H "X-Api-Key: {v}"
ENV {I}_API_KEY {v}""".splitlines()
PASSWORDS = """password = "{v}"
PASSWORD={v}
db_pass: {v}
"password": "{v}"
my password is {v}
密码：{v}
mysql://root:{v}@db:3306/x
--password {v}
<password>{v}</password>""".splitlines()
HARMLESS = """password = os.environ["DB_PASSWORD"]
password: ${DB_PASSWORD}
"password": "string"
api_key = config.get("api_key")
api_key = "YOUR_API_KEY"
tokens: 128000
max_tokens=4096
token_type: bearer
SECRET_KEY = env("SECRET_KEY")
The secret of success is hard work.
password is required
key = "user.profile.name"
if password == confirm_password:
sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
commit 9fceb02d0ae598e95dc970b74767f19372d61af8
密码长度为8-16位
令牌桶算法 速率为1000
请输入密码：
private_key_path: ~/.ssh/id_rsa
secret_name: my-app-database-credentials
model = "gpt-4o-2024-08-06"
password_hash_rounds = 12
token = next(tokens)
AKIAIOSFODNN7EXAMPLE
keyboard = "QWERTY-104"
monkey = "banana12345678\"""".splitlines()


def secret_rows(seed: int, rows: int) -> list[Row]:
    rng = random.Random(f"{seed}/secrets")
    alphabets = (string.ascii_lowercase + string.digits, string.ascii_letters + string.digits, "0123456789abcdef")
    out = []
    for _ in range(rows):
        if rng.random() < 0.7:
            value = "".join(rng.choices(rng.choice(alphabets), k=rng.choice((16, 20, 24, 32, 40, 64))))
            template = rng.choice(ASSIGNED)
        else:
            value = rng.choice(("hunter2", "P@ssw0rd!", "s3cr3t", "Qwerty123", "xK9#mQ2$", "Zaq12wsx")) + rng.choice(
                ("", "x7", "!4")
            )
            template = rng.choice(PASSWORDS)
        name = rng.choice(("acme", "billing", "weather", "maps", "mail"))
        text = template.format(i=name, I=name.upper(), v=value)
        at = text.index(value)
        out.append({"text": text, "spans": [[at, at + len(value), "SECRET"]]})
    return out


def injections(rows: list[Row]) -> None:
    """Print how much is flagged, by source: attacks should be, prompts that only sound like them should not."""
    from agentprod.safety.injection import score_injection

    flagged: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for row in rows:
        indirect = row["category"].startswith(("bipia", "indirect"))
        source = f"{'attack' if row['label'] else 'harmless'}: {row['category'].partition('/')[0]}"
        total[source] += 1
        flagged[source] += score_injection(row["text"], untrusted=indirect).flagged
    print(f"\nPrompt injection, development set ({len(rows)} rows): flagged at the default thresholds")
    for source in sorted(total):
        print(f"  {source:32s} {100 * flagged[source] / total[source]:5.1f} %  of {total[source]}")


def phrasings() -> None:
    """Print how much is flagged of attacks and of harmless sentences in words of our own."""
    from agentprod.safety.injection import score_injection

    print("\nPrompt injection, phrased anew: flagged at the default thresholds")
    for what, texts in (("attacks", phrases.ATTACKS), ("harmless", phrases.HARMLESS)):
        for lang, wanted in (("English", True), ("Chinese", False)):
            told = [text for text in texts if text.isascii() == wanted]
            flagged = sum(score_injection(text).flagged for text in told)
            print(f"  {what + ', ' + lang:32s} {flagged:5d}    of {len(told)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--misses", type=int, default=0, help="how many of our own misses to print per table")
    options = parser.parse_args()
    peers, missing = load()
    if missing:
        print(f"not installed, left out: {', '.join(missing)} (see safety_peers.py)")
    secret_finders = {"agentprod": ours(), **{name: peers.pop(name) for name in ["detect-secrets"] if name in peers}}
    systems = {"agentprod": ours(), **peers}

    folder = Path(os.environ.get("AGENTPROD_DATA", "-"), "pii")
    if folder.is_dir():
        read = lambda name: [json.loads(line) for line in (folder / name).open(encoding="utf-8")]  # noqa: E731
        measure("English, development set", read("en_structured_dev.jsonl"), systems, ENGLISH, options.misses)
        rows = read("neg_numbers_dates.jsonl")
        count_false(
            "Numbers and dates", [row["text"] for row in rows], systems, len(rows) / 1000, "1,000 rows", options.misses
        )
        rows, others = value_list.sentences(read("values_anyrule_cn.jsonl"))
        measure("List of Chinese identifiers", rows, systems, {row["spans"][0][2] for row in rows}, options.misses)
        count_false("List of Chinese identifiers, counter-examples", others, systems, 1, "list", options.misses)
        injections(read("injection_dev.jsonl"))
    else:
        print("AGENTPROD_DATA is not set: the development sets are left out")
    phrasings()

    seed, rows = options.seed, options.rows
    for lang in ("zh", "en"):
        for carriers in ("plain", "other"):
            made = list(generator.positives(seed, rows, carriers=carriers, lang=lang))
            measure(f"Generated {lang}, {carriers} sentences", made, systems, EVERYTHING, options.misses)
    made = list(generator.documents(seed, 1 + rows // 600))
    measure("Generated, in chats, tables, code and letters", made, systems, EVERYTHING, options.misses)
    for how in ("full-width", "zero-width", "arabic", "dashes"):
        made = list(generator.positives(seed, rows // 2, how=how, carriers="other"))
        measure(f"Generated zh, {how}", made, systems, EVERYTHING, options.misses)
    measure("Telephones in eight languages", list(generator.phone_rows(seed, rows)), systems, ["PHONE"], options.misses)
    for lang in ("zh", "en"):
        texts = [row["text"] for row in generator.negatives(seed, rows, lang=lang)]
        count_false(f"Generated negatives, {lang}", texts, systems, rows / 800, "800 rows", options.misses)
    text = generator.log_text(seed, 400_000)
    count_false("Generated logs", text.split("\n"), systems, len(text) / 1e6, "MB", options.misses)
    measure("Secrets", secret_rows(seed, rows), secret_finders, ["SECRET"], options.misses)
    count_false("No secrets", HARMLESS, secret_finders, 1, "26 lines", options.misses)


if __name__ == "__main__":
    main()
