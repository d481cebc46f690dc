"""The README is true: its code runs, its requests get the answers that it prints, its tables name what there is."""

import hmac
import inspect
import json
import re
import shlex
import shutil
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import Any

import pytest
from orders import hex_of
from patience import comes
from ports import accepts, own_port
from support import Call, Reply, Sent, environ_for, run_asgi
from werkzeug.test import run_wsgi_app

import hmac_guard.schemes
from hmac_guard import Guard, Key, Scheme, Verdict

ROOT = FilePath(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
#: The Python samples by their first line.
PYTHON = {code.split("\n", 1)[0]: code for language, code in BLOCKS if language == "python"}
CONSOLE = [line for language, code in BLOCKS if language == "console" for line in code.split("$ ")]
REQUESTS = [line for line in CONSOLE if line.startswith("curl")]

KEY = "a key that is long enough"
CONNECT = "/oauth/connect/github"
SIGNED = Sent(path=CONNECT, query=f"connection_id=user-42&hmac={hex_of('github', 'user-42', key=KEY)}")
UNSIGNED = Sent(path=CONNECT, query="connection_id=user-42")
WITHOUT_ID = Sent(path=CONNECT)


def preflight(path: str, query: str) -> Sent:
    """What a browser asks first; the query may have ids in it, which nobody has signed."""
    asked = [("Origin", "https://app.example"), ("Access-Control-Request-Method", "GET")]
    return Sent("OPTIONS", path, query, asked)


PREFLIGHT = preflight(CONNECT, UNSIGNED.query)


def run(first_line: str, changes: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """The names that a sample leaves behind. `changes` are texts of its code and what stands there instead."""
    code = PYTHON[first_line]
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
    """The README's first application, started as it says, on a free port."""
    pytest.importorskip("flask", reason="not run: Flask is not installed")
    folder = tmp_path_factory.mktemp("readme")
    (folder / "app.py").write_text(PYTHON["# app.py"])
    [command] = [line for line in CONSOLE if line.startswith("flask")]
    [secret] = re.findall('keys="(.+)"', PYTHON["# app.py"])
    Key(secret)  # So no test may see it told, be it by the server.
    with own_port() as port:
        arguments = shlex.split(command.replace("8000", str(port)))
        with subprocess.Popen([sys.executable, "-m", *arguments], cwd=folder) as server:
            assert comes(lambda: accepts(port))
            yield f"127.0.0.1:{port}"
            server.terminate()


@pytest.mark.parametrize("line", REQUESTS, ids=["signed", "forged"])
def test_the_two_requests_get_the_answers_that_are_printed(served: str, line: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("not run: there is no curl")
    command, expected = line.split("\n", 1)
    done = subprocess.run(shlex.split(command.replace("127.0.0.1:8000", served)), capture_output=True, text=True)

    assert done.stdout.strip() == expected.strip()


def test_the_first_sample_reads_no_id_of_a_preflight() -> None:
    pytest.importorskip("flask", reason="not run: Flask is not installed")

    reply = by_wsgi(run("# app.py")["app"], PREFLIGHT)

    assert (reply.status, reply.body) == (200, b"")  # Flask answers it, and the view is not called.


def test_the_sample_for_fastapi(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastapi", reason="not run: FastAPI is not installed")
    monkeypatch.setenv("SUPRSEND_INBOX_SECRET", KEY)
    signature = urlsafe_b64encode(hmac.digest(KEY.encode(), b"user-42", "sha256")).decode().rstrip("=")
    app, path = run("# FastAPI: app.py")["app"], "/inbox/messages"

    good = run_asgi(app, Sent(path=path, query=f"distinct_id=user-42&subscriber_id={signature}"))
    forged = run_asgi(app, Sent(path=path, query=f"distinct_id=user-43&subscriber_id={signature}"))

    assert (good.status, json.loads(good.body)) == (200, {"messages_of": "user-42"})
    assert forged.status == 401
    assert run_asgi(app, preflight(path, "distinct_id=user-42")).status == 405  # There is no route for it.
    assert run_asgi(app, Sent(path="/openapi.json")).status == 200  # `only` leaves it open.


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
def test_the_sample_for_django(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
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

            [expected] = re.findall(r"In `asgi.py` it is `(.*?)`", README)
            names["application"] = eval(expected, {**names, "get_asgi_application": get_asgi_application})
        ask = partial(by_wsgi if server == "wsgi" else run_asgi, names["application"])

        assert (ask(SIGNED).status, ask(SIGNED).body) == (200, b"opens user-42 of github\n")
        assert ask(UNSIGNED).status == 401
        assert ask(PREFLIGHT).status == 405
        assert ask(Sent(path="/health")).body == b"up"


needs_claimed = pytest.mark.skipif(not hasattr(Verdict, "claimed"), reason="not run: a Verdict has no `claimed` yet")


@pytest.mark.parametrize(
    ("mode", "sent", "status"),
    [
        ("report", SIGNED, 200),
        pytest.param("report", UNSIGNED, 200, marks=needs_claimed),
        pytest.param("report", WITHOUT_ID, 400, marks=needs_claimed),
        ("report", PREFLIGHT, 200),
        ("enforce", SIGNED, 200),
        ("enforce", UNSIGNED, 401),
        ("enforce", WITHOUT_ID, 401),
        ("enforce", PREFLIGHT, 200),
        ("off", SIGNED, 200),
        ("off", UNSIGNED, 200),
        ("off", WITHOUT_ID, 400),
        ("off", PREFLIGHT, 200),
        ("exempt", SIGNED, 200),
        ("exempt", UNSIGNED, 200),
        ("exempt", WITHOUT_ID, 400),
        ("exempt", PREFLIGHT, 200),
    ],
)
def test_the_sample_for_report_mode_works_in_every_mode(
    monkeypatch: pytest.MonkeyPatch, mode: str, sent: Sent, status: int
) -> None:
    app = in_mode(monkeypatch, mode)

    reply = by_wsgi(app, sent)

    assert reply.status == status
    if status == 200:
        assert reply.body == (b"" if sent is PREFLIGHT else b"opens user-42 of github\n")


@needs_claimed
@pytest.mark.parametrize("mode", ["report", "enforce"])
def test_the_view_for_report_mode_reads_no_id_of_a_preflight(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    route = '"/oauth/connect/<integration_id>"'
    app = in_mode(monkeypatch, mode, {f"@app.get({route})": f"@app.route({route}, methods=['OPTIONS'])"})

    assert by_wsgi(app, PREFLIGHT).status == 400


def in_mode(monkeypatch: pytest.MonkeyPatch, mode: str, changes: Mapping[str, str] = MappingProxyType({})) -> Any:
    """The sample's application, its guard in another mode, or with all of its paths exempt."""
    pytest.importorskip("flask", reason="not run: Flask is not installed")
    monkeypatch.setenv("NANGO_HMAC_KEY", KEY)
    option = 'exempt=("/oauth/",)' if mode == "exempt" else f'mode="{mode}"'
    return run("# app.py, in report mode", {**changes, 'mode="report"': option})["app"]


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

    assert len(PYTHON) == 6
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


def test_the_presets_that_are_named_are_all_there_are() -> None:
    [named] = re.findall(r"Presets: `([A-Z ]+)`", README)

    assert set(named.split()) == {name for name in hmac_guard.schemes.__all__ if name.isupper()}
    assert all(isinstance(getattr(hmac_guard.schemes, name), Scheme) for name in named.split())


def test_the_two_commands_are_targets() -> None:
    makefile = (FilePath(__file__).parent.parent / "Makefile").read_text()

    for command in re.findall(r"\$ make (\w+)", README):
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)
