"""What a signer gives: `sign` with times, method and body, and `sign_fields`, everything in its place."""

import hashlib
import hmac
import math
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from enum import Enum
from itertools import count
from typing import Any

import pytest
from signed_schemes import HOOK, INBOX, KEY, NOW
from support import Call, Sent

from hmac_guard import ConfigError, Cookie, Form, Guard, Header, Json, Path, Query, Scheme, SignedFields
from hmac_guard.core import ways
from hmac_guard.core.times import Expires, Timestamp

CALL = Scheme(
    name="call",
    ids={"a": Query("a")},
    message="{@method} {a} {timestamp}",
    signature=Header("X-Sig"),
    timestamp=Timestamp(Header("X-Time"), unit="ms"),
)


ITEM = Header("X-Sig").item("v1", separators=(",", "="))


def hex_of(message: bytes, key: str = KEY) -> str:
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()


def test_sign_takes_the_times_as_they_travel() -> None:
    expected = hex_of(b"u1.1900000000")

    assert INBOX.sign(KEY, user_id="u1", expires=1_900_000_000) == expected
    assert INBOX.sign(KEY, user_id="u1", expires="1900000000") == expected
    assert INBOX.sign(KEY, {"user_id": "u1"}, expires=1_900_000_000) == expected


def test_sign_takes_the_body_and_the_method() -> None:
    assert CALL.sign(KEY, a="x", timestamp=1_800_000_000_123, method="PUT") == hex_of(b"PUT x 1800000000123")
    body = Scheme(name="b", ids={}, message="v0:{@method}:{@body}", signature=Header("X-Sig"))
    assert body.sign(KEY, body=b"\xff\0{}", method="POST") == hex_of(b"v0:POST:\xff\0{}")
    assert body.sign(KEY, body=bytearray(b"x"), method="POST") == hex_of(b"v0:POST:x")


def test_an_id_that_is_called_as_a_part_stays_an_id() -> None:
    ids = {"body": Query("b"), "method": Query("m"), "timestamp": Query("t"), "expires": Query("e")}
    scheme = Scheme(name="odd", ids=ids, message="{body}:{method}:{timestamp}:{expires}", signature=Query("sig"))
    assert scheme.sign(KEY, body="1", method="2", timestamp="x", expires="y") == hex_of(b"1:2:x:y")
    assert scheme.sign_fields(KEY, {"body": "1", "method": "2"}, timestamp="x", expires="y").query == {
        "b": "1",
        "m": "2",
        "t": "x",
        "e": "y",
        "sig": hex_of(b"1:2:x:y"),
    }
    both = Scheme(name="b", ids={"body": Header("X-Body")}, message="{body}:{@body}", signature=Header("X-Sig"))
    assert both.sign(KEY, {"body": "id"}, body=b"raw") == hex_of(b"id:raw")
    assert both.sign_fields(KEY, {"body": "id"}, body=b"raw").headers["X-Sig"] == hex_of(b"id:raw")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"user_id": "u1"}, "the message names 'expires'"),
        ({"user_id": "u1", "expires": None}, "the message names 'expires'"),
        ({"user_id": "u1", "expires": 1.5}, "expires must be a Unix time"),
        ({"user_id": "u1", "expires": 1_900_000_000.0}, "expires must be a Unix time"),
        ({"user_id": "u1", "expires": float("nan")}, "expires must be a Unix time"),
        ({"user_id": "u1", "expires": True}, "expires must be a Unix time"),
        ({"user_id": "u1", "expires": -5}, "expires must be a Unix time"),
        ({"user_id": "u1", "expires": 0}, "expires must be a Unix time"),
        ({"user_id": "u1", "expires": "01900000000"}, "expires must be a Unix time"),
        ({"user_id": "u1", "expires": "1900000000\n"}, "expires must be a Unix time"),
        ({"user_id": "u1", "expires": 10**16}, "expires must be a Unix time"),
        ({"user_id": "u.1", "expires": 5}, "contains the text that separates"),
        ({"user_id": "u1", "expires": 5, "timestamp": 5}, "no id 'timestamp'; it has user_id, expires"),
        ({"user_id": "u1", "expires": 5, "body": b""}, "no id 'body'"),
        ({"expires": 5}, "the id 'user_id' is missing"),
    ],
)
def test_what_no_request_could_get_verified_is_not_signed(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        INBOX.sign(KEY, **given)


def test_an_id_is_given_once() -> None:
    with pytest.raises(ConfigError, match=r"^sign: 'user_id' is given twice, .*; give it once$"):
        INBOX.sign(KEY, {"user_id": "u1"}, user_id="u2", expires=NOW)
    with pytest.raises(ConfigError, match="sign_fields: 'user_id' is given twice"):
        INBOX.sign_fields(KEY, {"user_id": "u1"}, user_id="u2")
    with pytest.raises(ConfigError, match="sign_fields: 'expires' is given twice"):
        INBOX.sign_fields(KEY, {"user_id": "u1", "expires": str(NOW)}, expires=NOW)


@pytest.mark.parametrize(
    ("changes", "named", "says"),
    [
        (
            {},
            {"a": "x:y", "b": "z"},
            "the id 'a' contains the text that separates it from the next part of the message, ':'",
        ),
        ({"message": "{a}::{b}"}, {"a": "x:", "b": "z"}, "the id 'a' ends with the beginning of the text that separ"),
        (
            {"message": "{b}/{a}"},
            {"a": "x", "b": "/"},
            "the id 'b' contains the text that separates it .*, '/', so two",
        ),
        (
            {"message": "{@method}-{a}:{b}"},
            {"a": "x", "b": "y", "method": "M-SEARCH"},
            "the method contains .*, '-', so",
        ),
    ],
    ids=["contains", "ends", "other", "method"],
)
def test_the_part_that_contains_its_separator_is_named(changes: Any, named: Any, says: str) -> None:
    scheme = Scheme(name="two", ids={"a": Query("a"), "b": Query("b")}, message="{a}:{b}", signature=Query("sig"))

    with pytest.raises(ConfigError, match=f"^sign: {says}"):
        scheme.replace(**changes).sign(KEY, **named)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"body": "text"}, "body must be bytes"),
        ({"body": None}, "the message names 'body'"),
        ({}, "the message names 'body'"),
        ({"body": {}}, "body must be bytes"),
    ],
)
def test_a_body_is_bytes(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        HOOK.sign(KEY, event_id="e1", timestamp=NOW, **given)


@pytest.mark.parametrize("method", ["", "PO ST", "POST\n", "\u0130", 5, b"POST"])
def test_a_method_is_a_token(method: Any) -> None:
    with pytest.raises(ConfigError, match="name of an HTTP method"):
        CALL.sign(KEY, a="x", timestamp=NOW, method=method)
    with pytest.raises(ConfigError, match="name of an HTTP method"):
        CALL.sign_fields(KEY, a="x", method=method)


def test_a_signature_over_nothing_is_not_made() -> None:
    for message in ("{@body}", "v0:{@method}:{@body}"):
        scheme = Scheme(name="raw", ids={}, message=message, signature=Header("X-Sig"))
        method = {"method": "GET"} if "method" in message else {}
        with pytest.raises(ConfigError, match="body is empty"):
            scheme.sign(KEY, body=b"", **method)
        with pytest.raises(ConfigError, match="body is empty"):
            scheme.sign_fields(KEY)
    assert HOOK.sign(KEY, event_id="e1", timestamp=NOW, body=b"")


# Everything in its place.


def test_fields_have_the_times_of_now() -> None:
    fields = INBOX.sign_fields(KEY, now=NOW + 0.9, user_id="u1")
    end = NOW + 43_200  # Half of max_lifetime.

    assert fields.query == {"user_id": "u1", "expires": str(end), "sig": hex_of(b"u1.%d" % end)}
    assert (fields.headers, fields.cookies, fields.json, fields.form) == ({}, {}, {}, {})
    assert INBOX.sign_fields(KEY, now=NOW, user_id="u1", expires=NOW + 5).query["expires"] == str(NOW + 5)
    assert INBOX.sign_fields(KEY, now=NOW, user_id="u1", expires=str(NOW + 5)).query["expires"] == str(NOW + 5)


def test_fields_without_a_time_to_sign_at_have_the_clocks() -> None:
    before = int(time.time())
    made = int(HOOK.sign_fields(KEY, event_id="e1", body=b"x").headers["webhook-timestamp"])

    assert before <= made <= time.time()


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(datetime.fromtimestamp(NOW, timezone.utc), id="datetime"),
        pytest.param(str(NOW), id="text"),
        pytest.param(True, id="bool"),
        pytest.param(math.inf, id="inf"),
        pytest.param(math.nan, id="nan"),
    ],
)
@pytest.mark.parametrize("scheme", [INBOX, INBOX.replace(expires=None, message="{user_id}")], ids=["time", "no time"])
def test_the_time_to_sign_at_is_a_number_of_seconds(scheme: Scheme, now: Any) -> None:
    with pytest.raises(ConfigError, match=r"^sign_fields: now must be a Unix time in seconds, .*\.timestamp\(\)$"):
        scheme.sign_fields(KEY, now=now, user_id="u1")


