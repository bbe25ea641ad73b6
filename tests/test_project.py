"""What holds for the project as a whole: file sizes, public names, docstrings of tests, extras, Python versions."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "agentprod"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

MODULES = sorted(PACKAGE.rglob("*.py"))
TEST_FILES = sorted((ROOT / "tests").rglob("test_*.py"))


def relative(file: Path) -> str:
    """Return the path of a file below the project's root, as a test id."""
    return file.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("file", MODULES, ids=relative)
def test_a_source_file_has_fewer_than_400_lines(file: Path) -> None:
    """A file holds one idea; one that grows past 400 lines is split."""
    lines = len(file.read_text("utf-8").splitlines())
    assert lines < 400


def test_the_package_says_that_it_is_typed() -> None:
    """Type checkers read our annotations when the marker file is there."""
    assert (PACKAGE / "py.typed").is_file()


@pytest.mark.skipif(not (PACKAGE / "__init__.py").exists(), reason="the package has no public names yet")
def test_public_names_exist_and_are_sorted() -> None:
    """Every name in `__all__` can be imported, stands there once, and is where one looks for it."""
    public = importlib.import_module("agentprod")
    assert public.__all__ == sorted(set(public.__all__))
    assert [name for name in public.__all__ if not hasattr(public, name)] == []


@pytest.mark.parametrize("file", MODULES, ids=relative)
def test_a_module_lists_names_that_it_has(file: Path) -> None:
    """`__all__` of a module names what the module defines or imports, each name once."""
    tree = ast.parse(file.read_text("utf-8"))
    listed = Counter(_listed(tree))
    assert [name for name, count in listed.items() if count > 1] == []
    if not any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in tree.body):
        assert listed.keys() - _bound(tree) == set()


def _listed(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def _bound(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


@pytest.mark.parametrize("file", TEST_FILES, ids=relative)
def test_a_test_states_the_behaviour(file: Path) -> None:
    """Each test function has a docstring that says what must hold."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tests = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, functions)]
    assert [node.name for node in tests if node.name.startswith("test_") and not ast.get_docstring(node)] == []


def test_extras_that_messages_name_exist() -> None:
    """An error that prints `pip install "agentprod[name]"` names an extra of the package."""
    extras = PROJECT["project"]["optional-dependencies"]
    text = "".join(file.read_text("utf-8") for file in MODULES)
    named = {name for names in re.findall(r"agentprod\[([a-z,-]+)\]", text) for name in names.split(",")}
    assert named - extras.keys() == set()


def test_the_extra_all_holds_every_extra() -> None:
    """`agentprod[all]` leaves no extra out."""
    extras = PROJECT["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    assert everything == f"agentprod[{','.join(name for name in extras if name != 'all')}]"


def test_one_lowest_python_version_everywhere() -> None:
    """The package, both type checkers, the linter and run.py agree on the lowest Python."""
    tools = PROJECT["tool"]
    lowest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert {tools["mypy"]["python_version"], tools["pyright"]["pythonVersion"]} == {lowest}
    assert tools["ruff"]["target-version"] == f"py{lowest.replace('.', '')}"
    assert f"sys.version_info < ({lowest.replace('.', ', ')})" in (ROOT / "run.py").read_text("utf-8")


def test_the_changelog_has_a_place_for_what_comes_next() -> None:
    """Changes are written down under Unreleased when they are made."""
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text("utf-8")
