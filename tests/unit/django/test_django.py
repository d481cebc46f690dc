"""The Django handles answer like the middleware, in sync and async code, over WSGI and ASGI."""

import asyncio
import io
import json
import re
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial, wraps
from typing import Any, NoReturn

import pytest

pytest.importorskip("django", reason="not run: Django is not installed")

# First, because it configures Django.
from django_project import ASYNC_ONLY, GUARDED, SYNC_ONLY, Guarded, project, send  # isort: skip

from django import VERSION
from django.core.cache import cache
from django.core.checks import run_checks
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.middleware.cache import FetchFromCacheMiddleware
from django.test import Client, override_settings
from django.urls import include, path, re_path
from django.utils.decorators import method_decorator
from django.utils.functional import lazy
from django.utils.translation import get_language, override
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from handles import check_case, check_generated
from orders import (
    CASES,
    GOOD,
    GOOD_FORM,
    GOOD_JSON,
    GOOD_MULTIPART,
    JSON,
    KEY,
    MULTIPART,
    ORDERS,
    UNSIGNED,
    hex_of,
    query_of,
)
from support import Call, Reply, Sent, environ_for, run_asgi, scope_for
from werkzeug.test import run_wsgi_app

import hmac_guard.core.request
import hmac_guard.wsgi
from hmac_guard import ConfigError, Form, Guard, Header, Json, Key, Path, Query, Reason, Scheme, Verdict, verdict_from
from hmac_guard.django import GuardMiddleware, hmac_guarded, uncovered_routes
from hmac_guard.django.conf import guard_from_settings
from hmac_guard.schemes import GITHUB


class Seen:
    """Views that record their requests."""

    def __init__(self) -> None:
        self.seen: list[tuple[Verdict, bytes]] = []
        self.threads: list[threading.Thread] = []

    def sync(self, request: HttpRequest) -> HttpResponse:
        self.seen.append((verdict_from(request), request.body))
        self.threads.append(threading.current_thread())
        return HttpResponse("reached")

    async def later(self, request: HttpRequest) -> HttpResponse:
        return self.sync(request)

    def as_class(self, *, later: bool) -> Any:
        if later:

            class Later(View):
                async def get(view, request: HttpRequest) -> HttpResponse:  # noqa: N805
                    return self.sync(request)

                post = put = get

            return Later

        class Sync(View):
            def get(view, request: HttpRequest) -> HttpResponse:  # noqa: N805
                return self.sync(request)

            post = put = get

        return Sync


def in_middleware(server: str, *others: str, later: bool = False) -> Call:
    def call(guard: Guard, sent: Sent) -> Reply:
        here = Seen()
        Guarded.guard = guard
        with project(here.later if later else here.sync, MIDDLEWARE=[GUARDED, *others]):
            reply = send(server, sent)
        reply.seen = here.seen
        return reply

    return call


def on_function(server: str, *, later: bool) -> Call:
    def call(guard: Guard, sent: Sent) -> Reply:
        here = Seen()
        with project(hmac_guarded(guard)(here.later if later else here.sync)):
            reply = send(server, sent)
        reply.seen = here.seen
        return reply

    return call


def on_class(server: str, *, later: bool) -> Call:
    def call(guard: Guard, sent: Sent) -> Reply:
        here = Seen()
        with project(hmac_guarded(guard)(here.as_class(later=later)).as_view()):
            reply = send(server, sent)
        reply.seen = here.seen
        return reply

    return call


MAKERS: dict[str, Callable[[str], Call]] = {
    "middleware": in_middleware,
    "middleware, async view": lambda server: in_middleware(server, later=True),
    "middleware before a sync one": lambda server: in_middleware(server, SYNC_ONLY),
    "middleware before an async one": lambda server: in_middleware(server, ASYNC_ONLY),
    "function": lambda server: on_function(server, later=False),
    "async function": lambda server: on_function(server, later=True),
    "class": lambda server: on_class(server, later=False),
    "async class": lambda server: on_class(server, later=True),
}
HANDLES = {f"{name}, {server}": make(server) for server in ("wsgi", "asgi") for name, make in MAKERS.items()}


@pytest.fixture(params=list(HANDLES))
def handle(request: pytest.FixtureRequest) -> Call:
    return HANDLES[request.param]


def path_is_mended(sent: Sent) -> bool:
    """Over WSGI, Django reads an empty path as `/`, and a byte that is not UTF-8 as the text `%FF`."""
    return sent.path == "" or "\xff" in sent.path


@pytest.mark.without_coverage
@pytest.mark.parametrize("case", list(CASES))
def test_a_handle_answers_like_the_middleware(handle: Call, case: str) -> None:
    check_case(handle, *CASES[case])


@pytest.mark.without_coverage
def test_a_handle_decides_generated_requests_like_the_middleware(handle: Call) -> None:
    check_generated(handle, path_is_mended)


GUARD = Guard(ORDERS, KEY)
SERVERS = pytest.mark.parametrize("server", ["wsgi", "asgi"])


def reply_of(view: Any, sent: Sent, server: str = "wsgi", guard: Guard | None = None, **changes: Any) -> Reply:
    Guarded.guard = guard
    with project(view, MIDDLEWARE=[GUARDED] if guard else [], **changes):
        return send(server, sent)


def overriding(get_response: Any) -> Any:
    """Middleware that lets a header name the method, as django-method-override does."""

    def override_method(request: HttpRequest) -> Any:
        request.method = request.headers.get("X-HTTP-Method-Override", request.method)
        return get_response(request)

    return override_method


OVERRIDING = f"{__name__}.overriding"
PREFLIGHT = [("Origin", "https://app.example"), ("Access-Control-Request-Method", "POST")]