def test_fields_in_milliseconds() -> None:
    fields = CALL.sign_fields(KEY, now=NOW + 0.1239, a="x")

    assert fields.headers == {"X-Time": f"{NOW}123", "X-Sig": hex_of(b"POST x %d123" % NOW)}
    assert fields.query == {"a": "x"}


def test_items_of_one_header_are_times_first_and_then_signatures() -> None:
    header = Header("X-Sig")
    scheme = Scheme(
        name="items",
        ids={"a": Query("a")},
        message="{a}.{timestamp}.{expires}",
        signature=header.item("v1", separators=(";", "=")),
        timestamp=Timestamp(header.item("t", separators=(";", "="))),
        expires=Expires(header.item("e", separators=(";", "=")), max_lifetime=60),
    )
    signature = hex_of(b"x.%d.%d" % (NOW, NOW + 30))

    assert scheme.sign_fields(KEY, a="x", now=NOW).headers == {
        "X-Sig": f"t={NOW};e={NOW + 30};v1={signature}",
    }


def test_two_spellings_of_a_header_are_one_line(call: Call) -> None:
    scheme = Scheme(
        name="items",
        ids={"a": Header("x-sig").item("a", separators=(";", "=")), "b": Header("X-B")},
        message="{a}:{b}",
        signature=Header("X-Sig").item("v1", separators=(";", "=")),
        tenant=Header("x-b"),
    )
    fields = scheme.sign_fields(KEY, a="1", b="2", tenant="2")

    assert fields.headers == {"X-B": "2", "x-sig": f"a=1;v1={hex_of(b'1:2')}"}
    assert call(Guard(scheme, {"2": KEY}), Sent(headers=[*fields.headers.items()])).status == 200


def test_a_tenant_and_an_id_in_one_item_are_one_item(call: Call) -> None:
    scheme = Scheme(name="i", ids={"a": ITEM}, message="{a}", signature=Query("sig"), tenant=ITEM)
    fields = scheme.sign_fields(KEY, a="1", tenant="1")

    assert fields.headers == {"X-Sig": "v1=1"}
    query = f"sig={fields.query['sig']}"
    assert call(Guard(scheme, {"1": KEY}), Sent(query=query, headers=[*fields.headers.items()])).status == 200
    with pytest.raises(ConfigError, match="two different strings"):
        scheme.sign_fields(KEY, a="1", tenant="2")


