"""What is put in the place of a value."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Literal

from agentprod.errors import ConfigError
from agentprod.safety.pii.canonical import canonical
from agentprod.safety.pii.entities import SECRETS

__all__ = ["ENTITY_NAME", "KeyedHash", "Policy", "Strategy", "mask", "redact"]

Strategy = Literal["placeholder", "redact", "mask", "block", "pass"] | Callable[[str, str], str]
"""One of the names, a `KeyedHash`, or any callable `(entity, value) -> replacement`.

- `"placeholder"`: `[[EMAIL_1]]`, reversible, the same for the same value.
- `"redact"`: `[EMAIL]`.
- `"mask"`: `****` in the shape of the value; cards keep their last four digits.
- `"block"`: nothing is sent; `Blocked` is raised.
- `"pass"`: the value stays; it is still counted.
"""

ENTITY_NAME = re.compile(r"(?=.{2,40}\Z)[A-Z][A-Z0-9]{0,15}(?:_[A-Z0-9]{1,16}){0,4}")
_NAMES = ("placeholder", "redact", "mask", "block", "pass")


def redact(entity: str, value: str) -> str:
    """Return `[EMAIL]`."""
    return f"[{entity}]"


def mask(entity: str, value: str) -> str:
    """Return the value with letters and digits starred; a card keeps its last four digits, an address neither part."""
    keep = 4 if entity in ("CREDIT_CARD", "CN_BANK_CARD") else 0
    shown: list[str] = []
    for char in reversed(value):
        if char.isalnum() and keep:
            keep -= 1
            shown.append(char)
        else:
            shown.append("*" if char.isalnum() else char)
    return "".join(reversed(shown))


class KeyedHash:
    """Replace a value by a keyed hash: equal values stay equal, and nobody without the key can try them out.

    HMAC-SHA256 over the entity and the canonical value. An unkeyed hash of a telephone number is found by trying all of
    them in a minute.

    Args:
        key: at least 16 bytes, one per tenant.

        key_id: shown in the replacement, so that keys can be changed; letters and digits.

        digits: hexadecimal digits shown, 12 to 64.

    Raises:
        ConfigError: an option is out of range.
    """

    __slots__ = ("_digits", "_key", "_key_id")

    def __init__(self, key: bytes, *, key_id: str = "k1", digits: int = 16) -> None:
        if len(key) < 16:
            raise ConfigError(f"the key of a keyed hash must have at least 16 bytes, not {len(key)}")
        if not 12 <= digits <= 64:
            raise ConfigError(f"digits must be 12 to 64, not {digits}")
        if not (key_id.isascii() and key_id.isalnum()):
            raise ConfigError("key_id must be ASCII letters and digits")
        self._key, self._key_id, self._digits = key, key_id, digits

    def __call__(self, entity: str, value: str) -> str:
        """Return `[EMAIL:k1:…]`."""
        mac = hmac.new(
            self._key, f"{entity}\0{canonical(entity, value)}".encode(errors="surrogatepass"), hashlib.sha256
        )
        return f"[{entity}:{self._key_id}:{mac.hexdigest()[: self._digits]}]"

    def __repr__(self) -> str:
        return f"KeyedHash(key_id={self._key_id!r})"


class Policy:
    """The strategy of each entity.

    Args:
        strategy: one strategy for all entities, or one per entity, with `"*"` for the rest. Reversible placeholders are
            not given to secrets unless they are named: a bare `"placeholder"`, and a map without `"SECRET"` and `"*"`,
            take `secrets` for them.

        default: for entities that a map does not name.

        secrets: see above.

    Raises:
        ConfigError: an unknown strategy, or an entity that is no upper-case name.
    """

    __slots__ = ("_by_entity", "_rest", "_secrets")

    def __init__(
        self,
        strategy: Strategy | Mapping[str, Strategy] = "placeholder",
        *,
        default: Strategy = "placeholder",
        secrets: Strategy = "block",
    ) -> None:
        by_entity: dict[str, Strategy] = {}
        by_entity.update(strategy if isinstance(strategy, Mapping) else {"*": strategy})
        for entity, choice in by_entity.items():
            if entity != "*" and not ENTITY_NAME.fullmatch(entity):
                raise ConfigError(
                    f"{entity!r} is no entity: names look like 'EMAIL' or 'CREDIT_CARD', and '*' is the rest"
                )
            _check(choice, entity)
        _check(default, "*")
        _check(secrets, "SECRET")
        self._rest: Strategy = by_entity.pop("*", default)
        self._by_entity = by_entity
        self._secrets: Strategy = secrets if self._rest == "placeholder" else self._rest

    def of(self, entity: str) -> Strategy:
        """Return the strategy of an entity."""
        if entity in self._by_entity:
            return self._by_entity[entity]
        return self._secrets if entity in SECRETS else self._rest

    @property
    def changes_more(self) -> bool:
        """Whether anything but secrets may be changed."""
        return self._rest != "pass" or any(
            choice != "pass" for entity, choice in self._by_entity.items() if entity not in SECRETS
        )

    def __repr__(self) -> str:
        named = ", ".join(f"{entity}={choice!r}" for entity, choice in self._by_entity.items())
        return f"<Policy {named + ', ' if named else ''}*={self._rest!r}, SECRET={self.of('SECRET')!r}>"


def _check(choice: object, entity: str) -> None:
    if choice == "hash":
        raise ConfigError("an unkeyed hash can be undone by trying all values: use pii.KeyedHash(key)")
    if choice not in _NAMES and not callable(choice):
        raise ConfigError(f"strategy {choice!r} of {entity} is none of {', '.join(_NAMES)}, a KeyedHash or a callable")
