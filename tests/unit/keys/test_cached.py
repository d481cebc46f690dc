"""What `CachedKeys` remembers, for how long, and what it does when its source fails."""

import asyncio
import concurrent.futures
import logging
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from key_sources import KEY, OTHER_KEY, Clock, Source, claim_of, failing
from waiting import TIMEOUT, becomes_true

from hmac_guard import Claim, ConfigError, Key, Keyring, KeysUnavailable
from hmac_guard.keys import CachedKeys, cache_state


def answers(keys: CachedKeys, tenant: str) -> bool:
    """Whether the cache has keys of a tenant, on a thread."""
    try:
        return keys(claim_of(tenant)) is not None
    except KeysUnavailable:
        return False


Ask = Callable[[CachedKeys, str | None], Keyring | None]


def from_thread(keys: CachedKeys, tenant: str | None) -> Keyring | None:
    return keys(claim_of(tenant))


@pytest.fixture(params=["a thread", "an event loop"])
def ask(request: pytest.FixtureRequest) -> Iterator[Ask]:
    if request.param == "a thread":
        yield from_thread
        return
    loop = asyncio.new_event_loop()

    async def from_loop(keys: CachedKeys, tenant: str | None) -> Any:
        answer = keys.on_loop(claim_of(tenant))
        return await answer if isinstance(answer, Awaitable) else answer

    yield lambda keys, tenant: loop.run_until_complete(from_loop(keys, tenant))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@pytest.fixture(params=["sync", "asynchronous"], ids=["sync source", "async source"])
def colour(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def cached(source: Source, colour: str, **options: Any) -> CachedKeys:
    return CachedKeys(getattr(source, colour), **options)


def test_a_tenant_is_asked_for_once_within_its_ttl(ask: Ask, colour: str) -> None:
    source, clock = Source(), Clock()
    keys = cached(source, colour, ttl=60, clock=clock)

    first = ask(keys, "acme")
    clock.pass_by(26)

    assert ask(keys, "acme") is first
    assert len(source.asked) == 1


def test_a_tenant_is_renewed_beside_its_requests_before_its_ttl_ends(ask: Ask, colour: str) -> None:
    source, clock, go_on = Source(), Clock(), threading.Event()
    keys = cached(source, colour, ttl=60, clock=clock)
    first = ask(keys, "acme")

    source.answer = lambda claim: go_on.wait(TIMEOUT) and OTHER_KEY
    clock.pass_by(53)
    if colour == "sync":
        assert [ask(keys, "acme") for _ in range(3)] == [first] * 3
    go_on.set()

    assert becomes_true(lambda: ask(keys, "acme") is not first)
    assert len(source.asked) == 2


def test_a_tenant_is_asked_for_again_after_its_ttl(ask: Ask, colour: str) -> None:
    source, clock = Source(), Clock()
    keys = cached(source, colour, ttl=60, clock=clock)

    first = ask(keys, "acme")
    clock.pass_by(60)

    assert ask(keys, "acme") is not first
    assert len(source.asked) == 2


def test_a_tenant_without_keys_is_remembered_for_the_negative_ttl(ask: Ask, colour: str) -> None:
    source, clock = Source(None), Clock()
    keys = cached(source, colour, negative_ttl=10, clock=clock)

    assert ask(keys, "new") is None
    source.answer = KEY
    clock.pass_by(8)
    assert ask(keys, "new") is None
    clock.pass_by(2)

    assert ask(keys, "new") is not None
    assert len(source.asked) == 2


def test_tenants_expire_at_different_times(ask: Ask) -> None:
    source, clock = Source(), Clock()
    keys = CachedKeys(source.sync, ttl=100, clock=clock)
    tenants = [f"tenant-{number}" for number in range(50)]
    for tenant in tenants:
        ask(keys, tenant)

    clock.pass_by(47.5)
    for tenant in tenants:
        ask(keys, tenant)

    assert becomes_true(lambda: len(source.asked) > 50)
    assert len(source.asked) < 100


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("acme", "ACME", id="another case"),
        pytest.param("acme", "acme\u200b", id="an invisible character more"),
        pytest.param("é", "e\u0301", id="another normal form"),
        pytest.param("1", "\N{FULLWIDTH DIGIT ONE}", id="a full-width digit"),
    ],
)
def test_tenants_that_look_alike_are_two(ask: Ask, one: str, other: str) -> None:
    source = Source()
    keys = CachedKeys(source.sync)

    assert ask(keys, one) is not ask(keys, other)
    assert [claim.tenant for claim in source.asked] == [one, other]