def test_a_string_goes_into_the_first_place_that_can_carry_it() -> None:
    ids = {"a": Header("X-A") | Cookie("a") | Query("a")}
    scheme = Scheme(name="many", ids=ids, message="{a}", signature=Cookie("sig") | Query("sig"), encoding="base64")
    signed = {name: scheme.sign(KEY, a=name) for name in ("x", "a,b", "a%")}

    assert scheme.sign_fields(KEY, a="x").headers == {"X-A": "x"}
    assert scheme.sign_fields(KEY, a="x").cookies == {"sig": signed["x"]}
    assert scheme.sign_fields(KEY, a="a,b").query == {"a": "a,b"}
    assert scheme.sign_fields(KEY, a="\u00e9").query == {"a": "\u00e9"}


@pytest.mark.parametrize(
    ("before", "text", "expected"),
    [
        ("::", "a", {"X-A": "a::"}),
        ("::", ":a", {"X-A": ":a::"}),
        ("::", "a:", {}),
        ("::", "a::b", {}),
        ("aba", "xb", {"X-A": "xbaba"}),
        ("aba", "xab", {}),
        (":", "a:", {}),
    ],
)
def test_a_header_carries_what_is_read_whole_before_the_separator(
    before: str, text: str, expected: dict[str, str]
) -> None:
    ids = {"a": Header("X-A", before=before) | Query("a")}
    fields = Scheme(name="before", ids=ids, message="{a}", signature=Query("sig")).sign_fields(KEY, a=text)

    assert fields.headers == expected
    assert fields.query.get("a", text) == text


@pytest.mark.parametrize(
    ("source", "text", "odd"),
    [
        (Header("X-A", before="a"), "xay", "a"),
        (Header("X-A"), "x y,z", ","),
        (Header("X-A").item("a", separators=(" ", "=")), "x y", " "),
        (Cookie("a"), "x y", " "),
        (Path("/{a}"), "x./", "/"),
    ],
    ids=repr,
)
def test_the_character_that_cannot_be_sent_is_named(source: Any, text: str, odd: str) -> None:
    scheme = Scheme(name="odd", ids={"a": source}, message="{a}", signature=Query("sig"))

    with pytest.raises(ConfigError, match=f"cannot be sent in .*; it has '{odd}'$"):
        scheme.sign(KEY, a=text)


def test_ids_of_a_path_are_left_to_the_url() -> None:
    scheme = Scheme(name="p", ids={"a": Path("/x/{a}")}, message="{a}", signature=Query("sig"))

    assert scheme.sign_fields(KEY, a="1").query == {"sig": hex_of(b"1")}
    with pytest.raises(ConfigError, match=r"cannot be sent in .*; it has '/'"):
        scheme.sign_fields(KEY, a="1/2")
    with pytest.raises(ConfigError, match=r"cannot be sent in Path\([^;]*$"):
        scheme.sign_fields(KEY, a="..")
    either = scheme.replace(ids={"a": Path("/x/{a}") | Query("a")})
    assert either.sign_fields(KEY, a="1").query == {"a": "1", "sig": hex_of(b"1")}
    only_path = scheme.replace(ids={"a": Query("a")}, signature=Path("/x/{signature}"))
    with pytest.raises(ConfigError, match=r"the signature cannot be sent in .*: the caller writes the URL; get the"):
        only_path.sign_fields(KEY, a="1")
    called_signature = Scheme(
        name="p", ids={"signature": Path("/x/{signature}")}, message="{signature}", signature=Query("sig")
    )
    assert called_signature.sign_fields(KEY, signature="1").query == {"sig": hex_of(b"1")}


def test_json_is_nested_and_form_is_flat() -> None:
    ids = {"a": Json("/order/id"), "b": Json("/items/0/x~1y")}
    scheme = Scheme(name="j", ids=ids, message="{a}:{b}", signature=Json("/sig"))
    assert scheme.sign_fields(KEY, a="1", b="2").json == {
        "order": {"id": "1"},
        "items": {"0": {"x/y": "2"}},
        "sig": hex_of(b"1:2"),
    }
    form = Scheme(name="f", ids={"a": Form("a")}, message="{a}", signature=Form("sig"))
    assert form.sign_fields(KEY, a="1").form == {"a": "1", "sig": hex_of(b"1")}


def test_one_request_is_not_json_and_a_form() -> None:
    mixed = Scheme(name="m", ids={"a": Json("/a") | Header("X-A")}, message="{a}", signature=Form("s"))
    assert mixed.sign_fields(KEY, a="1").json == {}
    with pytest.raises(ConfigError, match="JSON and a form"):
        mixed.sign_fields(KEY, a="größe")
    other = Scheme(name="m", ids={"a": Form("a") | Header("X-A")}, message="{a}", signature=Json("/s"))
    with pytest.raises(ConfigError, match="JSON and a form"):
        other.sign_fields(KEY, a="größe")


@pytest.mark.parametrize(
    ("ids", "signature", "kinds"),
    [
        ({"a": Json("/a") | Form("a")}, Form("s"), {"form": ["a", "s"]}),
        ({"a": Json("/a") | Query("a")}, Form("s"), {"form": ["s"], "query": ["a"]}),
        ({"a": Json("/a") | Query("a"), "b": Form("b") | Query("b")}, Header("S"), {"json": ["a"], "query": ["b"]}),
        ({"a": Json("/a") | Query("a"), "b": Form("b")}, Header("S"), {"form": ["b"], "query": ["a"]}),
    ],
    ids=repr,
)
def test_the_places_are_those_of_one_request(ids: dict[str, Any], signature: Any, kinds: dict[str, list[str]]) -> None:
    message = ":".join(f"{{{name}}}" for name in ids)
    fields = Scheme(name="m", ids=ids, message=message, signature=signature).sign_fields(KEY, dict.fromkeys(ids, "1"))

    assert {kind: list(getattr(fields, kind)) for kind in ("query", "json", "form") if getattr(fields, kind)} == kinds


