"""How ids are read out of each place: the one value that every framework would return, or none (T022 to T040)."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from support import CALLS, Call, Sent, environ_for

from hmac_guard import Claim, Cookie, Form, Guard, Header, Json, Path, Query, Reason, Scheme, Verdict
from hmac_guard.core.source import Source

KEY = "a key that is long enough"


def read(call: Call, source: Source, sent: Sent) -> str | Reason:
    """Return the id that a guard finds in `source`, or the reason of the refusal."""
    scheme = Scheme(name="one", ids={"id": source}, message="{id}", signature=Header("X-Signature"))
    recorded: list[tuple[Verdict, Claim]] = []
    guard = Guard(scheme, KEY, on_verdict=lambda verdict, claim: recorded.append((verdict, claim)))
    call(guard, sent)
    text = recorded[0][1].ids.get("id", "")
    signature = hmac.new(KEY.encode(), text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    recorded.clear()
    reply = call(
        guard, Sent(sent.method, sent.path, sent.query, [*sent.headers, ("X-Signature", signature)], sent.body)
    )
    [(verdict, _)] = recorded
    assert bool(verdict) == (reply.status == 200)
    return verdict.ids["id"] if verdict else verdict.reason


QUERY: dict[str, str | Reason] = {
    "a=1": "1",
    "b=1&a=2&c": "2",
    "&&a=1&": "1",
    "a==1": "=1",
    "a=1=2": "1=2",
    "a=1;a=2": "1;a=2",
    "a=1+2": "1 2",
    "a=1%202": "1 2",
    "a=1%2B2": "1+2",
    "a=%2561": "%61",
    "a=%C3%A9": "é",
    "a=%F0%9F%9A%80": "🚀",
    "a=e%CC%81": "e\u0301",
    "%61=1": "1",
    "a={a|b}^c`~!*()$,": "{a|b}^c`~!*()$,",
    "a=1&x=%ff&y=\xff&%zz=%": "1",
    "a=1&a[]=2&A=3&a%20=4": "1",
    "a=" + "x" * 1024: "x" * 1024,
    "a=" + "%C3%A9" * 512: "é" * 512,
    "a=1" + "&" * 999: "1",
    "&" * 999 + "a=1": "1",
    "": Reason.MISSING_ID,
    "a": Reason.MISSING_ID,
    "a=": Reason.MISSING_ID,
    "a[]=1": Reason.MISSING_ID,
    "A=1": Reason.MISSING_ID,
    "+a=1": Reason.MISSING_ID,
    "a=+": Reason.MISSING_ID,
    "a=%E3%80%80": Reason.MISSING_ID,
    "a=1&a=2": Reason.DUPLICATE,
    "a=1&a=2&a=3": Reason.DUPLICATE,
    "a=1&a=2&a=%ff": Reason.MALFORMED,
    "a=1&a=1": Reason.DUPLICATE,
    "a=1&a": Reason.DUPLICATE,
    "a=&a=2": Reason.DUPLICATE,
    "a=1&%61=2": Reason.DUPLICATE,
    "a=%ff": Reason.MALFORMED,
    "a=%C0%AF": Reason.MALFORMED,
    "a=%ED%A0%80": Reason.MALFORMED,
    "a=%zz": Reason.MALFORMED,
    "a=%4": Reason.MALFORMED,
    "a=%": Reason.MALFORMED,
    "a=x%00y": Reason.MALFORMED,
    "a=1%0D%0Ax": Reason.MALFORMED,
    "a=1%C2%85": Reason.MALFORMED,
    "a=1%C2%802": Reason.MALFORMED,
    "a=%gg": Reason.MALFORMED,
    "%ff=2&a=1": "1",
    "a=%EF%BF%BD": Reason.MALFORMED,
    "a=%EF%BB%BFx": Reason.MALFORMED,
    "a=1%20": Reason.MALFORMED,
    "a=+1": Reason.MALFORMED,
    "a=1 2": Reason.MALFORMED,
    "a=1\t2": Reason.MALFORMED,
    "a=\xc3\xa9": Reason.MALFORMED,
    "a=\xff": Reason.MALFORMED,
    "a=" + "x" * 1025: Reason.MALFORMED,
    "a=x" + "%C3%A9" * 512: Reason.MALFORMED,
    "a=1" + "&" * 1000: Reason.MALFORMED,
    "&" * 1000 + "a=1": Reason.MALFORMED,
}


@pytest.mark.parametrize("query", list(QUERY), ids=lambda query: ascii(query)[:40])
def test_query(call: Call, query: str) -> None:
    assert read(call, Query("a"), Sent(query=query)) == QUERY[query]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("user=1", "1"),
        ("%75%73%65%72=1", "1"),
        ("user=1&us%65r=2", Reason.DUPLICATE),
        ("user=1&user%20=2", "1"),
        ("user=1&user+=2", "1"),
    ],
)
def test_a_name_is_compared_decoded(call: Call, query: str, expected: str | Reason) -> None:
    assert read(call, Query("user"), Sent(query=query)) == expected


HEADERS: list[tuple[list[tuple[str, str]], str | Reason]] = [
    ([("X-Id", "1")], "1"),
    ([("x-id", "a b")], "a b"),
    ([("X-Id", "{a|b}'\"")], "{a|b}'\""),
    ([("X-Other", "2"), ("X-Id", "1")], "1"),
    ([], Reason.MISSING_ID),
    ([("X-Id", "")], Reason.MISSING_ID),
    ([("X-Id", "1"), ("X-Id", "2")], Reason.DUPLICATE),
    ([("X-Id", "1"), ("X-Id", "")], Reason.DUPLICATE),
    ([("X-Id", "1,2")], Reason.DUPLICATE),
    ([("X-Id", "1"), ("X_Id", "2")], Reason.DUPLICATE),
    ([("X-Id", " 1")], Reason.MALFORMED),
    ([("X-Id", "1 ")], Reason.MALFORMED),
    ([("X-Id", "1  2")], Reason.MALFORMED),
    ([("X-Id", "1\t2")], Reason.MALFORMED),
    ([("X-Id", "\xe9")], Reason.MALFORMED),
    ([("X-Id", "1\x00")], Reason.MALFORMED),
    ([("X-Id", "1\n")], Reason.MALFORMED),
]


@pytest.mark.parametrize(("headers", "expected"), HEADERS, ids=repr)
def test_header(call: Call, headers: Any, expected: str | Reason) -> None:
    assert read(call, Header("X-Id"), Sent(headers=headers)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("key:rest", "key"),
        ("key:", "key"),
        ("key:a:b", "key"),
        ("key", Reason.MISSING_ID),
        (":rest", Reason.MISSING_ID),
        ("k,ey:rest", Reason.DUPLICATE),
        ("Basic key:rest", "Basic key"),
        ("key:rest\n", Reason.MALFORMED),
    ],
)
def test_header_before_a_separator(call: Call, value: str, expected: str | Reason) -> None:
    sent = Sent(headers=[("Authorization", value)])

    assert read(call, Header("Authorization", before=":"), sent) == expected


def test_a_duplicate_header_is_refused_with_before(call: Call) -> None:
    sent = Sent(headers=[("Authorization", "one:rest"), ("Authorization", "two:rest")])

    assert read(call, Header("Authorization", before=":"), sent) == Reason.DUPLICATE


def test_a_signature_in_a_cookie_does_not_end_in_a_line_break(call: Call) -> None:
    scheme = Scheme(name="one", ids={"id": Query("id")}, message="{id}", signature=Cookie("sig"))
    reasons: list[Reason] = []
    guard = Guard(scheme, KEY, on_verdict=lambda verdict, claim: reasons.append(verdict.reason))
    call(guard, Sent(query="id=x", headers=[("Cookie", f"sig={scheme.sign(KEY, id='x')}\n")]))

    assert reasons == [Reason.MALFORMED]


@pytest.mark.parametrize("name", ["X-Id", "x", "__Host-id", "~"])
def test_a_cookie_of_any_name_is_read(call: Call, name: str) -> None:
    assert read(call, Cookie(name), Sent(headers=[("Cookie", f"other=0; {name}=1")])) == "1"


def test_a_tenant_and_a_signature_are_read_from_a_path_under_their_own_names(call: Call) -> None:
    template = "/{tenant}/{signature}"
    scheme = Scheme(
        name="one", ids={"id": Query("id")}, message="{id}", signature=Path(template), tenant=Path(template)
    )
    signature = hmac.new(KEY.encode(), b"x", hashlib.sha256).hexdigest()
    reply = call(Guard(scheme, {"acme": KEY}), Sent(path=f"/acme/{signature}", query="id=x"))

    assert (reply.status, reply.verdict.tenant) == (200, "acme")


def test_the_body_is_read_if_only_the_tenant_is_in_it(call: Call) -> None:
    scheme = Scheme(name="one", ids={"id": Query("id")}, message="{id}", signature=Query("sig"), tenant=Json("/tenant"))
    signature = hmac.new(KEY.encode(), b"x", hashlib.sha256).hexdigest()
    sent = Sent("POST", "/", f"id=x&sig={signature}", [("Content-Type", "application/json")], b'{"tenant": "acme"}')
    reply = call(Guard(scheme, {"acme": KEY}), sent)

    assert (reply.status, reply.verdict.tenant) == (200, "acme")


def test_sources_with_equal_kind_and_arguments_are_equal() -> None:
    assert Query("a") == Query("a")
    assert Query("a") != Query("b")
    assert Query("a") != Form("a")
    assert Header("A") != Header("A", before=":")


COOKIES: list[tuple[list[str], str | Reason]] = [
    (["a=1"], "1"),
    (["b=1; a=2"], "2"),
    (['a=1"'], Reason.MALFORMED),
    (["b=1;a=2; c=3"], "2"),
    (["b=1", "a=2"], "2"),
    (["a=1=2"], "1=2"),
    (["A=1; a=2"], "2"),
    (['b="x; y"; a=1'], "1"),
    (['g_state={"i_l":0}; a=1'], "1"),
    (["bad[key]=1; a=2"], "2"),
    ([], Reason.MISSING_ID),
    (["a="], Reason.MISSING_ID),
    (["a"], Reason.MISSING_ID),
    (["b=1"], Reason.MISSING_ID),
    (["a=1; a=2"], Reason.DUPLICATE),
    (["a=1", "a=1"], Reason.DUPLICATE),
    (["a=1; a"], Reason.DUPLICATE),
    (['b="x; a=1'], "1"),
    (['b="x; a=1; c="1"'], "1"),
    (['b="x; a=1; c"'], Reason.MALFORMED),
    (['b="x\\"; a=1; c"; d'], Reason.MALFORMED),
    (['b="x; a=2"; a=1'], Reason.MALFORMED),
    (['a="1"'], Reason.MALFORMED),
    (["a=1,2"], Reason.MALFORMED),
    (["a=%31"], Reason.MALFORMED),
    (["a=1\\2"], Reason.MALFORMED),
    (["a=1 2"], Reason.MALFORMED),
    (["a = 1"], Reason.MALFORMED),
    (["\ta=1"], Reason.MALFORMED),
    (["\xa0a=1"], Reason.MALFORMED),
    (["a=1; \xe2\x80\xa8a=2"], Reason.MALFORMED),
    (["a=1; a\xe3\x80\x80=2"], Reason.MALFORMED),
    (["a=1; \xe2\x80\xa8b=2"], "1"),
    (["a=\xe9"], Reason.MALFORMED),
    (["a=1\x01"], Reason.MALFORMED),
    (["b=1,a=2"], Reason.MALFORMED),
    (["b=1 a=2; a=1"], Reason.MALFORMED),
    (["b a=2; a=1"], Reason.MALFORMED),
]


@pytest.mark.parametrize(("cookies", "expected"), COOKIES, ids=repr)
def test_cookie(call: Call, cookies: list[str], expected: str | Reason) -> None:
    assert read(call, Cookie("a"), Sent(headers=[("Cookie", cookie) for cookie in cookies])) == expected


TEMPLATES = Path("/connect/{id}", "/api/{kind}/{id}", "/users/{id}/inbox")
PATHS: dict[str, str | Reason] = {
    "/connect/github": "github",
    "/api/basic/c++": "c++",
    "/users/größe/inbox": "größe",
    "/connect/a b": "a b",
    "/connect/a:b;c=d": "a:b;c=d",
    "/connect/%2561": "%2561",
    "/connect/...": "...",
    "/": Reason.MISSING_ID,
    "": Reason.MISSING_ID,
    "/connect/": Reason.MISSING_ID,
    "/connect/github/": Reason.MISSING_ID,
    "/connect/a/b": Reason.MISSING_ID,
    "/Connect/github": Reason.MISSING_ID,
    "/x/connect/github": Reason.MISSING_ID,
    "/connect/ ": Reason.MISSING_ID,
    "/connect//github": Reason.MALFORMED,
    "/connect/..": Reason.MALFORMED,
    "/connect/../connect/x": Reason.MALFORMED,
    "/connect/a%2fb": Reason.MALFORMED,
    "/connect/a\\b": Reason.MALFORMED,
    "/connect/a\n": Reason.MALFORMED,
    "/connect/\x00": Reason.MALFORMED,
    "connect/github": Reason.MALFORMED,
    "http://h/connect/github": Reason.MALFORMED,
    "/connect/ x": Reason.MALFORMED,
}


@pytest.mark.parametrize("path", list(PATHS), ids=repr)
def test_path(call: Call, path: str) -> None:
    assert read(call, TEMPLATES, Sent(path=path.encode().decode("latin-1"))) == PATHS[path]


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("/connect/{id}", "/connect/x", Reason.CONFLICT),
        ("/connect/{id}", "/connect/x/", Reason.MISSING_ID),
        ("/connect/{id}/", "/connect/x", Reason.MISSING_ID),
        ("/connect/{id}/", "/connect/x/", Reason.CONFLICT),
        ("/users/{id}/inbox", "/users/x/inbox/", Reason.MISSING_ID),
        ("/connect/{id}", "/connect/", "y"),
        ("/connect/{id}", "/connect/x/a", "y"),
    ],
)
def test_an_id_in_a_path_that_differs_by_its_last_slash_is_not_absent(
    call: Call, template: str, path: str, expected: str | Reason
) -> None:
    """Litestar, Falcon and Flask have routes for which a last slash does not count."""
    assert read(call, Path(template) | Query("id"), Sent(path=path, query="id=y")) == expected


@pytest.mark.parametrize("what", ["optional", "tenant"])
def test_what_may_be_absent_is_not_absent_in_a_path_that_differs_by_its_last_slash(call: Call, what: str) -> None:
    org = Path("/orgs/{org}" if what == "optional" else "/orgs/{tenant}") | Header("X-Org")
    options: dict[str, Any] = {"ids": {"id": Query("id"), "org": org}, "message": "{id}:{org}", "optional": {"org"}}
    if what == "tenant":
        options = {"ids": {"id": Query("id")}, "message": "{id}", "tenant": org}
    scheme = Scheme(name="one", signature=Query("sig"), **options)
    guard = Guard(scheme, lambda claim: KEY)
    query = f"id=u&sig={hmac.new(KEY.encode(), b'u', hashlib.sha256).hexdigest()}"

    assert call(guard, Sent(path="/", query=query)).status == 200
    assert call(guard, Sent(path="/orgs/9/", query=query)).status == 401


@pytest.mark.parametrize("path", ["/connect/x", "/connect/x/"])
def test_a_template_may_be_given_with_and_without_its_last_slash(call: Call, path: str) -> None:
    assert read(call, Path("/connect/{id}", "/connect/{id}/"), Sent(path=path)) == "x"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a/x/b", "x"),
        ("/a/x/list/", "x"),
        ("/a/x/list", "x"),
        ("/a/x/", "x"),
        ("/a/x/b/", Reason.MISSING_ID),
        ("/a/x", Reason.MISSING_ID),
    ],
)
def test_a_template_that_a_path_matches_comes_before_others_without_its_last_slash(
    call: Call, path: str, expected: str | Reason
) -> None:
    assert read(call, Path("/a/{id}/{x}", "/a/{id}/list/", "/a/{id}/"), Sent(path=path)) == expected


def test_a_path_that_is_not_utf_8_is_refused(call: Call) -> None:
    assert read(call, TEMPLATES, Sent(path="/connect/\xff")) is Reason.MALFORMED


def post(body: bytes, content_type: str | None = "application/json", *more: tuple[str, str]) -> Sent:
    headers = [("Content-Type", content_type)] if content_type is not None else []
    return Sent("POST", headers=[*headers, *more], body=body)


DEEP = '{"a":' * 63 + '"1"' + "}" * 63
DOCUMENTS: dict[str | bytes, str | Reason] = {
    '{"a":"1"}': "1",
    ' \n{"b":[1,2.5e3,null,true],"a":"1"}\t': "1",
    '{"a":"\\u00e9\\ud83d\\ude80"}': "é🚀",
    '{"a":"+%41"}': "+%41",
    '{"\\u0061":"1"}': "1",
    '{"a":"1","b":{"a":"2"}}': "1",
    '{"a":"1","b":' + "[" * 63 + "]" * 63 + "}": "1",
    '{"a":"1","b":[' + "[]," * 70 + "[]]}": "1",
    "": Reason.MISSING_ID,
    "{}": Reason.MISSING_ID,
    '\f{"a":"1"}': Reason.MALFORMED,
    "null": Reason.MISSING_ID,
    '"a"': Reason.MISSING_ID,
    '"' + "[" * 70 + '"': Reason.MISSING_ID,
    '["a"]': Reason.MISSING_ID,
    '{"a":""}': Reason.MISSING_ID,
    '{"a":null}': Reason.MISSING_ID,
    '{"a":1}': Reason.MALFORMED,
    '{"a":true}': Reason.MALFORMED,
    '{"a":["1"]}': Reason.MALFORMED,
    '{"a":{"b":1}}': Reason.MALFORMED,
    '{"a":"1","a":"1"}': Reason.MALFORMED,
    '{"a":"1","\\u0061":"2"}': Reason.MALFORMED,
    '{"a":"1","b":{"c":1,"c":2}}': Reason.MALFORMED,
    '{"a":"1","b":NaN}': Reason.MALFORMED,
    '{"a":"1","b":-Infinity}': Reason.MALFORMED,
    '{"a":"1","b":1e400}': Reason.MALFORMED,
    '{"a":"1","b":' + "9" * 5000 + "}": Reason.MALFORMED,
    '{"a":"1","b":' + "[" * 64 + "]" * 64 + "}": Reason.MALFORMED,
    '{"a":"1","b":' + "[" * 5000 + "]" * 5000 + "}": Reason.MALFORMED,
    '{"a":"\\ud800"}': Reason.MALFORMED,
    '{"a":"x\\u0000"}': Reason.MALFORMED,
    '{"a":"1\\n"}': Reason.MALFORMED,
    '{"a":"1"}x': Reason.MALFORMED,
    '{"a":"1"': Reason.MALFORMED,
    '{"a":01}': Reason.MALFORMED,
    b'\xef\xbb\xbf{"a":"1"}': Reason.MALFORMED,
    b'{"a":"\xff"}': Reason.MALFORMED,
    b'{"a":"\xed\xa0\x80"}': Reason.MALFORMED,
    '{"a":"1"}'.encode("utf-16"): Reason.MALFORMED,
}


@pytest.mark.parametrize("document", list(DOCUMENTS), ids=lambda document: ascii(document)[:40])
def test_json(call: Call, document: str | bytes) -> None:
    body = document.encode() if isinstance(document, str) else document

    assert read(call, Json("/a"), post(body)) == DOCUMENTS[document]


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [
        ("/order/id", "7"),
        ("/list/1", "two"),
        ("/a~1b", "slash"),
        ("/m~0n", "tilde"),
        ("/", "blank key"),
        ("/order/id/x", Reason.MISSING_ID),
        ("/list/01", Reason.MISSING_ID),
        ("/list/1\n", Reason.MISSING_ID),
        ("/list/\uff11", Reason.MISSING_ID),
        ("/list/-", Reason.MISSING_ID),
        ("/list/9", Reason.MISSING_ID),
        ("/list/2", Reason.MISSING_ID),
        ("/list/x", Reason.MISSING_ID),
        ("/order", Reason.MALFORMED),
    ],
)
def test_json_pointer(call: Call, pointer: str, expected: str | Reason) -> None:
    document = {"order": {"id": "7"}, "list": ["one", "two"], "a/b": "slash", "m~n": "tilde", "": "blank key"}

    assert read(call, Json(pointer), post(json.dumps(document).encode())) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("7", "7"),
        ("-7", "-7"),
        ("0", "0"),
        ("9007199254740991", "9007199254740991"),
        ('"07"', "07"),
        ("9007199254740992", Reason.MALFORMED),
        ("7.0", Reason.MALFORMED),
        ("7e0", Reason.MALFORMED),
        ("true", Reason.MALFORMED),
    ],
)
def test_json_numbers_with_allow_int(call: Call, number: str, expected: str | Reason) -> None:
    assert read(call, Json("/a", allow_int=True), post(f'{{"a":{number}}}'.encode())) == expected


B = "multipart/form-data; boundary=B"


def part(name: str = 'name="a"', value: str = "1", more: str = "") -> str:
    return f"--B\r\nContent-Disposition: form-data; {name}\r\n{more}\r\n{value}\r\n"


MULTIPART: dict[str, str | Reason] = {
    part() + "--B--\r\n": "1",
    part() + "--B--": "1",
    part("name=a") + "--B--\r\n": "1",
    part('name="b:c"', "x", "X-A: b:c\r\n") + part() + "--B--\r\n": "1",
    part(value="größe-🚀") + "--B--\r\n": "größe-🚀",
    part(value="1+2%20") + "--B--\r\n": "1+2%20",
    part(more="Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n") + "--B--\r\n": "1",
    part(more="Content-Type: text/plain; charset=ISO-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n") + "--B--": "1",
    part(value="é", more="Content-Type: text/plain; charset=ISO-8859-1\r\n") + "--B--": Reason.MALFORMED,
    part('name="f"; filename="x.txt"', "data", "Content-Type: image/png\r\n") + part() + "--B--\r\n": "1",
    part("name=f; filename=x.txt; filename*=utf-8''x.txt", "data") + part() + "--B--\r\n": "1",
    part("name=a; filename=x.txt; filename*=utf-8''x.txt", "data") + "--B--\r\n": Reason.MALFORMED,
    part('name="b"', "x") + part() + "--B--\r\n": "1",
    part('name="b"') + "--B--\r\n": Reason.MISSING_ID,
    part(value="") + "--B--\r\n": Reason.MISSING_ID,
    part() + part(value="2") + "--B--\r\n": Reason.DUPLICATE,
    part('name="a"; filename="x"') + "--B--\r\n": Reason.MALFORMED,
    part('name="a"; filename=""') + "--B--\r\n": Reason.MALFORMED,
    part("name=\"a\"; filename*=utf-8''x") + "--B--\r\n": Reason.MALFORMED,
    part("name=\"b\"; name*=utf-8''a") + "--B--\r\n": Reason.MALFORMED,
    part('name="a"; name="b"') + "--B--\r\n": Reason.MALFORMED,
    part('name="\\a"') + "--B--\r\n": Reason.MALFORMED,
    part('name=" a"') + "--B--\r\n": Reason.MALFORMED,
    part('name ="a"') + "--B--\r\n": Reason.MALFORMED,
    part().replace(": form", ":form") + "--B--\r\n": Reason.MALFORMED,
    part().replace(": form", ":\tform") + "--B--\r\n": Reason.MALFORMED,
    part(more='Content-Disposition: form-data; name="b"\r\n') + "--B--\r\n": Reason.MALFORMED,
    part(more="Content-Transfer-Encoding: base64\r\n") + "--B--\r\n": Reason.MALFORMED,
    part(more="Content-Type: text/plain; charset=utf-7\r\n") + "--B--\r\n": Reason.MALFORMED,
    part(more="Content-Type: application/json\r\n") + "--B--\r\n": Reason.MALFORMED,
    part(more="Content-Type: text/plaiN; charset=utf-8\r\n") + "--B--\r\n": Reason.MALFORMED,
    part(more="Content-Type: text/plain; CHARSET=UTF-8\r\n") + "--B--\r\n": "1",
    part(more="X-A: b\r\n c\r\n") + "--B--\r\n": Reason.MALFORMED,
    part(more="X-A : b\r\n") + "--B--\r\n": Reason.MALFORMED,
    part(more="X-A: \x00\r\n") + "--B--\r\n": Reason.MALFORMED,
    part(more="Content-Type: Xtext/plain\r\n") + "--B--\r\n": Reason.MALFORMED,
    part(more="Content-Type: \x0btext/plain\r\n") + "--B--\r\n": Reason.MALFORMED,
    part(more="Content-Transfer-Encoding: X7bit\r\n") + "--B--\r\n": Reason.MALFORMED,
    part(more="Content-Transfer-Encoding: \x0b7bit\r\n") + "--B--\r\n": Reason.MALFORMED,
    part().replace("Content-D", "(X: b\r\nContent-D") + "--B--\r\n": Reason.MALFORMED,
    part().replace("Content-Disposition", "X-A") + "--B--\r\n": Reason.MALFORMED,
    part().replace("--B\r\n", "--Bxx") + "--B--\r\n": Reason.MALFORMED,
    part()[:-2] + "--B--\r\n": Reason.MALFORMED,
    part(more="X-A: \xff\r\n") + "--B--\r\n": "1",
    part('name="_charset_"', "utf-7") + part() + "--B--\r\n": Reason.MALFORMED,
    part(): Reason.MALFORMED,
    part()[:-2]: Reason.MALFORMED,
    "preamble\r\n" + part() + "--B--\r\n": Reason.MALFORMED,
    part() + "--B--\r\nepilogue": Reason.MALFORMED,
    part() + "--B--\r\n" + part(value="2") + "--B--\r\n": Reason.MALFORMED,
    part(value="1--B") + "--B--\r\n": Reason.MALFORMED,
    part(value="1\r\n--BX") + "--B--\r\n": Reason.MALFORMED,
    part().replace("\r\n", "\n") + "--B--\n": Reason.MALFORMED,
    part().replace("\r\n\r\n", "\r\n") + "--B--\r\n": Reason.MALFORMED,
    "--B--": Reason.MISSING_ID,
    "--B--\r\n": Reason.MISSING_ID,
    "--B": Reason.MALFORMED,
    "--B--\r\nepilogue": Reason.MALFORMED,
    "": Reason.MISSING_ID,
    part() * 1 + part('name="b"') * 999 + "--B--\r\n": "1",
    part() * 1 + part('name="b"') * 1000 + "--B--\r\n": Reason.MALFORMED,
}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("\r\n", "\r\n", "1"),
        ("\r\n\r\n", "\r\n\r\n", "1"),
        ("", "", "1"),
        ("\n", "", Reason.MALFORMED),
        ("\r\n\r\n\r\n", "", Reason.MALFORMED),
        ("", "\n", Reason.MALFORMED),
        ("", "\r\n\r\n\r\n", Reason.MALFORMED),
        ("preamble\r\n", "", Reason.MALFORMED),
    ],
)
def test_blank_lines_around_the_parts(call: Call, before: str, after: str, expected: str | Reason) -> None:
    assert read(call, Form("a"), post(f"{before}{part()}--B--{after}".encode(), B)) == expected


@pytest.mark.parametrize("boundary", ["a*b", "$x", "50%25", "~", "a&b", "x!#^`|", "'()+_,./:=?"])
def test_a_boundary_may_have_the_characters_of_a_token(call: Call, boundary: str) -> None:
    body = (part() + "--B--\r\n").replace("--B", f"--{boundary}").encode()
    quoted = f'multipart/form-data; boundary="{boundary}"'

    assert read(call, Form("a"), post(body, quoted)) == "1"
    if not set(boundary) & set("()/,:=?"):
        assert read(call, Form("a"), post(body, f"multipart/form-data; boundary={boundary}")) == "1"


@pytest.mark.parametrize("body", list(MULTIPART), ids=lambda body: ascii(body)[:60])
def test_multipart(call: Call, body: str) -> None:
    assert read(call, Form("a"), post(body.encode(), B)) == MULTIPART[body]


def test_an_empty_form_of_a_browser_does_not_hide_the_id_in_the_query(call: Call) -> None:
    """`new FormData()` without a field is sent as a boundary that ends the body; Django's test client sends it too."""
    sent = Sent("POST", query="a=1", headers=[("Content-Type", B)], body=b"--B--\r\n")

    assert read(call, Query("a") | Form("a"), sent) == "1"


