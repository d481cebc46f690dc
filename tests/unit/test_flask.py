"""The Flask handles answer like the middleware."""

import functools
import gc
import io
import re
import weakref
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, ClassVar

import pytest

pytest.importorskip("flask", reason="not run: Flask is not installed")

from flask import Blueprint, Flask, Response, request
from flask.views import MethodView, View
from handles import check_case, check_generated
from orders import CASES, GOOD, GOOD_FORM, GOOD_JSON, GOOD_MULTIPART, JSON, KEY, ORDERS, UNSIGNED, hex_of, query_of
from support import Call, Reply, Sent, call_wsgi, environ_for
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.lint import LintMiddleware
from werkzeug.middleware.profiler import ProfilerMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import run_wsgi_app

from hmac_guard import ConfigError, Guard, Header, Path, Query, Reason, Scheme, Verdict, verdict_from
from hmac_guard.core.errors import BodyAlreadyRead
from hmac_guard.flask import _GIVEN, GuardExtension, current_verdict, uncovered_routes
from hmac_guard.guard import Mode
from hmac_guard.wsgi import GuardMiddleware

METHODS = ["GET", "POST", "PUT", "OPTIONS"]


def send(app: Flask, sent: Sent) -> Reply:
    body, status, headers = run_wsgi_app(app, environ_for(sent))
    return Reply(int(status[:3]), {name.lower(): value for name, value in headers}, b"".join(body))


class App:
    """An application with one view, which records its requests."""

    def __init__(self) -> None:
        self.app = Flask("guarded")
        self.seen: list[tuple[Verdict, bytes]] = []

    def view(self, **_: Any) -> str:
        self.seen.append((verdict_from(request), request.get_data()))
        return "reached"

    async def async_view(self, **_: Any) -> str:
        return self.view()

    def route(self, owner: Any, view: Any) -> None:
        owner.add_url_rule("/", "front", view, methods=METHODS)
        owner.add_url_rule("/<path:anything>", "any", view, methods=METHODS)

    def answer(self, sent: Sent) -> Reply:
        reply = send(self.app, sent)
        reply.seen = self.seen
        return reply


def through_init_app(guard: Guard, sent: Sent) -> Reply:
    here = App()
    GuardExtension(guard, here.app)
    here.route(here.app, here.view)
    return here.answer(sent)


def through_factory(guard: Guard, sent: Sent) -> Reply:
    here = App()
    here.app.config["GUARD"] = guard
    signed = GuardExtension(lambda app: app.config["GUARD"])
    signed.init_app(here.app, everywhere=False)
    here.route(here.app, signed.guarded(here.view))
    return here.answer(sent)


def through_decorator(guard: Guard, sent: Sent) -> Reply:
    here = App()
    here.route(here.app, GuardExtension(guard).guarded(here.view))
    return here.answer(sent)


def through_async_view(guard: Guard, sent: Sent) -> Reply:
    here = App()
    here.route(here.app, GuardExtension(guard).guarded(here.async_view))
    return here.answer(sent)


def through_blueprint(guard: Guard, sent: Sent) -> Reply:
    here = App()
    blueprint = Blueprint("partners", __name__)
    blueprint.before_request(GuardExtension(guard).before_request)
    here.route(blueprint, here.view)
    here.app.register_blueprint(blueprint)
    return here.answer(sent)


HANDLES: dict[str, Call] = {
    "init_app": through_init_app,
    "a guard made of app.config": through_factory,
    "guarded view": through_decorator,
    "guarded async view": through_async_view,
    "blueprint": through_blueprint,
}


@pytest.fixture(params=list(HANDLES))
def handle(request: pytest.FixtureRequest) -> Call:
    return HANDLES[request.param]


@pytest.mark.without_coverage
@pytest.mark.parametrize("case", list(CASES))
def test_a_handle_answers_like_the_middleware(handle: Call, case: str) -> None:
    check_case(handle, *CASES[case])


@pytest.mark.without_coverage
def test_a_handle_decides_generated_requests_like_the_middleware(handle: Call) -> None:
    check_generated(handle)


def test_a_view_finds_the_verdict() -> None:
    app = Flask("guarded")
    GuardExtension(Guard(ORDERS, KEY), app)
    app.add_url_rule(
        "/orders", view_func=lambda: {**current_verdict.ids, "same": current_verdict == verdict_from(request)}
    )

    assert app.test_client().get("/orders?" + GOOD.query).json == {"tenant_id": "acme", "order_id": "42", "same": True}


def test_without_a_guard_there_is_no_current_verdict() -> None:
    with Flask("bare").test_request_context("/"), pytest.raises(LookupError, match="no guard annotated"):
        bool(current_verdict)


def test_a_text_in_the_environ_is_not_a_verdict() -> None:
    here = App()
    here.route(here.app, GuardExtension(Guard(ORDERS, KEY)).guarded(here.view))
    environ = {**environ_for(UNSIGNED), "hmac_guard": "verified", "hmac_guard:issuer": "me"}

    assert run_wsgi_app(here.app, environ)[1] == "401 UNAUTHORIZED"


def test_a_view_reads_json_after_the_guard_has_read_it() -> None:
    app = Flask("guarded")
    GuardExtension(Guard(ORDERS, KEY), app)
    app.add_url_rule("/orders", view_func=lambda: request.get_json(), methods=["POST"])

    assert send(app, GOOD_JSON).body == b'{"order":{"id":"42"},"sig":"%s","tenant":"acme"}\n' % GOOD_JSON.body[-66:-2]


def test_a_view_reads_form_and_file_after_the_guard_has_read_them() -> None:
    app = Flask("guarded")
    GuardExtension(Guard(ORDERS, KEY), app)
    app.add_url_rule("/orders", "order", lambda: request.form["order_id"], methods=["POST"])
    app.add_url_rule("/file", "file", lambda: request.files["file"].read(), methods=["POST"])
    upload = Sent("POST", "/file", headers=GOOD_MULTIPART.headers, body=GOOD_MULTIPART.body)

    assert [send(app, sent).body for sent in (GOOD_FORM, GOOD_MULTIPART, upload)] == [b"42", b"42", b"content"]


def test_a_body_that_flask_has_cached_is_verified() -> None:
    here = App()
    here.app.before_request(lambda: request.get_json(silent=True) and None)
    here.route(here.app, GuardExtension(Guard(ORDERS, KEY)).guarded(here.view))

    reply = here.answer(GOOD_JSON)
    assert (reply.status, reply.app_body) == (200, GOOD_JSON.body)


def test_a_consumed_body_is_refused_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    here = App()
    here.app.before_request(lambda: request.form.get("note"))
    here.route(here.app, GuardExtension(Guard(ORDERS, KEY)).guarded(here.view))

    reply = here.answer(GOOD_FORM)
    assert (reply.status, reply.seen) == (503, [])
    assert f"refused: {BodyAlreadyRead()}" in caplog.text


@pytest.mark.parametrize("policy", [{"mode": "off"}, {"exempt": ("/orders",)}], ids=str)
def test_a_consumed_body_is_ignored_if_the_guard_skips_the_request(policy: dict[str, Any]) -> None:
    here = App()
    here.app.before_request(lambda: request.stream.read(2) and None)
    GuardExtension(Guard(ORDERS, KEY, **policy), here.app)
    here.app.add_url_rule("/orders", "order", lambda: "reached", methods=["POST"])

    assert send(here.app, GOOD_JSON).body == b"reached"