@pytest.mark.parametrize("names", ["abcdefghijkl", "bcdefghijkla"])
@pytest.mark.parametrize(("a", "tenant"), [(Json("/a") | Query("a"), None), (Header("X-T") | Query("t"), Query("t"))])
@pytest.mark.parametrize("own", ["x", "y"])
def test_many_ids_are_placed_in_few_steps(
    names: str, a: Any, tenant: Any, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = {name: Query(name) | Header(f"X-{name}") | Json(f"/{name}") for name in names} | {"a": a}
    message = ":".join(f"{{{name}}}" for name in ids)
    steps, why_not_both = count(), ways.why_not_both

    def counted(*both: ways.Way) -> str:
        assert next(steps) < 5_000
        return why_not_both(*both)

    monkeypatch.setattr(ways, "why_not_both", counted)
    made = Scheme(name="m", ids=ids, message=message, signature=Form("sig"), tenant=tenant)
    with suppress(ConfigError):  # The place of the tenant has one text.
        made.sign_fields(KEY, dict.fromkeys(ids, "x"), tenant=own if tenant else None)


@pytest.mark.parametrize(
    ("user", "tenant", "place"),
    [
        (Header("X-T") | Query("t"), Query("t"), "query"),
        (Header("X-T") | Query("t"), Query("t") | Header("X-T"), "headers"),
        (Query("t"), Header("X-T") | Query("t"), "query"),
        (Header("X-T") | Json("/t"), Json("/t", allow_int=True), "json"),
        (Path("/u/{t}") | Query("t"), Query("t"), "query"),
    ],
    ids=repr,
)
def test_an_id_and_the_tenant_are_in_no_other_place_of_either(user: Any, tenant: Any, place: str) -> None:
    scheme = Scheme(name="m", ids={"t": user}, message="{t}", signature=Cookie("sig"), tenant=tenant)
    fields = scheme.sign_fields(KEY, t="acme", tenant="acme")

    assert [kind for kind in ("query", "headers", "json") if getattr(fields, kind)] == [place]
    with pytest.raises(ConfigError, match=r"^sign_fields: "):
        scheme.sign_fields(KEY, t="42", tenant="acme")


@pytest.mark.parametrize(
    ("user", "tenant"),
    [
        (Cookie("t"), Query("t") | Cookie("t")),
        (Query("t") | Cookie("t"), Cookie("t")),
        (Cookie("t"), Cookie("t") | Query("t")),
    ],
)
def test_the_error_for_two_texts_in_one_place_says_to_give_one(user: Any, tenant: Any) -> None:
    made = Scheme(name="m", ids={"user": user}, message="{user}", signature=Query("sig"), tenant=tenant)

    assert made.sign_fields(KEY, user="acme", tenant="acme").cookies == {"t": "acme"}
    with pytest.raises(
        ConfigError, match=r"two different strings are sent in Cookie\(.*; give the same text for both$"
    ):
        made.sign_fields(KEY, user="42", tenant="acme")


def test_an_id_that_fits_nowhere_else_is_in_the_path_that_the_caller_writes() -> None:
    ids = {"a": Path("/u/{a}") | Form("a"), "b": Json("/b")}
    fields = Scheme(name="m", ids=ids, message="{a}:{b}", signature=Header("X-Sig")).sign_fields(KEY, a="1", b="2")

    assert fields.json == {"b": "2"}
    assert fields.form == {}


@pytest.mark.parametrize(
    ("ids", "tenant", "kinds"),
    [
        ({"a": Json("/a") | Cookie("a"), "b": Path("/v/{b}") | Form("b")}, None, {"cookies": ["a"], "form": ["b"]}),
        (
            {"a": Json("/a") | Path("/u/{k}/{a}") | Header("X-A")},
            Form("t") | Path("/u/{tenant}/{k}"),
            {"headers": ["X-A"], "form": ["t"]},
        ),
        ({"a": Path("/x/{a}/{k}")}, Query("t") | Path("/x/{tenant}/{k}"), {}),
    ],
    ids=repr,
)
def test_an_id_is_left_to_the_path_only_if_a_request_can_have_it_there(ids: Any, tenant: Any, kinds: Any) -> None:
    message = ":".join(f"{{{name}}}" for name in ids)
    made = Scheme(name="m", ids=ids, message=message, signature=Header("S"), tenant=tenant)
    fields = made.sign_fields(KEY, dict.fromkeys(ids, "1"), tenant="1" if tenant else None)
    found = {kind: list(getattr(fields, kind)) for kind in SignedFields.__slots__ if getattr(fields, kind)}

    assert found == {**kinds, "headers": [*kinds.get("headers", []), "S"]}


def test_ids_that_no_path_has_together_are_not_signed() -> None:
    ids = {"a": Path("/u/{a}") | Form("a"), "b": Json("/b") | Cookie("b"), "c": Path("/v/{c}")}
    made = Scheme(name="m", ids=ids, message="{a}:{b}:{c}", signature=Header("S"))

    assert made.sign_fields(KEY, a="1", b="2", c="3").form == {"a": "1"}
    with pytest.raises(ConfigError, match="no request can have each of the id 'a', the id 'b', the id 'c', the sig"):
        made.sign_fields(KEY, a="1", b="größe", c="3")


def test_an_id_that_a_path_cannot_carry_is_not_left_to_it() -> None:
    made = Scheme(
        name="m", ids={"a": Path("/u/{a}") | Form("a"), "b": Json("/b")}, message="{a}:{b}", signature=Header("S")
    )

    with pytest.raises(ConfigError, match="one body cannot be JSON and a form"):
        made.sign_fields(KEY, a="1/2", b="3")


def test_the_signature_is_not_left_to_the_path() -> None:
    signature = Form("s") | Path("/x/{signature}")
    made = Scheme(name="m", ids={"a": Json("/a")}, message="{a}", signature=signature)

    with pytest.raises(ConfigError, match="one body cannot be JSON and a form"):
        made.sign_fields(KEY, a="1")


class Name(str, Enum):
    PLAN = "X-Plan"
    OF_PLAN = "pro"
    OF_TENANT = "acme"
    POINTER = "/plan"


PLACES: list[Callable[[str], Any]] = [
    Query,
    Cookie,
    Header,
    Form,
    lambda name: Json(Name.POINTER),
    lambda name: Header(name).item(name, separators=(",", "=")),
]


@pytest.mark.parametrize("make", PLACES)
def test_names_and_texts_of_an_enum_are_sent_as_they_are_signed(make: Callable[[str], Any]) -> None:
    scheme = Scheme(name="m", ids={"a": make(Name.PLAN)}, message="{a}", signature=Header("S"), tenant=Query("t"))
    fields = scheme.sign_fields(KEY, a=Name.OF_PLAN, tenant=Name.OF_TENANT)
    pairs = [*fields.query.items(), *fields.cookies.items(), *fields.headers.items(), *fields.form.items()]
    pairs += fields.json.items()

    texts = {f"{name}={text}" for name, text in pairs}
    assert {"t=acme", f"S={hex_of(b'pro')}"} < texts
    assert texts & {"X-Plan=pro", "plan=pro", "X-Plan=X-Plan=pro"}


def test_an_optional_id_that_is_absent_is_placed_nowhere() -> None:
    ids = {"a": Query("a"), "b": Query("b")}
    scheme = Scheme(name="o", ids=ids, message="{a}:{b}", signature=Query("sig"), optional={"b"})

    assert scheme.sign_fields(KEY, a="1").query == {"a": "1", "sig": hex_of(b"1")}


def test_the_tenant_is_placed_where_it_is_given() -> None:
    scheme = INBOX.replace(tenant=Header("Authorization", before=":"))
    assert scheme.sign_fields(KEY, now=NOW, user_id="u1", tenant="acme").headers == {"Authorization": "acme:"}
    assert scheme.sign_fields(KEY, now=NOW, user_id="u1").headers == {}
    with pytest.raises(ConfigError, match=r"the tenant cannot be sent in Header\(.*; it has ','$"):
        scheme.sign_fields(KEY, now=NOW, user_id="u1", tenant="a,b")
    for tenant in ("a:b", " ", 5, "a,b"):
        with pytest.raises(ConfigError, match="tenant"):
            scheme.sign_fields(KEY, now=NOW, user_id="u1", tenant=tenant)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="has a tenant"):
        INBOX.sign_fields(KEY, user_id="u1", tenant="acme")