@pytest.mark.parametrize("at", ["header", "value"])
def test_multipart_bytes_that_are_not_utf_8_are_refused(call: Call, at: str) -> None:
    body = (part(more="X-A: ?\r\n" if at == "header" else "", value="?") + "--B--\r\n").encode().replace(b"?", b"\xff")

    assert read(call, Form("a"), post(body, B)) is Reason.MALFORMED


def two_parts(length: int, first: str, last: str) -> bytes:
    """Return a multipart body of this length; the part "f" fills it."""
    parts = {"a": part(), "f": part('name="f"', "{}")}
    text = f"{parts[first]}{parts[last]}--B--\r\n"
    return text.replace("{}", "x" * (length - len(text) + 2)).encode()


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_multipart_body_that_flask_reads_wrong_is_refused(call: Call, pieces: int) -> None:
    """Flask reads 64 KiB at a time. If a piece ends between the two "-" at the end, Werkzeug adds a CR to the text."""
    # The second "-" and the CRLF are in the next piece.
    length = pieces * 65_536 + 3

    assert read(call, Form("a"), post(two_parts(length, "f", "a"), B)) is Reason.MALFORMED
    assert read(call, Form("a"), post(two_parts(length, "a", "f"), B)) == "1"


def test_flask_reads_what_was_verified_wherever_a_piece_of_the_body_ends() -> None:
    flask = pytest.importorskip("flask", reason="not run: Flask is not installed")
    verified = 0
    for length in range(65_536 - 40, 65_536 + 120):
        sent = post(two_parts(length, "f", "a"), B)
        if read(CALLS["wsgi"], Form("a"), sent) == "1":
            verified += 1
            assert flask.Request(environ_for(sent)).form["a"] == "1"

    assert verified == 159


