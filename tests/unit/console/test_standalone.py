"""`hmac-guard console`: the link, the session, and what other sites and other ports can do."""

import errno
import fcntl
import os
import pty
import re
import shlex
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("sqlalchemy", reason="not run: sqlalchemy is not installed")

from click.testing import CliRunner
from consoles import forms_of
from databases import empty_keys
from documented import under
from interrupts import restore_interrupts
from key_sources import KEY, Clock
from waiting import TIMEOUT

from hmac_guard.cli.commands import hmac_guard
from hmac_guard.console.standalone import SESSION_COOKIE, Link, Sessions, Standalone, serve
from hmac_guard.core.hidden import hide
from hmac_guard.schemes import NANGO


class Local:
    """A console that runs, and clients of it."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock(1_800_000_000.0)
        self.keys = empty_keys(folder)
        self.keys.add("acme", KEY, key_id="k1")
        self.app = Standalone(self.keys, [NANGO], "ada", clock=self.clock)
        self.server = serve(self.app)
        self.thread = threading.Thread(target=self.server.serve_forever, args=[0.01])
        self.thread.start()
        self.origin = f"http://127.0.0.1:{self.server.port}"

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.origin, timeout=TIMEOUT)

    def log_in(self, client: httpx.Client, token: str, **headers: str) -> httpx.Response:
        return client.post("/login", data={"token": token}, headers={"Origin": self.origin, **headers})

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join(TIMEOUT)
        self.server.server_close()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    local = Local(tmp_path)
    yield local
    local.stop()


def test_the_link_logs_in_once(local: Local) -> None:
    token = local.app.link.make().get()
    with local.client() as client, local.client() as late:
        assert client.get("/login").status_code == 200
        assert client.get("/").status_code == 200
        answer = local.log_in(client, token)
        home = answer.headers["location"]

        assert (answer.status_code, home) == (303, f"{local.app.prefix}/")
        assert re.fullmatch(
            rf"{SESSION_COOKIE}=[\w-]{{43}}; HttpOnly; Path={local.app.prefix}/; SameSite=Strict",
            answer.headers["set-cookie"],
        )
        assert "acme" in client.get(home).text
        assert local.log_in(late, token).status_code == 403
        assert late.get(home).headers["location"] == "/login"
        assert late.post(f"{home}tenant/end", headers={"Origin": local.origin}).status_code == 403
    assert len(token) == 43


def test_a_get_does_not_use_the_link(local: Local) -> None:
    token = local.app.link.make().get()
    with local.client() as client:
        client.get("/login", params={"token": token})
        client.head("/login", params={"token": token})
        assert local.log_in(client, token).status_code == 303


def test_ten_wrong_tokens_end_the_link_and_a_new_one_is_made(local: Local) -> None:
    token = local.app.link.make().get()
    with local.client() as client:
        for _ in range(10):
            assert local.log_in(client, "wrong").status_code == 403
        assert local.log_in(client, token).status_code == 403
        assert local.log_in(client, local.app.link.make().get()).status_code == 303


def test_a_token_from_another_site_is_not_counted(local: Local) -> None:
    """Origin and Host are checked before a wrong token is counted."""
    token = local.app.link.make().get()
    with local.client() as client:
        for _ in range(12):
            assert local.log_in(client, "wrong", Origin="http://evil.example").status_code == 403
            assert local.log_in(client, "wrong", Host="evil.example").status_code == 421
        assert local.log_in(client, token).status_code == 303


def test_the_link_ends_after_a_quarter_of_an_hour() -> None:
    clock = Clock(1_800_000_000.0)
    link = Link(clock)
    token = link.make()
    clock.pass_by(15 * 60 + 1)
    assert not link.use(token)
    first, second = link.make(), link.make()
    assert [link.use(first), link.use(second), link.use(second)] == [False, True, False]
    assert not Link(clock).use(hide(""))


@pytest.mark.parametrize(("waits", "lives"), [([3_500] * 12, True), ([3_500] * 13, False), ([3_601], False)])
def test_a_session_ends_after_an_idle_hour_and_after_twelve(waits: list[float], lives: bool) -> None:
    clock = Clock(1_800_000_000.0)
    sessions = Sessions(clock)
    name = sessions.begin()
    for seconds in waits:
        clock.pass_by(seconds)
        alive = sessions.use(name)
    assert alive is lives
    assert not sessions.use(hide("another"))


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "127.0.0.1:1@evil.example", "127x0.0.1", "localhost.evil.example", ""],
)
def test_another_name_that_resolves_to_this_machine_is_refused(local: Local, host: str) -> None:
    with local.client() as client:
        local.log_in(client, local.app.link.make().get())
        for path in ("/login", f"{local.app.prefix}/", "/static/console.css"):
            answer = client.get(path, headers={"Host": host})
            assert answer.status_code == 421
            assert "acme" not in answer.text
        assert client.get("/login", headers={"Host": f"localhost:{local.server.port}"}).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1:9000", "localhost:9000", "127.0.0.1", "localhost"])
def test_the_console_answers_at_a_port_that_ssh_forwards(local: Local, host: str) -> None:
    token, forwarded = local.app.link.make().get(), {"Host": host}
    with local.client() as client:
        assert client.get("/login", headers=forwarded).status_code == 200
        assert local.log_in(client, token, **forwarded).status_code == 403  # The form is of a page at another port.
        answer = local.log_in(client, token, **forwarded, Origin=f"http://{host}")
        assert answer.status_code == 303
        assert "acme" in client.get(answer.headers["location"], headers=forwarded).text


def test_log_out(local: Local) -> None:
    with local.client() as client:
        home = local.log_in(client, local.app.link.make().get()).headers["location"]
        [form] = [form for form in forms_of(client.get(home).text) if form.action.endswith("/logout")]
        assert client.get(form.action).status_code == 403
        assert client.post(form.action, headers={"Origin": local.origin}).status_code == 403
        assert client.post(form.action, data=form.fields, headers={"Origin": "http://evil.example"}).status_code == 403
        assert client.get(home).status_code == 200
        kept = client.cookies[SESSION_COOKIE]
        assert client.post(form.action, data=form.fields, headers={"Origin": local.origin}).status_code == 303
        client.cookies.set(SESSION_COOKIE, kept)
        assert client.get(home).headers["location"] == "/login"


def test_a_form_is_sent_and_the_audit_names_the_operator(local: Local) -> None:
    with local.client() as client:
        home = local.log_in(client, local.app.link.make().get()).headers["location"]
        form = forms_of(client.get(f"{home}tenant/end", params={"name": "acme", "key": "k1"}).text)[-1]
        assert client.post(form.action, data=form.fields, headers={"Origin": local.origin}).status_code == 303
        assert client.get(f"{local.app.prefix}x/").status_code == 404
    [entry] = local.keys.audit(action="retire")
    assert (entry.actor, entry.origin) == ("ada", "127.0.0.1")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("hmac-guard console --scheme nango", "sqlite:///keys.db"),
        ("", "sqlite:///keys.db"),
        ("hmac-guard console --scheme nango --db 'sqlite:///keys.db?timeout=5'", "sqlite:///keys.db"),
    ],
    ids=["by default", "as docs/console.md says", "without the query, which may have a password"],
)
def test_the_command_serves_and_prints_a_link(line: str, shown: str, tmp_path: Path) -> None:
    _, (documented, _) = under("docs/console.md", "The console", "console").commands()
    words = [sys.executable, "-m", "hmac_guard.cli", *shlex.split(line or documented)[1:]]
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    environ.pop("HMAC_GUARD_DB", None)
    with subprocess.Popen(words, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            printed: Any = process.stdout
            assert printed.readline() == f"The console of {shown}. Press Ctrl-C to stop.\n"
            [(origin, token)] = re.findall(r"Open (http://127\.0\.0\.1:\d+)/login#([\w-]{43})\n", printed.readline())
            with httpx.Client(base_url=origin, timeout=TIMEOUT) as client:
                home = client.post("/login", data={"token": token}, headers={"Origin": origin}).headers["location"]
                assert "How to get the first verified request" in client.get(home).text
            port = origin.rpartition(":")[2]
            taken = subprocess.run([*words, "--port", port], cwd=tmp_path, env=environ, capture_output=True, text=True)
            assert taken.returncode == 2
            assert f"the port {port} is in use" in taken.stderr
        finally:
            process.terminate()
    assert (tmp_path / "keys.db").exists()


def in_a_terminal() -> None:
    """Make the stdin of a new process its controlling terminal, as a shell has one."""
    fcntl.ioctl(0, termios.TIOCSCTTY)
    restore_interrupts()


def test_the_command_runs_in_the_background_of_a_shell_and_prints_a_link_for_each_line(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = shlex.join([sys.executable, "-m", "hmac_guard.cli", "console", "--scheme", "nango"])
    process = subprocess.Popen(
        ["bash", "-c", f"set -m; {command} & read; fg"],
        env={**os.environ, "HMAC_GUARD_DB": f"sqlite:///{tmp_path / 'keys.db'}"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=in_a_terminal,
        start_new_session=True,
    )
    os.close(theirs)
    with process as shell, os.fdopen(ours, "r+b", buffering=0) as terminal:

        def read_origin() -> str:
            shown = b""
            while not re.search(rb"/login#[\w-]{43}\r\nIt works once.*\n", shown):
                shown += terminal.read(4_096)
            [origin] = re.findall("Open (.*)/login#", shown.decode())
            return str(origin)

        with httpx.Client(base_url=read_origin(), timeout=TIMEOUT) as client:
            for _ in range(20):  # In the background it reads the terminal soon, which can stop it.
                assert client.get("/login").status_code == 200
                time.sleep(0.02)
        terminal.write(b"\n")  # Now it is in the foreground.
        for typed in (b"\n", b"\x04\n"):  # A line, and one after Ctrl-D.
            terminal.write(typed)
            read_origin()
        terminal.write(b"\x03")
        assert shell.wait(TIMEOUT) == 0


def test_a_wrong_scheme_leaves_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HMAC_GUARD_DB", raising=False)
    result = CliRunner().invoke(hmac_guard, ["console", "--scheme", "nagno"])

    assert result.exit_code == 2
    assert "there is no preset 'nagno'" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_the_user_may_not_use_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(app: Standalone, port: int) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("hmac_guard.console.standalone.serve", refuse)
    url = f"sqlite:///{tmp_path / 'keys.db'}"
    result = CliRunner().invoke(hmac_guard, ["console", "--scheme", "nango", "--db", url, "--port", "80"])

    assert result.exit_code == 2
    assert "the port 80 cannot be used (Permission denied); give another one with --port" in result.stderr


def test_no_session_is_valid_at_a_clock_that_starts_at_zero() -> None:
    assert not Sessions(lambda: 1_000.0).use(hide(""))
