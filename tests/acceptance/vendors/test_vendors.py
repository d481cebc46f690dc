"""Webhooks that the vendors' own libraries sign pass the presets, and what the presets sign passes the libraries."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import Call, Sent

from hmac_guard import Guard, Key, Reason, Scheme, Verdict
from hmac_guard.schemes import GITHUB, PADDLE, SHOPIFY, SLACK, STANDARD_WEBHOOKS, STRIPE, SVIX

pytestmark = pytest.mark.vendors

TEXT = "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STRIPE_KEY = "whsec_8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19"
BODIES = [
    b'{"id": "evt_1", "object": "event", "type": "ping", "data": {}}',
    '{"id":"evt_2","object":"event","name":"caf\u00e9 \u2665"}'.encode(),
    b'{ "id" : "evt_3", "object":"event" }\n',
    b'{"id":"evt_4","object":"event","long":"%s"}' % (b"x" * 60_000),
]
Headers = dict[str, str]
NODE = os.environ.get("HMAC_GUARD_NODE")


def _datetime(now: int) -> datetime:
    return datetime.fromtimestamp(now, timezone.utc)


def by_standardwebhooks(now: int, body: bytes) -> Headers:
    from standardwebhooks import Webhook

    signature = Webhook(WHSEC).sign("msg_1", _datetime(now), body.decode())
    return {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": signature}


def to_standardwebhooks(headers: Headers, body: bytes) -> bool:
    from standardwebhooks import Webhook, WebhookVerificationError

    try:
        Webhook(WHSEC).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


def by_svix(now: int, body: bytes) -> Headers:
    from svix import Webhook

    signature = Webhook(WHSEC).sign("msg_1", _datetime(now), body.decode())
    return {"svix-id": "msg_1", "svix-timestamp": str(now), "svix-signature": signature}


def to_svix(headers: Headers, body: bytes) -> bool:
    from svix import Webhook, WebhookVerificationError

    try:
        Webhook(WHSEC).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


def by_stripe(now: int, body: bytes) -> Headers:
    import stripe

    header = stripe.WebhookSignature.generate_signature_header(body.decode(), STRIPE_KEY, timestamp=now)
    return {"Stripe-Signature": header}


def to_stripe(headers: Headers, body: bytes) -> bool:
    import stripe

    try:
        stripe.WebhookSignature.verify_header(body, headers["Stripe-Signature"], STRIPE_KEY, 300)
    except stripe.SignatureVerificationError:
        return False
    return True


def by_slack(now: int, body: bytes) -> Headers:
    from slack_sdk.signature import SignatureVerifier

    signature = SignatureVerifier(TEXT).generate_signature(timestamp=str(now), body=body)
    return {"X-Slack-Signature": str(signature), "X-Slack-Request-Timestamp": str(now)}


def to_slack(headers: Headers, body: bytes) -> bool:
    from slack_sdk.signature import SignatureVerifier

    lower = {name.lower(): value for name, value in headers.items()}
    accepted: bool = SignatureVerifier(TEXT).is_valid_request(body, lower)
    return accepted


def to_paddle(headers: Headers, body: bytes) -> bool:
    from paddle_billing.Notifications import Secret, Verifier

    accepted: bool = Verifier(300).verify(SimpleNamespace(headers=headers, body=body), Secret(TEXT))
    return accepted


def by_openssl(message: bytes, *options: str) -> bytes:
    command = ["openssl", "dgst", "-sha256", "-hmac", TEXT, "-binary", *options]
    return subprocess.run(command, input=message, capture_output=True, check=True).stdout


def by_openssl_for_paddle(now: int, body: bytes) -> Headers:
    return {"Paddle-Signature": f"ts={now};h1={by_openssl(b'%d:%s' % (now, body)).hex()}"}


def by_openssl_for_shopify(now: int, body: bytes) -> Headers:
    return {"X-Shopify-Hmac-Sha256": base64.b64encode(by_openssl(body)).decode()}


def in_node(package: str, key: str, now: int, body: bytes, headers: Headers | None) -> Any:
    if not NODE:
        pytest.skip("not run: HMAC_GUARD_NODE names no folder with the packages of npm")
    given = {"package": package, "key": key, "id": "msg_1", "now": now, "headers": headers}
    text = json.dumps({**given, "body": base64.b64encode(body).decode()})
    # A module finds packages beside itself alone.
    script = shutil.copy(Path(__file__).with_name("sdk.mjs"), NODE)
    done = subprocess.run(["node", script], input=text, capture_output=True, text=True, check=True, timeout=120)
    return json.loads(done.stdout)


def node_signs(package: str, key: str) -> Callable[[int, bytes], Headers]:
    def sign(now: int, body: bytes) -> Headers:
        made: Headers = in_node(package, key, now, body, None)
        assert "error" not in made, made
        return made

    return sign


def node_accepts(package: str, key: str) -> Callable[[Headers, bytes], bool]:
    def accepts(headers: Headers, body: bytes) -> bool:
        return in_node(package, key, 0, body, headers) is True

    return accepts


Signer = Callable[[int, bytes], Headers] | None
Verifier = Callable[[Headers, bytes], bool] | None
WHSEC_KEY, TEXT_KEY = Key.from_whsec(WHSEC), Key.from_text(TEXT)
LIBRARIES: dict[str, tuple[Scheme, Key, Signer, Verifier]] = {
    "standardwebhooks": (STANDARD_WEBHOOKS, WHSEC_KEY, by_standardwebhooks, to_standardwebhooks),
    "svix": (SVIX, WHSEC_KEY, by_svix, to_svix),
    "stripe": (STRIPE, Key.from_text(STRIPE_KEY), by_stripe, to_stripe),
    "slack_sdk": (SLACK, TEXT_KEY, by_slack, to_slack),
    "paddle-python-sdk": (PADDLE, TEXT_KEY, by_openssl_for_paddle, to_paddle),
    "npm standardwebhooks": (
        *(STANDARD_WEBHOOKS, WHSEC_KEY),
        *(node_signs("standardwebhooks", WHSEC), node_accepts("standardwebhooks", WHSEC)),
    ),
    "npm stripe": (
        *(STRIPE, Key.from_text(STRIPE_KEY)),
        *(node_signs("stripe", STRIPE_KEY), node_accepts("stripe", STRIPE_KEY)),
    ),
    "npm @octokit/webhooks-methods": (GITHUB, TEXT_KEY, node_signs("octokit", TEXT), node_accepts("octokit", TEXT)),
    "npm @paddle/paddle-node-sdk": (PADDLE, TEXT_KEY, by_openssl_for_paddle, node_accepts("paddle", TEXT)),
    "npm @shopify/shopify-api": (SHOPIFY, TEXT_KEY, by_openssl_for_shopify, node_accepts("shopify", TEXT)),
}


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:12]))
@pytest.mark.parametrize("library", LIBRARIES)
def test_what_the_library_signs_is_verified(call: Call, library: str, body: bytes) -> None:
    scheme, key, sign, _ = LIBRARIES[library]
    assert sign is not None
    now = int(time.time())
    headers = [*sign(now, body).items(), ("Content-Type", "application/json")]
    seen: list[Verdict] = []
    guard = Guard(scheme, key, on_verdict=lambda verdict, _: seen.append(verdict))

    reply = call(guard, Sent(method="POST", headers=headers, body=body))
    assert ([verdict.reason for verdict in seen], reply.app_body) == ([Reason.VERIFIED], body)
    assert call(guard, Sent(method="POST", headers=headers, body=body + b" ")).status == 401


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:12]))
@pytest.mark.parametrize("library", LIBRARIES)
def test_what_the_preset_signs_is_accepted_by_the_library(library: str, body: bytes) -> None:
    scheme, key, _, accepts = LIBRARIES[library]
    assert accepts is not None
    ids = {"message_id": "msg_1"} if scheme.ids else {}
    # Paddle's takes a time for five seconds, which a busy machine needs to start node.
    headers = scheme.sign_fields(key, ids, now=time.time() + 30, body=body).headers

    assert accepts(headers, body)
    assert not accepts(headers, body.replace(b"evt", b"tve"))
