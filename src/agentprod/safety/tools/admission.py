"""Everything that can be decided about a tool call without asking anybody."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, get_args

from agentprod.errors import ConfigError
from agentprod.runs import Run
from agentprod.safety.tools.decisions import Asked, Reason, Request, Unreadable, digest_of, parse
from agentprod.safety.tools.limits import Rates
from agentprod.safety.tools.tool import Risk, Tool

__all__ = ["Admission", "Denied"]

_SHORTEST_QUOTE = 16
_SHORTEST_NUMBER = 9
"""Digits: more than a date has."""
_RISKS: tuple[Risk, ...] = get_args(Risk)


class Denied(Exception):
    """Raised when a call may not run; the message is for the model."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


class Admission:
    """Admits calls that are listed, readable, valid and within the limits.

    Args:
        tools: what is listed, by name.

        may: tells whether an agent may call a tool.

        rates: how often.

        max_calls: most calls in one run, by tool.

        max_bytes: of one call's arguments.

        max_depth: of their nesting.

        approve_risk: the lowest risk that needs approval.
    """

    def __init__(
        self,
        tools: Mapping[str, Tool[..., Any]],
        *,
        may: Callable[[str | None, str], bool],
        rates: Rates,
        max_calls: Mapping[str, int],
        max_bytes: int,
        max_depth: int,
        approve_risk: Risk,
    ) -> None:
        for name, value in (("max_bytes", max_bytes), ("max_depth", max_depth)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name} must be a whole number of at least 1, not {value!r}")
        if approve_risk not in _RISKS:
            raise ConfigError(f"approve_risk must be {', '.join(_RISKS)}, not {approve_risk!r}")
        self._tools, self._may, self._rates, self._max_calls = tools, may, rates, max_calls
        self._max_bytes, self._max_depth, self._approve_risk = max_bytes, max_depth, approve_risk
        self._calls: Counter[str] = Counter()
        self._lock = threading.Lock()

    def admit(self, asked: Asked, agent: str | None, run: Run | None, untrusted: tuple[str, ...]) -> Request:
        """Return the request that the call is.

        Raises:
            Denied: it may not run.
        """
        tool = self._tools.get(asked.name)
        if tool is None or not self._may(agent, asked.name):
            usable = ", ".join(name for name in self._tools if self._may(agent, name)) or "none"
            raise Denied(
                "not_listed" if tool is None else "not_for_this_agent",
                f"there is no tool {asked.name[:64]!r} here; there are: {usable}",
            )
        arguments = self._read(asked)
        self._fits(tool, arguments)
        self._count(tool.name, run)
        tainted = _quotes(arguments, untrusted)
        return Request(tool.name, arguments, digest_of(tool.name, arguments), tool.risk, asked.id, agent, tainted)

    def edited(self, request: Request, arguments: Mapping[str, Any]) -> Request:
        """Return the request with other arguments, which must fit as the first ones did.

        Raises:
            Denied: they do not.
        """
        new = self._read(Asked(request.call_id, request.tool, dict(arguments)))
        self._fits(self._tools[request.tool], new)
        return Request(
            request.tool,
            new,
            digest_of(request.tool, new),
            request.risk,
            request.call_id,
            request.agent,
            request.tainted,
        )

    def needs_approval(self, request: Request) -> bool:
        """Tell whether somebody must be asked."""
        step = min(_RISKS.index(request.risk) + request.tainted, len(_RISKS) - 1)
        return step >= _RISKS.index(self._approve_risk)

    def _read(self, asked: Asked) -> dict[str, Any]:
        """Return the arguments as data of our own that nobody else can change."""
        text = asked.arguments
        try:
            if not isinstance(text, str):
                text = json.dumps({} if text is None else text, allow_nan=False, ensure_ascii=False)
            if len(text.encode(errors="surrogatepass")) > self._max_bytes:
                raise Denied("too_large", f"the arguments of {asked.name} have more than {self._max_bytes} bytes")
            if _deeper(text, self._max_depth):
                raise Denied("too_deep", f"the arguments of {asked.name} are nested deeper than {self._max_depth}")
            arguments = parse(text or "{}")
        except RecursionError:
            raise Denied("too_deep", f"the arguments of {asked.name} are nested too deep") from None
        except Unreadable as error:
            raise Denied("unreadable", f"the arguments of {asked.name} cannot be read: {error}") from None
        except (TypeError, ValueError):
            raise Denied("unreadable", f"the arguments of {asked.name} are no JSON") from None
        if not isinstance(arguments, dict):
            raise Denied("invalid", f"{asked.name}: the arguments must be a JSON object")
        return arguments

    def _fits(self, tool: Tool[..., Any], arguments: dict[str, Any]) -> None:
        wrong: list[str] = []
        failure = ""
        try:
            wrong = tool.problems(arguments)
            if not wrong:
                tool.keywords(arguments)
        except Exception as error:
            failure = type(error).__name__
        if wrong or failure:
            raise Denied("invalid", f"{tool.name}: {'; '.join(wrong) or f'the arguments were refused ({failure})'}")

    def _count(self, tool: str, run: Run | None) -> None:
        most = self._max_calls.get(tool, self._max_calls.get("*"))
        if most is not None:
            with self._lock:
                # What a run within a run calls counts for both, or a cap would end where a sub-agent begins.
                counts = [self._calls] if run is None else []
                while run is not None:
                    counts.append(run.state.setdefault(self, Counter()))
                    run = run.parent
                if any(calls[tool] >= most for calls in counts):
                    raise Denied("max_calls", f"{tool} was called {most} times, which is all it may be")
                for calls in counts:
                    calls[tool] += 1
        wait = self._rates.admit(tool)
        if wait > 0:
            raise Denied("rate", f"{tool} was called too often; there is room in {wait:.0f} seconds")


def _deeper(text: str, most: int) -> bool:
    """Tell whether JSON text is nested deeper, without parsing it."""
    depth, inside, escaped = 0, False, False
    for char in text:
        if inside:
            inside = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            inside = True
        elif char in "[{":
            depth += 1
            if depth > most:
                return True
        elif char in "]}":
            depth -= 1
    return False


def _quotes(value: Any, untrusted: tuple[str, ...]) -> bool:
    """Tell whether a string in the arguments stands in a text from outside, white space and case aside."""
    if not untrusted:
        return False
    sources = [_plain(text) for text in untrusted]
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, int | float) and not isinstance(item, bool):
            # An account or a telephone number is a quote, whichever type a tool takes it as.
            digits = str(item).strip("-")
            if len(digits) >= _SHORTEST_NUMBER and any(digits in source for source in sources):
                return True
        elif isinstance(item, str):
            quote = _plain(item)
            if len(quote) >= _SHORTEST_QUOTE and any(quote in source or _shares(quote, source) for source in sources):
                return True
            is_number = sum(map(str.isdigit, quote)) >= _SHORTEST_NUMBER
            if ("@" in item or is_number) and any(quote in source for source in sources):
                return True
        elif isinstance(item, dict):
            stack.extend((*item.keys(), *item.values()))
        elif isinstance(item, list):
            stack.extend(item)
    return False


def _shares(quote: str, source: str) -> bool:
    """Tell whether a long text holds a long piece of another."""
    step = 2 * _SHORTEST_QUOTE
    pieces = (quote[at : at + step] for at in range(0, len(quote) - step + 1, _SHORTEST_QUOTE))
    return any(piece in source for piece in pieces)


def _plain(text: str) -> str:
    return "".join(text.split()).lower()
