"""ASGI only: messages, the deadline, scope types, websockets, and the threads of resolvers."""

import asyncio
import threading
import time
from itertools import count
from typing import Any

import pytest
from secrecy import texts_of
from support import Sent, scope_for
from waiting import TIMEOUT

from hmac_guard import (
    Cookie,
    Guard,
    Header,
    Json,
    Key,
    KeysUnavailable,
    Path,
    Query,
    Reason,
    Scheme,
    verdict_from,
)
from hmac_guard.asgi import body as asgi_body

KEY = "a key that is long enough"
SCHEME = Scheme(name="one", ids={"a": Json("/a") | Query("a")}, message="{a}", signature=Query("sig"))
QUERY = f"sig={SCHEME.sign(KEY, a='x')}"
BODY = b'{"a": "x"}'
GUARD = Guard(SCHEME, KEY, max_body=100)
JSON = ("Content-Type", "application/json")


def more(body: Any, more_body: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more_body}


DISCONNECT = {"type": "http.disconnect"}


class Server:
    """Acts as the server: sends the messages, then waits forever, and records the answers."""

    def __init__(self, *messages: Any) -> None:
        self.messages = list(messages)
        self.sent: list[dict[str, Any]] = []
        self.calls = 0

    async def receive(self) -> Any:
        self.calls += 1
        if not self.messages:
            await asyncio.Event().wait()
        message = self.messages.pop(0)
        if isinstance(message, BaseException):
            raise message
        return message

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int | None:
        return self.sent[0].get("status") if self.sent else None


def run(guard: Guard, server: Server, reads: int = 1, **scope: Any) -> list[Any]:
    """What the application received: its verdict, and the messages that it read."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(verdict_from(scope))
        for _ in range(reads):
            seen.append(await receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    made = {**scope_for(Sent("POST", query=QUERY, headers=[JSON])), **scope}
    asyncio.run(asyncio.wait_for(guard.asgi(app)(made, server.receive, server.send), TIMEOUT))
    return seen


@pytest.mark.parametrize(
    "messages",
    [
        [more(BODY, False)],
        [{"type": "http.request", "body": BODY}],
        [more(BODY[:4]), more(b""), more(BODY[4:]), more(b"", False)],
        [more(BODY), {"type": "http.request"}],
        [more(bytearray(BODY[:4])), more(memoryview(BODY[4:]), False)],
        [more(BODY[i : i + 1]) for i in range(len(BODY))] + [more(b"", False)],
        [{"type": "http.request", "body": None, "more_body": True}, more(BODY, False)],
    ],
    ids=["whole", "no more_body", "pieces", "no body key", "buffers", "bytes", "None"],
)
def test_a_body_in_any_chunks_is_read_completely_and_replayed_once(messages: list[Any]) -> None:
    server = Server(*messages, DISCONNECT)
    seen = run(GUARD, server, reads=2)

    assert seen[0].reason is Reason.VERIFIED
    assert seen[1] == more(BODY, False)
    assert seen[2] is DISCONNECT
    assert server.calls == len(messages) + 1


@pytest.mark.parametrize("messages", [[more(BODY), more(b"x", False)], [more(BODY + b"x", False)], [more(b"", False)]])
def test_a_body_of_another_length_than_it_says_is_refused(messages: list[Any]) -> None:
    length = ("Content-Length", str(len(BODY)))
    server = Server(*messages)

    assert run(GUARD, server, headers=scope_for(Sent("POST", headers=[JSON, length]))["headers"]) == []
    assert server.status == 400


def test_a_slow_body_is_read_completely() -> None:
    class Slow(Server):
        async def receive(self) -> Any:
            for _ in range(3):
                await asyncio.sleep(0)
            return await super().receive()

    seen = run(GUARD, Slow(more(BODY[:4]), more(BODY[4:]), more(b"", False)))

    assert [seen[0].reason, seen[1]] == [Reason.VERIFIED, more(BODY, False)]


def test_a_client_that_disconnects_during_the_body_gets_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    for messages in ([DISCONNECT], [more(BODY[:3]), DISCONNECT]):
        server = Server(*messages)
        assert run(GUARD, server) == []
        assert server.sent == []
    assert caplog.records == []


CALLS = count()


def broken() -> float:
    """Fail after the first call, which is made when the guard is made."""
    if next(CALLS):
        raise RuntimeError
    return 0.0


@pytest.mark.parametrize(
    ("guard", "messages"),
    [
        (GUARD, [more(BODY[:3]), DISCONNECT]),
        (Guard(SCHEME, Key(KEY, not_after=2e11), clock=broken), [more(BODY, False)]),
    ],
    ids=["the client hangs up", "the guard fails"],
)
def test_a_request_without_a_verdict_keeps_none_of_another_layer(guard: Guard, messages: list[Any]) -> None:
    scope = {**scope_for(Sent("POST", query=QUERY, headers=[JSON])), "hmac_guard": "a", "hmac_guard:issuer": "b"}
    server = Server(*messages)

    asyncio.run(guard.asgi(lambda *_: server.send("reached"))(scope, server.receive, server.send))

    assert server.status != 200
    assert not {"hmac_guard", "hmac_guard:issuer"} & {*scope}


def test_a_message_that_does_not_say_whether_more_follows_is_replayed_with_it() -> None:
    """The specification lets a server leave `more_body` out, and some applications look it up without a default."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
    seen = run(GUARD, Server({"type": "http.request", "body": BODY}), headers=headers)

    assert seen[1] == more(BODY, False)


