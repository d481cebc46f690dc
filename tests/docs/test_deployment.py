"""The page on deployment: its applications, its commands of servers and its nginx configuration run."""

import http.client
import json
import os
import re
import shlex
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from installed import ROOT, environ_of_a_shell
from ports import LOCAL, accepts, own_port
from shown_page import Server, blocks_of
from support import Reply, Sent, environ_for, run_asgi
from waiting import becomes_true
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import run_wsgi_app

from hmac_guard import Guard, Scheme
from hmac_guard.asgi import GuardMiddleware

PAGE = (ROOT / "docs" / "deployment.md").read_text()
BLOCKS = blocks_of(PAGE)
FILES = {block.text.split("\n")[0].removeprefix("# "): block.text for block in BLOCKS if block.text.startswith("# ")}
#: The commands of the page by their program.
COMMANDS = {
    command.split()[0]: command for block in BLOCKS if block.kind == "console" for command, _ in block.commands()
}
LIMIT = 262_144
KEY, OTHER = "a key of the deployment, 32 bytes or more", "another key, which is as long as the first"


def before(line: int) -> str:
    """The last line of text above a block of the page."""
    return [text for text in PAGE.splitlines()[: line - 1] if text][-1]


def test_each_block_is_run_or_marked() -> None:
    marked = {block.text: before(block.line) for block in BLOCKS if "not run here" in before(block.line).lower()}

    assert len(BLOCKS) == PAGE.count("\n```\n") == 13
    for block in BLOCKS:
        if block.kind in ("dockerfile", "yaml"):
            assert marked.pop(block.text) == "Checked against its schema; not run here:"
        elif block.kind == "console" and block.text.split()[1] not in ("gunicorn", "uvicorn"):
            assert re.search(r"\bNot run here:$", marked.pop(block.text))
    assert marked == {}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the page, and a Secret as Kubernetes mounts it."""
    for package in ("flask", "gunicorn"):
        pytest.importorskip(package, reason=f"not run: {package} is not installed")
    for name, text in FILES.items():
        if "/" not in name:
            (tmp_path / name).write_text(text)
    mount_secret(tmp_path, key=KEY)
    return tmp_path


def mount_secret(folder: Path, **files: str) -> None:
    """Change all files of the volume at once, as Kubernetes does: `key` leads to `..data/key`, and `..data` changes."""
    volume = folder / "volume"
    version = volume / f"..{uuid4().hex}"
    version.mkdir(parents=True)
    for name, text in files.items():
        (version / name).write_text(text)
        if not (volume / name).is_symlink():
            (volume / name).symlink_to(f"..data/{name}")
    (volume / "next").symlink_to(version.name)
    (volume / "next").rename(volume / "..data")


@contextmanager
def running(command: str, folder: Path, **environ: str) -> Iterator[int]:
    """Run a command of the page on a free port."""
    with own_port() as port:
        assert command.count("8000") == 1
        found = {**environ_of_a_shell(folder), "NOTES_KEYS": str(folder / "volume"), **environ}
        server = Server([command.replace("8000", str(port))], folder, found)
        try:
            assert becomes_true(lambda: accepts(port)), server.output.read_text()
            yield port
        finally:
            server.close()


def scheme() -> Scheme:
    names: dict[str, Any] = {}
    exec(FILES["notes.py"], names)
    found: Scheme = names["NOTES"]
    return found


Asked = tuple[int, str, str]


def ask(port: int, path: str, headers: dict[str, str] | None = None, body: str | None = None) -> Asked:
    """Send a request with exactly this path. Return status, media type and body of the answer."""
    connection = http.client.HTTPConnection(LOCAL, port, timeout=30)
    connection.putrequest("GET" if body is None else "POST", path)
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(None if body is None else body.encode())
    answer = connection.getresponse()
    try:
        return answer.status, answer.headers.get_content_type(), answer.read().decode()
    finally:
        connection.close()


def save(
    port: int, user: str, path: str, *, key: str = KEY, size: int = 0, headers: dict[str, str] | None = None
) -> Asked:
    """Save a note of this user. The body has `size` bytes or more. `headers` are added."""
    signed = scheme().sign_fields(key, user_id=user, note_id="n1")
    body = json.dumps({"note_id": "n1"})
    return ask(port, path, {**signed.headers, **(headers or {})}, body + " " * (size - len(body)))


SAVED = (200, "text/html", "saved n1 of ann\n")


def test_a_key_is_rotated_while_the_application_runs(folder: Path) -> None:
    with running(COMMANDS["gunicorn"], folder) as port:
        statuses = [(save(port, "ann", "/users/ann/notes"), save(port, "ann", "/users/ann/notes", key=OTHER)[0])]
        mount_secret(folder, key=OTHER, key_old=KEY)
        assert becomes_true(lambda: save(port, "ann", "/users/ann/notes", key=OTHER) == SAVED)
        time.sleep(1.1)  # until the other worker has looked at the files, too
        statuses.append((save(port, "ann", "/users/ann/notes"), save(port, "ann", "/users/ann/notes", key=OTHER)[0]))
        mount_secret(folder, key=OTHER)
        assert becomes_true(lambda: save(port, "ann", "/users/ann/notes")[0] == 401)

        assert statuses == [(SAVED, 401), (SAVED, 200)]
        assert ask(port, "/health") == (200, "text/html", "up\n")


def test_the_command_of_the_image_writes_no_files(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    [words] = re.findall(r"^CMD (\[.*\])$", PAGE, re.MULTILINE)
    command = shlex.join(json.loads(words)).replace("0.0.0.0", LOCAL)
    home = tmp_path_factory.mktemp("home")
    places = dict.fromkeys(("HOME", "TMPDIR", "XDG_RUNTIME_DIR"), str(home))
    with running(command, folder, **places) as port:
        assert save(port, "ann", "/users/ann/notes") == SAVED
        assert list(home.iterdir()) == []


def test_gunicorn_takes_a_mount_point_from_a_header(folder: Path) -> None:
    with running(COMMANDS["gunicorn"], folder) as port:
        assert ask(port, "/pre/health", {"SCRIPT_NAME": "/pre"})[0] == 200
        assert ask(port, "/pre/health")[0] == 401


RECIPES = re.findall(
    r"^\| (.+?) \| `(.+?)`", PAGE.partition("## Below a prefix")[2].partition("\n## ")[0], re.MULTILINE
)
WSGI_SERVER, WSGI_LAYER, ASGI_SERVER, ASGI_LAYER = (code for _, code in RECIPES)
WSGI_APPLICATIONS, ASGI_APPLICATIONS = ["Flask", "Django"], ["FastAPI", "Starlette", "Quart", "Litestar", "Django"]
#: The answers to a signed request, to one with the id of another user, and to a health check, all below the prefix.
SERVED = [200, 401, 200]


def below_prefix(port: int) -> list[int]:
    return [*(save(port, "ann", f"/api/users/{user}/notes")[0] for user in ("ann", "bob")), ask(port, "/api/health")[0]]


def in_process(send: Callable[[Sent], Reply], prefix: str = "/api", root: str = "") -> list[int]:
    headers = [
        *scheme().sign_fields(KEY, user_id="ann", note_id="n1").headers.items(),
        ("Content-Type", "application/json"),
    ]
    paths = [f"{prefix}/users/{user}/notes" for user in ("ann", "bob")]
    sent = [Sent("POST", path, headers=headers, body=b'{"note_id": "n1"}', root=root) for path in paths]
    return [send(each).status for each in (*sent, Sent(path=f"{prefix}/health", root=root))]


def guarded(framework: str) -> Any:
    """Return an application of a framework with a guard around it, or inside."""
    guard = Guard(scheme(), KEY, exempt=("/health",))
    if framework == "Flask":
        pytest.importorskip("flask", reason="not run: flask is not installed")
        from flask import Flask

        flask = Flask("notes")
        flask.add_url_rule("/users/<user>/notes", "notes", lambda user: "saved", methods=["POST"])
        flask.add_url_rule("/health", "health", lambda: "up")
        flask.wsgi_app = guard.wsgi(flask.wsgi_app)  # type: ignore[method-assign]
        return flask
    if framework in ("FastAPI", "Starlette"):
        module = pytest.importorskip(framework.lower(), reason=f"not run: {framework} is not installed")
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route

        async def answer(request: Any) -> Any:
            return PlainTextResponse("saved")

        make = module.FastAPI if framework == "FastAPI" else Starlette
        routes = [Route("/users/{user}/notes", answer, methods=["POST"]), Route("/health", answer)]
        return make(routes=routes, middleware=[Middleware(GuardMiddleware, guard=guard)])
    if framework == "Quart":
        quart = pytest.importorskip("quart", reason="not run: Quart is not installed").Quart("notes")

        async def notes(user: str = "") -> str:
            return "saved"

        quart.add_url_rule("/users/<user>/notes", "notes", notes, methods=["POST"])
        quart.add_url_rule("/health", "health", notes)
        quart.asgi_app = guard.asgi(quart.asgi_app)
        return quart
    litestar = pytest.importorskip("litestar", reason="not run: Litestar is not installed")
    from litestar.middleware import DefineMiddleware

    async def saved() -> str:
        return "saved"

    async def up() -> str:
        return "up"

    handlers = [litestar.post("/users/{user:str}/notes", status_code=200)(saved), litestar.get("/health")(up)]
    return litestar.Litestar(handlers, middleware=[DefineMiddleware(GuardMiddleware, guard=guard)])


@contextmanager
def application(framework: str, interface: str) -> Iterator[Any]:
    if framework != "Django":
        yield guarded(framework)
        return
    pytest.importorskip("django", reason="not run: Django is not installed")
    from django_project import project  # isort: skip
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.urls import path

    urls = [
        path("users/<user>/notes", lambda request, user: HttpResponse("saved")),
        path("health", lambda request: HttpResponse("up")),
    ]
    guard = Guard(scheme(), KEY, exempt=("/health",))
    with project(urls=urls, MIDDLEWARE=["hmac_guard.django.GuardMiddleware"], HMAC_GUARD=guard):
        yield WSGIHandler() if interface == "WSGI" else ASGIHandler()


def over_wsgi(app: Any) -> Callable[[Sent], Reply]:
    def send(sent: Sent) -> Reply:
        body, status, _ = run_wsgi_app(app, environ_for(sent))
        return Reply(int(status[:3]), {}, b"".join(body))

    return send


def run_recipe(code: str, app: Any, **imported: Any) -> Any:
    names = {**imported, "app": app}
    exec(code, names)
    return names["app"]


def test_gunicorn_serves_an_application_below_a_prefix(folder: Path) -> None:
    with running(WSGI_SERVER, folder) as port:
        assert below_prefix(port) == SERVED


def test_hypercorn_serves_an_application_below_a_prefix(folder: Path) -> None:
    for package in ("hypercorn", "starlette"):
        pytest.importorskip(package, reason=f"not run: {package} is not installed")
    (folder / "app.py").write_text(STARLETTE)
    with running(ASGI_SERVER, folder) as port:
        assert below_prefix(port) == SERVED


STARLETTE = """
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from hmac_guard import Guard
from hmac_guard.asgi import GuardMiddleware
from hmac_guard.keys import FileKeys
from notes import NOTES


