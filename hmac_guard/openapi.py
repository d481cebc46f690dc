"""The parts of an OpenAPI document that describe a guard, as plain data."""

import re
from typing import Any

from hmac_guard.core.encodings import ENCODING_NAMES
from hmac_guard.core.refusal import Refusal
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.source import Source
from hmac_guard.core.times import UNIT_NAMES
from hmac_guard.guard import Guard
from hmac_guard.markdown import code


def security_scheme(guard: Guard) -> dict[str, Any]:
    """Return the Security Scheme Object of the signature.

    An `apiKey` has one place: the first one that is a query parameter, a header or a cookie. The description names all
    places. OpenAPI has no type for a signature in the body. In this case the type is `http` with the scheme `HMAC`, as
    in the `WWW-Authenticate` header.
    """
    for place in guard.scheme.signature.places():
        if parameter := place.parameter:
            return {"type": "apiKey", "in": parameter[0], "name": parameter[1], "description": description(guard)}
    return {"type": "http", "scheme": "HMAC", "description": description(guard)}


def scheme_name(guard: Guard) -> str:
    """Return the name of the guard's scheme, in the characters that OpenAPI allows for component names."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", guard.scheme.name)


def description(guard: Guard) -> str:
    """Return a description in Markdown: what is signed and how, and where each id and the signature are sent."""
    scheme = guard.scheme
    written = (f"{code(scheme.prefix)} and then " if scheme.prefix else "") + ENCODING_NAMES[scheme.encoding]
    lines = [
        f"HMAC-{scheme.algorithm.upper()} over {code(scheme.message)}, written as {written}.",
        "",
        f"- signature: {_places(scheme.signature)}",
        *(f"- `{name}`{_optional(scheme, name)}: {_places(source)}" for name, source in scheme.ids.items()),
        *(f"- `{time.name}`, Unix time in {UNIT_NAMES[time.unit]}: {_places(time.source)}" for time in scheme.times),
        *(["- `@body`: the raw body, as it is sent"] if scheme.signs_body else []),
        *(["- `@method`: the method, in capitals"] if scheme.signs_method else []),
    ]
    if guard._decider.reads_tenant and scheme.tenant is not None:
        lines.append(f"- tenant: {_places(scheme.tenant)}")
    return "\n".join(lines)


def responses(guard: Guard) -> dict[int | str, dict[str, Any]]:
    """Return the Responses Object of the guard, with an example for each error code."""
    found: dict[int | str, dict[str, Any]] = {}
    for reason, refusal in guard._decider.possible_refusals().items():
        response = found.setdefault(refusal.code, {"description": _summary(refusal), "content": {}})
        media = response["content"].setdefault(dict(refusal.headers)["Content-Type"], {"examples": {}})
        example = {"value": refusal.document()}
        media["examples"] = {name: kept for name, kept in media["examples"].items() if kept != example}
        media["examples"][reason.value] = example
    return found


def _places(source: Source) -> str:
    return ", or ".join(place.describe(code) for place in source.places())


def _optional(scheme: Scheme, name: str) -> str:
    return " (optional)" if name in scheme.optional else ""


def _summary(refusal: Refusal) -> str:
    return f"{refusal.status.phrase}: the guard has refused the request"
