"""What an OpenAPI document says of a guard, as plain data."""

import json
from typing import Any

from hmac_guard.core.field import Source
from hmac_guard.core.refusal import Refusal
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.sources import Cookie, Form, Header, Json, Path, Query
from hmac_guard.guard import Guard

_ENCODINGS = {"hex": "lower-case hex", "base64": "base64 with padding", "base64url": "base64url without padding"}
_PARAMETERS: dict[type[Source], str] = {Query: "query", Header: "header", Cookie: "cookie"}


def parameter_of(place: Source) -> tuple[str, str] | None:
    """Where OpenAPI says that the place is, `("query", "hmac")`; None for a path or a body."""
    kind = _PARAMETERS.get(type(place))
    return (kind, place.name) if kind and isinstance(place, (Query, Header, Cookie)) else None


def security_scheme(guard: Guard) -> dict[str, Any]:
    """The Security Scheme Object of the signature.

    An `apiKey` has one place, the first that is a query parameter, a header or a cookie; the description names them
    all. OpenAPI has no kind for a signature that travels in the body alone: it then goes by the scheme of the
    challenge, `HMAC`.
    """
    for place in guard.scheme.signature.places():
        if parameter := parameter_of(place):
            return {"type": "apiKey", "in": parameter[0], "name": parameter[1], "description": description(guard)}
    return {"type": "http", "scheme": "HMAC", "description": description(guard)}


def description(guard: Guard) -> str:
    """What is signed and how, and where each id and the signature travel, as Markdown."""
    scheme = guard.scheme
    prefix = f"`{scheme.prefix}` and then " if scheme.prefix else ""
    lines = [
        f"HMAC-{scheme.algorithm.upper()} over `{scheme.message}`, written as {prefix}{_ENCODINGS[scheme.encoding]}.",
        "",
        f"- signature: {_places(scheme.signature)}",
        *(f"- `{name}`{_optional(scheme, name)}: {_places(source)}" for name, source in scheme.ids.items()),
    ]
    if scheme.tenant is not None and guard.per_tenant:
        lines.append(f"- whose key: {_places(scheme.tenant)}")
    return "\n".join(lines)


def responses(guard: Guard) -> dict[int | str, dict[str, Any]]:
    """The Responses Object of what the guard may answer, an example for each code."""
    found: dict[int | str, dict[str, Any]] = {}
    for reason, refusal in guard.refusals().items():
        response = found.setdefault(refusal.status.value, {"description": _summary(refusal), "content": {}})
        media = response["content"].setdefault(dict(refusal.headers)["Content-Type"], {"examples": {}})
        example = {"value": _value(refusal.body)}
        media["examples"] = {name: kept for name, kept in media["examples"].items() if kept != example}
        media["examples"][reason.value] = example
    return found


def _places(source: Source) -> str:
    return ", or ".join(map(_place, source.places()))


def _place(place: Source) -> str:
    match place:
        case Query(name=name):
            return f"query parameter `{name}`"
        case Header(name=name, before=before):
            return f"header `{name}`" + (f", what stands before `{before}`" if before else "")
        case Cookie(name=name):
            return f"cookie `{name}`"
        case Json(pointer=pointer):
            return f"JSON body at `{pointer}`"
        case Form(name=name):
            return f"form field `{name}`"
        case Path():
            return "path " + ", ".join(f"`{template}`" for template in place.templates)
    return repr(place)


def _optional(scheme: Scheme, name: str) -> str:
    return " (may be left out)" if name in scheme.optional else ""


def _summary(refusal: Refusal) -> str:
    return f"{refusal.status.phrase}: the guard has refused the request"


def _value(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
