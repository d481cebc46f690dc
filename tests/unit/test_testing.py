"""`hmac_guard.testing`: a signed client of each framework is let through, and the client itself is not."""

import asyncio
import hashlib
import hmac
import math
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from typing import Any

import pytest
from secrecy import SECRECY
from serving import proven, threaded

from hmac_guard import ConfigError, Cookie, Expires, Form, Guard, Header, Json, Path, Query, Scheme, verdict_from
from hmac_guard.keys import per_tenant
from hmac_guard.once import MemoryOnce
from hmac_guard.schemes import NANGO, STANDARD_WEBHOOKS, signed_ids
from hmac_guard.testing import Clock, sign_request, signed_client

KEY = "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19"
IN_QUERY = Scheme(name="query", ids={"user": Query("user")}, message="{user}", signature=Query("sig"))
IN_HEADER = Scheme(name="header", ids={"user": Header("X-User")}, message="{user}", signature=Header("X-Sig"))
IN_COOKIE = Scheme(name="cookie", ids={"user": Cookie("user")}, message="{user}", signature=Cookie("sig"))
IN_BODY = Scheme(
    name="body", ids={"user": Json("/a/user") | Form("user")}, message="{user}", signature=Json("/sig") | Form("sig")
)
SCHEMES = {scheme.name: scheme for scheme in (IN_QUERY, IN_HEADER, IN_COOKIE, IN_BODY)}
IDS = {"integration_id": "github", "connection_id": "user 42"}
#: Sends a GET, or a POST with a JSON body or with a form: gives status, ids, and what the application read.
Ask = Callable[..., tuple[int, Any]]


def flask(guard: Guard, sign: Callable[[Any], Any]) -> Ask:
    flask = pytest.importorskip("flask", reason="not run: Flask is not installed")
    app = flask.Flask("tested")

    def view() -> Any:
        request = flask.request
        return {"ids": dict(verdict_from(request).ids), "json": request.get_json(silent=True), "form": request.form}

    app.add_url_rule("/", "view", view, methods=["GET", "POST"])
    app.wsgi_app = guard.wsgi(app.wsgi_app)
    client = sign(app.test_client())

    def ask(**options: Any) -> tuple[int, Any]:
        method = client.post if options else client.get
        answer = method("/?page=2", json=options.get("json"), data=options.get("form"))
        return answer.status_code, answer.get_json(force=True)

    return ask


def starlette(guard: Guard, sign: Callable[[Any], Any]) -> Ask:
    pytest.importorskip("starlette", reason="not run: Starlette is not installed")
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route
    from starlette.testclient import TestClient

    async def view(request: Request) -> JSONResponse:
        is_json = request.headers.get("content-type") == "application/json"
        form = {} if is_json else dict(await request.form())
        found = {"ids": dict(verdict_from(request).ids), "json": await request.json() if is_json else None}
        return JSONResponse({**found, "form": form})

    client = sign(TestClient(guard.asgi(Starlette(routes=[Route("/", view, methods=["GET", "POST"])]))))

    def ask(**options: Any) -> tuple[int, Any]:
        body = {"json": options.get("json"), "data": options.get("form")} if options else {}
        answer = client.request("POST" if options else "GET", "/?page=2", **body)
        return answer.status_code, answer.json()

    return ask


def django(is_async: bool) -> Callable[[Guard, Callable[[Any], Any]], Ask]:
    def make(guard: Guard, sign: Callable[[Any], Any]) -> Ask:
        pytest.importorskip("django", reason="not run: Django is not installed")
        from django.http import JsonResponse
        from django.test import AsyncClient, Client
        from django_project import GUARDED, Guarded, project

        def view(request: Any) -> Any:
            import json

            is_json = request.content_type == "application/json"
            found = {"ids": dict(verdict_from(request).ids), "json": json.loads(request.body) if is_json else None}
            return JsonResponse({**found, "form": request.POST.dict()})

        client = sign(AsyncClient() if is_async else Client())

        def ask(**options: Any) -> tuple[int, Any]:
            from urllib.parse import urlencode

            arguments: dict[str, Any] = {}
            if "json" in options:
                arguments = {"data": options["json"], "content_type": "application/json"}
            elif options:
                form = urlencode(options["form"])
                arguments = {"data": form, "content_type": "application/x-www-form-urlencoded"}
            with project(view, MIDDLEWARE=[GUARDED]):
                Guarded.guard = guard
                answer = (client.post if options else client.get)("/?page=2", **arguments)
                answer = asyncio.run(answer) if is_async else answer
            return answer.status_code, answer.json()

        return ask

    return make


