"""An append-only record of what was done, in which a changed line shows."""

from __future__ import annotations

import hmac
import os
import re
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from agentprod.errors import ConfigError
from agentprod.identity import seconds
from agentprod.telemetry.audit_chain import HEAD_BYTES, RECOVERED, Head, Verification, seal, verify
from agentprod.telemetry.audit_recovery import read_tail
from agentprod.telemetry.calls import CallRecord
from agentprod.telemetry.file_lock import lock_file, unlock_file
from agentprod.telemetry.forks import renew_after_fork
from agentprod.telemetry.logs import call_fields

__all__ = ["AuditWriter", "Head", "Verification", "main", "verify"]

_OPENED = "audit.opened"
_SALT = re.compile(rb'"event":"audit\.opened","data":{"version":1,"chain":"[a-z0-9-]+","salt":"([0-9a-f]{32})"}')
_LONGEST_TEXT = 500
_MOST_ITEMS = 100
_DEEPEST = 4
_LONGEST_LINE = 65536
_BINARY = getattr(os, "O_BINARY", 0)
# A constant, for a union would be built anew for every value.
_PLAIN = (bool, int, type(None))


class AuditWriter:
    """Appends events to a JSONL file, each line chained to the one before by its hash.

    Several threads, processes and writers may share one file. A line is one write; a process that dies in the middle
    of it leaves a torn line, which the next writer accounts for in the chain instead of removing. Text goes in as a
    salted digest only: it can be shown later that a given text was meant, and nothing can be read back. The salt
    stands in the file's first line, so short or guessable texts can be guessed by whoever has the file; give a `salt`
    of your own, kept elsewhere, where that matters.

    The lock is a lock on the head file, which network file systems may not honour. Appending waits for it and for the
    disk, so it does not belong in finalizers, where the thread may be in the middle of another line.

    Args:
        path: the file; its folder must exist. `<path>.head` appears beside it.

        fsync: `"always"` forces every line to disk, which takes from a fraction of a millisecond to several; a number
            does so at most once in so many seconds, on the next line, and when closing; `"never"` leaves it to the
            operating system, which loses the last lines when the machine, not just the process, goes down.

        key: secret for HMAC-SHA256 in place of SHA-256, 16 bytes or more: then no one without it can forge lines.

        salt: secret for the digests of text, 16 bytes or more; by default a random one that stands in the file.

        now: clock in seconds (POSIX time).

    Raises:
        ConfigError: the folder does not exist, or an option is out of range.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        fsync: Literal["never", "always"] | float = 1.0,
        key: bytes | None = None,
        salt: bytes | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        if not isinstance(path, str | os.PathLike):
            raise ConfigError(f"the path of the audit file is a str or a Path, not {type(path).__name__}")
        self.path = Path(path)
        if not self.path.parent.is_dir():
            raise ConfigError(f"the folder of the audit file does not exist: {self.path.parent}")
        if self.path.is_dir():
            raise ConfigError(f"the audit file is a folder: {self.path}")
        if isinstance(fsync, str) and fsync not in ("never", "always"):
            raise ConfigError(f"fsync is 'never', 'always' or seconds, got {fsync!r}")
        for name, secret in (("key", key), ("salt", salt)):
            if secret is not None and (not isinstance(secret, bytes) or len(secret) < 16):
                told = f"got {len(secret)}" if isinstance(secret, bytes) else f"not {type(secret).__name__}"
                raise ConfigError(f"{name} is at least 16 bytes, {told}")
        self._interval = 0.0 if fsync == "always" else None if isinstance(fsync, str) else seconds(fsync, "fsync")
        self._key, self._own_salt, self._now = key, salt, now
        self._files: tuple[int, int] | None = None
        self._last: Head | None = None
        self.after_fork()
        renew_after_fork(self)

    def append(
        self, event: str, data: Mapping[str, Any] | None = None, *, content: Mapping[str, str | bytes] | None = None
    ) -> Head:
        """Add one line.

        Args:
            event: what happened, such as `"tool.denied"`; names that begin with `audit.` are ours.

            data: names and figures; strings are cut to 500 characters, what is not JSON becomes the name of its type.

            content: texts, of which only a digest and the length are kept.

        Returns:
            Number and hash of the line; kept elsewhere, they prove later that it was there (`verify(head=)`).

        Raises:
            ConfigError: the event's name is ours.

            OSError: the file cannot be written; whether the call may go on is the caller's decision.
        """
        if event.startswith("audit."):
            raise ConfigError(f"event names that begin with 'audit.' are kept for the file itself, got {event!r}")
        cleaned = _clean(data or {}, 0)
        with self._lock:
            log, head = self._hold()
            try:
                last = self._ready(log, head)
                if content:
                    cleaned = {**cleaned, "content": self._digests(content)}
                self._last = self._write(log, head, last, event, cleaned)
                return self._last
            finally:
                unlock_file(head)

    def record(self, record: CallRecord, *, content: Mapping[str, str | bytes] | None = None) -> Head:
        """Add the line of a finished call: the fields of its log line, without the error's message.

        Args:
            record: the call.

            content: texts, of which only a digest and the length are kept.

        Raises:
            OSError: the file cannot be written.
        """
        fields = call_fields(record)
        del fields["error_message"]
        return self.append("llm.call", fields, content=content)

    def digest(self, text: str | bytes) -> str:
        """Return the digest a text has in this file, to look for it there.

        Raises:
            OSError: the file cannot be written or read.
        """
        with self._lock:
            log, head = self._hold()
            try:
                self._ready(log, head)
                return self._digest(text)
            finally:
                unlock_file(head)

    def close(self) -> None:
        """Force what was written to disk, unless `fsync="never"`, and close the files; appending opens them again."""
        with self._lock:
            if self._files is not None:
                if self._interval is not None:
                    for file in self._files:
                        os.fsync(file)
                for file in self._files:
                    os.close(file)
                self._files = None

    def __enter__(self) -> AuditWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def after_fork(self) -> None:
        """Begin anew in a forked child: a lock on a file that was opened before the fork would be shared."""
        self._lock = threading.Lock()
        files, self._files = getattr(self, "_files", None), None
        for file in files or ():
            os.close(file)
        self._last = None
        self._salt = self._own_salt
        self._synced = float("-inf")

    def _hold(self) -> tuple[int, int]:
        """Return the open files, locked against other processes and other writers of this one."""
        if self._files is None:
            self._files = (_open(self.path, os.O_APPEND), _open(Path(f"{self.path}.head"), 0))
        lock_file(self._files[1])
        return self._files

    def _ready(self, log: int, head: int) -> Head:
        """Return where the chain ends, after repairing what a crash left behind."""
        size = os.lseek(log, 0, os.SEEK_END)
        # If nobody wrote since, what is known is still right; that spares reading the head.
        if self._last is None or self._last.size != size:
            self._last = self._continue(log, head, size)
        if self._salt is None:
            self._salt = _stored_salt(log)
        return self._last

    def _continue(self, log: int, head: int, size: int) -> Head:
        """Find the end of a chain that others wrote to, or begin one."""
        os.lseek(head, 0, os.SEEK_SET)
        tail = read_tail(log, size, Head.from_bytes(os.read(head, HEAD_BYTES)), self._key)
        last = tail.head
        if tail.bytes_missing:
            _write_all(log, tail.bytes_missing)
        if tail.why is not None:
            # Before anything else, for a torn line is accounted for by the line right behind it.
            last = self._write(log, head, last, RECOVERED, tail.account())
        if tail.head.seq == 0:
            salt = "" if self._own_salt else secrets.token_hex(16)
            digest = "hmac-sha256" if self._key else "sha256"
            last = self._write(log, head, last, _OPENED, {"version": 1, "chain": digest, "salt": salt})
        return last

    def _write(self, log: int, head: int, last: Head, event: str, data: Mapping[str, Any]) -> Head:
        seq = last.seq + 1
        fields = {"seq": seq, "ts": round(self._now(), 3), "event": event, "data": data, "prev_hash": last.hash}
        line, digest = seal(fields, self._key)
        if len(line) > _LONGEST_LINE:
            line, digest = seal({**fields, "data": {"left_out_bytes": len(line)}}, self._key)
        _write_all(log, line)
        # The lock is ours, so nobody else wrote in between.
        made = Head(seq, digest, last.size + len(line))
        os.lseek(head, 0, os.SEEK_SET)
        _write_all(head, made.to_bytes())
        self._sync(log)
        return made

    def _sync(self, log: int) -> None:
        if self._interval is None:
            return
        now = time.monotonic()
        if now - self._synced >= self._interval:
            # A head that is behind is caught up with; only the lines themselves must not be lost.
            os.fsync(log)
            self._synced = now

    def _digests(self, content: Mapping[str, str | bytes]) -> dict[str, Any]:
        return {
            str(name)[:_LONGEST_TEXT]: {"digest": self._digest(text), "length": len(text)}
            for name, text in content.items()
        }

    def _digest(self, text: str | bytes) -> str:
        assert self._salt is not None
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        return hmac.digest(self._salt, data, "sha256").hex()


def main(argv: Sequence[str] | None = None) -> int:
    """Run `audit verify FILE`: print what was found.

    Args:
        argv: the arguments after `audit`; those of the process by default.

    Returns:
        Exit status: 0 for a sound file, 1 for a broken one, 2 when it cannot be read.
    """
    import argparse

    parser = argparse.ArgumentParser(prog="python -m agentprod audit", description="Check audit files.")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("verify", help="check that no line was changed, moved, removed or added")
    check.add_argument("file", type=Path, help="the audit file")
    check.add_argument("--key-file", type=Path, help="file with the key= it was written with, and no line break more")
    asked = parser.parse_args(argv)
    try:
        key = asked.key_file.read_bytes() if asked.key_file else None
        found = verify(asked.file, key=key)
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
        return 2
    for note in found.notes:
        sys.stderr.write(f"{asked.file}: note: {note}\n")
    if found:
        sys.stdout.write(f"{asked.file}: {found.lines} lines, all sound\n")
        return 0
    sys.stdout.write(f"{asked.file}: line {found.broken_line} is broken: {found.reason}\n")
    return 1


def _open(path: Path, flags: int) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | _BINARY | flags, 0o600)


def _write_all(file: int, data: bytes) -> None:
    while written := os.write(file, data):
        data = data[written:]
        if not data:
            return


def _stored_salt(log: int) -> bytes:
    os.lseek(log, 0, os.SEEK_SET)
    found = _SALT.search(os.read(log, 65536))
    if found is None:
        raise ConfigError("the audit file holds no salt: it was begun with salt=, so give the same again")
    return bytes.fromhex(found[1].decode())


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return value[:_LONGEST_TEXT]
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    if depth < _DEEPEST:
        if isinstance(value, Mapping):
            items = list(value.items())[:_MOST_ITEMS]
            return {str(name)[:_LONGEST_TEXT]: _clean(item, depth + 1) for name, item in items}
        if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
            return [_clean(item, depth + 1) for item in value[:_MOST_ITEMS]]
    return f"<{type(value).__name__}>"
