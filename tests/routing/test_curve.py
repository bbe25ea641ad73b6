"""Measures of a ranking: area, least share, intervals, and monotone smoothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprod.routing.curve import areas, interval, rank, smooth

WEAK = np.array([0.0, 0, 1, 1])
STRONG = np.array([1.0, 1, 1, 1])


def test_a_perfect_ranking() -> None:
    """Sending just the prompts that gain to the strong model recovers all with half of the calls."""
    ranking = rank(np.array([4.0, 3, 2, 1]), WEAK, STRONG)
    assert ranking.gap == 0.5
    assert ranking.recovered.tolist() == [0, 0.5, 1, 1, 1]
    assert ranking.apgr == pytest.approx(0.75)
    assert ranking.cpt(1.0) == 0.5
    assert ranking.cpt(0.75) == 0.375
    assert ranking.cpt(0.0) == 0.0


def test_the_worst_ranking_and_none() -> None:
    """The reverse order is as far below a coin; equal scores are a coin."""
    assert rank(np.array([1.0, 2, 3, 4]), WEAK, STRONG).apgr == pytest.approx(0.25)
    assert rank(np.zeros(4), WEAK, STRONG).apgr == pytest.approx(0.5)
    assert rank(np.zeros(4), WEAK, STRONG).cpt(0.8) == pytest.approx(0.8)


def test_without_a_gap_there_is_nothing_to_recover() -> None:
    """Where the strong model is not better, the area is none and every share is needed."""
    for weak, strong in ((STRONG, WEAK), (WEAK, WEAK)):
        ranking = rank(np.array([4.0, 3, 2, 1]), weak, strong)
        assert (ranking.apgr, ranking.cpt(0.8)) == (0.0, 1.0)


def test_single_calls_count_for_their_model_alone() -> None:
    """With one model tried on each prompt, the curve is near that of both tried on all."""
    random = np.random.default_rng(0)
    hard = random.random(4000)
    weak, strong = (random.random(4000) > hard).astype(float), (random.random(4000) > hard / 3).astype(float)
    both = rank(hard, weak, strong)
    tried = random.random(4000) < 0.5
    single = rank(hard, np.where(tried, weak, np.nan), np.where(tried, np.nan, strong))
    assert single.apgr == pytest.approx(both.apgr, abs=0.06)
    assert single.gap == pytest.approx(both.gap, abs=0.04)
    unknown = rank(hard, np.full(4000, np.nan), strong)
    assert unknown.recovered[0] == 0.0


def test_intervals_hold_what_they_should() -> None:
    """The interval is around the measured area, repeats with its seed, and is narrower with more rows."""
    random = np.random.default_rng(1)

    def width(size: int) -> float:
        hard = random.random(size)
        weak, strong = (random.random(size) > hard).astype(float), np.ones(size)
        low, high = interval(hard, weak, strong)
        assert low < rank(hard, weak, strong).apgr < high
        assert interval(hard, weak, strong) == (low, high)
        return high - low

    assert width(2000) < width(200)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=40))
def test_smoothing_never_falls_and_keeps_the_mean(values: list[float]) -> None:
    """The closest rising series has the mean of the noisy one."""
    result = smooth(np.array(values))
    assert len(result) == len(values)
    assert (np.diff(result) >= -1e-9).all()
    assert result.mean() == pytest.approx(np.mean(values), abs=1e-9)


def test_many_rankings_at_once_are_what_each_is_alone() -> None:
    """The area of rankings computed together is that of `rank`, where no two prompts have the same score."""
    random = np.random.default_rng(0)
    weak, strong = random.random((5, 40)), random.random((5, 40)) + 0.2
    scores = random.random((5, 40))
    alone = [rank(*each).apgr for each in zip(scores, weak, strong, strict=True)]
    order = np.argsort(-scores, axis=1)
    together = areas(np.take_along_axis(strong - weak, order, axis=1))
    np.testing.assert_allclose(together, alone)
    assert areas(-np.ones((1, 3))).tolist() == [0.0]
