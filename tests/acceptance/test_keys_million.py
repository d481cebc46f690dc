"""A platform with a million tenants on PostgreSQL: no page reads a table through, and no command holds it in memory."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from databases import Database, database_of
from key_sources import KEY
from sqlalchemy import event

from hmac_guard.keys.sql import VerdictLedger

pytestmark = pytest.mark.slow

TENANTS = int(os.environ.get("HMAC_GUARD_TENANTS", "1000000"))

# Every second tenant is in report, one in 200,000 in off; one in 100,000 is ready; one in 250,000 has a key about to
# end.
FILL = """
INSERT INTO {tenants} (name, mode, made_at, verified, refused, ready, used, last_used, counted)
SELECT 'tenant-' || lpad(n::text, 8, '0'),
  CASE WHEN n % 200000 = 7 THEN 'off' WHEN n % 2 = 0 THEN 'report' ELSE 'enforce' END, 1795845659.5, 0, 0,
  CASE WHEN n % 100000 = 9 THEN 'ready' ELSE 'unknown' END, CASE WHEN n % 3 = 0 THEN 1 ELSE 0 END, NULL, 0
FROM generate_series(1, :tenants) AS n;
INSERT INTO {keys} (tenant, id, secret, made_at, made_by, note, not_before, not_after, last_used)
SELECT 'tenant-' || lpad(n::text, 8, '0'), 'key-' || k, 'text:' || md5((n * 2 + k)::text), 1795845659.5 + k, 'test', '',
  NULL, CASE WHEN k = 1 OR n % 250000 <> 3 THEN 253402300799 ELSE extract(epoch from now()) + 3600 END, NULL
FROM generate_series(1, :tenants) AS n, generate_series(0, 1) AS k;
INSERT INTO {hours} (tenant, hour, scheme, mode, reason, key_id, requests, known)
SELECT 'tenant-' || lpad(n::text, 8, '0'), extract(epoch from now())::bigint / 3600, 'nango', 'report',
  CASE WHEN k = 0 THEN 'verified' ELSE 'missing_signature' END, CASE WHEN k = 0 THEN 'key-0' ELSE '' END, 10, 0
FROM generate_series(1, :tenants) AS n, generate_series(0, 1) AS k;
INSERT INTO {audit} (at, tenant, actor, origin, action, detail)
SELECT 1795845659.5, 'tenant-' || lpad(n::text, 8, '0'), 'actor-' || (n % 1000), 'host', 'add', '{{}}'
FROM generate_series(1, :tenants) AS n;
INSERT INTO {refusals} (id, at, tenant, scheme, method, path, reason, detail, ids)
SELECT n, extract(epoch from now()), 'tenant-' || lpad((n % 500)::text, 8, '0'), 'nango', 'GET', '/connect',
  'missing_signature', '', '{{}}'
