"""The targets: each makes a request of any bytes, and raises if the guard is wrong.

The guard must not raise, must take less than a second, and must decide alike over WSGI and ASGI. If it accepts a value,
every framework must read the same value.
"""

import asyncio
import hmac
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from posixpath import normpath

from support import Sent, call_asgi, call_wsgi

from acceptance.differential.compare import KEY, Comparison
from acceptance.differential.deviations import explained
from acceptance.differential.grammar.ids import NOW
from acceptance.differential.grammar.path import sent_to
from acceptance.test_wsgi_and_asgi_agree import check as check_wsgi_and_asgi
from hmac_guard import Guard, Header, Query, Scheme
from hmac_guard.core.encodings import Encoding
from hmac_guard.schemes import STRIPE

Target = Callable[[bytes], None]

DIGEST = hmac.digest(KEY, b"1", "sha256")
SIGNATURES: dict[Encoding, str] = {
    "hex": DIGEST.hex(),
    "base64": b64encode(DIGEST).decode(),
    "base64url": urlsafe_b64encode(DIGEST).rstrip(b"=").decode(),
}


def parser(source: str, make: Callable[[str], Sent]) -> Target:
    """The guard against the frameworks, with the id in one source."""
    comparison = Comparison(source, asyncio.new_event_loop())

    def target(data: bytes) -> None:
        sent = make(data.decode("latin-1"))
        start = time.thread_time()
        comparison.claims(sent)
        assert time.thread_time() - start < 1
        assert not [finding for finding in comparison.findings(sent) if not explained(finding)]

    return target


def with_body(path: str) -> Callable[[str], Sent]:
    """The first line is the media type, the rest the body."""

    def make(text: str) -> Sent:
        kind, _, body = text.partition("\n")
        return Sent("POST", path, headers=[("Content-Type", kind)], body=body.encode("latin-1"))

    return make


def signature() -> Target:
    """Only the expected text of a signature is verified."""
    schemes = {
        encoding: Scheme(name=encoding, ids={"a": Query("a")}, message="{a}", signature=Header("S"), encoding=encoding)
        for encoding in SIGNATURES
    }
    guards = {encoding: Guard(scheme, KEY) for encoding, scheme in schemes.items()}

    def target(data: bytes) -> None:
        text = data.decode("latin-1")
        for encoding, guard in guards.items():
            status = call_wsgi(guard, Sent(query="a=1", headers=[("S", text)])).status
            assert status == (200 if text == SIGNATURES[encoding] else 401)

    return target


def items() -> Target:
    """A header of items is verified only if one of them is the expected signature, and one is the time."""
    guard = Guard(STRIPE, KEY, clock=lambda: NOW)
    signed = STRIPE.sign(KEY, timestamp=NOW, body=b"{}")

    def target(data: bytes) -> None:
        text = data.decode("latin-1").replace("NOW", str(NOW)).replace("SIGNED", signed)
        sent = Sent("POST", headers=[("Stripe-Signature", text)], body=b"{}")
        status = call_wsgi(guard, sent).status
        assert status == call_asgi(guard, sent).status
        found = [item.strip(" \t") for item in text.split(",")]
        assert status in (200, 401)
        assert status == 401 or (f"t={NOW}" in found and f"v1={signed}" in found)

    return target


def exempt() -> Target:
    """Only paths that are clearly below an exempt path are unguarded."""
    scheme = Scheme(name="exempt", ids={"a": Query("a")}, message="{a}", signature=Header("S"))
    guard = Guard(scheme, KEY, exempt=("/health", "/static/"))

    def target(data: bytes) -> None:
        sent = sent_to(data.decode("latin-1"))
        passed = bool(call_wsgi(guard, sent).seen)
        assert passed == bool(call_asgi(guard, sent).seen)
        if passed and sent.path != "/health":
            assert normpath(sent.path).rstrip("/") == sent.path.rstrip("/")
            assert sent.path.startswith("/static/")
            assert not any(odd in sent.path.lower() for odd in ("\\", "%2f", "%5c", ";", "\n", "\x00"))

    return target


def wsgi_and_asgi() -> Target:
    """A whole request: the first line, one line per header, an empty line and the body."""

    def target(data: bytes) -> None:
        head, _, body = data.decode("latin-1").partition("\n\n")
        first, *lines = head.split("\n")
        method, _, raw_path = first.partition(" ")
        sent = sent_to(raw_path)
        pairs = [line.partition(": ") for line in lines]
        sent.method, sent.body = method, body.encode("latin-1")
        sent.headers = [(name, value) for name, _, value in pairs if name.isascii() and name.replace("-", "").isalnum()]
        check_wsgi_and_asgi(sent)

    return target


#: Each target is made when it is used.
TARGETS: dict[str, Callable[[], Target]] = {
    "query": lambda: parser("query", lambda text: Sent("GET", "/query", text)),
    "header": lambda: parser("header", lambda text: Sent("GET", "/header", headers=[("X-Sig", text)])),
    "cookie": lambda: parser(
        "cookie", lambda text: Sent("GET", "/cookie", headers=[("Cookie", line) for line in text.split("\n")])
    ),
    "form": lambda: parser("form", with_body("/form")),
    "multipart": lambda: parser("multipart", with_body("/form")),
    "json": lambda: parser("json", with_body("/json")),
    "path": lambda: parser("path", lambda text: sent_to(text)),
    "raw": lambda: parser("raw", with_body("/raw")),
    "time": lambda: parser("time", lambda text: Sent("GET", "/query", text)),
    "signature": signature,
    "items": items,
    "exempt": exempt,
    "request": wsgi_and_asgi,
}
