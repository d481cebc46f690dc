"""Runs mypy on code of a user: each line is right or has the named error."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.types

#: A line of code, and the code of the expected mypy error, or nothing.
LINES = {
    'Guard(NANGO, "key")': "",
    'Guard(NANGO, ["key", b"key", Key("key")], mode="report")': "",
    'Guard(NANGO, {"acme": "key", "other": ["a", "b"]}, mode="off")': "",
    'Guard(NANGO, EnvKeys("NAME"))': "",
    "Guard(NANGO, of_tenant)": "",
    "Guard(NANGO, of_tenant_later)": "",
    'Guard(NANGO, "key").wsgi(wsgi_app)': "",
    'Guard(NANGO, "key").asgi(asgi_app)': "",
    'AsgiGuard(asgi_app, guard=Guard(NANGO, "key"))': "",
    'WsgiGuard(wsgi_app, guard=Guard(NANGO, "key"))': "",
    'hmac_guard.Guard(NANGO, "key")': "",
    "hmac_guard.Gard": "attr-defined",
    'Guard(NANGO, "key", on_decision=PrometheusMetrics())': "",
    'Guard(NANGO, "key", on_decision=OpenTelemetryMetrics())': "",
    'signed_client("a client", Guard(NANGO, "key"), connection_id="c").upper()': "",
    'signed_client("a client", Guard(NANGO, "key"), connection_id="c").get("/")': "attr-defined",
    'signed_client("a client", Guard(NANGO, "key"), connection_id=3)': "arg-type",
    'HttpxAuth(NANGO, "key", ["https://a.example"], connection_id=lambda: "c")': "",
    'RequestsAuth(NANGO, "key", ["https://a.example"], connection_id="c")': "",
    'HttpxAuth(NANGO, "key", connection_id="c")': "call-arg",
    'Guard(NANGO, "key", mode="monitor")': "arg-type",
    "Guard(NANGO, keys=3)": "arg-type",
    'Guard(NANGO, {1: "key"})': "dict-item",
    "Guard(NANGO, of_nothing)": "arg-type",
    'Guard(NANGO, Guard(NANGO, "key"))': "arg-type",
    'Guard(NANGO, "key", exmpt=())': "call-arg",
    "Guard(NANGO)": "call-arg",
    'Guard(NANGO, "key")()': "operator",
    'Guard(NANGO, "key").wsgi(asgi_app)': "arg-type",
    'Guard(NANGO, "key").asgi(wsgi_app)': "arg-type",
    "AsgiGuard(asgi_app)": "call-arg",
    "WsgiGuard(wsgi_app)": "call-arg",
}
HEAD = """
from collections.abc import Iterable
from typing import Any

import hmac_guard
from hmac_guard import Claim, Guard, Key
from hmac_guard.asgi import GuardMiddleware as AsgiGuard
from hmac_guard.client import HttpxAuth, RequestsAuth
from hmac_guard.keys import EnvKeys
from hmac_guard.metrics import OpenTelemetryMetrics, PrometheusMetrics
from hmac_guard.schemes import NANGO
from hmac_guard.testing import signed_client
from hmac_guard.wsgi import GuardMiddleware as WsgiGuard

def of_tenant(claim: Claim) -> str | None: ...
async def of_tenant_later(claim: Claim) -> Key: ...
def of_nothing() -> str: ...
def wsgi_app(environ: Any, start_response: Any) -> Iterable[bytes]: ...
async def asgi_app(scope: Any, receive: Any, send: Any) -> None: ...
""".lstrip()


def test_a_type_checker_accepts_right_use_and_rejects_wrong_use(tmp_path: Path) -> None:
    written = tmp_path / "use.py"
    written.write_text(HEAD + "\n".join(LINES))
    options = ["--strict", "--config-file=", f"--cache-dir={tmp_path}", "--disable-error-code=empty-body"]
    # In a process of its own: mypy never frees half a gigabyte, which the garbage collector would look through.
    command = [sys.executable, "-m", "mypy", *options, "--no-error-summary", "--hide-error-context", str(written)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.stderr == ""

    found = dict.fromkeys(LINES, "")
    first = HEAD.count("\n") + 1
    for line in run.stdout.splitlines():
        place, kind, text = line.split(": ", 2)
        # Without django-stubs, mypy reports imports of the package itself, too.
        if kind == "error" and place.startswith(str(written)):
            found[list(LINES)[int(place.rsplit(":", 1)[1]) - first]] = text.rsplit("[", 1)[1].rstrip("]")
    assert found == LINES
