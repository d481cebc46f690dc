"""How the express lane looks at a WSGI environ (see `hmac_guard.core.express`)."""

from collections.abc import Iterator, Mapping

from hmac_guard.core.wire import Name, Wire
from hmac_guard.wsgi.request import environ_keys, path_of


def _look_at_headers(wanted: Mapping[str, str], name: Name) -> Iterator[str]:
    """Each is there once: the server has joined what came twice, with a comma. None is one that could have a twin."""
    for line, header in wanted.items():
        yield f"{line} = request.get({name(environ_keys(header)[0])})"


ENVIRON = Wire(
    method="request.get('REQUEST_METHOD')",
    path="path_of(request)",
    query="request.get('QUERY_STRING', '')",
    headers=_look_at_headers,
    values={"path_of": path_of},
)