def test_report_mode_replays_the_body_before_a_disconnect() -> None:
    seen = run(Guard(SCHEME, KEY, mode="report"), Server(more(BODY[:3]), DISCONNECT), reads=2)

    assert (seen[0].reason, seen[1], seen[2]) == (Reason.BAD_FRAMING, more(BODY[:3]), DISCONNECT)


def test_report_mode_replays_a_large_body_completely() -> None:
    guard = Guard(SCHEME, KEY, mode="report", max_body=10)
    seen = run(guard, Server(more(b"x" * 8), more(b"y" * 8), more(b"z", False)), reads=2)

    assert (seen[0].reason, seen[1:]) == (Reason.BODY_TOO_LARGE, [more(b"x" * 8 + b"y" * 8), more(b"z", False)])


def test_a_body_with_a_length_over_the_limit_is_413_and_unread() -> None:
    server = Server(more(b"x" * 200, False))
    run(GUARD, server, headers=[(b"content-type", b"application/json"), (b"content-length", b"200")])

    assert (server.status, server.calls) == (413, 0)


def test_a_body_over_the_limit_is_413_and_not_read_further() -> None:
    server = Server(*[more(b"x" * 60)] * 9)
    run(GUARD, server)

    assert (server.status, server.calls) == (413, 2)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"9")],
        [(b"content-length", b"+10")],
        [(b"content-length", b"10"), (b"content-length", b"10")],
        [(b"content-length", b"10"), (b"content_length", b"10")],
        [(b"content-length", b""), (b"content-length", b"")],
        [(b"content-length", b""), (b"content-length", b"10")],
        [(b"content-length", b"10"), (b"transfer-encoding", b"chunked")],
    ],
    ids=repr,
)
def test_a_body_with_wrong_framing_is_400(headers: Any) -> None:
    server = Server(more(BODY, False))
    run(GUARD, server, headers=[(b"content-type", b"application/json"), *headers])

    assert server.status == 400


def test_a_servers_error_while_it_reads_is_400() -> None:
    for message in (OSError("reset"), {"type": "http.surprise"}, {}, more(3, False)):
        server = Server(message)
        run(GUARD, server)
        assert server.status == 400


class TooLarge(Exception):
    """Raised and caught by a layer outside of the guard that limits bodies."""


