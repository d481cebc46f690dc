"""The extra `prometheus`: decisions are counted, and a scrape gives the numbers."""

from prometheus_client import REGISTRY, generate_latest

from acceptance.extras.calls import SCHEME, SECRET, check, check_error, check_guard
from hmac_guard import Guard, metrics
from hmac_guard.metrics import PrometheusMetrics

check_guard(Guard(SCHEME, SECRET, on_decision=PrometheusMetrics()))
text = generate_latest(REGISTRY).decode()
line = 'hmac_guard_requests_total{mode="enforce",reason="verified",result="verified",scheme="extras"} 2.0'
check(line in text, f"the scrape lacks {line!r}: {text}")
check_error(lambda: metrics.OpenTelemetryMetrics, "pip install 'hmac-guard[opentelemetry]'")
