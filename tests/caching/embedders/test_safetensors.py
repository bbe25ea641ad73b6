"""Reading safetensors files."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from agentprod.caching.embedders.safetensors import TensorFile
from agentprod.errors import ConfigError
from tests.caching.embedders.model_files import write_safetensors

_ARRAY = np.array([[1.0, -2.5, 3.25], [0.0, 1e-3, 100.0]], np.float32)


@pytest.mark.parametrize(("kind", "tolerance"), [("F32", 0.0), ("F16", 1e-3), ("BF16", 1e-2)])
def test_every_floating_type_is_read_as_float32(tmp_path: Path, kind: str, tolerance: float) -> None:
    """Half precision and bfloat16 are widened."""
    write_safetensors(tmp_path / "w.safetensors", {"x": _ARRAY, "y": _ARRAY * 2}, kind=kind)
    file = TensorFile(tmp_path / "w.safetensors")
    assert file.names == {"x", "y"}
    assert file.read("y").dtype == np.float32
    assert file.read("y") == pytest.approx(_ARRAY * 2, rel=tolerance)
    file.forget()
    assert file.read("x") == pytest.approx(_ARRAY, rel=tolerance)


def test_integers_are_left_out(tmp_path: Path) -> None:
    """Position ids that some files carry are no weights."""
    write_safetensors(tmp_path / "w.safetensors", {"ids": np.arange(3)}, kind="I64")
    assert TensorFile(tmp_path / "w.safetensors").names == frozenset()


def test_the_fingerprint_tells_weights_apart(tmp_path: Path) -> None:
    """It changes with any tensor near a sample, the header and the length, and with nothing else."""
    paths = [tmp_path / f"{number}.safetensors" for number in range(3)]
    for path, array in zip(paths, (_ARRAY, _ARRAY, _ARRAY + 1), strict=True):
        write_safetensors(path, {"x": array})
    one, same, other = (TensorFile(path).fingerprint() for path in paths)
    assert one == same != other
    assert len(one) == 16


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "not a safetensors file"),
        (b"short", "not a safetensors file"),
        (struct.pack("<Q", 2**40) + b"{}", "not a safetensors file"),
        (struct.pack("<Q", 4) + b"oops", "not JSON"),
    ],
)
def test_another_format_is_refused(tmp_path: Path, raw: bytes, message: str) -> None:
    """What is not in this format is named, not parsed."""
    (tmp_path / "w.safetensors").write_bytes(raw)
    with pytest.raises(ConfigError, match=message):
        TensorFile(tmp_path / "w.safetensors")


def test_a_file_cut_short_is_noticed(tmp_path: Path) -> None:
    """A broken download is an error of the tensor that is missing."""
    path = tmp_path / "w.safetensors"
    write_safetensors(path, {"x": _ARRAY})
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ConfigError, match="does not fit"):
        TensorFile(path).read("x")
    with pytest.raises(ConfigError, match="no tensor 'z'"):
        TensorFile(path).read("z")
