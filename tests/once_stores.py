"""The single-use stores that the contract is tested with, and a process that uses one of them.

python once_stores.py redis PLACE TOKEN…     uses each token, prints the answers, and waits to be killed
"""

import asyncio
import inspect
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from hmac_guard.once import MemoryOnce, RedisOnce, SqlOnce

#: Stores that several processes share, by name. Those behind "-async" are bound to an event loop.
SHARED = ("redis", "redis-async", "sqlite", "sqlite-async", "postgres", "postgres-async", "django")
ALL = ("memory", *SHARED)

_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite-async": "sqlite+aiosqlite",
    "postgres": "postgresql+psycopg",
    "postgres-async": "postgresql+asyncpg",
}


class Used:
    """A store, asked and waited for on one event loop. `place` is what two processes have to agree on: a table and the
    URL of its database, or a prefix and the URL of its Redis."""

    def __init__(self, kind: str, place: str, **options: Any) -> None:
        self.kind = kind
        self.place = place
        self.loop = asyncio.new_event_loop()
        self.name, _, self.url = place.partition("@")
        self.engine: Any = None
        self.store: Any = self._make(**options)

    def _make(self, **options: Any) -> Any:
        match self.kind:
            case "memory":
                return MemoryOnce(**options)
            case "redis":
                return RedisOnce(self.url, prefix=self.name, **options)
            case "redis-async":
                import redis.asyncio

                self.engine = redis.asyncio.Redis.from_url(self.url)
                return RedisOnce(self.engine, prefix=self.name, **options)
            case "django":
                return self._django(**options)
        make: Any = create_async_engine if self.kind.endswith("-async") else create_engine
        self.engine = make(make_url(self.url).set(drivername=_DRIVERS[self.kind]))
        return SqlOnce(self.engine, table=self.name, **options)

    def _django(self, **options: Any) -> Any:
        import django_settings  # noqa: F401 - it configures Django
        from django.test import override_settings

        from hmac_guard.once import DjangoCacheOnce

        backend = "django.core.cache.backends.redis.RedisCache"
        self._settings = override_settings(
            CACHES={"default": {"BACKEND": backend, "LOCATION": self.url, "KEY_PREFIX": self.name}}
        )
        self._settings.enable()
        return DjangoCacheOnce(**options)

    def use(self, token: bytes, seconds: float = 300.0) -> bool:
        """Use a token that lasts so many seconds from now, by this host's clock."""
        answer: bool = self.do(self.store.use(token, time.time() + seconds))
        return answer

    def do(self, answer: Any) -> Any:
        return self.loop.run_until_complete(answer) if inspect.isawaitable(answer) else answer

    def close(self) -> None:
        if self.kind == "redis-async":
            self.do(self.engine.aclose())
        elif self.engine is not None:
            self.do(self.engine.dispose())
        if self.kind == "django":
            self._settings.disable()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


def token_for(text: str) -> bytes:
    return sha256(text.encode()).digest()


@contextmanager
def store_of(kind: str, folder: Path, url: str = "", **options: Any) -> Iterator[Used]:
    """A store of one of the kinds, its table made. `url` is where its server is; without one, this machine's."""
    # Not at the top: a process that uses a store has no pytest.
    import pytest
    from databases import POSTGRES, REDIS, needs

    if kind == "django":
        pytest.importorskip("django", reason="not run: Django is not installed")
    name = f"once_{uuid4().hex[:12]}"
    if kind.startswith("sqlite"):
        url = url or f"sqlite:///{folder / 'once.db'}"
    elif kind.startswith("postgres"):
        needs(POSTGRES, "PostgreSQL")
        url = url or POSTGRES.render_as_string(hide_password=False)
    elif kind != "memory":
        needs(REDIS, "Redis")
        url = url or REDIS.render_as_string(hide_password=False)
    used = Used(kind, f"{name}@{url}", **options)
    if kind.startswith(("sqlite", "postgres")):
        used.do(used.store.create_table())
    try:
        yield used
    finally:
        used.close()
        if kind.startswith("postgres"):
            engine = create_engine(POSTGRES.set(drivername="postgresql+psycopg"))
            with engine.begin() as connection:
                connection.execute(text(f"DROP TABLE IF EXISTS {name}"))
            engine.dispose()


@contextmanager
def other_process(used: Used, *tokens: bytes) -> "Iterator[subprocess.Popen[str]]":
    """Another process that uses these tokens, one after the other, and prints each answer on its own line. It ends when
    it is killed."""
    words = [used.kind, used.place, *(token.hex() for token in tokens)]
    process = subprocess.Popen([sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def answers_of(process: "subprocess.Popen[str]", count: int) -> list[bool]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() == "True" for _ in range(count)]


def main(kind: str, place: str, *tokens: str) -> None:
    used = Used(kind, place)
    for token in tokens:
        print(used.use(bytes.fromhex(token)), flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main(*sys.argv[1:])
