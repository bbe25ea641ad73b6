"""The example of a layer in a package of its own: its tests pass, and it can be installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "examples/own_layer"


def test_its_own_tests_pass(tmp_path: Path) -> None:
    """As its author would run them."""
    path = os.pathsep.join([str(ROOT / "src"), str(PACKAGE / "src")])
    environment = {**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(PACKAGE / "tests")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_its_description_names_what_it_needs() -> None:
    """It depends on agentprod alone, and ships what its name says."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text("utf-8"))
    assert [name.partition(">")[0] for name in project["project"]["dependencies"]] == ["agentprod"]
    (folder,) = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert (PACKAGE / folder / "__init__.py").is_file()
    assert (PACKAGE / folder / "py.typed").is_file()