class PostOrDelete(View):
    def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("posted")

    def delete(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(f"deleted for {verdict_from(request).ids['user']}")


def test_a_preflight_of_the_test_client_passes_the_middleware() -> None:
    """The client sends an empty Cookie with each request."""
    Guarded.guard = GUARD
    with project(lambda request: HttpResponse(), MIDDLEWARE=[GUARDED]):
        assert Client().options("/", headers=dict(PREFLIGHT)).status_code == 200


@SERVERS
@pytest.mark.parametrize("middleware", [[OVERRIDING], [OVERRIDING, GUARDED], [GUARDED, OVERRIDING]], ids=" then ".join)
@pytest.mark.parametrize(
    ("method", "headers", "signed_for", "status"),
    [("POST", [], "POST", 401), ("POST", [], "DELETE", 200), ("OPTIONS", PREFLIGHT, "OPTIONS", 401)],
    ids=["signed for the sent method", "signed for the used method", "a preflight"],
)
def test_the_method_that_the_view_uses_is_the_one_that_is_checked(
    server: str, middleware: list[str], method: str, headers: list[tuple[str, str]], signed_for: str, status: int
) -> None:
    scheme = Scheme(name="s", ids={"user": Query("user")}, message="{@method}:{user}", signature=Query("sig"))
    guarded_by_view = middleware[-1] == OVERRIDING
    Guarded.guard = Guard(scheme, KEY, mode="report" if guarded_by_view else "enforce")
    view: Any = PostOrDelete.as_view()
    query = f"user=ada&sig={scheme.sign(KEY, user='ada', method=signed_for)}"
    sent = Sent(method, "/", query, [*headers, ("X-HTTP-Method-Override", "DELETE")])
    with project(hmac_guarded(Guard(scheme, KEY))(view) if guarded_by_view else view, MIDDLEWARE=middleware):
        reply = send(server, sent)

    assert reply.status == status
    assert status == 401 or reply.body == b"deleted for ada"


BY_HEADER = Scheme(name="u", ids={"u": Header("X-U")}, message="{u}", signature=Header("X-Sig"))
BY_HEADER_OR_JSON = BY_HEADER.replace(ids={"u": Header("X-U") | Json("/u")})
#: What `setting` sets in `META`; None removes it.
SETS: dict[str, str | None] = {}
SETTING = f"{__name__}.setting"


def setting(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    def middleware(request: HttpRequest) -> HttpResponse:
        request.META.update(SETS)
        for name in [name for name, value in SETS.items() if value is None]:
            del request.META[name]
        return get_response(request)

    return middleware


def signature_for(u: str) -> tuple[str, str]:
    return "X-Sig", BY_HEADER.sign(KEY, u=u)


@SERVERS
@pytest.mark.parametrize(
    ("middleware", "sets", "headers", "status"),
    [
        ([SETTING, GUARDED], {"HTTP_X_U": "2"}, [("X-U", "1"), signature_for("1")], 401),
        ([GUARDED, SETTING], {"HTTP_X_U": "2"}, [("X-U", "1"), signature_for("1")], 401),
        ([SETTING], {"HTTP_X_U": "2"}, [("X-U", "1"), signature_for("1")], 401),
        ([SETTING, GUARDED], {"HTTP_X_U": "2"}, [("X-U", "1"), signature_for("2")], 200),
        ([SETTING, GUARDED], {"HTTP_X_U": "2"}, [signature_for("2")], 200),
        ([SETTING, GUARDED], {"HTTP_X_U": None}, [("X-U", "1"), signature_for("1")], 401),
        ([SETTING, GUARDED], {}, [("X-U", "1"), ("X-U", "1"), signature_for("1")], 401),
        ([SETTING, GUARDED], {"HTTP_X_A": "b"}, [("X-U", "1"), signature_for("1")], 200),
        (
            [SETTING, GUARDED],
            {"CONTENT_TYPE": "application/json"},
            [("Content-Type", "text/x"), signature_for("3")],
            200,
        ),
    ],
    ids=[
        *("set before the middleware", "set after it", "set before the view", "signed for what is set", "set anew"),
        *("removed", "two lines", "another header", "the type of the body"),
    ],
)
def test_a_header_that_middleware_sets_is_the_one_that_is_checked(
    server: str, middleware: list[str], sets: dict[str, str | None], headers: list[tuple[str, str]], status: int
) -> None:
    Guarded.guard = Guard(BY_HEADER_OR_JSON, KEY)
    SETS.clear()
    SETS.update(sets)
    body = b'{"u": "3"}' if "CONTENT_TYPE" in sets else b""
    with project(hmac_guarded(Guarded.guard)(lambda _: HttpResponse("reached")), MIDDLEWARE=middleware):
        assert send(server, Sent("POST", "/", headers=headers, body=body)).status == status


def test_an_empty_header_and_one_in_another_spelling_are_two_on_asgi() -> None:
    """Django does not read the one with `_`. On WSGI, the server joins or drops them."""
    scheme = Scheme(
        name="o",
        ids={"a": Header("X-A"), "u": Header("X-U")},
        message="{a}:{u}",
        signature=Header("X-Sig"),
        optional=["u"],
    )
    headers = [("X-A", "1"), ("X-U", ""), ("X_U", "2"), ("X-Sig", scheme.sign(KEY, a="1"))]
    view = hmac_guarded(Guard(scheme, KEY))(lambda _: HttpResponse("reached"))

    assert reply_of(view, Sent("GET", "/", headers=headers), "asgi").status == 401
    assert reply_of(view, Sent("GET", "/", headers=[headers[0], headers[3]]), "asgi").status == 200


def test_a_header_in_upper_case_and_one_in_another_spelling_are_two_on_asgi() -> None:
    """The ASGI specification wants lower case, and some test clients send names as they are."""
    name, signature = signature_for("1")
    headers = [(b"X-U", b"1"), (b"x_u", b"2"), (name.lower().encode(), signature.encode())]
    view: Any = hmac_guarded(Guard(BY_HEADER, KEY))(lambda _: HttpResponse("reached"))
    with project(view, MIDDLEWARE=[]):
        request = ASGIRequest({**scope_for(Sent("GET", "/")), "headers": headers}, io.BytesIO())
        assert view(request).status_code == 401


def test_a_cookie_that_middleware_sets_is_the_one_that_is_checked_and_read() -> None:
    Guarded.guard = GUARD
    SETS.clear()
    SETS["HTTP_COOKIE"] = "tenant=acme"
    cookies = [("Cookie", "tenant=evil"), ("Cookie", "theme=dark")]
    sent = Sent("GET", "/orders", f"order_id=42&sig={hex_of('acme', '42')}", cookies)
    with project(lambda request: HttpResponse(request.COOKIES["tenant"]), MIDDLEWARE=[SETTING, GUARDED]):
        assert send("asgi", sent).body == b"acme"


@SERVERS
@pytest.mark.parametrize("place", ["middleware", "view", "around the application"])
@pytest.mark.parametrize("charset", ["utf-7", '";utf-7"', "utf-8''utf-7", "unicode_escape", "hz", "utf-8", "nonsense"])
def test_the_charset_of_a_body_does_not_change_the_ids_in_the_query(server: str, place: str, charset: str) -> None:
    """Django on WSGI decodes the query with it: in UTF-7, `+ACY-` is an `&` and `+AD0-` is a `=`."""

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(f"{request.GET.get('a')} {verdict_from(request).ids['a']}")

    scheme = Scheme(name="one", ids={"a": Query("a")}, message="{a}", signature=Query("sig"))
    guard = Guard(scheme, KEY)
    query = f"a=mine&sig={scheme.sign(KEY, a='mine')}&x=+ACY-a+AD0-theirs&y=\\x26a\\x3dtheirs&z=~{{~}}"
    mark = "*" * ("'" in charset)
    sent = Sent("GET", "/", query, [("Content-Type", f"text/plain; charset{mark}={charset}")])
    with project(
        hmac_guarded(guard)(view) if place == "view" else view, MIDDLEWARE=[GUARDED] * (place == "middleware")
    ):
        Guarded.guard = guard
        reply = send(server, sent, guard if place == "around the application" else None)

    assert reply.body == b"mine mine" if charset == "utf-8" else reply.status == 401


@pytest.mark.parametrize(("server", "later"), [("wsgi", False), ("asgi", True)])
def test_sync_or_async_code_stays_on_one_thread(server: str, later: bool) -> None:
    asked: list[threading.Thread] = []

    def keys(_: object) -> str:
        asked.append(threading.current_thread())
        return KEY

    keys.blocking = False  # type: ignore[attr-defined]
    here = Seen()
    reply_of(here.later if later else here.sync, GOOD, server, Guard(ORDERS, keys))
    assert here.threads == asked == [threading.main_thread()]


@SERVERS
def test_an_async_and_a_blocking_resolver_are_called(server: str) -> None:
    async def later(_: object) -> str:
        return KEY

    for view in (Seen().sync, Seen().later):
        for keys in (later, lambda _: KEY):
            assert reply_of(view, GOOD, server, Guard(ORDERS, keys)).status == 200


@SERVERS
def test_unavailable_keys_are_503(server: str) -> None:
    async def broken(_: object) -> str:
        raise OSError

    reply = reply_of(Seen().sync, GOOD, server, Guard(ORDERS, broken))
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")


@SERVERS
def test_the_verdict_is_a_request_attribute_named_annotate_as(server: str) -> None:
    def view(request: Any) -> HttpResponse:
        return HttpResponse(f"{request.partner.ids['order_id']} {verdict_from(request, 'partner') is request.partner}")

    assert reply_of(view, GOOD, server, Guard(ORDERS, KEY, annotate_as="partner")).body == b"42 True"


@SERVERS
def test_a_view_reads_form_and_file_after_the_guard_has_read_them(server: str) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        files: Any = request.FILES.items()
        contents = {name: file.read().decode() for name, file in files}
        return HttpResponse(json.dumps({"order": request.POST["order_id"], **contents}))

    form, multipart = (reply_of(view, sent, server, GUARD).body for sent in (GOOD_FORM, GOOD_MULTIPART))
    assert json.loads(form) == {"order": "42"}
    assert json.loads(multipart) == {"order": "42", "file": "content"}


@SERVERS
def test_a_view_streams_the_body_after_the_guard_has_read_it(server: str) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.read(3) + b"|" + request.readline() + b"|" + request.read())

    assert reply_of(view, GOOD_JSON, server, GUARD).body == GOOD_JSON.body[:3] + b"|" + GOOD_JSON.body[3:] + b"|"


@SERVERS
def test_a_scheme_without_body_sources_does_not_read_the_body(server: str) -> None:
    def view(request: Any) -> HttpResponse:
        return HttpResponse(str(request._read_started) + request.read(4).decode())

    scheme = ORDERS.replace(
        ids={"tenant_id": Query("tenant_id"), "order_id": Query("order_id")}, signature=Query("sig")
    )
    sent = Sent("POST", "/orders", query_of(), [JSON], b"null")
    assert reply_of(view, sent, server, Guard(scheme, KEY)).body == b"Falsenull"


def test_a_chunked_body_is_verified_and_read_by_the_view() -> None:
    here = Seen()
    environ = {**environ_for(GOOD_JSON), "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    del environ["CONTENT_LENGTH"]
    Guarded.guard = GUARD
    with project(here.sync, MIDDLEWARE=[GUARDED]):
        assert run_wsgi_app(WSGIHandler(), environ)[1] == "200 OK"

    assert here.seen[0][1] == GOOD_JSON.body


def test_a_body_without_a_length_is_verified_and_read_by_the_view_under_asgi() -> None:
    sent = Sent("POST", "/orders", headers=[MULTIPART, ("Transfer-Encoding", "chunked")], body=GOOD_MULTIPART.body)
    sent.all_headers = lambda: list(sent.headers)  # type: ignore[method-assign]

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.POST["order_id"] + str(len(request.FILES)))

    assert reply_of(view, sent, "asgi", GUARD).body == b"421"


@SERVERS
def test_report_mode_replays_a_body_that_is_too_large(server: str) -> None:
    here = Seen()
    sent = Sent("POST", "/orders", headers=[JSON], body=b" " * 70_000 + b"{}")
    environ = {**environ_for(sent), "wsgi.input_terminated": True}
    del environ["CONTENT_LENGTH"]
    Guarded.guard = Guard(ORDERS, KEY, mode="report", max_body=66_000)
    with project(here.sync, MIDDLEWARE=[GUARDED]):
        run_wsgi_app(WSGIHandler(), environ) if server == "wsgi" else send(server, sent)

    assert [(verdict.reason, body) for verdict, body in here.seen] == [(Reason.BODY_TOO_LARGE, sent.body)]


@SERVERS
def test_a_body_that_django_has_cached_is_verified(server: str) -> None:
    here = Seen()

    def view(request: HttpRequest) -> HttpResponse:
        assert request.body == GOOD_JSON.body
        return hmac_guarded(GUARD)(here.sync)(request)

    assert reply_of(view, GOOD_JSON, server).status == 200
    assert here.seen[0][1] == GOOD_JSON.body


@SERVERS
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (GOOD_MULTIPART, 200),
        (replace(GOOD_MULTIPART, body=GOOD_MULTIPART.body.replace(b"acme", b"evil")), 401),
        (replace(GOOD_MULTIPART, body=GOOD_MULTIPART.body.replace(b'"file"', b'"tenant"')), 401),
    ],
    ids=["good", "a tampered id", "an id that is there twice, once as a file"],
)
def test_a_form_that_django_has_parsed_is_judged_from_its_fields(server: str, sent: Sent, status: int) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        assert request.POST["order_id"] == "42"
        return hmac_guarded(GUARD)(lambda request: HttpResponse(request.POST["order_id"]))(request)

    assert reply_of(view, sent, server).status == status


