"""The authentication class for Django REST framework."""

import json
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("rest_framework", reason="not run: Django REST framework is not installed")

# First, because it configures Django.
from django_project import GUARDED, Guarded, project, send  # isort: skip

from django.contrib.auth.models import AnonymousUser
from django.core.checks import run_checks
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from orders import CASES, GOOD, GOOD_JSON, GOOD_MULTIPART, KEY, ORDERS, UNSIGNED, hex_of, query_of
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.decorators import action, api_view, authentication_classes
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.permissions import DjangoModelPermissions, DjangoObjectPermissions, IsAdminUser, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView, exception_handler
from rest_framework.viewsets import ViewSet
from support import Reply, Sent

from hmac_guard import ConfigError, Cookie, Guard, Header, Json, Keyring, Query, Reason, Verdict, verdict_from
from hmac_guard.decider import decider_of
from hmac_guard.django import GuardMiddleware, hmac_guarded, uncovered_routes
from hmac_guard.django.rest import GuardAuthentication, SignedCaller
from hmac_guard.testing import signed_client

GUARD = Guard(ORDERS, KEY)
SERVERS = pytest.mark.parametrize("server", ["wsgi", "asgi"])


class Orders(APIView):
    authentication_classes: Any = (GuardAuthentication,)
    permission_classes: Any = (IsAuthenticated,)
    renderer_classes = (JSONRenderer,)

    def get(self, request: Any) -> Response:
        return Response({"ids": request.auth.ids, "user": str(request.user), "data": request.data})

    post = put = get


class Open(Orders):
    permission_classes = ()


class NoModels:
    """Replaces a queryset: a permission class reads only the names of its model."""

    class model:  # noqa: N801 the name of the attribute of a queryset
        class _meta:  # noqa: N801 as of Django's models
            app_label = "orders"
            model_name = "order"


class Form(Orders):
    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Any) -> Response:
        return Response(verdict_from(request).ids)


def reply_of(view: Any, sent: Sent, server: str = "wsgi", guard: Guard = GUARD, **changes: Any) -> Reply:
    with project(view.as_view(), HMAC_GUARD=guard, **changes):
        return send(server, sent)


@SERVERS
def test_a_signed_request_is_authenticated_and_its_data_can_be_read(server: str) -> None:
    reply = reply_of(Orders, GOOD_JSON, server)

    assert reply.status == 200
    assert json.loads(reply.body)["ids"] == {"tenant_id": "acme", "order_id": "42"}
    assert json.loads(reply.body)["data"] == json.loads(GOOD_JSON.body)


@SERVERS
@pytest.mark.parametrize("case", [name for name, (_, reason) in CASES.items() if reason is not Reason.VERIFIED])
def test_a_refused_request_is_refused_with_any_permissions(case: str, server: str) -> None:
    sent, reason = CASES[case]
    refusal = decider_of("test", GUARD).refusals[reason]
    reply = reply_of(Open, sent, server)

    assert (reply.status, json.loads(reply.body)) == (refusal.status.value, json.loads(refusal.body))
    assert reply.headers.get("www-authenticate") == dict(refusal.headers).get("WWW-Authenticate")
    assert reply.headers["cache-control"] == "no-store"
    assert "cache-control" not in reply_of(Open, GOOD, server).headers


@pytest.mark.parametrize("view", [None, Orders()], ids=["no view", "a view that does not run"])
def test_a_refusal_needs_no_view_that_runs(view: Any) -> None:
    request = Request(RequestFactory().get("/orders"), parser_context={"view": view})
    by_guard: Any = type("ByGuard", (GuardAuthentication,), {"guard": GUARD})

    with pytest.raises(APIException) as caught:
        by_guard().authenticate(request)
    assert caught.value.get_codes() == "missing_signature"


@SERVERS
def test_the_csrf_check_leaves_a_multipart_body_to_the_guard(server: str) -> None:
    csrf = ["django.middleware.csrf.CsrfViewMiddleware"]

    assert reply_of(Orders, GOOD_MULTIPART, server, MIDDLEWARE=csrf).status == 200
    assert reply_of(hmac_guarded(GUARD)(Form), GOOD_MULTIPART, server, MIDDLEWARE=csrf).status == 200