def test_a_consumed_chunked_body_is_refused() -> None:
    here = App()
    here.app.before_request(lambda: request.form.get("note"))
    here.route(here.app, GuardExtension(Guard(ORDERS, KEY)).guarded(here.view))
    environ = {**environ_for(GOOD_FORM), "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    del environ["CONTENT_LENGTH"]

    assert run_wsgi_app(here.app, environ)[1] == "503 SERVICE UNAVAILABLE"
    assert here.seen == []


def overriding(app: Flask) -> None:
    """Let a header name the method, as some applications do for clients that send only GET and POST."""

    @app.before_request
    def override_method() -> None:
        request.method = request.headers.get("X-HTTP-Method-Override", request.method)


class PostOrDelete(MethodView):
    def post(self) -> str:
        return f"posted for {current_verdict.ids['user']}"

    def delete(self) -> str:
        return f"deleted for {current_verdict.ids['user']}"


@pytest.mark.parametrize(
    ("signed_for", "outer", "status"),
    [("POST", False, 401), ("POST", True, 401), ("DELETE", False, 200)],
    ids=["signed for the sent method", "that the middleware has verified", "signed for the used method"],
)
def test_the_method_that_the_view_uses_is_the_one_that_is_checked(signed_for: str, outer: bool, status: int) -> None:
    scheme = Scheme(name="s", ids={"user": Query("user")}, message="{@method}:{user}", signature=Query("sig"))
    guard, app = Guard(scheme, KEY), Flask("guarded")
    overriding(app)
    view = GuardExtension(guard).guarded(PostOrDelete.as_view("one"))
    app.add_url_rule("/", view_func=view, methods=["POST", "DELETE"])
    if outer:
        app.wsgi_app = guard.wsgi(app.wsgi_app)  # type: ignore[method-assign]
    query = f"user=ada&sig={scheme.sign(KEY, user='ada', method=signed_for)}"
    reply = send(app, Sent("POST", "/", query, [("X-HTTP-Method-Override", "DELETE")]))

    assert reply.status == status
    assert status == 401 or reply.body == b"deleted for ada"


def without_length(sent: Sent, **headers: str) -> dict[str, Any]:
    """A request as a server gives it that was sent by HTTP/2 or in chunks: the body ends, and has no stated length."""
    environ = {**environ_for(sent), **headers, "wsgi.input_terminated": True}
    del environ["CONTENT_LENGTH"]
    return environ


@pytest.mark.parametrize("sent", [GOOD_FORM, GOOD_MULTIPART], ids=["a form", "a multipart form"])
@pytest.mark.parametrize("cached", [False, True], ids=["only the form was read", "the empty rest was cached too"])
def test_a_form_without_a_length_that_flask_has_parsed_is_refused(sent: Sent, cached: bool) -> None:
    def read_body() -> None:
        if cached:
            request.get_data()

    here = App()
    here.app.before_request(lambda: request.form.get("note"))
    here.app.before_request(read_body)
    here.route(here.app, GuardExtension(Guard(ORDERS, KEY)).guarded(here.view))
    environ = without_length(sent)
    environ["QUERY_STRING"] = GOOD.query  # Without its body, the request is a good one.

    assert run_wsgi_app(here.app, environ)[1] == "503 SERVICE UNAVAILABLE"
    assert here.seen == []


@pytest.mark.parametrize("chunked", [False, True], ids=["a length", "chunked"])
def test_a_form_without_fields_that_flask_has_parsed_is_refused(chunked: bool) -> None:
    here = App()
    here.app.before_request(lambda: request.form.get("note"))
    here.route(here.app, GuardExtension(Guard(ORDERS, KEY)).guarded(here.view))
    sent = Sent("POST", "/orders", GOOD.query, GOOD_FORM.headers, b"&&")
    environ = without_length(sent, HTTP_TRANSFER_ENCODING="chunked") if chunked else environ_for(sent)

    assert run_wsgi_app(here.app, environ)[1] == "503 SERVICE UNAVAILABLE"


@pytest.mark.parametrize("headers", [{}, {"HTTP_TRANSFER_ENCODING": "chunked"}], ids=["HTTP/2", "chunked"])
def test_a_body_without_a_length_that_flask_has_cached_is_verified(headers: dict[str, str]) -> None:
    here = App()
    here.app.before_request(lambda: request.get_json(silent=True) and None)
    here.route(here.app, GuardExtension(Guard(ORDERS, KEY)).guarded(here.view))

    forged = Sent("POST", "/orders", headers=[JSON], body=GOOD_JSON.body.replace(b"42", b"43"))

    assert run_wsgi_app(here.app, without_length(GOOD_JSON, **headers))[1] == "200 OK"
    assert run_wsgi_app(here.app, without_length(forged, **headers))[1] == "401 UNAUTHORIZED"


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, "401 UNAUTHORIZED"), ({"HTTP_TRANSFER_ENCODING": "chunked"}, "400 BAD REQUEST")],
    ids=["an upgrade", "an upgrade in chunks"],
)
def test_a_cached_body_that_the_server_does_not_promise_to_end_is_judged(headers: dict[str, str], status: str) -> None:
    """gevent sets `wsgi.input_terminated` to False for an upgrade, and Werkzeug reads the connection to its end."""
    here = App()
    here.app.before_request(lambda: request.get_json(silent=True) and None)
    here.route(here.app, GuardExtension(Guard(ORDERS, KEY)).guarded(here.view))
    environ = without_length(GOOD_JSON, **headers) | {"wsgi.input_terminated": False}
    environ["QUERY_STRING"] = GOOD.query  # Without its body, the request is a good one.

    assert run_wsgi_app(here.app, environ)[1] == status
    assert here.seen == []


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_chunked_body_that_a_function_has_read_from_the_stream_is_refused(method: str) -> None:
    here = App()
    here.app.before_request(lambda: request.stream.read() and None)
    here.route(here.app, GuardExtension(Guard(ORDERS, KEY)).guarded(here.view))
    environ = without_length(GOOD_JSON, HTTP_TRANSFER_ENCODING="chunked", REQUEST_METHOD=method)
    environ["QUERY_STRING"] = GOOD.query

    assert run_wsgi_app(here.app, environ)[1] == "503 SERVICE UNAVAILABLE"


class Limited:
    def read(self, size: int) -> bytes:
        raise RequestEntityTooLarge


@pytest.mark.parametrize("everywhere", [False, True], ids=["view", "init_app"])
def test_an_exception_of_a_layer_outside_of_the_guard_is_raised(everywhere: bool) -> None:
    here = App()
    signed = GuardExtension(Guard(ORDERS, KEY))
    signed.init_app(here.app, everywhere=everywhere)
    here.route(here.app, here.view if everywhere else signed.guarded(here.view))

    assert run_wsgi_app(here.app, {**environ_for(GOOD_JSON), "wsgi.input": Limited()})[1][:3] == "413"
    assert here.seen == []


class Broken(io.BytesIO):
    """The stream of a connection that the client closes before the end of the body."""

    def read(self, size: int | None = -1) -> bytes:
        if piece := super().read(size):
            return piece
        raise OSError("reset")


EARLIER: dict[str, list[Callable[[], object]]] = {
    "get_data": [lambda: request.get_data()],
    "get_json": [lambda: request.get_json(silent=True)],
    "form": [lambda: request.form.get("csrf_token")],
    "form, then get_data": [lambda: request.form.get("csrf_token"), lambda: request.get_data()],
    "get_data, then form": [lambda: request.get_data(), lambda: request.form.get("csrf_token")],
}
FRAMINGS: dict[str, dict[str, Any]] = {
    "a length": {},
    "a length, and the stream ends": {"wsgi.input_terminated": True},
    "chunked": {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True},
}


