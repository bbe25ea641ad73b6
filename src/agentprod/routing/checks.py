"""Checks of an answer that cost nothing: each is a function of an `Answer` that tells whether it will do.

`ap.Cascade(models, checks=[...])` takes these and functions of your own, `(answer) -> bool`. A check that raises has
failed. What fits your task best is your own: the schema, the compiler, the unit, the test.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from os import PathLike
from typing import Any

from agentprod.errors import ConfigError
from agentprod.routing.answer import Answer
from agentprod.routing.goal import Goal
from agentprod.routing.learned import LearnedRouter

__all__ = [
    "DEFAULT",
    "Answer",
    "Judge",
    "answered",
    "arithmetic",
    "compiles",
    "complete",
    "fits",
    "matches",
    "sure",
    "well_formed",
]

_UNSURE = re.compile(
    r"\b(?:i(?:'m| am) not (?:sure|certain)|i (?:do not|don't) know|i(?:'m| am) unable to|i (?:cannot|can't) (?:answer"
    r"|determine|solve|help|provide)|it is (?:not clear|unclear)|not enough information|as an ai)\b"
    r"|不确定|不清楚|我不知道|无法(?:确定|回答|判断|得出|提供)|不能确定|信息不足|缺少(?:信息|条件)|作为(?:一个)?(?:AI|人工智能)",
    re.IGNORECASE,
)
_NUMBER = r"[-−]?\$?\d[\d,]*(?:\.\d+)?"
_EQUATION = re.compile(
    rf"(?<![\w.,)%/*×÷+\-−=^])((?:{_NUMBER}\s*[-−+*×x/÷]\s*)+{_NUMBER})\s*=\s*({_NUMBER})"
    r"(?![\d.,]*(?:\s*[-−+*×÷/^x]\s*[\d($]|[\w%(]))"
)
_OPERATORS = str.maketrans({"×": "*", "x": "*", "÷": "/", "−": "-", "$": None, ",": None, " ": None})
_FENCED = re.compile(r"```(?:python|py)[^\n]*\n(.*?)```", re.DOTALL | re.IGNORECASE)


def answered(answer: Answer) -> bool:
    """Tell whether it says or calls anything."""
    return bool(answer.text.strip()) or bool(answer.tool_calls)


def complete(answer: Answer) -> bool:
    """Tell whether it came to its end: not cut off, not filtered, no code left open."""
    return answer.finish not in ("length", "content_filter") and answer.text.count("```") % 2 == 0


def well_formed(answer: Answer) -> bool:
    """Tell whether JSON is JSON where it was asked for, and tool calls name a tool and have arguments that parse."""
    if answer.wants_json and answer.text and not _parses(answer.text):
        return False
    for call in answer.tool_calls:
        if answer.tools and call.get("name") not in answer.tools:
            return False
        arguments = call.get("arguments")
        if isinstance(arguments, str) and arguments.strip() and not _parses(arguments):
            return False
    return True


def arithmetic(answer: Answer) -> bool:
    """Tell whether every sum it writes out, such as `12 * 3 = 36`, is right to the precision it is given in."""
    for left, right in _EQUATION.findall(answer.text):
        stated = right.translate(_OPERATORS)
        try:
            value = _value(ast.parse(left.translate(_OPERATORS), mode="eval").body)
            wanted = float(stated)
        except (SyntaxError, ValueError, ZeroDivisionError, OverflowError):
            continue
        places = len(stated.partition(".")[2])
        if abs(value - wanted) > max(0.51 * 10**-places, 0.005 * abs(value)):
            return False
    return True


def sure(answer: Answer) -> bool:
    """Tell whether it does not say, in English or Chinese, that it cannot or does not know."""
    return _UNSURE.search(answer.text) is None


DEFAULT = (answered, complete, well_formed, arithmetic, sure)
"""What a cascade without checks of its own uses."""


def matches(pattern: str | re.Pattern[str]) -> Callable[[Answer], bool]:
    r"""Return a check that finds a pattern in the answer.

    Args:
        pattern: a regular expression, such as `r"####\s*-?\d+"`.

    Raises:
        ConfigError: it is none.
    """
    try:
        search = re.compile(pattern).search
    except (re.error, TypeError) as error:
        raise ConfigError(f"checks.matches takes a regular expression: {error}") from None

    def matched(answer: Answer) -> bool:
        return search(answer.text) is not None

    return matched


def fits(model: Any) -> Callable[[Answer], bool]:
    """Return a check that reads the answer as JSON into a class.

    Args:
        model: a pydantic model (anything with `model_validate_json`), or a function of the parsed JSON that raises or
            returns `False` when it does not fit, such as `jsonschema.Draft202012Validator(schema).validate`.

    Raises:
        ConfigError: it is neither.
    """
    validate = getattr(model, "model_validate_json", None)
    if not callable(validate) and (not callable(model) or isinstance(model, type)):
        raise ConfigError(f"checks.fits takes a pydantic model or a function, not {type(model).__name__}")

    def fitted(answer: Answer) -> bool:
        text = _unfenced(answer.text)
        if callable(validate):
            validate(text)
            return True
        return model(json.loads(text)) is not False

    return fitted


def compiles(answer: Answer) -> bool:
    """Tell whether every fenced block of Python parses."""
    try:
        for block in _FENCED.findall(answer.text):
            ast.parse(block)
    except (SyntaxError, ValueError):
        return False
    return True


class Judge:
    """A check learned from recorded answers: whether this one is good enough for the goal.

    Args:
        path: of a file that `python -m agentprod router fit` wrote from a log whose rows hold `answer` and, if you
            like, `checks`; or a fitted router.

        goal: what is to be reached on average; `Goal(quality=0.8)` when `None`.

    Raises:
        ConfigError: the file is missing, or was fitted without answers.
    """

    def __init__(self, path: str | PathLike[str] | LearnedRouter, *, goal: Goal | None = None) -> None:
        self.router = path if isinstance(path, LearnedRouter) else LearnedRouter.load(path)
        if not self.router.encoder.has_answer:
            raise ConfigError("checks.Judge: this router was fitted without answers; give it to ap.Learned")
        self.goal = goal or Goal(quality=0.8)
        self.__name__ = "judge"

    def __call__(self, answer: Answer) -> bool:
        """Tell whether the first model's answer is to be kept."""
        choice = self.router.choose(answer.prompt, self.goal, answer=answer.text, checks=answer.failed)
        return choice.model == self.router.models[0]


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        return left * right if isinstance(node.op, ast.Mult) else left / right
    raise ValueError


def _parses(text: str) -> bool:
    try:
        json.loads(_unfenced(text))
    except ValueError:
        return False
    return True


def _unfenced(text: str) -> str:
    text = text.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        return text[text.index("\n") + 1 : -3]
    return text
