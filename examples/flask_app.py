"""Nango's two ids in Flask: in the path and the query, or in a JSON body.

Run it:

    pip install 'hmac-guard[cli]' flask
    export NANGO_HMAC_KEY=a-secret-that-only-the-two-backends-share
    flask --app flask_app run --port 8001

Try it, in a second terminal that has the same NANGO_HMAC_KEY:

    signature=$(hmac-guard sign nango integration_id=github connection_id=user-42 --key-env NANGO_HMAC_KEY)

    # 200, and 401 for an id that was not signed
    curl "http://127.0.0.1:8001/oauth/connect/github?connection_id=user-42&hmac=$signature"
    curl "http://127.0.0.1:8001/oauth/connect/github?connection_id=user-43&hmac=$signature"

    # 200, and 401 without the signature
    curl http://127.0.0.1:8001/connections --json \\
      '{"integration_id": "github", "connection_id": "user-42", "hmac": "'$signature'"}'
    curl http://127.0.0.1:8001/connections --json '{"integration_id": "github", "connection_id": "user-42"}'
"""

from flask import Flask, request

from hmac_guard import Claim, Guard, Reason, Verdict, verdict_from
from hmac_guard.keys import EnvKeys
from hmac_guard.schemes import NANGO


def tell(verdict: Verdict, claim: Claim) -> None:
    print(f"{verdict.scheme}: {verdict.reason}", flush=True)  # A counter for each reason would go here.


guard = Guard(NANGO, keys=EnvKeys("NANGO_HMAC_KEY"), exempt=("/health",), on_verdict=tell)

app = Flask(__name__)
app.wsgi_app = guard.wsgi(app.wsgi_app)  # type: ignore[method-assign]


def signed_ids() -> dict[str, str]:
    verdict = verdict_from(request)
    if verdict.reason in (Reason.OFF, Reason.EXEMPT):  # Not checked: read them as before.
        sent = {**request.args, **(request.view_args or {}), **(request.get_json(silent=True) or {})}
        return {name: sent[name] for name in NANGO.ids if name in sent}
    return dict(verdict.ids if verdict else verdict.claimed)  # Verified; in report mode, the ids in the request.


@app.get("/oauth/connect/<integration_id>")
@app.post("/connections")
def connect(integration_id: str = "") -> dict[str, object]:
    return {"ids": signed_ids()}


@app.get("/health")
def health() -> str:
    return "up"
