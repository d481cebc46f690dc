"""A cache of keys by tenant, so that most requests do not wait for a database."""

import asyncio
import concurrent.futures
import inspect
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from threading import Lock
from typing import Any, NamedTuple

from hmac_guard.core.errors import ConfigError, KeysUnavailable
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import Key, Keyring
from hmac_guard.core.numbers import check_count, check_seconds
from hmac_guard.core.verdict import NO_IDS, Claim
from hmac_guard.forking import after_fork, check_process
from hmac_guard.keys.cache_state import (
    MAX_STUCK,
    SLOW_AFTER,
    Entries,
    Entry,
    Kind,
    Lookup,
    LookupQueue,
    LookupResult,
    SourceState,
    Tenant,
)
from hmac_guard.keys.calling import (
    KeptInTask,
    await_if_needed,
    close_unawaited,
    from_loop,
    has_ended,
    has_stopped,
    is_trio,
    run_to_completion,
    running_loop,
    spawn,
    wait_on_loop,
)
from hmac_guard.keys.connections import give_up
from hmac_guard.keys.resolver import Resolver, as_keyring, as_resolver, check_clock
from hmac_guard.keys.threads import DaemonThreads, check_wait, closing_connections, runs_threads
from hmac_guard.log import Failure, FailureLog, failure_of

#: Seconds between two looks at the look-ups that run, and the looks without a request after which probes end.
WATCH_EVERY = 0.25
MAX_IDLE_LOOKS = 20

#: Seconds. If a timer is later than this, the process or its event loop stood still, and the source is not the cause.
STANDSTILL = 0.5


class CacheStats(NamedTuple):
    """The number of requests by how a cache served them.

    Attributes:
        hits: With known keys, within `ttl` or `negative_ttl`.
        misses: With the answer of a look-up that they waited for.
        stale: With keys after their `ttl`, because the source was slow or failing.
        errors: Without keys; they were answered 503.
    """

    hits: int
    misses: int
    stale: int
    errors: int


_HIT, _MISS, _STALE, _ERROR = range(4)


