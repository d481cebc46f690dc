"""The tables on SQLite, PostgreSQL and MariaDB: made once by several workers, and changed whole or not at all."""

import asyncio
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.fernet import Fernet
from databases import MARIADB, POSTGRES, TABLES, Database, database_of, needs, sqlite_in
from key_sources import KEY, OTHER_KEY, Clock, claim_of
from sqlalchemy import (
    URL,
    AsyncAdaptedQueuePool,
    NullPool,
    QueuePool,
    StaticPool,
    create_engine,
    event,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import create_async_engine
from waiting import TIMEOUT

from hmac_guard import Claim, ConfigError, Decision, Keyring, Reason, Verdict
from hmac_guard.core.hidden import hide
from hmac_guard.keys import SqlKeys, VerdictCounts
from hmac_guard.keys.sql import VerdictLedger, metadata, operations
from hmac_guard.log import failure_of
from hmac_guard.once import SqlOnce

DAY = 86_400


def drop_all(database: Database) -> None:
    for name in TABLES:
        database.sql(f"DROP TABLE IF EXISTS {{{name}}}")


def indexes(keys: Any) -> dict[str, set[str | None]]:
    found = inspect(keys.engine)
    return {name: {index["name"] for index in found.get_indexes(name)} for name in keys.metadata.tables}


MISSING = "a table does not exist; call create_table() of SqlKeys or SqlOnce"


def test_each_use_of_a_missing_table_says_how_to_create_it(database: Database) -> None:
    keys: Any = SqlKeys(database.engine, table="forgotten_keys")
    uses: list[Callable[[], Any]] = [
        lambda: keys(claim_of("acme")),
        lambda: keys.add("acme"),
        lambda: keys.console_secret(),
        lambda: keys.purge(older_than=10 * DAY),
    ]
    if not keys.asgi_only:
        uses.append(lambda: VerdictLedger(keys).readiness())
    if database.server != "mariad":
        uses.append(lambda: SqlOnce(database.engine, table="forgotten").use(bytes(32), time.time() + 60))
    for use in uses:
        with pytest.raises(DBAPIError) as caught:
            database.do(use())
        assert MISSING in str(caught.value)
        assert MISSING in failure_of(caught.value).kind


def test_the_log_of_the_counts_says_how_to_create_a_missing_table(
    sync_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    counted = VerdictCounts(SqlKeys(sync_database.engine, table="forgotten_keys"), every=3_600)
    counted(Decision(Verdict(Reason.VERIFIED, "one"), Claim("one", {}, "acme"), "enforce", False, 0.001))
    counted.close()
    assert MISSING in caplog.text


def test_another_error_of_the_database_names_no_table(database: Database) -> None:
    keys: Any = database.keys()
    database.sql("ALTER TABLE {keys} RENAME COLUMN note TO other")
    with pytest.raises(DBAPIError) as caught:
        database.do(keys.add("acme"))
    assert "create_table" not in str(caught.value) + failure_of(caught.value).kind
    # The user's own table.
    with pytest.raises(DBAPIError) as caught:
        database.sql("SELECT 1 FROM forgotten")
    assert "create_table" not in str(caught.value) + failure_of(caught.value).kind


def test_eight_workers_make_the_tables_at_once(sync_database: Database) -> None:
    drop_all(sync_database)
    workers = [sync_database.keys() for _ in range(8)]
    together = threading.Barrier(8)

    def make(keys: Any) -> None:
        together.wait()
        keys.create_table()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, workers))

    keys = workers[0]
    assert indexes(keys) == {
        name: {index.name for index in table.indexes} for name, table in keys.metadata.tables.items()
    }
    assert len(sync_database.sql("SELECT name FROM {settings}")) == 1
    assert len({worker.console_secret().get() for worker in workers}) == 1


def test_tables_that_were_half_made_are_completed_and_what_is_there_is_kept(database: Database) -> None:
    keys = database.keys()
    database.do(keys.add("acme"))
    on_table = "" if database.server in ("sqlite", "postgr") else " ON {keys}"
    database.sql(f"DROP INDEX {database.table}_tenant_not_after{on_table}")
    database.sql("DROP TABLE {audit}")

    database.do(keys.create_table())

    assert len(database.do(keys.list())) == 1
    assert database.do(keys.audit()) == ()
    if not keys.asgi_only:
        assert f"{database.table}_tenant_not_after" in indexes(keys)[database.table]


def test_a_new_worker_does_not_wait_for_the_transactions_of_older_ones(sync_database: Database) -> None:
    keys = sync_database.keys()
    keys.add("acme", KEY)
    listed = keys.list()
    older = sync_database.engine.connect()
    tenants, stored = keys.metadata.tables[sync_database.table[:-5] + "_tenants"], keys.metadata.tables[keys.table.name]
    older.execute(select(tenants)).all()
    if sync_database.server != "sqlite":  # A transaction that writes to SQLite locks out every other one.
        older.execute(update(stored).values(note="by an older worker"))

    with ThreadPoolExecutor(1) as pool:
        pool.submit(sync_database.keys().create_table).result(TIMEOUT)

    older.commit()
    older.close()
    assert [key.id for key in keys.list()] == [key.id for key in listed]


