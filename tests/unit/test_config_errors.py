"""Law 2: a wrong configuration raises when it is made, and the error names the fix."""

import functools
import hashlib
import hmac
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import product
from typing import Any

import pytest
from secrecy import SECRECY
from sqlalchemy import create_engine
from support import Sent, scope_for

from hmac_guard import (
    ConfigError,
    Cookie,
    Expires,
    Form,
    Guard,
    Header,
    Json,
    Key,
    Keyring,
    Path,
    Query,
    Scheme,
    Timestamp,
)
from hmac_guard.asgi import GuardMiddleware as AsgiGuard
from hmac_guard.client.signer import Signer
from hmac_guard.console import Console
from hmac_guard.core.source import Source
from hmac_guard.keys import CachedKeys, ChainKeys, EnvKeys, FileKeys, MappingKeys, SqlKeys
from hmac_guard.once import MemoryOnce
from hmac_guard.schemes import NANGO, SUPRSEND, raw_body, signed_ids, user_hash
from hmac_guard.wsgi import GuardMiddleware as WsgiGuard

KEY = "a key that is long enough"


def scheme(**changes: Any) -> Scheme:
    arguments: dict[str, Any] = {
        "name": "orders",
        "ids": {"a": Query("a"), "b": Query("b")},
        "message": "{a}:{b}",
        "signature": Query("sig"),
    }
    return Scheme(**{**arguments, **changes})


def guard(keys: Any = KEY, **options: Any) -> Guard:
    return Guard(scheme(), keys, **options)


ONE = guard()


def wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
    return []


async def asgi_app(scope: Any, receive: Any, send: Any) -> None: ...


def generator(claim: Any) -> Iterator[str]:
    yield KEY


async def async_generator(claim: Any) -> AsyncIterator[str]:
    yield KEY


async def async_function(*_: Any) -> None: ...


class AsyncCall:
    async def __call__(self, verdict: Any, claim: Any) -> None: ...


class Counts:
    def __init__(self, *_: Any) -> None: ...

    def __call__(self, *_: Any) -> None: ...


class OneLoop:
    asgi_only = True

    def __call__(self, claim: Any) -> str:
        return KEY


class BytesPath:
    def __fspath__(self) -> bytes:
        return b"/run/key"


