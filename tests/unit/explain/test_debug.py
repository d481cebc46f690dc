"""`Guard(..., debug=True)`: the log has the cause, the answer does not, and guards without debug cost nothing."""

import base64
import hashlib
import hmac
import logging
import subprocess
import sys
from typing import Any

import pytest
from support import Call, Sent

from hmac_guard import ConfigError, Guard, Key, Keyring, Query, Scheme, Timestamp
from hmac_guard.explain.debug import DebugWarning
from hmac_guard.schemes import GITHUB, NANGO, SUPRSEND, user_hash

KEY = "the-key-that-signs-all-of-this"


def debugged(keys: Any = KEY, **options: Any) -> Guard:
    with pytest.warns(DebugWarning, match="not for production"):
        return Guard(NANGO, keys, debug=True, **options)


def signed(message: str, key: str = KEY) -> str:
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


@pytest.fixture(autouse=True)
def enough_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hmac_guard.explain.debug._SECONDS", 30)


def finding(caplog: pytest.LogCaptureFixture) -> str:
    [found] = [record.getMessage() for record in caplog.records if record.getMessage().startswith("debug: ")]
    return found


@pytest.mark.without_coverage
@pytest.mark.parametrize(
    ("query", "cause"),
    [
        (f"integration_id=a&connection_id=b&hmac={signed('a:b', KEY + chr(10))}", "a newline at its end"),
        (f"integration_id=a&connection_id=b&hmac={signed('b:a')}", "in another order"),
        ("integration_id=a&connection_id=b", "signature: it is missing"),
        (f"integration_id=a&integration_id=b&connection_id=c&hmac={signed('a:c')}", "is there more than once"),
        (f"integration_id=a%FF&connection_id=b&hmac={signed('a:b')}", "not UTF-8"),
        (f"integration_id=a&connectionId=b&hmac={signed('a:b')}", "connectionId"),
        (f"integration_id=a&connection_id=b&hmac={'0' * 64}", "No known mistake"),
    ],
)
def test_the_log_of_a_refused_request_names_the_cause(
    call: Call, caplog: pytest.LogCaptureFixture, query: str, cause: str
) -> None:
    plain = call(Guard(NANGO, KEY), Sent(query=query))
    guard = debugged()
    caplog.clear()

    reply = call(guard, Sent(query=query))

    assert reply.status == 401
    assert (reply.status, reply.headers, reply.body) == (plain.status, plain.headers, plain.body)
    assert cause in finding(caplog)


