"""Signs a request and places the strings of a scheme into it. The libraries' own classes use it."""

import json
import re
import secrets
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from string import ascii_letters, digits
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import SplitResult, quote, unquote_plus, urlencode, urlsplit

from hmac_guard.client.outgoing import Carried, Finder, Outgoing, keep, names_of
from hmac_guard.core.bodies import parse_json, step_down
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.fields import Placing, SignedFields, is_path
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import Key, as_key
from hmac_guard.core.message import Literal
from hmac_guard.core.paths import compile_templates
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.signed_body import fields_in_body, tenant_in_body
from hmac_guard.core.signing import check_tenant, given_ids, sign_fields
from hmac_guard.core.source import Field, Source
from hmac_guard.core.sources import Cookie, Form, Header, HeaderItem, Json, Path, Query
from hmac_guard.core.strict import Strict
from hmac_guard.core.verdict import Refused
from hmac_guard.core.ways import is_tenant
from hmac_guard.keys.resolver import check_clock

if TYPE_CHECKING:
    from typing_extensions import Self


#: The value of an id, or a function that gives it for each request.
IdValue = str | Callable[[], str]

_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+(?:%[\w.-]+)?")
_PORTS = {"http": 80, "https": 443}
#: The scheme of the page that opens a websocket.
_HTTP = {"ws": "http", "wss": "https"}


class Signed(NamedTuple):
    """The changes of a signed request.

    Attributes:
        query: The query string to send.
        headers: The headers to set in the place of those with the same name.
        removed: The names of the headers to remove before.
        body: The body to send; None leaves it as it is.
    """

    query: str
    headers: dict[str, str]
    removed: set[str]
    body: bytes | None

    def __repr__(self) -> str:
        return "<Signed>"  # It holds the signature.