class CachedKeys(Resolver):
    """Remembers the keys of another resolver, by tenant. Needs the extra `cache`.

    A resolver that raises, returns something that is not a key, or takes too long has failed. If no good keys are left,
    the request is answered 503. All requests that miss a tenant at the same time share one look-up. If that look-up was
    already running when a request came and it fails, the request tries once more.

    The source is slow if a look-up has no answer after a second. Tenants with keys then get the known ones, and new
    tenants wait up to `timeout`. Under WSGI each of these requests holds a thread of the server, so at most three
    quarters of `max_lookups` of them wait, and more are answered 503 at once. The source is failing if look-ups of two
    tenants with keys, or a probe, have failed. New tenants are then answered 503 at once, and one probe a second finds
    out when the source works again.

    A sync resolver runs on threads of the cache, under ASGI too; an async one runs on the event loop. A look-up that
    takes longer than `timeout` is given up, and another thread takes its place. The end of the process does not wait
    for it. If the event loop of a request ends before its look-up, the look-up shows nothing about the source. While
    the source is slow or failing, one request at a time then waits for a probe, so that the probe can end.

    Args:
        resolver: Any source of keys, sync or async. It gets only the tenant, without the ids of the request, because
            its answer is used for every request of that tenant.
        ttl: Seconds for which a tenant's keys are used before they are looked up again. This is the longest that a
            revoked key or an old mode is used while the resolver works, unless you call `invalidate`. From half of it
            on a request starts a look-up, and does not wait for it. With less than 4 seconds, the keys may end before
            the source is known to be slow, and requests then wait for up to a second.
        negative_ttl: Seconds for which a tenant without keys is remembered. This is the longest that a new tenant
            waits.
        maxsize: The most tenants with keys that are remembered. Unknown tenants are cached separately.
        stale_if_error: Seconds after `ttl` for which the last good keys are used while the resolver fails or is slow.
        timeout: Seconds that a request waits for the resolver, and that a look-up may take.
        per_tenant: True declares that the keys which a callable returns for a tenant belong to that tenant alone, as
            `hmac_guard.keys.per_tenant` does. False declares that they are the same for every tenant. None leaves it to
            the resolver.
        clock: Returns seconds that never jump. The times of a key are checked for each request, by the guard's clock.
        max_lookups: The most look-ups at a time in this process. At most three quarters of them are of names that this
            process has not seen with keys, and at most three quarters of the others. With 1, either may use it.
        max_waiting: The most look-ups of either sort that wait to run. A request beyond them is answered 503 at once.

    Raises:
        ConfigError: An argument is not valid.

    Example::

        keys = CachedKeys(SqlKeys(engine), ttl=60)
        guard = Guard(NANGO, keys)
    """

    per_tenant: bool | None
    asgi_only: bool
    _source: Resolver
    _source_on_loop: Any
    _timeout: float
    _clock: Callable[[], float]
    _limits: tuple[int, int]
    _make_entries: Callable[[], Entries]
    _entries: Entries
    _current: dict[Tenant, Entry]
    _log: FailureLog
    _lock: Lock
    _lookups: dict[Tenant, Lookup]
    _queue: LookupQueue
    _to_begin: list[Lookup]
    _state: SourceState
    _threads: DaemonThreads
    _watched_at: float | None
    _idle_looks: int
    _held_threads: int
    _loop_stands_still: bool
    _last_loop: Any
    _counts: list[int]
    _timed_out: Failure
    _last_failure: Failure

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
        *,
        max_lookups: int = 12,
        max_waiting: int = 1_000,
    ) -> None:
        resolver = hide(resolver)
        for option, seconds in {"ttl": ttl, "negative_ttl": negative_ttl}.items():
            check_seconds(f"CachedKeys: {option}", seconds)
        check_wait("CachedKeys: timeout", timeout)
        check_seconds("CachedKeys: stale_if_error", stale_if_error, zero=True)
        for option, count in {"maxsize": maxsize, "max_lookups": max_lookups, "max_waiting": max_waiting}.items():
            check_count(f"CachedKeys: {option}", count)
        check_clock("CachedKeys", clock, "time.monotonic")
        source = as_resolver(resolver)
        if per_tenant is not None:
            _check_declared(source, per_tenant)
        self._set(
            per_tenant=source.per_tenant if per_tenant is None else per_tenant,
            asgi_only=source.asgi_only,
            _source=source,
            _source_on_loop=from_loop(source),
            _timeout=timeout,
            _clock=clock,
            _limits=(max_lookups, max_waiting),
            _make_entries=partial(Entries, ttl, negative_ttl, maxsize, stale_if_error),
            _timed_out=Failure(f"no answer within {timeout:g} s", ""),
            _last_failure=_ENDED.failure,
            _log=FailureLog("the source of cached keys"),
        )
        self._forget_all()
        self._reset()
        after_fork(self._after_fork)

    def __call__(self, claim: Claim) -> Keyring | None:
        check_process()
        entry = self._current.get(claim.tenant)
        if entry is not None and self._clock() < entry.refresh_at:
            self._counts[_HIT] += 1
            return entry.ring
        step = self._ask(claim.tenant, None, self._clock() + self._timeout)
        while isinstance(step, _Wait):
            try:
                concurrent.futures.wait([step.lookup.future], step.seconds)
            finally:
                self._leave(step)
            step = self._after(step)
        return step

    def on_loop(self, claim: Claim) -> Any:
        """Return the keys if they are known, else an awaitable of them. For an event loop."""
        check_process()
        entry = self._current.get(claim.tenant)
        if entry is not None and self._clock() < entry.refresh_at:
            self._counts[_HIT] += 1
            return entry.ring
        step = self._ask(claim.tenant, running_loop(), self._clock() + self._timeout)
        return self._wait_on_loop(step) if isinstance(step, _Wait) else step

    def invalidate(self, tenant: Tenant) -> None:
        """Forget the keys of a tenant.

        Later requests use neither the known keys nor the answer of a look-up that has begun before.

        Args:
            tenant: The tenant; None is the entry of keys that are the same for every tenant.
        """
        check_process()
        with self._lock:
            self._void([lookup for lookup in self._queue.running if lookup.tenant == tenant])
            self._entries.drop(tenant)

    def expire(self) -> None:
        """Make every tenant's keys too old, so that they are looked up before they are used again.

        The known keys are still used while the source fails. This takes the same time for any number of tenants.
        """
        check_process()
        with self._lock:
            self._void(self._queue.running)
            expired = self._current
            self._entries.expire()
            self._set(_current=self._entries.current)
        del expired  # Freed without the lock: it may be large, and that takes time.

    # What a request does: `_join_or_start` and the two functions after it are called with the lock held.

    async def _wait_on_loop(self, step: "_Wait | Keyring | None") -> Keyring | None:
        while isinstance(step, _Wait):
            try:
                await wait_on_loop(step.lookup.future, step.seconds)
            finally:
                self._leave(step)
            step = self._after(step)
        return step

    def _ask(
        self, tenant: Tenant, loop: Any, until: float, *, may_retry: bool = True, may_probe: bool = True
    ) -> "_Wait | Keyring | None":
        """Return the keys of a tenant, or what to wait for. Raise `KeysUnavailable`."""
        with self._locked():
            if loop is not None:
                self._set(_last_loop=loop)
            answer = self._join_or_start(tenant, loop, until, may_retry=may_retry, may_probe=may_probe)
        if isinstance(answer, Failure):
            self._counts[_ERROR] += 1
            self._log.failed(answer)
            raise _Unavailable
        return answer

    def _join_or_start(
        self, tenant: Tenant, loop: Any, until: float, *, may_retry: bool, may_probe: bool
    ) -> "_Wait | Keyring | Failure | None":
        now, entry, state = self._clock(), self._entries.get(tenant), self._state
        may_start = not state.is_failing or state.may_try(now)
        self._set(_idle_looks=0)
        self._lose_ended()
        probe = self._probe_first(now, loop) if may_probe else None
        if probe is not None:
            probe.waiting += 1
            return _Wait(tenant, probe, loop, max(until - now, 0.0), until, may_retry, holds_thread=False)
        lookup = self._running(tenant, loop, now)
        is_usable = entry is not None and now < entry.usable_until
        if entry is not None and self._serves_known(entry, lookup, now):
            is_due = entry.ring is not None and now >= max(entry.refresh_at, entry.retry_at)
            if lookup is None and is_due and not state.is_failing and self._runs_ahead(loop):
                self._start(tenant, loop, now, is_ahead=True)
            self._counts[_HIT if now < entry.fresh_until else _STALE] += 1
            return entry.ring
        holds_thread = loop is None and not is_usable
        has_room = not holds_thread or state.is_well or self._held_threads < self._queue.share
        if not may_start or not has_room:
            return self._last_failure
        is_new = lookup is None
        lookup = lookup or self._start(tenant, loop, now, is_ahead=False)
        if lookup is None and entry is not None and is_usable:
            self._counts[_STALE] += 1
            return entry.ring
        if lookup is None:
            return _QUEUE_IS_FULL
        lookup.waiting += 1
        self._set(_held_threads=self._held_threads + holds_thread)
        seconds = max(min(until - now, SLOW_AFTER) if is_usable else until - now, 0.0)
        return _Wait(tenant, lookup, loop, seconds, until, may_retry and not is_new, holds_thread)

    def _probe_first(self, now: float, loop: Any) -> Lookup | None:
        """Begin a probe if it is time for one. Return it if the request has to wait for it."""
        # If each request has its own loop, a probe has an answer only if the request waits for it. One at a time does:
        # a source that hangs must not take the threads of the server.
        has_to_wait = loop is not None and self._state.loses_lookups and not self._state.is_well
        if has_to_wait and any(lookup.kind is Kind.PROBE and lookup.waiting for lookup in self._queue.running):
            return None
        probe = self._start_probe(now, loop)
        return probe if has_to_wait else None

    def _serves_known(self, entry: Entry, lookup: Lookup | None, now: float) -> bool:
        """Return whether a request gets the known keys, and does not wait."""
        if now < entry.fresh_until:
            return True
        # If the event loop or the process stands still between requests, a look-up in the background does not end. So a
        # request has to wait for it.
        is_left_behind = self._state.is_well and lookup is not None and lookup.age(now) >= self._timeout
        if is_left_behind or (self._loop_stands_still and not self._state.is_failing):
            return now < min(entry.retry_at, entry.usable_until)
        # A failed look-up is repeated in the background. Within `SLOW_AFTER`, this shows the state of the source.
        return now < entry.usable_until and (now < entry.retry_at + SLOW_AFTER or not self._state.is_well)

    def _after(self, step: "_Wait") -> "_Wait | Keyring | None":
        """Return what follows a wait: the keys, or the next wait. Raise `KeysUnavailable`."""
        lookup, result = step.lookup, step.lookup.result
        if lookup.kind is Kind.PROBE:
            return self._ask(step.tenant, step.loop, step.until, may_retry=step.may_retry, may_probe=False)
        if result is not None and result.failure is None:
            self._counts[_MISS] += 1
            return result.ring
        with self._lock:
            now, entry = self._clock(), self._entries.get(lookup.tenant)
            if lookup.age(now) >= SLOW_AFTER:
                self._mark_slow(lookup)
            is_usable = entry is not None and now < entry.usable_until
            may_retry = step.may_retry and not self._state.is_failing
        may_ask = now < step.until and (result is None or may_retry)
        # A look-up whose loop has ended shows nothing: another one is needed before old keys are used.
        if entry is not None and is_usable and not (result is _LOST and may_ask):
            self._counts[_STALE] += 1
            return entry.ring
        if may_ask:
            return self._ask(lookup.tenant, step.loop, step.until, may_retry=result is None)
        if result is None:
            self._log.failed(self._timed_out)
        self._counts[_ERROR] += 1
        raise _Unavailable

    def _leave(self, step: "_Wait") -> None:
        """End the wait of a request. A look-up that no request waits for is not started."""
        lookup = step.lookup
        with self._lock:
            self._set(_held_threads=self._held_threads - step.holds_thread)
            lookup.waiting -= 1
            if not lookup.waiting and not lookup.is_ahead and self._queue.remove(lookup):
                self._forget(lookup)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock, then begin the look-ups that were chosen.

        They begin without the lock: with gevent, other greenlets run while a thread starts, and would wait for the lock
        without an end.
        """
        with self._lock:
            yield
        # One at a time: with gevent, the request may end while a thread starts, and the next request begins the others.
        while (lookup := self._next_to_begin()) is not None:
            self._begin(lookup)

    def _next_to_begin(self) -> Lookup | None:
        # Without the lock: several threads may take look-ups at a time.
        try:
            return self._to_begin.pop(0)
        except IndexError:
            return None

    # Look-ups: these functions are called with the lock held.

    def _running(self, tenant: Tenant, loop: Any, now: float) -> Lookup | None:
        """Return the running look-up of a tenant, if it may still end."""
        lookup = self._lookups.get(tenant)
        if lookup is not None and lookup.is_on_loop:
            if lookup.age(now) >= self._timeout:
                self._lose(lookup, stands_still=True)
            elif lookup.loop is not loop and has_stopped(lookup.loop):
                self._lose(lookup)
        return self._lookups.get(tenant)

    def _start(self, tenant: Tenant, loop: Any, now: float, *, is_ahead: bool) -> Lookup | None:
        """Return a new look-up of a tenant; None if too many wait."""
        kind = Kind.KNOWN if self._entries.has_had_keys(tenant) else Kind.NEW
        lookup = self._make(tenant, kind, loop, is_ahead=is_ahead)
        if not self._queue.add(lookup):
            return None
        self._lookups[tenant] = lookup
        self._begin_next(now)
        return lookup

    def _make(self, tenant: Tenant, kind: Kind, loop: Any, *, is_ahead: bool) -> Lookup:
        is_on_loop = loop is not None and self._source.needs_loop
        return Lookup(tenant, kind, loop, is_on_loop=is_on_loop, is_ahead=is_ahead)

    def _runs_ahead(self, loop: Any) -> bool:
        """Return whether a look-up can run beside the requests."""
        if loop is not None and self._state.loses_lookups:
            return False  # Each request may have its own loop, which ends with it.
        return runs_threads() or (loop is not None and self._source.needs_loop)

    def _start_probe(self, now: float, loop: Any) -> Lookup | None:
        """Begin a probe if it is time for one, and return it."""
        for tenant in self._state.next_probe(now) if self._queue.stuck < MAX_STUCK else []:
            probe = self._queue.run(self._make(tenant, Kind.PROBE, loop, is_ahead=True), now)
            self._to_begin.append(probe)
            return probe
        return None

    def _begin_next(self, now: float) -> None:
        while (lookup := self._queue.next(now)) is not None:
            if lookup.is_on_loop and has_ended(lookup.loop):
                self._lose(lookup)
            else:
                self._to_begin.append(lookup)

    def _keep(self, lookup: Lookup, result: LookupResult) -> None:
        # The late answer of a look-up that was given up is used, unless a later look-up has already answered. Such a
        # look-up is not in `running`, so an invalidation does not mark it. Any invalidation since it began counts.
        entry = self._entries.get(lookup.tenant)
        is_latest = entry is None or entry.since <= lookup.since
        is_void = lookup.is_void or (lookup.is_given_up and lookup.invalidations < self._queue.invalidations)
        if result.failure is None and is_latest and not is_void:
            self._entries.keep(lookup.tenant, result.ring, lookup.since)

    def _end(self, lookup: Lookup, result: LookupResult, now: float) -> None:
        """Record the source's answer or failure."""
        self._queue.running.discard(lookup)
        self._forget(lookup)
        if result.failure is None or result.is_answer:
            self._state.answered(lookup.tenant, lookup.started, now, has_keys=result.ring is not None)
        else:
            timed_out = result.failure is self._timed_out
            self._state.failed(lookup.tenant, lookup.kind, lookup.started, now, timed_out=timed_out)
        if result.failure is not None:
            self._set(_last_failure=result.failure)
            self._entries.mark_refresh_failed(lookup.tenant, now)
        lookup.resolve(result)
        self._refuse_where_failing()

    def _lose(self, lookup: Lookup, *, stands_still: bool = False) -> None:
        """Drop a look-up whose event loop has stopped or does not run now. The state of the source stays unknown."""
        self._set(_loop_stands_still=self._loop_stands_still or stands_still)
        self._state.lost()
        lookup.is_given_up = True
        self._queue.remove(lookup)
        self._queue.running.discard(lookup)
        self._forget(lookup)
        lookup.resolve(_LOST)
        if lookup.answer is not None and has_ended(lookup.loop):
            close_unawaited(lookup.answer)

    def _lose_ended(self) -> None:
        """Drop the look-ups whose event loops have ended. A task that has not begun by then does not say so."""
        for lookup in tuple(self._queue.running):
            if lookup.is_on_loop and has_ended(lookup.loop):
                self._lose(lookup)

    def _void(self, lookups: Iterable[Lookup]) -> None:
        """Keep no answer of these running look-ups. Later requests start other ones."""
        self._queue.invalidations += 1
        for lookup in lookups:
            lookup.is_void = True
            self._forget(lookup)

    def _forget(self, lookup: Lookup) -> None:
        if self._lookups.get(lookup.tenant) is lookup:
            del self._lookups[lookup.tenant]

    def _mark_slow(self, lookup: Lookup) -> None:
        if lookup in self._queue.running and not lookup.is_slow:
            lookup.is_slow = True
            self._set(_last_failure=_SLOW)
            self._state.unanswered(lookup.kind, self._clock())
            self._refuse_where_failing()

    def _refuse_where_failing(self) -> None:
        """If the source is failing, stop all look-ups but probes, so that no request waits."""
        if self._state.is_failing:
            for lookup in (*self._queue.clear(), *self._queue.running):
                if lookup.kind is not Kind.PROBE:
                    self._forget(lookup)
                    lookup.resolve(LookupResult(None, self._last_failure))

    def _gives_up(self, lookup: Lookup, now: float) -> bool:
        """Return whether a look-up on a thread has run out of time just now."""
        before = now if self._watched_at is None else self._watched_at
        if now - before > WATCH_EVERY + STANDSTILL and lookup.started <= before:
            lookup.started += now - before - WATCH_EVERY
        age = lookup.age(now)
        if lookup.is_on_loop:
            # It is given up on its loop. If that stands still, others must not wait for it.
            if age >= self._timeout + SLOW_AFTER:
                self._lose(lookup, stands_still=True)
            return False
        if age >= SLOW_AFTER:
            self._mark_slow(lookup)
        if age < self._timeout:
            return False
        lookup.is_given_up = True
        self._queue.stuck += 1
        self._end(lookup, LookupResult(None, self._timed_out), now)
        return True

    # Look-ups: these functions are called without the lock.

    def _begin(self, lookup: Lookup) -> None:
        try:
            if lookup.is_on_loop:
                self._begin_on_loop(lookup, partial(self._source_on_loop, _claim_of(lookup.tenant)), 0.0)
            else:
                self._threads.run(partial(self._run, lookup))
        except Exception as error:  # No thread can be started.
            with self._lock:
                self._end(lookup, LookupResult(None, failure_of(error)), self._clock())
                self._begin_next(self._clock())  # `_locked`, which calls this, begins it.
            return
        with suppress(RuntimeError):  # No thread for the watch can be started. The next look-up tries it again.
            self._begin_watch()

    def _begin_on_loop(self, lookup: Lookup, ask: Callable[[], Any], waited: float) -> None:
        run = self._run_on_trio if is_trio(lookup.loop) else self._run_on_loop
        if not spawn(lookup.loop, run, lookup, ask, waited):
            self._finish(lookup, None)

    def _begin_watch(self) -> None:
        with self._lock:
            if self._watched_at is not None or not runs_threads():
                return
            self._set(_watched_at=self._clock())
        try:
            self._threads.run(self._watch)
        except Exception:
            self._set(_watched_at=None)
            raise

    def _run(self, lookup: Lookup) -> bool:
        lookup.thread = threading.get_ident()
        result: LookupResult | None = _ENDED
        try:
            result = self._look_up(lookup)
        finally:  # Also if the source calls `sys.exit`.
            if result is not None:
                self._finish(lookup, result)
        return result is not None and result.failure is not None

    def _look_up(self, lookup: Lookup) -> LookupResult | None:
        """Return the result of a look-up on a thread; None if it continues on its event loop."""
        try:
            with closing_connections():
                answer = hide(self._source(_claim_of(lookup.tenant)))
                if lookup.loop is None or not inspect.isawaitable(answer.get()):
                    return LookupResult(as_keyring(run_to_completion(answer.get())))
        except (Exception, asyncio.CancelledError) as error:  # A thread is never cancelled.
            return LookupResult(None, failure_of(error), isinstance(error, ConfigError))
        self._continue_on_loop(lookup, answer)
        return None

    def _continue_on_loop(self, lookup: Lookup, answer: Hidden[Any]) -> None:
        """Await an answer on the loop of the request: it may belong to that loop."""
        with self._lock:
            self._queue.stuck -= lookup.is_given_up
            lookup.is_on_loop = True
            waited = lookup.age(self._clock())
            lookup.answer = answer
        if waited < self._timeout:
            self._begin_on_loop(lookup, answer.get, waited)
        else:
            self._finish(lookup, LookupResult(None, self._timed_out))
            close_unawaited(answer)

    async def _run_on_loop(self, lookup: Lookup, ask: Callable[[], Any], waited: float) -> None:
        result = None
        task = asyncio.ensure_future(self._look_up_on_loop(ask))
        try:
            result = await self._result_of(task, lookup, waited)
        finally:  # If the loop ends first, the state of the source is unknown.
            # A task that is left on a closed loop ends in a garbage collection, maybe of a thread that holds the lock.
            # `_lose_ended` finds its look-up.
            if not has_ended(lookup.loop):
                task.cancel()
                self._finish(lookup, result)

    async def _run_on_trio(self, lookup: Lookup, ask: Callable[[], Any], waited: float) -> None:
        import trio

        result = None
        try:
            with KeptInTask(), trio.move_on_after(max(self._timeout - waited, 0.0)) as scope:
                result = await self._look_up_on_loop(ask)
            if scope.cancelled_caught:
                result = LookupResult(None, self._timed_out)
        finally:
            self._finish(lookup, result)

    async def _look_up_on_loop(self, ask: Callable[[], Any]) -> LookupResult:
        try:
            return LookupResult(as_keyring(await await_if_needed(ask())))
        except Exception as error:
            return LookupResult(None, failure_of(error), isinstance(error, ConfigError))

    async def _result_of(self, task: "asyncio.Task[LookupResult]", lookup: Lookup, waited: float) -> LookupResult:
        loop = asyncio.get_running_loop()
        while waited < self._timeout:
            seconds, before = min(SLOW_AFTER, self._timeout - waited), loop.time()
            await asyncio.wait([task], timeout=seconds)
            if task.done():
                return _ENDED if task.cancelled() else task.result()
            if loop.time() - before > seconds + STANDSTILL:
                continue  # The loop stood still, as it does between two invocations of a function.
            waited += seconds
            with self._locked():
                if waited >= SLOW_AFTER:
                    self._mark_slow(lookup)
                self._start_probe(self._clock(), loop)
        return LookupResult(None, self._timed_out)

    def _finish(self, lookup: Lookup, result: LookupResult | None) -> None:
        """Finish a look-up. The result is None if its event loop has ended first."""
        if result is not None and not lookup.is_given_up:
            self._tell(result)
        with self._locked():
            was_given_up = lookup.is_given_up
            if was_given_up:
                self._queue.stuck -= not lookup.is_on_loop
            if result is None:
                # The loop ends, and runs no new task to its end.
                for lost in (lookup, *self._queue.waiting_on(lookup.loop)):
                    self._lose(lost)
            else:
                self._keep(lookup, result)
                if not was_given_up:
                    self._set(_loop_stands_still=self._loop_stands_still and lookup.waiting > 0)
                    self._end(lookup, result, self._clock())
            self._begin_next(self._clock())

    def _tell(self, result: LookupResult) -> None:
        if result.failure is not None:
            self._log.failed(result.failure)
        elif self._log.is_failing:
            self._log.succeeded()

    def _watch(self) -> None:
        goes_on = True
        while goes_on:
            time.sleep(WATCH_EVERY)
            goes_on = self._look_at_running()

    def _look_at_running(self) -> bool:
        """Give up the look-ups that have run out of time. Return whether to look again."""
        with self._locked():
            now = self._clock()
            self._lose_ended()
            given_up = [lookup for lookup in tuple(self._queue.running) if self._gives_up(lookup, now)]
            may_probe = not self._source.needs_loop and self._idle_looks < MAX_IDLE_LOOKS
            if may_probe:
                # A sync source may return a coroutine that belongs to the loop of the requests.
                loop = self._last_loop
                self._start_probe(now, None if loop is None or has_stopped(loop) else loop)
            self._begin_next(now)
            goes_on = bool(self._queue.running) or (may_probe and self._state.is_failing)
            self._set(_watched_at=now if goes_on else None, _idle_looks=self._idle_looks + 1)
        for lookup in given_up:
            give_up(lookup.thread)
            self._log.failed(self._timed_out)
        return goes_on

    def _after_fork(self) -> None:
        if self._lock.locked():  # A thread of the parent was changing what is remembered.
            self._forget_all()
        self._reset()

    def _forget_all(self) -> None:
        entries = self._make_entries()
        self._set(_entries=entries, _current=entries.current)

    def _reset(self) -> None:
        self._set(
            _lock=Lock(),
            _lookups={},
            _queue=LookupQueue(*self._limits),
            _to_begin=[],
            _state=SourceState(),
            _threads=DaemonThreads("hmac_guard-keys", self._limits[0]),
            _watched_at=None,
            _idle_looks=0,
            _held_threads=0,
            _loop_stands_still=False,
            _last_loop=None,
            _counts=[0, 0, 0, 0],
        )

    @property
    def stats(self) -> CacheStats:
        """The number of requests by how they were served, since this was made or the process was forked."""
        return CacheStats(*self._counts)

    @property
    def needs_loop(self) -> bool:
        return self._source.needs_loop

    @property
    def needs_tenant(self) -> bool:
        return super().needs_tenant or self._source.needs_tenant

    @property
    def is_shared(self) -> bool:
        return super().is_shared or self._source.is_shared

    def known_rings(self) -> Mapping[str, Keyring]:
        return self._source.known_rings()

    def known_keys(self) -> Iterable[Key]:
        return self._source.known_keys()

    def _description(self) -> str:
        return f"CachedKeys({self._source!r})"


