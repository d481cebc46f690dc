"""The applications of docs/console.md, each with the console below `/console/`: `console_apps:NAME`."""

import os
from functools import cache
from typing import Any

from consoles import by_header
from documented import blocks
from key_sources import KEY
from sqlalchemy import create_engine

from hmac_guard import Guard
from hmac_guard.console import Console, Operator
from hmac_guard.keys import SqlKeys
from hmac_guard.schemes import NANGO

DB = "HMAC_GUARD_TEST_CONSOLE"
FIRST, *_REST = blocks("docs/console.md")
BLOCKS = {block.heading: block for block in _REST}


def make(name: str, **more: Any) -> dict[str, Any]:
    """The names that the code of the docs uses, and those that it makes."""
    keys = SqlKeys(create_engine(os.environ[DB]))
    names = {"keys": keys, "Guard": Guard, "NANGO": NANGO, "Operator": Operator, "Console": Console, **more}
    names.setdefault("console", Console(keys, schemes=[NANGO], authorize=by_header))
    return BLOCKS[name].run(**names)


def flask_app() -> Any:
    from flask import Flask

    app = Flask("console")
    app.add_url_rule("/orders", view_func=lambda: "the application")
    return make("Flask", app=app)["app"]


def flask_app_that_names_its_worker() -> Any:
    app = flask_app()

    def name_worker(response: Any) -> Any:
        response.headers["X-Worker"] = str(os.getpid())
        return response

    app.after_request(name_worker)
    return app


def starlette_app() -> Any:
    from starlette.applications import Starlette

    from hmac_guard.asgi import GuardMiddleware

    return make("Starlette and FastAPI", app=Starlette(), GuardMiddleware=GuardMiddleware)["app"]


def fastapi_app() -> Any:
    from fastapi import FastAPI

    from hmac_guard.asgi import GuardMiddleware

    return make("Starlette and FastAPI", app=FastAPI(), GuardMiddleware=GuardMiddleware)["app"]


def django_urls() -> Any:
    from django.urls import include, path

    return make("Django", path=path, include=include)


def django_app(kind: str) -> Any:
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application

    keys = SqlKeys(create_engine(os.environ[DB]))
    settings.configure(
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["hmac_guard.django"],
        MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware", "hmac_guard.django.GuardMiddleware"],
        HMAC_GUARD=Guard(NANGO, keys, exempt=("/console/",)),
        SECRET_KEY=KEY,
        ROOT_URLCONF=type("URLs", (), {"urlpatterns": django_urls()["urlpatterns"]}),
    )
    return get_wsgi_application() if kind == "wsgi" else get_asgi_application()


APPLICATIONS = {
    "flask": ("waitress", flask_app),
    "django_wsgi": ("waitress", lambda: django_app("wsgi")),
    "django_asgi": ("uvicorn-h11", lambda: django_app("asgi")),
    "starlette": ("uvicorn-h11", starlette_app),
    "fastapi": ("uvicorn-h11", fastapi_app),
}


@cache
def _made(name: str) -> Any:
    """uvicorn asks for an application twice."""
    return APPLICATIONS[name][1]()


def __getattr__(name: str) -> Any:
    if name == "of_a_worker":
        return flask_app_that_names_its_worker()
    if name not in APPLICATIONS:
        raise AttributeError(name)
    return _made(name)
