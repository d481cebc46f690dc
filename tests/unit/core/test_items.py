"""Headers with several items: what counts, what is skipped, and what is refused, over WSGI and ASGI alike."""

from typing import Any

import pytest
from support import Call, Sent

from hmac_guard import Guard, Header, Query, Reason, Scheme, Verdict
from hmac_guard.core.items import item_values, one_of
from hmac_guard.core.verdict import Refused

KEY = "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19"
COMMA, SPACE, SEMICOLON = (",", "="), (" ", ","), (";", "=")


def values(line: str | list[str], separators: tuple[str, str] = COMMA, key: str = "v1") -> Any:
    items = item_values(line, *separators, {key})
    value = items if isinstance(items, Refused) else items.get(key)
    found = one_of(value, is_signature=True)
    if isinstance(found, Refused):
        return found.reason
    return [] if value is None else value if isinstance(value, list) else [value]


@pytest.mark.parametrize(
    ("line", "separators", "expected"),
    [
        ("v1=a", COMMA, ["a"]),
        ("t=1,v1=a,v1=b", COMMA, ["a", "b"]),
        ("v1=a=b==", COMMA, ["a=b=="]),
        ("v0=a,V1=b,v11=c,v=1", COMMA, []),
        ("v1=,v1=a", COMMA, ["", "a"]),
        ("v1=", COMMA, [""]),
        ("=a,v1=b", COMMA, ["b"]),
        ('v1="a"', COMMA, ['"a"']),
        ("v1=a b", COMMA, ["a b"]),
        ("v1,a v1,b v1a,c", SPACE, ["a", "b"]),
        ("v1,a=b/c+d==", SPACE, ["a=b/c+d=="]),
        ("ts=1;v1=a", SEMICOLON, ["a"]),
        (["t=1", "v1=a"], COMMA, ["a"]),
        (["t=1,v1=a", "v1=b"], COMMA, ["a", "b"]),
        (",".join(f"x{number}=1" for number in range(31)) + ",v1=a", COMMA, ["a"]),
        (",".join(["v1=a"] * 8), COMMA, ["a"] * 8),
    ],
)
def test_the_items_with_the_key_count_and_the_others_are_skipped(
    line: str | list[str], separators: tuple[str, str], expected: list[str]
) -> None:
    assert values(line, separators) == expected


@pytest.mark.parametrize(
    ("line", "separators"),
    [
        *(("", COMMA), (",", COMMA), ("v1=a,", COMMA), (",v1=a", COMMA), ("v1=a,,t=1", COMMA), ("v1", COMMA)),
        *(("v1=a,t", COMMA), ("v1=a, t=1", COMMA), ("v1=a ,t=1", COMMA), (" v1=a", COMMA), ("v1=a ", COMMA)),
        *(("v1=a  b", COMMA), ("v1=a\tb", COMMA), ("v1=\u00e9", COMMA), ("v1=a\0", COMMA), ("v1=a\x7f", COMMA)),
        *(("v1,a  v1,b", SPACE), ("v1 ,a", SPACE), ("v1", SPACE), ("ts=1;;v1=a", SEMICOLON), ("v1=a;", SEMICOLON)),
        (",".join(f"x{number}=1" for number in range(32)) + ",v1=a", COMMA),
        (",".join(["v1=a"] * 9), COMMA),
        (["v1=a", ""], COMMA),
    ],
)
def test_what_is_no_list_of_items_is_malformed(line: str | list[str], separators: tuple[str, str]) -> None:
    assert values(line, separators) is Reason.MALFORMED


@pytest.mark.parametrize(
    ("line", "separators"),
    [
        (["v1,a", "v1,b"], SPACE),
        ("v1,a,v1,b", SPACE),
        ("v1,a b,c,d", SPACE),
        ("v1,a,", SPACE),
        (["ts=1", "v1=a"], SEMICOLON),
        ("ts=1,v1=a", SEMICOLON),
        ("ts=1;v1=a,b", SEMICOLON),
        (["v1=a", "v1=a"], SEMICOLON),
    ],
)
def test_two_lines_are_a_duplicate_where_a_comma_does_not_separate_items(
    line: str | list[str], separators: tuple[str, str]
) -> None:
    assert values(line, separators) is Reason.DUPLICATE


def test_the_tenant_and_an_optional_id_are_in_one_item_of_a_header_in_two_spellings(call: Call) -> None:
    scheme = Scheme(
        name="orgs",
        ids={"user": Query("user"), "org": Header("X-Auth").item("org", separators=COMMA)},
        optional={"org"},
        message="{user}:{org}",
        signature=Header("X-Auth").item("v1", separators=COMMA),
        tenant=Header("x-auth").item("org", separators=COMMA),
    )
    guard = Guard(scheme, {"acme": KEY})
    signed, unsigned = scheme.sign(KEY, user="u", org="acme"), scheme.sign(KEY, user="u")

    def status(signature: str) -> int:
        return call(guard, Sent(query="user=u", headers=[("X-Auth", f"org=acme,v1={signature}")])).status

    assert (status(signed), status(unsigned)) == (200, 401)


HEADER = Header("X-Sig")


def guard(separators: tuple[str, str], seen: list[Verdict]) -> Guard:
    scheme = Scheme(
        name="items",
        ids={"a": HEADER.item("a", separators=separators)},
        message="{a}",
        signature=HEADER.item("v1", separators=separators),
    )
    return Guard(scheme, [KEY, "another key, long enough"], on_verdict=lambda verdict, _: seen.append(verdict))


