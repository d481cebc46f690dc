"""One worker of a platform, on a real server: `python rotating_server.py wsgi|asgi DATABASE TABLE REDIS CHANNEL`.

It prints its port once it can be reached.
"""

import asyncio
import logging
import socket
import sys
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from waiting import TIMEOUT

from hmac_guard import Guard, Query, Scheme
from hmac_guard.keys import CachedKeys, RedisInvalidation, SqlKeys

SCHEME = Scheme(name="one", ids={"a": Query("a")}, message="{a}", signature=Query("sig"), tenant=Query("t"))


def guard_of(engine: Any, table: str, redis: str, channel: str) -> Guard:
    keys = CachedKeys(SqlKeys(engine, table=table), ttl=3_600, timeout=TIMEOUT)
    RedisInvalidation(redis, channel).watch(keys)
    return Guard(SCHEME, keys)


def serve_wsgi(listener: socket.socket, database: str, *where: str) -> None:
    import waitress

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
        return [b"ok"]

    guard = guard_of(create_engine(database), *where)
    waitress.serve(guard.wsgi(app), sockets=[listener], threads=8, _quiet=True)


def serve_asgi(listener: socket.socket, database: str, *where: str) -> None:
    import uvicorn

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def serve() -> None:
        guard = guard_of(create_async_engine(database.replace("psycopg", "asyncpg")), *where)
        # On a busy machine, a client may pause between requests.
        config = uvicorn.Config(guard.asgi(app), log_level="critical", lifespan="off", timeout_keep_alive=int(TIMEOUT))
        await uvicorn.Server(config).serve(sockets=[listener])

    asyncio.run(serve())


if __name__ == "__main__":
    interface, *arguments = sys.argv[1:]
    logging.getLogger("hmac_guard").setLevel(logging.ERROR)  # Thousands of requests are refused, as expected.
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    {"wsgi": serve_wsgi, "asgi": serve_asgi}[interface](listener, *arguments)
