"""One worker that counts its requests, on uvicorn: `python counting_server.py DATABASE TABLE`. Prints its port."""

import asyncio
import logging
import socket
import sys
from typing import Any

from sqlalchemy import create_engine

from hmac_guard import Guard, Query, Scheme
from hmac_guard.keys import CachedKeys, SqlKeys, VerdictCounts

SCHEME = Scheme(name="one", ids={"a": Query("a")}, message="{a}", signature=Query("sig"), tenant=Query("t"))


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


if __name__ == "__main__":
    import uvicorn

    logging.getLogger("hmac_guard").setLevel(logging.ERROR)
    keys = SqlKeys(create_engine(sys.argv[1]), table=sys.argv[2])
    guard = Guard(SCHEME, CachedKeys(keys), on_decision=VerdictCounts(keys, every=float(sys.argv[3])))
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(guard.asgi(app), log_level="critical", lifespan="on")
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))
