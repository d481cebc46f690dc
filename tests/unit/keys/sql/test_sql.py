"""Keys in a database: what an operator does, what a request gets, and what the table holds."""

import asyncio
import logging
import pickle
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from databases import ASYNC, Database, database_of, empty_keys
from key_sources import KEY, OTHER_KEY, Clock, claim_of
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from support import Call, Sent, ask_asgi, call_asgi
from waiting import TIMEOUT, becomes_true

from hmac_guard import ConfigError, Guard, Keyring, Query, Scheme
from hmac_guard.core.errors import WeakKeyWarning
from hmac_guard.keys import SqlKeys
from hmac_guard.keys.sql import NewKey, StoredKey, VerdictLedger
from hmac_guard.keys.sql.operations import DAY
from hmac_guard.keys.sql.tables import NO_END
from hmac_guard.keys.sql.transaction import operation

SCHEME = Scheme(name="one", ids={"a": Query("a")}, message="{a}", signature=Query("sig"), tenant=Query("t"))


NOW = float(int(time.time()))


def signed(key: str, tenant: str = "acme") -> Sent:
    return Sent(query=f"a=x&sig={SCHEME.sign(key, a='x')}&t={tenant}")


async def publish(tenant: str) -> None:
    """Stands for the `publish` of an async client."""


def ids(ring: Keyring | None, now: float = 0) -> list[str | None]:
    return [key.id for key in ring.active(now)] if ring else []


def test_a_key_that_was_made_verifies(sync_database: Database, call: Call) -> None:
    keys = sync_database.keys()
    new = keys.add("acme")

    reply = call(Guard(SCHEME, keys), signed(new.secret))

    assert reply.status == 200
    assert (reply.verdict.tenant, reply.verdict.key_id) == ("acme", new.id)


def test_a_key_behind_an_async_engine_verifies(database: Database) -> None:
    keys = database.keys()
    new = database.do(keys.add("acme"))
    if not keys.asgi_only:
        assert call_asgi(Guard(SCHEME, keys), signed(new.secret)).status == 200
        return

    guard = Guard(SCHEME, keys)
    assert database.do(ask_asgi(guard, signed(new.secret))).status == 200
    assert database.do(ask_asgi(guard, signed(new.secret, "other"))).status == 401


def test_an_async_engine_is_refused_under_wsgi(database: Database) -> None:
    keys = database.keys()
    guard = Guard(SCHEME, keys)
    if not keys.asgi_only:
        guard.wsgi(lambda environ, start_response: [])
        return

    with pytest.raises(ConfigError, match="event loop"):
        guard.wsgi(lambda environ, start_response: [])


def test_a_secret_is_shown_once(database: Database) -> None:
    keys = database.keys()
    new = database.do(keys.add("acme"))

    assert len(new.secret) == 43
    assert new.secret not in f"{new!r} {new} {keys!r} {database.do(keys.list())!r} {database.ring(keys, 'acme')!r}"
    assert database.do(keys.add("acme", KEY)).secret is None


def test_a_given_secret_is_used_in_its_form(database: Database) -> None:
    keys = database.keys()
    given: list[tuple[str | bytes, str, bytes]] = [
        (KEY, "text", KEY.encode()),
        (OTHER_KEY, "hex", bytes.fromhex(OTHER_KEY)),
        ("AAECAwQFBgcICQoLDA0ODw==", "base64", bytes(range(16))),
        (bytes(range(16, 48)), "text", bytes(range(16, 48))),
    ]
    for secret, form, _ in given:
        database.do(keys.add("acme", secret, form=form))

    ring = database.ring(keys, "acme")

    assert ring is not None
    found = {SCHEME.sign(key, a="x") for key in ring.keys}
    assert found == {SCHEME.sign(raw, a="x") for *_, raw in given}


def test_an_unknown_tenant_has_no_keys(database: Database) -> None:
    keys = database.keys()
    database.do(keys.add("acme"))

    assert [database.ring(keys, tenant) for tenant in ("other", "ACME", "acme ", "", None)] == [None] * 5


def test_rotation_lets_the_old_key_verify_for_its_grace(database: Database) -> None:
    clock = Clock(NOW)
    keys = database.keys(clock=clock)
    database.do(keys.add("acme", key_id="old"))

    database.do(keys.rotate("acme", grace=60, key_id="new"))
    ring = database.ring(keys, "acme")

    assert ids(ring, clock.now) == ["new", "old"]
    assert ids(ring, clock.now + 60) == ["new", "old"]
    assert ids(ring, clock.now + 60.1) == ["new"]
    clock.pass_by(61)
    ring = database.ring(keys, "acme")
    assert ring is not None
    assert ids(ring, clock.now) == ["new"]


def test_rotation_never_lengthens_the_life_of_a_key(database: Database) -> None:
    clock = Clock(NOW)
    keys = database.keys(clock=clock)
    database.do(keys.add("acme", key_id="first"))
    database.do(keys.rotate("acme", grace=10, key_id="second"))
    database.do(keys.rotate("acme", grace=60, key_id="third"))

    ends = {key.id: key.not_after for key in database.do(keys.list("acme"))}

    assert ends == {"third": None, "second": clock.now + 60, "first": clock.now + 10}