FROM generate_series(1, 50000) AS n;
"""


@pytest.fixture(scope="module")
def million(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with database_of("postgresql+psycopg", tmp_path_factory.mktemp("million")) as database:
        for statement in filter(str.strip, FILL.split(";")):
            numbers = {"tenants": TENANTS} if ":tenants" in statement else {}
            database.sql(statement, **numbers)
        database.analyze()
        database.drop()
        yield database


PAGES: dict[str, Any] = {
    "the first page": {},
    "a page in the middle": {"after": f"tenant-{TENANTS // 2:08}"},
    "a prefix": {"prefix": "tenant-0012"},
    "a prefix that few have": {"prefix": "tenant-00999999"},
    "a mode that half have": {"mode": "report", "after": f"tenant-{TENANTS // 2:08}"},
    "a mode that five have": {"mode": "off"},
    "ready": {"ready": True},
    "not ready": {"ready": False},
    "never used": {"used": False},
    "ready, in report, used": {"ready": True, "mode": "report", "used": True},
    "a key about to end": {"ending": 86_400.0},
    "a key about to end, in report": {"ending": 86_400.0, "mode": "report"},
    "no key that ends": {"ending": 60.0},
}


def plans(database: Database, ask: Any) -> tuple[list[str], float]:
    """How PostgreSQL does each statement that is asked, and the milliseconds that all take it."""
    engine, plans, seen = database.engine, [], []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            seen.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    ask()
    event.remove(engine, "before_cursor_execute", note)
    took = 0.0
    with engine.connect() as connection:
        for statement, parameters in seen:
            rows = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, COSTS OFF, SUMMARY ON) {statement}", parameters)
            plan = "\n".join(row[0] for row in rows)
            plans.append(plan)
            took += float(re.findall(r"Execution Time: ([\d.]+) ms", plan)[0])
    return plans, took


@pytest.mark.parametrize("page", PAGES)
def test_a_page_reads_no_table_through(million: Database, page: str) -> None:
    keys = million.keys()
    found, took = plans(million, lambda: keys.tenants(**PAGES[page]))

    print(f"{page}: {took:.1f} ms")
    assert "Seq Scan" not in "\n".join(found)
    assert took < 150, "\n\n".join(found)


@pytest.mark.parametrize("page", [page for page in PAGES if "end" not in page])
def test_a_page_of_readiness_reads_no_table_through(million: Database, page: str) -> None:
    ledger = VerdictLedger(million.keys())
    found, took = plans(million, lambda: ledger.readiness(limit=100, **PAGES[page]))

    print(f"{page}: {took:.1f} ms")
    assert "Seq Scan" not in "\n".join(found)
    assert took < 150, "\n\n".join(found)


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"tenant": "tenant-00000042"},
        {"actor": "actor-7"},
        {"action": "add", "before": TENANTS // 2},
        {"action": "purge"},
        {"tenant": "tenant-00000042", "actor": "actor-7"},
    ],
)
def test_a_page_of_the_audit_reads_no_table_through(million: Database, wanted: dict[str, Any]) -> None:
    keys = million.keys()
    found, took = plans(million, lambda: keys.audit(**wanted))

    print(f"{wanted}: {took:.1f} ms")
    assert "Seq Scan" not in "\n".join(found)
    assert took < 150, "\n\n".join(found)


@pytest.mark.parametrize("tenant", ["tenant-00000042", "tenant-00500000"], ids=["some", "none"])
def test_the_refused_requests_of_a_tenant_are_read_alone(million: Database, tenant: str) -> None:
    ledger = VerdictLedger(million.keys())
    found, took = plans(million, lambda: (ledger.refusals(tenant), ledger.refusal(42)))

    print(f"the refused requests of {tenant}: {took:.1f} ms")
    assert "Seq Scan" not in "\n".join(found)
    assert took < 150, "\n\n".join(found)


def test_a_look_up_reads_the_rows_of_its_tenant(million: Database) -> None:
    keys = million.keys()
    found, took = plans(million, lambda: million.ring(keys, "tenant-00500000"))

    print(f"a look-up: {took:.2f} ms")
    assert len(found) == 1
    assert "Seq Scan" not in found[0]


def test_keys_that_ended_long_ago_cost_a_look_up_nothing(million: Database) -> None:
    keys = million.keys()
    keys.add("many", KEY)
    million.sql(
        "INSERT INTO {keys} SELECT 'many', 'old-' || n, 'text:' || md5(n::text), n, 'test', '', NULL, n, NULL"
        " FROM generate_series(1, 1000) AS n"
    )
    _, few = plans(million, lambda: million.ring(keys, "tenant-00500000"))
    [plan], many = plans(million, lambda: million.ring(keys, "many"))

    print(f"a look-up: {few:.2f} ms, with 1,000 ended keys: {many:.2f} ms")
    assert "not_after" in re.findall(r"Index Cond: (.*)", plan)[-1]
    assert "Rows Removed" not in plan
    million.sql("DELETE FROM {keys} WHERE tenant = 'many'")
    million.sql("DELETE FROM {tenants} WHERE name = 'many'")


PROGRAM = """
import re, sys
from hmac_guard.cli.commands import hmac_guard as command
from sqlalchemy import create_engine
import hmac_guard.keys.sql, psycopg
def most():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
before = most()
try:
    command(sys.argv[1:])