def test_the_source_sees_the_tenant_and_nothing_else_of_the_request() -> None:
    source = Source()
    keys = CachedKeys(source.sync)

    keys(Claim("orders", {"customer": "1"}, "acme", method="GET", path="/orders/1"))

    [claim] = source.asked
    assert (claim.tenant, dict(claim.ids), claim.method, claim.path) == ("acme", {}, "", "")


def test_a_source_that_goes_by_ids_fails_instead_of_serving_one_customer_to_all(ask: Ask) -> None:
    keys = CachedKeys(lambda claim: {"1": KEY}[claim.ids["customer"]])

    with pytest.raises(KeysUnavailable):
        ask(keys, None)


def test_a_thousand_threads_that_miss_one_tenant_make_one_look_up(colour: str) -> None:
    everybody_is_here = threading.Barrier(1_000)
    source = Source()
    keys = cached(source, colour, timeout=TIMEOUT)

    def miss(_: int) -> Keyring | None:
        everybody_is_here.wait(2 * TIMEOUT)
        return keys(claim_of("acme"))

    with ThreadPoolExecutor(1_000) as pool:
        rings = set(pool.map(miss, range(1_000)))

    assert (len(source.asked), len(rings)) == (1, 1)


def test_a_thousand_tasks_that_miss_one_tenant_make_one_look_up(colour: str) -> None:
    source = Source()
    keys = cached(source, colour, timeout=TIMEOUT)

    async def miss() -> Any:
        answer = keys.on_loop(claim_of("acme"))
        return await answer if isinstance(answer, Awaitable) else answer

    async def misses() -> set[Any]:
        return set(await asyncio.gather(*(miss() for _ in range(1_000))))

    rings = asyncio.run(misses())

    assert (len(source.asked), len(rings)) == (1, 1)


def test_a_cancelled_first_request_cancels_no_other() -> None:
    source = Source()
    released = asyncio.Event()

    async def slowly(claim: Any) -> str:
        source.sync(claim)
        await released.wait()
        return KEY

    async def misses() -> list[Any]:
        keys = CachedKeys(slowly, timeout=TIMEOUT)
        leader, *others = (asyncio.ensure_future(keys.on_loop(claim_of("acme"))) for _ in range(10))
        while not source.asked:
            await asyncio.sleep(0)
        leader.cancel()
        await asyncio.wait([leader])
        released.set()
        return await asyncio.gather(*others)

    rings = asyncio.run(misses())

    assert len(source.asked) == 1
    assert all(isinstance(ring, Keyring) for ring in rings)


def test_a_failed_first_request_fails_no_other() -> None:
    source = Source()
    released = threading.Event()

    def fail_once(claim: Any) -> str:
        source.sync(claim)
        if len(source.asked) == 1:
            released.wait(TIMEOUT)
            raise OSError("once")
        leader.exception(TIMEOUT)  # else the leader may be served by what the second look-up found
        return KEY

    keys = CachedKeys(fail_once, timeout=TIMEOUT)
    with ThreadPoolExecutor(10) as pool:
        leader = pool.submit(keys, claim_of("acme"))
        while not source.asked:
            pass
        others = [pool.submit(keys, claim_of("acme")) for _ in range(9)]
        while pool._work_queue.qsize():
            pass
        released.set()
        rings = {other.result(TIMEOUT) for other in others}

    assert isinstance(leader.exception(), KeysUnavailable)
    assert [claim.tenant for claim in source.asked].count("acme") == 2
    assert all(isinstance(ring, Keyring) for ring in rings)


def test_an_error_is_not_remembered(ask: Ask, colour: str) -> None:
    source = Source(failing(OSError()))
    keys = cached(source, colour)
    with pytest.raises(KeysUnavailable):
        ask(keys, "acme")

    source.answer = KEY

    assert ask(keys, "acme") is not None


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(failing(OSError()), id="raises"),
        pytest.param("", id="an empty key"),
        pytest.param(" \t", id="a blank key"),
        pytest.param(7, id="a number"),
        pytest.param({"acme": KEY}, id="a mapping"),
        pytest.param([KEY, KEY], id="the same key twice"),
    ],
)
def test_a_failing_source_leaves_the_last_good_keys_in_use(ask: Ask, answer: Any) -> None:
    source, clock = Source(), Clock()
    keys = CachedKeys(source.sync, ttl=60, stale_if_error=300, clock=clock)
    good = ask(keys, "acme")

    source.answer = answer
    clock.pass_by(359)

    assert ask(keys, "acme") is good


