"""The pages on testing, observing, signing, rolling out and troubleshooting: their blocks run as printed."""

import asyncio
import contextlib
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from documentation.pages import exports
from documented import Block, under
from documented import blocks as blocks_of
from installed import install, run_pytest
from ports import accepts, own_port
from serving import threaded
from support import Sent, call_wsgi
from waiting import TIMEOUT, becomes_true

from hmac_guard import Guard, Key, Reason
from hmac_guard.once import MemoryOnce
from hmac_guard.schemes import NANGO, SUPRSEND

pytest.importorskip("flask", reason="not run: Flask is not installed")
pytest.importorskip("prometheus_client", reason="not run: prometheus_client is not installed")
pytest.importorskip("opentelemetry", reason="not run: OpenTelemetry is not installed")
pytest.importorskip("sqlalchemy", reason="not run: SQLAlchemy is not installed")
pytest.importorskip("cachetools", reason="not run: cachetools is not installed")
pytest.importorskip("click", reason="not run: click is not installed")
from click.testing import CliRunner
from prometheus_client import REGISTRY
from werkzeug.test import Client

from hmac_guard.cli.commands import hmac_guard

DOCS = Path(__file__).parents[2] / "docs"
KEY = "8f4f6a52-5d0b-4a5e-9e0f-3d9b1c7a2e11"
Key(KEY)  # `secrecy.py` then checks that no block prints it.


def blocks(page: str, language: str = "python") -> list[Block]:
    return blocks_of(f"docs/{page}", language)


def files(page: str) -> dict[str, Block]:
    """The blocks that begin with the name of a file."""
    return {block.name: block for block in blocks(page) if block.name}


def empty(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return []


@pytest.fixture(autouse=True)
def in_an_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run each block in an empty folder. What it registers or opens is closed again."""
    monkeypatch.chdir(tmp_path)
    before = set(REGISTRY._collector_to_names)
    yield
    for collector in set(REGISTRY._collector_to_names) - before:
        REGISTRY.unregister(collector)


@contextlib.contextmanager
def closing(names: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield names
    for name in ("counts", "metrics"):
        if hasattr(names.get(name), "close"):
            names[name].close()
    if hasattr(names.get("keys"), "engine"):
        names["keys"].engine.dispose()


def test_the_tests_of_the_page_pass_with_the_plugin(tmp_path: Path) -> None:
    for package in ("django", "fastapi", "httpx"):
        pytest.importorskip(package, reason=f"not run: {package} is not installed")
    found = files("testing.md")
    for name, block in found.items():
        (tmp_path / name).write_text(block.code)
    number = sum(block.text.count("\ndef test_") for block in found.values())

    printed = run_pytest(tmp_path, install(tmp_path / "installed"), *(name for name in found if name != "app.py"))
    assert len(found) == len(blocks("testing.md")) == 9
    assert re.search(rf"^{number} passed in", printed, re.MULTILINE), printed


def test_the_application_of_the_page_on_observing_shows_its_numbers() -> None:
    client = Client(files("observing.md")["app.py"].run()["app"].wsgi_app)
    client.get("/inbox?distinct_id=u1")
    text = client.get("/metrics").text

    assert 'mode="enforce",reason="missing_signature",result="refused",scheme="suprsend"} 1.0' in text
    named = re.findall(r"^\| `(hmac_guard_\w+)`", (DOCS / "observing.md").read_text(), re.MULTILINE)
    assert len(named) == 4
    assert {"hmac_guard_requests_total", "hmac_guard_decision_seconds"} <= set(named)
    assert all(name in text for name in named[:2])


@pytest.mark.parametrize("name", ["cached.py", "both.py", "traced.py"])
def test_each_block_of_the_page_on_observing_runs(name: str) -> None:
    with closing(files("observing.md")[name].run()) as names:
        if name == "both.py":
            Client(names["guard"].wsgi(empty)).get("/?distinct_id=u")
            assert REGISTRY.get_sample_value("hmac_guard_decision_seconds_count", {"scheme": "suprsend"}) == 1
        assert isinstance(names["guard"], Guard)


def test_the_workers_of_the_page_on_observing_share_their_numbers(tmp_path: Path) -> None:
    pytest.importorskip("gunicorn", reason="not run: gunicorn is not installed")
    (tmp_path / "workers.py").write_text(files("observing.md")["workers.py"].code)
    block = under("docs/observing.md", "Several processes", "console")
    lines = [line for line, _ in block.commands() if not line.startswith("pip install")]
    with own_port() as port:
        script = "\n".join([*lines[:-1], f"exec {lines[-1].replace('8000', str(port))}"])
        environ = {**os.environ, "PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])}
        with subprocess.Popen(["sh", "-e", "-c", script], cwd=tmp_path, env=environ) as server:
            try:
                assert becomes_true(lambda: server.poll() is not None or accepts(port))
                for _ in range(20):
                    with pytest.raises(urllib.error.HTTPError, match="401"):
                        urllib.request.urlopen(f"http://127.0.0.1:{port}/inbox?distinct_id=u1", timeout=TIMEOUT)
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=TIMEOUT) as answer:
                    text = answer.read().decode()
            finally:
                server.terminate()
    assert 'reason="missing_signature",result="refused",scheme="suprsend"} 20.0' in text


def test_the_formatter_of_the_page_writes_json(capsys: pytest.CaptureFixture[str]) -> None:
    import logging

    handlers = logging.getLogger("hmac_guard").handlers
    with closing(files("observing.md")["logs.py"].run()) as names:
        names["handler"].setStream(sys.stdout)
        app = files("rolling-out.md")["enforced.py"].run()["guard"].wsgi(empty)
        Client(app).get("/inbox?distinct_id=u1")
        handlers.remove(names["handler"])
    [line] = capsys.readouterr().out.splitlines()
    written = json.loads(line)

    assert (written["reason"], written["method"], written["path"]) == ("missing_signature", "GET", "/inbox")
    assert written["scheme"] == "suprsend"


@pytest.fixture
def signers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The modules of the page on signing."""
    for name, block in files("signing-for-your-page.md").items():
        (tmp_path / name).write_text(block.code)
    monkeypatch.syspath_prepend(tmp_path)
    names = ("inbox", "flask_app", "fastapi_app", "views")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)  # The examples have modules of these names too.
    yield
    for name in names:
        sys.modules.pop(name, None)


