"""Falcon over ASGI: it routes the whole path, with the mount point of the server, and has a test client of its own."""

from typing import Any

import pytest

pytest.importorskip("falcon", reason="not run: Falcon is not installed")
pytest.importorskip("starlette", reason="not run: Starlette is not installed")

import falcon
import falcon.asgi
import falcon.testing
from key_sources import KEY
from starlette.middleware.cors import CORSMiddleware
from support import Sent, run_asgi

from hmac_guard import Guard, Header, Json, Path, Query, Scheme, verdict_from
from hmac_guard.schemes import NANGO

SCHEME = Scheme(name="x", ids={"name": Header("X-Name") | Json("/name")}, message="{name}", signature=Header("X-Sig"))
SIGNED = {"X-Sig": SCHEME.sign(KEY, name="ann")}


class Inbox:
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, name: str = "") -> None:
        resp.text = f"{name} {req.get_header('X-Name')}"

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.media = [await req.get_media(), dict(verdict_from(req).ids)]


def application(*routes: str) -> Any:
    app = falcon.asgi.App()
    for route in routes:
        app.add_route(route, Inbox())
    return app


@pytest.mark.parametrize("entry", ["/api/inbox", "/api/", "/inbox"])
def test_only_guards_a_route_with_the_mount_point_of_the_server(entry: str) -> None:
    """uvicorn puts its root path in front of the path, and Falcon does not cut it."""
    app = Guard(NANGO, KEY, only=(entry,)).asgi(application("/api/inbox", "/open"))

    assert run_asgi(app, Sent(path="/api/inbox", root="/api")).status == 401
    assert run_asgi(app, Sent(path="/open", root="/api")).status == 200


def without_its_name(app: Any) -> Any:
    async def layer(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return layer


@pytest.mark.parametrize(
    ("entry", "layer"),
    [
        pytest.param("/inbox/health", without_its_name, id="without the mount point, in an unknown application"),
        pytest.param("/api/inbox/health", CORSMiddleware, id="as Falcon routes it"),
    ],
)
def test_an_exempt_path_within_only_stays_exempt_under_a_mount_point(entry: str, layer: Any) -> None:
    app = Guard(NANGO, KEY, only=("/inbox/",), exempt=(entry,)).asgi(layer(application("/api/inbox/health")))

    assert run_asgi(app, Sent(path="/api/inbox/health", root="/api")).status == 200


def test_a_path_of_falcon_is_exempt_only_with_the_mount_point_of_the_server() -> None:
    app = Guard(NANGO, KEY, exempt=("/inbox",)).asgi(application("/api/inbox"))

    assert run_asgi(app, Sent(path="/api/inbox", root="/api")).status == 401


def test_an_id_in_the_path_with_the_mount_point_of_the_server_is_not_ignored() -> None:
    template = Path("/api/inbox/{name}")
    scheme = Scheme(name="x", ids={"name": template | Query("name")}, message="{name}", signature=Query("sig"))
    app = Guard(scheme, KEY).asgi(application("/api/inbox/{name}"))
    signed = f"sig={scheme.sign(KEY, name='ann')}"

    assert run_asgi(app, Sent(path="/api/inbox/bob", root="/api", query=f"name=ann&{signed}")).status == 401
    assert run_asgi(app, Sent(path="/api/inbox/ann", query=signed)).body == b"ann None"


@pytest.mark.parametrize("layer", [CORSMiddleware, lambda app: app], ids=["in CORSMiddleware", "alone"])
def test_an_id_is_refused_if_the_mount_point_may_be_an_id_too(layer: Any) -> None:
    """A template that begins with an id matches the path with the mount point, too, and finds another id there."""
    scheme = Scheme(name="x", ids={"org": Path("/{org}", "/{org}/{page}")}, message="{org}", signature=Query("sig"))
    app = Guard(scheme, KEY).asgi(layer(application("/{name}/acme")))

    signed = f"sig={scheme.sign(KEY, org='acme')}"
    assert run_asgi(app, Sent(path="/api/acme", root="/api", query=signed)).status == 401


def test_a_guarded_application_works_with_the_test_client_of_falcon() -> None:
    """The client gives each header as an iterator, which can be read once."""
    client = falcon.testing.TestClient(Guard(SCHEME, KEY).asgi(application("/inbox")))

    assert client.simulate_get("/inbox", headers={"X-Name": "ann", **SIGNED}).text == " ann"
    assert client.simulate_post("/inbox", json={"name": "ann"}, headers=SIGNED).json == [{"name": "ann"}] * 2
    assert client.simulate_get("/inbox", headers=SIGNED).status_code == 401


def test_a_scheme_without_headers_leaves_those_of_the_test_client_of_falcon() -> None:
    scheme = Scheme(name="x", ids={"name": Query("name")}, message="{name}", signature=Query("sig"))
    client = falcon.testing.TestClient(Guard(scheme, KEY, mode="report").asgi(application("/inbox")))

    assert client.simulate_get("/inbox", headers={"X-Name": "ann"}).text == " ann"
    assert client.simulate_options("/inbox", headers={"X-Name": "ann"}).headers["allow"] == "GET, POST"
