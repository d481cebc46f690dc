"""Finds a string that was sent under another name, or in another place than the scheme says."""

import json
import re
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from hmac_guard.core.source import Field, Source
from hmac_guard.core.sources import Json, Path
from hmac_guard.explain.printable import excerpt

#: The limit of frameworks for the fields of a query. Later fields are ignored.
MAX_LEAVES = 1000
# No scheme has longer names. A name in a request may have 262,144 characters.
_LONGEST_NAME = 256
# A guard refuses a body with deeper nesting.
_DEEPEST = 64
_HTML_AMPERSANDS = re.compile("(?:amp;)+")


class Leaf(NamedTuple):
    """A text in a request. `pointer` is its RFC 6901 pointer in a JSON body, "" in other places."""

    where: str
    name: str
    value: str
    pointer: str = ""


def leaves(query: str, headers: Sequence[tuple[str, str]], body: bytes) -> Iterator[Leaf]:
    """Yield the named texts of a request with any Content-Type: at most `MAX_LEAVES` of each part."""
    document = _document(body)
    of_body = _fields("form field", body.decode("latin-1")) if document is None else _json_leaves(document)
    of_headers = chain.from_iterable(_header_leaves(name, value) for name, value in headers)
    for part in (_fields("query parameter", query), of_body, of_headers):
        yield from islice(part, MAX_LEAVES)


def near(field: Field, every: Sequence[Leaf]) -> Leaf | None:
    """Return the text that is probably meant as `field`, or None."""
    places = field.source.places()
    pointers = {place.pointer for place in places if isinstance(place, Json)}
    wanted = {_bare(name) for name in (field.name, *map(_name, places))} - {""}
    sent = [leaf for leaf in every if leaf.value and len(leaf.name) <= _LONGEST_NAME]
    at_its_place = (leaf for leaf in sent if leaf.pointer in pointers)
    return next(chain(at_its_place, (leaf for leaf in sent if _bare(leaf.name) in wanted)), None)


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
            yield Leaf(f"the {kind} {excerpt(name, _LONGEST_NAME)}", name, unquote_plus(value))


def _header_leaves(name: str, value: str) -> Iterator[Leaf]:
    yield Leaf(f"the header {excerpt(name, _LONGEST_NAME)}", name, value)
    if name.lower() == "cookie":
        for cookie in value.split(";"):
            key, _, text = cookie.partition("=")
            yield Leaf(f"the cookie {excerpt(key.strip(), _LONGEST_NAME)}", key.strip(), text.strip(' "'))


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
    depth: int = 0

    def pointer(self) -> str:
        """The RFC 6901 pointer. It is built on demand, because many nodes may share one long name."""
        names: list[str] = []
        node = self
        while node.parent is not None:
            names.append(node.name if len(node.name) <= _LONGEST_NAME else "...")
            node = node.parent
        return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in reversed(names))


def _json_leaves(document: Any) -> Iterator[Leaf]:
    """Yield the texts and numbers of a document, the top level first."""
    nodes = deque([_Node(None, "", document)])
    while nodes:
        node = nodes.popleft()
        if isinstance(node.value, (dict, list)):
            named = node.value.items() if isinstance(node.value, dict) else enumerate(node.value)
            if node.depth < _DEEPEST:
                nodes.extend(_Node(node, str(name), value, node.depth + 1) for name, value in named)
        elif node.value is not None:
            text = node.value if isinstance(node.value, str) else json.dumps(node.value)
            pointer = node.pointer()
            yield Leaf(f"the JSON body at {excerpt(pointer, _LONGEST_NAME)}", node.name, text, pointer)
