"""Locks on open files that other processes respect."""

from __future__ import annotations

import sys

__all__ = ["lock_file", "unlock_file"]

if sys.platform == "win32":
    import msvcrt
    import os

    # Windows locks bytes, and locked bytes cannot be read: one far behind the content stands for the file.
    _FAR = 1 << 30

    def lock_file(file: int) -> None:
        """Wait until this open file is ours alone."""
        while True:
            os.lseek(file, _FAR, os.SEEK_SET)
            try:
                msvcrt.locking(file, msvcrt.LK_LOCK, 1)
                return
            except OSError:  # it gives up after ten seconds
                continue

    def unlock_file(file: int) -> None:
        """Let others have it."""
        os.lseek(file, _FAR, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def lock_file(file: int) -> None:
        """Wait until this open file is ours alone."""
        fcntl.flock(file, fcntl.LOCK_EX)

    def unlock_file(file: int) -> None:
        """Let others have it."""
        fcntl.flock(file, fcntl.LOCK_UN)
