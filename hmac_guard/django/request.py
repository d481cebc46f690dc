"""A `Request` of a Django request, which both kinds of server bring."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from hmac_guard.asgi.request import HeaderNames
from hmac_guard.core.request import Line, Request
from hmac_guard.wsgi.request import header_in


class DjangoRequest(Request):
    """Its path is Django's own, by which Django routes. Its headers come from the ASGI scope where there is one, since
    Django joins several lines of a header."""

    def __init__(self, request: Any, names: tuple[str, ...]) -> None:
        self._request: HttpRequest = request
        self._scope = getattr(request, "scope", None)
        self._meta = request.META
        self.method = self._meta.get("REQUEST_METHOD", "")
        self.path = request.path_info
        self.query = self._meta.get("QUERY_STRING", "")
        if self._scope is None:
            self.root = settings.FORCE_SCRIPT_NAME or self._meta.get("SCRIPT_NAME", "")
            self.lines = [header_in(self._meta, name) for name in names]
        else:
            self.root = request.path.removesuffix(request.path_info)
            self.lines = HeaderNames(names).find(self._scope.get("headers", ()))

    def header(self, name: str) -> Line:
        if self._scope is None:
            return header_in(self._meta, name)
        return HeaderNames([name]).find(self._scope.get("headers", ()))[0]

    def is_spelled(self, name: str) -> bool:
        return self._scope is None or any(key == name.encode() for key, _ in self._scope.get("headers", ()))
