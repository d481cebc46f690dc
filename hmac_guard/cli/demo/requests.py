"""The requests of the demo: how a customer signs them, how they are sent, and the expected answer to each."""

import base64
import hmac
import json
import secrets
import shlex
import socket
from collections.abc import Iterator, Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from hmac_guard.core.scheme import Scheme
from hmac_guard.core.sources import Form, Header, Json
from hmac_guard.schemes import NANGO, SUPRSEND

HOST = "127.0.0.1"
_TIMEOUT = 5.0


class Request(NamedTuple):
    """One request, before it is sent.

    Attributes:
        method: The HTTP method.
        target: Path and query, already percent-encoded.
        headers: Whole header lines, such as `"X-Tenant: acme"`.
        body: The raw body.
    """

    method: str
    target: str
    headers: tuple[str, ...] = ()
    body: bytes = b""

    def encode(self) -> bytes:
        """Return the bytes of the request. A Content-Length is added if no header gives the length of the body."""
        framed = any(line.lower().startswith(("content-length:", "transfer-encoding:")) for line in self.headers)
        length = [f"Content-Length: {len(self.body)}"] if self.body and not framed else []
        lines = [f"{self.method} {self.target} HTTP/1.1", f"Host: {HOST}", "Connection: close", *self.headers, *length]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body

    def curl(self, port: int, host: str = HOST) -> str:
        """Return the curl command that sends this request. It is only right for requests that curl does not change."""
        words = ["curl", "-i", f"http://{host}:{port}{self.target}"]
        for line in self.headers:
            words += ["-H", line]
        if self.body:
            words += ["-d", self.body.decode()]
        return shlex.join(words)


class Answer(NamedTuple):
    """The answer of a server. The status is 0 if there was no answer."""

    status: int
    body: bytes

    def document(self) -> dict[str, Any]:
        """Return the JSON object in the body, or an empty dict if there is none."""
        try:
            document = json.loads(self.body)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}


