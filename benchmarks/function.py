"""Measures only the check: the guard and its peers verify the same 22 bytes."""

import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

from benchmarks.harness import Row, called
from benchmarks.samples import KEY, MESSAGE, SECRET, SHAPES, Shape, one_by_json
from hmac_guard import Guard
from hmac_guard.asgi import driver as asgi
from hmac_guard.decider import decider_of
from hmac_guard.wsgi import driver as wsgi


def groups() -> Iterator[list[Row]]:
    for shape in SHAPES:
        yield [
            Row(f"guard, {interface}: {shape.name}", called(read_and_judge(shape, interface)))
            for interface in ("ASGI", "WSGI")
        ]
    yield [json_loads()]
    for name, verify in verifiers().items():
        yield [Row(name, called(verify))]


def read_and_judge(shape: Shape, interface: str) -> Callable[[], bool]:
    """Return a function that reads and judges a request, without the middleware around it."""
    decider, sample = decider_of("read_and_judge", Guard(shape.scheme, SECRET)), shape.sample()
    scope = sample.scope() if interface == "ASGI" else sample.environ()
    driver: Any = asgi.Driver(decider) if interface == "ASGI" else wsgi.Driver("read_and_judge", decider)

    def check() -> bool:
        request = driver.request(scope)
        request.body = sample.body
        return decider.conclude(scope, decider.reader.read(request), decider.static_ring, 0.0) is None

    assert check()
    return check


def json_loads(name: str = "json.loads of the same 200 bytes") -> Row:
    body = one_by_json().body
    return Row(name, called(lambda: json.loads(body)))


BODY = MESSAGE.decode()
#: The peers that also parse their own header, as a guard reads a request. The others get the parsed values.
PARSES = (
    "stripe WebhookSignature",
    "standardwebhooks Webhook.verify",
    "byteforge-hmac, header and signature",
    "mohawk Receiver",
    "http-message-signatures",
)

Verify = Callable[[], Any]


def verifiers() -> dict[str, Verify]:
    """Return for each peer its own documented call, which verifies the 22 bytes with the same key."""
    made = {
        "itsdangerous Signer.unsign": _itsdangerous(),
        "slack_sdk SignatureVerifier": _slack_sdk(),
        "standardwebhooks Webhook.verify": _standardwebhooks(),
        "stripe WebhookSignature": _stripe(),
        "byteforge-hmac, signature alone": _byteforge_signature(),
        "byteforge-hmac, header and signature": _byteforge_header(),
        "mohawk Receiver": _mohawk(),
        "http-message-signatures": _http_message_signatures(),
    }
    for name, verify in made.items():
        assert verify() is not False, name
    return made


def _hex(text: str) -> str:
    return hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()


def _itsdangerous() -> Verify:
    from itsdangerous import Signer

    signer = Signer(KEY, salt="hg", key_derivation="none", digest_method=hashlib.sha256)
    token = signer.sign(MESSAGE)
    return lambda: signer.unsign(token)


def _slack_sdk() -> Verify:
    from slack_sdk.signature import SignatureVerifier

    verifier, now = SignatureVerifier(SECRET), str(int(time.time()))
    headers = {"x-slack-request-timestamp": now, "x-slack-signature": "v0=" + _hex(f"v0:{now}:{BODY}")}
    return lambda: verifier.is_valid_request(MESSAGE, headers)


def _standardwebhooks() -> Verify:
    from datetime import datetime, timezone

    from standardwebhooks import Webhook

    webhook, now = Webhook(base64.b64encode(KEY).decode()), datetime.now(tz=timezone.utc)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": webhook.sign("msg_1", now, BODY),
    }
    return lambda: webhook.verify(MESSAGE, headers, json_parse=False)


def _stripe() -> Verify:
    import stripe

    now = str(int(time.time()))
    header = f"t={now},v1={_hex(f'{now}.{BODY}')}"
    return lambda: stripe.WebhookSignature.verify_header(MESSAGE, header, SECRET, 300)


def _byteforge_signature() -> Verify:
    from byteforge_hmac import DictSecretProvider, HMACValidator

    validator, now = HMACValidator(DictSecretProvider({"c": SECRET})), str(int(time.time()))
    signature = _hex(f"POST\n/a\n{now}\nn\n{BODY}")
    return lambda: validator.verify_signature("c", now, "n", signature, "POST", "/a", BODY)


class StubNonces:
    """Replaces the store of nonces, so that no store is measured: every nonce is new."""

    def put_if_absent(self, key: str, value: int, ttl_seconds: int) -> bool:
        return True


def _byteforge_header() -> Verify:
    from byteforge_hmac import AuthHeaderParser, DictSecretProvider, HMACAuthenticator

    now = str(int(time.time()))
    authenticator: Any = HMACAuthenticator(DictSecretProvider({"c": SECRET}), nonce_storage=StubNonces())
    signature = _hex(f"POST\n/a\n{now}\nn\n{BODY}")
    header = f'HMAC client_id="c",timestamp="{now}",nonce="n",signature="{signature}"'
    return lambda: authenticator.authenticate(AuthHeaderParser.parse(header), "POST", "/a", BODY)


def _mohawk() -> Verify:
    from mohawk import Receiver, Sender

    logging.getLogger("mohawk").disabled = True
    credentials = {"id": "c", "key": SECRET, "algorithm": "sha256"}
    url, kind = "https://app.example.com/a", "text/plain"
    header = Sender(credentials, url, "POST", content=BODY, content_type=kind).request_header
    return lambda: Receiver(
        lambda _: credentials, header, url, "POST", content=BODY, content_type=kind, seen_nonce=lambda *_: False
    )


class OneKey:
    """The key resolver that http-message-signatures requires."""

    def resolve_public_key(self, key_id: str) -> bytes:
        return KEY

    resolve_private_key = resolve_public_key


def _http_message_signatures() -> Verify:
    import requests
    from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, algorithms

    kind, keys = algorithms.HMAC_SHA256, cast(Any, OneKey())
    request = requests.Request("POST", "https://app.example.com/a", data=MESSAGE).prepare()
    HTTPMessageSigner(signature_algorithm=kind, key_resolver=keys).sign(request, key_id="c", body=MESSAGE)
    verifier = HTTPMessageVerifier(signature_algorithm=kind, key_resolver=keys)
    return lambda: verifier.verify(request, body=MESSAGE)