def test_the_key_added_last_signs_even_if_the_clock_went_back(database: Database) -> None:
    clock = Clock(NOW)
    keys = database.keys(clock=clock)
    for key_id in ("b", "c", "a"):
        database.do(keys.add("acme", key_id=key_id))
        clock.pass_by(-100)

    assert ids(database.ring(keys, "acme")) == ["a", "c", "b"]


def test_a_retired_key_ends_now(database: Database) -> None:
    clock = Clock(NOW)
    keys = database.keys(clock=clock)
    for key_id in ("stolen", "good"):
        database.do(keys.add("acme", key_id=key_id))

    database.do(keys.retire("acme", "stolen"))
    clock.pass_by(0.001)

    assert ids(database.ring(keys, "acme"), clock.now) == ["good"]
    database.do(keys.retire("acme", "stolen"))
    assert [key.not_after for key in database.do(keys.list())] == [None, NOW]


def test_a_retired_key_that_was_still_to_come_is_deleted(database: Database) -> None:
    clock = Clock(NOW)
    keys = database.keys(clock=clock)
    database.do(keys.add("acme", key_id="later", not_before=clock.now + 60))

    database.do(keys.retire("acme", "later"))

    assert database.do(keys.list()) == ()


def test_a_tenant_whose_keys_have_all_ended_keeps_its_mode(database: Database) -> None:
    clock = Clock(NOW)
    keys = database.keys(clock=clock)
    database.do(keys.add("acme", key_id="only", mode="report"))
    database.do(keys.retire("acme", "only"))
    clock.pass_by(1)

    ring = database.ring(keys, "acme")

    assert ring is not None
    assert (ring.mode, ring.active(clock.now)) == ("report", ())


def test_a_mode_is_the_tenants_and_outlives_its_keys(database: Database) -> None:
    keys = database.keys()
    modes = []
    first = database.do(keys.add("acme", mode="report"))
    changes: list[tuple[Any, ...]] = [
        (keys.add,),
        (keys.rotate,),
        (keys.set_mode, "enforce"),
        (keys.rotate,),
        (keys.set_mode, None),
        (keys.retire, first.id),
    ]
    for change, *arguments in changes:
        database.do(change("acme", *arguments))
        ring = database.ring(keys, "acme")
        modes.append(ring and ring.mode)

    assert modes == ["report", "report", "enforce", "enforce", None, None]


def test_a_tenants_mode_decides_its_requests(sync_database: Database, call: Call) -> None:
    keys = sync_database.keys()
    keys.add("acme", mode="report")
    keys.add("other")
    guard = Guard(SCHEME, keys)

    assert [call(guard, signed(OTHER_KEY, tenant)).status for tenant in ("acme", "other")] == [200, 401]


def test_the_list_shows_each_key_without_its_secret(database: Database) -> None:
    clock = Clock(NOW)
    keys = database.keys(clock=clock)
    database.do(keys.add("b", KEY, key_id="1", mode="report", not_before=5, not_after=NOW + 9, actor="ann", note="n"))
    database.do(keys.add("a", KEY, key_id="2"))

    listed = database.do(keys.list())

    assert listed == (
        StoredKey("a", "2", None, NOW, None, None, sealed=False, made_by="application"),
        StoredKey("b", "1", "report", NOW, 5.0, NOW + 9, sealed=False, made_by="ann", note="n"),
    )
    assert database.do(keys.list("a")) == listed[:1]


def test_a_sealed_table_does_not_hold_the_secret(database: Database) -> None:
    keys = database.keys(master_keys=Fernet.generate_key())
    database.do(keys.add("acme", KEY, key_id="k"))

    [[stored]] = database.sql("SELECT secret FROM {keys}")

    assert KEY not in stored
    assert database.do(keys.list())[0].sealed
    assert ids(database.ring(keys, "acme")) == ["k"]


def test_a_master_key_rotates(database: Database) -> None:
    old, new = Fernet.generate_key(), Fernet.generate_key().decode()
    database.do(database.keys(master_keys=old).add("acme", KEY, key_id="k", mode="report"))
    database.do(database.keys().add("plain", OTHER_KEY, key_id="p", mode="off"))

    both = database.keys(master_keys=[new, old], allow_clear=True)
    assert (ids(database.ring(both, "acme")), ids(database.ring(both, "plain"))) == (["k"], ["p"])
    assert database.do(both.reseal()) == 2

    only_new = database.keys(master_keys=new)
    rings = [database.ring(only_new, tenant) for tenant in ("acme", "plain")]
    assert [(ids(ring), ring and ring.mode) for ring in rings] == [(["k"], "report"), (["p"], "off")]
    assert OTHER_KEY not in str(database.sql("SELECT secret FROM {keys}"))
    assert len(database.do(only_new.console_secret()).get()) == 43


@contextmanager
def after_statement(database: Database, number: int, do: Callable[[], Any]) -> Iterator[None]:
    """Do something on a thread after a statement of the engine. It may have to wait for the end of the transaction."""
    statements, done = iter(range(1_000)), list[Future[Any]]()

    def start(*_: Any) -> None:
        if next(statements) == number:
            done.append(pool.submit(do))
            wait(done, 0.3)

    with ThreadPoolExecutor(1) as pool:
        event.listen(database.engine, "after_cursor_execute", start)
        try:
            yield
        finally:
            event.remove(database.engine, "after_cursor_execute", start)
    for each in done:
        each.result()