@pytest.mark.parametrize("tenant", ["acme\n", "", " acme", "x" * 1025, 5], ids=ascii)
def test_the_error_for_a_tenant_names_its_cause(tenant: Any) -> None:
    scheme = INBOX.replace(tenant=Header("X-Tenant"))

    with pytest.raises(ConfigError, match=r"^sign_fields: tenant is text of 1 to 1,024 bytes without control char"):
        scheme.sign_fields(KEY, now=NOW, user_id="u1", tenant=tenant)
    with pytest.raises(
        ConfigError, match=rf"^sign_fields: tenant is only for a scheme .*, and '{INBOX.name}' has none$"
    ):
        INBOX.sign_fields(KEY, now=NOW, user_id="u1", tenant=tenant)


def test_an_id_called_tenant_or_now_goes_into_the_mapping() -> None:
    ids = {"tenant": Query("id"), "now": Query("n")}
    scheme = Scheme(name="t", ids=ids, message="{tenant}:{now}", signature=Query("sig"), tenant=Query("t"))

    assert scheme.sign_fields(KEY, {"tenant": "x", "now": "y"}, tenant="acme").query == {
        "id": "x",
        "n": "y",
        "t": "acme",
        "sig": hex_of(b"x:y"),
    }


def test_a_tenant_and_an_id_in_one_place_are_one_string() -> None:
    scheme = Scheme(name="t", ids={"a": Query("a")}, message="{a}", signature=Query("sig"), tenant=Query("a"))
    assert scheme.sign_fields(KEY, a="x", tenant="x").query["a"] == "x"
    with pytest.raises(ConfigError, match="two different strings"):
        scheme.sign_fields(KEY, a="x", tenant="y")


# With a signed body.

LINEAR = Scheme(
    name="linear",
    ids={},
    message="{@body}",
    signature=Header("Linear-Signature"),
    timestamp=Timestamp(Json("/webhookTimestamp", allow_int=True), unit="ms"),
)
ORDER = Scheme(
    name="order",
    ids={"order_id": Json("/order/id"), "event": Header("X-Event") | Json("/event")},
    message="{order_id}:{event}:{@body}",
    signature=Header("X-Sig"),
)


def test_what_travels_in_a_signed_body_is_read_out_of_it() -> None:
    body = b'{"order": {"id": "42"}}'
    expected = {"X-Event": "made", "X-Sig": hex_of(b"42:made:" + body)}

    assert ORDER.sign_fields(KEY, event="made", body=body).headers == expected
    assert ORDER.sign_fields(KEY, event="made", order_id="42", body=body).headers == expected
    assert ORDER.sign_fields(KEY, event="made", body=body).json == {}


