"""Decides one Django request, whichever server brought it and whether its stack is sync or async.

Django has read an ASGI body before any middleware runs; so both kinds of request are read alike, on the thread that
asks, and only the key resolver may have to be awaited.
"""

import io
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from hmac_guard.asgi.driver import Driver
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.reader import Reader
from hmac_guard.core.refusal import Refusal
from hmac_guard.core.verdict import Reason, Refused, Verdict, verdict_from
from hmac_guard.decider import Decider
from hmac_guard.django.request import DjangoRequest
from hmac_guard.log import failure_of
from hmac_guard.wsgi.body import take_body
from hmac_guard.wsgi.driver import check_keys, conclude

# The class alone: a request cannot be made before there are settings, and those may import this package.
_TAKEN = {
    *dir(HttpRequest),
    *("path_info", "resolver_match", "content_type", "content_params", "environ", "scope", "script_name"),
}


class DjangoDriver:
    """A decider that takes Django's requests. Raises `ConfigError` for one whose `annotate_as` is an attribute of
    Django's request, or whose `only` or `exempt` begins with the mount point that `FORCE_SCRIPT_NAME` sets."""

    def __init__(self, owner: str, decider: Decider) -> None:
        check_keys(owner, decider)
        if decider.annotate_as in _TAKEN or not decider.annotate_as.isidentifier():
            raise ConfigError(
                f"{owner}: annotate_as {decider.annotate_as!r} is an attribute of Django's request, or cannot be one"
            )
        # A guard on a view has neither; it may be made before there are settings.
        if decider.only or decider.exempt:
            decider.check_mount_point(settings.FORCE_SCRIPT_NAME or "", "FORCE_SCRIPT_NAME")
        self.decider = decider
        self._driver = Driver(decider)

    def refuse(self, request: HttpRequest) -> Refusal | None:
        """The refusal of the request, or None: then the verdict is on it."""
        refusal, failure = None, None
        try:
            heard, started = self._read(request)
            if heard is not None:
                refusal = conclude(self.decider, _holder(request), heard, started).refusal
        except Exception as error:
            failure = failure_of(error)
        return self._finish(request, refusal) if failure is None else self.decider.fault(failure)

    async def arefuse(self, request: HttpRequest) -> Refusal | None:
        """The same on an event loop."""
        refusal, failure = None, None
        try:
            heard, started = self._read(request)
            if heard is not None:
                refusal = (await self._driver.conclude(_holder(request), heard, None, started)).refusal
        except Exception as error:
            failure = failure_of(error)
        return self._finish(request, refusal) if failure is None else self.decider.fault(failure)

    def verdict_on(self, request: HttpRequest) -> Verdict:
        """The verdict on a request that was not refused."""
        return verdict_from(request, self.decider.annotate_as)

    def _read(self, request: Any) -> tuple[DjangoRequest | None, float]:
        """The request with its body, and when this began; None where there is nothing left to judge."""
        decider = self.decider
        started = decider.time()
        if hasattr(request, "scope"):
            request.scope = dict(request.scope)
        holder = _holder(request)
        heard = DjangoRequest(request, decider.reader.names)
        judged = decider.judged(holder, heard)
        needs_body = decider.reader.needs_body
        if judged is not None and (not needs_body or _has_body(request, judged.request)):
            return None, started
        decider.forget(holder)
        outcome = decider.skip(heard)
        if outcome is not None:
            decider.finish(holder, heard, None, outcome, started)
            return None, started
        if needs_body:
            began = decider.time()
            self._read_body(request, heard)
            started += decider.time() - began
        return heard, started

    def _read_body(self, request: Any, heard: DjangoRequest) -> None:
        reader = self.decider.reader
        if request._read_started and not hasattr(request, "_body"):
            _read_parsed(request, heard, reader)
            return
        stream, ends = _stream_of(request)
        body = take_body(heard, reader, stream, ends, self.decider.max_body)
        if body is not None and not request._read_started:
            _replace_body(request, body.rest(), heard.body)
        heard.stream = _identity_of(request)

    def _finish(self, request: Any, refusal: Refusal | None) -> Refusal | None:
        if refusal is None:
            setattr(request, self.decider.annotate_as, self.verdict_on(request))
            _join_cookies(request)
        return refusal


def respond(refusal: Refusal, request: HttpRequest) -> HttpResponse:
    """The refusal as Django sends it."""
    body = b"" if request.method == "HEAD" else refusal.body
    return HttpResponse(body, status=refusal.status.value, headers=dict(refusal.headers))


def _holder(request: Any) -> dict[str, Any]:
    """The scope or environ in which the verdict is."""
    holder: dict[str, Any] = request.scope if hasattr(request, "scope") else request.environ
    return holder


def _stream_of(request: Any) -> tuple[Any, bool]:
    """The stream of the body, and whether it ends by itself."""
    if request._read_started:  # Django keeps a body that was read as a whole.
        return io.BytesIO(request.body), True
    if hasattr(request, "scope"):
        return request._stream, True
    return request.META["wsgi.input"], bool(request.META.get("wsgi.input_terminated"))


def _identity_of(request: Any) -> Any:
    """The object from which Django reads the body."""
    return request._stream if hasattr(request, "scope") else request.META.get("wsgi.input")


def _read_parsed(request: Any, heard: DjangoRequest, reader: Reader) -> None:
    """Take the body from what Django has parsed: the bytes are gone."""
    if not reader.wants_all_of(heard):
        heard.body_problem = reader.refuse_start(heard, b"{")
    elif heard.media.kind == "json":
        raise BodyAlreadyRead
    else:
        fields = [(name, value) for name, values in request.POST.lists() for value in values]
        heard.form, heard.body = [*fields, *((name, None) for name in request.FILES)], b""
        # Django keeps an empty form where it could not parse one, and where something else has read the body.
        heard.body_problem = None if heard.form else _NOT_PARSED


_NOT_PARSED = Refused(Reason.BAD_FRAMING, "Django has found no field in the form, and its bytes are gone")


class BodyAlreadyRead(Exception):
    """Something has read the body from the stream, and Django did not keep it."""


def _has_body(request: Any, judged: Any) -> bool:
    """Whether the view reads the same body that was judged."""
    if _identity_of(request) is judged.stream:
        return True
    if not hasattr(request, "scope"):
        return False
    if request._read_started and not hasattr(request, "_body"):
        return False
    return judged.body is not None and request.body == judged.body


def _replace_body(request: Any, stream: Any, body: bytes | None) -> None:
    """Have Django read the body from the beginning."""
    if hasattr(request, "scope"):
        request._stream.seek(0)  # The file in which Django keeps an ASGI body.
    else:
        request._stream = request.META["wsgi.input"] = stream
    if body is not None:
        request.META["CONTENT_LENGTH"] = str(len(body))
        request.META.pop("HTTP_TRANSFER_ENCODING", None)


def _join_cookies(request: Any) -> None:
    """Django joins several Cookie lines with a comma, and would then read other values than were proven."""
    if not hasattr(request, "scope"):
        return
    lines = [value for name, value in request.scope["headers"] if name == b"cookie"]
    if len(lines) == 1 and request.META.get("HTTP_COOKIE") != lines[0].decode("latin-1"):
        request.META["HTTP_COOKIE"] = lines[0].decode("latin-1")
        vars(request).pop("COOKIES", None)
