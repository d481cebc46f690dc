"""What a signer reads from a body that is signed: the ids, the times and the tenant that a guard reads from it."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hmac_guard.core.bodies import begins_as_json, form_values, parse_form, parse_json
from hmac_guard.core.fields import is_path
from hmac_guard.core.found import text_at
from hmac_guard.core.multipart import Part, multipart_values, parse_multipart
from hmac_guard.core.source import Field
from hmac_guard.core.sources import Json
from hmac_guard.core.text import is_visible
from hmac_guard.core.times import NOT_A_TIME, is_time
from hmac_guard.core.verdict import Reason, Refused

if TYPE_CHECKING:
    from hmac_guard.core.scheme import Scheme


def fields_in_body(scheme: "Scheme", given: Mapping[str, Any]) -> Iterator[Field]:
    """Yield the ids and times that can be sent only in a signed body, or in the path."""
    for field in (*scheme.id_fields, *(each.field for each in scheme.times)):
        if _is_in_body(scheme, field, given.get(field.name)):
            yield field


def tenant_in_body(scheme: "Scheme", tenant: Any) -> Field | None:
    """Return the field of a tenant that can be sent only in a signed body, or in the path; None for any other."""
    field = scheme.tenant_field
    return field if field is not None and tenant is not None and _is_in_body(scheme, field, tenant) else None


def _is_in_body(scheme: "Scheme", field: Field, text: Any) -> bool:
    if not scheme.signs_body or not field.kinds:
        return False
    outside = [place for place in field.source.places() if not place.kinds and not is_path(place)]
    return not any(not isinstance(text, str) or place.can_carry(text) for place in outside)


_IN_TWO_PLACES = Refused(Reason.CONFLICT, "is in the body more than once; send it once")
_ANOTHER = Refused(Reason.CONFLICT, "is in the body with another value than the one that is given")
_NOT_A_TEXT = Refused(Reason.MALFORMED, "is read from the body, and is not in it as text")


def found_in(scheme: "Scheme", field: Field, body: bytes, given: Any) -> str | Refused | None:
    """Return what a signed body has of a field, or why a guard refuses it; None if the field is somewhere else."""
    if not scheme.signs_body or not field.kinds:
        return None
    places = [place for place in field.source.places() if place.kinds]
    is_expected = _is_in_body(scheme, field, given)
    kind = _kind_of(body)
    able = [place for place in places if kind in place.kinds] or (places if is_expected else [])
    found = [text for place in able for text in _texts_in(body, place)]
    if not found and (not is_expected or any(map(is_path, field.source.places()))):
        return None
    if len(found) > 1:
        return _IN_TWO_PLACES
    text = found[0] if found else _NOT_A_TEXT
    if not isinstance(text, str):
        return _NOT_A_TEXT
    return text if given is None or given == text else _ANOTHER


def read_body(scheme: "Scheme", given: Mapping[str, Any], body: bytes) -> dict[str, str] | Refused:
    """Return the ids and times that can only be in a signed body, or why every guard refuses it.

    A guard reads nothing else from a body of another Content-Type, which is not known here.

    Args:
        scheme: The scheme.
        given: The ids and times that are given.
        body: The body.
    """
    read: dict[str, str] = {}
    times = [each.field for each in scheme.times]
    alone = [field for field in fields_in_body(scheme, given) if not any(map(is_path, field.source.places()))]
    for field in alone:
        found = found_in(scheme, field, body, given.get(field.name))
        if isinstance(found, str) and field in times and not is_time(found):
            found = Refused(Reason.MALFORMED, NOT_A_TIME)
        if isinstance(found, Refused):
            return Refused(found.reason, f"{field.label} {found.detail}")
        read[field.name] = str(found)
    return read


def _kind_of(body: bytes) -> str:
    """Return what a body looks like; "" for none of the kinds. Its Content-Type is not known here."""
    if begins_as_json(body):
        return "json"
    if _parts_of(body) is not None:
        return "multipart"
    # A file may have the text `&user=`, and is no form.
    return "form" if is_visible(body.decode("latin-1")) else ""


def _parts_of(body: bytes) -> list[Part] | None:
    """Return the parts of a multipart body, with the boundary of its first line; None for another body."""
    start, _, _ = body.lstrip(b"\r\n").partition(b"\r\n")
    parts = parse_multipart(start[2:].decode("latin-1"), body) if start[:2] == b"--" != start else None
    return parts if isinstance(parts, list) else None


def _texts_in(body: bytes, place: Any) -> list[str | Refused]:
    """Return what a body has in a place, a `Json` or a `Form`."""
    if isinstance(place, Json):
        document = parse_json(body)
        text = None if isinstance(document, Refused) else text_at(document, place.tokens(), place.allow_int)
        return [] if text is None else [text]
    parts, form = _parts_of(body), parse_form(body)
    if parts is not None:
        values: Any = multipart_values(place.name, parts)
        return [values] if isinstance(values, Refused) else values
    values = form if isinstance(form, Refused) else form_values(place.name, form)
    return [] if isinstance(values, Refused) else values