@pytest.mark.parametrize(
    ("given", "body", "says"),
    [
        ({"order_id": "43"}, b'{"order": {"id": "42"}}', "with another value"),
        ({}, b'{"order": {}}', "is not in it"),
        ({"order_id": "42"}, b'{"order": {}}', "is not in it"),
        ({}, b'{"order": {"id": 42}}', "is not in it"),
        ({}, b"{", "is not in it"),
        ({}, b"", "is not in it"),
        ({}, b'{"order": {"id": "4:2"}}', "separates it"),
    ],
)
def test_a_body_that_says_otherwise_is_an_error(given: dict[str, Any], body: bytes, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        ORDER.sign_fields(KEY, event="made", body=body, **given)


def test_an_id_that_a_signed_body_does_not_have_is_left_to_the_path() -> None:
    either = ORDER.replace(
        ids={"order_id": Path("/orders/{order_id}") | Json("/order/id")}, message="{order_id}:{@body}"
    )

    fields = either.sign_fields(KEY, order_id="42", body=b"{}")

    assert fields.headers == {"X-Sig": hex_of(b"42:{}")}
    with pytest.raises(ConfigError, match="another value"):
        either.sign_fields(KEY, order_id="43", body=b'{"order": {"id": "42"}}')


EITHER = Scheme(
    name="either",
    ids={"user": Header("X-User") | Json("/user")},
    message="{user}.{@body}",
    signature=Header("X-Sig"),
    tenant=Json("/tenant"),
)


def test_an_id_that_no_other_place_can_carry_is_in_the_signed_body() -> None:
    body = '{"user": "zo\u00eb"}'.encode()

    assert EITHER.sign_fields(KEY, user="zo\u00eb", body=body).headers == {"X-Sig": hex_of("zo\u00eb.".encode() + body)}
    assert EITHER.sign_fields(KEY, user="bob", body=b"{}").headers == {"X-User": "bob", "X-Sig": hex_of(b"bob.{}")}
    for wrong, says in ((b'{"a": 1}', "is not in it"), (b'{"user": "eve"}', "another value")):
        with pytest.raises(ConfigError, match=f"the id 'user' is .*{says}"):
            EITHER.sign_fields(KEY, user="zo\u00eb", body=wrong)


def test_the_tenant_is_the_one_in_the_signed_body() -> None:
    body = b'{"tenant": "acme"}'
    expected = {"X-User": "bob", "X-Sig": hex_of(b"bob." + body)}

    assert EITHER.sign_fields(KEY, user="bob", tenant="acme", body=body).headers == expected
    assert EITHER.sign_fields(KEY, user="bob", body=body).headers == expected
    for wrong, says in ((b"{}", "is not in it"), (b'{"tenant": "other"}', "another value")):
        with pytest.raises(ConfigError, match=f"the tenant is .*{says}"):
            EITHER.sign_fields(KEY, user="bob", tenant="acme", body=wrong)
    outside = EITHER.replace(tenant=Query("tenant") | Json("/tenant"))
    assert outside.sign_fields(KEY, user="bob", tenant="acme", body=b"{}").query == {"tenant": "acme"}


IN_BOTH = EITHER.replace(
    ids={"user": Header("X-User") | Json("/user") | Form("user")}, tenant=Query("tenant") | Json("/tenant")
)


def test_what_a_signed_body_has_is_placed_nowhere_else() -> None:
    """A guard refuses an id, a time or a tenant in two places."""
    body = b'{"user": "bob", "tenant": "acme"}'
    fields = IN_BOTH.sign_fields(KEY, user="bob", tenant="acme", body=body)

    assert (fields.headers, fields.query) == ({"X-Sig": hex_of(b"bob." + body)}, {})
    assert IN_BOTH.sign_fields(KEY, tenant="acme", body=body).headers == fields.headers
    assert IN_BOTH.sign_fields(KEY, user="bob", body=b"user=bob").headers == {"X-Sig": hex_of(b"bob.user=bob")}
    wrong: dict[str, dict[str, Any]] = {"the id 'user'": {"user": "eve"}, "the tenant": {"tenant": "other"}}
    for says, given in wrong.items():
        with pytest.raises(ConfigError, match=f"{says} is in the body with another value"):
            IN_BOTH.sign_fields(KEY, body=body, **given)
    with pytest.raises(ConfigError, match="the id 'user' is read from the body, and is not in it as text"):
        IN_BOTH.sign_fields(KEY, user="5", body=b'{"user": 5}')
    timed = IN_BOTH.replace(
        message="{user}.{timestamp}.{@body}", timestamp=Timestamp(Header("X-Time") | Json("/at", allow_int=True))
    )
    dated = timed.sign_fields(KEY, user="bob", body=b'{"at": 1800000000}')
    assert dated.headers == {"X-User": "bob", "X-Sig": hex_of(b'bob.1800000000.{"at": 1800000000}')}


@pytest.mark.parametrize(
    "body",
    [
        b'{"link": "https://a.example/?page=2&user=eve"}',
        b'["/?page=2&user=eve"]',
        b"link,name\n/?page=2&user=eve,Eve\n",
        b"\xff&user=eve",
        b"user=bob;user=eve",
        b"users=eve",
        b"",
    ],
)
def test_an_id_that_a_signed_body_does_not_have_is_placed_outside(body: bytes) -> None:
    assert IN_BOTH.sign_fields(KEY, user="bob", body=body).headers == {"X-User": "bob", "X-Sig": hex_of(b"bob." + body)}


def test_a_form_that_frameworks_split_in_two_ways_has_no_id() -> None:
    form = EITHER.replace(ids={"user": Form("user")}, tenant=None)
    for ids in ({}, {"user": "bob"}):
        with pytest.raises(ConfigError, match="is not in it as text"):
            form.sign_fields(KEY, ids, body=b"user=bob;user=eve")


def multipart(**fields: str) -> bytes:
    parts = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields.items()]
    return "".join([*parts, "--b--\r\n"]).encode()


FORM = EITHER.replace(ids={"user": Form("user")}, tenant=None)


