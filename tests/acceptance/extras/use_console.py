"""Uses what the extra `console` brings."""

import tempfile
from pathlib import Path

from sqlalchemy import create_engine
from werkzeug.test import Client

from hmac_guard.console import Console, Operator
from hmac_guard.keys import SqlKeys
from hmac_guard.schemes import NANGO

with tempfile.TemporaryDirectory() as folder:
    engine = create_engine(f"sqlite:///{Path(folder) / 'keys.db'}")
    keys = SqlKeys(engine)
    keys.create_table()
    keys.add("acme", mode="report")
    console = Console(keys, schemes=[NANGO], authorize=lambda request: Operator("ada", "operator"))
    client = Client(console.wsgi)
    for path in ("/", "/tenant?name=acme", "/check", "/signing", "/audit", "/static/console.css"):
        assert client.get(path).status_code == 200, path
    engine.dispose()
