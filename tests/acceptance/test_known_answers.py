"""Published digests: this package made none of the expected values in this file."""

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support import Call, Sent
from vendor_rule import VENDOR_NANGO

from hmac_guard import ConfigError, Guard, Json, Key, Query, Reason, Scheme
from hmac_guard.schemes import CHATWOOT, FRONT, INTERCOM, MAGICBELL, NANGO, NOVU, PUSHER, SUPRSEND, TERAPI

DATA = Path(__file__).parents[1] / "data"
ANSWERS: list[dict[str, Any]] = json.loads((DATA / "known_answers.json").read_text())
SPELLINGS = {"hex": "hex", "base64": "base64", "base64url-nopad": "base64url"}
VECTORS = os.environ.get("HMAC_GUARD_VECTORS")

needs_vectors = pytest.mark.skipif(not VECTORS, reason="not run: HMAC_GUARD_VECTORS names no folder")


def scheme(algorithm: Any = "sha256", encoding: Any = "hex") -> Scheme:
    return Scheme(
        name="known",
        ids={"id": Query("id")},
        message="{id}",
        signature=Query("sig"),
        algorithm=algorithm,
        encoding=encoding,
    )


def key_of(answer: dict[str, Any]) -> Key:
    form = answer["key_encoding"]
    text: str = answer["key"]
    if form == "hex":
        return Key.from_hex(text)
    if form == "utf-8":
        return Key.from_text(text)  # some of the published ones are placeholders
    return Key.from_base64(text.removeprefix("whsec_"))


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: f"{answer['scheme']}: {answer['message'][:24]!r}")
def test_a_published_digest_matches(answer: dict[str, Any]) -> None:
    signed = scheme(encoding=SPELLINGS[answer["digest_encoding"]])

    assert signed.verifying_key([key_of(answer)], answer["message"].encode(), answer["digest"].encode())


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_rfc_4231_answers_match(algorithm: str) -> None:
    """Section 4, cases 1 to 4, 6 and 7. Case 5 is a shortened digest, which no scheme has."""
    cases = json.loads((DATA / "rfc4231.json").read_text())

    assert len(cases) == 6
    for case in cases:
        key, message = Key.from_hex(case["key"]), bytes.fromhex(case["message"])
        assert scheme(algorithm).verifying_key([key], message, case[algorithm].encode())


@needs_vectors
def test_nist_examples_match() -> None:
    cases = json.loads((Path(str(VECTORS)) / "nist" / "nist_hmac_examples.json").read_text())["tests"]
    cases = [case for case in cases if case["alg"] in ("sha256", "sha384", "sha512")]

    assert len(cases) == 9
    for case in cases:
        signed = scheme(case["alg"])
        assert signed.verifying_key([Key.from_hex(case["key"])], case["msg_utf8"].encode(), case["mac"].encode())


@needs_vectors
@pytest.mark.parametrize(("algorithm", "length"), [("sha256", 256), ("sha384", 384), ("sha512", 512)])
def test_wycheproof_full_length_valid_cases_verify_and_no_other(algorithm: str, length: int) -> None:
    groups = json.loads((Path(str(VECTORS)) / "wycheproof" / f"hmac_{algorithm}_test.json").read_text())["testGroups"]
    counted = {True: 0, False: 0}
    for group in groups:
        for case in group["tests"]:
            expected = case["result"] == "valid" and group["tagSize"] == length
            keys = [Key.from_hex(case["key"])]
            proven = scheme(algorithm).verifying_key(keys, bytes.fromhex(case["msg"]), case["tag"].encode())
            matched = proven is not None
            assert matched == expected, (algorithm, case["tcId"], case["comment"])
            counted[matched] += 1

    assert sum(counted.values()) == 174
    assert counted[True] >= 30


CANONICAL = json.loads((DATA / "signature_canonical_form.json").read_text())


@pytest.mark.parametrize("case", CANONICAL["vectors"], ids=lambda case: f"{case['encoding']}: {case['name']}")
@pytest.mark.parametrize("place", ["query", "json"])
def test_a_signature_has_one_spelling(call: Call, place: str, case: dict[str, Any]) -> None:
    from urllib.parse import quote

    signed = NANGO.replace(encoding=SPELLINGS[case["encoding"]])
    guard = Guard(signed, CANONICAL["key_utf8"])
    if place == "query":
        signature = quote(case["value"].encode(), safe="")
        reply = call(guard, Sent(query=f"integration_id=int-1&connection_id=conn-1&hmac={signature}"))
    else:
        document = {"integration_id": "int-1", "connection_id": "conn-1", "hmac": case["value"]}
        reply = call(
            guard, Sent("POST", headers=[("Content-Type", "application/json")], body=json.dumps(document).encode())
        )

    assert (reply.status == 200) == case["must_accept"]
    assert (reply.status == 200) == bool(reply.seen)


