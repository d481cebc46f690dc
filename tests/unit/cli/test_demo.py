"""The demo, on real servers: the requests over sockets, the table, and the page in a browser."""

import http.client
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("click", reason="not run: click is not installed")
pytest.importorskip("flask", reason="not run: flask is not installed")

import httpx
from click.testing import CliRunner
from interrupts import restore_interrupts
from ports import accepts, own_port
from waiting import TIMEOUT, becomes_true

from hmac_guard import Form, Header, Json, Key, Scheme
from hmac_guard.cli import demo
from hmac_guard.cli.commands import hmac_guard
from hmac_guard.cli.demo import processes, run
from hmac_guard.cli.demo.processes import App, running
from hmac_guard.cli.demo.requests import (
    HOST,
    NANGO_QUERY,
    ORDERS,
    SAMPLES,
    Answer,
    Request,
    Sample,
    all_cases,
    new_keys,
    send,
)
from hmac_guard.cli.demo.serving import console_with_traffic, make_page
from hmac_guard.cli.output import CliError

MISSING = [package for package in demo.NEEDED if find_spec(package) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not run: {', '.join(MISSING)} not installed")

ORIGIN = "http://127.0.0.1:9"
KEYS = new_keys()
for secret in KEYS.values():
    Key(secret)  # `secrecy.py` then checks that no test and no server prints a key.


@pytest.fixture(scope="module")
def apps() -> Iterator[dict[str, App]]:
    with running(KEYS, ORIGIN) as apps:
        yield apps


def test_the_demo_shows_every_request_in_a_table_and_exits_with_0() -> None:
    before = os.times()
    result = CliRunner().invoke(hmac_guard, ["demo"])
    rows = [line.split() for line in result.output.splitlines()[1:-2]]

    assert (result.exit_code, result.output.splitlines()[-1]) == (0, f"{len(rows)} requests, {len(rows)} as expected")
    assert max(map(len, result.output.splitlines())) <= 80
    assert all(row[-3] == row[-2] for row in rows)
    assert {row[0] for row in rows if row[-1] == "verified"} == {"flask", "fastapi", "django"}
    assert {row[-1] for row in rows} >= {
        *("verified", "invalid_signature", "missing_signature", "missing_id", "malformed", "duplicate", "conflict"),
        *("ambiguous", "unknown_key", "unsupported_body", "body_too_large"),
    }
    # CPU time of this process and of the servers.
    assert sum(os.times()[:4]) - sum(before[:4]) < 20


@pytest.mark.parametrize(
    ("broken", "flagged"),
    [
        pytest.param(
            ("on_verdict=tell", 'on_verdict=tell, mode="report"'), "not 401", id="a guard that lets every request pass"
        ),
        pytest.param(
            ("dict(verdict.ids if verdict else verdict.claimed)", '{"connection_id": "user-7"}'),
            "ids {",
            id="an app with other ids",
        ),
        pytest.param(
            ("Guard(NANGO", 'Guard(NANGO.replace(message="{connection_id}:{integration_id}")'),
            "not verified",
            id="another message",
        ),
    ],
)
def test_a_broken_application_makes_the_demo_exit_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: tuple[str, str], flagged: str
) -> None:
    folder = tmp_path / "examples"
    shutil.copytree(processes.examples(), folder)
    source = (folder / "flask_app.py").read_text()
    (folder / "flask_app.py").write_text(source.replace(*broken))
    monkeypatch.setattr(processes, "examples", lambda: folder)

    result = CliRunner().invoke(hmac_guard, ["demo"])
    wrong = [line for line in result.output.splitlines() if "<--" in line]

    assert result.exit_code == 1
    assert wrong
    assert all(line.startswith("flask ") for line in wrong)
    assert any(flagged in line for line in wrong)
    assert result.output.splitlines()[-1].endswith(f"{len(wrong)} NOT")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"reason": "malformed"}, id="another reason"),
        pytest.param({"status": 401}, id="another status"),
        pytest.param({"ids": {"connection_id": "user-7"}}, id="other ids"),
        pytest.param({"request": Request("GET", "/", ("Content-Length: 1, 2",))}, id="a request that no guard sees"),
    ],
)
def test_a_wrong_expectation_is_counted(
    apps: dict[str, App], capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    case = all_cases(KEYS)[0]

    assert run([case], apps) == 0
    assert run([case, case._replace(**change)], apps) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "2 requests, 1 as expected, 1 NOT"


def test_the_servers_end_when_the_demo_ends_with_an_error() -> None:
    ports: list[int] = []

    def interrupted() -> None:
        with running(KEYS) as apps:
            ports.extend(app.port for app in apps.values())
            assert all(map(accepts, ports))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert len(ports) == 3
    assert not any(map(accepts, ports))


def test_an_application_that_does_not_start_is_named_with_its_last_log_line() -> None:
    with pytest.raises(CliError) as refused, running({"NANGO_HMAC_KEY": ""}):
        pass

    assert refused.value.exit_code == 2
    assert refused.value.message.startswith("the example application flask did not start; last log line: ")
    assert "the secret is empty or blank" in refused.value.message


def test_a_missing_framework_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "NEEDED", ("flask", "no_such_server"))

    result = CliRunner().invoke(hmac_guard, ["demo"])

    assert (result.exit_code, result.output) == (
        2,
        "Error: the demo needs no_such_server: pip install 'hmac-guard[demo]'\n",
    )


