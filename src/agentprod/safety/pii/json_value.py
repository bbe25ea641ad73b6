"""Edit the leaves of a JSON-able Python value; what holds nothing to edit is returned as the same object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agentprod.errors import Blocked

__all__ = ["EditKey", "EditValue", "map_leaves"]

EditValue = Callable[[Any, str], Any]
"""Takes a string or number and the words in front of it; returns it, or what stands in its place."""

EditKey = Callable[[str], str]

_DEEPEST = 200


def map_leaves(value: Any, edit: EditValue, edit_key: EditKey | None = None) -> Any:
    """Return the value with its strings and numbers edited, copied only where something changed.

    Args:
        value: dicts, lists, tuples, strings, numbers, booleans and `None`, nested at most 200 deep.

        edit: called for each string and number.

        edit_key: called for each key that is a string.

    Raises:
        Blocked: the value is nested deeper, contains itself, or holds something else than JSON has: it cannot be
            examined, and what was not examined is not sent.
    """
    return _map(value, edit, edit_key, "", (), 0)


def _map(value: Any, edit: EditValue, edit_key: EditKey | None, before: str, above: tuple[int, ...], depth: int) -> Any:
    if isinstance(value, str) or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return edit(value, before)
    if value is None or isinstance(value, bool):
        return value
    if not isinstance(value, (Mapping, list, tuple)):
        raise Blocked(f"a {type(value).__name__} among JSON values cannot be examined: pass its text", layer="ScrubPII")
    if id(value) in above:
        raise Blocked("the value contains itself: it cannot be sent", layer="ScrubPII")
    if depth >= _DEEPEST:
        raise Blocked(f"the value is nested deeper than {_DEEPEST}: it cannot be examined", layer="ScrubPII")
    above = (*above, id(value))
    if isinstance(value, Mapping):
        return _map_mapping(value, edit, edit_key, above, depth)
    edited = [_map(item, edit, edit_key, before, above, depth + 1) for item in value]
    if all(new is old for new, old in zip(edited, value, strict=True)):
        return value
    return edited if isinstance(value, list) else tuple(edited)


def _map_mapping(
    value: Mapping[Any, Any], edit: EditValue, edit_key: EditKey | None, above: tuple[int, ...], depth: int
) -> Any:
    edited: dict[Any, Any] = {}
    changed = False
    beside = ""
    for key, item in value.items():
        new_key = edit_key(key) if edit_key and isinstance(key, str) else key
        new = _map(item, edit, edit_key, f"{beside} {str(key)[:64]}: ", above, depth + 1)
        if isinstance(item, str) and len(item) <= 24:
            beside = item
        edited[new_key] = new
        changed = changed or new is not item or new_key is not key
    return edited if changed else value