async def answer(request):
    return PlainTextResponse("saved")


guard = Guard(NOTES, keys=FileKeys("volume/key"), exempt=("/health",))
routes = [Route("/users/{user}/notes", answer, methods=["POST"]), Route("/health", answer)]
app = Starlette(routes=routes, middleware=[Middleware(GuardMiddleware, guard=guard)])
"""


@pytest.mark.parametrize("framework", WSGI_APPLICATIONS)
def test_a_wsgi_application_below_a_prefix_verifies_the_path_without_it(framework: str) -> None:
    with application(framework, "WSGI") as app:
        assert 200 not in in_process(over_wsgi(app))
        # gunicorn removes SCRIPT_NAME from the path.
        assert in_process(over_wsgi(app), prefix="", root="/api") == SERVED
        assert (
            in_process(
                over_wsgi(run_recipe(WSGI_LAYER, app, DispatcherMiddleware=DispatcherMiddleware, NotFound=NotFound))
            )
            == SERVED
        )


@pytest.mark.parametrize("framework", ASGI_APPLICATIONS)
def test_an_asgi_application_below_a_prefix_verifies_the_path_without_it(framework: str) -> None:
    starlette = pytest.importorskip("starlette.applications", reason="not run: starlette is not installed")
    from starlette.routing import Mount

    with application(framework, "ASGI") as app:
        assert 200 not in in_process(partial(run_asgi, app))
        # hypercorn leaves the root path in the path.
        assert in_process(partial(run_asgi, app), root="/api") == SERVED
        assert (
            in_process(partial(run_asgi, run_recipe(ASGI_LAYER, app, Starlette=starlette.Starlette, Mount=Mount)))
            == SERVED
        )


def test_the_recipes_name_the_tested_applications() -> None:
    wsgi, asgi = "Flask, Django under WSGI", "FastAPI, Starlette, Quart, Litestar, Django under ASGI"
    assert [name for name, _ in RECIPES] == [wsgi, f"{wsgi}, with any server", asgi, f"{asgi}, with any server"]


ASGI = """
from hmac_guard import Guard
from hmac_guard.keys import FileKeys
from notes import NOTES