class ByMethod(Form):
    @method_decorator(hmac_guarded(GUARD))
    def post(self, request: Any) -> Response:
        return Response([verdict_from(request).ids, request.data])


@api_view(["POST"])
@hmac_guarded(GUARD)
def by_function(request: Any) -> Response:
    return Response([verdict_from(request).ids, request.data])


@SERVERS
@pytest.mark.parametrize("view", [by_function, ByMethod.as_view()], ids=["function", "method"])
@pytest.mark.parametrize("sent", [GOOD_JSON, GOOD_MULTIPART, UNSIGNED], ids=["JSON", "multipart", "unsigned"])
def test_a_guard_inside_of_a_view_leaves_the_body_to_it(view: Any, sent: Sent, server: str) -> None:
    with project(view):
        reply = send(server, replace(sent, method="POST"))

    assert reply.status == (401 if sent is UNSIGNED else 200)
    if sent is not UNSIGNED:
        ids, data = json.loads(reply.body)
        assert ids == {"tenant_id": "acme", "order_id": "42"}
        assert data == json.loads(sent.body) if sent is GOOD_JSON else data["order_id"] == ids["order_id"]


def test_unavailable_keys_are_503() -> None:
    def broken(_: object) -> str:
        raise OSError

    reply = reply_of(Orders, GOOD, guard=Guard(ORDERS, broken))
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")


def test_a_refusal_that_is_not_json_is_shown_as_text() -> None:
    reply = reply_of(Orders, UNSIGNED, guard=Guard(ORDERS, KEY, refusal=lambda code, _: (code.encode(), "text/plain")))

    assert (reply.status, json.loads(reply.body)) == (401, {"detail": "missing_signature"})


def own_handler(error: Any, context: Any) -> Response:
    return Response([error.get_codes(), error.get_full_details()], error.status_code)


@pytest.mark.parametrize("refusal", [None, lambda code, _: (b"no", "text/plain")], ids=["default", "own"])
def test_an_exception_handler_of_the_project_reads_the_code(refusal: Any) -> None:
    class Handled(Open):
        def get_exception_handler(self) -> Any:
            return own_handler

    reply = reply_of(Handled, UNSIGNED, guard=Guard(ORDERS, KEY, refusal=refusal))
    code = "missing_signature"
    assert (reply.status, json.loads(reply.body)) == (
        401,
        [code, {"message": "The request is not signed.", "code": code}],
    )


def in_every_kind(code: str, message: str) -> tuple[bytes, str]:
    parts = [code, 1, 2.5, True, None, {"code": code, "inner": [message, []]}]
    return json.dumps({"parts": parts}).encode(), "application/json"


def leaves_of(detail: Any) -> list[Any]:
    """Return the leaves of `detail`, as drf-standardized-errors does it."""
    if isinstance(detail, (dict, list)):
        return [leaf for part in (detail.values() if isinstance(detail, dict) else detail) for leaf in leaves_of(part)]
    return [detail]


@pytest.mark.parametrize("refusal", [None, lambda code, _: (b"no", "text/plain"), in_every_kind])
def test_each_text_and_number_of_a_refusal_has_the_code(refusal: Any) -> None:
    seen: list[Any] = []

    def keep(error: Any, context: Any) -> Any:
        seen.append(error.detail)
        return exception_handler(error, context)

    class Handled(Open):
        def get_exception_handler(self) -> Any:
            return keep

    guard = Guard(ORDERS, KEY, refusal=refusal)
    reply = reply_of(Handled, UNSIGNED, guard=guard)
    body = decider_of("test", guard).refusals[Reason.MISSING_SIGNATURE].body
    document = {"detail": "no"} if body == b"no" else json.loads(body)
    texts_and_numbers = [leaf for leaf in leaves_of(seen[0]) if leaf is not True and leaf is not None]

    assert {leaf.code for leaf in texts_and_numbers} == {"missing_signature"}
    assert reply.body == JSONRenderer().render(document)


