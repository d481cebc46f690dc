"""The arguments of `on_decision`, the verdicts in report mode, and the pinned public names."""

import copy
import importlib
import logging
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from support import Call, Sent

from hmac_guard import Claim, Decision, Form, Guard, Header, Json, Keyring, KeysUnavailable, Path, Query, Reason, Scheme
from hmac_guard.core.encodings import Encoding
from hmac_guard.guard import Mode

KEY = "a key that is long enough"
SCHEME = Scheme(
    name="inbox",
    ids={"org": Query("org") | Json("/org") | Form("org"), "user": Query("user")},
    message="{org}:{user}",
    signature=Query("sig"),
    tenant=Header("X-Tenant"),
)
GOOD = f"org=o&user=u&sig={SCHEME.sign(KEY, org='o', user='u')}"
ACME = [("X-Tenant", "acme")]
PREFLIGHT = [("Origin", "https://app.example"), ("Access-Control-Request-Method", "POST")]


def decision_of(call: Call, keys: Any, sent: Sent, **options: Any) -> Decision:
    decisions: list[Decision] = []
    call(Guard(SCHEME, keys, on_decision=decisions.append, **options), sent)
    [decision] = decisions
    return decision


CASES: dict[str, tuple[Sent, dict[str, Any], Reason, str, bool]] = {
    "verified": (Sent(query=GOOD), {}, Reason.VERIFIED, "enforce", False),
    "refused": (Sent(query="org=o"), {}, Reason.MISSING_ID, "enforce", True),
    "report": (Sent(query="org=o"), {"mode": "report"}, Reason.MISSING_ID, "report", False),
    "exempt": (Sent(), {"exempt": ("/",)}, Reason.EXEMPT, "enforce", False),
    "preflight": (Sent("OPTIONS", headers=PREFLIGHT), {}, Reason.PREFLIGHT, "enforce", False),
    "off": (Sent(query=GOOD), {"mode": "off"}, Reason.OFF, "off", False),
}


@pytest.mark.parametrize("case", list(CASES))
def test_on_decision_is_called_once_for_each_decision(call: Call, case: str) -> None:
    sent, options, reason, mode, refused = CASES[case]
    decision = decision_of(call, KEY, sent, **options)

    assert (decision.verdict.reason, decision.mode, decision.refused) == (reason, mode, refused)
    assert 0 < decision.seconds < 5
    skipped = reason in (Reason.EXEMPT, Reason.PREFLIGHT, Reason.OFF)
    assert (decision.claim is None) is skipped
    if decision.claim is not None:
        assert (decision.claim.method, decision.claim.path, decision.claim.ids["org"]) == ("GET", "/", "o")


