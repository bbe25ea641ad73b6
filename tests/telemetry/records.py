"""Finished calls for tests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from agentprod.telemetry.calls import AttemptRecord, CallRecord
from agentprod.usage import Usage


def call_record(**changes: Any) -> CallRecord:
    """Return a good call to a chat model, changed where asked; `cost` stands for `cost_usd` and its source."""
    values: dict[str, Any] = {
        "request_id": "01890000000000000000000000000001",
        "started": 1_700_000_000.0,
        "duration": 1.0,
        "provider": "openai",
        "model": "gpt-5-mini",
        "attempts": (AttemptRecord(model="gpt-5-mini", provider="openai", duration=1.0),),
        "usage": Usage(input_tokens=100, output_tokens=20),
        "provider_time": 1.0,
        "cost_usd": Decimal("0.001"),
        "cost_source": "local",
    }
    cost = changes.pop("cost", None)
    if cost is not None:
        values |= {"cost_usd": Decimal(cost), "cost_source": "local"}
    return CallRecord(**{**values, **changes})


def failed_call(**changes: Any) -> CallRecord:
    """Return a call that failed at its only attempt."""
    attempt = AttemptRecord(model="gpt-5-mini", provider="openai", outcome="failed", error_type="500", status_code=500)
    defaults: dict[str, Any] = {
        "status": "error",
        "error_type": "500",
        "attempts": (attempt,),
        "usage": None,
        "cost_usd": None,
        "cost_source": "unknown",
    }
    return call_record(**{**defaults, **changes})


def cached_call(**changes: Any) -> CallRecord:
    """Return an exact cache hit that saved a tenth of a cent."""
    defaults: dict[str, Any] = {
        "status": "cached",
        "cache": "hit_exact",
        "attempts": (),
        "usage": None,
        "duration": 0.001,
        "provider_time": 0.0,
        "cost_usd": Decimal(0),
        "saved_usd": Decimal("0.001"),
    }
    return call_record(**{**defaults, **changes})


def rejected_call(**changes: Any) -> CallRecord:
    """Return a call that an open circuit refused."""
    defaults: dict[str, Any] = {
        "status": "rejected",
        "error_type": "CircuitOpen",
        "attempts": (),
        "usage": None,
        "duration": 0.0001,
        "provider_time": 0.0,
        "cost_usd": Decimal(0),
        "breaker": "open",
    }
    return call_record(**{**defaults, **changes})
