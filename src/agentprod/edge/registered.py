"""Wire formats that other packages bring, by entry point.

```toml
[project.entry-points."agentprod.dialects"]
house = "house_sdk.stacks:HouseFormat"
```
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping

from agentprod.callsite import outside_level
from agentprod.dialects.base import Dialect
from agentprod.errors import AgentprodWarning, ConfigError

__all__ = ["GROUP", "dialect_named", "registered"]

GROUP = "agentprod.dialects"

_lock = threading.Lock()
_found: dict[str, Dialect] | None = None


def registered() -> Mapping[str, Dialect]:
    """Return the registered formats by name; packages are asked once per process, when somebody first needs them."""
    global _found  # noqa: PLW0603 - one per process: what is installed does not change
    if _found is None:
        with _lock:
            if _found is None:
                _found = _load()
    return _found


def dialect_named(name: str) -> Dialect:
    """Return the registered format of this name.

    Raises:
        ConfigError: there is none.
    """
    found = registered().get(name)
    if found is None:
        known = ", ".join(sorted(registered())) or "none"
        raise ConfigError(f"no installed package registers a dialect {name!r} (entry point {GROUP}); known: {known}")
    return found


def _load() -> dict[str, Dialect]:
    from importlib import metadata

    loaded: dict[str, Dialect] = {}
    for point in metadata.entry_points(group=GROUP):
        try:
            made = point.load()
            made = made() if isinstance(made, type) else made
        except Exception as error:
            # Calls of that format would pass the layers as other traffic, so it is said aloud.
            message = f"the dialect {point.name!r} ({point.value}) cannot be loaded: {type(error).__name__}: {error}"
            warnings.warn(message, AgentprodWarning, stacklevel=outside_level())
            continue
        if not isinstance(made, Dialect):
            raise ConfigError(f"the entry point {point.name!r} ({point.value}) is no agentprod.Dialect")
        loaded[point.name] = made
    return loaded