@pytest.mark.parametrize("statement", range(2))
@pytest.mark.parametrize("change", ["rotate", "retire"])
def test_a_change_during_a_reseal_is_sealed_as_it_is(sync_database: Database, change: str, statement: int) -> None:
    old, new = Fernet.generate_key(), Fernet.generate_key()
    sync_database.keys(master_keys=old).add("acme", key_id="first")
    beside = create_engine(sync_database.url)
    other = SqlKeys(beside, table=sync_database.table, master_keys=[new, old])
    changes = {
        "rotate": lambda: other.rotate("acme", key_id="second"),
        "retire": lambda: other.retire("acme", "first"),
    }

    with after_statement(sync_database, statement, changes[change]):
        sync_database.keys(master_keys=[new, old], allow_clear=True).reseal()
    beside.dispose()

    ring = sync_database.ring(sync_database.keys(master_keys=[new]), "acme")
    assert ring is not None
    assert ids(ring, time.time() + 1) == {"rotate": ["second", "first"], "retire": []}[change]


def test_a_purge_deletes_no_key_that_is_added_again_while_it_runs(sync_database: Database) -> None:
    now = time.time()
    keys = sync_database.keys()
    keys.add("acme", key_id="a", not_after=now - 30 * DAY)
    beside = create_engine(sync_database.url)
    other = SqlKeys(beside, table=sync_database.table)

    def purge_and_add() -> None:
        other.purge(older_than=DAY)
        other.add("acme", key_id="a")

    with after_statement(sync_database, 0, purge_and_add):
        keys.purge(older_than=DAY)
    beside.dispose()

    assert [(key.id, key.not_after) for key in keys.list("acme")] == [("a", None)]


@pytest.mark.parametrize("master_keys", [(), Fernet.generate_key()], ids=["no master key", "another master key"])
def test_a_sealed_key_opens_with_its_master_key_alone(database: Database, master_keys: Any) -> None:
    database.do(database.keys(master_keys=Fernet.generate_key()).add("acme"))

    with pytest.raises(ConfigError, match="sealed"):
        database.ring(database.keys(master_keys=master_keys), "acme")


def test_a_key_is_not_stored_in_the_clear_in_tables_that_were_made_with_a_master_key(database: Database) -> None:
    database.sql("DELETE FROM {settings}")
    database.do(database.keys(master_keys=Fernet.generate_key()).create_table())

    with pytest.raises(ConfigError, match="the secrets in these tables are sealed; give SqlKeys its master_keys"):
        database.do(database.keys().add("acme", KEY))
    assert database.sql("SELECT tenant FROM {keys}") == []


#: What leaves one sealed value of a key and its mode.
WHAT_IS_SEALED = {
    "a mode": "DELETE FROM {keys}",
    "a key": "UPDATE {tenants} SET mode_seal = NULL",
}


@pytest.mark.parametrize("change", WHAT_IS_SEALED.values(), ids=WHAT_IS_SEALED)
def test_a_key_is_not_stored_in_the_clear_beside_what_is_sealed_in_tables_of_a_migration(
    database: Database, change: str
) -> None:
    database.sql("DELETE FROM {settings}")  # Which only `create_table` writes.
    database.do(database.keys(master_keys=Fernet.generate_key()).add("acme"))
    database.sql(change)
    keys = database.keys()

    for use in (lambda: keys.add("globex"), keys.create_table):
        with pytest.raises(ConfigError, match="the secrets in these tables are sealed; give SqlKeys its master_keys"):
            database.do(use())
    assert database.sql("SELECT tenant FROM {keys} WHERE tenant = 'globex'") == []
    assert database.sql("SELECT name FROM {settings}") == []


def test_a_key_is_stored_in_the_clear_in_tables_of_a_migration_without_a_master_key(database: Database) -> None:
    database.sql("DELETE FROM {settings}")
    keys = database.keys()
    for tenant in ("acme", "globex"):
        database.do(keys.add(tenant))
    database.do(keys.create_table())

    assert [key.sealed for key in database.do(keys.list())] == [False, False]
    assert database.do(keys.console_secret()).get()


OTHERS = "(SELECT secret FROM (SELECT secret FROM {keys} WHERE tenant = 'evil') AS others)"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(f"UPDATE {{keys}} SET secret = {OTHERS} WHERE tenant = 'acme'", id="another tenant's secret"),
        pytest.param("UPDATE {keys} SET tenant = 'gone' WHERE tenant = 'acme'", id="no key is left"),
        pytest.param("UPDATE {keys} SET id = 'other' WHERE tenant = 'acme'", id="another id"),
        pytest.param("UPDATE {keys} SET made_at = made_at - 1", id="an older key"),
        pytest.param("UPDATE {keys} SET not_before = 5", id="another beginning"),
        pytest.param("UPDATE {keys} SET not_before = NULL", id="no beginning"),
        pytest.param("UPDATE {keys} SET not_after = not_after + 1", id="a later end"),
        pytest.param(f"UPDATE {{keys}} SET secret = 'text:{OTHER_KEY}'", id="a secret in the clear"),
        pytest.param("UPDATE {tenants} SET mode = 'report'", id="another mode"),
        pytest.param("UPDATE {tenants} SET mode = 'guard', mode_seal = NULL", id="a mode in the clear"),
        pytest.param(
            "UPDATE {tenants} SET mode_seal = (SELECT mode_seal FROM (SELECT mode_seal FROM {tenants} WHERE name ="
            " 'evil') AS others) WHERE name = 'acme'",
            id="another tenant's mode",
        ),
    ],
)
def test_a_row_that_was_changed_verifies_nothing_under_a_master_key(sync_database: Database, change: str) -> None:
    """Not stopped, and said so in the docs: an older row put back whole."""
    keys = sync_database.keys(master_keys=Fernet.generate_key())
    for tenant in ("acme", "evil"):
        keys.add(tenant, KEY if tenant == "acme" else OTHER_KEY, key_id="k", not_before=4, not_after=NOW + 86_400)
    guard = Guard(SCHEME, keys)
    assert call_asgi(guard, signed(KEY)).status == 200

    sync_database.sql(change)

    assert {call_asgi(guard, signed(secret)).status for secret in (KEY, OTHER_KEY)} <= {401, 503}
    if "gone" not in change:
        with pytest.raises(ConfigError, match=r"sealed|in the clear|changed"):
            sync_database.ring(keys, "acme")


