"""Decides one Django request, on a WSGI or an ASGI server, in sync or async code."""

import io
from collections.abc import Callable
from time import perf_counter
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from hmac_guard.asgi.driver import Driver as DriverOnLoop
from hmac_guard.asgi.request import merge_cookies, one_header
from hmac_guard.core.bodies import parse_media
from hmac_guard.core.errors import BodyAlreadyRead, ConfigError, OuterError
from hmac_guard.core.reader import Reader
from hmac_guard.core.refusal import Refusal
from hmac_guard.core.request import BODY_HEADERS, Line, Request
from hmac_guard.core.verdict import Reason, Refused, Verdict, verdict_from
from hmac_guard.decider import Decider
from hmac_guard.log import Failure, failure_of
from hmac_guard.wsgi.body import take_body
from hmac_guard.wsgi.driver import Driver
from hmac_guard.wsgi.request import header_in

# The attributes of the class: an instance needs the settings, and the settings may import this package. Django and its
# applications set the others.
_TAKEN = {
    *dir(HttpRequest),
    *("path_info", "resolver_match", "content_type", "content_params", "environ", "scope", "script_name"),
    *("urlconf", "current_app", "auser", "site", "csrf_processing_done", "csrf_cookie_needs_update"),
    *("sensitive_post_parameters", "exception_reporter_class", "exception_reporter_filter"),
}


