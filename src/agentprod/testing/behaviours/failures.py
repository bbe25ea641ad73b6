"""Requests that fail before a reply begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentprod.testing.behaviours.behaviour import Behaviour, short_form
from agentprod.testing.exchange import Exchange
from agentprod.testing.options import check_headers, check_status
from agentprod.testing.plan import Plan
from agentprod.testing.wire.errors import plan_error

__all__ = ["black_hole", "error", "rate_limit", "refuse"]


@dataclass(frozen=True, slots=True)
class Failure:
    """An HTTP error in the vendor's shape."""

    status: int
    type: str | None = None
    code: str | None = None
    message: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    name: str = "error"

    def plan(self, exchange: Exchange) -> Plan:
        """Return what to send."""
        return plan_error(
            exchange, self.status, type=self.type, code=self.code, message=self.message, headers=self.headers
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """A connection that is reset before a byte of response."""

    name: str = "refuse"

    def plan(self, _exchange: Exchange) -> Plan:
        """Return what to send."""
        return Plan(head=False, ending="rst")


@dataclass(frozen=True, slots=True)
class Silence:
    """A connection that stays open and never says anything."""

    name: str = "black_hole"

    def plan(self, _exchange: Exchange) -> Plan:
        """Return what to send."""
        return Plan(head=False, ending="stall")


@short_form
def rate_limit(
    retry_after: float | str | None = None,
    *,
    retry_after_ms: float | None = None,
    headers: Mapping[str, object] | None = None,
    code: str | None = None,
    message: str | None = None,
) -> Behaviour:
    """Refuse with status 429.

    Args:
        retry_after: the `retry-after` header: seconds, or an HTTP date as text; `None` sends none.

        retry_after_ms: the `retry-after-ms` header, in milliseconds.

        headers: more response headers.

        code: the error's code, such as `"insufficient_quota"`.

        message: the error's message.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if a header would break the HTTP head.
    """
    sent: dict[str, object] = {}
    if retry_after is not None:
        sent["retry-after"] = retry_after
    if retry_after_ms is not None:
        sent["retry-after-ms"] = retry_after_ms
    kind = "insufficient_quota" if code == "insufficient_quota" else None
    checked = check_headers("rate_limit", {**sent, **(headers or {})})
    return Failure(429, kind, code, message, checked, name="rate_limit")


@short_form
def error(
    status: int = 500,
    *,
    type: str | None = None,
    code: str | None = None,
    message: str | None = None,
    headers: Mapping[str, object] | None = None,
) -> Behaviour:
    """Answer with an HTTP error in the shape of the provider that is asked.

    Args:
        status: 400 to 599; 529 is Anthropic's "overloaded".

        type: the error's type; `None` takes the one the provider has for the status.

        code: the error's code; Anthropic has it as `details.error_code`.

        message: the error's message.

        headers: more response headers.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if the status is no error or a header would break the HTTP head.
    """
    check_status("error", status, least=400)
    return Failure(status, type, code, message, check_headers("error", headers or {}))


@short_form
def refuse() -> Behaviour:
    """Reset the connection as soon as the request is read, before any byte of response."""
    return Refusal()


@short_form
def black_hole() -> Behaviour:
    """Read the request and never answer, with the socket open until the client or the provider closes it."""
    return Silence()
