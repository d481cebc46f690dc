from typing import Any

from litestar import Litestar, Request, WebSocket, route, websocket
from litestar.middleware import DefineMiddleware

from acceptance.conformance.guards import GUARDS, BodyReport
from hmac_guard import Guard, verdict_from
from hmac_guard.asgi import GuardMiddleware


def endpoint(path: str, guard: Guard | None) -> Any:
    async def page(request: Request[Any, Any, Any]) -> dict[str, Any]:
        report = BodyReport()
        async for piece in request.stream():
            report.read(piece)
        return report.answer(verdict_from(request, guard.annotate_as) if guard else None)

    return route(
        path, http_method=["GET", "HEAD", "POST", "PUT"], name=path, status_code=200, request_max_body_size=None
    )(page)


async def _live(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.send_json(dict(verdict_from(socket).ids))
    await socket.close()


app = Litestar(
    [*(endpoint(path, guard) for path, guard in [*GUARDS.items(), ("/bare", None)]), websocket("/live")(_live)],
    middleware=[DefineMiddleware(GuardMiddleware, guard=guard) for guard in GUARDS.values()],
)
