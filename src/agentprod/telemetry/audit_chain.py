"""The format of the audit file, and the check that nobody changed it.

Each line is a JSON object whose last member is the SHA-256 of all bytes before that member; another member holds the
hash of the line before. With a key, both are HMAC-SHA256 (RFC 2104), which only its holder can compute. Beside the
file stands a small one, `<file>.head`, with the number and hash of the last line, so that missing lines at the end
are noticed too.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["FIRST_HASH", "HEAD_BYTES", "RECOVERED", "Head", "Verification", "read_line", "seal", "verify"]

FIRST_HASH = "0" * 64
"""Stands for the hash before the first line."""

RECOVERED = "audit.recovered"
_TAIL = re.compile(rb',"hash":"([0-9a-f]{64})"}')
_TAIL_BYTES = len(',"hash":""}') + 64
_LONGEST = 1 << 20
_NOT_WHOLE = "it is not a whole line"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Head:
    """The last line: its number, its hash, and where the file ends after it."""

    seq: int
    hash: str
    size: int

    def to_bytes(self) -> bytes:
        """Return the content of the head file, always of one length."""
        return f'{{"seq":{self.seq:020d},"hash":"{self.hash}","size":{self.size:020d}}}\n'.encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Head | None:
        """Read a head file; `None` when it is not one, such as after a crash while it was made."""
        found = re.fullmatch(rb'{"seq":(\d{20}),"hash":"([0-9a-f]{64})","size":(\d{20})}\n', data)
        return None if found is None else cls(int(found[1]), found[2].decode(), int(found[3]))


HEAD_BYTES = len(Head(0, FIRST_HASH, 0).to_bytes())


@dataclass(frozen=True, slots=True)
class Verification:
    """Result of checking an audit file; true when every line is as it was written and none is missing."""

    lines: int
    """How many lines are good, from the first on."""
    broken_line: int | None = None
    """Number of the first line that is not, counted from 1; for missing lines, the one that should come next."""
    reason: str | None = None
    notes: list[str] = field(default_factory=list)
    """What is worth knowing about a good file."""

    def __bool__(self) -> bool:
        return self.broken_line is None


def seal(fields: Mapping[str, Any], key: bytes | None) -> tuple[bytes, str]:
    """Return a line for the file, with its line break, and its hash.

    Args:
        fields: JSON-able members, `seq` and `prev_hash` among them.

        key: secret for HMAC, `None` for plain SHA-256.
    """
    body = _encode(fields)[:-1].encode("utf-8", "replace")
    digest = _digest(body, key)
    return body + b',"hash":"' + digest.encode() + b'"}\n', digest


def read_line(line: bytes, key: bytes | None) -> tuple[dict[str, Any], str] | str:
    """Return the members and the hash of a line without its line break, or what is wrong with it."""
    found = _TAIL.fullmatch(line, len(line) - _TAIL_BYTES) if len(line) > _TAIL_BYTES else None
    if found is None:
        return _NOT_WHOLE
    written = found[1].decode()
    if not hmac.compare_digest(_digest(line[:-_TAIL_BYTES], key), written):
        return "its content does not fit its hash" + (" under this key" if key is not None else "")
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return "it is not JSON"
    return (fields, written) if isinstance(fields, dict) else "it is not an object"


def verify(path: str | Path, *, key: bytes | None = None, head: Head | None = None) -> Verification:
    """Check an audit file line by line.

    Whoever may write the file may also write another in its place, with another head file. So a plain chain shows
    damage and careless edits; a `key` that they do not have shows forgery; a `head` kept elsewhere shows that the end
    was cut off or rewritten.

    Args:
        path: the audit file; its head file is expected beside it.

        key: the secret the file was written with, if any.

        head: what an earlier `AuditWriter.append` returned, and was kept elsewhere.

    Returns:
        What was found; the first broken line is named by its number, counted from 1.

    Raises:
        OSError: the file cannot be read.
    """
    heads = [head] if head is not None else []
    notes: list[str] = []
    try:
        beside = Head.from_bytes(Path(f"{path}.head").read_bytes())
    except FileNotFoundError:
        beside = None
    if beside is not None:
        heads.append(beside)
    else:
        notes.append("no head file beside it: lines cut off at the end would not be noticed")
    chain = _Chain(key, {each.seq: each.hash for each in heads}, notes)
    with open(path, "rb") as file:
        while raw := file.readline(_LONGEST):
            problem = chain.check(raw)
            if problem is not None:
                return Verification(chain.good, chain.good + 1, problem, notes)
    last = max((each.seq for each in heads), default=0)
    if chain.torn is not None and (beside is None or last > chain.seq or chain.torn.endswith(b"\n")):
        return Verification(chain.good, chain.good + 1, chain.wrong, notes)
    if last > chain.seq:
        return Verification(chain.good, chain.good + 1, f"{last - chain.seq} lines at the end are missing", notes)
    if chain.torn is not None:
        notes.append("the last line was being written when the process ended; the next one will say so")
    return Verification(chain.good, notes=notes)


class _Chain:
    """How far a file has been checked."""

    def __init__(self, key: bytes | None, known: Mapping[int, str], notes: list[str]) -> None:
        self._key, self._known, self._notes = key, known, notes
        self.seq, self.hash = 0, FIRST_HASH
        self.good = 0
        """Lines of the file that are in order; torn ones that are accounted for count."""
        self.torn: bytes | None = None
        """The line after those, when it is broken in a way that a crash may explain."""
        self.wrong = ""

    def check(self, raw: bytes) -> str | None:
        """Take one more line; return what is wrong with the first line after the good ones."""
        read = read_line(raw[:-1], self._key) if raw.endswith(b"\n") else _NOT_WHOLE
        if self.torn is None:
            if not isinstance(read, str):
                return self._link(*read)
            # All right if the next line says that a crash tore this one, with its digest.
            self.torn, self.wrong = raw, read
            return None
        digest = hashlib.sha256(self.torn.removesuffix(b"\n")).hexdigest()
        if isinstance(read, str) or read[0].get("data", {}).get("torn_sha256") != digest or self._link(*read):
            return self.wrong
        self.good += 1
        self.torn = None
        return None

    def _link(self, fields: dict[str, Any], written: str) -> str | None:
        if fields.get("seq") != self.seq + 1:
            return f"its number is {fields.get('seq')} where {self.seq + 1} comes next"
        if fields.get("prev_hash") != self.hash:
            return "it does not continue the line before"
        if self._known.get(self.seq + 1, written) != written:
            return "it is not the line that its head names"
        if fields.get("event") == RECOVERED:
            lost = fields["data"].get("lost_lines")
            if lost:
                return f"{lost} lines before it were lost"
            self._notes.append(f"number {self.seq + 1} was written after a crash: {fields['data']['why']}")
        self.seq, self.hash = self.seq + 1, written
        self.good += 1
        return None


def _digest(body: bytes, key: bytes | None) -> str:
    return hashlib.sha256(body).hexdigest() if key is None else hmac.digest(key, body, "sha256").hex()
