"""The places in which a scheme looks, and what a request has in each of them.

Each single place has a slot. One pass over the request fills the slots: None where nothing is there, the text, or a
`Refused`. Plain text is taken as it is; text that has to be decoded goes through the strict functions of `text`,
`bodies`, `cookies` and `multipart`.
"""

from collections.abc import Sequence
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

#: What was found in one place.
Found = str | Refused | None

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
    """The single places in which `fields` are looked for.

    sources   the places, by slot
    slots_of  the slots of each field, in the order of `fields`
    names     the headers in which the places are, in lower case
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self._make_slots(fields)
        self._needs_body = any(place.kinds for place in self.sources)
        self._make_tables()

    def _make_slots(self, fields: Sequence[Field]) -> None:
        slots: dict[object, int] = {}
        self.sources: list[Source] = []
        self.slots_of: list[list[int]] = []
        self._patterns: list[tuple[int, Any]] = []
        for field in fields:
            own = []
            for place in field.source.places():
                # The places of two ids in a path are two.
                key = (place, field.name) if isinstance(place, Path) else place
                if key not in slots:
                    slots[key] = len(self.sources)
                    self.sources.append(place)
                    if isinstance(place, Path):
                        self._patterns.append((slots[key], compile_templates(place.templates, field.name)))
                own.append(slots[key])
            self.slots_of.append(own)
        self._blank: list[Found] = [None] * len(self.sources)

    def _make_tables(self) -> None:
        numbered = list(enumerate(self.sources))
        headers = [(slot, place) for slot, place in numbered if isinstance(place, Header)]
        names = list(dict.fromkeys(place.name.lower() for _, place in headers))
        self._headers = [(names.index(place.name.lower()), slot, place.before) for slot, place in headers]
        self._cookies = [(slot, place.name) for slot, place in numbered if isinstance(place, Cookie)]
        self._queries = {place.name: slot for slot, place in numbered if isinstance(place, Query)}
        self._json = [(slot, place.tokens(), place.allow_int) for slot, place in numbered if isinstance(place, Json)]
        self._forms = [(slot, place.name) for slot, place in numbered if isinstance(place, Form)]
        self._cookie_line = len(names)
        self.names = (*names, "cookie") if self._cookies else tuple(names)

    def find(self, request: Request) -> list[Found]:
        """What is in each place. Raises nothing."""
        # First, so that no signature is a local variable while the JSON parser raises.
        document = self._document(request) if self._needs_body else None
        found = self._blank.copy()
        if self._patterns:
            self._find_in_path(request, found)
        if self._queries:
            self._find_in_query(request.query, found)
        for index, slot, before in self._headers:
            line = request.lines[index]
            if line is not None:
                found[slot] = _in_header(line, before)
        if self._cookies and isinstance(line := request.lines[self._cookie_line], str):
            for slot, name in self._cookies:
                found[slot] = _only(cookie_values(name, line))
        if self._forms and request.form is not None and request.body_problem is None:
            for slot, name in self._forms:
                found[slot] = _only(
                    [text if text is not None else NOT_A_TEXT for key, text in request.form if key == name]
                )
        elif document is not None:
            self._find_in_body(request.media.kind, document, found)
        return found

    def _document(self, request: Request) -> Any:
        body = request.body
        if not body or request.body_problem is not None:
            return None
        match request.media.kind:
            case "json" if self._json:
                return parse_json(body)
            case "form" if self._forms:
                return parse_form(body)
            case "multipart" if self._forms:
                return parse_multipart(request.media.boundary, body)
        return None

    def _find_in_path(self, request: Request, found: list[Found]) -> None:
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

    def _find_in_query(self, query: str, found: list[Found]) -> None:
        queries = self._queries
        plain = "%" not in query and "+" not in query and is_visible(query)
        fields = query.split("&")
        if len(fields) > MAX_FIELDS:
            for slot in queries.values():
                found[slot] = TOO_MANY_FIELDS
            return
        for field in fields:
            name, _, value = field.partition("=")
            slot = queries.get(name, -1)
            if slot < 0 and not plain and "%" in name:
                slot = next((slot for wanted, slot in queries.items() if is_named(name, wanted)), -1)
            if slot < 0:
                continue
            text = value if plain else decode_field(value)
            before = found[slot]
            if before is None or isinstance(text, Refused):
                found[slot] = text
            elif isinstance(before, str):
                found[slot] = _TWICE

    def _find_in_body(self, kind: str, document: Any, found: list[Found]) -> None:
        if isinstance(document, Refused):
            for slot, place in enumerate(self.sources):
                if kind in place.kinds:
                    found[slot] = document
        elif kind == "json":
            for slot, tokens, allow_int in self._json:
                found[slot] = json_text(step_down(document, tokens), allow_int=allow_int)
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


def _in_header(line: str | list[str], before: str) -> Found:
    if not isinstance(line, str):
        return _TWICE
    if "," in line:
        return _COMMA
    if not is_visible(line) and line and not HEADER_VALUE.fullmatch(line):
        return _ODD_HEADER
    if not before:
        return line
    value, separator, _ = line.partition(before)
    return value if separator else ""
