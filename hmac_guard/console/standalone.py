"""The console on the loopback interface of this machine, with a login link that works once."""

import hashlib
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable
from math import inf
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from hmac_guard.console.access import Operator, check_token, is_own_origin, is_same_token
from hmac_guard.console.console import Console
from hmac_guard.console.context import asset_url, html
from hmac_guard.console.site import (
    COOKIE,
    failure_text,
    limited_request,
    problem,
    problem_of,
    static_file,
    with_security_headers,
)
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.scheme import Scheme
from hmac_guard.keys.sql import VerdictLedger

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

HOST = "127.0.0.1"

#: Seconds for which a link works, and the number of wrong tokens that end it.
LINK_LIFETIME, TRIES = 15 * 60, 10
#: Seconds after which a session ends: in all, and without a request.
SESSION, IDLE = 12 * 3_600, 3_600
#: The maximum number of sessions. The oldest one ends if there are more.
MAX_SESSIONS = 100

SESSION_COOKIE = "hmac_guard_login"

_OWN_HOST = re.compile(rf"(?:{re.escape(HOST)}|localhost)(?::[0-9]{{1,5}})?")


class Link:
    """The token of a login link. It works once, for 15 minutes, and not after ten wrong tokens."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Hidden[str] | None = None
        self._until, self._tries = 0.0, 0

    def make(self) -> Hidden[str]:
        """Return a new token. The previous one becomes invalid."""
        with self._lock:
            self._token, self._until, self._tries = hide(secrets.token_urlsafe(32)), self._clock() + LINK_LIFETIME, 0
            return self._token

    def use(self, given: Hidden[str]) -> bool:
        """Return whether this is the token. The right token, or the tenth wrong one, ends the link."""
        with self._lock:
            token = self._token
            if token is None or self._clock() > self._until:
                return False
            is_right = is_same_token(given.get(), token)
            self._tries += not is_right
            if is_right or self._tries >= TRIES:
                self._token = None
            return is_right


class Sessions:
    """The sessions of the browsers that are logged in. They end with the process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._times: dict[bytes, tuple[float, float]] = {}

    def begin(self) -> Hidden[str]:
        """Return the name of a new session, for a cookie."""
        name, now = hide(secrets.token_urlsafe(32)), self._clock()
        with self._lock:
            self._times[_digest(name)] = (now, now)
            while len(self._times) > MAX_SESSIONS:
                del self._times[next(iter(self._times))]
        return name

    def use(self, name: Hidden[str]) -> bool:
        """Return whether a session is valid. A use extends it to one hour from now, and to twelve hours in all."""
        digest, now = _digest(name), self._clock()
        with self._lock:
            started, used = self._times.pop(digest, (-inf, -inf))
            if now - started > SESSION or now - used > IDLE:
                return False
            self._times[digest] = (started, now)
            return True

    def end(self, name: Hidden[str]) -> None:
        """End a session."""
        with self._lock:
            self._times.pop(_digest(name), None)


