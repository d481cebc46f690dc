"""SuprSend's inbox in FastAPI: one id, in the query or in a JSON body.

Run it (key, id and signature are the published example of SuprSend's documentation):

    pip install hmac-guard fastapi uvicorn
    export SUPRSEND_INBOX_SECRET=IG-J8Wvf7M-w4ll13h53NJAMQQNHdUqFTSJ2JVAZl0s
    uvicorn fastapi_app:app --port 8002

Try it, in a second terminal:

    id=b8278572-2929-4af6-be2b-cdc2bc1f6256
    signature=dHBWYF4oV190o4j-e3eYxB-SCkeHnoaiofe8EmGk9JQ

    # 200, and 401 without the signature
    curl "http://127.0.0.1:8002/notifications/?distinct_id=$id&subscriber_id=$signature"
    curl "http://127.0.0.1:8002/notifications/?distinct_id=$id"

    # 200, and 401 for an id that was not signed
    curl http://127.0.0.1:8002/bell-clicked/ --json '{"distinct_id": "'$id'", "subscriber_id": "'$signature'"}'
    curl http://127.0.0.1:8002/bell-clicked/ --json '{"distinct_id": "another", "subscriber_id": "'$signature'"}'
"""

from fastapi import FastAPI, Request

from hmac_guard import Claim, Guard, Reason, Verdict, verdict_from
from hmac_guard.asgi import GuardMiddleware
from hmac_guard.keys import EnvKeys
from hmac_guard.schemes import SUPRSEND


def tell(verdict: Verdict, claim: Claim) -> None:
    print(f"{verdict.scheme}: {verdict.reason}", flush=True)  # A counter for each reason would go here.


guard = Guard(SUPRSEND, keys=EnvKeys("SUPRSEND_INBOX_SECRET"), exempt=("/health",), on_verdict=tell)

app = FastAPI()
app.add_middleware(GuardMiddleware, guard=guard)


def ids_of(verdict: Verdict, sent: dict[str, str]) -> dict[str, str]:
    if verdict.reason in (Reason.OFF, Reason.EXEMPT):  # Not checked: read them as before.
        return {name: sent[name] for name in SUPRSEND.ids if name in sent}
    return dict(verdict.ids if verdict else verdict.claimed)  # Verified; in report mode, the ids in the request.


@app.get("/notifications/")
async def notifications(request: Request) -> dict[str, object]:
    return {"ids": ids_of(verdict_from(request), dict(request.query_params)), "notifications": []}


@app.post("/bell-clicked/")
async def bell_clicked(request: Request) -> dict[str, object]:
    sent = await request.json()  # The application gets the same bytes.
    return {"ids": ids_of(verdict_from(request), sent), "fields": list(sent)}


@app.get("/health")
async def health() -> str:
    return "up"
