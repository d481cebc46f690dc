"""Keys, rings and the resolvers that do no I/O; and what a resolver may answer, through both interfaces."""

import copy
import logging
import math
import operator
import os
import pickle
import warnings
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from databases import sqlite_in
from support import Call, Sent, environ_for, request_of

from hmac_guard import (
    Claim,
    ConfigError,
    Guard,
    Key,
    Keyring,
    KeysUnavailable,
    Query,
    Reason,
    Scheme,
    Verdict,
    WeakKeyWarning,
)
from hmac_guard.core.hidden import hide
from hmac_guard.core.judge import DUMMY_KEYRING, judge
from hmac_guard.core.reader import Reader
from hmac_guard.core.reading import Reading
from hmac_guard.guard import Mode
from hmac_guard.keys import EnvKeys, FileKeys, MappingKeys, SqlKeys, StaticKeys

KEY = "a key that is long enough"
OLD = "another key, long enough"
SCHEME = Scheme(name="one", ids={"a": Query("a")}, message="{a}", signature=Query("sig"), tenant=Query("t"))


def signed(key: Any = KEY, tenant: str = "acme") -> Sent:
    return Sent(query=f"a=x&sig={SCHEME.sign(key, a='x')}&t={tenant}")


@pytest.mark.parametrize(
    "answer",
    [KEY, KEY.encode(), Key(KEY), [KEY], (OLD, KEY), Keyring(KEY), Keyring([OLD, Key(KEY)])],
    ids=["text", "bytes", "key", "list", "tuple", "ring", "ring of two"],
)
def test_a_resolver_may_answer_in_any_form(call: Call, answer: Any) -> None:
    async def late(claim: Claim) -> Any:
        return answer

    for resolver in (lambda claim: answer, late, answer):
        assert call(Guard(SCHEME, resolver), signed()).status == 200


@pytest.mark.parametrize("answer", [None, [], ()], ids=repr)
def test_no_answer_means_no_such_tenant(call: Call, answer: Any) -> None:
    reasons: list[Reason] = []
    guard = Guard(SCHEME, lambda claim: answer, on_verdict=lambda verdict, claim: reasons.append(verdict.reason))

    assert call(guard, signed()).status == 401
    assert reasons == [Reason.UNKNOWN_KEY]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        " ",
        b"",
        [""],
        [KEY, ""],
        [None],
        "<KEY>",
        3,
        True,
        {},
        {"acme": KEY},
        pytest.param(object(), id="an object"),
        [KEY, KEY],
        {KEY},
        bytearray(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_bad_answer_is_503_and_never_a_pass(
    call: Call, caplog: pytest.LogCaptureFixture, colour: str, answer: Any
) -> None:
    async def late(claim: Claim) -> Any:
        return answer

    modes: tuple[tuple[Mode, int], ...] = (("enforce", 503), ("report", 200))
    for mode, status in modes:
        guard = Guard(SCHEME, late if colour == "async" else lambda claim: answer, mode=mode)
        reply = call(guard, signed())
        assert reply.status == status
        assert not any(verdict for verdict, _ in reply.seen)
    assert caplog.messages[0].startswith("the key resolver failed: ")
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    "error", [KeysUnavailable("x"), RuntimeError(KEY), KeyError(KEY), TimeoutError(), StopIteration()]
)
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_failing_resolver_is_503(call: Call, caplog: pytest.LogCaptureFixture, colour: str, error: Exception) -> None:
    def keys(claim: Claim) -> Any:
        raise error

    async def late(claim: Claim) -> Any:
        raise error

    caplog.set_level(logging.DEBUG, "hmac_guard")
    recorded: list[Verdict] = []
    resolver = late if colour == "async" else keys
    guard = Guard(SCHEME, resolver, on_verdict=lambda verdict, claim: recorded.append(verdict))

    assert [call(guard, signed()).status for _ in range(3)] == [503, 503, 503]
    assert recorded == [Verdict(Reason.KEYS_UNAVAILABLE, "one")] * 3
    lines = [(record.levelname, record.getMessage().splitlines()[0]) for record in caplog.records]
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    assert lines[0][1].startswith("the key resolver failed: ")
    assert kind in lines[0][1] or "StopIteration" in kind
    assert [level for level, _ in lines] == ["ERROR", "DEBUG"], "one line for three failures, and where they are raised"
    assert 'File "' in caplog.messages[1]
    assert KEY not in caplog.text