class Standalone:
    """A console with its own login, as a WSGI application for one port of the loopback interface.

    Args:
        keys: A `SqlKeys`.
        schemes: The schemes.
        operator: The name of the operator, for the audit.
        counts: As `Console` takes it.
        clock: A function that returns the Unix time in seconds.
    """

    def __init__(
        self,
        keys: Any,
        schemes: Iterable[Scheme],
        operator: str,
        *,
        counts: VerdictLedger | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._operator = Operator(operator, "operator")
        self.console = Console(keys, schemes=schemes, authorize=self._authorize, counts=counts, clock=clock)
        # Cookies are sent to every port of a host, but only below their path.
        self.prefix = f"/{secrets.token_urlsafe(12)}"
        self.link = Link(clock)
        self.sessions = Sessions(clock)
        self._clock = clock

    def new_link(self, port: int) -> Hidden[str]:
        """Return a login link for the server on this port. The previous link becomes invalid."""
        return hide(f"http://{HOST}:{port}/login#{self.link.make().get()}")

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        request = limited_request(environ)
        try:
            response = self._answer(request)
        except HTTPException as error:
            response = problem_of(request, self.console.title, error)
        except SQLAlchemyError as error:
            response = problem(request, self.console.title, 503, failure_text(error, request))
        return with_security_headers(response)(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if not _is_own_host(request):
            return problem(request, self.console.title, 421, "The console answers only at 127.0.0.1 and localhost.")
        if request.path.startswith(f"{self.prefix}/"):
            return self._log_out(request) if request.path == f"{self.prefix}/logout" else self._page(request)
        if request.path in ("/", "/login"):
            return self._log_in(request) if request.method == "POST" else self._form(request)
        return static_file(request.path.removeprefix("/static/"))

    def _page(self, request: Request) -> Response:
        """Return a page of the console, or without a session a redirect to the login."""
        if request.method == "GET" and not self.sessions.use(_session_of(request)):
            return redirect("/login", 303)
        environ = request.environ
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = self.prefix, environ["PATH_INFO"][len(self.prefix) :]
        environ["hmac_guard.console.logout"] = f"{self.prefix}/logout"
        return self.console.wsgi.respond(environ)

    def _authorize(self, request: Request) -> Operator | None:
        return self._operator if self.sessions.use(_session_of(request)) else None

    def _form(self, request: Request, status: int = 200, text: str = "") -> Response:
        return html(
            "login.html",
            status,
            console_title=self.console.title,
            problem=text,
            asset=lambda name: asset_url(request, name),
        )

    def _log_in(self, request: Request) -> Response:
        # Before a wrong token is counted, so that another site cannot end the link.
        if not is_own_origin(request, frozenset()):
            return self._form(request, 403, "The form was sent from another origin.")
        if not self.link.use(hide(request.form.get("token", "").strip())):
            return self._form(
                request,
                403,
                "This link was used, has expired, or is wrong. Press Enter in the terminal for a new link.",
            )
        response = redirect(f"{self.prefix}/", 303)
        _set_cookie(response, self.sessions.begin(), f"{self.prefix}/")
        return response

    def _log_out(self, request: Request) -> Response:
        session = request.cookies.get(COOKIE, "")
        token = request.form.get("token", "") if request.method == "POST" else ""
        secret, name = self.console.secret(), self._operator.name
        if not is_own_origin(request, frozenset()) or check_token(secret, token, session, name, self._clock()):
            return problem(
                request, self.console.title, 403, "You are still logged in: the form did not come from the console."
            )
        self.sessions.end(_session_of(request))
        response = redirect("/login", 303)
        response.delete_cookie(SESSION_COOKIE, path=f"{self.prefix}/", httponly=True, samesite="Strict")
        return response


def serve(app: Standalone, port: int = 0) -> BaseWSGIServer:
    """Return a server for the console on the loopback interface. It logs no request.

    Args:
        app: The console.
        port: The port. 0 chooses a free one.

    Raises:
        OSError: The port is in use, or cannot be used.
    """
    with socket.create_server((HOST, port)) as listener:
        return make_server(HOST, port, app, threaded=True, request_handler=_SilentHandler, fd=listener.fileno())


class _SilentHandler(WSGIRequestHandler):
    """Logs no request, because a URL contains names of tenants."""

    def log(self, type: str, message: str, *args: Any) -> None: ...


def _is_own_host(request: Request) -> bool:
    """Return whether the Host names this machine. Another site can let its own name resolve to 127.0.0.1.

    The port may be another one, such as that of `ssh -L`.
    """
    return _OWN_HOST.fullmatch(request.headers.get("Host", "")) is not None


def _session_of(request: Request) -> Hidden[str]:
    return hide(request.cookies.get(SESSION_COOKIE, ""))


def _set_cookie(response: Response, name: Hidden[str], path: str) -> None:
    response.set_cookie(SESSION_COOKIE, name.get(), path=path, httponly=True, samesite="Strict")


def _digest(name: Hidden[str]) -> bytes:
    return hashlib.sha256(name.get().encode(errors="replace")).digest()
