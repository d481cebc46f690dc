"""A scheme that is accepted verifies each request that is signed by it. A definition that cannot do so is refused."""

import asyncio
import json
from collections.abc import Iterator
from itertools import product
from typing import Any
from urllib.parse import urlencode

import pytest
from signed_schemes import KEY, NOW
from support import Call, Sent, ask_asgi, call_wsgi

from hmac_guard import (
    ConfigError,
    Cookie,
    Expires,
    Form,
    Guard,
    Header,
    Json,
    Path,
    Query,
    Scheme,
    SignedFields,
    Timestamp,
)
from hmac_guard.core.source import Source
from hmac_guard.schemes import raw_body

HEADER, HEADER_A = Header("X-Sig"), Header("X-A")
PATH = Path("/x/{signature}")
BEFORE = [Header("X-Sig", before=text) for text in (":", "=", "+", "a", "0f", ":a")]
ITEMS = [HEADER.item("v1", separators=pair) for pair in ((",", "="), (" ", ","), ("/", "="), ("=", ":"), (";", ","))]
PLACES = [Query("sig"), Form("sig"), Json("/sig"), Cookie("sig"), HEADER, PATH, HEADER | PATH, *BEFORE, *ITEMS]
PREFIXES = ["", "sha256=", "v1,", "k:", "%2", "/"]
DIGESTS = [("hex", "sha256"), ("base64", "sha256"), ("base64", "sha384"), ("base64url", "sha256")]


def scheme(**changes: Any) -> Scheme:
    given: dict[str, Any] = {"name": "s", "ids": {"a": Query("a")}, "message": "{a}", "signature": Query("sig")}
    return Scheme(**{**given, **changes})


def sent(fields: SignedFields, path: str = "/") -> Sent:
    cookies = "; ".join(f"{name}={text}" for name, text in fields.cookies.items())
    headers = [*fields.headers.items(), *([("Cookie", cookies)] if cookies else [])]
    if fields.json:
        headers.append(("Content-Type", "application/json"))
    elif fields.form:
        headers.append(("Content-Type", "application/x-www-form-urlencoded"))
    body = json.dumps(fields.json) if fields.json else urlencode(fields.form)
    return Sent("POST", path, urlencode(fields.query), headers, body.encode())


def accepted() -> Iterator[tuple[Scheme, Source]]:
    """Yield each scheme that can be made of these sources, encodings and prefixes, with each place of its signature."""
    for source, (encoding, algorithm), prefix in product(PLACES, DIGESTS, PREFIXES):
        try:
            made = scheme(signature=source, encoding=encoding, algorithm=algorithm, prefix=prefix)
        except ConfigError:
            continue
        yield from ((made, place) for place in source.places())


def signed_for(made: Scheme, place: Source, a: str) -> Sent:
    if isinstance(place, Path):
        return Sent("POST", f"/x/{made.sign(KEY, a=a)}", f"a={a}")
    return sent(made.replace(signature=place).sign_fields(KEY, a=a))


def test_each_signature_of_an_accepted_scheme_verifies_in_each_of_its_places() -> None:
    async def refused() -> list[object]:
        found: list[object] = []
        for made, place in accepted():
            guard = Guard(made, KEY)
            for request in (signed_for(made, place, f"a{number}") for number in range(6)):
                replies = (call_wsgi(guard, request), await ask_asgi(guard, request))
                found += [(made, place, made.prefix) for reply in replies if reply.status != 200]
        return found

    assert asyncio.run(refused()) == []