async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    ids = scope["hmac_guard"].ids
    await send({"type": "http.response.body", "body": f"saved {ids['note_id']} of {ids['user_id']}\\n".encode()})


app = Guard(NOTES, keys=FileKeys("volume/key")).asgi(application)
"""


def test_the_command_of_uvicorn_serves_a_guarded_application(folder: Path) -> None:
    pytest.importorskip("uvicorn", reason="not run: uvicorn is not installed")
    (folder / "asgi.py").write_text(ASGI)
    with running(COMMANDS["uvicorn"], folder) as port:
        assert save(port, "ann", "/users/ann/notes") == SAVED
        assert save(port, "ann", "/users/bob/notes")[0] == 401


def test_the_application_with_tenants_runs_on_postgresql_and_redis(folder: Path) -> None:
    for package in ("cachetools", "cryptography", "psycopg", "redis", "sqlalchemy"):
        pytest.importorskip(package, reason=f"not run: {package} is not installed")
    from cryptography.fernet import Fernet
    from databases import POSTGRES, REDIS, needs
    from sqlalchemy import create_engine, text

    from hmac_guard.keys import SqlKeys

    needs(POSTGRES, "PostgreSQL")
    needs(REDIS, "Redis")
    master, schema = Fernet.generate_key().decode(), f"deployment_{uuid4().hex}"
    (folder / "database_password").write_text(f"{POSTGRES.password or 'unused'}\n")
    (folder / "master_keys").write_text(master)
    url = POSTGRES.set(drivername="postgresql+psycopg", query={"options": f"-csearch_path={schema}"})
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    services = {
        "SECRETS": str(folder),
        "DATABASE_URL": url.set(password=None).render_as_string(),
        "REDIS_URL": REDIS.render_as_string(hide_password=False),
    }
    try:
        with running(COMMANDS["gunicorn"].replace("app:app", "tenants:app"), folder, **services) as port:
            key = SqlKeys(engine, master_keys=[master]).add("acme").secret
            assert key is not None
            saved, other = (
                save(port, "ann", "/users/ann/notes", key=key, headers={"X-Tenant": name})
                for name in ("acme", "globex")
            )
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
        engine.dispose()
    assert saved == (200, "text/html", "saved n1 of ann for acme\n")
    assert other[0] == 401


class Echo(BaseHTTPRequestHandler):
    """Answers with the path and the headers of the request, as they arrived."""

    def do_GET(self) -> None:
        body = json.dumps([self.path, dict(self.headers)]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Print no line for each request."""


