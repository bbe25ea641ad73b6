"""Read tensors from a safetensors file without the safetensors package.

The format (https://github.com/huggingface/safetensors#format): eight bytes with the little-endian length of a JSON
header, the header, then the raw tensors at the offsets that it names.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentprod.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["TensorFile"]

_MAX_HEADER_BYTES = 100_000_000
_SAMPLE_EVERY = 1 << 20
_SAMPLE_BYTES = 1 << 16
_NUMPY_TYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


class TensorFile:
    """A mapped file of named tensors: pages that are never read, such as rare words' embeddings, cost no memory.

    Args:
        path: a `.safetensors` file; tensors of other types than F32, F16 and BF16 are left out.

    Raises:
        ConfigError: the file is not in this format, or is cut short.
    """

    def __init__(self, path: Path) -> None:
        self._name = path.name
        with path.open("rb") as file:
            prefix = file.read(8)
            length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
            if not 2 <= length <= _MAX_HEADER_BYTES:
                raise ConfigError(f"{path.name} is not a safetensors file; a Git LFS pointer in its place looks so")
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._start = 8 + length
        try:
            header: dict[str, dict[str, Any]] = json.loads(self._data[8 : self._start])
        except ValueError as error:
            raise ConfigError(f"{path.name}: the safetensors header is not JSON") from error
        self._entries = {name: entry for name, entry in header.items() if entry.get("dtype") in _NUMPY_TYPES}

    @property
    def names(self) -> frozenset[str]:
        """Names of the tensors that can be read."""
        return frozenset(self._entries)

    def read(self, name: str) -> NDArray[np.float32]:
        """Return one tensor: a read-only view of the file where it holds F32, else a float32 copy.

        Args:
            name: one of `names`.

        Raises:
            ConfigError: there is no such tensor, or the file ends before it.
        """
        import numpy as np

        try:
            entry = self._entries[name]
        except KeyError:
            raise ConfigError(f"{self._name} holds no tensor {name!r}: not the model that was expected") from None
        dtype, (first, last) = np.dtype(_NUMPY_TYPES[entry["dtype"]]), entry["data_offsets"]
        count = math.prod(entry["shape"])
        if count * dtype.itemsize != last - first or self._start + last > len(self._data):
            raise ConfigError(f"{self._name}: tensor {name!r} does not fit the file; is the download complete?")
        raw = np.frombuffer(self._data, dtype=dtype, count=count, offset=self._start + first)
        if entry["dtype"] == "BF16":
            raw = (raw.astype("<u4") << 16).view("<f4")
        return np.asarray(raw, dtype=np.float32).reshape(entry["shape"])

    def forget(self) -> None:
        """Give back the memory of pages read so far; views stay valid and read again when used."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._data.madvise(mmap.MADV_DONTNEED)

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that tell one set of weights from another.

        They cover the header, the length of the file and 64 KiB of every mebibyte: a digest of the whole file would
        cost more than the first embedding.
        """
        size = len(self._data)
        digest = hashlib.blake2b(size.to_bytes(8, "little"), digest_size=8)
        digest.update(self._data[: self._start])
        for offset in range(self._start, size, _SAMPLE_EVERY):
            digest.update(self._data[offset : offset + _SAMPLE_BYTES])
        return digest.hexdigest()