CASES: dict[str, tuple[Callable[[], object], str]] = {
    "an unknown encoding": (lambda: scheme(encoding="hexx"), "take one of hex"),
    "an upper-case encoding": (lambda: scheme(encoding="HEX"), "take one of hex"),
    "an unknown algorithm": (lambda: scheme(algorithm="md5"), "take one of sha256"),
    "sha1": (lambda: scheme(algorithm="sha1"), "take one of sha256"),
    "a prefix with a space": (lambda: scheme(prefix="v1, "), "visible ASCII"),
    "a prefix that is no text": (lambda: scheme(prefix=None), "visible ASCII"),
    "a name that is blank": (lambda: scheme(name=" "), "printable text"),
    "a name with a newline": (lambda: scheme(name="a\nb"), "printable text"),
    "no ids": (lambda: scheme(ids={}), "map each id's name"),
    "ids as a list": (lambda: scheme(ids=["a", "b"]), "map each id's name"),
    "an id name with a space": (lambda: scheme(ids={"a b": Query("a")}, message="{a b}"), "identifier"),
    "an id whose source is text": (lambda: scheme(ids={"a": "a", "b": Query("b")}), "needs a source"),
    "a signature that is text": (lambda: scheme(signature="sig"), "needs a source"),
    "a tenant that is text": (lambda: scheme(tenant="t"), "needs a source"),
    "an id in message without a source": (lambda: scheme(message="{a}:{b}:{c}"), "has a source"),
    "a source without a place in message": (lambda: scheme(message="{a}"), "has a source"),
    "an id twice in message": (lambda: scheme(message="{a}:{b}:{a}"), "once"),
    "ids without a separator": (lambda: scheme(message="{a}{b}"), "put a separator"),
    "a message with a conversion": (lambda: scheme(message="{a!r}:{b}"), "plain placeholders"),
    "a message with a format": (lambda: scheme(message="{a:>3}:{b}"), "plain placeholders"),
    "a message with a lone brace": (lambda: scheme(message="{a}:{b"), "format string"),
    "a message with a lone surrogate": (lambda: scheme(message="{a}\ud800{b}"), "format string"),
    "a message that is no text": (lambda: scheme(message=None), "format string"),
    "a placeholder without a name": (lambda: scheme(message="{}:{b}"), "has a source"),
    "an id and the signature in one place": (lambda: scheme(signature=Query("a")), "cannot be both"),
    "two ids in one place": (lambda: scheme(ids={"a": Query("x"), "b": Query("x")}), "cannot be both"),
    "optional as text": (lambda: scheme(optional="b"), "as a set"),
    "the first id optional": (lambda: scheme(optional={"a"}), "only the last"),
    "the only id optional": (lambda: scheme(ids={"a": Query("a")}, message="{a}", optional={"a"}), "only the last"),
    "an unknown id optional": (lambda: scheme(optional={"c"}), "only the last"),
    "an unknown argument": (lambda: scheme(digest="hex"), "no option 'digest'"),
    "replace with an unknown argument": (lambda: NANGO.replace(digest="hex"), "no option 'digest'"),
    "a header name with _": (lambda: Header("X_Sig"), "no '_'"),
    "a header name with a space": (lambda: Header("X Sig"), "letters, digits"),
    "an empty header name": (lambda: Header(""), "letters, digits"),
    "a cookie read as a header": (lambda: Header("Cookie"), "use Cookie"),
    "a framing header": (lambda: Header("Content-Length"), "cannot hold an id"),
    "a header cut before nothing sensible": (lambda: Header("X-Sig", before="\n"), "visible ASCII"),
    "an empty query name": (lambda: Query(""), "visible ASCII"),
    "a query name with &": (lambda: Query("a&b"), "visible ASCII"),
    "a query name that is no text": (lambda: Query(3), "visible ASCII"),  # type: ignore[arg-type]
    "a form name with a quote": (lambda: Form('a"b'), "visible ASCII"),
    "a cookie name with =": (lambda: Cookie("a=b"), "RFC 6265"),
    "allow_int as text": (lambda: Json("/a", allow_int="false"), "Json: allow_int must be True or False"),  # type: ignore[arg-type]
    "a JSON pointer without /": (lambda: Json("order"), "starts with '/'"),
    "the whole JSON document": (lambda: Json(""), "starts with '/'"),
    "a JSON pointer with a bad escape": (lambda: Json("/a~2"), "JSON pointer"),
    "a place twice": (lambda: Query("a") | Query("a"), "once"),
    "a path without a template": (lambda: Path(), "at least one template"),
    "a template without a placeholder": (lambda: path("/connect"), "exactly once"),
    "a template with another placeholder": (lambda: path("/connect/{b}"), "exactly once"),
    "a template with the placeholder twice": (lambda: path("/{a}/{a}"), "exactly once"),
    "a template with a part of a segment": (lambda: path("/x-{a}"), "whole segment"),
    "a template that is relative": (lambda: path("connect/{a}"), "template of a whole path"),
    "a template with //": (lambda: path("//{a}"), "template of a whole path"),
    "a template that is no text": (lambda: path(3), "template of a whole path"),
    "a template that is not decoded": (
        lambda: path("/caf%C3%A9/{a}"),
        "has 'caf%C3%A9', which looks like a pattern or",
    ),
    "a template with a converter": (lambda: path("/<int:b>/{a}"), "has '<int:b>', which looks like a pattern or"),
    "a template with a glob": (lambda: path("/*/{a}"), "or is not decoded, and would match only this text"),
    "a template with a query": (lambda: path("/a/{a}/b?x=1"), "looks like a pattern"),
    "two templates for one path": (lambda: path("/{a}/{k}", "/{k}/{a}"), "keep one of them"),
    "one line under two spellings": (lambda: scheme(ids={"a": Header("X-A"), "b": Header("x-a")}), "cannot be both"),
    "a header in a choice with itself": (lambda: Header("X-A") | Header("x-a"), "twice"),
    "a pointer in a choice with itself": (lambda: Json("/a") | Json("/a", allow_int=True), "twice"),
    "two paths in a choice": (lambda: Path("/x/{a}/{k}") | Path("/x/{k}/{a}"), "give one Path all its templates"),
    "a body of two kinds": (lambda: scheme(ids={"a": Json("/a"), "b": Form("b")}), "cannot be JSON and a form"),
    "a header cut before a comma": (lambda: Header("X-A", before=","), "without a comma"),
    "optional as a list of lists": (lambda: scheme(optional=[["b"]]), "only the last of several ids may be optional"),
    "optional as a number": (lambda: scheme(optional=5), "as a set"),
    "a glob": (lambda: guard(only=("/api/*",)), "or is not decoded, and would match only this text"),
    "a template": (lambda: guard(only=("/users/{id}",)), "looks like a pattern"),
    "a converter": (lambda: guard(only=("/users/<int:id>",)), "looks like a pattern"),
    "a path with its query": (lambda: guard(exempt=("/inbox?x=1",)), "looks like a pattern"),
    "a path that is not decoded": (lambda: guard(exempt=("/caf%C3%A9",)), "not decoded"),
    "an on_verdict without arguments": (lambda: guard(on_verdict=lambda: None), "on_verdict(verdict, claim)"),
    "an on_verdict that is a class": (
        lambda: guard(on_verdict=Counts),
        "Guard: on_verdict is the class Counts; make one object of it: on_verdict=Counts(…)",
    ),
    "an on_decision that is a class": (lambda: guard(on_decision=Counts), "make one object of it"),
    "an async on_verdict object": (lambda: guard(on_verdict=AsyncCall()), "sync function"),
    "a clock with an argument": (lambda: guard(clock=lambda zone: 0.0), "callable as clock()"),
    "a refusal without arguments": (lambda: guard(refusal=lambda: b""), "refusal(code, message)"),
    "annotate_as of a framework": (lambda: guard(annotate_as="starlette.exception_handlers"), "frameworks use"),
    "no scheme": (lambda: Guard("nango", KEY), "must be a Scheme"),  # type: ignore[arg-type]
    "an unknown mode": (lambda: guard(mode="audit"), '"enforce"'),
    "exempt as text": (lambda: guard(exempt="/health"), "not one text"),
    "only as text": (lambda: guard(only="/inbox/"), "not one text"),
    "exempt as a number": (lambda: guard(exempt=3), "tuple or list"),
    "an exempt path without /": (lambda: guard(exempt=("health",)), "canonical path"),
    "an exempt path with ..": (lambda: guard(exempt=("/a/../b",)), "canonical path"),
    "an exempt path that is no text": (lambda: guard(exempt=(None,)), "canonical path"),
    "an exempt path with ;": (lambda: guard(exempt=("/a;b",)), "leave the entry out"),
    "an only path with //": (lambda: guard(only=("//inbox/",)), "canonical path"),
    "preflight as text": (lambda: guard(preflight="yes"), "True or False"),
    "a max_body of zero": (lambda: guard(max_body=0), "at least 1"),
    "a max_body as text": (lambda: guard(max_body="1 MB"), "at least 1"),
    "a max_body that is True": (lambda: guard(max_body=True), "at least 1"),
    "annotate_as with a space": (lambda: guard(annotate_as="my guard"), "lower-case"),
    "annotate_as of the server": (lambda: guard(annotate_as="path"), "frameworks use"),
    "annotate_as of WSGI": (lambda: guard(annotate_as="wsgi.input"), "frameworks use"),
    "annotate_as like an environment variable": (lambda: guard(annotate_as="HTTP_X"), "lower-case"),
    "refusal that is no function": (lambda: guard(refusal=b"no"), "sync function"),
    "refusal that gives text": (lambda: guard(refusal=lambda code, message: "no"), "must return bytes"),
    "refusal with a media type with a newline": (
        lambda: guard(refusal=lambda code, message: (b"", "a/b\r\nX-Evil: 1")),
        "printable ASCII",
    ),
    "an async on_verdict": (lambda: guard(on_verdict=async_function), "sync function"),
    "no clock": (lambda: guard(clock=None), "clock must be a function that returns seconds"),
    "an async clock": (lambda: guard(clock=async_function), "clock must be a sync function"),
    "an unknown option": (lambda: guard(report_only=True), "no option 'report_only'"),
    "no key": (lambda: guard([]), "at least one key"),
    "an empty key": (lambda: guard(""), "empty or blank"),
    "a key of blanks": (lambda: guard(b" \n"), "empty or blank"),
    "a placeholder": (lambda: guard("<HMAC-KEY>"), "placeholder"),
    "a key with a lone surrogate": (lambda: guard("\ud800" * 20), "surrogate"),
    "a key that is a number": (lambda: guard([3]), "text or bytes"),
    "keys that are None": (lambda: guard(None), "no source of keys"),
    "keys that are a class": (lambda: guard(dict), "no source of keys"),
    "a mapping for a scheme without tenant": (lambda: guard({"acme": KEY}), "has no tenant="),
    "an empty mapping": (lambda: Guard(NANGO, {}), "mapping is empty"),
    "a tenant without a key": (lambda: Guard(NANGO, {"acme": []}), "has no key"),
    "a tenant whose key is None": (lambda: Guard(NANGO, {"acme": None}), "has no key"),  # type: ignore[dict-item]
    "a tenant that is no text": (lambda: Guard(NANGO, {3: KEY}), "must be text"),  # type: ignore[dict-item]
    "a tenant with a newline at its end": (lambda: Guard(NANGO, {"acme\n": KEY}), "without white space"),
    "a tenant with a space at its end": (lambda: Guard(NANGO, {"acme ": KEY}), "that a request can name"),
    "a tenant that is too long": (lambda: Guard(NANGO, {"é" * 513: KEY}), "1 to 1,024 bytes"),
    "a tenant that is half a character": (lambda: Guard(NANGO, {"a\ud800": KEY}), "that a request can name"),
    "a resolver without an argument": (lambda: guard(lambda: KEY), "one argument"),
    "a generator as a resolver": (lambda: guard(generator), "'yield'"),
    "an async generator as a resolver": (lambda: guard(functools.partial(async_generator)), "'yield'"),
    "a resolver of one event loop in WSGI": (lambda: guard(OneLoop()).wsgi(wsgi_app), "cannot serve WSGI"),
    "no guard for WSGI": (lambda: WsgiGuard(wsgi_app, guard=NANGO), "GuardMiddleware: guard must be a Guard"),  # type: ignore[arg-type]
    "no guard for ASGI": (lambda: AsgiGuard(asgi_app, guard=KEY), "GuardMiddleware: guard must be a Guard"),  # type: ignore[arg-type]
    "no application for WSGI": (lambda: guard().wsgi(None), "must be a WSGI application"),  # type: ignore[arg-type]
    "no application for ASGI": (lambda: guard().asgi(None), "must be an ASGI application"),  # type: ignore[arg-type]
    "one WSGI guard twice": (lambda: ONE.wsgi(ONE.wsgi(wsgi_app)), "remove one of the two"),
    "one ASGI guard twice": (lambda: ONE.asgi(ONE.asgi(asgi_app)), "remove one of the two"),
    "two WSGI guards under one name": (lambda: guard().wsgi(guard().wsgi(wsgi_app)), "annotate_as="),
    "two ASGI guards under one name": (lambda: guard().asgi(guard().asgi(asgi_app)), "annotate_as="),
    "a key id that is blank": (lambda: Key(KEY, id=" "), "printable text"),
    "a key time that is text": (lambda: Key(KEY, not_after="2030"), "Unix seconds"),  # type: ignore[arg-type]
    "a key time that is NaN": (lambda: Key(KEY, not_before=float("nan")), "Unix seconds (a number)"),
    "a key that ends at a time in milliseconds": (
        lambda: Key(KEY, not_after=1.9e12),
        "not_after must be Unix seconds (not milliseconds)",
    ),
    "a key that begins at a time in milliseconds": (lambda: Key(KEY, not_before=19 * 10**11), "not milliseconds"),
    "a key that is never active": (lambda: Key(KEY, not_before=2, not_after=1), "never be active"),
    "odd hex": (lambda: Key.from_hex("abc"), "hex digits"),
    "hex with spaces": (lambda: Key.from_hex("ab cd"), "hex digits"),
    "bytes as text": (lambda: Key.from_text(b"abc"), "give text"),  # type: ignore[arg-type]
    "base64 with a stray character": (lambda: Key.from_base64("ab*d"), "not base64"),
    "base64 with loose bits": (lambda: Key.from_base64("mjx7oR=="), "not base64"),
    "base64 with too much padding": (lambda: Key.from_base64("mjx7==="), "not base64"),
    "base64 that is no text": (lambda: Key.from_base64(b"mjx7"), "not base64"),  # type: ignore[arg-type]
    "two equal keys": (lambda: Keyring([KEY, KEY]), "same key to HMAC"),
    "two keys that differ in a NUL": (lambda: Keyring([KEY, KEY + "\0"]), "same key to HMAC"),
    "an unknown mode of a keyring": (lambda: Keyring(KEY, mode="audit"), '"report"'),  # type: ignore[arg-type]
    "an empty keyring": (lambda: Keyring([]), "at least one key"),
    "no variable": (lambda: EnvKeys(), "name of a variable"),
    "a variable with a dash": (lambda: EnvKeys("MY-KEY"), "letters, digits"),
    "an unset variable": (lambda: EnvKeys("HMAC_GUARD_NEVER_SET"), "is not set"),
    "no variable for any tenant": (lambda: EnvKeys("HMAC_GUARD_NEVER_SET_{tenant}"), "no variable like"),
    "any variable for a tenant": (lambda: EnvKeys("{tenant}"), "fixed text"),
    "no variable like the first of two": (
        lambda: EnvKeys("HMAC_GUARD_NEVER_SET_{tenant}", "OLD_HMAC_GUARD_{tenant}"),
        "no variable like HMAC_GUARD_NEVER_SET_",
    ),
    "a tenant in one of two names": (lambda: EnvKeys("A_{tenant}", "A"), "into each of the names"),
    "any variable for a tenant, beside a name": (lambda: EnvKeys("A_{tenant}", "{tenant}"), "fixed text"),
    "names that one variable fits": (lambda: EnvKeys("A_{tenant}", "A_{tenant}_OLD"), "one variable may fit both"),
    "names that one variable fits, the longer first": (
        lambda: EnvKeys("A_OLD_{tenant}", "B_{tenant}", "A_{tenant}"),
        "one variable may fit both A_OLD_{tenant} and A_{tenant}",
    ),
    "a mapping that is none": (lambda: MappingKeys(5), "give a mapping"),  # type: ignore[arg-type]
    "a path with a NUL": (lambda: FileKeys("/run/a\0b"), "path of a file"),
    "a path of bytes": (lambda: FileKeys(b"/run/key"), "path of a file"),  # type: ignore[arg-type]
    "a path object of bytes": (lambda: FileKeys(BytesPath()), "path of a file"),  # type: ignore[arg-type]
    "a clock that is a number": (lambda: CachedKeys(KEY, clock=5), "clock must be a function"),  # type: ignore[arg-type]
    "a time-out beyond what a thread can wait for": (lambda: CachedKeys(KEY, timeout=1e10), "timeout must be at most"),
    "seconds beyond all numbers": (lambda: CachedKeys(KEY, ttl=10**400), "must be a number of seconds"),
    "a key that ends beyond all numbers": (lambda: Key(KEY, not_before=2, not_after=-(10**400)), "never be active"),
    "a list of units": (lambda: Timestamp(Query("t"), unit=["s"]), "unit must be"),  # type: ignore[arg-type]
    "names that one variable fits, by both ends": (lambda: EnvKeys("A_{tenant}", "{tenant}_B"), "may fit both"),
    "one name twice": (lambda: EnvKeys("A_{tenant}", "A_{tenant}"), "may fit both"),
}


