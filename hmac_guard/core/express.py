"""The express lane: reads plain requests, which nearly all are, in one pass, and leaves every other one to `read`.

Plain is what leaves nothing to decide: each string in one of its places, once, and in no need of decoding. Whatever is
not plain may still be fine, or is refused with its reason: `decision.read` says which, and is the specification of this
file. Tests hold the two together.

The reader is written as source text, once for each scheme, as `dataclasses` writes its `__init__`. No text of a scheme
stands in it: names, separators and patterns are values that it is run with. Each door has a `Wire` of its own, so that
no `Request` has to be made for a plain one; bodies are read on ASGI's.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from hmac_guard.core import bodies, text, verdict
from hmac_guard.core.errors import Refused
from hmac_guard.core.field import Field, Source
from hmac_guard.core.message import Id, Literal
from hmac_guard.core.paths import compile_templates, is_canonical
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.sources import Cookie, Form, Header, Json, Path, Query
from hmac_guard.core.wire import REQUEST, Name, Wire

#: Gives the claim of a plain request, and None for any other. What stands for a request is the wire's affair; a door
#: that has read the body (JSON, or none) gives it, too.
Reader = Callable[..., verdict.Claim | None]
#: Each place, and the variables of the strings that it holds: a tenant may be an id too.
Places = Mapping[Source, list[str]]
S = TypeVar("S", bound=Source)


def compile_reader(scheme: Scheme, *, with_tenant: bool, wire: Wire = REQUEST) -> Reader:
    """The reader of one scheme."""
    fields = {f"id{number}": field for number, field in enumerate(scheme.id_fields)}
    fields["signature"] = scheme.signature_field
    if with_tenant and scheme.tenant_field:
        fields["tenant"] = scheme.tenant_field
    places: dict[Source, list[str]] = {}
    for variable, field in fields.items():
        for place in field.source.places():
            places.setdefault(place, []).append(variable)
    if not _is_plain(scheme, list(places)) or (scheme.needs_body and not wire.document):
        return leave
    values = {**_KNOWN, **wire.values}

    def name(value: object) -> str:
        values[f"v{len(values)}"] = value
        return f"v{len(values) - 1}"

    lines = [*_look(fields, places, wire, name), *_conclude(scheme, list(fields), name)]
    given = "request" if wire is REQUEST or not scheme.needs_body else "request, body"
    source = "\n    ".join([f"def read({given}):", *lines])
    exec(compile(source, f"<{__name__}>", "exec"), values)  # noqa: S102 -- no text of a scheme is in it
    reader: Reader = values["read"]
    return reader


def leave(*given: object) -> None:
    """The reader that leaves every request to `read`."""


def _is_plain(scheme: Scheme, places: list[Source]) -> bool:
    """Not where one place is read in two ways, or where a separator is not visible: rare, and not worth a line here.
    Nor where a source is of somebody's own making, which nobody here can know how to read."""
    alone = [place.place() for place in places if not place.shared]
    literals = [part.text for part in scheme.parts if isinstance(part, Literal)]
    known = {type(place) for place in places} <= {Cookie, Form, Header, Json, Path, Query}
    return known and len(set(alone)) == len(alone) and all(map(text.is_visible, literals))


def _look(fields: Mapping[str, Field], places: Places, wire: Wire, name: Name) -> Iterator[str]:
    """Looks into every place; a variable is None as long as nothing was found for it."""
    if wire is REQUEST:
        yield "if request.body_problem is not None: return None"
    else:
        # It may be a preflight, which is for the guard to see.
        yield f"if {wire.method} == 'OPTIONS': return None"
    yield f"{' = '.join(fields)} = None"
    if wire is REQUEST and _of(Form, places):  # a door's own has no body that could be a form
        yield "if request.body and request.media.kind != 'json': return None"
    if paths := _of(Path, places):
        yield from _look_at_path(fields, paths, wire, name)
    if queries := _of(Query, places):
        yield from _look_at_query(queries, wire, name)
    yield from _look_at_headers(_of(Header, places), bool(_of(Cookie, places)), wire, name)
    if documents := _of(Json, places):
        yield from _look_at_json(documents, wire, name)


def _look_at_path(fields: Mapping[str, Field], paths: dict[Path, list[str]], wire: Wire, name: Name) -> Iterator[str]:
    # Paths come first, and a string has one `Path` at the most: nothing can have been found for it yet.
    yield f"path = {wire.path}"
    yield "if path and not is_canonical(path): return None"
    for path, variables in paths.items():
        for variable in variables:
            yield f"match = {name(compile_templates(path.templates, fields[variable].name))}.fullmatch(path)"
            yield f"if match: {variable} = match[match.lastindex]"


