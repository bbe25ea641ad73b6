"""A tiny BERT sentence encoder on disk, with random weights."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["VOCABULARY", "tensors", "write_model", "write_safetensors"]

VOCABULARY = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "the",
    "cat",
    "sat",
    "##s",
    "un",
    "##do",
    "?",
    "a",
    "b",
    "c",
    "d",
    "##a",
]
HIDDEN, HEADS, LAYERS, WIDE, PLACES = 12, 3, 2, 20, 16


def tensors(seed: int = 0, prefix: str = "") -> dict[str, NDArray[np.float32]]:
    """Return random weights under Hugging Face's names."""
    random = np.random.default_rng(seed)
    shapes = {
        "embeddings.word_embeddings.weight": (len(VOCABULARY), HIDDEN),
        "embeddings.position_embeddings.weight": (PLACES, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
        "embeddings.LayerNorm.weight": (HIDDEN,),
        "embeddings.LayerNorm.bias": (HIDDEN,),
    }
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= {f"{name}.{part}.weight": (HIDDEN, HIDDEN), f"{name}.{part}.bias": (HIDDEN,)}
        shapes |= {f"{name}.intermediate.dense.weight": (WIDE, HIDDEN), f"{name}.intermediate.dense.bias": (WIDE,)}
        shapes |= {f"{name}.output.dense.weight": (HIDDEN, WIDE), f"{name}.output.dense.bias": (HIDDEN,)}
        for part in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{name}.{part}.weight": (HIDDEN,), f"{name}.{part}.bias": (HIDDEN,)}
    return {prefix + name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def write_safetensors(path: Path, arrays: Mapping[str, NDArray[Any]], *, kind: str = "F32") -> None:
    """Write arrays in one of the types that the format has."""
    header: dict[str, Any] = {"__metadata__": {"format": "np"}}
    body = b""
    for name, array in arrays.items():
        if kind == "BF16":
            raw = (np.asarray(array, np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
        else:
            raw = np.asarray(array, {"F32": "<f4", "F16": "<f2", "I64": "<i8"}[kind]).tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def write_model(folder: Path, *, pooling: str = "mean_tokens", prefix: str = "", **config: Any) -> Path:
    """Write a whole model folder."""
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    settings = {"hidden_size": HIDDEN, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS, "hidden_act": "gelu"}
    settings |= {"max_position_embeddings": PLACES, "layer_norm_eps": 1e-12, **config}
    (folder / "config.json").write_text(json.dumps(settings))
    modes = {"word_embedding_dimension": HIDDEN, f"pooling_mode_{pooling}": True, "pooling_mode_max_tokens": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(modes))
    modules = [{"type": f"sentence_transformers.models.{kind}"} for kind in ("Transformer", "Pooling", "Normalize")]
    (folder / "modules.json").write_text(json.dumps(modules))
    write_safetensors(folder / "model.safetensors", tensors(prefix=prefix))
    return folder
