"""Which requests are checked, in which mode, and with which verdict the application is called."""

import inspect
from typing import Any
from unittest import mock

import pytest
from support import Call, Sent, environ_for
from werkzeug.test import run_wsgi_app

from hmac_guard import (
    Claim,
    ConfigError,
    Guard,
    Header,
    Json,
    Key,
    Keyring,
    KeysUnavailable,
    Query,
    Reason,
    Scheme,
    Verdict,
    verdict_from,
)
from hmac_guard.decider import Decider, decider_of
from hmac_guard.guard import Mode
from hmac_guard.keys.resolver import Keys

KEY = "a key that is long enough"
SCHEME = Scheme(
    name="inbox",
    ids={"user": Query("user")},
    message="{user}",
    signature=Query("sig"),
    tenant=Header("X-Tenant"),
)
GOOD = f"user=u&sig={SCHEME.sign(KEY, user='u')}"
EXEMPT = ("/health", "/static/")


@pytest.mark.parametrize("path", ["/health", "/static/", "/static/a/b.css", "/static/größe"])
def test_an_exempt_path_is_not_checked(call: Call, path: str) -> None:
    reply = call(Guard(SCHEME, KEY, exempt=EXEMPT), Sent(path=path.encode().decode("latin-1")))

    assert reply.verdict == Verdict(Reason.EXEMPT, "inbox")
    assert not reply.verdict


BODILESS_FORGED = Sent(path="/health", query=GOOD[:-1] + "!", headers=[("X-Tenant", "acme")])


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ({"exempt": ("/health",)}, Reason.EXEMPT),
        ({"only": ("/inbox/",)}, Reason.EXEMPT),
        ({"mode": "off"}, Reason.OFF),
        ({"mode": "report"}, Reason.INVALID_SIGNATURE),
    ],
    ids=["exempt", "only", "off", "report"],
)
def test_a_plain_request_is_not_read_more_than_others(call: Call, policy: dict[str, Any], reason: Reason) -> None:
    reply = call(Guard(SCHEME, KEY, **policy), BODILESS_FORGED)

    assert (reply.status, reply.verdict.reason) == (200, reason)


def decider(**options: Any) -> Decider:
    return decider_of("test", Guard(SCHEME, KEY, **options))


def test_a_guard_cannot_be_subclassed() -> None:
    with pytest.raises(TypeError, match="wrap it"):
        type("Lenient", (Guard,), {})


def test_a_guard_can_be_mocked_and_inspected_although_it_is_not_callable() -> None:
    guard: Any = Guard(SCHEME, KEY)

    assert mock.create_autospec(guard).scheme is not None
    assert mock.Mock(spec=guard, annotate_as="hmac_guard").annotate_as == "hmac_guard"
    assert "mode" in dict(inspect.getmembers(guard))
    with pytest.raises(ConfigError, match="not a middleware"):
        list(inspect.signature(guard).parameters)
    assert "_NoSignature" in repr(inspect.signature(guard))


ODD_PATHS = [
    "/health/",
    "/health\n",
    "/HEALTH",
    "/health;x",
    "/health%2f..",
    "//health",
    "/./health",
    "/x/../health",
    "health",
    "http://h/health",
    "*",
    "",
    "/static",
    "/staticx",
    "/static/../admin",
    "/static/./admin",
    "/static//admin",
    "/static/..",
    "/static/\\admin",
    "/static/%2e%2e%2fadmin",
    "/static/%5Cadmin",
    "/static/\x00",
    "/static/\x7f",
    "/static/\xff",
    "/static/a;b",
    "/",
]


@pytest.mark.parametrize("path", ODD_PATHS, ids=repr)
def test_a_path_that_only_looks_exempt_is_guarded(call: Call, path: str) -> None:
    reply = call(Guard(SCHEME, KEY, exempt=EXEMPT), Sent(path=path))

    assert (reply.status, reply.seen) == (401, [])


def test_the_whole_site_is_never_exempt(call: Call) -> None:
    guard = Guard(SCHEME, KEY, exempt=("/",))

    assert call(guard, Sent(path="/")).verdict.reason is Reason.EXEMPT
    assert call(guard, Sent(path="/admin")).status == 401


@pytest.mark.parametrize(
    "path",
    [
        "/inbox",
        "/inbox/",
        "/inbox/a",
        "/exact",
        "/exact/",
        "/x/inbox/",
        "/x/inbox",
        "/x/inbox/a",
        "/x/exact",
        "/x/exact/",
    ],
)
def test_only_guards_its_paths_with_and_without_the_last_slash(call: Call, path: str) -> None:
    assert call(Guard(SCHEME, KEY, only=("/inbox/", "/exact")), Sent(path=path)).status == 401


