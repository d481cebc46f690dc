"""Metrics of a guard's decisions, for `Guard(on_decision=...)`.

`PrometheusMetrics` needs the extra `prometheus`, `OpenTelemetryMetrics` the extra `opentelemetry`.
"""

from typing import TYPE_CHECKING, Any

from hmac_guard.later import load

if TYPE_CHECKING:
    from hmac_guard.metrics.for_opentelemetry import OpenTelemetryMetrics as OpenTelemetryMetrics
    from hmac_guard.metrics.for_prometheus import PrometheusMetrics as PrometheusMetrics

__all__ = ["OpenTelemetryMetrics", "PrometheusMetrics"]

_LATER = {
    "OpenTelemetryMetrics": ("hmac_guard.metrics.for_opentelemetry", "'hmac-guard[opentelemetry]'"),
    "PrometheusMetrics": ("hmac_guard.metrics.for_prometheus", "'hmac-guard[prometheus]'"),
}


def __getattr__(name: str) -> Any:
    return load(__name__, name, _LATER)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
