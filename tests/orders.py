"""A scheme that reads every place, and requests with the expected reasons, for every handle and server."""

import hashlib
import hmac
import json
from urllib.parse import quote

from support import Sent

from hmac_guard import Cookie, Form, Header, Json, Query, Reason, Scheme

KEY = "a key of more than sixteen bytes"
ORDERS = Scheme(
    name="orders",
    ids={
        "tenant_id": Query("tenant_id") | Header("X-Tenant") | Cookie("tenant") | Json("/tenant") | Form("tenant"),
        "order_id": Query("order_id") | Json("/order/id") | Form("order_id"),
    },
    message="{tenant_id}:{order_id}",
    signature=Query("sig") | Header("X-Signature") | Json("/sig") | Form("sig"),
)
JSON = ("Content-Type", "application/json")
FORM = ("Content-Type", "application/x-www-form-urlencoded")
MULTIPART = ("Content-Type", "multipart/form-data; boundary=B")


def hex_of(*ids: str, key: str = KEY) -> str:
    """Sign with the standard library, as a customer would."""
    return hmac.new(key.encode(), ":".join(ids).encode(), hashlib.sha256).hexdigest()


def query_of(tenant: str = "acme", order: str = "42", signature: str | None = None, more: str = "") -> str:
    signed = signature if signature is not None else hex_of(tenant, order)
    return f"tenant_id={quote(tenant)}&order_id={quote(order)}&sig={signed}{more}"


def json_of(tenant: str = "acme", order: str = "42", signature: str | None = None) -> bytes:
    signed = signature if signature is not None else hex_of(tenant, order)
    return json.dumps({"tenant": tenant, "order": {"id": order}, "sig": signed}, ensure_ascii=False).encode()


def multipart_of(**fields: str) -> bytes:
    parts = [f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields.items()]
    upload = '--B\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\ncontent\r\n'
    return ("".join(parts) + upload + "--B--\r\n").encode()


GOOD = Sent(path="/orders", query=query_of())
GOOD_JSON = Sent("POST", "/orders", headers=[JSON], body=json_of())
GOOD_FORM = Sent("POST", "/orders", headers=[FORM], body=f"tenant=acme&order_id=42&sig={hex_of('acme', '42')}".encode())
GOOD_MULTIPART = Sent(
    "POST", "/orders", headers=[MULTIPART], body=multipart_of(tenant="acme", order_id="42", sig=hex_of("acme", "42"))
)
UNSIGNED = Sent(path="/orders")

#: The requests, and the expected reason of every handle.
CASES: dict[str, tuple[Sent, Reason]] = {
    "ids and signature in the query": (GOOD, Reason.VERIFIED),
    "ids and signature in a JSON body": (GOOD_JSON, Reason.VERIFIED),
    "ids and signature in an urlencoded body": (GOOD_FORM, Reason.VERIFIED),
    "ids and signature in a multipart body with a file": (GOOD_MULTIPART, Reason.VERIFIED),
    "an id in a header, one in the query": (
        Sent("GET", "/orders", "order_id=42", [("X-Tenant", "acme"), ("X-Signature", hex_of("acme", "42"))]),
        Reason.VERIFIED,
    ),
    "an id in a cookie": (
        Sent("GET", "/orders", f"order_id=42&sig={hex_of('acme', '42')}", [("Cookie", "a=b; tenant=acme")]),
        Reason.VERIFIED,
    ),
    "a non-ASCII id in the query": (Sent("GET", "/orders", query_of("größe-日本-🚀")), Reason.VERIFIED),
    "a non-ASCII id in JSON": (
        Sent("POST", "/orders", headers=[JSON], body=json_of("größe-日本-🚀")),
        Reason.VERIFIED,
    ),
    "a percent-encoded name": (Sent("GET", "/orders", query_of().replace("order_id", "order%5Fid")), Reason.VERIFIED),
    "a PUT": (Sent("PUT", "/orders", query_of(), [JSON], b'{"note": 1}'), Reason.VERIFIED),
    "a body that no source reads": (
        Sent("POST", "/orders", query_of(), [("Content-Type", "image/png")], b"x" * 300_000),
        Reason.VERIFIED,
    ),
    "no signature": (Sent("GET", "/orders", query_of(signature="")), Reason.MISSING_SIGNATURE),
    "nothing at all": (UNSIGNED, Reason.MISSING_ID),
    "an empty JSON body": (Sent("POST", "/orders", headers=[JSON, ("Content-Length", "0")]), Reason.MISSING_ID),
    "a tampered id": (Sent("GET", "/orders", query_of().replace("=42", "=43")), Reason.INVALID_SIGNATURE),
    "a tampered signature": (Sent("GET", "/orders", query_of(signature="0" * 64)), Reason.INVALID_SIGNATURE),
    "a tampered id in JSON": (
        Sent("POST", "/orders", headers=[JSON], body=json_of(signature=hex_of("acme", "43"))),
        Reason.INVALID_SIGNATURE,
    ),
    "an id twice": (Sent("GET", "/orders", query_of(more="&order_id=42")), Reason.DUPLICATE),
    "an id twice under an escaped name": (Sent("GET", "/orders", query_of(more="&order%5Fid=43")), Reason.DUPLICATE),
    "an id in the query and in the body": (
        Sent("POST", "/orders", query_of(), [FORM], b"order_id=43"),
        Reason.CONFLICT,
    ),
    "a header twice": (
        Sent("GET", "/orders", query_of().replace("tenant_id", "x"), [("X-Tenant", "acme"), ("X-Tenant", "b")]),
        Reason.DUPLICATE,
    ),
    "JSON that is none": (Sent("POST", "/orders", headers=[JSON], body=b"{"), Reason.MALFORMED),
    "invalid UTF-8 in the query": (Sent("GET", "/orders", query_of(more="&order%5Fid=%ff")), Reason.MALFORMED),
    "an ambiguous pair": (Sent("GET", "/orders", query_of("a:b", "c")), Reason.AMBIGUOUS),
    "a compressed body": (
        Sent("POST", "/orders", headers=[JSON, ("Content-Encoding", "gzip")], body=json_of()),
        Reason.UNSUPPORTED_BODY,
    ),
    "a body over the limit": (Sent("POST", "/orders", headers=[JSON], body=b" " * 262_145), Reason.BODY_TOO_LARGE),
    "a body shorter than it says": (
        Sent("POST", "/orders", headers=[JSON, ("Content-Length", "400")], body=json_of()),
        Reason.BAD_FRAMING,
    ),
    "a length that is no number": (
        Sent("POST", "/orders", headers=[JSON, ("Content-Length", "+5")], body=json_of()),
        Reason.BAD_FRAMING,
    ),
}