CLIENTS = {"flask": flask, "starlette": starlette, "django": django(False), "django, async": django(True)}


@pytest.fixture(params=list(CLIENTS))
def client(request: pytest.FixtureRequest) -> Callable[[Guard, Callable[[Any], Any]], Ask]:
    return CLIENTS[request.param]


@pytest.mark.parametrize("name", list(SCHEMES))
def test_a_signed_client_is_let_through_and_the_client_itself_is_not(client: Any, name: str) -> None:
    guard = Guard(SCHEMES[name], KEY)
    signed = client(guard, lambda each: signed_client(each, guard, user="user-42"))
    plain = client(guard, lambda each: signed_client(each, guard, user="user-42") and each)

    has_body = {"json": {"a": {"other": 1}, "user": "me"}} if name == "body" else {}
    status, found = signed(**has_body)
    assert status == 200
    assert found["ids"] == {"user": "user-42"}
    if has_body:
        assert found["json"] == {"a": {"other": 1, "user": "user-42"}, "user": "me", "sig": found["json"]["sig"]}
    assert plain(**has_body)[0] == 401


def test_a_client_that_is_signed_again_has_the_last_ids_and_the_last_key(client: Any) -> None:
    guard = Guard(SCHEMES["header"], KEY)

    def signed_twice(each: Any, **options: Any) -> Any:
        return signed_client(signed_client(each, guard, user="u1"), guard, **options)

    def first_of_two(each: Any) -> Any:
        first = signed_client(each, guard, user="u1")
        signed_client(first, guard, user="u2")
        return first

    assert client(guard, partial(signed_twice, user="u2"))()[1]["ids"] == {"user": "u2"}
    assert client(guard, partial(signed_twice, user="u1", key="another key, long enough too"))()[0] == 401
    assert client(guard, first_of_two)()[1]["ids"] == {"user": "u1"}


def test_a_form_gets_the_ids_as_fields(client: Any) -> None:
    guard = Guard(IN_BODY, KEY)
    status, found = client(guard, lambda each: signed_client(each, guard, user="u&1"))(
        form={"note": "a b", "user": "x"}
    )

    assert status == 200
    assert found["form"] == {"note": "a b", "user": "u&1", "sig": found["form"]["sig"]}


def test_a_body_into_which_only_the_tenant_is_placed_keeps_the_rest(client: Any) -> None:
    guard = Guard(IN_HEADER.replace(tenant=Json("/tenant")), {"acme": KEY})
    status, found = client(guard, lambda each: signed_client(each, guard, user="u1", tenant="acme"))(json={"amount": 5})

    assert (status, found["json"]) == (200, {"amount": 5, "tenant": "acme"})


def test_an_id_that_the_body_has_is_sent_there_alone(client: Any) -> None:
    guard = Guard(IN_QUERY.replace(ids={"user": Query("user") | Json("/user") | Form("user")}), KEY)
    ask = client(guard, lambda each: signed_client(each, guard, user="u1"))

    for body in ({"json": {"user": "u1"}}, {"form": {"user": "u1"}}):
        assert ask(**body)[0] == 200
    with pytest.raises(ValueError, match="another 'user' than the one that is to be signed, in the JSON body"):
        ask(json={"user": "u2"})


