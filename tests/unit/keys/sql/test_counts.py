"""Requests counted by tenant: whose mode may become "enforce"?"""

import http.client
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from databases import SYNC, Database
from key_sources import KEY, OTHER_KEY, Clock
from sqlalchemy import create_engine, event, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from support import Call, Sent
from waiting import TIMEOUT, becomes_true

from hmac_guard import Claim, ConfigError, Decision, Guard, Query, Reason, Scheme, Verdict
from hmac_guard.keys import SqlKeys, VerdictCounts
from hmac_guard.keys.sql import Readiness, VerdictLedger, counts, ledger

SCHEME = Scheme(name="one", ids={"a": Query("a")}, message="{a}", signature=Query("sig"), tenant=Query("t"))


def counting(database: Database, **options: Any) -> tuple[Any, VerdictCounts]:
    keys = database.keys(**options)
    return keys, VerdictCounts(keys, every=3_600)


def decided(reason: Reason, tenant: str | None, mode: str = "enforce", *, own: bool = False, **ids: str) -> Decision:
    """A decision; with `own` the mode is the tenant's."""
    verdict = Verdict(reason, "one", claimed_tenant=tenant if own else None)
    return Decision(verdict, Claim("one", ids, tenant), mode, mode == "enforce", 0.001)


def count(counted: VerdictCounts, tenant: str | None, **reasons: int) -> None:
    for name, times in reasons.items():
        for _ in range(times):
            counted(decided(Reason[name.upper()], tenant))


def test_it_says_who_would_be_refused_and_why(sync_database: Database, call: Call) -> None:
    keys, counted = counting(sync_database)
    for tenant, mode in (("ready", "report"), ("failing", "report"), ("idle", "report"), ("done", "enforce")):
        keys.add(tenant, KEY, mode=mode)
    guard = Guard(SCHEME, keys, on_decision=counted, exempt=("/health",))

    def request(tenant: str, secret: str) -> None:
        call(guard, Sent(query=f"a=x&sig={SCHEME.sign(secret, a='x')}&t={tenant}"))

    for tenant in ("ready", "ready", "failing", "done"):
        request(tenant, KEY)
    for tenant in ("failing", "failing", "done", "unknown", "unknown-too"):
        request(tenant, OTHER_KEY)
    call(guard, Sent(query="a=y&t=failing"))
    call(guard, Sent(query="a=x"))
    call(guard, Sent(path="/health"))
    counted.flush()

    assert counted.readiness() == (
        Readiness("", None, 0, {"missing_signature": 1, "unknown_key": 2}, 0, "enforce"),
        Readiness("done", "enforce", 1, {"invalid_signature": 1}, 1, "enforce"),
        Readiness("failing", "report", 1, {"invalid_signature": 2, "missing_signature": 1}, 2, "report"),
        Readiness("idle", "report", 0, {}),
        Readiness("ready", "report", 2, {}, 0, "report"),
    )
    assert [found.tenant for found in counted.readiness() if found.ready] == ["ready"]
    counted.close()


def test_requests_in_the_mode_off_are_counted_as_unchecked(sync_database: Database, call: Call) -> None:
    keys, counted = counting(sync_database)
    keys.add("acme", KEY, mode="off")
    for _ in range(2):
        call(Guard(SCHEME, keys, on_decision=counted), Sent(query="a=x&t=acme"))
    keys.set_mode("acme", "report")
    call(Guard(SCHEME, keys, on_decision=counted), Sent(query=f"a=x&sig={SCHEME.sign(KEY, a='x')}&t=acme"))
    counted.flush()

    [found] = counted.readiness()
    assert (found.verified, found.refused, found.unchecked, found.ready) == (1, {}, 2, True)
    counted.close()