@pytest.mark.parametrize("framing", list(FRAMINGS))
@pytest.mark.parametrize("earlier", list(EARLIER))
def test_an_earlier_function_does_not_change_the_answer(earlier: str, framing: str) -> None:
    """Also if the client closes the connection before the end of the body, or the body is empty."""

    def look() -> None:
        for function in EARLIER[earlier]:
            function()

    def asked(how: str, mode: Mode, query: str, stream: io.BytesIO) -> Any:
        here = App()
        guard = Guard(ORDERS, KEY, mode=mode)
        here.app.before_request(look)
        here.route(here.app, GuardExtension(guard).guarded(here.view) if how == "view" else here.view)
        if how == "middleware":
            here.app.wsgi_app = guard.wsgi(here.app.wsgi_app)  # type: ignore[method-assign]
        environ = {**environ_for(GOOD_JSON), **FRAMINGS[framing], "QUERY_STRING": query, "wsgi.input": stream}
        if framing == "chunked":
            del environ["CONTENT_LENGTH"]
        status = run_wsgi_app(here.app, environ)[1]
        return status[:3], [(verdict.reason, body) for verdict, body in here.seen]

    body = GOOD_JSON.body
    for mode in ("enforce", "report"):
        for query in ("", GOOD.query):
            for made, sent in ((io.BytesIO, body), (io.BytesIO, body[:9]), (io.BytesIO, b""), (Broken, body[:9])):
                if made is Broken and earlier != "form":
                    continue  # The function itself raises.
                answers = [asked(how, mode, query, made(sent)) for how in ("view", "middleware")]
                assert answers[0] == answers[1], (mode, query, made, sent)


@pytest.mark.parametrize("terminated", [False, True])
def test_a_body_that_is_cut_off_after_a_function_has_opened_its_stream_is_400(terminated: bool) -> None:
    def open_stream() -> None:
        assert request.stream is not None

    here = App()
    here.app.before_request(open_stream)
    here.route(here.app, GuardExtension(Guard(ORDERS, KEY)).guarded(here.view))
    environ = {**environ_for(GOOD_JSON), "wsgi.input": Broken(GOOD_JSON.body[:9]), "wsgi.input_terminated": terminated}

    assert run_wsgi_app(here.app, environ)[1] == "400 BAD REQUEST"


def test_no_byte_after_the_body_is_read_if_a_function_has_read_a_part_of_it() -> None:
    """If a server passes the raw connection, the next request follows the body."""
    here = App()
    here.app.before_request(lambda: request.form.get("csrf_token"))
    here.app.before_request(lambda: request.stream.read(4) and None)
    here.route(here.app, GuardExtension(Guard(ORDERS, KEY)).guarded(here.view))
    stream = io.BytesIO(GOOD_JSON.body + b"next")

    assert run_wsgi_app(here.app, {**environ_for(GOOD_JSON), "wsgi.input": stream})[1] == "400 BAD REQUEST"
    assert stream.read() == b"next"


@pytest.mark.parametrize("framing", list(FRAMINGS))
def test_a_body_of_the_most_bytes_that_flask_allows_is_verified_after_its_form_was_looked_at(framing: str) -> None:
    here = App()
    here.app.config["MAX_CONTENT_LENGTH"] = len(GOOD_JSON.body)
    here.app.before_request(lambda: request.form.get("csrf_token"))
    here.route(here.app, GuardExtension(Guard(ORDERS, KEY)).guarded(here.view))
    environ = {**environ_for(GOOD_JSON), **FRAMINGS[framing]}
    if framing == "chunked":
        del environ["CONTENT_LENGTH"]

    assert run_wsgi_app(here.app, environ)[1] == "200 OK"


def test_a_cached_body_that_is_longer_than_its_length_is_refused() -> None:
    """The guard would read a part of it, and the view all of it."""

    def replace_body() -> None:
        request._get_current_object()._cached_data = GOOD_JSON.body + b" "  # type: ignore[attr-defined]

    here = App()
    here.app.before_request(lambda: request.get_data() and None)
    here.app.before_request(replace_body)
    here.route(here.app, GuardExtension(Guard(ORDERS, KEY)).guarded(here.view))

    assert here.answer(GOOD_JSON).status == 503


READERS: dict[str, Callable[[], object]] = {
    "a look at the stream": lambda: request.stream,
    "stream.read": lambda: request.stream.read(),
    "a part of the stream": lambda: request.stream.read(4),
    "get_data without cache": lambda: request.get_data(cache=False),
    "get_json without cache": lambda: request.get_json(force=True, silent=True, cache=False),
}


@pytest.mark.parametrize("reader", list(READERS))
@pytest.mark.parametrize(
    ("length", "terminated"),
    [(True, True), (False, True), (False, False)],
    ids=["a large body", "a body without a length", "an upgrade"],
)
def test_a_body_that_a_function_may_have_read_from_the_stream_is_refused(
    reader: str, length: bool, terminated: bool
) -> None:
    def read() -> None:
        READERS[reader]()

    here = App()
    here.app.before_request(read)
    here.route(here.app, GuardExtension(Guard(ORDERS, KEY, max_body=1000)).guarded(here.view))
    sent = Sent("POST", "/orders", GOOD.query, [("Content-Type", "image/png")], b"x" * 100_000)
    environ = environ_for(sent) if length else without_length(GOOD_JSON)
    environ |= {"wsgi.input_terminated": terminated, "QUERY_STRING": GOOD.query}

    assert run_wsgi_app(here.app, environ)[1] == "503 SERVICE UNAVAILABLE"
    assert here.seen == []


@pytest.mark.parametrize("size", [0, 100, 5_000], ids=["no body", "a small one", "a large one"])
@pytest.mark.parametrize("content_type", ["application/octet-stream", "image/png"])
def test_a_view_reads_the_stream_of_an_upload_after_a_function_has_looked_at_the_form(
    size: int, content_type: str
) -> None:
    here = App()
    here.app.before_request(lambda: request.form.get("note"))
    GuardExtension(Guard(ORDERS, KEY, max_body=1000), here.app)
    here.app.add_url_rule("/orders", "order", lambda: {"size": len(request.stream.read())}, methods=["POST"])
    sent = Sent("POST", "/orders", GOOD.query, [("Content-Type", content_type)], b"x" * size)

    assert send(here.app, sent).body == b'{"size":%d}\n' % size


@pytest.mark.parametrize(("sent", "used"), [("HEAD", "GET"), ("POST", "HEAD")])
def test_the_server_and_werkzeug_see_the_method_that_was_sent(sent: str, used: str) -> None:
    here = App()
    overriding(here.app)
    here.app.add_url_rule("/orders", "order", lambda: "reached", methods=["GET", "POST"])
    GuardExtension(Guard(ORDERS, KEY), here.app)
    environ = environ_for(Sent(sent, "/orders", GOOD.query, [("X-HTTP-Method-Override", used)]))
    body, status, _ = run_wsgi_app(here.app, environ)

    assert (status, environ["REQUEST_METHOD"]) == ("200 OK", sent)
    assert b"".join(body) == (b"" if sent == "HEAD" else b"reached")


@pytest.mark.parametrize("terminated", [False, True])
def test_a_request_without_body_is_verified_after_a_function_has_looked_at_its_stream(terminated: bool) -> None:
    def look() -> None:
        assert request.stream is not None

    here = App()
    here.app.before_request(look)
    here.route(here.app, GuardExtension(Guard(ORDERS, KEY)).guarded(here.view))

    assert run_wsgi_app(here.app, {**environ_for(GOOD), "wsgi.input_terminated": terminated})[1] == "200 OK"


