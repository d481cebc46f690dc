"""`python -m benchmarks.counted [webhooks]` sends a thousand requests of each shape, for tools that count.

It does nothing else. Every shape is set up and warmed up first, so that the work before the requests can be subtracted.
"""

import gc
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from benchmarks import webhooks
from benchmarks.drivers import IN_LOOP, WSGI, Interface
from benchmarks.harness import floor, only
from benchmarks.samples import FORGED, SECRET, SHAPES, Shape
from benchmarks.valgrind import REQUESTS
from hmac_guard import Guard, Keyring

WARM = 50
QUERY, HEADER, JSON, ONE_JSON, NANGO_QUERY, NANGO_JSON, SUPRSEND_QUERY, ESCAPED = SHAPES
RING = Keyring(SECRET)


def _ignore_verdict(verdict: object, claim: object) -> None:
    """A callback that does nothing."""


def _ignore_decision(decision: object) -> None:
    """A callback that does nothing."""


def _keys(claim: object) -> Keyring:
    return RING


_keys.blocking = False  # type: ignore[attr-defined]


def _loads(times: int) -> None:
    body = JSON.sample().body
    for _ in range(times):
        json.loads(body)


def _floor(times: int) -> None:
    for _ in range(times):
        floor()


def _bare(interface: Interface, shape: Shape) -> Callable[[int], object]:
    return interface.driver(interface.app, shape.sample()).timed


def _guarded(
    interface: Interface, shape: Shape, *signature: str, keys: Any = SECRET, **options: Any
) -> Callable[[int], object]:
    driver = interface.driver(
        interface.guarded(Guard(shape.scheme, keys, **options), interface.app), shape.sample(*signature)
    )
    with only(None):
        assert driver.status() == (401 if signature else 200)
    return driver.timed


def shapes() -> dict[str, Callable[[int], object]]:
    return {
        "floor": _floor,
        "ASGI bare, query": _bare(IN_LOOP, QUERY),
        "ASGI bare, header": _bare(IN_LOOP, HEADER),
        "ASGI bare, JSON": _bare(IN_LOOP, JSON),
        "WSGI bare, query": _bare(WSGI, QUERY),
        "WSGI bare, header": _bare(WSGI, HEADER),
        "WSGI bare, JSON": _bare(WSGI, JSON),
        "ASGI query": _guarded(IN_LOOP, QUERY),
        "ASGI header": _guarded(IN_LOOP, HEADER),
        "ASGI JSON": _guarded(IN_LOOP, JSON),
        "WSGI query": _guarded(WSGI, QUERY),
        "WSGI header": _guarded(WSGI, HEADER),
        "WSGI JSON": _guarded(WSGI, JSON),
        "ASGI bare, escaped query": _bare(IN_LOOP, ESCAPED),
        "ASGI escaped query": _guarded(IN_LOOP, ESCAPED),
        "ASGI query, refused": _guarded(IN_LOOP, QUERY, FORGED),
        "WSGI query, refused": _guarded(WSGI, QUERY, FORGED),
        "ASGI query, on_verdict": _guarded(IN_LOOP, QUERY, on_verdict=_ignore_verdict),
        "WSGI query, on_verdict": _guarded(WSGI, QUERY, on_verdict=_ignore_verdict),
        "ASGI query, on_decision": _guarded(IN_LOOP, QUERY, on_decision=_ignore_decision),
        "WSGI query, on_decision": _guarded(WSGI, QUERY, on_decision=_ignore_decision),
        "ASGI query, resolver": _guarded(IN_LOOP, QUERY, keys=_keys),
        "WSGI query, resolver": _guarded(WSGI, QUERY, keys=_keys),
        "ASGI one id by JSON": _guarded(IN_LOOP, ONE_JSON),
        "WSGI one id by JSON": _guarded(WSGI, ONE_JSON),
        "ASGI NANGO by query": _guarded(IN_LOOP, NANGO_QUERY),
        "WSGI NANGO by query": _guarded(WSGI, NANGO_QUERY),
        "ASGI NANGO by JSON": _guarded(IN_LOOP, NANGO_JSON),
        "WSGI NANGO by JSON": _guarded(WSGI, NANGO_JSON),
        "ASGI SUPRSEND by query": _guarded(IN_LOOP, SUPRSEND_QUERY),
        "WSGI SUPRSEND by query": _guarded(WSGI, SUPRSEND_QUERY),
        "json.loads": _loads,
    }


def bare(shape: str) -> str | None:
    """Return the shape of the same request to the bare application. None if the application is not called."""
    interface, _, what = shape.partition(" ")
    if interface not in ("ASGI", "WSGI") or "bare" in what or "refused" in what:
        return None
    return f"{interface} bare, {next(kind for kind in ('escaped query', 'JSON', 'header', 'query') if kind in what)}"


def main() -> None:
    """Run each shape in a child process, so that all start from the same state.

    Before it, a child does nothing: valgrind counts the work of this process for its children too, and it grows.
    """
    made = webhooks.shapes() if sys.argv[1:] == ["webhooks"] else shapes()
    # The cost of log lines is not part of the guard.
    with only(None):
        for send in made.values():
            send(WARM)
        gc.collect()
        gc.freeze()
        for shape, send in made.items():
            print(_child(shape, lambda times: None), _child(shape, send), shape, flush=True)


def _child(shape: str, send: Callable[[int], object]) -> int:
    """Return the id of a child process that has sent the requests of a shape, and has ended."""
    child = os.fork()
    if child == 0:
        send(REQUESTS)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(f"{shape} failed")
    return child


if __name__ == "__main__":
    main()
