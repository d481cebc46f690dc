"""Requests that are sent over a socket as raw bytes. An HTTP client would correct the malformed ones."""

import json
import shlex
import socket
from http.client import HTTPException, HTTPResponse
from typing import Any, NamedTuple

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
    """Send the request to a port of this machine and return the answer."""
    try:
        with socket.create_connection((HOST, port), timeout=_TIMEOUT) as connection:
            connection.sendall(request.encode())
            response = HTTPResponse(connection)
            response.begin()
            return Answer(response.status, response.read())
    except (OSError, HTTPException):
        return Answer(0, b"")
