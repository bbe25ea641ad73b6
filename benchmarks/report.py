"""Write what benchmarks print into docs/performance.md: `python benchmarks/report.py core reliability`.

Each name is a script beside this one, run with the Python that runs this, and a section of the page; what misses its
goal is listed at the page's top. A machine with other work to do measures that work: run it on a quiet one. `--page
FILE` names another page, `--from FILE` takes what a run of the one script named has printed before.
"""

from __future__ import annotations

import argparse
import platform
import re
import subprocess
import sys
from pathlib import Path

from page import fill

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
ROW = re.compile(r"^\| (?P<what>[^|]+) \| (?P<figure>[\d.]+) \| (?P<bound>[≤≥]) (?P<goal>[\d.]+) *\|$")
SECTION = re.compile(r"^<!-- (?P<name>\w+) begins|^#### (?P<title>.+)$")


def printed(name: str) -> str:
    """Run a script and return what it prints."""
    options = ["--slow"] if name == "safety_speed" else []
    command = [sys.executable, str(HERE / f"{name}.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    return done.stdout


def section(text: str) -> str:
    """Return output as part of a page: tables as they are, one level down, anything else as it was printed."""
    if "|---|" not in text:
        return f"```text\n{text.strip()}\n```"
    return re.sub(r"^### ", "#### ", text.strip(), flags=re.MULTILINE)


def missed(page: str) -> str:
    """Return the rows of a page that miss their goals, as a table."""
    lines, under = [], ""
    for line in page.partition("<!-- missed ends")[2].splitlines():
        if found := SECTION.match(line):
            under = found["title"] or under
        row = ROW.match(line)
        if row is None:
            continue
        figure, goal = float(row["figure"]), float(row["goal"])
        if figure > goal if row["bound"] == "≤" else figure < goal:
            lines.append(f"| {under}: {row['what']} | {row['figure']} | {row['bound']} {row['goal']} |")
    return "\n".join(["| what | figure | goal |", "|---|---|---|", *lines])


def main() -> None:
    """Run the scripts named and write their sections."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", help="scripts, without .py")
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--from", dest="source", type=Path, help="a file with what the one script named printed")
    options = parser.parse_args()
    for name in options.names:
        text = printed(name) if options.source is None else options.source.read_text("utf-8")
        version = f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}"
        fill(options.page, name, f"{section(text)}\n\nMeasured with {version}.")
        fill(options.page, "missed", missed(options.page.read_text("utf-8")))
        print(f"{name}: written into {options.page.name}", flush=True)


if __name__ == "__main__":
    main()