def answer_for(name: str, message: str | None = None) -> dict[str, Any]:
    return next(a for a in ANSWERS if a["scheme"] == name and message in (None, a["message"]))


def through_json(call: Call, signed: Scheme, key: str, document: dict[str, Any]) -> Any:
    body = json.dumps(document).encode()
    return call(Guard(signed, key), Sent("POST", headers=[("Content-Type", "application/json")], body=body))


def test_nango_accepts_the_pair(call: Call) -> None:
    answer = answer_for("nango_connect", "github-prod:user-42")
    path = "/oauth/connect/github-prod"
    reply = call(Guard(NANGO, answer["key"]), Sent(path=path, query=f"connection_id=user-42&hmac={answer['digest']}"))

    assert dict(reply.verdict.ids) == {"integration_id": "github-prod", "connection_id": "user-42"}


# Every route that the preset reads, and the two places that every route has.
NANGO_ROUTES = [
    *("/oauth/connect/github-prod", "/oauth2/auth/github-prod", "/api-auth/basic/github-prod"),
    *("/auth/tba/github-prod", "/unauth/github-prod", "/app-store-auth/github-prod"),
]


def without_connection_id(scheme: Scheme, place: str, more: str = "") -> tuple[Guard, Sent]:
    """The vendor's signature over the integration id alone, on one of the routes or in a JSON body."""
    answer = answer_for("nango_connect", "github-prod")
    guard = Guard(scheme, answer["key"])
    if place == "json":
        document = {
            "integration_id": "github-prod",
            "hmac": answer["digest"],
            **({"connection_id": ""} if more else {}),
        }
        body = json.dumps(document).encode()
        return guard, Sent("POST", "/connections", headers=[("Content-Type", "application/json")], body=body)
    query = f"hmac={answer['digest']}{more}"
    return guard, Sent(path=place, query=query if place in NANGO_ROUTES else f"integration_id=github-prod&{query}")


@pytest.mark.parametrize("place", [*NANGO_ROUTES, "/", "json"])
@pytest.mark.parametrize("scheme", [NANGO, TERAPI], ids=lambda scheme: scheme.name)
def test_a_signature_over_the_integration_id_alone_is_refused(call: Call, scheme: Scheme, place: str) -> None:
    for more in ("", "&connection_id="):
        reply = call(*without_connection_id(scheme, place, more))

        assert reply.status == 401
        assert json.loads(reply.body)["error"]["code"] == "missing_signature"
        assert reply.seen == []


@pytest.mark.parametrize("place", [*NANGO_ROUTES, "/", "json"])
def test_the_vendor_rule_accepts_the_integration_id_alone(call: Call, place: str) -> None:
    reply = call(*without_connection_id(VENDOR_NANGO, place))

    assert dict(reply.verdict.ids) == {"integration_id": "github-prod"}


@pytest.mark.parametrize("scheme", [NANGO, TERAPI], ids=lambda scheme: scheme.name)
def test_the_integration_id_alone_is_not_signed(scheme: Scheme) -> None:
    with pytest.raises(ValueError, match="the id 'connection_id' is missing"):
        scheme.sign("test-hmac-key", integration_id="github-prod")


@pytest.mark.parametrize(("integration", "connection"), [("a", "b:c"), ("a:b", "c")])
def test_nango_accepts_one_of_the_two_pairs_that_share_a_digest(call: Call, integration: str, connection: str) -> None:
    answer = answer_for("nango_connect", "a:b:c")
    query = f"integration_id={integration}&connection_id={connection}&hmac={answer['digest']}"
    reply = call(Guard(NANGO, answer["key"]), Sent(query=query))

    assert (reply.status == 200) == (integration == "a")


def test_suprsend_accepts_the_published_signature_in_a_body(call: Call) -> None:
    answer = answer_for("suprsend_inbox")
    reply = through_json(
        call, SUPRSEND, answer["key"], {"distinct_id": answer["message"], "subscriber_id": answer["digest"]}
    )

    assert reply.verdict.reason is Reason.VERIFIED


def test_chatwoot_and_novu_accept_their_answers(call: Call) -> None:
    chatwoot, novu = answer_for("chatwoot"), answer_for("novu_inbox")
    first = through_json(
        call,
        CHATWOOT,
        chatwoot["key"],
        {"identifier": chatwoot["message"], "identifier_hash": chatwoot["digest"], "website_token": "w"},
    )
    second = through_json(
        call,
        NOVU,
        novu["key"],
        {"subscriber": {"subscriberId": novu["message"]}, "subscriberHash": novu["digest"]},
    )

    assert (first.status, second.status) == (200, 200)


