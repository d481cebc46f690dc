"""The places in which a scheme looks, and what a request has in each of them.

Each single place has a slot. One pass over the request fills the slots (`find`). Values from a query or a header stay
as they were sent; `decode` reads their text, by the strict functions of `text`. The other places have text, or a
`Refused`, by the strict functions of `bodies`, `cookies` and `multipart`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from hmac_guard.core.bodies import begins_as_json, form_values, parse_form, parse_json
from hmac_guard.core.cookies import cookie_values
from hmac_guard.core.found import Found, Sent, check_charset, in_header, in_query, only, text_at
from hmac_guard.core.items import item_values, one_of
from hmac_guard.core.multipart import NOT_A_TEXT, multipart_values, parse_multipart
from hmac_guard.core.paths import compile_templates, text_in_path
from hmac_guard.core.request import Request
from hmac_guard.core.source import Field, MethodOf, Source
from hmac_guard.core.sources import METHOD_NAME, Cookie, Form, Header, HeaderItem, Json, Path, Query
from hmac_guard.core.text import MAX_FIELDS, TOO_MANY_FIELDS, slot_of_encoded
from hmac_guard.core.verdict import Reason, Refused

_ODD_METHOD = Refused(Reason.MALFORMED, "is not the name of an HTTP method")
# Some applications read JSON from a body of any type.
_JSON_TOO = Refused(Reason.UNSUPPORTED_BODY, "is sent as a form, but the body begins as JSON does")
_TWO_PATHS = Refused(Reason.MALFORMED, "is read in two ways by frameworks, under the root path of the request")


class Places:
    """The single places in which the fields of a `layout` are looked for.

    A layout has fields, and texts between them. The slot of a field's first place is the field's position in the
    layout; further places have the slots after it. A text is in its own slot in the result of every request.

    Attributes:
        sources: The places, by slot.
        slots_of: The slots of each field, in the order of the layout.
        names: The headers that are looked at, in lower case.
        odd: The characters that are encoded or refused in one of the places, or that a charset may encode.
    """

    def __init__(self, layout: Sequence[Field | str], signature: Field) -> None:
        self._signature = signature
        self.blank: list[Sent] = [part if isinstance(part, str) else None for part in layout]
        self._make_slots(layout)
        self._needs_body = any(place.kinds for place in self.sources.values())
        self._make_tables()

    def _make_slots(self, layout: Sequence[Field | str]) -> None:
        slots: dict[object, int] = {}
        self.sources: dict[int, Source] = {}
        self.slots_of: list[list[int]] = []
        self._patterns: list[tuple[int, Any]] = []
        self._signatures: set[int] = set()
        for position, field in enumerate(layout):
            if isinstance(field, str):
                continue
            own: list[int] = []
            for place in field.source.places():
                # Two ids in a path are in two places.
                key = (place, field.name) if isinstance(place, Path) else place
                if key not in slots:
                    slots[key] = len(self.blank) if own else position
                    self.blank += [None] if own else []
                    self.sources[slots[key]] = place
                    if isinstance(place, Path):
                        self._patterns.append((slots[key], compile_templates(place.templates, field.name)))
                own.append(slots[key])
            if field is self._signature:
                self._signatures.update(own)
            self.slots_of.append(own)

    def _make_tables(self) -> None:
        numbered = sorted(self.sources.items())
        headers = [(slot, place) for slot, place in numbered if isinstance(place, Header)]
        items = [(slot, place) for slot, place in numbered if isinstance(place, HeaderItem)]
        lines: Sequence[tuple[int, Header | HeaderItem]] = [*headers, *items]
        names = list(dict.fromkeys(place.name.lower() for _, place in lines))
        self._methods = [slot for slot, place in numbered if isinstance(place, MethodOf)]
        wanted: dict[tuple[int, str, str], list[tuple[str, int]]] = {}
        for slot, place in items:
            line = names.index(place.name.lower())
            wanted.setdefault((line, place.between, place.inner), []).append((place.key, slot))
        self._items = [(*header, frozenset(key for key, _ in keys), keys) for header, keys in wanted.items()]
        self._headers = [(names.index(place.name.lower()), slot) for slot, place in headers if not place.before]
        self._starts = [
            (names.index(place.name.lower()), slot, place.before) for slot, place in headers if place.before
        ]
        self._cookies = [(slot, place.name) for slot, place in numbered if isinstance(place, Cookie)]
        in_order = [(slot, self.sources[slot]) for slots in self.slots_of for slot in slots]
        self._queries = {place.name: slot for slot, place in in_order if isinstance(place, Query)}
        self._in_order = [(f"{name}=", slot) for name, slot in self._queries.items()]
        pointers = [(slot, place.tokens(), place.allow_int) for slot, place in numbered if isinstance(place, Json)]
        # Most pointers have one token, the name of a member.
        self._json = [
            (slot, tokens[0] if len(tokens) == 1 else None, (tokens, allow_int)) for slot, tokens, allow_int in pointers
        ]
        self._forms = [(slot, place.name) for slot, place in numbered if isinstance(place, Form)]
        self._cookie_line = len(names)
        self.names = (*names, "cookie") if self._cookies else tuple(names)
        # The body comes first: then no signature is a local variable while the JSON parser raises.
        finders: Sequence[tuple[object, Callable[[Request, list[Sent]], None]]] = (
            (self._needs_body, self._find_in_body),
            (self._patterns, self._find_in_path),
            (self._queries, self._find_in_query),
            (self._headers, self._find_in_headers),
            (self._starts, self._find_at_starts),
            (self._items, self._find_in_items),
            (self._cookies, self._find_in_cookies),
            (self._methods, self._find_method),
        )
        self.finders = tuple(find for places, find in finders if places)
        self._decoders: dict[int, Callable[[Any], Found]] = {
            **dict.fromkeys(self._queries.values(), in_query),
            **{slot: in_header for _, slot in self._headers},
        }
        # In some charsets, `\\` and `~` begin an escape.
        self.odd = ("%+\\~" if self._queries else "") + ("," if self._headers else "")

    def find(self, request: Request) -> list[Sent]:
        """Return the value of each place, as it was sent. Raise nothing."""
        found = self.blank.copy()
        for find in self.finders:
            find(request, found)
        return found

    def decode(self, request: Request, found: list[Sent]) -> list[Found]:
        """Return the texts of the values that were found in a request. Raise nothing."""
        texts: list[Any] = found.copy()
        check_charset(request, self._queries.values(), texts)
        for slot, decode in self._decoders.items():
            if texts[slot] is not None:
                texts[slot] = decode(texts[slot])
        return texts

    def _find_in_body(self, request: Request, found: list[Sent]) -> None:
        if request.body_problem is not None:
            return
        if request.body:
            media = request.media
            if self._json and media.kind == "json":
                self._find_in_json(parse_json(request.body), found)
            elif self._forms and media.kind == "form":
                is_json_too = self._json and begins_as_json(request.body)
                self._find_in_form(_JSON_TOO if is_json_too else parse_form(request.body), form_values, found)
            elif self._forms and media.kind == "multipart":
                self._find_in_form(parse_multipart(media.boundary, request.body), multipart_values, found)
        elif request.form is not None:
            for slot, name in self._forms:
                found[slot] = only(
                    [text if text is not None else NOT_A_TEXT for key, text in request.form if key == name]
                )

    def _find_in_path(self, request: Request, found: list[Sent]) -> None:
        first, *others = request.id_paths()
        for slot, pattern in self._patterns:
            found[slot] = text_in_path(first, pattern)
            for path in others:
                if text_in_path(path, pattern) != found[slot]:
                    found[slot] = _TWO_PATHS
            for path in request.mounted_paths:
                text = text_in_path(path, pattern)
                if text not in (None, found[slot]):
                    found[slot] = text if found[slot] is None else _TWO_PATHS
            if request.keeps_root and text_in_path(request.whole_path, pattern) not in (None, found[slot]):
                found[slot] = _TWO_PATHS

    def _find_in_query(self, request: Request, found: list[Sent]) -> None:
        query = rest = request.query
        if not query:
            return
        more = "&"
        # Most clients send the parameters in the order of the scheme. A look-up of each name takes twice as long.
        for start, slot in self._in_order:
            after = rest.removeprefix(start)
            if after != rest:
                found[slot], more, rest = after.partition("&")
        has_others = self._find_in_any_order(query, rest, found) if more else False
        # Punycode reads the end of the last field, and IDNA each part that begins with "xn--".
        if has_others or ("-" in query and ("--" in query or "-" in query.rpartition("&")[2])):
            check_charset(request, self._queries.values(), found)

    def _find_in_any_order(self, query: str, rest: str, found: list[Any]) -> bool:
        """Find parameters in the rest of a query. Return whether it has other fields, too."""
        slots, fields, has_others = self._queries, rest.split("&"), False
        if len(fields) > MAX_FIELDS - len(slots) and query.count("&") >= MAX_FIELDS:
            for each in slots.values():
                found[each] = TOO_MANY_FIELDS
            return False
        for field in fields:
            name, _, value = field.partition("=")
            slot = slots.get(name)
            if slot is None:
                has_others = True
                slot = slot_of_encoded(name, slots) if "%" in name else None
                if slot is None:
                    continue
            before = found[slot]
            if before is None:
                found[slot] = value
            elif isinstance(before, list):
                before.append(value)
            else:
                found[slot] = [before, value]
        return has_others

    def _find_in_headers(self, request: Request, found: list[Sent]) -> None:
        lines = request.lines
        for index, slot in self._headers:
            found[slot] = lines[index]

    def _find_at_starts(self, request: Request, found: list[Sent]) -> None:
        for index, slot, before in self._starts:
            line = request.lines[index]
            if line is not None:
                text = in_header(line)
                if isinstance(text, str):
                    start, separator, _ = text.partition(before)
                    text = start if separator else ""
                found[slot] = text

    def _find_method(self, request: Request, found: list[Sent]) -> None:
        for slot in self._methods:
            found[slot] = request.method if METHOD_NAME.fullmatch(request.method) else _ODD_METHOD

    def _find_in_items(self, request: Request, found: list[Sent]) -> None:
        for index, between, inner, keys, slots in self._items:
            line = request.lines[index]
            if line is None:
                continue
            items = item_values(line, between, inner, keys)
            for key, slot in slots:
                values = items.get(key) if isinstance(items, dict) else items
                found[slot] = values if type(values) is str else one_of(values, is_signature=slot in self._signatures)

    def _find_in_cookies(self, request: Request, found: list[Sent]) -> None:
        line = request.lines[self._cookie_line]
        if isinstance(line, str):
            for slot, name in self._cookies:
                found[slot] = only(cookie_values(name, line))

    def _find_in_json(self, document: Any, found: list[Sent]) -> None:
        members = document if type(document) is dict else {}
        for slot, name, pointer in self._json:
            node = members.get(name)
            found[slot] = node if type(node) is str else text_at(document, *pointer)

    def _find_in_form(self, form: Any, values_of: Callable[[str, Any], Any], found: list[Sent]) -> None:
        for slot, name in self._forms:
            found[slot] = form if isinstance(form, Refused) else only(values_of(name, form))
