"""The tables, for everything that is stored beside a guard: migrations see them in `metadata`."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    inspect,
)
from sqlalchemy.schema import CreateIndex, CreateTable

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.text import MAX_ID_BYTES
from hmac_guard.keys.sql.types import ByteText, End, HiddenText

#: The most bytes of a key's id, and of a scheme's name where requests are counted by it.
MOST_ID, MOST_SCHEME = 255, 64
#: The most characters of a note, and of the name of an actor or of the place that a change came from.
MOST_NOTE, MOST_NAME = 1_000, 255
#: The most characters of the name of the table of keys: the names of the indexes are made of it.
MOST_TABLE_NAME = 40

#: What a tenant's `mode` is where the guard's own mode applies.
GUARD = "guard"
#: What a tenant's `ready` is: nothing is verified; something is verified and something refused; all is verified.
UNKNOWN, REFUSED, READY = "unknown", "refused", "ready"

_INNODB: dict[str, Any] = {
    f"{name}_{option}": value
    for name in ("mysql", "mariadb")
    for option, value in {"engine": "InnoDB", "charset": "utf8mb4"}.items()
}
# SQLite numbers rows by itself only where the column is an INTEGER.
_NUMBER = BigInteger().with_variant(Integer, "sqlite")


class Tables:
    """Six tables, named after the table of keys: `hmac_guard_keys`, `hmac_guard_tenants` and so on.

    tenants   each tenant's mode, and the figures of its last 24 hours as they were in the hour `counted`
    keys      each tenant's keys. A key without an end ends in the year 9999
    hours     requests by hour (hours since 1970), for 31 days; `known` of them state ids that were also verified
    refusals  the last refused requests of each tenant, where `VerdictCounts(refusals=...)` writes them
    audit     who changed what, and when
    settings  what workers have to agree on
    """

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name.isidentifier() or len(name) > MOST_TABLE_NAME:
            raise ConfigError(
                f"SqlKeys: {name!r} is not the name of a table (letters, digits and '_', at most {MOST_TABLE_NAME})"
            )
        self.name = name
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
            Column("id", ByteText(MOST_ID), nullable=False),
            Column("secret", HiddenText, nullable=False),
            Column("made_at", Double, nullable=False),
            Column("made_by", String(MOST_NAME), nullable=False),
            Column("note", String(MOST_NOTE), nullable=False, default=""),
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
            Column("scheme", ByteText(MOST_SCHEME), primary_key=True),
            Column("mode", String(16), primary_key=True),
            Column("reason", String(32), primary_key=True),
            Column("key_id", ByteText(MOST_ID), primary_key=True),
            Column("requests", BigInteger, nullable=False),
            Column("known", BigInteger, nullable=False),
            indexes=[("hour",)],
        )
        self.refusals = self._table(
            "refusals",
            Column("id", _NUMBER, primary_key=True),
            Column("at", Double, nullable=False),
            Column("tenant", ByteText(MAX_ID_BYTES), nullable=False),
            Column("scheme", ByteText(MOST_SCHEME), nullable=False),
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
            Column("actor", String(MOST_NAME), nullable=False),
            Column("origin", String(MOST_NAME), nullable=False),
            Column("action", String(32), nullable=False),
            Column("detail", Text, nullable=False),
            indexes=[("tenant", "id"), ("actor", "id"), ("action", "id")],
        )
        self.settings = self._table(
            "settings",
            Column("name", ByteText(MOST_ID), primary_key=True),
            Column("value", HiddenText, nullable=False),
        )

    def _table(self, kind: str, *columns: Any, indexes: list[tuple[str, ...]] | None = None) -> Table:
        name = self.name if kind == "keys" else f"{self.name.removesuffix('_keys')}_{kind}"
        named = [Index(f"{name}_{'_'.join(each)}", *each) for each in indexes or ()]
        return Table(name, self.metadata, *columns, *named, **_INNODB)

    def create(self, connection: Connection) -> None:
        """Make each table and index that is not there. Raises what the database raises, also where another worker has
        just made one: it then looks again for what is missing."""
        for table in self.metadata.sorted_tables:
            if not inspect(connection).has_table(table.name):
                connection.execute(CreateTable(table))
            there = {index["name"] for index in inspect(connection).get_indexes(table.name)}
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                if index.name not in there:
                    connection.execute(CreateIndex(index))


#: The tables under their usual names, for migrations: `target_metadata = [Base.metadata, metadata]` in Alembic.
metadata = Tables("hmac_guard_keys").metadata
