"""The page where a user can change ids and signatures, and its backend, which signs like a customer's backend."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask, request

from hmac_guard.cli.demo.processes import App
from hmac_guard.cli.demo.samples import SAMPLES, Sample
from hmac_guard.cli.demo.sending import HOST

TITLES = {"flask": "Flask, Nango", "fastapi": "FastAPI, SuprSend", "django": "Django, your own"}


def make_page(apps: Mapping[str, App], keys: Mapping[str, str]) -> Flask:
    """Return the application that serves the page at `/`."""
    page = Flask(__name__)
    template = Path(__file__).with_name("page.html").read_text()

    @page.get("/")
    def index() -> str:
        samples = json.dumps([_data(sample, apps, keys) for sample in SAMPLES])
        return template.replace("{{ samples }}", samples.replace("<", "\\u003c"))

    @page.post("/sign/<int:number>")
    def sign(number: int) -> str:
        return SAMPLES[number].sign(keys, request.form)

    @page.get("/judged/<name>")
    def judged(name: str) -> str:
        return str(apps[name].judged)

    @page.get("/reason/<name>/<int:number>")
    def reason(name: str, number: int) -> str:
        return apps[name].reason(number)

    return page


def _data(sample: Sample, apps: Mapping[str, App], keys: Mapping[str, str]) -> dict[str, Any]:
    """Return the data from which the page builds a request. It contains no key."""
    return {
        "title": TITLES[sample.app],
        "name": sample.name,
        "app": sample.app,
        "origin": f"http://{HOST}:{apps[sample.app].port}",
        "values": {**sample.ids, "signature": sample.sign(keys, sample.ids)},
        "method": sample.method,
        "path": sample.path,
        "query": sample.query,
        "headers": sample.headers,
        "json": sample.json,
        "form": sample.form,
    }
