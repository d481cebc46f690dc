"""The tables for everything that is stored beside a guard. Migrations read `metadata`."""

from typing import Any, NamedTuple

from sqlalchemy import (
    VARBINARY,
    BigInteger,
    Column,
    Connection,
    Dialect,
    Double,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    inspect,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.types import TypeEngine

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.numbers import LAST_SECOND
from hmac_guard.core.text import MAX_ID_BYTES

#: The most bytes of a key's id, and of a scheme's name where requests are counted by it.
MAX_ID, MAX_SCHEME = 255, 64
#: The most characters of a note, and of the name of an actor or of the place that a change came from.
MAX_NOTE, MAX_NAME = 1_000, 255
#: The most characters of the name of the table of keys: the names of the indexes are made of it. PostgreSQL cuts off a
#: name after so many bytes, and MariaDB refuses one with more characters.
MAX_TABLE_NAME, MAX_NAME_OF_POSTGRESQL, MAX_NAME_OF_MARIADB = 40, 63, 64

#: What a tenant's `mode` is where the guard's own mode applies.
GUARD = "guard"
#: What a tenant's `ready` is: nothing is verified; something is verified and something refused; all is verified.
UNKNOWN, REFUSED, READY = "unknown", "refused", "ready"
#: The tenant under which requests are counted that name none, or one that has no keys.
NO_TENANT = ""

#: The dialects of MariaDB and MySQL.
MARIADB = ("mysql", "mariadb")

#: "No end" in the database, which no key has as its end. With it, one range of an index has all keys that can be
#: active. A query for `NULL OR later` does not use such a range on every database.
NO_END = LAST_SECOND


class HiddenText(TypeDecorator[Hidden[str]]):
    """Text that is hidden in rows and statements, because both show their values."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Hidden[str] | None, dialect: Dialect) -> str | None:
        return None if value is None else value.get()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Hidden[str] | None:
        return None if value is None else hide(value)


class _SentAsText(VARBINARY):
    """Bytes that are sent as text: asyncmy and aiomysql escape bytes without regard to the server's sql_mode."""

    def bind_processor(self, dialect: Dialect) -> None:
        return None


class ByteText(TypeDecorator[str]):
    """Text of at most `length` bytes, which the database compares and sorts by its bytes in UTF-8.

    For an index of text, MariaDB counts four bytes for each character, and would have no space for a tenant of 1,024
    bytes. It also ignores white space at the end in comparisons. So it stores the bytes.
    """

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:  # Migrations call it with this name.
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        kind: TypeEngine[Any] = String(self.length)
        if dialect.name in MARIADB:
            kind = _SentAsText(self.length)
        elif dialect.name == "postgresql":
            kind = String(self.length, collation="C")
        return dialect.type_descriptor(kind)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def fit(text: str, size: int) -> str:
    """Return the text, cut to the `size` of a `ByteText`."""
    return text if len(text) * 4 <= size else text.encode()[:size].decode(errors="ignore")


class End(TypeDecorator[float]):
    """Unix seconds at which a key ends; None for a key without an end."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float:
        return NO_END if value is None else value

    def process_result_value(self, value: float | None, dialect: Dialect) -> float | None:
        return None if value == NO_END else value


class database_now(ColumnElement[float]):  # noqa: N801 - a function of the database
    """Unix seconds by the database's clock, the same throughout a statement."""

    inherit_cache = True
    type = Double()


@compiles(database_now)
def _standard(element: database_now, compiler: SQLCompiler, **_: Any) -> str:
    return "EXTRACT(EPOCH FROM CURRENT_TIMESTAMP)"


@compiles(database_now, "postgresql")
def _postgresql(element: database_now, compiler: SQLCompiler, **_: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM statement_timestamp()) AS double precision)"


@compiles(database_now, *MARIADB)
def _mariadb(element: database_now, compiler: SQLCompiler, **_: Any) -> str:
    # In whole seconds: with fractions it takes a date, which is not the same moment in each time zone.
    return "UNIX_TIMESTAMP()"


