"""Published ways to bypass a guard, and some from the threat model, with one test for each.

`tests/acceptance/wire` tests the servers. Here the requests are as a server passes them on.
"""

import asyncio
import base64
import hashlib
import hmac
import json
from contextvars import copy_context
from typing import Any

import pytest
from support import Call, Headers, Reply, Sent, ask_app, scope_for

from hmac_guard import Cookie, Guard, Header, Json, Path, Query, Reason, Scheme

KEY = "a key that is long enough"
SCHEME = Scheme(
    name="walked",
    ids={"user": Query("user") | Header("X-User") | Cookie("user") | Path("/users/{user}")},
    message="{user}",
    signature=Query("sig") | Header("X-Signature"),
)
IN_BODY = Scheme(name="body", ids={"user": Json("/user")}, message="{user}", signature=Json("/sig"))
EXEMPT = ("/health", "/static/")
POLICIES: list[dict[str, Any]] = [
    {},
    {"exempt": EXEMPT},
    {"only": ("/admin", "/admin/", "/sub/", "/raw", "/docs", "/openapi.json", "/static/")},
]


def signature(user: str) -> str:
    return hmac.new(KEY.encode(), user.encode(), hashlib.sha256).hexdigest()


ALICE = f"user=alice&sig={signature('alice')}"


def ask(call: Call, sent: Sent, **policy: Any) -> Reply:
    return call(Guard(SCHEME, KEY, **policy), sent)


def assert_no_way_in(call: Call, sent: Sent, policies: list[dict[str, Any]] = POLICIES) -> None:
    """Check that the request does not pass without a signature."""
    replies = [ask(call, sent, **policy) for policy in policies]

    assert [(reply.status, reply.seen) for reply in replies] == [(401, [])] * len(policies)


def test_an_unchanged_guard_verifies(call: Call) -> None:
    """Otherwise the other tests would prove nothing."""
    for policy in POLICIES:
        assert dict(ask(call, Sent(path="/admin", query=ALICE), **policy).verdict.ids) == {"user": "alice"}
    assert ask(call, Sent(path="/health"), exempt=EXEMPT).verdict.reason is Reason.EXEMPT


def test_b1_a_path_that_ends_in_a_new_line(call: Call) -> None:
    assert_no_way_in(call, Sent(path="/admin\n", raw_path="/admin%0A"))


@pytest.mark.parametrize("path", ["//admin", "///admin"])
def test_b2_slashes_that_a_router_ignores(call: Call, path: str) -> None:
    assert_no_way_in(call, Sent(path=path))


@pytest.mark.parametrize("path", ["http://h/admin", "http://h/health/../admin", "http://h/health"])
def test_b3_a_whole_url_for_a_path(call: Call, path: str) -> None:
    assert_no_way_in(call, Sent(path=path))


def test_b4_a_path_without_a_slash(call: Call) -> None:
    assert_no_way_in(call, Sent(path="admin"))


@pytest.mark.parametrize("root", ["/x", "/health", "/static/x"])
def test_b5_a_mount_point_that_the_client_names(call: Call, root: str) -> None:
    assert_no_way_in(call, Sent(path="/admin", root=root, raw_path=root + "/admin"))


def test_b6_a_host_that_changes_the_url(call: Call) -> None:
    assert_no_way_in(call, Sent(path="/admin", headers=[("Host", "h/health?x=")]))


def test_b7_a_websocket_without_a_check(call: Call) -> None:
    assert_no_way_in(call, Sent(path="/admin", headers=[("Upgrade", "websocket"), ("Connection", "Upgrade")]))

    called, sent = [], []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        called.append(scope)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    for policy in POLICIES:
        guarded = Guard(SCHEME, KEY, **policy).asgi(app)
        asyncio.run(guarded(scope_for(Sent(path="/admin"), "websocket"), None, send))
    assert (called, sent) == ([], ["websocket.close"] * len(POLICIES))


@pytest.mark.parametrize("path", ["/sub/b", "/raw", "/docs", "/openapi.json", "/static/x.txt"])
def test_b8_what_no_router_guards(call: Call, path: str) -> None:
    """A dependency of a router covers its endpoints; the middleware covers mounts, files and pages of the framework."""
    policies = [policy for policy in POLICIES if not (path.startswith("/static/") and policy.get("exempt"))]
    assert_no_way_in(call, Sent(path=path), policies)


