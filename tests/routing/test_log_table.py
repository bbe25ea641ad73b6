"""Call logs are read in the shapes people have, and what cannot be used is left out."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentprod.errors import ConfigError
from agentprod.routing.log_table import read_log


def test_rows_of_all_shapes_are_one_table() -> None:
    """Scores by model, single calls, whole requests and rows of one prompt come together."""
    rows: list[dict[str, Any]] = [
        {"prompt": "a", "scores": {"small": 1, "large": True}, "costs": {"small": 0.1, "large": 2}},
        {"prompt": "b", "model": "small", "score": "0.5", "cost": 0.3},
        {"prompt": "b", "model": "large", "correct": False, "cost_usd": 4},
        {"messages": [{"role": "user", "content": "c"}], "model": "large", "quality": 0.25},
        {"request": {"input": "d"}, "model": "small", "label": 1},
    ]
    log = read_log(rows)
    assert log.models == ("small", "large")
    assert [example.prompt for example in log.examples] == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(log.scores, [[1, 1], [0.5, 0], [math.nan, 0.25], [1, math.nan]])
    costs = log.mean_costs()
    assert costs is not None
    np.testing.assert_allclose(costs, [0.2, 3])


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"prompt": "a"},
        {"prompt": "", "scores": {"m": 1}},
        {"prompt": "a", "scores": {"m": None}},
        {"prompt": "a", "score": 1},
        {"prompt": "a", "model": "m"},
        {"messages": [], "model": "m", "score": 1},
    ],
)
def test_unusable_rows_are_left_out(row: dict[str, Any]) -> None:
    """Rows without a prompt or a score are no rows, and counted; a log of nothing else is an error."""
    kept = {"prompt": "k", "scores": {"m": 1}}
    log = read_log([row, kept])
    assert (len(log), log.unlabelled) == (1, 1)
    with pytest.raises(ConfigError, match="no row has both"):
        read_log([row])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "a", "scores": {"m": float("nan")}}, "row 2: the score of m is nan, not a finite number"),
        ({"prompt": "a", "scores": {"m": math.inf}}, "row 2: the score of m is inf, not a finite number"),
        ({"prompt": "a", "scores": {"m": "good"}}, "row 2: the score of m is a str, not a number"),
        ({"prompt": "a", "scores": {"m": [1]}}, "row 2: the score of m is a list, not a number"),
        ({"prompt": "a", "model": "m", "score": "NaN"}, "row 2: the score is nan, not a finite number"),
        ({"prompt": "a", "model": "m", "score": 1, "cost": -0.1}, "row 2: the cost of m is negative"),
        ({"prompt": "a", "scores": {"m": 1}, "costs": {"m": float("nan")}}, "row 2: the cost of m is nan"),
        ({"prompt": "a", "scores": {"m": 1}, "checks": {"c": "x"}}, "row 2: the check of c is a str"),
        ({"feedback": "id", "score": float("nan")}, "row 2: the score is nan"),
        ("text", "row 2 is a str, not a mapping"),
    ],
)
def test_what_is_no_number_is_an_error_that_names_the_row(row: Any, said: str) -> None:
    """A value that cannot be meant is never learned from, and the error says where it stands."""
    with pytest.raises(ConfigError, match=said):
        read_log([{"prompt": "k", "scores": {"m": 1}}, row])


def test_models_that_are_not_in_the_log_are_an_error() -> None:
    """A model asked for but never recorded is named, and so are those that are."""
    with pytest.raises(ConfigError, match=r"no answer of x is recorded; it has m, n"):
        read_log([{"prompt": "a", "scores": {"m": 1, "n": 0}}], models=["m", "x"])


def test_feedback_rows_are_scores_of_other_rows() -> None:
    """Feedback may come later, by either id, more than once, and of calls that are not here; the last one holds."""
    log = read_log(
        [
            {"feedback": "i1", "score": 0.25},
            {"id": "i1", "prompt": "a", "model": "m"},
            {"id": "i2", "request_id": "mine", "prompt": "b", "model": "m", "cost": 0.5},
            {"id": "i3", "prompt": "c", "model": "m"},
            {"feedback": "mine", "score": 0},
            {"feedback": "mine", "correct": True},
            {"feedback": "elsewhere", "score": 1},
            {"feedback": "i3", "score": None},
        ]
    )
    assert [example.prompt for example in log.examples] == ["a", "b"]
    np.testing.assert_array_equal(log.scores, [[0.25], [1.0]])
    assert log.unlabelled == 1


def test_models_may_be_named_in_order() -> None:
    """Named models are read in the given order, others are not, nor are rows that have none of them."""
    rows = [{"prompt": "a", "scores": {"x": 1, "y": 0, "z": 1}}, {"prompt": "b", "scores": {"z": 1}}]
    log = read_log(rows, models=["y", "x"])
    assert log.models == ("y", "x")
    assert len(log) == 1


def test_without_costs_models_are_ordered_by_quality() -> None:
    """Costs that are not recorded for every model order nothing."""
    rows = [{"prompt": str(n), "scores": {"good": 1, "bad": 0}, "costs": {"good": 1}} for n in range(3)]
    log = read_log(rows)
    assert log.models == ("bad", "good")
    assert log.mean_costs() is None


def test_answers_and_checks_make_rows_of_a_judge() -> None:
    """Different answers to one prompt are different rows; checks are numbers by name."""
    rows = [
        {"prompt": "a", "answer": "x", "checks": {"schema": True, "odd": None}, "scores": {"m": 1, "n": 1}},
        {"prompt": "a", "answer": "y", "checks": {"length": 3}, "scores": {"m": 0, "n": 1}},
        {"prompt": "b", "scores": {"m": 0, "n": 1}},
    ]
    log = read_log(rows)
    assert log.check_names == ("length", "schema")
    assert [(each.prompt, each.answer, each.checks) for each in log.examples] == [
        ("a", "x", (0.0, 1.0)), ("a", "y", (3.0, 0.0)), ("b", "", (0.0, 0.0)),
    ]  # fmt: skip
    assert read_log([{"prompt": "a", "scores": {"m": 1}}]).examples[0].answer is None


def test_files_are_read_line_by_line(tmp_path: Path) -> None:
    """JSONL with blank lines is read; a line that is not JSON is named."""
    path = tmp_path / "log.jsonl"
    lines = [json.dumps({"prompt": f"提示{n}", "scores": {"m": 1}}, ensure_ascii=False) for n in range(3)]
    path.write_text("\n\n".join(lines), encoding="utf-8")
    assert [example.prompt for example in read_log(path).examples] == ["提示0", "提示1", "提示2"]
    for broken, said in (("not json", "is not JSON"), ("[1]", "is a list, not an object")):
        path.write_text(f"{lines[0]}\n{broken}\n", encoding="utf-8")
        with pytest.raises(ConfigError, match=rf"line 2 of log\.jsonl {said}"):
            read_log(str(path))
