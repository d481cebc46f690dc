"""The requests that the example applications accept, and the signing code of a customer's backend.

The samples are signed with the standard library only, as a customer would do it. This shows that the guard accepts
signatures that hmac_guard did not make.
"""

import base64
import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from hmac_guard.cli.demo.sending import Request
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.sources import Form, Header, Json
from hmac_guard.schemes import NANGO, SUPRSEND

SIGNATURE = "{signature}"
#: The scheme of `examples/django_app.py`, which configures Django when it is imported.
ORDERS = Scheme(
    name="orders",
    ids={"tenant_id": Header("X-Tenant"), "order_id": Json("/order/id") | Form("order_id")},
    message="{tenant_id}:{order_id}",
    signature=Header("X-Signature"),
    tenant=Header("X-Tenant"),
)


def new_keys() -> dict[str, str]:
    """Return the environment of the examples: new keys, and for SuprSend the key that its documentation publishes."""
    return {
        "NANGO_HMAC_KEY": secrets.token_urlsafe(32),
        "SUPRSEND_INBOX_SECRET": "IG-J8Wvf7M-w4ll13h53NJAMQQNHdUqFTSJ2JVAZl0s",
        "ORDERS_KEY_acme": secrets.token_urlsafe(32),
        "ORDERS_KEY_globex": secrets.token_urlsafe(32),
    }


class Sample(NamedTuple):
    """One kind of request.

    A placeholder `{name}` in path, query, headers, json and form is replaced by an id or by the signature.
    """

    name: str
    app: str
    key: str
    scheme: Scheme
    ids: Mapping[str, str]
    message: str
    encoding: str
    method: str
    path: str
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    json: Mapping[str, Any] | None = None
    form: Mapping[str, str] | None = None

    def sign(self, keys: Mapping[str, str], ids: Mapping[str, str]) -> str:
        """Return the signature for these ids, in the encoding of the sample."""
        message = self.message.format_map(ids)
        digest = hmac.digest(keys[self.key].encode(), message.encode(), "sha256")
        return digest.hex() if self.encoding == "hex" else base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def signed(self, keys: Mapping[str, str], **changed: str) -> Request:
        """Return a signed request with the ids of the sample. `changed` replaces some of the ids."""
        ids = {**self.ids, **changed}
        return self.request({**ids, "signature": self.sign(keys, ids)})

    def request(self, values: Mapping[str, str]) -> Request:
        """Return the request with these values. If `values` has no signature, the request has none."""
        path = self.path.format_map({name: quote(value, safe="") for name, value in values.items()})
        query = urlencode(_filled(self.query, values))
        headers = [f"{name}: {value}" for name, value in _filled(self.headers, values).items()]
        body = b""
        if self.json is not None:
            headers.append("Content-Type: application/json")
            body = json.dumps(_filled(self.json, values)).encode()
        if self.form is not None:
            headers.append("Content-Type: application/x-www-form-urlencoded")
            body = urlencode(_filled(self.form, values)).encode()
        return Request(self.method, f"{path}?{query}" if query else path, tuple(headers), body)


def _filled(template: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: _filled(text, values) if isinstance(text, Mapping) else text.format_map(values)
        for name, text in template.items()
        if text != SIGNATURE or "signature" in values
    }


NANGO_QUERY = Sample(
    name="path and query",
    app="flask",
    key="NANGO_HMAC_KEY",
    scheme=NANGO,
    ids={"integration_id": "github", "connection_id": "user-42"},
    message="{integration_id}:{connection_id}",
    encoding="hex",
    method="GET",
    path="/oauth/connect/{integration_id}",
    query={"connection_id": "{connection_id}", "hmac": SIGNATURE},
)
NANGO_JSON = NANGO_QUERY._replace(
    name="JSON body",
    method="POST",
    path="/connections",
    query={},
    json={"integration_id": "{integration_id}", "connection_id": "{connection_id}", "hmac": SIGNATURE},
)
SUPRSEND_QUERY = Sample(
    name="query",
    app="fastapi",
    key="SUPRSEND_INBOX_SECRET",
    scheme=SUPRSEND,
    ids={"distinct_id": "b8278572-2929-4af6-be2b-cdc2bc1f6256"},
    message="{distinct_id}",
    encoding="base64url",
    method="GET",
    path="/notifications/",
    query={"distinct_id": "{distinct_id}", "subscriber_id": SIGNATURE},
)
SUPRSEND_JSON = SUPRSEND_QUERY._replace(
    name="JSON body",
    method="POST",
    path="/bell-clicked/",
    query={},
    json={"distinct_id": "{distinct_id}", "subscriber_id": SIGNATURE},
)
ORDERS_JSON = Sample(
    name="headers and JSON",
    app="django",
    key="ORDERS_KEY_acme",
    scheme=ORDERS,
    ids={"tenant_id": "acme", "order_id": "42"},
    message="{tenant_id}:{order_id}",
    encoding="hex",
    method="POST",
    path="/orders",
    headers={"X-Tenant": "{tenant_id}", "X-Signature": SIGNATURE},
    json={"order": {"id": "{order_id}"}},
)
ORDERS_FORM = ORDERS_JSON._replace(name="headers and form", json=None, form={"order_id": "{order_id}"})

SAMPLES = (NANGO_QUERY, NANGO_JSON, SUPRSEND_QUERY, SUPRSEND_JSON, ORDERS_JSON, ORDERS_FORM)
