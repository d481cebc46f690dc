"""Generates a signed request: as JavaScript for a browser, and as a curl command."""

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from hmac_guard.core.bodies import begins_as_json
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.fields import fields_of
from hmac_guard.core.message import BODY, METHOD, TIMES
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.source import Field, Source
from hmac_guard.core.sources import Cookie, Form, Header, HeaderItem, Json, Path, Query
from hmac_guard.core.ways import Way, choose, is_shared, ways_of
from hmac_guard.snippets.languages import braced_literal, camel, local_names, signed_names, templates

HOST = "https://api.example.com"
FORM_TYPE = "application/x-www-form-urlencoded"
_SLOT = re.compile(r"\{(.+?)\}")


class Call(NamedTuple):
    """The parts of a request, each by the names of its fields.

    Attributes:
        template: The template of the path.
        path: The values of its placeholders.
        query: The query parameters.
        headers: The value of each header, and the text that the scheme needs after it, such as ":".
        items: The headers with several items: the separator, and each value by the text before it.
        cookies: The cookies.
        document: The JSON body, or what is read from a signed JSON body.
        form: The form fields, or those that are read from a signed form.
        signs_body: Whether the raw body is signed. It is sent as it was signed.
        media_type: The type of the body, or "" without a body.
    """

    template: str
    path: dict[str, str]
    query: dict[str, str]
    headers: dict[str, tuple[str, str]]
    items: dict[str, tuple[str, dict[str, str]]]
    cookies: dict[str, str]
    document: dict[str, Any]
    form: dict[str, str]
    signs_body: bool
    media_type: str


def values_of(scheme: Scheme, texts: Mapping[str, str], tenant: str, signature: str = "") -> list[str]:
    """Return the values of a request, as `make_call` takes them. An id may be called "tenant" or "signature"."""
    own = {scheme.signature_field: signature, scheme.tenant_field: tenant}
    return [own[field] if field in own else texts.get(field.name, "") for field in fields_of(scheme)]


def make_call(scheme: Scheme, values: Sequence[str], body: str = "") -> Call:
    """Return a request with one place for each value, one that can carry it if there is such a request.

    Args:
        scheme: The scheme.
        values: One value for each string of the scheme, in the order of `fields_of`.
        body: The signed raw body, if it is known. It decides where JSON and a form are possible.

    Raises:
        ConfigError: The scheme has no places that one request can have together.
    """
    return _call_at(scheme, _chosen(scheme, values, body), values, body)


def _call_at(scheme: Scheme, ways: Sequence[Way], values: Sequence[str], body: str = "") -> Call:
    media_type = _media_type(scheme, [way.place for way in ways], body)
    call = Call(_template(ways), {}, {}, {}, {}, {}, {}, {}, scheme.signs_body, media_type)
    # Items of one header: times first, then signatures.
    pairs = sorted(zip(ways, values, strict=True), key=lambda pair: pair[0].field.name not in TIMES)
    for way, value in pairs:
        _place(call, way.field.name, way.place, value)
    return call


def _place(call: Call, name: str, place: Source, value: str) -> None:
    match place:
        case Path():
            call.path[name] = value
        case Query():
            call.query[place.name] = value
        case Header():
            call.headers[place.name] = (value, place.before)
        case HeaderItem():
            call.items.setdefault(place.name, (place.between, {}))[1][place.key + place.inner] = value
        case Cookie():
            call.cookies[place.name] = value
        case Form():
            call.form[place.name] = value
        case Json():
            put(call.document, place.tokens(), value)


def _chosen(scheme: Scheme, values: Sequence[str], body: str = "") -> tuple[Way, ...]:
    """Return a way for each field. Only a field that has no other place is in a signed body. "" may be anywhere."""
    every = [_ways(scheme, *pair, body) for pair in zip(fields_of(scheme), values, strict=True)]
    carrying = [[way for way in ways if not way.text or way.place.can_carry(way.text)] or ways for ways in every]
    owner = f"snippet: no example can be made for the scheme {scheme.name!r}"
    try:
        return choose(owner, carrying)
    except ConfigError:
        return choose(owner, every)


def _ways(scheme: Scheme, field: Field, value: str, body: str) -> list[Way]:
    names = [each.name for each in fields_of(scheme)]
    places = sorted(
        field.source.places(), key=lambda place: (scheme.signs_body and bool(place.kinds), _contradicts(place, body))
    )
    ways = ways_of(field, places, value or None)
    return sorted(
        ways, key=lambda way: (places.index(way.place), len({*_SLOT.findall(way.template)}.difference(names)))
    )


def _contradicts(place: Source, body: str) -> bool:
    """Return whether a known body does not look like one with this place."""
    return bool(body and place.kinds) and _looks_like_json(body) != isinstance(place, Json)


def _looks_like_json(body: str) -> bool:
    return begins_as_json(body.encode(errors="replace"))


def _media_type(scheme: Scheme, places: Sequence[Source], body: str) -> str:
    """Return the type of the body, or "" without a body.

    A guard refuses a body of a type that it reads nothing from, if its scheme reads bodies. So what is in the body
    decides; if nothing is, what the scheme reads there; if that leaves both types, the body. An unknown one is JSON.
    """
    kinds = {kind for place in places for kind in place.kinds}
    if not kinds and not scheme.signs_body:
        return ""
    kinds = kinds or {kind for field in fields_of(scheme) for kind in field.kinds}
    reads_json, reads_forms = "json" in kinds, "form" in kinds
    is_json = reads_json if reads_json != reads_forms else not body or _looks_like_json(body)
    return "application/json" if is_json else FORM_TYPE