@pytest.mark.parametrize(
    ("ids", "body", "says"),
    [
        ({"user": Json("/user")}, b'{"user":"eve"}', "with another value"),
        ({"user": Json("/user")}, b"{}", "is not in it as text"),
        ({"user": Json("/user") | Json("/id")}, b'{"user":"bob","id":"bob"}', "more than once"),
        ({"user": Form("user")}, b"user=bob&user=bob", "more than once"),
        ({"user": Form("user")}, b"user=bob&user=eve", "more than once"),
        ({"user": Form("user")}, multipart(user="eve"), "with another value"),
        ({"user": Form("user")}, multipart(name="bob"), "is not in it as text"),
        ({"user": Form("user") | Header("X-User", before="b")}, multipart(user="eve"), "with another value"),
    ],
    ids=repr,
)
def test_a_signed_body_that_no_guard_accepts_is_an_error(ids: dict[str, Any], body: bytes, says: str) -> None:
    made = FORM.replace(ids=ids)
    with pytest.raises(ConfigError, match=f"sign: the id 'user' is .*{says}"):
        made.sign(KEY, user="bob", body=body)
    with pytest.raises(ConfigError, match=f"sign_fields: the id 'user' is .*{says}"):
        made.sign_fields(KEY, user="bob", body=body)


@pytest.mark.parametrize(
    "body",
    [
        multipart(user="bob"),
        multipart(page="1", user="bob"),
        b"\r\n" + multipart(user="bob"),
        b"user=bob",
    ],
)
def test_an_id_is_read_from_each_kind_of_form(body: bytes) -> None:
    assert FORM.sign(KEY, user="bob", body=body) == hex_of(b"bob." + body)
    assert FORM.sign_fields(KEY, body=body).headers == {"X-Sig": hex_of(b"bob." + body)}
    either = FORM.replace(ids={"user": Header("X-User") | Form("user")})
    assert either.sign_fields(KEY, user="bob", body=body).headers == {"X-Sig": hex_of(b"bob." + body)}


def test_an_id_that_is_only_in_a_form_is_read_from_one_that_begins_as_json() -> None:
    body = b"[a]=1&user=bob"
    assert FORM.sign(KEY, user="bob", body=body) == hex_of(b"bob." + body)


def test_a_multipart_body_with_a_file_in_the_place_of_an_id_is_an_error() -> None:
    body = multipart(user="bob").replace(b'name="user"', b'name="user"; filename="u"')
    with pytest.raises(ConfigError, match="is not in it as text"):
        FORM.sign(KEY, user="bob", body=body)


def test_sign_refuses_a_body_without_the_time_that_is_read_from_it() -> None:
    body = b'{"webhookTimestamp": 1710000000000}'
    assert LINEAR.sign(KEY, body=body) == hex_of(body)
    for wrong in (b"{}", b'{"webhookTimestamp": 1.5}', b'{"webhookTimestamp": "later"}'):
        with pytest.raises(ConfigError, match=r"^sign: the timestamp is"):
            LINEAR.sign(KEY, body=wrong)
    named = LINEAR.replace(message="{timestamp}.{@body}")
    assert named.sign(KEY, timestamp=1710000000000, body=body) == hex_of(b"1710000000000." + body)
    with pytest.raises(ConfigError, match=r"^sign: the timestamp is in the body with another value"):
        named.sign(KEY, timestamp=1710000000001, body=body)


def test_a_time_in_a_signed_body_is_not_made_again() -> None:
    body = b'{"webhookTimestamp": 1710000000000}'
    assert LINEAR.sign_fields(KEY, now=NOW, body=body).headers == {"Linear-Signature": hex_of(body)}
    for wrong in (b"{}", b'{"webhookTimestamp": 1.5}', b'{"webhookTimestamp": "later"}'):
        with pytest.raises(ConfigError, match="timestamp"):
            LINEAR.sign_fields(KEY, body=wrong)
    end = LINEAR.replace(timestamp=None, expires=Expires(Form("end"), max_lifetime=60))
    assert end.sign_fields(KEY, body=b"end=1800000000").headers["Linear-Signature"] == hex_of(b"end=1800000000")
    assert end.sign_fields(KEY, expires=NOW, body=b"end=1800000000").form == {}
    with pytest.raises(ConfigError, match="another value"):
        end.sign_fields(KEY, expires=NOW + 1, body=b"end=1800000000")


def test_a_timestamp_is_the_time_of_signing() -> None:
    with pytest.raises(ConfigError, match="give now="):
        HOOK.sign_fields(KEY, event_id="e1", timestamp=NOW, body=b"x")
    with pytest.raises(ConfigError, match="expires must be a Unix time"):
        INBOX.sign_fields(KEY, user_id="u1", expires=1.5)


def test_fields_show_no_signature() -> None:
    fields = INBOX.sign_fields(KEY, now=NOW, user_id="u1")

    assert repr(fields) == "<SignedFields query=['expires', 'user_id', 'sig']>"
    with pytest.raises(AttributeError, match="cannot be changed"):
        fields.query = {}


# What a scheme may say.


def scheme(**changes: Any) -> Scheme:
    given: dict[str, Any] = {"name": "s", "ids": {"a": Query("a")}, "message": "{a}", "signature": Query("sig")}
    return Scheme(**{**given, **changes})