def test_a_tenant_in_enforce_under_a_guard_in_report_is_shown_as_what_it_is(
    sync_database: Database, call: Call
) -> None:
    keys, counted = counting(sync_database)
    keys.add("acme", KEY, mode="enforce")
    call(Guard(SCHEME, keys, on_decision=counted, mode="report"), Sent(query="a=x&t=acme"))
    counted.flush()

    [found] = counted.readiness()
    assert (found.mode, found.applied, found.guard_is_less_strict) == ("enforce", "report", True)
    call(Guard(SCHEME, keys, on_decision=counted, mode="off"), Sent(query="a=x&t=acme"))
    counted.flush()
    assert sync_database.sql("SELECT mode, reason FROM {hours} WHERE tenant = ''") == [("off", "off")]
    counted.close()


@pytest.mark.parametrize(
    ("later", "applied", "shown"),
    [
        ("enforce", "enforce", False),
        (None, None, False),
        ("report", None, False),
        ("report an hour later", "report", True),
    ],
)
@pytest.mark.parametrize("change", ["set_mode", "add"])
def test_requests_from_before_a_change_of_the_mode_do_not_show_the_mode_of_the_guard(
    sync_database: Database, change: str, later: str | None, applied: str | None, shown: bool
) -> None:
    keys, counted = counting(sync_database)
    keys.add("acme", KEY, mode="report")
    for reason in (Reason.VERIFIED, Reason.INVALID_SIGNATURE):
        counted(decided(reason, "acme", "report", own=True))
    counted.flush()
    if change == "add":
        keys.add("acme", OTHER_KEY, mode="enforce")
    else:
        keys.set_mode("acme", "enforce")
    if later is not None:
        counted(decided(Reason.VERIFIED, "acme", later.split()[0]))
    counted.flush()
    if later == "report an hour later":
        sync_database.sql("UPDATE {audit} SET at = at - 3600")

    [found] = counted.readiness()
    assert (found.mode, found.applied, found.guard_is_less_strict) == ("enforce", applied, shown)


@pytest.mark.parametrize("stored", ['{"mode": "enfor', "[]", '{"mode": "enforce"}'])
def test_a_change_of_a_mode_that_cannot_be_read_does_not_count(sync_database: Database, stored: str) -> None:
    keys, counted = counting(sync_database)
    keys.add("acme", KEY, mode="report")
    counted(decided(Reason.VERIFIED, "acme", "report", own=True))
    keys.set_mode("acme", "enforce")
    counted.flush()
    sync_database.sql("UPDATE {audit} SET detail = :stored WHERE action = 'mode'", stored=stored)

    [found] = counted.readiness()
    assert (found.mode, found.applied, found.verified) == ("enforce", "report", 1)
    counted.close()


def test_refusals_of_ids_that_were_also_verified_are_counted_separately(sync_database: Database) -> None:
    keys, counted = counting(sync_database)
    keys.add("acme", mode="report")
    for ids in ("theirs", "theirs", "strangers"):
        counted(decided(Reason.MISSING_SIGNATURE, "acme", "report", own=True, a=ids))
    counted.flush()
    counted(decided(Reason.VERIFIED, "acme", a="theirs"))
    counted(decided(Reason.INVALID_SIGNATURE, "acme", "report", own=True, a="theirs"))
    counted.flush()

    assert counted.readiness()[0] == Readiness(
        "acme", "report", 1, {"invalid_signature": 1, "missing_signature": 3}, 3, "report"
    )


def test_the_counts_of_every_worker_add_up(sync_database: Database) -> None:
    keys, first = counting(sync_database)
    keys.add("acme")
    workers = [first, *(VerdictCounts(keys, every=3_600) for _ in range(3))]

    def work(worker: VerdictCounts) -> None:
        count(worker, "acme", verified=250)
        worker.flush()
        count(worker, "acme", malformed=1)
        worker.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, workers))

    [found] = first.readiness()
    assert (found.verified, found.refused) == (1_000, {"malformed": 4})


def test_threads_count_without_losing_one(sync_database: Database) -> None:
    keys, counted = counting(sync_database)
    keys.add("acme")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: count(counted, "acme", verified=1_000), range(8)))
    counted.close()

    assert counted.readiness()[0].verified == 8_000