def test_a_server_that_does_not_answer_is_status_0() -> None:
    with own_port() as port:
        assert send(Request("GET", "/"), port).status == 0


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]"])
def test_an_answer_without_a_json_object_has_no_members(body: bytes) -> None:
    assert Answer(200, body).document() == {}


def test_a_process_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_STOP", 0.1)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], text=True) as process:
        processes._stop(process)

    assert process.returncode == -signal.SIGKILL


def test_the_page_contains_signed_requests_and_no_key(apps: dict[str, App]) -> None:
    text = make_page(apps, KEYS).test_client().get("/").get_data(as_text=True)
    [data] = re.findall(r'type="application/json">(.*?)</script>', text)

    assert [sample["origin"] for sample in json.loads(data)] == [
        f"http://{HOST}:{apps[sample.app].port}" for sample in SAMPLES
    ]
    assert not any(key in text for key in KEYS.values())
    assert "http://" not in text.replace("http://127.0.0.1", "")
    assert "https://" not in text


def test_the_page_signs_ids_and_shows_the_reason_of_a_verdict(apps: dict[str, App]) -> None:
    page = make_page(apps, KEYS).test_client()
    ids = {"integration_id": "github", "connection_id": "user-7"}
    number = page.get("/verdicts/flask").get_data(as_text=True)

    signature = page.post("/sign/0", data=ids).get_data(as_text=True)
    answer = send(NANGO_QUERY.request({**ids, "signature": signature}), apps["flask"].port)

    assert answer.document() == {"ids": ids}
    assert page.get(f"/reason/flask/{number}").get_data(as_text=True) == "verified"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.app}, {sample.name}")
def test_the_page_may_send_every_sample_and_read_its_refusal(apps: dict[str, App], sample: Sample) -> None:
    port = apps[sample.app].port
    unsigned = sample.request(sample.ids)
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT)
    preflight = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": sample.method,
        "Access-Control-Request-Headers": "content-type,x-signature,x-tenant",
    }

    connection.request("OPTIONS", unsigned.target, headers=preflight)
    allowed = connection.getresponse()
    allowed.read()
    headers = dict(line.split(": ") for line in unsigned.headers)
    connection.request(sample.method, unsigned.target, body=unsigned.body, headers={**headers, "Origin": ORIGIN})
    refused = connection.getresponse()
    refused.read()
    connection.close()

    assert allowed.status in (200, 204)
    assert {"content-type", "x-signature", "x-tenant"} <= set(
        (allowed.getheader("Access-Control-Allow-Headers") or "").lower().split(", ")
    )
    assert (refused.status, refused.getheader("Access-Control-Allow-Origin")) == (401, ORIGIN)