@pytest.mark.parametrize("path", ["/", "/other", "/inboxes", "/exact/x", "/xinbox/a", "/inbox.html"])
def test_only_leaves_other_canonical_paths_alone(call: Call, path: str) -> None:
    reply = call(Guard(SCHEME, KEY, only=("/inbox/", "/exact")), Sent(path=path))

    assert reply.verdict.reason is Reason.EXEMPT


@pytest.mark.parametrize(
    "path", ["//inbox/a", "/./inbox", "/x/../inbox", "/inbox\n", "inbox", "/\xff", "/%2finbox"], ids=repr
)
def test_only_guards_every_noncanonical_path(call: Call, path: str) -> None:
    assert call(Guard(SCHEME, KEY, only=("/inbox/",)), Sent(path=path)).status == 401


def test_a_path_to_be_guarded_may_end_in_any_letter(call: Call) -> None:
    guard = Guard(SCHEME, KEY, only=("/indeX",))

    assert [call(guard, Sent(path=path)).status for path in ("/indeX", "/indeX/", "/inde", "/inde/")] == [
        *(401, 401),
        *(200, 200),
    ]


def test_exempt_wins_over_only(call: Call) -> None:
    guard = Guard(SCHEME, KEY, only=("/inbox/",), exempt=("/inbox/logo.png",))

    assert call(guard, Sent(path="/inbox/logo.png")).verdict.reason is Reason.EXEMPT
    assert call(guard, Sent(path="/inbox/logo.png/")).status == 401


@pytest.mark.parametrize(
    ("start", "fixed", "skips"),
    [
        ("/health", True, True),
        ("/healthy", True, False),
        ("/static/a", True, True),
        ("/static/", False, True),
        ("/static/a", False, True),
        ("/stat", False, True),
        ("/heal", False, True),
        ("/inbox/", False, False),
        ("/inbox/", True, False),
    ],
)
def test_a_route_that_exempt_may_skip_is_listed(start: str, fixed: bool, skips: bool) -> None:
    assert decider(exempt=EXEMPT).may_skip(start, fixed=fixed) is skips


@pytest.mark.parametrize(
    ("start", "skips"), [("/inbox/", False), ("/inbox/a", False), ("/in", True), ("/other/", True)]
)
def test_a_route_that_only_may_skip_is_listed(start: str, skips: bool) -> None:
    assert decider(only=("/inbox/",)).may_skip(start, fixed=False) is skips


def test_a_guard_that_is_off_may_skip_anything() -> None:
    for fixed in (True, False):
        assert decider(mode="off").may_skip("/inbox/", fixed=fixed)
        assert not decider(mode="report").may_skip("/inbox/", fixed=fixed)


def test_a_guard_for_a_route_ignores_only_and_exempt(call: Call) -> None:
    for only, exempt in ((("/other",), ()), ((), ("/",))):
        guard = Guard(SCHEME, KEY, only=only, exempt=exempt, annotate_as="signed")
        bound = guard.for_route()

        assert call(guard, Sent()).status == 200
        for method in ("GET", "OPTIONS"):
            assert call(bound, Sent(method)).status == 401
            assert call(bound, Sent(method, query=GOOD)).status == 200
        assert (bound.annotate_as, bound.keys) == ("signed", guard.keys)


def test_a_guard_for_a_route_that_is_off_looks_up_no_keys(call: Call) -> None:
    def keys(claim: Any) -> Any:
        raise KeysUnavailable

    bound = Guard(SCHEME, keys, mode="off", only=("/other",)).for_route()

    assert call(bound, Sent(query=GOOD)).verdict.reason is Reason.OFF


PREFLIGHT = [("Origin", "https://app.example"), ("Access-Control-Request-Method", "POST")]


