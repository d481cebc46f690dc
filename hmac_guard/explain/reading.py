"""What the guard reads in a request for each string of a scheme, why it rejects it, and where else it may be."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from itertools import chain, islice
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from hmac_guard.core.bodies import NOWHERE, step_down
from hmac_guard.core.items import item_values
from hmac_guard.core.message import Id, Time, is_unambiguous
from hmac_guard.core.paths import compile_templates
from hmac_guard.core.request import Request
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.signed import reader_of
from hmac_guard.core.source import METHOD_FIELD, Field, Source
from hmac_guard.core.sources import Cookie, Form, Header, HeaderItem, Json, Path, Query
from hmac_guard.core.text import field_values
from hmac_guard.core.verdict import Refused
from hmac_guard.explain.printable import excerpt

#: The limit of frameworks for the fields of a query. Later fields are ignored.
MAX_LEAVES = 1000
# No scheme has longer names. A name in a request may have 262,144 characters.
_MAX_NAME_LENGTH = 256
# A guard refuses a body with deeper nesting.
_MAX_DEPTH = 64
# A digest in hex or base64, from SHA-1 to SHA-512, after a prefix such as `sha256=`.
_DIGEST = re.compile(r"(?:[\w-]{1,16}[=, ])?(?:[0-9a-fA-F]{40,128}|[A-Za-z0-9+/_-]{43,88}={0,2})")
_KEY_SENT = "it is a key, and is not shown; send the right value, and replace the key, because it was sent"
# A number, or a time in another form: with a sign or a fraction, of ISO 8601, or what a missing time becomes as text.
_NUMBER_OR_TIME = re.compile(
    r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d\d?)?"
    r"|\d{4}-?\d\d-?\d\d[T ]\d\d:?\d\d(?::?\d\d(?:\.\d*)?)?(?:Z|[+-]\d\d:?\d\d)?"
    "|NaN|None|null|undefined"
)
_HTML_AMPERSANDS = re.compile("(?:amp;)+")


class Leaf(NamedTuple):
    """A text in a request. `pointer` is its RFC 6901 pointer in a JSON body, "" in other places."""

    where: str
    name: str
    value: str
    pointer: str = ""
    is_header: bool = False


def leaves(query: str, headers: Sequence[tuple[str, str]], body: bytes) -> Iterator[Leaf]:
    """Yield the named texts of a request with any Content-Type: at most `MAX_LEAVES` of each part.

    Args:
        query: The query, without "?", still percent-encoded.
        headers: The names and values of the headers.
        body: The raw body. It is read as JSON, or if it is not JSON, as a form.
    """
    document = _document(body)
    of_body = _fields("form field", body.decode("latin-1")) if document is None else _json_leaves(document)
    of_headers = chain.from_iterable(_header_leaves(name, value) for name, value in headers)
    for part in (_fields("query parameter", query), of_body, of_headers):
        yield from islice(part, MAX_LEAVES)


def near(field: Field, request_texts: Sequence[Leaf]) -> Leaf | None:
    """Return the text of a request that is probably meant as `field`, or None: the place or the name is similar."""
    places = field.source.places()
    pointers = {place.pointer for place in places if isinstance(place, Json)}
    # A whole header with items is no id: the signature, or a key sent as one, is in it.
    named = [place for place in places if field.name == "signature" or not isinstance(place, HeaderItem)]
    wanted = {_bare(name) for name in map(_name, named)} - {""}
    sent = [leaf for leaf in request_texts if leaf.value and len(leaf.name) <= _MAX_NAME_LENGTH]
    is_in_header = field.name == "signature" and any(isinstance(place, Header) for place in places)
    with_items = [place for place in places if isinstance(place, HeaderItem)]
    items = (item for leaf in sent for place in with_items for item in _items(leaf, place))
    sent = [leaf for leaf in sent if not any(_has_items(leaf, place) for place in with_items)]
    guesses = chain(
        # The text of another item may be a key.
        (item for item in items if field.name == "signature" or _NUMBER_OR_TIME.fullmatch(item.value)),
        (leaf for leaf in sent if leaf.pointer in pointers),
        (leaf for leaf in sent if _bare(leaf.name) in wanted),
        (leaf for leaf in sent if is_in_header and _is_signature(leaf)),
        (leaf for leaf in sent if _bare(leaf.name) == _bare(field.name)),
    )
    return next(guesses, None)


def _has_items(leaf: Leaf, place: HeaderItem) -> bool:
    """Return whether a text is a header with items, by its name and its value."""
    # A key in base64 may end with "=".
    return leaf.is_header and _bare(leaf.name) == _bare(place.name) and place.inner in leaf.value.rstrip("=")


def _items(leaf: Leaf, place: HeaderItem) -> Iterator[Leaf]:
    """Yield the items with the key of a place, from a header with a similar name."""
    items = item_values(leaf.value, place.between, place.inner, {place.key}) if _has_items(leaf, place) else {}
    values = [] if isinstance(items, Refused) else items.get(place.key, [])
    for value in [values] if isinstance(values, str) else values:
        yield leaf._replace(value=value, where=f"the item {place.key!a} of {leaf.where}")


def _is_signature(leaf: Leaf) -> bool:
    """Return whether a text is a header that says that it is a signature, as X-Hub-Signature does, and has a digest."""
    is_named = leaf.is_header and "signature" in leaf.name.lower()
    return is_named and _DIGEST.fullmatch(leaf.value.strip()) is not None


def _bare(name: str) -> str:
    name = without_html_ampersand(name).lower()
    return re.sub("[^a-z0-9]", "", name.removeprefix("x-"))


def without_html_ampersand(name: str) -> str:
    """Return the name of a field without the `amp;` that remains if fields are separated by HTML's `&amp;`."""
    left = _HTML_AMPERSANDS.match(name)
    return name[left.end() :] if left else name