@pytest.mark.skipif(os.name == "nt", reason="not run: Windows has no modes of files")
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_only_its_owner_can_read_a_new_file_of_sqlite(tmp_path: Path, is_async: bool) -> None:
    file = tmp_path / "keys.db"
    if is_async:
        asyncio.run(create_tables(file))
    else:
        engine = create_engine(f"sqlite:///{file}")
        SqlKeys(engine).create_table()
        engine.dispose()

    assert file.stat().st_mode & 0o777 == 0o600


async def create_tables(file: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{file}", poolclass=AsyncAdaptedQueuePool)
    await SqlKeys(engine).create_table()
    await engine.dispose()


def test_a_database_that_takes_no_table_is_an_error(tmp_path: Path) -> None:
    keys = SqlKeys(create_engine(f"sqlite:///{tmp_path / 'none' / 'keys.db'}"))
    with pytest.raises(Exception, match="unable to open"):
        keys.create_table()


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("owner", [SqlKeys, SqlOnce])
@pytest.mark.parametrize("works", [0, 1], ids=["the first", "the second"])
def test_a_failed_connect_is_not_repeated(tmp_path: Path, owner: Any, is_async: bool, works: int) -> None:
    """Each attempt could wait for the time-out of the driver, or log in with a wrong password."""
    url = f"sqlite{'+aiosqlite' * is_async}:///{tmp_path / 'keys.db'}"
    engine: Any = (create_async_engine if is_async else create_engine)(url, poolclass=NullPool)
    tried = []

    @event.listens_for(engine.sync_engine if is_async else engine, "do_connect")
    def refuse(*arguments: object) -> None:
        tried.append(arguments)
        if len(tried) > works:
            raise sqlite3.OperationalError("no connection")

    @event.listens_for(engine.sync_engine if is_async else engine, "before_cursor_execute")
    def fail(*arguments: object) -> None:
        raise OperationalError("lost", None, sqlite3.OperationalError("lost"))

    with pytest.raises(OperationalError, match="no connection"):
        asyncio.run(create_in(owner(engine))) if is_async else owner(engine).create_table()

    assert len(tried) == works + 1


async def create_in(owner: Any) -> None:
    await owner.create_table()


def test_alembic_sees_no_difference(sync_database: Database) -> None:
    pytest.importorskip("alembic", reason="not run: Alembic is not installed")
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    keys = sync_database.keys()
    options = {"include_name": lambda name, kind, _: kind != "table" or name in keys.metadata.tables}

    def differences() -> Any:
        with sync_database.engine.connect() as connection:
            return compare_metadata(MigrationContext.configure(connection, opts=options), keys.metadata)

    assert differences() == []
    sync_database.sql("ALTER TABLE {keys} ADD COLUMN more INTEGER")
    assert len(differences()) == 1


def test_a_migration_of_alembic_makes_the_tables(tmp_path: Path) -> None:
    pytest.importorskip("alembic", reason="not run: Alembic is not installed")
    from alembic import command
    from alembic.config import Config

    scripts, url = tmp_path / "migrations", f"sqlite:///{tmp_path / 'keys.db'}"
    command.init(Config(str(tmp_path / "alembic.ini")), str(scripts))
    documented = {
        "env.py": ("target_metadata = None", "from hmac_guard.keys.sql import metadata\ntarget_metadata = [metadata]"),
        "script.py.mako": ("import sqlalchemy as sa\n", "import sqlalchemy as sa\nimport hmac_guard.keys.sql.tables\n"),
    }
    for name, (before, after) in documented.items():
        written = (scripts / name).read_text()
        assert before in written
        (scripts / name).write_text(written.replace(before, after))
    config = Config()  # Without the file, whose logging would end that of other tests.
    config.set_main_option("script_location", str(scripts))
    config.set_main_option("sqlalchemy.url", url)

    command.revision(config, autogenerate=True)
    command.upgrade(config, "head")
    command.check(config)

    engine = create_engine(url)
    keys = SqlKeys(engine)
    keys.add("acme", mode="report")
    assert [(key.tenant, key.mode) for key in keys.list()] == [("acme", "report")]
    engine.dispose()


@pytest.mark.parametrize(
    ("name", "excess"),
    [
        ("a" * 34, 0),
        ("a" * 34 + "_keys", 0),
        ("a" * 35, 1),
        ("a" * 35 + "_keys", 1),
        ("\N{CYRILLIC SMALL LETTER ZHE}" * 27, 20),
    ],
    ids=["shortest", "shortest with _keys", "too long", "too long with _keys", "too long in bytes"],
)
def test_a_name_that_postgresql_would_cut_off_is_refused(tmp_path: Path, name: str, excess: int) -> None:
    with database_of("postgresql+psycopg", tmp_path) as database:
        keys = SqlKeys(database.engine, table=name)
        try:
            if excess:
                with pytest.raises(ConfigError, match=f"shorter by {excess} bytes or more"):
                    keys.create_table()
            else:
                keys.create_table()
                keys.create_table()
            assert inspect(database.engine).has_table(name) is not bool(excess)
        finally:
            keys.metadata.drop_all(database.engine)


@pytest.mark.parametrize(
    ("name", "excess"),
    [("a" * 35, 0), ("a" * 36, 1), ("\N{CYRILLIC SMALL LETTER ZHE}" * 35, 0)],
    ids=["longest", "too long", "longest in characters"],
)
def test_a_name_that_is_too_long_for_mariadb_is_refused(tmp_path: Path, name: str, excess: int) -> None:
    with database_of("mariadb+pymysql", tmp_path) as database:
        keys = SqlKeys(database.engine, table=name)
        try:
            if excess:
                with pytest.raises(ConfigError, match=f"shorter by {excess} characters or more"):
                    keys.create_table()
            else:
                keys.create_table()
            made = set(inspect(database.engine).get_table_names()) & set(keys.metadata.tables)
            assert len(made) == (0 if excess else len(TABLES))
        finally:
            keys.metadata.drop_all(database.engine)


def test_sqlite_takes_the_longest_name(tmp_path: Path) -> None:
    keys = SqlKeys(sqlite_in(tmp_path), table="\N{CYRILLIC SMALL LETTER ZHE}" * 40)
    keys.create_table()

    assert keys.add("acme").id


@pytest.mark.parametrize(
    "names", [("shop", "shop_keys"), ("shop_keys", "shop")], ids=["the longer last", "the shorter last"]
)
def test_two_tables_of_keys_that_would_share_tenants_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    first, second = (SqlKeys(sqlite_in(tmp_path), table=name) for name in names)
    first.create_table()

    for _ in range(2):
        with pytest.raises(
            ConfigError, match=f"{names[1]!r} and {names[0]!r} would share their tenants; choose another"
        ):
            second.create_table()
    first.create_table()


@pytest.mark.parametrize("names", [("shop_keys", "shop_keys_keys"), ("shop_keys_keys", "shop_keys"), ("_keys", "keys")])
def test_tables_of_keys_that_share_no_table_go_together(tmp_path: Path, names: tuple[str, str]) -> None:
    for name in names:
        SqlKeys(sqlite_in(tmp_path), table=name).create_table()

    assert len(inspect(sqlite_in(tmp_path)).get_table_names()) == 2 * len(TABLES)


def test_two_tables_of_keys_that_share_tenants_already_are_left_as_they_are(tmp_path: Path) -> None:
    engine = sqlite_in(tmp_path)
    first, second = (SqlKeys(engine, table=name) for name in ("shop", "shop_keys"))
    first.create_table()
    second.metadata.create_all(engine)

    first.create_table()
    second.create_table()
    first.add("acme")
    assert [tenant.name for tenant in second.tenants()] == ["acme"]


def test_a_table_of_keys_may_have_no_prefix(tmp_path: Path) -> None:
    with database_of("mariadb+pymysql", tmp_path) as database:
        keys = SqlKeys(database.engine, table="_keys")
        try:
            keys.create_table()
            keys.add("acme")
            assert [key.tenant for key in keys.list()] == ["acme"]
        finally:
            keys.metadata.drop_all(database.engine)


def test_a_table_of_the_application_may_have_the_prefix_as_its_name(tmp_path: Path) -> None:
    engine = sqlite_in(tmp_path)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE shop (id INTEGER PRIMARY KEY, tenant TEXT)"))
    SqlKeys(engine, table="shop_keys").create_table()

    assert inspect(engine).has_table("shop_keys")


def test_the_usual_tables_are_public() -> None:
    assert set(metadata.tables) == {f"hmac_guard_{name}" for name in TABLES}


def test_operators_who_rotate_at_once_lose_no_key(sync_database: Database) -> None:
    keys = sync_database.keys()
    first = keys.add("acme")

    def rotate(number: int) -> str:
        return str(sync_database.keys().rotate("acme", grace=0, actor=f"operator {number % 4}").id)

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(rotate, range(24)))

    listed = keys.list("acme")
    assert {key.id for key in listed} == {first.id, *made}
    assert [key.not_after for key in listed].count(None) == 1
    assert listed[0].not_after is None
    assert len(keys.audit(tenant="acme")) == 25


