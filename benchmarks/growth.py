"""Measures how the cost grows with keys, tenants, a cache, unnamed fields, the body size, and parallel requests."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.drivers import IN_LOOP, WSGI, AsgiInLoop, Interface, Wsgi, asgi_app
from benchmarks.harness import LOOP, Row, called, clock
from benchmarks.samples import BY_HEADER, BY_JSON, IDS, SECRET, SHAPES, SIGNATURE, Sample, Shape, by_header, padded
from hmac_guard import Guard, Header
from hmac_guard.keys import CachedKeys
from hmac_guard.keys.resolver import Keys

BOTH = (IN_LOOP, WSGI)
QUERY, HEADER = SHAPES[:2]
KEYS = (1, 2, 4, 8)
TENANTS = (1, 1_000, 1_000_000)
FIELDS = (3, 10, 50, 200)
HEADERS = (11, 25, 50, 100)
KILOBYTES = (1, 4, 16, 64, 256)
AT_ONCE = (1, 10, 100, 1000)
THREADS = (1, 4, 16)


def groups() -> Iterator[list[Row]]:
    for interface in BOTH:
        yield list(_keys(interface))
        yield list(_hits(interface))
        for shape in (QUERY, HEADER):
            yield list(_fields(interface, shape))
            yield list(_headers(interface, shape))
        yield from _bodies(interface)
    yield from _at_once()
    tenants = {_tenant(number): _secret_of(number) for number in range(max(TENANTS))}
    for interface in BOTH:
        yield list(_tenants(interface, tenants))


def _rows(interface: Interface, name: str, guard: Guard, *samples: Sample) -> list[Row]:
    """Return rows of the bare application and of the guarded one."""
    name = f"{interface.name}: {name}"
    driver = interface.driver(interface.guarded(guard, interface.app), *samples)
    assert driver.status() == 200, name
    # A key is prepared once, when it is first used.
    driver.timed(len(samples))
    return [
        Row(f"{name}, bare", interface.driver(interface.app, *samples).timed),
        Row(name, driver.timed, above=f"{name}, bare"),
    ]


def _keys(interface: Interface) -> Iterator[Row]:
    for count in KEYS:
        ring = [*(f"{number:02} {SECRET}" for number in range(count - 1)), SECRET]
        yield from _rows(interface, f"{count} keys", Guard(BY_HEADER, ring), by_header())


def _hits(interface: Interface) -> Iterator[Row]:
    """The cost of the cache: a cached tenant, compared with one static key."""
    scheme = BY_HEADER.replace(tenant=Header("X-Tenant"))
    several: dict[str, Keys] = {"a static key, no cache": SECRET, "a cached tenant": CachedKeys({_tenant(0): SECRET})}
    for name, keys in several.items():
        yield from _rows(interface, name, Guard(scheme, keys), _of_tenant(0))


def _fields(interface: Interface, shape: Shape) -> Iterator[Row]:
    for count in FIELDS:
        others = "".join(f"utm_field_{number}=newsletter-{number}&" for number in range(count - 3))
        crowded = replace(shape.sample(), query=others + shape.sample().query)
        yield from _rows(interface, f"{count} query parameters, {shape.name}", Guard(shape.scheme, SECRET), crowded)


def _headers(interface: Interface, shape: Shape) -> Iterator[Row]:
    for count in HEADERS:
        own = shape.sample().headers
        others = ((f"x-other-header-{number}", f"value {number}") for number in range(count - len(own)))
        crowded = replace(shape.sample(), headers=(*others, *own))
        yield from _rows(interface, f"{count} headers, {shape.name}", Guard(shape.scheme, SECRET), crowded)


def _bodies(interface: Interface) -> Iterator[list[Row]]:
    """Yield rows for a document of many small records, and for the JSON parser alone."""
    for kilobytes in KILOBYTES:
        body = _document(kilobytes * 1024)
        name = f"{kilobytes} KB of JSON"
        rows = _rows(interface, name, Guard(BY_JSON, SECRET), Sample(method="POST", body=body))
        yield [*rows, Row(f"{interface.name}: {name}, json.loads", called(partial(json.loads, body)))]


def _document(size: int) -> bytes:
    record = {"id": 1234567, "name": "a line of an order", "price": 12.5, "tags": ["new", "sale"], "note": None}
    records = [record] * ((size - 300) // len(json.dumps(record) + ", "))
    return padded({**IDS, "hmac": SIGNATURE, "records": records}, size)


def _at_once() -> Iterator[list[Row]]:
    guard = Guard(BY_HEADER, SECRET)
    for count in AT_ONCE:
        name = f"ASGI: {count} requests at once"
        bare, guarded = (AtOnce(app, count) for app in (_waiting_app, guard.asgi(_waiting_app)))
        yield [Row(f"{name}, bare", bare.timed), Row(name, guarded.timed, above=f"{name}, bare")]
    for count in THREADS:
        name = f"WSGI: {count} threads at once"
        bare_threads, guarded_threads = (InThreads(app, count) for app in (WSGI.app, guard.wsgi(WSGI.app)))
        yield [Row(f"{name}, bare", bare_threads.timed), Row(name, guarded_threads.timed, above=f"{name}, bare")]


async def _waiting_app(scope: Any, receive: Any, send: Any) -> None:
    """Wait once, like an application that queries a database, so that all requests run at the same time."""
    await asyncio.sleep(0)
    await asgi_app(scope, receive, send)


class AtOnce(AsgiInLoop):
    """Runs several tasks at the same time. The time of one request is the time of all divided by their number."""

    def __init__(self, app: Any, count: int) -> None:
        super().__init__(app, by_header())
        self.count = count

    def timed(self, times: int) -> float:
        async def batch() -> float:
            started = clock()
            for _ in range(times):
                await asyncio.gather(*map(self._one, range(self.count)))
            return (clock() - started) / self.count

        return LOOP.run_until_complete(batch())

    async def _one(self, _number: int) -> None:
        await self.app(next(self.scopes).copy(), self.receive(), self.send)


class InThreads:
    """Runs several threads at the same time. The time of one request is the time of all divided by their number."""

    def __init__(self, app: Any, count: int) -> None:
        self.drivers = [Wsgi(app, by_header()) for _ in range(count)]
        self.pool = ThreadPoolExecutor(count)

    def timed(self, times: int) -> float:
        started = clock()
        list(self.pool.map(lambda driver: driver.timed(times), self.drivers))
        return (clock() - started) / len(self.drivers)


def _tenant(number: int) -> str:
    return f"pk_live_{number:07}"


def _secret_of(number: int) -> str:
    return f"{SECRET}-{number}"


def _tenants(interface: Interface, keys: dict[str, str]) -> Iterator[Row]:
    """Yield a static key, then mappings with requests of one tenant, or of a thousand tenants in turn."""
    scheme = BY_HEADER.replace(tenant=Header("X-Tenant"))
    yield from _rows(interface, "a static key", Guard(scheme, SECRET), _of_tenant(0))
    for count in TENANTS:
        guard = Guard(scheme, _first(keys, count))
        yield from _rows(interface, f"{count} tenants", guard, _of_tenant(count // 2, _secret_of(count // 2)))
    many = [_of_tenant(number, _secret_of(number)) for number in range(0, max(TENANTS), max(TENANTS) // 1000)]
    yield from _rows(interface, f"{max(TENANTS)} tenants, another each time", guard, *many)


def _first(keys: dict[str, str], count: int) -> dict[str, str]:
    return {tenant: keys[tenant] for tenant in map(_tenant, range(count))}


def _of_tenant(number: int, secret: str = SECRET) -> Sample:
    signed = by_header(BY_HEADER.sign(secret, **IDS))
    return replace(signed, headers=(*signed.headers, ("x-tenant", _tenant(number))))