ACCEPTED: dict[str, dict[str, Any]] = {
    "a part of what ends a header in the prefix": {"signature": Header("X-Sig", before="::"), "prefix": "k:"},
    "a letter in what ends a header": {"signature": Header("X-Sig", before="a:")},
    "base64 without padding between =": {
        "signature": HEADER.item("v1", separators=("=", ":")),
        "encoding": "base64",
        "algorithm": "sha384",
    },
    "a digit and a letter after a time": {"message": "{timestamp}1x{a}", "timestamp": Timestamp(Header("X-Time"))},
    "a digit after the method": {"message": "{@method}1{a}"},
    "small letters after the method": {"message": "{@method}to{a}"},
    "pointers beside each other": {"ids": {"a": Json("/user/id"), "b": Json("/user/ids")}, "message": "{a}:{b}"},
    "an id in JSON or in a form": {"ids": {"a": Json("/a"), "b": Json("/b") | Form("b")}, "message": "{a}:{b}"},
    "two templates with one path": {
        "ids": {"a": Path("/x/{a}/{k}"), "b": Path("/y/{b}", "/x/{k}/{b}")},
        "message": "{a}:{b}",
    },
    "two templates without a path, beside a query": {
        "ids": {"a": Path("/x/{a}/{k}"), "b": Path("/y/{b}") | Query("b")},
        "message": "{a}:{b}",
    },
    "one segment for the tenant and an id": {"ids": {"a": Path("/x/{a}/{k}")}, "tenant": Path("/x/{tenant}/{k}")},
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_definition_that_a_request_can_use_is_accepted(call: Call, case: str) -> None:
    made = scheme(**ACCEPTED[case])
    fields = made.sign_fields(KEY, dict(zip(made.ids, "12", strict=False)), now=NOW)

    assert call(Guard(made, KEY, clock=lambda: NOW), sent(fields, "/x/1/2")).status == 200


def item(key: str, *separators: str) -> Source:
    return HEADER.item(key, separators=separators)  # type: ignore[arg-type]


NOT_CARRIED: dict[str, tuple[dict[str, Any], str]] = {
    "a comma in a header": ({"signature": HEADER, "prefix": "v1,"}, "','"),
    "a comma in an item": ({"signature": item("v1", ";", "="), "prefix": "v1,"}, "','"),
    "what separates two items": ({"signature": item("v1", ";", "="), "prefix": "v1;"}, "';'"),
    "/ between two items": ({"signature": item("v1", "/", "="), "encoding": "base64"}, "'/'"),
    "= between two items": ({"signature": item("v1", "=", ":"), "encoding": "base64"}, "'='"),
    "/ in a path": ({"signature": PATH, "encoding": "base64"}, "'/'"),
    "/ in a path, beside a header": ({"signature": HEADER | PATH, "encoding": "base64"}, "'/'"),
    "an escaped slash in a path": ({"signature": PATH, "prefix": "%2"}, "'%2f'"),
    "an escaped slash in a path in upper case": ({"signature": PATH, "prefix": "%2F"}, "'%2F'"),
    "an escaped backslash in a path": ({"signature": PATH, "prefix": "a%5", "encoding": "base64url"}, "'%5c'"),
    "= before =": ({"signature": Header("X-Sig", before="="), "encoding": "base64"}, "'='"),
    "= before two =": ({"signature": Header("X-Sig", before="=="), "encoding": "base64"}, "'=='"),
    "+ before +": ({"signature": Header("X-Sig", before="+"), "encoding": "base64"}, "'+'"),
    "a before a": ({"signature": Header("X-Sig", before="a")}, "'a'"),
    "letters before the same letters": ({"signature": Header("X-Sig", before="0f")}, "'0f'"),
    "a prefix before its end": ({"signature": Header("X-Sig", before=":"), "prefix": "k:"}, "':'"),
    "a prefix and a letter before both": ({"signature": Header("X-Sig", before=":a"), "prefix": "k:"}, "':a'"),
    "a time before a digit": (
        {"message": "{timestamp}.{a}", "timestamp": Timestamp(Header("X-Time", before="7"))},
        "'7'",
    ),
    "a comma in a cookie": ({"signature": Cookie("sig"), "prefix": "a,"}, "','"),
    "a semicolon in a cookie": ({"signature": Cookie("sig"), "prefix": "a;"}, "';'"),
    "a percent sign in a cookie": ({"signature": Cookie("sig"), "prefix": "a%"}, "'%'"),
}


@pytest.mark.parametrize("case", NOT_CARRIED)
def test_a_text_that_its_source_cannot_always_carry_is_refused(case: str) -> None:
    changes, what = NOT_CARRIED[case]
    with pytest.raises(ConfigError, match=r"^Scheme: the .* cannot carry; give another source") as caught:
        scheme(**changes)

    assert f"may have {what}, which" in str(caught.value)


def test_the_error_names_the_source_and_the_fix() -> None:
    with pytest.raises(ConfigError) as caught:
        raw_body(header="X-Signature", prefix="v1,", encoding="base64")

    assert str(caught.value) == (
        "Scheme: the signature may have ',', which Header(name='X-Signature', before='') cannot carry; give another "
        "source, encoding or prefix"
    )


A_AND_B = {"message": "{a}:{b}"}
SPLIT = {"a": Json("/user/name"), "b": Json("/user")}
UNUSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "two pairs of separators": (
        {
            "message": "{a}.{timestamp}",
            "signature": item("v1", ";", "="),
            "timestamp": Timestamp(item("t", ",", "=")),
        },
        "different separators; give all items of a header the same",
    ),
    "two separators after a key": (
        {"ids": {"a": item("a", ",", ":")}, "signature": item("v1", ",", "=")},
        "separators",
    ),
    "two pairs of separators in two spellings": (
        {"tenant": Header("x-sig").item("t", separators=(",", "=")), "signature": item("v1", ";", "=")},
        "different separators",
    ),
    "a pointer into a text": (
        {**A_AND_B, "ids": SPLIT},
        "the id 'a' can never be in Json(pointer='/user/name', allow_int=False): it is inside of Json(pointer='/user', "
        "allow_int=False), where the id 'b' has to be a text; give another pointer",
    ),
    "a pointer into a text that may be in the query": (
        {**A_AND_B, "ids": {**SPLIT, "b": Json("/user") | Query("b")}},
        "text",
    ),
    "a pointer into an optional text": ({**A_AND_B, "ids": SPLIT, "optional": {"b"}}, "has to be a text"),
    "a pointer into its own alternative": ({"ids": {"a": Json("/user") | Json("/user/id")}}, "has to be a text"),
    "a signature inside of an id": ({"ids": {"a": Json("/user")}, "signature": Json("/user/sig")}, "the signature can"),
    "two paths": (
        {**A_AND_B, "ids": {"a": Path("/x/{a}"), "b": Path("/y/{b}")}},
        "no path has the id 'a' as in '/x/{a}' and the id 'b' as in '/y/{b}'; give both the same path",
    ),
    "a path in a longer path": ({**A_AND_B, "ids": {"a": Path("/{a}"), "b": Path("/{a}/{b}")}}, "no path has"),
    "a tenant in another path": ({"ids": {"a": Path("/x/{a}")}, "tenant": Path("/y/{tenant}")}, "no path has"),
    "an optional id in a form, beside JSON": (
        {**A_AND_B, "ids": {"a": Json("/a"), "b": Form("b")}, "optional": {"b"}},
        "cannot be JSON and a form",
    ),
    "three ids in two paths": (
        {
            "ids": {
                "a": Path("/x/{a}/{b}", "/y/{a}/{c}"),
                "b": Path("/x/{a}/{b}", "/z/{b}/{c}"),
                "c": Path("/y/{a}/{c}", "/z/{b}/{c}"),
            },
            "message": "{a}:{b}:{c}",
        },
        "no request can have each of the id 'a', the id 'b', the id 'c' in its places",
    ),
    "one segment for two ids": (
        {**A_AND_B, "ids": {"a": Path("/u/{a}"), "b": Path("/u/{b}")}},
        "a path can match '/u/{a}' and '/u/{b}', and where the one has the id 'a', the other has the id 'b'",
    ),
    "a fixed text in the segment of an id": (
        {**A_AND_B, "ids": {"a": Path("/{k}/{a}"), "b": Path("/{b}/x")}},
        "or a fixed text; use different segments",
    ),
    "a path that another id is read from": (
        {**A_AND_B, "ids": {"a": Path("/x/{a}"), "b": Path("/x/{b}") | Query("b")}},
        "a path can match '/x/{a}' and '/x/{b}'",
    ),
    "a tenant in two places of two ids": (
        {**A_AND_B, "ids": {"a": Query("a"), "b": Query("b")}, "tenant": Query("a") | Query("b")},
        "no request can have each of the id 'a', the id 'b', the tenant in its places",
    ),
    "one segment for the signature and an id": (
        {"ids": {"a": Path("/x/{a}") | Query("a")}, "signature": PATH},
        "a path can match '/x/{signature}' and '/x/{a}', and where the one has the signature, the other has the id 'a'",
    ),
    "a fixed text in the segment of the signature": (
        {"ids": {"a": Path("/{a}/inbox")}, "signature": Path("/{a}/{signature}")},
        "or a fixed text; use different segments",
    ),
    "one segment for a time and an id": (
        {
            "ids": {"a": Path("/{a}/{k}")},
            "message": "{timestamp}:{a}",
            "timestamp": Timestamp(Path("/{timestamp}/{k}")),
        },
        "where the one has the timestamp",
    ),
    "the tenant in the place of the signature": ({"tenant": Query("sig")}, "signature and tenant are both read from"),
    "the tenant in the header of the signature, spelled differently": (
        {"signature": Header("X-Sig"), "tenant": Header("x-sig", before=":")},
        "signature and tenant are both read from",
    ),
    "the tenant in the header of which the signature is an item": (
        {"signature": HEADER.item("v1", separators=(",", "=")), "tenant": HEADER},
        "signature and tenant are both read from",
    ),
    "the tenant in the place of a time": (
        {"message": "{timestamp}:{a}", "timestamp": Timestamp(Query("t")), "tenant": Query("t") | Query("u")},
        "timestamp and tenant are both read from",
    ),
    "a digit after a time": (
        {"message": "{timestamp}1{a}", "timestamp": Timestamp(Query("t"))},
        "{timestamp} may contain '1', the text after it in message; put another separator there",
    ),
    "digits after a time": ({"message": "{timestamp}00{a}", "timestamp": Timestamp(Query("t"))}, "may contain '00'"),
    "a letter after the method": ({"message": "{@method}T{a}"}, "{@method} may contain 'T'"),
}