@pytest.mark.parametrize("before", [[], [more(BODY[:3])]], ids=["at once", "after a piece"])
def test_an_exception_of_a_layer_outside_of_the_guard_reaches_it(
    before: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    decisions: list[Any] = []
    error = TooLarge()
    server = Server(*before, error)

    with pytest.raises(TooLarge) as caught:
        run(Guard(SCHEME, KEY, on_decision=decisions.append), server)

    assert caught.value is error
    assert (server.sent, decisions, caplog.records) == ([], [], [])


def test_report_mode_raises_the_exception_of_a_layer_outside_where_the_application_receives() -> None:
    guard, server = Guard(SCHEME, KEY, mode="report"), Server(more(BODY[:3]), TooLarge(), DISCONNECT)
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([verdict_from(scope).reason, await receive()])
        with pytest.raises(TooLarge):
            await receive()
        seen.append(await receive())

    asyncio.run(guard.asgi(app)(scope_for(Sent("POST", query=QUERY, headers=[JSON])), server.receive, server.send))

    assert seen == [Reason.BAD_FRAMING, more(BODY[:3]), DISCONNECT]


def test_the_traceback_of_an_exception_of_a_layer_outside_shows_no_part_of_the_body() -> None:
    with pytest.raises(TooLarge) as caught:
        run(GUARD, Server(more(BODY[:7]), TooLarge()))

    frames = [entry.frame for entry in caught.traceback]
    held = [
        each
        for frame in frames
        if frame.f_globals["__name__"].startswith("hmac_guard.")
        for each in frame.f_locals.items()
    ]
    shown = [name for name, value in held if BODY[:7].decode() in "".join(texts_of(value))]
    assert (bool(held), shown) == (True, [])


def test_a_late_body_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi_body, "DEADLINE", 0.01)
    server = Server(more(BODY[:3]))
    run(GUARD, server)

    assert server.status == 408


def test_report_mode_passes_the_real_receive_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi_body, "DEADLINE", 0.01)
    late = asyncio.Event()

    class Late(Server):
        async def receive(self) -> Any:
            if self.messages:
                return self.messages.pop(0)
            self.calls += 1
            if self.calls == 1:
                await late.wait()
            return more(BODY[3:], False)

    seen = run(Guard(SCHEME, KEY, mode="report"), Late(more(BODY[:3])), reads=2)

    assert (seen[0].reason, seen[1:]) == (Reason.BODY_TIMEOUT, [more(BODY[:3]), more(BODY[3:], False)])


def test_cancellation_is_not_caught() -> None:
    async def cancelled() -> tuple[bool, list[Any]]:
        server = Server(more(BODY[:3]))
        called: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            called.append(scope)

        scope = scope_for(Sent("POST", query=QUERY, headers=[JSON]))
        task = asyncio.create_task(GUARD.asgi(app)(scope, server.receive, server.send))
        while server.calls < 2:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled(), called + server.sent

    assert asyncio.run(cancelled()) == (True, [])


def test_cancellation_during_a_look_up_is_not_caught() -> None:
    async def cancelled() -> tuple[bool, list[Any]]:
        server, is_asked = Server(more(BODY, False)), asyncio.Event()
        called: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            called.append(scope)

        async def keys(claim: Any) -> str:
            is_asked.set()
            await asyncio.sleep(TIMEOUT)
            return KEY

        scope = scope_for(Sent("POST", query=QUERY, headers=[JSON]))
        task = asyncio.create_task(Guard(SCHEME, keys).asgi(app)(scope, server.receive, server.send))
        await is_asked.wait()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled(), called + server.sent

    assert asyncio.run(cancelled()) == (True, [])


def test_only_the_start_of_a_body_of_an_unread_type_is_read() -> None:
    server = Server(more(b"image", True), more(b" and its rest", False))
    query = f"{QUERY}&a=x".encode()
    seen = run(GUARD, server, reads=0, query_string=query, headers=[(b"content-type", b"image/png")])

    assert (seen[0].verified, server.calls) == (True, 1)


def test_a_body_is_not_read_if_the_scheme_has_no_source_in_it() -> None:
    server = Server(more(b"image", False))
    scheme = Scheme(name="query", ids={"a": Query("a")}, message="{a}", signature=Query("sig"))
    seen = run(Guard(scheme, KEY), server, reads=0, query_string=f"{QUERY}&a=x".encode())

    assert (seen[0].verified, server.calls) == (True, 0)


