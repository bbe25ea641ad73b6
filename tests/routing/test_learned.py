"""Fitted routers: files, choices, goals, and the router that comes with the package."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentprod.errors import ConfigError
from agentprod.routing.encoder import Example
from agentprod.routing.fit import fit
from agentprod.routing.goal import Goal
from agentprod.routing.learned import LearnedRouter
from agentprod.routing.policy import Policy
from tests.routing.recorded import prompt, rows


@pytest.fixture(scope="module")
def router() -> LearnedRouter:
    """One fitted router for all tests here."""
    fitted = fit(rows(300)).router
    assert fitted is not None
    return fitted


def test_a_saved_router_decides_as_before(router: LearnedRouter, tmp_path: Path) -> None:
    """Writing and reading changes nothing that matters; the file is small and holds no pickle."""
    path = tmp_path / "router.npz"
    router.save(path)
    again = LearnedRouter.load(path)
    assert again.models == router.models
    assert again.policy == router.policy
    assert again.about == router.about
    examples = [Example(row["prompt"]) for row in rows(50, seed=3)]
    np.testing.assert_allclose(again.values(examples), router.values(examples), atol=2e-3)
    assert path.stat().st_size < 1_000_000
    with np.load(path, allow_pickle=False) as file:
        assert json.loads(file["about"].tobytes())["models"] == ["small", "large"]
    assert repr(again) == "LearnedRouter(models=('small', 'large'), rows=300)"


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 and no more"])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    """A missing or foreign file is an error that says what was expected."""
    path = tmp_path / "router.npz"
    with pytest.raises(ConfigError, match=r"router\.npz: there is no such file"):
        LearnedRouter.load(path)
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="expected a file written by LearnedRouter"):
        LearnedRouter.load(path)


def test_files_with_pickles_or_of_other_versions_are_refused(router: LearnedRouter, tmp_path: Path) -> None:
    """Nothing in a file is ever executed, and an old format asks for a new fit."""
    evil = tmp_path / "evil.npz"
    np.savez(evil, about=np.array([{"format": 1}], dtype=object))
    with pytest.raises(ConfigError, match="expected a file"):
        LearnedRouter.load(evil)
    old = tmp_path / "old.npz"
    router.save(old)
    with np.load(old) as file:
        arrays = {name: file[name] for name in file.files}
    about = {**json.loads(arrays["about"].tobytes()), "format": 0}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(old, **arrays)
    with pytest.raises(ConfigError, match="fit the router again"):
        LearnedRouter.load(old)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("linear", np.zeros((2, 2))),
        ("grams", np.zeros((4, 2))),
        ("means", np.array([np.nan, 1.0])),
        ("means", np.array(["a", "b"])),
        ("scale", None),
        ("mean", np.zeros(3)),
    ],
    ids=["shape", "buckets", "nan", "text", "missing", "features"],
)
def test_arrays_that_do_not_belong_together_are_refused(
    name: str, value: Any, router: LearnedRouter, tmp_path: Path
) -> None:
    """A damaged or made-up file is an error when it is read, not when a call is routed."""
    path = tmp_path / "router.npz"
    router.save(path)
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    if value is None:
        del arrays[name]
    else:
        arrays[name] = value
    np.savez(path, **arrays)
    with pytest.raises(ConfigError, match=r"router\.npz: expected a file written by LearnedRouter"):
        LearnedRouter.load(path)


@pytest.mark.parametrize(
    "changes",
    [{"thresholds": []}, {"recovered": [1.0]}, {"usd": [1.0]}, {"relative": ["x", "y"]}, {"cost_shares": None}],
    ids=lambda changes: next(iter(changes)),
)
def test_policies_that_do_not_fit_are_refused(changes: dict[str, Any], router: LearnedRouter, tmp_path: Path) -> None:
    """A table whose columns differ in length leads to no threshold."""
    path = tmp_path / "router.npz"
    router.save(path)
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    about = json.loads(arrays["about"].tobytes())
    about["policy"].update(changes)
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(path, **arrays)
    with pytest.raises(ConfigError, match="expected a file"):
        LearnedRouter.load(path)


@pytest.mark.parametrize("models", ["small", [], [1, 2], {"a": 1}], ids=["text", "none", "numbers", "mapping"])
def test_files_without_names_of_models_are_refused(models: Any, router: LearnedRouter, tmp_path: Path) -> None:
    """Names are a list of texts, as many as there are columns."""
    path = tmp_path / "router.npz"
    router.save(path)
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    about = {**json.loads(arrays["about"].tobytes()), "models": models}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(path, **arrays)
    with pytest.raises(ConfigError, match="expected a file"):
        LearnedRouter.load(path)


def test_costs_of_the_call_decide(router: LearnedRouter) -> None:
    """Where the dear model costs next to nothing more, it is taken sooner."""
    goal = Goal(quality=0.5)
    prompts = [row["prompt"] for row in rows(80, seed=4)]
    usual = [router.choose(each, goal).model for each in prompts]
    same = [router.choose(each, goal, costs={"small": 0.02, "large": 0.02}).model for each in prompts]
    partly = [router.choose(each, goal, costs={"small": 0.02}).model for each in prompts]
    assert usual.count("large") < same.count("large")
    assert partly == usual


def test_only_allowed_models_are_chosen(router: LearnedRouter) -> None:
    """Constraints come first; without any model left it is an error."""
    hard = prompt(4)
    assert router.choose(hard, Goal(quality=0.9), among=["small"]).model == "small"
    with pytest.raises(ConfigError, match="no model"):
        router.choose(hard, Goal(quality=0.9), among=["other"])


def test_extreme_goals(router: LearnedRouter) -> None:
    """No money sends everything to the cheap model, all of it everything to the best where it adds anything."""
    assert {router.choose(prompt(0), Goal(max_usd=usd)).model for usd in (0.001, 0.019)} == {"small"}
    prompts = [row["prompt"] for row in rows(60, seed=6)]
    assert {router.choose(each, Goal(cost_share=0.01)).model for each in prompts} == {"small"}
    assert {router.choose(each, Goal(max_usd=1e-9)).model for each in prompts} == {"small"}
    dear = [router.choose(each, Goal(cost_share=1.0)).model for each in prompts]
    assert dear.count("large") > 0.8 * len(dear)
    best = [router.choose(each, Goal(quality=1.0)).model for each in prompts]
    assert best.count("large") >= 0.5 * len(best)


def test_many_goals_are_served(router: LearnedRouter) -> None:
    """What a goal asks for is remembered for a few of them; the others come to the same when they are asked again."""
    goals = [Goal(quality=number / 200) for number in range(1, 201)]
    first = [router.choose(prompt(3), goal) for goal in goals]
    assert [router.choose(prompt(3), goal) for goal in goals] == first
    assert len(router._thresholds) <= 64


def test_dollars_need_recorded_costs() -> None:
    """A goal in dollars is an error for a router that knows no costs, unless the call brings them."""
    router = fit(rows(200, costs=False)).router
    assert router is not None
    assert router.policy.usd is None
    with pytest.raises(ConfigError, match="max_usd needs what a call of small, large costs"):
        router.choose("x", Goal(max_usd=1))
    usd = {"small": 0.1, "large": 2}
    assert router.choose(prompt(4), Goal(max_usd=3), costs=usd).model == "large"
    assert router.choose(prompt(4), Goal(max_usd=1), costs=usd).model == "small"
    assert router.choose(prompt(4), Goal(max_usd=0.01), costs=usd).model == "small"
    assert router.choose(prompt(4), Goal(max_usd=0.01), costs=usd, among=["large"]).model == "large"
    assert router.choose(prompt(0), Goal(cost_share=0.5)).model == "small"


def test_equal_costs_leave_only_quality() -> None:
    """When models cost the same, the expectedly better one is chosen."""
    values = np.array([[0.5, 0.6], [0.7, 0.6]])
    policy = Policy.measure(values, np.array([[0.0, 1.0], [1.0, 0.0]]), np.full((2, 2), 0.5), np.array([0.5, 0.5]))
    assert policy.thresholds == (0.0,)
    assert policy.relative == (1.0, 1.0)
    assert policy.threshold(Goal(quality=0.9)) == 0.0
    assert policy.threshold(Goal(cost_share=0.1)) == policy.threshold(Goal(cost_share=1.0)) == 0.0


def test_models_never_tried_on_their_prompts_are_judged_by_their_mean() -> None:
    """A policy measured on single calls fills what was not tried with what is known of the model."""
    values = np.array([[0.2, 0.9], [0.9, 0.2]] * 10)
    scores = np.array([[0.0, np.nan], [np.nan, 1.0]] * 10)
    policy = Policy.measure(values, scores, np.full((20, 2), np.nan), None)
    assert policy.usd is None
    assert policy.recovered[0] == 0.0
    assert policy.recovered[-1] == 0.5


def test_the_router_of_the_package_needs_no_log() -> None:
    """The prior knows two models, says where it comes from, and finds conditions harder than small talk."""
    prior = LearnedRouter.prior()
    assert prior.models == ("weak", "strong")
    assert "Apache-2.0" in prior.about["provenance"]
    assert "MIT" in prior.about["provenance"]
    hard = prior.predict("Which of the following is not true, if each x is less than y and none is false?")
    easy = prior.predict("Nice weather today.")
    assert hard.gain > easy.gain
    zh = prior.predict("下列说法中不正确的是哪一项？如果每个数都不是零")
    assert zh.gain > prior.predict("今天天气不错").gain
    goal = Goal(cost_share=0.5)
    chosen = [prior.choose(row["prompt"], goal).model for row in rows(50)]
    assert set(chosen) <= {"weak", "strong"}


@pytest.mark.parametrize(
    "options",
    [{}, {"quality": 0.8, "cost_share": 0.5}, {"quality": 0}, {"quality": 1.1}, {"cost_share": -1}, {"max_usd": 0},
     {"max_usd": float("inf")}, {"quality": float("nan")}],
)  # fmt: skip
def test_goals_are_one_and_in_range(options: dict[str, Any]) -> None:
    """A goal that is none, two or out of range is an error when it is built."""
    with pytest.raises(ConfigError, match="Goal "):
        Goal(**options)


def test_goals_take_exact_money() -> None:
    """Money may be a Decimal."""
    assert Goal(max_usd=Decimal("0.01")).max_usd == Decimal("0.01")
