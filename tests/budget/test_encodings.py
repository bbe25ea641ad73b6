"""Encodings are taken from files on this machine, checked, loaded once, and never fetched unasked."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import tiktoken
import tiktoken_ext.openai_public as openai_public  # type: ignore[import-untyped]

from agentprod.budget import encodings

URL = "https://example.invalid/tiny.tiktoken"
FILE_NAME = hashlib.sha1(URL.encode()).hexdigest()
# Every byte, and two merges.
RANKS = {**{bytes([byte]): byte for byte in range(256)}, b"ab": 256, b"abc": 257}
CONTENT = b"\n".join(base64.b64encode(token) + b" " + str(rank).encode() for token, rank in RANKS.items())
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def tiny() -> dict[str, Any]:
    """A constructor of the form tiktoken's own have."""
    ranks = load_tiktoken_bpe(URL, expected_hash=DIGEST)  # type: ignore[name-defined]  # noqa: F821
    return {"name": "tiny", "pat_str": r"\S+|\s", "mergeable_ranks": ranks, "special_tokens": {"<|end|>": 258}}


@pytest.fixture(autouse=True)
def small_encoding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Put a small encoding in the place of o200k_base, with no file of it anywhere."""
    monkeypatch.setattr(openai_public, "o200k_base", tiny)
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
    monkeypatch.delenv("DATA_GYM_CACHE_DIR", raising=False)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "nothing"))
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: pytest.fail("fetched unasked"))
    encodings.forget()
    yield
    encodings.forget()


@pytest.fixture
def cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Put the small encoding's file where tiktoken's cache would."""
    (tmp_path / FILE_NAME).write_bytes(CONTENT)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    return tmp_path / FILE_NAME


def test_the_file_in_the_cache_is_loaded_and_special_text_is_text(cached: Path) -> None:
    """An encoding from the cache counts; what looks like a special token is ordinary text."""
    encoding = encodings.get("o200k_base")
    assert encoding is not None
    assert encodings.encode_length(encoding, "abc ab") == 3
    assert encodings.encode_length(encoding, "<|end|>") == 7


def test_it_is_loaded_once(cached: Path) -> None:
    """The file is read at the first call alone."""
    first = encodings.get("o200k_base")
    cached.unlink()
    assert encodings.get("o200k_base") is first


def test_a_missing_file_is_no_error_and_is_not_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a file there is no encoding, until `load` asks again."""
    assert encodings.get("o200k_base") is None
    (tmp_path / FILE_NAME).write_bytes(CONTENT)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert encodings.get("o200k_base") is None
    assert encodings.load("o200k_base")
    assert encodings.get("o200k_base") is not None


def test_a_damaged_file_is_not_believed(cached: Path) -> None:
    """A file with another digest counts as missing."""
    cached.write_bytes(CONTENT[:-5])
    assert encodings.get("o200k_base") is None


def test_installed_packages_carry_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that ships the file is found without being imported."""
    folder = tmp_path / "litellm" / "litellm_core_utils" / "tokenizers"
    folder.mkdir(parents=True)
    (tmp_path / "litellm" / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / FILE_NAME).write_bytes(CONTENT)
    monkeypatch.syspath_prepend(tmp_path)
    assert encodings.get("o200k_base") is not None
    assert "litellm" not in sys.modules


def test_a_broken_package_is_passed_over(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that cannot even be looked up does not spoil the search."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    monkeypatch.setitem(sys.modules, "litellm", ModuleType("litellm"))  # has no __spec__: cannot be looked up
    assert encodings.get("o200k_base") is None


def test_a_constructor_that_fails_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong inside tiktoken, counting goes on by estimate."""

    def broken() -> dict[str, Any]:
        raise RuntimeError

    monkeypatch.setattr(openai_public, "o200k_base", broken)
    assert encodings.get("o200k_base") is None


def test_downloading_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only `load(download=True)` hands over to tiktoken, which may use the network."""
    assert not encodings.load("o200k_base")
    fetched = tiktoken.Encoding("t", pat_str=r"\S+", mergeable_ranks=RANKS, special_tokens={})
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: fetched)
    assert encodings.load("o200k_base", download=True)
    assert encodings.get("o200k_base") is fetched


def test_inside_an_event_loop_it_loads_on_a_thread(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop is not held up: the first answers are `None`, and the load happens once."""
    let_go = threading.Event()
    builds = []

    def slow(name: str, download: bool) -> Any:
        builds.append(threading.current_thread())
        let_go.wait(10)
        return tiktoken.Encoding("t", pat_str=r"\S+", mergeable_ranks=RANKS, special_tokens={})

    monkeypatch.setattr(encodings, "_build", slow)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)  # another test may have run a notebook here

    async def ask() -> list[Any]:
        return [encodings.get("o200k_base") for _ in range(3)]

    assert asyncio.run(ask()) == [None, None, None]
    let_go.set()
    assert encodings.load("o200k_base")
    assert encodings.get("o200k_base") is not None
    assert [thread is threading.main_thread() for thread in builds] == [False]


def test_in_a_notebook_the_loop_is_not_ours(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell runs inside the kernel's loop, and still gets the exact count at once."""
    monkeypatch.setitem(sys.modules, "ipykernel", None)

    async def ask() -> Any:
        return encodings.get("o200k_base")

    assert asyncio.run(ask()) is not None


def test_long_texts_are_cut_before_blanks(cached: Path) -> None:
    """A text beyond the limit counts as the whole does when it can be cut between words."""
    encoding = encodings.get("o200k_base")
    assert encoding is not None
    words = "abc ab\n" * 40_000
    assert encodings.encode_length(encoding, words) == 40_000 * 4
    solid = "abc" * 100_000
    assert encodings.encode_length(encoding, solid) == pytest.approx(100_000, abs=6)