def made_by_hand(sent: Sent, **attributes: Any) -> HttpRequest:
    """Return a request as unit tests make one: without the environ of a server."""
    request = HttpRequest()
    request.method, request.path, request.path_info = sent.method, sent.path, sent.path
    request.META = environ_for(sent)
    vars(request).update(attributes)
    return request


@pytest.mark.parametrize("later", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("place", ["middleware", "view"])
def test_a_request_without_an_environ_is_judged_by_its_meta(place: str, later: bool) -> None:
    def reached(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request._body if "_body" in vars(request) else verdict_from(request).ids["order_id"])

    async def reached_later(request: HttpRequest) -> HttpResponse:
        return reached(request)

    def ask(request: HttpRequest) -> tuple[int, bytes]:
        reply: Any = guarded(request)
        reply = asyncio.run(reply) if later else reply
        return reply.status_code, reply.content

    Guarded.guard = GUARD
    view: Any = reached_later if later else reached
    guarded: Any = Guarded(view) if place == "middleware" else hmac_guarded(GUARD)(view)

    assert ask(HttpRequest())[0] == ask(made_by_hand(UNSIGNED))[0] == 401
    assert ask(made_by_hand(GOOD)) == (200, b"42")
    assert ask(made_by_hand(GOOD_JSON, _body=GOOD_JSON.body)) == (200, GOOD_JSON.body)
    assert ask(made_by_hand(GOOD_JSON, _body=GOOD_JSON.body.replace(b"42", b"43")))[0] == 401
    assert ask(made_by_hand(GOOD_JSON)) == (200, b"42")


class TooLarge(Exception):
    """Raised and caught by a layer outside of the guard that limits bodies."""


class Limited:
    def read(self, size: int) -> bytes:
        raise TooLarge

    readline = read


@pytest.mark.parametrize("later", [False, True], ids=["sync", "async"])
def test_an_exception_of_a_layer_outside_of_the_guard_is_raised(later: bool) -> None:
    here = Seen()
    view: Any = hmac_guarded(GUARD)(here.later if later else here.sync)
    request = WSGIRequest({**environ_for(GOOD_JSON), "wsgi.input": Limited()})

    with pytest.raises(TooLarge):
        asyncio.run(view(request)) if later else view(request)

    assert here.seen == []


@SERVERS
def test_consumed_json_is_refused_and_logged(server: str, caplog: pytest.LogCaptureFixture) -> None:
    here = Seen()

    def view(request: HttpRequest) -> HttpResponse:
        request.read()
        return hmac_guarded(GUARD)(here.sync)(request)

    assert reply_of(view, GOOD_JSON, server).status == 503
    assert "refused: code before the guard has read the body" in caplog.text
    assert here.seen == []


@SERVERS
@pytest.mark.parametrize("sent", [GOOD_FORM, GOOD_MULTIPART], ids=["urlencoded", "multipart"])
def test_a_consumed_form_does_not_count_as_empty(server: str, sent: Sent) -> None:
    here = Seen()

    def view(request: HttpRequest) -> HttpResponse:
        request.read()
        return hmac_guarded(GUARD)(here.sync)(request)

    assert reply_of(view, replace(sent, query=query_of("evil")), server).status == 400
    assert here.seen == []


@SERVERS
def test_a_consumed_body_is_ignored_if_the_guard_is_off(server: str) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        assert request.POST["order_id"] == "42"
        return hmac_guarded(Guard(ORDERS, KEY, mode="off"))(lambda _: HttpResponse("reached"))(request)

    assert reply_of(view, GOOD_MULTIPART, server).body == b"reached"


CSRF = "django.middleware.csrf.CsrfViewMiddleware"
CSRF_TOKEN = "t" * 32


def with_csrf_token(sent: Sent) -> Sent:
    token = [("Cookie", f"csrftoken={CSRF_TOKEN}"), ("X-CSRFToken", CSRF_TOKEN)]
    return replace(sent, headers=[*sent.headers, *token])


@SERVERS
@pytest.mark.parametrize("sent", [GOOD_FORM, GOOD_MULTIPART], ids=["urlencoded", "multipart"])
@pytest.mark.parametrize("middleware", [[GUARDED, CSRF], [CSRF, GUARDED]], ids=["guard first", "guard last"])
def test_the_middleware_reads_a_form_before_the_csrf_check_does(server: str, sent: Sent, middleware: list[str]) -> None:
    """Django checks CSRF after all middleware, just before the view."""

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(f"{verdict_from(request).ids['order_id']} {request.POST['order_id']}")

    Guarded.guard = GUARD
    with project(hmac_guarded(GUARD)(view), MIDDLEWARE=middleware):
        assert send(server, with_csrf_token(sent)).body == b"42 42"
        assert send(server, sent).status == 403


@SERVERS
@pytest.mark.parametrize(
    ("sent", "exempt", "status"),
    [
        pytest.param(GOOD_FORM, False, 200, id="urlencoded, which Django keeps"),
        pytest.param(GOOD_MULTIPART, False, 200, id="multipart, which Django has parsed"),
        pytest.param(GOOD_MULTIPART, True, 200, id="multipart, exempt"),
    ],
)
def test_a_guarded_view_reads_a_form_after_the_csrf_check_unless_it_is_exempt(
    server: str, sent: Sent, exempt: bool, status: int
) -> None:
    view = hmac_guarded(GUARD)(lambda request: HttpResponse(request.POST["order_id"]))
    with project(csrf_exempt(view) if exempt else view, MIDDLEWARE=[CSRF]):
        assert send(server, with_csrf_token(sent)).status == status


@pytest.mark.parametrize("headers", [[], [("Content-Length", "0")]], ids=["no length", "a length of 0"])
def test_a_request_without_a_body_may_have_been_read(headers: list[tuple[str, str]]) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        request.read()
        return hmac_guarded(GUARD)(lambda _: HttpResponse("reached"))(request)

    assert reply_of(view, replace(GOOD, headers=[*GOOD.headers, *headers])).status == 200


def test_a_read_body_is_not_taken_for_absent_on_asgi() -> None:

    def view(request: HttpRequest) -> HttpResponse:
        request.read()
        return hmac_guarded(GUARD)(lambda _: HttpResponse("reached"))(request)

    assert reply_of(view, replace(GOOD_JSON, query=query_of(), headers=[("Content-Length", "0")]), "asgi").status == 415


def test_a_read_body_is_not_taken_for_absent_if_the_server_ends_it() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        request.read()
        return hmac_guarded(GUARD)(lambda _: HttpResponse("reached"))(request)

    environ = {**environ_for(replace(GOOD_JSON, query=query_of())), "wsgi.input_terminated": True}
    del environ["CONTENT_LENGTH"]
    with project(view, MIDDLEWARE=[]):
        assert run_wsgi_app(WSGIHandler(), environ)[1] == "503 Service Unavailable"


@SERVERS
def test_a_consumed_body_of_an_unread_type_is_refused_for_its_type(server: str) -> None:
    here = Seen()
    in_json = ORDERS.replace(ids={"tenant_id": Query("tenant_id"), "order_id": Query("order_id") | Json("/id")})

    def view(request: HttpRequest) -> HttpResponse:
        assert request.POST["order_id"] == "42"
        return hmac_guarded(Guard(in_json.replace(signature=Query("sig")), KEY))(lambda _: HttpResponse("reached"))(
            request
        )

    sent = Sent("POST", "/orders", query_of(), [MULTIPART], GOOD_MULTIPART.body)
    assert reply_of(view, sent, server).status == 415
    assert here.seen == []


@SERVERS
@pytest.mark.parametrize("later", [True, False])
def test_a_verdict_of_the_same_guard_is_used(server: str, later: bool) -> None:
    verdicts: list[Verdict] = []
    guard = Guard(ORDERS, KEY, on_verdict=lambda verdict, _: verdicts.append(verdict))
    here = Seen()

    assert reply_of(hmac_guarded(guard)(here.later if later else here.sync), GOOD_JSON, server, guard).status == 200
    assert [verdict for verdict, _ in here.seen] == verdicts
    assert len(verdicts) == 1


@SERVERS
def test_a_verdict_of_another_guard_is_not_used(server: str) -> None:
    other = "another key of sixteen bytes or more"
    sent = Sent("GET", "/orders", query_of(signature=hex_of("acme", "42", key=other)))

    assert reply_of(hmac_guarded(GUARD)(Seen().sync), sent, server, Guard(ORDERS, other)).status == 401


@SERVERS
def test_an_exemption_by_path_does_not_open_a_guarded_view(server: str) -> None:
    guard = Guard(ORDERS, KEY, exempt=("/orders",))

    assert reply_of(hmac_guarded(guard)(Seen().sync), UNSIGNED, server, guard).status == 401
    assert reply_of(Seen().sync, UNSIGNED, server, guard).status == 200


@SERVERS
def test_a_head_request_is_refused_without_a_body(server: str) -> None:
    reply = reply_of(Seen().sync, Sent("HEAD", "/orders"), server, GUARD)

    assert (reply.status, reply.body, reply.headers["cache-control"]) == (401, b"", "no-store")


@SERVERS
def test_a_fault_of_the_guard_is_refused_in_report_mode_too(server: str, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Scheme):
        def verifying_key(self, *given: Any) -> NoReturn:
            raise ZeroDivisionError

    scheme = Broken(**{name: getattr(ORDERS, name) for name in ("name", "ids", "message", "signature")})
    for here in (Seen().sync, Seen().later):
        assert reply_of(here, GOOD, server, Guard(scheme, KEY, mode="report")).status == 503
    assert "ZeroDivisionError" in caplog.text


IN_PATH = ORDERS.replace(ids={"tenant_id": Path("/tenants/{tenant_id}"), "order_id": Query("order_id")})


@pytest.mark.parametrize(
    ("mounted", "script"),
    [
        ({"path": "/api/tenants/gr\xc3\xb6\xc3\x9fe", "root_path": "/api"}, None),
        ({"path": "/tenants/gr\xc3\xb6\xc3\x9fe", "root_path": "/api"}, None),
        pytest.param(
            {"path": "/api/tenants/gr\xc3\xb6\xc3\x9fe"},
            "/api",
            marks=pytest.mark.skipif(VERSION < (5,), reason="not run: this Django ignores it over ASGI"),
        ),
    ],
    ids=["root_path within the path", "root_path not in the path", "FORCE_SCRIPT_NAME"],
)
def test_a_mounted_project_reads_its_own_path_under_asgi(mounted: dict[str, str], script: str | None) -> None:
    sent = Sent("GET", mounted["path"], f"order_id=42&sig={hex_of('größe', '42')}")
    scope = {**scope_for(sent), "root_path": mounted.get("root_path", "")}

    async def app(_: Any, receive: Any, send: Any) -> None:
        await ASGIHandler()(scope, receive, send)

    Guarded.guard = Guard(IN_PATH, KEY)
    with project(Seen().later, MIDDLEWARE=[GUARDED], FORCE_SCRIPT_NAME=script):
        assert run_asgi(app, sent).status == 200


def test_a_mounted_project_reads_its_own_path_under_wsgi() -> None:
    sent = Sent("GET", "/tenants/gr\xc3\xb6\xc3\x9fe", f"order_id=42&sig={hex_of('größe', '42')}")
    Guarded.guard = Guard(IN_PATH, KEY)
    with project(Seen().sync, MIDDLEWARE=[GUARDED]):
        assert run_wsgi_app(WSGIHandler(), {**environ_for(sent), "SCRIPT_NAME": "/api"})[1] == "200 OK"


def test_an_id_in_a_second_cookie_line_is_the_one_that_the_view_reads() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.COOKIES["tenant"])

    cookies = [("Cookie", "tenant=acme"), ("Cookie", "theme=dark")]
    sent = Sent("GET", "/orders", f"order_id=42&sig={hex_of('acme', '42')}", cookies)
    assert reply_of(view, sent, "asgi", GUARD).body == b"acme"