def test_b9_a_body_without_a_length(call: Call) -> None:
    guard = Guard(IN_BODY, KEY)
    kind = [("Content-Type", "application/json")]
    good, bad = (json.dumps({"user": "bob", "sig": signature(user)}).encode() for user in ("bob", "alice"))
    accepted, refused = (call(guard, Sent("POST", headers=kind, body=body, chunked=True)) for body in (good, bad))

    assert (refused.status, refused.seen) == (401, [])
    assert (dict(accepted.verdict.ids), accepted.app_body) == ({"user": "bob"}, good)


def test_b10_a_prefix_that_is_cut_off_inside_a_segment(call: Call) -> None:
    assert_no_way_in(call, Sent(path="admin", root="/api", raw_path="/apiadmin"))
    assert_no_way_in(call, Sent(path="/apiadmin", root="/api"), [{}, {"exempt": EXEMPT}])


def test_cve_2015_0219_an_underscore_for_a_hyphen(call: Call) -> None:
    sig = ("X-Signature", signature("alice"))
    for headers in ([("X-User", "alice"), ("X_User", "bob")], [("X_User", "bob"), ("X-User", "alice")]):
        reply = ask(call, Sent(headers=[*headers, sig]))

        assert (reply.status, reply.seen) == (401, [])


@pytest.mark.parametrize(
    "query",
    [
        f"user=alice;user=bob&sig={signature('alice')}",
        f"user=bob;user=alice&sig={signature('alice')}",
        f"x=1;{ALICE}",
    ],
)
def test_cve_2021_23336_a_semicolon_between_parameters(call: Call, query: str) -> None:
    assert_no_way_in(call, Sent(path="/admin", query=query))


MARKERS: Headers = [
    ("X-Middleware-Subrequest", "middleware:middleware:middleware:middleware:middleware"),
    ("Hmac-Guard", "verified"),
    ("Hmac_Guard", "verified"),
    ("Hmac-Guard:Issuer", "verified"),
    ("X-Hmac-Guard", "verified"),
]


@pytest.mark.parametrize("header", MARKERS, ids=lambda header: header[0])
def test_cve_2025_29927_a_header_that_says_it_was_checked(call: Call, header: tuple[str, str]) -> None:
    assert_no_way_in(call, Sent(path="/admin", headers=[header]))


@pytest.mark.parametrize("host", ["h/health?x=", "h/health#", "h/static/x?", "/health", "h\\health"])
def test_cve_2026_48710_a_bad_host(call: Call, host: str) -> None:
    assert_no_way_in(call, Sent(path="/admin", headers=[("Host", host)]))


@pytest.mark.parametrize("query", ["/health", "x=/health", "/static/", "x=/static/x.txt"])
def test_ghsa_7rh7_c77v_6434_an_exempt_path_in_the_query(call: Call, query: str) -> None:
    assert_no_way_in(call, Sent(path="/admin", query=query))


@pytest.mark.parametrize(
    "path", ["/health#", "/health#/admin", "/health#/../admin", "/admin#/health", "/admin%23/health", "/admin#/static/"]
)
def test_ghsa_pxq7_h93f_9jrg_an_exempt_path_in_a_fragment(call: Call, path: str) -> None:
    assert_no_way_in(call, Sent(path=path), [{}, {"exempt": EXEMPT}])


@pytest.mark.parametrize(
    "name", ["X-Forwarded-Uri", "X-Original-URL", "X-Rewrite-URL", "X-Original-URI", "X-Forwarded-Prefix", "PATH_INFO"]
)
def test_ghsa_7x63_xv5r_3p2x_an_exempt_path_in_a_header(call: Call, name: str) -> None:
    assert_no_way_in(call, Sent(path="/admin", headers=[(name, "/health")]))