def test_lifespan_passes_and_an_unknown_scope_type_raises() -> None:
    called: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        called.append(scope["type"])

    server = Server()
    asyncio.run(GUARD.asgi(app)({"type": "lifespan"}, server.receive, server.send))
    with pytest.raises(ValueError, match=r"does not know the ASGI scope type 'http2\.push'"):
        asyncio.run(GUARD.asgi(app)({"type": "http2.push"}, server.receive, server.send))

    assert (called, server.sent) == (["lifespan"], [])


def websocket(query: str, **more: Any) -> tuple[Server, list[Any]]:
    server = Server({"type": "websocket.connect"})
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(verdict_from(scope))
        await send({"type": "websocket.accept"})

    scope = {**scope_for(Sent(query=query), "websocket"), **more}
    del scope["method"]
    asyncio.run(GUARD.asgi(app)(scope, server.receive, server.send))
    return server, seen


def test_a_websocket_is_verified_before_it_is_accepted() -> None:
    server, seen = websocket(f"{QUERY}&a=x")

    assert dict(seen[0].ids) == {"a": "x"}
    assert server.sent == [{"type": "websocket.accept"}]


def test_a_websocket_is_closed_before_it_is_accepted() -> None:
    server, seen = websocket("a=x&sig=0")

    assert seen == []
    assert server.sent == [{"type": "websocket.close", "code": 1008, "reason": ""}]


def test_a_websocket_gets_a_401_response_if_the_server_supports_it() -> None:
    server, seen = websocket("a=x&sig=0", extensions={"websocket.http.response": {}})

    assert seen == []
    assert [message["type"] for message in server.sent] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    assert server.status == 401
    assert b"invalid_signature" in server.sent[1]["body"]


def test_lifespan_gets_the_channels_of_the_server() -> None:
    given: list[Any] = []

    async def app(*arguments: Any) -> None:
        given.extend(arguments)

    scope, server = {"type": "lifespan"}, Server()
    receive, send = server.receive, server.send
    asyncio.run(GUARD.asgi(app)(scope, receive, send))

    assert given == [scope, receive, send]


def test_a_body_of_exactly_the_limit_is_read() -> None:
    for announced in ([], [(b"content-length", b"100")]):
        server = Server(more(BODY.ljust(100), False))
        run(GUARD, server, headers=[(b"content-type", b"application/json"), *announced])

        assert server.status == 200


def test_a_body_of_one_byte_over_the_limit_is_413() -> None:
    server = Server(more(BODY.ljust(101), False))  # Nothing announces its length.

    assert run(GUARD, server) == []
    assert server.status == 413


def test_an_upload_in_several_messages_passes_by_its_first_bytes() -> None:
    image = b"\x89PNG\r\n" * 20
    server = Server(more(image[:70]), more(image[70:], False))
    headers = [(b"content-type", b"image/png"), (b"content-length", str(len(image)).encode())]

    seen = run(GUARD, server, 2, query_string=f"a=x&{QUERY}".encode(), headers=headers)

    assert seen[0].ids == {"a": "x"}
    assert b"".join(message["body"] for message in seen[1:]) == image


@pytest.mark.parametrize("name", [b"X-Id", b"X-ID", b"x-id", b"x_id"])
def test_a_header_is_found_in_every_spelling(name: bytes) -> None:
    scheme = Scheme(name="one", ids={"a": Header("X-Id")}, message="{a}", signature=Query("sig"))
    guard, query = Guard(scheme, KEY), QUERY.encode()

    [verdict, _] = run(guard, Server(more(b"", False)), query_string=query, headers=[(name, b"x")])
    twice = Server(more(b"", False))

    assert verdict.ids == {"a": "x"}
    assert run(guard, twice, query_string=query, headers=[(b"x-id", b"x"), (name, b"x")]) == []
    assert twice.status == 401


