"""Run one of the project's tasks in an environment of its own: `python3 run.py TASK [ARGUMENT ...]`.

Needs Python 3.11 or newer and nothing else. The first run makes `.venv` and installs what the task needs;
later runs start at once, until pyproject.toml changes. Further arguments go to the task's command.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "run-py.json"


@dataclass(frozen=True)
class Task:
    """Commands to run with `.venv`'s Python, and the extras and dependency groups they need."""

    summary: str
    commands: tuple[str, ...]
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


TASKS = {
    "quickstart": Task("run examples/quickstart.py", ("examples/quickstart.py",), extras=("openai", "anthropic")),
    "test": Task("run the tests", ("-m pytest -n auto --dist worksteal",), groups=("test",)),
    "lint": Task("check style and format", ("-m ruff check", "-m ruff format --check"), groups=("lint",)),
    "types": Task("check types", ("-m mypy", "-m pyright"), groups=("test", "types")),
    "docs": Task("build the documentation into site/", ("-m mkdocs build --strict --quiet",), groups=("docs",)),
}


def main(arguments: list[str]) -> int:
    """Run the task named first, with the rest of the arguments, and return its exit code."""
    if sys.version_info < (3, 11):  # noqa: UP036  # whoever runs this file may have any Python
        stop(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}. Try: python3.11 run.py …")
    if not arguments or arguments[0] not in TASKS:
        rows = "\n".join(f"  {name:<12}{task.summary}" for name, task in TASKS.items())
        stop(f"usage: python3 run.py TASK [ARGUMENT ...]\n\n{rows}")
    name, *rest = arguments
    task = TASKS[name]
    install(task)
    environment = {
        **os.environ,
        "PATH": f"{PYTHON.parent}{os.pathsep}{os.environ.get('PATH', '')}",  # pyright looks for `python` there
        "PYRIGHT_PYTHON_GLOBAL_NODE": "off",  # and takes the Node.js installed with it, not the machine's
        "NO_MKDOCS_2_WARNING": "1",  # we know; mkdocs is capped below 2
    }
    for command in task.commands:
        words = [*shlex.split(command), *rest]
        tell(f"python {shlex.join(words)}")
        status = subprocess.run([PYTHON, *words], cwd=ROOT, env=environment, check=False).returncode
        if status:
            return status
    return 0


def install(task: Task) -> None:
    """Make `.venv` and install what the task needs into it, unless the stamp says that it is there."""
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    wanted = {*(f"[{extra}]" for extra in task.extras), *task.groups, "agentprod"}
    there = installed(digest)
    if wanted <= there:
        return
    if not there and not STAMP.exists():  # also after a first run that was cut off
        tell("making .venv")
        if subprocess.run([sys.executable, "-m", "venv", VENV], check=False).returncode:
            stop("Python's venv module does not work here. On Debian and Ubuntu it is the package python3-venv.")
        pip("--upgrade", "pip>=25.1")  # the first that knows --group
    tell(f"installing {', '.join(sorted(wanted - there))}")
    extras = f"[{','.join(task.extras)}]" if task.extras else ""
    pip("--editable", f".{extras}", *(word for group in task.groups for word in ("--group", group)))
    STAMP.write_text(json.dumps({"pyproject": digest, "installed": sorted(there | wanted)}), encoding="utf-8")


def installed(digest: str) -> set[str]:
    """Return what was installed from the pyproject.toml with this digest; nothing when it has changed since."""
    if not PYTHON.exists() or not STAMP.exists():
        return set()
    stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    return set(stamp["installed"]) if stamp["pyproject"] == digest else set()


def pip(*words: str) -> None:
    """Install with the environment's own pip, which prints errors only."""
    command = [str(PYTHON), "-m", "pip", "install", "-qq", "--disable-pip-version-check", *words]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        stop(f"installing failed: pip install {shlex.join(words)}")


def tell(message: str) -> None:
    """Say on stderr what happens next."""
    print(f"run.py: {message}", file=sys.stderr, flush=True)


def stop(message: str) -> NoReturn:
    """End with a message and a failing exit code."""
    print(message, file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    try:
        raise SystemExit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
