"""Measures only the check: the guard and its peers verify the same 22 bytes."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import peers
from benchmarks.harness import Row, called
from benchmarks.samples import SECRET, SHAPES, Shape, one_by_json
from hmac_guard import Guard
from hmac_guard.asgi import driver as asgi
from hmac_guard.decider import decider_of
from hmac_guard.wsgi import driver as wsgi


def groups() -> Iterator[list[Row]]:
    for shape in SHAPES:
        yield [Row(f"guard, {door}: {shape.name}", called(read_and_judge(shape, door))) for door in ("ASGI", "WSGI")]
    yield [json_loads()]
    for name, verify in peers.verifiers().items():
        yield [Row(name, called(verify))]


def read_and_judge(shape: Shape, door: str) -> Callable[[], bool]:
    """Return a function that reads and judges a request, without the middleware around it."""
    decider, sample = decider_of("read_and_judge", Guard(shape.scheme, SECRET)), shape.sample()
    scope = sample.scope() if door == "ASGI" else sample.environ()
    driver: Any = asgi.Driver(decider) if door == "ASGI" else wsgi.Driver("read_and_judge", decider)

    def check() -> bool:
        request = driver.request(scope)
        request.body = sample.body
        return decider.conclude(scope, decider.reader.read(request), decider.static_ring, 0.0) is None

    assert check()
    return check


def json_loads(name: str = "json.loads of the same 200 bytes") -> Row:
    body = one_by_json().body
    return Row(name, called(lambda: json.loads(body)))