def test_a_verdict_of_the_same_guard_is_used() -> None:
    verdicts: list[Verdict] = []
    Guarded.guard = guard = Guard(ORDERS, KEY, on_verdict=lambda verdict, _: verdicts.append(verdict))

    assert reply_of(Orders, GOOD, guard=guard, MIDDLEWARE=[GUARDED]).status == 200
    assert len(verdicts) == 1


def test_report_mode_does_not_authenticate() -> None:
    class Reported(Open):
        def get(self, request: Any) -> Response:
            return Response([str(request.user), request.auth.reason, request.successful_authenticator])

    guard = Guard(ORDERS, KEY, mode="report")
    refused = reply_of(Orders, UNSIGNED, guard=guard)
    assert json.loads(reply_of(Reported, UNSIGNED, guard=guard).body) == ["AnonymousUser", "missing_id", None]
    assert (refused.status, refused.headers["www-authenticate"]) == (401, 'HMAC realm="hmac_guard"')


class ByHeader(BaseAuthentication):
    """Replaces the existing authentication of a project. It counts its calls."""

    asked = 0

    def authenticate(self, request: Request) -> Any:
        ByHeader.asked += 1
        name = request.META.get("HTTP_X_USER")
        if name == "wrong":
            raise AuthenticationFailed
        return (Known(name), None) if name else None


class Known(AnonymousUser):
    is_authenticated = True  # type: ignore[assignment]

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name


class Both(Orders):
    authentication_classes: Any = (GuardAuthentication, ByHeader)

    def get(self, request: Any) -> Response:
        found = type(request.successful_authenticator).__name__
        return Response([str(request.user), getattr(request.auth, "reason", None), found, str(request._request.user)])


class BothOpen(Both):
    permission_classes = ()


def with_user(name: str, sent: Sent = UNSIGNED) -> Sent:
    return replace(sent, headers=[*sent.headers, ("X-User", name)])


TENANT = ORDERS.replace(tenant=Header("X-Tenant"))
UNVERIFIED_GOES_ON = {
    "report": Guard(ORDERS, KEY, mode="report"),
    "off": Guard(ORDERS, KEY, mode="off"),
    "a tenant in report": Guard(TENANT, {"acme": Keyring(KEY, mode="report")}),
    "a tenant in off": Guard(TENANT, {"acme": Keyring(KEY, mode="off")}),
}


@SERVERS
@pytest.mark.parametrize("how", list(UNVERIFIED_GOES_ON))
def test_later_classes_are_called_for_unverified_requests_that_pass(how: str, server: str) -> None:
    guard = UNVERIFIED_GOES_ON[how]
    unsigned = replace(UNSIGNED, headers=[*UNSIGNED.headers, ("X-Tenant", "acme")])
    ByHeader.asked = 0
    found = reply_of(Both, with_user("ada", unsigned), server, guard)
    asked = ByHeader.asked
    reason = "off" if "off" in how else "missing_id"

    assert (json.loads(found.body), asked) == (["ada", None, "ByHeader", "ada"], 1)
    assert json.loads(reply_of(BothOpen, unsigned, server, guard).body) == [
        "AnonymousUser",
        reason,
        "NoneType",
        "AnonymousUser",
    ]
    assert reply_of(Both, unsigned, server, guard).status == 401
    assert reply_of(BothOpen, with_user("wrong", unsigned), server, guard).status == 401


def test_later_classes_are_not_called_for_verified_or_refused_requests() -> None:
    ByHeader.asked = 0
    verified = reply_of(Both, with_user("ada", GOOD), guard=Guard(ORDERS, KEY, mode="report"))

    assert json.loads(verified.body)[1:3] == ["verified", "GuardAuthentication"]
    assert reply_of(Both, with_user("ada")).status == 401
    assert ByHeader.asked == 0


def test_a_second_guard_inside_a_guard_in_report_mode_may_verify() -> None:
    class Second(GuardAuthentication):
        guard = Guard(ORDERS, KEY, annotate_as="second")

    class Two(Both):
        authentication_classes = (GuardAuthentication, Second)

    other = Guard(ORDERS, "another key of sixteen bytes or more", mode="report")
    assert json.loads(reply_of(Two, GOOD, guard=other).body)[1:3] == ["verified", "Second"]


