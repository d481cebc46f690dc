"""What real clients send is verified, and every framework reads it. Strictness that costs a user is a defect."""

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import httpx
import pytest

pytest.importorskip("falcon", reason="not run: the frameworks are not installed")

import requests
from support import Sent
from waiting import TIMEOUT

from acceptance.differential.compare import Comparison
from acceptance.differential.deviations import explained
from acceptance.differential.views import event_loop

ID = "größe 日本+&=%/;,'x'@1"
FILE = ("photo.png", b"\x89PNG\r\n\x1a\n\x00--", "image/png")

pytestmark = pytest.mark.filterwarnings("default")


class Recorder(HTTPServer):
    """Keeps what a client has sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), RecordingHandler)
        self.received: list[Sent] = []

    def record(self, client: Callable[[str], object]) -> Sent:
        """What arrives here of a client that sends one request to the URL that it is given."""
        client(f"http://127.0.0.1:{self.server_port}")
        return self.received.pop()


class RecordingHandler(BaseHTTPRequestHandler):
    server: Recorder

    def do_GET(self) -> None:
        raw_path, _, query = self.path.partition("?")
        path = unquote_to_bytes(raw_path).decode("latin-1")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.received.append(Sent(self.command, path, query, self.headers.items(), body, raw_path))
        self.send_response(204)
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the test says what went wrong."""


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with Recorder() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def check(source: str, sent: Sent) -> None:
    """The guard verifies the request, and every framework reads the id."""
    with event_loop() as loop:
        comparison = Comparison(source, loop)
        findings = comparison.findings(sent)

    assert comparison.counts["accepted"] == 1
    assert [finding for finding in findings if not explained(finding)] == []


PYTHON: dict[str, tuple[str, Callable[[Any, str], object]]] = {
    "query": ("query", lambda client, url: client.get(url + "/query", params={"b": "ü&;", "a": ID})),
    "header": ("header", lambda client, url: client.get(url + "/header", headers={"X-Sig": "acme/42"})),
    "cookie": ("cookie", lambda client, url: client.get(url + "/cookie", headers={"Cookie": "b=%22x%22; a=42"})),
    "json": ("json", lambda client, url: client.post(url + "/json", json={"b": [1.5, None], "a": ID})),
    "form": ("form", lambda client, url: client.post(url + "/form", data={"b": "ü&;", "a": ID})),
    "multipart": (
        "multipart",
        lambda client, url: client.post(url + "/form", data={"a": ID}, files={"größe": FILE}),
    ),
}


@pytest.mark.parametrize("case", list(PYTHON))
@pytest.mark.parametrize("client", [httpx, requests], ids=lambda client: client.__name__)
def test_python_clients(recorder: Recorder, client: Any, case: str) -> None:
    source, send = PYTHON[case]

    check(source, recorder.record(lambda url: send(client, url)))


CURL = {
    "query": ("query", ["--get", "--data-urlencode", f"a={ID}", "/query"]),
    "header": ("header", ["-H", "X-Sig: acme/42", "/header"]),
    "cookie": ("cookie", ["-b", "b=1; a=42", "/cookie"]),
    "json": ("json", ["-H", "Content-Type: application/json", "-d", json.dumps({"a": ID}), "/json"]),
    "form": ("form", ["--data-urlencode", f"a={ID}", "-d", "b=x", "/form"]),
    "multipart": ("multipart", ["-F", f"a={ID}", "-F", "f=@photo.png;type=image/png", "/form"]),
    "multipart, text with a type": ("multipart", ["-F", "a=acme;type=text/plain", "-F", "b=;filename=x", "/form"]),
}


@pytest.mark.skipif(not shutil.which("curl"), reason="not run: there is no curl")
@pytest.mark.parametrize("case", list(CURL))
def test_curl(recorder: Recorder, case: str, tmp_path: Path) -> None:
    source, (*arguments, path) = CURL[case]
    (tmp_path / "photo.png").write_bytes(FILE[1])

    def send(url: str) -> None:
        subprocess.run(["curl", "-sS", *arguments, url + path], check=True, cwd=tmp_path, timeout=TIMEOUT)

    check(source, recorder.record(send))


NODE = {
    "query": ("query", 'fetch(url + "/query?" + new URLSearchParams({b: "ü", a: id}))'),
    "query, escaped by hand": ("query", 'fetch(url + "/query?a=" + encodeURIComponent(id))'),
    "path": ("path", 'fetch(url + "/p/" + encodeURIComponent(id.replace("/", "")) + "/c")'),
    "json": (
        "json",
        'fetch(url + "/json", {method: "POST", headers: {"Content-Type": "application/json"}, '
        "body: JSON.stringify({a: id, b: {c: [1]}})})",
    ),
    "form": ("form", 'fetch(url + "/form", {method: "POST", body: new URLSearchParams({b: "ü&;", a: id})})'),
    "multipart": ("multipart", 'fetch(url + "/form", {method: "POST", body: form})'),
}


@pytest.mark.skipif(not shutil.which("node"), reason="not run: there is no node")
@pytest.mark.parametrize("case", list(NODE))
def test_node(recorder: Recorder, case: str) -> None:
    source, script = NODE[case]
    prelude = (
        "const [url, id] = process.argv.slice(1); const form = new FormData(); form.append('a', id); "
        "form.append('größe', new Blob([new Uint8Array([1, 13, 10])], {type: 'image/png'}), 'größe \".png');"
    )

    def send(url: str) -> None:
        subprocess.run(["node", "-e", f"{prelude} {script}", url, ID], check=True, timeout=TIMEOUT)

    check(source, recorder.record(send))