class Signer(Frozen):
    """Signs each request that it gets.

    Args:
        owner: The name of the class for messages.
        scheme: What is signed, and where it is sent.
        key: The key.
        tenant: The tenant's name, for a scheme that has one.
        clock: Gives the Unix time of signing.
        ids: The ids: text, or a function that gives the text for each request. An id that is not given is read from the
            path if it may be sent there, and from a signed body if it can be sent only in a body or a path. If neither
            applies, an id `nonce` is a new random text for each request.

    Raises:
        ConfigError: No request could be signed with this.
    """

    __slots__ = (
        *("_clock", "_finder", "_given", "_ids", "_in_path", "_key", "_scheme", "_tenant", "_to_find"),
        *("names", "needs_body"),
    )

    #: The headers that have to be given, in lower case.
    names: Sequence[str]
    #: Whether the body has to be read before the request is signed.
    needs_body: bool
    _scheme: Scheme
    _key: Hidden[Key]
    _ids: Mapping[str, IdValue]
    _finder: Finder
    #: The ids that are given, and the tenant.
    _given: Sequence[Field]
    _in_path: Mapping[Field, re.Pattern[str]]
    #: The ids that the path of each request must have.
    _to_find: frozenset[Field]
    _tenant: str | None
    _clock: Callable[[], float]

    def __init__(
        self,
        owner: str,
        scheme: Scheme | Hidden[Scheme],
        key: Any,
        tenant: str | None,
        clock: Callable[[], float] | None,
        ids: Mapping[str, IdValue],
    ) -> None:
        # A user may give the key in the place of another argument.
        hidden_scheme, hidden = hide(scheme), hide(key)
        del scheme, key
        if not isinstance(hidden_scheme.get(), Scheme):
            raise ConfigError(f"{owner}: scheme must be a Scheme, such as NANGO of hmac_guard.schemes")
        scheme = hidden_scheme.get()
        check_tenant(owner, scheme, tenant)
        if clock is not None:
            check_clock(owner, clock)
        fields = [*scheme.id_fields, *([scheme.tenant_field] if scheme.tenant_field and tenant is not None else [])]
        in_path = {field: pattern for field in fields if (pattern := _pattern_of(field))}
        in_body = {field.name for field in fields_in_body(scheme, ids)}
        ids_in_path = [field for field in in_path if field in scheme.id_fields]
        found = {*in_body, *(field.name for field in ids_in_path)}
        missing = [name for name in scheme.ids if name not in {*ids, *scheme.optional, "nonce", *found}]
        unknown = [name for name in ids if name not in scheme.ids]
        if unknown:
            raise ConfigError(
                f"{owner}: the scheme {scheme.name!r} has no id {unknown[0]!r}; it has {', '.join(scheme.ids)}"
            )
        if missing:
            raise ConfigError(f"{owner}: the scheme {scheme.name!r} needs the id {missing[0]!r}; give {missing[0]}=")
        is_nonce_new = "nonce" in scheme.ids and "nonce" not in {*ids, *found}
        made = [scheme.signature_field, *(each.field for each in scheme.times)]
        made += [field for field in scheme.id_fields if is_nonce_new and field.name == "nonce"]
        given = [field for field in fields if field not in made]
        finder = Finder(scheme, given, made)
        self._set(
            names=(*finder.names, "content-type", "content-encoding", "cookie"),
            needs_body=scheme.signs_body or any(field.kinds for field in (*given, *made)),
            _scheme=scheme,
            _finder=finder,
            _given=given,
            _in_path=in_path,
            _to_find=frozenset(field for field in ids_in_path if field.name not in {*ids, *scheme.optional, *in_body}),
            _key=hide(as_key(hidden)),
            _ids={**({"nonce": _new_nonce} if is_nonce_new else {}), **ids},
            _tenant=tenant,
            _clock=clock or time.time,
        )
        if not in_body and tenant_in_body(scheme, tenant) is None:
            sample = _sample_for(scheme)
            texts = {name: value for name, value in self._ids.items() if isinstance(value, str)}
            same = {
                field.name: tenant for field in scheme.id_fields if tenant and is_tenant(field, scheme.tenant_field)
            }
            samples = {**dict.fromkeys([*self._ids, *found], sample), **same, **texts}
            # The body has no fields, so that none of them is another id than the sample.
            scheme.sign_fields(self._key.get(), samples, body=b"&", tenant=tenant)

    def sign(self, request: Outgoing) -> Signed:
        """Return the changes of a signed request.

        Raises:
            ValueError: As of `fields`; or the request has an id in two places, or another one in a place that is not
                replaced; or nothing can be placed in this body.
        """
        has = self._finder.find(request)
        fields = hide(self._fields(request, has))
        old = [place for place in has.old if not (self._scheme.signs_body and place.kinds)]
        # First, since it may raise: until then, no variable shows the signature.
        body, content_type = _body_of(request, fields, old)
        headers, removed = dict(fields.get().headers), names_of(old, Header, HeaderItem)
        if body is not None:
            headers["Content-Type"] = request.headers.get("content-type") or content_type
        cookies = {*fields.get().cookies, *names_of(old, Cookie)}
        if cookies:
            removed.add("Cookie")
            pairs = _without_cookies(request.headers.get("cookie", ""), cookies)
            pairs += [f"{name}={text}" for name, text in fields.get().cookies.items()]
            headers.update({"Cookie": "; ".join(pairs)} if pairs else {})
        placed = fields.get().query
        names = {*placed, *names_of(old, Query)}
        parts = [part for part in request.query.split("&") if part and _name_of(part) not in names]
        parts += filter(None, [urlencode(placed, quote_via=quote)])
        return Signed("&".join(parts), headers, removed, body)

    def fields(self, request: Outgoing) -> SignedFields:
        """Return what is placed into a request that has nothing in the places of the scheme, except in its path.

        Raises:
            ValueError: An id cannot be signed, the path has another one, or the path lacks one.
        """
        return self._fields(request, Carried({}, []))

    def _fields(self, request: Outgoing, has: Carried) -> SignedFields:
        ids: dict[str, Any] = {name: value if isinstance(value, str) else value() for name, value in self._ids.items()}
        in_path = self._in_path_of(request.path)
        for field, (read, _) in in_path.items():
            if field in self._scheme.id_fields:
                ids.setdefault(field.name, read)
        for field in self._to_find.difference(in_path):
            is_only_there = all(map(is_path, field.source.places()))
            other = "" if is_only_there else f"give {field.name}= to send it in another place, or "
            raise ValueError(
                f"the path {request.path!a:.200} has no {field.name!r}, which the scheme reads from "
                f"{field.source.describe()}; {other}leave this signer out of a request that no guard checks"
            )
        placing = Placing(self._scheme, request.kind if request.kind in ("form", "json") else "", has_path=True)
        for field in self._given:
            text = self._tenant if field == self._scheme.tenant_field else ids.get(field.name)
            if isinstance(text, str):  # Signing refuses any other.
                read, mount = in_path.get(field, (text, ""))
                if read != text:
                    raise ValueError(_another_in_path(field, request.path, mount))
                keep(placing, field, text, field in in_path, has.given.get(field, {}))
        return sign_fields(
            self._scheme,
            self._key,
            hide(ids),
            {},
            now=self._clock(),
            body=request.body,
            method=request.method,
            tenant=self._tenant,
            placing=placing,
        )

    def _in_path_of(self, path: str) -> dict[Field, tuple[str, str]]:
        """Return the ids and the tenant in a path, with the mount point before: the path may begin with any."""
        starts = [index for index, character in enumerate(path) if character == "/"]
        found = {}
        for field, pattern in self._in_path.items():
            matches = [match for start in starts if (match := pattern.fullmatch(path, start))]
            # The text is empty if only the last slash of the path differs from the template.
            exact = next((match for match in matches if match[match.lastindex or 0]), None)
            if exact is not None:
                found[field] = exact[exact.lastindex or 0], path[: exact.start()]
            elif matches:
                place = next(filter(is_path, field.source.places()))
                raise ValueError(
                    f"the path {path!a:.200} differs from the {place.describe()}, which has {field.label}, by its last "
                    "'/' alone, and a guard refuses it"
                )
        return found

    def _description(self) -> str:
        return f"<Signer of {self._scheme.name}>"