def test_every_command_that_the_demo_prints_is_verified(
    apps: dict[str, App], capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("not run: curl is not installed")
    demo.print_samples(ORIGIN, apps, KEYS)
    commands = [shlex.split(line) for line in capsys.readouterr().out.splitlines() if line.startswith("curl ")]

    answers = [subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT).stdout for command in commands]

    assert [answer.split()[1] for answer in answers] == ["200"] * len(SAMPLES)
    assert [json.loads(answer.splitlines()[-1])["ids"] for answer in answers] == [sample.ids for sample in SAMPLES]


@pytest.mark.parametrize(
    ("host", "status"), {"127.0.0.1:9": 200, "localhost": 200, "demo.test": 421, "localhost.evil.test": 421}.items()
)
def test_only_the_names_of_this_machine_open_the_page(apps: dict[str, App], host: str, status: int) -> None:
    page = make_page(apps, KEYS).test_client()

    assert page.get("/", headers={"Host": host}).status_code == status
    assert page.post("/sign/0", data=NANGO_QUERY.ids, headers={"Host": host}).status_code == status
    assert make_page(apps, KEYS, "demo.test").test_client().get("/", headers={"Host": "demo.test:8"}).status_code == 200


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.app}, {sample.name}")
@pytest.mark.without_coverage
def test_the_page_explains_a_refusal(apps: dict[str, App], sample: Sample) -> None:
    page = make_page(apps, KEYS).test_client()
    signed = sample.signed(KEYS)
    signature = sample.sign(KEYS, sample.ids)
    changed = sample.request({**sample.ids, list(sample.ids)[-1]: "another", "signature": signature})
    headers = dict(line.split(": ", 1) for line in changed.headers)
    sent = {"method": changed.method, "target": changed.target, "headers": headers, "body": changed.body.decode()}
    text = page.post(f"/explain/{SAMPLES.index(sample)}", json=sent).get_data(as_text=True)

    assert "No known mistake explains the signature" in text
    capitals = signature.upper()
    upper = {
        "method": signed.method,
        "target": signed.target.replace(signature, capitals),
        "headers": {name: value.replace(signature, capitals) for name, value in headers.items()},
        "body": signed.body.decode().replace(signature, capitals),
    }
    text = page.post(f"/explain/{SAMPLES.index(sample)}", json=upper).get_data(as_text=True)
    assert "Cause: the signature was written in upper case." in text
    assert signature not in text


@pytest.mark.parametrize("path", ["/sign/99", "/verdicts/none", "/reason/none/1", "/explain/99", "/explain/0"])
@pytest.mark.parametrize(
    "sent", [{}, [], {"headers": 1}, {"headers": {}, "method": 1, "target": "/", "body": "\ud800"}]
)
def test_an_unexpected_request_is_400(path: str, sent: Any) -> None:
    page = make_page({}, KEYS).test_client()
    answer = page.get(path) if path.startswith(("/verdicts", "/reason")) else page.post(path, json=sent)

    assert answer.status_code == 400


def test_the_scheme_of_the_orders_is_that_of_the_example() -> None:
    source = (processes.examples() / "django_app.py").read_text()
    [written] = re.findall(r"^ORDERS = (Scheme\(.*?^\))", source, re.MULTILINE | re.DOTALL)
    scheme = eval(written, {"Scheme": Scheme, "Header": Header, "Json": Json, "Form": Form})

    assert (scheme.ids, scheme.signature, scheme.tenant) == (ORDERS.ids, ORDERS.signature, ORDERS.tenant)
    assert repr(scheme) == repr(ORDERS)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "é..", "caf\udce9"])
