"""What a guard may see of a request: raw, unjudged, and with ALL values of whatever is looked up.

Each door makes its own kind; nothing that decides knows which.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from hmac_guard.core import bodies, multipart
from hmac_guard.core.errors import Refused
from hmac_guard.core.text import decode_field, field_values
from hmac_guard.core.verdict import Reason


class Request(ABC):
    """One request.

    `method`  as sent
    `path`    the application's own, decoded once; U+FFFD where the bytes were not UTF-8
    `query`   as sent, one character for each byte
    `body`    the bytes, once the door has read them; empty where none were sent or none were needed
    `body_problem`  why the door could not read the body, or None
    """

    method: str
    body: bytes = b""
    body_problem: Reason | None = None
    _media: bodies.Media | None = None
    _parsed: Any = None

    @property
    @abstractmethod
    def path(self) -> str: ...

    @property
    @abstractmethod
    def query(self) -> str: ...

    @abstractmethod
    def header(self, name: str) -> Sequence[str]:
        """All values of the header `name` (lower case, with `-`) under any spelling; one character for each byte."""

    def paths(self) -> Sequence[str]:
        """Every path for which an application might take this request's: it goes unguarded only if all of them may."""
        return (self.path,)

    @property
    def media(self) -> bodies.Media:
        """What the body is said to be."""
        if self._media is None:
            self._media = bodies.parse_media(self.header("content-type"))
        return self._media

    def query_values(self, name: str) -> list[str]:
        """Every value of the query parameter `name`, decoded."""
        return [decode_field(value) for value in field_values(name, self.query)]

    def json_document(self) -> Any:
        """The JSON document in the body, or None where there is none."""
        if not self._has_body_of("json"):
            return None
        if self._parsed is None:
            self._parsed = bodies.parse_json(self.body)
        return self._parsed

    def form_values(self, name: str) -> list[str]:
        """Every value of the form field `name`, urlencoded or multipart, decoded."""
        if self._has_body_of("form"):
            if self._parsed is None:
                self._parsed = bodies.parse_form(self.body)
            return bodies.form_values(name, self._parsed)
        if self._has_body_of("multipart"):
            if self._parsed is None:
                self._parsed = multipart.parse_multipart(self.media.boundary, self.body)
            return multipart.multipart_values(name, self._parsed)
        return []

    def _has_body_of(self, kind: str) -> bool:
        if not self.body:
            return False
        media = self.media
        if media.kind not in (kind, "unclear", "none"):
            return False
        # Nobody inflates: the application would get the compressed bytes, and a gateway behind it perhaps others.
        codings = self.header("content-encoding")
        if not media.readable or (codings and {coding.lower() for coding in codings} != {"identity"}):
            raise Refused(Reason.UNSUPPORTED_BODY)
        return True