FORMS: dict[str | bytes, str | Reason] = {
    "a=1": "1",
    "b=x&a=1+2%C3%A9": "1 2é",
    "a=1&b=x;y": "1",
    "a=1&b=%zz&c=%ff": "1",
    "b=größe&a=1": "1",
    "%61=1": "1",
    "b=1": Reason.MISSING_ID,
    "a=": Reason.MISSING_ID,
    "a=1&a=2": Reason.DUPLICATE,
    "a=1;a=2": Reason.MALFORMED,
    "b=1;a=2": Reason.MALFORMED,
    "a=1&b=1;a=2": Reason.MALFORMED,
    "a=1;b": Reason.MALFORMED,
    "a=é": Reason.MALFORMED,
    "a=%zz": Reason.MALFORMED,
    "a=1\r\n": Reason.MALFORMED,
    "a=1" + "&b" * 1000: Reason.MALFORMED,
    b"b=\xff&a=1": Reason.MALFORMED,
}


@pytest.mark.parametrize("body", list(FORMS), ids=lambda body: ascii(body)[:40])
def test_form(call: Call, body: str | bytes) -> None:
    raw = body.encode() if isinstance(body, str) else body

    assert read(call, Form("a"), post(raw, "application/x-www-form-urlencoded")) == FORMS[body]


