"""How much personal data is found, how much leaks, and how often something else is taken for it.

    AGENTPROD_DATA=… PYTHONPATH=src python benchmarks/safety_quality.py [--seed N] [--rows N] [--misses N] [--page P]

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
from pathlib import Path

import injection_phrases as phrases
import pii_generator as generator
import pii_value_list as value_list
from pii_score import EVERYTHING, Report, Row
from safety_peers import load, ours

ENGLISH = ["CREDIT_CARD", "PHONE", "EMAIL", "IBAN", "US_SSN", "IP"]


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


def fill(page: Path, table: str) -> None:
    """Write a table between the lines that mark its place."""
    head, begin, rest = page.read_text(encoding="utf-8").partition("<!-- figures begin")
    mark, _, rest = rest.partition("\n")
    _, end, tail = rest.partition("<!-- figures end")
    if not begin or not end:
        raise SystemExit(f"{page} has no lines `<!-- figures begin … -->` and `<!-- figures end -->`")
    page.write_text(f"{head}{begin}{mark}\n\n{table}\n\n{end}{tail}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--misses", type=int, default=0, help="how many of our own misses to print per table")
    parser.add_argument("--page", type=Path, help="a page to write the main figures into")
    options = parser.parse_args()
    peers, missing = load()
    if missing:
        print(f"not installed, left out: {', '.join(missing)} (see safety_peers.py)")
    finders = {"agentprod": ours(), **{name: peers.pop(name) for name in ["detect-secrets"] if name in peers}}
    report, secrets = Report({"agentprod": ours(), **peers}, options.misses), Report(finders, options.misses)

    folder = Path(os.environ.get("AGENTPROD_DATA", "-"), "pii")
    if folder.is_dir():
        read = lambda name: [json.loads(line) for line in (folder / name).open(encoding="utf-8")]  # noqa: E731
        english = read("en_structured_dev.jsonl")
        report.measure("English, development set", english, ENGLISH, column="English, development set")
        rows = read("neg_numbers_dates.jsonl")
        report.count_false("Numbers and dates", [row["text"] for row in rows], len(rows) / 1000, "1,000 rows")
        rows, others = value_list.sentences(read("values_anyrule_cn.jsonl"))
        report.measure("List of Chinese identifiers", rows, {row["spans"][0][2] for row in rows})
        report.count_false("List of Chinese identifiers, counter-examples", others, 1, "list")
        injections(read("injection_dev.jsonl"))
    else:
        print("AGENTPROD_DATA is not set: the development sets are left out")
    phrasings()

    seed, count = options.seed, options.rows
    for lang, name in (("zh", "Chinese"), ("en", "English")):
        for carriers, column in (("plain", ""), ("other", f"{name}, generated")):
            made = list(generator.positives(seed, count, carriers=carriers, lang=lang))
            report.measure(f"Generated {lang}, {carriers} sentences", made, EVERYTHING, column=column)
    made = list(generator.documents(seed, 1 + count // 600))
    report.measure("Generated, in chats, tables, code and letters", made, EVERYTHING, column="chats, tables, code")
    for how in ("full-width", "zero-width", "arabic", "dashes"):
        made = list(generator.positives(seed, count // 2, how=how, carriers="other"))
        report.measure(f"Generated zh, {how}", made, EVERYTHING, column=how if how == "full-width" else "")
    made = list(generator.phone_rows(seed, count))
    report.measure("Telephones in eight languages", made, ["PHONE"], column="telephones")
    for lang in ("zh", "en"):
        texts = [row["text"] for row in generator.negatives(seed, count, lang=lang)]
        report.count_false(f"Generated negatives, {lang}", texts, count / 800, "800 rows")
    text = generator.log_text(seed, 400_000)
    lines = text.split("\n")
    report.count_false("Generated logs", lines, len(text) / 1e6, "MB", column="false findings per MB of logs")
    secrets.measure("Secrets", secret_rows(seed, count), ["SECRET"])
    secrets.count_false("No secrets", HARMLESS, 1, "26 lines")
    if options.page is not None:
        fill(options.page, report.table())


if __name__ == "__main__":
    main()