finally:
    print(most() - before, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "tenants"),
    [
        (["list", "--json"], TENANTS),
        (["list", "--limit", "100000"], 100_000),
        (["readiness", "--limit", "100000"], 100_000),
        (["readiness", "--json", "--limit", "100000"], 100_000),
        (["list", "--ready", "--json"], 10),
    ],
)
def test_a_command_begins_at_once_and_needs_little_memory(
    million: Database, arguments: list[str], tenants: int
) -> None:
    environ = {**os.environ, "HMAC_GUARD_DB": million.url.render_as_string(hide_password=False)}
    command = [sys.executable, "-c", PROGRAM, "keys", *arguments, "--table", million.table]

    def run(*more: str) -> tuple[float, float, int, int]:
        """Seconds to the first tenant's line and to the end, lines, and KiB of memory beyond start-up."""
        started, first, lines = time.monotonic(), 0.0, 0
        with subprocess.Popen(
            [*command, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            for line in process.stdout:
                lines += 1
                if not first and b"tenant-" in line:
                    first = time.monotonic() - started
            memory = int(process.stderr.read().split()[-1])
        return first, time.monotonic() - started, lines, memory

    start_up = min(run("--limit", "1", "--prefix", "no such tenant")[1] for _ in range(3))
    first, whole, lines, memory = run()

    print(
        f"{arguments}: first line after {first - start_up:.2f} s, all {lines} lines after {whole:.1f} s, {memory} KiB"
    )
    assert first - start_up < 1
    assert memory < 40 * 1024
    assert lines > tenants


def test_reseal_and_purge_take_short_transactions(million: Database) -> None:
    from cryptography.fernet import Fernet

    keys = million.keys(master_keys=Fernet.generate_key(), allow_clear=True)
    held: list[float] = []
    began: list[float] = [0.0]
    event.listen(keys.engine, "begin", lambda _: began.__setitem__(0, time.monotonic()))
    event.listen(keys.engine, "commit", lambda _: held.append(time.monotonic() - began[0]))
    started = time.monotonic()
    sealed = keys.reseal(f"tenant-{TENANTS - 10_000:08}")
    print(f"{sealed} secrets in {time.monotonic() - started:.1f} s, the longest transaction {max(held):.2f} s")

    assert sealed == 20_000
    assert max(held) < 1


def test_a_flush_costs_little_for_each_pair(million: Database) -> None:
    from hmac_guard import Claim, Decision, Reason, Verdict
    from hmac_guard.keys import VerdictCounts

    keys = million.keys()
    counts = VerdictCounts(keys, every=3_600)
    for number in range(10_000):
        claim = Claim("nango", {}, f"tenant-{number + 1:08}")
        counts(Decision(Verdict(Reason.VERIFIED, "nango", key_id="key-0"), claim, "report", False, 0.0))
    held: list[float] = []
    began: list[float] = [0.0]
    event.listen(keys.engine, "begin", lambda _: began.__setitem__(0, time.monotonic()))
    event.listen(keys.engine, "commit", lambda _: held.append(time.monotonic() - began[0]))
    cpu, started = time.process_time(), time.monotonic()
    counts.flush()
    cpu, took = time.process_time() - cpu, time.monotonic() - started

    print(f"{cpu / 10_000 * 1e6:.0f} µs of CPU a pair, {took:.1f} s, the longest transaction {max(held):.2f} s")
    assert cpu / 10_000 < 100e-6
    assert max(held) < 1.5
    counts.close()
