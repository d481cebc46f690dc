"""A program for `test_gevent`: sixty concurrent requests with gevent. Prints the results as JSON.

python on_gevent.py first|late  answer|raise|context
"""

import sys

if sys.argv[1] == "first":
    from gevent import monkey

    monkey.patch_all()

import asyncio
import contextvars
import json
from typing import Any

import gevent
from orders import GOOD, KEY, ORDERS
from support import environ_for

from hmac_guard import Guard, verdict_from

REQUESTS = 60
USER = contextvars.ContextVar("USER", default="unknown-tenant")
seen: list[str] = []
running: list[int] = []
most: list[int] = []


async def resolve(claim: Any) -> str:
    running.append(0)
    most.append(len(running))
    await asyncio.sleep(0.02)
    running.pop()
    if sys.argv[2] == "raise":
        raise RuntimeError("password=hunter2")
    seen.append(USER.get())
    return KEY


async def greet() -> str:
    # Sockets and threads in an event loop must work too.
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    await reader.read()
    writer.close()
    server.close()
    return await asyncio.to_thread(lambda: KEY)


def application(environ: Any, start_response: Any) -> list[bytes]:
    assert verdict_from(environ)
    start_response("200 OK", [])
    return [b""]


guarded = Guard(ORDERS, resolve).wsgi(application)
through_sockets = Guard(ORDERS, lambda claim: greet()).wsgi(application)
if sys.argv[1] == "late":
    from gevent import monkey

    monkey.patch_all()


def ask(app: Any, number: int = 0) -> str:
    statuses: list[str] = []
    USER.set(str(number))
    app(environ_for(GOOD), lambda status, headers, _=None: statuses.append(status[:3]))
    return statuses[0]


def tick() -> None:
    ticks.append(0)
    gevent.spawn_later(0.002, tick)


ticks: list[int] = []
ask(guarded)  # imports, and the first threads
seen.clear()
tick()
greenlets = [gevent.spawn(ask, guarded, number) for number in range(REQUESTS)]
gevent.joinall(greenlets)
statuses = [greenlet.value for greenlet in greenlets]
found = {"statuses": statuses, "seen": sorted(map(int, seen)), "ticks": len(ticks), "at_once": max(most)}
print(json.dumps({**found, "sockets": [ask(through_sockets) for _ in range(3)]}))