def multipart(kind: str, *lines: str) -> Sent:
    body = "\r\n".join(lines).encode()
    return Sent("POST", "/form", headers=[("Content-Type", f"multipart/form-data; boundary={kind}")], body=body)


#: Clients that are not installed, as their sources and their requests on the wire show them.
WRITTEN: dict[str, Sent] = {
    "Chrome": multipart(
        "----WebKitFormBoundary7MA4YWxkTrZu0gW",
        "------WebKitFormBoundary7MA4YWxkTrZu0gW",
        'Content-Disposition: form-data; name="photo"; filename="gr\u00f6\u00dfe %22x%22.png"',
        "Content-Type: image/png",
        "",
        "data",
        "------WebKitFormBoundary7MA4YWxkTrZu0gW",
        'Content-Disposition: form-data; name="a"',
        "",
        ID,
        "------WebKitFormBoundary7MA4YWxkTrZu0gW--",
        "",
    ),
    "Firefox": multipart(
        "---------------------------9051914041544843365972754266",
        "-----------------------------9051914041544843365972754266",
        'Content-Disposition: form-data; name="a"',
        "",
        ID,
        "-----------------------------9051914041544843365972754266",
        'Content-Disposition: form-data; name="empty"; filename=""',
        "Content-Type: application/octet-stream",
        "",
        "",
        "-----------------------------9051914041544843365972754266--",
        "",
    ),
    ".NET, MultipartFormDataContent": multipart(
        '"2c1c5ab5-b4d1-4c65-a2bd-7b8d8f4b5e1a"',
        "--2c1c5ab5-b4d1-4c65-a2bd-7b8d8f4b5e1a",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Disposition: form-data; name=a",
        "",
        ID,
        "--2c1c5ab5-b4d1-4c65-a2bd-7b8d8f4b5e1a",
        "Content-Type: image/png",
        "Content-Disposition: form-data; name=photo; filename=photo.png; filename*=utf-8''photo.png",
        "",
        "data",
        "--2c1c5ab5-b4d1-4c65-a2bd-7b8d8f4b5e1a--",
        "",
    ),
    "Java, Apache HttpClient": multipart(
        "pX3hJkQ2vN8sYw0aRbfXq3ZpHk2VdN8s",
        "--pX3hJkQ2vN8sYw0aRbfXq3ZpHk2VdN8s",
        'Content-Disposition: form-data; name="a"',
        "Content-Type: text/plain; charset=ISO-8859-1",
        "Content-Transfer-Encoding: 8bit",
        "",
        "acme/42",
        "--pX3hJkQ2vN8sYw0aRbfXq3ZpHk2VdN8s--",
        "",
    ),
    "Java, OkHttp": multipart(
        "5f7e7f8e-5e4c-4f0a-9f3a-0b9d4c1c7a55",
        "--5f7e7f8e-5e4c-4f0a-9f3a-0b9d4c1c7a55",
        'Content-Disposition: form-data; name="a"',
        f"Content-Length: {len(ID.encode())}",
        "",
        ID,
        "--5f7e7f8e-5e4c-4f0a-9f3a-0b9d4c1c7a55--",
        "",
    ),
    "Java, Spring": multipart(
        "fXq3ZpHk2VdN8sYw0aRb",
        "--fXq3ZpHk2VdN8sYw0aRb",
        'Content-Disposition: form-data; name="a"',
        "Content-Type: text/plain;charset=UTF-8",
        f"Content-Length: {len(ID.encode())}",
        "",
        ID,
        "--fXq3ZpHk2VdN8sYw0aRb--",
        "",
    ),
    "Dart": multipart(
        "dart-http-boundary-1ZcN8sYw0aRb+q3ZpHk2VdN8sYw0aRbfXq3ZpHk2VdN8s",
        "--dart-http-boundary-1ZcN8sYw0aRb+q3ZpHk2VdN8sYw0aRbfXq3ZpHk2VdN8s",
        'content-disposition: form-data; name="a"',
        "content-type: text/plain; charset=utf-8",
        "content-transfer-encoding: binary",
        "",
        ID,
        "--dart-http-boundary-1ZcN8sYw0aRb+q3ZpHk2VdN8sYw0aRbfXq3ZpHk2VdN8s--",
        "",
    ),
    "Go, mime/multipart": multipart(
        "d7d5f7b2c1a04e8f9b6a3c2d1e0f99887766554433221100aabbccddeeff",
        "--d7d5f7b2c1a04e8f9b6a3c2d1e0f99887766554433221100aabbccddeeff",
        'Content-Disposition: form-data; name="a"',
        "",
        ID,
        "--d7d5f7b2c1a04e8f9b6a3c2d1e0f99887766554433221100aabbccddeeff--",
        "",
    ),
    "PHP, Guzzle": multipart(
        "3f1c2b4a5d6e7f8091a2b3c4d5e6f70812345678",
        "--3f1c2b4a5d6e7f8091a2b3c4d5e6f70812345678",
        'Content-Disposition: form-data; name="a"',
        f"Content-Length: {len(ID.encode())}",
        "",
        ID,
        "--3f1c2b4a5d6e7f8091a2b3c4d5e6f70812345678--",
        "",
    ),
}


@pytest.mark.parametrize("client", list(WRITTEN))
def test_clients_that_are_not_installed(client: str) -> None:
    check("multipart", WRITTEN[client])