def test_a_day_later_nothing_is_counted_any_more(sync_database: Database) -> None:
    keys, counted = counting(sync_database)
    keys.add("acme")
    count(counted, "acme", verified=1)
    counted.flush()

    sync_database.sql("UPDATE {hours} SET hour = hour - 23")
    assert counted.readiness()[0].verified == 1
    sync_database.sql("UPDATE {hours} SET hour = hour - 1")
    assert counted.readiness()[0].verified == 0

    sync_database.sql("UPDATE {hours} SET hour = hour - 30 * 24 + 1")
    counted.sum_up_stale()
    assert len(sync_database.sql("SELECT reason FROM {hours}")) == 1
    sync_database.sql("UPDATE {hours} SET hour = hour - 1")
    counted.sum_up_stale()
    assert sync_database.sql("SELECT reason FROM {hours}") == []


@pytest.mark.parametrize(("verified", "refused", "stored"), [(72, 72, "ready"), (1, 24, "refused")])
def test_who_is_ready_is_known_if_no_worker_has_written_since(
    sync_database: Database, verified: int, refused: int, stored: str
) -> None:
    """The last requests were so many hours ago."""
    keys, counted = counting(sync_database)
    keys.add("acme")
    count(counted, "acme", verified=1, missing_signature=1)
    counted.flush()
    for reason, hours in {"verified": verified, "missing_signature": refused}.items():
        sync_database.sql("UPDATE {hours} SET hour = hour - :hours WHERE reason = :reason", hours=hours, reason=reason)
    sync_database.sql("UPDATE {tenants} SET counted = counted - 1, ready = :ready", ready=stored)

    [found] = counted.readiness()

    assert counted.readiness(ready=found.ready) == (found,)
    assert counted.readiness(ready=not found.ready) == ()
    counted.close()


READ_ONLY = {
    "sqlite": "PRAGMA query_only = ON",
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
}


