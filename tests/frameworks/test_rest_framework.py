"""The authentication class for Django REST framework."""

import json
from typing import Any

import pytest

pytest.importorskip("rest_framework", reason="not run: Django REST framework is not installed")

# First, since it sets Django up.
from frameworks.django_project import GUARDED, Guarded, project, send  # isort: skip

from django.urls import path
from orders import CASES, GOOD, GOOD_JSON, GOOD_MULTIPART, KEY, ORDERS, UNSIGNED, query_of
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView
from support import Reply, Sent

from hmac_guard import ConfigError, Guard, Reason, Verdict, verdict_from
from hmac_guard.decider import decider_of
from hmac_guard.django import hmac_guarded, uncovered_routes
from hmac_guard.django.rest import GuardAuthentication, SignedCaller

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
def test_what_a_door_refuses_is_refused_whatever_the_permissions_are(case: str, server: str) -> None:
    sent, reason = CASES[case]
    refusal = decider_of("test", GUARD).refusals[reason]
    reply = reply_of(Open, sent, server)

    assert (reply.status, json.loads(reply.body)) == (refusal.status.value, json.loads(refusal.body))
    assert reply.headers.get("www-authenticate") == dict(refusal.headers).get("WWW-Authenticate")


@SERVERS
def test_the_csrf_check_leaves_a_multipart_body_to_the_guard(server: str) -> None:
    csrf = ["django.middleware.csrf.CsrfViewMiddleware"]

    assert reply_of(Orders, GOOD_MULTIPART, server, MIDDLEWARE=csrf).status == 200
    assert reply_of(hmac_guarded(GUARD)(Form), GOOD_MULTIPART, server, MIDDLEWARE=csrf).status == 200


def test_keys_that_cannot_be_had_are_503() -> None:
    def broken(_: object) -> str:
        raise OSError

    reply = reply_of(Orders, GOOD, guard=Guard(ORDERS, broken))
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")


def test_a_refusal_that_is_no_json_is_shown_as_text() -> None:
    reply = reply_of(Orders, UNSIGNED, guard=Guard(ORDERS, KEY, refusal=lambda code, _: (code.encode(), "text/plain")))

    assert (reply.status, json.loads(reply.body)) == (401, {"detail": "missing_signature"})


def test_the_middleware_of_the_same_guard_has_judged_already() -> None:
    judged: list[Verdict] = []
    Guarded.guard = guard = Guard(ORDERS, KEY, on_verdict=lambda verdict, _: judged.append(verdict))

    assert reply_of(Orders, GOOD, guard=guard, MIDDLEWARE=[GUARDED]).status == 200
    assert len(judged) == 1


def test_report_mode_authenticates_nobody() -> None:
    class Reported(Open):
        def get(self, request: Request) -> Response:
            return Response([str(request.user), verdict_from(request).reason])

    guard = Guard(ORDERS, KEY, mode="report")
    refused = reply_of(Orders, UNSIGNED, guard=guard)
    assert json.loads(reply_of(Reported, UNSIGNED, guard=guard).body) == ["AnonymousUser", "missing_id"]
    assert (refused.status, refused.headers["www-authenticate"]) == (401, 'HMAC realm="hmac_guard"')


def test_a_subclass_has_a_guard_and_users_of_its_own() -> None:
    class Own(GuardAuthentication):
        guard = Guard(ORDERS, KEY, annotate_as="own")

        def user_of(self, verdict: Verdict) -> Any:
            return verdict.ids["tenant_id"]

    class Owned(Open):
        authentication_classes = (Own,)

    assert json.loads(reply_of(Owned, GOOD, guard=GUARD).body)["user"] == "acme"


def test_callers_are_told_apart_by_what_was_proven() -> None:
    one, same, other = (
        SignedCaller(Verdict(Reason.VERIFIED, "orders", {"a": a, "b": b})) for a, b in ("xy", "xy", ("x", "z"))
    )

    assert one.pk == same.pk != other.pk
    assert (one.is_authenticated, one.is_anonymous, str(one)) == (True, False, f"signed:{one.pk[:12]}")


def test_a_throttle_counts_each_caller_by_itself() -> None:
    class Once(UserRateThrottle):
        rate = "1/day"

    class Throttled(Orders):
        throttle_classes = (Once,)

    sent = [GOOD, GOOD, Sent("GET", "/orders", query_of("umbrella", "42"))]
    assert [reply_of(Throttled, each).status for each in sent] == [200, 429, 200]


def test_a_missing_setting_is_a_config_error() -> None:
    with project(Orders.as_view()), pytest.raises(ConfigError, match="HMAC_GUARD is missing"):
        GuardAuthentication.guard_in_use()


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


def test_a_view_with_the_class_behind_another_one_is_uncovered() -> None:
    """Django REST framework asks no further class once one has found a user: whoever has a session got by unsigned."""

    class Behind(Orders):
        authentication_classes = (SessionAuthentication, GuardAuthentication)

    class First(Orders):
        authentication_classes = (GuardAuthentication, SessionAuthentication)

    with project(urls=[path("behind/", Behind.as_view()), path("first/", First.as_view())], HMAC_GUARD=GUARD):
        assert uncovered_routes() == ["/behind/"]
