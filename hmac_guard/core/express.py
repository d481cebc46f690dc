"""The express lane: reads plain requests, which nearly all are, in one pass, and leaves every other one to `read`.

Plain is what leaves nothing to decide: each string in one of its places, once, and in no need of decoding. Whatever is
not plain may still be fine, or is refused with its reason: `decision.read` says which, and is the specification of this
file. Tests hold the two together.
"""

from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any

from hmac_guard.core.bodies import NOWHERE, step_down
from hmac_guard.core.errors import Refused
from hmac_guard.core.field import Field
from hmac_guard.core.message import Literal
from hmac_guard.core.paths import compile_templates, is_canonical
from hmac_guard.core.request import Request
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.sources import Cookie, Form, Header, Json, Path, Query
from hmac_guard.core.text import MAX_FIELDS, MAX_ID_BYTES, is_id, is_visible
from hmac_guard.core.verdict import Claim, make

#: What was found so far, by the number of the string; None where nothing was.
Texts = list[str | None]
#: Puts what one kind of place holds into the texts; false where the request is not plain.
Step = Callable[[Request, Texts], bool]

_FEW = 8


class Express:
    """A scheme, compiled. `read` gives the claim of a plain request, and None for any other."""

    __slots__ = ("_blank", "_count", "_marks", "_names", "_scheme", "_steps", "_template", "_with_tenant")

    def __init__(self, scheme: Scheme, *, with_tenant: bool) -> None:
        fields = [*scheme.id_fields, scheme.signature_field]
        if with_tenant and scheme.tenant_field:
            fields.append(scheme.tenant_field)
        self._scheme = scheme.name
        self._names = tuple(field.name for field in scheme.id_fields)
        self._count = len(scheme.id_fields)
        self._with_tenant = len(fields) > len(scheme.id_fields) + 1
        self._blank: Texts = [None] * len(fields)
        self._steps = tuple(_steps(fields))
        literals = [part.text for part in scheme.parts if isinstance(part, Literal)]
        self._template = "".join(
            part.text.replace("%", "%%") if isinstance(part, Literal) else "%s" for part in scheme.parts
        )
        # Where an id holds the first character of a literal, the message has more of them, and may be ambiguous.
        self._marks = [(text[0], "".join(literals).count(text[0])) for text in literals]
        if literals and not is_visible("".join(literals)):
            self._steps = (_never,)

    def read(self, request: Request) -> Claim | None:
        if request.body_problem is not None:
            return None
        texts = self._blank.copy()
        for step in self._steps:
            if not step(request, texts):
                return None
        if not all(texts):
            return None
        found: Any = texts[: self._count]
        message = self._template % tuple(found)
        if not is_visible(message) or len(message) > MAX_ID_BYTES:
            return None
        for mark, count in self._marks:
            if message.count(mark) != count:
                return None
        signature: Any = texts[self._count]
        tenant = texts[-1] if self._with_tenant else None
        # Of the ids the message tells; visible ASCII is what every place and every server hands over alike.
        if not is_visible(signature) or (tenant and not (is_visible(tenant) and is_id(tenant))):
            return None
        ids = MappingProxyType(dict(zip(self._names, found)))  # noqa: B905 -- as many by construction; strict costs
        return make(Claim, (self._scheme, ids, tenant, message.encode(), signature.encode(), None))


def _steps(fields: list[Field]) -> Iterator[Step]:
    places = [(place, number) for number, field in enumerate(fields) for place in field.source.places()]
    queries = {place.name: number for place, number in places if isinstance(place, Query)}
    headers = {place.name.lower(): (place.before, number) for place, number in places if isinstance(place, Header)}
    documents = [(place, number) for place, number in places if isinstance(place, Json)]
    paths = [(compile_templates(place.templates, fields[n].name), n) for place, n in places if isinstance(place, Path)]
    slow = {type(place) for place, _ in places if isinstance(place, (Cookie, Form))}
    if len(queries) + len(headers) + len(documents) + len(paths) < sum(type(place) not in slow for place, _ in places):
        # Two strings are read from one place, the tenant and an id: rare, and not worth a special case here.
        yield _never
    if slow:
        yield _without(Form in slow, Cookie in slow)
    if paths:
        yield _from_path(paths)
    if queries:
        yield _from_query(queries)
    if headers:
        yield _from_headers([(name, before, number) for name, (before, number) in headers.items()])
    if documents:
        yield _from_json(documents)


def _never(request: Request, texts: Texts) -> bool:
    return False


def _without(body: bool, cookie: bool) -> Step:
    def step(request: Request, texts: Texts) -> bool:
        return not (body and request.body and request.media.kind != "json") and not (
            cookie and request.header("cookie")
        )

    return step


def _from_path(paths: list[tuple[Any, int]]) -> Step:
    def step(request: Request, texts: Texts) -> bool:
        path = request.path
        if path and not is_canonical(path):
            return False
        for pattern, number in paths:
            match = pattern.fullmatch(path)
            if match is not None:
                # Paths come first, and a string has one `Path` at the most: nothing can stand here yet.
                texts[number] = match[match.lastindex]
        return True

    return step


def _from_query(queries: dict[str, int]) -> Step:
    names = tuple(queries)

    def step(request: Request, texts: Texts) -> bool:
        query = request.query
        if "%" in query or "+" in query:
            return False
        fields = query.split("&")
        if len(fields) > MAX_FIELDS:
            return False
        # A few are quicker looked at than sifted; of many, nearly all are the application's own.
        for field in fields if len(fields) < _FEW else [field for field in fields if field.startswith(names)]:
            name, _, value = field.partition("=")
            if name in queries:
                number = queries[name]
                if texts[number] is not None:
                    return False
                texts[number] = value
        return True

    return step


def _from_headers(headers: list[tuple[str, str, int]]) -> Step:
    def step(request: Request, texts: Texts) -> bool:
        for name, before, number in headers:
            lines = request.header(name)
            if lines:
                text = lines[0]
                if len(lines) > 1 or texts[number] is not None or "," in text or not is_visible(text):
                    return False
                if before:
                    text, separator, _ = text.partition(before)
                    if not separator:
                        return False
                texts[number] = text
        return True

    return step


def _from_json(documents: list[tuple[Json, int]]) -> Step:
    pointers = [(place.tokens(), number) for place, number in documents]

    def step(request: Request, texts: Texts) -> bool:
        if not request.body:
            return True
        try:
            document = request.json_document()
        except Refused:
            return False
        if document is None:
            return False
        for tokens, number in pointers:
            node = step_down(document, tokens)
            if node is not NOWHERE:
                if type(node) is not str or texts[number] is not None:
                    return False
                texts[number] = node
        return True

    return step
