"""Verified ids as numbers and UUIDs, only in their canonical spelling (T039)."""

import uuid
from types import SimpleNamespace

import pytest

from hmac_guard import Reason, Verdict, verdict_from
from hmac_guard.schemes import NANGO


def proven(text: str) -> Verdict:
    return Verdict(Reason.VERIFIED, "one", {"id": text})


@pytest.mark.parametrize("text", ["0", "1", "42", "-7", "9" * 30])
def test_as_int_returns_a_canonical_number(text: str) -> None:
    assert proven(text).as_int("id") == int(text)


@pytest.mark.parametrize(
    "text", ["01", "-0", "+1", " 1", "1 ", "1\n", "1.0", "1e0", "1_0", "0x1", "\uff11", "\u0661", "", "-", "--1", "a"]
)
def test_a_number_in_another_spelling_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a canonical decimal"):
        proven(text).as_int("id")


def test_as_uuid_returns_a_canonical_uuid() -> None:
    text = "b8278572-2929-4af6-be2b-cdc2bc1f6256"

    assert proven(text).as_uuid("id") == uuid.UUID(text)


@pytest.mark.parametrize(
    "change", [str.upper, lambda t: t.replace("-", ""), "{{{}}}".format, "urn:uuid:{}".format, str.title]
)
def test_a_uuid_in_another_spelling_is_refused(change: object) -> None:
    text = "b8278572-2929-4af6-be2b-cdc2bc1f6256"

    with pytest.raises(ValueError, match="not a canonical UUID"):
        proven(change(text)).as_uuid("id")  # type: ignore[operator]
    with pytest.raises(ValueError, match="not a canonical UUID"):
        proven("no uuid").as_uuid("id")


def test_an_unverified_id_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Verdict(Reason.MALFORMED, "one").as_int("id")


def test_a_verdict_is_true_only_when_verified() -> None:
    assert {reason for reason in Reason if Verdict(reason, "one")} == {Reason.VERIFIED}
    assert {reason for reason in Reason if Verdict(reason, "one").verified} == {Reason.VERIFIED}
    assert {str(reason) for reason in Reason} == {reason.value for reason in Reason}


@pytest.mark.parametrize("holder", ["scope", "environ", "env"])
def test_a_verdict_is_found_in_what_a_request_holds(holder: str) -> None:
    request = SimpleNamespace(**{holder: {"hmac_guard": proven("1")}})

    assert verdict_from(request) is request.__dict__[holder]["hmac_guard"]


def test_a_verdict_without_proven_ids_shows_none() -> None:
    assert "ids={}" in repr(Verdict(Reason.MISSING_SIGNATURE, "one"))


def test_a_scheme_shows_what_it_signs() -> None:
    assert repr(NANGO) == "<Scheme nango: '{integration_id}:{connection_id}', sha256, hex>"
