"""Runs each row of the table "Mistakes and their messages" in docs/frameworks.md."""

import asyncio
import logging
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from documented import text_of
from orders import KEY
from support import Sent, ask_app, environ_for, run_asgi

from hmac_guard import ConfigError, Guard, Query, Scheme
from hmac_guard.asgi import GuardMiddleware as AsgiGuard
from hmac_guard.schemes import NANGO
from hmac_guard.wsgi import GuardMiddleware as WsgiGuard

pytest.importorskip("fastapi", reason="not run: fastapi is not installed")
pytest.importorskip("flask", reason="not run: flask is not installed")
pytest.importorskip("django", reason="not run: django is not installed")
pytest.importorskip("rest_framework", reason="not run: Django REST framework is not installed")
pytest.importorskip("quart", reason="not run: quart is not installed")
pytest.importorskip("click", reason="not run: click is not installed")
pytest.importorskip("cachetools", reason="not run: cachetools is not installed")

# First, because it configures Django.
from django_project import project  # isort: skip

import quart
from click.testing import CliRunner
from django.core.handlers.wsgi import WSGIHandler
from fastapi import Depends, FastAPI, Security
from flask import Flask
from rest_framework.views import APIView
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import run_wsgi_app

from hmac_guard.cli.commands import hmac_guard
from hmac_guard.django import hmac_guarded
from hmac_guard.django.conf import guard_from_settings
from hmac_guard.flask import GuardExtension
from hmac_guard.keys import CachedKeys

GUARD: Any = Guard(NANGO, KEY)
ROWS = dict(
    re.findall(
        r"^\| (.+?) \| (.+?) \|$",
        text_of("docs/frameworks.md").partition("## Mistakes and")[2].partition("\n## ")[0],
        re.MULTILINE,
    )
)
del ROWS["mistake"]


def added(framework: Any, *middleware: Any, **options: Any) -> None:
    app = framework()
    app.add_middleware(*middleware, **options)
    run_asgi(app, Sent())


def in_both(*middleware: Any, **options: Any) -> None:
    with pytest.raises(ConfigError):
        added(Starlette, *middleware, **options)
    added(FastAPI, *middleware, **options)


def depends() -> None:
    with pytest.raises(ConfigError, match="not a middleware, a view or a dependency"):
        FastAPI(dependencies=[Security(GUARD)]).get("/")(lambda: None)

    marked = Depends(GUARD)

    def view(verdict: Any = marked) -> None: ...

    FastAPI().get("/")(view)


def before_request() -> None:
    app = Flask("mistaken")
    app.testing = True
    app.before_request(GUARD)
    app.test_client().get("/")


def in_django(path: str) -> None:
    with project(lambda request: None, MIDDLEWARE=[path]):
        WSGIHandler()


def authentication_class() -> None:
    class Listing(APIView):
        authentication_classes = (GUARD,)

    Listing().get_authenticators()


def inside_quart() -> None:
    app: Any = quart.Quart("mistaken")
    app.asgi_app = GUARD.asgi(app)
    assert run_asgi(app, Sent()).status == 503
    asyncio.run(start(app))


class View:
    def get(self, request: Any) -> None: ...


def setting() -> None:
    with project(lambda request: None, HMAC_GUARD={"SHCEME": NANGO, "KEYS": KEY}):
        guard_from_settings()


def command(*words: str) -> None:
    result = CliRunner().invoke(hmac_guard, words)
    assert result.exit_code == 2
    raise ConfigError(result.output)