@pytest.mark.parametrize("is_async", [False, True], ids=["WSGI", "ASGI"])
def test_an_old_signature_in_a_header_is_removed(is_async: bool) -> None:
    pytest.importorskip("django", reason="not run: Django is not installed")
    from django.http import JsonResponse
    from django.test import AsyncClient, Client
    from django_project import GUARDED, Guarded, project

    guard = Guard(IN_HEADER.replace(signature=Header("X-Sig") | Header("X-Old")), KEY)
    client = signed_client(AsyncClient() if is_async else Client(), guard, user="u1")
    with project(lambda request: JsonResponse({"old": request.headers.get("X-Old")}), MIDDLEWARE=[GUARDED]):
        Guarded.guard = guard
        headers: dict[str, Any] = {"X-Old": "old"} if is_async else {"HTTP_X_OLD": "old"}
        answer: Any = client.get("/", **headers)
        answer = asyncio.run(answer) if is_async else answer

    assert (answer.status_code, answer.json()) == (200, {"old": None})


def test_a_signed_body_is_sent_as_it_was_signed(client: Any) -> None:
    key = b"a key of thirty-two bytes, or so"
    clock = Clock(1_800_000_000)
    guard = Guard(STANDARD_WEBHOOKS, key, clock=clock)
    signed = client(guard, lambda each: signed_client(each, guard, message_id=lambda: "msg_1"))

    assert signed(json={"order": 42})[1] == {"ids": {"message_id": "msg_1"}, "json": {"order": 42}, "form": {}}
    clock.move(301)
    stale = client(guard, lambda each: signed_client(each, guard, now=clock.now - 301, message_id="msg_1"))
    assert stale(json={"order": 42})[0] == 401


def test_each_request_has_a_new_nonce(client: Any) -> None:
    scheme = signed_ids(
        ids={"user": Query("user")}, expires=Expires(Query("expires"), max_lifetime=60), nonce=Header("X-Nonce")
    )
    guard = Guard(scheme, KEY, single_use=MemoryOnce(100), clock=Clock())
    ask = client(guard, lambda each: signed_client(each, guard, user="u1"))

    nonces = {ask()[1]["ids"]["nonce"] for _ in range(3)}
    assert len(nonces) == 3
    same = client(guard, lambda each: signed_client(each, guard, user="u1", nonce="once"))
    assert [same()[0], same()[0]] == [200, 401]


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_client_of_httpx_signs_for_a_real_server(library: str, is_async: bool) -> None:
    httpx = pytest.importorskip(library, reason=f"not run: {library} is not installed")
    guard = Guard(NANGO, KEY)
    with threaded(guard.wsgi(proven)) as port:
        address = f"http://127.0.0.1:{port}"

        async def asked() -> Any:
            async with httpx.AsyncClient(base_url=address) as client:
                return await signed_client(client, guard, IDS).get("/oauth/connect/github")

        if is_async:
            answer = asyncio.run(asked())
        else:
            with httpx.Client(base_url=address) as client:
                answer = signed_client(client, guard, IDS).get("/oauth/connect/github")
                assert client.get("/oauth/connect/github").status_code == 401
        assert answer.json() == IDS


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_client_of_httpx_with_other_authentication_is_an_error(library: str) -> None:
    httpx = pytest.importorskip(library, reason=f"not run: {library} is not installed")
    address = "https://api.example"
    guard = Guard(IN_HEADER, KEY)
    for options in (
        {"auth": ("ada", "pw")},
        {"auth": lambda request: request},
        {"base_url": "https://ada:pw@api.example"},
    ):
        with (
            httpx.Client(**{"base_url": address, **options}) as client,
            pytest.raises(ConfigError, match=r"the client has its own authentication.* send its header with headers="),
        ):
            signed_client(client, guard, user="u1")
    basic = {"Authorization": "Basic YWRhOnB3"}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=list(request.headers.items())))
    with httpx.Client(base_url=address, headers=basic, transport=transport) as client:
        sent = {name.lower(): text for name, text in signed_client(client, guard, user="u1").get("/").json()}
    assert (sent["authorization"], sent["x-user"]) == (basic["Authorization"], "u1")


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_request_of_httpx_with_its_own_auth_is_not_signed_and_a_user_in_its_url_is_not_sent(library: str) -> None:
    httpx = pytest.importorskip(library, reason=f"not run: {library} is not installed")
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=list(request.headers)))
    with httpx.Client(base_url="https://api.example", transport=transport) as client:
        signed = signed_client(client, Guard(IN_HEADER, KEY), user="u1")

        def names(url: str, **options: Any) -> set[str]:
            return {"authorization", "x-user"} & {*signed.get(url, **options).json()}

        assert names("/") == {"x-user"}
        assert names("/", auth=("ada", "pw")) == {"authorization"}
        assert names("/", auth=None) == set()
        assert names("https://ada:pw@api.example/") == {"x-user"}
        assert names("/", headers={"Authorization": "Basic YWRhOnB3"}) == {"authorization", "x-user"}


