"""Decides one ASGI request: the I/O between the steps of the decider."""

from time import perf_counter
from types import CoroutineType
from typing import Any

from hmac_guard.asgi.body import take_body
from hmac_guard.asgi.deadline import within
from hmac_guard.asgi.request import AsgiRequest, HeaderNames, merge_cookies, read_scope
from hmac_guard.core.errors import BodyAlreadyRead
from hmac_guard.core.key import Keyring
from hmac_guard.core.reading import Reading
from hmac_guard.core.refusal import Refusal
from hmac_guard.core.request import BODY_HEADERS, Request
from hmac_guard.core.sources import Cookie
from hmac_guard.core.verdict import Claim, Reason, Refused
from hmac_guard.decider import Decider, keyring_of
from hmac_guard.keys.calling import IMMEDIATE_TYPES, awaited, from_loop
from hmac_guard.log import Failure, failure_of

#: The keys of a tenant; None for a tenant without keys; or why they could not be had.
Ring = Keyring | Failure | None


_NO_BODY = Refused(Reason.MALFORMED, "a websocket has no body, and the scheme signs the body")


class Driver:
    """Drives one decider, with its key resolver made ready for an event loop."""

    def __init__(self, decider: Decider) -> None:
        self.decider = decider
        self._with_body = decider.reader.needs_body
        self._names = HeaderNames((*decider.reader.names, *(BODY_HEADERS if self._with_body else ())))
        self._merges_cookies = any(isinstance(place, Cookie) for place in decider.scheme.places())
        self._resolver: Any = from_loop(decider.keys)

    async def decide(self, scope: Any, receive: Any) -> tuple[Refusal | None, AsgiRequest]:
        """The refusal of a request, or None, and the request; its body has been read as far as that was needed."""
        decider = self.decider
        started = perf_counter() if decider.is_timed else 0.0
        request = read_scope(scope, self._names, with_body=self._with_body)
        outcome = decider.skip(request)
        if outcome is not None:
            return decider.finish(scope, request, None, outcome, started), request
        if self._with_body:
            began = perf_counter() if decider.is_timed else 0.0
            if decider.reader.refuses_ahead(request):
                request.stream = receive
            elif scope["type"] == "http":
                await take_body(request, decider.reader, receive, decider.max_body)
            else:
                request.body, request.body_problem = b"", _NO_BODY if decider.reader.signs_body else None
            started += perf_counter() - began if decider.is_timed else 0.0
        reading = decider.reader.read(request)
        ring = decider.static_ring or await self._ring_for(reading)
        if self._merges_cookies:
            merge_cookies(scope)
        if decider.once is not None:
            await self._use_once(scope, reading, ring)
        return decider.conclude(scope, reading, ring, started), request

    def request(self, scope: Any) -> AsgiRequest:
        """The request as the guard reads it."""
        return read_scope(scope, self._names, with_body=self._with_body)

    async def decide_parsed(self, scope: Any, body: Any) -> Refusal | None:
        """The refusal of a request whose body a framework has parsed, or None: `body` is Starlette's `FormData`."""
        decider = self.decider
        started = perf_counter() if decider.is_timed else 0.0
        request = self.request(scope)
        outcome = decider.skip(request)
        if outcome is not None:
            return decider.finish(scope, request, None, outcome, started)
        if decider.reader.signs_body:
            raise BodyAlreadyRead
        if decider.reader.wants_all_of(request) and request.media.kind != "json":
            request.form = [(name, text if isinstance(text, str) else None) for name, text in body.multi_items()]
            request.body = b""
        else:
            # The bytes are gone, and might have been JSON.
            request.body_problem = decider.reader.refuse_start(request, b"{")
        return await self.conclude(scope, request, started)

    async def conclude(self, scope: Any, request: Request, started: float) -> Refusal | None:
        """The refusal of a request whose body has been read, or None."""
        decider = self.decider
        reading = decider.reader.read(request)
        ring = decider.static_ring or await self._ring_for(reading)
        if self._merges_cookies:
            merge_cookies(scope)
        if decider.once is not None:
            await self._use_once(scope, reading, ring)
        return decider.conclude(scope, reading, ring, started)

    async def _ring_for(self, reading: Reading) -> Ring:
        decider = self.decider
        return await self._look_up(decider.claim(reading)) if decider.wants_keys(reading) else None

    async def _look_up(self, claim: Claim) -> Ring:
        try:
            answer = self._resolver(claim)
            if type(answer) in IMMEDIATE_TYPES:
                ring: Keyring | None = answer
                return ring
            return keyring_of(await awaited(answer))
        except Exception as error:
            return failure_of(error)

    async def _use_once(self, scope: Any, reading: Reading, ring: Ring) -> None:
        """Ask the single-use store, where the request is proven."""
        decider = self.decider
        wanted = decider.token(scope, reading, ring)
        if wanted is None:
            return
        answer: Any
        try:
            answer = within(decider.once.timeout, decider.once.on_loop(*wanted))
            if type(answer) is CoroutineType:
                answer = await answer
        except Exception as error:
            answer = failure_of(error)
        decider.note_use(scope, reading, wanted[0], answer)
