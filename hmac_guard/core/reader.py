"""Reads the strings of a scheme, and the signed bytes, from a request.

It raises for no request.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from hmac_guard.core.bodies import begins_as_json, first_json_byte
from hmac_guard.core.found import Found, Sent
from hmac_guard.core.message import METHOD, Body, Id, Literal, Method, Time, compose
from hmac_guard.core.places import Places
from hmac_guard.core.reading import Reading
from hmac_guard.core.request import Request, why_not_read
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.source import METHOD_FIELD, Field, Source
from hmac_guard.core.text import MAX_ID_BYTES, VISIBLE, id_problem, is_id
from hmac_guard.core.times import NOT_A_TIME, is_time
from hmac_guard.core.verdict import Reason, Refused

_TWO_PLACES = Refused(Reason.CONFLICT, "; send it in one place")


class Reader:
    """Reads requests for one scheme that signs ids. It reads the tenant only if `with_tenant`."""

    def __init__(self, scheme: Scheme, *, with_tenant: bool) -> None:
        self._scheme = scheme
        self.signs_body = scheme.signs_body
        self.reads_tenant = with_tenant and scheme.tenant_field is not None
        layout = self._layout()
        self.fields = [part for part in layout if isinstance(part, Field)]
        self._places = Places(layout, scheme.signature_field)
        #: The headers in which the scheme looks, in lower case.
        self.names = self._places.names
        self._kinds = frozenset().union(*(field.kinds for field in self.fields))
        self.needs_body = bool(self._kinds) or scheme.signs_body
        self._needs_every_body = any(field.needs_body for field in self.fields)
        self._tenant_kinds = self.fields[-1].kinds if self.reads_tenant else frozenset()
        self._make_tables(layout)

    def _layout(self) -> list[Field | str]:
        """Return the message without the body, then the times that are in the body, the signature and the tenant."""
        scheme = self._scheme
        times = {time.name: time.field for time in scheme.times}
        named = {**{field.name: field for field in scheme.id_fields}, **times, METHOD: METHOD_FIELD}
        parts = [part for part in scheme.parts if not isinstance(part, Body)]
        signed = [part.name for part in parts if isinstance(part, Time)]
        in_body = [field for name, field in times.items() if name not in signed]
        front = [part.text if isinstance(part, Literal) else named[part.name] for part in parts]
        unsigned = (scheme.signature_field, scheme.tenant_field if self.reads_tenant else None)
        return [*front, *in_body, *filter(None, unsigned)]

    def _make_tables(self, layout: list[Field | str]) -> None:
        """Note the position of each field in the layout."""
        scheme = self._scheme
        at = [number for number, part in enumerate(layout) if isinstance(part, Field)]
        self._signature_at, self._size = layout.index(scheme.signature_field), len(layout)
        # If a text contains the first character of its separator, the message may be ambiguous. No text has a NUL.
        parts = [(number, part) for number, part in enumerate(scheme.parts) if isinstance(part, Id | Time | Method)]
        ends = {number: part.separator[0] for number, part in parts if part.separator}
        texts = [(number, field) for number, field in zip(at, self.fields, strict=True) if number < self._signature_at]
        rows = [(number, field.name, ends.get(number, "\0")) for number, field in texts]
        self._ids_at = [row for row in rows if row[1] in scheme.ids]
        self._others_at = [row for row in rows if row not in self._ids_at]
        self._time_names = [time.name for time in scheme.times]
        slots_of = self._places.slots_of
        self._rules = [(slots, *self._rule(field)) for field, slots in zip(self.fields, slots_of, strict=True)]
        pairs = [(number, slot) for number, slots in zip(at, slots_of, strict=True) for slot in slots]
        self._further = [(number, slot) for number, slot in pairs if slot != number]
        #: Replaces each byte that is encoded or refused in some place by a NUL.
        self._plain = VISIBLE.translate(bytes.maketrans(self._places.odd.encode(), bytes(len(self._places.odd))))

    def _rule(self, field: Field) -> tuple[Callable[[str], bool], Callable[[str], str]]:
        """Return two functions: whether a text may be in the field, and what is wrong with one that may not."""
        if field is self._scheme.signature_field:
            return _is_signature, lambda text: "is not ASCII"
        if field.name in self._time_names:
            return is_time, lambda text: NOT_A_TIME
        return is_id, id_problem

    def wants_all_of(self, request: Request) -> bool:
        """Return whether the whole body must be read, because a source reads bodies of its kind."""
        media, coding = request.media, request.framing[2]
        # The guard does not decompress. The application gets the compressed bytes, and a gateway may change them later.
        is_plain = coding is None or (isinstance(coding, str) and coding.lower() == "identity")
        return is_plain and media.readable and media.kind in self._kinds

    def knows_start(self, start: bytes) -> bool:
        """Return whether these first bytes of a body are enough for `refuse_start`."""
        return bool(first_json_byte(start))

    def refuse_start(self, request: Request, start: bytes) -> Refused | None:
        """Return why a body that is not read to its end does not count as absent, by its first bytes.

        Return None if it counts as absent, or if more bytes are needed. A body of an `ignored` type counts as absent
        unless it begins as JSON: some frameworks read JSON under any Content-Type.
        """
        is_upload = request.media.kind == "ignored" and not self._needs_every_body
        if not start or (is_upload and not begins_as_json(start)):
            return None
        return Refused(Reason.UNSUPPORTED_BODY, why_not_read(request, self._kinds, is_upload))

    def read(self, request: Request) -> Reading:
        """Return what the request says. If a body is needed, it has been read."""
        found = self._places.blank.copy()
        for find in self._places.finders:  # As `Places.find` does it, without a call.
            find(request, found)
        values: list[Any] = self._merged(found) if self._further else found
        # The quick way: every text is there once, is short, and has no character that is encoded or refused.
        try:
            raw = "".join(values).encode()
        except (TypeError, UnicodeEncodeError):  # None, another type than text, or a surrogate from JSON.
            return self._read_strictly(request, found)
        if len(raw) > MAX_ID_BYTES or 0 in raw.translate(self._plain):
            return self._read_strictly(request, found)
        ids = {}
        for position, name, end in self._ids_at:
            ids[name] = text = values[position]
            if not text or end in text:
                return self._read_strictly(request, found)
        signature = values[self._signature_at]
        tenant = values[-1] if self.reads_tenant else None
        is_blank = not signature or (self.reads_tenant and not tenant)
        if is_blank or (self.needs_body and request.body_problem is not None):
            return self._read_strictly(request, found)
        reading = Reading()
        if self._others_at:
            reading.others = others = {}
            for position, name, end in self._others_at:
                others[name] = text = values[position]
                if end in text or not (is_time(text) if name in self._time_names else text):
                    return self._read_strictly(request, found)
        request.signature = proof = signature.encode()
        reading.request, reading.ids = request, MappingProxyType(ids)
        reading.tenant = tenant
        reading.tenant_is_certain = tenant is not None and self._saw_tenant(request)
        reading.refused = None
        signed = raw if tenant is None else raw.removesuffix(tenant.encode())
        reading.message = signed.removesuffix(proof)
        return reading

    def refuses_ahead(self, request: Request) -> bool:
        """Return whether the guard refuses the request with any body, so that the body is not read."""
        return False

    def _merged(self, found: list[Sent]) -> list[Sent]:
        """Return the value of each field in the layout, from the one of its places that has it."""
        values = found[: self._size]
        for position, slot in self._further:
            if found[slot] is not None:
                values[position] = found[slot] if values[position] is None else _TWO_PLACES
        return values

    def _read_strictly(self, request: Request, found: list[Sent]) -> Reading:
        texts = self._texts_of(self._places.decode(request, found))
        tenant, signature = texts.pop() if self.reads_tenant else None, texts.pop()
        ids = {field.name: text for field, text in zip(self.fields, texts, strict=False) if isinstance(text, str)}
        message = request.body_problem or self._message_of(tenant, texts, ids, signature)
        reading = Reading()
        reading.request = request
        if self._others_at:
            reading.others = {name: ids.pop(name) for _, name, _ in self._others_at if name in ids}
        reading.ids = MappingProxyType(ids)
        reading.tenant = tenant if isinstance(tenant, str) else None
        reading.tenant_is_certain = reading.tenant is not None and self._saw_tenant(request)
        reading.refused, reading.message = (message, None) if isinstance(message, Refused) else (None, message)
        if isinstance(signature, str):
            request.signature = signature.encode()
        elif isinstance(signature, list):
            request.signature = tuple(text.encode() for text in signature)
        return reading

    def _message_of(
        self, tenant: Found, texts: Sequence[Found], ids: Mapping[str, str], signature: Found
    ) -> bytes | Refused:
        """Return the signed bytes, or the first reason why the request cannot be verified."""
        if isinstance(tenant, Refused):
            return _labelled(self.fields[-1], tenant)
        if len(ids) < len(texts):
            for field, text in zip(self.fields, texts, strict=False):
                if isinstance(text, Refused):
                    return _labelled(field, text)
                if text is None and field.name not in self._scheme.optional:
                    is_id_field = field.name in self._scheme.ids
                    return Refused(Reason.MISSING_ID if is_id_field else Reason.MISSING_SIGNATURE, _missing(field))
        message = compose(self._scheme.parts, ids)
        if message is None:
            return Refused(Reason.AMBIGUOUS, "an id contains the text that separates it from the next id")
        if isinstance(signature, Refused):
            return _labelled(self._scheme.signature_field, signature)
        return (
            Refused(Reason.MISSING_SIGNATURE, _missing(self._scheme.signature_field)) if signature is None else message
        )

    def _texts_of(self, found: Sequence[Found]) -> list[Found]:
        """Return the one valid text of each field; None if it is absent or blank."""
        texts: list[Found] = []
        for slots, is_valid, problem in self._rules:
            value = found[slots[0]] if len(slots) == 1 else _pick(found, slots)
            if isinstance(value, str) and not is_valid(value):
                value = Refused(Reason.MALFORMED, problem(value)) if value.strip() else None
            texts.append(self._with_place(value, slots, found) if isinstance(value, Refused) else value)
        return texts

    def _with_place(self, refused: Refused, slots: Sequence[int], found: Sequence[Found]) -> Refused:
        """Return the refusal of a field's value, with the place in which it was found."""
        present = [slot for slot in slots if found[slot] is not None]
        places = [f"the {self._places.sources[slot].describe()}" for slot in present]
        if refused is _TWO_PLACES:
            return Refused(refused.reason, f"it is in {' and in '.join(places)}{refused.detail}")
        place = next((place for slot, place in zip(present, places, strict=True) if found[slot] is refused), places[0])
        return Refused(refused.reason, f"{place} {refused.detail}")

    def _saw_tenant(self, request: Request) -> bool:
        """Return whether each place of the tenant was read to its end."""
        if not self._tenant_kinds:
            return True
        if request.body_problem is not None or request.body is None:
            return False
        return not request.body or request.media.kind in self._tenant_kinds

    def texts(self, request: Request) -> Iterator[tuple[Field, Found, list[Source]]]:
        """Yield each field with its text and its non-empty places: for the explanation of a refusal."""
        found = self._places.decode(request, self._places.find(request))
        for field, slots, text in zip(self.fields, self._places.slots_of, self._texts_of(found), strict=True):
            yield field, text, [self._places.sources[slot] for slot in slots if found[slot] is not None]


def _is_signature(text: str) -> bool:
    return text.isascii() and bool(text.strip())


def _pick(found: Sequence[Found], slots: Sequence[int]) -> Found:
    """Return the value of a field, from the values of its places."""
    present = [found[slot] for slot in slots if found[slot] is not None]
    if len(present) < 2:
        return present[0] if present else None
    return next((value for value in present if isinstance(value, Refused)), _TWO_PLACES)


def _labelled(field: Field, refused: Refused) -> Refused:
    return Refused(refused.reason, f"{field.label}: {refused.detail}")


def _missing(field: Field) -> str:
    return f"{field.label} is missing; the guard looks in {field.source.describe()}"