def test_the_key_is_that_with_which_the_guard_signs() -> None:
    scheme = IN_QUERY.replace(tenant=Header("X-Tenant"))

    @per_tenant
    async def of_tenant(claim: Any) -> Any:
        return {"acme": [KEY, "another key, long enough too"]}.get(claim.tenant)

    expected = hmac.new(KEY.encode(), b"u1", hashlib.sha256).hexdigest()
    for keys in ({"acme": [KEY, "another key, long enough too"]}, of_tenant):
        fields = sign_request(Guard(scheme, keys), user="u1", tenant="acme")
        assert (fields.query, fields.headers) == ({"user": "u1", "sig": expected}, {"X-Tenant": "acme"})
        with pytest.raises(ConfigError, match=r"no active key for the tenant 'other'; give tenant=, or key="):
            sign_request(Guard(scheme, keys), user="u1", tenant="other")
    assert sign_request(IN_QUERY, {"user": "u1"}, key=KEY).query == {"user": "u1", "sig": expected}


def test_the_clock_of_the_guard_is_the_time_of_signing() -> None:
    clock = Clock(1_800_000_000)
    scheme = signed_ids(ids={"user": Query("user")}, expires=Expires(Query("expires"), max_lifetime=60))
    guard = Guard(scheme, KEY, clock=clock)

    assert sign_request(guard, user="u").query["expires"] == "1800000030"
    clock.set(1_900_000_000)
    assert sign_request(guard, user="u").query["expires"] == "1900000030"
    assert sign_request(guard, user="u", now=5).query["expires"] == "35"
    assert repr(clock) == "Clock(1900000000)"


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(datetime.fromtimestamp(5, timezone.utc), id="datetime"),
        pytest.param("5", id="text"),
        pytest.param(math.inf, id="inf"),
        pytest.param(math.nan, id="nan"),
    ],
)
def test_a_time_that_is_no_number_is_an_error(now: Any) -> None:
    werkzeug = pytest.importorskip("werkzeug.test", reason="not run: Werkzeug is not installed")
    clock = Clock(5)
    causes: list[tuple[str, Callable[[], object]]] = [
        ("sign_request", lambda: sign_request(IN_QUERY, key=KEY, user="u1", now=now)),
        ("signed_client", lambda: signed_client(werkzeug.Client(proven), IN_QUERY, key=KEY, user="u1", now=now)),
        ("Clock", lambda: Clock(now)),
        ("Clock", lambda: clock.set(now)),
    ]
    for name, cause in causes:
        with pytest.raises(ConfigError, match=f"^{name}: now must be a Unix time in seconds"):
            cause()
    with pytest.raises(ConfigError, match="Clock: seconds must be a finite number"):
        clock.move(now)
    assert clock() == 5