def test_the_cache_counts_how_it_served_each_request(ask: Ask, colour: str) -> None:
    source, clock = Source(), Clock()
    keys = cached(source, colour, ttl=60, stale_if_error=300, clock=clock)
    counted = [keys.stats]

    def count(tenant: str, after: float) -> None:
        clock.pass_by(after)
        if tenant == "new":
            with pytest.raises(KeysUnavailable):
                ask(keys, tenant)
        else:
            ask(keys, tenant)
        counted.append(keys.stats)

    count("acme", 0)
    count("beta", 0)
    count("acme", 20)
    source.answer = failing(OSError())
    count("acme", 60)
    count("new", 0)  # It waits for a look-up that fails.
    count("beta", 0)  # The second tenant with keys that fails: the source counts as failing.
    count("new", 0)  # It does not wait.
    served = [
        [name for name in now._fields if getattr(now, name) != getattr(before, name)]
        for before, now in pairwise(counted)
    ]
    kinds = ["misses", "misses", "hits", "stale", "errors", "stale", "errors"]
    assert served == [[kind] for kind in kinds]
    assert keys.stats == (1, 2, 2, 2)


@pytest.mark.parametrize("expires", [False, True], ids=["after their ttl", "after expire"])
def test_keys_whose_renewal_failed_once_are_looked_up_before_they_are_used_again(expires: bool) -> None:
    source, clock = Source(), Clock()
    keys = CachedKeys(source.sync, ttl=60, clock=clock)
    good, _ = (keys(claim_of(tenant)) for tenant in ("acme", "other"))
    clock.pass_by(40)
    source.answer = failing(OSError())
    assert keys(claim_of("acme")) is good
    assert becomes_true(lambda: len(source.asked) > 2 and not keys._queue.running)
    source.answer = KEY
    keys(claim_of("other"))
    assert becomes_true(lambda: len(source.asked) > 4 and not keys._queue.running)

    if expires:
        keys.expire()
    else:
        clock.pass_by(30)

    assert keys(claim_of("acme")) is not good


def test_a_tenant_that_the_source_fails_for_is_tried_again_once_a_second(ask: Ask, colour: str) -> None:
    source, clock = Source(), Clock()
    keys = cached(source, colour, ttl=60, clock=clock)
    good, _ = ask(keys, "acme"), ask(keys, "other")
    keys.expire()
    source.answer = lambda claim: failing(OSError())(claim) if claim.tenant == "acme" else KEY

    asked = []
    for _ in range(20):
        assert ask(keys, "acme") is good
        ask(keys, "other")
        asked.append([claim.tenant for claim in source.asked].count("acme"))
        clock.pass_by(0.25)

    assert 2 <= asked[-1] <= 1 + 5 + 5  # Probes ask for it too.


def test_a_source_that_ends_its_thread_has_failed() -> None:
    source = Source(failing(SystemExit()))
    keys = CachedKeys(source.sync)

    with pytest.raises(KeysUnavailable):
        keys(claim_of("acme"))
    source.answer = KEY
    assert becomes_true(lambda: answers(keys, "acme"))


def test_the_last_good_keys_end_with_stale_if_error(ask: Ask, colour: str) -> None:
    source, clock = Source(), Clock()
    keys = cached(source, colour, ttl=60, stale_if_error=300, clock=clock)
    ask(keys, "acme")

    source.answer = failing(OSError())
    clock.pass_by(350)
    ask(keys, "acme")
    clock.pass_by(10)

    with pytest.raises(KeysUnavailable):
        ask(keys, "acme")


def test_a_tenant_last_heard_of_as_unknown_is_unavailable_while_the_source_fails(ask: Ask) -> None:
    source, clock = Source(None), Clock()
    keys = CachedKeys(source.sync, negative_ttl=10, clock=clock)
    assert ask(keys, "new") is None

    source.answer = failing(OSError())
    clock.pass_by(10)

    with pytest.raises(KeysUnavailable):
        ask(keys, "new")