class DjangoDriver:
    """A decider for Django requests.

    Args:
        owner: The name for error messages.
        decider: The decider of the guard.

    Raises:
        ConfigError: `annotate_as` is an attribute of Django's request, or `only` or `exempt` begins with the mount
            point of `FORCE_SCRIPT_NAME`.
    """

    def __init__(self, owner: str, decider: Decider) -> None:
        self._driver = Driver(owner, decider)
        if decider.annotate_as in _TAKEN or not decider.annotate_as.isidentifier():
            raise ConfigError(
                f"{owner}: annotate_as {decider.annotate_as!r} is already an attribute of Django's request, "
                "or is not a valid attribute name"
            )
        # A guard on a view has neither. It may be made before the settings exist.
        if decider.only or decider.exempt:
            decider.check_mount_point(settings.FORCE_SCRIPT_NAME or "", "FORCE_SCRIPT_NAME")
        self.decider = decider
        self._driver_on_loop = DriverOnLoop(decider)

    def refuse(self, django: Any) -> Refusal | None:
        """Return the refusal of a Django request. If it is None, the verdict is an attribute of the request."""
        refusal, failure, outer = None, None, None
        try:
            request, scope, started, refusal = self._read(django)
            if started is not None:
                refusal = self._driver.decide(scope, request, started)
            if refusal is None:
                setattr(getattr(django, "_request", django), self.decider.annotate_as, scope[self.decider.annotate_as])
        except OuterError as error:
            outer = error
        except Exception as error:
            failure = failure_of(error)
        if outer is not None:
            outer.raise_error()
        return refusal if failure is None else self._fault(django, failure)

    async def answer(self, django: Any, view: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Answer a Django request in async code: call the view, or send the refusal.

        The view gets the request with the verdict as its attribute.
        """
        refusal, failure, outer = None, None, None
        try:
            request, scope, started, refusal = self._read(django)
            if started is not None:
                pending = self._driver_on_loop.decide(scope, None, request, started)
                refusal = (pending if isinstance(pending, tuple) else await pending)[0]
                del pending
            if refusal is None:
                setattr(getattr(django, "_request", django), self.decider.annotate_as, scope[self.decider.annotate_as])
            # They have the signature, and the view may raise: error pages and trackers show the variables of a frame.
            del request, scope
        except OuterError as error:
            outer = error
        except Exception as error:
            failure = failure_of(error)
        if outer is not None:
            outer.raise_error()
        if failure is not None:
            refusal = self._fault(django, failure)
        return await view(django, *args, **kwargs) if refusal is None else respond(refusal, django)

    def verdict_on(self, request: HttpRequest) -> Verdict:
        """Return the verdict on a request that was not refused."""
        return verdict_from(request, self.decider.annotate_as)

    def _read(self, django: Any) -> "tuple[DjangoRequest, dict[str, Any], float | None, Refusal | None]":
        """Read a Django request, and its body if the guard must judge it.

        Returns:
            The request for the guard; the ASGI scope or the WSGI environ, for the verdict; the time at which the
            decision started, plus the time for reading the body; and an earlier refusal. The time is None if the guard
            has judged the request before, or skips it.
        """
        decider, reader = self.decider, self.decider.reader
        started = perf_counter() if decider.is_timed else 0.0
        # Django REST framework gives its views a request of its own around Django's.
        django = getattr(django, "_request", django)
        request = DjangoRequest()
        request.source, request.is_asgi = django, hasattr(django, "scope")
        sent = django.META.get("REQUEST_METHOD", "")
        # Middleware may have set another method, and the view then uses that one.
        request.method = sent if django.method == sent.upper() else django.method or ""
        request.path = django.path_info
        request.query = django.META.get("QUERY_STRING", "")
        if request.is_asgi:
            scope = django.scope = dict(django.scope)
            request.root = django.path.removesuffix(django.path_info)
        else:
            if not hasattr(django, "environ"):  # An `HttpRequest()` that a test makes has only `META`.
                django.environ = django.META
            scope = django.environ
            request.root = settings.FORCE_SCRIPT_NAME or django.META.get("SCRIPT_NAME", "")
        request.lines = [*map(request.header, reader.names)]
        if reader.needs_body:
            request.read_framing()
        judged = decider.judged(scope, request) if decider.issued_as in scope else None
        if judged is not None and (judged.with_any_body or request.has_body_of(judged.request)):
            return request, scope, None, judged.refusal
        outcome = None if decider.sees_all and request.method != "OPTIONS" else decider.skip(request)
        if outcome is not None:
            decider.finish(scope, request, None, outcome, started)
            return request, scope, None, None
        if request.is_asgi and self._driver_on_loop.merges_cookies:
            request.join_cookies()
            merge_cookies(scope)
        if reader.needs_body:
            began = perf_counter()
            request.read_body(reader, decider.max_body)
            started += perf_counter() - began
        return request, scope, started, None

    def _fault(self, django: Any, failure: Failure) -> Refusal:
        return self.decider.fault(getattr(django, "scope", getattr(django, "environ", {})), failure)


def respond(refusal: Refusal, request: HttpRequest) -> HttpResponse:
    """Return the refusal as a Django response."""
    return HttpResponse(refusal.body_for(request.method), status=refusal.code, headers=dict(refusal.headers))


def _joined(line: Line) -> str | None:
    """Return a header as Django has it in `META`."""
    if isinstance(line, list):
        return ",".join(line) if line else None
    return line


_NOT_PARSED = Refused(Reason.BAD_FRAMING, "Django found no field in the form, and its bytes were already read")


class DjangoRequest(Request):
    """A Django request for the guard.

    The path is the one that Django routes. On ASGI, a header comes from the scope, because Django joins several lines
    of one. If middleware has set it in `META`, it comes from there, as for the view.

    Attributes:
        source: Django's request; None after the verdict.
        is_asgi: Whether the request came from an ASGI server.
    """

    is_asgi: bool

    def read_framing(self) -> None:
        """Read the headers that tell where the body ends and what it is."""
        self.framing = [*map(self.header, BODY_HEADERS)]
        self.media = parse_media(self.framing[0])

    def header(self, name: str) -> Line:
        seen = header_in(self.source.META, name)
        if not self.is_asgi:
            return seen
        headers = self.source.scope.get("headers", ())
        line = one_header(name).find(headers)[0]
        # Newer versions of Django leave out a header whose name has another spelling.
        spelled = [value.decode("latin-1") for key, value in headers if key.lower() == name.encode()]
        return line if seen in (_joined(line), _joined(spelled)) else seen

    def is_spelled(self, name: str) -> bool:
        return not self.is_asgi or any(key == name.encode() for key, _ in self.source.scope.get("headers", ()))

    def read_body(self, reader: Reader, limit: int) -> None:
        """Read the part of the body that the reader needs. The view can still read the same bytes."""
        if reader.refuses_ahead(self):
            self.stream = self._body_stream()
            return
        if self._is_gone():
            self._take_parsed(reader)
            return
        stream, ends = self._readable()
        body = take_body(self, reader, stream, ends, limit)
        if body is not None and not self._has_begun():
            self._give_back(body.rest())
        self.stream = self._body_stream()

    def has_body_of(self, judged: Request) -> bool:
        """Return whether the view reads the body that was judged."""
        if judged.body is not None and hasattr(self.source, "_body"):
            return bool(self.source._body == judged.body)
        stream = self._body_stream()
        if stream is judged.stream:
            return True
        if not self.is_asgi or self._is_gone() or judged.body is None:
            return False
        # Django limits the size of `request.body`, and not that of a file in a form.
        start = stream.read(len(judged.body) + 1)
        stream.seek(0)
        return bool(start == judged.body)

    def join_cookies(self) -> None:
        """Join several Cookie lines with "; ". On ASGI, Django joins them with a comma and would read other values."""
        lines = [value.decode("latin-1") for name, value in self.source.scope["headers"] if name == b"cookie"]
        meta = self.source.META
        if len(lines) > 1 and meta.get("HTTP_COOKIE") == _joined(lines):
            meta["HTTP_COOKIE"] = "; ".join(lines)
            vars(self.source).pop("COOKIES", None)

    def _is_gone(self) -> bool:
        """Return whether the body was read from the stream and Django did not keep it."""
        return self._has_begun() and not hasattr(self.source, "_body")

    def _has_begun(self) -> bool:
        """Return whether code has begun to read the body. An `HttpRequest()` that a test makes does not say it."""
        return bool(getattr(self.source, "_read_started", hasattr(self.source, "_body")))

    def _readable(self) -> tuple[Any, bool]:
        """Return the stream of the body, and whether the stream has an end."""
        if self._has_begun():  # Django keeps a body that was read completely.
            return io.BytesIO(self.source.body), True
        return self._body_stream(), self.is_asgi or bool(self.source.META.get("wsgi.input_terminated"))

    def _body_stream(self) -> Any:
        """Return the object from which Django reads the body."""
        return self.source._stream if self.is_asgi else self.source.META.get("wsgi.input")

    def _take_parsed(self, reader: Reader) -> None:
        """Use the form that Django has already parsed as the body."""
        if self._has_no_body():
            self.body = b""
        elif not reader.wants_all_of(self):
            self.body_problem = reader.refuse_start(self, b"{")
        elif reader.signs_body or self.media.kind == "json":
            raise BodyAlreadyRead
        else:
            fields = [(name, value) for name, values in self.source.POST.lists() for value in values]
            self.form, self.body = [*fields, *((name, None) for name in self.source.FILES)], b""
            # Django keeps an empty form if it could not parse the body, or if other code has read it.
            self.body_problem = None if self.form else _NOT_PARSED

    def _has_no_body(self) -> bool:
        """Return whether the headers say that there is no body (PEP 3333). On ASGI, a body needs no length."""
        _, length, _, transfer_encoding = self.framing
        if self.is_asgi or transfer_encoding:
            return False
        return length == "0" or (not length and not self.source.META.get("wsgi.input_terminated"))

    def _give_back(self, stream: Any) -> None:
        """Let Django read the body from the beginning."""
        meta = self.source.META
        self.source._stream = stream
        if not self.is_asgi:
            meta["wsgi.input"] = stream
        if self.body is not None:
            meta["CONTENT_LENGTH"] = str(len(self.body))
            meta.pop("HTTP_TRANSFER_ENCODING", None)