def test_a_preflight_passes_unverified(call: Call) -> None:
    reply = call(Guard(SCHEME, KEY), Sent("OPTIONS", headers=[*PREFLIGHT, ("Content-Type", "")]))
    assert reply.verdict.reason is Reason.PREFLIGHT

    reply = call(Guard(SCHEME, KEY), Sent("OPTIONS", headers=PREFLIGHT))

    assert reply.verdict == Verdict(Reason.PREFLIGHT, "inbox")
    assert not reply.verdict


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("OPTIONS", []),
        ("OPTIONS", PREFLIGHT[:1]),
        ("OPTIONS", PREFLIGHT[1:]),
        ("options", PREFLIGHT),
        ("GET", PREFLIGHT),
    ],
    ids=repr,
)
def test_a_request_that_is_not_exactly_a_preflight_is_guarded(call: Call, method: str, headers: Any) -> None:
    assert call(Guard(SCHEME, KEY), Sent(method, headers=headers)).status == 401
    assert call(Guard(SCHEME, KEY, exempt=["/elsewhere"]), Sent(method, headers=headers)).status == 401


def test_preflights_can_be_guarded(call: Call) -> None:
    assert call(Guard(SCHEME, KEY, preflight=False), Sent("OPTIONS", headers=PREFLIGHT)).status == 401


def overriding(app: Any) -> Any:
    """A middleware that overrides the method, like Rails and some Python middleware."""

    def middleware(environ: Any, start_response: Any) -> Any:
        method = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", environ["REQUEST_METHOD"])
        return app({**environ, "REQUEST_METHOD": method}, start_response)

    return middleware


def test_a_method_override_belongs_outside_the_guard_or_preflights_are_guarded_too() -> None:
    """T064: inside the guard, it would turn a preflight into any method."""
    reached: list[tuple[str, Reason]] = []

    def app(environ: Any, start_response: Any) -> Any:
        reached.append((environ["REQUEST_METHOD"], verdict_from(environ).reason))
        start_response("200 OK", [])
        return []

    sent = Sent("OPTIONS", headers=[*PREFLIGHT, ("X-HTTP-Method-Override", "DELETE")])
    outside = overriding(Guard(SCHEME, KEY).wsgi(app))
    guarding_preflights = Guard(SCHEME, KEY, preflight=False).wsgi(overriding(app))
    inside = Guard(SCHEME, KEY).wsgi(overriding(app))

    assert [run_wsgi_app(each, environ_for(sent))[1][:3] for each in (outside, guarding_preflights)] == ["401", "401"]
    assert reached == []
    assert run_wsgi_app(inside, environ_for(sent))[1] == "200 OK"
    assert reached == [("DELETE", Reason.PREFLIGHT)]


def test_off_does_not_check(call: Call) -> None:
    asked: list[object] = []
    reply = call(Guard(SCHEME, lambda claim: asked.append(claim), mode="off"), Sent(query=GOOD))

    assert reply.verdict == Verdict(Reason.OFF, "inbox")
    assert (bool(reply.verdict), asked) == (False, [])


RINGS = {
    "strict": Keyring(KEY, mode="enforce"),
    "trying": Keyring(f"{KEY} of trying", mode="report"),
    "absent": Keyring(f"{KEY} of absent", mode="off"),
    "plain": Keyring(f"{KEY} of plain"),
}


@pytest.mark.parametrize(("tenant", "status"), [("strict", 401), ("trying", 200), ("absent", 200), ("plain", 401)])
@pytest.mark.parametrize(
    "query", ["user=u&sig=0", "user=u", "", "user=u&user=u"], ids=["wrong", "none", "nothing", "twice"]
)
def test_a_tenant_may_have_its_own_mode(call: Call, tenant: str, status: int, query: str) -> None:
    reply = call(Guard(SCHEME, RINGS), Sent(query=query, headers=[("X-Tenant", tenant)]))

    assert reply.status == status
    if tenant == "absent":
        assert reply.verdict.reason is Reason.OFF


def test_on_verdict_is_not_called_for_a_tenant_that_is_not_checked(call: Call) -> None:
    seen: list[str | None] = []
    guard = Guard(SCHEME, RINGS, on_verdict=lambda verdict, claim: seen.append(claim.tenant))
    for tenant in RINGS:
        call(guard, Sent(query="user=u&sig=0", headers=[("X-Tenant", tenant)]))

    assert seen == ["strict", "trying", "plain"]


LESS_STRICT = [
    *(("enforce", "strict", 401), ("enforce", "trying", 200), ("enforce", "absent", 200), ("enforce", "plain", 401)),
    *(("report", "strict", 200), ("report", "trying", 200), ("report", "absent", 200), ("report", "plain", 200)),
    *(("off", tenant, 200) for tenant in ("strict", "trying", "absent", "plain")),
]


