"""The expected answers of every handle: those of the middleware, for the same request and the same guard."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from acceptance.test_wsgi_and_asgi_agree import EVERYWHERE, EXAMPLES, KEYS, requests
from hypothesis import HealthCheck, assume, given, settings
from orders import KEY, ORDERS
from support import Call, Reply, Sent, call_wsgi

from hmac_guard import Guard, Reason, Verdict


def check_case(handle: Call, sent: Sent, reason: Reason) -> None:
    """Check that the handle finds the reason, answers a refusal with the same bytes, and does not change the body."""
    decided: list[Verdict] = []
    reply = handle(Guard(ORDERS, KEY, on_verdict=lambda verdict, _: decided.append(verdict)), sent)
    middleware = call_wsgi(Guard(ORDERS, KEY), sent)

    assert [verdict.reason for verdict in decided] == [reason]
    if reason is Reason.VERIFIED:
        assert (reply.status, reply.verdict, reply.app_body) == (200, decided[0], sent.delivered())
    else:
        assert reply.seen == []
        assert answer_of(reply) == answer_of(middleware)


def answer_of(reply: Reply) -> tuple[Any, ...]:
    """Return the relevant parts of an answer. Frameworks add their own headers."""
    fields = ("content-type", "content-length", "cache-control", "www-authenticate", "retry-after")
    return reply.status, reply.body, {name: reply.headers.get(name) for name in fields}


def check_generated(handle: Call, reads_otherwise: Callable[[Sent], bool] = lambda sent: False) -> None:
    """Over generated requests, good and hostile, the handle decides like the middleware and does not raise.

    A router may turn a request away before the handle is asked; then it did not reach the application either.
    `reads_otherwise` returns whether the framework changes a request before the handle gets it.
    """

    @settings(max_examples=EXAMPLES // 50, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(requests())
    def check(sent: Sent) -> None:
        assume(not reads_otherwise(sent))
        decided: list[Verdict] = []
        guard = Guard(EVERYWHERE, KEYS, on_verdict=lambda verdict, _: decided.append(verdict))
        reply, middleware = handle(guard, sent), call_wsgi(guard, sent)
        *by_handle, by_interface = decided
        assert by_handle in ([], [by_interface])
        assert bool(reply.seen) <= by_interface.verified
        if by_handle and not by_interface:
            assert answer_of(reply) == answer_of(middleware)

    with quiet():
        check()


@contextmanager
def quiet() -> Iterator[None]:
    """Disable the log: thousands of log lines would take more time than the requests."""
    logging.getLogger("hmac_guard").setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logging.getLogger("hmac_guard").setLevel(logging.NOTSET)
