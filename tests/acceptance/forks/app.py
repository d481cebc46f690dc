"""The guarded application of a row of the fork matrix. The environment configures it; it logs to its output.

With FORKS_PRELOAD, it uses its keys when it is imported: that is before the fork where the server loads it first.
"""

import logging
import os
from typing import Any

from sqlalchemy import create_engine

from hmac_guard import Claim, Guard, Query, Scheme
from hmac_guard.keys import CachedKeys, FileKeys, RedisInvalidation, SqlKeys

SCHEME = Scheme(name="forks", ids={"a": Query("a")}, message="{a}", signature=Query("sig"), tenant=Query("t"))
TENANTS = 20
CHANGED = "tenant-0"


def tenant(number: int) -> str:
    return f"tenant-{number}"


def keys_of(resolver: str) -> Any:
    if resolver == "files":
        return FileKeys(os.path.join(os.environ["FORKS_FILES"], "{tenant}"))
    stored = SqlKeys(create_engine(os.environ["FORKS_DATABASE"]), table=os.environ["FORKS_TABLE"])
    stored.create_table()
    if resolver == "sql":
        return stored
    keys = CachedKeys(stored, ttl=3_600)
    RedisInvalidation(os.environ["FORKS_REDIS"], os.environ["FORKS_TABLE"]).watch(keys)
    return keys


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


def with_pid(app: Any) -> Any:
    """The application, and in each of its answers the process that gave it."""

    def answer(environ: Any, start_response: Any) -> Any:
        def start(status: str, headers: list[tuple[str, str]], error: Any = None) -> Any:
            return start_response(status, [*headers, ("X-Pid", str(os.getpid()))], *filter(None, [error]))

        return app(environ, start)

    return answer


def make() -> Any:
    logging.basicConfig(level=logging.WARNING, format="%(process)d %(name)s %(levelname)s %(message)s")
    keys = keys_of(os.environ["FORKS_RESOLVER"])
    if "FORKS_USED" in os.environ:
        for number in range(TENANTS // 2):
            keys(Claim("forks", {}, tenant(number)))
    return with_pid(Guard(SCHEME, keys).wsgi(app))


if "FORKS_RESOLVER" in os.environ:
    application = make()
