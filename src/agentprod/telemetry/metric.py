"""What one exported metric is: name, kind, unit, labels, and the name Prometheus gives it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["Metric", "prometheus_label"]

Kind = Literal["counter", "histogram", "gauge", "updown", "observed"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One exported metric."""

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    help: str
    title: str
    """Title of its panel."""
    buckets: tuple[float, ...] = ()
    semconv: Literal["always", "current", "next"] = "always"

    @property
    def prometheus(self) -> str:
        """The name under which OpenTelemetry's Prometheus exporter shows it; histograms add `_bucket` and the like."""
        name = re.sub(r"[^a-zA-Z0-9:]+", "_", self.name)
        suffix = {"s": "_seconds"}.get(self.unit, "")
        return name + suffix + ("_total" if self.kind in ("counter", "observed") else "")


def prometheus_label(name: str) -> str:
    """Return the name a label has in Prometheus."""
    return re.sub(r"[^a-zA-Z0-9]+", "_", name)