STAMP = Timestamp(Query("t"))
CASES: dict[str, tuple[Any, str]] = {
    "a timestamp that is not signed": (lambda: scheme(timestamp=STAMP), "is not signed"),
    "an expiry that is not signed": (
        lambda: scheme(message="{a}.{timestamp}", timestamp=STAMP, expires=Expires(Query("e"), max_lifetime=5)),
        "is not signed",
    ),
    "a time beside a signed body": (
        lambda: scheme(ids={}, message="{@body}", timestamp=STAMP, signature=Header("S")),
        "is not signed",
    ),
    "a time that may be beside a signed body": (
        lambda: scheme(ids={}, message="{@body}", timestamp=Timestamp(Query("t") | Json("/t")), signature=Header("S")),
        "is not signed",
    ),
    "a timestamp that is not declared": (
        lambda: scheme(message="{a}.{timestamp}"),
        r"message has {timestamp}, but no time has a source for it; give timestamp=Timestamp\(…\)",
    ),
    "an end that is not declared": (
        lambda: scheme(message="{a}.{expires}"),
        r"message has {expires}, but no time has a source for it; give expires=Expires\(…\)",
    ),
    "a time that is an id as well": (
        lambda: scheme(ids={"timestamp": Query("x")}, message="{timestamp}", timestamp=STAMP),
        "an id and a time",
    ),
    "a time twice": (lambda: scheme(message="{a}.{timestamp}.{timestamp}", timestamp=STAMP), "stands twice"),
    "a method twice": (lambda: scheme(message="{@method}.{a}.{@method}"), "stands twice"),
    "a body twice": (lambda: scheme(message="{a}.{@body}.{@body}", signature=Header("S")), "stands twice"),
    "a body that is not last": (lambda: scheme(message="{@body}.{a}", signature=Header("S")), "must be last"),
    "a text behind the body": (lambda: scheme(message="{a}.{@body}.", signature=Header("S")), "must be last"),
    "a body without a separator": (lambda: scheme(message="{a}{@body}", signature=Header("S")), "put a separator"),
    "a time without a separator": (lambda: scheme(message="{a}{timestamp}", timestamp=STAMP), "put a separator"),
    "an unknown part": (lambda: scheme(message="{a}.{@path}"), "has a source"),
    "no ids and no body": (lambda: scheme(ids={}, message="{@method}"), "message needs {@body}"),
    "a signature in the body that it signs": (
        lambda: scheme(message="{a}.{@body}", signature=Json("/sig")),
        "cannot be in the body",
    ),
    "a signature that may be in the body": (
        lambda: scheme(message="{a}.{@body}", signature=Header("S") | Form("sig")),
        "cannot be in the body",
    ),
    "a timestamp that is an expiry": (
        lambda: scheme(message="{a}.{timestamp}", timestamp=Expires(Query("e"), max_lifetime=5)),
        "must be a Timestamp",
    ),
    "an expiry that is a timestamp": (lambda: scheme(message="{a}.{expires}", expires=STAMP), "must be an Expires"),
    "a source as a timestamp": (lambda: scheme(message="{a}.{timestamp}", timestamp=Query("t")), "must be a Timestamp"),
    "a time in the place of an id": (
        lambda: scheme(message="{a}.{timestamp}", timestamp=Timestamp(Query("a"))),
        "cannot be both",
    ),
    "a time in the place of the signature": (
        lambda: scheme(message="{a}.{timestamp}", timestamp=Timestamp(ITEM), signature=ITEM),
        "cannot be both",
    ),
    "an item of a header that is read whole": (
        lambda: scheme(signature=ITEM, ids={"a": Header("x-sig")}),
        "cannot be both",
    ),
    "a header that is read whole beside its item": (
        lambda: scheme(signature=Header("x-sig"), ids={"a": ITEM}),
        "cannot be both",
    ),
    "a header or its item": (lambda: Header("X-Sig") | ITEM, "names a place twice"),
    "an item twice": (lambda: ITEM | ITEM, "names a place twice"),
    "an optional id before the body": (
        lambda: scheme(
            ids={"a": Query("a"), "b": Query("b")}, message="{a}:{b}.{@body}", optional={"b"}, signature=ITEM
        ),
        "an optional id comes after",
    ),
    "an optional id before a time": (
        lambda: scheme(
            ids={"a": Query("a"), "b": Query("b")}, message="{a}:{b}.{timestamp}", optional={"b"}, timestamp=STAMP
        ),
        "an optional id comes after",
    ),
    "JSON and a form in one signed body": (
        lambda: scheme(ids={"a": Json("/a")}, message="{a}:{@body}", timestamp=Timestamp(Form("t")), signature=ITEM),
        "JSON and a form",
    ),
    "before and item": (lambda: Header("X", before=":").item("a", separators=(",", "=")), "cannot be combined"),
    "one separator": (lambda: Header("X").item("a", separators=","), "two different characters"),  # type: ignore[arg-type]
    "equal separators": (lambda: Header("X").item("a", separators=(",", ",")), "two different characters"),
    "a separator of two characters": (lambda: Header("X").item("a", separators=(", ", "=")), "one character"),
    "an empty separator": (lambda: Header("X").item("a", separators=("", "=")), "one character"),
    "a separator of a name": (lambda: Header("X").item("a", separators=("-", "=")), "one character"),
    "a digit as a separator": (lambda: Header("X").item("a", separators=(",", "0")), "one character"),
    "a space within items": (lambda: Header("X").item("a", separators=(",", " ")), "a space cannot separate"),
    "a newline between items": (lambda: Header("X").item("a", separators=("\n", "=")), "one character"),
    "a key with a separator": (lambda: Header("X").item("a=b", separators=(",", "=")), "not a valid name"),
    "an empty key": (lambda: Header("X").item("", separators=(",", "=")), "not a valid name"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_scheme_that_cannot_work_is_refused_when_it_is_made(case: str) -> None:
    make, says = CASES[case]
    with pytest.raises(ConfigError, match=says):
        make()


def test_a_copy_of_a_scheme_has_its_times() -> None:
    copied = HOOK.replace(name="other")

    assert (copied.timestamp, copied.times, copied.signs_body) == (HOOK.timestamp, HOOK.times, True)
    assert HOOK.replace(timestamp=Timestamp(Header("T"))).timestamp == Timestamp(Header("T"))


@pytest.mark.parametrize("text", ["x", "a" * 9, "ab=cd==", "a b"])
def test_an_item_carries_what_comes_back_out_of_it(text: str) -> None:
    assert ITEM.can_carry(text)
    assert Header("X").item("v1", separators=(" ", ",")).can_carry(text) == (" " not in text)
    for stray in ("a,b", "", " a", "a  b", "\u00e9", "a\n"):
        assert not ITEM.can_carry(stray)
        assert not Header("X").item("v1", separators=(";", "=")).can_carry(stray)
