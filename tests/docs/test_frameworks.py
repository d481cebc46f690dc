"""Runs each block of docs/frameworks.md and docs/frameworks/: it guards, and answers with the right ids in any mode."""

import asyncio
import hmac
import json
import re
import shlex
import shutil
import subprocess
import sysconfig
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import every_mode
import pytest
from documentation.pages import exports
from documented import Block, blocks, text_of, under
from every_mode import MODES, ORIGIN, MadeOtherwise
from orders import KEY, hex_of
from ports import accepts, own_port
from support import Reply, Sent, environ_for, run_asgi, scope_for
from waiting import TIMEOUT, becomes_true
from werkzeug.test import run_wsgi_app

import hmac_guard
from hmac_guard import Guard, Key, Reason, Verdict
from hmac_guard.asgi import GuardMiddleware
from hmac_guard.decider import decider_of
from hmac_guard.schemes import NANGO

OVERVIEW = "docs/frameworks.md"
PAGES = [f"docs/frameworks/{name}.md" for name in ("django", "fastapi", "flask", "litestar", "quart", "starlette")]
FLASK, FASTAPI, STARLETTE = "docs/frameworks/flask.md", "docs/frameworks/fastapi.md", "docs/frameworks/starlette.md"
DJANGO = "docs/frameworks/django.md"
BLOCKS = [block for page in PAGES for block in blocks(page)]


def named(block: Block) -> str:
    return f"{Path(block.page).stem}: {block.heading}"


#: The packages that a block needs besides the framework of its page.
NEEDED = {
    "The whole project": ("corsheaders",),
    "Django REST framework": ("rest_framework",),
    "Django Ninja": ("ninja",),
    "Django Channels": ("channels", "uvicorn", "websockets"),
    FLASK: ("flask", "flask_cors"),
    FASTAPI: ("fastapi", "uvicorn"),
    STARLETTE: ("starlette", "uvicorn"),
    DJANGO: ("django", "waitress"),
    "docs/frameworks/litestar.md": ("litestar", "uvicorn"),
    "docs/frameworks/quart.md": ("quart", "starlette", "uvicorn"),
}

IDS = "integration_id=github&connection_id=user-42"
QUERY = f"{IDS}&hmac={hex_of('github', 'user-42')}"
SIGNED = Sent(path="/inbox", query=QUERY, headers=[("Origin", ORIGIN)])
UNSIGNED = Sent(path="/inbox", query=IDS, headers=[("Origin", ORIGIN)])

Sender = Callable[[Sent], Reply]
Loader = Callable[[str, str], ModuleType]


def needs(block: Block) -> None:
    for package in (*NEEDED[block.page], *NEEDED.get(block.heading, ())):
        if find_spec(package) is None:  # Some cannot be imported before Django is configured.
            pytest.skip(f"not run: {package} is not installed")


def make_guard(**options: Any) -> Guard:
    return Guard(NANGO, KEY, **options)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The mode of the guard in a block."""
    monkeypatch.setattr(hmac_guard, "Guard", MadeOtherwise(**MODES[request.param]))
    return str(request.param)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loader:
    """Return a function that imports the block under a heading, as a file that a user has saved."""
    for name in ("NANGO_HMAC_KEY", "FLASK_NANGO_HMAC_KEY", "SUPRSEND_INBOX_SECRET"):
        monkeypatch.setenv(name, KEY)

    def load(page: str, heading: str) -> ModuleType:
        block = under(page, heading)
        needs(block)
        return block.load(tmp_path, monkeypatch)

    return load


@pytest.fixture
def load_django(load: Loader, mode: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Return a function that imports a block of a Django project. Its settings apply until the test ends."""
    pytest.importorskip("django", reason="not run: Django is not installed")
    import django_settings  # noqa: F401
    from django.conf import LazySettings
    from django.test import override_settings
    from django.urls import clear_url_caches

    changed: list[Any] = []

    def configure(settings: Any, **options: Any) -> None:
        if isinstance(options.get("HMAC_GUARD"), dict):
            options["HMAC_GUARD"] |= {name.upper(): value for name, value in MODES[mode].items()}
        changed.append(override_settings(**{"MIDDLEWARE": [], **options, "ALLOWED_HOSTS": ["*"]}))
        changed[-1].enable()

    monkeypatch.setattr(LazySettings, "configure", configure)
    yield partial(load, DJANGO)
    for settings in changed:
        settings.disable()
    clear_url_caches()