class Signing(Strict):
    """What the classes of the libraries have in common: their arguments, and the signer that is made of them."""

    _missing = MappingProxyType(
        dict.fromkeys(
            ("scheme", "key", "origins"),
            'give the scheme, the key and the origins first and without a name: NANGO, "…", ["https://api.example.com"]',
        )
    )

    signer: Signer
    _origins: frozenset[str]

    def __init__(
        self,
        scheme: Scheme,
        key: Any,
        origins: Iterable[str],
        mapping: Mapping[str, IdValue] | None = None,
        /,
        *,
        tenant: str | None = None,
        clock: Callable[[], float] | None = None,
        **ids: IdValue,
    ) -> None:
        given, hidden_origins, hidden = (hide(scheme), hide(key)), hide(origins), hide(mapping)
        del scheme, key, origins, mapping
        owner = type(self).__name__
        self.signer = Signer(owner, *given, tenant, clock, values_of(owner, hidden, ids))
        self._origins = origins_of(owner, hidden_origins)

    @classmethod
    def of(cls, signer: Signer, origins: frozenset[str]) -> "Self":
        """Return the class around a signer, for the origins that `origins_of` returns."""
        made = cls.__new__(cls)
        made.signer, made._origins = signer, origins
        return made

    def signs_for(self, url: str) -> bool:
        """Return whether the URL is of one of the origins."""
        return origin_of(urlsplit(url)) in self._origins

    def _description(self) -> str:
        return f"<{type(self).__name__} {self.signer!r}>"


def values_of(owner: str, ids: Hidden[Any], named: Mapping[str, Any]) -> dict[str, IdValue]:
    """Return the ids that a user gives as a mapping, None for none, and by name.

    Raises:
        ConfigError: As of `given_ids`, or the value of an id is of another type.
    """
    given = given_ids(owner, ids, named)
    for name, value in given.items():
        if not isinstance(value, str) and not callable(value):
            raise ConfigError(
                f"{owner}: the id {name!r} must be text, or a function that returns it, not {type(value).__name__}; "
                "give text: str(user.id)"
            )
    return given


