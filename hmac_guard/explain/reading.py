"""What a request holds for each string of a scheme: what the guard reads, where, and what it stumbles over."""

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import unquote_plus

from hmac_guard.core.bodies import NOWHERE, step_down
from hmac_guard.core.errors import Refused
from hmac_guard.core.field import Field, Source
from hmac_guard.core.message import Id
from hmac_guard.core.paths import compile_templates
from hmac_guard.core.request import Request
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.sources import Cookie, Form, Header, Json, Path, Query
from hmac_guard.core.text import field_values
from hmac_guard.core.verdict import Reason
from hmac_guard.explain.near import Leaf, near
from hmac_guard.explain.places import words_for
from hmac_guard.explain.why import why_ambiguous, why_no_body, why_no_id, why_unreadable


class Reading(NamedTuple):
    """One string of a scheme.

    `name`     the id's name, "signature" or "tenant"
    `value`    what the guard reads, or None
    `places`   where something was found, in words
    `problem`  why the guard refuses it, as a clause about it, or ""
    `guesses`  what may have been meant where the guard reads nothing
    """

    name: str
    value: str | None
    places: tuple[str, ...] = ()
    problem: str = ""
    guesses: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Reading of {self.name}, problem={self.problem!r}>"

    def meanings(self) -> tuple[str | None, ...]:
        """What was meant, as far as it has a UTF-8 form: what was read, or what may have been."""
        texts = (self.value,) if self.value is not None else self.guesses
        return tuple(text.encode("utf-8", "replace").decode() for text in texts) or (None,)


def read_ids(scheme: Scheme, request: Request, every: Sequence[Leaf]) -> tuple[Reading, ...]:
    """The reading of each id, in the order of the message. `every` are all texts in the request."""
    parts = [part for part in scheme.parts if isinstance(part, Id)]
    return tuple(
        _checked(part, _read(field, request, every, optional=part.name in scheme.optional))
        for part, field in zip(parts, scheme.id_fields, strict=True)
    )


def read_signature(scheme: Scheme, request: Request, every: Sequence[Leaf]) -> Reading:
    """The reading of the signature."""
    reading = _read(scheme.signature_field, request, every, optional=False)
    if reading.value is None or reading.value.isascii():
        return reading
    return reading._replace(problem="it is not ASCII, so it is no signature")


def read_tenant(scheme: Scheme, request: Request, every: Sequence[Leaf]) -> Reading | None:
    """The reading of the tenant, None where the scheme names none."""
    return _read(scheme.tenant_field, request, every, optional=True) if scheme.tenant_field else None


def _checked(part: Id, reading: Reading) -> Reading:
    if reading.value is None:
        return reading
    return reading._replace(problem=why_no_id(reading.value) or why_ambiguous(part, reading.value))


def _read(field: Field, request: Request, every: Sequence[Leaf], *, optional: bool) -> Reading:
    found = {place: list(_lenient(place, field.name, request)) for place in field.source.places()}
    used = tuple(words_for(_used(place, field.name, request)) for place, values in found.items() if values)
    guesses = tuple(dict.fromkeys(value for values in found.values() for value in values if value.strip()))
    try:
        value = field.read(request)
    except Refused as refusal:
        return Reading(field.name, None, used, _why_refused(field, request, refusal.reason, used), guesses)
    leaf = None if value is not None else near(field, every)
    if value is not None or (optional and leaf is None):
        return Reading(field.name, value, used)
    return Reading(field.name, None, used, _why_missing(field, request, used, leaf), (leaf.value,) if leaf else ())


def _used(place: Source, name: str, request: Request) -> Source:
    """The place, without the templates of a path that do not match."""
    if not isinstance(place, Path):
        return place
    return Path(*(one for one in place.templates if compile_templates((one,), name).fullmatch(request.path)))


def _why_missing(field: Field, request: Request, used: Sequence[str], leaf: Leaf | None) -> str:
    looked = [words_for(place) for place in field.source.places()]
    if used:
        return f"it is empty in {used[0]}"
    if leaf is None:
        return f"it is missing; send it in {' or in '.join(looked)}"
    if leaf.where in looked:
        return f"it is in {leaf.where}, but {why_no_body(request)}"
    return f"it stands in {leaf.where}, where the guard does not look; send it in {' or in '.join(looked)}"


def _why_refused(field: Field, request: Request, reason: Reason, used: Sequence[str]) -> str:
    if reason is Reason.CONFLICT:
        return f"it is in {' and in '.join(used)}; send it in one place"
    if reason is Reason.UNSUPPORTED_BODY:
        return why_no_body(request)
    for place in field.source.places():
        try:
            values = place.lookup(field.name)(request)
        except Refused as refusal:
            return f"in {words_for(place)} {why_unreadable(place, request, refusal.reason)}"
        if len(values) > 1:
            return f"{words_for(place)} stands there {len(values)} times; send it once"
    return f"it is {reason.value}"


def _lenient(place: Source, name: str, request: Request) -> Iterable[str]:
    """What a lenient reader would find in a place."""
    try:
        match place:
            case Query():
                return [unquote_plus(value) for value in field_values(place.name, request.query)]
            case Form() if request.media.kind == "form":
                encoded = request.body.decode("utf-8", "replace")
                return [unquote_plus(value) for value in field_values(place.name, encoded)]
            case Json():
                node = step_down(json.loads(request.body or b"null"), place.tokens())
                return () if node is NOWHERE or node is None else (node if isinstance(node, str) else json.dumps(node),)
            case Header():
                lines = request.header(place.name.lower())
                return [line.partition(place.before)[0] if place.before else line for line in lines]
            case Cookie():
                pairs = (pair.partition("=") for line in request.header("cookie") for pair in line.split(";"))
                return [value.strip(' "') for key, _, value in pairs if key.strip() == place.name]
            case Path():
                match = compile_templates(place.templates, name).fullmatch(request.path)
                return (match[match.lastindex or 0],) if match else ()
            case _:
                return place.lookup(name)(request)
    except (Refused, ValueError, RecursionError):
        return ()