def _name(place: Source) -> str:
    if isinstance(place, Path):
        return ""
    return place.tokens()[-1] if isinstance(place, Json) else str(getattr(place, "name", ""))


def _fields(kind: str, encoded: str) -> Iterator[Leaf]:
    for field in encoded.split("&"):
        if field:
            name, _, value = field.partition("=")
            name = unquote_plus(name)
            yield Leaf(f"the {kind} {excerpt(name, _MAX_NAME_LENGTH)}", name, unquote_plus(value))


def _header_leaves(name: str, value: str) -> Iterator[Leaf]:
    yield Leaf(f"the header {excerpt(name, _MAX_NAME_LENGTH)}", name, value, is_header=True)
    if name.lower() == "cookie":
        for cookie in value.split(";"):
            key, _, text = cookie.partition("=")
            yield Leaf(f"the cookie {excerpt(key.strip(), _MAX_NAME_LENGTH)}", key.strip(), text.strip(' "'))


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


class _Node(NamedTuple):
    """A value in a JSON document, and its name in the parent."""

    parent: Any
    name: str
    value: Any

    def children(self) -> Iterator["_Node"]:
        named = self.value.items() if isinstance(self.value, dict) else enumerate(self.value)
        return (_Node(self, str(name), value) for name, value in named)

    def pointer(self) -> str:
        """The RFC 6901 pointer. It is built on demand, because many nodes may share one long name."""
        names: list[str] = []
        node = self
        while node.parent is not None:
            names.append(node.name if len(node.name) <= _MAX_NAME_LENGTH else "...")
            node = node.parent
        return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in reversed(names))


def _json_leaves(document: Any) -> Iterator[Leaf]:
    """Yield the texts and numbers of a document, the top level first, and look at no more of it than is asked for."""
    level: Iterable[_Node] = [_Node(None, "", document)]
    for _ in range(_MAX_DEPTH + 1):
        parents = []
        for node in level:
            if isinstance(node.value, (dict, list)):
                parents.append(node)
            elif node.value is not None:
                text = node.value if isinstance(node.value, str) else json.dumps(node.value)
                pointer = node.pointer()
                yield Leaf(f"the JSON body at {excerpt(pointer, _MAX_NAME_LENGTH)}", node.name, text, pointer)
        level = chain.from_iterable(map(_Node.children, parents))


class Reading(NamedTuple):
    """What was read for one string of a scheme.

    Attributes:
        name: The name of the id, "signature" or "tenant".
        value: What the guard reads, or None.
        places: Descriptions of the places where a value was found.
        problem: A clause that says why the guard refuses the string, or "".
        guesses: The values that may be meant, if the guard reads nothing.
    """

    name: str
    value: str | None
    places: tuple[str, ...] = ()
    problem: str = ""
    guesses: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Reading of {self.name}, problem={self.problem!r}>"

    @property
    def is_key(self) -> bool:
        """Whether the request has a key in this place."""
        return self.problem == _KEY_SENT

    def without_key(self) -> "Reading":
        """Return the reading of a value that is a key. It does not show the key."""
        return self._replace(value=None, problem=_KEY_SENT, guesses=())

    def meanings(self) -> tuple[str | None, ...]:
        """Return the value, or else the guesses, as texts that UTF-8 can encode."""
        texts = (self.value,) if self.value is not None else self.guesses
        return tuple(text.encode("utf-8", "replace").decode() for text in texts) or (None,)


class Readings(NamedTuple):
    """The readings of all strings of a scheme, `ids` with the times. `tenant` is None if the scheme has no tenant."""

    ids: tuple[Reading, ...]
    signature: Reading
    tenant: Reading | None


