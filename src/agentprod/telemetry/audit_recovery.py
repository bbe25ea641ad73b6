"""Where an audit file ends, also after a crash in the middle of a line."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Any

from agentprod.telemetry.audit_chain import FIRST_HASH, Head, read_line

__all__ = ["Tail", "read_tail"]

_LOOK_BACK = 1 << 18


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of the chain, and what the next line has to account for."""

    head: Head
    why: str | None = None
    """What went wrong since the last line, `None` when nothing did."""
    torn: bytes | None = None
    lost: int = 0
    bytes_missing: bytes = b""
    """What to write first so that the next line begins on a line of its own."""

    def account(self) -> dict[str, Any]:
        """Return the data of the line that accounts for it."""
        data: dict[str, Any] = {"why": self.why}
        if self.torn is not None:
            data |= {"torn_bytes": len(self.torn), "torn_sha256": hashlib.sha256(self.torn).hexdigest()}
        if self.lost:
            data["lost_lines"] = self.lost
        return data


def read_tail(log: int, size: int, head: Head | None, key: bytes | None) -> Tail:
    """Find the end of the chain in an open audit file.

    Args:
        log: file descriptor of the audit file.

        size: its size in bytes.

        head: content of the head file; `None` when there is none.

        key: secret of the chain, if any.
    """
    if head is not None and head.size == size:
        return Tail(head)
    if size == 0:
        lost = 0 if head is None else head.seq
        return Tail(Head(0, FIRST_HASH, 0), "the file is empty, its head is not" if lost else None, lost=lost)
    start = max(0, size - _LOOK_BACK)
    os.lseek(log, start, os.SEEK_SET)
    *whole, rest = _read(log, size - start).split(b"\n")
    if start:
        # The first piece begins in the middle of a line.
        del whole[:1]
    missing, torn = b"", None
    if rest:
        missing = b"\n"
        if isinstance(read_line(rest, key), str):
            torn = rest
        else:
            whole.append(rest)
    elif whole and isinstance(read_line(whole[-1], key), str):
        # The line break of a repair, whose own line was never written.
        torn = whole.pop()
    size += len(missing)
    last = read_line(whole[-1], key) if whole else (None if start else ({"seq": 0}, FIRST_HASH))
    if last is None or isinstance(last, str):
        # Broken before its end too. The chain goes on from the head, and checking it names the broken line.
        known = head or Head(0, FIRST_HASH, 0)
        return Tail(Head(known.seq, known.hash, size), "lines before are broken", torn, 0, missing)
    found = Head(last[0]["seq"], last[1], size)
    lost = max(0, head.seq - found.seq) if head is not None else 0
    if lost:
        return Tail(found, "lines at the end were missing", torn, lost, missing)
    if torn is not None:
        return Tail(found, "a line was torn", torn, 0, missing)
    return Tail(found, "the head file was missing" if head is None else None, None, 0, missing)


def _read(file: int, size: int) -> bytes:
    parts = []
    while size > 0 and (part := os.read(file, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
