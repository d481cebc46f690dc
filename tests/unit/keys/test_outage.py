"""What `CachedKeys` does while its source hangs, fails and comes back. The clock moves when a test says so, and
`pass_by` does what the watching thread of the cache does."""

import asyncio
import concurrent.futures
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import pytest
import trio
from key_sources import KEY, OTHER_KEY, Clock, Source, claim_of, failing
from waiting import TIMEOUT, becomes_true

from hmac_guard import Claim, Guard, Key, Keyring, KeysUnavailable, Query, Scheme
from hmac_guard.keys import CachedKeys, cached, connections
from hmac_guard.keys.cache_state import PROBE_TENANT
from hmac_guard.keys.calling import on_a_thread, running_loop
from hmac_guard.keys.threads import DaemonThreads

HOT = ["acme", "globex", "initech"]

#: The threads that hang in a source.
HANGING: set[int | None] = set()


class Hanging:
    """A source that gives each tenant a key until it hangs; `let_go` gives those who wait an answer."""

    def __init__(self) -> None:
        self.hangs = False
        self.key = KEY
        self.asked: list[str | None] = []
        self._released = threading.Event()

    def __call__(self, claim: Claim) -> Any:
        self.asked.append(claim.tenant)
        key = Key(self.key, str(len(self.asked)))
        if self.hangs:
            HANGING.add(threading.get_ident())
            self._released.wait(TIMEOUT)
            HANGING.discard(threading.get_ident())
        return None if str(claim.tenant).startswith(("made up", PROBE_TENANT)) else key

    def let_go(self) -> None:
        self.hangs = False
        self._released.set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(CachedKeys, "_watch", lambda keys: None)
    return Clock()


@pytest.fixture
def source() -> Iterator[Hanging]:
    found = Hanging()
    yield found
    found.let_go()


@contextmanager
def requests(count: int = 40) -> Iterator[Callable[..., Any]]:
    """A function that sends a request on a thread, and gives its future."""
    with ThreadPoolExecutor(count) as pool:
        yield lambda keys, tenant: pool.submit(keys, claim_of(tenant))


def pass_by(keys: CachedKeys, clock: Clock, seconds: float) -> None:
    for _ in range(round(seconds / cached.WATCH_EVERY)):
        clock.pass_by(cached.WATCH_EVERY)
        keys._look_at_running()
        # Look-ups that do not hang end.
        assert becomes_true(lambda: all(lookup.thread in HANGING for lookup in tuple(keys._queue.running)))


def let_go(source: Hanging, keys: CachedKeys) -> None:
    source.let_go()
    assert becomes_true(lambda: not keys._queue.running and not keys._queue.stuck)


def warm(keys: CachedKeys, *tenants: str) -> list[Keyring | None]:
    return [keys(claim_of(tenant)) for tenant in tenants]


def is_refused_at_once(keys: CachedKeys, tenant: str) -> bool:
    began = time.monotonic()
    with pytest.raises(KeysUnavailable):
        keys(claim_of(tenant))
    return time.monotonic() - began < 1.0


def make_failing(keys: CachedKeys, clock: Clock, source: Hanging) -> None:
    """The source hangs until look-ups of two tenants have run out of time."""
    source.hangs = True
    for tenant in HOT:
        keys(claim_of(tenant))
    pass_by(keys, clock, 5)
    assert keys._state.is_failing


