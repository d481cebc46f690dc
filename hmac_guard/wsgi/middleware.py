"""The WSGI middleware. It lets the driver decide each request, and acts on the outcome."""

from collections.abc import Iterable
from types import MappingProxyType
from typing import TYPE_CHECKING

from hmac_guard.applications import MISSING_GUARD, check_not_inside
from hmac_guard.core.errors import OuterError
from hmac_guard.core.hidden import hide
from hmac_guard.core.refusal import Refusal
from hmac_guard.core.strict import Strict
from hmac_guard.decider import check_app, decider_of
from hmac_guard.log import failure_of
from hmac_guard.wsgi.driver import Driver

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from hmac_guard.guard import Guard


class GuardMiddleware(Strict):
    """A guard around a WSGI application.

    The verdict is in `environ[guard.annotate_as]`; read it with `verdict_from`. A body is read only if the scheme has a
    source in it or signs it; how long a client may take to send it is the server's setting.

    Args:
        app: The application.
        guard: The guard.

    Raises:
        ConfigError: `guard` is not a guard, it cannot work around this application, or its key resolver works only on
            one event loop.

    Example::

        app.wsgi_app = GuardMiddleware(app.wsgi_app, guard=guard)
    """

    _missing = MappingProxyType({"guard": MISSING_GUARD})

    def __init__(self, app: "WSGIApplication", *, guard: "Guard") -> None:
        hidden = hide(guard)
        del guard
        self._driver = Driver("GuardMiddleware", decider_of("GuardMiddleware", hidden))
        check_app(type(self), app, self._driver.decider, "a WSGI")
        self.app: WSGIApplication = app
        self.guard: Guard = hidden.get()
        self._is_checked = False

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        failure = outer = None
        try:
            if not self._is_checked:
                check_not_inside(self, "wsgi_app")
                self._is_checked = True
            refusal = self._driver.decide(environ)
        except OuterError as error:
            outer = error
        except Exception as error:
            failure = failure_of(error)
        if outer is not None:
            outer.raise_error()
        if failure is not None:
            refusal = self._driver.decider.fault(environ, failure)
        if refusal is not None:
            return send_refusal(refusal, environ, start_response)
        return self.app(environ, start_response)


def send_refusal(refusal: Refusal, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answer a request."""
    start_response(refusal.line, list(refusal.headers))
    return [refusal.body_for(environ.get("REQUEST_METHOD"))]
