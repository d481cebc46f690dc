from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from acceptance.conformance.guards import GUARDS, METHODS, BodyReport
from hmac_guard import Guard, verdict_from
from hmac_guard.asgi import GuardMiddleware


def endpoint(guard: Guard | None) -> Any:
    async def page(request: Request) -> JSONResponse:
        report = BodyReport()
        async for piece in request.stream():
            report.read(piece)
        return JSONResponse(report.answer(verdict_from(request, guard.annotate_as) if guard else None))

    return page


async def live(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json(dict(verdict_from(websocket).ids))
    await websocket.close()


app = Starlette(
    routes=[
        *(Route(path, endpoint(guard), methods=METHODS) for path, guard in [*GUARDS.items(), ("/bare", None)]),
        WebSocketRoute("/live", live),
    ],
    middleware=[Middleware(GuardMiddleware, guard=guard) for guard in GUARDS.values()],
)
