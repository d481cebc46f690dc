"""The ASGI middleware: has each request decided, and acts on the outcome."""

from typing import Any

from hmac_guard.asgi.request import merged_cookies
from hmac_guard.asgi.steps import Steps
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.refusal import Refusal
from hmac_guard.guard import Guard
from hmac_guard.log import logger


class GuardMiddleware:
    """A guard around an ASGI application: `app.add_middleware(GuardMiddleware, guard=guard)`, or
    `app = GuardMiddleware(app, guard=guard)`.

    The verdict stands in `scope[guard.annotate_as]`; read it with `verdict_from`. `http` and `websocket` are judged,
    `lifespan` passes, anything else is refused. A body is read only if the scheme has a source in it, and has to arrive
    within ten seconds.
    """

    def __init__(self, app: Any, *, guard: Guard) -> None:
        self._steps = Steps("GuardMiddleware", guard)
        if not callable(app):
            raise ConfigError("GuardMiddleware: app must be an ASGI application")
        if isinstance(app, GuardMiddleware) and app.guard.annotate_as == guard.annotate_as:
            raise ConfigError("GuardMiddleware: two stacked guards need two names; give one of them annotate_as=")
        self.app: Any = app
        self.guard: Guard = guard

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            await self._pass_lifespan(scope, receive, send)
            return
        guard = self.guard
        try:
            (verdict, refusal), body = await self._steps.decide(scope, receive)
            if refusal is None:
                scope = {**scope, guard.annotate_as: verdict, guard.issued_as: guard.issuer}
                if self._steps.merges_cookies:
                    scope["headers"] = merged_cookies(scope.get("headers", ()))
                if body is not None:
                    receive = body.hand_on()
            elif body is not None and body.disconnected:
                return
        except Exception as error:
            refusal = guard.fault(error)
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            await send_refusal(refusal, scope, send)

    async def _pass_lifespan(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        else:
            logger.error("refused: the guard does not know the ASGI scope type %s", ascii(scope["type"])[:40])


async def send_refusal(refusal: Refusal, scope: Any, send: Any) -> None:
    """Answer a request, or an unaccepted websocket in the way that its server can."""
    kind = "http.response"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        kind = "websocket.http.response"
    await send({"type": kind + ".start", "status": refusal.status.value, "headers": list(refusal.raw_headers)})
    await send({"type": kind + ".body", "body": b"" if scope.get("method") == "HEAD" else refusal.body})