@pytest.mark.parametrize("name", [b"content_type", b"Content_Type", b"CONTENT_TYPE"])
def test_a_type_that_only_has_another_spelling_is_not_the_type_of_the_body(
    name: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    length = (b"content-length", b"10")
    server = Server(more(BODY, False))

    assert run(GUARD, server, query_string=QUERY.encode(), headers=[(name, b"application/json"), length]) == []
    assert server.status == 415
    assert "in a header named Content_Type, which no framework reads" in caplog.text

    real = (b"Content-Type", b"application/json")
    [verdict, _] = run(GUARD, Server(more(BODY, False)), query_string=QUERY.encode(), headers=[real, length])
    assert verdict.ids == {"a": "x"}

    [verdict, _] = run(
        GUARD, Server(more(b"", False)), query_string=f"a=x&{QUERY}".encode(), headers=[(name, b"application/json")]
    )
    assert verdict.ids == {"a": "x"}


@pytest.mark.parametrize("name", [b"-Id", b"_id"])
def test_a_header_is_found_in_every_spelling_of_its_first_character(name: bytes) -> None:
    scheme = Scheme(name="one", ids={"a": Header("-Id")}, message="{a}", signature=Query("sig"))

    [verdict, _] = run(Guard(scheme, KEY), Server(more(b"", False)), headers=[(name, b"x")])

    assert verdict.ids == {"a": "x"}


def test_a_scope_may_omit_optional_keys() -> None:
    scope = scope_for(Sent(path="/health"))
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(verdict_from(scope).reason)

    for left_out in ({"root_path": "/api", "path": "/api/health"}, {}):
        given = {**{key: value for key, value in scope.items() if key not in ("asgi", "root_path")}, **left_out}
        asyncio.run(Guard(SCHEME, KEY, exempt=("/health",)).asgi(app)(given, None, None))

    assert seen == [Reason.EXEMPT, Reason.EXEMPT]


def test_a_scope_without_headers_has_no_cookies() -> None:
    scheme = Scheme(name="cookie", ids={"a": Cookie("a") | Query("a")}, message="{a}", signature=Query("sig"))
    scope = scope_for(Sent(query=f"{QUERY}&a=x"))
    del scope["headers"]
    heard: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        heard.append(scope.get("headers", []))

    server = Server(more(b"", False))
    asyncio.run(Guard(scheme, KEY).asgi(app)(scope, server.receive, server.send))

    assert heard == [[]]


def test_the_verdict_is_written_into_the_scope_that_the_server_gave() -> None:
    """Then outer middleware also sees the route that an inner router adds to the scope."""
    scope = {**scope_for(Sent(query=f"{QUERY}&a=x")), "hmac_guard": "verified"}
    server = Server(more(b"", False))
    asyncio.run(
        GUARD.asgi(lambda scope, receive, send: server.send(scope["hmac_guard"]))(scope, server.receive, server.send)
    )

    assert scope["hmac_guard"] is server.sent[0]
    assert server.sent[0].verified


@pytest.mark.parametrize(
    ("root_path", "path", "matches"),
    [
        ("", "/orgs/x", True),
        ("/api", "/api/orgs/x", True),
        ("/api", "/orgs/x", True),
        ("/api/", "/api/orgs/x", True),
        ("/api", "/apiorgs/x", False),
        ("/api", "/api", False),
        ("/X", "/X/orgs/x", True),
    ],
)
def test_the_mount_point_is_not_part_of_the_path(root_path: str, path: str, matches: bool) -> None:
    """uvicorn leaves `root_path` in `path`, other servers do not. It ends at the end of a segment (T061)."""
    scheme = Scheme(name="path", ids={"a": Path("/orgs/{a}")}, message="{a}", signature=Query("sig"))
    server = Server(more(b"", False))
    run(Guard(scheme, KEY), server, reads=0, root_path=root_path, path=path)

    assert server.status == (200 if matches else 401)


DAPHNE = {"version": "3.0"}
UVICORN = {"version": "3.0", "spec_version": "2.3"}


@pytest.mark.parametrize(
    ("root_path", "path", "asgi"),
    [
        pytest.param(
            "/api",
            "/apiadmin",
            UVICORN,
            id="Quart and Litestar run /admin: they remove the mount point without a check",
        ),
        pytest.param(
            "/api", "/static/api/admin", UVICORN, id="Litestar runs /admin: it removes the mount point inside the path"
        ),
        pytest.param("/api", "/static/api/admin/api/health", UVICORN, id="Litestar removes it once"),
        pytest.param(
            "/api/", "/api/health", UVICORN, id="Starlette keeps the whole path: the mount point ends in a slash"
        ),
        pytest.param("x", "/static/x/admin", UVICORN, id="Litestar runs /admin: the client named half a segment"),
        pytest.param("/X", "/static/X/admin", UVICORN, id="Litestar runs /admin with any mount point"),
        pytest.param("/admin", "/admin/health", DAPHNE, id="the client named the mount point to daphne"),
    ],
)
def test_a_path_that_a_framework_reads_differently_under_a_mount_point_is_guarded(
    root_path: str, path: str, asgi: dict[str, str]
) -> None:
    for policy in ({"exempt": ("/health", "/static/")}, {"only": ("/admin", "/admin/", "/health", "/static/")}):
        server = Server(more(b"", False))
        run(Guard(SCHEME, KEY, **policy), server, root_path=root_path, path=path, asgi=asgi)

        assert server.status == 401


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/api/health", Reason.VERIFIED, id="no template matches, with or without the mount point"),
        pytest.param("/api/orgs/x", Reason.MALFORMED, id="an id after the mount point"),
        pytest.param("/api/v1/orgs/x", Reason.MALFORMED, id="an id only in the whole path"),
        pytest.param("/api/orgs/%2e%2e", Reason.MALFORMED, id="a path that is not canonical"),
    ],
)
def test_an_id_in_the_path_is_read_only_if_frameworks_agree_on_it(path: str, expected: Reason) -> None:
    templates = Path("/orgs/{a}", "/api/v1/orgs/{a}")
    scheme = SCHEME.replace(ids={"a": templates | Query("a")})
    query = f"{QUERY}&a=x".encode()
    scope = {"root_path": "/api", "path": path, "query_string": query, "asgi": DAPHNE}
    [verdict] = run(Guard(scheme, KEY, mode="report"), Server(), reads=0, **scope)

    assert verdict.reason is expected


