"""The WSGI application of the console: the page for each path, who may see it, and the headers of every response."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from inspect import Parameter, Signature
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException, NotFound, RequestEntityTooLarge
from werkzeug.wrappers import Request, Response

from hmac_guard.console.access import check_token, is_own_origin, is_session, new_session, operator_of
from hmac_guard.console.context import ASSETS, Context, asset_url, html, url_below
from hmac_guard.console.pages import audit, keys, signatures, tenants
from hmac_guard.core.errors import ConfigError
from hmac_guard.log import failure_of, lacks_table, logger

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from hmac_guard.console.console import Console

#: The maximum size of a form, in bytes.
MAX_BYTES = 1_048_576
TOO_LARGE = "The form is larger than 1 MiB. Send less: of a HAR file, paste only the entry of one request."

COOKIE = "hmac_guard_console"

Page = Callable[[Context], Response]


@dataclass(frozen=True, slots=True)
class Route:
    """The pages at one path.

    Attributes:
        get: The page for GET.
        post: The page for a form.
        viewers: Whether viewers may use them. It is False for what changes something.
    """

    get: Page | None = None
    post: Page | None = None
    viewers: bool = True

    def pages(self) -> dict[str, Page]:
        """Return the page for each method that the path supports."""
        pages = {"GET": self.get, "HEAD": self.get, "POST": self.post}
        return {method: page for method, page in pages.items() if page is not None}


ROUTES: Mapping[str, Route] = {
    "/": Route(tenants.show_tenants),
    "/new": Route(keys.tenant_form, keys.add_tenant, viewers=False),
    "/tenant": Route(tenants.show_tenant),
    "/tenant/key": Route(keys.key_form, keys.add_key, viewers=False),
    "/tenant/env": Route(post=keys.download_env, viewers=False),
    "/tenant/rotate": Route(keys.rotation_form, keys.rotate, viewers=False),
    "/tenant/end": Route(keys.end_form, keys.end_key, viewers=False),
    "/tenant/note": Route(keys.note_form, keys.save_note, viewers=False),
    "/tenant/switch": Route(tenants.show_modes),
    "/tenant/switch/confirm": Route(tenants.confirm_mode, tenants.change_mode, viewers=False),
    "/check": Route(signatures.check_form, signatures.check),
    "/check/signature": Route(post=signatures.show_right_signature, viewers=False),
    "/refusals": Route(tenants.show_refusals),
    "/signing": Route(signatures.show_how_to_sign),
    "/signing.md": Route(signatures.download_how_to_sign),
    "/audit": Route(audit.show_audit),
    "/audit.csv": Route(audit.download_csv),
    "/audit.jsonl": Route(audit.download_json_lines),
}

_FAILED = "The page failed. The log says where. A change is made completely, or not at all."

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # With "no-referrer", browsers send `Origin: null` with every form.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Site:
    """The console as a WSGI application."""

    def __init__(self, console: "Console") -> None:
        self._console = console

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse", *of_asgi: object
    ) -> Iterable[bytes]:
        if of_asgi:
            raise ConfigError("Console: console.wsgi is a WSGI application, and it is called as ASGI; use console.asgi")
        return self.respond(environ)(environ, start_response)

    # So `guard.asgi(console.wsgi)` is refused.
    __call__.__signature__ = Signature(  # type: ignore[attr-defined]
        [Parameter(name, Parameter.POSITIONAL_ONLY) for name in ("self", "environ", "start_response")]
    )

    def respond(self, environ: "WSGIEnvironment") -> Response:
        """Return the response to a request. An error becomes a page with its status, so nothing is raised."""
        request = limited_request(environ)
        try:
            response = self._answer(request)
        except HTTPException as error:
            response = problem_of(request, self._console.title, error)
        return with_security_headers(response)

    def _answer(self, request: Request) -> Response:
        if request.path.startswith("/static/"):
            return static_file(request.path.removeprefix("/static/"))
        if not request.environ.get("PATH_INFO"):  # The mount point without its "/".
            return Response(status=308, headers={"Location": url_below(request, "/")})
        operator = operator_of(self._console.authorize, request)
        if operator is None:
            return self._problem(request, 403, "You are not signed in as an operator of this console.")
        given = request.cookies.get(COOKIE, "")
        session = given if is_session(given) else new_session()
        context = Context(self._console, request, operator, session)
        response = self._page(context)
        # A browser sends no cookie with a form of another site, but stores that of the answer: open forms would fail.
        if session != given and request.method != "POST" and response.status_code < 500:
            self._set_cookie(request, response, session)
        return response

    def _page(self, context: Context) -> Response:
        """Return the page, or a page with the error.

        The error is logged after its block, because an error tracker records the local variables of the block.
        """
        request, title = context.request, self._console.title
        try:
            # First, so that no statement runs after a page has made a secret.
            self._console.secret()
            return self._routed(context)
        except ConfigError as error:
            return problem(request, title, 400, str(error).removeprefix("SqlKeys: "))
        except SQLAlchemyError as error:
            status, failure, text = 503, failure_of(error).kind, failure_text(error, request)
        except HTTPException:
            raise
        except Exception as error:
            status, failure, text = 500, str(failure_of(error)), _FAILED
        logger.error("console: %s %a failed: %s", request.method, request.path, failure)
        return problem(request, title, status, text)

    def _routed(self, context: Context) -> Response:
        request, route = context.request, ROUTES.get(context.request.path)
        if route is None:
            return self._problem(request, 404, "There is no such page.")
        pages = route.pages()
        if request.method not in pages:
            response = self._problem(request, 405, "This page does not support this method.")
            response.headers["Allow"] = ", ".join(pages)
            return response
        if not route.viewers and not context.operator.may_change:
            return self._problem(
                request, 403, "Your role is viewer: you can see pages and check signatures, but change nothing."
            )
        if request.method == "POST":
            refused = self._refused(context)
            if refused:
                return self._problem(
                    request, 403, f"Nothing was changed: {refused}. Go back, reload the page, and try again."
                )
        return pages[request.method](context)

    def _refused(self, context: Context) -> str:
        """Return why the form is refused, or ""."""
        console, request = self._console, context.request
        if not is_own_origin(request, console.origins):
            return (
                "the form was sent from another origin. Behind TLS termination, or a proxy that changes Host or its "
                "port, name the address of this page in Console(origins=[...])"
            )
        given = request.cookies.get(COOKIE, "")
        token = request.form.get("token", "")
        found = check_token(console.secret(), token, given, context.operator.name, context.now())
        return "" if found is None else found.value

    def _problem(self, request: Request, status: int, text: str) -> Response:
        return problem(request, self._console.title, status, text)

    def _set_cookie(self, request: Request, response: Response, session: str) -> None:
        secure = request.is_secure or any(origin.startswith("https:") for origin in self._console.origins)
        # Lax, since it is no login: a link on another site must not begin a new session, in which open forms fail.
        response.set_cookie(COOKIE, session, path=url_below(request, "/"), secure=secure, httponly=True, samesite="Lax")


def failure_text(error: SQLAlchemyError, request: Request) -> str:
    """Return what a page says of an error of the database."""
    cause = "The database cannot be reached, or reports an error."
    if lacks_table(error):
        cause = "A table does not exist: call create_table() of the SqlKeys."
    looked = "Look whether your change was made before you try again." if request.method == "POST" else "Try again."
    return f"{cause} {looked}"


def problem(request: Request, title: str, status: int, text: str) -> Response:
    """Return a page with an error."""
    return html(
        "problem.html",
        status,
        console_title=title,
        status=status,
        name=HTTPStatus(status).phrase,
        text=text,
        home=url_below(request, "/"),
        asset=lambda file: asset_url(request, file),
    )


def problem_of(request: Request, title: str, error: HTTPException) -> Response:
    """Return the page for an error of werkzeug."""
    text = TOO_LARGE if isinstance(error, RequestEntityTooLarge) else error.description or ""
    return problem(request, title, error.code or 400, text)


def with_security_headers(response: Response) -> Response:
    """Add the headers that every response has."""
    for name, value in _HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def static_file(name: str) -> Response:
    """Return the script, the stylesheet or the icon. They are the same for all users.

    Raises:
        NotFound: There is no such file.
    """
    if name not in ASSETS:
        raise NotFound("There is no such file.")
    asset = ASSETS[name]
    headers = {"Cache-Control": "public, max-age=86400"}
    return Response(asset.content, content_type=asset.content_type, headers=headers)


def limited_request(environ: "WSGIEnvironment") -> Request:
    """Return the request; a form that is larger than `MAX_BYTES` is refused when it is read."""
    # werkzeug raises an error for a query that is not UTF-8.
    query = environ.get("QUERY_STRING", "").encode("latin-1", "replace").decode("utf-8", "replace")
    environ["QUERY_STRING"] = query.encode().decode("latin-1")
    request = Request(environ)
    request.max_content_length = MAX_BYTES
    request.max_form_memory_size = MAX_BYTES
    request.max_form_parts = 200
    return request