def path(*templates: Any) -> Scheme:
    return scheme(ids={"a": Path(*templates), "b": Query("b")})


#: An error begins with the called object, names the argument, and ends with the fix.
WHOLE: dict[str, Callable[[], object]] = {
    "Query: 'a b' is not a valid name; give visible ASCII without & = + % ; # quote and backslash": lambda: Query(
        "a b"
    ),
    "Form: 'a b' is not a valid name; give visible ASCII without & = + % ; # quote and backslash": lambda: Form("a b"),
    "Json: 'a' is not a valid name; give a JSON pointer (RFC 6901) that starts with '/', such as '/order/id'": (
        lambda: Json("a")
    ),
    "Header: 'X_A' is not a valid name; give letters, digits and '-', no '_' (servers drop or confuse it)": (
        lambda: Header("X_A")
    ),
    "Cookie: 'a;' is not a valid name; give letters, digits and !#$%&'*+-.^_`|~ (an RFC 6265 token)": (
        lambda: Cookie("a;")
    ),
    "Scheme: there is no option 'encodin'; did you mean 'encoding'?": lambda: scheme(encodin="hex"),
    "sign: ids must be a mapping of names to texts, not str": lambda: scheme().sign({"a": "x"}, KEY),  # type: ignore[arg-type]
    "sign: ids must be a mapping of names to texts, not list": lambda: scheme().sign(KEY, []),  # type: ignore[arg-type]
    "sign_fields: ids must be a mapping of names to texts, not bytes": (
        lambda: scheme().sign_fields({"a": "x"}, b"")  # type: ignore[arg-type]
    ),
    "Guard: there is no option 'exmpt'; did you mean 'exempt'?": lambda: guard(exmpt=()),
    "signed_ids: there is no option 'expire'; did you mean 'expires'?": (
        lambda: signed_ids(ids={"a": Query("a")}, expire=Query("t"))  # type: ignore[call-arg]
    ),
    "signed_ids: missing a required argument: 'expires'": lambda: signed_ids(ids={"a": Query("a")}),  # type: ignore[call-arg]
    "user_hash: there is no option 'signatur'; did you mean 'signature'?": (
        lambda: user_hash(id=Query("id"), signatur=Query("hash"))  # type: ignore[call-arg]
    ),
    "raw_body: missing a required argument: 'header'": lambda: raw_body(),  # type: ignore[call-arg]
    "raw_body: too many positional arguments": lambda: raw_body("X-Signature"),  # type: ignore[call-arg]
    "Key: not_before must be Unix seconds (a number), or None": lambda: Key(KEY, not_before=True),
    "Key: not_after must be Unix seconds (a number), or None": lambda: Key(KEY, not_after="tomorrow"),  # type: ignore[arg-type]
    'exempt: give several paths, not one text: exempt=("/health",)': lambda: guard(exempt="/health"),
    'only: give several paths, not one text: only=("/health",)': lambda: guard(only="/health"),
    "Scheme: encoding 'hexx' is unknown; take one of hex, base64, base64url": lambda: scheme(encoding="hexx"),
    "Scheme: algorithm 'md5' is unknown; take one of sha256, sha384, sha512": lambda: scheme(algorithm="md5"),
    "Scheme: the id 'a' needs a source such as Query(\"name\"), not str": (
        lambda: scheme(ids={"a": "a", "b": Query("b")})
    ),
    'Scheme: the signature needs a source such as Query("name"), not str': lambda: scheme(signature="sig"),
    'Scheme: the tenant needs a source such as Query("name"), not str': lambda: scheme(tenant="t"),
    "Scheme: id 'a' and signature are both read from Query(name='sig'); one value cannot be both": (
        lambda: scheme(ids={"a": Query("sig"), "b": Query("b")})
    ),
    "keys: the tenant 'b': Key: the secret starts or ends with white space or a newline; remove it (Key.from_text "
    "takes text as it is)": lambda: MappingKeys({"a": KEY, "b": f"other {KEY}\n"}),
    "keys: the tenant 'b': Key: a secret is text or bytes, not NoneType": (
        lambda: MappingKeys({"a": KEY, "b": [f"other {KEY}", None]})  # type: ignore[list-item]
    ),
    "Keyring: the keys no. 2 and 'old' are the same key to HMAC (equal, or equal but for NULs); keep one of them": (
        lambda: Keyring([f"other {KEY}", KEY, Key(f"{KEY}\0", "old")])
    ),
}


