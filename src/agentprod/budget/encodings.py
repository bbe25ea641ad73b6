"""tiktoken's encodings, from a file that is already on this machine.

tiktoken downloads an encoding's file at first use, wherever that happens to be. Here a file is taken from tiktoken's
cache or from an installed package that carries one, is checked against tiktoken's own digest, and is loaded once;
nothing is downloaded unless `load(download=True)` says so.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tiktoken import Encoding

__all__ = ["BUILT_IN", "encode_length", "forget", "get", "load"]

BUILT_IN = ("o200k_base", "cl100k_base")

_AT_ONCE = 100_000
"""Characters encoded together: tiktoken's splitter overflows its stack on a million blanks."""

_CARRIERS = (
    ("litellm", ("litellm_core_utils/tokenizers", "llms/tokenizers")),
    ("llama_index", ("core/_static/tiktoken_cache",)),
)
"""Packages that carry tiktoken's files under the names of its cache."""

_log = logging.getLogger("agentprod.tokens")


class _Slot:
    """One encoding: not asked for, being loaded, loaded, or not to be had."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lock = threading.Lock()
        self.thread_lock = threading.Lock()  # never held while loading: the event loop takes it
        self.tried = False
        self.encoding: Encoding | None = None
        self.thread: threading.Thread | None = None

    def load(self, download: bool = False, again: bool = False) -> Encoding | None:
        with self.lock:
            if self.encoding is None and (again or not self.tried):
                try:
                    self.encoding = _build(self.name, download)
                except Exception as error:  # whatever is wrong with the file, counting goes on by estimate
                    _log.debug("no encoding %s: %s", self.name, error)
                self.tried = True
            return self.encoding

    def load_aside(self) -> None:
        with self.thread_lock:
            if self.thread is None:
                self.thread = threading.Thread(target=self.load, name=f"agentprod-{self.name}", daemon=True)
                self.thread.start()


_slots = {name: _Slot(name) for name in BUILT_IN}


def get(name: str) -> Encoding | None:
    """Return an encoding when it can be had now.

    The first call loads it, which takes a quarter of a second of CPU. Inside a running event loop it is loaded on a
    thread instead, and `None` is returned until that is done; a notebook's own loop does not count.

    Args:
        name: one of `BUILT_IN`.

    Returns:
        The encoding, or `None` when its file is not on this machine or not loaded yet.
    """
    slot = _slots[name]
    if slot.encoding is not None or slot.tried:
        return slot.encoding
    if _in_event_loop():
        slot.load_aside()
        return None
    return slot.load()


def load(*names: str, download: bool = False) -> bool:
    """Load encodings now, on the calling thread, and look for missing ones again.

    Args:
        names: which; all of `BUILT_IN` when none is named.

        download: let tiktoken fetch what is not on this machine, over the network and without a timeout.

    Returns:
        True when all of them are loaded.
    """
    loaded = [_slots[name].load(download, again=True) for name in names or BUILT_IN]
    return None not in loaded


def forget() -> None:
    """Drop loaded encodings, and what is known of missing files."""
    for name in BUILT_IN:
        _slots[name] = _Slot(name)


def encode_length(encoding: Encoding, text: str) -> int:
    """Return the number of tokens of a text; text that looks like a special token is text.

    Args:
        encoding: a loaded encoding.

        text: any text, lone surrogates included.
    """
    if len(text) <= _AT_ONCE:
        return len(encoding.encode_ordinary(text))
    total, start = 0, 0
    while start < len(text):
        end = start + _AT_ONCE
        if end < len(text):
            # Cut before a blank, where hardly any token reaches across.
            blank = max(text.rfind("\n", end - 2000, end), text.rfind(" ", end - 2000, end))
            end = blank if blank > start else end
        total += len(encoding.encode_ordinary(text[start:end]))
        start = end
    return total


def _build(name: str, download: bool) -> Encoding | None:
    import tiktoken

    constructor: Any = getattr(importlib.import_module("tiktoken_ext.openai_public"), name)

    def ranks(url: str, expected_hash: str | None = None) -> dict[bytes, int]:
        data = _find(hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest(), expected_hash)
        if data is None:
            raise FileNotFoundError(f"{url} is in no cache on this machine")
        return {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, data.splitlines())}

    # tiktoken's own constructor knows the pattern and the special tokens; only the way to the file is ours.
    local = FunctionType(constructor.__code__, {**constructor.__globals__, "load_tiktoken_bpe": ranks})
    try:
        return tiktoken.Encoding(**local())
    except FileNotFoundError:
        return tiktoken.get_encoding(name) if download else None


def _find(file_name: str, digest: str | None) -> bytes | None:
    """The bytes of a cached file with the right digest."""
    for folder in _folders():
        try:
            data = (folder / file_name).read_bytes()
        except OSError:
            continue
        if digest is None or hashlib.sha256(data).hexdigest() == digest:
            return data
    return None


def _folders() -> Iterator[Path]:
    import importlib.util
    import tempfile

    for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if folder := os.environ.get(variable):
            yield Path(folder)
    yield Path(tempfile.gettempdir()) / "data-gym-cache"
    for package, inside in _CARRIERS:
        try:
            spec = importlib.util.find_spec(package)  # finds the folder without importing the package
        except (ImportError, ValueError):
            continue
        for root in (spec.submodule_search_locations or ()) if spec else ():
            yield from (Path(root) / path for path in inside)


def _in_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or "ipykernel" in sys.modules:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
