"""The ASGI middleware. It lets the driver decide each request, and acts on the outcome."""

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hmac_guard.applications import (
    MISSING_GUARD,
    AsgiApplication,
    check_not_inside,
    is_middleware_of,
    warn_of_cors_inside,
)
from hmac_guard.asgi.body import replay
from hmac_guard.asgi.driver import Driver
from hmac_guard.core.errors import ConfigError, OuterError
from hmac_guard.core.hidden import hide
from hmac_guard.core.refusal import Refusal
from hmac_guard.core.strict import Strict
from hmac_guard.decider import check_app, check_mount_points, decider_of
from hmac_guard.keys.calling import on_a_thread
from hmac_guard.log import failure_of
from hmac_guard.mount_points import mounts_of

if TYPE_CHECKING:
    from hmac_guard.guard import Guard


class GuardMiddleware(Strict):
    """A guard around an ASGI application.

    The verdict is in `scope[guard.annotate_as]`; read it with `verdict_from`. `http` and `websocket` are verified,
    `lifespan` passes; any other type raises `ValueError`, as the ASGI specification requires. When the server shuts the
    application down, `on_decision` is closed if it has a `close`, as `VerdictCounts` has. A body is read only if the
    scheme has a source in it or signs it, and must arrive within ten seconds.

    Args:
        app: The application.
        guard: The guard.

    Raises:
        ConfigError: `guard` is not a guard, or it cannot work around this application.

    Example::

        app.add_middleware(GuardMiddleware, guard=guard)
        app = GuardMiddleware(app, guard=guard)
    """

    _missing = MappingProxyType({"guard": MISSING_GUARD})

    def __init__(self, app: AsgiApplication, *, guard: "Guard") -> None:
        hidden = hide(guard)
        del guard
        decider = decider_of("GuardMiddleware", hidden)
        check_app(type(self), app, decider, "an ASGI")
        self._driver = Driver(decider, mounts_of(app))
        self.app: AsgiApplication = app
        self.guard: Guard = hidden.get()
        self._is_checked = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._start(scope, receive, send)
            return
        # The application is called outside of the `try`, with nothing left to do that may fail.
        failure = outer = None
        try:
            if not self._is_checked:  # A server may leave out the lifespan.
                self._check_place(scope)
            pending = self._driver.decide(scope, receive)
            refusal, request = pending if isinstance(pending, tuple) else await pending
            if refusal is not None and request.broke_off:
                return
            if request.stream is not None:
                receive = partial(replay, request.stream, receive)
            # The request has the signature, and the application may raise: error trackers record local variables.
            del request, pending
        except OuterError as error:
            outer = error
        except Exception as error:
            failure = failure_of(error)
        if outer is not None:
            outer.raise_error()
        if failure is not None:
            refusal = self._driver.decider.fault(scope, failure)
        if refusal is not None:
            await send_refusal(refusal, scope, send)
            return
        await self.app(scope, receive, send)

    async def _start(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the lifespan to the application, after the checks for which the guard has to be in its place."""
        if scope["type"] != "lifespan":
            raise ValueError(f"the guard does not know the ASGI scope type {ascii(scope['type'])[:40]}")
        warn_of_cors_inside(self, scope, self.guard.scheme.name)
        try:
            self._check_place(scope)
        except ConfigError as error:
            # Without this message, some servers start the application all the same.
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await self.app(scope, self._closing(receive), send)

    def _check_place(self, scope: Any) -> None:
        """Raise `ConfigError` if this middleware, or an entry of its guard, cannot work where the middleware is now."""
        check_not_inside(self, "asgi_app")
        app = scope.get("app")
        if is_middleware_of(self, app):
            check_mount_points(app, self._driver.decider)
        self._is_checked = True

    def _closing(self, receive: Any) -> Any:
        """Return a `receive` that closes the guard's callbacks before the application gets the shutdown.

        uvicorn ends its process by a signal after that, and Python then runs no exit handlers.
        """
        close = self._driver.decider.closing()
        if close is None:
            return receive

        async def receive_and_close() -> Any:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await on_a_thread(close)
            return message

        return receive_and_close


async def send_refusal(refusal: Refusal, scope: Any, send: Any) -> None:
    """Answer a request, or an unaccepted websocket in the way that its server supports."""
    kind = "http.response"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        kind = "websocket.http.response"
    await send({"type": kind + ".start", "status": refusal.code, "headers": list(refusal.raw_headers)})
    await send({"type": kind + ".body", "body": refusal.body_for(scope.get("method"))})
