"""The extras `cli` and `sql`: the keys of a database from the command line."""

import tempfile
from pathlib import Path

from sqlalchemy import create_engine

from acceptance.extras.calls import SCHEME, SECRET, check, check_guard, run_command
from hmac_guard import Guard
from hmac_guard.keys import SqlKeys

with tempfile.TemporaryDirectory() as folder:
    url = f"sqlite:///{Path(folder, 'keys.db')}"
    run_command("keys", "add", "acme", "--secret-env", "KEY", HMAC_GUARD_DB=url, KEY=SECRET)
    check("acme" in run_command("keys", "list", HMAC_GUARD_DB=url), "keys list does not name the tenant")
    check_guard(Guard(SCHEME, SqlKeys(create_engine(url))))

    needs_redis = run_command("keys", "list", "--redis", "redis://127.0.0.1", status=2, HMAC_GUARD_DB=url)
    check("pip install 'hmac-guard[redis]'" in needs_redis, f"keys --redis says {needs_redis!r}")
    needs_crypto = run_command("keys", "list", status=2, HMAC_GUARD_DB=url, HMAC_GUARD_MASTER_KEYS="x" * 44)
    check("pip install 'hmac-guard[crypto]'" in needs_crypto, f"sealed keys say {needs_crypto!r}")
