"""Whether a model asks for the same tool calls again and again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["LONGEST_CYCLE", "repeats", "signature"]

LONGEST_CYCLE = 4
"""Steps of the longest cycle that is looked for."""


def signature(calls: Sequence[Mapping[str, Any]]) -> str | None:
    """Return what is the same for the same tool calls, whatever their ids, their order and the spacing of arguments.

    Args:
        calls: of one reply, each with `name` and `arguments`.

    Returns:
        A digest; `None` without calls.
    """
    if not calls:
        return None
    told = sorted(f"{call.get('name')} {_plain(call.get('arguments'))}" for call in calls)
    return hashlib.blake2b("\n".join(told).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def repeats(asked: Sequence[str | None], times: int) -> bool:
    """Tell whether the last steps are one step, or one short cycle of steps, so many times over.

    Args:
        asked: signatures, the newest last.

        times: repetitions that count as one too many.
    """
    steps = list(asked)
    for length in range(1, LONGEST_CYCLE + 1):
        last = steps[-length * times :]
        if len(last) < length * times:
            return False
        cycle = last[:length]
        if None not in cycle and last == cycle * times:
            return True
    return False


def _plain(arguments: Any) -> str:
    if isinstance(arguments, str):
        text = arguments
        try:
            arguments = json.loads(text)
        except ValueError:  # a custom tool's free text
            return text
    return json.dumps(arguments, sort_keys=True, ensure_ascii=False, default=str)
