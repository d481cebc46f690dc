"""Whole requests over WSGI and ASGI with a bare application: accepted, and refused for a forged signature."""

import logging
from collections.abc import Iterator

from benchmarks.drivers import INTERFACES, Interface
from benchmarks.function import json_loads
from benchmarks.harness import Formatting, Row, logged, only
from benchmarks.samples import FORGED, SECRET, SHAPES, Shape
from hmac_guard import Guard

LOGS = {"log off": None, "null handler": logging.NullHandler(), "log line formatted": Formatting()}


def groups() -> Iterator[list[Row]]:
    for interface in INTERFACES:
        for shape in SHAPES:
            yield _group(interface, shape)


def _group(interface: Interface, shape: Shape) -> list[Row]:
    name = f"{interface.name}: {shape.name}"
    guarded = interface.guarded(Guard(shape.scheme, SECRET), interface.app)
    accepted, refused = interface.driver(guarded, shape.sample()), interface.driver(guarded, shape.sample(FORGED))
    with only(None):
        statuses = accepted.status(), refused.status()
    if statuses != (200, 401):
        print(f"not run: {name} (answers {statuses})")
        return []
    return [
        Row(f"{name}, bare", interface.driver(interface.app, shape.sample()).timed),
        Row(name, accepted.timed, above=f"{name}, bare"),
        *(Row(f"{name}, refused, {what}", logged(refused.timed, handler)) for what, handler in LOGS.items()),
        *([json_loads(f"{name}, json.loads")] if shape.sample().body else []),
    ]
