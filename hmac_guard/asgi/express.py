"""How the express lane looks at an ASGI scope (see `hmac_guard.core.express`)."""

from collections.abc import Iterator, Mapping

from hmac_guard.asgi.request import AS_ONE, path_of
from hmac_guard.core.wire import Name, Wire


def _look_at_headers(wanted: Mapping[str, str], name: Name) -> Iterator[str]:
    """Goes through them once, and calls nothing for those of another length."""
    numbers = name({header.encode(): number for number, header in enumerate(wanted.values(), 1)})
    yield "headers = request.get('headers', ())"
    # What can be gone through only once is not to be begun here.
    yield "if type(headers) not in (list, tuple): return None"
    yield "for key, value in headers:"
    yield f"    if len(key) in {name(frozenset(map(len, wanted.values())))}:"
    yield f"        number = {numbers}.get(key) or {numbers}.get(key.translate(AS_ONE))"
    for number, line in enumerate(wanted, 1):
        yield f"        if number == {number}:"
        yield f"            if {line} is not None or not value.isascii(): return None"
        yield f"            {line} = value.decode()"


SCOPE = Wire(
    method="request.get('method')",
    path="path_of(request)",
    query="request.get('query_string', b'').decode('latin-1')",
    headers=_look_at_headers,
    values={"AS_ONE": AS_ONE, "path_of": path_of},
)
