"""`CachedKeys` if each request has its own event loop, which ends with it, as with Django's async views under WSGI.

The clock moves when a test says so.
"""

import asyncio
import gc
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import trio
import trio.testing
from key_sources import KEY, OTHER_KEY, Clock, claim_of
from waiting import TIMEOUT, becomes_true, hang_in_nursery

from hmac_guard import Claim, Key, Keyring, KeysUnavailable
from hmac_guard.keys import CachedKeys, cached
from hmac_guard.keys.cache_state import Kind
from hmac_guard.keys.calling import runs_on_trio

# If a loop ends before a task begins, Python says so when it frees the task.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine 'CachedKeys._.* was never awaited")

TTL = 20.0


@pytest.fixture(autouse=True)
def free_tasks() -> Iterator[None]:
    # The collector looks only at what the test has made: to look at everything takes most of a second.
    gc.freeze()
    yield
    gc.collect()


class Api:
    """A source that answers after a moment. It can fail, revoke a tenant, and hold its answers back."""

    def __init__(self) -> None:
        self.fails = False
        self.key: Any = KEY
        self.revoked: str | None = None
        self.began: list[str | None] = []
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.returns = threading.Event()
        self.returns.set()

    async def fetch(self, claim: Claim) -> Any:
        self.began.append(claim.tenant)
        pause = trio.sleep if runs_on_trio() else asyncio.sleep
        await pause(0.001)
        fails, key = self.fails, None if claim.tenant == self.revoked else self.key
        while not self.goes_on.is_set():
            await pause(0.001)
        if fails:
            raise OSError
        return key

    def returning_a_coroutine(self, claim: Claim) -> Awaitable[Any]:
        assert self.returns.wait(TIMEOUT)
        return self.fetch(claim)