def check_signed(headers: dict[str, str], user: str) -> None:
    """Check that a guard accepts the headers for this user, and for no other one."""
    inbox = importlib.import_module("inbox")
    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(environ["hmac_guard"].ids["user_id"])
        start_response("200 OK", [])
        return []

    client = Client(Guard(inbox.INBOX, keys=inbox.KEY).wsgi(app))
    assert client.get("/", headers=headers).status_code == 200
    assert seen == [user]
    assert client.get("/", headers={**headers, "X-User": "u2"}).status_code == 401


@pytest.mark.usefixtures("signers")
def test_the_endpoint_in_flask_signs_for_the_user_of_the_session_alone() -> None:
    app = importlib.import_module("flask_app").app
    client = app.test_client()
    assert client.get("/signed?user_id=u2").status_code == 401
    with client.session_transaction() as session:
        session["user_id"] = "u1"
    answer = client.get("/signed?user_id=u2", headers={"X-User": "u2"})

    assert answer.headers["Cache-Control"] == "no-store"
    check_signed(answer.json, "u1")
    assert client.get("/inbox", headers=answer.json).text == "messages of u1"


@pytest.mark.usefixtures("signers")
def test_the_endpoint_in_fastapi_signs_for_the_user_of_the_session_alone() -> None:
    for package in ("fastapi", "itsdangerous"):
        pytest.importorskip(package, reason=f"not run: {package} is not installed")
    from starlette.responses import Response
    from starlette.testclient import TestClient

    app = importlib.import_module("fastapi_app").app
    client = TestClient(app)
    assert client.get("/signed?user_id=u2").status_code == 401

    async def login(request: Any) -> Any:
        request.session["user_id"] = "u1"
        return Response()

    app.add_route("/login", login)
    client.get("/login")
    answer = client.get("/signed?user_id=u2", headers={"X-User": "u2"})

    assert answer.headers["Cache-Control"] == "no-store"
    check_signed(answer.json(), "u1")
    assert client.get("/inbox", headers=answer.json()).json() == "messages of u1"


@pytest.mark.usefixtures("signers")
def test_the_endpoint_in_django_signs_for_the_user_of_the_session_alone() -> None:
    pytest.importorskip("django", reason="not run: Django is not installed")
    importlib.import_module("django_settings")
    from django.test import RequestFactory

    views, requests = importlib.import_module("views"), RequestFactory()
    request: Any = requests.get("/signed?user_id=u2", headers={"X-User": "u2"})
    request.user = SimpleNamespace(is_authenticated=False)
    assert views.signed(request).status_code == 401
    request.user = SimpleNamespace(is_authenticated=True, pk=7)
    answer = views.signed(request)

    assert "no-store" in answer.headers["Cache-Control"]
    headers = json.loads(answer.content)
    check_signed(headers, "7")
    assert views.inbox(requests.get("/inbox", headers=headers)).content == b"messages of 7"