TYPES: dict[str | None, tuple[bytes, str | Reason]] = {
    "application/json; charset=utf-8": (b'{"a":"1"}', "1"),
    'application/json;charset="UTF-8"': (b'{"a":"1"}', "1"),
    "APPLICATION/JSON": (b'{"a":"1"}', "1"),
    "application/vnd.api+json": (b'{"a":"1"}', "1"),
    "application/x-www-form-urlencoded; charset=utf8": (b"a=1", "1"),
    "multipart/form-data; boundary=B": ((part() + "--B--\r\n").encode(), "1"),
    'multipart/form-data; boundary="B"': ((part() + "--B--\r\n").encode(), "1"),
    "multipart/form-data; charset=utf-8; boundary=B": ((part() + "--B--\r\n").encode(), "1"),
    None: (b'{"a":"1"}', Reason.UNSUPPORTED_BODY),
    "": (b'{"a":"1"}', Reason.UNSUPPORTED_BODY),
    "text/plain": (b"a=1", Reason.UNSUPPORTED_BODY),
    "text/json": (b'{"a":"1"}', Reason.UNSUPPORTED_BODY),
    "application/json;" + "charset=utf-8".rjust(239): (b'{"a":"1"}', "1"),
    "application/json;" + "charset=utf-8".rjust(240): (b'{"a":"1"}', Reason.UNSUPPORTED_BODY),
    "application/json, text/plain": (b'{"a":"1"}', Reason.UNSUPPORTED_BODY),
    "application/json; charset=utf-7": (b'{"a":"1"}', Reason.UNSUPPORTED_BODY),
    "application/json; charset=utf-8; charset=utf-16": (b'{"a":"1"}', Reason.UNSUPPORTED_BODY),
    "application/json; version=1": (b'{"a":"1"}', Reason.UNSUPPORTED_BODY),
    "application/json;": (b'{"a":"1"}', Reason.UNSUPPORTED_BODY),
    "application/json; charset=utf-8; charset=utf-8": (b'{"a":"1"}', Reason.UNSUPPORTED_BODY),
    "multipart/form-data; boundary=B; version=1": ((part() + "--B--\r\n").encode(), Reason.UNSUPPORTED_BODY),
    f"multipart/form-data; boundary={'B' * 70}": ((part() + "--B--").replace("B", "B" * 70).encode(), "1"),
    f"multipart/form-data; boundary={'B' * 71}": (
        (part() + "--B--").replace("B", "B" * 71).encode(),
        Reason.UNSUPPORTED_BODY,
    ),
    "application/json\n": (b'{"a":"1"}', Reason.UNSUPPORTED_BODY),
    "application/x-www-form-urlencoded; charset=iso-8859-1": (b"a=1", Reason.UNSUPPORTED_BODY),
    "Multipart/Form-Data; boundary=B": ((part() + "--B--\r\n").encode(), Reason.UNSUPPORTED_BODY),
    "multipart/form-data": ((part() + "--B--\r\n").encode(), Reason.UNSUPPORTED_BODY),
    "multipart/form-data; boundary=B; boundary=C": ((part() + "--B--\r\n").encode(), Reason.UNSUPPORTED_BODY),
    "multipart/form-data; boundary*=utf-8''B": ((part() + "--B--\r\n").encode(), Reason.UNSUPPORTED_BODY),
    'multipart/form-data; boundary="B B"': ((part() + "--B--\r\n").encode(), Reason.UNSUPPORTED_BODY),
    "multipart/mixed; boundary=B": ((part() + "--B--\r\n").encode(), Reason.UNSUPPORTED_BODY),
}


