"""The embedder without a model."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprod.caching.embedders import hashed

_EMBEDDER = hashed()


def _cosine(one: str, other: str) -> float:
    first, second = _EMBEDDER.embed([one, other])
    return float(first @ second)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "how can I reset my password please"),
        ("My transfer is pending", "I have a pending transfer"),
        ("cancel my reservation for tonight", "please cancel my reservation tonight"),
        ("怎么重置密码", "请问如何重置密码"),
        ("信用卡逾期了怎么办", "信用卡逾期怎么办"),
        ("支不支持分期付款", "支持分期付款吗"),
    ],
)
def test_the_same_question_in_like_words_reaches_the_threshold(one: str, other: str) -> None:
    """Inflection, politeness and forms of asking hardly move the vector."""
    assert _EMBEDDER.threshold is not None
    assert _cosine(one, other) >= _EMBEDDER.threshold


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "How do I cancel my order?"),
        ("what is an overdraft", "how do I get an overdraft"),
        ("怎么重置密码", "怎么注销账号"),
        ("什么是退款", "怎么退款"),
        ("感冒了吃什么药好", "感冒了吃什么水果好"),
    ],
)
def test_another_question_stays_below_the_threshold(one: str, other: str) -> None:
    """One word that carries the meaning is enough in a short text."""
    assert _EMBEDDER.threshold is not None
    assert _cosine(one, other) < _EMBEDDER.threshold


@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=5))
def test_any_text_that_is_not_refused_has_a_unit_vector(texts: list[str]) -> None:
    """No text in the world gives a vector of another length, nor depends on its neighbours."""
    readable = [text for text in texts if _EMBEDDER.refuse(text) is None]
    vectors = _EMBEDDER.embed(readable)
    assert vectors.shape == (len(readable), 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    for text, vector in zip(readable, vectors, strict=True):
        assert np.array_equal(_EMBEDDER.embed([text])[0], vector)


def test_vectors_are_the_same_in_every_process() -> None:
    """The digest of some vectors is fixed: a stored vector stays comparable."""
    code = (
        "from agentprod.caching.embedders import hashed; from hashlib import sha256;"
        "vectors = hashed().embed(['How do I pay?', '如何付款 with PayPal']);"
        "print(sha256((vectors * 1e5).round().astype('int32').tobytes()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    there = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    rounded = (_EMBEDDER.embed(["How do I pay?", "如何付款 with PayPal"]) * 1e5).round().astype("int32")
    assert there.stdout.strip() == sha256(rounded.tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("?!", "empty"),
        ("word " * 64, None),
        ("word " * 65, "window"),
        ("字" * 128, None),
        ("字" * 130, "window"),
        ("日本語のテキスト", None),
    ],
)
def test_long_and_empty_texts_are_refused(text: str, reason: str | None) -> None:
    """In a long text one changed word no longer shows."""
    assert _EMBEDDER.refuse(text) == reason


def test_a_text_without_letters_is_an_error() -> None:
    """A vector of length 0 would match nothing and everything."""
    with pytest.raises(ValueError, match="letter"):
        _EMBEDDER.embed(["?!"])


def test_it_can_be_awaited() -> None:
    """A coroutine gets the same vectors."""
    assert np.array_equal(asyncio.run(_EMBEDDER.aembed(["some text"])), _EMBEDDER.embed(["some text"]))
    assert str(_EMBEDDER.identity) == "hashed-ngrams@1"
