"""What is done of many items, line by line in a file, so that a run that was killed can go on where it was."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentprod.errors import ConfigError

__all__ = ["Checkpoint", "open_checkpoint"]

_VERSION = 1


class Checkpoint:
    """A JSONL file of finished items: a line that says whose it is, then one for each item, `{"key", "value"}`.

    A line is one write, so a killed process loses nothing that was finished; a line it left half written is cut off.

    Args:
        path: the file; made when it is not there.

        name: what the items are given to; the file of another function is refused.

        key: names an item; by default its JSON does.

    Raises:
        ConfigError: the file is no checkpoint, or one of another function.
    """

    def __init__(self, path: Path, name: str, key: Callable[[Any], str] | None) -> None:
        self._path, self._key = path, key
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._done = self._load(name)
        if not self._done and (not path.exists() or not path.stat().st_size):
            self._write({"checkpoint": _VERSION, "function": name})

    def key(self, item: Any) -> str:
        """Return the name of an item; the same item a second time has another one.

        Raises:
            ConfigError: it is not JSON-able and there is no `key=`.
        """
        if self._key is not None:
            named = str(self._key(item))
        else:
            try:
                text = json.dumps(item, sort_keys=True, ensure_ascii=False)
            except (TypeError, ValueError) as error:
                raise ConfigError(
                    f"a checkpoint names items by their JSON, which a {type(item).__name__} has none of: give key="
                ) from error
            named = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        self._seen[named] += 1
        return named if self._seen[named] == 1 else f"{named}#{self._seen[named]}"

    def __contains__(self, key: str) -> bool:
        return key in self._done

    def value(self, key: str) -> Any:
        """Return what an item gave when it was done."""
        return self._done[key]

    def keep(self, key: str, value: Any) -> None:
        """Write down that an item is done.

        Raises:
            ConfigError: the value would not come back from JSON as it is.
        """
        line = {"key": key, "value": value}
        try:
            same = json.loads(json.dumps(line, ensure_ascii=False))["value"] == value
        except (TypeError, ValueError):
            same = False
        if not same:
            raise ConfigError(
                f"a checkpoint keeps values as JSON, and a {type(value).__name__} would not come back as it is: let "
                "the function return str, numbers, lists and dicts, such as reply.choices[0].message.content"
            )
        self._write(line)

    def _write(self, line: dict[str, Any]) -> None:
        # Text of models may hold half of a surrogate pair, which UTF-8 cannot.
        text = json.dumps(line, ensure_ascii=False)
        if not _encodes(text):
            text = json.dumps(line)
        # Opened for each line: a line takes less than a thousandth of what a call does, and nothing is left open.
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    def _load(self, name: str) -> dict[str, Any]:
        if not self._path.exists() or not self._path.stat().st_size:
            return {}
        data = self._path.read_bytes()
        whole = data.rfind(b"\n") + 1
        try:
            head, *lines = (json.loads(line) for line in data[:whole].splitlines())
            if head["checkpoint"] != _VERSION:
                raise ValueError
            done = {line["key"]: line["value"] for line in lines}
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{self._path} is no checkpoint of ours; choose another file") from error
        if head["function"] != name:
            raise ConfigError(
                f"{self._path} is the checkpoint of {head['function']}, not of {name}: its values would be taken for "
                "this function's; choose another file, or delete this one"
            )
        if whole < len(data):
            os.truncate(self._path, whole)
        return done


def open_checkpoint(
    path: str | Path | None, fn: Callable[..., Any], key: Callable[[Any], str] | None
) -> Checkpoint | None:
    """Return the checkpoint of a function, `None` without a path."""
    if path is None:
        return None
    place = Path(path)
    if not place.parent.is_dir():
        raise ConfigError(f"the folder of the checkpoint does not exist: {place.parent}")
    named = getattr(fn, "func", fn)  # of a partial, the function
    return Checkpoint(place, getattr(named, "__qualname__", type(named).__name__), key)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
