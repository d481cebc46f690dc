"""The console below `/console/` of each framework, mounted as docs/console.md says, on real servers."""

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

pytest.importorskip("sqlalchemy", reason="not run: sqlalchemy is not installed")

from console_apps import APPLICATIONS, BLOCKS, DB, FIRST, make
from consoles import PREFIX, WHO, forms_of
from documented import text_of
from key_sources import KEY
from servers import SERVERS, Running, Server, serving
from sqlalchemy import create_engine
from support import Sent, run_asgi
from waiting import becomes_true
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client
from werkzeug.wrappers import Request

from hmac_guard import ConfigError, Guard
from hmac_guard.console import Console, Operator
from hmac_guard.console.mounts import _environ_of_django
from hmac_guard.keys import SqlKeys
from hmac_guard.schemes import NANGO


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'keys.db'}"


@pytest.fixture
def keys(url: str) -> Iterator[Any]:
    engine = create_engine(url)
    keys = SqlKeys(engine)
    keys.create_table()
    keys.add("acme", KEY, key_id="k1", mode="enforce")
    yield keys
    engine.dispose()


@pytest.fixture(params=APPLICATIONS)
def server(request: pytest.FixtureRequest, url: str, keys: Any, tmp_path: Path) -> Iterator[Running]:
    framework = request.param.partition("_")[0]
    pytest.importorskip(framework, reason=f"not run: {framework} is not installed")
    wanted = APPLICATIONS[request.param][0]
    [found] = [server for server in SERVERS if server.name == wanted]
    assert found.version
    with serving(found, f"console_apps:{request.param}", tmp_path, {DB: url}) as running:
        yield running


def test_each_mount_serves_the_same_flows(server: Running, keys: Any) -> None:
    origin = f"http://127.0.0.1:{server.port}"
    with httpx.Client(base_url=origin, headers={WHO: "ada", "Origin": origin}, timeout=60) as client:

        def page(path: str, **query: str) -> httpx.Response:
            return client.get(f"{PREFIX}{path}", params=query)

        def send(form: Any, **fields: str) -> httpx.Response:
            return client.post(form.action, data={**form.fields, **fields})

        listing = page("/")
        assert listing.status_code == 200, listing.text
        assert 'href="/console/tenant?name=acme"' in listing.text
        assert "Path=/console/;" in listing.headers["set-cookie"]
        assert "frame-ancestors 'none'" in listing.headers["content-security-policy"]
        assert page("/static/console.css").headers["content-type"] == "text/css; charset=utf-8"

        made = send(forms_of(page("/new").text)[-1], name="größe/1")
        assert made.status_code == 200, made.text
        assert page("/tenant", name="größe/1").status_code == 200
        ended = send(forms_of(page("/tenant/end", name="acme", key="k1").text)[-1])
        assert (ended.status_code, ended.headers["location"]) == (303, "/console/tenant?name=acme&done=ended")
        form = forms_of(page("/check", scheme="nango", name="größe/1").text)[0]
        ids = {"id.integration_id": "g", "id.connection_id": "u"}
        assert "The bytes to sign for größe/1" in send(form, **ids).text
        exported = page("/audit.jsonl")
        assert exported.text.count("\n") == 3
        assert client.post(form.action, data={**form.fields, "request": "x" * 1_200_000}).status_code == 413
        assert client.post(form.action, data=form.fields, headers={"Origin": "http://evil.example"}).status_code == 403
        assert page("/").headers["cache-control"] == "no-store"
    assert httpx.get(f"{origin}{PREFIX}/").status_code == 403
    assert httpx.get(f"{origin}/orders").status_code == 401  # The guard is around all other paths.
    assert [entry.actor for entry in keys.audit(action="retire")] == ["ada@example.com"]
    assert [entry.origin for entry in keys.audit(action="retire")] == ["127.0.0.1"]
    assert KEY not in server.printed()


def test_several_workers_serve_one_session(url: str, keys: Any, tmp_path: Path) -> None:
    pytest.importorskip("flask", reason="not run: flask is not installed")
    command = "gunicorn --bind 127.0.0.1:{port} --no-control-socket --workers 2 {app}"
    two = Server("gunicorn", "wsgi", "gunicorn", command)
    assert two.version
    with serving(two, "console_apps:of_a_worker", tmp_path, {DB: url}) as running:
        origin = f"http://127.0.0.1:{running.port}"
        headers = {WHO: "ada", "Origin": origin, "Connection": "close"}
        with httpx.Client(base_url=origin, headers=headers, timeout=60) as client:

            def is_served_by_another_worker() -> bool:
                shown = client.get(f"{PREFIX}/tenant/note", params={"name": "acme", "key": "k1"})
                form = forms_of(shown.text)[-1]
                saved = client.post(form.action, data={**form.fields, "note": "seen"})
                assert saved.status_code == 303, saved.text
                return bool(shown.headers["X-Worker"] != saved.headers["X-Worker"])

            assert becomes_true(is_served_by_another_worker)
    assert [key.note for key in keys.tenants(prefix="acme")[0].keys] == ["seen"]


