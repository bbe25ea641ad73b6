"""The instruments of a meter provider: one set, however many tracers feed it."""

from __future__ import annotations

import sys
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

    from agentprod.telemetry.metrics import Instruments

__all__ = ["find_instruments"]

_made: weakref.WeakKeyDictionary[MeterProvider, Instruments] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def find_instruments(given: MeterProvider | None) -> Instruments | None:
    """Return the instruments of a provider, `None` as long as nobody collects metrics.

    Args:
        given: the provider; `None` is the global one, which is looked for once the OpenTelemetry SDK is loaded.
    """
    provider = given
    if provider is None:
        if "opentelemetry.sdk.metrics" not in sys.modules:
            return None
        from opentelemetry.metrics import NoOpMeterProvider, get_meter_provider

        provider = get_meter_provider()
        # Until an SDK is set the API hands out a private stand-in.
        if isinstance(provider, NoOpMeterProvider) or type(provider).__name__ == "_ProxyMeterProvider":
            return None
    from agentprod.telemetry.metrics import Instruments

    with _lock:
        found = _made.get(provider)
        if found is None:
            found = _made[provider] = Instruments(meter_provider=provider)
            found.make()  # now: who collects before the first call is counted has to be seen
    return found