@pytest.mark.parametrize("message", WHOLE)
def test_an_error_names_the_argument_the_problem_and_the_fix(message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        WHOLE[message]()

    assert str(caught.value) == message
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize("case", list(CASES))
def test_bad_configuration_is_refused_with_the_fix(case: str) -> None:
    make, fix = CASES[case]

    with pytest.raises(ConfigError) as caught:
        make()

    assert fix in str(caught.value)


#: What takes arguments, and those that it needs.
MADE: dict[Any, dict[str, Any]] = {
    **{place: {"name": "X"} for place in (Query, Form, Cookie, Header)},
    Json: {"pointer": "/a"},
    path: {},
    Timestamp: {"source": Query("t")},
    Expires: {"source": Query("t"), "max_lifetime": 4},
    Key: {"secret": KEY},
    Key.from_hex: {"text": "01" * 16},
    Keyring: {"keys": KEY},
    Scheme: {"name": "n", "ids": {"a": Query("a"), "b": Query("b")}, "message": "{a}:{b}", "signature": Query("sig")},
    raw_body: {"header": "X-Sig"},
    user_hash: {"id": Query("id"), "signature": Query("sig")},
    signed_ids: {"ids": {"u": Query("u")}, "expires": Expires(Query("e"), max_lifetime=5)},
    Guard: {"scheme": NANGO, "keys": KEY},
    MemoryOnce: {},
    CachedKeys: {"resolver": async_function},
    **{source: {} for source in (ChainKeys, EnvKeys, FileKeys)},
}
ODD = [
    *(None, True, 0, -1, 1.5, float("nan"), 10**400, object(), object, lambda: 1, Query("q")),
    *("", "x", " ", "x\n", "\ud800", "{a", "{0}", "/*", b"", b"x", [], [None], [[]], (), {}, {1: 2}, {"a": 1}),
]


@pytest.mark.filterwarnings("ignore:the guard of 'nango' explains each refusal")
@pytest.mark.parametrize("make", MADE, ids=lambda make: make.__qualname__)
def test_an_odd_value_of_an_argument_is_accepted_or_a_config_error(make: Any) -> None:
    signature = inspect.signature(make.__init__ if isinstance(make, type) else make)  # type: ignore[misc]
    for argument, odd in product(signature.parameters.values(), ODD):
        with suppress(ConfigError):
            if argument.kind is argument.VAR_POSITIONAL:
                make(odd, **MADE[make])
            else:
                make(**{**MADE[make], argument.name: odd})


SIGNING = {
    "an id missing": ({"a": "x"}, "is missing"),
    "an id too many": ({"a": "x", "b": "y", "c": "z"}, "has no id 'c'"),
    "an id that is misspelt": ({"a": "x", "bb": "y"}, "has no id 'bb'; it has a, b"),
    "an empty id": ({"a": "", "b": "y"}, "1 to 1,024 bytes"),
    "a number": ({"a": 3, "b": "y"}, "must be text"),
    "an id that is too long": ({"a": "x" * 1025, "b": "y"}, "1 to 1,024 bytes"),
    "an id too long in bytes": ({"a": "ß" * 513, "b": "y"}, "1 to 1,024 bytes"),
    "a control character": ({"a": "x\n", "b": "y"}, "control characters"),
    "a lone surrogate": ({"a": "x\ud800", "b": "y"}, "must be text"),
    "outer white space": ({"a": " x", "b": "y"}, "white space"),
    "outer Unicode white space": ({"a": "x\u3000", "b": "y"}, "white space"),
    "the separator": ({"a": "x:", "b": "y"}, "separates it"),
}


@pytest.mark.parametrize("case", list(SIGNING))
def test_ids_that_no_request_could_verify_are_not_signed(case: str) -> None:
    ids, why = SIGNING[case]

    with pytest.raises(ValueError, match=why):
        scheme().sign(KEY, **ids)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (Header("X-Id"), "größe"),
        (Header("X-Id"), "a,b"),
        (Header("X-Id"), "a  b"),
        (Header("X-Id", before=":"), "a:b"),
        (Cookie("id"), "a b"),
        (Cookie("id"), "50%"),
        (Path("/x/{id}"), "a/b"),
        (Path("/x/{id}"), ".."),
        (Path("/x/{id}"), "a%2Fb"),
        (Header("X-Id") | Cookie("id"), "a,b"),
    ],
    ids=repr,
)
def test_an_id_that_its_source_cannot_carry_is_not_signed(source: Any, text: str) -> None:
    signed = Scheme(name="one", ids={"id": source}, message="{id}", signature=Query("sig"))

    with pytest.raises(ValueError, match="cannot be sent"):
        signed.sign(KEY, id=text)


