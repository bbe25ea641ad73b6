"""Platforms without fork, such as Windows."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import concurrent.futures.thread, logging, os, random, secrets, threading  # these asked when Python itself began
del os.register_at_fork
import agentprod as ap
for name in ap.__all__:
    getattr(ap, name)
print(ap.standard()(str.upper)("imported"))
"""


def test_every_name_can_be_imported_where_nothing_forks() -> None:
    """`os.register_at_fork` exists on Unix only."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.returncode) == ("IMPORTED\n", 0), done.stderr