@pytest.mark.parametrize("content_type", list(TYPES), ids=repr)
def test_media_type_if_the_body_is_the_only_place(call: Call, content_type: str | None) -> None:
    body, expected = TYPES[content_type]

    assert read(call, Json("/a") | Form("a"), post(body, content_type)) == expected


def test_two_media_types_are_refused_if_bodies_are_read(call: Call) -> None:
    sent = post(b'{"a":"1"}', "application/json", ("Content-Type", "text/plain"))
    sent.query = "a=1"

    assert read(call, Json("/a"), sent) is Reason.UNSUPPORTED_BODY
    assert read(call, Query("a") | Json("/a"), sent) is Reason.UNSUPPORTED_BODY


CHARSETS: dict[tuple[str, str], str | Reason] = {
    ("text/plain", "a=1&b=%C3%A9"): "1",
    ("text/plain; charset=utf-8", "a=1&b=%C3%A9"): "1",
    ('text/plain; Charset="UTF8"', "a=%C3%A9"): "é",
    ("multipart/form-data; boundary=charset", "a=1&b=+"): "1",
    ("text/plain; charset=utf-7", "a=1&b=1&c"): "1",
    ("text/plain; charset=ISO-8859-1", "a=1-%7e&b=%C3%A9"): "1-~",
    ("text/plain; charset=us-ascii", "a=1&b=+"): "1",
    ("text/plain; charset=windows-1252", "a=1&b=+"): "1",
    ("text/plain; charset=ISO-8859-1", "a=%c3%A9"): Reason.MALFORMED,
    ("text/plain; charset=ISO-8859-1", "a=\xc3\xa9"): Reason.MALFORMED,
    ("text/plain; charset=utf-7", "a=1&b=+"): Reason.MALFORMED,
    ("text/plain; charset=utf-8; charset=utf-7", "a=1&b=+"): Reason.MALFORMED,
    ("text/plain; charset=utf-8, text/plain; charset=utf-7", "a=1&b=+"): Reason.MALFORMED,
    ("text/plain; charset*=utf-8''utf-7", "a=1&b=+"): Reason.MALFORMED,
    ('text/plain; charset=";utf-7"', "a=1&b=+"): Reason.MALFORMED,
    ('text/plain; charset="utf-8;sig"', "%EF%BB%BFa=2&a=1"): Reason.MALFORMED,
    ('text/plain; charset="utf\\-8"', "a=1&b=+"): Reason.MALFORMED,
    (";CHARSET=UTF7", "a=1&b=+"): Reason.MALFORMED,
    ("text/plain; charset=unicode_escape", "a=1&b=+"): Reason.MALFORMED,
    ("text/plain; charset=windows-1252x", "a=1&b=+"): Reason.MALFORMED,
    ("text/plain; charset=punycode", "a=1-aa"): Reason.MALFORMED,
}