COPIED: dict[str, Callable[[Decision], Decision]] = {
    "pickle": lambda decision: pickle.loads(pickle.dumps(decision)),
    "the oldest pickle": lambda decision: pickle.loads(pickle.dumps(decision, 0)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("copied", COPIED.values(), ids=COPIED)
@pytest.mark.parametrize("case", list(CASES))
def test_a_decision_can_be_pickled_and_copied(call: Call, case: str, copied: Callable[[Decision], Decision]) -> None:
    sent, options, *_ = CASES[case]
    decision = decision_of(call, KEY, sent, **options)
    same = copied(decision)

    assert same._replace(claim=None) == decision._replace(claim=None)
    assert repr(same) == repr(decision)
    assert [type(each) for each in same.verdict] == [type(each) for each in decision.verdict]
    with pytest.raises(KeyError, match="none'$" if same.verdict else "this request is not verified"):
        same.verdict.ids["none"]
    if same.claim and decision.claim:
        fields = Claim.__match_args__
        assert [getattr(same.claim, name) for name in fields] == [getattr(decision.claim, name) for name in fields]
        assert type(same.claim.ids) is type(decision.claim.ids)


@pytest.mark.parametrize("mode", ["report", "off"])
def test_a_decision_has_the_mode_that_applied(call: Call, mode: Mode) -> None:
    decision = decision_of(call, {"acme": Keyring(KEY, mode=mode)}, Sent(query="org=o", headers=ACME))

    assert (decision.mode, decision.refused, decision.claim is not None) == (mode, False, True)


def test_a_broken_on_decision_changes_nothing(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    def broken(decision: Decision) -> None:
        raise RuntimeError(KEY)

    assert call(Guard(SCHEME, KEY, on_decision=broken), Sent(query=GOOD)).status == 200
    assert "on_decision failed, the verdict stands: builtins.RuntimeError" in caplog.text
    assert KEY not in caplog.text


def test_the_log_line_has_its_parts_as_attributes(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    call(Guard(SCHEME, {"acme": KEY}), Sent(path="/a\n\xc3\xa9" + "x" * 300, query="org=o&org=p&user=u", headers=ACME))
    [record] = caplog.records

    assert isinstance(record, logging.LogRecord)
    assert (
        vars(record).items()
        >= {
            "reason": "duplicate",
            "detail": "the id 'org': the query parameter 'org' is there more than once; send it once",
            "method": "GET",
            "path": ("/a\\n\\xe9" + "x" * 300)[:200],
            "scheme": "inbox",
            "tenant": "acme",
        }.items()
    )
    assert "?" not in record.getMessage()


@pytest.mark.parametrize("encoding", ["hex", "base64url"])
@pytest.mark.parametrize("rest", ["", "/", ";v=1", "/more", "%2f", "//x"])
def test_a_signature_in_the_path_is_neither_logged_nor_given_to_callbacks(
    call: Call, caplog: pytest.LogCaptureFixture, encoding: Encoding, rest: str
) -> None:
    place = Path("/files/{file}/{signature}")
    scheme = Scheme(name="files", ids={"file": place}, message="{file}", signature=place, encoding=encoding)
    seen: list[str] = []

    def keys(claim: Claim) -> str:
        seen.append(claim.path)
        return KEY if claim.ids.get("file") == "a" else "another key, long enough"

    guard = Guard(scheme, keys, on_verdict=lambda verdict, claim: seen.append(claim.path))
    for name in ("a", "0", "1"):
        signature = scheme.sign(KEY, file=name)
        call(guard, Sent(path=f"/files/{name}/{signature}{rest}"))
        call(guard, Sent(path=f"/v1/files/{name}/{signature.upper()}{rest}"))
        for text in (*seen, *caplog.messages, *(str(vars(record)["path"]) for record in caplog.records)):
            assert "<signature>" in text
            assert signature[:20] not in text
            assert signature.upper()[:20] not in text
    assert len(seen) >= 6


def test_a_path_is_logged_whole_if_the_signature_is_elsewhere(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    call(Guard(SCHEME, KEY), Sent(path="/" + "x" * 64))

    assert "x" * 64 in caplog.text


def test_unavailable_keys_are_not_logged_for_each_request(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    def away(claim: Claim) -> Any:
        raise KeysUnavailable

    guard = Guard(SCHEME, away)
    assert [call(guard, Sent(query=GOOD)).status for _ in range(5)] == [503] * 5

    assert [message.partition(":")[0] for message in caplog.messages] == ["the key resolver failed"]


def test_the_recovery_of_a_source_is_logged(
    call: Call, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hmac_guard.log.RECOVERED_AFTER", 0.0)
    failing = [True]

    def keys(claim: Claim) -> Any:
        if failing:
            raise KeysUnavailable
        return KEY

    guard = Guard(SCHEME.replace(tenant=None), keys)
    call(guard, Sent(query=GOOD))
    failing.clear()
    assert call(guard, Sent(query=GOOD)).status == 200

    assert caplog.messages[-1].startswith("the key resolver works again; it failed 1 times in ")


CLAIMED: dict[str, tuple[Sent, dict[str, str]]] = {
    "nothing is signed": (Sent(query="org=o&user=u"), {"org": "o", "user": "u"}),
    "another id is there twice": (Sent(query="org=o&user=u&user=v"), {"org": "o"}),
    "another id is not valid": (Sent(query="org=o&user=%00"), {"org": "o"}),
    "another id is missing": (Sent(query="user=u"), {"user": "u"}),
    "the signature is there twice": (Sent(query=f"{GOOD}&sig=0"), {"org": "o", "user": "u"}),
    "an id is in two places": (
        Sent("POST", query="org=o&user=u", headers=[("Content-Type", "application/json")], body=b'{"org": "p"}'),
        {"user": "u"},
    ),
    "an id is in a truncated body": (
        Sent(
            "POST",
            query="user=u",
            headers=[("Content-Type", "application/json"), ("Content-Length", "99")],
            body=b'{"org": "o"}',
        ),
        {"user": "u"},
    ),
    "an id is in a body": (
        Sent("POST", query="user=u", headers=[("Content-Type", "application/json")], body=b'{"org": "o"}'),
        {"org": "o", "user": "u"},
    ),
}


@pytest.mark.parametrize("case", list(CLAIMED))
def test_report_mode_has_claimed_ids(call: Call, case: str) -> None:
    sent, claimed = CLAIMED[case]
    reported = call(Guard(SCHEME, KEY, mode="report"), sent).verdict

    assert (dict(reported.claimed), dict(reported.ids), bool(reported)) == (claimed, {}, False)
    assert call(Guard(SCHEME, KEY), sent).seen == []


def test_a_verified_verdict_has_no_claimed_ids(call: Call) -> None:
    for guard in (Guard(SCHEME, KEY), Guard(SCHEME, KEY, mode="report")):
        verdict = call(guard, Sent(query=GOOD)).verdict
        assert (bool(verdict), dict(verdict.claimed), verdict.claimed_tenant) == (True, {}, None)


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"mode": "off"}, Sent(query=GOOD)),
        ({"exempt": ("/",)}, Sent(query=GOOD)),
        ({}, Sent("OPTIONS", query=GOOD, headers=PREFLIGHT)),
    ],
    ids=["off", "exempt", "preflight"],
)
def test_a_skipped_request_has_no_claimed_ids(call: Call, options: dict[str, Any], sent: Sent) -> None:
    verdict = call(Guard(SCHEME, KEY, **options), sent).verdict

    assert (dict(verdict.claimed), verdict.claimed_tenant) == ({}, None)


def test_the_claimed_tenant_is_the_tenant_whose_mode_applied(call: Call) -> None:
    rings = {"acme": Keyring(KEY, mode="report"), "beta": Keyring(KEY + "2"), "gone": Keyring(KEY + "3", mode="off")}
    guard = Guard(SCHEME, rings)
    verdicts = {tenant: call(guard, Sent(query="org=o", headers=[("X-Tenant", tenant)])).seen for tenant in rings}

    assert verdicts["acme"][0][0].claimed_tenant == "acme"
    assert verdicts["beta"] == []
    assert (verdicts["gone"][0][0].claimed_tenant, dict(verdicts["gone"][0][0].claimed)) == (None, {})


def test_an_id_of_an_unverified_verdict_is_a_key_error_that_says_what_to_do(call: Call) -> None:
    ids = call(Guard(SCHEME, KEY, mode="report"), Sent(query="org=o")).verdict.ids

    with pytest.raises(KeyError, match=r"not verified.*verdict\.claimed.*Reason\.OFF"):
        ids["org"]
    assert (ids.get("org"), "org" in ids, len(ids), list(ids)) == (None, False, 0, [])


@pytest.mark.parametrize(
    "headers",
    [
        [*PREFLIGHT, ("Cookie", "a=b")],
        [*PREFLIGHT, ("Authorization", "x")],
        [*PREFLIGHT, ("Content-Length", "1")],
        [*PREFLIGHT, ("Transfer-Encoding", "chunked")],
        [*PREFLIGHT, PREFLIGHT[0]],
        [*PREFLIGHT, PREFLIGHT[1]],
        [("Origin", "https://a.example,https://b.example"), PREFLIGHT[1]],
        [("Origin", " "), PREFLIGHT[1]],
        [PREFLIGHT[0], ("Access-Control-Request-Method", "")],
    ],
    ids=repr,
)
def test_a_preflight_must_have_its_exact_form(call: Call, headers: Any) -> None:
    reply = call(Guard(SCHEME, KEY), Sent("OPTIONS", headers=headers))

    assert (reply.status in (400, 401), reply.seen) == (True, [])


@pytest.mark.parametrize("length", ["", "0"])
def test_a_preflight_may_say_that_it_has_no_body(call: Call, length: str) -> None:
    reply = call(Guard(SCHEME, KEY), Sent("OPTIONS", headers=[*PREFLIGHT, ("Content-Length", length)]))

    assert reply.verdict.reason is Reason.PREFLIGHT


NAMES = {
    "hmac_guard": (
        "Guard Scheme Query Header Cookie Path Json Form Key Keyring Claim Verdict Reason Decision ConfigError "
        "KeysUnavailable WeakKeyWarning verdict_from"
    ),
    "hmac_guard.schemes": "NANGO TERAPI SUPRSEND",
    "hmac_guard.keys": "EnvKeys FileKeys ChainKeys CachedKeys SqlKeys RedisInvalidation VerdictCounts per_tenant",
    "hmac_guard.wsgi": "GuardMiddleware",
    "hmac_guard.asgi": "GuardMiddleware",
    "hmac_guard.flask": "GuardExtension current_verdict uncovered_routes",
    "hmac_guard.fastapi": "GuardSecurity GuardRefused uncovered_routes",
    "hmac_guard.starlette": "uncovered_routes",
    "hmac_guard.django": "GuardMiddleware hmac_guarded uncovered_routes",
    "hmac_guard.django.rest": "GuardAuthentication",
}


@pytest.mark.parametrize("module", list(NAMES))
def test_the_public_names_are_pinned(module: str) -> None:
    framework = module.partition("hmac_guard.")[2].partition(".")[0]
    if framework in ("flask", "fastapi", "starlette", "django"):
        pytest.importorskip(framework, reason=f"not run: {framework} is not installed")
    if module.endswith("rest"):
        pytest.importorskip("rest_framework", reason="not run: Django REST framework is not installed")
        pytest.importorskip("django_settings")
    found = importlib.import_module(module)

    assert [name for name in NAMES[module].split() if not hasattr(found, name)] == []


def test_a_guard_has_only_the_public_attributes() -> None:
    shown = {name for name in dir(Guard(SCHEME, KEY)) if not name.startswith("_")}

    assert shown == {"scheme", "keys", "mode", "annotate_as", "max_body", "asgi", "wsgi", "for_route"}
