"""A string that was sent, but under another name or in another place than the scheme's."""

import json
import re
from collections.abc import Iterator, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from hmac_guard.core.source import Field, Source
from hmac_guard.core.sources import Json, Path

_MAX_LEAVES = 1000


class Leaf(NamedTuple):
    """A text somewhere in a request."""

    where: str
    name: str
    value: str


def leaves(query: str, headers: Sequence[tuple[str, str]], body: bytes) -> Iterator[Leaf]:
    """Every text with a name in a request, whatever it is said to be."""
    yield from _fields("query parameter", query)
    document = _document(body)
    yield from _fields("form field", body.decode("latin-1")) if document is None else _json_leaves(document)
    for name, value in headers:
        yield Leaf(f"the header {name!a}", name, value)
        if name.lower() == "cookie":
            yield from _cookies(value)


def near(field: Field, every: Sequence[Leaf]) -> Leaf | None:
    """The leaf that may be what a scheme looks for as `field`, and does not find."""
    wanted = {_bare(name) for name in (field.name, *map(_name, field.source.places()))} - {""}
    return next((leaf for leaf in every[:_MAX_LEAVES] if leaf.value and _bare(leaf.name) in wanted), None)


def _bare(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower().removeprefix("x-"))


def _name(place: Source) -> str:
    if isinstance(place, Path):
        return ""
    return place.tokens()[-1] if isinstance(place, Json) else str(getattr(place, "name", ""))


def _fields(kind: str, encoded: str) -> Iterator[Leaf]:
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        yield Leaf(f"the {kind} {name!a}", name, value)


def _cookies(value: str) -> Iterator[Leaf]:
    try:
        cookies = SimpleCookie(value)
    except CookieError:
        return
    for name, morsel in cookies.items():
        yield Leaf(f"the cookie {name!a}", name, morsel.value)


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _json_leaves(document: Any) -> Iterator[Leaf]:
    level = [("", "", document)]
    while level:
        pointer, name, node = level.pop(0)
        if isinstance(node, (dict, list)):
            named = node.items() if isinstance(node, dict) else enumerate(node)
            level += [(f"{pointer}/{key}", str(key), child) for key, child in named]
        elif node is not None:
            yield Leaf(f"the JSON body at {pointer!a}", name, node if isinstance(node, str) else json.dumps(node))