def test_werkzeug_2350_a_pattern_that_ignores_a_newline(call: Call) -> None:
    assert_no_way_in(call, Sent(path="/health\n", raw_path="/health%0A"), [{}, {"exempt": EXEMPT}])
    for user in ("alice", "alice\n"):
        reply = ask(call, Sent(path="/users/alice\n", headers=[("X-Signature", signature(user))]))

        assert (reply.status, reply.seen) == (401, [])


IN_BASE64 = SCHEME.replace(encoding="base64url")


def in_base64(user: str) -> str:
    digest = hmac.digest(KEY.encode(), user.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def test_jwt_go_215_a_last_character_with_ignored_bits(call: Call) -> None:
    good = in_base64("alice")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    decoded = base64.urlsafe_b64decode(good + "=")
    others = [
        good[:-1] + last
        for last in alphabet
        if last != good[-1] and base64.urlsafe_b64decode(good[:-1] + last + "=") == decoded
    ]

    assert len(others) == 3
    for spelling, status in [(good, 200), *((other, 401) for other in others)]:
        assert call(Guard(IN_BASE64, KEY), Sent(query=f"user=alice&sig={spelling}")).status == status


def test_joserfc_51_a_base64_that_is_not_canonical(call: Call) -> None:
    user = next(user for user in map(str, range(100)) if {"-", "_"} <= set(in_base64(user)))
    good = in_base64(user)
    other_alphabet = good.replace("-", "%2B").replace("_", "/")
    broken = good[:9] + "." + good[9:], good[:9] + "%20" + good[9:], good[:9] + "%0A" + good[9:]

    assert call(Guard(IN_BASE64, KEY), Sent(query=f"user={user}&sig={good}")).status == 200
    for spelling in [good + "=", good + "==", "%20" + good, good + "%0A", *broken, other_alphabet]:
        reply = call(Guard(IN_BASE64, KEY), Sent(query=f"user={user}&sig={spelling}"))

        assert (reply.status, reply.seen) == (401, [])


def test_django_36399_cookies_in_two_headers(call: Call) -> None:
    """The application gets them as one, so that Django reads the same as the guard."""
    crumbs = [("Cookie", "a=1"), ("Cookie", "user=alice"), ("X-Signature", signature("alice"))]
    reply = ask(call, Sent(headers=crumbs))
    twice = ask(call, Sent(headers=[*crumbs, ("Cookie", "user=bob")]))

    assert dict(reply.verdict.ids) == {"user": "alice"}
    assert (twice.status, twice.seen) == (401, [])

    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(value for name, value in scope["headers"] if name == b"cookie")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    asyncio.run(ask_app(Guard(SCHEME, KEY).asgi(app), Sent(headers=crumbs)))
    assert seen == [b"a=1; user=alice"]


def test_uvicorn_2167_a_verdict_does_not_reach_another_request(call: Call) -> None:
    """Context variables can outlive a request on a persistent connection. No verdict is in them."""
    guard = Guard(SCHEME, KEY, mode="report")
    before = list(copy_context().items())
    proven = call(guard, Sent(query=ALICE))
    after = call(guard, Sent())

    assert dict(proven.verdict.ids) == {"user": "alice"}
    assert (after.verdict.reason, dict(after.verdict.ids)) == (Reason.MISSING_ID, {})
    assert list(copy_context().items()) == before


def test_gunicorn_2650_a_script_name_in_a_header(call: Call) -> None:
    """gunicorn removes the value of the header from the path. The guard uses the rest."""
    header = [("SCRIPT_NAME", "/removed")]
    assert_no_way_in(call, Sent(path="/admin", root="/removed", headers=header, raw_path="/removed/admin"))
    assert_no_way_in(call, Sent(path="/admin", root="/health", headers=header, raw_path="/health/admin"))


def test_gunicorn_2799_two_spellings_of_one_header(call: Call) -> None:
    """One server merges them into `alice,bob`, another passes both: neither is a valid id."""
    sig = ("X-Signature", signature("alice"))
    for headers in (
        [("X-User", "alice"), ("X-User", "bob")],
        [("X-User", "alice,bob")],
        [("X-User", "alice"), ("X_User", "alice")],
        [("X-User", ",alice")],
    ):
        reply = ask(call, Sent(headers=[*headers, sig]))

        assert (reply.status, reply.seen) == (401, [])