@pytest.mark.parametrize("later", [False, True], ids=["sync", "async"])
def test_a_guarded_view_reads_the_verified_cookie_of_several_lines(later: bool) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.COOKIES["tenant"])

    async def async_view(request: HttpRequest) -> HttpResponse:
        return view(request)

    cookies = [("Cookie", "tenant=acme"), ("Cookie", "theme=dark")]
    sent = Sent("GET", "/orders", f"order_id=42&sig={hex_of('acme', '42')}", cookies)
    assert reply_of(hmac_guarded(GUARD)(async_view if later else view), sent, "asgi").body == b"acme"


@pytest.mark.parametrize("as_class", [False, True], ids=["function", "class"])
def test_an_async_view_may_have_arguments_of_any_name(as_class: bool) -> None:
    async def get(request: HttpRequest, **given: str) -> HttpResponse:
        return HttpResponse(json.dumps(given))

    class Later(View):
        async def get(self, request: HttpRequest, **given: str) -> HttpResponse:
            return await get(request, **given)

    view: Any = hmac_guarded(GUARD)(Later).as_view() if as_class else hmac_guarded(GUARD)(get)
    names = ("view", "django") if as_class else ("view", "django", "self")
    with project(urls=[path("/".join(f"<str:{name}>" for name in names), view)], MIDDLEWARE=[]):
        reply = send("asgi", replace(GOOD, path="/" + "/".join(names)))
    assert json.loads(reply.body) == dict(zip(names, names, strict=True))