# The blocks of docs/console.md


def test_the_first_block_makes_a_console(keys: Any) -> None:
    names = FIRST.run(keys=keys, NANGO=NANGO, user_of=lambda request: request.headers.get(WHO))
    client = Client(names["console"].wsgi)

    assert client.get("/", headers={WHO: "ada"}).status_code == 200
    assert client.get("/").status_code == 403


def test_uncovered_routes_lists_the_console(keys: Any, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv(DB, url)
    flask = pytest.importorskip("flask", reason="not run: flask is not installed")
    starlette = pytest.importorskip("starlette.applications", reason="not run: starlette is not installed")
    import hmac_guard.flask
    import hmac_guard.starlette
    from hmac_guard.asgi import GuardMiddleware

    app = make("Flask", app=flask.Flask("console"))["app"]
    mounted = make("Starlette and FastAPI", app=starlette.Starlette(), GuardMiddleware=GuardMiddleware)["app"]

    assert hmac_guard.flask.uncovered_routes(app) == [
        "/console/",
        "/console/<path:path>",
        "/console/static/console.css",
        "/console/static/console.js",
        "/console/static/icon.svg",
    ]
    assert hmac_guard.starlette.uncovered_routes(mounted) == ["/console/{path:path}"]


def test_uncovered_routes_lists_the_console_in_django(keys: Any, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    pytest.importorskip("django", reason="not run: django is not installed")
    import django_settings  # noqa: F401
    from console_apps import django_urls
    from django.test import override_settings

    from hmac_guard.django import uncovered_routes

    monkeypatch.setenv(DB, url)
    changed = {
        "MIDDLEWARE": ["hmac_guard.django.GuardMiddleware"],
        "HMAC_GUARD": Guard(NANGO, keys, exempt=("/console/",)),
        "ROOT_URLCONF": type("URLs", (), {"urlpatterns": django_urls()["urlpatterns"]}),
    }
    with override_settings(**changed):
        assert uncovered_routes() == ["/console/^(?P<path>.*)$"]


def test_django_sends_pages_cookies_and_exports(keys: Any, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """In one process, over WSGI and ASGI."""
    pytest.importorskip("django", reason="not run: django is not installed")
    import django_settings  # noqa: F401
    from asgiref.sync import async_to_sync
    from console_apps import django_urls
    from django.test import AsyncClient, override_settings
    from django.test import Client as DjangoClient

    monkeypatch.setenv(DB, url)
    urls = type("URLs", (), {"urlpatterns": django_urls()["urlpatterns"]})
    with override_settings(ROOT_URLCONF=urls, MIDDLEWARE=[]):
        client: Any = DjangoClient()
        page = client.get("/console/tenant?name=acme", headers={WHO: "ada", "host": "localhost"})
        export = client.get("/console/audit.jsonl", headers={WHO: "ada", "host": "localhost"})
        cookie = page.cookies["hmac_guard_console"]

        async def asked() -> list[bytes]:
            answer: Any = await AsyncClient().get("/console/audit.jsonl", headers={WHO: "ada"})
            return [part async for part in answer.streaming_content]

        parts = async_to_sync(asked)()
    assert page.status_code == 200
    assert b"k1" in page.content
    assert page["Cache-Control"] == "no-store"
    assert (cookie["path"], cookie["samesite"], cookie["httponly"]) == ("/console/", "Lax", True)
    assert b"".join(export.streaming_content).count(b"\n") == b"".join(parts).count(b"\n") == 1


@pytest.mark.parametrize(
    ("path", "root_path", "forced"),
    [("/console/", "/api", None), ("/api/console/", "/api", None), ("/console/", "", "/api")],
    ids=["removed from the path", "kept in the path", "FORCE_SCRIPT_NAME"],
)
def test_django_links_below_its_script_name_over_asgi(
    keys: Any, monkeypatch: pytest.MonkeyPatch, url: str, path: str, root_path: str, forced: str | None
) -> None:
    pytest.importorskip("django", reason="not run: django is not installed")
    import django_settings  # noqa: F401
    from asgiref.sync import async_to_sync
    from console_apps import django_urls
    from django.test import AsyncClient, override_settings

    monkeypatch.setenv(DB, url)
    urls = type("URLs", (), {"urlpatterns": django_urls()["urlpatterns"]})
    with override_settings(ROOT_URLCONF=urls, MIDDLEWARE=[], FORCE_SCRIPT_NAME=forced):
        client: Any = AsyncClient(root_path=root_path)

        async def asked() -> Any:
            return await client.get(path, headers={WHO: "ada"})

        page = async_to_sync(asked)()

    links = re.findall(r'(?:href|src|action)="(/[^"]*)"', page.content.decode())
    assert "/api/console/tenant?name=acme" in links
    assert [link for link in links if not link.startswith("/api/console/")] == []
    assert page.cookies["hmac_guard_console"]["path"] == "/api/console/"


def asked(**given: Any) -> Any:
    """A request of werkzeug with that of a framework, which has these attributes."""
    request = Request({"REQUEST_METHOD": "GET", "REMOTE_ADDR": "10.0.0.7", "HTTP_X_FORWARDED_USER": "ada"})
    request.environ["hmac_guard.console.request"] = SimpleNamespace(**given)
    return request


@pytest.mark.parametrize(
    "read",
    [
        lambda request: request.form.get("token"),
        lambda request: request.get_data(),
        lambda request: request.get_json(silent=True, force=True),
        lambda request: (request.get_data(), request.form),
    ],
    ids=["the form", "the bytes", "the JSON", "the bytes and the form"],
)
def test_a_body_that_flask_has_read_before_the_view_is_used(keys: Any, read: Any) -> None:
    flask = pytest.importorskip("flask", reason="not run: flask is not installed")
    app = flask.Flask("console")

    def before_request() -> None:
        read(flask.request)

    app.before_request(before_request)
    console = Console(keys, schemes=[NANGO], authorize=lambda request: Operator("ada", "operator"))
    app.register_blueprint(console.blueprint(), url_prefix="/console")
    client = app.test_client()
    fields = forms_of(client.get("/console/check").text)[0].fields

    data = {**fields, "name": "acme", "key": "k1", "note": "ä note"}
    answer = client.post("/console/tenant/note", data=data, headers={"Origin": "http://localhost"})

    assert answer.status_code == 303
    assert [key.note for key in keys.list("acme")] == ["ä note"]


@pytest.mark.parametrize(
    ("static_url_path", "url_prefix"), [("/static", None), ("/static", "/"), ("/console/static", "/console")]
)
def test_flask_serves_the_files_of_the_console_where_it_has_its_own_static_files(
    keys: Any, static_url_path: str, url_prefix: str | None, tmp_path: Path
) -> None:
    flask = pytest.importorskip("flask", reason="not run: flask is not installed")
    (tmp_path / "own.css").write_text("own")
    app = flask.Flask("console", static_folder=str(tmp_path), static_url_path=static_url_path)
    console = Console(keys, schemes=[NANGO], authorize=lambda request: Operator("ada", "operator"))
    app.register_blueprint(console.blueprint(), url_prefix=url_prefix)
    client = app.test_client()

    page = client.get(f"{static_url_path.removesuffix('/static')}/")
    linked = re.findall(r'(?:href|src)="([^"]*/static/[^"]+)"', page.text)

    assert len(linked) == 3
    assert [client.get(url).status_code for url in linked] == [200] * 3
    assert client.get(f"{static_url_path}/console.css").mimetype == "text/css"
    with client.get(f"{static_url_path}/own.css") as own:
        assert own.text == "own"


def test_flask_serves_a_path_with_two_slashes_below_one(keys: Any) -> None:
    flask = pytest.importorskip("flask", reason="not run: flask is not installed")
    app = flask.Flask("console")
    console = Console(keys, schemes=[NANGO], authorize=lambda request: Operator("ada", "operator"))
    app.register_blueprint(console.blueprint(), url_prefix="/console")

    # As gunicorn gives it for "GET //console/".
    page = app.test_client().get("/console/", environ_overrides={"PATH_INFO": "//console/"})

    assert page.status_code == 200
    assert 'href="/console/tenant?name=acme"' in page.text
    assert 'href="//' not in page.text
    assert "; Path=/console/;" in page.headers["Set-Cookie"]


@pytest.mark.parametrize("first", ["the check", "the console"])
def test_flask_wtf_checks_the_views_of_the_application_and_not_the_console(keys: Any, first: str) -> None:
    flask = pytest.importorskip("flask", reason="not run: flask is not installed")
    flask_wtf = pytest.importorskip("flask_wtf", reason="not run: flask-wtf is not installed")
    app = flask.Flask("console")
    app.secret_key = KEY
    app.add_url_rule("/orders", view_func=lambda: "saved", methods=["POST"])
    csrf = flask_wtf.CSRFProtect(app if first == "the check" else None)
    console = Console(keys, schemes=[NANGO], authorize=lambda request: Operator("ada", "operator"))
    app.register_blueprint(console.blueprint(), url_prefix="/console")
    if first == "the console":
        csrf.init_app(app)
    client, headers = app.test_client(), {"Origin": "http://localhost"}
    note = {"name": "acme", "key": "k1", "note": "new"}

    refused = client.post("/console/tenant/note", data=note, headers=headers)
    token = forms_of(client.get("/console/check").text)[0].fields["token"]
    saved = client.post("/console/tenant/note", data={**note, "token": token}, headers=headers)

    assert (refused.status_code, saved.status_code) == (403, 303)
    assert "the form has no token" in refused.text
    assert client.post("/orders", headers=headers).status_code == 400


@pytest.mark.parametrize("imported", [False, True], ids=["without Flask-WTF", "with Flask-WTF"])
def test_an_extension_that_is_called_csrf_and_is_not_of_flask_wtf_is_left_alone(
    keys: Any, monkeypatch: pytest.MonkeyPatch, imported: bool
) -> None:
    flask = pytest.importorskip("flask", reason="not run: flask is not installed")
    if imported:
        pytest.importorskip("flask_wtf.csrf", reason="not run: flask-wtf is not installed")
    else:
        monkeypatch.delitem(sys.modules, "flask_wtf.csrf", raising=False)
    app = flask.Flask("console")
    app.extensions["csrf"] = object()
    console = Console(keys, schemes=[NANGO], authorize=lambda request: Operator("ada", "operator"))
    app.register_blueprint(console.blueprint(), url_prefix="/console")

    assert app.test_client().get("/console/").status_code == 200


@pytest.mark.parametrize(("forced", "given"), [("/api", ""), (None, "/api/")], ids=["Django 4.2", "a last slash"])
def test_the_script_name_of_django_is_the_forced_one_without_its_last_slash(forced: str | None, given: str) -> None:
    """Django 4.2 does not put `FORCE_SCRIPT_NAME` in META under ASGI."""
    pytest.importorskip("django", reason="not run: django is not installed")
    import django_settings  # noqa: F401
    from django.test import RequestFactory, override_settings

    with override_settings(FORCE_SCRIPT_NAME=forced):
        request = RequestFactory().get("/console/audit")
        request.META["SCRIPT_NAME"], request.path_info = given, "/console/audit"

        assert _environ_of_django(request, "audit")["SCRIPT_NAME"] == "/api/console"


def recipe(section: str, **names: Any) -> Any:
    given = BLOCKS[section].run(Operator=Operator, **names)
    return next(value for name, value in given.items() if name.startswith("authorize_"))


def test_the_recipe_for_djangos_staff(keys: Any) -> None:
    pytest.importorskip("django", reason="not run: django is not installed")
    import django_settings  # noqa: F401
    from django.contrib.auth.models import AnonymousUser, User

    authorize = recipe("Django's staff and permissions")
    staff = User(username="vic", is_staff=True, is_active=True)
    staff._perm_cache = set()  # type: ignore[attr-defined]
    staff.has_perm = lambda perm, obj=None: False  # type: ignore[method-assign]

    assert authorize(asked(user=AnonymousUser())) is None
    assert authorize(asked(user=User(username="eve", is_active=True))) is None
    assert authorize(asked(user=User(username="old", is_active=False, is_staff=True, is_superuser=True))) is None
    assert authorize(asked(user=staff)) == Operator("vic", "viewer")
    root = User(username="ada", is_staff=True, is_active=True, is_superuser=True)
    assert authorize(asked(user=root)) == Operator("ada", "operator")


def test_the_recipe_for_flask_login(keys: Any) -> None:
    flask = pytest.importorskip("flask", reason="not run: flask is not installed")
    login = pytest.importorskip("flask_login", reason="not run: flask-login is not installed")
    app = flask.Flask("console")
    app.secret_key = KEY
    manager = login.LoginManager(app)
    manager.user_loader(lambda name: user_of(name))

    def user_of(name: str) -> Any:
        user = login.UserMixin()
        user.id = name
        return user

    app.add_url_rule("/login", view_func=lambda: str(login.login_user(user_of("ada"))))
    authorize = recipe("Flask-Login", current_user=login.current_user)
    console = Console(keys, schemes=[NANGO], authorize=authorize)
    app.register_blueprint(console.blueprint(), url_prefix="/console")
    client = app.test_client()

    assert client.get("/console/").status_code == 403
    client.get("/login")
    assert "ada" in client.get("/console/").text


def test_the_recipe_for_a_session_of_flask(keys: Any) -> None:
    flask = pytest.importorskip("flask", reason="not run: flask is not installed")
    app = flask.Flask("console")
    app.secret_key = KEY

    def login() -> str:
        flask.session["operator"] = "ada"
        return ""

    app.add_url_rule("/login", view_func=login)
    console = Console(keys, schemes=[NANGO], authorize=recipe("A session of Flask", session=flask.session))
    app.register_blueprint(console.blueprint(), url_prefix="/console")
    client = app.test_client()

    assert client.get("/console/").status_code == 403
    client.get("/login")
    assert "ada" in client.get("/console/").text


def test_the_recipe_for_a_session_of_starlette(keys: Any) -> None:
    pytest.importorskip("starlette", reason="not run: starlette is not installed")
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.sessions import SessionMiddleware
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route
    from starlette.testclient import TestClient

    def login(request: Any) -> PlainTextResponse:
        request.session["operator"] = "ada"
        return PlainTextResponse("")

    console = Console(keys, schemes=[NANGO], authorize=recipe("A session of Starlette"))
    routes = [Route("/login", login), Mount("/console", app=console.asgi)]
    client = TestClient(Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, secret_key=KEY)]))

    assert client.get("/console/").status_code == 403
    client.get("/login")
    assert "ada" in client.get("/console/").text


