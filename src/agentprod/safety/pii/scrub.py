"""`scrub`: the engine in one call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from agentprod.errors import ConfigError
from agentprod.safety.pii.entities import DEFAULT
from agentprod.safety.pii.recognizer import Finder, Recognizer
from agentprod.safety.pii.scrubbed import Scrubbed
from agentprod.safety.pii.scrubber import Allow, OnError, Scrubber
from agentprod.safety.pii.strategies import Strategy
from agentprod.safety.pii.vault import Vault, Vaults

__all__ = ["forget", "scrub"]

_vaults = Vaults()


@lru_cache(maxsize=1)
def _default() -> Scrubber:
    return Scrubber(secrets="redact")


def scrub(
    text: str,
    scope: str | Vault | None = None,
    *,
    entities: Iterable[str] = DEFAULT,
    strategy: Strategy | Mapping[str, Strategy] = "placeholder",
    recognizers: Iterable[Recognizer | Finder] = (),
    allow: Iterable[Allow] = (),
    on_error: OnError = "block",
) -> Scrubbed:
    """Replace personal data and secrets in a text.

    >>> scrubbed = scrub("Write to ann@example.org")
    >>> scrubbed.text
    'Write to [[EMAIL_1]]'
    >>> scrubbed.restore("Sent to [[EMAIL_1]].")
    'Sent to ann@example.org.'

    What has a shape or a checksum is found: e-mail addresses, telephone numbers, cards, identity numbers, addresses of
    devices, keys and passwords. Names and postal addresses are not; see `pii.WEAK` and `pii.spacy`. Images and audio
    are not looked into.

    Args:
        text: any text.

        scope: texts of one scope share numbers. `None` for a scope of its own; a `Vault`; or the id of a conversation,
            whose vault this process keeps for an hour after its last use (`forget` erases it at once).

        entities: what to look for.

        strategy: what to put in its place, see `pii.Strategy`; secrets become `[SECRET]` unless they are named.

        recognizers: your own, see `pii.Recognizer`.

        allow: values to leave alone, see `pii.Allow`.

        on_error: what to do when a recogniser fails, see `pii.Scrubber`.

    Returns:
        The text, what was found, and `restore`.

    Raises:
        ConfigError: `text` is no text, an option cannot work, or the id is empty.
        Blocked: a value has the strategy `"block"`, a recogniser failed, or the vault is full.
    """
    if not isinstance(text, str):
        raise ConfigError(f"scrub takes a text, not a {type(text).__name__}; ScrubPII looks into whole requests")
    plain: tuple[Any, ...] = (
        entities is DEFAULT,
        strategy == "placeholder",
        not recognizers,
        not allow,
        on_error == "block",
    )
    scrubber = (
        _default()
        if all(plain)
        else Scrubber(
            entities=entities,
            strategy=strategy,
            secrets="redact",
            recognizers=recognizers,
            allow=allow,
            on_error=on_error,
            memo=0,
        )
    )
    return scrubber.scrub(text, _vaults.of(scope) if isinstance(scope, str) else scope)


def forget(conversation: str) -> None:
    """Erase what `scrub` keeps of a conversation."""
    _vaults.forget(conversation)
