"""Requests as bytes, sent over a socket as they stand: an HTTP client would clean up what is odd about them."""

import json
import shlex
import socket
from http.client import HTTPException, HTTPResponse
from typing import Any, NamedTuple

HOST = "127.0.0.1"
_TIMEOUT = 5.0


class Request(NamedTuple):
    """One request, as it goes out; `headers` are whole lines, `target` is not encoded again."""

    method: str
    target: str
    headers: tuple[str, ...] = ()
    body: bytes = b""

    def wire(self) -> bytes:
        framed = any(line.lower().startswith(("content-length:", "transfer-encoding:")) for line in self.headers)
        length = [f"Content-Length: {len(self.body)}"] if self.body and not framed else []
        lines = [f"{self.method} {self.target} HTTP/1.1", f"Host: {HOST}", "Connection: close", *self.headers, *length]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body

    def curl(self, port: int) -> str:
        """The command that sends it. For requests that curl leaves as they are."""
        words = ["curl", "-i", f"http://{HOST}:{port}{self.target}"]
        for line in self.headers:
            words += ["-H", line]
        if self.body:
            words += ["-d", self.body.decode()]
        return shlex.join(words)


class Answer(NamedTuple):
    """What came back; status 0 where nothing did."""

    status: int
    body: bytes

    def document(self) -> dict[str, Any]:
        """The JSON object in the body; empty where there is none."""
        try:
            document = json.loads(self.body)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}


def send(request: Request, port: int) -> Answer:
    """The answer of the server on that port of this machine."""
    try:
        with socket.create_connection((HOST, port), timeout=_TIMEOUT) as connection:
            connection.sendall(request.wire())
            response = HTTPResponse(connection)
            response.begin()
            return Answer(response.status, response.read())
    except (OSError, HTTPException):
        return Answer(0, b"")
