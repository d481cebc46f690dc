"""The WSGI middleware: has each request decided, and acts on the outcome."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.refusal import Refusal
from hmac_guard.guard import Guard
from hmac_guard.wsgi.steps import Steps

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class GuardMiddleware:
    """A guard around a WSGI application: `app.wsgi_app = GuardMiddleware(app.wsgi_app, guard=guard)`.

    The verdict stands in `environ[guard.annotate_as]`; read it with `verdict_from`. A body is read only if the scheme
    has a source in it; how long a client may take to send it is the server's setting. Raises `ConfigError` for a guard
    whose key resolver works on one event loop alone.
    """

    def __init__(self, app: "WSGIApplication", *, guard: Guard) -> None:
        self._steps = Steps("GuardMiddleware", guard)
        if not callable(app):
            raise ConfigError("GuardMiddleware: app must be a WSGI application")
        if isinstance(app, GuardMiddleware) and app.guard.annotate_as == guard.annotate_as:
            raise ConfigError("GuardMiddleware: two stacked guards need two names; give one of them annotate_as=")
        self.app: WSGIApplication = app
        self.guard: Guard = guard

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        guard = self.guard
        try:
            verdict, refusal = self._steps.decide(environ)
        except Exception as error:
            refusal = guard.fault(error)
        if refusal is not None:
            return send_refusal(refusal, environ, start_response)
        # On two servers an environment variable of that name would stand here.
        environ[guard.annotate_as] = verdict
        environ[guard.issued_as] = guard.issuer
        return self.app(environ, start_response)


def send_refusal(refusal: Refusal, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answer a request."""
    start_response(f"{refusal.status.value} {refusal.status.phrase}", list(refusal.headers))
    return [b"" if environ.get("REQUEST_METHOD") == "HEAD" else refusal.body]
