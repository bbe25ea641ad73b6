"""What a placeholder stands for. A vault holds raw values: it is never printed, pickled or logged."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from time import monotonic
from typing import Any, Literal, NoReturn

from cachetools import TTLCache

from agentprod.errors import Blocked, ConfigError
from agentprod.safety.pii.canonical import canonical
from agentprod.safety.pii.placeholders import write_placeholder

__all__ = ["Vault", "Vaults"]

Form = Literal["text", "number", "key"]
"""How a value stood where it was found: in text, as a JSON number, or as a key of a JSON object."""


class Vault:
    """Numbers values by first appearance and gives them back.

    One number per entity and canonical value: `138 1234 5678` and `１３８１２３４５６７８` share `[[PHONE_1]]`, which
    gives back the form seen first. A value seen both in text and as a JSON number gets two numbers, so that types come
    back. Safe for use by many threads.

    Args:
        max_values: how many values it holds, at least 1. One more raises `Blocked`: dropping an old one would leave a
            placeholder that nobody can read.

        first: the first number it gives out. A high one keeps clear of numbers that another vault gave out before.

    Raises:
        ConfigError: `max_values` or `first` is below 1.
    """

    __slots__ = ("_counts", "_first", "_lock", "_max_values", "_numbers", "_values")

    def __init__(self, *, max_values: int = 10_000, first: int = 1) -> None:
        for name, value in (("max_values", max_values), ("first", first)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name} must be a whole number of at least 1, not {value!r}")
        self._max_values = max_values
        self._first = first
        self._numbers: dict[tuple[str, Form, str], int] = {}
        self._values: dict[tuple[str, int], tuple[str, Form]] = {}
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def placeholder(self, entity: str, value: str, *, form: Form = "text") -> str:
        """Return the placeholder of a value, a new one when it was not seen before.

        Args:
            entity: what the value is; an upper-case name of letters, digits and `_`.

            value: as it stands in the text.

            form: `"number"` for a JSON number, which is given back as a number; `"key"` for a key, which is given back
                exactly, since two ways to write one value may be two keys.

        Raises:
            Blocked: the vault is full.
        """
        key = (entity, form, value if form == "key" else canonical(entity, value))
        number = self._numbers.get(key)
        if number is None and form == "key":
            # Shared with the text when it gives back the very same characters.
            shared = self._numbers.get((entity, "text", canonical(entity, value)))
            number = shared if shared and self._values.get((entity, shared), ("", ""))[0] == value else None
        if number is None:
            with self._lock:
                number = self._numbers.get(key)
                if number is None:
                    if len(self._values) >= self._max_values:
                        raise Blocked(
                            f"the vault is full with {self._max_values} values: raise max_values, or choose "
                            f"strategy 'redact' for {entity}",
                            layer="ScrubPII",
                        )
                    number = (self._counts[entity] or self._first - 1) + 1
                    self._counts[entity] = number
                    self._values[entity, number] = (value, form)
                    self._numbers[key] = number
        return write_placeholder(entity, number)

    def value(self, entity: str, number: int) -> tuple[str, Form] | None:
        """Return the value behind a placeholder and its form, or `None` when this vault never gave it out."""
        return self._values.get((entity, number))

    def knows(self, entity: str) -> bool:
        """Tell whether any value of this entity is held."""
        return entity in self._counts

    @property
    def counts(self) -> dict[str, int]:
        """How many values are held, by entity."""
        return dict(Counter(entity for entity, _ in list(self._values)))

    def clear(self) -> None:
        """Forget every value. Numbers go on from where they were, so no old placeholder can ever name a new value."""
        with self._lock:
            self._numbers.clear()
            self._values.clear()

    def seal(self, key: bytes) -> bytes:
        """Return the content encrypted with AES-GCM, to keep it in a store.

        Args:
            key: 16, 24 or 32 bytes.

        Raises:
            ConfigError: the key has another length, or the extra `vault` is not installed.
        """
        with self._lock:
            entries = [[entity, number, value, form] for (entity, number), (value, form) in self._values.items()]
        cipher = _cipher(key)
        nonce = os.urandom(12)
        sealed: bytes = cipher.encrypt(nonce, json.dumps(entries).encode(), b"agentprod.vault.1")
        return nonce + sealed

    @classmethod
    def unseal(cls, sealed: bytes, key: bytes, *, max_values: int = 10_000) -> Vault:
        """Return the vault that was sealed.

        Args:
            sealed: what `seal` returned.

            key: the same key.

            max_values: as in the constructor.

        Raises:
            ConfigError: the key is not the one it was sealed with, or the bytes were changed.
        """
        try:
            plain = _cipher(key).decrypt(sealed[:12], sealed[12:], b"agentprod.vault.1")
        except ConfigError:
            raise
        except Exception as error:
            kind = type(error).__name__
        else:
            vault = cls(max_values=max_values)
            for entity, number, value, form in json.loads(plain):
                vault._values[entity, number] = (value, form)
                vault._numbers[entity, form, value if form == "key" else canonical(entity, value)] = number
                vault._counts[entity] = max(vault._counts[entity], number)
            return vault
        raise ConfigError(f"the vault cannot be opened ({kind}): use the key it was sealed with")

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        held = ", ".join(f"{entity}={count}" for entity, count in sorted(self.counts.items()))
        return f"<Vault {held or 'empty'}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a vault holds raw values and is never pickled or copied: use seal(key)")


def _cipher(key: bytes) -> Any:
    if len(key) not in (16, 24, 32):
        raise ConfigError(f"the vault's key must have 16, 24 or 32 bytes, not {len(key)}")
    try:
        ciphers = import_module("cryptography.hazmat.primitives.ciphers.aead")
    except ImportError:
        raise ConfigError('sealing a vault needs cryptography: pip install "agentprod[vault]"') from None
    return ciphers.AESGCM(key)


class Vaults:
    """One vault per conversation, for state that the provider keeps between calls.

    Where the whole history is sent each time, a new `Vault` per call is enough and safer.

    Args:
        ttl: seconds after which an unused conversation is forgotten.

        max_conversations: how many are held; the one unused longest goes first.

        max_values: of each vault.

        now: monotonic clock, in seconds.
    """

    def __init__(
        self,
        *,
        ttl: float = 3600,
        max_conversations: int = 10_000,
        max_values: int = 10_000,
        now: Callable[[], float] = monotonic,
    ) -> None:
        if ttl <= 0 or max_conversations < 1:
            raise ConfigError(
                f"ttl must be above 0 and max_conversations at least 1, not {ttl} and {max_conversations}"
            )
        self._max_values = max_values
        self._vaults: TTLCache[str, Vault] = TTLCache(max_conversations, ttl, timer=now)
        self._lock = threading.Lock()

    def of(self, conversation: str) -> Vault:
        """Return the vault of a conversation, a new one when it has none; using it renews its time.

        Args:
            conversation: its id; not empty.

        Raises:
            ConfigError: the id is empty: conversations without an id must not share a vault.
        """
        if not conversation:
            raise ConfigError("a vault is kept by conversation id, and this id is empty: use a new Vault for the call")
        with self._lock:
            vault = self._vaults.get(conversation)
            if vault is None:
                vault = Vault(max_values=self._max_values)
            self._vaults[conversation] = vault
            return vault

    def find(self, conversation: str) -> Vault | None:
        """Return the vault of a conversation, `None` when it has none; using it renews its time."""
        with self._lock:
            vault = self._vaults.get(conversation)
            if vault is not None:
                self._vaults[conversation] = vault
            return vault

    def keep(self, conversation: str, vault: Vault) -> None:
        """Keep a vault as that of a conversation."""
        with self._lock:
            self._vaults[conversation] = vault

    def forget(self, conversation: str) -> None:
        """Erase what is known of a conversation."""
        with self._lock:
            vault = self._vaults.pop(conversation, None)
        if vault is not None:
            vault.clear()

    def __len__(self) -> int:
        with self._lock:
            return len(self._vaults)

    def __repr__(self) -> str:
        return f"<Vaults conversations={len(self)}>"
