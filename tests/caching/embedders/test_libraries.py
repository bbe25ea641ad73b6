"""Adapters for embedding libraries, on stand-ins with the libraries' own method names."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from agentprod.caching.embedders import Embedder, fastembed, model2vec, onnx, sentence_transformers
from agentprod.caching.embedders.model_folder import ModelFolder
from agentprod.errors import ConfigError
from tests.caching.embedders.model_files import VOCABULARY, write_model


class _Tokenizer:
    """A `tokenizers.Tokenizer`: one token per word, `zzz` unknown, five at most."""

    def encode(self, text: str, add_special_tokens: bool = True) -> Any:
        ids = [0 if word == "zzz" else 5 for word in text.split()]
        return SimpleNamespace(ids=ids[:5], overflowing=ids[5:])

    def token_to_id(self, token: str) -> int | None:
        return 0 if token == "[UNK]" else None


class _SentenceTransformer:
    max_seq_length = 5

    def __init__(self, name: str = "somewhere") -> None:
        self.tokenizer = _TransformersTokenizer(name)

    def encode(self, texts: list[str], show_progress_bar: bool) -> Any:
        assert not show_progress_bar
        return np.array([[len(text), 1.0] for text in texts])


class _TransformersTokenizer:
    unk_token_id = 0

    def __init__(self, name: str) -> None:
        self.name_or_path = name

    def __call__(self, text: str, truncation: bool) -> dict[str, list[int]]:
        assert not truncation
        return {"input_ids": [0 if word == "zzz" else 5 for word in text.split()]}


class _TextEmbedding:
    def __init__(self, name: str = "small") -> None:
        self.model_name = name
        self.model = SimpleNamespace(tokenizer=_Tokenizer())

    def embed(self, texts: list[str]) -> Iterator[Any]:
        yield from (np.array([len(text), 1.0]) for text in texts)


class _StaticModel:
    def __init__(self, name: str | None = None) -> None:
        self.base_model_name = name
        self.tokenizer = _Tokenizer()

    @classmethod
    def from_pretrained(cls, name: str) -> _StaticModel:
        return cls(name)

    def encode(self, texts: list[str]) -> Any:
        return np.array([[len(text), 1.0] for text in texts])


def _install(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> None:
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, name, module)


def _check(embedder: Embedder, name: str) -> None:
    assert embedder.identity.name == name
    assert embedder.threshold is None
    assert not embedder.remote
    vectors = embedder.embed(["a", "abc"])
    assert (vectors[:, 0] / vectors[:, 1]).tolist() == pytest.approx([1, 3])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    assert embedder.identity.dims == 2
    assert embedder.refuse("a b c d e") is None
    assert embedder.refuse("a b c d e f") == "window"
    assert embedder.refuse("a zzz") == "unknown"
    assert asyncio.run(embedder.aembed(["a"])) == pytest.approx(vectors[:1])


def test_loaded_models_are_used_as_they_are() -> None:
    """A model that the user loaded keeps its own name."""
    _check(sentence_transformers(_SentenceTransformer()), "sentence-transformers/somewhere")
    _check(sentence_transformers(_SentenceTransformer("/models/mine")), "sentence-transformers/mine")
    _check(fastembed(_TextEmbedding()), "fastembed/small")
    _check(model2vec(_StaticModel("base")), "model2vec/base")
    assert model2vec(_StaticModel()).refuse("") == "empty"


def test_a_model_without_limits_refuses_nothing() -> None:
    """No window and no unknown token are no reason to refuse."""
    model: Any = _SentenceTransformer()
    model.max_seq_length = None
    model.tokenizer.unk_token_id = None
    assert sentence_transformers(model).refuse("zzz " * 9) is None


def test_models_are_loaded_by_name_on_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Making the embedder imports nothing; the first text loads the model once."""
    loaded: list[str] = []

    def open_once(name: str) -> _SentenceTransformer:
        loaded.append(name)
        return _SentenceTransformer(name)

    _install(monkeypatch, "sentence_transformers", SentenceTransformer=open_once)
    embedder = sentence_transformers("org/model")
    assert loaded == []
    _check(embedder, "sentence-transformers/org/model")
    assert loaded == ["org/model"]
    _install(monkeypatch, "fastembed", TextEmbedding=_TextEmbedding)
    _check(fastembed("org/model"), "fastembed/org/model")
    _install(monkeypatch, "model2vec", StaticModel=_StaticModel)
    _check(model2vec("org/model"), "model2vec/org/model")