def test_the_view_uses_the_verdict_of_the_same_guard_around_the_project() -> None:
    by_query = Scheme(name="by_query", ids={"a": Query("a")}, message="{a}", signature=Query("sig"))
    for scheme, sent in ((ORDERS, GOOD), (by_query, Sent(query=f"a=x&sig={by_query.sign(KEY, a='x')}"))):
        decisions: list[object] = []
        guard = Guard(scheme, KEY, on_decision=decisions.append)
        with project(hmac_guarded(guard)(Seen().later), MIDDLEWARE=[]):
            assert send("asgi", sent, guard).status == 200
        assert len(decisions) == 1


@SERVERS
@pytest.mark.parametrize("reads", ["the file", "the stream"])
def test_the_view_uses_the_verdict_on_an_upload_that_is_too_large_for_a_field(server: str, reads: str) -> None:
    """Django limits the size of `request.body` by `DATA_UPLOAD_MAX_MEMORY_SIZE`, and not that of a file."""
    scheme = Scheme(name="upload", ids={"a": Form("a")}, message="{a}", signature=Query("sig"))
    parts = (
        'Content-Disposition: form-data; name="a"\r\n\r\nx',
        'Content-Disposition: form-data; name="f"; filename="f"',
    )
    body = "".join(f"--B\r\n{part}\r\n" for part in parts) + "\r\n" + "y" * 10_000 + "\r\n--B--\r\n"
    sent = Sent("POST", "/", f"sig={scheme.sign(KEY, a='x')}", [("Content-Type", "multipart/form-data; boundary=B")])
    decisions: list[object] = []
    guard = Guard(scheme, KEY, on_decision=decisions.append)

    def view(request: Any) -> HttpResponse:
        return HttpResponse(str(request.FILES["f"].size if reads == "the file" else len(request.read())))

    size = 10_000 if reads == "the file" else len(body)
    with project(hmac_guarded(guard)(view), MIDDLEWARE=[], DATA_UPLOAD_MAX_MEMORY_SIZE=5_000):
        reply = send(server, replace(sent, body=body.encode()), guard)

    assert (reply.status, reply.body, len(decisions)) == (200, str(size).encode(), 1)


@SERVERS
def test_a_body_that_middleware_has_changed_is_judged_again(server: str) -> None:
    Guarded.guard = GUARD
    with project(hmac_guarded(GUARD)(Seen().sync), MIDDLEWARE=[GUARDED, f"{__name__}.changing"]):
        assert send(server, GOOD_JSON).status == 401


def test_an_upload_that_the_guard_does_not_read_to_its_end_is_not_compared() -> None:
    decisions: list[object] = []
    scheme = Scheme(name="either", ids={"a": Query("a") | Form("a")}, message="{a}", signature=Query("sig"))
    Guarded.guard = Guard(scheme, KEY, on_decision=decisions.append)
    query = f"a=x&sig={scheme.sign(KEY, a='x')}"
    sent = Sent("POST", "/", query, [("Content-Type", "image/png")], b"an image" * 100_000)
    with project(hmac_guarded(Guarded.guard)(Seen().sync), MIDDLEWARE=[GUARDED, f"{__name__}.changing"]):
        assert send("wsgi", sent).status == 200

    assert len(decisions) == 1


def changing(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    def middleware(request: Any) -> HttpResponse:
        request._body = request.body.replace(b"acme", b"evil")
        return get_response(request)

    return middleware


def test_no_variable_holds_the_request_of_the_guard_while_an_async_view_runs() -> None:
    found: list[str] = []

    async def view(request: HttpRequest) -> HttpResponse:
        frame: Any = sys._getframe(1)
        while frame is not None:
            if frame.f_globals["__name__"].startswith("hmac_guard"):
                found.extend(f"{frame.f_code.co_name}: {name}" for name, it in frame.f_locals.items() if is_read(it))
            if frame.f_globals["__name__"] == "hmac_guard.django.driver":  # Django's own frames have no scope.
                found.extend(name for name in frame.f_locals if name == "scope")
            frame = frame.f_back
        return HttpResponse()

    assert reply_of(hmac_guarded(GUARD)(view), GOOD, "asgi", GUARD).status == 200
    assert found == []


def is_read(value: object) -> bool:
    """Return whether a value is a request as the guard has read it, with its signature."""
    return isinstance(value, hmac_guard.core.request.Request)


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(
    "decorators",
    [[hmac_guarded(GUARD)], [csrf_exempt, hmac_guarded(GUARD)], [hmac_guarded(GUARD), csrf_exempt]],
    ids=["alone", "inside", "outside"],
)
def test_a_class_is_guarded_by_its_dispatch_too(decorators: Any, later: bool) -> None:
    decorated = method_decorator(decorators, name="dispatch")(Seen().as_class(later=later))

    for server in ("wsgi", "asgi"):
        assert [reply_of(decorated.as_view(), sent, server).status for sent in (UNSIGNED, GOOD)] == [401, 200]


def of_instance(self: Any, request: HttpRequest) -> HttpResponse:
    return HttpResponse("reached")


def of_class(cls: Any, request: HttpRequest) -> HttpResponse:
    return HttpResponse("reached")


@pytest.mark.parametrize("method", [of_instance, of_class, method_decorator(csrf_exempt)(of_instance)])
def test_a_method_is_a_config_error_and_may_be_bound_or_in_method_decorator(method: Any) -> None:
    guarded = hmac_guarded(GUARD)
    fix = f"hmac_guarded: {method.__name__} is a method.*method_decorator"
    with pytest.raises(ConfigError, match=fix):
        guarded(method)

    kind: Any = type("Kind", (View,), {"get": method_decorator(guarded)(method)})
    for view in (kind.as_view(), guarded(method.__get__(View())), guarded(partial(method, View()))):
        assert [reply_of(view, sent).status for sent in (UNSIGNED, GOOD)] == [401, 200]


@pytest.mark.parametrize(
    ("make", "fix"),
    [
        (lambda: hmac_guarded(ORDERS), "hmac_guarded: guard must be a Guard, not Scheme"),  # type: ignore[arg-type]
        (lambda: hmac_guarded(GUARD)(Seen), "Seen has no dispatch"),
        (
            lambda: hmac_guarded(Guard(ORDERS, KEY, annotate_as="resolver_match")),
            "'resolver_match' is already an attribute",
        ),
        (lambda: hmac_guarded(Guard(ORDERS, KEY, annotate_as="environ")), "'environ' is already an attribute"),
        (
            lambda: hmac_guarded(Guard(ORDERS, KEY, annotate_as="partner.verdict")),
            "'partner.verdict' is already an attribute",
        ),
    ],
)
def test_an_impossible_configuration_is_a_config_error(make: Any, fix: str) -> None:
    with pytest.raises(ConfigError, match=fix):
        make()


OF_DJANGO = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.contrib.sites.middleware.CurrentSiteMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]