def test_a_weak_key_from_a_resolver_works_and_warns(call: Call) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert call(Guard(SCHEME, lambda claim: "short"), signed("short")).status == 200

    assert {warning.category for warning in caught} == {WeakKeyWarning}


def test_any_key_of_a_ring_verifies_and_says_which(call: Call) -> None:
    guard = Guard(SCHEME, [Key(KEY, id="new"), Key(OLD, id="old")])

    assert call(guard, signed(KEY)).verdict.key_id == "new"
    assert call(guard, signed(OLD)).verdict.key_id == "old"
    assert call(guard, signed("a third key, long enough")).status == 401


@pytest.mark.parametrize("tenant", ["acme", "ACME", "acme%20", "other", "", "%D0%B0cme"])
def test_a_mapping_knows_its_tenants_exactly(call: Call, tenant: str) -> None:
    assert (call(Guard(SCHEME, {"acme": KEY, "b": OLD}), signed(tenant=tenant)).status == 200) == (tenant == "acme")


def test_a_mapping_is_copied(call: Call) -> None:
    keys: dict[str, Any] = {"acme": KEY}
    guard = Guard(SCHEME, keys)
    keys.clear()

    assert call(guard, signed()).status == 200


def test_keys_of_each_form_decode_what_they_are_named_for() -> None:
    raw = bytes(range(200, 232))
    import base64

    forms = [
        Key(raw),
        Key.from_hex(raw.hex()),
        Key.from_hex(raw.hex().upper()),
        Key.from_base64(base64.b64encode(raw).decode()),
        Key.from_base64(base64.b64encode(raw).decode().rstrip("=")),
        Key.from_base64(base64.urlsafe_b64encode(raw).decode()),
    ]

    assert len({SCHEME.sign(key, a="x") for key in forms}) == 1
    assert SCHEME.sign(Key.from_text(raw.hex()), a="x") == SCHEME.sign(raw.hex(), a="x") != SCHEME.sign(forms[1], a="x")


#: The vector of the Standard Webhooks libraries (`test_sign_function`): the key, the message and the digest.
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WEBHOOK = 'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}'
WEBHOOK_DIGEST = "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_whsec_key_is_decoded_as_its_vendor_does() -> None:
    scheme = SCHEME.replace(encoding="base64")

    assert scheme.sign(Key.from_whsec(WHSEC), a=WEBHOOK) == WEBHOOK_DIGEST
    assert scheme.sign(WHSEC, a=WEBHOOK) != WEBHOOK_DIGEST


def test_a_whsec_key_may_be_padded_or_not() -> None:
    import base64

    for size in (18, 24, 31, 32, 33, 64):
        raw = bytes(range(100, 100 + size))
        written = "whsec_" + base64.b64encode(raw).decode()

        for text in {written, written.rstrip("=")}:
            assert SCHEME.sign(Key.from_whsec(text), a="x") == SCHEME.sign(raw, a="x")


