"""Entries as lines of a file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from agentprod.caching.counter_examples import Wrong
from agentprod.caching.entries import Entry
from agentprod.caching.keys import VERSION
from agentprod.errors import ConfigError

__all__ = ["read_lines", "write_lines"]

_HEAD = "agentprod_cache"


def write_lines(path: str | os.PathLike[str], entries: Iterable[Entry], wrong: Iterable[Wrong] = ()) -> int:
    """Write entries as JSON Lines, whole or not at all; return how many.

    Args:
        path: of the file.

        entries: what to write.

        wrong: texts that were answered wrongly, which are not counted.
    """
    target = Path(path)
    beside = target.with_name(f"{target.name}.{os.getpid()}.part")
    count = 0
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(json.dumps({_HEAD: VERSION}) + "\n")
            for entry in entries:
                file.write(json.dumps(entry.to_json(), ensure_ascii=True, separators=(",", ":")) + "\n")
                count += 1
            for each in wrong:
                file.write(json.dumps({"wrong": each}) + "\n")
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    return count


def read_lines(path: str | os.PathLike[str]) -> Iterator[Entry | Wrong | None]:
    """Yield what a file holds, `None` for each line that is nothing of it.

    Raises:
        ConfigError: no such file of this library, or of another version of its keys.
    """
    with Path(path).open(encoding="utf-8") as file:
        head = _json(file.readline())
        version = head.get(_HEAD) if isinstance(head, dict) else None
        if version is None:
            raise ConfigError("this file was not written by dump(): its first line does not say so")
        if version != VERSION:
            raise ConfigError(f"this file holds keys of version {version}, and this cache makes those of {VERSION}")
        for line in file:
            row = _json(line)
            try:
                yield Wrong.from_json(row["wrong"]) if "wrong" in row else Entry.from_json(row)
            except (KeyError, TypeError, ValueError):
                yield None


def _json(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
