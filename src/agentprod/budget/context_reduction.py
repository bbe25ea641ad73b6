"""Shorten a conversation until it fits, in big steps, so that the prefix a provider has cached stays the same."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agentprod.budget.context_edits import clamp_text, edit_answers, edit_results, edit_user_texts, without_redundancy
from agentprod.budget.tokens import unit_counter
from agentprod.budget.transcript import retold
from agentprod.budget.units import Unit, history_key, pin, split_history

if TYPE_CHECKING:
    from agentprod.call import Call

__all__ = ["STAGES", "Reduction", "reduced"]

STAGES = ("duplicates", "redundancy", "tool_results", "clamp", "drop")
"""Ways to make a conversation smaller, the mildest first."""

FULL, STEP = 0.9, 0.2
"""Part of the room at which something is done, and part by which what is freed grows: from 90 % down to 70 %."""

_KEPT_RESULTS = 3
_SHORT_RESULT = 200  # characters
_REMARK = 40
"""Characters that the remark on what was left out takes."""
_SHORTEST = 80
"""Characters up to which a text is never clamped."""
_LENGTHS = tuple(round(2 ** (step / 4)) for step in range(21, 89))
"""Lengths of clamped texts, in steps: what was clamped stays the same while the conversation grows by little."""
_LARGE = 0.25
"""Part of the room that one text may take before it is clamped."""
_UNCLAMPED = 0.5
"""Part of the room that reasoning and arguments of one exchange may take, for neither can be clamped."""


class Reduction:
    """One conversation on its way to fit.

    Args:
        items: the messages or items of the request.

        operation: of the request's dialect.

        fixed: tokens of what cannot be shortened: tools, and system prompts outside the messages.

        room: tokens the request may have.

        count: counts one message or item.

        wanted: says of a message whether it must stay.

        spare: tokens to leave free where something is left out, for what will stand in its place.

    Attributes:
        units: what is left.

        dropped: units left out, oldest first.

        done: names of the stages that made it smaller, and `"retell"` where calls became text.
    """

    def __init__(
        self,
        items: Sequence[Any],
        operation: str,
        *,
        fixed: int,
        room: int,
        count: Callable[[Any], int],
        wanted: Callable[[Any], bool] | None = None,
        spare: int = 0,
    ) -> None:
        self._operation = operation
        self._fixed = fixed
        self._count = count
        self._room = room
        self._wanted = wanted
        self._spare = spare
        self.units = split_history(items, operation)
        for unit in self.units:
            unit.tokens = sum(map(count, unit.items))
        pin(self.units, wanted)
        self.total = fixed + sum(unit.tokens for unit in self.units)
        self.dropped: list[Unit] = []
        self.done: list[str] = []

    def run(self, stages: Sequence[str]) -> None:
        """Apply stages in their order until the conversation fits."""
        for stage in stages:
            if self.total <= self._room * FULL:
                return
            before = self.total
            getattr(self, f"_{stage}")()
            if self.total < before:
                self._did(stage)
        if self.total > self._room * FULL and "clamp" in stages:
            self._squeeze()

    @property
    def items(self) -> list[Any]:
        """What is left of the conversation."""
        return [item for unit in self.units for item in unit.items]

    def tokens_with(self, items: Sequence[Any]) -> int:
        """Return the tokens of the request when these are its messages."""
        return self._fixed + sum(map(self._count, items))

    def _did(self, stage: str) -> None:
        if stage not in self.done:
            self.done.append(stage)

    def _goal(self, spare: int = 0) -> float:
        """Tokens to free: whole steps, which stay the same until the conversation has grown by another one."""
        step = self._room * STEP
        return math.ceil((self.total - min(self._room * FULL, self._room - spare)) / step) * step

    def _edit(self, unit: Unit, edit: Callable[[Any], Any]) -> int:
        """Change the items of a unit; return the tokens that this frees."""
        items = [edit(item) for item in unit.items]
        if all(new is old for new, old in zip(items, unit.items, strict=True)):
            return 0
        before = unit.tokens
        unit.items = items
        unit.tokens = sum(map(self._count, items))
        self.total -= before - unit.tokens
        return before - unit.tokens

    def _duplicates(self) -> None:
        """Clear results that a later call returned again, such as a file that was read twice."""
        seen: set[str] = set()

        def clear(text: str) -> str:
            if len(text) < _SHORT_RESULT:
                return text
            if text in seen:
                return f"[the same {len(text)} characters as in a later result]"
            seen.add(text)
            return text

        for unit in reversed(self.units):
            if unit.kind == "exchange":
                self._edit(unit, lambda item: edit_results(item, clear))

    def _redundancy(self) -> None:
        """Take out what old texts say twice; the last ask and the last exchange stay as they are."""
        freed, goal = 0, self._goal()
        for unit in self.units[:-1]:
            if freed >= goal:
                return
            if unit.is_open or (unit.is_pinned and unit.kind == "user") or unit.kind not in ("user", "exchange"):
                continue
            freed += self._edit(
                unit, lambda item: edit_user_texts(edit_results(item, without_redundancy), without_redundancy)
            )

    def _tool_results(self) -> None:
        """Clear the oldest tool results, but for the last three exchanges."""
        freed, goal = 0, self._goal()
        exchanges = [unit for unit in self.units if unit.kind == "exchange" and not unit.is_open]

        def clear(text: str) -> str:
            if len(text) < _SHORT_RESULT:
                return text
            return f"[old tool result of {len(text)} characters cleared]"

        for unit in exchanges[:-_KEPT_RESULTS]:
            if freed >= goal:
                return
            freed += self._edit(unit, lambda item: edit_results(item, clear))

    def _clamp(self) -> None:
        """Keep the head and the tail of oversized texts, wherever they stand but in system prompts and answers."""
        most = self._room * _LARGE

        def clamp(text: str) -> str:
            if len(text) < most:  # a token is a character at least, but for rare ones
                return text
            tokens = self._count({"role": "user", "content": text})
            return text if tokens <= most else clamp_text(text, int(len(text) * most / tokens))

        for unit in self.units:
            if unit.tokens > most and unit.kind in ("user", "exchange"):
                self._edit(unit, lambda item: edit_results(item, clamp))
                if not unit.is_pinned:
                    self._edit(unit, lambda item: edit_user_texts(item, clamp))

    def _squeeze(self) -> None:
        """What must stay is still too large: clamp all its texts, and retell calls of which too little can be."""
        self._retell(over=self._room * _UNCLAMPED)
        self._level(edit_results)
        self._level(edit_user_texts)
        self._level(edit_answers)
        if self.total > self._room:
            self._retell(over=0)
            self._level(edit_user_texts)

    def _level(self, edit: Callable[[Any, Callable[[str], str]], Any]) -> None:
        """Clamp texts of one kind to one length, the greatest at which the conversation fits."""
        if self.total <= self._room * FULL:
            return
        units = [unit for unit in self.units if unit.kind != "system"]
        others = self.total - sum(unit.tokens for unit in units)

        def clamped(item: Any, length: int) -> Any:
            longest, kept = max(length, _SHORTEST), max(length - _REMARK, 0)
            return edit(item, lambda text: text if len(text) <= longest else clamp_text(text, kept))

        def total(length: int) -> int:
            return others + sum(self._count(clamped(item, length)) for unit in units for item in unit.items)

        fitting = bisect_right(_LENGTHS, self._room * FULL, key=total) - 1
        length = _LENGTHS[max(fitting, 0)]
        if sum(self._edit(unit, lambda item: clamped(item, length)) for unit in units):
            self._did("clamp")

    def _retell(self, over: float) -> None:
        """Tell calls whose reasoning and arguments take more than so many tokens as text, which can be clamped."""
        closed = [unit for unit in self.units if unit.kind == "exchange" and not unit.is_open]
        for unit in sorted(closed, key=lambda unit: -unit.tokens):
            if self.total <= self._room * FULL:
                return
            is_wanted = self._wanted is not None and any(map(self._wanted, unit.items))
            if is_wanted or sum(self._count(edit_results(item, lambda _: "")) for item in unit.items) <= over:
                continue
            self.units = retold(self.units, self.units.index(unit), self._operation)
            for changed in (each for each in self.units if not each.tokens):
                changed.tokens = sum(map(self._count, changed.items))
            self.total = self._fixed + sum(each.tokens for each in self.units)
            self._did("retell")

    def _drop(self) -> None:
        """Leave out the oldest units: whole turns before the last ask, exchanges after it."""
        freed, goal = 0.0, self._goal(self._spare)
        kept: list[Unit] = []
        turns = _turns(self.units)
        for index, turn in enumerate(turns):
            is_last = index == len(turns) - 1
            stays = any(unit.is_pinned for unit in turn)
            # Within the turn of the last ask, and where something is pinned, exchanges go one by one.
            groups = [[unit] for unit in turn] if is_last or stays else [turn]
            for group in groups:
                may_go = not any(unit.is_pinned for unit in group) and group[0].kind != "system"
                if is_last or stays:
                    may_go = may_go and group[0].kind == "exchange"
                if may_go and freed < goal:
                    self.dropped += group
                    freed += sum(unit.tokens for unit in group)
                else:
                    kept += group
        self.units = kept
        self.total -= int(freed)


def _turns(units: Sequence[Unit]) -> list[list[Unit]]:
    """Group units by the user's asks: each with all that follows it, so that what is left begins with an ask."""
    turns: list[list[Unit]] = []
    for unit in units:
        if unit.kind == "system":
            turns.append([unit])
        elif unit.kind == "user" or not turns or turns[-1][0].kind == "system":
            # Asks that follow one another belong to one turn: the earlier ones have no answer of their own.
            if unit.kind == "user" and turns and all(each.kind == "user" for each in turns[-1]) and turns[-1]:
                turns[-1].append(unit)
            else:
                turns.append([unit])
        else:
            turns[-1].append(unit)
    return turns


def reduced(call: Call, part: float) -> Mapping[str, Any] | None:
    """Return a call's request with a conversation of at most a part of its tokens; `None` where that cannot be.

    Args:
        call: as it is to be sent.

        part: of the tokens it has now, above 0 and below 1.
    """
    request = call.request
    key = history_key(request)
    if key is None or not 0 < part < 1:
        return None
    count, fixed = unit_counter(call.target.model or ""), fixed_tokens(call)
    whole = fixed + sum(map(count, request[key]))
    reduction = Reduction(request[key], call.operation, fixed=fixed, room=int(whole * part), count=count)
    reduction.run(STAGES)
    return {**request, key: reduction.items} if 0 < reduction.total <= whole * part else None


def fixed_tokens(call: Call) -> int:
    """Count what a request holds besides its conversation: tools, system prompts, and what frames the reply."""
    from agentprod.budget.tokens import count_request

    key = history_key(call.request)
    return count_request({**call.request, key: []} if key else call.request, call.target.model).tokens + 3