@pytest.mark.parametrize(
    "source",
    [Header("X-Id"), Header("X-Id", before=":"), Cookie("id"), Path("/x/{id}"), Query("id"), Form("id"), Json("/id")],
    ids=repr,
)
def test_an_id_that_its_source_can_carry_is_signed(source: Any) -> None:
    signed = Scheme(name="one", ids={"id": source}, message="{id}", signature=Query("sig"))

    assert signed.sign(KEY, id="user-1") == hmac.new(KEY.encode(), b"user-1", hashlib.sha256).hexdigest()


def test_replace_keeps_the_other_fields_of_a_scheme() -> None:
    arguments: dict[str, Any] = {
        "ids": {"a": Query("a"), "b": Query("b")},
        "message": "{a}/{b}",
        "signature": Query("sig"),
        "encoding": "base64",
        "algorithm": "sha512",
        "prefix": "v1=",
        "tenant": Query("t"),
        "optional": frozenset({"b"}),
    }
    changed = Scheme(name="one", **arguments).replace(name="two")

    assert {name: getattr(changed, name) for name in ("name", *arguments)} == {"name": "two", **arguments}


@pytest.mark.parametrize(
    "make",
    [
        lambda: Query("a\n"),
        lambda: Header("X-Id\n"),
        lambda: Cookie("id\n"),
        lambda: scheme(prefix="sha256=\n"),
    ],
    ids=["query", "header", "cookie", "prefix"],
)
def test_a_name_with_a_final_line_break_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigError):
        make()