def test_the_recipe_for_a_reverse_proxy() -> None:
    authorize = recipe("A header that a reverse proxy sets")
    direct = asked()
    direct.environ["REMOTE_ADDR"] = "10.0.0.8"

    assert authorize(asked()) == Operator("ada", "operator")
    assert authorize(Request(direct.environ)) is None
    assert authorize(Request({"REQUEST_METHOD": "GET", "REMOTE_ADDR": "10.0.0.7"})) is None


@pytest.mark.parametrize(("peer", "status"), [("10.0.0.7", 200), ("203.0.113.9", 403)])
def test_the_recipe_for_a_reverse_proxy_behind_proxy_fix(keys: Any, peer: str, status: int) -> None:
    """With the address that docs/console.md names. A client can write `X-Forwarded-For`."""
    [named] = re.findall(r'`(request\.environ\["werkzeug\.[^`]+)`', text_of("docs/console.md"))
    block = BLOCKS["A header that a reverse proxy sets"]
    assert "request.remote_addr" in block.text
    behind = replace(block, text=block.text.replace("request.remote_addr", named))
    authorize = behind.run(Operator=Operator)["authorize_proxy"]
    client = Client(ProxyFix(Console(keys, schemes=[NANGO], authorize=authorize).wsgi))
    headers = {"X-Forwarded-User": "ada", "X-Forwarded-For": "10.0.0.7"}

    assert client.get("/", headers=headers, environ_base={"REMOTE_ADDR": peer}).status_code == status