def by_cookie(**places: Any) -> Guard:
    ids = {"tenant_id": Query("tenant_id"), "order_id": Query("order_id")}
    return Guard(ORDERS.replace(**{"ids": ids, "signature": Cookie("sig"), **places}), KEY)


SIGNATURE = hex_of("acme", "42")
IN_COOKIE = ("Cookie", f"theme=dark; sig={SIGNATURE}")
IN_HEADER = ("X-Signature", SIGNATURE)
EVIL = ("Origin", "https://evil.example")
TOKEN = "t" * 32


def post(*headers: tuple[str, str], method: str = "POST") -> Sent:
    return Sent(method, "/orders", "tenant_id=acme&order_id=42", list(headers))


@SERVERS
@pytest.mark.parametrize("in_middleware", [False, True])
def test_a_signature_in_a_cookie_needs_the_csrf_token_too(server: str, in_middleware: bool) -> None:
    guard = Guarded.guard = by_cookie()
    token = (("Cookie", f"{IN_COOKIE[1]}; csrftoken={TOKEN}"), ("X-CSRFToken", TOKEN))

    def answer(sent: Sent) -> Reply:
        return reply_of(Orders, sent, server, guard, MIDDLEWARE=[GUARDED] if in_middleware else [])

    for forged in (post(IN_COOKIE), post(IN_COOKIE, EVIL), post(*token, EVIL), post(IN_COOKIE, method="PUT")):
        reply = answer(forged)
        assert (reply.status, b"CSRF Failed" in reply.body) == (403, True)
    assert answer(post(*token)).status == 200
    assert answer(post(IN_COOKIE, method="GET")).status == 200
    assert answer(post()).status == 401


@SERVERS
def test_only_a_request_that_may_be_signed_by_a_cookie_needs_the_csrf_token(server: str) -> None:
    either = by_cookie(signature=Cookie("sig") | Header("X-Signature"))
    cookie_of_the_id = by_cookie(
        ids={"tenant_id": Cookie("tenant"), "order_id": Query("order_id")}, signature=Query("sig")
    )
    in_query = Sent("POST", "/orders", f"order_id=42&sig={SIGNATURE}", [("Cookie", "tenant=acme")])

    assert reply_of(Orders, post(IN_COOKIE), server, either).status == 403
    assert reply_of(Orders, post(IN_HEADER), server, either).status == 200
    assert reply_of(Orders, post(IN_HEADER, ("Cookie", "theme=dark")), server, either).status == 200
    assert reply_of(Orders, in_query, server, cookie_of_the_id).status == 200


def test_a_cookie_in_a_second_line_needs_the_csrf_token_too() -> None:
    sent = post(("Cookie", "theme=dark"), ("Cookie", f"sig={SIGNATURE}"))

    assert [reply_of(Orders, sent, server, by_cookie()).status for server in ("wsgi", "asgi")] == [403, 403]


def test_a_subclass_has_its_own_guard_and_users() -> None:
    class Own(GuardAuthentication):
        guard = Guard(ORDERS, KEY, annotate_as="own")

        def user_of(self, verdict: Verdict) -> Any:
            return verdict.ids["tenant_id"]

    class Owned(Open):
        authentication_classes = (Own,)

    assert json.loads(reply_of(Owned, GOOD, guard=GUARD).body)["user"] == "acme"


def test_callers_are_distinguished_by_their_verified_ids() -> None:
    one, same, other = (
        SignedCaller(Verdict(Reason.VERIFIED, "orders", {"a": a, "b": b})) for a, b in ("xy", "xy", ("x", "z"))
    )

    assert one.pk == same.pk != other.pk
    assert (one.is_authenticated, one.is_anonymous, str(one)) == (True, False, f"signed:{one.pk[:12]}")


@pytest.mark.parametrize("kind", [IsAdminUser, DjangoModelPermissions, DjangoObjectPermissions])
def test_a_permission_class_that_needs_a_permission_refuses_a_signed_caller(kind: Any) -> None:
    class Models(Orders):
        permission_classes = (kind,)
        queryset = NoModels()

    assert reply_of(Models, replace(GOOD_JSON, method="POST")).status == 403


