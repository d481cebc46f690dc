from typing import Any

from quart import Quart, request, websocket

from acceptance.conformance.guards import GUARDS, METHODS, BodyReport
from hmac_guard import Guard, verdict_from
from hmac_guard.asgi import GuardMiddleware

app = Quart(__name__)
app.config["MAX_CONTENT_LENGTH"] = None


def endpoint(guard: Guard | None) -> Any:
    async def view() -> dict[str, Any]:
        report = BodyReport()
        async for piece in request.body:
            report.read(piece)
        return report.answer(verdict_from(request, guard.annotate_as) if guard else None)

    return view


async def live() -> None:
    await websocket.accept()
    await websocket.send_json(dict(verdict_from(websocket).ids))


for path, guard in [*GUARDS.items(), ("/bare", None)]:
    app.add_url_rule(path, path, endpoint(guard), methods=METHODS)
    if guard:
        app.asgi_app = GuardMiddleware(app.asgi_app, guard=guard)  # type: ignore[method-assign]
app.add_websocket("/live", view_func=live)