def test_a_user_that_may_only_read_sees_who_is_ready(sync_database: Database) -> None:
    keys, counted = counting(sync_database)
    keys.add("acme")
    count(counted, "acme", verified=1)
    counted.close()
    sync_database.sql("UPDATE {hours} SET hour = hour - 72")
    sync_database.sql("UPDATE {tenants} SET counted = counted - 72")

    engine = create_engine(sync_database.url)

    @event.listens_for(engine, "connect")
    def read_only(connection: Any, record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(READ_ONLY[engine.dialect.name])
        cursor.close()
        connection.commit()

    reader = SqlKeys(engine, table=sync_database.table)
    with pytest.raises(DBAPIError):
        reader.add("globex")
    [found] = VerdictLedger(reader).readiness(ready=True)
    assert found.tenant == "acme"
    engine.dispose()


@pytest.mark.parametrize("ahead", [400 * 24, 5, -5, -400 * 24])
def test_a_host_whose_clock_is_wrong_counts_in_the_hour_that_it_is(sync_database: Database, ahead: int) -> None:
    keys, counted = counting(sync_database)
    keys.add("acme")
    count(counted, "acme", verified=1)
    counted.flush()
    clock = Clock(time.time() + ahead * 3_600)
    _, wrong = counting(sync_database, clock=clock)

    count(wrong, "acme", verified=2)
    wrong.flush()
    wrong.sum_up_stale()

    assert counted.readiness()[0].verified == 3


def test_the_hour_is_that_of_the_request_and_not_of_the_write(sync_database: Database) -> None:
    clock = Clock(time.time())
    keys, counted = counting(sync_database, clock=clock)
    keys.add("acme")
    count(counted, "acme", verified=1)
    clock.pass_by(2 * 3_600)
    count(counted, "acme", verified=5)
    counted.flush()

    rows = sync_database.sql("SELECT hour, requests FROM {hours} ORDER BY hour")
    assert [requests for _, requests in rows] == [1, 5]
    assert rows[1][0] - rows[0][0] == 2


def test_figures_that_fail_are_brought_up_to_date_later(sync_database: Database) -> None:
    """Also if no further request is counted: an operator would take the key for unused."""
    keys, counted = counting(sync_database)
    keys.add("acme")
    count(counted, "acme", verified=1)

    def fail(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "_tenants SET verified" in statement:
            raise RuntimeError("the database fails")

    event.listen(keys.engine, "before_cursor_execute", fail)
    with pytest.raises(RuntimeError):
        counted.flush()
    assert [tenant.name for tenant in keys.tenants(used=True)] == []
    event.remove(keys.engine, "before_cursor_execute", fail)

    counted.flush()

    assert [tenant.name for tenant in keys.tenants(used=True)] == ["acme"]
    assert [tenant.name for tenant in keys.tenants(ready=True)] == ["acme"]
    assert sync_database.sql("SELECT requests FROM {hours}") == [(1,)]
    counted.close()


def test_the_last_counts_are_written_after_the_server_has_closed_the_connection(sync_database: Database) -> None:
    if sync_database.server == "sqlite":
        pytest.skip("not run: SQLite has no server")
    keys, counted = counting(sync_database)
    keys.add("acme")
    count(counted, "acme", verified=7)
    sync_database.end_kept()

    counted.close()

    assert counted.readiness()[0].verified == 7


def test_what_the_database_does_not_take_is_written_later(sync_database: Database) -> None:
    keys, counted = counting(sync_database)
    keys.add("acme")
    count(counted, "acme", verified=1)
    sync_database.sql("ALTER TABLE {hours} RENAME TO {hours}_away")
    with pytest.raises(Exception, match="_hours"):
        counted.flush()
    count(counted, "acme", verified=1)

    sync_database.sql("ALTER TABLE {hours}_away RENAME TO {hours}")
    counted.close()

    assert counted.readiness()[0].verified == 2


#: So that nothing is written before its time.
NEVER_FULL = property(lambda held: False, lambda held, value: None)


def test_unknown_tenants_grow_neither_memory_nor_table_and_evict_no_tenant(
    sync_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant that verifies, or whose own mode let a request through, is known before the database is asked."""
    monkeypatch.setattr(counts, "MAX_OTHERS", 100)
    keys, counted = counting(sync_database)
    monkeypatch.setattr(counts.Tally, "is_full", NEVER_FULL, raising=False)
    keys.add("acme", mode="report")
    for number in range(2_000):
        counted(decided(Reason.MALFORMED, f"made up {number}"))
    for _ in range(3):
        counted(decided(Reason.MISSING_SIGNATURE, "acme", "report", own=True))
        counted(decided(Reason.VERIFIED, "acme"))
    assert len(counted._tally.requests) <= 103
    counted.flush()

    assert sync_database.sql("SELECT count(*) FROM {hours}") == [(3,)]
    [rest, acme] = counted.readiness()
    assert (rest.tenant, rest.refused) == ("", {"malformed": 2_000})
    assert (acme.verified, acme.refused, acme.ready) == (3, {"missing_signature": 3}, False)


def test_a_name_that_the_database_knows_keeps_its_room(
    sync_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "MAX_OTHERS", 2)
    keys, counted = counting(sync_database)
    keys.add("acme")
    count(counted, "acme", malformed=1)
    counted.flush()
    for name in ("one", "two", "three", "acme"):
        count(counted, name, malformed=1)
    counted.flush()

    assert [found.refused for found in counted.readiness()] == [{"malformed": 3}, {"malformed": 2}]
    counted.close()  # The memory was full, so the thread writes too.


def test_the_rows_that_are_held_are_bounded_while_the_database_is_away(
    sync_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "MAX_OTHERS", 100)
    monkeypatch.setattr(counts, "MAX_KNOWN", 50)
    _, counted = counting(sync_database)
    monkeypatch.setattr(counts.Tally, "is_full", NEVER_FULL, raising=False)
    sync_database.sql("ALTER TABLE {hours} RENAME TO {hours}_away")
    for number in range(1_000):
        counted(decided(Reason.VERIFIED, f"tenant {number}"))
        counted(decided(Reason.MALFORMED, f"made up {number}"))
        if number % 100 == 0:
            with pytest.raises(Exception, match="_hours"):
                counted.flush()
    assert len(counted._tally.requests) <= 152
    assert counted._tally.requests.total() == 2_000

    sync_database.sql("ALTER TABLE {hours}_away RENAME TO {hours}")
    counted.close()


def test_a_full_memory_is_written_at_once(sync_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "MAX_OTHERS", 10)
    _, counted = counting(sync_database)
    for number in range(12):
        count(counted, f"made up {number}", malformed=1)

    assert becomes_true(lambda: bool(sync_database.sql("SELECT 1 FROM {hours}")))
    counted.close()


def test_a_write_is_few_statements_in_short_transactions(
    sync_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, counted = counting(sync_database)
    keys.add("acme")
    statements: list[str] = []
    event.listen(keys.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    for number in range(1_000):
        counted._tally.remember(f"key {number}")
        verdict = Verdict(Reason.VERIFIED, "one", key_id=f"key {number}")
        counted(Decision(verdict, Claim("one", {}, "acme"), "enforce", False, 0.0))
    counted.flush()

    inserts = [statement for statement in statements if statement.startswith("INSERT")]
    assert len(inserts) <= 1_000 / 10
    assert counted.readiness()[0].verified == 1_000


def test_a_long_write_is_several_transactions(sync_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hmac_guard.keys.sql.ledger.LONG_ENOUGH", 0.0)
    monkeypatch.setattr("hmac_guard.keys.sql.ledger.ROWS", 1)
    keys, counted = counting(sync_database)
    commits: list[int] = []
    event.listen(keys.engine, "commit", lambda _: commits.append(1))
    for tenant in ("a", "b", "c"):
        keys.add(tenant)
        count(counted, tenant, verified=1)
    commits.clear()
    counted.flush()

    assert len(commits) >= 6
    assert [found.verified for found in counted.readiness()] == [1, 1, 1]


def test_it_is_written_by_itself_and_at_the_end(sync_database: Database) -> None:
    keys = sync_database.keys()
    keys.add("acme")
    counted = VerdictCounts(keys, every=0.05)
    count(counted, "acme", verified=1)
    assert becomes_true(lambda: counted.readiness()[0].verified == 1)

    count(counted, "acme", verified=1)
    counted.close()

    assert counted.readiness()[0].verified == 2


def test_counting_goes_on_after_it_was_closed(sync_database: Database) -> None:
    keys, counted = counting(sync_database)
    keys.add("acme")
    for _ in range(2):
        count(counted, "acme", verified=1)
        counted.close()

    assert counted.readiness()[0].verified == 2


def test_the_last_write_does_not_wait_for_a_database_that_hangs(
    sync_database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(counts, "LAST_WRITE", 0.1)
    _, counted = counting(sync_database)
    go_on = threading.Event()
    event.listen(counted.engine, "before_cursor_execute", lambda *_: go_on.wait(TIMEOUT))
    count(counted, "acme", verified=1)
    writer: Any = counted._writer

    started = time.monotonic()
    counted.close()

    assert time.monotonic() - started < TIMEOUT / 2
    assert "the last verdicts are not counted" in caplog.text
    go_on.set()
    writer.join()


ENDING = """
import sys
from sqlalchemy import create_engine
from hmac_guard import Claim, Decision, Reason, Verdict
from hmac_guard.keys import SqlKeys, VerdictCounts
keys = SqlKeys(create_engine(sys.argv[1]), table=sys.argv[2])
counts = VerdictCounts(keys)
counts(Decision(Verdict(Reason.VERIFIED, "one"), Claim("one", {}, "acme"), "enforce", False, 0.0))
"""


def test_a_process_that_ends_writes_what_it_counted(sync_database: Database) -> None:
    keys, counted = counting(sync_database)
    keys.add("acme")
    url = sync_database.url.render_as_string(hide_password=False)
    subprocess.run([sys.executable, "-c", ENDING, url, sync_database.table], check=True, timeout=60, env=os.environ)

    assert counted.readiness()[0].verified == 1


def figures(keys: Any) -> dict[str, tuple[Any, ...]]:
    return {
        found.name: (found.verified, found.refused, found.ready, found.counted) for found in keys.tenants(limit=1_000)
    }


def test_a_tenant_shows_its_figures_and_when_it_and_its_keys_were_last_used(sync_database: Database) -> None:
    keys, counted = counting(sync_database)
    for tenant in ("good", "mixed", "bad", "idle"):
        keys.add(tenant, key_id="k")
    keys.add("good", key_id="unused")
    for tenant in ("good", "mixed"):
        verdict = Verdict(Reason.VERIFIED, "one", key_id="k")
        counted(Decision(verdict, Claim("one", {}, tenant), "enforce", False, 0.0))
    count(counted, "mixed", malformed=2)
    count(counted, "bad", unknown_key=1)
    before = time.time() - 60
    counted.flush()

    end = (time.time() // 3_600 + 1) * 3_600
    assert figures(keys) == {
        "good": (1, 0, "ready", end),
        "mixed": (1, 2, "refused", end),
        "bad": (0, 1, "unknown", end),
        "idle": (0, 0, "unknown", None),
    }
    used = {tenant.name: tenant.last_used for tenant in keys.tenants()}
    assert (used["bad"], used["idle"]) == (None, None)
    assert before < used["good"] < time.time() + 60
    assert {key.id: key.last_used is not None for key in keys.list("good")} == {"k": True, "unused": False}
    for wanted, names in (
        ({"ready": True}, ["good"]),
        ({"ready": False}, ["bad", "idle", "mixed"]),
        ({"used": True}, ["good", "mixed"]),
        ({"used": False, "mode": "guard"}, ["bad", "idle"]),
    ):
        assert [tenant.name for tenant in keys.tenants(**wanted)] == names


def test_a_tenant_that_fell_silent_reads_nothing_a_day_later(
    sync_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "ROWS", 10)
    keys, counted = counting(sync_database)
    for number in range(25):
        keys.add(f"t{number}", KEY)
        count(counted, f"t{number}", verified=1)
    counted.flush()
    assert counted.sum_up_stale() == 0

    sync_database.sql("UPDATE {tenants} SET counted = counted - 1")
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: counted.sum_up_stale(TIMEOUT), range(4))) == 25
    assert figures(keys)["t7"][:3] == (1, 0, "ready")

    sync_database.sql("UPDATE {tenants} SET counted = counted - 1")
    sync_database.sql("UPDATE {hours} SET hour = hour - 24")
    assert counted.sum_up_stale(TIMEOUT) == 25
    assert set(figures(keys).values()) == {(0, 0, "unknown", None)}
    assert counted.sum_up_stale() == 0


@pytest.mark.parametrize("sync_database", SYNC[1:], indirect=True)  # SQLite locks no rows.
def test_tenants_that_another_worker_holds_for_a_moment_are_summed_up(sync_database: Database) -> None:
    """In MariaDB a worker may lock rows that it does not compute, while it scans past them."""
    keys, counted = counting(sync_database)
    keys.add("acme", KEY)
    count(counted, "acme", verified=1)
    counted.flush()
    sync_database.sql("UPDATE {tenants} SET counted = counted - 1")
    holding, looks = sync_database.engine.connect(), Counter[str]()
    holding.execute(select(counted._store.tenants.c.name).with_for_update())

    @event.listens_for(sync_database.engine, "before_cursor_execute")
    def let_go(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        looks[statement] += "SKIP LOCKED" in statement
        if looks[statement] == 2:
            holding.rollback()

    with holding:
        assert counted.sum_up_stale(TIMEOUT) == 1


@pytest.mark.parametrize(("work", "code"), [("flush", "sqlstate"), ("sum_up_stale", "sqlstate"), ("flush", "pgcode")])
def test_an_operation_that_a_deadlock_ends_is_repeated(sync_database: Database, work: str, code: str) -> None:
    keys, counted = counting(sync_database)
    keys.add("acme", KEY)
    count(counted, "acme", verified=1)
    if work == "sum_up_stale":
        counted.flush()
        sync_database.sql("UPDATE {tenants} SET counted = counted - 1")
        sync_database.sql("UPDATE {hours} SET hour = hour - 24")

    ended: list[str] = []

    @event.listens_for(sync_database.engine, "before_cursor_execute")
    def end_once(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if not ended and statement.startswith("UPDATE"):
            ended.append(statement)
            error = connection.dialect.dbapi.OperationalError("a simulated deadlock")
            setattr(error, code, "40P01")
            raise error

    getattr(counted, work)()

    assert len(ended) == 1
    assert figures(keys)["acme"][:3] == ((1, 0, "ready") if work == "flush" else (0, 0, "unknown"))


def test_the_hours_of_a_tenant_are_listed(sync_database: Database) -> None:
    keys, counted = counting(sync_database)
    keys.add("acme")
    keys.add("other")
    count(counted, "acme", verified=2, malformed=1)
    count(counted, "other", verified=1)
    counted.flush()

    found = counted.hours(["acme"])

    assert {(row.tenant, row.scheme, row.mode, row.reason, requests) for row, requests in found} == {
        ("acme", "one", "enforce", "verified", 2),
        ("acme", "one", "enforce", "malformed", 1),
    }


def test_an_async_engine_is_refused() -> None:
    with pytest.raises(ConfigError, match="sync engine"):
        VerdictCounts(SqlKeys(create_async_engine("sqlite+aiosqlite:///none.db")))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="sync engine"):
        VerdictCounts("sqlite://")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="every"):
        VerdictCounts(SqlKeys(create_engine("sqlite:///keys.db")), every=0)
    with pytest.raises(ConfigError, match=r"every must be at most \d+ seconds"):
        VerdictCounts(SqlKeys(create_engine("sqlite:///keys.db")), every=1e10)


def test_the_hours_of_refusals_are_checked() -> None:
    with pytest.raises(ConfigError, match="refusals must be a number of hours"):
        VerdictCounts(SqlKeys(create_engine("sqlite:///keys.db")), refusals="24h")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="refusals must be more than 0 hours"):
        VerdictCounts(SqlKeys(create_engine("sqlite:///keys.db")), refusals=0)


KINDS = {
    "verified": f"a=x&t=acme&sig={SCHEME.sign(KEY, a='x')}",
    "invalid_signature": f"a=x&t=acme&sig={SCHEME.sign(OTHER_KEY, a='x')}",
    "missing_signature": "a=x&t=acme",
    "malformed": "a=%FF&t=acme&sig=x",
}


@contextmanager
def counting_servers(database: Database, every: float) -> Iterator[list[tuple[subprocess.Popen[str], int]]]:
    pytest.importorskip("uvicorn", reason="not run: uvicorn is not installed")
    program = str(Path(__file__).parents[3] / "counting_server.py")
    where = [database.url.render_as_string(hide_password=False), database.table, str(every)]
    servers = [subprocess.Popen([sys.executable, program, *where], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        yield [(server, int(server.stdout.readline())) for server in servers if server.stdout is not None]
    finally:
        for server in servers:
            server.kill()
            server.communicate()


def send_all(port: int, times: int) -> None:
    for query in list(KINDS.values()) * times:
        # On a connection that stays open, each answer would wait 40 ms for an acknowledgement.
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        connection.request("GET", f"/?{query}")
        connection.getresponse().read()
        connection.close()


@pytest.mark.parametrize(
    "requests", [pytest.param(400, id="400"), pytest.param(10_000, id="10,000", marks=pytest.mark.slow)]
)
def test_a_graceful_stop_loses_no_count(sync_database: Database, requests: int) -> None:
    keys, counted = counting(sync_database)
    keys.add("acme", KEY)
    with counting_servers(sync_database, every=3_600) as servers, ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda server: send_all(server[1], requests // 8), servers))
        for server, _ in servers:
            server.terminate()
        for server, _ in servers:
            server.wait(TIMEOUT)

    [found] = counted.readiness()
    assert {"verified": found.verified, **found.refused} == dict.fromkeys(KINDS, requests // 4)


def test_a_killed_process_loses_one_interval_at_most(sync_database: Database) -> None:
    keys, counted = counting(sync_database)
    keys.add("acme", KEY)
    with counting_servers(sync_database, every=0.2) as servers:
        send_all(servers[0][1], 10)
        assert becomes_true(lambda: counted.readiness()[0].verified == 10)
        send_all(servers[0][1], 1)
        servers[0][0].kill()

    assert counted.readiness()[0].verified in (10, 11)