@pytest.mark.parametrize(
    ("make", "package"),
    [
        (lambda: sentence_transformers("x"), "sentence-transformers"),
        (lambda: fastembed("x"), "fastembed"),
        (lambda: model2vec("x"), "model2vec"),
        (lambda: onnx("x"), "onnxruntime"),
    ],
)
def test_a_missing_package_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch, make: Any, package: str) -> None:
    """The error says what to install."""
    monkeypatch.setattr("agentprod.caching.embedders.libraries.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=f"pip install {package}"):
        make()


class _Session:
    """An onnxruntime session that gives each token its id, or pooled vectors."""

    names: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids")
    pooled = False

    def __init__(self, path: str, providers: list[str]) -> None:
        assert path.endswith("model.onnx")

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name=name) for name in self.names]

    def run(self, outputs: None, given: dict[str, Any]) -> list[Any]:
        assert set(given) == set(self.names)
        tokens = np.stack([given["input_ids"], np.ones_like(given["input_ids"])], axis=2).astype(np.float32)
        return [tokens[:, 0] + 1 if self.pooled else tokens]


@pytest.mark.parametrize("pooling", ["mean_tokens", "cls_token"])
def test_an_exported_model_is_pooled_over_real_tokens_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pooling: str
) -> None:
    """Padding of shorter texts in a batch does not count."""
    _install(monkeypatch, "onnxruntime", InferenceSession=_Session)
    folder = write_model(tmp_path / "tiny", pooling=pooling)
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").touch()
    embedder = onnx(folder, version="2")
    vectors = embedder.embed(["a", "a b c"])
    ids = [[VOCABULARY.index(word) for word in ["[CLS]", *text.split(), "[SEP]"]] for text in ("a", "a b c")]
    expected = [np.mean(row) if pooling == "mean_tokens" else row[0] for row in ids]
    assert (vectors[:, 0] / vectors[:, 1]).tolist() == pytest.approx(expected)
    assert str(embedder.identity) == "onnx/tiny@2"
    assert (embedder.identity.dims, embedder.identity.window, embedder.threshold) == (2, 16, None)
    assert embedder.refuse("a q") == "unknown"
    assert asyncio.run(embedder.aembed(["a"])) == pytest.approx(vectors[:1])


def test_an_export_that_pools_itself_and_takes_fewer_inputs_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Outputs of one vector per text are taken as they are."""

    class Pooled(_Session):
        names = ("input_ids", "attention_mask")
        pooled = True

    _install(monkeypatch, "onnxruntime", InferenceSession=Pooled)
    folder = write_model(tmp_path / "tiny")
    (folder / "model.onnx").touch()
    assert onnx(folder).embed(["a"]) == pytest.approx(np.array([[3, 2]]) / 13**0.5)


def test_a_folder_without_an_export_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The missing file is named."""
    _install(monkeypatch, "onnxruntime", InferenceSession=_Session)
    with pytest.raises(ConfigError, match=r"model\.onnx"):
        onnx(write_model(tmp_path / "tiny"))


def test_a_folder_with_bare_files_has_defaults(tmp_path: Path) -> None:
    """Without configuration, pooling is the mean and the window BERT's 512."""
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY), encoding="utf-8")
    folder = ModelFolder(tmp_path)
    assert (folder.pooling(), folder.window(), folder.config) == ("mean", 512, {})
    assert folder.tokenizer().encode("Cat") == [2, 5, 3]
