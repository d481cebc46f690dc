"""A copied request, line by line, with the places that the guard reads."""

from typing import NamedTuple

from hmac_guard.core.scheme import Scheme
from hmac_guard.core.source import Field, Source
from hmac_guard.core.sources import Cookie, Header, HeaderItem, Path, Query
from hmac_guard.core.text import is_named
from hmac_guard.explain import Captured, Explanation

#: The most characters of a line, and the most lines.
MOST, LINES = 2_000, 200


class Line(NamedTuple):
    """One line.

    Attributes:
        text: What is sent.
        names: The strings of the scheme that the guard reads here.
        is_wrong: Whether the guard rejects one of them.
    """

    text: str
    names: tuple[str, ...] = ()
    is_wrong: bool = False


def marked(scheme: Scheme, captured: Captured, explanation: Explanation) -> list[Line]:
    """Return the lines of a request: its path, each field of its query, each header, and its body."""
    wrong = {reading.name for reading in explanation.problems}
    times = [time.field for time in scheme.times]
    fields = [*scheme.id_fields, *times, scheme.signature_field, *filter(None, [scheme.tenant_field])]

    def line(text: str, kind: str, name: str = "") -> Line:
        names = tuple(field.name for field in fields if any(_is_at(place, kind, name) for place in _places(field)))
        cut = text if len(text) <= MOST else f"{text[:MOST]}…"
        return Line(cut, names, any(each in wrong for each in names))

    path, mark, query = captured.target.partition("?")
    lines = [line(f"{captured.method} {path}", "path")]
    for number, pair in enumerate(query.split("&") if mark else []):
        lines.append(line(f"  {'&' if number else '?'}{pair}", "query", pair.partition("=")[0]))
    lines += [line(f"{name}: {value}", "header", name) for name, value in captured.headers]
    if captured.body:
        lines += [Line(""), line(captured.body.decode("utf-8", "replace"), "body")]
    return lines[:LINES]


def _places(field: Field) -> list[Source]:
    return list(field.source.places())


def _is_at(place: Source, kind: str, name: str) -> bool:
    match place:
        case Path():
            return kind == "path"
        case Query():
            return kind == "query" and is_named(name, place.name)
        case Header() | HeaderItem():
            return kind == "header" and name.lower() == place.name.lower()
        case Cookie():
            return kind == "header" and name.lower() == "cookie"
        case _:
            return kind == "body"
