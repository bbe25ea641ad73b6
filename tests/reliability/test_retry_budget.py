"""The retry budget: how many retries an endpoint gets, and how many endpoints are remembered."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import agentprod as ap


def test_a_fresh_endpoint_has_all_its_tokens() -> None:
    """Each endpoint starts full, by itself."""
    budget = ap.RetryBudget(2)
    assert [budget.take("a") for _ in range(3)] == [True, True, False]
    assert budget.take("b")
    assert (budget.left("a"), budget.left("b"), budget.left("c")) == (0, 1, 2)


def test_successes_refill() -> None:
    """Five successes at a fifth of a token each allow one more retry."""
    budget = ap.RetryBudget(1, 0.2)
    assert budget.take("a")
    refilled = []
    for _ in range(5):
        refilled.append(budget.take("a"))
        budget.succeeded("a")
    assert refilled == [False] * 5
    assert budget.take("a")


def test_a_healthy_budget_remembers_nothing() -> None:
    """A budget is strained only while an endpoint is not full; a success of a full one changes nothing."""
    budget = ap.RetryBudget(2, 1)
    budget.succeeded("a")
    assert not budget.strained
    budget.take("a")
    budget.take("b")
    assert budget.strained
    budget.succeeded("a")
    assert budget.strained
    budget.succeeded("b")
    assert not budget.strained
    assert budget.left("a") == 2


def test_scenario_52_no_more_than_1024_endpoints() -> None:
    """10,000 endpoints that fail are remembered to 1,024, the least recently retried forgotten first."""
    budget = ap.RetryBudget(5)
    for number in range(10_000):
        budget.take(f"e{number}")
        budget.take("busy")
        budget.succeeded("busy")
    assert len(budget._tokens) == 1024
    assert budget.left("e0") == 5
    assert budget.left("e9999") == 4
    assert budget.left("busy") < 5


def test_threads_take_no_token_twice() -> None:
    """32 threads at once get exactly the tokens there are."""
    budget, got, start = ap.RetryBudget(100), [], threading.Barrier(32)

    def work() -> None:
        start.wait()
        got.append(sum(budget.take("a") for _ in range(50)))

    threads = [threading.Thread(target=work) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(got) == 100


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"capacity": 0}, "RetryBudget capacity must be a number of at least 1, not 0"),
        ({"capacity": float("nan")}, "RetryBudget capacity must be a number of at least 1, not nan"),
        ({"capacity": "20"}, "RetryBudget capacity must be a number of at least 1, not '20'"),
        ({"capacity": True}, "not True"),
        ({"per_success": -0.1}, "RetryBudget per_success must be a number of at least 0, not -0.1"),
        ({"per_success": None}, "not None"),
    ],
    ids=str,
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    """A bad option is refused when the budget is built."""
    with pytest.raises(ap.ConfigError, match=message):
        ap.RetryBudget(**options)


def test_how_it_shows() -> None:
    """A budget shows its two numbers."""
    assert repr(ap.RetryBudget(20, 0.2)) == "RetryBudget(20, 0.2)"


class Budgets(RuleBasedStateMachine):
    """A budget against a plain dict of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = ap.RetryBudget(3, 0.5)
        self.tokens = dict.fromkeys("abc", 3.0)

    @rule(endpoint=st.sampled_from("abc"))
    def retry(self, endpoint: str) -> None:
        """Take a token where there is one."""
        allowed = self.tokens[endpoint] >= 1
        assert self.budget.take(endpoint) is allowed
        self.tokens[endpoint] -= allowed

    @rule(endpoint=st.sampled_from("abc"))
    def succeed(self, endpoint: str) -> None:
        """Give half a token back, up to the capacity."""
        self.budget.succeeded(endpoint)
        self.tokens[endpoint] = min(3.0, self.tokens[endpoint] + 0.5)

    @invariant()
    def agrees(self) -> None:
        """The budget holds what the dict holds, and knows whether any is not full."""
        assert {endpoint: self.budget.left(endpoint) for endpoint in "abc"} == self.tokens
        assert self.budget.strained is any(tokens < 3 for tokens in self.tokens.values())


TestBudgets = Budgets.TestCase


@given(st.lists(st.booleans(), max_size=300), st.floats(1, 50), st.floats(0, 1))
def test_retries_are_a_share_of_successes(outcomes: list[bool], capacity: float, share: float) -> None:
    """Over any history, retries never exceed the capacity plus the share of the successes."""
    budget = ap.RetryBudget(capacity, share)
    retries = successes = 0
    for good in outcomes:
        if good:
            budget.succeeded("a")
            successes += 1
        else:
            retries += budget.take("a")
        assert retries <= capacity + share * successes + 1e-6


def test_a_snapshot_shows_strained_endpoints() -> None:
    """Endpoints that have all their tokens do not show; a Retry shows its budget's, or that it has none."""
    budget = ap.RetryBudget(10, 1)
    budget.take("a")
    assert budget.snapshot() == {"a": 9}
    assert ap.Retry(budget=budget).snapshot() == {"budget": {"a": 9}}
    budget.succeeded("a")
    assert budget.snapshot() == {}
    assert ap.Retry(budget=None).snapshot() == {"budget": None}
