"""Vaults for what the provider remembers between calls.

A call that sends its whole history needs nothing kept. One that continues a response the provider stored
(`previous_response_id`, `conversation`) sends only what is new, while the model goes on using the old placeholders.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentprod.safety.pii.vault import Vault, Vaults

if TYPE_CHECKING:
    from agentprod.identity import Context

__all__ = ["held_by_provider", "keep_vault", "vault_for"]


def held_by_provider(request: Mapping[str, Any]) -> str | None:
    """Return the id of what the provider remembers and this request continues."""
    for name in ("previous_response_id", "conversation"):
        value = request.get(name)
        if isinstance(value, Mapping):
            value = value.get("id")
        if isinstance(value, str) and value:
            return value
    return None


def vault_for(vaults: Vaults, request: Mapping[str, Any], context: Context, max_values: int) -> Vault:
    """Return the vault of a call: a new one, or that of what it continues.

    Of something continued that is not known here (another process, too long ago) the numbers start at a random place:
    an old placeholder then stays as it is, and can never be taken for a new value.
    """
    held = held_by_provider(request)
    if held is None:
        return Vault(max_values=max_values)
    found = vaults.find(_key(context, "id", held))
    if found is None and context.conversation:
        found = vaults.find(_key(context, "conversation", context.conversation))
    if found is not None:
        return found
    return Vault(max_values=max_values, first=1000 + 100 * secrets.randbelow(9000))


def keep_vault(
    vaults: Vaults, vault: Vault, request: Mapping[str, Any], context: Context, response: str | None
) -> None:
    """Keep the vault of a call whose reply the provider remembers, for the calls that continue it."""
    if not len(vault):
        return
    for kind, name in (("id", response), ("id", _conversation(request)), ("conversation", context.conversation)):
        if name:
            vaults.keep(_key(context, kind, name), vault)


def _conversation(request: Mapping[str, Any]) -> str | None:
    return held_by_provider({"conversation": request.get("conversation")})


def _key(context: Context, kind: str, name: str) -> str:
    # Whoever guesses an id of another user's must not get that user's values.
    return "\0".join((context.tenant or "", context.user or "", kind, name))