@pytest.mark.parametrize("template", ["/x{/{id}", "/x}/{id}", "/{id}/{"])
def test_a_single_brace_is_refused_in_a_path(template: str) -> None:
    with pytest.raises(ConfigError, match="a placeholder must be a whole segment"):
        Scheme(name="one", ids={"id": Path(template)}, message="{id}", signature=Query("sig"))


#: Keys that servers and frameworks (Starlette, FastAPI, Litestar, Channels) add to a scope.
ADDED = (
    *("state", "extensions", "subprotocols", "session", "user", "auth", "route", "route_handler", "app_root_path"),
    *("litestar_app", "path_template", "path_remaining", "channel"),
)


@pytest.mark.parametrize("name", [*scope_for(Sent()), *ADDED])
def test_annotate_as_cannot_replace_keys_of_servers_and_frameworks(name: str) -> None:
    with pytest.raises(ConfigError, match="is not a valid name for the verdict"):
        Guard(NANGO, KEY, annotate_as=name)


def test_signing_with_a_blank_key_is_refused() -> None:
    with pytest.raises(ValueError, match="empty or blank"):
        SUPRSEND.sign("", distinct_id="x")


def _console(clock: Any) -> Console:
    return Console(
        SqlKeys(create_engine("sqlite:///keys.db")),
        schemes=[NANGO],
        authorize=lambda request: None,
        clock=clock,
        secret="s" * 32,
    )


