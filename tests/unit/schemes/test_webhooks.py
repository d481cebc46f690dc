"""The presets of webhooks: what their vendors published is verified over WSGI and ASGI, and nothing near it."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support import Call, Sent

from hmac_guard import ConfigError, Guard, Key, Reason, Scheme, Verdict
from hmac_guard.keys import CachedKeys, ChainKeys, EnvKeys, FileKeys
from hmac_guard.keys.resolver import MappingKeys, StaticKeys
from hmac_guard.schemes import GITHUB, PADDLE, SHOPIFY, SLACK, STANDARD_WEBHOOKS, STRIPE, SVIX, raw_body

DATA = json.loads((Path(__file__).parents[2] / "data" / "known_answers.json").read_text())


class Delivery(NamedTuple):
    """A request as a vendor documents it."""

    scheme: Scheme
    key: Key
    now: int
    headers: dict[str, str]
    body: bytes
    published: bool


def _standard(scheme: Scheme, prefix: str, answer: dict[str, Any]) -> Delivery:
    message_id, time, body = answer["message"].split(".", 2)
    headers = {f"{prefix}-id": message_id, f"{prefix}-timestamp": time, f"{prefix}-signature": f"v1,{answer['digest']}"}
    return Delivery(scheme, Key.from_whsec(answer["key"]), int(time), headers, body.encode(), answer["published"])


def _deliveries() -> list[Delivery]:
    found = []
    for answer in DATA:
        key, digest, message = answer["key"], answer["digest"], answer["message"]
        headers, now, body = {}, 1_800_000_000, message
        match answer["scheme"]:
            case "standard_webhooks":
                found.append(_standard(STANDARD_WEBHOOKS, "webhook", answer))
                found.append(_standard(SVIX, "svix", answer))
                continue
            case "github":
                scheme, headers = GITHUB, {"X-Hub-Signature-256": f"sha256={digest}"}
            case "shopify_webhook":
                scheme, headers = SHOPIFY, {"X-Shopify-Hmac-Sha256": digest}
            case "slack":
                _, time, body = message.split(":", 2)
                scheme, now = SLACK, int(time)
                headers = {"X-Slack-Signature": f"v0={digest}", "X-Slack-Request-Timestamp": time}
            case "stripe":
                time, body = message.split(".", 1)
                scheme, now, headers = STRIPE, int(time), {"Stripe-Signature": f"t={time},v1={digest}"}
            case "paddle":
                time, body = message.split(":", 1)
                scheme, now, headers = PADDLE, int(time), {"Paddle-Signature": f"ts={time};h1=dummy;h1={digest}"}
            case "raw_body_hex":
                scheme, headers = raw_body(header="X-Signature"), {"X-Signature": digest}
            case _:
                continue
        found.append(Delivery(scheme, Key.from_text(key), now, headers, body.encode(), answer["published"]))
    return found


DELIVERIES = _deliveries()


def ask(call: Call, delivery: Delivery, **changes: Any) -> tuple[int, list[Verdict], list[bytes]]:
    changed = delivery._replace(**changes)
    seen: list[Verdict] = []
    guard = Guard(
        changed.scheme, changed.key, clock=lambda: changed.now, on_verdict=lambda verdict, _: seen.append(verdict)
    )
    headers = list(changed.headers.items())
    reply = call(guard, Sent(method="POST", headers=headers, body=changed.body))
    return reply.status, seen, [body for _, body in reply.seen]


def test_every_preset_has_a_delivery() -> None:
    assert {delivery.scheme.name for delivery in DELIVERIES} == {
        *("standard_webhooks", "svix", "github", "shopify", "slack", "stripe", "paddle", "raw_body"),
    }
    # No vendor publishes one of Stripe's; its own library verifies what `make test-vendors` sends.
    assert {delivery.scheme.name for delivery in DELIVERIES if not delivery.published} == {"stripe"}


@pytest.mark.parametrize("delivery", DELIVERIES, ids=lambda delivery: delivery.scheme.name)
def test_a_documented_delivery_is_verified_and_its_body_handed_on(call: Call, delivery: Delivery) -> None:
    status, [verdict], bodies = ask(call, delivery)

    assert (status, verdict.reason, bodies) == (200, Reason.VERIFIED, [delivery.body])
    assert verdict.signed_at == (delivery.now if delivery.scheme.timestamp else None)
    assert verdict.expires_at is None
    assert dict(verdict.ids) == ({"message_id": next(iter(delivery.headers.values()))} if delivery.scheme.ids else {})


@pytest.mark.parametrize("delivery", DELIVERIES, ids=lambda delivery: delivery.scheme.name)
def test_the_scheme_signs_what_the_vendor_documents(delivery: Delivery) -> None:
    ids = {"message_id": next(iter(delivery.headers.values()))} if delivery.scheme.ids else {}
    made = delivery.scheme.sign_fields(delivery.key, ids, now=delivery.now, body=delivery.body)
    sent = {name: value.replace("h1=dummy;", "") for name, value in delivery.headers.items()}

    assert {name.lower(): value for name, value in made.headers.items()} == {
        name.lower(): value for name, value in sent.items()
    }


@pytest.mark.parametrize("delivery", DELIVERIES, ids=lambda delivery: delivery.scheme.name)
@pytest.mark.without_coverage
def test_another_body_key_or_header_is_refused(call: Call, delivery: Delivery) -> None:
    body = delivery.body
    for other in (
        body + b"\n",
        body[:-1],
        b" " + body,
        body.replace(b"a", b"b", 1) + b" ",
        b"\xef\xbb\xbf" + body,
        b"",
    ):
        assert ask(call, delivery, body=other)[0] == 401
    assert ask(call, delivery, key=Key.from_text("another key, long enough"))[0] == 401
    for name in delivery.headers:
        without = {key: value for key, value in delivery.headers.items() if key != name}
        assert ask(call, delivery, headers=without)[0] == 401
        assert ask(call, delivery, headers={**delivery.headers, name: ""})[0] == 401


WINDOWS = {"standard_webhooks": 300, "svix": 300, "slack": 300, "stripe": 60, "paddle": 60}


@pytest.mark.parametrize(
    "delivery", [each for each in DELIVERIES if each.scheme.times], ids=lambda delivery: delivery.scheme.name
)
def test_both_ends_of_the_window_to_the_second(call: Call, delivery: Delivery) -> None:
    ahead = WINDOWS[delivery.scheme.name]
    reasons = [ask(call, delivery, now=delivery.now + offset)[1][0].reason for offset in (-ahead - 1, -ahead, 300, 301)]

    assert reasons == [Reason.NOT_YET_VALID, Reason.VERIFIED, Reason.VERIFIED, Reason.EXPIRED]


@pytest.mark.parametrize("delivery", DELIVERIES, ids=lambda delivery: delivery.scheme.name)
@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain", "multipart/form-data; boundary=x", "image/png", "odd", "", None]
)
@pytest.mark.without_coverage
def test_a_body_of_any_type_is_bytes(call: Call, delivery: Delivery, kind: str | None) -> None:
    headers = delivery.headers if kind is None else {**delivery.headers, "Content-Type": kind}

    assert ask(call, delivery, headers={**headers, "Content-Encoding": "gzip"})[0] == 200


# What SDKs accept beyond the rule.

STANDARD = next(each for each in DELIVERIES if each.scheme.name == "standard_webhooks")
BY_STRIPE = next(each for each in DELIVERIES if each.scheme.name == "stripe")
BY_SLACK = next(each for each in DELIVERIES if each.scheme.name == "slack")


def _time_of_standard(text: str) -> Delivery:
    """Validly signed, with a time that is none."""
    message = f"{STANDARD.headers['webhook-id']}.{text}.".encode() + STANDARD.body
    signature = STANDARD.scheme.signature_of(STANDARD.key, message).decode()
    return STANDARD._replace(
        headers={**STANDARD.headers, "webhook-timestamp": text, "webhook-signature": f"v1,{signature}"}
    )


@pytest.mark.parametrize(
    "text", ["NaN", "nan", "now", "1614265330.0", "+1614265330", "01614265330", "1614265330000", "inf"]
)
def test_a_time_that_is_none_is_refused_though_it_is_signed(call: Call, text: str) -> None:
    status, [verdict], _ = ask(call, _time_of_standard(text))

    assert status == 401
    assert verdict.reason is (Reason.NOT_YET_VALID if text == "1614265330000" else Reason.MALFORMED)


def test_of_two_times_neither_counts(call: Call) -> None:
    time, signature = BY_STRIPE.headers["Stripe-Signature"].split(",")
    for header in (f"{time},t=1,{signature}", f"t=1,{time},{signature}", f"{time},{time},{signature}"):
        status, [verdict], _ = ask(call, BY_STRIPE, headers={"Stripe-Signature": header})
        assert (status, verdict.reason) == (401, Reason.DUPLICATE)


def test_a_header_of_several_versions_and_keys_is_skipped_through(call: Call) -> None:
    time, signature = BY_STRIPE.headers["Stripe-Signature"].split(",")
    for header in (f"{time},v0=abc,{signature}", f"{time},v1=abc,{signature}", f"{signature},{time}"):
        assert ask(call, BY_STRIPE, headers={"Stripe-Signature": header})[0] == 200
    several = f"v1a,{'0' * 86}== v1,{'0' * 43}= {STANDARD.headers['webhook-signature']}"
    assert ask(call, STANDARD, headers={**STANDARD.headers, "webhook-signature": several})[0] == 200
    for odd in (f"v1 {several}", f"{several} ", f"v2,{STANDARD.headers['webhook-signature'][3:]}"):
        assert ask(call, STANDARD, headers={**STANDARD.headers, "webhook-signature": odd})[0] == 401


def test_svix_reads_its_own_headers_alone(call: Call) -> None:
    svix = next(each for each in DELIVERIES if each.scheme.name == "svix")

    assert ask(call, svix, headers=STANDARD.headers)[0] == 401
    assert ask(call, svix, headers={**svix.headers, **STANDARD.headers})[0] == 200


def test_sha1_is_not_taken_for_sha256(call: Call) -> None:
    github = next(each for each in DELIVERIES if each.scheme.name == "github")
    signature = github.headers["X-Hub-Signature-256"]

    for text in (signature.replace("sha256=", "sha1="), signature.removeprefix("sha256="), signature.upper()):
        assert ask(call, github, headers={"X-Hub-Signature-256": text})[0] == 401


def test_a_message_id_with_a_dot_is_ambiguous(call: Call) -> None:
    fields = {**STANDARD.headers, "webhook-id": "msg.1"}
    status, [verdict], _ = ask(call, STANDARD, headers=fields)

    assert (status, verdict.reason) == (401, Reason.AMBIGUOUS)
    with pytest.raises(ConfigError, match="separates"):
        STANDARD_WEBHOOKS.sign_fields(STANDARD.key, message_id="msg.1", body=b"x")


# Keys.

WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize("scheme", [STANDARD_WEBHOOKS, SVIX, SVIX.replace(name="ours")], ids=lambda scheme: scheme.name)
@pytest.mark.parametrize("keys", [WHSEC, WHSEC.encode(), [Key.from_whsec(WHSEC), WHSEC], Key.from_text(WHSEC)])
def test_a_whsec_key_as_text_is_refused_when_the_guard_is_made(scheme: Scheme, keys: Any) -> None:
    with pytest.raises(ConfigError, match=r"Key\.from_whsec"):
        Guard(scheme, keys)


def test_a_whsec_key_as_text_is_refused_of_a_mapping_and_by_sign() -> None:
    tenant = STANDARD_WEBHOOKS.replace(tenant=STANDARD_WEBHOOKS.ids["message_id"])
    with pytest.raises(ConfigError, match=r"Guard: the tenant 'b': a key .* Key\.from_whsec"):
        Guard(tenant, {"a": Key.from_whsec(WHSEC), "b": WHSEC})
    with pytest.raises(ConfigError, match=r"Key\.from_whsec"):
        STANDARD_WEBHOOKS.sign(WHSEC, message_id="m", timestamp=1, body=b"")
    with pytest.raises(ConfigError, match=r"Key\.from_whsec"):
        STANDARD_WEBHOOKS.sign_fields(WHSEC, message_id="m", body=b"")


@pytest.mark.parametrize(
    "around",
    [
        lambda keys: keys,
        CachedKeys,
        ChainKeys,
        lambda keys: CachedKeys(ChainKeys(lambda claim: None, CachedKeys(keys))),
    ],
    ids=["alone", "cached", "chain", "caches and chains"],
)
@pytest.mark.parametrize(
    ("source", "named"),
    [
        (lambda folder: EnvKeys("TEST_HOOK"), "the key 'TEST_HOOK'"),
        (lambda folder: EnvKeys("TEST_HOOK_NEW", "TEST_HOOK"), "the key 'TEST_HOOK'"),
        (lambda folder: EnvKeys("TEST_HOOK_OF_{tenant}"), "the tenant 'b'"),
        (lambda folder: FileKeys(folder / "hook"), "the key 'hook'"),
        (lambda folder: FileKeys(folder / "{tenant}"), "the key 'hook'"),
        (lambda folder: MappingKeys({"b": WHSEC}), "the tenant 'b'"),
        (lambda folder: StaticKeys(WHSEC), "a key of the scheme 'standard_webhooks' begins"),
    ],
)
def test_a_whsec_key_as_text_is_refused_of_each_source_that_has_read_it(
    source: Any, named: str, around: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, secret in {"TEST_HOOK": WHSEC, "TEST_HOOK_OF_b": WHSEC, "TEST_HOOK_NEW": "k" * 32}.items():
        monkeypatch.setenv(name, secret)
    (tmp_path / "hook").write_text(WHSEC)
    scheme = STANDARD_WEBHOOKS.replace(tenant=STANDARD_WEBHOOKS.ids["message_id"])
    with pytest.raises(ConfigError, match=rf"Guard: {named}.* Key\.from_whsec"):
        Guard(scheme, around(source(tmp_path)))


def test_a_whsec_key_as_text_of_a_resolver_is_503_and_said_once(
    call: Call, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hmac_guard.log.RECOVERED_AFTER", 0.0)
    answers: list[Any] = [WHSEC, WHSEC, Key.from_whsec(WHSEC)]

    def keys(claim: object) -> Any:
        return answers.pop(0)

    guard = Guard(STANDARD_WEBHOOKS, keys, clock=lambda: STANDARD.now)
    sent = Sent(method="POST", headers=list(STANDARD.headers.items()), body=STANDARD.body)

    assert [call(guard, sent).status for _ in range(3)] == [503, 503, 200]
    lines = [record.getMessage() for record in caplog.records]
    assert ["Key.from_whsec" in line for line in lines] == [True, False]
    assert "works again" in lines[1]
    assert WHSEC[6:] not in caplog.text


def test_a_stripe_key_is_text_as_it_stands() -> None:
    assert [Guard(scheme, WHSEC).scheme for scheme in (STRIPE, GITHUB)] == [STRIPE, GITHUB]


def test_raw_body_takes_a_name_an_encoding_and_a_prefix() -> None:
    scheme = raw_body(header="X-Sig", encoding="base64", prefix="sha256=", name="typeform")

    assert (scheme.name, scheme.encoding, scheme.prefix) == ("typeform", "base64", "sha256=")
    with pytest.raises(ConfigError, match="take one of hex"):
        raw_body(header="X-Sig", encoding="utf-8")  # type: ignore[arg-type]
