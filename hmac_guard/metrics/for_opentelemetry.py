"""Metrics for OpenTelemetry."""

from typing import Any

from opentelemetry.metrics import MeterProvider, get_meter

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.numbers import check_flag
from hmac_guard.core.refusal import code_of
from hmac_guard.core.verdict import Decision, Verdict
from hmac_guard.metrics.series import BUCKETS, SKIPPED, VERIFIED, result_of


class OpenTelemetryMetrics:
    """Counts decisions with OpenTelemetry. Needs the extra `opentelemetry`; your application chooses the SDK.

    The counter is `hmac_guard.requests`, the histogram `hmac_guard.decision.duration` in seconds. Their attributes are
    `hmac_guard.scheme`, `hmac_guard.mode`, `hmac_guard.result`, `hmac_guard.reason`, and `error.type` for a request
    that is not verified: the code that a refused client gets.

    Args:
        meter_provider: The provider; None is the global one.
        tenants: Add the attribute `hmac_guard.tenant`, the proven tenant of a verified request. Each tenant is a
            series.

    Raises:
        ConfigError: An argument is not valid.

    Example::

        guard = Guard(NANGO, keys="...", on_decision=OpenTelemetryMetrics())
    """

    def __init__(self, meter_provider: MeterProvider | None = None, *, tenants: bool = False) -> None:
        if meter_provider is not None and not isinstance(meter_provider, MeterProvider):
            raise ConfigError(
                "OpenTelemetryMetrics: meter_provider must be a MeterProvider of OpenTelemetry, not "
                f"{type(meter_provider).__name__}; leave it out for the global one"
            )
        check_flag("OpenTelemetryMetrics: tenants", tenants)
        meter = get_meter("hmac_guard", meter_provider=meter_provider)
        self._add = meter.create_counter("hmac_guard.requests", "{request}", "Decisions of a guard.").add
        self._record = meter.create_histogram(
            "hmac_guard.decision.duration",
            "s",
            "Time of a decision, without the wait for the body.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        ).record
        self._tenants = tenants
        self._attributes: dict[tuple[Any, ...], dict[str, str]] = {}

    def __call__(self, decision: Decision) -> None:
        self.count_decision(decision.verdict, decision.mode, decision.refused, decision.seconds)

    def count_decision(self, verdict: Verdict, mode: str, refused: bool, seconds: float) -> None:
        """Count one decision. A guard calls this in place of the object, so that no `Decision` is made."""
        key = (verdict.scheme, mode, refused, verdict.reason._value_, verdict.tenant if self._tenants else None)
        attributes = self._attributes.get(key)
        if attributes is None:
            attributes = self._attributes[key] = self._attributes_of(verdict, mode, refused)
        self._add(1, attributes)
        self._record(seconds, attributes)

    def _attributes_of(self, verdict: Verdict, mode: str, refused: bool) -> dict[str, str]:
        result = result_of(verdict.reason.value, refused)
        attributes = {
            "hmac_guard.scheme": verdict.scheme,
            "hmac_guard.mode": mode,
            "hmac_guard.result": result,
            "hmac_guard.reason": verdict.reason.value,
        }
        if result not in (VERIFIED, SKIPPED):
            attributes["error.type"] = code_of(verdict.reason)
        if self._tenants and verdict.tenant is not None:
            attributes["hmac_guard.tenant"] = verdict.tenant
        return attributes

    def __repr__(self) -> str:
        return "<OpenTelemetryMetrics>"
