"""The console inside of Flask and Django."""

from collections.abc import AsyncIterator, Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hmac_guard.console.site import Site

REQUEST = "hmac_guard.console.request"


def flask_blueprint(site: "Site", name: str) -> Any:
    """Return a Flask blueprint with every page of the console."""
    from flask import Blueprint, request

    blueprint = Blueprint(name, __name__)

    def serve(path: str = "") -> Any:
        environ = dict(request.environ)
        # Flask has matched the mount point; what is left of the path is the console's.
        whole = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        own = f"/{path}".encode().decode("latin-1")
        current: Any = request  # A proxy, which is declared as the request itself.
        environ |= {"SCRIPT_NAME": whole.removesuffix(own), "PATH_INFO": own, REQUEST: current._get_current_object()}
        return site.respond(environ)

    # No method is left to Flask: its own answer to OPTIONS is not the console's.
    methods = ["GET", "POST"]
    blueprint.add_url_rule("/", "index", serve, methods=methods, provide_automatic_options=False)
    blueprint.add_url_rule("/<path:path>", "page", serve, methods=methods, provide_automatic_options=False)
    return blueprint


def django_urls(site: "Site") -> list[Any]:
    """Return URL patterns with every page of the console."""
    from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
    from django.urls import re_path
    from django.views.decorators.csrf import csrf_exempt

    def serve(request: HttpRequest, path: str) -> Any:
        environ = _environ_of(request, path)
        response = site.respond(environ)
        body: Iterable[bytes] = response.get_app_iter(environ)
        answer: Any
        if response.is_streamed:
            parts = _on_threads(body) if hasattr(request, "scope") else body
            answer = StreamingHttpResponse(parts, status=response.status_code)
        else:
            answer = HttpResponse(b"".join(body), status=response.status_code)
        del answer["Content-Type"]
        cookies = []
        for name, value in response.get_wsgi_headers(environ):
            if name.lower() == "set-cookie":
                cookies.append(value)
            else:
                answer[name] = value
        for cookie in cookies:
            answer.cookies.load(cookie)
        return answer

    # The console has tokens of its own.
    return [re_path(r"^(?P<path>.*)$", csrf_exempt(serve))]


async def _on_threads(body: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Yield the parts of a body, each made on a thread, so that the event loop waits for no database."""
    from asgiref.sync import sync_to_async

    rest = iter(body)
    while (part := await sync_to_async(lambda: next(rest, None), thread_sensitive=False)()) is not None:
        yield part


def _environ_of(request: Any, path: str) -> dict[str, Any]:
    environ = {name: value for name, value in request.META.items() if isinstance(value, str)}
    own = f"/{path}"
    root = request.path.removesuffix(own)
    body = request.body
    return {
        **environ,
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": root.encode().decode("latin-1"),
        "PATH_INFO": own.encode().decode("latin-1"),
        "wsgi.url_scheme": request.scheme,
        "wsgi.input": BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_HOST": request.META.get("HTTP_HOST", ""),
        REQUEST: request,
    }