def test_an_address_that_cannot_be_opened_is_refused(host: str) -> None:
    result = CliRunner().invoke(hmac_guard, ["demo", "--serve", "--host", host])

    assert result.exit_code == 2
    assert "--host" in result.stderr


@contextmanager
def serving(*options: str) -> Iterator[tuple["subprocess.Popen[str]", str, set[int]]]:
    """`hmac-guard demo --serve` in its own session, with the address of its page and all ports that it prints."""
    command = [sys.executable, "-u", "-m", "hmac_guard.cli", "demo", "--serve", *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, preexec_fn=restore_interrupts, start_new_session=True
    ) as process:
        lines = list(takewhile(lambda line: not line.startswith("Change an id"), process.stdout or ()))
        ports = {int(port) for port in re.findall(r"http://127\.0\.0\.1:(\d+)", "".join(lines))}
        try:
            yield process, re.findall(r"http://\S+/", lines[0])[0], ports
        finally:
            process.kill()


def test_the_page_works_in_a_browser(tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("not run: chromium is not installed")
    quiet = "--disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update"
    flags = ["--headless", "--no-sandbox", *quiet.split(), "--disable-sync", f"--user-data-dir={tmp_path}"]

    with serving() as (_, page, _):
        command = [browser, *flags, "--virtual-time-budget=20000", "--dump-dom", page]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout

    assert '<strong id="status">200</strong>' in shown
    assert '<pre id="reason">verified</pre>' in shown


@pytest.mark.parametrize(("ending", "code"), [(signal.SIGINT, 0), (signal.SIGKILL, -signal.SIGKILL)])
def test_the_servers_end_with_the_demo(ending: signal.Signals, code: int) -> None:
    with serving() as (process, _, ports):
        assert len(ports) == 4
        assert all(map(accepts, ports))

        process.send_signal(ending)
        process.communicate(timeout=TIMEOUT)  # The servers share the pipes: wait until they have closed them too.

        assert process.returncode == code
        # A process that ends closes its pipes before its port.
        assert becomes_true(lambda: not any(map(accepts, ports)))


def test_ctrl_c_in_a_terminal_ends_all_processes_without_an_error() -> None:
    """It reaches each process of the group, and uvicorn ends by itself then."""
    with own_port() as port:
        pass
    with serving("--host", "localhost", "--port", str(port)) as (process, page, _):
        assert page == f"http://localhost:{port}/"
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT)

    assert process.returncode == 0
    assert "Fatal" not in errors
    assert "Traceback" not in errors


def test_an_application_that_ends_before_its_input_closes_ends_without_an_error() -> None:
    """uvicorn ends by itself where Ctrl-C reaches it first."""
    command = [sys.executable, "-m", "hmac_guard.cli.demo.serve_app", "fastapi", ORIGIN, HOST]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=processes.examples(), env={**os.environ, **KEYS}, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        assert becomes_true(lambda: send(Request("GET", "/"), port).status > 0)  # uvicorn has set its signal handlers.
        process.send_signal(signal.SIGINT)
        process.wait(TIMEOUT)
        assert process.stderr is not None
        assert "Fatal" not in process.stderr.read()


def test_the_console_of_the_demo_counts_live_requests(apps: dict[str, App]) -> None:
    pytest.importorskip("sqlalchemy", reason="not run: sqlalchemy is not installed")
    with console_with_traffic(KEYS, apps) as link:
        origin, _, token = link.partition("/login#")
        with httpx.Client(base_url=origin, timeout=TIMEOUT, follow_redirects=True) as client:
            home = client.post("/login", data={"token": token}, headers={"Origin": origin})

            def is_counted() -> bool:
                page = client.get(home.url.path)
                return "acme" in page.text and ": 0 verified" not in page.text

            assert becomes_true(is_counted)