def test_a_row_in_the_clear_is_used_where_that_is_asked_for_by_name(database: Database) -> None:
    database.do(database.keys().add("acme", KEY, key_id="k", mode="report"))
    master = Fernet.generate_key()

    with pytest.raises(ConfigError, match="allow_clear"):
        database.ring(database.keys(master_keys=master), "acme")
    with pytest.raises(ConfigError, match="allow_clear"):
        database.do(database.keys(master_keys=master).reseal())
    assert ids(database.ring(database.keys(master_keys=master, allow_clear=True), "acme")) == ["k"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda keys: keys.set_mode("acme", "off"), id="its mode"),
        pytest.param(lambda keys: keys.retire("acme", "k"), id="an end"),
        pytest.param(lambda keys: keys.rotate("acme"), id="a rotation"),
        pytest.param(lambda keys: keys.add("acme"), id="a key in the clear"),
    ],
)
def test_a_mode_or_a_time_that_is_sealed_needs_the_master_key_to_be_changed(database: Database, change: Any) -> None:
    sealed = database.keys(master_keys=Fernet.generate_key())
    database.do(sealed.add("acme", KEY, key_id="k", mode="report"))
    before = database.sql("SELECT * FROM {keys}") + database.sql("SELECT * FROM {tenants}")

    with pytest.raises(ConfigError, match="sealed; give SqlKeys its master_keys"):
        database.do(change(database.keys()))

    assert database.sql("SELECT * FROM {keys}") + database.sql("SELECT * FROM {tenants}") == before
    database.do(database.keys().note("acme", "k", "a note is not sealed"))
    assert database.do(sealed.list())[0].note == "a note is not sealed"


def test_a_row_of_another_tenant_is_not_taken(database: Database) -> None:
    """T081: the database compares without regard to case, as many are set up to."""
    kind, columns = "TEXT COLLATE NOCASE", "mode TEXT, mode_seal TEXT, made_at REAL"
    if "postgresql" in database.url.drivername:
        database.sql(
            "CREATE COLLATION IF NOT EXISTS regardless"
            " (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
        )
        kind, columns = "TEXT COLLATE regardless", columns.replace("REAL", "double precision")
    elif "mariadb" in database.url.drivername:
        kind, columns = "VARCHAR(255) COLLATE utf8mb4_general_ci", columns.replace("REAL", "DOUBLE")
    figures = "verified INT, refused INT, ready VARCHAR(8), used INT, last_used REAL, counted INT"
    database.sql("DROP TABLE {tenants}")
    database.sql(f"CREATE TABLE {{tenants}} (name {kind} PRIMARY KEY, {columns}, {figures})")
    keys = database.keys()
    database.do(keys.add("ACME", key_id="theirs"))
    assert len(database.sql("SELECT name FROM {tenants} WHERE name = 'acme'")) == 1

    assert database.ring(keys, "acme") is None
    assert ids(database.ring(keys, "ACME")) == ["theirs"]
    for change in (keys.rotate, keys.add):
        with pytest.raises(ConfigError, match="no tenant 'acme'"):
            database.do(change("acme"))
    assert database.sql("SELECT not_after FROM {keys}") == [(NO_END,)]


@pytest.mark.parametrize("database", ["sqlite", "postgresql+asyncpg"], indirect=True)
@pytest.mark.parametrize(
    ("column", "value"),
    [
        pytest.param("secret", "''", id="an empty secret"),
        pytest.param("secret", "'text:'", id="an empty key"),
        pytest.param("secret", "'text:  '", id="a blank key"),
        pytest.param("secret", "'text:<KEY>'", id="a placeholder"),
        pytest.param("secret", f"'{KEY}'", id="no form"),
        pytest.param("secret", f"'rot13:{KEY}'", id="an unknown form"),
        pytest.param("secret", "'hex:xyz'", id="a form that does not fit"),
        pytest.param("secret", "'sealed:xyz'", id="garbage under the seal"),
        pytest.param("secret", "'sealed:é'", id="another character under the seal"),
        pytest.param("not_after", f"{NOW}, not_before = {NOW + 5}", id="an end before the beginning"),
    ],
)
def test_garbage_in_a_row_is_a_failure_and_shows_no_secret(database: Database, column: str, value: str) -> None:
    keys = database.keys()
    database.do(keys.add("acme", KEY))
    database.sql(f"UPDATE {{keys}} SET {column} = {value}")

    with pytest.raises(ConfigError, match="acme") as failure:
        database.ring(keys, "acme")

    assert KEY not in "".join(traceback.format_exception(failure.value))


