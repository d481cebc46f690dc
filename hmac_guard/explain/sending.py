"""Mistakes in how a request is sent: the type of its body, its path, the separator of its fields.

The signature can be right although such a mistake is there.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple
from urllib.parse import unquote_plus, unquote_to_bytes

from hmac_guard import schemes
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.paths import compile_templates, is_canonical
from hmac_guard.core.request import Request
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.source import Field, Source
from hmac_guard.core.sources import Form, Header, HeaderItem, Json, Path, Query
from hmac_guard.explain.printable import excerpt
from hmac_guard.explain.reading import MAX_LEAVES, Leaf, lines_of, without_html_ampersand
from hmac_guard.explain.search import Found

_ENCODED_SLASH = re.compile("%2[Ff]")
_JSON_FIX = "send it with Content-Type: application/json"


def sending_mistakes(
    scheme: Scheme, request: Request, request_texts: Sequence[Leaf], unread: Sequence[Field]
) -> Iterator[Found]:
    """Yield the mistakes because of which a guard does not find some strings.

    Args:
        scheme: The scheme of the guard.
        request: The request.
        request_texts: All texts in the request.
        unread: The strings that the guard does not find.
    """
    yield from _of_fields(request, unread)
    yield from _of_body(request, request_texts, unread)
    yield from _of_path(scheme, request.path, unread)


def dropped_headers(scheme: Scheme, request_texts: Sequence[Leaf]) -> Iterator[str]:
    """Yield a sentence about the headers of the scheme that not every server passes on: their names have a '_'."""
    places = [place for place in scheme.places() if isinstance(place, (Header, HeaderItem))]
    names = {place.name.lower(): place.name for place in places}
    sent = dict.fromkeys(leaf.name for leaf in request_texts if leaf.is_header and "_" in leaf.name)
    wrong = [f"{names[own]!a} and not {each!a}" for each in sent if (own := each.lower().replace("_", "-")) in names]
    if wrong:
        yield f"Many servers and proxies drop a header whose name has '_': write {', '.join(wrong)}."


def _of_fields(request: Request, unread: Sequence[Field]) -> Iterator[Found]:
    places = [place for field in unread for place in field.source.places()]
    queries = [place.name for place in places if isinstance(place, Query)]
    forms = [place.name for place in places if isinstance(place, Form)]
    for what, encoded, names in (
        ("query", request.query, queries),
        ("form", (request.body or b"").decode("latin-1"), forms),
    ):
        if has_html_ampersands(encoded, names):
            yield Found(
                "html_ampersand",
                f"the {what} has '&amp;' between its fields, as HTML writes an '&'",
                "send a plain '&'; unescape text that you copy from HTML",
            )


def has_html_ampersands(encoded: str, names: Collection[str]) -> bool:
    """Return whether one of these fields follows an `&amp;` in a query or a form, where a guard does not find it."""
    if "amp;" not in encoded or not names:
        return False
    keys = (unquote_plus(field.partition("=")[0]) for field in encoded.split("&")[:MAX_LEAVES])
    return any(key.startswith("amp;") and without_html_ampersand(key) in names for key in keys)


def _of_body(request: Request, request_texts: Sequence[Leaf], unread: Sequence[Field]) -> Iterator[Found]:
    pointers = {place.pointer for field in unread for place in field.source.places() if isinstance(place, Json)}
    types = lines_of(request, "content-type")
    if not pointers or len(types) > 1 or request.media.kind == "json":
        return
    if any(leaf.pointer in pointers for leaf in request_texts):
        yield Found("body_type", f"the body is JSON, but {_said_type(types)}", _JSON_FIX)


def _said_type(types: Sequence[str]) -> str:
    return f"its Content-Type is {excerpt(types[0])}" if types else "it has no Content-Type"


class PathMatch(NamedTuple):
    """How a path nearly matches a template.

    Attributes:
        template: The template.
        prefix: The text before the path of the template, or "".
        slash: What to do with the final `/` of the path: "remove", "add", or "" for nothing.
        text: The id that the template finds.
    """

    template: str
    prefix: str
    slash: str
    text: str


def match_of_path(templates: Iterable[str], name: str, path: str) -> PathMatch | None:
    """Return how a path nearly matches a template of the id `name`: with a prefix, or with a different final `/`.

    Return None if no template nearly matches, or if one matches exactly. Of several, the template with the most fixed
    segments is taken.
    """
    if not is_canonical(path):
        return None
    found = [match for template in templates if (match := _match(template, name, path))]
    if any(not match.prefix and not match.slash for match in found):
        return None
    return max(found, key=lambda match: (_fixed(match.template), -len(match.prefix)), default=None)


def _match(template: str, name: str, path: str) -> PathMatch | None:
    wanted, segments = template.strip("/").split("/"), path.strip("/").split("/")
    before, own = segments[: -len(wanted)], segments[-len(wanted) :]
    if len(own) < len(wanted) or not all(own) or (before and not _fixed(template)):
        return None
    if any(part != segment for part, segment in zip(wanted, own, strict=True) if not _is_placeholder(part)):
        return None
    ends = path.endswith("/"), template.endswith("/")
    slash = {(True, False): "remove", (False, True): "add"}.get(ends, "")
    text = own[wanted.index(f"{{{name}}}")]
    return PathMatch(template, "".join(f"/{segment}" for segment in before), slash, text)


def _is_placeholder(segment: str) -> bool:
    return segment.startswith("{")


def _fixed(template: str) -> int:
    """Return the number of fixed segments of a template. A template without any would match after every prefix."""
    return sum(not _is_placeholder(segment) for segment in template.strip("/").split("/"))


def path_leaf(field: Field, path: str) -> Leaf | None:
    """Return the text of `field` in a path that matches one of its templates, except for a prefix or the final `/`."""
    match = _match_of(field, path)
    if match is None:
        return None
    where = f"the path after {excerpt(match.prefix)}" if match.prefix else f"the path {excerpt(path)}"
    return Leaf(where, field.name, match.text)


def encoded_slash_leaf(field: Field, path: str, mount: str) -> Leaf | None:
    """Return the text of `field` that a path has with `%2F` for a '/'. A guard gets the path decoded.

    Args:
        field: The string of the scheme.
        path: The path as it is sent, one character per byte.
        mount: The path at which the application is mounted, or "".
    """
    marked = _ENCODED_SLASH.sub("%EE%80%80", path)  # U+E000, a character for private use.
    if marked == path:
        return None
    decoded = unquote_to_bytes(marked.encode("latin-1")).decode("utf-8", "replace").removeprefix(mount)
    for place in field.source.places():
        match = compile_templates(place.templates, field.name).fullmatch(decoded) if isinstance(place, Path) else None
        text = match[match.lastindex or 0].replace("\ue000", "/") if match else ""
        if "/" in text:
            return Leaf("the path with '%2F' for its '/', which servers decode", field.name, text)
    return None


def _match_of(field: Field, path: str) -> PathMatch | None:
    templates = [template for place in field.source.places() if isinstance(place, Path) for template in place.templates]
    return match_of_path(templates, field.name, path)


def _of_path(scheme: Scheme, path: str, unread: Sequence[Field]) -> Iterator[Found]:
    matches = {field: match for field in unread if (match := _match_of(field, path))}
    for match in islice(matches.values(), 1):
        alike = {field: other for field, other in matches.items() if other[1:3] == match[1:3]}
        if match.slash:
            change = "" if match.prefix else f"; if this is the path of the application, write {_change(scheme, alike)}"
            yield Found(
                "path_slash", _SLASHES[match.slash][0].format(match.template), _SLASHES[match.slash][1] + change
            )
        if match.prefix:
            change = _change(scheme, {field: other._replace(slash="") for field, other in alike.items()})
            yield Found(
                "path_prefix",
                f"{excerpt(match.prefix)} is before the scheme's path {match.template!a}: a stage, or the prefix "
                "of a route",
                f"write {change}; or mount the application there, so that the guard gets the path without it (then "
                "use --mount with explain)",
            )


_SLASHES = {
    "remove": ("the path ends with a '/', and the scheme's path '{}' does not", "send it without the '/'"),
    "add": ("the path does not end with a '/', and the scheme's path '{}' does", "send it with the '/'"),
}


def _change(scheme: Scheme, matches: dict[Field, PathMatch]) -> str:
    """Return code that changes the scheme so that the path matches, or a phrase if no template can match it."""
    variable = next((name for name, preset in vars(schemes).items() if preset is scheme), "scheme")
    ids = {field.name: _moved(field.source, match) for field, match in matches.items() if field in scheme.id_fields}
    others = {field.name: _moved(field.source, match) for field, match in matches.items() if field.name not in ids}
    times = {each.field for each in scheme.times}
    try:
        for field in matches:
            if field in times:
                raise ConfigError
            (ids | others)[field.name].check(field.name)
    except ConfigError:
        return "the scheme with templates that fit the path"
    written = [f"{name!a}: {_code(source)}" for name, source in ids.items()]
    arguments = [f"ids={{**{variable}.ids, {', '.join(written)}}}"] if written else []
    return f"{variable}.replace({', '.join([*arguments, *(f'{name}={_code(own)}' for name, own in others.items())])})"


def _moved(source: Source, match: PathMatch) -> Source:
    """Return the source with the prefix of a path before its templates, and with the final `/` of the path."""
    places = [place if not isinstance(place, Path) else _moved_path(place, match) for place in source.places()]
    moved = places[0]
    for place in places[1:]:
        moved |= place
    return moved


def _moved_path(place: Path, match: PathMatch) -> Path:
    ending = {"remove": "/", "add": ""}
    templates = (
        template.rstrip("/") + ending[match.slash] if match.slash else template for template in place.templates
    )
    return Path(*(match.prefix + template for template in templates))


def _code(source: Source) -> str:
    """Return the Python expression for a source."""
    return " | ".join(map(_code_of_place, source.places()))


def _code_of_place(place: Source) -> str:
    if isinstance(place, Path):
        return f"Path({', '.join(map(ascii, place.templates))})"
    first, *further = vars(place).values()
    plain = f"{type(place).__name__}({first!a})"
    return plain if not any(further) else repr(place)
