"""Checks the README: its code runs, its requests get the printed answers, and its tables are complete."""

import hmac
import inspect
import re
import shlex
import shutil
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import Any

import pytest
from documented import blocks, text_of
from every_mode import MODES, MadeOtherwise, check, preflight_for
from orders import hex_of
from ports import accepts, own_port
from support import Call, Reply, Sent, environ_for, run_asgi
from waiting import becomes_true
from werkzeug.test import run_wsgi_app

import hmac_guard.schemes
from hmac_guard import Guard, Key, Scheme

ROOT = FilePath(__file__).parent.parent
README = text_of("README.md")
#: The Python samples by their first line.
PYTHON = {block.text.split("\n", 1)[0]: block for block in blocks("README.md")}


def commands(program: str) -> list[tuple[str, str]]:
    """Return the commands that call a program, each with what it prints."""
    consoles = [block for block in blocks("README.md", "console") if f"$ {program} " in block.text]
    return [command for block in consoles for command in block.commands() if command[0].startswith(program)]


KEY = "a key that is long enough"
CONNECT = "/oauth/connect/github"
SIGNED = Sent(path=CONNECT, query=f"connection_id=user-42&hmac={hex_of('github', 'user-42', key=KEY)}")
UNSIGNED = Sent(path=CONNECT, query="connection_id=user-42")
WITHOUT_ID = Sent(path=CONNECT)
PREFLIGHT = preflight_for(UNSIGNED)


def run(first_line: str, changes: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """Run a sample and return its names. `changes` replace texts in its code."""
    code = PYTHON[first_line].code
    for text, other in changes.items():
        assert code.count(text) == 1
        code = code.replace(text, other)
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(code, first_line, "exec"), names)
    return names


def by_wsgi(app: Any, sent: Sent) -> Reply:
    body, status, headers = run_wsgi_app(app, environ_for(sent))
    return Reply(int(status[:3]), {name.lower(): value for name, value in headers}, b"".join(body))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the first application of the README on a free port."""
    pytest.importorskip("flask", reason="not run: Flask is not installed")
    folder = tmp_path_factory.mktemp("readme")
    (folder / "app.py").write_text(PYTHON["# app.py"].code)
    [(command, _)] = commands("flask")
    [secret] = re.findall('keys="(.+)"', PYTHON["# app.py"].text)
    Key(secret)  # `secrecy.py` then checks that no test and no server prints it.
    with own_port() as port:
        arguments = shlex.split(command.replace("8000", str(port)))
        with subprocess.Popen([sys.executable, "-m", *arguments], cwd=folder) as server:
            assert becomes_true(lambda: accepts(port))
            yield f"127.0.0.1:{port}"
            server.terminate()


@pytest.mark.parametrize("number", [0, 1], ids=["signed", "forged"])
def test_the_two_requests_get_the_answers_that_are_printed(served: str, number: int) -> None:
    if shutil.which("curl") is None:
        pytest.skip("not run: there is no curl")
    command, expected = commands("curl")[number]
    done = subprocess.run(shlex.split(command.replace("127.0.0.1:8000", served)), capture_output=True, text=True)

    assert done.stdout.strip() == expected.strip()


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The mode of the guard in a sample."""
    monkeypatch.setattr(hmac_guard, "Guard", MadeOtherwise(**MODES[request.param]))
    return str(request.param)


def check_missing_id(mode: str, reply: Reply) -> None:
    """An id is missing: the guard refuses the request, or the view does."""
    assert reply.status == (401 if mode == "enforce" else 400), reply


def first_sample(changes: Mapping[str, str] = MappingProxyType({})) -> Callable[[Sent], Reply]:
    pytest.importorskip("flask", reason="not run: Flask is not installed")
    [secret] = re.findall('keys="(.+)"', PYTHON["# app.py"].text)
    return partial(by_wsgi, run("# app.py", {secret: KEY, **changes})["app"])


def test_the_first_sample(mode: str) -> None:
    ask = first_sample()

    check(mode, ask, SIGNED, UNSIGNED, b"opens user-42 of github\n")
    check_missing_id(mode, ask(WITHOUT_ID))


def test_the_first_sample_reads_no_id_of_a_preflight(mode: str) -> None:
    route = '"/oauth/connect/<integration_id>"'
    ask, view = first_sample(), first_sample({f"@app.get({route})": f"@app.route({route}, methods=['OPTIONS'])"})

    assert (ask(PREFLIGHT).status, ask(PREFLIGHT).body) == (200, b"")  # Flask answers it, and the view is not called.
    if mode in ("enforce", "report"):
        assert view(PREFLIGHT).status == 400