@pytest.mark.parametrize(("mode", "tenant", "status"), LESS_STRICT)
def test_the_less_strict_mode_applies(
    call: Call, caplog: pytest.LogCaptureFixture, mode: Mode, tenant: str, status: int
) -> None:
    def rings(claim: Claim) -> Keyring | None:
        return RINGS.get(claim.tenant or "")

    rings.per_tenant = True  # type: ignore[attr-defined]
    guard = Guard(SCHEME, rings, mode=mode)
    replies = [call(guard, Sent(headers=[("X-Tenant", tenant)])) for _ in range(2)]

    assert [reply.status for reply in replies] == [status, status]
    warned = [message for message in caplog.messages if "the less strict of the two applies" in message]
    assert len(warned) == ((mode, tenant) == ("report", "strict"))


@pytest.mark.parametrize(
    ("media_type", "body", "status"),
    [
        ("application/json", b"", 200),
        ("application/json", b'{"tenant": "strict"}', 401),
        ("application/json", b" " * 99, 413),
        ("image/png", b"PNG", 401),
        ("image/png", b"{", 415),
    ],
    ids=["no body", "two tenants", "too large", "an upload", "an upload that begins as JSON"],
)
@pytest.mark.parametrize("tenant", ["trying", "absent"])
def test_the_mode_of_a_tenant_applies_only_to_completely_read_requests(
    call: Call, tenant: str, media_type: str, body: bytes, status: int
) -> None:
    """Otherwise a client could name a tenant in "report", and another one in a body that the guard does not read."""
    scheme = SCHEME.replace(tenant=Header("X-Tenant") | Json("/tenant"))
    headers = [("X-Tenant", tenant), ("Content-Type", media_type)]

    assert (
        call(Guard(scheme, RINGS, max_body=60), Sent("POST", query="user=u&sig=0", headers=headers, body=body)).status
        == status
    )


@pytest.mark.parametrize("mode", ["report", "off"])
def test_a_mode_of_a_tenant_applies_only_with_keys_by_tenant(
    call: Call, caplog: pytest.LogCaptureFixture, mode: Mode
) -> None:
    guard = Guard(SCHEME, lambda claim: Keyring(KEY, mode=mode))
    replies = [call(guard, Sent(headers=[("X-Tenant", "acme")])) for _ in range(2)]

    assert [reply.status for reply in replies] == [401, 401]
    assert len([message for message in caplog.messages if "so the mode does not count" in message]) == 1


def test_claimed_is_empty_if_the_request_is_refused(call: Call) -> None:
    decided: list[Verdict] = []
    call(Guard(SCHEME, KEY, on_verdict=lambda verdict, claim: decided.append(verdict)), Sent(query="user=u&sig=0"))

    [verdict] = decided
    assert (verdict.claimed, verdict.claimed_tenant) == ({}, None)


@pytest.mark.parametrize(("media_type", "body", "tenant"), [("", b"", "plain"), ("image/png", b"PNG", None)])
def test_a_claimed_tenant_was_read_completely(call: Call, media_type: str, body: bytes, tenant: str | None) -> None:
    scheme = SCHEME.replace(tenant=Header("X-Tenant") | Json("/tenant"))
    headers = [("X-Tenant", "plain"), ("Content-Type", media_type)]
    guard = Guard(scheme, {"plain": Keyring(KEY)}, mode="report")
    reply = call(guard, Sent("POST", query="user=u&sig=0", headers=headers, body=body))

    assert (reply.verdict.claimed, reply.verdict.claimed_tenant) == ({"user": "u"}, tenant)


@pytest.mark.parametrize(
    "more",
    [("Cookie", "a=b"), ("Authorization", "Basic x"), ("Content-Length", "1"), ("Content-Type", "application/json")],
    ids=["Cookie", "Authorization", "Content-Length", "Content-Type"],
)
def test_a_browser_sends_no_preflight_with_credentials_or_a_body(call: Call, more: tuple[str, str]) -> None:
    headers = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "GET")]

    assert call(Guard(SCHEME, KEY), Sent("OPTIONS", headers=headers)).status == 200
    assert call(Guard(SCHEME, KEY), Sent("OPTIONS", headers=[*headers, more])).status == 401


def test_a_preflight_may_have_the_type_that_wsgiref_gives_it(call: Call) -> None:
    assert call(Guard(SCHEME, KEY), Sent("OPTIONS", headers=[*PREFLIGHT, ("Content-Type", "text/plain")])).status == 200


