"""Generates a signed request: as JavaScript for a browser, and as a curl command."""

import json
import re
import shlex
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.source import Source
from hmac_guard.core.sources import Cookie, Form, Header, Json, Path, Query
from hmac_guard.snippets import literals
from hmac_guard.snippets.languages import camel, local_names
from hmac_guard.snippets.render import templates

HOST = "https://api.example.com"
_SLOT = re.compile(r"\{(.+?)\}")


class Call(NamedTuple):
    """The parts of a request, each by the names of its fields.

    Attributes:
        template: The template of the path.
        path: The values of its placeholders.
        query: The query parameters.
        headers: The value of each header, and the text that the scheme needs after it, such as ":".
        cookies: The cookies.
        document: The JSON body.
        form: The form fields.
    """

    template: str
    path: dict[str, str]
    query: dict[str, str]
    headers: dict[str, tuple[str, str]]
    cookies: dict[str, str]
    document: dict[str, Any]
    form: dict[str, str]


def make_call(scheme: Scheme, values: Sequence[str]) -> Call:
    """Return a request with one place for each value.

    Args:
        scheme: The scheme.
        values: The ids in the order of the message, the signature, and the tenant if the scheme has one.

    Raises:
        ConfigError: One request cannot carry all the values.
    """
    places = _fitting_places(scheme)
    names = [field.name for field in scheme.id_fields]
    call = Call(_template(places, names), {}, {}, {}, {}, {}, {})
    for number, (place, value) in enumerate(zip(places, values, strict=True)):
        match place:
            case Path():
                call.path[names[number]] = value
            case Query():
                call.query[place.name] = value
            case Header():
                call.headers[place.name] = (value, place.before)
            case Cookie():
                call.cookies[place.name] = value
            case Form():
                call.form[place.name] = value
            case Json():
                _put(call.document, place.tokens(), value)
    return call


def _fitting_places(scheme: Scheme) -> tuple[Source, ...]:
    sources = [*(scheme.ids[field.name] for field in scheme.id_fields), scheme.signature, scheme.tenant]
    for places in product(*(source.places() for source in sources if source)):
        kinds = {type(place) for place in places}
        paths = [set(place.templates) for place in places if isinstance(place, Path)]
        if not {Json, Form} <= kinds and (not paths or set.intersection(*paths)):
            return places
    raise ConfigError(f"snippet: no request can carry all strings of the scheme {scheme.name!r} at once")


def _template(places: tuple[Source, ...], names: list[str]) -> str:
    """Return a path template that contains all ids in paths, if possible one without other placeholders."""
    paths = [place.templates for place in places if isinstance(place, Path)]
    shared = [one for one in paths[0] if all(one in others for others in paths)] if paths else ["/"]
    return min(shared, key=lambda one: len(set(re.findall(r"\{(.+?)\}", one)) - set(names)))


def _put(document: dict[str, Any], tokens: list[str], value: str) -> None:
    for token in tokens[:-1]:
        document = document.setdefault(token, {})
    document[tokens[-1]] = value


def fetch_code(scheme: Scheme) -> str:
    """Return JavaScript that sends the request with `fetch`. The signature comes from the backend."""
    ids = [field.name for field in scheme.id_fields]
    *names, tenant = local_names([*ids, "tenant?"], camel).values()
    call = make_call(scheme, [*names, "signature", *([tenant] if scheme.tenant else [])])
    return templates.get_template("fetch.j2").render(
        url=HOST + _path(call, lambda name: f"${{encodeURIComponent({name})}}"),
        query=_object(call.query),
        form=_object(call.form),
        document=_object(call.document),
        headers=_object(_headers(call)),
        cookies=[(literals.braced(f"{name}="), value) for name, value in call.cookies.items()],
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
    media_type = {"Content-Type": '"application/json"'} if call.document else {}
    return media_type | {
        name: f"{value} + {literals.braced(behind)}" if behind else value
        for name, (value, behind) in call.headers.items()
    }


def _object(fields: dict[str, Any]) -> str:
    """Return a JavaScript object whose values are expressions, or "" if there are no fields."""
    if not fields:
        return ""
    pairs = (f"{_key(name)}: {_object(value) if isinstance(value, dict) else value}" for name, value in fields.items())
    return f"{{ {', '.join(pairs)} }}"


def _key(name: str) -> str:
    return name if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) else literals.braced(name)


def curl_command(scheme: Scheme, values: Sequence[str]) -> str:
    """Return a curl command that sends the request. `values` are those of `make_call`."""
    call = make_call(scheme, values)
    url = HOST + _path(call, lambda text: quote(text, safe=""))
    if call.query:
        url += "?" + urlencode(call.query, quote_via=quote)
    words = ["curl", url]
    for name, (value, behind) in call.headers.items():
        words += ["-H", f"{name}: {value}{behind}"]
    if call.cookies:
        words += ["-b", "; ".join(f"{name}={value}" for name, value in call.cookies.items())]
    if call.document:
        words += ["--json", json.dumps(call.document, ensure_ascii=False)]
    for name, value in call.form.items():
        words += ["--data-urlencode", f"{name}={value}"]
    return _in_lines(words)


def _in_lines(words: list[str]) -> str:
    """Join the words of a command, with each option and its value on its own line."""
    options = [f"{option} {shlex.quote(value)}" for option, value in zip(words[2::2], words[3::2], strict=True)]
    return " \\\n  ".join([f"{words[0]} {shlex.quote(words[1])}", *options])
