"""What a sender of webhooks does, with the standard library: the time, the id, the raw body and the signature of it.

Text is latin-1, one character for each byte.
"""

import hmac
from base64 import b64encode

from orders import KEY

from acceptance.wire.guards import NOW
from acceptance.wire.reach import Message, digest_of

FRESH, OTHER, OLD = str(NOW), str(NOW - 7), str(NOW - 86_400)
ID, TIME, SIGNATURE, STRIPE = "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature", "Stripe-Signature"


def body_of(number: int) -> str:
    return f'{{"event": "wire-{number}"}}\n'


def sign_items(time: str, body: str) -> str:
    return hmac.digest(KEY.encode(), f"{time}.{body}".encode("latin-1"), "sha256").hex()


def sign_own_headers(id: str, time: str, body: str) -> str:
    return b64encode(hmac.digest(KEY.encode(), f"{id}.{time}.{body}".encode("latin-1"), "sha256")).decode()


def message_of(id: str, time: str, body: str) -> Message:
    return Message(id, time, digest_of(body.encode("latin-1")))


def utf8(text: str) -> str:
    """The bytes of the text in UTF-8."""
    return text.encode().decode("latin-1")