def in_starlette(app: Any) -> None:
    starlette = pytest.importorskip("starlette.applications", reason="not run: starlette is not installed")
    mounted = starlette.Starlette()
    mounted.mount("/console", app)
    run_asgi(mounted, Sent(path="/console/"))


def in_flask(console: Any) -> None:
    flask = pytest.importorskip("flask", reason="not run: flask is not installed")
    flask.Flask("console").register_blueprint(console)


def in_django(console: Any) -> None:
    pytest.importorskip("django", reason="not run: django is not installed")
    from django.urls import include, path

    _ = path("console/", include(console)).url_patterns


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (in_starlette, 'app.mount("/console", console.asgi)'),
        (in_flask, 'app.register_blueprint(console.blueprint(), url_prefix="/console")'),
        (in_django, 'path("console/", include(console.urls))'),
        (lambda console: in_starlette(console.wsgi), "console.wsgi is a WSGI application, and it is called as ASGI"),
        (lambda console: Guard(NANGO, KEY).asgi(console), "app must be an ASGI application"),
        (lambda console: Guard(NANGO, KEY).wsgi(console), "app must be a WSGI application"),
        (lambda console: Guard(NANGO, KEY).asgi(console.wsgi), "app is a WSGI application"),
        (lambda console: Guard(NANGO, KEY).wsgi(console.asgi), "app is an ASGI application"),
    ],
)
def test_a_console_in_place_of_its_application_is_a_config_error(use: Any, message: str, keys: Any) -> None:
    console = Console(keys, schemes=[NANGO], authorize=lambda request: None)
    with pytest.raises(ConfigError, match=re.escape(message)):
        use(console)
