"""The connections to the database of the keys: a text arrives as it was sent, or the connection is refused."""

from pathlib import Path
from typing import Any

import pytest
from databases import Database, database_of
from key_sources import claim_of
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from hmac_guard.keys import SqlKeys

MODES = pytest.mark.parametrize("sql_mode", ["STRICT_TRANS_TABLES", "NO_BACKSLASH_ESCAPES"])

#: Some would end a literal where a backslash is an escape, the others where it is none.
NAMES = ["it's", "\\' OR 1 = 1 -- x", "'=SLEEP(9) -- x", "\\", '"\\"', "\N{GRINNING FACE}"]


def use_each_name(database: Database, engine: Any) -> None:
    """Use each name as a tenant, as the id and the note of a key, and as an actor."""
    keys: Any = SqlKeys(engine, table=database.table)
    for name in NAMES:
        assert database.do(keys(claim_of(name))) is None
        database.do(keys.add(name, key_id=name, note=name, actor=name))

    listed = [(key.tenant, key.id, key.note, key.made_by) for key in database.do(keys.list())]
    assert sorted(listed) == sorted((name,) * 4 for name in NAMES)
    for name in NAMES:
        assert [key.id for key in database.ring(keys, name).keys] == [name]  # type: ignore[union-attr]
        assert [entry.tenant for entry in database.do(keys.audit(actor=name))] == [name]


@MODES
def test_a_tenant_cannot_end_its_literal_if_the_driver_escapes_bytes_for_another_sql_mode(
    tmp_path: Path, sql_mode: str
) -> None:
    """asyncmy and aiomysql escape them so."""
    driver = pytest.importorskip("pymysql", reason="not run: PyMySQL is not installed")

    class Connection(driver.connections.Connection):  # type: ignore[misc, name-defined]
        def escape(self, value: Any, mapping: Any = None) -> Any:
            if isinstance(value, bytes):
                return f"_binary'{driver.converters.escape_string(value.decode('ascii', 'surrogateescape'))}'"
            return super().escape(value, mapping)

    with database_of("mariadb+pymysql", tmp_path) as database:
        _, named = database.engine.dialect.create_connect_args(database.url)
        engine = create_engine(database.url, creator=lambda: Connection(**named, sql_mode=sql_mode))
        use_each_name(database, engine)
        engine.dispose()


@MODES
@pytest.mark.parametrize("driver", ["asyncmy", "aiomysql"])
def test_a_tenant_cannot_end_its_literal_behind_an_async_driver(tmp_path: Path, driver: str, sql_mode: str) -> None:
    pytest.importorskip(driver, reason=f"not run: {driver} is not installed")
    with database_of("mariadb+pymysql", tmp_path) as database:
        url = database.url.set(drivername=f"mariadb+{driver}", query={})
        engine = create_async_engine(url, connect_args={"sql_mode": sql_mode})
        use_each_name(database, engine)
        database.do(engine.dispose())
