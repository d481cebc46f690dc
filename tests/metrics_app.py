"""A guarded WSGI application with the metrics of Prometheus: `/metrics` is open, the rest is guarded."""

import os
from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.multiprocess import MultiProcessCollector

from hmac_guard import Guard, Header, Keyring, Query, Scheme
from hmac_guard.keys import CachedKeys, per_tenant
from hmac_guard.metrics import PrometheusMetrics

SCHEME = Scheme(
    name="inbox", ids={"user": Query("user")}, message="{user}", signature=Query("sig"), tenant=Header("X-Tenant")
)
KEYS = {
    "acme": "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19",
    "beta": Keyring("0f8d1c6b5a4e3f2d1c0b9a8f7e6d5c4b", mode="report"),
    "gone": None,
}


@per_tenant
def look_up(claim: Any) -> Any:
    if claim.tenant == "broken":
        raise OSError
    return KEYS.get(claim.tenant)


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


registry = CollectorRegistry()
cache = CachedKeys(look_up, ttl=3_600, negative_ttl=3_600)
guard = Guard(
    SCHEME,
    cache,
    exempt=("/open",),
    on_decision=PrometheusMetrics(key_cache=cache, keys=KEYS["acme"], tenants=True, registry=registry),
)
guarded = guard.wsgi(application)


def app(environ: dict[str, Any], start_response: Any) -> Any:
    if environ["PATH_INFO"] != "/metrics":
        return guarded(environ, start_response)
    scraped = registry
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        scraped = CollectorRegistry()
        MultiProcessCollector(scraped)  # type: ignore[no-untyped-call]
    return make_wsgi_app(scraped)(environ, start_response)