@compiles(database_now, "sqlite")
def _sqlite(element: database_now, compiler: SQLCompiler, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


_INNODB: dict[str, Any] = {
    f"{name}_{option}": value
    for name in ("mysql", "mariadb")
    for option, value in {"engine": "InnoDB", "charset": "utf8mb4"}.items()
}
# SQLite numbers rows by itself only where the column is an INTEGER.
_NUMBER = BigInteger().with_variant(Integer, "sqlite")


class Tables:
    """Six tables, named after the table of keys: `hmac_guard_keys`, `hmac_guard_tenants` and so on.

    - `tenants`: each tenant's mode, and the figures of its last 24 hours as of the hour `counted`.
    - `keys`: each tenant's keys. A key without an end ends in the year 9999.
    - `hours`: requests by hour (hours since 1970), for 31 days; `known` of them state ids that were also verified.
    - `refusals`: the last refused requests of each tenant, if `VerdictCounts(refusals=...)` writes them.
    - `audit`: who changed what, and when.
    - `settings`: what all workers must share.
    """

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name.isidentifier() or len(name) > MAX_TABLE_NAME:
            raise ConfigError(
                f"SqlKeys: {name!r} is not the name of a table (letters, digits and '_', at most {MAX_TABLE_NAME})"
            )
        self.name = name
        self._prefix = name.removesuffix("_keys")
        self.metadata = MetaData()
        self.tenants = self._table(
            "tenants",
            Column("name", ByteText(MAX_ID_BYTES), primary_key=True),
            Column("mode", String(16), nullable=False),
            Column("mode_seal", Text),
            Column("made_at", Double, nullable=False),
            Column("verified", BigInteger, nullable=False, default=0),
            Column("refused", BigInteger, nullable=False, default=0),
            Column("ready", String(8), nullable=False, default=UNKNOWN),
            Column("used", SmallInteger, nullable=False, default=0),
            Column("last_used", Double),
            Column("counted", BigInteger, nullable=False, default=0),
            indexes=[("mode", "ready", "used", "name"), ("counted",)],
        )
        self.keys = self._table(
            "keys",
            Column("tenant", ByteText(MAX_ID_BYTES), nullable=False),
            Column("id", ByteText(MAX_ID), nullable=False),
            Column("secret", HiddenText, nullable=False),
            Column("made_at", Double, nullable=False),
            Column("made_by", String(MAX_NAME), nullable=False),
            Column("note", String(MAX_NOTE), nullable=False, default=""),
            Column("not_before", Double),
            Column("not_after", End, nullable=False),
            Column("last_used", Double),
            # In this order, so that a look-up by tenant can only use the index that leaves out what ended long ago.
            PrimaryKeyConstraint("id", "tenant"),
            indexes=[("tenant", "not_after"), ("not_after", "tenant")],
        )
        self.hours = self._table(
            "hours",
            Column("tenant", ByteText(MAX_ID_BYTES), primary_key=True),
            Column("hour", BigInteger, primary_key=True, autoincrement=False),
            Column("scheme", ByteText(MAX_SCHEME), primary_key=True),
            Column("mode", String(16), primary_key=True),
            Column("reason", String(32), primary_key=True),
            Column("key_id", ByteText(MAX_ID), primary_key=True),
            Column("requests", BigInteger, nullable=False),
            Column("known", BigInteger, nullable=False),
            indexes=[("hour",)],
        )
        self.refusals = self._table(
            "refusals",
            Column("id", _NUMBER, primary_key=True),
            Column("at", Double, nullable=False),
            Column("tenant", ByteText(MAX_ID_BYTES), nullable=False),
            Column("scheme", ByteText(MAX_SCHEME), nullable=False),
            Column("method", String(40), nullable=False),
            Column("path", Text, nullable=False),
            Column("reason", String(32), nullable=False),
            Column("detail", Text, nullable=False),
            Column("ids", Text, nullable=False),
            indexes=[("tenant", "id")],
        )
        self.audit = self._table(
            "audit",
            Column("id", _NUMBER, primary_key=True),
            Column("at", Double, nullable=False),
            Column("tenant", ByteText(MAX_ID_BYTES), nullable=False),
            Column("actor", String(MAX_NAME), nullable=False),
            Column("origin", String(MAX_NAME), nullable=False),
            Column("action", String(32), nullable=False),
            Column("detail", Text, nullable=False),
            indexes=[("tenant", "id"), ("actor", "id"), ("action", "id")],
        )
        self.settings = self._table(
            "settings",
            Column("name", ByteText(MAX_ID), primary_key=True),
            Column("value", HiddenText, nullable=False),
        )

    def _table(self, kind: str, *columns: Any, indexes: list[tuple[str, ...]] | None = None) -> Table:
        name = self.name if kind == "keys" else f"{self._prefix}_{kind}"
        named = [Index(f"{name}_{'_'.join(each)}", *each) for each in indexes or ()]
        return Table(name, self.metadata, *columns, *named, **_INNODB)

    def create(self, connection: Connection) -> None:
        """Create the missing tables and indexes.

        The database may raise, also if another worker has just created one. The caller then tries again.

        Raises:
            ConfigError: The name is too long for the database, or another table of keys would share the other tables.
        """
        self._check_length(connection)
        self._check_others(connection)
        for table in self.metadata.sorted_tables:
            if not inspect(connection).has_table(table.name):
                connection.execute(CreateTable(table))
            there = {index["name"] for index in inspect(connection).get_indexes(table.name)}
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                if index.name not in there:
                    connection.execute(CreateIndex(index))

    def _check_length(self, connection: Connection) -> None:
        tables = self.metadata.tables
        names = [*tables, *(str(index.name) for table in tables.values() for index in table.indexes)]
        if connection.dialect.name == "postgresql":
            excess, unit = max(len(name.encode()) for name in names) - MAX_NAME_OF_POSTGRESQL, "bytes"
        elif connection.dialect.name in MARIADB:
            excess, unit = max(map(len, names)) - MAX_NAME_OF_MARIADB, "characters"
        else:
            return
        if excess > 0:
            raise ConfigError(
                f"SqlKeys: with {self.name!r} as the table of keys, the name of an index is too long for this "
                f"database; choose a name that is shorter by {excess} {unit} or more"
            )

    def _check_others(self, connection: Connection) -> None:
        """Raise `ConfigError` if the other tables belong to a table of keys with the same prefix already."""
        [other] = {self._prefix, f"{self._prefix}_keys"} - {self.name}
        if not self._prefix or other.removesuffix("_keys") != self._prefix:
            return
        found = inspect(connection)
        if found.has_table(self.name) or not found.has_table(other):
            return
        if set(self.keys.columns.keys()) <= {column["name"] for column in found.get_columns(other)}:
            raise ConfigError(
                f"SqlKeys: the tables of keys {self.name!r} and {other!r} would share their tenants; choose another "
                "name for the table of keys"
            )


class Counted(NamedTuple):
    """One row of the table `hours`, without its numbers."""

    tenant: str
    hour: int
    scheme: str
    mode: str
    reason: str
    key_id: str

    def without_tenant(self) -> "Counted":
        return self._replace(tenant=NO_TENANT, key_id="")


#: The tables under their usual names, for migrations: `target_metadata = [Base.metadata, metadata]` in Alembic.
metadata = Tables("hmac_guard_keys").metadata