def test_a_signed_caller_has_no_permissions() -> None:
    caller = SignedCaller(Verdict(Reason.VERIFIED, "orders", {"tenant_id": "acme", "order_id": "42"}))

    assert not caller.is_staff
    assert not caller.is_superuser
    assert not caller.has_perm("orders.view_order")
    assert not caller.has_perms([])
    assert not caller.has_module_perms("orders")


def test_a_throttle_counts_callers_separately() -> None:
    class Once(UserRateThrottle):
        rate = "1/day"

    class Throttled(Orders):
        throttle_classes = (Once,)

    sent = [GOOD, GOOD, Sent("GET", "/orders", query_of("umbrella", "42"))]
    assert [reply_of(Throttled, each).status for each in sent] == [200, 429, 200]


def test_a_missing_setting_is_a_config_error() -> None:
    with project(Orders.as_view()), pytest.raises(ConfigError, match="HMAC_GUARD is missing"):
        GuardAuthentication.guard_in_use()


class OwnGuard(GuardAuthentication):
    guard = Guard(ORDERS, KEY)


class ByName(GuardAuthentication):
    guard = Guard(ORDERS, KEY, annotate_as="body")


class WithoutGuard(GuardAuthentication):
    guard: Any = ORDERS


class OfOtherSource(GuardAuthentication):
    @classmethod
    def guard_in_use(cls) -> Guard:
        return GUARD


async def later_keys(claim: Any) -> str:
    return KEY


later_keys.asgi_only = True  # type: ignore[attr-defined]


@pytest.mark.parametrize("place", ["setting", "class", "argument", "after another class"])
@pytest.mark.parametrize(
    ("kind", "setting", "ids"),
    [
        (GuardAuthentication, None, ["hmac_guard.E001"]),
        (GuardAuthentication, {"keys": KEY}, ["hmac_guard.E004"]),
        (GuardAuthentication, Guard(ORDERS, KEY, annotate_as="body"), ["hmac_guard.E005"]),
        (GuardAuthentication, Guard(ORDERS, later_keys), ["hmac_guard.E005"]),
        (GuardAuthentication, Guard(ORDERS, KEY, exempt=("/api/health",)), []),
        (ByName, None, ["hmac_guard.E005"]),
        (WithoutGuard, None, ["hmac_guard.E005"]),
        (OwnGuard, None, []),
        (OfOtherSource, None, []),
    ],
)
def test_the_check_covers_authentication_classes(kind: Any, setting: Any, ids: list[str], place: str) -> None:
    class Listing(Orders):
        authentication_classes: Any = {
            "setting": (),
            "class": (kind,),
            "argument": (),
            "after another class": (SessionAuthentication, kind),
        }[place]

    changes: Any = {} if setting is None else {"HMAC_GUARD": setting}
    if place == "setting":
        changes["REST_FRAMEWORK"] = {"DEFAULT_AUTHENTICATION_CLASSES": [f"{kind.__module__}.{kind.__qualname__}"]}
    view = Listing.as_view(**({"authentication_classes": [kind]} if place == "argument" else {}))
    with project(urls=[path("one/", view), path("two/", view)], FORCE_SCRIPT_NAME="/api", **changes):
        assert [message.id for message in run_checks(tags=["security"])] == ids


