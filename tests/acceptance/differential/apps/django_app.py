"""Django over WSGI and ASGI, and Django REST framework: they share one set of settings and differ in their views."""

import json
from collections.abc import Callable
from typing import Any

import django_settings  # noqa: F401 -- first of all
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.urls import path
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from acceptance.differential.apps import reply_of

READERS: dict[str, Callable[[HttpRequest], object]] = {
    "query": lambda request: request.GET.get("a"),
    "header": lambda request: request.headers.get("X-Sig"),
    "cookie": lambda request: request.COOKIES.get("a"),
    "form": lambda request: request.POST.get("a"),
    "json": lambda request: json.loads(request.body).get("a"),
    "raw": lambda request: request.body.decode("latin-1"),
}
REST_READERS: dict[str, Callable[[Any], object]] = {
    "query": lambda request: request.query_params.get("a"),
    "header": lambda request: request.headers.get("X-Sig"),
    "cookie": lambda request: request.COOKIES.get("a"),
    "form": lambda request: request.data.get("a"),
    "json": lambda request: request.data.get("a"),
    "raw": lambda request: request.body.decode("latin-1"),
}


def sync_view(read: Callable[[HttpRequest], object]) -> Callable[[HttpRequest], HttpResponse]:
    return lambda request: HttpResponse(reply_of(read(request)))


def sync_path(request: HttpRequest, a: str) -> HttpResponse:
    return HttpResponse(reply_of(a))


def async_view(read: Callable[[HttpRequest], object]) -> Callable[[HttpRequest], Any]:
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(reply_of(read(request)))

    return view


async def async_path(request: HttpRequest, a: str) -> HttpResponse:
    return HttpResponse(reply_of(a))


class RestView(APIView):
    authentication_classes = ()
    permission_classes = ()
    renderer_classes = (JSONRenderer,)
    read: Any = None

    def get(self, request: Request, a: str | None = None) -> HttpResponse:
        return HttpResponse(reply_of(self.read(request) if self.read else a))

    post = put = patch = delete = get


class Urls:
    """What Django takes for a module of URL patterns."""

    def __init__(self, view: Callable[[Any], Any], readers: dict[str, Any], path_view: Any) -> None:
        self.urlpatterns = [path(source, view(read)) for source, read in readers.items()]
        self.urlpatterns.append(path("p/<str:a>/c", path_view))


SYNC_URLS = Urls(sync_view, READERS, sync_path)
ASYNC_URLS = Urls(async_view, READERS, async_path)
REST_URLS = Urls(lambda read: RestView.as_view(read=staticmethod(read)), REST_READERS, RestView.as_view())


class PlainWsgi(WSGIHandler):
    """The handler of every Django project, with no middleware and with its own URLs."""

    def __init__(self, urls: Any) -> None:
        super().__init__()
        self.request_class = type("Request", (WSGIRequest,), {"urlconf": urls})


class PlainAsgi(ASGIHandler):
    def __init__(self, urls: Any) -> None:
        super().__init__()
        self.request_class = type("Request", (ASGIRequest,), {"urlconf": urls})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # As its base does, less the signals, which are about databases and would each wait for a thread.
        with await self.read_body(receive) as body:
            request, refusal = self.create_request(scope, body)
            response: Any = refusal or await self.get_response_async(request)  # type: ignore[arg-type]
        await send({"type": "http.response.start", "status": response.status_code, "headers": []})
        await send({"type": "http.response.body", "body": response.content})


django_wsgi = PlainWsgi(SYNC_URLS)
django_asgi = PlainAsgi(ASYNC_URLS)
rest = PlainWsgi(REST_URLS)