@pytest.mark.parametrize(("content_type", "query"), CHARSETS)
def test_a_query_is_refused_if_a_framework_may_decode_it_with_another_charset(
    call: Call, content_type: str, query: str
) -> None:
    sent = Sent("GET", query=query, headers=[("Content-Type", content_type)])

    assert read(call, Query("a"), sent) == CHARSETS[content_type, query]


@pytest.mark.parametrize(
    ("query", "charset"),
    [("sig={}&a=acme-aa", "punycode"), ("a=b.xn--mnchen-3ya.example&sig={}", "idna"), ("a=b-c&sig={}", "utf-8")],
)
def test_a_hyphen_may_begin_an_escape(call: Call, query: str, charset: str) -> None:
    """Django reads `acme` or `b.münchen.example`."""
    scheme = Scheme(name="one", ids={"a": Query("a")}, message="{a}", signature=Query("sig"))
    text = query.replace("&sig={}", "").rpartition("a=")[2]
    query = query.format(scheme.sign(KEY, a=text))

    assert call(Guard(scheme, KEY), Sent("GET", query=query)).verdict.ids == {"a": text}
    answer = call(Guard(scheme, KEY), Sent("GET", query=query, headers=[("Content-Type", f"a/b; charset={charset}")]))
    assert answer.status == (200 if charset == "utf-8" else 401)


