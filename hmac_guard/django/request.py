"""The `Request` of a Django request, from a WSGI or an ASGI server.

Before middleware runs, Django has already written an ASGI body to a file. So both kinds of body are read in the same
way.
"""

import io
from typing import Any

from hmac_guard.asgi.request import HeaderNames
from hmac_guard.core.bodies import parse_media
from hmac_guard.core.errors import BodyAlreadyRead
from hmac_guard.core.reader import Reader
from hmac_guard.core.request import BODY_HEADERS, Line, Request
from hmac_guard.core.verdict import Reason, Refused
from hmac_guard.wsgi.body import take_body
from hmac_guard.wsgi.request import header_in

_NOT_PARSED = Refused(Reason.BAD_FRAMING, "Django found no field in the form, and its bytes were already read")


class DjangoRequest(Request):
    """A Django request for the guard.

    The path is the one that Django routes. On ASGI, the headers come from the scope, because Django joins several lines
    of a header.

    Attributes:
        django: Django's request.
        is_asgi: Whether the request came from an ASGI server.
        scope: The ASGI scope or the WSGI environ. The verdict is stored in it.
    """

    django: Any
    is_asgi: bool
    scope: dict[str, Any]

    def read_framing(self) -> None:
        """Read the headers that tell where the body ends and what it is."""
        self.framing = [*map(self.header, BODY_HEADERS)]
        self.media = parse_media(self.framing[0])

    def header(self, name: str) -> Line:
        if not self.is_asgi:
            return header_in(self.django.META, name)
        return HeaderNames([name]).find(self.scope.get("headers", ()))[0]

    def is_spelled(self, name: str) -> bool:
        return not self.is_asgi or any(key == name.encode() for key, _ in self.scope.get("headers", ()))

    def read_body(self, reader: Reader, limit: int) -> None:
        """Read the body as far as the reader needs it. The view can still read the same bytes."""
        if reader.refuses_ahead(self):
            self.stream = self._body_stream()
            return
        if self._is_gone():
            self._take_parsed(reader)
            return
        stream, ends = self._readable()
        body = take_body(self, reader, stream, ends, limit)
        if body is not None and not self.django._read_started:
            self._give_back(body.rest())
        self.stream = self._body_stream()

    def has_body_of(self, judged: Request) -> bool:
        """Return whether the view reads the body that was judged."""
        if self._body_stream() is judged.stream:
            return True
        if not self.is_asgi or self._is_gone() or judged.body is None:
            return False
        same: bool = self.django.body == judged.body
        return same

    def join_cookies(self) -> None:
        """Join several Cookie lines with "; ". On ASGI, Django joins them with a comma and would read other values."""
        lines = [value for name, value in self.scope["headers"] if name == b"cookie"]
        meta = self.django.META
        if len(lines) == 1 and meta.get("HTTP_COOKIE") != lines[0].decode("latin-1"):
            meta["HTTP_COOKIE"] = lines[0].decode("latin-1")
            vars(self.django).pop("COOKIES", None)

    def _is_gone(self) -> bool:
        """Return whether the body was read from the stream and Django did not keep it."""
        return self.django._read_started and not hasattr(self.django, "_body")

    def _readable(self) -> tuple[Any, bool]:
        """Return the stream of the body, and whether the stream has an end."""
        if self.django._read_started:  # Django keeps a body that was read completely.
            return io.BytesIO(self.django.body), True
        return self._body_stream(), self.is_asgi or bool(self.scope.get("wsgi.input_terminated"))

    def _body_stream(self) -> Any:
        """Return the object from which Django reads the body."""
        return self.django._stream if self.is_asgi else self.django.META.get("wsgi.input")

    def _take_parsed(self, reader: Reader) -> None:
        """Use the form that Django has already parsed as the body."""
        if not reader.wants_all_of(self):
            self.body_problem = reader.refuse_start(self, b"{")
        elif reader.signs_body or self.media.kind == "json":
            raise BodyAlreadyRead
        else:
            fields = [(name, value) for name, values in self.django.POST.lists() for value in values]
            self.form, self.body = [*fields, *((name, None) for name in self.django.FILES)], b""
            # Django keeps an empty form if it could not parse the body, or if other code has read it.
            self.body_problem = None if self.form else _NOT_PARSED

    def _give_back(self, stream: Any) -> None:
        """Let Django read the body from the beginning."""
        meta = self.django.META
        self.django._stream = stream
        if not self.is_asgi:
            meta["wsgi.input"] = stream
        if self.body is not None:
            meta["CONTENT_LENGTH"] = str(len(self.body))
            meta.pop("HTTP_TRANSFER_ENCODING", None)
