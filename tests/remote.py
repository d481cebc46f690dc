"""A guard over WSGI or ASGI, with keys in a PostgreSQL whose connection can be cut."""

import asyncio
from typing import Any
from uuid import uuid4

from databases import POSTGRES
from key_sources import KEY, Clock
from ports import LOCAL
from sqlalchemy import NullPool, create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from support import Reply, Sent, ask_asgi, call_wsgi
from waiting import TIMEOUT, becomes_true
from wires import Wire

from hmac_guard import Claim, Guard, Query, Scheme
from hmac_guard.keys import CachedKeys, SqlKeys, cache_state

SCHEME = Scheme(name="one", ids={"a": Query("a")}, message="{a}", signature=Query("sig"), tenant=Query("t"))
FORGED = "not the key that acme has, but long enough"


def signed(secret: str, tenant: str = "acme") -> Sent:
    return Sent(query=f"a=x&sig={SCHEME.sign(secret, a='x')}&t={tenant}")


class Interface:
    """A guard behind one of the two interfaces. `status` also sees to it that nothing unproven reaches the application.

    `clock` is for a cache of its keys.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.clock = Clock()
        self.caches: list[CachedKeys] = []
        self.loop = asyncio.new_event_loop()

    def status(self, guard: Guard, secret: str, tenant: str = "acme") -> int:
        reply = self.call(guard, signed(secret, tenant))
        assert [bool(verdict) for verdict, _ in reply.seen] == ([True] if reply.status == 200 else [])
        return reply.status

    def call(self, guard: Guard, sent: Sent) -> Reply:
        return self.loop.run_until_complete(ask_asgi(guard, sent)) if self.kind == "asgi" else call_wsgi(guard, sent)

    def becomes(self, guard: Guard, secret: str, status: int, tenant: str = "acme") -> bool:
        """Return whether the answer becomes this one, while the cache calls its source each time."""

        def has_become() -> bool:
            self.clock.pass_by(cache_state.RETRY)
            return self.status(guard, secret, tenant) == status

        return becomes_true(has_become)


class Remote:
    """Keys in PostgreSQL. `keys` uses a connection that can be cut, `operator` a direct connection."""

    def __init__(self, wire: Wire, interface: Interface, colour: str) -> None:
        self.wire = wire
        self.interface = interface
        self._table = f"keys_{uuid4().hex[:12]}"
        self._near = create_engine(POSTGRES.set(drivername="postgresql+psycopg"))
        self.operator = SqlKeys(self._near, table=self._table)
        self.operator.create_table()
        self.operator.add("acme", KEY)
        self.engine: Any = self._engine(colour)
        keys = SqlKeys(self.engine, table=self._table)

        async def resolve(claim: Claim) -> Any:
            return await keys(claim)  # type: ignore[misc]

        # Over WSGI, each call has its own event loop. An async engine supports this only without a pool.
        self.keys: Any = resolve if colour == "async" and interface.kind == "wsgi" else keys

    def _engine(self, colour: str) -> Any:
        url = POSTGRES.set(host=LOCAL, port=self.wire.port)
        if colour == "sync":
            options = {"connect_timeout": int(TIMEOUT)}
            return create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True, connect_args=options)
        pool = {"poolclass": NullPool} if self.interface.kind == "wsgi" else {}
        return create_async_engine(url.set(drivername="postgresql+asyncpg"), connect_args={"timeout": TIMEOUT}, **pool)

    def close(self) -> None:
        self.interface.loop.run_until_complete(asyncio.wait_for(self._idle(), 2 * TIMEOUT))
        self.operator.metadata.drop_all(self._near)
        self._near.dispose()
        disposal = self.engine.dispose()
        if disposal is not None:
            self.interface.loop.run_until_complete(disposal)

    async def _idle(self) -> None:
        """A look-up that goes on would open a connection after the last one was closed."""
        while any(cache._watched_at is not None for cache in self.interface.caches):
            await asyncio.sleep(0.01)
