from typing import Annotated, Any

from fastapi import FastAPI, Request, Security, WebSocket

from acceptance.conformance.guards import GUARDS, METHODS, ORDERS_GUARD, BodyReport
from hmac_guard import Guard, Verdict, verdict_from
from hmac_guard.fastapi import GuardSecurity

app = FastAPI()


def endpoint(guard: Guard | None) -> Any:
    async def page(request: Request) -> dict[str, Any]:
        report = BodyReport()
        async for piece in request.stream():
            report.read(piece)
        return report.answer(verdict_from(request, guard.annotate_as) if guard else None)

    return page


for path, guard in [*GUARDS.items(), ("/bare", None)]:
    dependencies = [Security(GuardSecurity(guard))] if guard else []
    app.add_api_route(path, endpoint(guard), methods=METHODS, dependencies=dependencies)


@app.websocket("/live")
async def live(websocket: WebSocket, verdict: Annotated[Verdict, Security(GuardSecurity(ORDERS_GUARD))]) -> None:
    await websocket.accept()
    await websocket.send_json(dict(verdict.ids))
    await websocket.close()
