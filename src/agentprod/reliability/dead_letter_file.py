"""A file of JSON lines that survives the death of whoever writes it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agentprod.errors import ConfigError

__all__ = ["DeadLetterFile", "read_lines"]


class DeadLetterFile:
    """Appends one record per line, each in one write, so that processes may share it and a reader finds whole lines.

    A process that dies in the middle of a write leaves half a line at worst; whoever appends next begins a new one, and
    `read_lines` passes over it. Lines are handed to the operating system, not forced to the disk: they survive the
    process, not a power cut. On network file systems appends of two machines may run into each other.

    Args:
        path: the file; made when the first record comes, readable by its owner alone.

    Raises:
        ConfigError: its folder does not exist, or it is a folder itself.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.parent.is_dir():
            raise ConfigError(f"the folder of the dead letters does not exist: {self.path.parent}")
        if self.path.is_dir():
            raise ConfigError(f"dead letters go to a file, and {self.path} is a folder: name a file in it")

    def append(self, record: Mapping[str, Any]) -> None:
        """Append a record.

        Args:
            record: JSON-able data.

        Raises:
            OSError: the file cannot be written, or not all of it.
        """
        line = json.dumps(record, ensure_ascii=False, default=_shown).encode("utf-8", "replace") + b"\n"
        # Read access, too: to see whether the last line is whole.
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if _is_torn(file):
                line = b"\n" + line
            if os.write(file, line) != len(line):
                raise OSError(f"{self.path} took only a part of a dead letter")
        finally:
            os.close(file)


def read_lines(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Yield the records of a file, oldest first; torn lines are passed over.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as lines:
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                yield record


def _is_torn(file: int) -> bool:
    if os.fstat(file).st_size == 0:
        return False
    os.lseek(file, -1, os.SEEK_END)
    return os.read(file, 1) != b"\n"


def _shown(value: Any) -> str:
    return f"<{type(value).__name__}>"