def test_no_request_of_a_hot_tenant_waits_for_a_frozen_source(
    clock: Clock, source: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(concurrent.futures, "wait", lambda futures, seconds: waits.append(seconds))
    keys = CachedKeys(source, ttl=20, clock=clock)
    monkeypatch.undo()
    monkeypatch.setattr(CachedKeys, "_watch", lambda keys: None)
    rings = warm(keys, *HOT)
    pass_by(keys, clock, 1)
    monkeypatch.setattr(concurrent.futures, "wait", lambda futures, seconds: waits.append(seconds))

    source.hangs = True
    for _ in range(100):  # Ten times per ttl, for ten times the ttl.
        pass_by(keys, clock, 2)
        assert warm(keys, *HOT) == rings

    assert waits == []


def test_a_hot_tenant_is_looked_up_about_twice_per_ttl_while_the_source_is_well(clock: Clock, source: Hanging) -> None:
    keys = CachedKeys(source, ttl=20, clock=clock)
    for _ in range(100):
        pass_by(keys, clock, 2)
        known = len(source.asked)
        keys(claim_of("acme"))
        assert becomes_true(lambda: not keys._queue.running)
        assert len(source.asked) - known <= 1

    assert 10 <= len(source.asked) <= 21


def test_the_first_request_of_an_expired_tenant_waits_a_second_at_most_and_the_next_ones_not(
    clock: Clock, source: Hanging
) -> None:
    keys = CachedKeys(source, ttl=20, clock=clock)
    rings = warm(keys, *HOT)
    source.hangs = True
    clock.pass_by(25)
    began = time.monotonic()

    with requests() as ask:
        first = ask(keys, HOT[0])
        assert becomes_true(lambda: bool(keys._queue.running))
        pass_by(keys, clock, 1)
        assert warm(keys, *HOT) == rings
        assert first.result(TIMEOUT) is rings[0]

    assert time.monotonic() - began < 3
    assert keys._state.is_slow


def test_new_tenants_wait_while_the_source_is_slow_and_are_refused_at_once_while_it_fails(
    clock: Clock, source: Hanging
) -> None:
    keys = CachedKeys(source, ttl=20, clock=clock)
    rings = warm(keys, *HOT)
    clock.pass_by(15)
    source.hangs = True
    warm(keys, *HOT)
    pass_by(keys, clock, 1.5)

    with requests() as ask:
        waiting = ask(keys, "new")
        assert becomes_true(lambda: "new" in source.asked)
        assert not waiting.done()
        pass_by(keys, clock, 4)
        assert keys._state.is_failing
        with pytest.raises(KeysUnavailable):
            waiting.result(TIMEOUT)

    assert is_refused_at_once(keys, "another")
    assert warm(keys, *HOT) == rings
    assert "another" not in source.asked


def test_a_source_that_works_again_is_found_by_a_probe(clock: Clock, source: Hanging) -> None:
    keys = CachedKeys(source, ttl=8, clock=clock)
    warm(keys, *HOT)
    clock.pass_by(6)
    make_failing(keys, clock, source)

    source.let_go()
    pass_by(keys, clock, 1)

    assert becomes_true(lambda: not keys._state.is_failing)
    assert keys(claim_of("new")) is not None
    assert keys._state.is_well


@pytest.mark.parametrize("after", ["slow", "failing"])
def test_what_an_invalidation_names_is_never_served_stale(clock: Clock, source: Hanging, after: str) -> None:
    keys = CachedKeys(source, ttl=8, clock=clock)
    warm(keys, *HOT)
    clock.pass_by(6)
    make_failing(keys, clock, source)
    if after == "slow":
        keys._state.is_failing = False
        keys._state.is_slow = True
    assert keys(claim_of("acme")) is not None

    keys.invalidate("acme")

    with requests() as ask:
        answer = ask(keys, "acme")
        if after == "slow":
            assert becomes_true(lambda: "acme" in keys._lookups)
            pass_by(keys, clock, 6)
        with pytest.raises(KeysUnavailable):
            answer.result(TIMEOUT)


def test_what_is_expired_serves_while_the_source_fails_and_not_while_it_is_well(clock: Clock, source: Hanging) -> None:
    keys = CachedKeys(source, ttl=8, stale_if_error=8, clock=clock)
    rings = warm(keys, *HOT)
    keys.expire()
    renewed = warm(keys, *HOT)
    assert not set(rings) & set(renewed)

    clock.pass_by(6)
    make_failing(keys, clock, source)
    keys.expire()
    assert warm(keys, *HOT) == renewed

    pass_by(keys, clock, 5)
    assert is_refused_at_once(keys, "acme")


def test_to_expire_a_large_cache_takes_no_longer_than_a_small_one() -> None:
    def calls(size: int) -> int:
        keys = CachedKeys(Source().sync, maxsize=size)
        for number in range(size):
            keys._entries.keep(str(number), Keyring(KEY), 0.0)
        count = 0

        def counted(frame: Any, event: str, argument: Any) -> None:
            nonlocal count
            count += 1

        before = sys.getprofile()
        sys.setprofile(counted)
        try:
            keys.expire()
        finally:
            sys.setprofile(before)
        return count

    assert calls(10) == calls(5_000)


def test_a_look_up_that_no_request_waits_for_any_more_is_not_run(source: Hanging) -> None:
    source.hangs = True
    keys = CachedKeys(source, timeout=0.5, max_lookups=2)
    with requests() as ask:
        for answer in [ask(keys, f"tenant-{number}") for number in range(40)]:
            with pytest.raises(KeysUnavailable):
                answer.result(TIMEOUT)

    source.let_go()

    assert becomes_true(lambda: not keys._queue.running)
    assert len([tenant for tenant in source.asked if tenant != PROBE_TENANT]) <= 4
    assert keys._lookups == {}


@pytest.mark.parametrize("tenant", ["made up", PROBE_TENANT])
def test_a_name_without_keys_is_looked_up_once(clock: Clock, source: Hanging, tenant: str) -> None:
    keys = CachedKeys(source, clock=clock)

    assert [keys(Claim("", {}, tenant)) for _ in range(3)] == [None] * 3
    assert source.asked == [tenant]


def test_a_request_beyond_the_queue_is_refused_at_once(clock: Clock, source: Hanging) -> None:
    source.hangs = True
    keys = CachedKeys(source, max_lookups=1, max_waiting=3, clock=clock)
    with requests() as ask:
        answers = [ask(keys, f"tenant-{number}") for number in range(4)]
        assert becomes_true(lambda: len(keys._lookups) == 4)

        assert is_refused_at_once(keys, "one more")
        source.let_go()
        assert all(answer.result(TIMEOUT) for answer in answers)


def test_a_flood_of_unknown_tenants_delays_no_renewal(clock: Clock, source: Hanging) -> None:
    source.hangs = True
    keys = CachedKeys(source, ttl=20, clock=clock)
    keys._entries.keep("acme", Keyring(KEY), clock())
    clock.pass_by(15)
    with requests() as ask:
        flood = [ask(keys, f"made up {number}") for number in range(40)]
        assert becomes_true(lambda: len(keys._lookups) == 40)
        assert len(source.asked) == 9

        assert keys(claim_of("acme")) is not None
        assert becomes_true(lambda: "acme" in source.asked)
        source.let_go()
        assert [answer.result(TIMEOUT) for answer in flood] == [None] * 40


def test_names_that_the_source_cannot_store_mark_nothing(clock: Clock) -> None:
    source = Source(lambda claim: failing(OSError())(claim) if "\0" in claim.tenant else KEY)
    keys = CachedKeys(source.sync, clock=clock)
    warm(keys, *HOT)
    for number in range(50):
        with pytest.raises(KeysUnavailable):
            keys(claim_of(f"\0{number}"))
        pass_by(keys, clock, 0.25)

    assert keys._state.is_well
    assert becomes_true(lambda: keys(claim_of("new")) is not None)
    assert len([claim for claim in source.asked if claim.tenant in HOT]) <= 3 + 13


def test_a_worker_that_starts_while_the_source_hangs_knows_it_within_two_seconds(clock: Clock, source: Hanging) -> None:
    source.hangs = True
    keys = CachedKeys(source, clock=clock)
    with requests() as ask:
        first = ask(keys, "acme")
        assert becomes_true(lambda: "acme" in source.asked)
        pass_by(keys, clock, 2.25)

        assert is_refused_at_once(keys, "globex")
        with pytest.raises(KeysUnavailable):
            first.result(TIMEOUT)


def test_a_worker_with_a_short_time_out_that_starts_while_the_source_hangs_knows_it(
    clock: Clock, source: Hanging
) -> None:
    source.hangs = True
    keys = CachedKeys(source, timeout=0.25, clock=clock)
    with requests() as ask:
        first = ask(keys, "acme")
        assert becomes_true(lambda: "acme" in source.asked)
        pass_by(keys, clock, 1)
        with pytest.raises(KeysUnavailable):
            first.result(TIMEOUT)

    assert keys._state.is_failing
    let_go(source, keys)


def test_a_worker_that_starts_while_the_source_raises_refuses_at_once_and_recovers(clock: Clock) -> None:
    source = Source(failing(ConnectionRefusedError(111, "refused")))
    keys = CachedKeys(source.sync, clock=clock)
    for _ in range(3):
        assert is_refused_at_once(keys, "acme")
        pass_by(keys, clock, 1)

    source.answer = KEY

    assert keys(claim_of("acme")) is not None


def test_a_source_that_raises_for_names_it_does_not_know_serves_the_tenants_that_it_knows(clock: Clock) -> None:
    source = Source(lambda claim: {"acme": KEY}[claim.tenant])
    keys = CachedKeys(source.sync, clock=clock)
    for number in range(8):
        with pytest.raises(KeysUnavailable):
            keys(claim_of(f"made up {number}"))
        pass_by(keys, clock, 0.5)
    assert PROBE_TENANT in [claim.tenant for claim in source.asked]

    assert keys(claim_of("acme")) is not None


def test_a_stuck_thread_is_given_up_and_replaced(clock: Clock, source: Hanging) -> None:
    keys = CachedKeys(source, ttl=20, max_lookups=1, clock=clock)
    warm(keys, "acme")
    clock.pass_by(15)
    source.hangs = True
    warm(keys, "acme")
    assert becomes_true(lambda: len(source.asked) == 2)
    source.hangs = False

    pass_by(keys, clock, 5)

    assert keys._queue.stuck == 1
    assert becomes_true(lambda: keys(claim_of("new")) is not None)
    let_go(source, keys)


def test_the_answer_of_a_look_up_that_was_given_up_is_kept(clock: Clock, source: Hanging) -> None:
    keys = CachedKeys(source, ttl=60, clock=clock)
    [first] = warm(keys, "acme")
    clock.pass_by(40)
    source.hangs = True
    warm(keys, "acme")
    assert becomes_true(lambda: len(source.asked) == 2)
    pass_by(keys, clock, 6)

    source.let_go()

    assert becomes_true(lambda: keys(claim_of("acme")) is not first)


def test_the_answer_of_a_look_up_from_before_an_invalidation_is_not_kept(clock: Clock, source: Hanging) -> None:
    keys = CachedKeys(source, ttl=60, clock=clock)
    warm(keys, "acme")
    clock.pass_by(40)
    source.hangs = True
    warm(keys, "acme")
    assert becomes_true(lambda: len(source.asked) == 2)

    source.key = OTHER_KEY
    keys.invalidate("acme")
    let_go(source, keys)

    assert len(source.asked) == 2
    assert keys(claim_of("acme")) is not None
    assert source.asked.count("acme") == 3


@pytest.mark.parametrize("change", ["invalidate", "expire"])
@pytest.mark.parametrize("is_known", [True, False], ids=["with keys", "new"])
def test_the_late_answer_of_a_look_up_from_before_a_change_is_not_kept(
    clock: Clock, source: Hanging, change: str, is_known: bool
) -> None:
    keys = CachedKeys(source, ttl=60, clock=clock)
    warm(keys, *(HOT if is_known else HOT[1:]))
    clock.pass_by(40)
    source.hangs = True
    with requests() as ask:
        before = ask(keys, "acme")
        assert becomes_true(lambda: "acme" in source.asked[2 + is_known :])
        pass_by(keys, clock, 6)
        assert keys._queue.stuck
        wait([before], TIMEOUT)

    asked = len(source.asked)
    if change == "invalidate":
        keys.invalidate("acme")
    else:
        keys.expire()
    let_go(source, keys)

    used = []
    for _ in range(8):  # As long as the source is slow, the known keys serve after `expire`.
        ring = keys(claim_of("acme"))
        assert ring is not None
        used.append(int(str(ring.keys[0].id)))
        pass_by(keys, clock, 0.5)
    assert not set(used) & set(range(3 + is_known, asked + 1))
    assert used[-1] > asked


def test_a_look_up_that_has_not_started_serves_the_requests_after_an_invalidation(
    clock: Clock, source: Hanging
) -> None:
    source.hangs = True
    keys = CachedKeys(source, max_lookups=1, timeout=TIMEOUT, clock=clock)
    with requests() as ask:
        running = ask(keys, "globex")
        assert becomes_true(lambda: source.asked == ["globex"])
        before = ask(keys, "acme")
        assert becomes_true(lambda: "acme" in keys._lookups)
        keys.invalidate("acme")
        after = ask(keys, "acme")
        assert becomes_true(lambda: sum(lookup.waiting for lookup in keys._lookups.values()) == 3)
        source.let_go()

        assert running.result(TIMEOUT)
        assert before.result(TIMEOUT) is after.result(TIMEOUT)
    assert source.asked == ["globex", "acme"]


def test_a_process_that_stood_still_blames_no_source(clock: Clock, source: Hanging) -> None:
    keys = CachedKeys(source, ttl=60, clock=clock)
    warm(keys, *HOT)
    clock.pass_by(40)
    source.hangs = True
    warm(keys, *HOT)
    assert becomes_true(lambda: len(source.asked) == 6)
    keys._look_at_running()

    clock.pass_by(30)
    keys._look_at_running()

    assert keys._state.is_well
    assert keys._queue.stuck == 0


def test_the_threads_of_the_event_loop_stay_free(source: Hanging) -> None:
    keys = CachedKeys(source, timeout=0.2)
    source.hangs = True

    async def main() -> str:
        loop = asyncio.get_running_loop()
        answers = [asyncio.ensure_future(_answer(keys, f"tenant-{number}")) for number in range(100)]
        await asyncio.sleep(0)
        done = await asyncio.wait_for(asyncio.to_thread(lambda: "done"), TIMEOUT)
        assert len(loop._default_executor._threads) == 1  # type: ignore[attr-defined]
        await asyncio.wait(answers)
        return done

    assert asyncio.run(main()) == "done"


async def _answer(keys: CachedKeys, tenant: str) -> Any:
    try:
        answer = keys.on_loop(claim_of(tenant))
        return await answer if asyncio.iscoroutine(answer) else answer
    except KeysUnavailable:
        return "unavailable"


def test_clients_that_hang_up_leave_no_look_up_and_no_task(clock: Clock, source: Hanging) -> None:
    source.hangs = True
    keys = CachedKeys(source, clock=clock)

    async def main() -> int:
        tasks = [asyncio.ensure_future(_answer(keys, f"tenant-{number}")) for number in range(500)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return len(asyncio.all_tasks()) - 1

    assert asyncio.run(main()) == 0
    assert len(keys._lookups) == 9
    source.let_go()
    assert becomes_true(lambda: not keys._lookups and not keys._queue.running)
    assert len(source.asked) == 9


def on_a_loop(loop: asyncio.AbstractEventLoop, keys: CachedKeys, tenant: str) -> Any:
    """One invocation: the loop runs for this request alone, as Mangum runs it."""
    return loop.run_until_complete(_answer(keys, tenant))


def test_a_renewal_on_a_loop_that_stands_still_blocks_no_later_one() -> None:
    source, clock, loop = Source(), Clock(), asyncio.new_event_loop()

    async def slowly(claim: Claim) -> Any:
        await asyncio.sleep(0.01)
        return source.sync(claim)

    keys = CachedKeys(slowly, ttl=60, timeout=5, clock=clock)
    first = on_a_loop(loop, keys, "acme")
    for _ in range(20):
        clock.pass_by(20)
        assert isinstance(on_a_loop(loop, keys, "acme"), Keyring)
        assert isinstance(on_a_loop(loop, keys, "globex"), Keyring)

    assert on_a_loop(loop, keys, "acme") is not first
    assert len([claim for claim in source.asked if claim.tenant == "acme"]) >= 400 / 60
    assert keys._state.is_well
    loop.run_until_complete(asyncio.sleep(0.05))
    loop.close()


def test_after_one_failure_on_a_loop_that_stands_still_the_source_is_used_again() -> None:
    source, clock, loop = Source(), Clock(), asyncio.new_event_loop()
    keys = CachedKeys(source.asynchronous, ttl=60, timeout=5, clock=clock)
    first = on_a_loop(loop, keys, "acme")
    source.answer = failing(OSError())
    clock.pass_by(70)
    assert on_a_loop(loop, keys, "acme") is first

    source.answer = OTHER_KEY
    clock.pass_by(20)
    on_a_loop(loop, keys, "acme")
    clock.pass_by(20)

    assert on_a_loop(loop, keys, "acme") is not first
    assert isinstance(on_a_loop(loop, keys, "new"), Keyring)
    loop.run_until_complete(asyncio.sleep(0.05))
    loop.close()


@pytest.mark.parametrize("run", [lambda main: asyncio.run(main()), trio.run], ids=["asyncio", "trio"])
def test_a_probe_runs_on_the_loop_of_the_last_request_as_long_as_that_runs(clock: Clock, run: Any) -> None:
    loops: list[Any] = []
    fails = False

    async def fetch(claim: Claim) -> str:
        loops.append(running_loop())
        if fails:
            raise OSError
        return KEY

    keys = CachedKeys(lambda claim: fetch(claim), clock=clock)  # a sync function

    def watch() -> None:
        before = len(loops)
        pass_by(keys, clock, 1)
        assert becomes_true(lambda: len(loops) > before and not keys._queue.running)

    async def main() -> None:
        nonlocal fails
        for tenant in ("acme", "new", "newer"):
            fails = tenant != "acme"
            await _answer(keys, tenant)
            if tenant == "new":
                fails = False
                await on_a_thread(watch)

    run(main)
    assert len(loops) == 4
    assert len(set(loops)) == 1
    assert keys._state.is_well
    fails = False
    watch()
    assert len(set(loops)) == 2


def test_a_look_up_on_a_loop_that_ended_is_not_waited_for(clock: Clock) -> None:
    async def hang(claim: Claim) -> str:
        if len(asked) == 0:
            asked.append(claim.tenant)
            await asyncio.sleep(TIMEOUT)
        return KEY

    asked: list[str | None] = []
    keys = CachedKeys(hang, clock=clock)
    stopped = asyncio.new_event_loop()
    task = stopped.create_task(_answer(keys, "acme"))
    stopped.run_until_complete(asyncio.sleep(0.05))
    assert asked == ["acme"]

    began = time.monotonic()
    assert isinstance(asyncio.run(_answer(keys, "acme")), Keyring)

    assert time.monotonic() - began < 2
    for left in asyncio.all_tasks(stopped):
        left.cancel()
    stopped.run_until_complete(asyncio.sleep(0.05))
    assert task.done()
    stopped.close()


def test_an_outage_is_one_line_that_names_the_error(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    scheme = Scheme(name="one", ids={"a": Query("a")}, message="{a}", signature=Query("sig"), tenant=Query("t"))
    source = Source(failing(ConnectionRefusedError(111, "refused")))
    keys = CachedKeys(source.sync, clock=clock)
    guarded = Guard(scheme, keys).wsgi(lambda environ, start_response: [])
    with caplog.at_level(logging.WARNING):
        for number in range(20):
            query = f"a=x&t=tenant-{number}&sig={'0' * 64}"
            b"".join(guarded({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": query}, lambda *_: print))

    lines = [record.message for record in caplog.records if record.name == "hmac_guard"]
    assert lines == ["the source of cached keys failed: builtins.ConnectionRefusedError (errno 111)"]


def test_a_look_up_begins_after_one_that_got_no_thread(source: Hanging, monkeypatch: pytest.MonkeyPatch) -> None:
    starting, may_fail = threading.Event(), threading.Event()
    run, failures = DaemonThreads.run, [RuntimeError("can't start new thread")]

    def fail_once(threads: DaemonThreads, job: Any) -> None:
        if failures:
            starting.set()
            may_fail.wait(TIMEOUT)
            raise failures.pop()
        run(threads, job)

    monkeypatch.setattr(DaemonThreads, "run", fail_once)
    keys = CachedKeys(source, timeout=TIMEOUT, max_lookups=1)
    with requests() as ask:
        first = ask(keys, "acme")
        assert starting.wait(TIMEOUT)
        second = ask(keys, "globex")
        assert becomes_true(lambda: len(keys._lookups) == 2)
        may_fail.set()

        with pytest.raises(KeysUnavailable):
            first.result(TIMEOUT)
        assert second.result(TIMEOUT / 2)


def test_a_process_ends_while_look_ups_are_stuck() -> None:
    program = """
import threading, types
from hmac_guard.keys import CachedKeys
keys = CachedKeys(lambda claim: threading.Event().wait(), timeout=0.1)
for tenant in ("acme", "globex"):
    try:
        keys(types.SimpleNamespace(tenant=tenant))
    except Exception as error:
        print(type(error).__name__)
"""
    began = time.monotonic()
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=TIMEOUT)

    assert run.stdout.split() == ["_Unavailable"] * 2
    assert time.monotonic() - began < 10


def test_threads_are_used_again() -> None:
    threads, names = DaemonThreads("test", 1), set()
    done = threading.Semaphore(0)

    def job() -> None:
        names.add(threading.get_ident())
        done.release()

    for _ in range(5):
        threads.run(job)
        done.acquire()
        assert becomes_true(lambda: len(threads._idle) == 1)

    assert len(names) == 1


def test_a_thread_that_waits_on_a_connection_is_freed_where_its_look_up_is_given_up() -> None:
    near, far = socket.socketpair()
    started = threading.Event()
    received: list[object] = []

    def look_up() -> None:
        with connections.in_use() as use:
            use.closes_with(lambda: connections.shut_down(near))
            started.set()
            received.append(near.recv(1))
            received.append(use.is_given_up)

    thread = threading.Thread(target=look_up)
    thread.start()
    started.wait(TIMEOUT)

    connections.give_up(thread.ident or 0)
    thread.join(TIMEOUT)

    assert received == [b"", True]
    near.close()
    far.close()


def test_a_connection_that_was_given_back_is_left_alone() -> None:
    closed: list[str] = []
    with connections.in_use() as use:
        use.closes_with(lambda: closed.append("in use"))
        use.closes_with(None)
        connections.give_up(threading.get_ident())
    connections.give_up(threading.get_ident())

    assert closed == []