class _Wait(NamedTuple):
    """A request that waits for a look-up.

    Attributes:
        tenant: The tenant of the request.
        lookup: The look-up of this tenant, or a probe.
        loop: The event loop of the request; None under WSGI.
        seconds: How long it waits now.
        until: The time at which its wait ends, in seconds of the cache's clock.
        may_retry: It may start another look-up if this one fails.
        holds_thread: It is under WSGI, and has no usable keys.
    """

    tenant: Tenant
    lookup: Lookup
    loop: Any
    seconds: float
    until: float
    may_retry: bool
    holds_thread: bool


class _Unavailable(KeysUnavailable):
    """No usable keys are left. The cache has already logged why."""

    is_logged = True

    def __init__(self) -> None:
        super().__init__("the source of keys failed, and no good keys are left to use")


_ENDED = LookupResult(None, Failure("the look-up ended without an answer", ""))
_LOST = LookupResult(None, Failure("the event loop of the look-up ended first", ""))
_SLOW = Failure(f"no answer within {SLOW_AFTER:g} s", "")
_QUEUE_IS_FULL = Failure("too many look-ups wait already (max_waiting)", "")


def _check_declared(source: Resolver, per_tenant: bool) -> None:
    if not isinstance(per_tenant, bool):
        raise ConfigError("CachedKeys: per_tenant must be True, False or None")
    if source.is_shared if per_tenant else source.needs_tenant:
        raise ConfigError(
            f"CachedKeys: per_tenant={per_tenant}, but {source!r} says otherwise of itself or of a part; leave it out"
        )


def _claim_of(tenant: Tenant) -> Claim:
    return Claim("", NO_IDS, tenant)
