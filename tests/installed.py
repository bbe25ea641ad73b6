"""A look at the package from outside the checkout; `nox -s wheel` runs it where only the wheel is installed."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import agentprod

SOURCE = Path(__file__).parent.parent / "src"
PACKAGE = Path(agentprod.__file__).parent
ON_FIRST_USE = {"openai", "anthropic", "httpx", "httpx2", "numpy", "tiktoken", "redis", "psycopg", "pandas", "pydantic"}

assert SOURCE not in PACKAGE.parents, f"this is the checkout, not the installed package: {PACKAGE}"
assert not ON_FIRST_USE & sys.modules.keys(), f"`import agentprod` loads {sorted(ON_FIRST_USE & sys.modules.keys())}"
assert (PACKAGE / "py.typed").is_file(), "the wheel lacks py.typed"
assert importlib.metadata.metadata("agentprod")["License-Expression"] == "Apache-2.0"
missing = [name for name in agentprod.__all__ if not hasattr(agentprod, name)]
assert not missing, f"names in __all__ that are not there: {missing}"


@agentprod.Stack(agentprod.Retry(), agentprod.CircuitBreaker())
def double(number: int) -> int:
    """Stand for a call of an LLM."""
    return 2 * number


assert double(21) == 42
print(f"agentprod {importlib.metadata.version('agentprod')} works from {PACKAGE}")