def signed(text: str, key: str = KEY) -> str:
    return Scheme(name="x", ids={"a": Query("a")}, message="{a}", signature=Query("s")).sign(key, a=text)


GOOD, OTHER = signed("x"), signed("x", "another key, long enough")


@pytest.mark.parametrize(
    ("separators", "lines", "reason"),
    [
        (COMMA, [f"a=x,v1={GOOD}"], Reason.VERIFIED),
        (COMMA, [f"v1={GOOD},a=x"], Reason.VERIFIED),
        (COMMA, ["a=x", f"v1={GOOD}"], Reason.VERIFIED),
        (COMMA, [f"a=x,v1={'0' * 64},v1={GOOD}"], Reason.VERIFIED),
        (COMMA, [f"a=x,v1={GOOD},v1={'0' * 64}"], Reason.VERIFIED),
        (COMMA, [f"a=x,v1={'0' * 64},v1={OTHER}"], Reason.VERIFIED),
        (COMMA, [f"a=x,v1=,v1={GOOD}"], Reason.VERIFIED),
        (COMMA, [f"a=x,v0={'0' * 64},v1={GOOD},v2=?"], Reason.VERIFIED),
        (COMMA, ["a=x," + ",".join([f"v1={'0' * 64}"] * 7) + f",v1={GOOD}"], Reason.VERIFIED),
        (SPACE, [f"a,x v1,{GOOD}"], Reason.VERIFIED),
        (SEMICOLON, [f"a=x;v1={GOOD}"], Reason.VERIFIED),
        (COMMA, [f"a=x,a=x,v1={GOOD}"], Reason.DUPLICATE),
        (COMMA, [f"a=x,a=,v1={GOOD}"], Reason.DUPLICATE),
        (COMMA, ["a=x", "a=x", f"v1={GOOD}"], Reason.DUPLICATE),
        (SPACE, [f"a,x v1,{GOOD}", f"v1,{GOOD}"], Reason.DUPLICATE),
        (SEMICOLON, ["a=x", f"v1={GOOD}"], Reason.DUPLICATE),
        (COMMA, ["a=x," + ",".join([f"v1={GOOD}"] * 9)], Reason.MALFORMED),
        (COMMA, [f"a=x, v1={GOOD}"], Reason.MALFORMED),
        (COMMA, [f"a=x,v1={GOOD},"], Reason.MALFORMED),
        (COMMA, [f"a=x,v1={GOOD},v2"], Reason.MALFORMED),
        (COMMA, [f"a=,v1={GOOD}"], Reason.MISSING_ID),
        (COMMA, [f"v1={GOOD}"], Reason.MISSING_ID),
        (COMMA, ["a=x,v1="], Reason.MISSING_SIGNATURE),
        (COMMA, ["a=x,v1=,v1="], Reason.MISSING_SIGNATURE),
        (COMMA, ["a=x"], Reason.MISSING_SIGNATURE),
        (COMMA, [f"a=x,v1={GOOD.upper()}"], Reason.INVALID_SIGNATURE),
        (COMMA, [f"a=x,v1={GOOD}=,v1={GOOD[:-1]},v1=0"], Reason.INVALID_SIGNATURE),
        (COMMA, [f"a=y,v1={GOOD}"], Reason.INVALID_SIGNATURE),
        (COMMA, [], Reason.MISSING_ID),
    ],
)
def test_items_are_read_alike_at_both_interfaces(
    call: Call, separators: tuple[str, str], lines: list[str], reason: Reason
) -> None:
    seen: list[Verdict] = []
    reply = call(guard(separators, seen), Sent(headers=[("X-Sig", line) for line in lines]))

    assert [verdict.reason for verdict in seen] == [reason]
    assert reply.status == (200 if reason is Reason.VERIFIED else 401)
    assert [dict(verdict.ids) for verdict, _ in reply.seen] == ([{"a": "x"}] if reply.status == 200 else [])


def test_items_and_another_place_are_a_conflict(call: Call) -> None:
    seen: list[Verdict] = []
    scheme = Scheme(
        name="either",
        ids={"a": Query("a")},
        message="{a}",
        signature=HEADER.item("v1", separators=COMMA) | Query("sig"),
    )
    either = Guard(scheme, KEY, on_verdict=lambda verdict, _: seen.append(verdict))

    assert call(either, Sent(query=f"a=x&sig={GOOD}")).status == 200
    assert call(either, Sent(query="a=x", headers=[("X-Sig", f"v1={GOOD},v1=1")])).status == 200
    assert call(either, Sent(query=f"a=x&sig={GOOD}", headers=[("X-Sig", f"v1={GOOD}")])).status == 401
    assert call(either, Sent(query=f"a=x&sig={GOOD}", headers=[("X-Sig", f"v1={GOOD},v1=1")])).status == 401
    assert [verdict.reason for verdict in seen[2:]] == [Reason.CONFLICT] * 2
    # No part of a text from elsewhere is taken for an item.
    for text in (f"1,v1={GOOD}", f"1%00{GOOD}", f"1,{GOOD}"):
        assert call(either, Sent(query=f"a=x&sig={text}")).status == 401


def test_a_header_name_in_any_case_is_one_header(call: Call) -> None:
    first, second = HEADER.item("a", separators=COMMA), Header("x-SIG").item("v1", separators=COMMA)
    scheme = Scheme(name="s", ids={"a": first}, message="{a}", signature=second)

    assert call(Guard(scheme, KEY), Sent(headers=[("x-sig", f"a=x,v1={GOOD}")])).status == 200
