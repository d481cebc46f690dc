"""Runs mypy and pyright on code of a user: each line is right, or they report it."""

import os
import re
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
    "class Sub(Guard): ...": "misc",  # The lines after it are checked, too.
    "Guard(NANGO)": "call-arg",
    'Keyring("key", mode="report")': "",
    'Keyring("key", mode="monitor")': "arg-type",
    'Key.from_hex("00", "id", not_before=0, not_after=None)': "",
    'Key.from_base64("AA==", not_befor=0)': "call-arg",
    'Key.from_text("key", not_after="2030")': "arg-type",
    'NANGO.replace(name="two").sign("key", connection_id="c")': "",
    'Scheme(**BODY, encoding="base64url", algorithm="sha512")': "",
    "Scheme(**BODY, encoding=NANGO.encoding, algorithm=NANGO.algorithm)": "",
    'Scheme(**BODY, encoding="hexx")': "arg-type",
    'Scheme(**BODY, algorithm="md5")': "arg-type",
    'raw_body(header="X-Signature", encoding="utf-8")': "arg-type",
    'Timestamp(Header("X-Time"), unit="us")': "arg-type",
    'Guard(NANGO, "key")()': "operator",
    'Guard(NANGO, "key").wsgi(asgi_app)': "arg-type",
    'Guard(NANGO, "key").asgi(wsgi_app)': "arg-type",
    "AsgiGuard(asgi_app)": "call-arg",
    "WsgiGuard(wsgi_app)": "call-arg",
    'Verdict(Reason.VERIFIED, "one", {"id": "1"}, tenant="acme").ids["id"]': "",
    'Verdict(Reason.OFF, "one")._replace(tenant="acme").tenant': "",
    'Verdict(Reason.OFF, "one").tenent': "attr-defined",
    'Verdict(Reason.OFF, "one", tenent="acme")': "call-arg",
    "Verdict(Reason.OFF)": "call-arg",
    'Verdict(Reason.OFF, "one").tenant = "acme"': "misc",
}
HEAD = """
from collections.abc import Iterable
from typing import Any

import hmac_guard
from hmac_guard import Claim, Guard, Header, Key, Keyring, Reason, Scheme, Timestamp, Verdict
from hmac_guard.asgi import GuardMiddleware as AsgiGuard
from hmac_guard.client import HttpxAuth, RequestsAuth
from hmac_guard.keys import EnvKeys
from hmac_guard.metrics import OpenTelemetryMetrics, PrometheusMetrics
from hmac_guard.schemes import NANGO, raw_body
from hmac_guard.testing import signed_client
from hmac_guard.wsgi import GuardMiddleware as WsgiGuard

BODY: dict[str, Any] = {"name": "one", "ids": {}, "message": "{@body}", "signature": Header("X-Signature")}
def of_tenant(claim: Claim) -> str | None: ...
async def of_tenant_later(claim: Claim) -> Key: ...
def of_nothing() -> str: ...
def wsgi_app(environ: Any, start_response: Any) -> Iterable[bytes]: ...
async def asgi_app(scope: Any, receive: Any, send: Any) -> None: ...
""".lstrip()

#: A type checker reports a wrong name only in code that it does not take for unreachable.
BRANCHES = """
from hmac_guard import Verdict

def tested(verdict: Verdict) -> str:
    if verdict:
        return verdict.wrong
    elif verdict.claimed:
        return verdict.wrong
    return verdict.wrong

def tested_for_the_opposite(verdict: Verdict) -> str | None:
    if not verdict:
        return verdict.wrong
    return verdict.ids["id"] or verdict.wrong

def tested_in_an_expression(verdict: Verdict) -> str | None:
    found: Verdict | None = verdict or None
    return found.tenant if found else verdict.wrong
"""
OPTIONS = {
    "mypy": ["--strict", "--config-file=", "--disable-error-code=empty-body", "--hide-error-context"],
    "pyright": ["--pythonpath", sys.executable],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("types")


def errors_in(code: str, checker: str, folder: Path) -> dict[int, str]:
    """Return what the type checker reports, by the number of the line."""
    pytest.importorskip(checker, reason=f"not run: {checker} is not installed")
    written = folder / "use.py"
    written.write_text(code)
    options = [*OPTIONS[checker], *([f"--cache-dir={folder}"] if checker == "mypy" else [])]
    # In a process of its own: mypy never frees half a gigabyte, which the garbage collector would look through.
    # Otherwise pyright asks the network whether there is a newer version.
    environ = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    command = [sys.executable, "-m", checker, *options, str(written)]
    run = subprocess.run(command, capture_output=True, text=True, env=environ)
    assert run.stderr == ""
    # Without django-stubs, mypy reports imports of the package itself, too.
    found = re.findall(rf"{re.escape(str(written))}:(\d+):(?:\d+ -)? error: (.*)", run.stdout)
    return {int(number): text for number, text in found}


def test_mypy_accepts_right_use_and_rejects_wrong_use(folder: Path) -> None:
    found = errors_in(HEAD + "\n".join(LINES), "mypy", folder)

    first = HEAD.count("\n") + 1
    codes = {number - first: text.rsplit("[", 1)[1].rstrip("]") for number, text in found.items()}
    assert {line: codes.pop(number, "") for number, line in enumerate(LINES)} == LINES
    assert codes == {}


def test_pyright_accepts_right_use_and_rejects_wrong_use(folder: Path) -> None:
    found = errors_in(HEAD + "\n".join(LINES), "pyright", folder)

    first = HEAD.count("\n") + 1
    assert [*found] == [number for number, line in enumerate(LINES, first) if LINES[line]], found


@pytest.mark.parametrize("checker", OPTIONS)
def test_a_type_checker_reads_each_branch_after_the_test_of_a_verdict(checker: str, folder: Path) -> None:
    found = errors_in(BRANCHES, checker, folder)

    assert [*found] == [number for number, line in enumerate(BRANCHES.splitlines(), 1) if "wrong" in line], found
