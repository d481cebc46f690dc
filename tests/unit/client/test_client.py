"""`hmac_guard.client`: requests that real clients sign for real servers, and what stays behind at a redirect."""

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

import pytest
from secrecy import SECRECY
from serving import threaded

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
    Timestamp,
    verdict_from,
)
from hmac_guard.once import MemoryOnce
from hmac_guard.schemes import NANGO, PUSHER, STANDARD_WEBHOOKS, signed_ids

pytest.importorskip("httpx", reason="not run: httpx is not installed")
pytest.importorskip("requests", reason="not run: requests is not installed")
import requests

from hmac_guard.client import HttpxAuth, RequestsAuth
from hmac_guard.client.outgoing import Outgoing
from hmac_guard.client.signer import json_with
from hmac_guard.core.hidden import hide

KEY = "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19"
OTHER = "3e0b52c4a7d94b7f8c1d6e5f40a9b8c7"
NONCE = signed_ids(
    ids={"user": Header("X-User")}, expires=Expires(Header("X-Expires"), max_lifetime=60), nonce=Header("X-Nonce")
)
IN_COOKIE = Scheme(name="cookie", ids={"user": Cookie("user")}, message="{user}", signature=Cookie("sig"))
IN_BODY = Scheme(
    name="body", ids={"user": Json("/user") | Form("user")}, message="{user}", signature=Json("/sig") | Form("sig")
)
#: Sends a request with this scheme, these origins and these ids. Returns status, the URL in the end, and the text.
Send = Callable[..., tuple[int, str, str]]


