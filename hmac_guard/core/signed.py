"""The reader of schemes that sign more than ids: times, the method, the raw body. No request makes it raise."""

from hmac_guard.core.message import Time
from hmac_guard.core.reader import Reader
from hmac_guard.core.reading import Reading
from hmac_guard.core.request import Request
from hmac_guard.core.scheme import Scheme
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
        # If a time is in the body, the message is not the first part of the texts.
        signed = [part.name for part in scheme.parts if isinstance(part, Time)]
        self._reads_in_order = all(name in signed for name in self._time_names)

    # A call by this name takes fewer instructions than one through `super()`.
    _read_all = Reader.read

    def wants_all_of(self, request: Request) -> bool:
        return self.signs_body or super().wants_all_of(request)

    def refuses_ahead(self, request: Request) -> bool:
        if not self.signs_body or self._kinds:
            return False
        request.ahead = reading = self._read_head(request)
        request.is_refused_ahead = reading.refused is not None
        return request.is_refused_ahead

    def read(self, request: Request) -> Reading:
        reading: Reading | None = request.ahead
        request.ahead = None  # It refers to the request.
        if reading is None:
            if self.signs_body and self._kinds and request.body_problem is None and not super().wants_all_of(request):
                request.body_problem = self.refuse_start(request, request.body or b"")
            reading = self._read_head(request)
        if self.signs_body and reading.message is not None:
            if request.body and request.body_problem is None:
                reading.message += request.body
            else:
                reading.refused = self._problem_of(request)
                reading.message = None if reading.refused else reading.message
        return reading

    def _read_head(self, request: Request) -> Reading:
        """Return what the request says, without its raw body."""
        if self._reads_in_order:
            return self._read_all(request)
        return self._read_strictly(request, self._places.find(request))

    def _problem_of(self, request: Request) -> Refused | None:
        """Return what is wrong with a body that is empty or was not read; None if it may be empty."""
        if request.body_problem is not None:
            return request.body_problem
        if request.body is None:
            return _NO_BODY
        return _NOTHING_SIGNED if self._scheme.signs_body_alone else None