def test_the_clients_of_the_page_read_an_inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("httpx", "requests"):
        pytest.importorskip(package, reason=f"not run: {package} is not installed")
    for name, block in files("signing-clients.md").items():
        (tmp_path / name).write_text(block.code)
    monkeypatch.syspath_prepend(tmp_path)
    by_httpx, by_requests = importlib.import_module("by_httpx"), importlib.import_module("by_requests")

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["hmac_guard"].ids["user_id"].encode()]

    guard = Guard(by_httpx.INBOX, keys=by_httpx.KEY, single_use=MemoryOnce(100))
    with threaded(guard.wsgi(app)) as port:
        api = f"http://127.0.0.1:{port}"
        read = [module.read_inbox(api, "u1") for module in (by_httpx, by_requests)]
        read.append(asyncio.run(by_httpx.read_inbox_later(api, "u1")))
    for name in ("by_httpx", "by_requests"):
        del sys.modules[name]
    assert read == ["u1"] * 3


def test_the_application_that_reports_answers_every_request() -> None:
    client = Client(files("rolling-out.md")["app.py"].run()["app"].wsgi_app)

    assert client.get("/inbox?distinct_id=u1").text == "messages of u1"


def test_the_evidence_is_counted() -> None:
    names = files("rolling-out.md")["evidence.py"].run()
    Client(names["guard"].wsgi(empty)).get("/inbox?distinct_id=u1")

    assert names["seen"] == {"missing_signature": 1}


def test_each_tenant_has_its_mode() -> None:
    with closing(files("rolling-out.md")["tenants.py"].run()) as names:
        commands = [line for line, _ in under("docs/rolling-out.md", "3. Enforce", "console").commands()]
        address = exports("docs/rolling-out.md")["HMAC_GUARD_DB"]
        for line in commands:
            if line.startswith("hmac-guard "):
                done = CliRunner().invoke(hmac_guard, shlex.split(line)[1:], env={"HMAC_GUARD_DB": address})
                assert done.exit_code == 0, done.output
        [tenant] = names["keys"].tenants()
        names["guard"]._decider.closing()
    assert (tenant.name, tenant.mode) == ("acme", "enforce")


def test_the_reasons_of_the_table_are_reasons() -> None:
    for page in ("rolling-out.md", "troubleshooting.md"):
        rows = re.findall(r"^\| (`.+?`) \|", (DOCS / page).read_text(), re.MULTILINE)
        named = {name for row in rows for name in re.findall(r"`(\w+)[`:]", row)}
        assert named
        assert named <= {reason.value for reason in Reason}


@pytest.mark.parametrize("number", range(len(blocks("troubleshooting.md"))))
def test_each_block_of_the_page_on_troubleshooting_runs(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in exports("docs/troubleshooting.md").items():
        monkeypatch.setenv(name, value)
    pytest.importorskip("starlette", reason="not run: Starlette is not installed")

    assert isinstance(blocks("troubleshooting.md")[number].run()["guard"], Guard)


def test_a_form_passes_the_schemes_of_the_page_on_troubleshooting() -> None:
    guards = [
        block.run()["guard"] for block in blocks("troubleshooting.md") if block.heading == "An upload gets 415 or 413"
    ]
    form, refused = (("Content-Type", "application/x-www-form-urlencoded"),), []
    for guard, preset in zip(guards, (SUPRSEND, NANGO), strict=True):
        ids = dict.fromkeys(preset.ids, "x")
        query = urlencode(guard.scheme.sign_fields(KEY, ids).query)
        sent = Sent(method="POST", query=query, headers=form, body=b"a=1")
        assert call_wsgi(guard, sent).status == 200
        refused.append(call_wsgi(Guard(preset, KEY), sent).status)
    assert refused == [415, 415]
    hmac = NANGO.sign(KEY, integration_id="gh", connection_id="u1")
    path = Sent(path="/oauth/connect/gh", query=f"connection_id=u1&hmac={hmac}")
    assert call_wsgi(guards[1], path).status == 200


def test_explain_names_the_mistake_of_the_page() -> None:
    [_, (line, _)] = under("docs/troubleshooting.md", "Every request gets 401", "console").commands()
    _, *words = shlex.split(line)
    result = CliRunner().invoke(hmac_guard, words, env=exports("docs/troubleshooting.md"))

    assert result.exit_code == 1
    assert "Cause: the signature was written with another padding" in result.output


@pytest.mark.parametrize("page", sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")))
def test_each_link_leads_to_a_file(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[\w-]+)?\)", (DOCS / page).read_text()):
        assert ((DOCS / page).parent / target).exists(), target


def test_the_reference_has_each_public_name() -> None:
    text = "\n".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    packages = ("hmac_guard", "hmac_guard.client", "hmac_guard.metrics", "hmac_guard.testing")
    names = {f"{package}.{name}" for package in packages for name in importlib.import_module(package).__all__}

    assert len(names) > 25
    assert [name for name in sorted(names) if f":: {name}\n" not in text] == []
