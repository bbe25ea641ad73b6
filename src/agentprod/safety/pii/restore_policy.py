"""Where values may come back: in the answer's text, in the arguments of which tools, and never in web addresses."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from agentprod.errors import ConfigError
from agentprod.safety.pii.restore import Allows
from agentprod.safety.pii.strategies import ENTITY_NAME

__all__ = ["Allowed", "RestorePolicy"]

Allowed = bool | Collection[str]
"""All entities, none, or the ones named."""

_KEYS = ("text", "urls", "tools", "default_tool")


class RestorePolicy:
    """Which entities come back where.

    Args:
        text: in the answer's text.

        urls: whether also inside web addresses, where a value leaves with the first click.

        tools: by tool name, or for all tools alike. A tool that a map does not name gets `default_tool`.

        default_tool: see `tools`.

    Raises:
        ConfigError: an entity that cannot exist, or a type that is neither a boolean nor a list of names.
    """

    __slots__ = ("_default_tool", "_text", "_tools", "urls")

    def __init__(
        self,
        *,
        text: Allowed = True,
        urls: bool = False,
        tools: Allowed | Mapping[str, Allowed] = True,
        default_tool: Allowed = (),
    ) -> None:
        self.urls = urls
        self._text = _checked(text, "text")
        if isinstance(tools, Mapping):
            self._tools = {name: _checked(allowed, f"tool {name}") for name, allowed in tools.items()}
            self._default_tool = _checked(default_tool, "default_tool")
        else:
            self._tools = {}
            self._default_tool = _checked(tools, "tools")

    @classmethod
    def of(cls, policy: RestorePolicy | bool | Mapping[str, Any]) -> RestorePolicy:
        """Return the policy that was meant.

        Args:
            policy: `True` for text and all tools, `False` for nothing, or a map with the constructor's arguments:
                `{"text": True, "tools": {"send_email": ["EMAIL"]}}`.
        """
        if isinstance(policy, RestorePolicy):
            return policy
        if isinstance(policy, bool):
            return cls(text=policy, tools=policy)
        if not isinstance(policy, Mapping):
            raise ConfigError(f"restore must be a boolean, a map or a RestorePolicy, not {type(policy).__name__}")
        unknown = [key for key in policy if key not in _KEYS]
        if unknown:
            raise ConfigError(f"unknown keys {', '.join(map(repr, unknown))} in restore: known are {', '.join(_KEYS)}")
        return cls(**policy)

    def in_text(self) -> Allows:
        """Return which entities come back in the answer's text."""
        return _allows(self._text)

    def in_tool(self, name: str) -> Allows:
        """Return which entities come back in the arguments of a tool."""
        return _allows(self._tools.get(name, self._default_tool))

    def __repr__(self) -> str:
        tools = ", ".join(sorted(self._tools))
        return f"<RestorePolicy text={_shown(self._text)}, tools={{{tools}}}, other tools={_shown(self._default_tool)}>"


def _checked(allowed: Allowed, where: str) -> bool | frozenset[str]:
    if isinstance(allowed, bool):
        return allowed
    if isinstance(allowed, str) or not isinstance(allowed, Collection):
        raise ConfigError(f"restore of {where} must be a boolean or a list of entities, not {type(allowed).__name__}")
    for entity in allowed:
        if not isinstance(entity, str) or not ENTITY_NAME.fullmatch(entity):
            raise ConfigError(f"{entity!r} in restore of {where} is no entity: names look like 'EMAIL'")
    return frozenset(allowed)


def _allows(allowed: bool | frozenset[str]) -> Allows:
    # What stood there before anything was scrubbed is not personal; it always comes back.
    return lambda entity: entity == "TEXT" or (allowed if isinstance(allowed, bool) else entity in allowed)


def _shown(allowed: bool | frozenset[str]) -> str:
    return str(allowed) if isinstance(allowed, bool) else f"{{{', '.join(sorted(allowed))}}}"
