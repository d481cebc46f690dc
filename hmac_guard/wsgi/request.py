"""A `Request` from a WSGI environ (PEP 3333)."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from hmac_guard.core.bodies import parse_media
from hmac_guard.core.request import BODY_HEADERS, Line, Request


class WsgiRequest(Request):
    """A request whose headers come from `HTTP_*`: two lines arrive joined by a comma, and `_` for `-`, as in CGI."""

    def header(self, name: str) -> Line:
        return header_in(self.source, name)


def read_environ(environ: dict[str, Any], keys: Iterable[str], with_body: bool) -> WsgiRequest:
    """Return the request of an environ, with the headers under these keys; `with_body`, the last are BODY_HEADERS."""
    request = WsgiRequest()
    request.source = environ
    try:
        request.method = environ["REQUEST_METHOD"]
        request.root = environ["SCRIPT_NAME"]
        path = environ["PATH_INFO"]
        request.query = environ["QUERY_STRING"]
    except KeyError:  # PEP 3333 lets a server leave out what is empty.
        return read_environ({**_EMPTY, **environ}, keys, with_body)
    request.path = path if path.isascii() else path_of(path)
    lines: list[Line] = []
    for key in keys:
        line = environ.get(key)
        lines.append(line if type(line) is str or line is None else str(line))
    if with_body:
        *lines, content_type, length, coding, transfer_encoding = lines
        request.framing = (content_type, length, coding, transfer_encoding)
        if "HTTP_CONTENT_TYPE" in environ or "HTTP_CONTENT_LENGTH" in environ:
            request.framing = [*map(request.header, BODY_HEADERS)]
        request.media, request.body_problem = parse_media(request.framing[0]), None
    request.lines = lines
    return request


_EMPTY = {"REQUEST_METHOD": "", "SCRIPT_NAME": "", "PATH_INFO": "", "QUERY_STRING": ""}


def header_in(environ: dict[str, Any], name: str) -> Line:
    """Return the header `name` (lower case, with `-`) of an environ."""
    key, twin = environ_keys(name)
    value = environ.get(key)
    if twin is None or twin not in environ:
        return value if value is None or isinstance(value, str) else str(value)
    # Some adapters of serverless hosts set both keys of one header.
    other = str(environ[twin])
    if value is None:
        # No framework takes `Content_Type` for the type of the body, so the type is unclear.
        return [other] if key == "CONTENT_TYPE" else other
    return other if str(value) == other else [str(value), other]


@cache
def environ_keys(name: str) -> tuple[str, str | None]:
    """Return the key of a header, and another key under which some servers put it as well."""
    key = name.upper().replace("-", "_")
    # Some servers put `Content_Type:` beside the real one under an HTTP_ key.
    return (key, "HTTP_" + key) if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else ("HTTP_" + key, None)


def path_of(latin: str) -> str:
    """Return the decoded path by which the application routes.

    Args:
        latin: PATH_INFO alone. With gunicorn and granian, a client's header or a prefix can move bytes into
            SCRIPT_NAME.
    """
    if latin.isascii():
        return latin
    try:
        return latin.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return "\ufffd"