def test_while_the_source_hangs_the_last_good_keys_serve_without_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_state, "RETRY", 0.0)
    source, clock, hanging = Source(), Clock(), threading.Event()
    keys = CachedKeys(source.sync, ttl=60, timeout=5, clock=clock)
    good = keys(claim_of("acme"))
    source.answer = lambda claim: hanging.wait(TIMEOUT) and KEY
    clock.pass_by(60)
    waits: list[float] = []

    def wait(futures: list[Any], seconds: float) -> None:
        if not all(future.done() for future in futures):
            waits.append(seconds)
            clock.pass_by(seconds)

    monkeypatch.setattr(concurrent.futures, "wait", wait)
    served = [keys(claim_of("acme")) for _ in range(100)]
    hanging.set()

    assert set(served) == {good}
    assert waits == [1]


def test_a_source_that_comes_back_is_used_again(ask: Ask, colour: str) -> None:
    source, clock = Source(), Clock()
    keys = cached(source, colour, ttl=60, clock=clock)
    good = ask(keys, "acme")
    source.answer = failing(OSError())
    clock.pass_by(60)
    assert ask(keys, "acme") is good

    source.answer = OTHER_KEY
    clock.pass_by(1)

    assert becomes_true(lambda: ask(keys, "acme") is not good)


def test_a_request_waits_no_longer_than_the_timeout(ask: Ask) -> None:
    hanging = threading.Event()
    keys = CachedKeys(lambda claim: (hanging.wait(TIMEOUT), KEY)[1], timeout=0.05)

    with pytest.raises(KeysUnavailable):
        ask(keys, "acme")
    hanging.set()


def test_an_async_source_that_hangs_is_cancelled() -> None:
    cancelled = []

    async def hang(claim: Any) -> str:
        try:
            await asyncio.sleep(TIMEOUT)
        except asyncio.CancelledError:
            cancelled.append(claim.tenant)
            raise
        return KEY

    async def miss() -> None:
        await keys.on_loop(claim_of("acme"))

    keys = CachedKeys(hang, timeout=0.05)
    with pytest.raises(KeysUnavailable):
        asyncio.run(miss())

    assert cancelled == ["acme"]


def test_an_invalidated_tenant_is_asked_for_again(ask: Ask, colour: str) -> None:
    source = Source()
    keys = cached(source, colour)
    first = ask(keys, "acme")
    ask(keys, "other")

    keys.invalidate("acme")

    assert ask(keys, "acme") is not first
    assert [claim.tenant for claim in source.asked] == ["acme", "other", "acme"]


def test_an_invalidated_tenant_is_not_served_stale(ask: Ask) -> None:
    source = Source()
    keys = CachedKeys(source.sync)
    ask(keys, "acme")

    keys.invalidate("acme")
    source.answer = failing(OSError())

    with pytest.raises(KeysUnavailable):
        ask(keys, "acme")


def test_a_look_up_from_before_an_invalidation_is_not_kept() -> None:
    reading, go_on = threading.Event(), threading.Event()

    def read(claim: Any) -> Any:
        answer = source.answer
        reading.set()
        go_on.wait(TIMEOUT)
        return answer

    source = Source(Key(KEY, "old"))
    keys = CachedKeys(read, timeout=TIMEOUT)
    with ThreadPoolExecutor(1) as pool:
        before = pool.submit(keys, claim_of("acme"))
        reading.wait(TIMEOUT)
        source.answer = Key(KEY, "new")
        keys.invalidate("acme")
        go_on.set()
        before.result(TIMEOUT)

    after = keys(claim_of("acme"))
    assert after is not None
    assert after.keys[0].id == "new"


def test_expiry_asks_anew_and_falls_back_on_what_is_known(ask: Ask) -> None:
    source = Source()
    keys = CachedKeys(source.sync)
    first = ask(keys, "acme")

    keys.expire()
    second = ask(keys, "acme")
    keys.expire()
    source.answer = failing(OSError())

    assert second is not first
    assert ask(keys, "acme") is second


@pytest.mark.without_coverage
def test_unknown_tenants_do_not_evict_known_ones() -> None:
    source = Source(lambda claim: KEY if claim.tenant.startswith("good") else None)
    keys = CachedKeys(source.asynchronous, maxsize=100, clock=Clock())

    async def flood() -> list[Any]:
        for number in range(100):
            await keys.on_loop(claim_of(f"good-{number}"))
        for number in range(3 * cache_state.UNKNOWN_TENANTS):
            await keys.on_loop(claim_of(f"unknown-{number}"))
        source.asked.clear()
        return [keys.on_loop(claim_of(f"good-{number}")) for number in range(100)]

    rings = asyncio.run(flood())

    assert all(isinstance(ring, Keyring) for ring in rings)
    assert len(keys._entries) == 100 + cache_state.UNKNOWN_TENANTS