def _has_body(call: Call) -> bool:
    return bool(call.document or call.form or call.signs_body)


def _template(ways: Sequence[Way]) -> str:
    """Return the path that all templates match. A placeholder that is no id is replaced by what another has there."""
    columns = zip(*([(way, part) for part in way.template.split("/")] for way in ways if way.template), strict=True)
    return "/".join(max(column, key=_is_fixed)[1] for column in columns) or "/"


def _is_fixed(part: tuple[Way, str]) -> bool:
    slot = _SLOT.fullmatch(part[1])
    return slot is None or slot[1] == part[0].field.name


def put(document: dict[str, Any], tokens: list[str], value: str) -> None:
    """Set a value of a JSON document at the tokens of a JSON pointer."""
    for token in tokens[:-1]:
        document = document.setdefault(token, {})
    document[tokens[-1]] = value


def fetch_code(scheme: Scheme, tenant: str) -> str:
    """Return JavaScript that sends the requests of a tenant with `fetch`. The backend makes the signature."""
    signed = signed_names(scheme, camel)
    ids = [field.name for field in scheme.id_fields]
    # All other values differ from request to request.
    *ways, last = _chosen(scheme, values_of(scheme, {}, tenant))
    *_, tenant_name = local_names([*ids, "tenant?"], camel)
    same = (signed[way.field.name] for way in ways if is_shared(way, last))
    # A time that the message does not name is in the signed body.
    names = values_of(scheme, signed, next(same, tenant_name), "signature")
    call = _call_at(scheme, [*ways, last], names)
    return templates.get_template("fetch.j2").render(
        url=HOST + _path(call, lambda name: f"${{encodeURIComponent({name})}}"),
        query=_object(call.query),
        form=_object(call.form),
        document=_object(call.document),
        headers=_object(_headers(call)),
        raw=signed[BODY] if scheme.signs_body else "",
        posts=_has_body(call) or METHOD in signed,
        cookies=[(braced_literal(f"{name}="), value) for name, value in call.cookies.items()],
    )


def _path(call: Call, fill: Callable[[str], str]) -> str:
    """Return the path with its placeholders replaced. A placeholder that is not an id is replaced by its name."""
    segments = []
    for segment in call.template.split("/"):
        slot = _SLOT.fullmatch(segment)
        value = call.path.get(slot[1]) if slot else None
        segments.append(quote(slot[1] if slot else segment, safe=":@+,;=") if value is None else fill(value))
    return "/".join(segments)


def _headers(call: Call) -> dict[str, str]:
    # `fetch` itself sets the type of URLSearchParams.
    is_typed = call.media_type and (call.signs_body or not call.form)
    return (
        ({"Content-Type": braced_literal(call.media_type)} if is_typed else {})
        | {
            name: f"{value} + {braced_literal(after)}" if after else value
            for name, (value, after) in call.headers.items()
        }
        | {
            name: f" + {braced_literal(between)} + ".join(
                f"{braced_literal(before)} + {value}" for before, value in items.items()
            )
            for name, (between, items) in call.items.items()
        }
    )


def _object(fields: dict[str, Any]) -> str:
    """Return a JavaScript object whose values are expressions, or "" if there are no fields."""
    if not fields:
        return ""
    pairs = (f"{_key(name)}: {_object(value) if isinstance(value, dict) else value}" for name, value in fields.items())
    return f"{{ {', '.join(pairs)} }}"


def _key(name: str) -> str:
    if name == "__proto__":
        return f"[{braced_literal(name)}]"  # Without the brackets, JavaScript sets the prototype of the object.
    return name if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) else braced_literal(name)


def curl_command(scheme: Scheme, values: Sequence[str], body: str = "") -> str:
    """Return a curl command that sends the request.

    Args:
        scheme: The scheme.
        values: The values, as `make_call` takes them.
        body: The signed raw body, if the scheme signs it.

    Raises:
        ConfigError: As of `make_call`.
    """
    call = make_call(scheme, values, body)
    url = HOST + _path(call, lambda text: quote(text, safe=""))
    if call.query:
        url += "?" + urlencode(call.query, quote_via=quote)
    words = ["curl", url]
    if METHOD in signed_names(scheme, camel) and not _has_body(call):
        words += ["-X", "POST"]  # The method of the example.
    for name, (value, after) in call.headers.items():
        words += ["-H", f"{name}: {value}{after}"]
    for name, (between, items) in call.items.items():
        words += ["-H", f"{name}: {between.join(before + value for before, value in items.items())}"]
    if call.cookies:
        words += ["-b", "; ".join(f"{name}={value}" for name, value in call.cookies.items())]
    return _in_lines([*words, *_body_options(call, body)])


def _body_options(call: Call, body: str) -> list[str]:
    """Return the options of curl for the body."""
    if call.signs_body:
        return ["-H", f"Content-Type: {call.media_type}", "--data-raw", body]
    if call.document:
        return ["--json", json.dumps(call.document, ensure_ascii=False)]
    return [word for name, value in call.form.items() for word in ("--data-urlencode", f"{name}={value}")]


def _in_lines(words: list[str]) -> str:
    """Join the words of a command, with each option and its value on its own line."""
    options = [f"{option} {shlex.quote(value)}" for option, value in zip(words[2::2], words[3::2], strict=True)]
    return " \\\n  ".join([f"{words[0]} {shlex.quote(words[1])}", *options])