@pytest.mark.parametrize(
    "text",
    [
        *("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec-MfKQ9r8GKYqrTwjUPD8I"),
        *("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        *("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La_aS-", "whsec_MfKQ9r8GKYqrTwjUPD8I LPZIo2LaLaSw", "whsec_AAAA\n", ""),
        *("whsec_AAAAA", "whsec_AAA==", "whsec_mjx7oR==", "whsec_AAAA====", " whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        *(WHSEC.encode(), None, 7),
    ],
)
def test_what_is_no_whsec_key_is_an_error(text: Any) -> None:
    with pytest.raises(ConfigError, match="not 'whsec_' and base64"):
        Key.from_whsec(text)


@pytest.mark.parametrize("text", ["whsec_", "whsec_AAAA"])
def test_a_whsec_key_of_nothing_is_blank(text: str) -> None:
    with pytest.raises(ConfigError, match="empty or blank"):
        Key.from_whsec(text)


def test_every_source_of_keys_with_a_form_knows_whsec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = Claim("one", {}, "acme")
    monkeypatch.setenv("TEST_WHSEC", WHSEC)
    (tmp_path / "whsec").write_text(WHSEC)
    stored = SqlKeys(sqlite_in(tmp_path))
    stored.create_table()
    stored.add("acme", WHSEC, form="whsec")
    rings: list[Any] = [
        EnvKeys("TEST_WHSEC", form="whsec")(claim),
        FileKeys(tmp_path / "whsec", form="whsec")(claim),
        stored(claim),
    ]

    for ring in rings:
        assert SCHEME.replace(encoding="base64").sign(ring.keys[0], a=WEBHOOK) == WEBHOOK_DIGEST


def test_keys_of_each_form_keep_their_name_and_their_times() -> None:
    for make, text in (
        (Key.from_text, KEY),
        (Key.from_hex, "0f" * 32),
        (Key.from_base64, "0f" * 32),
        (Key.from_whsec, WHSEC),
    ):
        key = make(text, "k", not_before=1, not_after=2)

        assert (key.id, key.not_before, key.not_after) == ("k", 1, 2)


def test_a_ring_has_the_mode_that_it_was_given() -> None:
    assert [Keyring(KEY, mode=mode).mode for mode in ("enforce", "report", "off", None)] == [
        "enforce",
        "report",
        "off",
        None,
    ]


def test_no_keys_are_looked_up_without_a_tenant(call: Call) -> None:
    def keys(claim: Claim) -> Any:
        asked.append(claim.tenant)

    asked: list[str | None] = []
    guard = Guard(SCHEME.replace(tenant=Query("t")), keys)
    for query in ("a=1", "a=1&t=acme"):
        assert call(guard, Sent(query=query)).status == 401

    assert asked == ["acme"]


def test_a_key_may_be_active_for_one_moment() -> None:
    ring = Keyring(Key(KEY, not_before=10, not_after=10))

    assert [bool(ring.active(now)) for now in (9.9, 10, 10.1)] == [False, True, False]


def test_base64_may_end_in_any_of_its_digits() -> None:
    import base64

    for last in range(64):
        raw = b"k" * 32 + bytes([last])

        assert SCHEME.sign(Key.from_base64(base64.b64encode(raw).decode().rstrip("=")), a="x") == SCHEME.sign(
            Key(raw), a="x"
        )


def test_base64_that_is_padded_halfway_is_refused() -> None:
    with pytest.raises(ConfigError, match="not base64"):
        Key.from_base64("AA" * 15 + "AA=")


def test_a_key_is_active_at_its_first_and_at_its_last_second() -> None:
    ring = Keyring([Key(KEY, not_before=10, not_after=20), OLD])

    assert [len(ring.active(now)) for now in (9.9, 10, 20, 20.1)] == [1, 2, 2, 1]


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(math.inf, id="infinity"),
        *(
            pytest.param(datetime.max.replace(tzinfo=timezone(timedelta(hours=hours))).timestamp(), id=f"UTC{hours:+}")
            for hours in (-12, 0, 14)
        ),
        pytest.param(datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc).timestamp(), id="the last second"),
    ],
)
def test_a_database_may_give_no_end_as_the_last_moment(end: float) -> None:
    assert Keyring(Key(KEY, not_after=end)).active(datetime(9999, 1, 1, tzinfo=timezone.utc).timestamp())


@pytest.mark.parametrize(
    "value",
    [
        Key(KEY),
        Keyring(KEY),
        StaticKeys(KEY),
        MappingKeys({"a": KEY}),
        Guard(SCHEME, KEY),
        pytest.param(hide(KEY), id="hidden"),
    ],
)
def test_what_holds_a_key_never_shows_it(value: Any) -> None:
    """T090."""
    assert KEY not in f"{value} {value!r} {[value]}"
    assert copy.copy(value) is value
    assert copy.deepcopy(value) is value
    # After a TypeError, jsonpickle reads the attributes. With `unpicklable=False` it only asks for the state.
    for ask in (pickle.dumps, operator.methodcaller("__reduce_ex__", 2), operator.methodcaller("__getstate__")):
        with pytest.raises(pickle.PicklingError, match="not pickled"):
            ask(value)
    with pytest.raises(AttributeError, match="cannot be changed"):
        value.id = "x"
    with pytest.raises(AttributeError, match="cannot be changed"):
        del value.id


