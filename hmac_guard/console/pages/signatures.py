"""The pages about signatures: whether one is right, and how to make one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Request, Response

from hmac_guard.console.context import Context, attachment, hex_dump
from hmac_guard.console.state import tenant_of
from hmac_guard.core.encodings import ENCODING_NAMES
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.fields import fields_of
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import Keyring
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.signed import reader_of
from hmac_guard.core.source import Field, Source
from hmac_guard.core.sources import Cookie, Header, HeaderItem, Path, Query
from hmac_guard.core.text import is_id, is_named
from hmac_guard.core.times import UNIT_NAMES
from hmac_guard.core.verdict import NO_IDS, Claim
from hmac_guard.explain import Captured, CaptureError, Explanation, KnownKeys, capture, explain_captured
from hmac_guard.explain.capture import as_request
from hmac_guard.explain.items import items_in
from hmac_guard.explain.printable import counted
from hmac_guard.explain.reading import leaves, read_all
from hmac_guard.explain.report import sentences
from hmac_guard.keys.sql import Refusal
from hmac_guard.snippets import LANGUAGES, page, snippet
from hmac_guard.snippets.frontend import curl_command, fetch_code
from hmac_guard.snippets.page import curl_of_example, worked_example

#: The maximum number of shown bytes of a message.
MAX_SHOWN_BYTES = 512
#: The maximum number of characters of a shown line, and of lines.
_MAX_LINE_LENGTH, _MAX_LINES = 2_000, 200


class CheckError(ValueError):
    """The input cannot be checked. The page shows the text."""


@dataclass(frozen=True, slots=True)
class Input:
    """A field of the form for one string of the scheme."""

    name: str
    label: str
    value: str
    is_long: bool = False
    hint: str = ""


class Line(NamedTuple):
    """One line.

    Attributes:
        text: What is sent.
        names: The strings of the scheme that the guard reads here.
        is_wrong: Whether the guard rejects one of them.
    """

    text: str
    names: tuple[str, ...] = ()
    is_wrong: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """The shown part of an explanation. It does not contain the right signature."""

    verified: bool
    names_another_tenant: bool
    is_partial: bool
    key_id: str | None
    sentences: list[str]
    message: str
    rows: list[tuple[str, str, str]]
    more: int
    size: int
    readings: list[tuple[str, str, tuple[str, ...], str]]
    lines: list[Line]
    notes: Sequence[str]


def check_form(context: Context) -> Response:
    """Return the form. With the row of a refused request in the address, it has the ids of that request.

    Raises:
        NotFound: There is no such row, or this console does not have its scheme.
    """
    number = context.number("refusal")
    if number is None:
        return _page(context)
    refusal = context.console.ledger.refusal(number)
    if refusal is None or refusal.scheme not in context.console.schemes:
        raise NotFound("This refused request is no longer stored, or this console does not have its scheme.")
    return _page(context, refusal=refusal)


def check(context: Context) -> Response:
    """Return whether a signature is right, and the mistake that explains a wrong one."""
    return _answered(context, with_signature=False)


def show_right_signature(context: Context) -> Response:
    """Return the right signature too. This is written into the audit before the page is made."""
    return _answered(context, with_signature=True)


def _answered(context: Context, *, with_signature: bool) -> Response:
    scheme, now = context.scheme(), context.now()
    is_pasted = context.field("kind") == "request"
    try:
        captured = hide(_pasted(context) if is_pasted else _typed(context, scheme))
        tenant = context.field("tenant") or _tenant_in(context, scheme, captured)
        ring = _ring(context, scheme, tenant, now)
        partial = not is_pasted and not context.field("signature")
        keys = KnownKeys.of_ring(ring, now)._replace(tenant=tenant)
        explanation = hide(explain_captured(scheme, captured.get(), keys, context.field("mount"), now=now))
        if with_signature:
            ids, message = _read_ids(scheme, explanation.get()), explanation.get().message
            context.console.keys.signature_shown(tenant, scheme.name, ids, message, **context.audit_fields())
    except (CheckError, CaptureError) as error:
        return _page(context, problem=str(error))
    result = _result(scheme, captured, explanation, is_partial=partial, is_pasted=is_pasted)
    shown = explanation if with_signature else None
    return _page(context, result=result, shown_tenant=tenant, shown=shown)


def _page(
    context: Context,
    *,
    problem: str = "",
    result: Result | None = None,
    shown_tenant: str = "",
    shown: Hidden[Any] | None = None,
    refusal: Refusal | None = None,
) -> Response:
    request = context.request
    scheme = context.scheme() if refusal is None else context.console.schemes[refusal.scheme]
    return context.page(
        "check.html",
        400 if problem else 200,
        scheme=scheme,
        encoding_name=ENCODING_NAMES[scheme.encoding],
        inputs=list(_inputs(scheme, request, refusal, context.now())),
        refusal=refusal,
        tenant=refusal.tenant if refusal else request.values.get("tenant", "") or context.arg("name"),
        problem=problem,
        result=result,
        shown_tenant=shown_tenant,
        shown=shown,
    )


def _inputs(scheme: Scheme, request: Request, refusal: Refusal | None, now: float) -> Iterator[Input]:
    """Return the fields of the form, with the typed values or those of a refused request."""
    for field in scheme.id_fields:
        hint = "optional" if field.name in scheme.optional else ""
        stated = refusal.ids.get(field.name, "") if refusal else ""
        yield Input(f"id.{field.name}", field.name, request.form.get(f"id.{field.name}", stated), hint=hint)
    for time in scheme.times:
        # The time of a refused request is not stored. With another one, the check names a wrong mistake.
        typed = request.form.get(f"id.{time.name}", "" if refusal else str(time.ticks(now)))
        yield Input(f"id.{time.name}", time.name, typed, hint=f"Unix {UNIT_NAMES[time.unit]}")
    if scheme.signs_method:
        yield Input("method", "method", request.form.get("method", refusal.method if refusal else "POST"))
    if scheme.signs_body:
        yield Input("body", "body", request.form.get("body", ""), is_long=True, hint="exactly as it is sent")


def _typed(context: Context, scheme: Scheme) -> Captured:
    """Return a request with the typed values."""
    typed = context.request.form.get("signature", "")
    values, items = [], items_in(scheme, typed)
    for field in fields_of(scheme):
        if field is scheme.signature_field:
            values.append(items.get(field.label, typed))
        elif field is scheme.tenant_field:
            values.append(context.field("tenant"))
        else:
            values.append(_id(context, scheme, field.name))
            if items.get(field.label, values[-1]) != values[-1]:
                raise CheckError(
                    f"the typed header has another {field.name}, {items[field.label]!r}; type it there too"
                )
    body = context.field("body")
    try:
        captured = capture(curl_command(scheme, values, body).encode(errors="replace"))
    except ConfigError as error:
        raise CheckError(str(error)) from None
    return captured._replace(method=context.field("method")) if scheme.signs_method else captured


def _id(context: Context, scheme: Scheme, name: str) -> str:
    text = context.request.form.get(f"id.{name}", "")
    if not text and name not in scheme.optional:
        raise CheckError(f"the value of {name} is missing; enter it")
    if text and not is_id(text):
        raise CheckError(
            f"the value of {name} cannot be an id: an id has 1 to 1,024 bytes, no control character, and no space at "
            "either end"
        )
    return text


def _pasted(context: Context) -> Captured:
    entry = context.field("entry").strip()
    if entry and not (entry.isascii() and entry.isdigit() and len(entry) < 10):
        raise CheckError("the number of the HAR entry is a whole number, from 0")
    # A browser sends every line end of a text as CRLF. In the body of a request it is rarely one.
    return capture(context.field("request").encode(errors="replace"), int(entry) if entry else None)


def _tenant_in(context: Context, scheme: Scheme, captured: Hidden[Captured]) -> str:
    request = as_request(captured.get(), reader_of(scheme, with_tenant=False), context.field("mount"))
    request_texts = tuple(leaves(request.query, captured.get().headers, captured.get().body))
    reading = read_all(scheme, request, request_texts).tenant
    if reading is None or reading.value is None:
        raise CheckError("the request does not name a tenant; enter its name")
    return reading.value


def _ring(context: Context, scheme: Scheme, tenant: str, now: float) -> Keyring:
    ring = context.console.keys(Claim(scheme.name, NO_IDS, tenant)) if is_id(tenant) else None
    if not isinstance(ring, Keyring):
        raise CheckError(f"there is no tenant {tenant!r}")
    if not ring.active(now):
        raise CheckError(f"no key of the tenant {tenant!r} is active, so every request is refused as unknown_key")
    return ring


def _read_ids(scheme: Scheme, explanation: Explanation) -> dict[str, str]:
    """Return the ids and times that the guard reads. The explanation guesses others, but a guess is not signed.

    Raises:
        CheckError: An id or a time is not read, or is refused, or the signature was sent in the place of an id.
    """
    for each in explanation.ids:
        is_missing = each.value is None and each.name not in scheme.optional
        if each.problem or is_missing or each.name == explanation.signature_sent_as:
            raise CheckError(f"the guard does not read {each.name} in this request, so there is no right signature")
    return {each.name: each.value for each in explanation.ids if each.value is not None}


def _result(
    scheme: Scheme,
    captured: Hidden[Captured],
    explanation: Hidden[Explanation],
    *,
    is_partial: bool,
    is_pasted: bool,
) -> Result:
    found = explanation.get()
    readings = [(each.name, _shown(each.value), each.places, each.problem) for each in found.ids]
    if found.tenant is not None and (is_pasted or found.tenant.problem):
        readings.append((found.tenant.name, _shown(found.tenant.value), found.tenant.places, found.tenant.problem))
    if not is_partial:
        size = "-" if found.signature.value is None else counted(len(found.signature.value), "character")
        readings.append(("signature", size, found.signature.places, found.signature.problem))
    problems = [f"{each.name}: {each.problem}." for each in found.problems if each is not found.signature]
    shown = found.message[:MAX_SHOWN_BYTES]
    return Result(
        verified=found.verified,
        names_another_tenant=found.names_another_tenant,
        is_partial=is_partial,
        key_id=found.key_id if found.verified else None,
        sentences=problems if is_partial else sentences(found),
        message=shown.decode("utf-8", "backslashreplace"),
        rows=hex_dump(shown),
        more=len(found.message) - len(shown),
        size=len(found.message),
        readings=readings,
        lines=_marked_lines(scheme, captured.get(), found) if is_pasted else [],
        notes=captured.get().notes,
    )


def _shown(value: str | None) -> str:
    return "-" if value is None else value


def _marked_lines(scheme: Scheme, captured: Captured, explanation: Explanation) -> list[Line]:
    """Return the lines of a request: its path, each field of its query, each header, and its body."""
    wrong = {reading.name for reading in explanation.problems}
    fields = fields_of(scheme)

    def line(text: str, kind: str, name: str = "") -> Line:
        names = tuple(field.name for field in fields if any(_is_at(place, kind, name) for place in _places(field)))
        cut = text if len(text) <= _MAX_LINE_LENGTH else f"{text[:_MAX_LINE_LENGTH]}…"
        return Line(cut, names, any(each in wrong for each in names))

    path, mark, query = captured.target.partition("?")
    lines = [line(f"{captured.method} {path}", "path")]
    for number, pair in enumerate(query.split("&") if mark else []):
        lines.append(line(f"  {'&' if number else '?'}{pair}", "query", pair.partition("=")[0]))
    lines += [line(f"{name}: {value}", "header", name) for name, value in captured.headers]
    if captured.body:
        lines += [Line(""), line(captured.body.decode("utf-8", "replace"), "body")]
    return lines[:_MAX_LINES]


def _places(field: Field) -> list[Source]:
    return list(field.source.places())


def _is_at(place: Source, kind: str, name: str) -> bool:
    match place:
        case Path():
            return kind == "path"
        case Query():
            return kind == "query" and is_named(name, place.name)
        case Header() | HeaderItem():
            return kind == "header" and name.lower() == place.name.lower()
        case Cookie():
            return kind == "header" and name.lower() == "cookie"
        case _:
            return kind == "body"


def show_how_to_sign(context: Context) -> Response:
    """Return the page for the customer's engineer: the code that signs, an example, and the request."""
    scheme, tenant = context.scheme(), _named_tenant(context)
    language = context.arg("language") if context.arg("language") in LANGUAGES else "python"
    try:
        code, problem = snippet(scheme, language), ""
        example = worked_example(scheme, tenant or "acme")
        curl = curl_of_example(scheme, example, tenant or "acme")
        fetch = fetch_code(scheme, tenant or "acme")
    except ConfigError as error:
        example, curl, fetch, code, problem = None, "", "", "", str(error)
    return context.page(
        "signing.html",
        scheme=scheme,
        encoding_name=ENCODING_NAMES[scheme.encoding],
        tenant=tenant,
        languages=LANGUAGES,
        language=language,
        code=code,
        example=example,
        curl=curl,
        fetch=fetch,
        problem=problem,
    )


def download_how_to_sign(context: Context) -> Response:
    """Return the same as Markdown, in every language."""
    scheme, tenant = context.scheme(), _named_tenant(context)
    text = page(scheme, tenant=tenant or "acme")
    name = f"{scheme.name}-{tenant}" if tenant else scheme.name
    headers = attachment(f"how-to-sign-{name[:80]}.md")
    return Response(text, content_type="text/markdown; charset=utf-8", headers=headers)


def _named_tenant(context: Context) -> str:
    """Return the tenant that the address names, which must exist, or "" if it names none."""
    name = context.arg("name")
    return tenant_of(context, name).name if name else ""