def test_a_websocket_takes_its_connection_after_a_function_has_looked_at_the_form() -> None:
    """Flask bounds the stream, and simple_websocket takes `wsgi.input.raw` on gevent."""

    def connect() -> str:
        taken.append(request.environ["wsgi.input"].raw)
        return f"body: {request.get_data()!r}"

    taken: list[Any] = []
    app = Flask("guarded")
    app.config["MAX_CONTENT_LENGTH"] = 1000
    app.before_request(lambda: request.form.get("note"))
    GuardExtension(Guard(ORDERS, KEY), app)
    app.add_url_rule("/orders", view_func=connect)
    stream = io.BufferedReader(io.BytesIO(GOOD_JSON.body))
    upgrade = {"wsgi.input": stream, "wsgi.input_terminated": False, "CONTENT_TYPE": "text/plain"}

    assert b"".join(run_wsgi_app(app, {**environ_for(GOOD), **upgrade})[0]) == b"body: b''"
    assert taken == [stream.raw]


@pytest.mark.parametrize("content_type", ["", "application/x-www-form-urlencoded"])
def test_a_request_without_body_and_length_is_verified_after_its_form_was_looked_at(content_type: str) -> None:
    here = App()
    here.app.before_request(lambda: request.form.get("note"))
    here.route(here.app, GuardExtension(Guard(ORDERS, KEY)).guarded(here.view))
    environ = {**environ_for(GOOD), "CONTENT_TYPE": content_type, "wsgi.input_terminated": True}

    assert run_wsgi_app(here.app, environ)[1] == "200 OK"


class Unseekable(io.BytesIO):
    def seekable(self) -> bool:
        return False


@pytest.mark.parametrize("terminated", [False, True])
@pytest.mark.parametrize(
    ("content_type", "answer", "most"),
    [("application/json", 413, 0), ("application/octet-stream", 200, 512)],
    ids=["JSON is refused unread", "of an upload the first bytes are read"],
)
def test_no_more_of_a_body_is_read_because_a_function_looked_at_the_form(
    content_type: str, answer: int, most: int, terminated: bool
) -> None:
    here = App()
    here.app.before_request(lambda: request.form.get("note"))
    GuardExtension(Guard(ORDERS, KEY, max_body=1000), here.app)
    read_by_guard: list[int] = []
    stream = Unseekable(b"x" * 100_000)
    here.app.before_request(lambda: read_by_guard.append(stream.tell()))
    here.app.add_url_rule("/orders", "order", lambda: {"size": len(request.get_data())}, methods=["POST"])
    sent = Sent("POST", "/orders", GOOD.query, headers=[("Content-Type", content_type)], body=stream.getvalue())
    environ = {**environ_for(sent), "wsgi.input": stream, "wsgi.input_terminated": terminated}
    body, status, _ = run_wsgi_app(here.app, environ)

    assert int(status[:3]) == answer
    assert (read_by_guard or [stream.tell()]) == [most]
    assert answer != 200 or b"100000" in b"".join(body)


def test_a_hook_that_reads_an_empty_body_changes_nothing() -> None:
    def read_body() -> None:
        request.get_data()

    here = App()
    here.app.before_request(read_body)
    here.route(here.app, GuardExtension(Guard(ORDERS, KEY)).guarded(here.view))

    assert here.answer(GOOD).verdict


def test_a_verdict_of_the_same_guard_is_used() -> None:
    verdicts: list[Verdict] = []
    guard = Guard(ORDERS, KEY, on_verdict=lambda verdict, _: verdicts.append(verdict))
    here = App()
    here.route(here.app, GuardExtension(guard).guarded(here.view))
    here.app.wsgi_app = guard.wsgi(here.app.wsgi_app)  # type: ignore[method-assign]

    assert here.answer(GOOD_JSON).verdict is verdicts[0]
    assert len(verdicts) == 1


def test_a_verdict_of_another_guard_is_not_used() -> None:
    here = App()
    here.route(here.app, GuardExtension(Guard(ORDERS, KEY)).guarded(here.view))
    other = Guard(ORDERS, "another key of sixteen bytes or more")
    here.app.wsgi_app = other.wsgi(here.app.wsgi_app)  # type: ignore[method-assign]
    forged = query_of(signature=hex_of("acme", "42", key="another key of sixteen bytes or more"))

    assert here.answer(Sent("GET", "/orders", forged)).status == 401


def test_an_exemption_by_path_does_not_open_a_guarded_view() -> None:
    guard = Guard(ORDERS, KEY, exempt=("/orders",))
    here = App()
    here.route(here.app, GuardExtension(guard).guarded(here.view))
    here.app.wsgi_app = guard.wsgi(here.app.wsgi_app)  # type: ignore[method-assign]

    assert here.answer(UNSIGNED).status == 401
    assert here.answer(GOOD).status == 200


def test_an_exemption_by_path_does_not_open_a_guarded_view_that_needs_no_body() -> None:
    scheme = Scheme(name="one", ids={"a": Query("a")}, message="{a}", signature=Query("sig"))
    guard = Guard(scheme, KEY, exempt=("/orders",))
    here = App()
    here.route(here.app, GuardExtension(guard).guarded(here.view))
    here.app.wsgi_app = guard.wsgi(here.app.wsgi_app)  # type: ignore[method-assign]

    assert here.answer(UNSIGNED).status == 401
    assert here.answer(Sent("GET", "/orders", f"a=x&sig={scheme.sign(KEY, a='x')}")).status == 200