@pytest.mark.parametrize(
    ("templates", "asgi", "expected"),
    [
        (["/orgs/{a}"], UVICORN, Reason.VERIFIED),
        (["/api/orgs/{a}"], UVICORN, Reason.MALFORMED),
        (["/api/v1/orgs/{a}"], UVICORN, Reason.MISSING_ID),
        (["/orgs/{a}"], DAPHNE, Reason.MALFORMED),
        (["/orgs/{a}", "/api/orgs/{a}"], DAPHNE, Reason.VERIFIED),
    ],
)
def test_a_template_has_no_mount_point(templates: list[str], asgi: dict[str, str], expected: Reason) -> None:
    scheme = Scheme(name="path", ids={"a": Path(*templates)}, message="{a}", signature=Query("sig"))
    query = f"sig={scheme.sign(KEY, a='x')}".encode()
    scope = {"root_path": "/api", "path": "/api/orgs/x", "query_string": query, "asgi": asgi}
    [verdict] = run(Guard(scheme, KEY, mode="report"), Server(), reads=0, **scope)

    assert verdict.reason is expected


@pytest.mark.parametrize("root_path", ["", "/", "/api"])
@pytest.mark.parametrize("path", ["/health", "/static/a"])
def test_an_exempt_path_under_a_mount_point_is_not_checked(root_path: str, path: str) -> None:
    guard = Guard(SCHEME, KEY, exempt=("/health", "/static/"))
    for full in {path, root_path.rstrip("/") + path}:
        [verdict] = run(guard, Server(), reads=0, root_path=root_path, path=full)

        assert verdict.reason is Reason.EXEMPT


def test_several_cookie_headers_are_merged() -> None:
    by_id = Scheme(name="cookie", ids={"a": Cookie("a")}, message="{a}", signature=Query("sig"))
    by_tenant = by_id.replace(ids={"a": Query("a")}, tenant=Cookie("a"))
    headers = [(b"host", b"h"), (b"cookie", b"b=1"), (b"accept", b"*/*"), (b"Cookie", b"a=x")]
    handed: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        handed.append(scope["headers"])

    for scheme in (by_id, by_tenant):
        for sent in (headers, headers[:2]):
            scope = {**scope_for(Sent(query=QUERY)), "headers": sent}
            asyncio.run(Guard(scheme, KEY, mode="report").asgi(app)(scope, Server().receive, Server().send))

    assert handed == [[(b"host", b"h"), (b"cookie", b"b=1; a=x"), (b"accept", b"*/*")], headers[:2]] * 2


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@pytest.mark.parametrize("left_out", ["root_path", None])
def test_headers_that_can_be_read_once_reach_the_application(method: str, left_out: str | None) -> None:
    handed: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        handed.extend(map(tuple, scope["headers"]))

    scheme = Scheme(name="x", ids={"a": Query("a")}, message="{a}", signature=Query("sig"))
    scope = {**scope_for(Sent(method)), "headers": iter([iter([b"origin", b"b"])])}
    scope.pop(left_out or "", None)
    asyncio.run(Guard(scheme, KEY, mode="report").asgi(app)(scope, Server().receive, Server().send))

    assert handed == [(b"origin", b"b")]


