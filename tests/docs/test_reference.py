"""The reference describes everything public, once."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import agentprod as ap
from agentprod import errors, testing

PAGES = Path(__file__).parents[2] / "docs" / "reference"


def test_every_public_name_is_described_once() -> None:
    """A name of `agentprod` or `agentprod.testing` stands on one page; errors stand together on theirs."""
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES.glob("*.md"))
    paths = re.findall(r"^::: agentprod\.([\w.]+)$", pages, re.MULTILINE)
    # A function is described by its module's path where the two share a name, or the whole module would be.
    described = Counter(re.sub(r"^(\w+)\.\1$", r"\1", path) for path in paths)
    expected = {name for name in ap.__all__ if name not in errors.__all__}
    expected |= {f"testing.{name}" for name in testing.__all__}
    assert expected - {"Usage"} <= set(described)  # beside modules, and the classes of what functions return
    assert set(described.values()) == {1}


def documented() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield public classes, their public methods and public functions, by name."""
    for module in (ap, testing):
        for name in module.__all__:
            public = getattr(module, name)
            if inspect.isclass(public) or inspect.isfunction(public):
                yield name, public
            for member, method in vars(public).items() if inspect.isclass(public) else ():
                if inspect.isfunction(method) and not member.startswith("_"):
                    yield f"{name}.{member}", method


def test_what_stands_under_args_is_a_parameter() -> None:
    """Each entry is `name: text` with a name from the signature: the reference refuses to build with anything else."""
    strangers = {}
    for name, public in documented():
        section = re.search(r"^Args:\n((?: {4}.*\n|\n)*)", f"{inspect.getdoc(public) or ''}\n", re.MULTILINE)
        entries = re.findall(r"^ {4}(\S[^:\n]*)", section[1] if section else "", re.MULTILINE)
        parameters = inspect.signature(public).parameters if entries else {}
        unknown = {entry.lstrip("*") for entry in entries} - set(parameters)
        if unknown:
            strangers[name] = unknown
    assert strangers == {}
