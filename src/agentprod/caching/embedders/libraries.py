"""Embedding models through sentence-transformers, fastembed and model2vec."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentprod.caching.embedders.contract import Identity, unit_rows
from agentprod.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FastEmbed", "Model2Vec", "SentenceTransformers", "require"]


def require(module: str, package: str) -> None:
    """Check that a package is installed, without importing it.

    Raises:
        ConfigError: it is not; the message says how to install it.
    """
    if find_spec(module) is None:
        raise ConfigError(f"this embedder needs {package}: pip install {package}")


class _Library(ABC):
    """What the adapters share: the model is loaded on first use, once, and its vectors are checked.

    Args:
        model: a loaded model of the library, or the name of one.
    """

    remote = False
    threshold = None

    def __init__(self, library: str, module: str, model: Any) -> None:
        if isinstance(model, str):
            require(module, library)
        self._library = library
        self._loaded: Any = None if isinstance(model, str) else model
        self._load: Callable[[], Any] = lambda: self._open(model)
        self._name = _name_of(model)
        self._dims: int | None = None
        self._lock = threading.Lock()

    @property
    def identity(self) -> Identity:
        """The library and the model's name; `dims` is known after the first text."""
        return Identity(f"{self._library}/{self._name}", "1", self._dims)

    def refuse(self, text: str) -> str | None:
        """Return `"window"` if the model would cut the text off, `"unknown"` if it lacks a word, or `None`."""
        return self._judge(self._model(), text)

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Return float32 vectors of length 1, (texts, dims)."""
        rows = unit_rows(self._vectors(self._model(), list(texts)), len(texts), source=self.identity.name)
        self._dims = rows.shape[1]
        return rows

    async def aembed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Do the same; it computes and does not wait for anything."""
        return self.embed(texts)

    def _model(self) -> Any:
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    @abstractmethod
    def _open(self, name: str) -> Any: ...

    @abstractmethod
    def _judge(self, model: Any, text: str) -> str | None: ...

    @abstractmethod
    def _vectors(self, model: Any, texts: list[str]) -> Any: ...


class SentenceTransformers(_Library):
    """A model of sentence-transformers; no threshold is measured for it.

    Args:
        model: a `SentenceTransformer`, or the name or folder of one.
    """

    def __init__(self, model: Any) -> None:
        super().__init__("sentence-transformers", "sentence_transformers", model)

    def _open(self, name: str) -> Any:
        return import_module("sentence_transformers").SentenceTransformer(name)

    def _judge(self, model: Any, text: str) -> str | None:
        ids = model.tokenizer(text, truncation=False)["input_ids"]
        if model.max_seq_length is not None and len(ids) > model.max_seq_length:
            return "window"
        unknown = getattr(model.tokenizer, "unk_token_id", None)
        return "unknown" if unknown is not None and unknown in ids else None

    def _vectors(self, model: Any, texts: list[str]) -> Any:
        return model.encode(texts, show_progress_bar=False)


class FastEmbed(_Library):
    """A model of fastembed; no threshold is measured for it.

    Args:
        model: a `TextEmbedding`, or the name of one, such as `"BAAI/bge-small-en-v1.5"`.
    """

    def __init__(self, model: Any) -> None:
        super().__init__("fastembed", "fastembed", model)

    def _open(self, name: str) -> Any:
        return import_module("fastembed").TextEmbedding(name)

    def _judge(self, model: Any, text: str) -> str | None:
        return _judge_tokens(model.model.tokenizer, text)

    def _vectors(self, model: Any, texts: list[str]) -> Any:
        return list(model.embed(texts))


class Model2Vec(_Library):
    """A static model of model2vec: fast, without word order; no threshold is measured for it.

    Args:
        model: a `StaticModel`, or the name or folder of one, such as `"minishlab/potion-base-8M"`.
    """

    def __init__(self, model: Any) -> None:
        super().__init__("model2vec", "model2vec", model)

    def _open(self, name: str) -> Any:
        return import_module("model2vec").StaticModel.from_pretrained(name)

    def _judge(self, model: Any, text: str) -> str | None:
        return _judge_tokens(model.tokenizer, text)

    def _vectors(self, model: Any, texts: list[str]) -> Any:
        return model.encode(texts)


def _judge_tokens(tokenizer: Any, text: str) -> str | None:
    """Say why a `tokenizers.Tokenizer` cannot stand for a text."""
    encoding = tokenizer.encode(text, add_special_tokens=False)
    if encoding.overflowing:
        return "window"
    if not encoding.ids:
        return "empty"
    unknown = {tokenizer.token_to_id(token) for token in ("[UNK]", "<unk>")}
    return "unknown" if unknown.intersection(encoding.ids) else None


def _name_of(model: Any) -> str:
    """Return the name that tells a model from others: the folder's, where it was loaded from one."""
    if not isinstance(model, str):
        names = (getattr(model, "model_name", None), getattr(model, "base_model_name", None))
        model = next(filter(None, names), None) or getattr(getattr(model, "tokenizer", None), "name_or_path", None)
    if not model:
        return "unnamed"
    return Path(model).name if Path(model).is_absolute() else str(model)
