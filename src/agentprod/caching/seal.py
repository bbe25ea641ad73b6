"""What a shared store sees: names that tell nothing, values that cannot be changed unnoticed."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from agentprod.caching.entries import Entry
from agentprod.caching.keys import VERSION
from agentprod.errors import ConfigError

__all__ = ["Broken", "Seal"]

_DIGEST = 32
_PERSON = b"agentprod-seal"


class Broken(Exception):
    """Raised for a value that is not what this cache, or one of the same secret, has written."""


class Seal:
    """Makes names and values for a store, and checks them on the way back.

    With a secret, names are keyed digests, so that a store's reader cannot tell which request or tenant an entry
    belongs to by guessing, and every value carries a message authentication code: keyed blake2b (RFC 7693, section
    2.9) over its name and bytes. Without one the same digest, unkeyed, finds damage but no forgery.

    Args:
        secret: 16 to 64 bytes, or text of as many in UTF-8; `None` for no protection.

        kind: what all names begin with.

    Raises:
        ConfigError: a secret of another kind or length.
    """

    def __init__(self, secret: str | bytes | None, kind: str = "cache") -> None:
        if secret is not None and not isinstance(secret, str | bytes):
            raise ConfigError(f"Cache secret must be str or bytes, not {type(secret).__name__}")
        key = secret.encode() if isinstance(secret, str) else secret
        if key is not None and not 16 <= len(key) <= 64:
            raise ConfigError(f"Cache secret must have 16 to 64 bytes, not {len(key)}")
        self._key = key or b""
        self._kind = kind
        self.prefix = f"{kind}:{VERSION}:"
        """What the names of entries begin with."""

    def name(self, key: str) -> str:
        """Return the name under which a key's entry is stored."""
        return self.prefix + (self._digest(key.encode()).hex() if self._key else key)

    def tag(self, kind: str, *parts: str) -> str:
        """Return the tag that entries of a tenant, a model or a label carry."""
        return f"{self._kind}:{kind}:" + self._digest(json.dumps(parts).encode()).hex()

    def close(self, name: str, data: Any) -> bytes:
        """Return JSON data as bytes with their code in front."""
        payload = json.dumps(data, ensure_ascii=True, separators=(",", ":")).encode("ascii")
        return self._code(name, payload) + payload

    def open(self, name: str, value: bytes) -> Any:
        """Return the data that `close` was given for this name.

        Raises:
            Broken: other bytes, another name, or another secret.
        """
        code, payload = value[:_DIGEST], value[_DIGEST:]
        if not hmac.compare_digest(code, self._code(name, payload)):
            raise Broken
        return json.loads(payload)

    def entry(self, name: str, value: bytes) -> Entry:
        """Return the entry that was stored under a name.

        Raises:
            Broken: it is not that entry.
        """
        try:
            entry = Entry.from_json(self.open(name, value))
        except (KeyError, TypeError, ValueError) as error:
            raise Broken from error
        if self.name(entry.key) != name:
            raise Broken
        return entry

    def _code(self, name: str, payload: bytes) -> bytes:
        code = hashlib.blake2b(name.encode(), digest_size=_DIGEST, key=self._key, person=_PERSON)
        code.update(b"\0")
        code.update(payload)
        return code.digest()

    def _digest(self, data: bytes) -> bytes:
        return hashlib.blake2b(data, digest_size=_DIGEST, key=self._key, person=b"agentprod-name").digest()