def test_what_cannot_be_signed_says_so_when_the_client_is_made() -> None:
    guard = Guard(NANGO, KEY)
    httpx = pytest.importorskip("httpx", reason="not run: httpx is not installed")
    causes: dict[str, Callable[[], object]] = {
        "signed_client: object is not a known client": lambda: signed_client(object(), guard),
        "needs the id 'connection_id'; give connection_id=": lambda: sign_request(guard, integration_id="github"),
        "another 'integration_id'": lambda: sign_request(guard, IDS, path="/oauth/connect/x"),
        "has no id 'user'": lambda: sign_request(guard, user="u", integration_id="g", connection_id="c"),
        "a scheme has no key; give key=, or the guard": lambda: sign_request(NANGO, integration_id="g"),
        "guard must be a Guard, not str": lambda: sign_request("key", user="u"),  # type: ignore[arg-type]
        "give the client its address": lambda: signed_client(httpx.Client(), guard),
    }
    for error, cause in causes.items():
        with pytest.raises(ValueError, match=error):
            cause()


@pytest.mark.parametrize("key", [None, NANGO])
def test_a_key_in_the_place_of_the_guard_is_in_no_variable(key: Any) -> None:
    httpx = pytest.importorskip("httpx", reason="not run: httpx is not installed")
    # `secrecy` searches the local variables of every error for each key of a test.
    SECRECY.made.add(b"a key in the place of a guard")
    with httpx.Client(base_url="https://a.example") as client:
        signs: list[Any] = [sign_request, partial(signed_client, client)]
        for sign in signs:
            with pytest.raises(ConfigError, match="guard must be a Guard, not str"):
                sign("a key in the place of a guard", key=key)
    assert SECRECY.found() == []


def test_a_key_in_the_place_of_the_ids_is_in_no_variable() -> None:
    pytest.importorskip("httpx", reason="not run: httpx is not installed")
    pytest.importorskip("requests", reason="not run: requests is not installed")
    import httpx

    from hmac_guard.client import HttpxAuth, RequestsAuth

    # `secrecy` searches the local variables of every error for each key of a test.
    SECRECY.made.add(b"a key in the place of the ids")
    origins = ["https://a.example"]
    with httpx.Client(base_url=origins[0]) as client:
        signs: dict[str, Callable[[Any], object]] = {
            "sign": lambda ids: IN_QUERY.sign(KEY, ids),
            "sign_fields": lambda ids: IN_QUERY.sign_fields(KEY, ids),
            "sign_request": lambda ids: sign_request(IN_QUERY, ids, key=KEY),
            "signed_client": lambda ids: signed_client(client, IN_QUERY, ids, key=KEY),
            "HttpxAuth": lambda ids: HttpxAuth(IN_QUERY, KEY, origins, ids),
            "RequestsAuth": lambda ids: RequestsAuth(IN_QUERY, KEY, origins, ids),
        }
        for name, sign in signs.items():
            with pytest.raises(ConfigError, match=f"^{name}: ids must be a mapping of names to texts, not str$"):
                sign("a key in the place of the ids")
    assert SECRECY.found() == []


def test_an_id_of_a_wrong_type_or_that_is_given_twice_is_an_error_when_the_client_is_made() -> None:
    werkzeug = pytest.importorskip("werkzeug.test", reason="not run: Werkzeug is not installed")
    guard = Guard(IN_QUERY, lambda claim: {"u1": KEY}[claim.ids["user"]])
    signs: dict[str, Callable[..., object]] = {
        "sign_request": partial(sign_request, guard),
        "signed_client": partial(signed_client, werkzeug.Client(proven), guard),
    }
    for name, sign in signs.items():
        with pytest.raises(ConfigError, match=f"^{name}: the id 'user' must be text, or a function .*, not int"):
            sign(user=5)
        with pytest.raises(ConfigError, match=f"^{name}: 'user' is given twice"):
            sign({"user": "u1"}, user="u2")


def test_an_id_in_the_path_is_read_there_and_placed_nowhere_else() -> None:
    scheme = Scheme(name="path", ids={"user": Path("/of/{user}")}, message="{user}", signature=Query("sig"))

    expected = {"sig": hmac.new(KEY.encode(), b"u 1", hashlib.sha256).hexdigest()}
    assert sign_request(scheme, key=KEY, path="/v1/of/u 1").query == expected
    assert sign_request(scheme, key=KEY, path="/of/u%201").query == {"sig": scheme.sign(KEY, user="u%201")}
    assert sign_request(scheme, key=KEY, user="u 1").query == expected
    assert list(sign_request(NANGO, IDS, key=KEY).query) == ["integration_id", "connection_id", "hmac"]
    fields = sign_request(NANGO, IDS, key=KEY, path="/api/oauth/connect/github")
    assert list(fields.query) == ["connection_id", "hmac"]