def origin_of(url: SplitResult) -> str:
    """Return the origin of a URL as `scheme://host:port`; "" for a URL without one."""
    scheme = _HTTP.get(url.scheme, url.scheme)
    try:
        port = url.port or _PORTS.get(scheme)
    except ValueError:
        return ""
    host = _in_ascii(url.hostname or "")
    return f"{scheme}://{host}:{port}" if host and port else ""


def _in_ascii(host: str) -> str:
    """Return a host as clients send it; "" for a text that is no host."""
    if not host.isascii():
        from idna import IDNAError, encode  # httpx and requests need it themselves.

        try:
            host = encode(host, uts46=True).decode("ascii")
        except IDNAError:
            return ""
    return host if _HOST.fullmatch(host) else ""


def origins_of(owner: str, given: Hidden[Any]) -> frozenset[str]:
    """Return the origins that a user gives, as `origin_of` writes them.

    Raises:
        ConfigError: The user gives no origin, or something that is not an origin.
    """
    is_list = isinstance(given.get(), Iterable) and not isinstance(given.get(), (str, bytes))
    listed: Hidden[list[Any]] = hide(list(given.get()) if is_list else [given.get()])
    wrong = [_shown(text) for text in listed.get() if not _origin(text)]
    if wrong:
        raise ConfigError(f"{owner}: {wrong[0]} is not an origin; write it as 'https://api.example.com'")
    if not listed.get():
        raise ConfigError(f"{owner}: origins is empty; name the origins that requests are signed for")
    return frozenset(map(_origin, listed.get()))


def _origin(text: Any) -> str:
    """Return the origin that a text names; "" for any other value."""
    url = urlsplit(text) if isinstance(text, str) else SplitResult("", "", "", "", "")
    extra = url.path not in ("", "/") or url.query or url.fragment or url.username is not None
    return "" if url.scheme not in _PORTS or extra else origin_of(url)


def _shown(given: Any) -> str:
    """Return a wrong origin for an error. What does not look like an address may be a key in the wrong place."""
    if given is None or (isinstance(given, str) and re.search("[.:]", given)):
        return repr(given)
    return f"a text of {len(given)} characters" if isinstance(given, str) else f"an object of {type(given).__name__}"


def _new_nonce() -> str:
    return secrets.token_urlsafe(16)


def _name_of(part: str) -> str:
    return unquote_plus(part.split("=", 1)[0])


def _sample_for(scheme: Scheme) -> str:
    """Return a character for ids that are not known yet: one that separates nothing in the scheme."""
    texts = [part.text for part in scheme.parts if isinstance(part, Literal)]
    places = [place for source in scheme.ids.values() for place in source.places()]
    taken = {*"".join([*texts, *(place.before for place in places if isinstance(place, Header))])}
    return next((one for one in ascii_letters + digits if one not in taken), "x")


def _pattern_of(field: Field) -> "re.Pattern[str] | None":
    places = field.source.places()
    templates = [template for place in places if isinstance(place, Path) for template in place.templates]
    return compile_templates(tuple(templates), field.name) if templates else None


def _another_in_path(field: Field, path: str, mount: str) -> str:
    """Return the message of an error. A guard that is not mounted there reads no id, but the signer cannot know."""
    advice = (
        f"; if no application is mounted at {mount!a:.200}, send what Scheme.sign_fields returns, without this signer"
    )
    return (
        f"the path {path!a:.200} has another {field.name!r} than the one that is to be signed; sign that one"
        f"{advice if mount else ''}"
    )


def _without_cookies(header: str, names: Container[str]) -> list[str]:
    """Return the other cookies in a header: a list of one text, or an empty one."""
    pairs = [pair for pair in header.split(";") if pair.strip() and pair.split("=")[0].strip() not in names]
    # A quoted value may have a ";", so the others are not changed.
    kept = ";".join(pairs).strip()
    return [kept] if kept else []


def _body_of(request: Outgoing, fields: Hidden[SignedFields], old: list[Source]) -> tuple[bytes | None, str]:
    """Return the body to send, None for the one that the request has, and its media type."""
    in_json, in_form = [place for place in old if isinstance(place, Json)], names_of(old, Form)
    if fields.get().json or (in_json and not fields.get().form):
        return json_with(request.body, request.kind, hide(fields.get().json), in_json), "application/json"
    if fields.get().form or in_form:
        body = form_with(request.body, request.kind, hide(fields.get().form), in_form)
        return body, "application/x-www-form-urlencoded"
    return None, ""