def test_a_preflight_may_have_an_empty_cookie(call: Call) -> None:
    """Django's test client sends one with each request."""
    headers = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "GET"), ("Cookie", "")]

    assert call(Guard(SCHEME, KEY), Sent("OPTIONS", headers=headers)).status == 200


@pytest.mark.parametrize(("query", "status"), [("user=u", 401), (GOOD, 503)], ids=["unsigned", "signed"])
def test_the_mode_of_the_guard_applies_if_the_mode_of_the_tenant_cannot_be_read(
    call: Call, query: str, status: int
) -> None:
    def away(claim: Any) -> Any:
        raise KeysUnavailable

    reply = call(Guard(SCHEME, away), Sent(query=query, headers=[("X-Tenant", "trying")]))
    reported = call(Guard(SCHEME, away, mode="report"), Sent(query=query, headers=[("X-Tenant", "trying")]))

    assert (reply.status, reported.status) == (status, 200)


def test_the_tenant_is_verified_with_its_key(call: Call) -> None:
    keys: Keys = {
        "acme": [Key("the current key, 32 bytes long ..", id="2026"), Key(KEY, id="2025")],
        "other": KEY[::-1],
    }
    guard = Guard(SCHEME, keys)
    verdict = call(guard, Sent(query=GOOD, headers=[("X-Tenant", "acme")])).verdict

    assert (verdict.tenant, verdict.key_id, verdict.scheme) == ("acme", "2025", "inbox")
    assert call(guard, Sent(query=GOOD, headers=[("X-Tenant", "other")])).status == 401


def test_the_tenant_is_not_read_without_keys_by_tenant(call: Call) -> None:
    reply = call(Guard(SCHEME, KEY), Sent(query=GOOD, headers=[("X-Tenant", "a"), ("X-Tenant", "b")]))

    assert (reply.verdict.verified, reply.verdict.tenant) == (True, None)


def test_an_unused_tenant_is_not_read_from_an_encoded_request(call: Call) -> None:
    query = f"user=%75&sig={SCHEME.sign(KEY, user='u')}"
    reply = call(Guard(SCHEME, KEY), Sent(query=query, headers=[("X-Tenant", "a"), ("X-Tenant", "b")]))

    assert (reply.status, reply.verdict.tenant) == (200, None)


def test_two_guards_annotate_under_two_names(call: Call) -> None:
    seen: list[Any] = []
    inner = Guard(SCHEME, KEY, annotate_as="inner")
    outer = Guard(SCHEME, KEY[::-1], mode="report")
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": GOOD}

    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.extend([verdict_from(environ), verdict_from(environ, "inner")])
        return []

    outer.wsgi(inner.wsgi(app))(environ, lambda *_: None)  # type: ignore[arg-type]

    assert [verdict.verified for verdict in seen] == [False, True]


def test_an_existing_value_under_the_name_is_not_a_verdict() -> None:
    for found in ("verified", {"verified": True}, ("verified",), None):
        with pytest.raises(LookupError, match="no guard annotated"):
            verdict_from({"hmac_guard": found})
    with pytest.raises(LookupError):
        verdict_from(object())


def test_an_environment_variable_is_not_accepted_as_a_verdict() -> None:
    """wsgiref and granian copy the process environment into the environ (T070)."""
    seen: list[Any] = []
    guard = Guard(SCHEME, KEY, mode="report")
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "hmac_guard": "verified"}

    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(verdict_from(environ))
        return []

    guard.wsgi(app)(environ, lambda *_: None)  # type: ignore[arg-type]

    assert [verdict.reason for verdict in seen] == [Reason.MISSING_ID]


def test_the_clock_decides_which_keys_are_active(call: Call) -> None:
    now = [100.0]
    keys = [Key("the current key, 32 bytes long ..", not_before=150), Key(KEY, id="old", not_after=200)]
    guard = Guard(SCHEME, keys, clock=lambda: now[0])
    replies = {}
    for now[0] in (100.0, 200.0, 200.1):
        replies[now[0]] = call(guard, Sent(query=GOOD)).status

    assert replies == {100.0: 200, 200.0: 200, 200.1: 401}


def test_an_expired_keyring_counts_as_an_unknown_tenant(call: Call) -> None:
    reasons: list[Reason] = []
    guard = Guard(SCHEME, Key(KEY, not_after=1), on_verdict=lambda verdict, claim: reasons.append(verdict.reason))

    assert call(guard, Sent(query=GOOD)).status == 401
    assert reasons == [Reason.UNKNOWN_KEY]