@SERVERS
def test_no_attribute_that_django_sets_is_a_name_for_the_verdict(server: str) -> None:
    names: set[str] = {"urlconf", "current_app", "csrf_processing_done", "sensitive_post_parameters"}

    def view(request: HttpRequest) -> HttpResponse:
        names.update(vars(request))
        return HttpResponse("")

    with project(view, MIDDLEWARE=OF_DJANGO):
        assert send(server, GOOD).status == 200
    assert {"user", "session", "site", "LANGUAGE_CODE", "_messages"} < names
    for name in sorted(names):
        with pytest.raises(ConfigError, match=f"annotate_as '{name}' is"):
            hmac_guarded(Guard(ORDERS, KEY, annotate_as=name))


def test_settings_may_import_the_package() -> None:
    code = "import hmac_guard.django; from django.conf import settings; assert not settings.configured"

    subprocess.run([sys.executable, "-c", code], check=True)


NOT_A_GUARD = object()
TENANT_ORDERS = ORDERS.replace(tenant=Query("tenant_id"))
DOTTED_KEY = "a_key.that_looks.like_a_path"


def a_resolver(claim: object) -> str:
    return KEY


@pytest.mark.parametrize(
    "setting",
    [
        GUARD,
        f"{__name__}.GUARD",
        {"scheme": ORDERS, "keys": KEY, "mode": "enforce"},
        {"scheme": f"{__name__}.ORDERS", "keys": KEY},
        {"SCHEME": ORDERS, "KEYS": KEY, "MAX_BODY": 1000},
        {"scheme": ORDERS, "KEYS": f"{__name__}.KEY"},
        {"scheme": ORDERS, "keys": f"{__name__}.a_resolver"},
        {"scheme": ORDERS, "keys": ["another key of sixteen bytes or more", f"{__name__}.KEY"]},
        {"scheme": TENANT_ORDERS, "keys": {"acme": f"{__name__}.KEY"}},
        {"scheme": TENANT_ORDERS, "keys": {"acme": (f"{__name__}.KEY", "another key of sixteen bytes or more")}},
    ],
    ids=[
        "a guard",
        "a dotted path",
        "a dict",
        "a dict with a dotted path",
        "capitals",
        "a dotted path of the key",
        "a dotted path of a resolver",
        "a dotted path in a list of keys",
        "a dotted path in a mapping of keys",
        "a dotted path in a list in a mapping of keys",
    ],
)
def test_the_setting_makes_the_guard(setting: Any) -> None:
    assert [reply_of_setting(setting, sent) for sent in (GOOD, UNSIGNED)] == [200, 401]


def reply_of_setting(setting: Any, sent: Sent) -> int:
    with project(Seen().sync, MIDDLEWARE=["hmac_guard.django.GuardMiddleware"], HMAC_GUARD=setting):
        assert run_checks(tags=["security"]) == []
        return send("wsgi", sent).status


@pytest.mark.parametrize(
    ("setting", "id", "fix"),
    [
        (None, "hmac_guard.E001", "HMAC_GUARD is missing"),
        ("mysite.guards.GUARD", "hmac_guard.E002", "'mysite.guards.GUARD' cannot be imported"),
        (f"{__name__}.NO_SUCH_NAME", "hmac_guard.E002", "cannot be imported"),
        ({"scheme": "mysite.SCHEME", "keys": KEY}, "hmac_guard.E002", "'mysite.SCHEME' cannot be imported"),
        (f"{__name__}.NOT_A_GUARD", "hmac_guard.E003", "must be a Guard, its dotted path or a dict, not object"),
        (["hmac_guard.schemes.NANGO"], "hmac_guard.E003", "not list"),
        ({"scheme": ORDERS, "keys": ""}, "hmac_guard.E004", "the secret is empty or blank"),
        ({"scheme": ORDERS}, "hmac_guard.E004", "keys"),
        ({"keys": KEY}, "hmac_guard.E004", "scheme must be a Scheme"),
        ({"scheme": ORDERS, "keys": KEY, "exmpt": ()}, "hmac_guard.E004", "'exmpt'; did you mean 'exempt'?"),
        ({"SCHEME": ORDERS, "KEYS": KEY, "EXMPT": ()}, "hmac_guard.E004", "'EXMPT'; did you mean 'EXEMPT'?"),
        ({"Scheme": ORDERS, "keys": KEY}, "hmac_guard.E004", "'Scheme'; did you mean 'scheme'?"),
        ({"scheme": ORDERS, "keys": KEY, "zzz": 1}, "hmac_guard.E004", "'zzz'; take one of 'scheme', 'keys', 'mode',"),
        ({"scheme": ORDERS, "keys": KEY, 1: 2}, "hmac_guard.E004", "HMAC_GUARD has no option '1'"),
        ({"scheme": ORDERS, "SCHEME": ORDERS, "keys": KEY}, "hmac_guard.E004", "the option 'scheme' twice"),
        (
            {"scheme": ORDERS, "keys": DOTTED_KEY},
            "hmac_guard.E002",
            "HMAC_GUARD['keys']: looks like a dotted path, but cannot be imported; import it in a shell",
        ),
        ({"scheme": ORDERS, "KEYS": [KEY, DOTTED_KEY]}, "hmac_guard.E002", "HMAC_GUARD['keys'][1]: looks like a"),
        ({"scheme": TENANT_ORDERS, "keys": {"acme": DOTTED_KEY}}, "hmac_guard.E002", "['acme']: looks like a dotted"),
        ({"scheme": ORDERS, "keys": f"{__name__}.Seen"}, "hmac_guard.E004", "keys: type is no source of keys"),
        (KEY, "hmac_guard.E002", "HMAC_GUARD: the text is not a dotted path, such as 'mysite.guards.GUARD'"),
        ({"scheme": KEY, "keys": KEY}, "hmac_guard.E002", "HMAC_GUARD['scheme']: the text is not a dotted path"),
        ({"scheme": ORDERS, KEY: ""}, "hmac_guard.E004", f"no option with a name of {len(KEY)} characters; take one"),
    ],
)
def test_a_wrong_setting_is_found_by_the_check_and_when_the_middleware_is_loaded(
    setting: Any, id: str, fix: str
) -> None:
    with project(Seen().sync, MIDDLEWARE=["hmac_guard.django.GuardMiddleware"], HMAC_GUARD=setting):
        [error] = run_checks(tags=["security"])
        with pytest.raises(ConfigError, match=re.escape(fix)):
            WSGIHandler()

    assert (error.id, error.is_serious()) == (id, True)
    assert fix in error.msg
    assert KEY not in error.msg
    assert DOTTED_KEY not in error.msg


@pytest.mark.parametrize("keys", [Key(DOTTED_KEY), DOTTED_KEY.encode(), [Key(DOTTED_KEY)], DOTTED_KEY + "."], ids=type)
def test_a_key_object_is_not_taken_for_a_dotted_path(keys: Any) -> None:
    key = DOTTED_KEY + "." if isinstance(keys, str) else DOTTED_KEY
    sent = Sent("GET", "/orders", query_of(signature=hex_of("acme", "42", key=key)))

    assert reply_of_setting({"scheme": ORDERS, "keys": keys}, sent) == 200


