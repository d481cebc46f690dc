"""Decides one ASGI request: the I/O between the steps of the decider."""

from asyncio import CancelledError
from collections.abc import Coroutine
from time import perf_counter
from typing import Any

from hmac_guard.asgi.body import length_of, take_body
from hmac_guard.asgi.request import UNKNOWN, AsgiRequest, HeaderNames, merge_cookies, read_scope
from hmac_guard.core.errors import BodyAlreadyRead
from hmac_guard.core.hidden import Hidden
from hmac_guard.core.reading import Reading
from hmac_guard.core.refusal import Refusal
from hmac_guard.core.request import BODY_HEADERS, Request
from hmac_guard.core.sources import Cookie
from hmac_guard.core.verdict import Refused
from hmac_guard.decider import Decider, Ring, keyring_of
from hmac_guard.keys.calling import await_if_needed, from_loop, is_cancellation
from hmac_guard.keys.resolver import unwrapped
from hmac_guard.log import Failure, failure_of
from hmac_guard.mount_points import Mounts

#: The refusal of a request, or None, and the request.
Decided = tuple[Refusal | None, Request]


class Driver:
    """Runs one decider, with its key resolver prepared for an event loop.

    Args:
        decider: The decider.
        mounts: What is known of the mount points of the application.
    """

    def __init__(self, decider: Decider, mounts: Mounts = UNKNOWN) -> None:
        self.decider, self._mounts = decider, mounts
        self._with_body = decider.reader.needs_body
        self._names = HeaderNames((*decider.reader.names, *(BODY_HEADERS if self._with_body else ())))
        self.merges_cookies = any(isinstance(place, Cookie) for place in decider.scheme.places())
        self._resolver = unwrapped(from_loop(decider.keys))

    def decide(
        self, scope: Any, receive: Any, request: Request | None = None, started: float = 0.0
    ) -> Decided | Coroutine[Any, Any, Decided]:
        """Return the refusal of a request, or None, and the request. The needed part of its body has been read.

        Args:
            scope: The scope.
            receive: The server's `receive`.
            request: The request, if it has been read already.
            started: The `time.perf_counter()` at which that reading started.

        Returns:
            A tuple, or a coroutine for it if there is something to wait for.
        """
        decider = self.decider
        if request is None:
            started = perf_counter() if decider.is_timed else 0.0
            request = read_scope(scope, self._names, self._with_body, self._mounts)
            if not decider.sees_all or request.method == "OPTIONS":
                outcome = decider.skip(request)
                if outcome is not None:
                    return decider.finish(scope, request, None, outcome, started), request
            if self._with_body:
                rest = take_body(scope, request, decider.reader, receive, decider.max_body)
                if rest is not None:
                    return self._after_body(rest, scope, request, started)
        reading = decider.reader.read(request)
        if self.merges_cookies:
            merge_cookies(scope)
        ring: Any = decider.static_ring
        if ring is None:
            ring = decider.ask(self._resolver, reading)
            if type(ring) is Hidden:
                return self._after_keys(scope, reading, ring, started)
        if decider.once is not None:
            return self._after_use(scope, reading, ring, started)
        return decider.conclude(scope, reading, ring, started), request

    async def _after_body(
        self, rest: Coroutine[Any, Any, None], scope: Any, request: Request, started: float
    ) -> Decided:
        began = perf_counter()
        await rest
        started += perf_counter() - began
        pending = self.decide(scope, None, request, started)
        return pending if isinstance(pending, tuple) else await pending

    async def _after_keys(self, scope: Any, reading: Reading, answer: Hidden[Any], started: float) -> Decided:
        return await self._after_use(scope, reading, await _keys_of(answer), started)

    async def _after_use(self, scope: Any, reading: Reading, ring: Ring, started: float) -> Decided:
        if self.decider.once is not None:
            await self._use_once(scope, reading, ring)
        return self.decider.conclude(scope, reading, ring, started), reading.request

    def request(self, scope: Any) -> AsgiRequest:
        """Return the request as the guard reads it."""
        return read_scope(scope, self._names, self._with_body, self._mounts)

    async def decide_parsed(self, scope: Any, body: Any) -> Refusal | None:
        """Return the refusal of a request whose body a framework has parsed, or None.

        Args:
            scope: The scope.
            body: The `FormData` of Starlette.

        Raises:
            BodyAlreadyRead: The scheme signs the raw body.
        """
        decider = self.decider
        started = perf_counter() if decider.is_timed else 0.0
        request = self.request(scope)
        outcome = decider.skip(request)
        if outcome is not None:
            return decider.finish(scope, request, None, outcome, started)
        if decider.reader.signs_body:
            raise BodyAlreadyRead
        wants_all = decider.reader.wants_all_of(request)
        length = length_of(request, decider.max_body if wants_all else None)
        if isinstance(length, Refused):
            request.body_problem = length
        elif wants_all and request.media.kind != "json":
            request.form = [(name, text if isinstance(text, str) else None) for name, text in body.multi_items()]
            request.body = b""
        else:
            # The bytes are gone, and might have been JSON.
            request.body_problem = decider.reader.refuse_start(request, b"{")
        pending = self.decide(scope, None, request, started)
        return (pending if isinstance(pending, tuple) else await pending)[0]

    async def _use_once(self, scope: Any, reading: Reading, ring: Ring) -> None:
        """Ask the single-use store, if the request is proven."""
        decider = self.decider
        wanted = decider.token(scope, reading, ring)
        if wanted is None:
            return
        answer: bool | Failure
        try:
            answer = await decider.once.on_loop(*wanted)
        except (Exception, CancelledError) as error:
            if is_cancellation(error):
                raise
            answer = failure_of(error)
        decider.note_use(scope, reading, wanted[0], answer)


async def _keys_of(answer: Hidden[Any]) -> Ring:
    """Return the keys for a resolver's answer, and wait for it if it is awaitable."""
    try:
        return keyring_of(await await_if_needed(answer))
    except (Exception, CancelledError) as error:
        if is_cancellation(error):
            raise
        return failure_of(error)