def test_a_signed_client_of_flask_keeps_its_sessions_and_contexts() -> None:
    flask = pytest.importorskip("flask", reason="not run: Flask is not installed")
    app = flask.Flask("tested")
    app.secret_key = "of the sessions"
    app.add_url_rule("/", "view", lambda: flask.session.get("name", ""))
    guard = Guard(IN_QUERY, KEY)
    app.wsgi_app = guard.wsgi(app.wsgi_app)

    with signed_client(app.test_client(), guard, user="u1") as client:
        with client.session_transaction() as session:
            session["name"] = "of the session"
        assert client.get("/").text == "of the session"
        assert verdict_from(flask.request).ids == {"user": "u1"}


@pytest.mark.parametrize("method", ["POST", "post", "Post"])
def test_the_method_is_signed_as_it_is_sent(method: str) -> None:
    werkzeug = pytest.importorskip("werkzeug.test", reason="not run: Werkzeug is not installed")
    scheme = Scheme(name="m", ids={"user": Query("user")}, message="{@method}.{user}", signature=Query("sig"))
    guard = Guard(scheme, KEY)
    client = signed_client(werkzeug.Client(guard.wsgi(proven)), guard, user="u1")

    assert client.open("/", method=method).json == {"user": "u1"}
    assert sign_request(guard, user="u1", method=method).query["sig"] == scheme.sign(KEY, user="u1", method="POST")


@pytest.mark.parametrize("base_url", ["http://testserver", "https://testserver", "http://api.example"])
def test_a_websocket_is_signed(base_url: str) -> None:
    pytest.importorskip("starlette", reason="not run: Starlette is not installed")
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute
    from starlette.testclient import TestClient
    from starlette.websockets import WebSocket, WebSocketDisconnect

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(dict(verdict_from(websocket).ids))
        await websocket.close()

    guard = Guard(IN_HEADER, KEY)
    client = TestClient(guard.asgi(Starlette(routes=[WebSocketRoute("/", endpoint)])), base_url=base_url)
    with signed_client(client, guard, user="u1").websocket_connect("/") as websocket:
        assert websocket.receive_json() == {"user": "u1"}
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/"):
        pass


def test_an_async_resolver_gives_the_key_unless_an_event_loop_runs() -> None:
    async def keys(claim: Any) -> Any:
        return KEY

    guard = Guard(IN_QUERY, keys)

    async def sign() -> None:
        sign_request(guard, user="u1")

    assert sign_request(guard, user="u1").query == sign_request(IN_QUERY, {"user": "u1"}, key=KEY).query
    with pytest.raises(ConfigError, match="the key resolver is async, and an event loop runs here; give key="):
        asyncio.run(sign())


def test_a_redirect_of_the_test_client_is_signed_again_with_its_body() -> None:
    pytest.importorskip("starlette", reason="not run: Starlette is not installed")
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route
    from starlette.testclient import TestClient

    bodies = []

    async def view(request: Request) -> JSONResponse:
        bodies.append(await request.json())
        return JSONResponse(dict(verdict_from(request).ids))

    guard = Guard(IN_BODY, KEY, exempt=("/inbox",))
    client = signed_client(
        TestClient(guard.asgi(Starlette(routes=[Route("/inbox/", view, methods=["POST"])]))), guard, user="u1"
    )
    answer = client.post("/inbox", json={"x": 1})
    assert (answer.status_code, answer.json()) == (200, {"user": "u1"})
    assert [each.status_code for each in answer.history] == [401]
    assert bodies == [{"x": 1, "a": {"user": "u1"}, "sig": IN_BODY.sign(KEY, user="u1")}]
