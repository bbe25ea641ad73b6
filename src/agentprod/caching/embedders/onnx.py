"""A BERT-type sentence encoder exported to ONNX, run by onnxruntime."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentprod.caching.embedders.contract import Identity, unit_rows
from agentprod.caching.embedders.libraries import require
from agentprod.caching.embedders.model_folder import ModelFolder
from agentprod.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Onnx"]


class Onnx:
    """An exported encoder from a folder with `model.onnx` (or `onnx/model.onnx`), `vocab.txt` and its configuration.

    No threshold is measured for it; a quantised export needs another one than the original.

    Args:
        path: the folder.

        version: changes whenever the same text would get another vector.
    """

    remote = False
    threshold = None

    def __init__(self, path: str | Path, *, version: str = "1") -> None:
        require("onnxruntime", "onnxruntime")
        self._folder = ModelFolder(Path(path))
        candidates = [self._folder.path / "model.onnx", self._folder.path / "onnx" / "model.onnx"]
        self._file = next((file for file in candidates if file.is_file()), None)
        if self._file is None:
            raise ConfigError(f"no model.onnx in the folder {self._folder.path.name!r}")
        self._tokenizer = self._folder.tokenizer()
        self._window = self._folder.window()
        self._pooling = self._folder.pooling()
        self._dims: int | None = None
        self._version = version
        self._session: Any = None
        self._lock = threading.Lock()

    @property
    def identity(self) -> Identity:
        """The folder's name; `dims` is known after the first text."""
        return Identity(f"onnx/{self._folder.path.name}", self._version, self._dims, self._window)

    def refuse(self, text: str) -> str | None:
        """Return `"window"`, `"unknown"` (a word is `[UNK]`), `"script"`, or `None` when the text can be embedded."""
        return self._tokenizer.refuse(text, window=self._window)

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Return float32 vectors of length 1, (texts, dims)."""
        import numpy as np

        with self._lock:
            if self._session is None:
                self._session = import_module("onnxruntime").InferenceSession(
                    str(self._file), providers=["CPUExecutionProvider"]
                )
        tokens = [self._tokenizer.encode(text) for text in texts]
        ids = np.zeros((len(tokens), max(map(len, tokens), default=0)), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        wanted = [entry.name for entry in self._session.get_inputs()]
        output = self._session.run(None, {name: given[name] for name in wanted})[0]
        rows = unit_rows(_pool(output, mask, self._pooling), len(texts), source=self.identity.name)
        self._dims = rows.shape[1]
        return rows

    async def aembed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Do the same; it computes and does not wait for anything."""
        return self.embed(texts)


def _pool(output: NDArray[Any], mask: NDArray[np.int64], pooling: str) -> NDArray[Any]:
    """Return one vector per text: the output itself where it is one already."""
    if output.ndim == 2:
        return output
    if pooling == "cls":
        first: NDArray[Any] = output[:, 0]
        return first
    summed: NDArray[Any] = (output * mask[:, :, None]).sum(axis=1)
    return summed
