"""The extra `sql`: keys in a database, with a synchronous engine. Other packages are named where they are needed."""

import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import create_engine

from acceptance.extras.calls import SCHEME, SECRET, check, check_error, check_guard
from hmac_guard import Guard, keys
from hmac_guard.keys import SqlKeys, VerdictCounts

with tempfile.TemporaryDirectory() as folder:
    engine = create_engine(f"sqlite:///{Path(folder, 'keys.db')}")
    stored = SqlKeys(engine)
    stored.create_table()
    added = stored.add("acme", SECRET)
    counts = VerdictCounts(stored)
    check_guard(Guard(SCHEME, stored, on_decision=counts))
    counts.close()

    rotated = stored.rotate("acme")
    check([key.id for key in stored.list("acme")] == [rotated.id, added.id], "rotate adds no key")
    check_guard(Guard(SCHEME, stored), str(rotated.secret))
    stored.retire("acme", added.id)
    engine.dispose()

check_error(lambda: keys.CachedKeys, "CachedKeys", "pip install 'hmac-guard[cache]'")
check_error(lambda: SqlKeys(engine, master_keys="x" * 44), "pip install 'hmac-guard[crypto]'")
# SQLAlchemy 2.0 installs greenlet. Without it, SQLAlchemy raises an error when an async engine is made.
missing = "aiosqlite" if find_spec("greenlet") else "sqlalchemy[asyncio]"
check_error(lambda: import_module("sqlalchemy.ext.asyncio").create_async_engine("sqlite+aiosqlite://"), missing)