@pytest.mark.parametrize("place", [Query("a") | Header("X-Id"), Json("/a") | Header("X-Id"), Cookie("a")], ids=repr)
@pytest.mark.parametrize("adds", ["the body", "the keys"])
def test_a_header_that_the_server_adds_later_does_not_reach_the_application(place: Any, adds: str) -> None:
    """uvicorn with httptools adds the fields behind a chunked body to the list that the scope already has."""
    headers = [(b"content-type", b"application/json"), (b"cookie", b"a=x")]
    before = headers.copy()
    handed: list[Any] = []

    class Late(Server):
        async def receive(self) -> Any:
            if adds == "the body":
                headers.extend([(b"x-id", b"other"), (b"cookie", b"a=other")])
            return await super().receive()

    async def keys(claim: Any) -> str:
        if adds == "the keys":
            headers.extend([(b"x-id", b"other"), (b"cookie", b"a=other")])
        return KEY

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        handed.extend(scope["headers"])

    guard = Guard(SCHEME.replace(ids={"a": place}), keys)
    query = f"{QUERY}&a=x" if "Query" in repr(place) else QUERY
    scope = {**scope_for(Sent("POST", query=query)), "headers": headers}
    server = Late(more(BODY, False))
    asyncio.run(asyncio.wait_for(guard.asgi(app)(scope, server.receive, server.send), TIMEOUT))

    assert (handed, len(headers)) == (before, 4)


def thread_of(keys: Any) -> Any:
    threads: list[Any] = []
    guard = Guard(SCHEME, keys(threads))
    server = Server(more(b"", False))
    run(guard, server, reads=0, query_string=f"{QUERY}&a=x".encode(), headers=[])
    assert server.status == 200
    return threads[0]


def test_a_sync_resolver_runs_in_a_worker_thread_and_a_quick_one_does_not() -> None:
    def slow(threads: list[Any]) -> Any:
        def resolve(claim: Any) -> str:
            threads.append(threading.current_thread())
            return KEY

        return resolve

    def quick(threads: list[Any]) -> Any:
        keys = slow(threads)
        keys.blocking = False
        return keys

    assert thread_of(slow) is not threading.current_thread()
    assert thread_of(quick) is threading.current_thread()


def test_an_async_resolver_runs_on_the_event_loop() -> None:
    def keys(threads: list[Any]) -> Any:
        async def resolve(claim: Any) -> Any:
            await asyncio.sleep(0)
            threads.append(threading.current_thread())
            return KEY

        return resolve

    assert thread_of(keys) is threading.current_thread()


def test_a_sync_callable_may_return_an_awaitable() -> None:
    async def resolve(claim: Any) -> Any:
        return KEY

    server = Server(more(b"", False))
    run(Guard(SCHEME, lambda claim: resolve(claim)), server, reads=0, query_string=f"{QUERY}&a=x".encode(), headers=[])

    assert server.status == 200


def test_a_failing_async_resolver_is_503() -> None:
    async def resolve(claim: Any) -> Any:
        raise KeysUnavailable

    server = Server(more(b"", False))
    run(Guard(SCHEME, resolve), server, query_string=f"{QUERY}&a=x".encode(), headers=[])

    assert server.status == 503


def test_a_failing_resolver_that_does_not_block_is_503() -> None:
    def resolve(claim: Any) -> Any:
        raise KeysUnavailable

    resolve.blocking = False  # type: ignore[attr-defined]
    server = Server(more(b"", False))
    run(Guard(SCHEME, resolve), server, query_string=f"{QUERY}&a=x".encode(), headers=[])

    assert server.status == 503