@pytest.fixture
def echo() -> Iterator[int]:
    server = ThreadingHTTPServer((LOCAL, 0), Echo)
    threading.Thread(target=server.serve_forever, args=[0.01]).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


MAIN = """
daemon off;
{user}
pid nginx.pid;
error_log error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path temp;
    proxy_temp_path temp;
    fastcgi_temp_path temp;
    uwsgi_temp_path temp;
    scgi_temp_path temp;
    include notes.conf;
}}
"""


@contextmanager
def nginx(folder: Path, behind: int, **changes: str) -> Iterator[int]:
    """Run nginx with the file of the page, in front of the server on the port `behind`."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("not run: nginx is not installed")
    text = FILES["notes.conf"]
    with own_port() as port:
        for old, new in {"8080": str(port), "127.0.0.1:8000": f"127.0.0.1:{behind}", **changes}.items():
            assert text.count(old) == 1
            text = text.replace(old, new)
        (folder / "notes.conf").write_text(text)
        # A worker of root's nginx is another user, who cannot read a folder of the tests.
        (folder / "main.conf").write_text(MAIN.format(user="user root;" if os.geteuid() == 0 else ""))
        server = Server([f"exec {program} -p {folder} -c main.conf -e error.log"], folder, os.environ)
        try:
            assert becomes_true(lambda: accepts(port)), server.output.read_text()
            yield port
        finally:
            server.close()


#: Paths that nginx reads as the path `/users/ann/notes`.
OTHER_PATHS = ("/users//ann/notes", "/health/../users/ann/notes")


def test_nginx_passes_a_signed_request_and_no_other_one(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(COMMANDS["gunicorn"], folder) as behind, nginx(tmp_path_factory.mktemp("nginx"), behind) as port:
        assert save(port, "ann", "/users/ann/notes") == SAVED
        status, media_type, body = save(port, "ann", "/users/bob/notes")
        assert (status, media_type) == (401, "application/problem+json")
        assert json.loads(body)["error"]["code"] == "invalid_signature"

        assert save(port, "ann@example.com", "/users/ann%40example.com/notes")[2] == "saved n1 of ann@example.com\n"
        assert [save(port, "ann", path)[0] for path in OTHER_PATHS] == [401, 401]
        assert ask(port, "/pre/health", {"SCRIPT_NAME": "/pre"})[0] == 401
        assert save(port, "ann", "/users/ann/notes", headers={"X_Signature": "x"}) == SAVED
        assert ask(port, "/metrics")[:2] == (404, "text/html")


def test_a_body_over_the_limit_is_refused_by_nginx_or_by_the_guard(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def sizes(port: int) -> list[tuple[int, str]]:
        return [save(port, "ann", "/users/ann/notes", size=size)[:2] for size in (LIMIT, LIMIT + 1)]

    with running(COMMANDS["gunicorn"], folder) as behind:
        with nginx(tmp_path_factory.mktemp("nginx"), behind) as port:
            assert sizes(port) == [(200, "text/html"), (413, "text/html")]
        with nginx(tmp_path_factory.mktemp("nginx"), behind, **{"256k": "1m"}) as port:
            assert sizes(port) == [(200, "text/html"), (413, "application/problem+json")]
        with nginx(tmp_path_factory.mktemp("nginx"), behind, **{"256k": "128k"}) as port:
            assert sizes(port) == [(413, "text/html"), (413, "text/html")]


def test_nginx_passes_the_path_as_the_client_has_sent_it(echo: int, tmp_path: Path) -> None:
    sent = ["/users/a%2Fb/notes", *OTHER_PATHS, "/users/ann%40example.com/notes?a=%41&b=%2f"]
    with nginx(tmp_path, echo) as port:
        assert [json.loads(ask(port, path)[2])[0] for path in sent] == sent


def test_nginx_passes_the_host_with_its_port(echo: int, tmp_path: Path) -> None:
    """The console compares it with the `Origin` of each form."""
    with nginx(tmp_path, echo) as port:
        assert json.loads(ask(port, "/")[2])[1]["Host"] == f"{LOCAL}:{port}"


def test_nginx_changes_the_path_if_proxy_pass_has_one(
    folder: Path, echo: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with nginx(tmp_path_factory.mktemp("nginx"), echo, **{f"127.0.0.1:{echo};": f"127.0.0.1:{echo}/;"}) as port:
        passed = [json.loads(ask(port, path)[2])[0] for path in ("/users/a%2Fb/notes", *OTHER_PATHS)]
    assert passed == ["/users/a/b/notes", *["/users/ann/notes"] * 2]
    assert f"`{OTHER_PATHS[-1]}` becomes `{passed[-1]}`" in PAGE

    with running(COMMANDS["gunicorn"], folder) as behind:
        changed = {f"127.0.0.1:{behind};": f"127.0.0.1:{behind}/;"}
        with nginx(tmp_path_factory.mktemp("nginx"), behind, **changed) as port:
            assert [save(port, "ann", path) for path in OTHER_PATHS] == [SAVED] * 2


def test_nginx_drops_the_headers_of_the_page(echo: int, tmp_path: Path) -> None:
    removed = re.findall(r'proxy_set_header (\S+) "";', FILES["notes.conf"])
    sent = dict.fromkeys(("X-Signature", "X_Signature", "X-Expires", "SCRIPT_NAME", *removed), "/x")
    with nginx(tmp_path, echo) as port:
        passed = json.loads(ask(port, "/", sent)[2])[1]

    assert len(removed) == 3
    assert {name for name in sent if name in passed} == {"X-Signature", "X-Expires"}
