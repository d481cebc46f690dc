"""Puts fields into the body of a request."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus, urlencode

from hmac_guard.core.hidden import Hidden

_CANNOT = "the scheme places ids or the signature in the body, and the body of this request is"


def json_with(body: bytes, kind: str, fields: Hidden[Mapping[str, Any]]) -> bytes:
    """Return a JSON body with these fields, as compact JSON.

    Args:
        body: The body before; an empty one counts as an object without members.
        kind: The kind of its media type, as of `core.bodies.parse_media`.
        fields: The fields, as nested objects.

    Raises:
        ValueError: The body is no JSON object, or a list is where a field needs an object.
    """
    if body and kind not in ("json", "none"):
        raise ValueError(f"{_CANNOT} no JSON: send JSON, or sign with a scheme whose places are outside the body")
    merged = _merged(body, fields)
    if merged is None:
        raise ValueError(f"{_CANNOT} no JSON object, or has a list where an object has to be")
    return merged


def form_with(body: bytes, kind: str, fields: Hidden[Mapping[str, str]]) -> bytes:
    """Return an urlencoded body with these fields in the place of those with the same names.

    Raises:
        ValueError: The body is of another kind.
    """
    if body and kind not in ("form", "none"):
        raise ValueError(
            f"{_CANNOT} no urlencoded form: send one, or sign with a scheme whose places are outside the body"
        )
    kept = [
        part for part in body.split(b"&") if part and unquote_plus(part.split(b"=")[0].decode()) not in fields.get()
    ]
    return b"&".join([*kept, urlencode(fields.get()).encode()])


def _merged(body: bytes, fields: Hidden[Mapping[str, Any]]) -> bytes | None:
    try:
        document = json.loads(body) if body else {}
        json.dumps(document, allow_nan=False)  # 1e400 is read as infinity, which JSON cannot say.
    except ValueError:
        return None
    if not isinstance(document, dict) or not _merge(document, fields.get()):
        return None
    return json.dumps(document, separators=(",", ":")).encode()


def _merge(document: dict[str, Any], fields: Mapping[str, Any]) -> bool:
    """Put the fields into a document. Return whether that was possible."""
    for name, value in fields.items():
        inner = document.get(name)
        if isinstance(value, dict) and isinstance(inner, list):
            return False
        if not isinstance(value, dict) or not isinstance(inner, dict):
            document[name] = value
        elif not _merge(inner, value):
            return False
    return True