def test_a_plain_request_without_a_body_is_explained_too(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    scheme = user_hash(id=Query("user"), signature=Query("hash"))
    with pytest.warns(DebugWarning, match="not for production"):
        guard = Guard(scheme, KEY, debug=True)
    caplog.clear()

    call(guard, Sent(query=f"user=a&hash={signed('a', KEY + chr(10))}"))

    assert "a newline at its end" in finding(caplog)


def test_a_verified_request_is_not_explained(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    guard = debugged()
    caplog.clear()

    reply = call(guard, Sent(query=f"integration_id=a&connection_id=b&hmac={signed('a:b')}"))

    assert reply.verdict.verified
    assert caplog.records == []


def test_a_tenant_without_keys_and_a_keyring_of_several_keys_are_explained(
    call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    guard = debugged({"acme": [KEY, "another-key-of-the-same-keyring"]})
    caplog.clear()
    call(guard, Sent(query=f"integration_id=a&connection_id=b&hmac={signed('a:b')}&public_key=unknown-tenant"))
    assert "The tenant 'unknown-tenant' has no active key" in finding(caplog)

    caplog.clear()
    second = signed("a:b", "another-key-of-the-same-keyring\n")
    call(guard, Sent(query=f"integration_id=a&connection_id=b&hmac={second}&public_key=acme"))
    assert "number 2 of the keyring" in finding(caplog)
    assert "newline" in finding(caplog)


OLD, NEXT = "a-key-that-has-ended-before-this-test", "a-key-that-has-not-begun-in-this-test"
ENDED, NOT_BEGUN = Key(OLD, id="old", not_after=10.0), Key(NEXT, id="next", not_before=4e9)


@pytest.mark.parametrize("keys", [[NOT_BEGUN, ENDED, Key(KEY)], [Key(KEY), ENDED, NOT_BEGUN]], ids=["last", "first"])
@pytest.mark.parametrize(
    ("message", "secret", "cause"),
    [
        ("b:a", KEY, "the ids were signed in another order"),
        ("a:b", OLD, "the previous key (with the id old, which has ended) was used"),
        ("a:b", NEXT, "a key that is not active yet (with the id next) was used"),
    ],
    ids=["active", "ended", "not begun"],
)
def test_the_current_key_is_the_first_active_one(
    call: Call, caplog: pytest.LogCaptureFixture, keys: list[Key], message: str, secret: str, cause: str
) -> None:
    guard = debugged(keys)
    caplog.clear()

    call(guard, Sent(query=f"integration_id=a&connection_id=b&hmac={signed(message, secret)}"))

    assert finding(caplog).startswith(f"debug: Not verified: invalid_signature. Cause: {cause}")


@pytest.mark.parametrize("mode", ["enforce", "report"])
@pytest.mark.parametrize(
    ("secret", "age", "says"),
    [
        (KEY, 1_000, "expired. Cause: the timestamp is 1000 seconds behind the clock here"),
        (KEY, -1_000, "not_yet_valid. Cause: the timestamp is 1000 seconds ahead of the clock here"),
        (OLD, 0, "invalid_signature. Cause: the previous key (with the id old, which has ended) was used"),
        (NEXT, 0, "invalid_signature. Cause: a key that is not active yet (with the id next) was used"),
    ],
    ids=["old", "new", "ended", "not begun"],
)
def test_the_clock_of_the_guard_counts(
    call: Call, caplog: pytest.LogCaptureFixture, mode: Any, secret: str, age: int, says: str
) -> None:
    now = 10_000_000_000
    scheme = Scheme(
        name="dated",
        ids={"user_id": Query("user_id")},
        message="{user_id}.{timestamp}",
        signature=Query("signature"),
        timestamp=Timestamp(Query("timestamp")),
    )
    keys = [Key(OLD, id="old", not_after=now - 1), Key(NEXT, id="next", not_before=now + 1), Key(KEY)]
    with pytest.warns(DebugWarning, match="not for production"):
        guard = Guard(scheme, keys, mode=mode, clock=lambda: now, debug=True)
    caplog.clear()
    signature = scheme.sign(secret, user_id="a", timestamp=now - age)

    call(guard, Sent(query=f"user_id=a&timestamp={now - age}&signature={signature}"))

    assert finding(caplog).startswith(f"debug: Not verified: {says}")


# A refusal is logged with the claimed ids, so no test can send a key there. It can send the decoded bytes of one.
DECODED = bytes(range(40, 72))
CODED, SENT = Key(base64.b64encode(DECODED).decode(), not_after=10.0), DECODED.hex()


@pytest.mark.parametrize(
    "keys", [[ENDED, NOT_BEGUN, CODED], [NOT_BEGUN, CODED, ENDED]], ids=["ended first", "ended last"]
)
@pytest.mark.parametrize(
    ("query", "reason", "says"),
    [
        ("integration_id=a&connection_id=b", "missing_signature", "signature: it is missing; send it in"),
        (f"connection_id=b&hmac={signed('b', OLD)}", "missing_id", "integration_id: it is missing; send it in"),
        ("integration_id=a&integration_id=b&hmac=x", "duplicate", "integration_id: the query parameter"),
        (f"integration_id=a&integration_id=b&hmac={OLD}", "duplicate", "the signature is the key itself"),
        (
            f"integration_id={SENT}&connection_id=b",
            "missing_signature",
            "integration_id: it is a key, and is not shown",
        ),
        (f"integration_id={signed('a:b', OLD)}&connection_id=b&hmac=a&hmac=a", "duplicate", "'hmac' is there more"),
    ],
)
def test_without_an_active_key_another_refusal_is_explained_and_the_signature_is_not(
    call: Call, caplog: pytest.LogCaptureFixture, keys: list[Key], query: str, reason: str, says: str
) -> None:
    guard = debugged({"acme": keys})
    caplog.clear()

    call(guard, Sent(query=f"{query}&public_key=acme"))

    found = finding(caplog)
    assert found.startswith(f"debug: Not verified: {reason}. ")
    assert says in found
    assert found.endswith(" The tenant 'acme' has no active key.")
    assert "No known mistake" not in found
    assert "the signature is right" not in found
    assert OLD not in found
    assert SENT not in found


@pytest.mark.parametrize("query", ["integration_id=a", f"integration_id=a&hmac={'0' * 64}"], ids=["refused", "unknown"])
def test_a_tenant_that_is_an_ended_key_is_not_shown(call: Call, caplog: pytest.LogCaptureFixture, query: str) -> None:
    guard = debugged(lambda claim: Keyring(CODED))
    caplog.clear()

    call(guard, Sent(query=f"{query}&connection_id=b&public_key={SENT}"))

    found = finding(caplog)
    assert SENT not in found
    assert found.endswith(" The guard has no active key.")
    assert ("tenant: it is a key, and is not shown" in found) == ("hmac" not in query)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"acme": KEY}, "The request names no tenant."),
        (Key(KEY, not_after=10.0), "The guard has no active key."),
        (lambda claim: Keyring(Key(KEY, not_after=10.0)), "The guard has no active key."),
    ],
    ids=["no tenant", "an expired key", "an expired key of a resolver"],
)
def test_a_refusal_without_a_tenant_names_none(
    call: Call, caplog: pytest.LogCaptureFixture, keys: Any, sentence: str
) -> None:
    guard = debugged(keys)
    caplog.clear()

    call(guard, Sent(query=f"integration_id=a&connection_id=b&hmac={signed('a:b')}"))

    assert finding(caplog) == f"debug: Not verified: unknown_key. {sentence}"