@pytest.mark.parametrize("text", ["1+ACY-", "%31", "1\\x26", "1~{"])
def test_a_value_with_an_escape_of_another_charset_is_refused(call: Call, text: str) -> None:
    sent = Sent("GET", query=f"a={text}", headers=[("Content-Type", "text/plain; charset=x")])

    assert read(call, Query("a"), sent) is Reason.MALFORMED
    assert read(call, Query("a"), Sent("GET", query=f"a={text}")) is not Reason.MALFORMED


@pytest.mark.parametrize("start", [b"", b" \r\n", b"\xef\xbb\xbf"], ids=repr)
def test_a_form_that_begins_as_json_is_refused_if_json_is_read_too(call: Call, start: bytes) -> None:
    sent = post(start + b'{"a":"2","x":"&a=1&"}', "application/x-www-form-urlencoded")

    assert read(call, Json("/a") | Form("a"), sent) is Reason.UNSUPPORTED_BODY
    assert read(call, Form("a"), sent) == "1"

    sent.query = "a=1"
    sent.body = start + b'[{"a":"2"}]'

    assert read(call, Query("a") | Json("/a") | Form("a"), sent) is Reason.UNSUPPORTED_BODY


def test_a_body_without_a_media_type_is_refused_if_bodies_are_read(call: Call) -> None:
    sent = post(b'{"a":"2"}', None)
    sent.query = "a=1"

    assert read(call, Query("a") | Json("/a"), sent) is Reason.UNSUPPORTED_BODY
    assert read(call, Query("a"), sent) == "1"

    sent.body = b""

    assert read(call, Query("a") | Json("/a"), sent) == "1"


IGNORED = [
    "image/png",
    "audio/ogg",
    "video/mp4",
    "font/woff2",
    "application/octet-stream",
    "application/pdf",
    "text/csv",
]
IGNORED += ["application/zip", "application/gzip", "application/x-tar", "application/x-7z-compressed", "IMAGE/PNG; x=y"]