def test_a_decorator_that_changes_what_a_view_returns_does_not_change_a_refusal() -> None:
    """`marshal_with` of Flask-RESTX makes `{"owner": null}` of each object without an owner."""

    def marshalled(view: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: {"owner": getattr(view(), "owner", None)}

    app = Flask("guarded")
    app.register_error_handler(Exception, lambda error: ("handled", 200))
    app.after_request(lambda response: response.headers.add("X-After", "called") or response)
    guard = Guard(ORDERS, KEY)
    app.add_url_rule("/orders", "orders", marshalled(GuardExtension(guard).guarded(lambda: "reached")))
    reply, expected = send(app, UNSIGNED), call_wsgi(guard, UNSIGNED)

    assert (reply.status, reply.body) == (401, expected.body)
    assert reply.headers == {**expected.headers, "x-after": "called"}


def test_a_raised_refusal_has_its_status() -> None:
    """Flask-RESTX passes it to error handlers, which read `code`."""

    def handled(view: Callable[[], Any]) -> Callable[[], Any]:
        def answer() -> Any:
            try:
                return view()
            except HTTPException as error:
                return "handled", error.code

        return answer

    app = Flask("guarded")
    app.add_url_rule("/orders", "orders", handled(GuardExtension(Guard(ORDERS, KEY)).guarded(lambda: "reached")))

    assert send(app, UNSIGNED).status == 401


@pytest.mark.parametrize("in_blueprint", [False, True], ids=["application", "blueprint"])
def test_a_guarded_view_refuses_although_flask_traps_http_exceptions(in_blueprint: bool) -> None:
    app = Flask("guarded")
    app.config["TRAP_HTTP_EXCEPTIONS"] = True
    app.register_error_handler(Exception, lambda error: ("handled", 200))
    guarded = GuardExtension(Guard(ORDERS, KEY)).guarded(App().view)
    if in_blueprint:
        blueprint = Blueprint("partners", __name__)
        blueprint.add_url_rule("/orders", "orders", guarded)
        app.register_blueprint(blueprint)
    else:
        app.add_url_rule("/orders", "orders", guarded)

    assert send(app, UNSIGNED).status == 401


def test_a_guarded_view_that_another_view_calls_refuses() -> None:
    app = Flask("guarded")
    inner = GuardExtension(Guard(ORDERS, KEY)).guarded(lambda: "reached")
    app.add_url_rule("/inner", "inner", inner)
    app.add_url_rule("/orders", "orders", lambda: f"got {inner()}")

    assert send(app, UNSIGNED).status == 401


def test_a_guarded_view_is_freed_without_the_garbage_collector() -> None:
    """Flask-RESTful makes one for each request."""
    guarded = weakref.ref(GuardExtension(Guard(ORDERS, KEY)).guarded(lambda: "reached"))

    assert guarded() is None


def test_report_mode_calls_the_view_with_the_verdict() -> None:
    here = App()
    GuardExtension(Guard(ORDERS, KEY, mode="report"), here.app)
    here.route(here.app, here.view)

    assert here.answer(UNSIGNED).verdict.reason is Reason.MISSING_ID


def test_unavailable_keys_are_503() -> None:
    def broken(_: object) -> str:
        raise OSError

    here = App()
    GuardExtension(Guard(ORDERS, broken), here.app)
    here.route(here.app, here.view)

    reply = here.answer(GOOD)
    assert (reply.status, reply.headers["retry-after"], reply.seen) == (503, "5", [])


def test_a_head_request_is_refused_without_a_body() -> None:
    app = Flask("guarded")
    GuardExtension(Guard(ORDERS, KEY), app)

    reply = send(app, Sent("HEAD", "/orders"))
    assert (reply.status, reply.body) == (401, b"")


@pytest.mark.parametrize("path", ["/static/site.css", "/no-such-path", "/orders/"])
def test_init_app_guards_static_files_and_unknown_paths(path: str) -> None:
    app = Flask("guarded")
    GuardExtension(Guard(ORDERS, KEY), app)
    app.add_url_rule("/orders", view_func=lambda: "reached")

    assert app.test_client().get(path).status_code == 401


def test_two_guards_must_both_verify() -> None:
    partner = Guard(ORDERS.replace(name="partner", signature=Header("X-Partner")), KEY, annotate_as="partner")
    app = Flask("guarded")
    GuardExtension(Guard(ORDERS, KEY), app)

    @app.get("/orders")
    @GuardExtension(partner).guarded
    def orders() -> str:
        return verdict_from(request, "partner").scheme

    signed = hex_of("acme", "42")

    assert app.test_client().get("/orders?" + GOOD.query).status_code == 401
    assert app.test_client().get("/orders?" + GOOD.query, headers={"X-Partner": signed}).text == "partner"


def test_a_mounted_application_reads_its_own_path() -> None:
    scheme = ORDERS.replace(ids={"tenant_id": Path("/tenants/{tenant_id}"), "order_id": Query("order_id")})
    app = Flask("guarded")
    GuardExtension(Guard(scheme, KEY), app)
    app.add_url_rule("/tenants/<tenant>", view_func=lambda tenant: tenant + current_verdict.ids["tenant_id"])
    mounted = DispatcherMiddleware(Flask("outer"), {"/api": app})
    sent = Sent("GET", "/api/tenants/acme", f"order_id=42&sig={hex_of('acme', '42')}")

    assert b"".join(run_wsgi_app(mounted, environ_for(sent))[0]) == b"acmeacme"


def test_a_refusal_passes_through_after_request_so_that_cross_origin_pages_can_read_it() -> None:
    app = Flask("guarded")
    GuardExtension(Guard(ORDERS, KEY), app)

    @app.after_request
    def allow(response: Response) -> Response:
        response.headers["Access-Control-Allow-Origin"] = "https://app.example"
        return response

    reply = send(app, UNSIGNED)
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (401, "https://app.example")


def test_one_view_of_a_class_is_guarded_by_decorators() -> None:
    class Orders(MethodView):
        decorators = [GuardExtension(Guard(ORDERS, KEY)).guarded]  # noqa: RUF012  # as Flask has it

        def get(self) -> str:
            return "reached"

    app = Flask("guarded")
    app.add_url_rule("/orders", view_func=Orders.as_view("orders"))

    assert [app.test_client().get(url).status_code for url in ("/orders", "/orders?" + GOOD.query)] == [401, 200]


@pytest.mark.parametrize(
    ("given", "fix"),
    [
        (None, "must be a Guard, not NoneType"),
        (ORDERS, "must be a Guard, not Scheme"),
        (lambda _: None, "must be a Guard, not NoneType"),
    ],
)
def test_another_object_than_a_guard_is_a_config_error(given: Any, fix: str) -> None:
    with pytest.raises(ConfigError, match=fix):
        GuardExtension(given, Flask("guarded"))


def test_a_resolver_of_one_event_loop_is_a_config_error() -> None:
    async def resolver(_: object) -> str:
        return KEY

    resolver.asgi_only = True  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="cannot serve WSGI"):
        GuardExtension(Guard(ORDERS, resolver))


def test_two_guards_under_one_name_are_a_config_error() -> None:
    app = Flask("guarded")
    GuardExtension(Guard(ORDERS, KEY), app)
    with pytest.raises(ConfigError, match="different names"):
        GuardExtension(Guard(ORDERS, KEY), app)


@pytest.mark.parametrize("guard", [Guard(ORDERS, KEY), lambda app: Guard(ORDERS, KEY)], ids=["guard", "function"])
def test_a_guard_that_an_application_already_has_is_a_config_error(guard: Any) -> None:
    app = Flask("guarded")
    signed = GuardExtension(guard, app)
    with pytest.raises(ConfigError, match="already a guard of the application; remove one of the two"):
        signed.init_app(app)


def test_a_blueprint_in_place_of_an_application_is_a_config_error() -> None:
    blueprint: Any = Blueprint("partners", __name__)
    fix = "not Blueprint; write blueprint.before_request(GuardExtension(guard).before_request)"
    with pytest.raises(ConfigError, match=re.escape(fix)):
        GuardExtension(Guard(ORDERS, KEY)).init_app(blueprint)


def test_everywhere_as_text_is_a_config_error() -> None:
    app = Flask("guarded")
    with pytest.raises(ConfigError, match="GuardExtension: everywhere must be True or False"):
        GuardExtension(Guard(ORDERS, KEY)).init_app(app, everywhere="false")  # type: ignore[arg-type]
    assert not app.before_request_funcs


def test_a_guard_that_init_app_has_not_made_yet_raises() -> None:
    signed = GuardExtension(lambda app: Guard(ORDERS, app.config["KEY"]))
    with Flask("guarded").test_request_context("/"), pytest.raises(ConfigError, match=r"call init_app\(app\) first"):
        signed.before_request()


def test_one_extension_serves_two_applications_with_different_keys() -> None:
    signed = GuardExtension(lambda app: Guard(ORDERS, app.config["KEY"]))
    statuses = []
    for key in (KEY, "another key of sixteen bytes or more"):
        here = App()
        here.app.config["KEY"] = key
        signed.init_app(here.app)
        here.route(here.app, here.view)
        statuses.append(here.answer(GOOD).status)

    assert statuses == [200, 401]


def a_view() -> str:
    return "reached"