_CANNOT = "the scheme places ids or the signature in the body, or the body has an old one, and this body is"


def json_with(body: bytes, kind: str, fields: Hidden[Mapping[str, Any]], old: Iterable[Json] = ()) -> bytes:
    """Return a JSON body with these fields, as compact JSON. Each number stays as it is written.

    Args:
        body: The body before; an empty one counts as an object without members.
        kind: The kind of its media type, as of `core.bodies.parse_media`.
        fields: The fields, as nested objects.
        old: The places whose old value is removed.

    Raises:
        ValueError: The body is no JSON object, no guard would read it, or a list is where a field needs an object.
    """
    if body and kind not in ("json", "none"):
        raise ValueError(f"{_CANNOT} no JSON: send JSON, or sign with a scheme whose places are outside the body")
    merged = _merged(body, fields, old)
    if merged is None:  # Raised here, where no variable shows the signature.
        raise ValueError(f"{_CANNOT} no JSON object, or has a list where an object has to be")
    return merged


def form_with(body: bytes, kind: str, fields: Hidden[Mapping[str, str]], old: Iterable[str] = ()) -> bytes:
    """Return an urlencoded body with these fields. Earlier ones with their names, or with a name in `old`, are removed.

    Raises:
        ValueError: The body is of another kind.
    """
    if body and kind not in ("form", "none"):
        raise ValueError(
            f"{_CANNOT} no urlencoded form: send one, or sign with a scheme whose places are outside the body"
        )
    names = {*fields.get(), *old}
    kept = [part for part in body.split(b"&") if part and unquote_plus(part.split(b"=")[0].decode()) not in names]
    return b"&".join([*kept, *filter(None, [urlencode(fields.get()).encode()])])


def _merged(body: bytes, fields: Hidden[Mapping[str, Any]], old: Iterable[Json]) -> bytes | None:
    document = _read_json(body or b"{}")
    if not all(_remove(document, place.tokens()) for place in old):
        return None
    if not isinstance(document, dict) or not _merge(document, fields.get()):
        return None
    return _json_of(document).encode()


def _remove(document: Any, tokens: list[str]) -> bool:
    """Remove a value from a document. Return whether that was possible: an item of a list stays."""
    *outer, last = tokens
    node = step_down(document, outer)
    if isinstance(node, dict):
        node.pop(last, None)
    return not isinstance(node, list)


class _Number(NamedTuple):
    """A number as its text. A float would lose digits, and would change `1e2` to `100.0`."""

    text: str


def _read_json(body: bytes) -> Any:
    """Return the document, with a `_Number` for each number. Raise `ValueError` for a body that no guard reads."""
    try:
        text = body.decode(json.detect_encoding(body))
    except UnicodeDecodeError:
        raise ValueError(f"{_CANNOT} no JSON: its bytes are not UTF-8") from None
    document = parse_json(text.encode())
    if isinstance(document, Refused):
        raise ValueError(f"{_CANNOT} JSON that {document.detail}; send JSON that a guard can read, each key once")
    return json.loads(text, parse_int=_Number, parse_float=_Number)


def _json_of(node: Any) -> str:
    """Return the JSON of a node. `json.dumps` cannot write a `_Number`: it would write a list."""
    if isinstance(node, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{_json_of(inner)}" for name, inner in node.items()) + "}"
    if isinstance(node, list):
        return "[" + ",".join(map(_json_of, node)) + "]"
    return node.text if isinstance(node, _Number) else json.dumps(node)


def _merge(document: dict[str, Any], fields: Mapping[str, Any]) -> bool:
    """Put the fields into a document. Return whether that was possible."""
    for name, value in fields.items():
        inner = document.get(name)
        if isinstance(value, dict) and isinstance(inner, list):
            return False
        if not isinstance(value, dict) or not isinstance(inner, dict):
            document[name] = value
        elif not _merge(inner, value):
            return False
    return True
