"""The guarded application of a row, as WSGI and as ASGI. The environment configures it; it logs to its output."""

import logging
import os
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from hmac_guard import Guard, Query, Scheme
from hmac_guard.keys import CachedKeys, RedisInvalidation, SqlKeys

SCHEME = Scheme(name="chaos", ids={"a": Query("a")}, message="{a}", signature=Query("sig"), tenant=Query("t"))
TABLE = "chaos_keys"


def guard() -> Guard:
    logging.basicConfig(level=logging.WARNING, format="%(process)d %(name)s %(levelname)s %(message)s")
    url, options = os.environ["CHAOS_DATABASE"], _connect_options(os.environ["CHAOS_DATABASE"])
    make: Any = create_async_engine if "asyncpg" in url else create_engine
    keys = CachedKeys(SqlKeys(make(url, connect_args=options), table=TABLE), ttl=float(os.environ["CHAOS_TTL"]))
    if "CHAOS_REDIS" in os.environ:
        RedisInvalidation(os.environ["CHAOS_REDIS"]).watch(keys)
    return Guard(SCHEME, keys)


def _connect_options(url: str) -> dict[str, Any]:
    """What docs/keys.md tells to give the driver."""
    if "pymysql" in url:
        # It would read the certificates of the system for each connection, which takes longer than the connection.
        return {"connect_timeout": 5, "ssl_disabled": True}
    return {"timeout": 5} if "asyncpg" in url else {"connect_timeout": 5}


async def _asgi(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def _wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


if "CHAOS_DATABASE" in os.environ:
    if os.environ["CHAOS_INTERFACE"] == "asgi":
        asgi = guard().asgi(_asgi)
    else:
        wsgi = guard().wsgi(_wsgi)