def test_routes_that_no_guard_covers_are_listed() -> None:
    guard = Guard(ORDERS, KEY)
    app = Flask("guarded")
    outer, inner = Blueprint("outer", __name__, url_prefix="/outer"), Blueprint("inner", __name__, url_prefix="/inner")
    outer.add_url_rule("/open", view_func=a_view)
    inner.add_url_rule("/shut", view_func=a_view)
    inner.before_request(GuardExtension(guard).before_request)
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    app.add_url_rule("/marked", "marked", GuardExtension(guard).guarded(a_view))
    app.add_url_rule("/plain", "plain", a_view)
    switched_off = GuardExtension(Guard(ORDERS, KEY, mode="off"))
    app.add_url_rule("/off", "off", switched_off.guarded(a_view))

    assert uncovered_routes(app) == ["/off", "/outer/open", "/plain", "/static/<path:filename>"]


@pytest.mark.parametrize("how", ["init_app", "middleware"])
@pytest.mark.parametrize(
    ("policy", "uncovered"),
    [
        ({}, []),
        ({"exempt": ("/health",)}, ["/health"]),
        ({"exempt": ("/static/",)}, ["/static/<path:filename>"]),
        ({"exempt": ("/orders/7",)}, ["/orders/<order>"]),
        ({"only": ("/orders/",)}, ["/health", "/static/<path:filename>"]),
        ({"only": ("/orders",)}, ["/health", "/orders/<order>", "/static/<path:filename>"]),
        ({"mode": "off"}, ["/health", "/orders/<order>", "/static/<path:filename>"]),
        ({"mode": "report"}, []),
    ],
)
def test_a_route_that_the_policy_may_skip_is_listed(how: str, policy: Any, uncovered: list[str]) -> None:
    app = Flask("guarded")
    app.add_url_rule("/health", "health", a_view)
    app.add_url_rule("/orders/<order>", "order", a_view)
    app.before_request(lambda: None)
    guard = Guard(ORDERS, KEY, **policy)
    if how == "init_app":
        GuardExtension(guard, app)
    else:
        app.wsgi_app = ProxyFix(guard.wsgi(app.wsgi_app))  # type: ignore[method-assign]

    assert uncovered_routes(app) == uncovered


def test_behind_a_proxy_that_removes_a_prefix_the_application_reads_its_own_path() -> None:
    scheme = ORDERS.replace(ids={"tenant_id": Path("/tenants/{tenant_id}"), "order_id": Query("order_id")})
    app = Flask("guarded")
    GuardExtension(Guard(scheme, KEY), app)
    app.add_url_rule("/tenants/<tenant>", view_func=lambda tenant: request.url)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_prefix=1)  # type: ignore[method-assign]
    query = f"order_id=42&sig={hex_of('acme', '42')}"

    reply = send(app, Sent("GET", "/tenants/acme", query, [("X-Forwarded-Prefix", "/api")]))
    assert (reply.status, reply.body.decode()) == (200, f"http://testserver/api/tenants/acme?{query}")


def above_the_route(app: Flask, signed: GuardExtension) -> None:
    signed.guarded(app.get("/orders")(lambda: "reached"))


def above_an_async_view(app: Flask, signed: GuardExtension) -> None:
    @signed.guarded
    @app.get("/orders")
    async def orders() -> str:
        return "reached"


def above_another_decorator(app: Flask, signed: GuardExtension) -> None:
    @signed.guarded
    @decorated
    @app.get("/orders")
    def orders() -> str:
        return "reached"


def of_a_view_that_the_route_has_wrapped(app: Flask, signed: GuardExtension) -> None:
    def orders() -> str:
        return "reached"

    app.get("/orders")(decorated(orders))
    signed.guarded(orders)


def of_a_class(app: Flask, signed: GuardExtension) -> None:
    class Orders(MethodView):
        def get(self) -> str:
            return "reached"

    orders = Orders.as_view("orders")
    app.add_url_rule("/orders", view_func=orders)
    signed.guarded(orders)


def of_a_method(app: Flask, signed: GuardExtension) -> None:
    signed.guarded(app.get("/orders")(App().view))


def in_a_blueprint(app: Flask, signed: GuardExtension) -> None:
    blueprint = Blueprint("partners", __name__)
    signed.guarded(blueprint.get("/orders")(lambda: "reached"))
    outer = Blueprint("outer", __name__)
    outer.register_blueprint(blueprint)
    app.register_blueprint(outer)


def between_two_routes(app: Flask, signed: GuardExtension) -> None:
    @app.get("/guarded", endpoint="guarded")
    @signed.guarded
    @app.get("/orders")
    def orders() -> str:
        return "reached"


def above_a_view_that_another_extension_guards(app: Flask, signed: GuardExtension) -> None:
    @signed.guarded
    @app.get("/orders")
    @GuardExtension(Guard(ORDERS, KEY, mode="off", annotate_as="other")).guarded
    def orders() -> str:
        return "reached"


def decorated(view: Any) -> Any:
    """A view under a decorator of another package."""

    @wraps(view)
    def decorated_view() -> Any:
        return view()

    return decorated_view