def test_a_fault_of_the_guard_is_503_in_both_modes(caplog: pytest.LogCaptureFixture) -> None:
    faults: list[Exception] = []

    def clock() -> float:
        for fault in faults:
            raise fault
        return 0.0

    for mode in ("enforce", "report"):
        faults.clear()
        server = Server(more(b"", False))
        guard = Guard(SCHEME, Key(KEY, not_after=2e11), mode=mode, clock=clock)
        faults.append(RuntimeError(KEY))
        assert run(guard, server, query_string=f"{QUERY}&a=x".encode(), headers=[]) == []
        assert server.status == 503
    assert len(caplog.messages) == 2
    for message in caplog.messages:
        assert message.startswith("the guard itself failed, the request was refused: builtins.RuntimeError\n")
        assert "in clock" in message
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        {"query_string": f"{QUERY}&a=x"},
        {"query_string": memoryview(f"{QUERY}&a=x".encode())},
        {"query_string": bytearray(f"{QUERY}&a=x".encode())},
        {"query_string": f"{QUERY}&a=x".encode(), "headers": [("x-y", "1"), (memoryview(b"accept"), b"*/*")]},
        {"query_string": QUERY.encode(), "headers": [("x-y", "1"), ("x-a", "x")]},
        {"query_string": f"{QUERY}&a=x".encode(), "headers": None, "root_path": None, "path": b"/x", "method": None},
    ],
    ids=["text", "memoryview", "bytearray", "headers as text", "an id in a header as text", "None and a path as bytes"],
)
def test_values_in_the_types_of_test_clients_are_read(change: dict[str, Any]) -> None:
    scheme = Scheme(name="one", ids={"a": Query("a") | Header("X-A")}, message="{a}", signature=Query("sig"))
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(verdict_from(scope).ids["a"])

    asyncio.run(Guard(scheme, KEY).asgi(app)({**scope_for(Sent()), **change}, None, None))

    assert seen == ["x"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"query_string": 1}, "query_string of the type int; bytes are expected"),
        ({"path": 1, "query_string": "a"}, "path of the type int; text is expected"),
        ({"headers": [(b"x-a", 1)]}, "a header of the type int; bytes are expected"),
    ],
)
def test_a_value_of_a_wrong_type_is_logged_in_one_line(
    caplog: pytest.LogCaptureFixture, change: dict[str, Any], what: str
) -> None:
    scheme = Scheme(name="one", ids={"a": Query("a") | Header("X-A")}, message="{a}", signature=Query("sig"))
    server = Server(more(b"", False))
    run(Guard(scheme, KEY), server, reads=0, **change)

    assert server.status == 503
    assert [what in message for message in caplog.messages] == [True]


TWICE = b"{" + b"".join(b'"%x":0,' % number for number in range(20_000)) + b'"z":0,"z":0}'
#: Each takes more than half a minute if the work is quadratic in the size.
HUGE: dict[str, tuple[list[tuple[bytes, bytes]], list[Any]]] = {
    "a key twice in a large JSON object": ([(b"content-type", b"application/json")], [more(TWICE, False)]),
    "one header on many lines": ([(b"content-length", b"2")] * 100_000, [more(b"{}", False)]),
    "blanks in single bytes": ([(b"content-type", b"image/png")], [*([more(b" ")] * 250_000), more(b"", False)]),
}


@pytest.mark.without_coverage
@pytest.mark.parametrize("huge", list(HUGE))
def test_the_work_is_linear_in_the_size_of_a_request(huge: str) -> None:
    headers, messages = HUGE[huge]
    waiting = iter(messages)

    async def receive() -> Any:
        return next(waiting)

    async def send(message: Any) -> None:
        pass

    async def app(scope: Any, receive: Any, send: Any) -> None:
        pass

    scope = {**scope_for(Sent("POST", query=QUERY)), "headers": headers}
    began = time.process_time()
    asyncio.run(Guard(SCHEME, KEY).asgi(app)(scope, receive, send))

    assert time.process_time() - began < 6