def test_a_body_over_the_limit_of_the_guard_names_the_option(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.warns(DebugWarning, match="not for production"):
        guard = Guard(GITHUB, KEY, max_body=4, debug=True)
    caplog.clear()
    headers = [("X-Hub-Signature-256", GITHUB.sign(KEY, body=b"12345"))]

    reply = call(guard, Sent("POST", headers=headers, body=b"12345"))

    assert reply.status == 413
    assert finding(caplog) == "debug: Not verified: body_too_large. The body is larger than max_body of the guard."


def test_a_tenant_whose_guard_is_off_is_not_explained(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    guard = debugged({"acme": Keyring(KEY, mode="off")})
    caplog.clear()

    reply = call(guard, Sent(query="integration_id=a&connection_id=b&hmac=x&public_key=acme"))

    assert reply.status == 200
    assert caplog.records == []


def test_report_mode_is_explained_too(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    guard = debugged(mode="report")
    caplog.clear()

    reply = call(guard, Sent(query=f"integration_id=a&connection_id=b&hmac={signed('A:b')}"))

    assert reply.status == 200
    assert "another case" in finding(caplog)


@pytest.mark.without_coverage
def test_nothing_secret_is_logged(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    guard = debugged()
    right = signed("a:b")

    for sent in (right.upper(), right[:-1], f"sha256={right}", f'"{right}"', right + "%20", right + "%zz", right + "ü"):
        call(guard, Sent(query=f"integration_id=a&connection_id=b&hmac={sent}"))

    for secret in (KEY, KEY.encode().hex(), right, right.upper(), right[:16]):
        assert secret not in caplog.text


def test_a_failing_explanation_does_not_change_the_answer(
    call: Call, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError(KEY)

    guard = debugged()
    monkeypatch.setattr("hmac_guard.explain.debug.explain", broken)

    reply = call(guard, Sent(query="integration_id=a&connection_id=b&hmac=x"))

    assert reply.status == 401
    assert "could not be explained" in caplog.text
    assert KEY not in caplog.text


def test_debug_must_be_a_bool() -> None:
    with pytest.raises(ConfigError, match="debug must be True or False"):
        Guard(SUPRSEND, KEY, debug="yes")  # type: ignore[arg-type]


def test_a_guard_without_debug_does_not_import_explain() -> None:
    code = (
        "import sys; from hmac_guard import Guard; from hmac_guard.schemes import NANGO\n"
        "guard = Guard(NANGO, 'k' * 32)\n"
        "assert not any(name.startswith('hmac_guard.explain') for name in sys.modules)\n"
        "assert not {'read', 'conclude', 'record'} & set(vars(guard))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
