"""A `Request` of a WSGI environ (PEP 3333)."""

from functools import cache
from typing import Any

from hmac_guard.core.request import Line, Request


class WsgiRequest(Request):
    """Headers come from `HTTP_*`: two lines of one name arrive joined by a comma, and `_` for `-`, as CGI has it."""

    def __init__(self, environ: dict[str, Any], names: tuple[str, ...]) -> None:
        self.source = environ
        get = environ.get
        self.method = get("REQUEST_METHOD", "")
        self.root = get("SCRIPT_NAME", "")
        self.path = path_of(get("PATH_INFO", ""))
        self.query = get("QUERY_STRING", "")
        self.lines = lines = [*map(get, _environ_keys(names))]
        for line in lines:
            if line is not None and type(line) is not str:
                self.lines = [header_in(environ, name) for name in names]

    def header(self, name: str) -> Line:
        return header_in(self.source, name)


def header_in(environ: dict[str, Any], name: str) -> Line:
    """The header `name` (lower case, with `-`) of an environ."""
    key, twin = environ_keys(name)
    value = environ.get(key)
    if twin is None or twin not in environ:
        return value if value is None or isinstance(value, str) else str(value)
    # Some adapters of serverless hosts set both keys of one header.
    other = environ[twin]
    return str(other) if value is None or str(value) == str(other) else [str(value), str(other)]


@cache
def _environ_keys(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(environ_keys(name)[0] for name in names)


@cache
def environ_keys(name: str) -> tuple[str, str | None]:
    """The key of a header, and another one under which some servers put it as well."""
    key = name.upper().replace("-", "_")
    # Some servers put `Content_Type:` beside the real one under an HTTP_ key.
    return (key, "HTTP_" + key) if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else ("HTTP_" + key, None)


def path_of(latin: str) -> str:
    """The path that the application routes by, decoded. `latin` is PATH_INFO alone: gunicorn and granian let a client's
    header or a prefix move bytes into SCRIPT_NAME."""
    if latin.isascii():
        return latin
    try:
        return latin.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return "\ufffd"
