"""The guarded application of a row, as WSGI and as ASGI. The environment configures it; it logs to its output."""

import asyncio
import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from hmac_guard import Guard, Query, Scheme
from hmac_guard.keys import CachedKeys, RedisInvalidation, SqlKeys

SCHEME = Scheme(name="chaos", ids={"a": Query("a")}, message="{a}", signature=Query("sig"), tenant=Query("t"))
TABLE = "chaos_keys"
CACHES: list[CachedKeys] = []


def guard() -> Guard:
    logging.basicConfig(level=logging.WARNING, format="%(process)d %(name)s %(levelname)s %(message)s")
    url, options = os.environ["CHAOS_DATABASE"], _connect_options(os.environ["CHAOS_DATABASE"])
    make: Any = create_async_engine if "asyncpg" in url else create_engine
    source = SqlKeys(make(url, connect_args=options), table=TABLE)
    keys = CachedKeys(source, ttl=float(os.environ["CHAOS_TTL"]), maxsize=2_000)
    CACHES.append(keys)
    if "CHAOS_REDIS" in os.environ:
        RedisInvalidation(os.environ["CHAOS_REDIS"]).watch(keys)
    return Guard(SCHEME, keys, exempt=("/state",))


def _connect_options(url: str) -> dict[str, Any]:
    """The options of the driver that docs/keys.md names."""
    if "pymysql" in url:
        # It would read the certificates of the system for each connection, which takes longer than the connection.
        return {"connect_timeout": 5, "ssl_disabled": True}
    return {"timeout": 5} if "asyncpg" in url else {"connect_timeout": 5}


def state(tasks: int) -> bytes:
    """What this process holds."""
    return json.dumps(
        {
            "threads": threading.active_count(),
            "tasks": tasks,
            "look_ups": sum(len(cache._lookups) + len(cache._queue.running) for cache in CACHES),
            "bytes": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE"),
        }
    ).encode()


async def _asgi(scope: Any, receive: Any, send: Any) -> None:
    body = state(len(asyncio.all_tasks())) if scope["path"] == "/state" else b"ok"
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _wsgi(environ: Any, start_response: Any) -> list[bytes]:
    body = state(0) if environ["PATH_INFO"] == "/state" else b"ok"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


if "CHAOS_DATABASE" in os.environ:
    if os.environ["CHAOS_INTERFACE"] == "asgi":
        asgi = guard().asgi(_asgi)
    else:
        wsgi = guard().wsgi(_wsgi)
