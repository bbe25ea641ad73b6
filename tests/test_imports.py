"""The import contract: imports point downward, features do not know each other, heavy packages load on first use."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Literal

import pytest

SOURCE = Path(__file__).parent.parent / "src"

# Lowest first. A module may import from its own layer and from those below it.
# A name is a file or a folder directly in agentprod; a new one is to be placed here.
LAYERS: Mapping[str, tuple[str, ...]] = {
    "foundation": (
        "errors",
        "callsite",
        "hints",
        "faults",  # knows errors and hints alone; a stream that breaks classifies what broke it
        "usage",
        "parts",
        "ids",
        "forks",
        "opening",
        "call",
        "context",
        "ledger",
        "reply",
        "stream",
        "stream_end",
        "stream_errors",
        "events",
        "identity",
        "ambient",
        "history",
        "compose",
        "when",
        "explain",
        "interrupted",
        "lateness",
        "layer",
        "reentry",
        "runtime",
        "board",
        "capabilities",
        "capability_table",
        "spending_cap",
        "order",
        "listeners",
        "activities",
        "runs",
        "draining",
        "vitals",
        "propagation",
        "hints",
        "switch",
        "targets",
        "meta",
    ),
    "ground": ("dialects", "stores"),
    "features": ("reliability", "caching", "routing", "budget", "safety", "telemetry"),
    "edge": ("edge", "defaults", "stack"),
    "top": ("presets", "batch", "typing", "__main__", "__init__"),
}
# agentprod.testing is for users' tests: it takes the package as a user does or any part below "top",
# and no part of the package takes it.
TESTING = "testing"

# Never imported while a module of ours is being imported: slow, or part of an extra.
ON_FIRST_USE = frozenset(
    {
        *("openai", "anthropic", "httpx", "httpx2", "numpy", "tiktoken"),
        *("redis", "valkey", "psycopg", "pandas", "pydantic", "IPython", "tqdm"),
        *("genai_prices", "prometheus_client", "opentelemetry.sdk", "opentelemetry.exporter"),
    }
)

When = Literal["load", "call", "typing"]  # as the importer loads, in a function, or for the type checker alone

RANK = {name: rank for rank, names in enumerate(LAYERS.values()) for name in names}
FEATURES = LAYERS["features"]


@dataclass(frozen=True)
class Import:
    """One import statement: who imports what, where, and when it happens."""

    importer: str
    target: str
    line: int
    when: When

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.target}"


def read_package() -> dict[str, str]:
    """Return the source of every module of the package, by dotted name; a folder's own is `folder.__init__`."""
    files = sorted((SOURCE / "agentprod").rglob("*.py"))
    return {".".join(file.relative_to(SOURCE).with_suffix("").parts): file.read_text("utf-8") for file in files}


def all_imports(modules: Mapping[str, str]) -> list[Import]:
    """Return every import of every module; inside the package the target is a module, not a name in it."""
    found = []
    for module, source in modules.items():
        for node, when in _statements(ast.parse(source), "load"):
            found += [Import(module, target, node.lineno, when) for target in _targets(module, node, modules)]
    return found


