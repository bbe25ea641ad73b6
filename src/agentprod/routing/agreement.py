"""Whether two models came to the same answer."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

from agentprod.routing.answer import Answer

__all__ = ["agree", "conclusion"]

_MARKED = re.compile(
    r"####\s*(.+)"
    r"|\\boxed\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})+)\}"
    r"|(?:the answer|answer|答案|结果)\s*(?:is|are|would be|should be|应该是|应为|应选|是|为|选)?"
    r"\s*[:：]?\s*\**\s*([^\n。]+)"
    r"|\b(?:option|choice)\s*(?:is\b\s*)?[:：]?\s*\(?((?-i:[A-J]))\b"
    r"|(?:选项|选择|应选|故选|选)\s*[:：]?\s*([A-J])",
    re.IGNORECASE,
)
# Not a sentence that begins with "A" or "I": a mark, another line or nothing has to follow.
_OPTION = re.compile(r"^[\s(（\[*'\"]*([A-HJ](?=[.)）\]:：,、。*'\"]|选项|\s*(?:\n|$))|I(?=[.)）\]:：]))")
_VERDICT = re.compile(r"(yes|no|true|false|是|否|不是|对|错|正确|错误)的?(?=[,.;:!、。\n]|$)", re.IGNORECASE)
_FIGURE = re.compile(r"[-−]?\d[\d,]*(?:\.\d+)?")
_SHORT = 80


def agree(one: Answer, other: Answer) -> bool:
    """Tell whether two answers say the same.

    Tool calls are the same with equal names and arguments, JSON with equal content; of texts the conclusions are
    compared, which works for choices, numbers, labels and short answers. Two long texts hardly ever agree.

    Args:
        one: an answer.

        other: another model's answer to the same request.
    """
    if one.tool_calls or other.tool_calls:
        return bool(one.tool_calls) and _calls(one) == _calls(other)
    first = conclusion(one.text)
    return first != "" and first == conclusion(other.text)


def conclusion(text: str) -> str:
    r"""Return what a text comes to, in a form that can be compared.

    The last of: what follows `####`, `\boxed{}`, "the answer is", 答案是 or 选; otherwise the option that it begins
    or the verdict (yes, no, 是, 错误) with, the whole of a short text, or the last figure of a long one.

    Args:
        text: the answer.

    Returns:
        Empty when there is nothing to compare.
    """
    text = unicodedata.normalize("NFKC", text).strip()
    parsed = _json(text)
    if isinstance(parsed, list) and len(parsed) == 1 and isinstance(parsed[0], str):
        text = parsed[0].strip()
    elif parsed is not None:
        return json.dumps(parsed, sort_keys=True, ensure_ascii=False)
    marked = [next(group for group in match.groups() if group) for match in _MARKED.finditer(text)]
    said = marked[-1] if marked else text
    option = _OPTION.match(said) or _VERDICT.match(said)
    if option is not None:
        return option[1].upper()
    figures = [_plain(figure) for figure in _FIGURE.findall(said)]
    if marked and len(figures) == 1:
        return figures[0]
    if len(said) > _SHORT or (figures and not marked):
        return figures[-1] if figures else ""
    plain = re.sub(r"[\W_]+", " ", said.casefold()).strip()
    return plain.upper() if len(plain) == 1 else plain


def _plain(figure: str) -> str:
    plain = figure.replace(",", "").replace("−", "-")
    # Beyond fifteen digits a float tells no two numbers apart.
    return f"{float(plain):.15g}" if len(plain) <= 15 else plain


def _json(text: str) -> Any:
    if not text.startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _calls(answer: Answer) -> list[tuple[Any, Any]]:
    found = []
    for call in answer.tool_calls:
        arguments = call.get("arguments")
        parsed = _json(arguments.strip()) if isinstance(arguments, str) else arguments
        found.append((call.get("name"), arguments if parsed is None else parsed))
    return found