def test_operators_who_make_one_tenant_at_once_make_one(sync_database: Database) -> None:
    keys = sync_database.keys()
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: keys.add("acme"), range(8)))

    assert {key.id for key in keys.list("acme")} == {key.id for key in made}
    assert [tenant.name for tenant in keys.tenants()] == ["acme"]


CHANGES: dict[str, Callable[[Any], Any]] = {
    "add": lambda keys: keys.add("acme", mode="off"),
    "add a tenant": lambda keys: keys.add("globex"),
    "rotate": lambda keys: keys.rotate("acme"),
    "retire": lambda keys: keys.retire("acme", "b"),
    "set_mode": lambda keys: keys.set_mode("acme", "enforce"),
    "note": lambda keys: keys.note("acme", "a", "noted"),
    "reseal": lambda keys: keys.reseal(),
    "purge": lambda keys: keys.purge(older_than=2 * DAY),
}
MASTER = Fernet.generate_key()


def do_until(database: Database, change: Callable[[Any], Any], statement: int) -> bool:
    """Whether a process that makes the change came to its end: it kills itself at that statement."""
    child = os.fork()
    if child == 0:
        engine = create_engine(database.url)
        count = iter(range(1_000))

        def at(*_: Any) -> None:
            if next(count) == statement:
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(engine, "before_cursor_execute", at)
        event.listen(engine, "commit", at)
        try:
            change(SqlKeys(engine, table=database.table, master_keys=MASTER))
        finally:
            os._exit(0)
    return os.WIFEXITED(os.waitpid(child, 0)[1])


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_a_process_that_is_killed_at_any_statement_leaves_nothing_half_done(
    sync_database: Database, change: str
) -> None:
    clock = Clock(time.time() - 10 * DAY)
    sync_database.sql("DELETE FROM {settings}")
    past = sync_database.keys(master_keys=MASTER, clock=clock)
    past.create_table()
    past.add("acme", KEY, key_id="old", mode="report", not_after=clock.now + 1)
    for key_id in ("a", "b"):
        past.add("acme", key_id=key_id)
    sync_database.engine.dispose()

    def rows() -> list[Any]:
        return [sync_database.sql(f"SELECT * FROM {{{name}}} ORDER BY 1, 2") for name in TABLES]

    before, statement = rows(), 0
    while not do_until(sync_database, CHANGES[change], statement):
        # The last transaction of `reseal` and `purge` comes after what they did.
        if change not in ("reseal", "purge"):
            assert rows() == before
        ring = sync_database.ring(sync_database.keys(master_keys=MASTER), "acme")
        assert isinstance(ring, Keyring)
        statement += 1

    assert statement >= 4
    assert rows() != before
    assert [len(table) for table in rows()][TABLES.index("audit")] > len(before[TABLES.index("audit")])