class Site:
    """A WSGI application that redirects as its query says, and otherwise answers with what it got."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        headers = {name[5:]: value for name, value in environ.items() if name.startswith("HTTP_")}
        is_chunked = "HTTP_TRANSFER_ENCODING" in environ
        body = environ["wsgi.input"].read(*([] if is_chunked else [int(environ.get("CONTENT_LENGTH") or 0)])).decode()
        lengths = [name for name in ("HTTP_TRANSFER_ENCODING", "CONTENT_LENGTH") if environ.get(name)]
        assert len(lengths) < 2, "a body has two lengths"
        query = dict(parse_qsl(environ["QUERY_STRING"]))
        self.got.append({"headers": headers, "body": body, "query": query, "method": environ["REQUEST_METHOD"]})
        if "to" in query:
            start_response(f"{query['status']} Moved", [("Location", query["to"]), ("Content-Length", "0")])
            return [b""]
        ids = dict(verdict_from(environ).ids) if "hmac_guard" in environ else {}
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"ids": ids, "query": query, "body": body}).encode()]


def by_httpx(library: str, is_async: bool) -> Send:
    def send(
        scheme: Scheme, origins: Any, url: str, method: str = "GET", ids: Any = None, tenant: Any = None, **options: Any
    ) -> tuple[int, str, str]:
        httpx = pytest.importorskip(library, reason=f"not run: {library} is not installed")
        auth = HttpxAuth(scheme, KEY, origins, ids or {"user": "u1"}, tenant=tenant)

        async def sent() -> Any:
            async with httpx.AsyncClient(follow_redirects=True) as client:
                return await client.request(method, url, auth=auth, **options)

        if is_async:
            answer = asyncio.run(sent())
        else:
            with httpx.Client(follow_redirects=True, auth=auth) as client:
                answer = client.request(method, url, **options)
        return answer.status_code, str(answer.url), answer.text

    return send


def by_requests(
    scheme: Scheme, origins: Any, url: str, method: str = "GET", ids: Any = None, tenant: Any = None, **options: Any
) -> tuple[int, str, str]:
    if "content" in options:
        options["data"] = options.pop("content")
    with requests.Session() as session:
        auth = RequestsAuth(scheme, KEY, origins, ids or {"user": "u1"}, tenant=tenant)
        answer = session.request(method, url, auth=auth, **options)
        return answer.status_code, answer.url, answer.text


SENDERS: dict[str, Send] = {
    "httpx": by_httpx("httpx", False),
    "httpx, async": by_httpx("httpx", True),
    "httpx2, async": by_httpx("httpx2", True),
    "requests": by_requests,
}


@pytest.fixture(params=list(SENDERS))
def send(request: pytest.FixtureRequest) -> Send:
    return SENDERS[request.param]


class Sites:
    """Two servers. The first one guards `/inbox`."""

    def __init__(self, stack: ExitStack, scheme: Scheme, keys: Any = KEY, **options: Any) -> None:
        self.ours, self.other = Site(), Site()
        guard = Guard(scheme, keys, only=("/inbox",), **options)
        self.url = f"http://127.0.0.1:{stack.enter_context(threaded(guard.wsgi(self.ours)))}"
        self.other_url = f"http://127.0.0.1:{stack.enter_context(threaded(self.other))}"


@pytest.fixture
def sites() -> Iterator[Callable[..., Sites]]:
    with ExitStack() as stack:
        yield partial(Sites, stack)


SCHEMES = [NONCE, IN_COOKIE, IN_BODY]


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_requests_are_signed_for_the_origins_alone(send: Send, sites: Any, scheme: Scheme) -> None:
    made = sites(scheme)
    body = {"method": "POST", "json": {"a": 1}} if scheme is IN_BODY else {}

    status, _, text = send(scheme, [made.url], f"{made.url}/inbox?page=2", **body)
    assert status == 200
    assert json.loads(text)["ids"]["user"] == "u1"
    assert json.loads(text)["query"] == {"page": "2"}
    assert send(scheme, [made.other_url], f"{made.url}/inbox", **body)[0] == 401
    send(scheme, [made.url], f"{made.other_url}/inbox", **body)
    [got] = made.other.got
    assert_nothing_of_ours(got)


def assert_nothing_of_ours(got: dict[str, Any]) -> None:
    assert not {name for name in got["headers"] if name.startswith("X_")}
    assert "sig" not in got["headers"].get("COOKIE", "")
    assert "sig" not in got["body"]
    assert "u1" not in str(got)


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_nothing_that_was_placed_is_sent_to_another_origin(send: Send, sites: Any, scheme: Scheme, status: int) -> None:
    made = sites(scheme)
    url = f"{made.url}/go?status={status}&to={made.other_url}/inbox"
    body = {"method": "POST", "json": {"a": 1}} if scheme is IN_BODY else {}

    assert send(scheme, [made.url], url, **body)[0] == 200
    [signed], [got] = made.ours.got, made.other.got
    assert "u1" in str(signed)
    assert_nothing_of_ours(got)
    if body:
        assert got["body"].replace(" ", "") == ('{"a":1}' if status == 307 else "")


# A 302 makes a GET of a POST, and a GET has no body for the ids.
@pytest.mark.parametrize(
    ("scheme", "status"),
    [(scheme, status) for scheme in SCHEMES for status in (302, 307) if scheme is not IN_BODY or status == 307],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_redirect_inside_of_the_origins_is_signed_again(send: Send, sites: Any, scheme: Scheme, status: int) -> None:
    made = sites(scheme, **({"single_use": MemoryOnce(100)} if scheme is NONCE else {}))
    body = {"method": "POST", "json": {"a": 1}} if scheme is IN_BODY else {}

    answer, url, text = send(scheme, [made.url], f"{made.url}/go?status={status}&to=/inbox", **body)
    assert (answer, urlsplit(url).path) == (200, "/inbox")
    assert json.loads(text)["ids"]["user"] == "u1"
    if scheme is NONCE:
        first, last = (got["headers"]["X_NONCE"] for got in (made.ours.got[0], made.ours.got[-1]))
        assert first != last


def test_another_server_does_not_choose_what_is_signed(send: Send, sites: Any) -> None:
    made = sites(NONCE)
    back = f"{made.other_url}/back?status=307%26to={made.url}/inbox"

    answer, url, _ = send(NONCE, [made.url], f"{made.url}/go?status=307&to={back}")
    assert (answer, url) == (401, f"{made.url}/inbox")


def test_each_request_has_a_new_nonce_and_an_id_may_be_a_function(send: Send, sites: Any) -> None:
    made = sites(NONCE, single_use=MemoryOnce(100))
    users = iter(["u1", "u2"])

    for user in ("u1", "u2"):
        ids = {"user": lambda: next(users)}
        assert json.loads(send(NONCE, [made.url], f"{made.url}/inbox", ids=ids)[2])["ids"]["user"] == user
    assert len({got["headers"]["X_NONCE"] for got in made.ours.got}) == 2


def test_a_signed_body_is_sent_as_it_was_signed(send: Send, sites: Any) -> None:
    scheme = STANDARD_WEBHOOKS
    made = sites(scheme)

    answer = send(scheme, made.url, f"{made.url}/inbox", "POST", ids={"message_id": "m"}, content=b'{"a" : "\xc3\xa9"}')
    assert answer[0] == 200
    assert json.loads(answer[2]) == {"ids": {"message_id": "m"}, "query": {}, "body": '{"a" : "é"}'}


def test_text_is_sent_as_the_bytes_that_were_signed() -> None:
    auth = RequestsAuth(STANDARD_WEBHOOKS, KEY, ["https://a.example"], message_id="m")
    request = requests.Request("POST", "https://a.example/inbox", data='{"a":"\u00e9"}', auth=auth).prepare()

    assert request.body == b'{"a":"\xc3\xa9"}'
    assert request.headers["Content-Length"] == "10"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_body_that_is_empty_or_not_signed_stays_as_it_is(method: str) -> None:
    url, given = "https://a.example/inbox", {"GET": None, "POST": "\u00e9"}[method]
    for scheme, body in ((STANDARD_WEBHOOKS, None), (NONCE, given)):
        auth = RequestsAuth(scheme, KEY, ["https://a.example"], {next(iter(scheme.ids)): "m"})
        plain = requests.Request(method, url, data=body).prepare()
        request = requests.Request(method, url, data=body, auth=auth).prepare()

        assert request.body == plain.body
        assert request.headers.get("Content-Length") == plain.headers.get("Content-Length")


def test_the_query_keeps_what_is_not_ours(send: Send, sites: Any) -> None:
    made = sites(NANGO)
    ids = {"integration_id": "g&h", "connection_id": "c+d é"}

    url = f"{made.url}/inbox?a=1&a=%2F&connection_id=old&b"
    answer = send(NANGO, [made.url], url, ids=ids)
    found = json.loads(answer[2])
    assert found["ids"] == ids
    assert urlsplit(answer[1]).query.startswith("a=1&a=%2F&b&")


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_hook_reads_and_changes_the_headers_of_a_signed_request(library: str, sites: Any) -> None:
    httpx = pytest.importorskip(library, reason=f"not run: {library} is not installed")
    made, seen = sites(NONCE), []

    def hook(request: Any) -> None:
        seen.append(request.headers["X-User"])
        request.headers["X-Trace"] = "1"
        request.headers.update({"X-Span": "2"})
        del request.headers["Accept"]
        del request.headers["X-Nonce"]

    auth = HttpxAuth(NONCE, KEY, [made.url], user="u1")
    with httpx.Client(auth=auth, event_hooks={"request": [hook]}) as client:
        answer = client.get(f"{made.url}/inbox")
        client.get(f"{made.url}/go", headers={"Accept": "text/plain"})
    got = made.ours.got[-1]["headers"]
    assert (answer.status_code, seen) == (401, ["u1", "u1"])
    assert (got["X_TRACE"], got["X_SPAN"], got["X_USER"]) == ("1", "2", "u1")
    assert not {"X_NONCE", "ACCEPT"} & got.keys()


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        ("", ""),
        ("user=old", ""),
        ("a=1;user=old", "a=1; "),
        ("a=1;  user=old;b=2", "a=1;b=2; "),
        ("user=old; a=1", "a=1; "),
        ("a=1; user =old;; b=2;", "a=1; b=2; "),
        ('a="1;2"; user2=x', 'a="1;2"; user2=x; '),
    ],
)
def test_a_cookie_takes_the_place_of_the_old_one(header: str, kept: str) -> None:
    signed = HttpxAuth(IN_COOKIE, KEY, ["https://a.example"], user="u1").signer.sign(
        Outgoing("GET", "/", headers={"cookie": header})
    )

    assert signed.headers["Cookie"] == f"{kept}user=u1; sig={IN_COOKIE.sign(KEY, user='u1')}"


def test_wrong_arguments_are_errors_when_the_signer_is_made() -> None:
    import httpx

    for make in (HttpxAuth, RequestsAuth):
        name = make.__name__
        for error, arguments in {
            f"{name}: 'https://a.example/v1' is not an origin": (NONCE, KEY, ["https://a.example/v1"]),
            f"{name}: 'a.example' is not an origin": (NONCE, KEY, "a.example"),
            f"{name}: 'https://u@a.example' is not an origin": (NONCE, KEY, ["https://u@a.example"]),
            f"{name}: 'ftp://a.example' is not an origin": (NONCE, KEY, ["ftp://a.example"]),
            f"{name}: 'https://a.example:x' is not an origin": (NONCE, KEY, ["https://a.example:x"]),
            f"{name}: None is not an origin": (NONCE, KEY, [None]),
            f"{name}: an object of URL is not an origin": (NONCE, KEY, httpx.URL("https://a.example")),
            f"{name}: an object of bytes is not an origin; write": (NONCE, KEY, b"https://a.example"),
            rf"{name}: 'https://\*.a.example' is not an origin": (NONCE, KEY, ["https://*.a.example"]),
            f"{name}: 'https://a.example ' is not an origin": (NONCE, KEY, ["https://a.example "]),
            f"{name}: 'https://a b.example' is not an origin": (NONCE, KEY, ["https://a b.example"]),
            f"{name}: 'https://\u2603..example' is not an origin": (NONCE, KEY, ["https://\u2603..example"]),
            f"{name}: a text of {len(OTHER)} characters is not an origin": (NONCE, KEY, OTHER),
            f"{name}: an object of bytes is not an origin": (NONCE, KEY, [OTHER.encode()]),
            f"{name}: origins is empty": (NONCE, KEY, []),
            f"{name}: scheme must be a Scheme": ("nango", KEY, ["https://a.example"]),
            f"{name}: the scheme 'nango' needs the id 'connection_id'": (NANGO, KEY, ["https://a.example"]),
            "placeholder": (NONCE, "changeme", ["https://a.example"]),
        }.items():
            with pytest.raises(ConfigError, match=error):
                make(*arguments, **({} if arguments[0] is NANGO else {"user": "u1"}))  # type: ignore[arg-type]
        with pytest.raises(
            ConfigError, match=f"{name}: the scheme 'nango' has no id 'integration'; it has integration_id"
        ):
            make(NANGO, KEY, ["https://a.example"], integration="github", connection_id="c")
        assert KEY not in repr(make(NONCE, KEY, ["https://a.example"], user="u1"))


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_origins_that_are_not_given_are_an_error(sign: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{sign.__name__}: None is not an origin"):
        sign(NONCE, KEY, None, user="u1")
    for options in ({}, {"origins": ["https://a.example"]}):
        with pytest.raises(ConfigError, match=f"^{sign.__name__}: give the scheme, the key and the origins first"):
            sign(NONCE, KEY, user="u1", **options)


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"user": 5}, r"the id 'user' must be text, .*, not int; give text: str\(user\.id\)"),
        ({"user": None}, "the id 'user' must be text, .*, not NoneType"),
        ({"user": UUID(int=1)}, "the id 'user' must be text, .*, not UUID"),
        ({"user": "u1", "clock": 1_800_000_000}, "clock must be a function .*, such as time.time, not int"),
        ({"user": "u1", "clock": datetime.now}, "clock must return seconds"),
        ({"user": "u1", "tenant": 5}, "tenant is text"),
    ],
    ids=["int", "None", "UUID", "clock", "clock of datetimes", "tenant"],
)
def test_a_value_of_a_wrong_type_is_an_error_when_the_signer_is_made(
    sign: Any, options: dict[str, Any], says: str
) -> None:
    in_body = NONCE.replace(message="{user}.{expires}.{nonce}.{@body}", tenant=Json("/tenant"))
    with pytest.raises(ConfigError, match=f"^{sign.__name__}: {says}"):
        sign(in_body, KEY, ["https://a.example"], **options)


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_an_id_may_have_the_name_of_an_argument_without_a_name(sign: Any) -> None:
    ids = {name: Header(f"X-{name}") for name in ("scheme", "key", "origins", "mapping")}
    message = "{scheme}.{key}.{origins}.{mapping}"
    scheme = Scheme(name="names", ids=ids, message=message, signature=Header("X-Sig"))

    signed = sign(scheme, KEY, ["https://a.example"], **dict.fromkeys(ids, "1")).signer.sign(Outgoing("GET", "/"))

    assert signed.headers["X-origins"] == "1"


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_a_key_in_the_place_of_the_origins_is_not_shown(sign: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        sign(NONCE, "https://api.example.com/of/32/bytes", [OTHER], user="u1")
    assert OTHER not in str(caught.value)


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
@pytest.mark.parametrize(
    "arguments",
    [(OTHER, NONCE, ["https://a.example"]), (NONCE, ["https://a.example"], OTHER), (NONCE, KEY, [OTHER])],
    ids=["the scheme", "the origins", "an origin"],
)
def test_a_key_in_the_place_of_another_argument_is_in_no_variable(sign: Any, arguments: Any) -> None:
    # `secrecy` searches the local variables of every error for each key of a test.
    SECRECY.made.add(OTHER.encode())
    with pytest.raises(ConfigError):
        sign(*arguments, user="u1")
    assert SECRECY.found() == []


@pytest.mark.parametrize("origin", ["https://B\u00fccher.example", "https://xn--bcher-kva.example:443/"])
@pytest.mark.parametrize("host", ["b\u00fccher.example", "B\u00dcCHER.example", "xn--bcher-kva.example"])
def test_a_host_is_compared_as_clients_send_it(origin: str, host: str) -> None:
    import httpx

    prepared = requests.Request("GET", f"https://{host}/", auth=RequestsAuth(NONCE, KEY, origin, user="u1")).prepare()
    assert prepared.headers["X-User"] == "u1"
    seen: list[Any] = []

    def handle(request: Any) -> Any:
        seen.append(request.headers)
        return httpx.Response(200)

    with httpx.Client(transport=httpx.MockTransport(handle), auth=HttpxAuth(NONCE, KEY, [origin], user="u1")) as client:
        client.get(f"https://{host}/")
    assert seen[0]["X-User"] == "u1"


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
@pytest.mark.parametrize("separator", ["x", "a", "abc--xyz"])
def test_ids_that_are_functions_may_be_separated_by_letters(sign: Any, separator: str) -> None:
    ids = {"w": Header("X-W", before="b"), "h": Path("/{h}")}
    scheme = Scheme(name="size", ids=ids, message=f"{{w}}{separator}{{h}}", signature=Header("X-Sig"))
    signer = sign(scheme, KEY, ["https://a.example"], w=lambda: "1").signer

    assert signer.sign(Outgoing("GET", "/2")).headers["X-Sig"] == scheme.sign(KEY, w="1", h="2")


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_a_path_without_the_id_that_it_must_have_is_an_error(sign: Any) -> None:
    invoices = Scheme(
        name="invoices", ids={"account": Path("/a/{account}/invoices")}, message="{account}", signature=Header("X-Sig")
    )
    signer = sign(invoices, KEY, ["http://127.0.0.1:9"]).signer
    given = sign(invoices, KEY, ["http://127.0.0.1:9"], account="a1").signer
    found, other = (Outgoing("GET", path) for path in ("/a/a1/invoices", "/health"))

    assert signer.sign(found).headers == given.sign(found).headers == {"X-Sig": invoices.sign(KEY, account="a1")}
    with pytest.raises(
        ValueError,
        match=r"^the path '/health' has no 'account', which the scheme reads from path '/a/[^;]*; leave this",
    ):
        signer.sign(other)


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_the_error_for_an_id_that_the_path_lacks_says_how_to_send_it_elsewhere(sign: Any) -> None:
    origins = ["http://127.0.0.1:9"]
    request = Outgoing("GET", "/x", query="integration_id=gh")

    with pytest.raises(
        ValueError, match="; give integration_id= to send it in another place, or leave this signer out"
    ):
        sign(NANGO, KEY, origins, connection_id="u1").signer.sign(request)

    signed = sign(NANGO, KEY, origins, connection_id="u1", integration_id="gh").signer.sign(request)
    hmac = NANGO.sign(KEY, connection_id="u1", integration_id="gh")
    assert {*signed.query.split("&")} == {"integration_id=gh", "connection_id=u1", f"hmac={hmac}"}


@pytest.mark.parametrize("nonce", [Path("/{nonce}"), Path("/{nonce}") | Header("X-Nonce")], ids=repr)
def test_a_nonce_in_the_path_is_not_made(send: Send, sites: Any, nonce: Any) -> None:
    scheme = NONCE.replace(ids={**NONCE.ids, "nonce": nonce})
    made = sites(scheme)

    status, _, text = send(scheme, [made.url], f"{made.url}/inbox")

    assert (status, json.loads(text)["ids"]) == (200, {"user": "u1", "nonce": "inbox"})


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_a_nonce_in_a_signed_body_is_not_made(sign: Any) -> None:
    scheme = Scheme(name="hook", ids={"nonce": Json("/nonce")}, message="{nonce}.{@body}", signature=Header("X-Sig"))

    signed = sign(scheme, KEY, ["https://a.example"]).signer.sign(Outgoing("POST", "/inbox", body=b'{"nonce":"n1"}'))

    assert signed.headers == {"X-Sig": scheme.sign(KEY, nonce="n1", body=b'{"nonce":"n1"}')}


def test_a_body_that_cannot_hold_the_fields_is_an_error(send: Send, sites: Any) -> None:
    made = sites(IN_BODY)

    form = "multipart/form-data; boundary=b"
    for content, content_type in (
        *((b"[1]", "application/json"), (b"{", "application/json"), (b"{}", "text/plain"), (b"x", form)),
    ):
        headers = {"Content-Type": content_type}
        with pytest.raises(ValueError, match="the scheme places ids or the signature in the body"):
            send(IN_BODY, [made.url], f"{made.url}/inbox", "POST", content=content, headers=headers)
    assert made.ours.got == []


@pytest.mark.parametrize("content", [b'{"a":1}', [b'{"a":', b"1}"]], ids=["whole", "in pieces"])
def test_a_signature_in_the_body_stays_behind_though_a_hook_reads_the_request(content: Any) -> None:
    httpx = pytest.importorskip("httpx", reason="not run: httpx is not installed")
    site, other = Site(), Site()
    with threaded(site) as port, threaded(other) as other_port:
        origin = f"http://127.0.0.1:{port}"
        auth = HttpxAuth(IN_BODY, KEY, [origin], user="u1")
        hooks = {"request": [lambda request: request.read()]}
        body = content if isinstance(content, bytes) else iter(content)
        with httpx.Client(event_hooks=hooks, follow_redirects=True, auth=auth) as client:
            client.post(
                f"{origin}/?status=307&to=http://127.0.0.1:{other_port}/got",
                content=body,
                headers={"Content-Type": "application/json"},
            )

    assert "sig" in site.got[0]["body"]
    assert [each["body"] for each in other.got] == ['{"a":1}']


def by_content(library: Any) -> Any:
    """Return a transport that sends what `request.read()` gives, as several do, and never reads the stream."""

    class ByContent(library.BaseTransport):  # type: ignore[misc]  # A class of either library.
        def handle_request(self, request: Any) -> Any:
            plain = library.Request(request.method, request.url, headers=request.headers.raw, content=request.read())
            with library.HTTPTransport() as transport:
                answer = transport.handle_request(plain)
                return library.Response(answer.status_code, headers=answer.headers, content=answer.read())

    return ByContent()


def twice(library: Any) -> Any:
    """Return a transport that sends each request two times, as one does that retries."""

    class Twice(library.HTTPTransport):  # type: ignore[misc]  # A class of either library.
        def handle_request(self, request: Any) -> Any:
            super().handle_request(request).read()
            return super().handle_request(request)

    return Twice()


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@pytest.mark.parametrize("transport", [by_content, twice, lambda library: None], ids=["content", "twice", "default"])
def test_each_transport_sends_a_signature_in_the_body_to_the_origins_alone(library: str, transport: Any) -> None:
    httpx = pytest.importorskip(library, reason=f"not run: {library} is not installed")
    site, other = Site(), Site()
    with threaded(site) as port, threaded(other) as other_port:
        origin = f"http://127.0.0.1:{port}"
        auth = HttpxAuth(IN_BODY, KEY, [origin], user="u1")
        with httpx.Client(transport=transport(httpx), follow_redirects=True, auth=auth) as client:
            url = f"{origin}/?status=307&to=http://127.0.0.1:{other_port}/got"
            client.post(url, content=b'{"a":1}', headers={"Content-Type": "application/json"})

    number = 2 if transport is twice else 1
    signed = {"a": 1, "user": "u1", "sig": IN_BODY.sign(KEY, user="u1")}
    assert [json.loads(each["body"]) for each in site.got] == [signed] * number
    assert [each["body"] for each in other.got] == ['{"a":1}'] * number


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_hook_that_copies_the_headers_does_not_change_the_body(library: str, sites: Any) -> None:
    httpx = pytest.importorskip(library, reason=f"not run: {library} is not installed")
    made = sites(IN_BODY)
    hooks = {"request": [lambda request: request.headers.copy(), lambda request: dict(request.headers)]}

    with httpx.Client(auth=HttpxAuth(IN_BODY, KEY, [made.url], user="u1"), event_hooks=hooks) as client:
        assert client.post(f"{made.url}/inbox", json={"a": 1}).status_code == 200


@pytest.mark.parametrize("body", [b'{"price":1e400}', b'{"price":NaN}'])
def test_a_number_that_json_cannot_say_is_not_signed(body: bytes) -> None:
    httpx = pytest.importorskip("httpx", reason="not run: httpx is not installed")
    auth = HttpxAuth(IN_BODY, KEY, ["http://127.0.0.1:9"], user="u1")

    with pytest.raises(ValueError, match="JSON"):
        httpx.post("http://127.0.0.1:9/", content=body, headers={"Content-Type": "application/json"}, auth=auth)


#: Values that a JSON library reads in a shorter or another form: numbers with more digits than a float has, and others.
NUMBERS = (
    '{"amount":12345678901234567.89,"rate":0.12345678901234567890,"id":123456789012345678901,"list":[1e2,-0,-0.0,'
    '{"inner":1.10E+5}],"order":{"price":1.50,"none":null,"yes":true,"no":false,"empty":[{},[]]}'
)
NESTED = Scheme(
    name="nested", ids={"user": Json("/order/user")}, message="{user}", signature=Json("/order/signature/hex")
)


def test_numbers_are_sent_as_they_are_written(send: Send, sites: Any) -> None:
    made = sites(NESTED)
    headers = {"Content-Type": "application/json"}
    answer = send(NESTED, [made.url], f"{made.url}/inbox", "POST", content=f"{NUMBERS}}}".encode(), headers=headers)

    assert answer[0] == 200
    placed = f',"user":"u1","signature":{{"hex":"{NESTED.sign(KEY, user="u1")}"}}}}}}'
    assert json.loads(answer[2])["body"] == NUMBERS[:-1] + placed


@pytest.mark.parametrize(
    ("body", "fields", "sent"),
    [
        (b"", {"sig": "s"}, '{"sig":"s"}'),
        (b" { } ", {"sig": "s"}, '{"sig":"s"}'),
        (b'{"sig" : 1.0, "a": 1.0}', {"sig": "s"}, '{"sig":"s","a":1.0}'),
        (b'{"o": 1.0, "a": "1.0"}', {"o": {"sig": "s"}}, '{"o":{"sig":"s"},"a":"1.0"}'),
        (b'{"\\u0073ig": 1, "o": {"sig": 2}}', {"sig": "s"}, '{"sig":"s","o":{"sig":2}}'),
        ('\ufeff{"a":1.0}'.encode(), {"sig": "s"}, '{"a":1.0,"sig":"s"}'),
        ('{"a":1.0}'.encode("utf-16"), {"sig": "s"}, '{"a":1.0,"sig":"s"}'),
    ],
)
def test_fields_are_put_into_the_json_of_the_caller(body: bytes, fields: dict[str, Any], sent: str) -> None:
    assert json_with(body, "json", hide(fields)).decode() == sent


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"a":1,"a":2}', "the key 'a' is there twice in one object; send"),
        (b'{"o":[{"a":1,"\\u0061":1}]}', "the key 'a' is there twice in one object; send"),
        (b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", "nested deeper than 64 levels; send"),
        (b'{"a":' * 100_000, "nested deeper than 64 levels; send"),
        (b'{"a":"\xff"}', "no JSON: its bytes are not UTF-8"),
    ],
    ids=["twice", "twice, deeper", "deep", "too deep to parse", "no text"],
)
def test_json_that_no_guard_reads_is_not_signed(body: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=f"^the scheme places ids or the signature in the body.*{why}"):
        json_with(body, "json", hide({"sig": "s"}))


def test_an_error_about_a_body_shows_no_field_that_was_placed_before() -> None:
    fields: dict[str, Any] = {"sig": "placed-before-the-list", "list": {"user": "u1"}}
    with pytest.raises(ValueError, match="has a list where an object has to be") as caught:
        json_with(b'{"list":[]}', "json", hide(fields))

    ours = [entry.frame.f_locals for entry in caught.traceback[1:]]
    assert ours
    assert "placed-before" not in str(ours)


def test_half_a_character_is_sent_as_it_was() -> None:
    assert json_with(b'{"t":"\\ud800"}', "json", hide({"sig": "s"})) == b'{"t":"\\ud800","sig":"s"}'


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        pytest.param({"json": {"x": 1}}, "{", id="JSON"),
        pytest.param({"data": {"x": "1"}}, "x=1&", id="a form"),
        pytest.param({}, "socket_id=", id="no body"),
    ],
)
def test_fields_are_placed_into_a_body_of_its_own_kind(
    sites: Callable[..., Sites], send: Send, options: dict[str, Any], kind: str
) -> None:
    site = sites(PUSHER)
    ids = {"socket_id": "1.2", "channel_name": "private-a"}

    status, _, text = send(PUSHER, [site.url], f"{site.url}/inbox", "POST", ids, **options)

    assert status == 200
    assert json.loads(text)["ids"] == ids
    assert json.loads(text)["body"].startswith(kind)


OF_TENANT = Scheme(
    name="of a tenant",
    ids={"user": Header("X-User")},
    message="{user}",
    signature=Header("X-Sig"),
    tenant=Json("/tenant") | Form("tenant"),
)


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"json": {"amount": 5}}, '{"amount":5,"tenant":"acme"}'),
        ({"data": {"amount": "5"}}, "amount=5&tenant=acme"),
    ],
    ids=["JSON", "a form"],
)
def test_a_body_into_which_only_the_tenant_is_placed_keeps_the_rest(
    sites: Callable[..., Sites], send: Send, options: dict[str, Any], sent: str
) -> None:
    site = sites(OF_TENANT, {"acme": KEY})

    status, _, text = send(OF_TENANT, [site.url], f"{site.url}/inbox", "POST", tenant="acme", **options)

    assert (status, json.loads(text)["body"]) == (200, sent)


def test_a_body_in_pieces_keeps_them_if_only_the_tenant_is_placed_in_it() -> None:
    httpx = pytest.importorskip("httpx", reason="not run: httpx is not installed")
    auth = HttpxAuth(OF_TENANT, KEY, ["https://a.example"], user="u1", tenant="acme")
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=request.read()))
    with httpx.Client(transport=transport, auth=auth) as client:
        pieces, headers = iter([b'{"amount":', b"5}"]), {"Content-Type": "application/json"}
        answer = client.post("https://a.example/", content=pieces, headers=headers)

    assert answer.text == '{"amount":5,"tenant":"acme"}'


def test_an_id_and_a_tenant_that_a_signed_body_has_are_sent_there_alone(send: Send, sites: Any) -> None:
    signed = OF_TENANT.replace(
        ids={"user": Header("X") | Json("/user") | Form("x")},
        message="{user}.{@body}",
        tenant=Header("X-Tenant") | Json("/tenant"),
    )
    site = sites(signed, {"acme": KEY})
    ids = {"user": "bob"}

    for body in ({**ids, "tenant": "acme"}, ids, {"tenant": "acme"}, {}):
        status, _, text = send(signed, [site.url], f"{site.url}/inbox", "POST", ids, "acme", json=body)
        assert (status, json.loads(text)["ids"]) == (200, ids)
    with pytest.raises(ConfigError, match="in the body with another value"):
        send(signed, [site.url], f"{site.url}/inbox", "POST", ids, "acme", json={"user": "eve"})


def test_an_id_and_a_tenant_in_a_signed_body_are_those_that_are_given(send: Send, sites: Any) -> None:
    signed = OF_TENANT.replace(ids={"user": Header("X-User") | Json("/user")}, message="{user}.{@body}")
    site = sites(signed, {"acme": KEY})
    ids, body = {"user": "zo\u00eb"}, {"user": "zo\u00eb", "tenant": "acme"}

    status, _, text = send(signed, [site.url], f"{site.url}/inbox", "POST", ids, "acme", json=body)

    assert (status, json.loads(text)["ids"]) == (200, ids)
    for wrong in ({**body, "user": "eve"}, {**body, "tenant": "other"}):
        with pytest.raises(ConfigError, match="in the body with another value"):
            send(signed, [site.url], f"{site.url}/inbox", "POST", ids, "acme", json=wrong)


MULTIPART: dict[str, Any] = {
    "content": b'--b\r\nContent-Disposition: form-data; name="user"\r\n\r\nu1\r\n--b--\r\n',
    "headers": {"Content-Type": "multipart/form-data; boundary=b"},
}
#: The second place of an id, and a request that has it there.
CARRIED: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "query": (Query("user"), "?user=u%31", {}),
    "header": (Header("X-User"), "", {"headers": {"X-User": "u1"}}),
    "start of a header": (Header("X-User", before=":"), "", {"headers": {"X-User": "u1:rest"}}),
    "item of a header": (
        Header("X-User").item("u", separators=(";", "=")),
        "",
        {"headers": {"X-User": "u=u1"}},
    ),
    "cookie": (Cookie("user"), "", {"headers": {"Cookie": "user=u1"}}),
    "JSON": (Json("/user"), "", {"json": {"user": "u1"}}),
    "form": (Form("user"), "", {"data": {"user": "u1"}}),
    "multipart": (Form("user"), "", MULTIPART),
}


@pytest.mark.parametrize("first", [Header("X-First"), Query("first")], ids=["header", "query"])
@pytest.mark.parametrize("carried", list(CARRIED))
def test_an_id_that_the_request_has_in_another_place_is_sent_there_alone(
    send: Send, sites: Any, first: Any, carried: str
) -> None:
    place, query, options = CARRIED[carried]
    scheme = IN_COOKIE.replace(ids={"user": first | place}, signature=Header("X-Sig"))
    made = sites(scheme)

    status, url, text = send(scheme, [made.url], f"{made.url}/inbox{query}", "POST", **options)

    assert (status, json.loads(text)["ids"]) == (200, {"user": "u1"})
    assert parse_qsl(urlsplit(url).query) == parse_qsl(query[1:])
    assert made.ours.got[0]["headers"].get("X_USER") == options.get("headers", {}).get("X-User")


@pytest.mark.parametrize("carried", list(CARRIED))
def test_another_id_in_another_place_is_an_error(send: Send, sites: Any, carried: str) -> None:
    place, query, options = CARRIED[carried]
    scheme = IN_COOKIE.replace(ids={"user": Header("X-First") | place}, signature=Header("X-Sig"))
    made = sites(scheme)

    with pytest.raises(
        ValueError, match=f"another 'user' than the one .*, in the {re.escape(place.describe())}; leave"
    ):
        send(scheme, [made.url], f"{made.url}/inbox{query}", "POST", {"user": "u2"}, **options)
    assert made.ours.got == []


def test_an_id_in_two_places_is_an_error(send: Send, sites: Any) -> None:
    scheme = IN_COOKIE.replace(ids={"user": Query("user") | Header("X-User") | Cookie("user")})
    made = sites(scheme)

    with pytest.raises(
        ValueError, match="the id 'user' in the query parameter 'user' and in the header 'X-User'; send"
    ):
        send(scheme, [made.url], f"{made.url}/inbox?user=u1", headers={"X-User": "u1"})
    assert made.ours.got == []


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_another_id_beside_the_one_in_the_path_is_an_error(sign: Any) -> None:
    signer = sign(NANGO, KEY, ["https://a.example"], connection_id="c").signer
    path = "/oauth/connect/github"

    assert signer.sign(Outgoing("GET", path, "integration_id=github")).query.startswith("integration_id=github&conn")
    with pytest.raises(ValueError, match=r"another 'integration_id' than .*, in the query parameter 'integration_id'"):
        signer.sign(Outgoing("GET", path, "integration_id=gitlab"))


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_an_id_in_the_path_and_in_a_signed_body_is_the_same(sign: Any) -> None:
    hook = Scheme(name="hook", ids={"a": Path("/{a}") | Json("/a")}, message="{a}.{@body}", signature=Header("X-Sig"))
    signer = sign(hook, KEY, ["https://a.example"]).signer
    headers, body = {"content-type": "application/json"}, b'{"a":"1"}'

    assert signer.sign(Outgoing("POST", "/1", "", headers, body)).headers == {"X-Sig": hook.sign(KEY, a="1", body=body)}
    with pytest.raises(ValueError, match="another 'a' than the one that is to be signed, in the JSON body at '/a'"):
        signer.sign(Outgoing("POST", "/2", "", headers, body))


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_another_id_in_the_path_of_a_mounted_application_is_an_error(sign: Any) -> None:
    scheme = IN_COOKIE.replace(ids={"user": Path("/users/{user}") | Query("user")})
    signer = sign(scheme, KEY, ["https://a.example"], user="u1").signer

    with pytest.raises(ValueError, match=r"^the path '/users/u2' has another 'user' than .*; sign that one$"):
        signer.sign(Outgoing("GET", "/users/u2"))
    with pytest.raises(ValueError, match=r"sign that one; if no application is mounted at '/orgs/7', send what Scheme"):
        signer.sign(Outgoing("GET", "/orgs/7/users/search"))


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_a_signed_body_of_another_type_has_no_id_beside_the_path(sign: Any) -> None:
    upload = Scheme(name="csv", ids={"a": Path("/{a}") | Form("a")}, message="{a}.{@body}", signature=Header("X-Sig"))
    request = Outgoing("POST", "/1", "", {"content-type": "text/csv"}, b"x&a=2")

    signed = sign(upload, KEY, ["https://a.example"]).signer.sign(request)

    assert signed.headers == {"X-Sig": upload.sign(KEY, a="1", body=b"x&a=2")}


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_an_id_in_the_path_that_no_guard_accepts_is_an_error(sign: Any) -> None:
    scheme = IN_COOKIE.replace(ids={"user": Path("/of/{user}") | Query("user")}, signature=Header("X-Sig"))
    signer = sign(scheme, KEY, ["https://a.example"], user="a\\b").signer

    assert signer.sign(Outgoing("GET", "/inbox")).query == "user=a%5Cb"
    with pytest.raises(ConfigError, match="the id 'user' cannot be sent in Path"):
        signer.sign(Outgoing("GET", "/of/a\\b"))


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_an_id_that_a_function_gives_is_text(sign: Any) -> None:
    scheme = IN_COOKIE.replace(ids={"user": Header("X-User") | Query("user")})
    signer = sign(scheme, KEY, ["https://a.example"], user=lambda: 5).signer

    for query in ("", "user=5"):
        with pytest.raises(ConfigError, match="the id 'user' must be text"):
            signer.sign(Outgoing("GET", "/", query))


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_a_time_in_a_signed_body_stays_and_one_elsewhere_is_removed(sign: Any) -> None:
    expires = Expires(Header("X-Expires") | Json("/expires"), max_lifetime=60)
    scheme = Scheme(
        name="hook", ids={}, message="{expires}.{@body}", signature=Header("X-Sig") | Query("sig"), expires=expires
    )
    headers, body = {"content-type": "application/json", "x-expires": "5"}, b'{"expires":"1900000000"}'

    signed = sign(scheme, KEY, ["https://a.example"]).signer.sign(Outgoing("POST", "/", "sig=old", headers, body))

    assert (signed.query, signed.body, signed.removed) == ("", None, {"X-Expires"})
    assert signed.headers == {"X-Sig": scheme.sign(KEY, expires="1900000000", body=body)}


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_an_id_is_placed_into_the_first_place_if_there_is_no_body(sign: Any) -> None:
    scheme = IN_COOKIE.replace(ids={"user": Json("/user") | Query("user")})
    signer = sign(scheme, KEY, ["https://a.example"], user="u1").signer

    assert signer.sign(Outgoing("POST", "/")).body == b'{"user":"u1"}'


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_another_tenant_in_the_path_is_an_error(sign: Any) -> None:
    scheme = OF_TENANT.replace(tenant=Path("/of/{tenant}") | Header("X-Tenant"))
    signer = sign(scheme, KEY, ["https://a.example"], user="u1", tenant="acme").signer

    assert "X-Tenant" not in signer.sign(Outgoing("GET", "/of/acme")).headers
    assert signer.sign(Outgoing("GET", "/inbox")).headers["X-Tenant"] == "acme"
    with pytest.raises(ValueError, match="the path '/of/other' has another 'tenant' than the one that is to be signed"):
        signer.sign(Outgoing("GET", "/of/other"))


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_an_id_of_a_function_may_be_the_tenant_too(sign: Any) -> None:
    scheme = OF_TENANT.replace(tenant=Header("X-Org"), ids={"user": Header("X-Org") | Query("org")})
    signer = sign(scheme, KEY, ["https://a.example"], user=lambda: "acme", tenant="acme").signer

    assert signer.sign(Outgoing("GET", "/")).headers["X-Org"] == "acme"


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_a_tenant_may_have_a_text_that_an_id_of_a_function_may_not_have(sign: Any) -> None:
    scheme = OF_TENANT.replace(
        ids={"a": Header("X-A"), "b": Header("X-B")}, message="{a}:{b}", tenant=Header("X-Org"), signature=Query("sig")
    )
    signer = sign(scheme, KEY, ["https://a.example"], a=lambda: "1", b=lambda: "2", tenant="eu:acme").signer

    assert signer.sign(Outgoing("GET", "/")).headers == {"X-A": "1", "X-B": "2", "X-Org": "eu:acme"}


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_an_id_that_fits_nowhere_else_is_in_the_path(sign: Any) -> None:
    ids = {"a": Path("/u/{a}") | Form("a"), "b": Json("/b")}
    scheme = Scheme(name="m", ids=ids, message="{a}:{b}", signature=Header("X-Sig"))
    signer = sign(scheme, KEY, ["https://a.example"], a="1", b="2").signer

    assert signer.sign(Outgoing("POST", "/u/1")).body == b'{"b":"2"}'
    with pytest.raises(ValueError, match="one body cannot be JSON and a form"):
        signer.sign(Outgoing("POST", "/"))


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_an_id_that_is_left_to_the_path_is_the_only_one(sign: Any) -> None:
    scheme = IN_COOKIE.replace(ids={"user": Header("X-User") | Path("/u/{user}")}, signature=Header("X-Sig"))
    signer = sign(scheme, KEY, ["https://a.example"], user="größe").signer

    assert signer.sign(Outgoing("GET", "/")).headers == {"X-Sig": scheme.sign(KEY, user="größe")}
    with pytest.raises(ValueError, match="another 'user' than the one that is to be signed, in the header 'X-User'"):
        signer.sign(Outgoing("GET", "/", headers={"x-user": "bob"}))


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_another_id_in_a_signed_body_of_another_type_is_an_error(sign: Any) -> None:
    scheme = Scheme(
        name="m", ids={"user": Header("X-User") | Form("user")}, message="{user}.{@body}", signature=Header("X-Sig")
    )
    signer = sign(scheme, KEY, ["https://a.example"], user="u1").signer

    with pytest.raises(ValueError, match="another 'user' than the one that is to be signed, in the form field 'user'"):
        signer.sign(Outgoing("POST", "/", "", {"content-type": "application/x-www-form-urlencoded"}, b"[]&user=u2"))


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_an_id_in_the_path_is_not_sent_in_the_place_of_the_tenant_too(sign: Any) -> None:
    scheme = OF_TENANT.replace(tenant=Query("org"), ids={"user": Path("/of/{user}") | Query("org")})
    signer = sign(scheme, KEY, ["https://a.example"], user="acme", tenant="acme").signer

    assert signer.sign(Outgoing("GET", "/")).query == "org=acme"
    with pytest.raises(ValueError, match="is a place of the id 'user' too"):
        signer.sign(Outgoing("GET", "/of/acme"))


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
@pytest.mark.parametrize("sent", ["acme", "other"])
def test_an_id_that_is_the_tenant_too_is_not_another_one(sign: Any, sent: str) -> None:
    scheme = Scheme(
        name="shared",
        ids={"org": Header("X-Org"), "event": Json("/event")},
        message="{org}.{event}.{@body}",
        signature=Header("X-Sig"),
        tenant=Header("X-Org"),
    )
    request = Outgoing("POST", "/", headers={"x-org": sent}, body=b'{"event":"e1"}')
    make = partial(sign, scheme, KEY, ["https://a.example"], org="acme")

    assert make(tenant="acme").signer.sign(request).headers.get("X-Org", sent) == "acme"
    with pytest.raises(ConfigError, match="two different strings are sent in Header"):
        make(tenant="other").signer.sign(request)


@pytest.mark.parametrize("path", ["/u/7/", "/v1/u/7/"])
def test_a_path_that_differs_from_its_template_by_its_last_slash_is_an_error(path: str) -> None:
    scheme = Scheme(
        name="user", ids={"user": Path("/u/{user}") | Query("user")}, message="{user}", signature=Header("X-Sig")
    )
    auth = HttpxAuth(scheme, KEY, ["https://a.example"], user="7")

    assert "X-Sig" in auth.signer.sign(Outgoing("GET", path.removesuffix("/"))).headers
    with pytest.raises(ValueError, match=r"differs from the path '/u/\{user\}', which has the id 'user', by its"):
        auth.signer.sign(Outgoing("GET", path))


#: The second place of a string that the signer makes, a request that has an old one there, and what is sent in the end.
OLD: dict[str, tuple[Any, str, dict[str, Any], str]] = {
    "query": (Query("former"), "?page=2&former=1", {}, "page=2"),
    "header": (Header("X-Old"), "", {"headers": {"X-Old": "1"}}, ""),
    "item of a header": (
        Header("X-Old").item("former", separators=(";", "=")),
        "",
        {"headers": {"X-Old": "former=1"}},
        "",
    ),
    "cookie": (Cookie("former"), "", {"headers": {"Cookie": "a=1; former=1"}}, "a=1"),
    "only cookie": (Cookie("former"), "", {"headers": {"Cookie": "former=1"}}, ""),
    "JSON": (Json("/a/former"), "", {"json": {"a": {"former": "1", "b": 2}}}, '{"a":{"b":2}}'),
    "form": (Form("former"), "", {"data": {"former": "1", "b": "2"}}, "b=2"),
    "only form field": (Form("former"), "", {"data": {"former": "1"}}, ""),
}


@pytest.mark.parametrize("what", ["signature", "time", "nonce"])
@pytest.mark.parametrize("old", list(OLD))
def test_a_new_string_takes_the_place_of_an_old_one(send: Send, sites: Any, what: str, old: str) -> None:
    place, query, options, kept = OLD[old]
    sources = {name: Header(f"X-{name}") for name in ("signature", "time", "nonce")}
    sources[what] = sources[what] | place
    scheme = NONCE.replace(
        ids={**NONCE.ids, "nonce": sources["nonce"]},
        expires=Expires(sources["time"], max_lifetime=60),
        signature=sources["signature"],
    )
    made = sites(scheme)

    status, _, text = send(scheme, [made.url], f"{made.url}/inbox{query}", "POST", **options)

    assert (status, json.loads(text)["ids"]["user"]) == (200, "u1")
    [got] = made.ours.got
    assert "former" not in str(got)
    assert (urlencode(got["query"]) or got["headers"].get("COOKIE") or got["body"]) == kept


def test_an_old_signature_in_a_body_that_cannot_be_changed_is_an_error(sites: Any, send: Send) -> None:
    signature = Header("X-Sig") | Form("user") | Json("/a/0")
    scheme = Scheme(name="old", ids={"id": Header("X-Id")}, message="{id}", signature=signature)
    made = sites(scheme)

    bodies: list[tuple[dict[str, Any], str]] = [
        (MULTIPART, "no urlencoded form"),
        ({"json": {"a": ["old"]}}, "has a list"),
    ]
    for options, says in bodies:
        with pytest.raises(ValueError, match=says):
            send(scheme, [made.url], f"{made.url}/inbox", "POST", {"id": "u1"}, **options)
    assert made.ours.got == []


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_an_id_in_a_form_is_not_left_out_for_an_old_time_in_json(sign: Any) -> None:
    timestamp = Timestamp(Form("t") | Json("/t"), max_age=300)
    ids = {"a": Form("a")}
    scheme = Scheme(name="m", ids=ids, message="{timestamp}:{a}", signature=Header("X-Sig"), timestamp=timestamp)
    signer = sign(scheme, KEY, ["https://a.example"], a="1").signer

    with pytest.raises(ValueError, match="this body is no urlencoded form"):
        signer.sign(Outgoing("POST", "/", "", {"content-type": "application/json"}, b'{"t":"1700000000"}'))


@pytest.mark.parametrize(
    "content_type", ["application/json", MULTIPART["headers"]["Content-Type"]], ids=["JSON", "form"]
)
def test_a_body_that_no_guard_can_read_is_sent_if_nothing_is_placed_in_it(
    send: Send, sites: Any, content_type: str
) -> None:
    ids = {"user": Query("user") | Json("/user") | Form("user")}
    scheme = IN_COOKIE.replace(ids=ids, signature=Header("X-Sig") | Json("/sig") | Form("sig"))
    made = sites(scheme)

    headers = {"Content-Type": content_type}
    assert send(scheme, [made.url], f"{made.url}/upload", "POST", content=b"{", headers=headers)[0] == 200
    assert made.ours.got[0]["body"] == "{"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json", "Content-Encoding": "br"},
        {"Content-Type": "application/json; charset=latin-1"},
    ],
    ids=["compressed", "charset"],
)
def test_a_body_that_no_guard_reads_is_not_searched(send: Send, sites: Any, headers: dict[str, str]) -> None:
    scheme = IN_COOKIE.replace(ids={"user": Query("user") | Json("/user")})
    made = sites(scheme)

    url = f"{made.url}/upload"
    assert send(scheme, [made.url], url, "POST", content=b'{"user":"u2"}', headers=headers)[0] == 200


def test_an_old_signature_is_sent_to_another_origin_as_the_caller_gave_it(send: Send, sites: Any) -> None:
    scheme = NONCE.replace(signature=Header("X-Sig") | Header("X-Old"))
    made = sites(scheme)
    url = f"{made.url}/go?status=307&to={made.other_url}/inbox"

    send(scheme, [made.url], url, headers={"X-Old": "old"})

    [signed], [got] = made.ours.got, made.other.got
    assert ("X_OLD" in signed["headers"], got["headers"]["X_OLD"]) == (False, "old")


@pytest.mark.parametrize("sign", [HttpxAuth, RequestsAuth])
def test_the_items_of_a_header_that_are_kept_are_sent_with_those_that_are_placed(sign: Any) -> None:
    items = {key: Header("X-Sig").item(key, separators=(",", "=")) for key in ("u", "v1")}
    scheme = Scheme(name="items", ids={"u": Query("u") | items["u"]}, message="{u}", signature=items["v1"])
    signer = sign(scheme, KEY, ["https://a.example"], u="1").signer

    signed = signer.sign(Outgoing("GET", "/", headers={"x-sig": "u=1,v1=old"}))

    assert (signed.query, signed.headers) == ("", {"X-Sig": f"u=1,v1={scheme.sign(KEY, u='1')}"})


def signer_of(**places: Any) -> Any:
    scheme = Scheme(name="changed", ids={"u": places["u"]}, message="{u}", signature=places["signature"])
    return HttpxAuth(scheme, KEY, ["https://a.example"], u="1").signer


def test_an_old_signature_is_removed_from_a_cookie_header_that_has_nothing_else() -> None:
    signer = signer_of(u=Query("u"), signature=Header("X-Sig") | Cookie("sig"))

    signed = signer.sign(Outgoing("GET", "/", headers={"cookie": "sig=old"}))

    assert ([*signed.headers], {*signed.removed}) == (["X-Sig"], {"Cookie"})


@pytest.mark.parametrize("coding", ["identity", "Identity"])
def test_an_id_in_a_body_without_a_coding_is_left_there(coding: str) -> None:
    headers = {"content-type": "application/json", "content-encoding": coding}
    signer = signer_of(u=Query("u") | Json("/u"), signature=Header("X-Sig"))

    assert signer.sign(Outgoing("POST", "/", headers=headers, body=b'{"u":"1"}')).query == ""


def test_a_changed_body_keeps_the_content_type_of_the_caller() -> None:
    headers = {"content-type": "application/json; charset=utf-8"}
    signer = signer_of(u=Json("/u"), signature=Header("X-Sig"))

    signed = signer.sign(Outgoing("POST", "/", headers=headers, body=b"{}"))

    assert signed.headers["Content-Type"] == headers["content-type"]


def test_bytes_as_a_header_of_requests_that_are_not_utf_8_are_another_id() -> None:
    scheme = IN_COOKIE.replace(ids={"user": Header("X-User")}, signature=Header("X-Sig"))
    auth = RequestsAuth(scheme, KEY, ["https://a.example"], user="u1")

    prepared = requests.Request("GET", "https://a.example/", headers={"X-User": b"\xe9"}, auth=auth).prepare()

    assert prepared.headers["X-User"] == "u1"


def test_bytes_as_a_header_of_requests_are_read_as_text() -> None:
    scheme = IN_COOKIE.replace(ids={"user": Query("user") | Header("X-User")}, signature=Header("X-Sig"))
    auth = RequestsAuth(scheme, KEY, ["https://a.example"], user="u1")

    prepared = requests.Request("GET", "https://a.example/", headers={"X-User": b"u1"}, auth=auth).prepare()

    assert prepared.url == "https://a.example/"
