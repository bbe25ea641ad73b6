"""Label values and label sets that cannot grow without end."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

__all__ = ["OTHER", "LabelCap", "LabelSets"]

T = TypeVar("T")

OTHER = "other"
_LONGEST = 80


class LabelCap:
    """The first values seen keep their name, later ones become `"other"`.

    Names are cut to 80 characters. Label values live as long as the process, so who comes late is not swapped in:
    a label whose meaning changes would be worse than one that is missing. A fifth of the places is for values that
    have not proved real, so that made-up names cannot take the places of those in use.

    Args:
        limit: how many distinct values keep their name.
    """

    __slots__ = ("_limit", "_names", "_unproven")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._unproven = max(1, limit // 5)
        self._names: dict[str, str] = {}

    def __call__(self, value: str, *, proven: bool = True) -> str:
        """Return the label to use for a value.

        Args:
            value: the name as it came.

            proven: whether it is known to be real, such as a model that answered.
        """
        name = self._names.get(value)
        if name is not None:
            return name
        if len(value) > _LONGEST:
            return self(value[:_LONGEST], proven=proven)
        if len(self._names) >= self._limit or not (proven or self._unproven):
            return OTHER
        if not proven:
            self._unproven -= 1
        return self._names.setdefault(value, value)

    def __len__(self) -> int:
        return len(self._names)


class LabelSets(Generic[T]):
    """Label sets of one instrument, built once each and at most `limit` of them.

    Args:
        names: label names, in the order values are given.

        overflow: what labels whose values come from outside become when the limit is reached; `None` leaves them out.

        limit: how many distinct sets keep their values.

        bind: makes of the attributes of a set what counts under them.
    """

    __slots__ = ("_bind", "_limit", "_names", "_overflow", "_sets")

    def __init__(
        self,
        names: Sequence[str],
        *,
        overflow: Mapping[str, str | None],
        limit: int,
        bind: Callable[[dict[str, str | int]], T],
    ) -> None:
        self._names = tuple(names)
        self._overflow = overflow
        self._limit = limit
        self._bind = bind
        self._sets: dict[tuple[Hashable, ...], T] = {}

    def get(self, *values: str | int | None) -> T:
        """Return what counts under these values; `None` leaves a label out."""
        known = self._sets.get(values)
        if known is not None:
            return known
        if len(self._sets) < self._limit:
            made = {name: value for name, value in zip(self._names, values, strict=True) if value is not None}
            return self._sets.setdefault(values, self._bind(made))
        rest = (
            (name, self._overflow.get(name, value)) for name, value in zip(self._names, values, strict=True) if value
        )
        return self._bind({name: value for name, value in rest if value is not None})

    def __len__(self) -> int:
        return len(self._sets)
