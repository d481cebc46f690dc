"""The guarded endpoints of the vendors' packages, with minimal answers."""

import asyncio
import os
from collections import defaultdict
from typing import Any

from documented import under
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import HTMLResponse
from orders import KEY
from starlette.middleware.cors import CORSMiddleware

from acceptance.browser.apps import PAGE, RECORD
from hmac_guard import Claim, Guard, Verdict, verdict_from
from hmac_guard.asgi import GuardMiddleware
from hmac_guard.schemes import NANGO, SUPRSEND

#: Names the refusal's body: the default one, or one of those that the docs show.
BODY = "HMAC_GUARD_TEST_BODY"


os.environ.setdefault("SUPRSEND_INBOX_SECRET", KEY)
_shown = under("docs/frameworks.md", "Packages of vendors").run()
BODIES = {"old nango": _shown["for_old_nango"], "suprsend": _shown["for_suprsend"]}


def note(verdict: Verdict, claim: Claim) -> None:
    with open(os.environ[RECORD], "a") as record:
        record.write(f"{verdict.reason} {dict(verdict.ids)}\n")


nango = Guard(
    NANGO,
    {"pk_test": KEY},
    only=("/oauth/", "/api-auth/", "/auth/", "/unauth/"),
    refusal=BODIES.get(os.environ.get(BODY, "")),
    on_verdict=note,
)
suprsend = Guard(
    SUPRSEND,
    {"wk_test": KEY},
    only=("/fetch/", "/bell-clicked/"),
    refusal=BODIES.get(os.environ.get(BODY, "")),
    annotate_as="inbox",
    on_verdict=note,
)
app = FastAPI()
for guard in (nango, suprsend):
    app.add_middleware(GuardMiddleware, guard=guard)
app.add_middleware(
    CORSMiddleware,
    allow_origins=[os.environ[PAGE]],
    allow_methods=["GET", "POST"],
    allow_headers=["authorization", "content-type", "x-amz-date"],
)


def connected(request: Request) -> dict[str, str]:
    ids = verdict_from(request).ids
    return {"providerConfigKey": ids["integration_id"], "connectionId": ids["connection_id"]}


@app.post("/api-auth/{kind}/{integration_id}")
@app.post("/auth/{kind}/{integration_id}")
@app.post("/unauth/{integration_id}")
async def authorize(request: Request) -> dict[str, str]:
    return connected(request)


successes: defaultdict[str, "asyncio.Queue[dict[str, str]]"] = defaultdict(asyncio.Queue)


@app.get("/oauth/connect/{integration_id}")
async def connect(request: Request) -> HTMLResponse:
    done = connected(request)
    message = {"provider_config_key": done["providerConfigKey"], "connection_id": done["connectionId"]}
    await successes[request.query_params["ws_client_id"]].put({"message_type": "success", **message})
    return HTMLResponse("<p>connected</p>")


@app.websocket("/ws")
async def outcomes(websocket: WebSocket) -> None:
    await websocket.accept()
    name = f"client-{id(websocket)}"
    await websocket.send_json({"message_type": "connection_ack", "ws_client_id": name})
    await websocket.send_json(await successes[name].get())


@app.get("/fetch/")
async def fetch(request: Request) -> dict[str, Any]:
    name = verdict_from(request, "inbox").ids["distinct_id"]
    return {"results": [{"n_id": "1", "message": {"header": f"Hello {name}"}}], "unread": 1}


@app.post("/bell-clicked/")
async def bell_clicked(request: Request) -> dict[str, Any]:
    return {"success": True, "body": (await request.json())["distinct_id"]}
