"""The requests that are measured: one pair of ids, in the query, in headers, or in a JSON body of 200 bytes."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

from hmac_guard import Header, Json, Query, Scheme
from hmac_guard.schemes import NANGO, SUPRSEND

SECRET = "8f4f6a52-5d0b-4a5e-9e0f-3d9b1c7a2e11"
KEY = SECRET.encode()
IDS = {"integration_id": "integration", "connection_id": "connection"}
ESCAPED = {"integration_id": "intégration", "connection_id": "conn ection"}
SUPRSEND_ID = "b8278572-2929-4af6-be2b-cdc2bc1f6256"
MESSAGE = b"integration:connection"
SIGNATURE = NANGO.sign(SECRET, **IDS)
FORGED = SIGNATURE[:-1] + ("0" if SIGNATURE[-1] != "0" else "1")

BY_QUERY = NANGO.replace(
    name="by_query",
    ids={name: Query(name) for name in IDS},
    signature=Query("hmac"),
    tenant=None,
)
BY_HEADER = BY_QUERY.replace(
    name="by_header",
    ids={"integration_id": Header("X-Integration-Id"), "connection_id": Header("X-Connection-Id")},
    signature=Header("X-Signature"),
)
BY_JSON = BY_QUERY.replace(name="by_json", ids={name: Json(f"/{name}") for name in IDS}, signature=Json("/hmac"))
ONE_BY_JSON = Scheme(name="one_by_json", ids={"id": Json("/id")}, message="{id}", signature=Json("/hmac"))

# The headers that a browser adds.
BROWSER = (
    ("host", "app.example.com"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("accept", "application/json"),
    ("accept-language", "en-US,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://app.example.com/"),
    ("origin", "https://app.example.com"),
    ("connection", "keep-alive"),
)


@dataclass(frozen=True)
class Sample:
    """One request, as a server passes it to a WSGI or ASGI application."""

    path: str = "/connect"
    query: str = ""
    headers: tuple[tuple[str, str], ...] = BROWSER
    body: bytes = b""
    method: str = "GET"

    def all_headers(self) -> tuple[tuple[str, str], ...]:
        if not self.body:
            return self.headers
        return (*self.headers, ("content-type", "application/json"), ("content-length", str(len(self.body))))

    def scope(self) -> dict[str, Any]:
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("127.0.0.1", 8000),
            "client": ("127.0.0.1", 40000),
            "scheme": "http",
            "method": self.method,
            "root_path": "",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": self.query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in self.all_headers()],
            "state": {},
        }

    def environ(self) -> dict[str, Any]:
        environ = {
            "wsgi.errors": io.StringIO(),
            "wsgi.version": (1, 0),
            "wsgi.multithread": False,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(self.body),
            "SERVER_SOFTWARE": "gunicorn/23.0.0",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "REMOTE_ADDR": "127.0.0.1",
            "REMOTE_PORT": "40000",
            "REQUEST_METHOD": self.method,
            "RAW_URI": f"{self.path}?{self.query}",
            "SCRIPT_NAME": "",
            "PATH_INFO": self.path,
            "QUERY_STRING": self.query,
        }
        for name, value in self.all_headers():
            key = name.upper().replace("-", "_")
            environ[key if key.startswith("CONTENT_") else "HTTP_" + key] = value
        return environ


def by_query(signature: str = SIGNATURE) -> Sample:
    return Sample(query=f"integration_id=integration&connection_id=connection&hmac={signature}")


def by_escaped_query(signature: str = BY_QUERY.sign(SECRET, **ESCAPED)) -> Sample:
    """Return a request with escapes, as real clients send what is not ASCII. The guard has no fast path for it."""
    return Sample(query=urlencode({**ESCAPED, "hmac": signature}))


def by_header(signature: str = SIGNATURE) -> Sample:
    pair = (("x-integration-id", "integration"), ("x-connection-id", "connection"), ("x-signature", signature))
    return Sample(headers=(*BROWSER, *pair))


def by_json(signature: str = SIGNATURE, size: int = 200) -> Sample:
    return Sample(method="POST", body=padded({**IDS, "hmac": signature}, size))


def one_by_json(signature: str = ONE_BY_JSON.sign(SECRET, id="connection")) -> Sample:
    return Sample(method="POST", body=padded({"id": "connection", "hmac": signature}))


def by_suprsend(signature: str = SUPRSEND.sign(SECRET, distinct_id=SUPRSEND_ID)) -> Sample:
    return Sample(query=f"distinct_id={SUPRSEND_ID}&subscriber_id={signature}")


def padded(document: dict[str, Any], size: int = 200) -> bytes:
    """Return the document as JSON of exactly `size` bytes."""
    bare = len(json.dumps({**document, "note": ""}))
    return json.dumps({**document, "note": "x" * (size - bare)}).encode()


class Shape(NamedTuple):
    """A scheme, and a function that returns a request for it, with a given signature or the right one."""

    name: str
    scheme: Scheme
    sample: Callable[..., Sample]


SHAPES = (
    Shape("pair by query", BY_QUERY, by_query),
    Shape("pair by header", BY_HEADER, by_header),
    Shape("pair by JSON", BY_JSON, by_json),
    Shape("one id by JSON", ONE_BY_JSON, one_by_json),
    Shape("NANGO by query", NANGO, by_query),
    Shape("NANGO by JSON", NANGO, by_json),
    Shape("SUPRSEND by query", SUPRSEND, by_suprsend),
    Shape("escaped pair by query", BY_QUERY, by_escaped_query),
)
