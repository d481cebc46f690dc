"""Middleware around a bare application: this guard, the same check by hand, and the peers that are middleware."""

import hashlib
from collections.abc import Iterator
from typing import Any

from asgi_csrf import asgi_csrf
from hmac_authentication.hmacauth import HmacAuth, HmacMiddleware
from itsdangerous.url_safe import URLSafeSerializer

from benchmarks import byhand
from benchmarks.drivers import BY_HAND, DOORS, IN_LOOP, WSGI, Door
from benchmarks.harness import Row
from benchmarks.samples import BROWSER, SECRET, SHAPES, Sample, by_query
from hmac_guard import Guard


def groups() -> Iterator[list[Row]]:
    for door in DOORS:
        for shape in SHAPES[:2]:
            guard = Guard(shape.scheme, SECRET)
            yield around(f"guard, {shape.name}", door, door.guarded(guard, door.app), shape.sample())
    yield around("by hand: closure", BY_HAND, byhand.asgi_closure(BY_HAND.app), by_query())
    yield around("by hand: closure", WSGI, byhand.wsgi_closure(WSGI.app), by_query())
    yield around("by hand: BaseHTTPMiddleware", IN_LOOP, byhand.StarletteMiddleware(IN_LOOP.app), by_query())
    for door in (BY_HAND, IN_LOOP):
        yield around("asgi-csrf", door, *_asgi_csrf(door.app))
    yield around("18F hmac_authentication", WSGI, *_hmac_authentication(WSGI.app))


def around(name: str, door: Door, app: Any, sample: Sample) -> list[Row]:
    """The bare application, and above it the same behind a middleware, which must let the request through."""
    name = f"{door.name}: {name}"
    driver = door.driver(app, sample)
    if driver.status() != 200:
        print(f"not run: {name} (the request did not get through)")
        return []
    return [
        Row(f"{name}, bare", door.driver(door.app, sample).timed),
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
