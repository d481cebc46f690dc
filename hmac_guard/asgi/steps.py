"""Drives the steps for one ASGI request: for the middleware, and for the handles of the frameworks."""

from typing import Any

from hmac_guard.annotation import annotate
from hmac_guard.asgi.body import Body
from hmac_guard.asgi.express import SCOPE, plain_length
from hmac_guard.asgi.request import AsgiRequest, HeaderNames, merged_cookies
from hmac_guard.core.express import leave
from hmac_guard.core.framing import announced_length, framing_problem
from hmac_guard.core.sources import Cookie
from hmac_guard.core.verdict import Claim, Verdict
from hmac_guard.guard import Guard, Outcome, check_guard
from hmac_guard.keys.calling import AT_HAND, awaited, from_loop


class Steps:
    """The steps of one guard, with its key resolver made ready for an event loop.

    `owner` is what a `ConfigError` calls the place where the guard was given.
    """

    def __init__(self, owner: str, guard: Guard) -> None:
        self.guard: Guard = check_guard(owner, guard)
        self.merges_cookies = any(isinstance(place, Cookie) for place in guard.scheme.places())
        self._names = HeaderNames.of(guard.scheme)
        self._read_plain = guard.reader(SCOPE)
        # No body is plain where the guard may not look, or would not read the bodies that are: JSON, and none.
        takes = self._read_plain is not leave and all(map(guard.scheme.wants_body, ("json", "none")))
        self._plain_length: Any = plain_length if takes else leave
        self._resolver: Any = from_loop(guard.keys)

    async def decide(self, scope: Any, receive: Any) -> tuple[Outcome, Body | None]:
        """The outcome of the request, told to the log and to `on_verdict`; and its body, if that had to be read."""
        guard, body = self.guard, None
        claim = None if guard.needs_body else self._read_plain(scope)
        if claim is None:
            read, body = await self._read(scope, receive)
            if isinstance(read, Verdict):
                return (read, None), None
            claim = read
        answer: Any = None
        try:
            if guard.asks_keys(claim):
                answer = self._resolver(claim)
                if type(answer) not in AT_HAND:
                    answer = await awaited(answer)
        except Exception as error:
            outcome = guard.keys_failed(claim, error)
        else:
            outcome = guard.conclude(claim, answer)
        # A client that hung up in mid-body gets no answer, and there is nothing to report of it.
        if outcome[1] is None or body is None or not body.disconnected:
            guard.record(claim, outcome)
        return outcome, body

    async def _read(self, scope: Any, receive: Any) -> tuple[Claim | Verdict, Body | None]:
        """What the request says, and its body, if that had to be read; or the verdict on one that is not looked at."""
        guard, body = self.guard, None
        length = self._plain_length(scope)
        if length is not None:
            body = Body(receive)
            await body.take(length or None, guard.max_body)
            plain = body.problem is None and len(body.content) == length
            claim = self._read_plain(scope, body) if plain else None
            if claim is not None:
                return claim, body
        request = AsgiRequest(scope, self._names)
        if body is None:
            waived = guard.waive(request)
            if waived is not None:
                return waived, None
            if guard.needs_body and self._wants_body(request, scope):
                body = Body(receive)
                await body.take(announced_length(request), guard.max_body)
        if body is not None:
            request.hold(body)
        return (guard.read if length is None else guard.read_at_length)(request), body

    def request(self, scope: Any) -> AsgiRequest:
        """The request as the guard sees it."""
        return AsgiRequest(scope, self._names)

    def annotate(self, scope: Any, verdict: Verdict) -> None:
        """Leave the verdict in a scope that is the request's own, with the cookies as they were read."""
        annotate(self.guard, scope, verdict)
        if self.merges_cookies:
            scope["headers"] = merged_cookies(scope.get("headers", ()))

    def _wants_body(self, request: AsgiRequest, scope: Any) -> bool:
        request.body_problem = framing_problem(request)
        return request.body_problem is None and scope["type"] == "http" and self.guard.wants_body(request)
