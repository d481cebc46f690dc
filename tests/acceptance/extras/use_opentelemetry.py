"""The extra `opentelemetry`: without an SDK, nothing is counted and nothing fails."""

from acceptance.extras.calls import SCHEME, SECRET, check_error, check_guard
from hmac_guard import Guard, metrics
from hmac_guard.metrics import OpenTelemetryMetrics

check_guard(Guard(SCHEME, SECRET, on_decision=OpenTelemetryMetrics()))
check_error(lambda: metrics.PrometheusMetrics, "pip install 'hmac-guard[prometheus]'")
