"""How the express lane looks at an ASGI scope (see `hmac_guard.core.express`)."""

from collections.abc import Iterator, Mapping
from typing import Any

from hmac_guard.asgi.request import AS_ONE, OF_BODIES, path_of
from hmac_guard.core.framing import DIGITS
from hmac_guard.core.wire import Name, Wire


def _look_at_headers(wanted: Mapping[str, str], name: Name) -> Iterator[str]:
    """Goes through them once, and calls nothing for those of another length or first letter. Only those in the usual
    spelling are plain."""
    lines = {header.encode(): line for line, header in wanted.items()}
    # A name may begin with "-", too.
    firsts = {spelling[0] for key in lines for spelling in (key, key.upper(), key.replace(b"-", b"_"))}
    yield "headers = request.get('headers', [])"
    # What can be gone through only once is not to be begun here.
    yield "if type(headers) is not list: return None"
    yield "for key, value in headers:"
    yield f"    if len(key) in {name(frozenset(map(len, lines)))}:"
    test = "if"
    for key, line in lines.items():
        yield f"        {test} key == {name(key)}:"
        yield f"            if {line} is not None or not value.isascii(): return None"
        yield f"            {line} = value.decode()"
        test = "elif"
    yield f"        elif key[0] in {name(frozenset(firsts))} and key.translate(AS_ONE) in {name(frozenset(lines))}:"
    yield "            return None"


SCOPE = Wire(
    method="request.get('method')",
    path="path_of(request)",
    query="request.get('query_string', b'').decode('latin-1')",
    headers=_look_at_headers,
    values={"AS_ONE": AS_ONE, "path_of": path_of},
    body="body.content",
    document="body.json_document()",
)


_OF_BODIES = frozenset(map(str.encode, OF_BODIES))
_LENGTHS = frozenset(map(len, _OF_BODIES))


def plain_length(scope: Any) -> int | None:
    """How many bytes of JSON the request announces, or 0 where it says nothing of a body (which there may be all the
    same, without a length, behind HTTP/2).

    None where that is not plain: no HTTP, perhaps a preflight; a body of another type, without a length, of no bytes,
    encoded or chunked; a header that is there twice or in another spelling.
    """
    headers = scope.get("headers", [])
    if scope["type"] != "http" or scope.get("method") == "OPTIONS" or type(headers) is not list:
        return None
    is_json, length = False, None
    for key, value in headers:
        if len(key) in _LENGTHS:
            if key == b"content-length":
                if length is not None or not value.isdigit() or len(value) > DIGITS:
                    return None
                length = int(value)
            elif key == b"content-type":
                if is_json or value != b"application/json":
                    return None
                is_json = True
            elif key.translate(AS_ONE) in _OF_BODIES:
                return None
    if is_json:
        return length or None
    return 0 if length is None else None