def test_no_frame_of_a_wrong_setting_contains_a_key() -> None:
    """Error trackers copy the local variables of every frame."""
    for wrong in ({"exmpt": ()}, {"mode": "none"}, {"keys": [DOTTED_KEY, KEY]}):
        with project(Seen().sync, HMAC_GUARD={"scheme": ORDERS, "keys": KEY, **wrong}):
            with pytest.raises(ConfigError) as caught:
                guard_from_settings()
            assert caught.value.__context__ is None
            for frame, _ in traceback.walk_tb(caught.value.__traceback__):
                if frame.f_globals["__name__"].startswith("hmac_guard"):
                    assert KEY not in repr(frame.f_locals)
                    assert DOTTED_KEY not in repr(frame.f_locals)


def test_the_check_reports_nothing_without_a_guard() -> None:
    with project(Seen().sync):
        assert run_checks(tags=["security"]) == []


class Partner(GuardMiddleware):
    guard = Guard(ORDERS, KEY, annotate_as="partner")


class Clashing(GuardMiddleware):
    guard = Guard(ORDERS, KEY, annotate_as="body")


class NoGuard(GuardMiddleware):
    guard: Any = ORDERS


class Lenient(Partner):
    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request)


PARTNER, CLASHING, USUAL = f"{__name__}.Partner", f"{__name__}.Clashing", "hmac_guard.django.GuardMiddleware"
LENIENT, NO_GUARD = f"{__name__}.Lenient", f"{__name__}.NoGuard"
CORS = "django_project.CorsMiddleware"


@pytest.mark.parametrize(
    ("middleware", "ids"),
    [
        ([USUAL, PARTNER], []),
        ([CORS, USUAL], []),
        ([USUAL, CORS], ["hmac_guard.W001"]),
        ([PARTNER, SYNC_ONLY, CORS, USUAL], ["hmac_guard.W001"]),
        ([USUAL, USUAL], ["hmac_guard.E005"]),
        ([CLASHING], ["hmac_guard.E005"]),
        ([LENIENT, CORS], ["hmac_guard.W001"]),
        ([PARTNER, LENIENT], ["hmac_guard.E005"]),
        ([NO_GUARD, PARTNER, CLASHING], ["hmac_guard.E005", "hmac_guard.E005"]),
    ],
)
def test_the_check_covers_the_order_and_the_names_of_the_guards(middleware: list[str], ids: list[str]) -> None:
    with project(Seen().sync, MIDDLEWARE=middleware, HMAC_GUARD=GUARD):
        assert [message.id for message in run_checks(tags=["security"])] == ids


def test_the_check_says_whether_one_guard_or_two_have_one_name() -> None:
    hints = []
    for second in (USUAL, PARTNER):
        usual = Guard(ORDERS, KEY, annotate_as="partner")
        with project(Seen().sync, MIDDLEWARE=[USUAL, second], HMAC_GUARD=usual):
            hints += [message.hint for message in run_checks(tags=["security"])]

    assert hints == ["Remove one of them.", "Give one of them annotate_as=."]


class OwnCache(FetchFromCacheMiddleware):
    """A subclass, as packages have it."""


UPDATE, FETCH = "django.middleware.cache.UpdateCacheMiddleware", "django.middleware.cache.FetchFromCacheMiddleware"
OWN_CACHE = f"{__name__}.OwnCache"


@pytest.mark.parametrize(
    ("middleware", "on_view", "ids"),
    [
        ([UPDATE, FETCH, GUARDED], False, ["hmac_guard.W003"]),
        ([UPDATE, OWN_CACHE, GUARDED], False, ["hmac_guard.W003"]),
        (["django.middleware.cache.CacheMiddleware", GUARDED], False, ["hmac_guard.W003"]),
        ([UPDATE, FETCH], True, ["hmac_guard.W003"]),
        ([UPDATE, FETCH, GUARDED], True, ["hmac_guard.W003", "hmac_guard.W003"]),
        ([GUARDED, UPDATE, FETCH], False, []),
        ([GUARDED, UPDATE, FETCH], True, []),
        ([UPDATE, GUARDED, FETCH], False, []),
        ([GUARDED], True, []),
    ],
)
def test_the_check_finds_a_cache_that_answers_before_the_guard(
    middleware: list[str], on_view: bool, ids: list[str]
) -> None:
    scheme = BY_JSON.replace(ids={"a": Header("X-A")})
    guard = Guarded.guard = Guard(scheme, KEY)
    signed = Sent(headers=[("X-A", "1"), ("X-Sig", scheme.sign(KEY, a="1"))])
    cache.clear()
    with project(hmac_guarded(guard)(Seen().sync) if on_view else Seen().sync, MIDDLEWARE=middleware):
        found = [message.id for message in run_checks(tags=["security"])]
        statuses = [send("wsgi", sent).status for sent in (Sent(), signed, Sent())]

    assert found == ids
    assert statuses == ([401, 200, 200] if ids else [401, 200, 401])


class OfTheServer(hmac_guard.wsgi.GuardMiddleware):
    """A guard around a WSGI application."""


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("hmac_guard.wsgi.GuardMiddleware", "'hmac_guard.wsgi.GuardMiddleware' cannot be used there"),
        ("hmac_guard.asgi.GuardMiddleware", "'hmac_guard.asgi.GuardMiddleware' cannot be used there"),
        ("hmac_guard.django.hmac_guarded", "'hmac_guard.django.hmac_guarded' cannot be used there"),
        ("hmac_guard.django.middleware", "'hmac_guard.django.middleware' cannot be used there"),
        ("hmac_guard.django.GuardMidleware", "'hmac_guard.django.GuardMidleware' cannot be imported: Module"),
        ("hmac_guard.djngo.GuardMiddleware", "cannot be imported: No module named 'hmac_guard.djngo'"),
        ("hmac_guard", "'hmac_guard' cannot be imported: hmac_guard doesn't look like a module path"),
        (f"{__name__}.GUARD", f"'{__name__}.GUARD' cannot be used there"),
        (f"{__name__}.OfTheServer", f"'{__name__}.OfTheServer' cannot be used there"),
        (GuardMiddleware, "GuardMiddleware cannot be used there"),
        (GUARD, "a Guard cannot be used there"),
    ],
)
def test_the_check_finds_an_entry_of_middleware_that_django_cannot_use(entry: Any, fault: str) -> None:
    with project(Seen().sync, MIDDLEWARE=[entry, CORS], HMAC_GUARD=GUARD):
        [error] = run_checks(tags=["security"])
        with pytest.raises((ConfigError, ImportError, AttributeError, TypeError)):
            WSGIHandler()

    assert (error.id, error.is_serious()) == ("hmac_guard.E005", True)
    assert error.msg.startswith("MIDDLEWARE: ")
    assert fault in error.msg
    assert error.hint == 'Write the dotted path "hmac_guard.django.GuardMiddleware", or that of a subclass of it.'


@wraps(GuardMiddleware)
def wrapping(get_response: Any) -> Any:
    return GuardMiddleware(get_response)


def test_the_check_accepts_a_function_that_wraps_the_middleware() -> None:
    with project(Seen().sync, MIDDLEWARE=[f"{__name__}.wrapping"], HMAC_GUARD=GUARD):
        assert run_checks(tags=["security"]) == []


@pytest.mark.parametrize(
    "path_of", ["no_such_module.Middleware", f"{__name__}.NoSuchMiddleware", "no dotted path", ".relative", "..too.far"]
)
def test_the_check_leaves_middleware_that_cannot_be_imported_to_django(path_of: str) -> None:
    with project(Seen().sync, MIDDLEWARE=[path_of, CLASHING, path_of]):
        assert [message.id for message in run_checks(tags=["security"])] == ["hmac_guard.E005"]
        with pytest.raises((ImportError, TypeError, ValueError)):
            uncovered_routes()
        with pytest.raises((ImportError, TypeError, ValueError)):
            WSGIHandler()


BY_JSON = Scheme(name="json", ids={"a": Json("/a")}, message="{a}", signature=Header("X-Sig"))
BY_FORM = BY_JSON.replace(name="form", ids={"a": Form("a")})
LARGE = Sent("POST", headers=[("X-Hub-Signature-256", GITHUB.sign(KEY, body=b"x" * 3_000_000))], body=b"x" * 3_000_000)