def test_what_was_resealed_stays_so_when_it_is_stopped(
    sync_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "BATCH", 2)
    for tenant in ("a", "b", "c", "d", "e"):
        sync_database.keys().add(tenant)
    keys = sync_database.keys(master_keys=MASTER, allow_clear=True)

    def stop(count: int, tenant: str) -> None:
        if tenant == "d":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keys.reseal(progress=stop)
    assert [key.sealed for key in keys.list()] == [True] * 4 + [False]

    assert keys.reseal("d") == 1
    assert all(key.sealed for key in keys.list())


def test_batches_run_behind_an_async_engine(database: Database) -> None:
    database.do(database.keys().add("acme"))
    recorded: list[tuple[int, str]] = []
    keys = database.keys(master_keys=MASTER, allow_clear=True)

    assert database.do(keys.reseal(progress=lambda *seen: recorded.append(seen))) == 1
    assert recorded == [(1, "acme")]
    assert database.do(keys.purge(older_than=DAY)) == 0


def test_a_look_up_is_one_statement_that_leaves_out_keys_that_ended_long_ago(sync_database: Database) -> None:
    clock = Clock(time.time() - 30 * DAY)
    past = sync_database.keys(clock=clock)
    past.add("acme", KEY, key_id="old", mode="report")
    past.rotate("acme", grace=0)
    clock.now = time.time() - DAY + 600
    past.rotate("acme", grace=0, key_id="yesterday")
    clock.now += 60
    past.retire("acme", "yesterday")
    statements: list[str] = []
    keys = sync_database.keys()
    event.listen(keys.engine, "before_cursor_execute", lambda *recorded: statements.append(recorded[2]))

    ring = sync_database.ring(keys, "acme")

    assert len(statements) == 1
    assert ring is not None
    assert {key.id for key in ring.keys} >= {"yesterday"}
    assert "old" not in {key.id for key in ring.keys}
    assert (ring.mode, ring.active(time.time())) == ("report", ())


def test_a_tenant_whose_keys_ended_long_ago_keeps_its_mode(database: Database) -> None:
    clock = Clock(time.time() - 30 * DAY)
    past = database.keys(clock=clock)
    database.do(past.add("acme", key_id="k", mode="report"))
    database.do(past.retire("acme", "k"))

    ring = database.ring(database.keys(), "acme")

    assert ring is not None
    assert ring.mode == "report"
    assert all(ring.active(moment) == () for moment in (-1e18, 0.0, time.time(), 1e18))


def test_a_secret_that_ended_lately_is_refused_since_look_ups_still_read_it(database: Database) -> None:
    keys = database.keys()
    database.do(keys.add("acme", KEY, key_id="k"))
    database.do(keys.add("acme", OTHER_KEY))
    database.do(keys.retire("acme", "k"))

    with pytest.raises(ConfigError, match="same key"):
        database.do(keys.add("acme", KEY))
    assert database.ring(keys, "acme") is not None