def _statements(tree: ast.AST, when: When) -> Iterator[tuple[ast.Import | ast.ImportFrom, When]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, when
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and when == "load":
            yield from _statements(node, "call")
        elif isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            for child in node.body:
                yield from _statements(ast.Module([child], []), "typing")
            for child in node.orelse:
                yield from _statements(ast.Module([child], []), when)
        else:
            yield from _statements(node, when)


def _targets(importer: str, node: ast.Import | ast.ImportFrom, modules: Mapping[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (_file_of(alias.name, modules) for alias in node.names)
        return
    package = ".".join(importer.split(".")[: -node.level]) if node.level else ""
    origin = ".".join(part for part in (package, node.module) if part)
    for alias in node.names:
        name = f"{origin}.{alias.name}"
        is_module = {name, f"{name}.__init__"} & modules.keys() or (origin == "agentprod" and alias.name in RANK)
        yield _file_of(name if is_module or not _top(origin) else origin, modules)


def _file_of(module: str, modules: Mapping[str, str]) -> str:
    is_folder = module == "agentprod" or f"{module}.__init__" in modules
    return f"{module}.__init__" if is_folder else module


def _top(module: str) -> str:
    """Return which file or folder of agentprod a module is or is in; the empty string outside the package."""
    package, _, rest = module.partition(".")
    return (rest.split(".")[0] or "__init__") if package == "agentprod" else ""


def unplaced(modules: Mapping[str, str]) -> list[str]:
    """Return the modules that no layer names."""
    return [module for module in modules if _top(module) not in {*RANK, TESTING}]


def upward(imports: list[Import]) -> list[Import]:
    """Return the imports that point to a higher layer, or to agentprod.testing."""
    return [each for each in imports if each.when != "typing" and _top(each.target) and not _allowed(each)]


def _allowed(each: Import) -> bool:
    importer, target = _top(each.importer), _top(each.target)
    if importer == TESTING:
        return target in {TESTING, "__init__"} or RANK.get(target, len(LAYERS)) < RANK["__init__"]
    return target != TESTING and RANK.get(importer, 0) >= RANK.get(target, 0)


def between_features(imports: list[Import]) -> list[Import]:
    """Return the imports of one feature by another, those for the type checker included."""
    return [
        each
        for each in imports
        if {_top(each.importer), _top(each.target)} <= set(FEATURES) and _top(each.importer) != _top(each.target)
    ]


def cycle(imports: list[Import]) -> list[str]:
    """Return the modules of one import cycle; an empty list when there is none."""
    graph: dict[str, set[str]] = {}
    for each in imports:
        if each.when != "typing" and _top(each.target) and each.target != each.importer:
            graph.setdefault(each.importer, set()).add(each.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def heavy(imports: list[Import]) -> list[Import]:
    """Return the imports of heavy packages that happen while a module is being imported."""
    return [
        each
        for each in imports
        if each.when == "load" and any(f"{each.target}.".startswith(f"{package}.") for package in ON_FIRST_USE)
    ]


def asyncio_in_features(imports: list[Import]) -> list[Import]:
    """Return the imports of asyncio by features, whose one body has to serve synchronous calls as well."""
    return [
        each
        for each in imports
        if each.when != "typing" and _top(each.importer) in FEATURES and f"{each.target}.".startswith("asyncio.")
    ]


def listed(violations: list[Import]) -> str:
    """Return the violations one to a line, for the failure message."""
    return "\n".join(map(str, violations))


def test_every_module_has_a_layer() -> None:
    """A new file or folder is placed in LAYERS."""
    assert not unplaced(read_package())


def test_imports_point_downward() -> None:
    """No module imports from a layer above its own, in functions either."""
    violations = upward(all_imports(read_package()))
    assert not violations, listed(violations)


def test_features_do_not_import_each_other() -> None:
    """What two features share lies below them."""
    violations = between_features(all_imports(read_package()))
    assert not violations, listed(violations)


def test_imports_form_no_cycle() -> None:
    """The modules can be put in an order in which each imports earlier ones only."""
    assert not cycle(all_imports(read_package()))


def test_heavy_packages_are_imported_on_first_use() -> None:
    """No module of ours imports an SDK, numpy or tiktoken while it is being imported itself."""
    violations = heavy(all_imports(read_package()))
    assert not violations, listed(violations)


def test_features_do_not_import_asyncio() -> None:
    """A layer waits through `call.runtime`, which knows whether there is an event loop."""
    violations = asyncio_in_features(all_imports(read_package()))
    assert not violations, listed(violations)


@pytest.mark.skipif(not (SOURCE / "agentprod/__init__.py").exists(), reason="the package has no public names yet")
def test_a_misspelt_name_is_answered_with_the_right_one() -> None:
    """Python suggests one of the names that the package lists, where an error says which was wanted of what."""
    import agentprod

    with pytest.raises(AttributeError) as caught:
        agentprod.Rety  # noqa: B018
    assert (caught.value.name, caught.value.obj) == ("Rety", agentprod)
    assert "Retry" in dir(agentprod)


def test_importing_the_package_loads_nothing_heavy() -> None:
    """`import agentprod` in a fresh interpreter leaves SDKs, numpy and tiktoken alone."""
    code = "import sys, agentprod; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    loaded = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert not ON_FIRST_USE.intersection(loaded)


IMPORTS_OF = {
    "upward at load": ("agentprod.call", "from agentprod.stack import Stack"),
    "upward in a function": ("agentprod.call", "def f():\n    from agentprod.stores import memory"),
    "upward by a relative path": ("agentprod.stores.memory", "from ..edge import wrap"),
    "the package itself": ("agentprod.stack", "import agentprod"),
    "a public name": ("agentprod.edge.wrap", "from agentprod import Stack"),
    "testing": ("agentprod.batch", "from agentprod.testing import FakeClock"),
    "presets in testing": ("agentprod.testing.plugin", "from agentprod.presets import standard"),
}


@pytest.mark.parametrize(("module", "source"), IMPORTS_OF.values(), ids=IMPORTS_OF)
def test_the_check_finds_an_upward_import(module: str, source: str) -> None:
    """Every way to write an import against the direction is seen."""
    assert len(upward(all_imports({"agentprod.__init__": "", module: source}))) == 1


DOWNWARD_IMPORTS_OF = {
    "downward": ("agentprod.stack", "from agentprod.call import Call"),
    "its own layer": ("agentprod.stores.redis", "from agentprod.stores import base"),
    "for the type checker": ("agentprod.call", "if TYPE_CHECKING:\n    from agentprod.dialects.base import Dialect"),
    "the package in testing": ("agentprod.testing.plugin", "from agentprod import Stack"),
    "a layer in testing": ("agentprod.testing.plugin", "from agentprod.reliability.retry import Retry"),
    "other packages": ("agentprod.errors", "import json, collections.abc"),
}


@pytest.mark.parametrize(("module", "source"), DOWNWARD_IMPORTS_OF.values(), ids=DOWNWARD_IMPORTS_OF)
def test_the_check_allows_a_downward_import(module: str, source: str) -> None:
    """Imports along the direction, and those for the type checker alone, pass."""
    assert not upward(all_imports({"agentprod.__init__": "", module: source}))


def test_the_check_finds_a_module_without_a_layer() -> None:
    """A name that stands in no layer is reported."""
    assert unplaced({"agentprod.new_thing.part": "", "agentprod.call": ""}) == ["agentprod.new_thing.part"]


def test_the_check_finds_a_feature_in_a_feature() -> None:
    """An import for the type checker alone couples two features as well."""
    source = "if TYPE_CHECKING:\n    from agentprod.budget.prices import Price"
    assert between_features(all_imports({"agentprod.telemetry.tracer": source}))
    assert not between_features(all_imports({"agentprod.budget.budget": source}))


def test_the_check_finds_a_cycle() -> None:
    """A cycle through a function's import is a cycle."""
    modules = {
        "agentprod.caching.keys": "def f():\n    from agentprod.caching import exact",
        "agentprod.caching.exact": "from .keys import key",
    }
    assert set(cycle(all_imports(modules))) == set(modules)


@pytest.mark.parametrize(
    "source", ["import numpy.typing as npt", "try:\n    from openai import OpenAI\nfinally:\n    pass"]
)
def test_the_check_finds_a_heavy_import(source: str) -> None:
    """A heavy package is found under any form of import, in a `try` as well."""
    assert heavy(all_imports({"agentprod.caching.index": source}))


@pytest.mark.parametrize(
    "source", ["def f():\n    import numpy", "if TYPE_CHECKING:\n    import numpy", "import numbers"]
)
def test_the_check_allows_heavy_packages_on_first_use(source: str) -> None:
    """Functions and type checkers may import anything."""
    assert not heavy(all_imports({"agentprod.caching.index": source}))


def test_the_check_finds_asyncio_in_a_feature() -> None:
    """The runtime and the edge may import asyncio, a feature may not."""
    assert asyncio_in_features(all_imports({"agentprod.reliability.retry": "from asyncio import sleep"}))
    assert not asyncio_in_features(all_imports({"agentprod.runtime.clock": "import asyncio"}))