def test_chatwoot_reads_the_token_of_its_widget_from_the_query(call: Call) -> None:
    chatwoot = answer_for("chatwoot")
    body = json.dumps({"identifier": chatwoot["message"], "identifier_hash": chatwoot["digest"]}).encode()
    headers = [("Content-Type", "application/json")]
    guard = Guard(CHATWOOT, {"w": chatwoot["key"], "other": "another key of 32 bytes or more"})
    replies = [
        call(guard, Sent("PATCH", query=f"website_token={token}&locale=en", headers=headers, body=body))
        for token in ("w", "other")
    ]

    assert [reply.status for reply in replies] == [200, 401]
    assert replies[0].verdict.tenant == "w"


@pytest.mark.parametrize(
    ("scheme", "id_name", "signature_name"),
    [(INTERCOM, "user_id", "user_hash"), (CHATWOOT, "identifier", "identifier_hash")],
    ids=["intercom", "chatwoot"],
)
def test_a_number_is_signed_as_its_digits(call: Call, scheme: Scheme, id_name: str, signature_name: str) -> None:
    answer = answer_for("intercom", "1234")
    reply = through_json(call, scheme, answer["key"], {id_name: 1234, signature_name: answer["digest"]})

    assert dict(reply.verdict.ids) == {"id": "1234"}


@pytest.mark.parametrize("name", ["email", "userEmail"])
def test_front_accepts_both_names_of_the_mail_address(call: Call, name: str) -> None:
    answer = answer_for("intercom", "ciaran@intercom.io")
    reply = through_json(call, FRONT, answer["key"], {name: answer["message"], "userHash": answer["digest"]})

    assert dict(reply.verdict.ids) == {"id": answer["message"]}


def test_intercom_accepts_user_ids_and_mail_addresses(call: Call) -> None:
    by_mail = INTERCOM.replace(ids={"id": Json("/email")})
    number, mail = answer_for("intercom", "1234"), answer_for("intercom", "ciaran@intercom.io")
    first = through_json(call, INTERCOM, number["key"], {"user_id": "1234", "user_hash": number["digest"]})
    second = through_json(call, by_mail, mail["key"], {"email": mail["message"], "user_hash": mail["digest"]})

    assert (first.status, second.status) == (200, 200)


def test_magicbell_accepts_padded_base64_in_a_header(call: Call) -> None:
    answer = answer_for("magicbell")
    headers = [("X-MAGICBELL-USER-EMAIL", answer["message"]), ("X-MAGICBELL-USER-HMAC", answer["digest"])]
    reply = call(Guard(MAGICBELL, answer["key"]), Sent(headers=headers))

    assert dict(reply.verdict.ids) == {"id": answer["message"]}


def test_pusher_accepts_its_published_signatures(call: Call) -> None:
    pairs = [a for a in ANSWERS if a["scheme"] == "pusher_channel" and a["message"].count(":") == 1]
    assert len(pairs) >= 4
    for answer in pairs:
        socket, channel = answer["message"].split(":")
        document = {"socket_id": socket, "channel_name": channel, "auth": "aaaa:" + answer["digest"]}
        reply = through_json(call, PUSHER.replace(prefix="aaaa:"), answer["key"], document)
        assert reply.status == 200, answer


CANARY = "c74a7f0e3acf82914ba8cd278e1f3f5bf898523ec89c72d66ca67ef3dd76311f"


@pytest.mark.parametrize("blank", ["", " ", "\t\r\n", "\x00", "\x00" * 64, b"", b" ", b"\x00" * 32], ids=repr)
def test_a_blank_key_is_refused_from_every_source(call: Call, blank: str | bytes) -> None:
    """Terapi's sample, run unchanged (key '' and empty ids), makes this signature. It must not verify."""
    with pytest.raises(ConfigError, match="empty or blank"):
        Guard(NANGO, blank)
    with pytest.raises(ConfigError, match="empty or blank"):
        Guard(NANGO, {"pk": [blank]})
    for answer in (blank, [blank], (blank, "a key that is long enough")):
        guard = Guard(NANGO, partial(lambda answer, claim: answer, answer))
        for query in (
            "integration_id=&connection_id=",
            "integration_id=%20&connection_id=%20",
            "integration_id=a&connection_id=b",
        ):
            reply = call(guard, Sent(query=f"{query}&hmac={CANARY}"))
            assert reply.status in (401, 503)
            assert reply.seen == []
