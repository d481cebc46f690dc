"""Keys remembered for a while, so that no request waits for a database that was asked a moment ago."""

import asyncio
import concurrent.futures
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

from hmac_guard.core.errors import ConfigError, KeysUnavailable
from hmac_guard.core.hidden import hide
from hmac_guard.core.key import Keyring
from hmac_guard.core.verdict import NO_IDS, Claim
from hmac_guard.keys import on_trio
from hmac_guard.keys.calling import awaited, from_loop, runs_on_trio, settled
from hmac_guard.keys.flight import Flight, Landing
from hmac_guard.keys.forking import in_forked_child
from hmac_guard.keys.options import check_count, check_seconds
from hmac_guard.keys.resolver import Resolver, as_keyring, as_resolver
from hmac_guard.keys.shelf import Entry, Shelf
from hmac_guard.log import logger, where

Tenant = str | None
Fly = Callable[[Tenant, Flight], "Future[Landing]"]


class CachedKeys(Resolver):
    """Another resolver's keys, remembered by tenant. Needs the extra `cache`.

    `resolver`        any source of keys, sync or async. It is shown the tenant alone, never the ids of a request, since
                      its answer is used for every request of that tenant
    `ttl`             seconds for which a tenant's keys are used before they are asked for again: the longest that a
                      revoked key or an old mode lives where nobody calls `invalidate`
    `negative_ttl`    seconds for which a tenant is taken to have no keys: the longest that a new one waits
    `maxsize`         the most tenants with keys that are remembered; those without have a bounded room of their own
    `stale_if_error`  seconds after `ttl` for which the last good keys are used while the resolver fails
    `timeout`         seconds that a request waits for the resolver
    `per_tenant`      True declares that the keys which a callable gives for a tenant belong to that tenant alone, as
                      `hmac_guard.keys.per_tenant` does; False, that they are the same for every tenant. None leaves it
                      to the resolver

    A resolver that raises, answers nonsense or takes too long has failed. Where no good keys are left to use, the
    request is answered 503. All requests that miss a tenant at the same time share one look-up; where one fails that
    was under way when a request came, that request tries once more. Under WSGI look-ups run on threads of the cache's
    own, under ASGI where the resolver itself would run. Raises `ConfigError`.
    """

    per_tenant: bool | None
    asgi_only: bool
    _source: Resolver
    _source_on_loop: Any
    _timeout: float
    _clock: Callable[[], float]
    _shelf: Shelf
    _entries: dict[Tenant, Entry]
    _lock: Lock
    _flights: dict[Tenant, Flight]
    _threads: ThreadPoolExecutor

    def __init__(
        self,
        resolver: Any,
        ttl: float = 60.0,
        negative_ttl: float = 10.0,
        maxsize: int = 10_000,
        stale_if_error: float = 300.0,
        timeout: float = 5.0,
        per_tenant: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        resolver = hide(resolver)
        for option, seconds in {"ttl": ttl, "negative_ttl": negative_ttl, "timeout": timeout}.items():
            check_seconds(f"CachedKeys: {option}", seconds)
        check_seconds("CachedKeys: stale_if_error", stale_if_error, zero=True)
        check_count("CachedKeys: maxsize", maxsize)
        source = as_resolver(resolver)
        if per_tenant is not None:
            _check_declared(source, per_tenant)
        shelf = Shelf(ttl, negative_ttl, maxsize, stale_if_error)
        self._set(
            per_tenant=source.per_tenant if per_tenant is None else per_tenant,
            asgi_only=source.asgi_only,
            _source=source,
            _source_on_loop=from_loop(source),
            _timeout=timeout,
            _clock=clock,
            _shelf=shelf,
            _entries=shelf.entries,
        )
        self._start_empty_handed()
        in_forked_child(self._start_empty_handed)

    def __call__(self, claim: Claim) -> Keyring | None:
        entry = self._entries.get(claim.tenant)
        if entry is not None and self._clock() < entry.fresh_until:
            return entry.ring
        return self._wait(claim.tenant)

    def on_loop(self, claim: Claim) -> Any:
        """The same for an event loop: the keys where they are at hand, else an awaitable of them."""
        entry = self._entries.get(claim.tenant)
        if entry is not None and self._clock() < entry.fresh_until:
            return entry.ring
        return self._await(claim.tenant)

    def invalidate(self, tenant: Tenant) -> None:
        """Forget a tenant. What is known of it now, or is being looked up, is used for no request that comes later."""
        with self._lock:
            self._flights.pop(tenant, None)
            self._shelf.drop(tenant)

    def expire(self) -> None:
        """Have every tenant looked up again before it is used again; what is known still serves where that fails."""
        with self._lock:
            self._flights.clear()
            self._shelf.expire()

    def _wait(self, tenant: Tenant) -> Keyring | None:
        for flight, seconds in self._seek(tenant, self._fly):
            concurrent.futures.wait([flight.future], seconds)
        return self._answer(tenant, flight)

    async def _await(self, tenant: Tenant) -> Keyring | None:
        if runs_on_trio():
            for flight, seconds in self._seek(tenant, self._fly_on_trio):
                await on_trio.wait(flight.future, seconds)
        else:
            for flight, seconds in self._seek(tenant, self._fly_on_loop):
                await asyncio.wait([asyncio.wrap_future(flight.future)], timeout=seconds)
        return self._answer(tenant, flight)

    def _seek(self, tenant: Tenant, fly: Fly) -> Iterator[tuple[Flight, float]]:
        """The look-ups to wait for, and how long. The last one has the answer."""
        until = self._clock() + self._timeout
        flight, is_new = self._board(tenant, fly)
        yield flight, self._timeout
        if not is_new and flight.landed and flight.landing.error is not None:
            flight, _ = self._board(tenant, fly)
            yield flight, until - self._clock()

    def _board(self, tenant: Tenant, fly: Fly) -> tuple[Flight, bool]:
        """The look-up to wait for, and whether it is new. It is over where the answer has come meanwhile, and where the
        last good keys serve while a source that is known to fail is asked again beside the request. Where the one
        before was left behind, the request waits: beside it, no look-up would end."""
        with self._lock:
            now = self._clock()
            entry = self._entries.get(tenant)
            if entry is not None and now < entry.fresh_until:
                return Flight.over(entry.ring), False
            flight = self._flights.get(tenant)
            left_behind = flight is not None and not flight.landed and flight.left_behind(now)
            is_new = flight is None or flight.landed or now - flight.since >= self._timeout
            if flight is None or is_new:
                flight = Flight(now)
                flight.future = fly(tenant, flight)
                self._flights[tenant] = flight
            if entry is not None and entry.failing and now < entry.usable_until and not left_behind:
                return Flight.over(entry.ring), False
            return flight, is_new

    def _answer(self, tenant: Tenant, flight: Flight) -> Keyring | None:
        landing = flight.landing
        if landing.error is None:
            return landing.ring
        if flight.landed or self._clock() - flight.since >= self._timeout:
            self._land(tenant, flight, landing)
            flight.future.cancel()
        entry = self._entries.get(tenant)
        if entry is not None and self._clock() < entry.usable_until:
            return entry.ring
        raise KeysUnavailable("the source of keys failed, and no good keys are left to use")

    def _fly(self, tenant: Tenant, flight: Flight) -> "Future[Landing]":
        return self._threads.submit(self._look_up, tenant, flight)

    def _fly_on_loop(self, tenant: Tenant, flight: Flight) -> "Future[Landing]":
        loop = asyncio.get_running_loop()
        flight.watch(loop, self._clock)
        look_up = self._look_up_on_loop(tenant, flight, asyncio.wait_for)
        return asyncio.run_coroutine_threadsafe(look_up, loop)

    def _fly_on_trio(self, tenant: Tenant, flight: Flight) -> "Future[Landing]":
        return on_trio.start(lambda: self._look_up_on_loop(tenant, flight, on_trio.within))

    def _look_up(self, tenant: Tenant, flight: Flight) -> Landing:
        try:
            landing = Landing(as_keyring(settled(self._source(_claim_of(tenant)))))
        except Exception as error:
            landing = Landing(None, hide(error))
        return self._land(tenant, flight, landing)

    async def _look_up_on_loop(self, tenant: Tenant, flight: Flight, within: Callable[[Any, float], Any]) -> Landing:
        try:
            answer = awaited(self._source_on_loop(_claim_of(tenant)))
            landing = Landing(as_keyring(await within(answer, self._timeout)))
        except Exception as error:
            landing = Landing(None, hide(error))
        return self._land(tenant, flight, landing)

    def _land(self, tenant: Tenant, flight: Flight, landing: Landing) -> Landing:
        with self._lock:
            if self._flights.get(tenant) is not flight:
                return landing  # It was given up, or the tenant was invalidated meanwhile.
            del self._flights[tenant]
            if landing.error is None:
                self._shelf.keep(tenant, landing.ring, flight.since)
            elif flight.left_behind(self._clock()):
                self._shelf.make_due(tenant)
                return landing
            else:
                self._shelf.doubt(tenant, self._clock())
        if landing.error is not None:
            logger.error("the source of cached keys failed: %s", where(landing.error.get()))
        return landing

    def _start_empty_handed(self) -> None:
        self._set(_lock=Lock(), _flights={}, _threads=ThreadPoolExecutor(thread_name_prefix="hmac_guard-keys"))

    @property
    def needs_tenant(self) -> bool:
        return super().needs_tenant or self._source.needs_tenant

    @property
    def is_shared(self) -> bool:
        return super().is_shared or self._source.is_shared

    def modes(self) -> Mapping[str, str | None]:
        return self._source.modes()

    def __repr__(self) -> str:
        return f"CachedKeys({self._source!r})"


def _check_declared(source: Resolver, per_tenant: bool) -> None:
    if not isinstance(per_tenant, bool):
        raise ConfigError("CachedKeys: per_tenant must be True, False or None")
    if source.is_shared if per_tenant else source.needs_tenant:
        raise ConfigError(
            f"CachedKeys: per_tenant={per_tenant}, but {source!r} says otherwise of itself or of a part; leave it out"
        )


def _claim_of(tenant: Tenant) -> Claim:
    return Claim("", NO_IDS, tenant)