@pytest.mark.parametrize("media_type", IGNORED)
def test_an_upload_counts_as_an_absent_body_if_the_id_has_another_place(call: Call, media_type: str) -> None:
    for content in (b"\x89PNG", b" \x00\xef\xbb\xbf\xff\xfe", b"a=2"):
        sent = post(content, media_type)
        sent.query = "a=1"

        assert read(call, Query("a") | Json("/a") | Form("a"), sent) == "1"
        assert read(call, Json("/a"), sent) is Reason.UNSUPPORTED_BODY


@pytest.mark.parametrize(
    "start", [b"{", b"[", b"\xef\xbb\xbf{", b" \r\n\t[", b"\xff\xfe{\x00", b"\x00\x00\x00["], ids=repr
)
def test_an_upload_that_begins_as_json_is_refused(call: Call, start: bytes) -> None:
    sent = post(start + b'"a":"2"}', "application/octet-stream")
    sent.query = "a=1"

    assert read(call, Query("a") | Json("/a"), sent) is Reason.UNSUPPORTED_BODY
    assert read(call, Query("a"), sent) == "1"


OTHER = ["text/plain", "*/*", "application/json-rpc", "application/x-url-encoded", "multipart/mixed; boundary=B"]
OTHER += ["image/svg+xml", "image/x+json", "application/xml", "x", "application/x-www-form-urlencoded"]


@pytest.mark.parametrize("media_type", OTHER)
def test_a_body_of_a_type_that_some_framework_reads_is_refused(call: Call, media_type: str) -> None:
    sent = post(b"x", media_type)
    sent.query = "a=1"

    assert read(call, Query("a") | Json("/a"), sent) is Reason.UNSUPPORTED_BODY
    sent.body = b""
    assert read(call, Query("a") | Json("/a"), sent) == "1"


def test_an_empty_json_body_counts_as_absent(call: Call) -> None:
    """A vendor's SDK posts `application/json` with nothing."""
    sent = Sent("POST", query="a=1", headers=[("Content-Type", "application/json"), ("Content-Length", "0")])

    assert read(call, Query("a") | Json("/a"), sent) == "1"
    assert read(call, Json("/a"), sent) is Reason.MISSING_ID


@pytest.mark.parametrize(
    ("coding", "expected"),
    [("identity", "1"), ("gzip", Reason.UNSUPPORTED_BODY), ("gzip, br", Reason.UNSUPPORTED_BODY)],
)
def test_only_identity_counts_as_no_content_coding(call: Call, coding: str, expected: str | Reason) -> None:
    sent = post(b'{"a":"1"}', "application/json", ("Content-Encoding", coding))

    assert read(call, Json("/a"), sent) == expected


@pytest.mark.parametrize(
    ("query", "body", "expected"),
    [
        ("a=1", b"{}", "1"),
        ("", b'{"a":"1"}', "1"),
        ("a=1", b'{"a":"1"}', Reason.CONFLICT),
        ("a=1", b'{"a":"2"}', Reason.CONFLICT),
        ("a=1", b'{"a":null}', Reason.CONFLICT),
        ("a=", b'{"a":"1"}', Reason.CONFLICT),
        ("a=1", b'{"a":"1","a":"1"}', Reason.MALFORMED),
        ("a=1", b"{", Reason.MALFORMED),
        ("a=1&a=1", b"{}", Reason.DUPLICATE),
        ("", b"{}", Reason.MISSING_ID),
    ],
)
def test_either_place_but_not_both(call: Call, query: str, body: bytes, expected: str | Reason) -> None:
    sent = post(body)
    sent.query = query

    assert read(call, Query("a") | Json("/a"), sent) == expected


def test_a_path_without_its_id_is_not_a_second_place(call: Call) -> None:
    source = Path("/connect/{id}") | Query("id")

    assert read(call, source, Sent(path="/connect/", query="id=1")) == "1"


def test_the_repr_of_three_alternatives_is_their_code() -> None:
    assert repr(Query("a") | (Json("/a") | Header("X-A", before=":"))) == (
        "Query(name='a') | Json(pointer='/a', allow_int=False) | Header(name='X-A', before=':')"
    )
    with pytest.raises(TypeError):
        Query("a") | "b"  # type: ignore[operator]


def test_a_form_is_read_once_for_all_its_fields(call: Call) -> None:
    scheme = Scheme(name="form", ids={"a": Form("a"), "b": Form("b")}, message="{a}:{b}", signature=Form("sig"))
    signature = hmac.new(KEY.encode(), b"1:2", hashlib.sha256).hexdigest()
    for content_type, body in (
        (B, part() + part('name="b"', "2") + part('name="sig"', signature) + "--B--\r\n"),
        ("application/x-www-form-urlencoded", f"a=1&b=2&sig={signature}"),
    ):
        reply = call(Guard(scheme, KEY), post(body.encode(), content_type))
        assert dict(reply.verdict.ids) == {"a": "1", "b": "2"}
        assert reply.app_body == body.encode()


@pytest.mark.parametrize(
    ("query", "reason", "tenant"),
    [
        ("a=x&b=y&sig=&t=acme", Reason.MISSING_SIGNATURE, "acme"),
        ("a=&b=y&sig=0&t=acme", Reason.MISSING_ID, "acme"),
        ("a=x&b=y&sig=0&t=", Reason.UNKNOWN_KEY, None),
        ("a=x:y&b=z&sig=0&t=acme", Reason.AMBIGUOUS, "acme"),
    ],
    ids=["signature", "id", "tenant", "a separator"],
)
def test_a_blank_text_is_missing_and_a_separator_is_ambiguous_where_all_else_is_plain(
    call: Call, query: str, reason: Reason, tenant: str | None
) -> None:
    scheme = Scheme(
        name="plain",
        ids={"a": Query("a"), "b": Query("b")},
        message="{a}:{b}",
        signature=Query("sig"),
        tenant=Query("t"),
    )
    recorded: list[tuple[Reason, str | None]] = []
    guard = Guard(
        scheme,
        {"acme": KEY},
        on_verdict=lambda verdict, claim: recorded.append((verdict.reason, claim.tenant)),
    )

    call(guard, Sent(query=query))

    assert recorded == [(reason, tenant)]