@SERVERS
@pytest.mark.parametrize(
    ("guard", "limit", "ids", "statuses"),
    [
        (Guard(GITHUB, KEY, max_body=26_214_400), 2_621_440, ["hmac_guard.W002"], (400, 413)),
        (Guard(GITHUB, KEY, max_body=26_214_400), 26_214_400, [], (200,)),
        (Guard(GITHUB, KEY, max_body=26_214_400), None, [], (200,)),
        (Guard(BY_JSON, KEY, max_body=26_214_400), 2_621_440, ["hmac_guard.W002"], (415,)),
        (Guard(BY_FORM, KEY, max_body=26_214_400), 2_621_440, [], (415,)),
    ],
)
def test_the_check_finds_a_guard_that_verifies_larger_bodies_than_a_view_can_read(
    guard: Guard, limit: int | None, ids: list[str], statuses: tuple[int, ...], server: str
) -> None:
    with project(Seen().sync, MIDDLEWARE=[USUAL], HMAC_GUARD=guard, DATA_UPLOAD_MAX_MEMORY_SIZE=limit):
        assert [message.id for message in run_checks(tags=["security"])] == ids
        assert send(server, LARGE).status in statuses


READ_FROM: dict[str, Any] = {
    "query": {"ids": {"a": Query("a")}},
    "form": {"ids": {"a": Header("X-A") | Form("a")}},
    "JSON": {"ids": {"a": Json("/a")}},
    "header": {"ids": {"a": Header("X-A")}},
    "signature in the query": {"ids": {"a": Header("X-A")}, "signature": Query("sig")},
}


@pytest.mark.parametrize("place", ["middleware", "view"])
@pytest.mark.parametrize("source", list(READ_FROM))
@pytest.mark.parametrize(
    ("charset", "is_utf_8"),
    [
        ("utf-8", True),
        ("UTF8", True),
        ("u8", True),
        ("utf_8", True),
        ("iso-8859-1", False),
        ("utf-8-sig", False),
        ("?", False),
    ],
)
def test_the_check_finds_another_charset_than_that_of_the_guard(
    charset: str, is_utf_8: bool, source: str, place: str
) -> None:
    guard = Guarded.guard = Guard(BY_JSON.replace(**READ_FROM[source]), KEY)
    view = hmac_guarded(guard)(Seen().sync) if place == "view" else Seen().sync
    with project(view, MIDDLEWARE=[GUARDED] * (place == "middleware"), DEFAULT_CHARSET=charset):
        found = [message.id for message in run_checks(tags=["security"])]

    assert found == ([] if is_utf_8 or source in ("JSON", "header") else ["hmac_guard.E006"])


@SERVERS
@pytest.mark.parametrize("charset", ["UTF8", "iso-8859-1"])
def test_the_check_finds_that_a_view_reads_another_id_than_the_guard(charset: str, server: str) -> None:
    scheme = BY_JSON.replace(ids={"a": Query("a")})
    Guarded.guard = Guard(scheme, KEY)

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(request.GET["a"] == verdict_from(request).ids["a"]))

    with project(view, MIDDLEWARE=[GUARDED], DEFAULT_CHARSET=charset):
        found = run_checks(tags=["security"])
        reply = send(server, Sent(query="a=%C3%A9", headers=[("X-Sig", scheme.sign(KEY, a="é"))]))

    assert reply.body == str(not found).encode()


def test_the_check_finds_a_decorator_that_verifies_larger_bodies_than_a_view_can_read() -> None:
    large = Guard(GITHUB, KEY, max_body=26_214_400)
    urls = [path("a/", hmac_guarded(large)(Seen().sync)), path("b/", hmac_guarded(large)(Seen().sync))]
    with project(urls=[path("in/", include(urls))]):
        [warning] = run_checks(tags=["security"])

    assert (warning.id, "hmac_guarded on /in/a/: the guard verifies" in warning.msg) == ("hmac_guard.W002", True)


def test_the_check_reads_no_urlconf_if_there_is_none() -> None:
    for urlconf in (None, "no_such_module"):
        with override_settings(ROOT_URLCONF=urlconf):
            assert run_checks(tags=["security"]) == []


def test_routes_that_no_guard_covers_are_listed() -> None:
    seen = Seen()
    inner = [path("open/<int:id>/", seen.sync), path("shut/", hmac_guarded(GUARD)(seen.sync))]
    urls = [
        path("", seen.sync),
        path("class/", hmac_guarded(GUARD)(seen.as_class(later=True)).as_view()),
        path("open-class/", seen.as_class(later=False).as_view()),
        path("inner/", include(inner)),
        re_path(r"^files/(?P<name>.*)$", seen.later),
        re_path(r"^shut-files/(?P<name>.*)$", hmac_guarded(GUARD)(seen.later)),
    ]
    with project(urls=urls):
        assert uncovered_routes() == ["/", "/^files/(?P<name>.*)$", "/inner/open/<int:id>/", "/open-class/"]


@pytest.mark.parametrize(
    ("policy", "uncovered"),
    [
        ({}, []),
        ({"exempt": ("/health/",)}, ["/^files/", "/health/"]),
        ({"exempt": ("/orders/7/",)}, ["/^files/", "/orders/<int:id>/"]),
        ({"only": ("/orders/",)}, ["/^files/", "/health/"]),
        ({"mode": "off"}, ["/^files/", "/health/", "/orders/<int:id>/"]),
    ],
)
def test_a_route_that_the_policy_may_skip_is_listed(policy: Any, uncovered: list[str]) -> None:
    view = Seen().sync
    urls = [path("health/", view), path("orders/<int:id>/", view), re_path("^files/", view)]
    with project(urls=urls, MIDDLEWARE=[SYNC_ONLY, USUAL], HMAC_GUARD=Guard(ORDERS, KEY, **policy)):
        assert uncovered_routes() == uncovered


ORDERS_ROUTE: Any = lazy(lambda: "bestellungen/" if get_language() == "de" else "orders/", str)()


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize(
    ("policy", "covers"),
    [
        ({}, True),
        ({"only": ("/shop/orders/",)}, False),
        ({"only": ("/shop/",)}, True),
        ({"exempt": ("/shop/a",)}, False),
    ],
)
def test_a_translated_route_counts_as_any_path(policy: Any, covers: bool, language: str) -> None:
    inner: Any = [path(ORDERS_ROUTE, Seen().sync), path(ORDERS_ROUTE, include([path("all/", Seen().sync)]))]
    settings: Any = {"MIDDLEWARE": [USUAL], "HMAC_GUARD": Guard(ORDERS, KEY, **policy)}
    with project(urls=[path("shop/", include(inner))], **settings), override(language):
        assert uncovered_routes() == ([] if covers else [f"/shop/{ORDERS_ROUTE}", f"/shop/{ORDERS_ROUTE}all/"])


def test_a_middleware_with_another_object_in_place_of_its_guard_is_a_config_error_for_the_list_of_routes() -> None:
    with (
        project(Seen().sync, MIDDLEWARE=[NO_GUARD]),
        pytest.raises(ConfigError, match="NoGuard: guard must be a Guard, not Scheme"),
    ):
        uncovered_routes()


@pytest.mark.parametrize(("middleware", "covers"), [([PARTNER], True), ([LENIENT], False), ([LENIENT, USUAL], True)])
def test_a_middleware_covers_routes_only_if_it_checks_requests_as_the_guard_does(
    middleware: list[str], covers: bool
) -> None:
    urls = [path("orders", lambda request: HttpResponse())]
    with project(urls=urls, MIDDLEWARE=middleware, HMAC_GUARD=GUARD):
        assert uncovered_routes() == ([] if covers else ["/orders"])
        assert send("wsgi", Sent("GET", "/orders")).status == (401 if covers else 200)
