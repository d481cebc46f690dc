"""The console of the demo, and requests to one of its applications that it counts."""

import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hmac_guard.cli.demo.processes import App
from hmac_guard.cli.demo.samples import ORDERS, ORDERS_JSON
from hmac_guard.cli.demo.sending import send
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.verdict import NO_IDS, Claim, Decision, Reason, Verdict

TENANTS = ("acme", "globex")
KEY_ID = "the-key-of-the-demo"

#: Seconds between two requests, and between two writes of the counter.
PAUSE, EVERY = 0.5, 2.0


@contextmanager
def console_with_traffic(keys: Mapping[str, str], apps: Mapping[str, App]) -> Iterator[str]:
    """Serve a console while requests are sent to the Django application.

    Yields:
        The console's link; "" if a package is missing.
    """
    hidden = hide(keys)
    del keys
    if find_spec("sqlalchemy") is None:
        yield ""
        return
    from sqlalchemy import create_engine

    from hmac_guard.console.standalone import HOST, Standalone, serve
    from hmac_guard.keys.sql import SqlKeys, VerdictCounts

    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{Path(folder) / 'demo.db'}")
        stored = SqlKeys(engine)
        stored.create_table()
        for tenant in TENANTS:
            stored.add(
                tenant, hidden.get()[f"ORDERS_KEY_{tenant}"], key_id=KEY_ID, mode="enforce", note="Made by the demo"
            )
        counts = VerdictCounts(stored, every=EVERY, refusals=24)
        app = Standalone(stored, [ORDERS], "demo", counts=counts)
        server = serve(app)
        stopped = threading.Event()
        threads = [
            threading.Thread(target=server.serve_forever),
            threading.Thread(target=_send, args=(hidden, apps["django"], counts, stopped)),
        ]
        for thread in threads:
            thread.start()
        try:
            yield f"http://{HOST}:{server.port}/login#{app.link.make().get()}"
        finally:
            stopped.set()
            server.shutdown()
            for thread in threads:
                thread.join()
            server.server_close()
            counts.close()
            engine.dispose()


def _send(keys: Hidden[Mapping[str, str]], app: App, counts: Any, stopped: threading.Event) -> None:
    """Send a request every half second, and count what the application says of it."""
    number = 0
    while not stopped.wait(PAUSE):
        number += 1
        tenant, order = TENANTS[number % 3 // 2], str(number)
        sample = ORDERS_JSON._replace(key=f"ORDERS_KEY_{tenant}")
        signed = sample.signed(keys.get(), tenant_id=tenant, order_id=order)
        forged = sample.request({"tenant_id": tenant, "order_id": order, "signature": "0" * 64})
        is_forged = number % 9 == 0
        judged, begun = app.judged, time.perf_counter()
        answer = send(forged if is_forged else signed, app.port)
        reason = app.reason(judged)
        if reason:
            ids = {"tenant_id": tenant, "order_id": order}
            claim = Claim(ORDERS.name, ids, tenant, None, "", sample.method, sample.path)
            is_verified = reason == Reason.VERIFIED.value
            verdict = Verdict(
                Reason(reason),
                ORDERS.name,
                ids if is_verified else NO_IDS,
                tenant if is_verified else None,
                KEY_ID if is_verified else None,
            )
            counts(Decision(verdict, claim, "enforce", answer.status == 401, time.perf_counter() - begun))
