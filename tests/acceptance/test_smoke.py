"""Smoke test: the published signature of a vendor is verified, another one is not."""

from support import Call, Sent

from hmac_guard import Guard, Reason
from hmac_guard.schemes import SUPRSEND

KEY = "IG-J8Wvf7M-w4ll13h53NJAMQQNHdUqFTSJ2JVAZl0s"
ID = "b8278572-2929-4af6-be2b-cdc2bc1f6256"
SIGNATURE = "dHBWYF4oV190o4j-e3eYxB-SCkeHnoaiofe8EmGk9JQ"


def test_the_published_signature_is_verified(call: Call) -> None:
    reply = call(Guard(SUPRSEND, KEY), Sent(query=f"distinct_id={ID}&subscriber_id={SIGNATURE}"))

    assert reply.status == 200
    assert reply.verdict.reason is Reason.VERIFIED
    assert dict(reply.verdict.ids) == {"distinct_id": ID}


def test_the_same_signature_for_another_id_is_refused(call: Call) -> None:
    reply = call(Guard(SUPRSEND, KEY), Sent(query=f"distinct_id={ID[:-1]}7&subscriber_id={SIGNATURE}"))

    assert (reply.status, reply.seen) == (401, [])