def check(mode: str, send: Sender, *, cors: bool = True, exempts: bool = True, path: str = "/inbox") -> None:
    """Check that the sample answers according to the mode, and that a page on another origin can read the answer."""
    signed, unsigned = (Sent(each.method, path, each.query, each.headers) for each in (SIGNED, UNSIGNED))
    every_mode.check(mode, send, signed, unsigned, b"user-42", exempts=exempts)
    if cors:
        allowed = {"access-control-allow-origin": ORIGIN}.items()
        assert allowed <= send(signed).headers.items()
        assert allowed <= send(unsigned).headers.items()


def by_wsgi(app: Any) -> Sender:
    def send(sent: Sent) -> Reply:
        body, status, headers = run_wsgi_app(app, environ_for(sent))
        return Reply(int(status[:3]), {name.lower(): value for name, value in headers}, b"".join(body))

    return send


def by_asgi(app: Any) -> Sender:
    return lambda sent: run_asgi(app, sent)


async def first_answers(app: Any, sent: Sent) -> tuple[str, str | None]:
    """Return the first message to a client that opens a websocket, and the first text."""
    incoming: asyncio.Queue[Any] = asyncio.Queue()
    answers: asyncio.Queue[Any] = asyncio.Queue()
    incoming.put_nowait({"type": "websocket.connect"})
    scope = {**scope_for(sent, "websocket"), "subprotocols": []}
    task = asyncio.ensure_future(app(scope, incoming.get, answers.put))
    first = await asyncio.wait_for(answers.get(), TIMEOUT)
    accepted = first["type"] == "websocket.accept"
    text = (await asyncio.wait_for(answers.get(), TIMEOUT))["text"] if accepted else None
    task.cancel()
    await asyncio.wait([task])
    return first["type"], text


def check_websocket(mode: str, app: Any) -> None:
    """`/live` accepts a client who is user-42, and is not exempt."""
    accepted = ("websocket.accept", "inbox of user-42")
    assert asyncio.run(first_answers(app, Sent(path="/live", query=QUERY))) == accepted
    expected = ("websocket.close", None) if mode in ("enforce", "exempt") else accepted
    assert asyncio.run(first_answers(app, Sent(path="/live", query=IDS))) == expected


@pytest.mark.parametrize("block", BLOCKS, ids=named)
def test_a_block_has_a_test_and_at_most_sixty_lines(block: Block) -> None:
    assert block.text.count("\n") <= 60
    name = "test_" + re.sub(r"\W+", "_", f"{Path(block.page).stem} {block.heading}".lower())
    assert name.replace("_django_django_", "_django_") in globals()


def test_the_function_is_the_same_in_every_block() -> None:
    [written] = re.findall(
        r"^def ids_of.*?(?=^\S|\Z)", under(OVERVIEW, "The ids in every mode").text, re.MULTILINE | re.DOTALL
    )

    assert [block.heading for block in BLOCKS if written not in f"{block.text}\n"] == []


def test_each_alternative_says_when_to_use_it() -> None:
    for block in BLOCKS:
        after = text_of(block.page).partition(f"\n## {block.heading}\n\n")[2]
        assert after.startswith("Use this if "), block.heading


