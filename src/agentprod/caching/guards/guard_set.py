"""A set of guards, in the order in which they judge a pair."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agentprod.caching.guards.code import CodeGuard
from agentprod.caching.guards.contract import Guard, GuardFeatures, Side
from agentprod.caching.guards.contrast import AntonymGuard
from agentprod.caching.guards.dates import DateGuard
from agentprod.caching.guards.entities import EntityGuard
from agentprod.caching.guards.negation import NegationGuard
from agentprod.caching.guards.numbers import NumberGuard
from agentprod.caching.guards.order import OrderGuard
from agentprod.caching.guards.placeholders import PlaceholderGuard
from agentprod.caching.guards.sentence import Sentence, plain_text
from agentprod.caching.guards.tense import TenseGuard
from agentprod.caching.guards.wording import WordingGuard
from agentprod.errors import ConfigError

__all__ = ["GuardSet"]

_SEPARATOR = "\x1f"
_BUILT_IN: dict[str, Callable[[], Guard]] = {
    "placeholder": PlaceholderGuard,
    "number": NumberGuard,
    "negation": NegationGuard,
    "date": DateGuard,
    "tense": TenseGuard,
    "entity": EntityGuard,
    "code": CodeGuard,
    "antonym": AntonymGuard,
    "order": OrderGuard,
    "wording": WordingGuard,
}


class GuardSet:
    """Guards that judge pairs of texts together.

    Args:
        guards: `"strict"` for all ten built-in ones, `"off"` for none, or a list of their names (`"placeholder"`,
            `"number"`, `"negation"`, `"date"`, `"tense"`, `"entity"`, `"code"`, `"antonym"`, `"order"`, `"wording"`)
            and of guards of your own.

    Raises:
        ConfigError: an unknown name, something that is not a guard, or two guards of one name.
    """

    def __init__(self, guards: str | Iterable[str | Guard] = "strict") -> None:
        if isinstance(guards, str):
            if guards not in ("strict", "off"):
                raise ConfigError(
                    f"guards={guards!r}: give 'strict', 'off', or a list of {sorted(_BUILT_IN)} and own guards"
                )
            guards = tuple(_BUILT_IN) if guards == "strict" else ()
        self._guards = tuple(_resolve(guard) for guard in guards)
        if len(set(self.names)) < len(self._guards):
            raise ConfigError(f"guards={list(self.names)}: two guards share a name")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the guards, in order."""
        return tuple(guard.name for guard in self._guards)

    def read(self, text: str) -> GuardFeatures:
        """Return what the guards see in a text; costs some 40 microseconds, so keep it beside the text."""
        if not self._guards:
            return GuardFeatures(text, "")
        sentence = Sentence(text)
        return GuardFeatures(text, _SEPARATOR.join([guard.read(sentence) for guard in self._guards]))

    def conflict(self, one: GuardFeatures, other: GuardFeatures) -> str | None:
        """Return the name of the first guard that keeps two texts from sharing an answer, or `None`.

        Args:
            one: features of a text, read by this set.

            other: features of another text, read by this set.
        """
        if one.readings == other.readings:
            return None
        text, other_text = plain_text(one.text), plain_text(other.text)
        readings = zip(self._guards, one.readings.split(_SEPARATOR), other.readings.split(_SEPARATOR), strict=True)
        for guard, mine, theirs in readings:
            if mine != theirs and guard.conflict(Side(text, mine), Side(other_text, theirs)):
                return guard.name
        return None


def _resolve(guard: str | Guard) -> Guard:
    if isinstance(guard, str):
        try:
            return _BUILT_IN[guard]()
        except KeyError:
            raise ConfigError(f"no guard named {guard!r}: known are {sorted(_BUILT_IN)}") from None
    if not (
        callable(getattr(guard, "read", None)) and callable(getattr(guard, "conflict", None)) and hasattr(guard, "name")
    ):
        raise ConfigError(f"a guard needs name, read(sentence) and conflict(one, other); got a {type(guard).__name__}")
    return guard
