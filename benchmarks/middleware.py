"""Middleware around a bare application: this guard, the same check by hand, and the peers that are middleware."""

import hashlib
from collections.abc import Iterator
from typing import Any

from asgi_csrf import asgi_csrf
from hmac_authentication.hmacauth import HmacAuth, HmacMiddleware
from itsdangerous.url_safe import URLSafeSerializer

from benchmarks import byhand
from benchmarks.drivers import IN_LOOP, INTERFACES, WITHOUT_LOOP, WSGI, Interface
from benchmarks.harness import Row
from benchmarks.samples import BROWSER, SECRET, SHAPES, Sample, by_query
from hmac_guard import Guard


def groups() -> Iterator[list[Row]]:
    for interface in INTERFACES:
        for shape in SHAPES[:2]:
            guard = Guard(shape.scheme, SECRET)
            yield around(f"guard, {shape.name}", interface, interface.guarded(guard, interface.app), shape.sample())
    yield around("by hand: closure", WITHOUT_LOOP, byhand.asgi_closure(WITHOUT_LOOP.app), by_query())
    yield around("by hand: closure", WSGI, byhand.wsgi_closure(WSGI.app), by_query())
    yield around("by hand: BaseHTTPMiddleware", IN_LOOP, byhand.StarletteMiddleware(IN_LOOP.app), by_query())
    for interface in (WITHOUT_LOOP, IN_LOOP):
        yield around("asgi-csrf", interface, *_asgi_csrf(interface.app))
    yield around("18F hmac_authentication", WSGI, *_hmac_authentication(WSGI.app))


def around(name: str, interface: Interface, app: Any, sample: Sample) -> list[Row]:
    """Return rows of the bare application, and of the same application inside a middleware."""
    name = f"{interface.name}: {name}"
    driver = interface.driver(app, sample)
    if driver.status() != 200:
        print(f"not run: {name} (the request did not get through)")
        return []
    return [
        Row(f"{name}, bare", interface.driver(interface.app, sample).timed),
        Row(name, driver.timed, above=f"{name}, bare"),
    ]


def _asgi_csrf(app: Any) -> tuple[Any, Sample]:
    """A POST with the token in a cookie and in a header, the cheapest of its checks. An empty body."""
    token = URLSafeSerializer(SECRET).dumps("x" * 16, "csrftoken")
    headers = (*BROWSER, ("cookie", f"csrftoken={token}"), ("x-csrftoken", token))
    return asgi_csrf(app, signing_secret=SECRET), Sample(method="POST", headers=headers)


def _hmac_authentication(app: Any) -> tuple[Any, Sample]:
    auth = HmacAuth(hashlib.sha256, SECRET, "X-Sig", ["Date"])
    bare = Sample(headers=(*BROWSER, ("date", "Sat, 21 Nov 2026 12:00:00 GMT")))
    signature = auth.request_signature(bare.environ())
    return HmacMiddleware(app, auth), Sample(headers=(*bare.headers, ("x-sig", signature)))
