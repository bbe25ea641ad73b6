"""Checks of what scripts are written with, made when they are written and not when a request arrives."""

from __future__ import annotations

import math
from collections.abc import Mapping

from agentprod.errors import ConfigError

__all__ = ["check_after", "check_count", "check_headers", "check_seconds", "check_status"]


def check_after(behaviour: str, after: object) -> None:
    """Refuse what is not `None` or a number of events."""
    if after is not None:
        check_count(behaviour, "after", after, least=0)


def check_count(behaviour: str, option: str, value: object, *, least: int) -> None:
    """Refuse what is not a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{behaviour}({option}=) must be a whole number, {least} or more, not {value!r}")


def check_seconds(behaviour: str, option: str, value: object) -> None:
    """Refuse what is not `None` or a finite number of seconds, 0 or more."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ConfigError(f"{behaviour}({option}=) must be a finite number of seconds, 0 or more, not {value!r}")


def check_status(behaviour: str, value: object, *, least: int = 100) -> None:
    """Refuse what is no HTTP status from `least` to 599."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 599:
        raise ConfigError(f"{behaviour}(status) must be an HTTP status from {least} to 599, not {value!r}")


def check_headers(behaviour: str, headers: object) -> dict[str, str]:
    """Return headers by lower-case name, refusing what would break the HTTP head."""
    if not isinstance(headers, Mapping):
        raise ConfigError(f"{behaviour}(headers=) must map names to values, not be a {type(headers).__name__}")
    checked = {str(name).lower(): str(value) for name, value in headers.items()}
    for name, value in checked.items():
        if any(sign in name + value for sign in "\r\n") or not (name + value).isascii():
            raise ConfigError(f"{behaviour}(headers=) must be ASCII without line breaks, which {name!r} is not")
    return checked