def watch(keys: CachedKeys) -> None:
    """What the watching thread of the cache does if no time passes."""
    goes_on = True
    while goes_on:
        time.sleep(0.005)
        with keys._locked():
            keys._lose_ended()
            goes_on = bool(keys._queue.running)
            keys._set(_watched_at=keys._watched_at if goes_on else None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(CachedKeys, "_watch", watch)
    return Clock()


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture(params=["an async source", "a sync source that returns a coroutine"])
def keys(request: pytest.FixtureRequest, api: Api, clock: Clock) -> Iterator[CachedKeys]:
    source = api.fetch if request.param == "an async source" else api.returning_a_coroutine
    keys = CachedKeys(
        source, ttl=TTL, negative_ttl=TTL, stale_if_error=1e9, clock=clock, max_lookups=4, timeout=TIMEOUT
    )
    yield keys
    assert becomes_true(lambda: not keys._queue.running)


Run = Callable[[Callable[[], Awaitable[Any]]], Any]


def run_asyncio(main: Callable[[], Any]) -> Any:
    return asyncio.run(main())


@pytest.fixture(params=[run_asyncio, trio.run], ids=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Any:
    return request.param


async def answer(keys: CachedKeys, tenant: str) -> Any:
    try:
        found = keys.on_loop(claim_of(tenant))
        return await found if asyncio.iscoroutine(found) else found
    except KeysUnavailable:
        return "unavailable"


def ask(keys: CachedKeys, tenant: str, run: Run = run_asyncio) -> Any:
    """One request, on a loop that ends with it."""
    return run(lambda: answer(keys, tenant))


def failed_renewals(keys: CachedKeys, tenants: Iterable[str]) -> list[str]:
    """The tenants whose renewal counts as a failure of the source."""
    entries = {tenant: keys._entries.get(tenant) for tenant in tenants}
    return [tenant for tenant, entry in entries.items() if entry is not None and entry.retry_at > 0]


def make_failing(keys: CachedKeys, api: Api, clock: Clock, run: Run) -> None:
    for tenant in ("acme", "globex"):
        assert isinstance(ask(keys, tenant, run), Keyring)
    api.fails = True
    clock.pass_by(TTL + 1)
    for tenant in ("acme", "globex"):
        assert isinstance(ask(keys, tenant, run), Keyring)
    assert keys._state.is_failing


def recovers(keys: CachedKeys, clock: Clock, run: Run) -> bool:
    """Whether the source is well again after requests that follow one another within seconds."""

    def is_well() -> bool:
        clock.pass_by(1)
        ask(keys, "acme", run)
        return keys._state.is_well

    return becomes_true(is_well)


def test_a_source_that_works_again_is_used_again(keys: CachedKeys, api: Api, clock: Clock, run: Run) -> None:
    make_failing(keys, api, clock, run)
    assert ask(keys, "new", run) == "unavailable"
    for _ in range(3):
        clock.pass_by(1)
        ask(keys, "acme", run)
    assert keys._state.is_failing

    api.fails = False

    assert recovers(keys, clock, run)
    assert isinstance(ask(keys, "new", run), Keyring)


def test_a_source_that_works_again_is_used_again_in_a_process_without_threads(
    api: Api, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached, "runs_threads", lambda: False)
    keys = CachedKeys(api.fetch, ttl=TTL, stale_if_error=1e9, clock=clock)
    make_failing(keys, api, clock, run_asyncio)
    api.fails = False

    assert recovers(keys, clock, run_asyncio)


def is_waited_for(keys: CachedKeys, kind: Kind) -> bool:
    return any(lookup.kind is kind and lookup.waiting for lookup in tuple(keys._queue.running))


def test_one_request_at_a_time_waits_for_a_source_that_hangs(
    keys: CachedKeys, api: Api, clock: Clock, run: Run
) -> None:
    make_failing(keys, api, clock, run)
    api.fails = False
    api.goes_on.clear()

    def starts_to_wait() -> bool:
        clock.pass_by(1)
        futures.append(pool.submit(ask, keys, "acme", run))
        return becomes_true(lambda: is_waited_for(keys, Kind.PROBE) or futures[-1].done(), 1) and not futures[-1].done()

    with ThreadPoolExecutor() as pool:
        futures: list[Any] = []
        try:
            assert becomes_true(starts_to_wait)
            for _ in range(5):
                clock.pass_by(1)
                assert isinstance(ask(keys, "globex", run), Keyring)
                assert ask(keys, "new", run) == "unavailable"
            assert not futures[-1].done()
        finally:
            api.goes_on.set()
        assert isinstance(futures[-1].result(TIMEOUT), Keyring)

    assert keys._state.is_well


def test_a_slow_source_that_is_fast_again_is_well_again(keys: CachedKeys, api: Api, clock: Clock, run: Run) -> None:
    ask(keys, "acme", run)
    with keys._lock:
        keys._state.unanswered(Kind.KNOWN, clock())
    clock.pass_by(TTL + 1)

    assert recovers(keys, clock, run)


@pytest.mark.without_coverage
@pytest.mark.parametrize("fails_before", [False, True], ids=["always well", "after a failure"])
def test_a_revoked_key_is_used_for_its_ttl_at_most(
    keys: CachedKeys, api: Api, clock: Clock, run: Run, fails_before: bool
) -> None:
    if fails_before:
        make_failing(keys, api, clock, run)
        api.fails = False
        assert recovers(keys, clock, run)
    for step in range(40):
        if step == 15:
            api.revoked, revoked_at = "acme", clock()
        clock.pass_by(2)
        found = ask(keys, "acme", run)
        assert isinstance(ask(keys, "globex", run), Keyring)
        assert isinstance(ask(keys, f"new {step}", run), Keyring)
        if step > 15 and clock() >= revoked_at + TTL:
            assert found is None
        assert keys._state.is_well


def test_a_renewal_that_ends_with_its_loop_is_no_failure_of_the_source(
    keys: CachedKeys, api: Api, clock: Clock
) -> None:
    tenants = ("acme", "globex", "initech")
    for tenant in tenants:
        ask(keys, tenant)
    api.goes_on.clear()
    clock.pass_by(TTL / 2)

    async def renew(tenant: str) -> None:
        known = len(api.began)
        assert isinstance(await answer(keys, tenant), Keyring)
        for _ in range(1_000):
            if len(api.began) > known:
                return
            await asyncio.sleep(0.001)

    for tenant in tenants:
        keys._state.loses_lookups = False
        asyncio.run(renew(tenant))
    assert api.began[3:] == list(tenants)

    assert becomes_true(lambda: not keys._queue.running)
    assert keys._state.is_well
    assert failed_renewals(keys, tenants) == []
    ask(keys, "acme")
    assert not keys._lookups  # The next loop would end before its renewal, too.
    api.goes_on.set()
    assert isinstance(ask(keys, "new"), Keyring)


def test_a_coroutine_that_is_returned_after_the_end_of_its_loop_is_no_failure_of_the_source(
    api: Api, clock: Clock, run: Run
) -> None:
    keys = CachedKeys(api.returning_a_coroutine, ttl=TTL, clock=clock)
    ask(keys, "acme", run)
    api.returns.clear()
    clock.pass_by(TTL / 2)
    assert isinstance(ask(keys, "acme", run), Keyring)
    assert keys._queue.running

    api.returns.set()

    assert becomes_true(lambda: not keys._queue.running)
    assert failed_renewals(keys, ["acme"]) == []


def test_a_renewal_that_would_begin_on_an_ended_loop_is_no_failure_of_the_source(api: Api, clock: Clock) -> None:
    keys = CachedKeys(api.fetch, ttl=TTL, clock=clock, max_lookups=4)  # Three of them for tenants with keys.
    tenants = [f"tenant-{number}" for number in range(500)]

    async def ask_for(tenants: list[str]) -> None:
        for tenant in tenants:
            await answer(keys, tenant)

    asyncio.run(ask_for(tenants))
    api.goes_on.clear()
    clock.pass_by(TTL / 2)

    async def main() -> None:
        await ask_for(tenants[:3])
        await asyncio.to_thread(asyncio.run, ask_for(tenants[3:]))
        assert len(keys._lookups) == len(tenants)
        api.key = OTHER_KEY
        api.goes_on.set()
        await asyncio.to_thread(becomes_true, lambda: not keys._lookups)

    asyncio.run(main())

    assert not keys._lookups
    assert failed_renewals(keys, tenants) == []


def test_a_request_that_waits_for_a_look_up_of_an_ended_loop_makes_another_one(
    keys: CachedKeys, api: Api, clock: Clock
) -> None:
    old = ask(keys, "acme")
    assert isinstance(old, Keyring)
    api.goes_on.clear()
    clock.pass_by(0.89 * TTL)
    ends = threading.Event()

    async def renew() -> None:
        assert await answer(keys, "acme") is old
        while not ends.is_set():
            await asyncio.sleep(0.001)

    with ThreadPoolExecutor() as pool:
        first = pool.submit(asyncio.run, renew())
        try:
            assert becomes_true(lambda: len(api.began) == 2)
            clock.pass_by(0.12 * TTL)
            second = pool.submit(ask, keys, "acme")
            assert becomes_true(lambda: is_waited_for(keys, Kind.KNOWN))
            api.key = Keyring(Key(OTHER_KEY), mode="report")
        finally:
            ends.set()
            first.result(TIMEOUT)
            api.goes_on.set()

        found = second.result(TIMEOUT)

    assert isinstance(found, Keyring)
    assert found.mode == "report"


def test_a_loop_that_ends_begins_no_look_up(api: Api, clock: Clock, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    keys = CachedKeys(api.fetch, ttl=TTL, clock=clock, max_lookups=1)
    tenants = ["acme", "globex", "initech"]

    async def look_up() -> None:
        for tenant in tenants:
            assert isinstance(await answer(keys, tenant), Keyring)

    async def renew() -> None:
        api.goes_on.clear()
        await look_up()
        while api.began == tenants:
            await (trio.sleep if runs_on_trio() else asyncio.sleep)(0.001)

    run(look_up)
    clock.pass_by(TTL * 0.6)
    run(renew)

    assert api.began == [*tenants, "acme"]
    assert not keys._lookups
    gc.collect()
    assert not caplog.records


def test_the_run_of_trio_goes_on_if_a_cancelled_source_raises_a_group() -> None:
    keys = CachedKeys(lambda claim: hang_in_nursery(), timeout=0.05)

    async def ask() -> None:
        with pytest.raises(KeysUnavailable):
            await keys.on_loop(claim_of("acme"))
        await trio.testing.wait_all_tasks_blocked()

    trio.run(ask)
    assert keys._last_failure == keys._timed_out


def test_the_run_of_trio_ends_well_while_a_source_hangs_that_raises_a_group() -> None:
    async def source(claim: Claim) -> None:
        await hang_in_nursery()

    keys = CachedKeys(source)

    async def ask() -> str:
        with trio.move_on_after(0.05):
            await keys.on_loop(claim_of("acme"))
        return "ended"

    assert trio.run(ask) == "ended"