DOES: dict[str, Callable[[], object]] = {
    "`app.add_middleware(guard)` in FastAPI or Starlette": partial(in_both, GUARD),
    "`Security(guard)` or `Depends(guard)`": depends,
    "`app.before_request(guard)` in Flask": before_request,
    "`authentication_classes = [guard]` in Django REST framework": authentication_class,
    "`app.add_middleware(hmac_guard.wsgi.GuardMiddleware, guard=guard)` in FastAPI or Starlette": (
        partial(in_both, WsgiGuard, guard=GUARD)
    ),
    "`app.add_middleware(guard.wsgi)`": partial(in_both, GUARD.wsgi),
    "`app.add_middleware(GuardMiddleware)` without `guard=`": partial(in_both, AsgiGuard),
    "`app.asgi_app = guard.asgi(app)` in Quart": inside_quart,
    "`guard.asgi(flask_app)`": lambda: GUARD.asgi(Flask("mistaken")),
    "`guard.wsgi(fastapi_app)`": lambda: GUARD.wsgi(FastAPI()),
    '`"hmac_guard.wsgi.GuardMiddleware"` in Django\'s MIDDLEWARE': lambda: in_django("hmac_guard.wsgi.GuardMiddleware"),
    '`"hmac_guard.asgi.GuardMiddleware"` in Django\'s MIDDLEWARE': lambda: in_django("hmac_guard.asgi.GuardMiddleware"),
    "`@hmac_guarded(guard)` on a method of a Django view": lambda: hmac_guarded(GUARD)(View.get),
    '`HMAC_GUARD = {"SHCEME": …}`': setting,
    "`GuardExtension(app)`": lambda: GuardExtension(Flask("mistaken")),  # type: ignore[arg-type]
    "`GuardExtension(guard).init_app(quart_app)`": lambda: GuardExtension(GUARD).init_app(quart.Quart("a")),  # type: ignore[arg-type]
    "`GuardExtension(guard, ap=app)`": lambda: GuardExtension(GUARD, ap=Flask("mistaken")),  # type: ignore[call-arg]
    "`Guard(scheme, keys, exmpt=…)`": lambda: Guard(NANGO, KEY, exmpt=()),  # type: ignore[call-arg]
    '`Scheme(encodin="hex", …)`': (
        lambda: Scheme(name="a", ids={"a": Query("a")}, message="{a}", signature=Query("s"), encodin="hex")  # type: ignore[call-arg]
    ),
    "`CachedKeys(source, tl=60)`": lambda: CachedKeys(KEY, tl=60),  # type: ignore[call-arg]
    "`hmac-guard sgin`": partial(command, "sgin"),
    "`hmac-guard keys ad`": partial(command, "keys", "ad"),
    "`hmac-guard sign nagno`": partial(command, "sign", "nagno", "a=b"),
}
CORS = "CORS middleware added before the guard in FastAPI or Starlette, so that it is inside the guard"
INSIDE_FLASK = "`app.wsgi_app = guard.wsgi(app)` in Flask"


def test_each_row_of_the_table_has_a_test() -> None:
    assert ROWS.keys() == {*DOES, CORS, INSIDE_FLASK}


@pytest.mark.parametrize("mistake", DOES)
def test_a_mistake_raises_the_message_of_the_table(mistake: str) -> None:
    with pytest.raises(ConfigError) as raised:
        DOES[mistake]()

    assert ROWS[mistake] in str(raised.value)


async def start(app: Any) -> None:
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None: ...

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)


def added_last(framework: Any, *layers: Any) -> Any:
    """Return an application. The last layer is the outermost one."""
    app = framework()
    for layer in layers:
        app.add_middleware(layer, **({"guard": GUARD} if layer is AsgiGuard else {}))
    return app


def around(framework: Any) -> Any:
    return GUARD.asgi(added_last(framework, CORSMiddleware))


