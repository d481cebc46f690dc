"""A `Request` out of a WSGI environ (PEP 3333)."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from hmac_guard.core.request import Request


class WsgiRequest(Request):
    """Headers come from `HTTP_*`: two lines of one name arrive joined by a comma, and `_` for `-`, as CGI has it."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self._environ = environ
        self.method = environ.get("REQUEST_METHOD", "")

    @property
    def path(self) -> str:
        return path_of(self._environ)

    @property
    def query(self) -> str:
        query: str = self._environ.get("QUERY_STRING", "")
        return query

    def header(self, name: str) -> Sequence[str]:
        key, twin = environ_keys(name)
        value = self._environ.get(key)
        if twin in self._environ:
            return [self._environ[twin]] if value is None else [value, self._environ[twin]]
        return () if value is None else (value,)


@cache
def environ_keys(name: str) -> tuple[str, str | None]:
    """Under which key a header stands, and under which other one, too, on some servers."""
    key = name.upper().replace("-", "_")
    # Some servers put `Content_Type:` beside the real one under an HTTP_ key.
    return (key, "HTTP_" + key) if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else ("HTTP_" + key, None)


def path_of(environ: dict[str, Any]) -> str:
    # PATH_INFO alone: gunicorn and granian let a client's header or a prefix move bytes into SCRIPT_NAME.
    latin: str = environ.get("PATH_INFO", "")
    if latin.isascii():
        return latin
    try:
        return latin.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return "\ufffd"