def read_all(scheme: Scheme, request: Request, request_texts: Sequence[Leaf]) -> Readings:
    """Read all strings of a scheme in a request.

    Args:
        scheme: The scheme.
        request: The request.
        request_texts: All texts of the request. A string that is missing may be under another name among them.

    Returns:
        The readings. Ids and times are in the order of the message.
    """
    reader = reader_of(scheme, with_tenant=True)
    # A guard without keys by tenant does not read the tenant's header, so it is read here.
    request = copy(request)
    request.lines = [request.header(name) for name in reader.names]
    readings = [
        _reading(scheme, field, text, used, request, request_texts)
        for field, text, used in reader.texts(request)
        if field != METHOD_FIELD
    ]
    count = len(message_fields(scheme))
    parts = {part.name: part for part in scheme.parts if isinstance(part, (Id, Time))}
    ids = tuple(_checked(parts.get(reading.name), reading) for reading in readings[:count])
    return Readings(ids, readings[count], readings[-1] if scheme.tenant_field else None)


def message_fields(scheme: Scheme) -> list[Field]:
    """Return the ids and times of a scheme, in the order in which they are read."""
    others = (scheme.signature_field, scheme.tenant_field)
    return [field for field in reader_of(scheme, with_tenant=True).fields if field not in (*others, METHOD_FIELD)]


def _checked(part: Id | Time | None, reading: Reading) -> Reading:
    """Return the reading of an id or time, with a problem if it contains its separator."""
    if part is None or reading.value is None or is_unambiguous(part, reading.value):
        return reading
    separator = f"{part.separator!a}"
    problem = (
        f"it contains {separator}, the separator before the next id, so two different sets of ids would have the same "
        "signature"
    )
    return reading._replace(problem=problem)


def _reading(
    scheme: Scheme,
    field: Field,
    text: str | Refused | list[str] | None,
    used: Sequence[Source],
    request: Request,
    request_texts: Sequence[Leaf],
) -> Reading:
    if isinstance(text, list):
        text = text[0]  # Of several signatures only the first is explained.
    places = tuple(f"the {_used(place, field.name, request).describe()}" for place in used)
    if isinstance(text, str):
        return Reading(field.name, text, places)
    if text is None and request.body_problem is not None and field.kinds:
        text = request.body_problem
    if isinstance(text, Refused):
        found = [value for place in field.source.places() for value in _lenient(place, field.name, request)]
        guesses = tuple(dict.fromkeys(value for value in found if value.strip()))
        return Reading(field.name, None, places, text.detail, guesses)
    leaf = near(field, request_texts)
    if leaf is None and (field is scheme.tenant_field or field.name in scheme.optional):
        return Reading(field.name, None, places)
    return Reading(field.name, None, places, _why_missing(field, places, leaf), (leaf.value,) if leaf else ())


def _used(place: Source, name: str, request: Request) -> Source:
    """Return the place. Of a path, only the templates that match are kept."""
    if not isinstance(place, Path):
        return place
    matching = [one for one in place.templates if compile_templates((one,), name).fullmatch(request.path)]
    return Path(*matching) if matching else place


def _why_missing(field: Field, used: Sequence[str], leaf: Leaf | None) -> str:
    has_slash = leaf is not None and "/" in leaf.value
    places = [place for place in field.source.places() if not (has_slash and isinstance(place, Path))]
    looked = " or in ".join(f"the {place.describe()}" for place in places)
    if used:
        return f"it is empty in {used[0]}"
    if leaf is None:
        return f"it is missing; send it in {looked}"
    if not places:
        return (
            f"it is in {leaf.where}, and a text with a '/' cannot be sent in a path; give it another source, such as "
            "Query"
        )
    return f"it is in {leaf.where}, where the guard does not read it; send it in {looked}"


def _lenient(place: Source, name: str, request: Request) -> list[str]:
    """Return all values in a place, with lenient parsing."""
    found: list[str] = []
    match place:
        case Query():
            found = _in_fields(place.name, request.query)
        case Form() if request.media.kind == "form":
            found = _in_fields(place.name, (request.body or b"").decode("utf-8", "replace"))
        case Json():
            found = _in_json(place, request.body or b"null")
        case Header():
            lines = lines_of(request, place.name.lower())
            found = [line.partition(place.before)[0] if place.before else line for line in lines]
        case Cookie():
            pairs = (pair.partition("=") for line in lines_of(request, "cookie") for pair in line.split(";"))
            found = [value.strip(' "') for key, _, value in pairs if key.strip() == place.name]
        case Path():
            match = compile_templates(place.templates, name).fullmatch(request.path)
            found = [next(filter(None, match.groups()))] if match else []
    return found


def _in_json(place: Json, body: bytes) -> list[str]:
    try:
        node = step_down(json.loads(body), place.tokens())
    except (ValueError, RecursionError):
        return []
    if node is NOWHERE or node is None:
        return []
    return [node if isinstance(node, str) else json.dumps(node)]


def _in_fields(name: str, encoded: str) -> list[str]:
    values = field_values(name, encoded)
    return [] if isinstance(values, Refused) else [unquote_plus(value) for value in values]


def lines_of(request: Request, name: str) -> list[str]:
    """Return all values of a header."""
    line = request.header(name)
    return line if isinstance(line, list) else ([] if line is None else [line])
