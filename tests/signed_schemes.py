"""Schemes with a signed time: ids that a page sends, and a webhook with its raw body."""

from hmac_guard import Expires, Header, Query, Scheme, Timestamp

KEY = "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19"
NOW = 1_800_000_000
INBOX = Scheme(
    name="inbox",
    ids={"user_id": Query("user_id")},
    message="{user_id}.{expires}",
    signature=Query("sig"),
    expires=Expires(Query("expires"), max_lifetime=86_400, leeway=5),
)
HOOK = Scheme(
    name="hook",
    ids={"event_id": Header("webhook-id")},
    message="{event_id}.{timestamp}.{@body}",
    signature=Header("webhook-signature").item("v1", separators=(" ", ",")),
    encoding="base64",
    timestamp=Timestamp(Header("webhook-timestamp"), max_age=300, leeway=30),
)