@pytest.mark.parametrize("framework", [FastAPI, Starlette])
@pytest.mark.parametrize("make", [lambda framework: added_last(framework, CORSMiddleware, AsgiGuard), around])
def test_cors_inside_the_guard_is_reported_once_at_startup(
    make: Any, framework: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app = make(framework)
    asyncio.run(start(app))
    asyncio.run(ask_app(app, Sent()))

    warned = [record for record in caplog.records if "CORSMiddleware" in record.getMessage()]
    assert [record.levelno for record in warned] == [logging.WARNING]
    assert ROWS[CORS] in warned[0].getMessage()


def mounted(framework: Any) -> Any:
    inner = Mount("/", routes=[], middleware=[Middleware(AsgiGuard, guard=GUARD), Middleware(CORSMiddleware)])
    app = framework(routes=[inner])
    app.add_middleware(CORSMiddleware)
    return app


@pytest.mark.parametrize("framework", [FastAPI, Starlette])
@pytest.mark.parametrize(
    "make",
    [
        lambda framework: added_last(framework, AsgiGuard, CORSMiddleware),
        lambda framework: added_last(framework, CORSMiddleware, AsgiGuard, CORSMiddleware),
        lambda framework: added_last(framework, AsgiGuard),
        mounted,
    ],
)
def test_cors_outside_the_guard_is_not_reported(make: Any, framework: Any, caplog: pytest.LogCaptureFixture) -> None:
    app = make(framework)
    asyncio.run(start(app))
    asyncio.run(ask_app(app, Sent()))

    assert "CORSMiddleware" not in caplog.text


def test_a_method_of_the_guard_is_a_middleware() -> None:
    app = FastAPI()
    app.add_middleware(GUARD.asgi)

    assert run_asgi(app, Sent()).status == 401


class Wsgi:
    def __call__(self, environ: Any, start_response: Any) -> Any: ...


class Asgi2:
    def __init__(self, scope: Any, receive: Any = None, send: Any = None) -> None: ...


def returns_awaitable(scope: Any, receive: Any, send: Any) -> Any: ...


def any_arguments(*_: Any) -> Any: ...


async def asgi(scope: Any, receive: Any, send: Any) -> None: ...


async def asgi_of_any(*_: Any) -> None: ...


class Asgi:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize("app", [Wsgi(), Wsgi().__call__, partial(Wsgi()), lambda environ, start_response: []])
def test_a_wsgi_application_is_refused_by_asgi_middleware(app: Any) -> None:
    GUARD.wsgi(app)
    with pytest.raises(ConfigError, match="app is a WSGI application"):
        GUARD.asgi(app)


@pytest.mark.parametrize("app", [asgi, asgi_of_any, Asgi(), Asgi().__call__, partial(asgi), returns_awaitable])
def test_an_asgi_application_is_refused_by_wsgi_middleware(app: Any) -> None:
    GUARD.asgi(app)
    with pytest.raises(ConfigError, match="app is an ASGI application"):
        GUARD.wsgi(app)


@pytest.mark.parametrize("app", [any_arguments, Asgi2, print])
def test_an_application_of_an_unknown_kind_is_accepted(app: Any) -> None:
    GUARD.wsgi(app)
    GUARD.asgi(app)


@pytest.mark.parametrize("make", [lambda: Guard(NANGO, GUARD), lambda: GUARD.asgi(GUARD), lambda: GUARD.wsgi(GUARD)])
def test_a_guard_is_refused_as_key_source_and_as_application(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigError):
        make()


def test_a_subclass_of_a_middleware_may_take_other_arguments() -> None:
    class Own(WsgiGuard):
        def __init__(self, app: Any) -> None:
            super().__init__(app, guard=GUARD)

    assert Own(Wsgi()).guard is GUARD


def test_an_option_error_leaves_no_secret_in_local_variables() -> None:
    with pytest.raises(ConfigError) as raised:
        Guard(NANGO, KEY, exmpt=())  # type: ignore[call-arg]

    frames = [entry.frame.f_locals for entry in raised.traceback[1:]]
    assert frames
    assert KEY not in repr(frames)


class InSlots:
    __slots__ = ("app",)

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, *arguments: Any) -> Any:
        return self.app(*arguments)


@pytest.mark.parametrize("around", [ProxyFix, InSlots, lambda app: app], ids=["ProxyFix", "slots", "nothing"])
@pytest.mark.parametrize("inside", [ProxyFix, InSlots, lambda app: app], ids=["ProxyFix", "slots", "nothing"])
def test_an_application_that_calls_its_guard_answers_503_with_the_message_in_the_log(
    around: Any, inside: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app: Any = Flask("mistaken")
    app.wsgi_app = around(GUARD.wsgi(inside(app)))

    assert [app.test_client().get("/").status_code for _ in range(2)] == [503, 503]
    assert [ROWS[INSIDE_FLASK] in message for message in caplog.messages] == [True, True]


@pytest.mark.parametrize("around", [ProxyFix, lambda app: app], ids=["ProxyFix", "nothing"])
@pytest.mark.parametrize("inside", [ProxyFix, lambda app: app], ids=["ProxyFix", "nothing"])
def test_a_guard_in_a_right_place_is_not_refused(around: Any, inside: Any) -> None:
    app: Any = Flask("sound")
    whole = around(GUARD.wsgi(inside(app)))
    assert [run_wsgi_app(whole, environ_for(Sent()))[1] for _ in range(2)] == ["401 Unauthorized"] * 2

    app.wsgi_app = around(GUARD.wsgi(inside(app.wsgi_app)))
    assert [app.test_client().get("/").status_code for _ in range(2)] == [401, 401]


def test_a_wsgi_application_behind_the_guard_still_runs() -> None:
    assert b"".join(GUARD.wsgi(Flask("sound").wsgi_app)(environ_for(Sent()), lambda *_: None))