@pytest.mark.parametrize("with_init_app", [False, True])
@pytest.mark.parametrize("mode", ["enforce", "report", "off"])
@pytest.mark.parametrize(
    "misplace",
    [
        above_the_route,
        above_an_async_view,
        above_another_decorator,
        of_a_view_that_the_route_has_wrapped,
        of_a_class,
        of_a_method,
        in_a_blueprint,
        between_two_routes,
        above_a_view_that_another_extension_guards,
    ],
)
def test_guarded_above_the_route_is_found_at_the_first_request(
    misplace: Any, mode: Mode, with_init_app: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = Flask("guarded")
    signed = GuardExtension(Guard(ORDERS, KEY, mode=mode, refusal=lambda code, _: b"our own"))
    if with_init_app:
        signed.init_app(app)
    misplace(app, signed)

    replies = [send(app, sent) for sent in (Sent("GET", "/other"), UNSIGNED, GOOD)]
    assert [(reply.status, reply.body) for reply in replies] == [(503, b"our own")] * 3
    assert [record.levelname for record in caplog.records if "ConfigError" in record.message] == ["ERROR"] * 3
    assert "orders" in caplog.text or "lambda" in caplog.text or "view" in caplog.text
    assert "Put @signed.guarded below the route, directly above def" in caplog.text


def test_guarded_above_the_route_is_found_without_init_app() -> None:
    app = Flask("guarded")
    above_the_route(app, GuardExtension(lambda app: Guard(ORDERS, KEY)))

    assert send(app, GOOD).status == 503


def test_an_error_handler_does_not_hide_an_unguarded_view() -> None:
    app = Flask("guarded")
    app.register_error_handler(Exception, lambda error: ("handled", 200))
    above_the_route(app, GuardExtension(Guard(ORDERS, KEY)))

    assert send(app, GOOD).status == 503


def test_guarded_may_be_used_after_the_first_request() -> None:
    app = Flask("guarded")
    signed = GuardExtension(Guard(ORDERS, KEY))
    view = app.get("/orders")(lambda: "reached")

    assert send(app, UNSIGNED).status == 200
    signed.guarded(view)
    assert send(app, UNSIGNED).status == 503


class Resource(View):
    """Decorates its method for each request, as a resource of Flask-RESTful and Flask-RESTX does."""

    method_decorators: ClassVar[list[Any]] = []

    def dispatch_request(self) -> Any:
        method: Any = self.get
        for decorator in self.method_decorators:
            method = decorator(method)
        return method()

    def orders(self) -> str:
        return "reached"

    @wraps(orders)
    def get(self) -> str:
        return self.orders()


def test_a_method_that_is_guarded_for_each_request_is_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise each request would check all views of the application again."""
    checked: list[Flask] = []
    original = _GIVEN._bare

    def bare(app: Flask) -> Iterator[Any]:
        checked.append(app)
        return original(app)

    monkeypatch.setattr(_GIVEN, "_bare", bare)
    app = Flask("guarded")
    monkeypatch.setattr(Resource, "method_decorators", [GuardExtension(Guard(ORDERS, KEY)).guarded])
    app.add_url_rule("/orders", view_func=Resource.as_view("orders"))

    assert [send(app, sent).status for sent in (GOOD, UNSIGNED, GOOD, UNSIGNED)] == [200, 401, 200, 401]
    assert len(checked) == 2, "before the first request, and after it, because its function is new"


def test_a_function_may_be_open_in_a_wrapper_and_guarded_in_another() -> None:
    """Such as a common function that two decorators make two views of."""
    app, common = Flask("guarded"), App().view
    app.add_url_rule("/orders", "orders", GuardExtension(Guard(ORDERS, KEY)).guarded(decorated(common)))
    app.add_url_rule("/open", "open", decorated(common))

    assert [send(app, sent).status for sent in (UNSIGNED, GOOD)] == [401, 200]


def test_guarded_below_the_route_is_accepted() -> None:
    """Below another decorator, with two extensions, and as a replacement of a view."""

    def orders() -> str:
        return "reached"

    partner = GuardExtension(Guard(ORDERS.replace(name="partner"), KEY, annotate_as="partner"))
    signed = GuardExtension(Guard(ORDERS, KEY))
    app = Flask("guarded")
    app.add_url_rule("/orders", "decorated", decorated(signed.guarded(orders)))
    app.add_url_rule("/twice", "twice", partner.guarded(signed.guarded(orders)))
    app.add_url_rule("/partner", "partner", partner.guarded(orders))
    app.add_url_rule("/late", "late", lambda: "reached")
    app.view_functions["late"] = signed.guarded(app.view_functions["late"])

    for path in ("/orders", "/twice", "/partner", "/late"):
        assert [send(app, Sent("GET", path, query)).status for query in ("", GOOD.query)] == [401, 200]


def test_a_view_that_is_guarded_in_one_application_and_open_in_another_is_refused_in_any_order() -> None:
    def orders() -> str:
        return "reached"

    app, other = Flask("guarded"), Flask("bare")
    app.add_url_rule("/orders", "orders", GuardExtension(Guard(ORDERS, KEY)).guarded(orders))
    other.add_url_rule("/orders", view_func=orders)

    assert [send(each, GOOD).status for each in (other, app, other)] == [503, 200, 503]


def test_guarded_raises_config_error_for_other_objects() -> None:
    signed = GuardExtension(Guard(ORDERS, KEY))

    class Orders(MethodView):
        pass

    class Slotted:
        __slots__ = ()

        def __call__(self) -> str:
            return "reached"

    with pytest.raises(ConfigError, match=r"Orders is a class; give it `decorators = \[signed.guarded\]`"):
        signed.guarded(Orders)
    with pytest.raises(ConfigError, match="give a function"):
        signed.guarded(Slotted())


def test_guarded_keeps_no_reference_to_a_view() -> None:
    signed = GuardExtension(Guard(ORDERS, KEY))

    def orders() -> str:
        return "reached"

    gone = weakref.ref(orders)
    signed.guarded(orders)
    del orders
    gc.collect()
    assert gone() is None


class Layer:
    """A layer of an unknown type, which stores the application in its own attribute."""

    def __init__(self, application: Any) -> None:
        self.behind = application

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.behind(environ, start_response)

    def handle(self, environ: Any, start_response: Any) -> Any:
        return self.behind(environ, start_response)


class SlottedLayer:
    __slots__ = ("_empty", "behind")

    def __init__(self, application: Any) -> None:
        self.behind = application

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.behind(environ, start_response)


class OwnProxyFix(ProxyFix):
    """It has the name of a werkzeug class."""


class AnsweringProxyFix(ProxyFix):
    def __call__(self, environ: Any, start_response: Any) -> Any:
        return super().__call__(environ, start_response)


def closure(application: Any) -> Any:
    @wraps(application)  # it copies the name of the wrapped function
    def layer(environ: Any, start_response: Any) -> Any:
        return application(environ, start_response)

    return layer


def by_default(application: Any) -> Any:
    def layer(environ: Any, start_response: Any, behind: Any = application) -> Any:
        return behind(environ, start_response)

    return layer


def by_keyword(application: Any) -> Any:
    def layer(environ: Any, start_response: Any, *, behind: Any = application) -> Any:
        return behind(environ, start_response)

    return layer


def call(application: Any, environ: Any, start_response: Any) -> Any:
    return application(environ, start_response)


def opaque(application: Any) -> Any:
    kept = [application]

    def layer(environ: Any, start_response: Any) -> Any:
        return kept[0](environ, start_response)

    return layer


UNKNOWN: dict[str, tuple[Any, str]] = {
    "an object": (Layer, "Layer"),
    "an object with slots": (SlottedLayer, "SlottedLayer"),
    "a method": (lambda application: Layer(application).handle, "handle"),
    "a closure": (closure, "layer"),
    "a default": (by_default, "layer"),
    "a keyword's default": (by_keyword, "layer"),
    "a partial": (lambda application: functools.partial(call, application), "call"),
    "a partial by keyword": (lambda application: functools.partial(call, application=application), "call"),
    "a changed ProxyFix": (AnsweringProxyFix, "AnsweringProxyFix"),
    "werkzeug's dispatcher": (lambda application: DispatcherMiddleware(application, {}), "DispatcherMiddleware"),
}
KNOWN: dict[str, Any] = {
    "ProxyFix": ProxyFix,
    "a subclass of ProxyFix": OwnProxyFix,
    "lint": LintMiddleware,
    "profiler": ProfilerMiddleware,
}


def application_in(*layers: Any, policy: Any = None) -> Flask:
    """An application with one route, inside these layers, the outermost first. `guarded` stands for a guard."""
    app = Flask("layers", static_folder=None)
    app.add_url_rule("/orders", "orders", lambda: "reached")
    guard = Guard(ORDERS, KEY, **(policy or {}))
    for layer in reversed(layers):
        app.wsgi_app = guard.wsgi(app.wsgi_app) if layer == "guarded" else layer(app.wsgi_app)  # type: ignore[method-assign]
    return app


@pytest.mark.parametrize("kind", list(UNKNOWN))
def test_an_unknown_layer_outside_the_guard_is_listed(kind: str) -> None:
    layer, name = UNKNOWN[kind]
    [listed] = uncovered_routes(application_in(layer, "guarded"))

    assert re.fullmatch(rf"<[\w.]+\.(.*\.)?{name} around the application>", listed), listed
    assert uncovered_routes(application_in("guarded", layer)) == []
    assert uncovered_routes(application_in(layer, ProxyFix, "guarded", Layer)) == [listed]
    assert uncovered_routes(application_in(layer)) == ["/orders", listed]


@pytest.mark.parametrize("kind", list(KNOWN))
def test_a_layer_without_handlers_is_not_listed(kind: str) -> None:
    assert uncovered_routes(application_in(KNOWN[kind], "guarded", KNOWN[kind])) == []
    assert uncovered_routes(application_in(KNOWN[kind])) == ["/orders"]


@pytest.mark.parametrize(
    ("rule", "entry", "strict", "uncovered"),
    [
        ("/public", "/public/", False, ["/public"]),
        ("/public", "/public/", True, []),
        ("/public/", "/public", False, ["/public/"]),
        ("/public/", "/public", True, []),
        ("/public/<name>", "/public", False, []),
    ],
)
def test_a_rule_is_uncovered_if_it_is_exempt_with_the_other_end(
    rule: str, entry: str, strict: bool, uncovered: list[str]
) -> None:
    app = Flask("shop", static_folder=None)
    app.url_map.strict_slashes = strict
    app.add_url_rule(rule, "list", lambda name="": "list")
    GuardExtension(Guard(ORDERS, KEY, exempt=(entry,)), app)

    assert uncovered_routes(app) == uncovered
    other_end = rule.removesuffix("/") if rule.endswith("/") else rule + "/"
    assert (app.test_client().get(other_end).status_code == 200) is bool(uncovered)


def test_routes_behind_an_opaque_layer_are_uncovered() -> None:
    hidden = uncovered_routes(application_in(opaque, "guarded"))

    assert hidden[0] == "/orders"
    assert [each.rpartition(".")[2] for each in hidden[1:]] == ["layer around the application>"]
    assert uncovered_routes(application_in(ProxyFix, "guarded", opaque)) == []


class Lenient(GuardMiddleware):
    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.app(environ, start_response)


class Named(GuardMiddleware):
    """A subclass that guards as its base does."""


def test_a_subclass_of_the_middleware_covers_routes_only_if_it_checks_requests_as_its_base_does() -> None:
    guard = Guard(ORDERS, KEY)
    lenient, named = (application_in(functools.partial(kind, guard=guard)) for kind in (Lenient, Named))

    assert uncovered_routes(lenient) == ["/orders", f"<{__name__}.Lenient around the application>"]
    assert lenient.test_client().get("/orders").status_code == 200
    assert uncovered_routes(named) == []
    assert named.test_client().get("/orders").status_code == 401


class LenientExtension(GuardExtension):
    def before_any_request(self) -> None:
        """Refuse nothing."""

    def before_request(self) -> None:
        """Refuse nothing."""

    def count(self) -> None:
        """Count a request."""


class NamedExtension(GuardExtension):
    """A subclass that guards as its base does."""


@pytest.mark.parametrize(
    ("kind", "hook", "covers"),
    [
        (NamedExtension, "before_any_request", True),
        (NamedExtension, "before_request", True),
        (LenientExtension, "before_any_request", False),
        (LenientExtension, "before_request", False),
        (LenientExtension, "count", False),
    ],
)
def test_a_method_of_an_extension_covers_routes_only_if_it_checks_requests(kind: Any, hook: str, covers: bool) -> None:
    app = application_in()
    app.before_request(getattr(kind(Guard(ORDERS, KEY)), hook))

    assert uncovered_routes(app) == ([] if covers else ["/orders"])
    assert app.test_client().get("/orders").status_code == (401 if covers else 200)


def test_routes_are_uncovered_if_a_layer_can_bypass_the_guard() -> None:
    class Choosing:
        def __init__(self, application: Any) -> None:
            self.open = application
            self.shut = Guard(ORDERS, KEY).wsgi(application)

        def __call__(self, environ: Any, start_response: Any) -> Any:
            return self.open(environ, start_response)

    assert uncovered_routes(application_in(Choosing))[0] == "/orders"


@pytest.mark.parametrize(
    ("policy", "listed"),
    [
        ({"exempt": ("/health",)}, False),
        ({"mode": "report"}, False),
        ({"only": ("/orders",)}, True),
        ({"mode": "off"}, True),
    ],
    ids=str,
)
def test_a_layer_inside_a_guard_is_listed_if_the_guard_skips_paths(policy: dict[str, Any], listed: bool) -> None:
    found = uncovered_routes(application_in("guarded", Layer, policy=policy))
    assert any("Layer around the application" in each for each in found) is listed


@pytest.mark.parametrize("how", ["init_app", "decorator"])
def test_a_layer_around_the_application_is_not_covered_by_guards_of_views(how: str) -> None:
    signed = GuardExtension(Guard(ORDERS, KEY))
    app = application_in(Layer)
    if how == "init_app":
        signed.init_app(app)
    else:
        app.view_functions["orders"] = signed.guarded(a_view)

    assert [each.rpartition(".")[2] for each in uncovered_routes(app)] == ["Layer around the application>"]


def test_a_proxy_in_a_layer_is_ignored() -> None:
    class WithRequest(Layer):
        request = None

        def __init__(self, application: Any) -> None:
            super().__init__(application)
            self.request = request
            self.verdict = current_verdict

    assert uncovered_routes(application_in("guarded", WithRequest)) == []


@pytest.mark.parametrize("inside", [False, True])
def test_flask_socketio_is_guarded_only_if_the_guard_wraps_it(inside: bool) -> None:
    socketio = pytest.importorskip("flask_socketio", reason="not run: Flask-SocketIO is not installed")
    app = Flask("sockets", static_folder=None)
    GuardExtension(Guard(ORDERS, KEY), app)
    socketio.SocketIO(app, async_mode="threading")
    if inside:
        app.wsgi_app = Guard(ORDERS, KEY, annotate_as="outer").wsgi(app.wsgi_app)  # type: ignore[method-assign]

    handshake = send(app, Sent("GET", "/socket.io/", "EIO=4&transport=polling")).status
    listed = [] if inside else ["<flask_socketio._SocketIOMiddleware around the application>"]
    assert (handshake, uncovered_routes(app)) == (401 if inside else 200, listed)


@pytest.mark.parametrize("how", ["flask", "wsgi"])
def test_opentelemetry_is_not_listed(how: str) -> None:
    flask = pytest.importorskip("opentelemetry.instrumentation.flask", reason="not run: OpenTelemetry is not installed")
    wsgi = pytest.importorskip("opentelemetry.instrumentation.wsgi", reason="not run: OpenTelemetry is not installed")

    def traced(app: Flask) -> list[str]:
        if how == "wsgi":
            app.wsgi_app = wsgi.OpenTelemetryMiddleware(app.wsgi_app)  # type: ignore[method-assign]
            return uncovered_routes(app)
        flask.FlaskInstrumentor().instrument_app(app)
        try:
            return uncovered_routes(app)
        finally:
            flask.FlaskInstrumentor().uninstrument_app(app)

    assert traced(application_in("guarded")) == []
    assert traced(application_in()) == ["/orders"]


@pytest.mark.parametrize(
    ("order", "spans"),
    [
        ("before the extension", 1),
        ("after the extension", 0),
        ("before the middleware", 0),
        ("after the middleware", 0),
        ("around the middleware", 1),
    ],
)
def test_a_refused_request_has_a_span_of_opentelemetry_if_it_is_instrumented_outside_the_guard(
    order: str, spans: int
) -> None:
    pytest.importorskip("opentelemetry.instrumentation.flask", reason="not run: OpenTelemetry is not installed")
    pytest.importorskip("opentelemetry.sdk", reason="not run: opentelemetry-sdk is not installed")
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider, app = InMemorySpanExporter(), TracerProvider(), Flask("traced")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    guard = Guard(ORDERS, KEY)
    instrumentor: Any = FlaskInstrumentor()
    if order.startswith("before"):
        instrumentor.instrument_app(app, tracer_provider=provider)
    if order.endswith("extension"):
        GuardExtension(guard, app)
    else:
        app.wsgi_app = guard.wsgi(app.wsgi_app)  # type: ignore[method-assign]
    if order.startswith("after"):
        instrumentor.instrument_app(app, tracer_provider=provider)
    if order == "around the middleware":
        app.wsgi_app = OpenTelemetryMiddleware(app.wsgi_app, tracer_provider=provider)  # type: ignore[method-assign]

    assert app.test_client().get("/orders").status_code == 401
    assert len(exporter.get_finished_spans()) == spans