def test_the_sample_for_fastapi(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    pytest.importorskip("fastapi", reason="not run: FastAPI is not installed")
    monkeypatch.setenv("SUPRSEND_INBOX_SECRET", KEY)
    signature = urlsafe_b64encode(hmac.digest(KEY.encode(), b"user-42", "sha256")).decode().rstrip("=")
    path, unsigned = "/inbox/messages", "distinct_id=user-42"
    ask = partial(run_asgi, run("# FastAPI: app.py")["app"])

    signed = Sent(path=path, query=f"{unsigned}&subscriber_id={signature}")
    check(mode, ask, signed, Sent(path=path, query=unsigned), b'{"messages_of":"user-42"}')
    check_missing_id(mode, ask(Sent(path=path)))
    if mode == "enforce":
        assert ask(Sent(path="/openapi.json")).status == 200  # `only` does not cover it.


def test_the_view_for_fastapi_reads_no_id_of_a_preflight(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastapi", reason="not run: FastAPI is not installed")
    monkeypatch.setenv("SUPRSEND_INBOX_SECRET", KEY)
    app = run("# FastAPI: app.py", {"@app.get(": "@app.options("})["app"]

    assert run_asgi(app, preflight_for(Sent(path="/inbox/messages", query="distinct_id=user-42"))).status == 400


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
def test_the_sample_for_django(monkeypatch: pytest.MonkeyPatch, server: str, mode: str) -> None:
    pytest.importorskip("django", reason="not run: Django is not installed")
    from django.http import HttpResponse
    from django.urls import path
    from frameworks.django_project import project

    connect = run("# Django: views.py")["connect"]
    urls = [path("oauth/connect/<integration_id>", connect), path("health", lambda request: HttpResponse("up"))]
    monkeypatch.setenv("NANGO_HMAC_KEY", KEY)
    monkeypatch.setenv("NANGO_HMAC_KEY_OLD", f"the old form of {KEY}")
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "django_settings")  # so that the sample does not set it
    with project(urls=urls):
        names = run("# Django: wsgi.py")
        if server == "asgi":
            from django.core.asgi import get_asgi_application

            [expected] = re.findall(r"In `asgi.py`, use `(.*?)`", README)
            names["application"] = eval(expected, {**names, "get_asgi_application": get_asgi_application})
        ask = partial(by_wsgi if server == "wsgi" else run_asgi, names["application"])

        check(mode, ask, SIGNED, UNSIGNED, b"opens user-42 of github\n")
        check_missing_id(mode, ask(WITHOUT_ID))
        if mode in ("enforce", "report"):
            assert ask(PREFLIGHT).status == 400
        if mode == "enforce":
            assert ask(Sent(path="/health")).body == b"up"


def test_the_sample_of_a_scheme_signs_what_its_guard_verifies(call: Call) -> None:
    names = run("from hmac_guard import Form, Guard, Header, Json, Scheme")
    sign = partial(hex_of, "acme", "42")
    new, old, other = (f"{word} secret, 32 bytes or more ..." for word in ("new", "old", "any"))

    def status(signature: str) -> int:
        headers = [("X-Tenant", "acme"), ("X-Signature", signature), ("Content-Type", "application/json")]
        return call(names["guard"], Sent("POST", headers=headers, body=b'{"order": {"id": "42"}}')).status

    assert names["signature"] == sign(key=new)
    assert [status(sign(key=key)) for key in (new, old, other)] == [200, 200, 401]


def test_each_sample_has_a_test() -> None:
    source = FilePath(__file__).read_text()

    assert len(PYTHON) == 5
    assert all(f'"{first_line}"' in source for first_line in PYTHON)


def test_the_table_names_every_extra() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    [section] = re.findall(r"^\[project\.optional-dependencies\]\n(.*?)\n\n", pyproject, re.MULTILINE | re.DOTALL)
    [table] = re.findall(r"^\| extra \|.*?\n\n", README, re.MULTILINE | re.DOTALL)
    extras = re.findall(r"^([\w-]+) = \[", section, re.MULTILINE)

    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == extras
    installs = re.findall(r"pip install '?([\w-]+)(?:\[([\w,]+)\])?", README)
    assert len(installs) == 2
    for name, brought in installs:
        assert f'name = "{name}"' in pyproject
        assert set(filter(None, brought.split(","))) <= set(extras)


def test_each_page_that_is_linked_exists() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)

    assert len(links) >= 8
    assert all((ROOT / link).is_file() for link in links)


def test_the_tables_name_every_source_and_option() -> None:
    sources = set(re.findall(r"^\| `(\w+)\(", README, re.MULTILINE))
    rows = re.search(r"\| option of `Guard`.*?\n\n", README, re.DOTALL)
    options = set(
        re.findall(r"`(\w+)`", " ".join(line.split("|")[1] for line in str(rows and rows[0]).split("\n")[2:-2]))
    )
    parameters = inspect.signature(Guard.__init__).parameters.values()

    assert sources == {"Query", "Header", "Cookie", "Path", "Json", "Form"}
    assert options == {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


def test_all_presets_are_named() -> None:
    [named] = re.findall(r"Presets: `([A-Z_ ]+)`", README)

    assert set(named.split()) == {name for name in hmac_guard.schemes.__all__ if name.isupper()}
    assert all(isinstance(getattr(hmac_guard.schemes, name), Scheme) for name in named.split())


def test_the_two_commands_are_targets() -> None:
    makefile = (FilePath(__file__).parent.parent / "Makefile").read_text()

    for command in re.findall(r"\$ make (\w+)", README):
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)
