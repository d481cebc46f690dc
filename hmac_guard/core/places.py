"""The places in which a scheme looks, and what a request has in each of them.

Each single place has a slot. One pass over the request fills the slots (`find`). What is in a query or a header stays
as it was sent; `decode` makes the text of it, by the strict functions of `text`. The other places hold text, or a
`Refused`, by the strict functions of `bodies`, `cookies` and `multipart`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from hmac_guard.core.bodies import form_values, json_text, parse_form, parse_json, step_down
from hmac_guard.core.cookies import cookie_values
from hmac_guard.core.multipart import NOT_A_TEXT, multipart_values, parse_multipart
from hmac_guard.core.paths import compile_templates, is_canonical
from hmac_guard.core.request import Request
from hmac_guard.core.source import Field, Source
from hmac_guard.core.sources import HEADER_VALUE, Cookie, Form, Header, Json, Path, Query
from hmac_guard.core.text import MAX_FIELDS, TOO_MANY_FIELDS, decode_field, is_named, is_visible
from hmac_guard.core.verdict import Reason, Refused

#: The text in one place, or why there is none.
Found = str | Refused | None
#: What was found in one place, as it was sent; a list where it is there more than once.
Sent = Found | list[str]

_TWICE = Refused(Reason.DUPLICATE, "is there more than once; send it once")
_COMMA = Refused(Reason.DUPLICATE, "has a comma, with which servers join two lines into one; use another place for it")
_ODD_HEADER = Refused(Reason.MALFORMED, "is not visible ASCII with single spaces inside; use another place for it")
_ODD_PATH = Refused(
    Reason.MALFORMED,
    "is not canonical: it has '//', '.', '..', a backslash, a control character, an encoded slash, or bytes that are "
    "not UTF-8",
)
_TWO_PATHS = Refused(Reason.MALFORMED, "is read in two ways by frameworks, under the root path of the request")


class Places:
    """The single places in which the fields of a `layout` are looked for.

    A layout has fields, and texts between them. The slot of a field's first place is where the field is in the layout;
    further places have the slots behind it. A text stands in its slot in what is found in every request.

    sources   the places, by slot
    slots_of  the slots of each field, in the order of the layout
    names     the headers in which the places are, in lower case
    odd       the characters that do not stand for themselves in one of the places
    """

    def __init__(self, layout: Sequence[Field | str]) -> None:
        self._blank: list[Sent] = [part if isinstance(part, str) else None for part in layout]
        self._make_slots(layout)
        self._needs_body = any(place.kinds for place in self.sources.values())
        self._make_tables()

    def _make_slots(self, layout: Sequence[Field | str]) -> None:
        slots: dict[object, int] = {}
        self.sources: dict[int, Source] = {}
        self.slots_of: list[list[int]] = []
        self._patterns: list[tuple[int, Any]] = []
        for position, field in enumerate(layout):
            if isinstance(field, str):
                continue
            own: list[int] = []
            for place in field.source.places():
                # The places of two ids in a path are two.
                key = (place, field.name) if isinstance(place, Path) else place
                if key not in slots:
                    slots[key] = len(self._blank) if own else position
                    self._blank += [None] if own else []
                    self.sources[slots[key]] = place
                    if isinstance(place, Path):
                        self._patterns.append((slots[key], compile_templates(place.templates, field.name)))
                own.append(slots[key])
            self.slots_of.append(own)

    def _make_tables(self) -> None:
        numbered = sorted(self.sources.items())
        headers = [(slot, place) for slot, place in numbered if isinstance(place, Header)]
        names = list(dict.fromkeys(place.name.lower() for _, place in headers))
        self._headers = [(names.index(place.name.lower()), slot) for slot, place in headers if not place.before]
        self._starts = [
            (names.index(place.name.lower()), slot, place.before) for slot, place in headers if place.before
        ]
        self._cookies = [(slot, place.name) for slot, place in numbered if isinstance(place, Cookie)]
        self._queries = {place.name: slot for slot, place in numbered if isinstance(place, Query)}
        self._json = [(slot, place.tokens(), place.allow_int) for slot, place in numbered if isinstance(place, Json)]
        self._forms = [(slot, place.name) for slot, place in numbered if isinstance(place, Form)]
        self._cookie_line = len(names)
        self.names = (*names, "cookie") if self._cookies else tuple(names)
        # The body comes first, so that no signature is a local variable while the JSON parser raises.
        finders: Sequence[tuple[object, Callable[[Request, list[Sent]], None]]] = (
            (self._needs_body, self._find_in_body),
            (self._patterns, self._find_in_path),
            (self._queries, self._find_in_query),
            (self._headers, self._find_in_headers),
            (self._starts, self._find_at_starts),
            (self._cookies, self._find_in_cookies),
        )
        self._finders = tuple(find for places, find in finders if places)
        self._decoders: dict[int, Callable[[Any], Found]] = {
            **dict.fromkeys(self._queries.values(), _in_query),
            **{slot: _in_header for _, slot in self._headers},
        }
        self.odd = ("%+" if self._queries else "") + ("," if self._headers else "")

    def find(self, request: Request) -> list[Sent]:
        """What is in each place, as it was sent. Raises nothing."""
        found = self._blank.copy()
        for find in self._finders:
            find(request, found)
        return found

    def decode(self, found: list[Sent]) -> list[Found]:
        """The texts of what was found. Raises nothing."""
        texts: list[Any] = found.copy()
        for slot, decode in self._decoders.items():
            if texts[slot] is not None:
                texts[slot] = decode(texts[slot])
        return texts

    def _find_in_body(self, request: Request, found: list[Sent]) -> None:
        if request.body_problem is not None:
            return
        if request.form is not None:
            for slot, name in self._forms:
                found[slot] = _only(
                    [text if text is not None else NOT_A_TEXT for key, text in request.form if key == name]
                )
            return
        document = self._document(request) if request.body else None
        if document is not None:
            self._find_in_document(request.media.kind, document, found)

    def _document(self, request: Request) -> Any:
        body: Any = request.body
        kind, _, boundary = request.media
        if kind == "json":
            return parse_json(body) if self._json else None
        if not self._forms:
            return None
        if kind == "form":
            return parse_form(body)
        return parse_multipart(boundary, body) if kind == "multipart" else None

    def _find_in_path(self, request: Request, found: list[Sent]) -> None:
        paths = request.id_paths()
        path = paths[0]
        problem = None
        if any(other != path for other in paths):
            problem = _TWO_PATHS
        # A mounted application's own root may be "": no template matches it, and it cannot mean anything else.
        elif path and not is_canonical(path):
            problem = _ODD_PATH
        for slot, pattern in self._patterns:
            match = None if problem else pattern.fullmatch(path)
            found[slot] = match[match.lastindex] if match else problem

    def _find_in_query(self, request: Request, found: list[Sent]) -> None:
        query, slots = request.query, self._queries
        fields = query.split("&")
        if len(fields) > MAX_FIELDS:
            for slot in slots.values():
                found[slot] = TOO_MANY_FIELDS
            return
        escaped = "%" in query
        for field in fields:
            name, _, value = field.partition("=")
            slot = slots.get(name, -1)
            if slot < 0:
                if escaped and "%" in name:
                    slot = next((slot for wanted, slot in slots.items() if is_named(name, wanted)), -1)
                if slot < 0:
                    continue
            before = found[slot]
            if before is None:
                found[slot] = value
            elif isinstance(before, list):
                before.append(value)
            elif isinstance(before, str):
                found[slot] = [before, value]

    def _find_in_headers(self, request: Request, found: list[Sent]) -> None:
        lines = request.lines
        for index, slot in self._headers:
            found[slot] = lines[index]

    def _find_at_starts(self, request: Request, found: list[Sent]) -> None:
        for index, slot, before in self._starts:
            line = request.lines[index]
            if line is not None:
                text = _in_header(line)
                if isinstance(text, str):
                    start, separator, _ = text.partition(before)
                    text = start if separator else ""
                found[slot] = text

    def _find_in_cookies(self, request: Request, found: list[Sent]) -> None:
        line = request.lines[self._cookie_line]
        if isinstance(line, str):
            for slot, name in self._cookies:
                found[slot] = _only(cookie_values(name, line))

    def _find_in_document(self, kind: str, document: Any, found: list[Sent]) -> None:
        if isinstance(document, Refused):
            for slot, place in self.sources.items():
                if kind in place.kinds:
                    found[slot] = document
        elif kind == "json":
            for slot, tokens, allow_int in self._json:
                node = step_down(document, tokens)
                found[slot] = node if type(node) is str else json_text(node, allow_int=allow_int)
        else:
            values_of = form_values if kind == "form" else multipart_values
            for slot, name in self._forms:
                found[slot] = _only(values_of(name, document))


def _only(values: Sequence[Found] | Refused) -> Found:
    """The one value of several that a place has."""
    if isinstance(values, Refused):
        return values
    refused = next((value for value in values if isinstance(value, Refused)), None)
    if refused is not None or not values:
        return refused
    return values[0] if len(values) == 1 else _TWICE


def _in_query(sent: str | Refused | list[str]) -> Found:
    if isinstance(sent, str):
        return decode_field(sent)
    if isinstance(sent, Refused):
        return sent
    return next((text for text in map(decode_field, reversed(sent)) if isinstance(text, Refused)), _TWICE)


def _in_header(line: str | list[str]) -> Found:
    if not isinstance(line, str):
        return _TWICE
    if "," in line:
        return _COMMA
    if not is_visible(line) and line and not HEADER_VALUE.fullmatch(line):
        return _ODD_HEADER
    return line