def _look_at_query(queries: dict[Query, list[str]], wire: Wire, name: Name) -> Iterator[str]:
    yield f"query = {wire.query}"
    yield "if '%' in query or '+' in query: return None"
    # A few are quicker looked at than sifted; of many, nearly all are the application's own.
    yield "if len(query) < 300: fields = query.split('&')"
    yield "elif query.count('&') >= MAX_FIELDS: return None"
    yield f"else: fields = sift(query, {name([query.name for query in queries])})"
    yield "for field in fields:"
    yield "    key, _, value = field.partition('=')"
    for query, variables in queries.items():
        yield f"    if key == {name(query.name)}:"
        yield f"        if {_taken(variables)}: return None"
        yield f"        {' = '.join(variables)} = value"


def sift(query: str, names: list[str]) -> list[str]:
    """The fields that begin with one of the names."""
    query = "&" + query
    return [name + rest.partition("&")[0] for name in names for rest in query.split("&" + name)[1:]]


def _look_at_headers(headers: dict[Header, list[str]], with_cookies: bool, wire: Wire, name: Name) -> Iterator[str]:
    lines = {f"line{number}": header.name.lower() for number, header in enumerate(headers)}
    wanted = {**lines, **({"cookies": "cookie"} if with_cookies else {})}
    if not wanted:
        return
    yield f"{' = '.join(wanted)} = None"
    yield from wire.headers(wanted, name)
    if with_cookies:
        yield "if cookies: return None"
    for line, (header, variables) in zip(lines, headers.items(), strict=True):
        yield f"if {line} is not None:"
        yield f"    if {_taken(variables)} or ',' in {line}: return None"
        if header.before:
            yield f"    if not is_visible({line}): return None"
            yield f"    {line}, separator, _ = {line}.partition({name(header.before)})"
            yield "    if not separator: return None"
        yield f"    {' = '.join(variables)} = {line}"


def _look_at_json(documents: dict[Json, list[str]], wire: Wire, name: Name) -> Iterator[str]:
    yield f"if {wire.body}:"
    yield f"    try: document = {wire.document}"
    yield "    except Refused: return None"
    yield "    if document is None: return None"
    for json, variables in documents.items():
        tokens = json.tokens()
        node = f"step_down(document, {name(tokens)})"
        if len(tokens) == 1:
            node = f"document.get({name(tokens[0])}, NOWHERE) if type(document) is dict else {node}"
        yield f"    node = {node}"
        yield "    if node is not NOWHERE:"
        yield f"        if type(node) is not str or {_taken(variables)}: return None"
        yield f"        {' = '.join(variables)} = node"


def _conclude(scheme: Scheme, variables: list[str], name: Name) -> Iterator[str]:
    """Makes a claim of what was found."""
    of_id = {field.name: f"id{number}" for number, field in enumerate(scheme.id_fields)}
    message = [of_id[part.name] if isinstance(part, Id) else name(part.text) for part in scheme.parts]
    yield f"if not ({' and '.join(variables)}): return None"
    yield f"message = {' + '.join(message)}"
    # Visible ASCII is what every place and every server hands over alike; such a text is an id if it is short enough.
    yield f"text = {' + '.join(['message', *variables[len(of_id) :]])}"
    yield "if not is_visible(text) or len(message) > MAX_ID_BYTES: return None"
    if "tenant" in variables:
        yield "if len(tenant) > MAX_ID_BYTES: return None"
    literals = [part.text for part in scheme.parts if isinstance(part, Literal)]
    for literal in literals:
        # Where an id holds the first character of a literal, the message has more of them, and may be ambiguous.
        yield f"if message.count({name(literal[0])}) != {''.join(literals).count(literal[0])}: return None"
    ids = ", ".join(f"{name(id_)}: {variable}" for id_, variable in of_id.items())
    tenant = "tenant" if "tenant" in variables else "None"
    fields = f"{name(scheme.name)}, MappingProxyType({{{ids}}}), {tenant}, message.encode(), signature.encode(), None"
    yield f"return make(Claim, ({fields}))"


def _of(kind: type[S], places: Places) -> dict[S, list[str]]:
    return {place: variables for place, variables in places.items() if isinstance(place, kind)}


def _taken(variables: list[str]) -> str:
    return " or ".join(f"{variable} is not None" for variable in variables)


#: What the source text calls by these very names.
_KNOWN: dict[str, Any] = {
    "Claim": verdict.Claim,
    "MAX_FIELDS": text.MAX_FIELDS,
    "MAX_ID_BYTES": text.MAX_ID_BYTES,
    "MappingProxyType": MappingProxyType,
    "NOWHERE": bodies.NOWHERE,
    "Refused": Refused,
    "__name__": __name__,
    "is_canonical": is_canonical,
    "is_visible": text.is_visible,
    "make": verdict.make,
    "sift": sift,
    "step_down": bodies.step_down,
}