def test_the_ids_in_every_mode() -> None:
    ids_of = under(OVERVIEW, "The ids in every mode").run()["ids_of"]
    sent, claimed = {"a": "as sent"}, {"a": "as claimed"}
    proven = Verdict(Reason.VERIFIED, "s", ids={"a": "as proven"})

    assert ids_of(proven, sent) == {"a": "as proven"}
    for reason in Reason:
        if reason in (Reason.OFF, Reason.EXEMPT):
            assert ids_of(Verdict(reason, "s"), sent) == sent
        elif reason is not Reason.VERIFIED:
            assert ids_of(Verdict(reason, "s"), sent) == {}
            assert ids_of(Verdict(reason, "s", claimed=claimed), sent) == claimed


def commands(page: str) -> list[tuple[str, str]]:
    """Return the commands of a page, each with the heading above it."""
    return [(line, console.heading) for console in blocks(page, "console") for line, _ in console.commands()]


def signature_for_suprsend(key: str) -> str:
    return urlsafe_b64encode(hmac.digest(key.encode(), b"user-42", "sha256")).decode().rstrip("=")


#: The blocks with another path than that of the overview.
OTHER_PATHS = {
    "A blueprint": "/partners/inbox",
    "A mount": "/partners/inbox",
    "Around the application": "/oauth/connect/github",
    "Some paths": "/inbox/messages",
}


def requests_of(block: Block, port: int, key: str) -> list[tuple[list[str], str]]:
    """Return the curl commands of the overview for this block, and what they print."""
    requests = []
    for command, printed in under(OVERVIEW, "Try it", "console").commands():
        url = command.replace("127.0.0.1:8000/inbox", f"127.0.0.1:{port}{OTHER_PATHS.get(block.heading, '/inbox')}")
        if block.heading == "Around the application":  # The id is in the path.
            url = url.replace("integration_id=github&", "")
        if block.heading == "Some paths":  # The scheme is SUPRSEND.
            url = url.replace("integration_id=github&connection_id", "distinct_id")
            url = re.sub("hmac=[0-9a-f]+", f"subscriber_id={signature_for_suprsend(key)}", url)
        requests.append((shlex.split(url), printed))
    return requests


#: The answers that are not the printed one, which the page of the framework or its view says.
OTHER_ANSWERS = {
    "Around the application": "opens user-42 of github\n",
    "Some paths": '{"messages_of":"user-42"}',
    "Django Ninja": '"inbox of user-42"',
}