@pytest.mark.parametrize(
    "tenant", ["é" * 512, "a" * 1_024, "ACME", "acme", "Acme", "\N{OHM SIGN}", "\N{GREEK CAPITAL LETTER OMEGA}"]
)
def test_a_tenant_is_its_bytes(sync_database: Database, tenant: str) -> None:
    keys = sync_database.keys()
    others = {"ACME", "acme", "Acme", "\N{OHM SIGN}", "\N{GREEK CAPITAL LETTER OMEGA}"} - {tenant}
    for name in others:
        keys.add(name)
    keys.add(tenant, key_id="x" * 255)

    assert [key.id for key in keys.list(tenant)] == ["x" * 255]
    assert [found.name for found in keys.tenants()] == sorted({*others, tenant}, key=str.encode)
    ring = sync_database.ring(keys, tenant)
    assert ring is not None
    assert [key.id for key in ring.keys] == ["x" * 255]


def test_the_audit_says_who_changed_what_from_where(database: Database) -> None:
    clock = Clock(time.time())
    keys = database.keys(clock=clock)
    database.do(keys.add("acme", key_id="k", mode="report", actor="ann", origin="203.0.113.7"))
    database.do(keys.set_mode("acme", "enforce"))

    newest, oldest = database.do(keys.audit())

    assert (oldest.at, oldest.tenant, oldest.actor, oldest.origin, oldest.action) == (
        clock.now,
        *("acme", "ann", "203.0.113.7", "add"),
    )
    assert oldest.detail == {"key": "k", "mode": "report"}
    assert (newest.actor, newest.origin, newest.action) == ("application", os.uname().nodename, "mode")
    assert newest.detail == {"mode": "enforce", "before": "report"}


def test_a_key_that_changes_the_mode_of_its_tenant_is_two_entries_of_the_audit(database: Database) -> None:
    keys = database.keys()
    database.do(keys.add("acme", mode="report"))
    for mode in ("report", "enforce", None):
        database.do(keys.add("acme", mode=mode, actor="ann", origin="203.0.113.7"))

    entries = database.do(keys.audit())

    assert [entry.action for entry in entries] == ["add", "mode", "add", "add", "add"]
    assert entries[1].detail == {"mode": "enforce", "before": "report"}
    assert (entries[1].actor, entries[1].origin) == ("ann", "203.0.113.7")


def without_keys(database: Database, mode: str) -> Any:
    """Return keys with the tenant "acme", whose only key was deleted."""
    keys = database.keys()
    database.do(keys.add("acme", key_id="k1", mode=mode, not_before=time.time() + 3_600))
    database.do(keys.retire("acme", "k1"))
    assert database.do(keys.list("acme")) == ()
    return keys


def test_a_tenant_without_keys_keeps_its_mode_or_the_audit_has_the_change(database: Database) -> None:
    keys = without_keys(database, "enforce")

    with pytest.raises(ConfigError, match="the tenant 'acme' exists already; add a key to the existing one"):
        database.do(keys.add("acme", mode="report", to_existing=False))
    assert [(found.mode, found.keys) for found in database.do(keys.tenants())] == [("enforce", ())]
    assert [entry.action for entry in database.do(keys.audit())] == ["retire", "add"]

    database.do(keys.add("acme", mode="report"))
    newest, *_ = database.do(keys.audit())
    assert (newest.action, newest.detail) == ("mode", {"mode": "report", "before": "enforce"})


@pytest.mark.parametrize(
    ("kind", "driver", "module"),
    [
        ("mariadb+pymysql", "mariadb+mysqlconnector", "mysql.connector"),
        ("postgresql+psycopg", "postgresql+psycopg2", "psycopg2"),
        ("postgresql+psycopg", "postgresql+pg8000", "pg8000"),
    ],
)
def test_a_new_tenant_is_new_to_each_driver(tmp_path: Path, kind: str, driver: str, module: str) -> None:
    """MySQL's own driver closes the cursor after an INSERT."""
    pytest.importorskip(module, reason=f"not run: {module} is not installed")
    with database_of(kind, tmp_path) as database:
        engine = create_engine(database.url.set(drivername=driver, query={}))
        keys = SqlKeys(engine, table=database.table)

        keys.add("acme", mode="report", to_existing=False)
        with pytest.raises(ConfigError, match="exists already"):
            keys.add("acme", to_existing=False)
        assert [entry.action for entry in keys.audit()] == ["add"]
        engine.dispose()


def test_one_of_several_workers_adds_a_new_tenant(sync_database: Database) -> None:
    keys = sync_database.keys()
    begin, results = threading.Barrier(4), []

    def work(mode: str) -> None:
        begin.wait(TIMEOUT)
        try:
            keys.add("acme", key_id=mode, mode=mode, to_existing=False)
        except ConfigError as error:
            results.append(str(error))
        else:
            results.append(mode)

    threads = [threading.Thread(target=work, args=[mode]) for mode in ("enforce", "report", "off", "report")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)

    [added] = [result for result in results if "exists already" not in result]
    assert len(results) == 4
    assert [(key.id, key.mode) for key in keys.list("acme")] == [(added, added)]