def test_a_claim_shows_what_it_holds_and_is_no_tuple() -> None:
    claim = Claim("one", {"a": "x"}, "acme", Reason.MALFORMED)

    assert repr(claim) == "Claim(scheme='one', ids={'a': 'x'}, tenant='acme', problem='malformed')"
    assert not issubclass(Claim, tuple)
    assert set(Claim.__slots__) == {"scheme", "ids", "tenant", "problem", "detail", "method", "path"}


def test_env_keys_are_read_once(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    guard = Guard(SCHEME, EnvKeys("TEST_KEY", "TEST_KEY_OLD"))
    monkeypatch.setenv("TEST_KEY", OLD)
    verdict = call(guard, signed()).verdict

    assert (verdict.key_id, verdict.tenant) == ("TEST_KEY", None)
    assert repr(guard.keys) == "EnvKeys('TEST_KEY', 'TEST_KEY_OLD')"


@pytest.mark.parametrize("name", ["NANGO_HMAC_KEY", "nango_hmac_key_2", "KEY_V1", "_KEY", "S3_SECRET"])
def test_the_name_of_a_variable_that_is_not_set_is_shown(name: str) -> None:
    with pytest.raises(ConfigError, match=f"the variable {name} is not set"):
        EnvKeys(name)


@pytest.mark.parametrize(
    "secret",
    [
        "e8b16179fb34f1ad29de3ce18d08eb45",
        "E8B16179FB34F1AD29DE3CE18D08EB45",
        "mjx7oRqPzVbNwYtKdLhGfSaZ",
        "xq_P7vRt2_mN4bKdLhGfSaZ",
        "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
        "correcthorsebatterystaplecorrect",
    ],
)
def test_a_secret_in_the_place_of_its_variable_is_shown_nowhere(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    recorded = [repr(EnvKeys("TEST_KEY", secret))]
    for name in (secret, f"{secret}{{tenant}}"):
        with pytest.raises(
            ConfigError, match=r"the variable \.\.\. is not set|no variable like \.\.\. is set"
        ) as error:
            EnvKeys(name)
        recorded.append(str(error.value))

    assert secret not in " ".join(recorded)


def test_env_keys_rotate(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("TEST_KEY_OLD", OLD)

    assert call(Guard(SCHEME, EnvKeys("TEST_KEY", "TEST_KEY_OLD")), signed(OLD)).verdict.key_id == "TEST_KEY_OLD"


def test_env_keys_for_each_tenant(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY_acme_V1", KEY)
    monkeypatch.setenv("TEST_KEY_other_V1", OLD)
    guard = Guard(SCHEME, EnvKeys("TEST_KEY_{tenant}_V1"))

    assert call(guard, signed()).verdict.tenant == "acme"
    for tenant in ("other", "ACME", "", "acme_V1", "PATH"):
        assert call(guard, signed(tenant=tenant)).status == 401


@pytest.mark.parametrize(
    ("current", "previous"),
    [("TEST_KEY_{tenant}", "OLD_TEST_KEY_{tenant}"), ("{tenant}_TEST_KEY", "{tenant}_TEST_KEY_OLD")],
)
def test_env_keys_rotate_for_each_tenant(
    call: Call, monkeypatch: pytest.MonkeyPatch, current: str, previous: str
) -> None:
    """In the middle of a rotation: one tenant has both keys, one has the new key, and one still has the old key."""
    secrets = {(current, "acme"): KEY, (previous, "acme"): OLD}
    secrets |= {(current, "new"): f"{KEY} of new", (previous, "old"): f"{OLD} of old"}
    for (pattern, tenant), secret in secrets.items():
        monkeypatch.setenv(pattern.replace("{tenant}", tenant), secret)
    guard = Guard(SCHEME, EnvKeys(current, previous))

    for (pattern, tenant), secret in secrets.items():
        verdict = call(guard, signed(secret, tenant)).verdict
        assert (verdict.tenant, verdict.key_id) == (tenant, pattern.replace("{tenant}", tenant))
    assert call(guard, signed(OLD, "new")).status == 401
    assert call(guard, signed(KEY, "old")).status == 401
    for names in ((current, previous), (previous, current)):
        ring = EnvKeys(*names)(Claim("one", {}, "acme"))
        assert ring is not None
        assert [key.id for key in ring.keys] == [name.replace("{tenant}", "acme") for name in names]


def test_one_secret_for_two_tenants_is_refused_under_two_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, secret in {"TEST_KEY_acme": KEY, "TEST_KEY_globex": OLD, "OLD_TEST_KEY_globex": KEY}.items():
        monkeypatch.setenv(name, secret)

    with pytest.raises(ConfigError, match="the tenants 'acme' and 'globex' have the same secret"):
        EnvKeys("TEST_KEY_{tenant}", "OLD_TEST_KEY_{tenant}")


@pytest.mark.parametrize("end", ["", "_{tenant}"], ids=["two variables", "two variables of a tenant"])
def test_two_variables_with_one_key_are_named(monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    names = [name + end.format(tenant="acme") for name in ("TEST_KEY", "OLD_TEST_KEY")]
    for name in names:
        monkeypatch.setenv(name, KEY)

    with pytest.raises(ConfigError, match=f"the keys '{names[0]}' and '{names[1]}' are the same key"):
        EnvKeys(f"TEST_KEY{end}", f"OLD_TEST_KEY{end}")


@pytest.mark.parametrize(
    ("text", "form", "why"),
    [
        ("", "text", "empty or blank"),
        ("  ", "text", "empty or blank"),
        (f"{KEY}\n", "text", "white space or a newline"),
        (f" {KEY}", "text", "white space or a newline"),
        ("<HMAC-KEY>", "text", "placeholder"),
        ("xyz", "hex", "hex digits"),
        ("x*z", "base64", "not base64"),
        (KEY, "binary", "take one of text, hex, base64"),
    ],
)
def test_a_variable_that_holds_no_key_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, text: str, form: str, why: str
) -> None:
    monkeypatch.setitem(os.environ, "TEST_KEY", text)

    with pytest.raises(ConfigError, match=f"TEST_KEY.*{why}") as caught:
        EnvKeys("TEST_KEY", form=form)
    assert KEY not in str(caught.value)


def test_an_unknown_tenant_costs_an_hmac_like_any_other(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """T020: the refusal of an unknown tenant and that of a wrong signature do the same work."""
    digests: list[str] = []
    digest = Key.digest

    def counting(key: Key, algorithm: str, message: bytes) -> bytes:
        digests.append(algorithm)
        return digest(key, algorithm, message)

    monkeypatch.setattr(Key, "digest", counting)
    counted = []
    for tenant in ("acme", "unknown"):
        sent = Sent(query=f"a=x&sig={'0' * 64}&t={tenant}")
        digests.clear()
        call(Guard(SCHEME, {"acme": KEY}), sent)
        counted.append(len(digests))

    assert counted == [1, 1]


def test_no_keys_are_looked_up_for_an_unsigned_request(call: Call) -> None:
    asked: list[Claim] = []

    def keys(claim: Claim) -> str:
        asked.append(claim)
        return KEY

    without_tenant = SCHEME.replace(tenant=None)
    assert call(Guard(without_tenant, keys), Sent(query="a=x")).status == 401
    assert asked == []
    assert call(Guard(without_tenant, keys), signed()).status == 200
    assert len(asked) == 1


def test_judge_gives_the_reason_for_each_kind_of_keys() -> None:
    reader = Reader(SCHEME, with_tenant=True)
    reading = reader.read(request_of(environ_for(signed()), reader))
    refused = reader.read(request_of(environ_for(Sent(query="a=%00")), reader))

    def verdict_on(reading: Reading, ring: Keyring, now: float = 0.0) -> Verdict:
        return judge(SCHEME, reading, ring, now, by_tenant=True)

    assert verdict_on(reading, DUMMY_KEYRING) == Verdict(Reason.UNKNOWN_KEY, "one")
    assert verdict_on(reading, Keyring(OLD)) == Verdict(Reason.INVALID_SIGNATURE, "one")
    assert verdict_on(reading, Keyring(Key(KEY, not_after=10.0)), 10.0).verified
    assert verdict_on(reading, Keyring(Key(KEY, not_after=10.0)), 11.0).reason is Reason.UNKNOWN_KEY
    assert verdict_on(refused, Keyring(KEY)) == Verdict(Reason.MALFORMED, "one")
    assert refused.message is None