@pytest.mark.parametrize("block", BLOCKS, ids=named)
def test_a_block_runs_as_its_page_says(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Save the block, run it on the server of the page, and send the requests of the overview."""
    needs(block)
    if shutil.which("curl") is None:
        pytest.skip("not run: there is no curl")
    (tmp_path / block.name).write_text(block.code)
    exported = exports(block.page)
    [key] = set(exported.values())
    Key(key)  # `secrecy.py` then checks that no test and no server prints it.
    for name in exported:
        monkeypatch.setenv(name, key)
    servers = [(line, heading) for line, heading in commands(block.page) if re.match("flask|uvicorn|waitress", line)]
    [command] = [line for line, heading in servers if heading == block.heading] or [servers[0][0]]
    json_answer = '{"inbox of":"user-42"}' if "fastapi" in block.page or "REST" in block.heading else ""
    with own_port() as port:
        program, *words = shlex.split(command.replace("8000", str(port)))
        with subprocess.Popen([Path(sysconfig.get_path("scripts"), program), *words], cwd=tmp_path) as server:
            try:
                assert becomes_true(lambda: server.poll() is not None or accepts(port))
                for request, printed in requests_of(block, port, key):
                    done = subprocess.run(request, capture_output=True, text=True, timeout=TIMEOUT)
                    answer = OTHER_ANSWERS.get(block.heading) or json_answer or "inbox of user-42"
                    assert done.stdout.strip() == (printed if "401" in printed else answer).strip()
            finally:
                server.terminate()


def test_flask_the_whole_application(load: Loader, mode: str) -> None:
    names = load(FLASK, "The whole application")
    from hmac_guard.flask import uncovered_routes

    check(mode, by_wsgi(names.app))
    if mode == "enforce":
        assert uncovered_routes(names.app) == []


def test_flask_a_blueprint(load: Loader, mode: str) -> None:
    names = load(FLASK, "A blueprint")
    names.app.add_url_rule("/open", view_func=lambda: "open")

    check(mode, by_wsgi(names.app), cors=False, exempts=False, path="/partners/inbox")
    assert by_wsgi(names.app)(Sent(path="/open")).body == b"open"


def test_flask_one_view(load: Loader, mode: str) -> None:
    names = load(FLASK, "One view")
    names.app.add_url_rule("/open", view_func=lambda: "open")

    check(mode, by_wsgi(names.app), cors=False, exempts=False)
    assert by_wsgi(names.app)(Sent(path="/open")).body == b"open"


def test_flask_an_application_factory(load: Loader, mode: str) -> None:
    app = load(FLASK, "An application factory").create_app()

    check(mode, by_wsgi(app), cors=False)


def test_fastapi_the_whole_application(load: Loader, mode: str) -> None:
    app = load(FASTAPI, "The whole application").app

    check(mode, by_asgi(app))
    if mode == "enforce":
        assert by_asgi(app)(Sent(path="/docs")).status == 401


def signed_for_suprsend() -> Sent:
    return Sent(path="/inbox/messages", query=f"distinct_id=user-42&subscriber_id={signature_for_suprsend(KEY)}")


def check_missing_id(mode: str, reply: Reply) -> None:
    """An id is missing: the guard refuses the request, or the view does."""
    assert reply.status == (401 if mode == "enforce" else 400), reply


def test_fastapi_some_paths(load: Loader, mode: str) -> None:
    ask = by_asgi(load(FASTAPI, "Some paths").app)
    path = "/inbox/messages"

    unsigned = Sent(path=path, query="distinct_id=user-42")
    every_mode.check(mode, ask, signed_for_suprsend(), unsigned, b'{"messages_of":"user-42"}')
    check_missing_id(mode, ask(Sent(path=path)))
    if mode == "enforce":
        assert ask(Sent(path="/openapi.json")).status == 200  # `only` does not cover it.


def test_a_fastapi_view_reads_no_id_of_a_preflight(load: Loader) -> None:
    names = load(FASTAPI, "Some paths")
    names.app.add_api_route("/inbox/messages", names.messages, methods=["OPTIONS"])
    asked = every_mode.preflight_for(Sent(path="/inbox/messages", query="distinct_id=user-42"))

    assert by_asgi(names.app)(asked).status == 400


def test_fastapi_one_route_with_openapi(load: Loader, mode: str) -> None:
    app = load(FASTAPI, "One route, with OpenAPI").app

    check(mode, by_asgi(app), cors=False, exempts=False)
    assert app.openapi()["paths"]["/inbox"]["get"]["security"] == [{"nango": []}]


def test_fastapi_the_whole_application_with_openapi(load: Loader, mode: str) -> None:
    app = load(FASTAPI, "The whole application, with OpenAPI").app
    from hmac_guard.fastapi import uncovered_routes

    check(mode, by_asgi(app), exempts=False)
    if mode == "enforce":
        assert by_asgi(app)(Sent(path="/openapi.json")).status == 200
        assert by_asgi(app)(Sent(path="/docs/oauth2-redirect")).status == 401
        assert uncovered_routes(app) == ["/docs", "/openapi.json"]
    assert app.openapi()["paths"]["/inbox"]["get"]["security"] == [{"nango": []}]


def test_starlette_the_whole_application(load: Loader, mode: str) -> None:
    app = load(STARLETTE, "The whole application").app
    from hmac_guard.starlette import uncovered_routes

    check(mode, by_asgi(app))
    check_websocket(mode, app)
    if mode == "enforce":
        assert uncovered_routes(app) == []


def test_starlette_a_mount(load: Loader, mode: str) -> None:
    app = load(STARLETTE, "A mount").app
    from hmac_guard.starlette import uncovered_routes

    check(mode, by_asgi(app), path="/partners/inbox")
    if mode == "enforce":
        assert uncovered_routes(app) == []


def test_litestar_the_whole_application(load: Loader, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    litestar = pytest.importorskip("litestar", reason="not run: Litestar is not installed")
    quiet = partial(litestar.Litestar, logging_config=None)  # otherwise it configures the root logger for all tests
    monkeypatch.setattr(litestar, "Litestar", quiet)

    check(mode, by_asgi(load("docs/frameworks/litestar.md", "The whole application").app))


def test_quart_the_whole_application(load: Loader, mode: str) -> None:
    app = load("docs/frameworks/quart.md", "The whole application").app

    check(mode, by_asgi(app))
    check_websocket(mode, app)


DjangoLoader = Callable[[str], ModuleType]


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
def test_django_the_whole_project(load_django: DjangoLoader, server: str, mode: str) -> None:
    names = load_django("The whole project")
    from django.conf import settings
    from django.http import HttpResponse
    from django.urls import path
    from django_project import send

    from hmac_guard.django import uncovered_routes

    check(mode, by_wsgi(names.application) if server == "wsgi" else lambda sent: send("asgi", sent))
    if mode != "exempt":
        assert uncovered_routes() == ([] if mode in ("enforce", "report") else ["/inbox"])
        names.urlpatterns.append(path("admin/", lambda request: HttpResponse()))
        assert "/admin/" in uncovered_routes()  # as the block says
    assert "hmac_guard.django" in settings.INSTALLED_APPS


@pytest.mark.parametrize("options", [False, True], ids=["CORS middleware answers", "the view answers OPTIONS"])
@pytest.mark.parametrize("mode", ["enforce"], indirect=True)
def test_a_django_view_reads_no_id_of_a_preflight(load_django: DjangoLoader, options: bool) -> None:
    names = load_django("The whole project")
    from django_project import project, send

    guarded = ["hmac_guard.django.GuardMiddleware"]
    with project(names.inbox, MIDDLEWARE=guarded, HMAC_GUARD=make_guard(preflight=options)):
        reply = send("wsgi", every_mode.preflight_for(UNSIGNED))

    assert (reply.status, reply.body) == (200, b"inbox of None") if options else reply.status == 401


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
def test_django_around_the_application(load_django: DjangoLoader, server: str, mode: str) -> None:
    names = load_django("Around the application")
    application = names.application
    if server == "asgi":
        from django.core.asgi import get_asgi_application

        [expected] = re.findall(r"In\s`asgi.py`, use `(.*?)`", text_of(DJANGO))
        application = eval(expected, {**vars(names), "get_asgi_application": get_asgi_application})
    ask = by_wsgi(application) if server == "wsgi" else by_asgi(application)
    path = "/oauth/connect/github"
    signed = Sent(path=path, query=f"connection_id=user-42&hmac={hex_of('github', 'user-42')}")
    unsigned = Sent(path=path, query="connection_id=user-42")

    every_mode.check(mode, ask, signed, unsigned, b"opens user-42 of github\n")
    check_missing_id(mode, ask(Sent(path=path)))
    if mode in ("enforce", "report"):
        assert ask(every_mode.preflight_for(unsigned)).status == 400
    if mode == "enforce":
        assert ask(Sent(path="/health")).body == b"up"


def test_django_one_view(load_django: DjangoLoader, mode: str) -> None:
    ask = by_wsgi(load_django("One view").application)
    form = [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", "7")]

    check(mode, ask, cors=False, exempts=False)
    if mode == "enforce":
        assert ask(Sent("POST", "/inbox", QUERY, form, b"note=hi")).status == 415, "NANGO reads no form"


def test_django_rest_framework(load_django: DjangoLoader, mode: str) -> None:
    names = load_django("Django REST framework")

    check(mode, by_wsgi(names.application), cors=False, exempts=False)


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
def test_django_ninja(load_django: DjangoLoader, server: str, mode: str) -> None:
    names = load_django("Django Ninja")
    from django_project import send

    ask = by_wsgi(names.application) if server == "wsgi" else partial(send, "asgi")
    check(mode, ask, cors=False, exempts=False)


def test_django_channels(load_django: DjangoLoader, mode: str) -> None:
    application = load_django("Django Channels").application

    check_websocket(mode, application)
    check(mode, by_asgi(application), cors=False)


def test_packages_of_vendors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPRSEND_INBOX_SECRET", KEY)
    names = under(OVERVIEW, "Packages of vendors").run()
    refused = decider_of("test", names["guard"]).refusals[Reason.INVALID_SIGNATURE]

    # The browser tests show how the packages use these bodies.
    assert json.loads(refused.body)["results"] == []
    assert json.loads(names["for_old_nango"]("code", "words")) == {"error": "words", "type": "code"}


PREFLIGHT = every_mode.preflight_for(UNSIGNED)


def test_a_decorator_of_flask_refuses_a_preflight() -> None:
    flask = pytest.importorskip("flask", reason="not run: Flask is not installed")
    from hmac_guard.flask import GuardExtension

    app, signed = flask.Flask("shop"), GuardExtension(make_guard())
    signed.init_app(app)
    app.add_url_rule("/inbox", view_func=signed.guarded(lambda: "reached"), methods=["GET", "OPTIONS"])

    assert by_wsgi(app)(PREFLIGHT).status == 401


def test_a_dependency_of_fastapi_refuses_a_preflight() -> None:
    fastapi = pytest.importorskip("fastapi", reason="not run: FastAPI is not installed")
    from hmac_guard.fastapi import GuardSecurity

    guard, app = make_guard(), fastapi.FastAPI()
    app.add_middleware(GuardMiddleware, guard=guard)
    app.add_api_route(
        "/inbox", lambda: "reached", methods=["OPTIONS"], dependencies=[fastapi.Security(GuardSecurity(guard))]
    )

    assert run_asgi(app, PREFLIGHT).status == 401


def test_a_decorator_and_an_authentication_class_of_django_refuse_a_preflight() -> None:
    pytest.importorskip("rest_framework", reason="not run: Django REST framework is not installed")
    from django.http import HttpResponse
    from django_project import project, send
    from rest_framework.views import APIView

    from hmac_guard.django import hmac_guarded
    from hmac_guard.django.rest import GuardAuthentication

    class Inbox(APIView):
        authentication_classes = (GuardAuthentication,)

        def options(self, request: Any) -> Any:
            return HttpResponse("reached")

    guard, middleware = make_guard(), ["hmac_guard.django.GuardMiddleware"]
    for view in (hmac_guarded(guard)(lambda request: HttpResponse("reached")), Inbox.as_view()):
        with project(view, MIDDLEWARE=middleware, HMAC_GUARD=guard):
            assert send("wsgi", PREFLIGHT).status == 401


def test_a_layer_outside_the_guard_sees_the_route_that_the_router_adds() -> None:
    fastapi = pytest.importorskip("fastapi", reason="not run: FastAPI is not installed")
    app, routes = fastapi.FastAPI(), []
    app.add_api_route("/inbox/{name}", lambda name: name)
    guarded = make_guard().asgi(app)

    async def metrics(scope: Any, receive: Any, send: Any) -> None:
        await guarded(scope, receive, send)
        routes.append(scope["route"].path)

    assert run_asgi(metrics, Sent(path="/inbox/x", query=QUERY)).status == 200
    assert routes == ["/inbox/{name}"]
