"""Verdicts counted by tenant: whose mode may become "enforce"?"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from databases import Database
from key_sources import KEY, OTHER_KEY, Clock, claim_of
from patience import comes
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from support import Call, Sent

from hmac_guard import ConfigError, Guard, Query, Reason, Scheme, Verdict
from hmac_guard.keys import SqlKeys, VerdictCounts
from hmac_guard.keys.sql import Readiness, counts

SCHEME = Scheme(name="one", ids={"a": Query("a")}, message="{a}", signature=Query("sig"), tenant=Query("t"))


def counting(database: Database, **options: Any) -> tuple[Any, VerdictCounts]:
    keys = database.keys(**options)
    found = VerdictCounts(keys, every=3_600)
    found.create_table()
    return keys, found


def test_it_says_who_would_be_refused_and_why(sync_database: Database, call: Call) -> None:
    keys, counted = counting(sync_database)
    for tenant, mode in (("ready", "report"), ("failing", "report"), ("idle", "report"), ("done", "enforce")):
        keys.add(tenant, KEY, mode=mode)
    guard = Guard(SCHEME, keys, on_verdict=counted)

    def request(tenant: str, secret: str) -> None:
        call(guard, Sent(query=f"a=x&sig={SCHEME.sign(secret, a='x')}&t={tenant}"))

    for tenant in ("ready", "ready", "failing", "done"):
        request(tenant, KEY)
    for tenant in ("failing", "failing", "done", "made-up", "made-up-too"):
        request(tenant, OTHER_KEY)
    call(guard, Sent(query="a=x&t=failing"))
    call(guard, Sent(query="a=x"))
    counted.flush()

    assert counted.readiness() == (
        Readiness("", None, 0, {"missing_signature": 1, "unknown_key": 2}),
        Readiness("done", "enforce", 1, {"invalid_signature": 1}),
        Readiness("failing", "report", 1, {"invalid_signature": 2, "missing_signature": 1}),
        Readiness("idle", "report", 0, {}),
        Readiness("ready", "report", 2, {}),
    )
    assert [found.tenant for found in counted.readiness() if found.ready] == ["ready"]
    counted.close()


def test_the_counts_of_every_worker_add_up(sync_database: Database) -> None:
    keys, first = counting(sync_database)
    keys.add("acme")
    workers = [first, *(VerdictCounts(keys, every=3_600) for _ in range(3))]

    def work(worker: VerdictCounts) -> None:
        for _ in range(250):
            worker(Verdict(Reason.VERIFIED, "one"), claim_of("acme"))
        worker.flush()
        worker(Verdict(Reason.MALFORMED, "one"), claim_of("acme"))
        worker.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, workers))

    assert first.readiness() == (Readiness("acme", None, 1_000, {"malformed": 4}),)


def test_threads_count_without_losing_one(sync_database: Database) -> None:
    keys, counted = counting(sync_database)
    keys.add("acme")

    def work(_: int) -> None:
        for _ in range(1_000):
            counted(Verdict(Reason.VERIFIED, "one"), claim_of("acme"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    counted.close()

    assert counted.readiness()[0].verified == 8_000


def test_a_day_later_nothing_is_counted_any_more(sync_database: Database) -> None:
    clock = Clock(1_000_000_000)
    keys, counted = counting(sync_database, clock=clock)
    keys.add("acme")
    counted(Verdict(Reason.VERIFIED, "one"), claim_of("acme"))
    counted.flush()

    clock.pass_by(23 * 3_600)
    assert counted.readiness()[0].verified == 1
    clock.pass_by(3_600)
    assert counted.readiness()[0].verified == 0

    clock.pass_by(25 * 3_600)
    counted(Verdict(Reason.MALFORMED, "one"), claim_of("acme"))
    counted.close()
    assert sync_database.sql("SELECT reason FROM {table}_counts") == [("malformed",)]


def test_what_the_database_does_not_take_is_written_later(
    sync_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    keys, counted = counting(sync_database)
    keys.add("acme")
    counted(Verdict(Reason.VERIFIED, "one"), claim_of("acme"))
    sync_database.sql("ALTER TABLE {table}_counts RENAME TO {table}_away")
    with pytest.raises(Exception, match="_counts"):
        counted.flush()
    counted(Verdict(Reason.VERIFIED, "one"), claim_of("acme"))

    sync_database.sql("ALTER TABLE {table}_away RENAME TO {table}_counts")
    counted.close()

    assert counted.readiness()[0].verified == 2


def test_made_up_tenants_grow_neither_the_memory_nor_the_table(
    sync_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "MOST_PAIRS", 1_000)
    keys, counted = counting(sync_database)
    keys.add("acme")
    counted(Verdict(Reason.MALFORMED, "one"), claim_of("acme"))
    for number in range(20_000):
        counted(Verdict(Reason.MALFORMED, "one"), claim_of(f"made up {number}"))
    assert len(counted._fresh) <= 1_001
    counted.close()

    assert sync_database.sql("SELECT count(*) FROM {table}_counts") == [(2,)]
    assert counted.readiness() == (
        Readiness("", None, 0, {"malformed": 20_000}),
        Readiness("acme", None, 0, {"malformed": 1}),
    )


def test_it_is_written_by_itself_and_at_the_end(sync_database: Database, tmp_path: Any) -> None:
    keys = sync_database.keys()
    keys.add("acme")
    counted = VerdictCounts(keys, every=0.05)
    counted.create_table()
    counted(Verdict(Reason.VERIFIED, "one"), claim_of("acme"))

    assert comes(lambda: counted.readiness()[0].verified == 1)
    counted.close()

    assert counted.readiness()[0].verified == 1


ENDING = """
import sys
from types import SimpleNamespace
from sqlalchemy import create_engine
from hmac_guard import Reason, Verdict
from hmac_guard.keys import SqlKeys, VerdictCounts
keys = SqlKeys(create_engine(sys.argv[1]), table=sys.argv[2])
counts = VerdictCounts(keys)
counts(Verdict(Reason.VERIFIED, "one"), SimpleNamespace(tenant="acme"))
"""


def test_a_process_that_ends_writes_what_it_counted(sync_database: Database) -> None:
    keys, counted = counting(sync_database)
    keys.add("acme")
    counted.close()
    url = sync_database.url.render_as_string(hide_password=False)
    subprocess.run([sys.executable, "-c", ENDING, url, sync_database.table], check=True, timeout=60, env=os.environ)

    assert counted.readiness()[0].verified == 1


def test_an_async_engine_is_refused() -> None:
    with pytest.raises(ConfigError, match="sync engine"):
        VerdictCounts(SqlKeys(create_async_engine("sqlite+aiosqlite://")))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="sync engine"):
        VerdictCounts("sqlite://")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="every"):
        VerdictCounts(SqlKeys(create_engine("sqlite://")), every=0)
