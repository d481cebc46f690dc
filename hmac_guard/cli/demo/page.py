"""The page where a user can change ids and signatures, and its backend, which signs like a customer's backend."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, request

from hmac_guard.cli.demo.processes import App
from hmac_guard.cli.demo.samples import SAMPLES, Sample
from hmac_guard.cli.demo.sending import HOST
from hmac_guard.core.key import Key
from hmac_guard.explain import Captured, KnownKeys, explain_captured
from hmac_guard.explain.report import sentences

TITLES = {"flask": "Flask, Nango", "fastapi": "FastAPI, SuprSend", "django": "Django, your own"}


def make_page(apps: Mapping[str, App], keys: Mapping[str, str], host: str = HOST) -> Flask:
    """Return the application that serves the page at `/`.

    Args:
        apps: The running applications.
        keys: Their keys.
        host: The address or name at which the page is opened. Requests with another `Host` are refused: a name of
            another site may point to this machine, and the page signs for whom can read it.
    """
    page = Flask(__name__)
    # A number or a name that is none of the samples, and a body of another shape.
    for error in (LookupError, TypeError, AttributeError, ValueError):
        page.register_error_handler(error, lambda _: ("The page does not know this request.\n", 400))
    template = Path(__file__).with_name("page.html").read_text()

    @page.before_request
    def check_host() -> Any:
        name = urlsplit(f"//{request.host}").hostname
        return None if name in {host.lower(), HOST, "localhost"} else ("This page is for this machine alone.\n", 421)

    @page.get("/")
    def index() -> str:
        samples = json.dumps([_data(sample, apps, keys, host) for sample in SAMPLES])
        return template.replace("{{ host }}", host).replace("{{ samples }}", samples.replace("<", "\\u003c"))

    @page.post("/sign/<int:number>")
    def sign(number: int) -> str:
        return SAMPLES[number].sign(keys, request.form)

    @page.get("/judged/<name>")
    def judged(name: str) -> str:
        return str(apps[name].judged)

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