def test_a_rotation_ends_no_key_that_its_caller_does_not_know(database: Database) -> None:
    keys = database.keys()
    database.do(keys.add("acme", key_id="k1"))
    [known] = database.do(keys.list("acme"))
    database.do(keys.rotate("acme", key_id="k2", grace=0, newest=known.made_at))

    with pytest.raises(ConfigError, match="the key 'k2' was added since you read the keys; look at it first"):
        database.do(keys.rotate("acme", key_id="k3", grace=0, newest=known.made_at))
    newest, _ = database.do(keys.list("acme"))
    assert (newest.id, newest.not_after) == ("k2", None)
    database.do(keys.rotate("acme", key_id="k3", grace=0, newest=newest.made_at))


def test_the_audit_of_an_actor_has_no_entries_of_another_one(database: Database) -> None:
    keys = database.keys()
    actors = ["alice", "ALICE", "\u00e1lice", "alice ", "bob"]
    for actor in actors:
        database.do(keys.add("acme", actor=actor))

    for actor in actors:
        assert [entry.actor for entry in database.do(keys.audit(actor=actor))] == [actor]
        # The limit counts the entries of this actor alone.
        assert [entry.actor for entry in database.do(keys.audit(actor=actor, limit=1))] == [actor]
    assert database.do(keys.audit(actor="Bob")) == ()


def test_the_audit_of_an_action_has_no_entries_of_another_one(database: Database) -> None:
    keys = database.keys()
    for tenant in ("acme", "other"):
        database.do(keys.add(tenant))
    database.sql("UPDATE {audit} SET action = 'ADD ' WHERE tenant = 'other'")

    assert [entry.tenant for entry in database.do(keys.audit(action="add"))] == ["acme"]
    assert [entry.tenant for entry in database.do(keys.audit(action="ADD "))] == ["other"]


# Each has 255 bytes at most, and takes more than most ids in JSON.
LONG_IDS = {
    "four bytes a character": [f"{number:03}" + "\N{GRINNING FACE}" * 63 for number in range(100)],
    "control characters": [f"{number:03}" + "\x01" * 252 for number in range(100)],
    "short": [f"20260101-{number:08x}" for number in range(3_200)],
}


@pytest.mark.without_coverage
@pytest.mark.parametrize("ids", LONG_IDS.values(), ids=LONG_IDS)
def test_the_audit_names_every_key_of_a_large_purge(sync_database: Database, ids: list[str]) -> None:
    keys = sync_database.keys()
    old = {"tenant": "acme", "made_at": 1.0, "made_by": "x", "note": "", "not_before": None, "not_after": 2.0}
    keys.add("acme", key_id="new")
    with sync_database.engine.begin() as connection:
        rows = [{**old, "id": key_id, "secret": hide(f"text:{KEY}")} for key_id in ids]
        connection.execute(insert(keys.table.keys), rows)

    assert keys.purge(older_than=DAY) == len(ids)

    entries = keys.audit(action="purge", limit=1_000)
    assert sorted(key_id for entry in entries for key_id in entry.detail["keys"]) == sorted(ids)
    assert {entry.tenant for entry in entries} == {"acme"}
    # A TEXT of MariaDB holds 65,535 bytes.
    assert max(len(row.detail.encode()) for row in sync_database.sql("SELECT detail FROM {audit}")) <= 65_535
    assert [key.id for key in keys.list("acme")] == ["new"]


@pytest.mark.parametrize(
    "stored",
    ['{"keys": ["a", "b', "", '["a"]', "7", "[" * 60_000],
    ids=["cut off", "empty", "a list", "a number", "nested"],
)
def test_an_entry_whose_detail_cannot_be_read_is_shown_with_its_text(database: Database, stored: str) -> None:
    keys = database.keys()
    database.do(keys.add("acme", key_id="k"))
    database.do(keys.retire("acme", "k"))
    database.sql("UPDATE {audit} SET detail = :stored WHERE action = 'retire'", stored=stored)

    newest, oldest = database.do(keys.audit())

    assert newest.detail == {"unreadable": stored}
    assert oldest.detail == {"key": "k"}


@pytest.mark.parametrize("sync_database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("actor", ["", " ", "a\nb", "x" * 256, 7, None])
def test_an_actor_that_cannot_be_written_is_refused_and_changes_nothing(sync_database: Database, actor: Any) -> None:
    keys = sync_database.keys()
    keys.add("acme")
    for change in (keys.add, keys.rotate):
        with pytest.raises(ConfigError, match="actor must be"):
            change("acme", actor=actor)
    assert len(keys.list()) == 1


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_the_memory_of_each_thread_is_refused_with_the_fix(url: str) -> None:
    with pytest.raises(ConfigError, match="pool_size=1"):
        SqlKeys(create_engine(url))


def test_a_database_in_memory_works_on_several_threads_with_the_fix() -> None:
    engine = create_engine(
        "sqlite://",
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        connect_args={"check_same_thread": False},
    )
    keys = SqlKeys(engine)
    keys.create_table()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: keys.add(f"tenant {number}"), range(32)))

    assert len(keys.list()) == 32
    engine.dispose()