@pytest.mark.parametrize("place", ["class", "decorator"])
@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1"])
def test_the_check_finds_that_a_view_reads_another_id_in_json_than_the_guard(charset: str, place: str) -> None:
    ids = {"tenant_id": Json("/tenant"), "order_id": Header("X-Order")}
    guard = Guard(ORDERS.replace(ids=ids, signature=Header("X-Signature")), KEY)
    headers = [("Content-Type", "application/json"), ("X-Order", "42"), ("X-Signature", hex_of("größe", "42"))]

    class Read(Orders):
        def post(self, request: Any) -> Response:
            return Response(request.data["tenant"] == verdict_from(request).ids["tenant_id"])

    class ReadFromAnyone(Read):
        authentication_classes = ()
        permission_classes = ()

    view: Any = hmac_guarded(guard)(ReadFromAnyone) if place == "decorator" else Read
    with project(view.as_view(), HMAC_GUARD=guard, DEFAULT_CHARSET=charset):
        found = [message.id for message in run_checks(tags=["security"])]
        reply = send("wsgi", Sent("POST", "/", headers=headers, body='{"tenant": "größe"}'.encode()))

    assert (reply.body, found) == ((b"true", []) if charset == "utf-8" else (b"false", ["hmac_guard.E006"]))


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (GUARD, "a Guard cannot be used there"),
        (OwnGuard(), "a OwnGuard cannot be used there"),
        (GuardMiddleware, "GuardMiddleware cannot be used there"),
        ("hmac_guard.django.rest.GuardAuthentication", "'hmac_guard.django.rest.GuardAuthentication' cannot be used"),
    ],
)
def test_the_check_finds_an_authentication_class_that_rest_framework_cannot_use(entry: Any, fault: str) -> None:
    class Listing(Orders):
        authentication_classes: Any = (entry,)

    with project(Listing.as_view(), HMAC_GUARD=GUARD):
        [error] = run_checks(tags=["security"])
        assert send("wsgi", Sent("POST")).status == 500

    assert error.id == "hmac_guard.E005"
    assert error.msg.startswith(f"authentication_classes: {fault}")
    assert error.hint == "Give GuardAuthentication of hmac_guard.django.rest, or a subclass of it with your guard."


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("hmac_guard.django.GuardAuthentication", "'hmac_guard.django.GuardAuthentication' cannot be imported: Module"),
        ("hmac_guard.django.GuardMiddleware", "'hmac_guard.django.GuardMiddleware' cannot be used there"),
        (GUARD, "a Guard cannot be used there"),
    ],
)
def test_the_check_finds_a_default_authentication_class_that_rest_framework_cannot_use(entry: Any, fault: str) -> None:
    with project(urls=[], REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": [entry]}, HMAC_GUARD=GUARD):
        [error] = run_checks(tags=["security"])

    assert error.id == "hmac_guard.E005"
    assert error.msg.startswith(f"DEFAULT_AUTHENTICATION_CLASSES: {fault}")


def test_the_check_leaves_authentication_classes_that_cannot_be_imported_to_rest_framework() -> None:
    listed = ["no_such_module.Authentication", SessionAuthentication, ByName]
    with project(urls=[], REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": listed}):
        assert [message.id for message in run_checks(tags=["security"])] == ["hmac_guard.E005"]


def test_a_class_with_another_object_in_place_of_its_guard_is_a_config_error_for_the_list_of_routes() -> None:
    class Listing(Orders):
        authentication_classes = (WithoutGuard,)

    with (
        project(Listing.as_view()),
        pytest.raises(ConfigError, match="WithoutGuard: guard must be a Guard, not Scheme"),
    ):
        uncovered_routes()


def test_a_view_with_the_class_is_covered() -> None:
    class Bare(Orders):
        authentication_classes = ()

    class Decorated(Bare):
        pass

    urls = [
        path("auth/", Orders.as_view()),
        path("decorated/", hmac_guarded(GUARD)(Decorated).as_view()),
        path("bare/", Bare.as_view()),
    ]
    with project(urls=urls, HMAC_GUARD=GUARD):
        assert uncovered_routes() == ["/bare/"]


def test_a_view_with_the_class_after_another_class_is_uncovered() -> None:
    """Django REST framework stops at the first class that finds a user: a session would pass without a signature."""

    class Behind(Orders):
        authentication_classes = (SessionAuthentication, GuardAuthentication)

    class First(Orders):
        authentication_classes = (GuardAuthentication, SessionAuthentication)

    with project(urls=[path("behind/", Behind.as_view()), path("first/", First.as_view())], HMAC_GUARD=GUARD):
        assert uncovered_routes() == ["/behind/"]


class Listed(ViewSet):
    authentication_classes: Any = (GuardAuthentication,)
    permission_classes = ()

    def list(self, request: Any) -> Response:
        return Response()

    @action(detail=False, authentication_classes=[])
    def public(self, request: Any) -> Response:
        return Response()


class Answers(APIView):
    authentication_classes: Any = (GuardAuthentication,)

    def get(self, request: Any) -> Response:
        return Response()


class AnswersWithoutAuthentication(Answers):
    authentication_classes = ()


class AnswersWithoutAuthenticators(Answers):
    def get_authenticators(self) -> list[Any]:
        return []


class AuthenticatesOnDemand(Answers):
    def perform_authentication(self, request: Any) -> None:
        """Wait for the first use of `request.user`."""


class AnswersItself(Answers):
    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        return HttpResponse()


class MakesRequests(Answers):
    def initialize_request(self, request: Any, *args: Any, **kwargs: Any) -> Request:
        return Request(request, parsers=self.get_parsers())


@method_decorator([never_cache, csrf_exempt], name="dispatch")
class Decorated(Answers):
    """Has the `dispatch` of REST framework, in decorators."""


class DecoratedWithGuard(Answers):
    """Is guarded twice."""


class Initial(Answers):
    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)


class Lenient(GuardAuthentication):
    def authenticate(self, request: Any) -> None:
        """Refuse nothing."""


class HasGuard(BaseAuthentication):
    def authenticate(self, request: Any) -> None:
        """Refuse nothing."""

    @classmethod
    def guard_in_use(cls) -> Guard:
        return GUARD


@api_view()
@authentication_classes([GuardAuthentication])
def guarded_function(request: Any) -> Response:
    return Response()


@api_view()
@authentication_classes([])
def open_function(request: Any) -> Response:
    return Response()


def test_a_view_is_listed_exactly_if_an_unsigned_request_reaches_it() -> None:
    views: dict[str, Any] = {
        "class": Answers.as_view(),
        "open-class": AnswersWithoutAuthentication.as_view(),
        "argument": AnswersWithoutAuthentication.as_view(authentication_classes=[GuardAuthentication]),
        "open-argument": Answers.as_view(authentication_classes=[]),
        "own-guard": Answers.as_view(authentication_classes=[OwnGuard]),
        "open-lenient": Answers.as_view(authentication_classes=[Lenient]),
        "open-has-guard": Answers.as_view(authentication_classes=[HasGuard]),
        "open-made": Answers.as_view(authentication_classes=[lambda: Lenient()]),
        "view-set": Listed.as_view({"get": "list"}),
        "open-action": Listed.as_view({"get": "public"}, **Listed.public.kwargs),  # As a router does it.
        "function": guarded_function,
        "open-function": open_function,
        "open-authenticators": AnswersWithoutAuthenticators.as_view(),
        "open-on-demand": AuthenticatesOnDemand.as_view(),
        "open-answers-itself": AnswersItself.as_view(),
        "open-makes-requests": MakesRequests.as_view(),
        "decorated": Decorated.as_view(),
        "decorated-with-guard": hmac_guarded(GUARD)(DecoratedWithGuard).as_view(),
        "initial": Initial.as_view(),
    }
    with project(urls=[path(name, view) for name, view in views.items()], HMAC_GUARD=GUARD):
        reached = [f"/{name}" for name in views if send("wsgi", Sent("GET", f"/{name}")).status == 200]
        assert uncovered_routes() == sorted(reached) == sorted(f"/{name}" for name in views if name[:4] == "open")


def test_a_signed_client_is_authenticated_as_its_user_and_the_client_itself_is_not() -> None:
    from rest_framework.test import APIClient

    class Who(Orders):
        authentication_classes = (SessionAuthentication,)
        permission_classes = ()

        def get(self, request: Any) -> Response:
            return Response(str(request.user))

    class User:
        is_active = is_authenticated = True

        def __str__(self) -> str:
            return "ada"

    plain: Any = APIClient()
    user: Any = User()
    signed = signed_client(plain, GUARD, tenant_id="acme", order_id="42")
    signed.force_authenticate(user=user)
    with project(Who.as_view(), MIDDLEWARE=[GUARDED]):
        Guarded.guard = GUARD
        assert signed.get("/").json() == "ada"
        assert plain.get(f"/?{query_of()}").json() == "AnonymousUser"
    again = signed_client(signed, GUARD, tenant_id="acme", order_id="43")
    again.force_authenticate(user=AnonymousUser())
    assert (signed.handler._force_user is user, again.handler._force_user is user) == (True, False)
