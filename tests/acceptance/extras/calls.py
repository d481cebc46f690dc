"""Shared code of the programs: a signed and a forged request over WSGI and ASGI, and errors that name the fix.

It imports only hmac_guard, because the environments contain no other packages.
"""

import asyncio
import hashlib
import hmac
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hmac_guard import Guard, Query, Scheme, verdict_from

SCHEME = Scheme(
    name="extras",
    ids={"user_id": Query("user_id")},
    message="{user_id}",
    signature=Query("sig"),
    tenant=Query("tenant"),
)
SECRET = "0f8d1c6b5a4e3f2d1c0b9a8f7e6d5c4b"
logging.getLogger("hmac_guard").setLevel(logging.ERROR)  # the refusals of forged requests are expected
COMMAND = str(Path(sys.executable).with_name("hmac-guard"))


def check(holds: bool, what: str) -> None:
    """End the program with a message unless `holds` is true."""
    if not holds:
        sys.exit(f"FAILED: {what}")


def query(secret: str) -> str:
    """Return a request for the tenant `acme`, signed with the standard library."""
    signature = hmac.new(secret.encode(), b"user-42", hashlib.sha256).hexdigest()
    return f"user_id=user-42&tenant=acme&sig={signature}"


def by_wsgi(guard: Guard, text: str) -> tuple[int, bytes]:
    """Return the status and the body of the guarded application's answer to this query."""
    status: list[str] = []

    def start_response(line: str, headers: Any, exc_info: Any = None) -> Any:
        status.append(line)

    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [verdict_from(environ).ids["user_id"].encode()]

    environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/inbox", "QUERY_STRING": text}
    body = b"".join(guard.wsgi(application)(environ, start_response))
    return int(status[0][:3]), body


def by_asgi(guard: Guard, text: str) -> tuple[int, bytes]:
    """The same over ASGI, in a new event loop."""
    sent: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": verdict_from(scope).ids["user_id"].encode()})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/inbox", "query_string": text.encode(), "headers": []}
    asyncio.run(guard.asgi(application)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


def check_guard(guard: Guard, secret: str = SECRET) -> None:
    """Check over WSGI and ASGI that a request signed with `secret` passes and a forged one does not."""
    for call in (by_wsgi, by_asgi):
        good, forged = call(guard, query(secret)), call(guard, query("another secret, long enough"))
        check(good == (200, b"user-42"), f"{call.__name__}: a signed request got {good}")
        check(forged[0] == 401, f"{call.__name__}: a forged request got {forged}")


def check_error(cause: Callable[[], object], *words: str) -> None:
    """Check that `cause` raises an `ImportError` or a `ConfigError` with all these words."""
    try:
        cause()
    except (ImportError, ValueError) as error:
        text = str(error)
    else:
        text = "no error"
    check(all(word in text for word in words), f"an error with {words} was expected, not {text!r}")


def run_command(*words: str, given: str = "", status: int = 0, **variables: str) -> str:
    """Return the output of `hmac-guard`. End the program if it has another exit code."""
    done = subprocess.run([COMMAND, *words], input=given, env=variables, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    check(done.returncode == status, f"hmac-guard {' '.join(words)} ended with {done.returncode}: {output}")
    return output
