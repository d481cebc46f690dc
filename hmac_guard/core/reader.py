"""The one reader: reads the strings of a scheme, and the bytes that were signed, from a request.

No request makes anything here raise.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, NamedTuple

from hmac_guard.core.bodies import first_json_byte
from hmac_guard.core.message import Literal, compose
from hmac_guard.core.places import Found, Places
from hmac_guard.core.request import Request
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.source import Field, Source
from hmac_guard.core.text import MAX_ID_BYTES, is_id, is_visible, why_not_an_id
from hmac_guard.core.verdict import Reason, Refused, make

_TWO_PLACES = Refused(Reason.CONFLICT, "; send it in one place")


class Proof(NamedTuple):
    """The bytes that were signed, and the signature. Its `repr` shows neither."""

    message: bytes
    signature: bytes

    def __repr__(self) -> str:
        return "<Proof>"


class Reading(NamedTuple):
    """What a request says.

    ids      each id that is there exactly once and is valid, by name
    tenant   the tenant, or None
    whole    whether the tenant was found, and each place in which the scheme looks for it was read to its end
    refused  why the request cannot be judged, or None
    proof    what is to be judged; None where `refused`
    """

    ids: Mapping[str, str]
    tenant: str | None
    whole: bool
    refused: Refused | None
    proof: Proof | None


class Reader:
    """Reads requests for one scheme; its tenant only if `with_tenant`."""

    def __init__(self, scheme: Scheme, *, with_tenant: bool) -> None:
        self._scheme = scheme
        self.fields = [*scheme.id_fields, scheme.signature_field]
        self.reads_tenant = with_tenant and scheme.tenant_field is not None
        if with_tenant and scheme.tenant_field is not None:
            self.fields.append(scheme.tenant_field)
        self._places = Places(self.fields)
        self._slots_of = self._places.slots_of
        self._is_flat = self._slots_of == [[number] for number in range(len(self.fields))]
        #: The headers in which the scheme looks, in lower case.
        self.names = self._places.names
        self._kinds = frozenset().union(*(field.kinds for field in self.fields))
        self.needs_body = bool(self._kinds)
        self._needs_every_body = any(field.needs_body for field in self.fields)
        self._tenant_kinds = self.fields[-1].kinds if self.reads_tenant else frozenset()
        literals = [part.text for part in scheme.parts if isinstance(part, Literal)]
        self._id_names = [field.name for field in scheme.id_fields]
        self._template = _template_of(scheme)
        # Where an id holds the first character of a literal, the message has more of them, and may be ambiguous.
        self._counts = tuple((text[0], "".join(literals).count(text[0])) for text in literals)

    def wants_all_of(self, request: Request) -> bool:
        """Whether the body has to be read to its end, since a source reads bodies of its kind."""
        media = request.media
        coding = request.body_header("content-encoding")
        # Nothing here decompresses: the application gets the compressed bytes, and a gateway behind it perhaps others.
        plain = coding is None or (isinstance(coding, str) and coding.lower() == "identity")
        return media.kind in self._kinds and media.readable and plain

    def knows_start(self, start: bytes) -> bool:
        """Whether so many bytes of a body that is not read to its end are enough for `refuse_start`."""
        return bool(first_json_byte(start))

    def refuse_start(self, request: Request, start: bytes) -> Refused | None:
        """Whether a body that is not read to its end may count as absent, by its first bytes.

        None where it may, and where that takes more bytes: a body of an `ignored` type counts as absent unless it
        begins as JSON, which some frameworks read under any Content-Type.
        """
        is_upload = request.media.kind == "ignored" and not self._needs_every_body
        if not start or (is_upload and first_json_byte(start) not in (b"{", b"[")):
            return None
        return Refused(Reason.UNSUPPORTED_BODY, self._why_not_read(request, is_upload))

    def _why_not_read(self, request: Request, is_upload: bool) -> str:
        line = request.body_header("content-type")
        if is_upload:
            why = f"the body is sent as {line!a:.80}, but begins as JSON does"
        elif request.media.kind == "none":
            why = "the body has no Content-Type; say what it is"
        elif isinstance(line, list):
            why = "there are two Content-Type headers; send one"
        elif request.body_header("content-encoding") is not None:
            why = "the body has a Content-Encoding; send it uncompressed"
        else:
            kinds = " and ".join(sorted(self._kinds))
            why = (
                f"the body is sent as {line!a:.80}, and the scheme's sources read {kinds} bodies, in UTF-8: send one "
                "of these, or change the sources (add Form for forms, Json for JSON, or drop the sources in the body)"
            )
        return why

    def read(self, request: Request) -> Reading:
        """What the request says. Its body, where one is needed, has been read."""
        found = self._places.find(request)
        if not self.needs_body or request.body_problem is None:
            values = found if self._is_flat else [_pick(found, slots) for slots in self._slots_of]
            reading = self._read_plain(request, values)
            if reading is not None:
                return reading
        return self._read_strictly(request, found)

    def _read_plain(self, request: Request, values: Sequence[Found]) -> Reading | None:
        """The reading where every string is there once and is short, visible ASCII, which is valid in every place."""
        for value in values:
            if type(value) is not str or not value:
                return None
        texts: Any = values
        names = self._id_names
        count = len(names)
        ids = dict(zip(names, texts))  # noqa: B905 -- the signature and the tenant follow the ids
        message: str = self._template % tuple(texts[:count])
        others = texts[count:]
        if len(message) > MAX_ID_BYTES or len(others[-1]) > MAX_ID_BYTES or not is_visible(message + "".join(others)):
            return None
        for character, number in self._counts:
            if message.count(character) != number:
                return None
        tenant = others[1] if self.reads_tenant else None
        whole = tenant is not None and self._saw_tenant(request)
        return make(Reading, (ids, tenant, whole, None, make(Proof, (message.encode(), others[0].encode()))))

    def _read_strictly(self, request: Request, found: list[Found]) -> Reading:
        *texts, signature = map(self._text_of, self.fields, self._slots_of, repeat(found))
        tenant: str | Refused | None = None
        if self.reads_tenant:
            texts, signature, tenant = texts[:-1], texts[-1], signature
        ids = {name: text for name, text in zip(self._id_names, texts, strict=True) if isinstance(text, str)}
        refused = request.body_problem or next(self._problems(tenant, texts, ids, signature), None)
        tenant = tenant if isinstance(tenant, str) else None
        whole = tenant is not None and self._saw_tenant(request)
        message = compose(self._scheme.parts, ids) if refused is None else None
        if message is None or not isinstance(signature, str):
            return Reading(ids, tenant, whole, refused, None)
        return Reading(ids, tenant, whole, None, Proof(message, signature.encode()))

    def _problems(
        self, tenant: Found, texts: Sequence[Found], ids: Mapping[str, str], signature: Found
    ) -> Iterator[Refused]:
        """Why the request cannot be judged; the first one counts."""
        if isinstance(tenant, Refused):
            yield _labelled(self.fields[-1], tenant)
        for field, text in zip(self.fields, texts, strict=False):
            if isinstance(text, Refused):
                yield _labelled(field, text)
            elif text is None and field.name not in self._scheme.optional:
                yield Refused(Reason.MISSING_ID, _missing(field))
        if compose(self._scheme.parts, ids) is None:
            yield Refused(Reason.AMBIGUOUS, "an id holds the text that separates it from the next id in the message")
        if isinstance(signature, Refused):
            yield _labelled(self._scheme.signature_field, signature)
        elif signature is None:
            yield Refused(Reason.MISSING_SIGNATURE, _missing(self._scheme.signature_field))

    def _text_of(self, field: Field, slots: Sequence[int], found: Sequence[Found]) -> Found:
        """The one valid text of a field; None where it is absent or blank."""
        value = _pick(found, slots)
        if isinstance(value, str) and value.strip():
            if field is self._scheme.signature_field:
                wrong = "" if value.isascii() else "is not ASCII"
            else:
                wrong = "" if is_id(value) else why_not_an_id(value)
            if not wrong:
                return value
            value = Refused(Reason.MALFORMED, wrong)
        if not isinstance(value, Refused):
            return None
        places = [f"the {self._places.sources[slot].describe()}" for slot in slots if found[slot] is not None]
        if value is _TWO_PLACES:
            return Refused(value.reason, f"it is in {' and in '.join(places)}{value.detail}")
        refused = [slot for slot in slots if found[slot] is value] or [s for s in slots if found[s] is not None]
        return Refused(value.reason, f"the {self._places.sources[refused[0]].describe()} {value.detail}")

    def _saw_tenant(self, request: Request) -> bool:
        """Whether each place in which the tenant is looked for was read to its end."""
        if not self._tenant_kinds:
            return True
        if request.body_problem is not None or request.body is None:
            return False
        return not request.body or request.media.kind in self._tenant_kinds

    def texts(self, request: Request) -> Iterator[tuple[Field, Found, list[Source]]]:
        """Each field with its text and the places that hold something: for the explanation of a refusal."""
        found = self._places.find(request)
        for field, slots in zip(self.fields, self._slots_of, strict=True):
            yield (
                field,
                self._text_of(field, slots, found),
                [self._places.sources[slot] for slot in slots if found[slot] is not None],
            )


def _pick(found: Sequence[Found], slots: Sequence[int]) -> Found:
    """What a field holds, of what is in its places."""
    present = [found[slot] for slot in slots if found[slot] is not None]
    if len(present) < 2:
        return present[0] if present else None
    return next((value for value in present if isinstance(value, Refused)), _TWO_PLACES)


def _labelled(field: Field, refused: Refused) -> Refused:
    return Refused(refused.reason, f"{field.label}: {refused.detail}")


def _missing(field: Field) -> str:
    return f"{field.label} is missing; the guard looks in {field.source.describe()}"


def _template_of(scheme: Scheme) -> str:
    """The message as a template for `%`, with the ids in the order of the scheme's id fields."""
    return "".join(part.text.replace("%", "%%") if isinstance(part, Literal) else "%s" for part in scheme.parts)