@pytest.mark.parametrize(
    "fail",
    [
        pytest.param(lambda keys: keys.add("acme", notes="a misspelled argument"), id="an operation"),
        pytest.param(lambda keys: SqlKeys(keys.engine, table="other_keys").list(), id="another table"),
        pytest.param(lambda keys: SqlKeys(keys.engine, table="other_keys")(claim_of("acme")), id="a look-up"),
    ],
)
def test_an_error_does_not_empty_an_async_database_in_memory(fail: Callable[[Any], Any]) -> None:
    async def tenants_after_an_error() -> int:
        pool: Any = {"poolclass": AsyncAdaptedQueuePool, "pool_size": 1, "max_overflow": 0}
        engine = create_async_engine("sqlite+aiosqlite://", **pool)
        keys: Any = SqlKeys(engine)
        await keys.create_table()
        await keys.add("acme", KEY)
        with pytest.raises((TypeError, OperationalError)):
            await fail(keys)
        found = len(await keys.list())
        await engine.dispose()
        return found

    assert asyncio.run(tenants_after_an_error()) == 1


def test_a_connection_that_several_threads_share_is_refused() -> None:
    """A rollback of one thread would undo what another has done: `add` would return a key that is not stored."""
    with pytest.raises(ConfigError, match=r"StaticPool.*create_engine.*QueuePool"):
        SqlKeys(create_engine("sqlite://", poolclass=StaticPool))
    # SQLAlchemy chooses it here by itself.
    with pytest.raises(ConfigError, match=r"StaticPool.*create_async_engine.*AsyncAdaptedQueuePool"):
        SqlKeys(create_async_engine("sqlite+aiosqlite://"))


@pytest.mark.parametrize("is_async", [False, True])
def test_an_engine_without_transactions_is_refused(is_async: bool) -> None:
    make: Any = create_async_engine if is_async else create_engine
    url = "sqlite+aiosqlite:///keys.db" if is_async else "sqlite:///keys.db"
    for engine in (make(url, isolation_level="AUTOCOMMIT"), make(url).execution_options(isolation_level="AUTOCOMMIT")):
        with pytest.raises(ConfigError, match=r"AUTOCOMMIT.*made in part"):
            SqlKeys(engine)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_map_of_schemas_is_refused(is_async: bool) -> None:
    make: Any = create_async_engine if is_async else create_engine
    url, options = "postgresql+psycopg://localhost/keys", {"schema_translate_map": {None: "keys"}}
    for engine in (make(url, execution_options=options), make(url).execution_options(**options)):
        with pytest.raises(ConfigError, match=r"schema_translate_map.*search_path=keys"):
            SqlKeys(engine)


def test_a_map_of_other_schemas_changes_nothing(database: Database) -> None:
    engine = database.engine.execution_options(schema_translate_map={"billing": "billing_test"})
    keys: Any = SqlKeys(engine, table=database.table)
    database.do(keys.create_table())
    database.do(keys.add("acme"))

    assert database.ring(keys, "acme") is not None


def test_the_tables_are_in_the_schema_of_the_search_path(tmp_path: Path) -> None:
    with database_of("postgresql+psycopg", tmp_path) as database:
        schema = f"s_{uuid4().hex[:12]}"
        database.sql(f"CREATE SCHEMA {schema}")
        engine = create_engine(database.url, connect_args={"options": f"-c search_path={schema}"})
        try:
            keys = SqlKeys(engine, table=database.table)
            keys.create_table()
            keys.add("acme")
            assert {*inspect(engine).get_table_names(schema)} == {*keys.metadata.tables}
        finally:
            database.sql(f"DROP SCHEMA {schema} CASCADE")
            engine.dispose()
        assert database.sql("SELECT tenant FROM {keys}") == []


@pytest.mark.parametrize("driver", ["postgresql+psycopg", "postgresql+psycopg_async", "mariadb+pymysql"])
@pytest.mark.parametrize("place", ["the URL", "connect_args"])
def test_a_driver_that_begins_no_transactions_is_refused(driver: str, place: str) -> None:
    make: Any = create_async_engine if driver.endswith("async") else create_engine
    in_url = place == "the URL"
    engine = make(
        f"{driver}://localhost/keys{'?autocommit=true' if in_url else ''}",
        connect_args={} if in_url else {"autocommit": True},
    )
    with pytest.raises(ConfigError, match=r"autocommit.*made in part"):
        SqlKeys(engine)


