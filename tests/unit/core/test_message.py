"""Messages: for any literals, two different sets of ids have different messages."""

import hashlib
import hmac

import pytest
from support import Call, Sent

from hmac_guard import ConfigError, Guard, Query, Reason, Scheme

KEY = "k" * 32


def scheme(message: str) -> Scheme:
    return Scheme(name="odd", ids={"a": Query("a"), "b": Query("b")}, message=message, signature=Query("sig"))


@pytest.mark.parametrize(
    ("message", "separator"),
    [
        ("{a}{{-{b}", "{-"),
        ("{a}-}}{b}", "-}"),
        ("{a}{{{{{b}", "{{"),
        ("{a}{{x}}{b}", "{x}"),
    ],
)
def test_a_separator_with_braces_is_signed_and_refused_in_the_first_id(message: str, separator: str) -> None:
    signed = hmac.new(KEY.encode(), f"x{separator}y".encode(), hashlib.sha256).hexdigest()

    assert scheme(message).sign(KEY, a="x", b="y") == signed
    with pytest.raises(ValueError, match="separates it"):
        scheme(message).sign(KEY, a=f"x{separator}y", b="z")


def test_ids_that_contain_a_separator_with_braces_are_refused(call: Call) -> None:
    seen: list[Reason] = []
    guard = Guard(scheme("{a}{{-{b}"), KEY, on_verdict=lambda verdict, _: seen.append(verdict.reason))

    reply = call(guard, Sent(query=f"a=x%7B-y&b=z&sig={'0' * 64}"))

    assert (reply.status, seen) == (401, [Reason.AMBIGUOUS])


def test_the_last_id_may_end_in_any_character() -> None:
    for character in map(chr, range(0x21, 0x7F)):
        signed = hmac.new(KEY.encode(), f"x:y{character}".encode(), hashlib.sha256).hexdigest()

        assert scheme("{a}:{b}").sign(KEY, a="x", b=f"y{character}") == signed


@pytest.mark.parametrize(("optional", "allowed"), [("c", True), ("b", False), ("a", False)])
def test_only_the_last_of_three_ids_may_be_absent(optional: str, allowed: bool) -> None:
    def made() -> Scheme:
        ids = {name: Query(name) for name in "abc"}
        return Scheme(name="three", ids=ids, message="{a}:{b}:{c}", signature=Query("sig"), optional={optional})

    if allowed:
        assert made().sign(KEY, a="x", b="y") == hmac.new(KEY.encode(), b"x:y", hashlib.sha256).hexdigest()
    else:
        with pytest.raises(ConfigError, match="only the last"):
            made()


def test_text_with_braces_around_the_ids_is_signed_unchanged() -> None:
    signed = hmac.new(KEY.encode(), b"{x:y}", hashlib.sha256).hexdigest()

    assert scheme("{{{a}:{b}}}").sign(KEY, a="x", b="y") == signed
