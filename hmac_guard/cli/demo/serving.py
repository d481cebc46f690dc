"""What `hmac-guard demo --serve` serves besides the applications: a page to try signatures, and a console."""

import json
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, request

from hmac_guard.cli.demo.processes import App
from hmac_guard.cli.demo.requests import HOST, ORDERS, ORDERS_JSON, SAMPLES, Sample, send
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import Key
from hmac_guard.core.verdict import NO_IDS, Claim, Decision, Reason, Verdict
from hmac_guard.explain import Captured, KnownKeys, explain_captured
from hmac_guard.explain.report import sentences

TITLES = {"flask": "Flask, Nango", "fastapi": "FastAPI, SuprSend", "django": "Django, your own"}


def make_page(apps: Mapping[str, App], keys: Mapping[str, str], host: str = HOST) -> Flask:
    """Return the application that serves the page at `/`.

    Args:
        apps: The running applications.
        keys: Their keys.
        host: The address or name at which the page is opened. Requests with another `Host` are refused: another
            site can let its name resolve to this machine, and the page signs for everyone who can read it.
    """
    page = Flask(__name__)
    # An unknown number or name of a sample, or an unexpected body.
    for error in (LookupError, TypeError, AttributeError, ValueError):
        page.register_error_handler(error, lambda _: ("The page does not know this request.\n", 400))
    template = Path(__file__).with_name("page.html").read_text()

    @page.before_request
    def check_host() -> Any:
        name = urlsplit(f"//{request.host}").hostname
        return None if name in {host.lower(), HOST, "localhost"} else ("Only this machine may open this page.\n", 421)

    @page.get("/")
    def index() -> str:
        samples = json.dumps([_data(sample, apps, keys, host) for sample in SAMPLES])
        return template.replace("{{ host }}", host).replace("{{ samples }}", samples.replace("<", "\\u003c"))

    @page.post("/sign/<int:number>")
    def sign(number: int) -> str:
        return SAMPLES[number].sign(keys, request.form)

    @page.get("/verdicts/<name>")
    def verdict_count(name: str) -> str:
        return str(apps[name].verdict_count)

    @page.get("/reason/<name>/<int:number>")
    def reason(name: str, number: int) -> str:
        return apps[name].reason(number)

    @page.post("/explain/<int:number>")
    def explanation(number: int) -> str:
        sent, sample = request.get_json(), SAMPLES[number]
        headers = tuple((name, str(value)) for name, value in sent["headers"].items())
        captured = Captured(sent["method"], sent["target"], headers, (sent.get("body") or "").encode())
        others = tuple((f"of {name}", Key(key)) for name, key in keys.items() if name != sample.key)
        found = explain_captured(sample.scheme, captured, KnownKeys(Key(keys[sample.key]), (), others))
        return "\n\n".join(sentences(found))

    return page


def _data(sample: Sample, apps: Mapping[str, App], keys: Mapping[str, str], host: str) -> dict[str, Any]:
    """Return the data from which the page builds a request. It contains no key."""
    return {
        "title": TITLES[sample.app],
        "name": sample.name,
        "app": sample.app,
        "origin": f"http://{host}:{apps[sample.app].port}",
        "values": {**sample.ids, "signature": sample.sign(keys, sample.ids)},
        "method": sample.method,
        "path": sample.path,
        "query": sample.query,
        "headers": sample.headers,
        "json": sample.json,
        "form": sample.form,
    }


TENANTS = ("acme", "globex")
KEY_ID = "the-key-of-the-demo"

#: Seconds between two requests, and between two writes of the counter.
PAUSE, EVERY = 0.5, 2.0


@contextmanager
def console_with_traffic(keys: Mapping[str, str], apps: Mapping[str, App]) -> Iterator[str]:
    """Serve a console while requests are sent to the Django application.

    Args:
        keys: The keys of the applications, by environment variable.
        apps: The running applications.

    Yields:
        The link of the console, or "" if SQLAlchemy is not installed.
    """
    hidden = hide(keys)
    del keys
    if find_spec("sqlalchemy") is None:
        yield ""
        return
    from sqlalchemy import create_engine

    from hmac_guard.console.standalone import Standalone, serve
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
            yield app.new_link(server.port).get()
        finally:
            stopped.set()
            server.shutdown()
            for thread in threads:
                thread.join()
            server.server_close()
            counts.close()
            engine.dispose()


def _send(keys: Hidden[Mapping[str, str]], app: App, counts: Any, stopped: threading.Event) -> None:
    """Send a request every half second, and count its verdict."""
    number = 0
    while not stopped.wait(PAUSE):
        number += 1
        tenant, order = TENANTS[number % 3 // 2], str(number)
        sample = ORDERS_JSON._replace(key=f"ORDERS_KEY_{tenant}")
        signed = sample.signed(keys.get(), tenant_id=tenant, order_id=order)
        forged = sample.request({"tenant_id": tenant, "order_id": order, "signature": "0" * 64})
        is_forged = number % 9 == 0
        before, started = app.verdict_count, time.perf_counter()
        answer = send(forged if is_forged else signed, app.port)
        reason = app.reason(before)
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
            counts(Decision(verdict, claim, "enforce", answer.status == 401, time.perf_counter() - started))
