"""A new Django project for each test, with its middleware and its view."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import django_settings  # noqa: F401 -- first of all
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import clear_url_caches, re_path
from django.utils.decorators import async_only_middleware, sync_only_middleware
from support import Reply, Sent, environ_for, run_asgi
from werkzeug.test import run_wsgi_app

from hmac_guard import Guard
from hmac_guard.django import GuardMiddleware

GUARDED = f"{__name__}.Guarded"
SYNC_ONLY = f"{__name__}.sync_only"
ASYNC_ONLY = f"{__name__}.async_only"


class Guarded(GuardMiddleware):
    """The guard's middleware; each test sets its `guard`."""


@sync_only_middleware
def sync_only(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    return get_response


@async_only_middleware
def async_only(get_response: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> Any:
    async def middleware(request: HttpRequest) -> HttpResponse:
        return await get_response(request)

    return middleware


class CorsMiddleware:
    """Replaces django-cors-headers. Only its name and its place matter."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response


@contextmanager
def project(view: Any = None, *, urls: Any = None, **changes: Any) -> Iterator[None]:
    """The settings of a project. All paths are routed to `view`, or by the URL patterns `urls`."""

    class URLs:
        urlpatterns = urls if urls is not None else [re_path("", view)]

    with override_settings(ROOT_URLCONF=URLs, **changes):
        try:
            yield
        finally:
            clear_url_caches()


def send(server: str, sent: Sent, guard: "Guard | None" = None) -> Reply:
    """Return the answer of the project over WSGI or ASGI, with or without a guard around the application."""
    if server == "asgi":
        asgi = ASGIHandler()
        return run_asgi(guard.asgi(asgi) if guard else asgi, sent)
    wsgi = WSGIHandler()
    body, status, headers = run_wsgi_app(guard.wsgi(wsgi) if guard else wsgi, environ_for(sent))
    return Reply(int(status[:3]), {name.lower(): value for name, value in headers}, b"".join(body))
