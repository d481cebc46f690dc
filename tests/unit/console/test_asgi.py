"""The console as an ASGI application: what servers differ in, and what clients do to it."""

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="not run: sqlalchemy is not installed")

from consoles import ADA, ORIGIN
from databases import empty_keys
from key_sources import KEY
from waiting import TIMEOUT
from werkzeug.wrappers import Response

from hmac_guard.console import Console, mounts
from hmac_guard.console.mounts import AsgiSite, environ_of_scope
from hmac_guard.console.site import limited_request
from hmac_guard.schemes import NANGO

HEADERS = [(b"host", b"localhost")]


@pytest.fixture
def console(tmp_path: Path) -> Console:
    keys = empty_keys(tmp_path)
    keys.add("acmé", KEY)
    return Console(keys, schemes=[NANGO], authorize=lambda request: ADA)


def scope(path: str = "/console/", root: str = "/console", **changed: Any) -> dict[str, Any]:
    given = {"method": "GET", "query_string": b"", "headers": HEADERS, "scheme": "http", "client": ("192.0.2.7", 1)}
    return {"type": "http", "path": path, "root_path": root, **given, **changed}


def call(console: Console, given: dict[str, Any], *messages: dict[str, Any]) -> list[Any]:
    """Send messages to the console, and return those that it sends."""
    sent: list[Any] = []
    waiting = [*messages] or [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(console.asgi(given, receive, send))
    return sent


def body_of(sent: list[Any]) -> str:
    return b"".join(message.get("body", b"") for message in sent).decode()


@pytest.mark.parametrize("path", ["/console/tenant", "/tenant"])
def test_a_root_path_is_removed_for_both_kinds_of_servers(console: Console, path: str) -> None:
    sent = call(console, scope(path, query_string="name=acmé".encode()))

    assert sent[0]["status"] == 200
    assert "acmé" in body_of(sent)
    assert 'href="/console/"' in body_of(sent)


@pytest.mark.parametrize(
    ("path", "root", "script_name", "path_info"),
    [
        ("/console", "/console", "/console", ""),
        ("/console/", "/console/", "/console", "/"),
        ("/consoles/x", "/console", "/console", "/consoles/x"),
        ("/x", "", "", "/x"),
        ("/größe/x", "/größe", "/größe", "/x"),
    ],
)
def test_the_mount_point_and_the_path(path: str, root: str, script_name: str, path_info: str) -> None:
    environ = environ_of_scope(scope(path, root), b"")

    assert environ["SCRIPT_NAME"].encode("latin-1").decode() == script_name
    assert environ["PATH_INFO"].encode("latin-1").decode() == path_info


def test_the_mount_point_alone_leads_to_the_list(console: Console) -> None:
    sent = call(console, scope("/console"))

    assert sent[0]["status"] == 308
    assert (b"location", b"/console/") in sent[0]["headers"]


@pytest.mark.parametrize("root", ["//evil.test", "///evil.test/", "/evil.test"])
def test_no_address_names_the_mount_point_as_a_host(console: Console, root: str) -> None:
    page = call(console, scope(f"{root.rstrip('/')}/", root))
    headers = dict(page[0]["headers"])

    assert (b"location", b"/evil.test/") in call(console, scope(root.rstrip("/"), root))[0]["headers"]
    assert b"; Path=/evil.test/;" in headers[b"set-cookie"]
    assert set(re.findall(r'(?:href|action|src)="(/[^/"]*/)', body_of(page))) == {"/evil.test/"}


def test_a_header_cannot_replace_another_one() -> None:
    headers = [
        (b"x_forwarded_user", b"eve"),
        (b"content-length", b"99"),
        (b"transfer-encoding", b"chunked"),
        (b"cookie", b"a=1"),
        (b"cookie", b"b=2"),
        (b"origin", b"http://a"),
        (b"origin", b"http://b"),
        (b"content-type", b"text/plain"),
    ]
    environ = environ_of_scope(scope(headers=headers), b"12")

    assert "HTTP_X_FORWARDED_USER" not in environ
    assert "HTTP_TRANSFER_ENCODING" not in environ
    assert environ["CONTENT_LENGTH"] == "2"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert environ["HTTP_ORIGIN"] == "http://a,http://b"
    assert environ["CONTENT_TYPE"] == "text/plain"
    assert environ["REMOTE_ADDR"] == "192.0.2.7"
    assert "REMOTE_ADDR" not in environ_of_scope(scope(client=None), b"")


def test_reading_of_a_form_stops_after_a_mebibyte(console: Console) -> None:
    chunk = {"type": "http.request", "body": b"x" * 600_000, "more_body": True}
    left = [chunk, chunk, chunk]
    sent = call(console, scope("/console/check", method="POST"), *left)

    assert sent[0]["status"] == 413
    assert b"larger than 1 MiB. Send less: of a HAR file, paste only the entry" in sent[1]["body"]


def test_a_client_that_goes_away_gets_no_answer(console: Console) -> None:
    half = {"type": "http.request", "body": b"token=", "more_body": True}

    assert call(console, scope("/console/check", method="POST"), half) == []


def test_a_websocket_is_closed_and_a_lifespan_is_answered(console: Console) -> None:
    closed = call(console, {"type": "websocket", "path": "/"}, {"type": "websocket.connect"})
    lived = call(console, {"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})

    assert closed == [{"type": "websocket.close", "code": 1000}]
    assert [message["type"] for message in lived] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_requests_are_answered_concurrently_on_threads(console: Console) -> None:
    """A slow `authorize` delays neither the event loop nor another request."""
    import threading

    together, threads = threading.Barrier(3, timeout=20), set()

    def slow(request: Any) -> Any:
        threads.add(threading.current_thread())
        together.wait()
        return ADA

    console.authorize = slow

    async def ask() -> int:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await console.asgi(scope(headers=[*HEADERS, (b"origin", ORIGIN.encode())]), receive, send)
        return int(sent[0]["status"])

    async def all_of_them() -> list[int]:
        return await asyncio.gather(*(ask() for _ in range(3)))

    assert asyncio.run(all_of_them()) == [200, 200, 200]
    assert len(threads) == 3
    assert {thread.name for thread in threads} == {"hmac_guard-console"}


def test_one_request_too_many_is_503(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "MAX_REQUESTS", 0)
    console.asgi._start()

    sent = call(console, scope("/console/"))

    assert sent[0]["status"] == 503
    assert b"too many requests" in sent[1]["body"]


HANGING = """
import asyncio, sys, threading
from sqlalchemy import create_engine
from hmac_guard.console import Console
from hmac_guard.keys import SqlKeys
from hmac_guard.schemes import NANGO

asked = threading.Event()

def authorize(request):
    asked.set()
    threading.Event().wait()

console = Console(SqlKeys(create_engine("sqlite:///no.db")), schemes=[NANGO], authorize=authorize)
scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}

async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}

async def main():
    task = asyncio.ensure_future(console.asgi(scope, receive, print))
    await asyncio.to_thread(asked.wait)
    task.cancel()

asyncio.run(main())
print("ended")
"""


def test_the_process_ends_while_a_page_hangs() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=TIMEOUT)

    assert (ended.returncode, ended.stdout) == (0, "ended\n"), ended.stderr


def test_an_export_is_sent_in_parts(console: Console) -> None:
    sent = call(console, scope("/console/audit.jsonl"))

    assert [message["type"] for message in sent] == ["http.response.start", *["http.response.body"] * (len(sent) - 1)]
    assert sent[-1] == {"type": "http.response.body", "body": b""}
    assert body_of(sent).count("\n") == 1


@pytest.mark.parametrize(
    "path", ["/console/", "/console/tenant", "/console/audit", "/console/check", "/console/signing"]
)
def test_a_query_that_is_not_utf_8_causes_no_error(console: Console, path: str) -> None:
    sent = call(console, scope(path, query_string=b"name=\xff&prefix=\xff&tenant=%ff"))

    assert sent[0]["status"] in (200, 404)


def test_a_query_with_characters_beyond_latin_1_causes_no_error() -> None:
    """Django decodes a query of ASGI as UTF-8."""
    request = limited_request({"REQUEST_METHOD": "GET", "QUERY_STRING": "name=日", "wsgi.url_scheme": "http"})

    assert dict(request.args) == {"name": "?"}


def test_a_request_that_is_cancelled_during_an_export_ends_as_cancelled(console: Console) -> None:
    """A thread makes a part of the export at this moment."""
    is_made, go_on = threading.Event(), threading.Event()

    def parts() -> Iterator[bytes]:
        is_made.set()
        go_on.wait(TIMEOUT)
        yield b"a part"

    class Answers:
        def respond(self, environ: Any) -> Response:
            return Response(parts())

    async def cancel() -> None:
        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            return None

        given: Any = Answers()
        task = asyncio.ensure_future(AsgiSite(given)(scope(), receive, send))
        await asyncio.to_thread(is_made.wait, TIMEOUT)
        task.cancel()
        try:
            with pytest.raises(asyncio.CancelledError):
                await task
        finally:
            go_on.set()

    asyncio.run(cancel())
