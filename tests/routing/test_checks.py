"""Checks of answers, agreement between them, and a judge that learned from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from agentprod.errors import ConfigError
from agentprod.routing import checks
from agentprod.routing.agreement import agree, conclusion
from agentprod.routing.answer import Answer
from agentprod.routing.fit import fit
from agentprod.routing.goal import Goal
from tests.routing.recorded import rows


def said(text: str, **facts: Any) -> Answer:
    """An answer with this text."""
    return Answer(text, "small", **facts)


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (checks.answered, said("x"), said("  \n")),
        (checks.answered, said("", tool_calls=({"name": "f", "arguments": "{}"},)), said("")),
        (checks.complete, said("x", finish="stop"), said("x", finish="length")),
        (checks.complete, said("```\nx\n```"), said("```python\ndef f(")),
        (checks.well_formed, said('{"a": 1}', wants_json=True), said('{"a": 1', wants_json=True)),
        (checks.well_formed, said('```json\n{"a": 1}\n```', wants_json=True), said("none", wants_json=True)),
        (checks.well_formed, said("no JSON wanted"), said("", tool_calls=({"name": "f", "arguments": "{"},))),
        (
            checks.well_formed,
            said("", tools=("f",), tool_calls=({"name": "f", "arguments": '{"x": 1}'},)),
            said("", tools=("f",), tool_calls=({"name": "g", "arguments": "{}"},)),
        ),
        (checks.sure, said("The capital is Paris."), said("I'm not sure, but perhaps Paris.")),
        (checks.sure, said("答案是42。"), said("抱歉，信息不足，无法确定。")),
        (checks.compiles, said("```python\nx = 1\n```"), said("```python\nx = = 1\n```")),
        (checks.compiles, said("no code"), said("```py\ndef f(\n```")),
        (checks.matches(r"####\s*\d+"), said("so #### 42"), said("so 42")),
    ],
)  # fmt: skip
def test_checks_tell_good_from_bad(check: Callable[[Answer], bool], good: Answer, bad: Answer) -> None:
    """Each check passes what it should and stops what it should."""
    assert check(good)
    assert not check(bad)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("He runs 3 x 60 = <<3*60=180>>180 meters.", True),
        ("He runs 3 x 60 = 190 meters.", False),
        ("12 + 30 = 42, then 42 / 2 = 21", True),
        ("12 + 30 = 42, then 42 / 2 = 22", False),
        ("1,200 * 2 = 2,400 and $5 + $6 = $11", True),
        ("3 × 4 = 12，12 ÷ 5 = 2.4", True),
        ("3 × 4 = 13", False),
        ("10 / 3 = 3.33 and 2 / 3 = 0.67 and 22 / 7 = 3.14", True),
        ("1 / 0 = 5", True),
        ("x + 2 = 5, f(2) = 9, 2 + x = 3", True),
        ("5 + 3 = 8 + 2", True),
        ("2024-11-20 = today, v1.2 = 3", True),
        ("-3 + 5 = 2", True),
        ("nothing to compute", True),
        ("2 + 3 * 4 = 14", True),
        ("2 + 3 * 4 = 20", False),
        ("(7 - 2) * 2 = 10", True),
        ("7 - 2 = 6", False),
        ("2 ** 3 = 9", True),
    ],
)
def test_sums_are_checked(text: str, right: bool) -> None:
    """What an answer computes is computed again, to the precision it states; what is no sum is left alone."""
    assert checks.arithmetic(said(text)) is right


def test_sums_with_rounding_that_hides_nothing() -> None:
    """An answer that is off by a whole is wrong however small the share."""
    assert not checks.arithmetic(said("100 + 100 = 202"))
    assert checks.arithmetic(said("1000 * 1.005 = 1005"))


class Person(BaseModel):
    """What an answer is to be."""

    name: str
    age: int


def test_answers_fit_a_schema() -> None:
    """A pydantic model, or any function that raises or says no, tells whether the JSON will do."""
    fitted = checks.fits(Person)
    assert fitted(said('{"name": "Li Wei", "age": 3}'))
    assert fitted(said('```json\n{"name": "Li Wei", "age": 3}\n```'))
    with pytest.raises(ValueError, match="age"):
        fitted(said('{"name": "Li Wei"}'))
    few = checks.fits(lambda data: len(data) < 3)
    assert few(said("[1, 2]"))
    assert not few(said("[1, 2, 3]"))
    assert checks.fits(lambda data: None)(said("[]"))
    for wrong in (dict, "schema", 3):
        with pytest.raises(ConfigError, match="a pydantic model or a function"):
            checks.fits(wrong)
    with pytest.raises(ConfigError, match="a regular expression"):
        checks.matches("(")


@pytest.mark.parametrize(
    ("text", "comes_to"),
    [
        ("Long reasoning.\n#### 1,234", "1234"),
        ("So \\boxed{42}.", "42"),
        ("The answer is (B).", "B"),
        ("B. Paris", "B"),
        ("(C)", "C"),
        ("Answer: **A** because of this", "A"),
        ("根据题意，答案是：C", "C"),
        ("综上所述，故选 D。", "D"),
        ("Ｂ", "B"),
        ("['C']", "C"),
        ("b", "B"),
        ("I would pick option D here", "D"),
        ("正确的是选项A", "A"),
        ("A dog", "a dog"),
        ("A\n\nIt has 3 parts.", "A"),
        ("The correct option is B.", "B"),
        ("The answer would be (D)", "D"),
        ("答案选B", "B"),
        ("正确答案是B选项。", "B"),
        ("B。理由有3条", "B"),
        ('["B"]', "B"),
        ("So \\boxed{\\frac{1}{2}}.", "frac 1 2"),
        ("No, for 2 reasons.", "NO"),
        ("yes", "YES"),
        ("是的，因为有3条", "是"),
        ("No one knows", "no one knows"),
        ("I, for one, like it", "i for one like it"),
        ("Paris.", "paris"),
        ("paris", "paris"),
        ("The answer is 3.50 dollars", "3.5"),
        ("It takes 3 steps and then 5 more, " * 5 + "in total 8", "8"),
        ('{"b": 1, "a": 2}', '{"a": 2, "b": 1}'),
        ("", ""),
        ("word " * 40, ""),
    ],
)
def test_texts_come_to_a_conclusion(text: str, comes_to: str) -> None:
    """Marks, options, figures, JSON and short answers, in English and Chinese, are found and made comparable."""
    assert conclusion(text) == comes_to


def test_answers_agree_on_what_they_come_to() -> None:
    """Wording does not matter, conclusions do; tool calls are compared by name and arguments."""
    assert agree(said("I think the answer is 12."), said("First 3, then 4.\n#### 12.0"))
    assert not agree(said("#### 12"), said("#### 13"))
    assert not agree(said("#### 12345678901"), said("#### 12345678902"))
    assert not agree(said("1" * 400), said("2" * 400))
    assert not agree(said(""), said(""))
    call = {"name": "f", "arguments": '{"a": 1, "b": 2}'}
    other = {"name": "f", "arguments": '{"b": 2, "a": 1}'}
    assert agree(said("", tool_calls=(call,)), said("let me", tool_calls=(other,)))
    assert not agree(said("", tool_calls=(call,)), said("1"))
    assert not agree(said("", tool_calls=(call,)), said("", tool_calls=({"name": "f", "arguments": "x"},)))


def test_a_judge_learns_which_answers_are_good_enough(tmp_path: Path) -> None:
    """Fitted on answers and their checks, it keeps good ones and sends bad ones on; the file holds all it needs."""
    rng = np.random.default_rng(0)
    log = []
    for row in rows(300):
        wrong = bool(rng.random() < 0.4)
        log.append(
            {
                "prompt": row["prompt"],
                "answer": "I guess it is seven" if wrong else "The answer is seven.",
                "checks": {"sure": float(rng.random() < (0.8 if wrong else 0.1))},
                "scores": {"small": float(not wrong), "large": float(rng.random() < 0.95)},
            }
        )
    router = fit(log).router
    assert router is not None
    path = tmp_path / "judge.npz"
    router.save(path)
    judge = checks.Judge(path, goal=Goal(quality=0.7))
    request = {"messages": [{"role": "user", "content": log[0]["prompt"]}]}
    assert judge(said("The answer is seven.", request=request, failed={"sure": 0.0}))
    assert not judge(said("I guess it is seven", request=request, failed={"sure": 1.0}))
    assert judge.__name__ == "judge"
    plain = fit(rows(150)).router
    assert plain is not None
    with pytest.raises(ConfigError, match="fitted without answers"):
        checks.Judge(plain)


def test_prompts_of_answers_are_read() -> None:
    """A check may look at what was asked."""
    assert said("x", request={"messages": [{"role": "user", "content": "q"}]}).prompt == "q"
    assert json.dumps(said("x").text) == '"x"'