def send(request: Request, port: int) -> Answer:
    """Send a request over a new connection to a port of this machine.

    The request is sent as raw bytes, because an HTTP client would correct a malformed one.

    Returns:
        The answer. Its status is 0 if there is no answer within 5 seconds.
    """
    try:
        with socket.create_connection((HOST, port), timeout=_TIMEOUT) as connection:
            connection.sendall(request.encode())
            response = HTTPResponse(connection)
            response.begin()
            return Answer(response.status, response.read())
    except (OSError, HTTPException):
        return Answer(0, b"")


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
    """One kind of request, signed with the standard library only, as a customer would do it.

    This shows that the guard accepts signatures that hmac_guard did not make. A placeholder `{name}` in path, query,
    headers, json and form is replaced by an id or by the signature.

    Attributes:
        name: The name in the table.
        app: The name of the application.
        key: The environment variable with the key.
        scheme: The scheme of the application.
        ids: The ids.
        message: The signed text.
        encoding: "hex" or "base64url".
        method: The HTTP method.
        path: The path.
        query: The query parameters.
        headers: The headers.
        json: The JSON body, or None.
        form: The form fields, or None.
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


Keys = Mapping[str, str]


class Case(NamedTuple):
    """One request to one application, and the expected answer.

    Attributes:
        app: The name of the application.
        title: The text in the table.
        request: The request.
        reason: The expected reason of the verdict.
        status: The expected status.
        ids: The ids that the guard must verify, or None if it must refuse the request.
    """

    app: str
    title: str
    request: Request
    reason: str = "verified"
    status: int = 200
    ids: Mapping[str, str] | None = None


def all_cases(keys: Keys) -> list[Case]:
    """Return all requests of the demo, ordered by application."""
    cases = [case for sample in SAMPLES for case in _usual(sample, keys)]
    cases += [*_flask(keys), *_fastapi(keys), *_django(keys)]
    return sorted(cases, key=lambda case: [sample.app for sample in SAMPLES].index(case.app))


def _proven(sample: Sample, title: str, request: Request) -> Case:
    return Case(sample.app, title, request, ids=sample.ids)


def _refused(sample: Sample, title: str, request: Request, reason: str, status: int = 401) -> Case:
    return Case(sample.app, title, request, reason, status)


def _usual(sample: Sample, keys: Keys) -> Iterator[Case]:
    """Yield the requests that are sent for every sample."""
    signature = sample.sign(keys, sample.ids)
    last = list(sample.ids)[-1]
    name = sample.name
    yield _proven(sample, f"{name}, signed", sample.signed(keys))
    another = sample.request({**sample.ids, last: sample.ids[last] + "0", "signature": signature})
    yield _refused(sample, f"{name}, another {last}", another, "invalid_signature")
    tampered = sample.request({**sample.ids, "signature": _tampered(signature)})
    yield _refused(sample, f"{name}, tampered signature", tampered, "invalid_signature")
    yield _refused(sample, f"{name}, not signed", sample.request(sample.ids), "missing_signature")


def _tampered(signature: str) -> str:
    return ("0" if signature[0] != "0" else "1") + signature[1:]


def _flask(keys: Keys) -> Iterator[Case]:
    query, body = NANGO_QUERY.signed(keys), NANGO_JSON.signed(keys)
    signature = NANGO_QUERY.sign(keys, NANGO_QUERY.ids)

    def target(old: str, new: str) -> Request:
        return query._replace(target=query.target.replace(old, new))

    yield _refused(NANGO_QUERY, "path, another integration_id", target("github", "gitlab"), "invalid_signature")
    yield _refused(NANGO_QUERY, "path, with '..' in it", target("/github", "/x/../github"), "malformed")
    yield _refused(NANGO_QUERY, "query, an id twice", target("?", "?connection_id=user-7&"), "duplicate")
    yield _refused(
        NANGO_QUERY, "query, an id twice, once escaped", target("?", "?%63onnection_id=user-7&"), "duplicate"
    )
    yield _refused(NANGO_QUERY, "query, an id that is not UTF-8", target("user-42", "user-%FF"), "malformed")
    yield _refused(
        NANGO_QUERY, "query, signature in capitals", target(signature, signature.upper()), "invalid_signature"
    )
    shifted = NANGO_QUERY.signed(keys, integration_id="github:user", connection_id="42")
    yield _refused(NANGO_QUERY, "path, an id with the separator", shifted, "ambiguous")
    both = body._replace(target=query.target)
    yield _refused(NANGO_JSON, "path and JSON body at once", both, "conflict")
    twice = body._replace(body=body.body.replace(b"{", b'{"connection_id": "user-7", '))
    yield _refused(NANGO_JSON, "JSON body, a key twice", twice, "malformed")
    yield _refused(NANGO_JSON, "JSON body, cut off", body._replace(body=body.body[:-1]), "malformed")
    yield _proven(NANGO_JSON, "JSON body, signed, in chunks", _chunked(body))


def _fastapi(keys: Keys) -> Iterator[Case]:
    query, body = SUPRSEND_QUERY.signed(keys), SUPRSEND_JSON.signed(keys)
    padded = query._replace(target=query.target + "%3D")
    yield _refused(SUPRSEND_QUERY, "query, padded signature", padded, "invalid_signature")
    unnamed = query._replace(target=query.target.replace("b8278572", "").replace("-2929-4af6-be2b-cdc2bc1f6256", ""))
    yield _refused(SUPRSEND_QUERY, "query, an empty id", unnamed, "missing_id")
    both = body._replace(target=query.target.replace("notifications", "bell-clicked"))
    yield _refused(SUPRSEND_JSON, "query and JSON body at once", both, "conflict")
    number = body._replace(body=b'{"distinct_id": 42, "subscriber_id": "0"}')
    yield _refused(SUPRSEND_JSON, "JSON body, a number as id", number, "malformed")
    packed = body._replace(headers=(*body.headers, "Content-Encoding: gzip"))
    yield _refused(SUPRSEND_JSON, "JSON body, compressed", packed, "unsupported_body", 415)
    large = body._replace(headers=(*body.headers, "Content-Length: 1000000000"), body=b"")
    yield _refused(SUPRSEND_JSON, "JSON body, declared as 1 GB", large, "body_too_large", 413)
    yield _proven(SUPRSEND_JSON, "JSON body, signed, in chunks", _chunked(body))


def _django(keys: Keys) -> Iterator[Case]:
    body, form = ORDERS_JSON.signed(keys), ORDERS_FORM.signed(keys)

    def tenant(*lines: str) -> Request:
        return body._replace(headers=(*lines, *body.headers[1:]))

    yield _refused(ORDERS_JSON, "headers, another tenant", tenant("X-Tenant: globex"), "invalid_signature")
    yield _refused(ORDERS_JSON, "headers, an unknown tenant", tenant("X-Tenant: unknown"), "unknown_key")
    yield _refused(ORDERS_JSON, "headers, a tenant twice", tenant("X-Tenant: acme", "X-Tenant: acme"), "duplicate")
    twice = form._replace(body=b"order_id=7&" + form.body)
    yield _refused(ORDERS_FORM, "form, a field twice", twice, "duplicate")
    plain = form._replace(headers=(*form.headers[:-1], "Content-Type: text/plain"))
    yield _refused(ORDERS_FORM, "form, declared as plain text", plain, "unsupported_body", 415)
    yield _proven(ORDERS_FORM, "headers and multipart form, signed", _multipart(form, "order_id", "42"))


def _chunked(request: Request) -> Request:
    pieces = [request.body[:9], request.body[9:], b""]
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return request._replace(headers=(*request.headers, "Transfer-Encoding: chunked"), body=body)


def _multipart(request: Request, field: str, value: str) -> Request:
    headers = (*request.headers[:-1], "Content-Type: multipart/form-data; boundary=b0undary")
    body = f'--b0undary\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n--b0undary--\r\n'
    return request._replace(headers=headers, body=body.encode())