@pytest.mark.parametrize(
    ("kind", "autocommit"), [("postgresql+psycopg", True), ("mariadb+pymysql", True), ("mariadb+pymysql", None)]
)
def test_a_creator_whose_driver_begins_no_transactions_is_refused_before_a_change(
    tmp_path: Path, kind: str, autocommit: bool | None
) -> None:
    """None is what the server does: MariaDB begins no transaction by itself."""
    with database_of(kind, tmp_path) as database:
        keys = database.keys()
        first = keys.add("acme")
        dialect = database.engine.dialect
        positional, named = dialect.create_connect_args(database.url)
        engine = create_engine(
            database.url, creator=lambda: dialect.connect(*positional, **named, autocommit=autocommit)
        )
        without = SqlKeys(engine, table=database.table)
        with pytest.raises(ConfigError, match=r"autocommit.*made in part"):
            without.rotate("acme", first.secret, grace=0)
        engine.dispose()

        assert [key.not_after for key in keys.list("acme")] == [None]


@pytest.fixture(params=["sqlite", "sqlite+aiosqlite"])
def without_begin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database whose driver begins no transactions."""
    with database_of(request.param, tmp_path) as database:
        make: Any = create_async_engine if request.param == "sqlite+aiosqlite" else create_engine
        database.do(database.engine.dispose())
        database.engine = make(database.url, connect_args={"isolation_level": None})
        yield database


def test_a_connection_to_sqlite_without_transactions_is_refused_before_a_change(without_begin: Database) -> None:
    keys = without_begin.keys()
    with pytest.raises(ConfigError, match=r"isolation_level None.*made in part"):
        without_begin.do(keys.add("acme"))
    assert without_begin.sql("SELECT name FROM {tenants}") == []


def test_sqlalchemys_own_way_to_begin_transactions_in_sqlite_is_accepted(without_begin: Database) -> None:
    engine = getattr(without_begin.engine, "sync_engine", without_begin.engine)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    keys = without_begin.keys()
    without_begin.do(keys.create_table())
    without_begin.do(keys.add("acme"))

    assert len(without_begin.do(keys.list())) == 1
    assert without_begin.ring(keys, "acme") is not None


OTHER_CHARSETS = [
    pytest.param({"query": {"charset": "gbk"}}, {}, id="in the URL"),
    pytest.param({"query": {"charset": "utf8"}}, {}, id="UTF-8 of three bytes"),
    pytest.param({"query": {"charset": "utf8mb3"}}, {}, id="UTF-8 of three bytes, by its other name"),
    pytest.param({}, {"charset": "GBK"}, id="in connect_args"),
    pytest.param({"query": {"charset": "utf8mb4"}}, {"charset": "sjis"}, id="in connect_args, which win"),
]


@pytest.mark.parametrize(("parts", "arguments"), OTHER_CHARSETS)
def test_a_charset_that_lacks_characters_or_in_which_a_tenant_can_end_a_literal_is_refused(
    parts: dict[str, Any], arguments: dict[str, Any]
) -> None:
    engine = create_engine(URL.create("mariadb+pymysql", host="localhost", **parts), connect_args=arguments)
    with pytest.raises(ConfigError, match=r"charset.*utf8mb4 in the URL"):
        SqlKeys(engine)


@pytest.mark.parametrize("charset", ["utf8mb4", "UTF8MB4"])
def test_utf_8_of_four_bytes_is_accepted(charset: str) -> None:
    assert SqlKeys(create_engine(f"mariadb+pymysql://localhost/?charset={charset}")).blocking


def test_a_charset_that_no_engine_shows_is_refused_at_the_first_use() -> None:
    """It is in a file of MariaDB, or in a `creator`."""
    needs(MARIADB, "MariaDB")
    driver = pytest.importorskip("pymysql")

    def connect() -> Any:
        return driver.connect(host=MARIADB.host, port=MARIADB.port or 3306, user=MARIADB.username, charset="gbk")

    engine = create_engine("mariadb+pymysql://", creator=connect)
    keys = SqlKeys(engine)
    for use in (lambda: keys(claim_of("\N{EURO SIGN}' OR 1 = 1 -- ")), keys.list):
        with pytest.raises(ConfigError, match="charset"):
            use()
    engine.dispose()


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_a_database_that_cannot_store_each_name_gets_no_tables(driver: str) -> None:
    needs(POSTGRES, "PostgreSQL")
    name = f"hmac_guard_{uuid4().hex[:12]}"
    url = POSTGRES.set(drivername=f"postgresql+{driver}", database=name)

    def create() -> None:
        if driver == "asyncpg":
            asyncio.run(SqlKeys(create_async_engine(url, poolclass=NullPool)).create_table())
        else:
            SqlKeys(create_engine(url, poolclass=NullPool)).create_table()

    beside = create_engine(POSTGRES.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with beside.connect() as connection:
        options = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        connection.execute(text(f"CREATE DATABASE {name} {options}"))
        try:
            with pytest.raises(ConfigError, match=r"not UTF8.*ENCODING 'UTF8'"):
                create()
        finally:
            connection.execute(text(f"DROP DATABASE {name}"))
    beside.dispose()


def test_another_database_is_refused() -> None:
    engine = create_engine("sqlite:///keys.db")
    engine.dialect.name = "oracle"
    with pytest.raises(ConfigError, match="oracle"):
        SqlKeys(engine)
    assert SqlKeys(create_async_engine("sqlite+aiosqlite:///keys.db")).asgi_only