@pytest.mark.parametrize("sealed", ["'sealed:xyz'", "'sealed:é'"], ids=["ASCII", "another character"])
def test_a_damaged_seal_names_its_row(database: Database, sealed: str) -> None:
    keys = database.keys(master_keys=Fernet.generate_key())
    database.do(keys.add("acme"))
    database.sql(f"UPDATE {{keys}} SET secret = {sealed}")

    with pytest.raises(ConfigError, match="of the tenant 'acme' was sealed under none"):
        database.ring(keys, "acme")


# PostgreSQL keeps such values out of its columns.
@pytest.mark.parametrize("database", ["sqlite", "sqlite+aiosqlite"], indirect=True)
@pytest.mark.parametrize("value", ["'soon'", "x'00'"], ids=["text", "bytes"])
@pytest.mark.parametrize("column", ["not_after", "not_before", "made_at", "secret"])
def test_a_value_of_another_type_is_a_failure(database: Database, column: str, value: str) -> None:
    keys = database.keys()
    for _ in range(2):
        database.do(keys.add("acme"))
    database.sql(f"UPDATE {{keys}} SET {column} = {value} WHERE rowid = 1")

    with pytest.raises((ConfigError, TypeError)):
        database.ring(keys, "acme")


@pytest.mark.parametrize("database", ["sqlite", "postgresql+asyncpg"], indirect=True)
@pytest.mark.parametrize(
    ("ask", "why"),
    [
        pytest.param(lambda keys: keys.add(""), "the tenant ''", id="add: no tenant"),
        pytest.param(lambda keys: keys.add(" acme"), "the tenant ' acme'", id="add: white space"),
        pytest.param(lambda keys: keys.add("a\nb"), "none that a request could name", id="add: a newline"),
        pytest.param(lambda keys: keys.add("a" * 1_025), "1 to 1,024 bytes", id="add: too long a tenant"),
        pytest.param(lambda keys: keys.add(7), "the tenant 7", id="add: a number"),
        pytest.param(lambda keys: keys.add("acme", ""), "empty or blank", id="add: an empty secret"),
        pytest.param(lambda keys: keys.add("acme", b" "), "empty or blank", id="add: a blank secret"),
        pytest.param(lambda keys: keys.add("acme", "<KEY>"), "placeholder", id="add: a placeholder"),
        pytest.param(lambda keys: keys.add("acme", f"{KEY}\n"), "newline", id="add: a newline in the secret"),
        pytest.param(lambda keys: keys.add("acme", 7), "not int", id="add: a number for a secret"),
        pytest.param(lambda keys: keys.add("acme", KEY, form="rot13"), "rot13", id="add: an unknown form"),
        pytest.param(lambda keys: keys.add("acme", form="rot13"), "rot13", id="add: an unknown form of a new secret"),
        pytest.param(lambda keys: keys.add("acme", OTHER_KEY), "same key", id="add: the key that it has"),
        pytest.param(lambda keys: keys.add("acme", key_id="k"), "'k' already", id="add: a key id that it has"),
        pytest.param(lambda keys: keys.add("acme", key_id="x" * 256), "too long", id="add: too long a key id"),
        pytest.param(lambda keys: keys.add("acme", key_id=" "), "id must be", id="add: a blank key id"),
        pytest.param(
            lambda keys: keys.add("acme", key_id=5), "id must be printable text", id="add: a number as a key id"
        ),
        pytest.param(
            lambda keys: keys.rotate("acme", key_id=b"k"), "id must be printable text", id="rotate: bytes as a key id"
        ),
        pytest.param(lambda keys: keys.add("acme", mode="on"), "mode must be", id="add: an unknown mode"),
        pytest.param(lambda keys: keys.add("acme", to_existing="false"), "to_existing must be True", id="add: a flag"),
        pytest.param(lambda keys: keys.rotate("acme", while_open="no"), "while_open must be True", id="rotate: a flag"),
        pytest.param(lambda keys: keys.tenants(ready="false"), "ready must be True or False", id="tenants: ready"),
        pytest.param(lambda keys: keys.tenants(used="0"), "used must be True or False", id="tenants: used"),
        pytest.param(lambda keys: keys.add("acme", not_after="soon"), "not_after", id="add: a time in words"),
        pytest.param(
            lambda keys: keys.add("acme", not_before=2, not_after=1), "never be active", id="add: unusable times"
        ),
        pytest.param(lambda keys: keys.rotate("other"), "no tenant 'other'", id="rotate: no such tenant"),
        pytest.param(lambda keys: keys.rotate("acme", OTHER_KEY), "same key", id="rotate: to the key that it has"),
        pytest.param(lambda keys: keys.rotate("acme", grace=-1), "grace", id="rotate: a negative grace"),
        pytest.param(lambda keys: keys.rotate("acme", grace=float("nan")), "grace", id="rotate: no number"),
        pytest.param(lambda keys: keys.rotate("acme", grace="1h"), "grace", id="rotate: a grace in words"),
        pytest.param(lambda keys: keys.rotate("acme", newest="k1"), "newest", id="rotate: newest is no number"),
        pytest.param(lambda keys: keys.rotate("acme", newest=float("nan")), "newest", id="rotate: newest is nan"),
        pytest.param(lambda keys: keys.rotate("acme", newest=float("inf")), "newest", id="rotate: newest is infinite"),
        pytest.param(lambda keys: keys.rotate("acme", newest=True), "newest", id="rotate: newest is a bool"),
        pytest.param(lambda keys: keys.rotate("late"), "before it begins", id="rotate: away a key still to come"),
        pytest.param(lambda keys: keys.retire("acme", "other"), "no key 'other'", id="retire: no such key"),
        pytest.param(lambda keys: keys.retire("other", "k"), "no tenant 'other'", id="retire: no such tenant"),
        pytest.param(lambda keys: keys.set_mode("other", "report"), "no tenant", id="set_mode: no such tenant"),
        pytest.param(lambda keys: keys.set_mode("acme", "on"), "mode must be", id="set_mode: an unknown mode"),
        pytest.param(lambda keys: keys.reseal(), "nothing to seal with", id="reseal: no master key"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(database: Database, ask: Any, why: str) -> None:
    keys = database.keys(clock=Clock(NOW))
    database.do(keys.add("acme", OTHER_KEY, key_id="k"))
    database.do(keys.add("late", key_id="late", not_before=NOW + 1_000_000))
    before = database.do(keys.list())

    with pytest.raises(ConfigError, match=why) as refusal:
        database.do(ask(keys))

    assert not {KEY, OTHER_KEY} & set(str(refusal.value).split())
    assert database.do(keys.list()) == before


NO_TEXTS: list[Any] = [5, True, b"x", [], "\ud800", "a\0b"]
NO_NUMBERS: list[Any] = [True, 1.5, "x", [], 2**63, -(2**63), 10**400]
NO_CHOICES: list[Any] = [5, "yes", [], float("nan")]
NO_TENANTS: list[Any] = [5, True, b"x", []]
NO_TIMES: list[Any] = ["x", [], 10**400]
NOT_SIGNED: list[Any] = [(b"s", {}, b""), ("s", 5, b""), ("s", {"a": b"x"}, b""), ("s", {5: "x"}, b""), ("s", {}, "x")]
WRONG_OPTIONS = [
    *(("audit", option, value) for option in ("tenant", "actor", "action") for value in NO_TEXTS),
    *(("audit", "before", value) for value in NO_NUMBERS),
    *(("tenants", option, value) for option in ("after", "prefix") for value in NO_TEXTS),
    *(("tenants", option, value) for option in ("mode", "ready", "used") for value in NO_CHOICES),
    *(("list", "tenant", value) for value in NO_TENANTS),
    *(("add", option, value) for option in ("not_before", "not_after") for value in NO_TIMES),
]


@pytest.mark.parametrize("database", ["sqlite", "postgresql+asyncpg"], indirect=True)
def test_an_option_of_a_wrong_type_and_text_that_no_database_can_hold_are_refused(database: Database) -> None:
    keys = database.keys(master_keys=Fernet.generate_key(), allow_clear=True)
    database.do(keys.add("acme", key_id="k"))

    for operation_name, option, value in WRONG_OPTIONS:
        arguments = ["acme"] if operation_name == "add" else []
        with pytest.raises(ConfigError, match=option):
            database.do(getattr(keys, operation_name)(*arguments, **{option: value}))
    for value in NO_TEXTS:
        with pytest.raises(ConfigError, match="after must be text"):
            database.do(keys.purge(value, older_than=1_000_000))
        with pytest.raises(ConfigError, match="after must be text"):
            database.do(keys.reseal(value))
    for signed in NOT_SIGNED:
        with pytest.raises(ConfigError, match="signature_shown takes"):
            database.do(keys.signature_shown("acme", *signed))
    assert [entry.action for entry in database.do(keys.audit())] == ["add"]


@pytest.mark.parametrize("option", ["mode", "ready", "used"])
def test_readiness_refuses_what_the_list_of_tenants_refuses(tmp_path: Path, option: str) -> None:
    ledger = VerdictLedger(empty_keys(tmp_path))

    for value in NO_CHOICES:
        with pytest.raises(ConfigError, match=option):
            ledger.readiness(**{option: value})


NO_COUNTS: list[Any] = [0, True, 1.5, "x", []]
WRONG_IN_THE_LEDGER: list[tuple[str, str, list[Any], dict[str, Any]]] = [
    *(("readiness", "limit", [], {"limit": value}) for value in NO_COUNTS),
    *(("hours", "hours", [["acme"]], {"hours": value}) for value in NO_COUNTS),
    *(("hours", "tenants", [[value]], {}) for value in NO_TEXTS),
    ("hours", "tenants", ["acme"], {}),
    ("hours", "tenants", [5], {}),
    *(("refusals", "tenant", [value], {}) for value in NO_TEXTS),
    *(("refusals", "limit", ["acme"], {"limit": value}) for value in NO_COUNTS),
    *(("refusals", "before", ["acme"], {"before": value}) for value in NO_NUMBERS),
    *(("refusal", "number", [value], {}) for value in NO_NUMBERS),
]


@pytest.mark.parametrize("database", ["sqlite", "postgresql+psycopg"], indirect=True)
def test_the_ledger_refuses_arguments_that_are_not_valid(database: Database) -> None:
    ledger = VerdictLedger(database.keys())

    for operation_name, option, arguments, options in WRONG_IN_THE_LEDGER:
        with pytest.raises(ConfigError, match=f"VerdictLedger: {option} must be"):
            database.do(getattr(ledger, operation_name)(*arguments, **options))
    assert ledger.hours(["acme"], 10**30) == ()


def test_a_tenant_has_at_most_eight_keys(database: Database) -> None:
    keys = database.keys()
    for _ in range(8):
        database.do(keys.add("acme"))

    with pytest.raises(ConfigError, match="retire one"):
        database.do(keys.add("acme"))


def test_the_secret_of_a_key_that_ended_can_be_added_again_after_two_days(database: Database) -> None:
    """A look-up may still read it, where the clock of the database is a day behind that of the host."""
    clock = Clock(NOW - 2 * 86_400)
    keys = database.keys(clock=clock)
    database.do(keys.add("acme", KEY, key_id="old", not_after=clock.now + 1))
    for seconds, said in [
        (0, "'acme' already has the same key, 'old'; give"),
        (2 * 86_400, "'old', which has ended; give"),
    ]:
        clock.pass_by(seconds)
        with pytest.raises(ConfigError, match=said):
            database.do(keys.add("acme", KEY, key_id="new"))

    clock.pass_by(2)
    database.do(keys.add("acme", KEY, key_id="new"))
    assert ids(database.ring(keys, "acme"), NOW) == ["new"]


@pytest.mark.without_coverage
def test_a_failing_statement_shows_no_secret(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    keys = database.keys()
    database.sql("DROP TABLE {keys}")
    database.sql(
        "CREATE TABLE {keys} (tenant VARCHAR(99), id TEXT, secret TEXT, made_at REAL, not_before REAL, made_by TEXT)"
    )

    with caplog.at_level(logging.DEBUG), pytest.raises(Exception) as failure:  # noqa: PT011 - each driver has its own
        database.do(keys.add("acme", KEY))

    assert KEY not in caplog.text + "".join(traceback.format_exception(failure.value))


def test_statements_are_logged_without_their_parameters(
    sync_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    engine = create_engine(sync_database.url, echo=True)
    with caplog.at_level(logging.DEBUG, "sqlalchemy"):
        SqlKeys(engine, table=sync_database.table).add("acme", KEY)
    engine.dispose()

    assert "INSERT INTO" in caplog.text
    assert KEY not in caplog.text
    assert not engine.hide_parameters


def test_an_operation_is_done_once_after_the_server_has_closed_the_connection(database: Database) -> None:
    if database.server == "sqlite":
        pytest.skip("not run: SQLite has no server")
    keys = database.keys()
    database.do(keys.add("acme", key_id="first"))
    database.end_kept()
    database.do(keys.rotate("acme", key_id="second"))
    database.end_kept()

    assert [key.id for key in database.do(keys.list("acme"))] == ["second", "first"]


def attempts_without_connection(database: Database, *statements: str) -> int:
    """Return how often an operation is tried if the server ends each connection before the statements or the commit."""
    if database.server == "sqlite":
        pytest.skip("not run: SQLite has no server")
    attempts = 0

    class Store:
        engine = database.engine

        @operation
        def work(self, connection: Connection) -> None:
            nonlocal attempts
            attempts += 1
            database.end(database.number_of(connection))
            for statement in statements:
                connection.execute(text(statement))

    with pytest.raises(DBAPIError) as raised:
        Store().work()
    assert raised.value.connection_invalidated
    return attempts


def test_an_operation_is_not_repeated_if_the_connection_is_lost_at_its_commit(sync_database: Database) -> None:
    assert attempts_without_connection(sync_database) == 1


def test_an_operation_that_loses_each_connection_is_tried_twice(sync_database: Database) -> None:
    """A time limit of PyMySQL is a lost connection, too. Ten attempts would take ten times as long."""
    assert attempts_without_connection(sync_database, "SELECT 1") == 2


def test_a_change_is_announced_if_the_answer_to_its_commit_is_lost(sync_database: Database) -> None:
    """It may be committed, and then caches would use the old keys for their ttl."""
    if sync_database.server == "sqlite":
        pytest.skip("not run: SQLite has no server")
    recorded: list[str] = []
    keys = sync_database.keys(on_change=recorded.append)
    new = keys.add("acme")
    event.listen(
        keys.engine, "commit", lambda connection: sync_database.end(sync_database.number_of(connection)), once=True
    )

    with pytest.raises(DBAPIError):
        keys.retire("acme", new.id)

    assert recorded == ["acme", "acme"]


@pytest.mark.parametrize("seconds", [0.0, 0.05], ids=["at once", "while on_change waits for a thread"])
@pytest.mark.parametrize("kind", ASYNC)
def test_a_change_whose_caller_gives_up_after_the_commit_is_announced(
    kind: str, seconds: float, tmp_path: Path
) -> None:
    recorded: list[str] = []
    with database_of(kind, tmp_path) as database:
        keys = database.keys(on_change=recorded.append)
        new = database.do(keys.add("acme"))

        async def give_up() -> None:
            database.loop.set_default_executor(ThreadPoolExecutor(1))
            is_free = threading.Event()
            database.loop.run_in_executor(None, is_free.wait, TIMEOUT)
            task = asyncio.ensure_future(keys.retire("acme", new.id))

            def cancel() -> None:
                task.cancel()
                database.loop.call_later(0.1, is_free.set)

            begin = partial(database.loop.call_later, seconds, cancel) if seconds else cancel
            event.listen(database.engine.sync_engine, "checkin", lambda *_: begin(), once=True)
            await task

        with pytest.raises(asyncio.CancelledError):
            database.do(give_up())

        assert database.do(keys.list("acme"))[0].not_after is not None
        assert becomes_true(lambda: database.do(asyncio.sleep(0.01)) or recorded == ["acme", "acme"])


def test_a_change_is_announced_once_it_is_committed(database: Database) -> None:
    recorded: list[tuple[str, int]] = []
    keys = database.keys(
        on_change=lambda tenant: recorded.append((tenant, len(database.sql("SELECT id FROM {keys}")))),
    )
    new = database.do(keys.add("acme"))
    database.do(keys.rotate("acme"))
    database.do(keys.set_mode("acme", "report"))
    database.do(keys.retire("acme", new.id))
    database.do(keys.list())
    database.ring(keys, "acme")
    with pytest.raises(ConfigError):
        database.do(keys.rotate("other"))

    assert recorded == [("acme", 1), ("acme", 2), ("acme", 2), ("acme", 2)]


def test_a_change_that_cannot_be_announced_is_made_all_the_same(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    password = "hunter2"

    def unreachable(tenant: str) -> None:
        raise OSError(f"redis://user:{password}@cache")

    keys = database.keys(on_change=unreachable)

    assert isinstance(database.do(keys.add("acme")), NewKey)
    assert "on_change failed" in caplog.text
    assert "OSError" in caplog.text
    assert password not in caplog.text


def test_eight_operators_at_once_leave_every_tenant_with_active_keys(sync_database: Database) -> None:
    keys = sync_database.keys()
    keys.add("acme", mode="report")

    def work(number: int) -> None:
        try:
            keys.rotate("acme", grace=0)
        except ConfigError:
            keys.set_mode("acme", "enforce" if number % 2 else "report")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))

    ring = sync_database.ring(keys, "acme")
    assert ring is not None
    assert 1 <= len([key for key in keys.list("acme") if key.not_after is None]) <= 8
    assert {key.mode for key in keys.list("acme")} <= {"enforce", "report"}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        pytest.param({"engine": "sqlite://"}, "create_engine", id="a URL for an engine"),
        pytest.param({"table": "keys; DROP TABLE x"}, "name of a table", id="no name of a table"),
        pytest.param({"table": None}, "name of a table", id="no table"),
        pytest.param({"master_keys": "s3cret"}, "32 bytes", id="a master key in words"),
        pytest.param({"master_keys": [Fernet.generate_key(), ""]}, "32 bytes", id="an empty master key"),
        pytest.param({"master_keys": [7]}, "32 bytes", id="a number"),
        pytest.param(
            {"master_keys": None}, "a Fernet key or a list of them, not NoneType", id="a setting without a value"
        ),
        pytest.param({"master_keys": 7}, "a Fernet key or a list of them, not int", id="a number for the list"),
        pytest.param({"on_change": "redis"}, "on_change", id="nothing listens for a change"),
        pytest.param({"on_change": ""}, "on_change", id="an empty text for a function"),
        pytest.param({"on_change": publish}, "sync function", id="an async function listens for a change"),
        pytest.param({"on_change": partial(publish)}, "sync function", id="a part of an async function"),
        pytest.param({"on_change": Counter}, r"make one object of it: on_change=Counter\(…\)$", id="a class"),
        pytest.param({"on_change": lambda: None}, r"on_change\(tenant\)", id="a function without an argument"),
    ],
)
def test_an_option_that_cannot_work_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why) as refusal:
        SqlKeys(**{"engine": create_engine("sqlite:///keys.db"), **options})
    assert "s3cret" not in str(refusal.value)


def test_a_store_shows_neither_password_nor_master_key_and_stays_in_its_process() -> None:
    master = Fernet.generate_key().decode()
    keys = SqlKeys(create_engine("postgresql+psycopg://me:hunter2@db/keys"), master_keys=master)

    assert repr(keys) == "SqlKeys('postgresql+psycopg://me:***@db/keys')"
    assert master not in str(vars(keys))
    assert "hunter2" not in str(vars(keys))
    with pytest.raises(pickle.PicklingError, match="stays in its process"):
        pickle.dumps(keys)


def test_a_password_in_the_query_of_a_url_is_not_shown() -> None:
    keys = SqlKeys(create_engine("postgresql+psycopg://me@db/keys?password=hunter2&connect_timeout=1"))

    assert repr(keys) == "SqlKeys('postgresql+psycopg://me@db/keys')"


def test_each_engine_gives_operations_of_its_own_colour(database: Database) -> None:
    keys = database.keys()
    result = keys.list()

    assert asyncio.iscoroutine(result) is keys.asgi_only
    assert database.do(result) == ()
    assert SqlKeys.rotate.__doc__ is not None


def test_a_weak_secret_warns(database: Database) -> None:
    keys = database.keys()
    with pytest.warns(WeakKeyWarning):
        database.do(keys.add("acme", "short"))


def test_a_claim_without_a_tenant_asks_nothing(database: Database) -> None:
    keys = database.keys()
    database.sql("DROP TABLE {keys}")

    assert keys(claim_of(None)) is None