@pytest.mark.parametrize(
    ("user", "a", "tenant", "name"),
    [
        (HEADER_A, "acme=42", Header("x-a", before="="), "acme"),
        (HEADER_A, "acme=42", Query("tenant") | Header("X-A", before="="), "acme"),
        (HEADER_A, "acme=42", HEADER_A.item("acme", separators=(",", "=")), "42"),
        (Header("X-A", before="="), "acme", HEADER_A, "acme=42"),
        (HEADER_A.item("acme", separators=(",", "=")), "42", HEADER_A, "acme=42"),
    ],
    ids=repr,
)
def test_a_tenant_that_is_a_part_of_an_id_is_read_and_not_placed(
    call: Call, user: Any, a: str, tenant: Any, name: str
) -> None:
    made = scheme(ids={"a": user}, tenant=tenant)
    request = Sent("GET", "/", f"sig={made.sign(KEY, a=a)}", [("X-A", "acme=42")], b"")

    assert call(Guard(made, keys={name: KEY}), request).status == 200
    with pytest.raises(ConfigError, match=r"^sign_fields: .* is a place of the .* too; give both the same source"):
        made.sign_fields(KEY, a=a, tenant=name)


@pytest.mark.parametrize("case", UNUSABLE)
def test_places_that_no_request_can_use_are_refused(case: str) -> None:
    changes, says = UNUSABLE[case]
    with pytest.raises(ConfigError, match=r"^Scheme: ") as caught:
        scheme(**changes)

    assert says in str(caught.value)


@pytest.mark.parametrize(("unit", "limit"), [("s", 10**16), ("ms", 10**13)])
def test_a_lifetime_is_shorter_than_the_longest_time(unit: Any, limit: int) -> None:
    longest = Expires(Query("e"), max_lifetime=limit - 1, unit=unit)
    made = scheme(message="{a}.{expires}", expires=longest)

    assert len(made.sign_fields(KEY, a="x").query["e"]) == 16
    with pytest.raises(ConfigError, match=f"^Expires: max_lifetime must be less than {limit:,} seconds"):
        Expires(Query("e"), max_lifetime=limit, unit=unit)


def test_a_pointer_is_at_most_as_deep_as_a_body_may_be(call: Call) -> None:
    made = scheme(ids={"a": Json("/a" * 64)})

    assert call(Guard(made, KEY), sent(made.sign_fields(KEY, a="x"))).status == 200
    with pytest.raises(ConfigError, match=r"^Json: the pointer has more than 64 levels"):
        Json("/a" * 65)