def test_the_tenant_not_asked_for_the_longest_leaves_first() -> None:
    source, clock = Source(), Clock()
    keys = CachedKeys(source.sync, ttl=60, maxsize=2, clock=clock)
    for tenant in ("idle", "busy"):
        keys(claim_of(tenant))
    clock.pass_by(60)
    keys(claim_of("busy"))
    keys(claim_of("new"))
    source.asked.clear()

    for tenant in ("busy", "new"):
        keys(claim_of(tenant))

    assert source.asked == []


def test_a_tenant_may_gain_and_lose_its_keys(ask: Ask) -> None:
    source, clock = Source(), Clock()
    keys = CachedKeys(source.sync, ttl=60, negative_ttl=10, maxsize=1, clock=clock)
    seen = []
    for answer in (None, KEY, None, KEY):
        source.answer = answer
        clock.pass_by(60)
        seen.append(ask(keys, "acme") is not None)

    assert seen == [False, True, False, True]


FLOOD = """
import asyncio, pathlib, sys
from types import SimpleNamespace
from hmac_guard.keys import CachedKeys

async def no_keys(claim):
    return None

async def flood(keys, first, last):
    for number in range(first, last):
        await keys.on_loop(SimpleNamespace(tenant=f"{number:07d}{padding}"))

def resident():
    [line] = [line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line]
    return int(line.split()[1])

count, padding = int(sys.argv[1]), sys.argv[2]
keys = CachedKeys(no_keys)
asyncio.run(flood(keys, 0, 50))
before = resident()
asyncio.run(flood(keys, 50, count))
print(resident() - before)
"""


@pytest.mark.without_coverage
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="not run: no /proc to read the memory from")
@pytest.mark.parametrize(
    "count",
    [
        pytest.param(15_000, id="15,000"),
        pytest.param(1_000_000, id="a million", marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
@pytest.mark.parametrize(
    "padding",
    [pytest.param("", id="short"), pytest.param("a" * 1_013 + "\N{GRINNING FACE}", id="as large in memory as may be")],
)
def test_unknown_tenants_grow_the_process_by_less_than_32_mib(count: int, padding: str) -> None:
    command = [sys.executable, "-c", FLOOD, str(count), padding]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=800)

    print(f"{count} unknown tenants: {int(run.stdout) / 1024:.1f} MiB")
    assert int(run.stdout) < 32 * 1024


FORK = """
import os, sys
from types import SimpleNamespace
from hmac_guard.keys import CachedKeys

keys = CachedKeys(lambda claim: "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19")
claim = SimpleNamespace(tenant="acme")
keys(claim)
keys.invalidate("acme")
keys._lock.acquire()
child = os.fork()
if child == 0:
    print(keys(claim), flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="not run: this platform cannot fork")
def test_a_forked_child_waits_for_no_thread_of_its_parent() -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert run.stdout.strip() == "<Keyring of 1, mode=None>"


def test_a_failure_is_logged_without_its_text(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    password = "hunter2"
    keys = CachedKeys(failing(OSError(f"postgresql://user:{password}@db/keys")))

    with caplog.at_level(logging.DEBUG), pytest.raises(KeysUnavailable) as failure:
        ask(keys, "acme")

    assert "OSError" in caplog.text
    assert "hunter2" not in caplog.text + "".join(traceback.format_exception(failure.value))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param({"ttl": 0}, "ttl", id="no ttl"),
        pytest.param({"ttl": -1}, "ttl", id="a negative ttl"),
        pytest.param({"ttl": float("nan")}, "ttl", id="not a number"),
        pytest.param({"ttl": True}, "ttl", id="a truth value"),
        pytest.param({"negative_ttl": "10"}, "negative_ttl", id="text"),
        pytest.param({"timeout": 0}, "timeout", id="no timeout"),
        pytest.param({"timeout": float("inf")}, "timeout", id="an endless timeout"),
        pytest.param({"stale_if_error": -1}, "stale_if_error", id="negative staleness"),
        pytest.param({"maxsize": 0}, "maxsize", id="maxsize 0"),
        pytest.param({"maxsize": 1.5}, "maxsize", id="half a tenant"),
        pytest.param({"resolver": 7}, "keys", id="no source of keys"),
    ],
)
def test_an_option_that_cannot_work_is_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        CachedKeys(**{"resolver": Source().sync, **options})
