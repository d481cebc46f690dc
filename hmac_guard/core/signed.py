"""The reader of schemes that sign more than ids: times, the method, the raw body. No request makes it raise."""

from collections.abc import Mapping
from types import MappingProxyType

from hmac_guard.core.message import Time
from hmac_guard.core.reader import Reader
from hmac_guard.core.reading import Reading
from hmac_guard.core.request import Request
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.times import is_time
from hmac_guard.core.verdict import Reason, Refused

_NOTHING_SIGNED = Refused(
    Reason.MISSING_ID,
    "the body is empty, and nothing else is signed: such a signature would be valid for every request",
)
_NO_BODY = Refused(Reason.MALFORMED, "the body was not read, and the scheme signs it")


def reader_of(scheme: Scheme, *, with_tenant: bool) -> Reader:
    """Return the reader of a scheme."""
    kind = SignedReader if scheme.times or scheme.signs_body or scheme.signs_method else Reader
    return kind(scheme, with_tenant=with_tenant)


class SignedReader(Reader):
    """Also reads the times, the method and the body that a scheme signs."""

    def __init__(self, scheme: Scheme, *, with_tenant: bool) -> None:
        super().__init__(scheme, with_tenant=with_tenant)
        self.signs_body = scheme.signs_body
        # If a time is in the body, the message is not the first part of the texts.
        signed = [part.name for part in scheme.parts if isinstance(part, Time)]
        self._reads_in_order = all(name in signed for name in self._time_names)

    def wants_all_of(self, request: Request) -> bool:
        return self.signs_body or super().wants_all_of(request)

    def refuses_ahead(self, request: Request) -> bool:
        if not self.signs_body or self._kinds:
            return False
        request.ahead = self._read_head(request)
        return request.ahead.refused is not None

    def read(self, request: Request) -> Reading:
        reading: Reading = request.ahead or self._read_head(request)
        if self.signs_body and reading.message is not None:
            refused = request.body_problem or self._problem_of(request.body)
            reading.refused = refused
            reading.message = None if refused else reading.message + (request.body or b"")
        return reading

    def _problem_of(self, body: bytes | None) -> Refused | None:
        if body is None:
            return _NO_BODY
        return _NOTHING_SIGNED if self._scheme.signs_body_alone and not body else None

    def _read_head(self, request: Request) -> Reading:
        """Return what the request says, without its raw body."""
        if self.signs_body and self._kinds and request.body_problem is None and not super().wants_all_of(request):
            request.body_problem = self.refuse_start(request, request.body or b"")
        reading = super().read(request) if self._reads_in_order else None
        if reading is None or not self._has_times(reading.ids):
            reading = self._read_strictly(request, self._places.find(request))
        texts = reading.ids
        reading.times, ids = {}, {}
        for name, text in texts.items():
            if name in self._time_names:
                reading.times[name] = text
            elif name in self._scheme.ids:
                ids[name] = text
        reading.ids = MappingProxyType(ids)
        return reading

    def _has_times(self, texts: Mapping[str, str]) -> bool:
        for name in self._time_names:  # noqa: SIM110 -- A generator takes twice the instructions.
            if not is_time(texts.get(name, "")):
                return False
        return True
