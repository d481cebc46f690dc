"""Clients send signed requests to guarded applications on real servers, over sockets."""

import asyncio
import base64
import contextlib
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("flask", reason="not run: flask is not installed")
pytest.importorskip("starlette", reason="not run: starlette is not installed")
pytest.importorskip("uvicorn", reason="not run: uvicorn is not installed")

import uvicorn
from hosted import ASGI, PLACES, WSGI, Asked, Received, check
from serving import serving
from waiting import TIMEOUT, becomes_true


@contextlib.contextmanager
def on_uvicorn(app: Any) -> Iterator[int]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert becomes_true(lambda: server.started)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(TIMEOUT)


@pytest.fixture(scope="module", params=["waitress", "uvicorn"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with serving(WSGI) if request.param == "waitress" else on_uvicorn(ASGI) as port:
        yield f"http://127.0.0.1:{port}/orders"


def by_requests(url: str, asked: Asked, client: str) -> Received:
    """With a client that takes arguments as requests does."""
    module = pytest.importorskip(client, reason=f"not run: {client} is not installed")
    files = {"photo": ("photo.png", asked.photo, "image/png")} if asked.photo else None
    with module.Session() if client == "requests" else module.Client() as session:
        made = session.request(
            asked.method,
            url,
            params=asked.query,
            headers=asked.headers,
            json=asked.document,
            data=asked.form,
            files=files,
        )
    return Received(made.status_code, made.content)


def by_urllib3(url: str, asked: Asked) -> Received:
    urllib3 = pytest.importorskip("urllib3", reason="not run: urllib3 is not installed")
    with urllib3.PoolManager() as pool:
        if asked.document is not None:
            made = pool.request("POST", url, json=asked.document)
        elif asked.form is not None:
            photo = {"photo": ("photo.png", asked.photo, "image/png")} if asked.photo else {}
            made = pool.request("POST", url, fields={**asked.form, **photo}, encode_multipart=bool(asked.photo))
        else:
            made = pool.request("GET", url, fields=asked.query, headers=asked.headers)
    return Received(made.status, made.data)


def by_aiohttp(url: str, asked: Asked) -> Received:
    aiohttp = pytest.importorskip("aiohttp", reason="not run: aiohttp is not installed")

    async def send() -> Received:
        data = asked.form
        if asked.photo:
            data = aiohttp.FormData(asked.form)
            data.add_field("photo", asked.photo, filename="photo.png", content_type="image/png")
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                asked.method, url, params=asked.query, headers=asked.headers, json=asked.document, data=data
            ) as made,
        ):
            return Received(made.status, await made.read())

    return asyncio.run(send())


SCRIPT = """
const send = async ([url, method, query, headers, document, form, photo]) => {
  const options = {method, headers};
  if (document) {
    options.body = JSON.stringify(document);
    options.headers = {"Content-Type": "application/json"};
  } else if (form && photo) {
    options.body = new FormData();
    for (const [name, text] of Object.entries(form)) options.body.append(name, text);
    options.body.append("photo", new Blob([Buffer.from(photo, "base64")], {type: "image/png"}), "photo.png");
  } else if (form) {
    options.body = new URLSearchParams(form);
  }
  const made = await fetch(url + "?" + new URLSearchParams(query), options);
  console.log(JSON.stringify([made.status, await made.text()]));
};
require("readline").createInterface({input: process.stdin}).on("line", (line) => send(JSON.parse(line)));
"""


@pytest.fixture(scope="module")
def node() -> Iterator["subprocess.Popen[str]"]:
    """A process that sends the requests whose lines it is given: node takes a while to start."""
    if not shutil.which("node"):
        pytest.skip("not run: there is no node")
    pipe = subprocess.PIPE
    with subprocess.Popen(["node", "-e", SCRIPT], stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        process.kill()


def by_fetch(url: str, asked: Asked, node: "subprocess.Popen[str]") -> Received:
    photo = base64.b64encode(asked.photo).decode()
    arguments = [url, asked.method, asked.query, asked.headers, asked.document, asked.form, photo]
    assert node.stdin
    assert node.stdout
    print(json.dumps(arguments), file=node.stdin, flush=True)
    status, body = json.loads(node.stdout.readline())
    return Received(status, body.encode())


SENDERS: dict[str, Callable[[str, Asked], Received]] = {
    "aiohttp": by_aiohttp,
    "urllib3": by_urllib3,
    "httpx": lambda url, asked: by_requests(url, asked, "httpx"),
    "httpx2": lambda url, asked: by_requests(url, asked, "httpx2"),
    "requests": lambda url, asked: by_requests(url, asked, "requests"),
}


@pytest.mark.parametrize("place", list(PLACES))
@pytest.mark.parametrize("sender", list(SENDERS))
def test_a_signed_request_is_verified_and_a_forged_one_refused(url: str, sender: str, place: str) -> None:
    check(lambda asked: SENDERS[sender](url, asked), place)


@pytest.mark.parametrize("place", list(PLACES))
def test_fetch_of_node(url: str, node: "subprocess.Popen[str]", place: str) -> None:
    check(lambda asked: by_fetch(url, asked, node), place)