#: Each constructor that takes a clock, and what it gives as an example.
TAKES_CLOCK: dict[str, tuple[Callable[[Any], object], str]] = {
    "Guard": (lambda clock: guard(clock=clock), "time.time"),
    "CachedKeys": (lambda clock: CachedKeys(KEY, clock=clock), "time.monotonic"),
    "SqlKeys": (lambda clock: SqlKeys(create_engine("sqlite:///keys.db"), clock=clock), "time.time"),
    "Console": (_console, "time.time"),
    "Signer": (lambda clock: Signer("Signer", scheme(), KEY, None, clock, {"a": "1", "b": "2"}), "time.time"),
}


@pytest.mark.parametrize("owner", TAKES_CLOCK)
def test_a_clock_that_returns_no_seconds_is_refused_when_it_is_given(owner: str) -> None:
    make, example = TAKES_CLOCK[owner]
    refused: list[tuple[Any, str]] = [
        (datetime.now, "must return seconds, .*, not datetime; of a datetime return .timestamp()"),
        (lambda: "1800000000", "must return seconds, .*, not str;"),
        (lambda: None, "must return seconds, .*, not NoneType;"),
        (lambda: float("nan"), "must return seconds, a finite number, as .*, not nan;"),
        (lambda: float("-inf"), "must return seconds, .*, not -inf;"),
        (lambda: True, "must return seconds, .*, not bool;"),
        (1_800_000_000, f"must be a function that returns seconds, such as {example}, not int"),
        (lambda zone: 0.0, r"must be callable as clock\(\)"),
        (async_function, "must be a sync function"),
        (Counts, "is the class Counts; make one object of it"),
    ]
    for clock, says in refused:
        with pytest.raises(ConfigError, match=f"^{owner}: clock {says}"):
            make(clock)
    # The exception is the user's own, as of `refusal`.
    with pytest.raises(ZeroDivisionError):
        make(lambda: 1 / 0)
    make(lambda: 0)


def test_no_error_shows_the_secret() -> None:
    for broken in (
        lambda: Key(f"<{KEY}>"),
        lambda: Guard(KEY, NANGO),  # type: ignore[arg-type]
        lambda: guard(mode=KEY),
        lambda: scheme(signature=KEY),
        lambda: Guard(NANGO, {KEY.encode(): KEY}),  # type: ignore[dict-item]
        lambda: Key.from_hex(KEY),
        lambda: Keyring([KEY, KEY]),
        lambda: guard({KEY}),
    ):
        with pytest.raises(ConfigError) as caught:
            broken()
        assert KEY not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    SECRECY.clear()  # a key that is passed as another argument is in the variable of that argument


def test_a_source_that_the_reader_does_not_know_is_refused() -> None:
    class ClientCertificate(Source):
        def describe(self, quote: Callable[[str], str] = ascii) -> str:
            return "client certificate"

    with pytest.raises(ConfigError, match="ClientCertificate is not a source that the guard can read; give Query"):
        Scheme(name="one", ids={"a": Query("a") | ClientCertificate()}, message="{a}", signature=Query("sig"))
