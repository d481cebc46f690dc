"""The extra `crypto`, which the extra `sql` needs for sealed secrets."""

from cryptography.fernet import Fernet
from sqlalchemy import QueuePool, create_engine, text

from acceptance.extras.calls import SCHEME, SECRET, check, check_error, check_guard
from hmac_guard import Guard
from hmac_guard.keys import SqlKeys

engine = create_engine(
    "sqlite://", poolclass=QueuePool, pool_size=1, max_overflow=0, connect_args={"check_same_thread": False}
)
sealed = SqlKeys(engine, master_keys=Fernet.generate_key().decode())
sealed.create_table()
sealed.add("acme", SECRET)
check_guard(Guard(SCHEME, sealed))

with engine.connect() as connection:
    rows = connection.execute(text("SELECT * FROM hmac_guard_keys")).all()
check(len(rows) == 1 and SECRET not in str(rows), "the secret is stored in the clear")
check_error(lambda: SqlKeys(engine, master_keys="not a Fernet key"), "a master key is 32 bytes")
