"""Each call in the code of the guard fails once, for requests of each kind: no request passes because of it (T054).

A call is one that code of the package makes, to Python or to C, until the application is called.
"""

import asyncio
import io
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from typing import Any

import pytest
from faults import Site, Watch, watched
from orders import CASES, GOOD, GOOD_JSON, JSON, KEY, ORDERS, UNSIGNED, hex_of, query_of
from secrecy import SECRECY
from support import Sent, environ_for, scope_for

from hmac_guard import Cookie, Guard, Header, Key, Keyring, Path, Query, Scheme, Verdict
from hmac_guard.decider import decider_of

TENANTS = Scheme(
    name="tenants",
    ids={"org": Path("/orgs/{org}"), "user": Cookie("user") | Query("user")},
    message="{org}:{user}",
    signature=Header("X-Signature", before=";"),
    tenant=Header("X-Tenant"),
)
TENANT_SIGNED = [("X-Tenant", "acme"), ("X-Signature", hex_of("o", "u") + ";v=1")]
PREFLIGHT = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "GET")]


QUOTE = f"a driver's error that quotes {KEY!r}"


class Fault(Exception):
    """An unexpected error. Its text must not appear in the output."""


#: Exceptions that code may expect. A valid request may still be verified after one.
EXPECTED = [ValueError, KeyError, TypeError, RecursionError, MemoryError, OSError, TimeoutError, StopIteration]


@dataclass
class Outcome:
    """The result of one request. `stray` are exceptions in garbage collection, which are not raised."""

    starts: list[int] = field(default_factory=list)
    body: bytes = b""
    reached: list[Verdict] = field(default_factory=list)
    error: Exception | None = None
    stray: list[Any] = field(default_factory=list)


def through_wsgi(guarded: Any, sent: Sent, watch: Watch, outcome: Outcome) -> None:
    environ = environ_for(sent)
    with watched(watch):
        result = guarded(environ, lambda status, headers, _=None: outcome.starts.append(int(status[:3])))
    outcome.body = b"".join(result)


def through_asgi(guarded: Any, sent: Sent, watch: Watch, outcome: Outcome, kind: str = "http") -> None:
    body = sent.delivered()
    messages = [
        {"type": "http.request", "body": body[:9], "more_body": True},
        {"type": "http.request", "body": body[9:], "more_body": False},
    ]

    async def receive() -> Any:
        await asyncio.sleep(0)
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        if message["type"].endswith((".start", ".close")):
            outcome.starts.append(message.get("status", 0))
        outcome.body += message.get("body", b"")

    async def ask() -> None:
        with watched(watch):
            await guarded(scope_for(sent, kind), receive, send)

    asyncio.run(ask())


def through_websocket(guarded: Any, sent: Sent, watch: Watch, outcome: Outcome) -> None:
    through_asgi(guarded, sent, watch, outcome, "websocket")


PROTOCOLS: dict[str, Callable[[Any, Sent, Watch, Outcome], None]] = {
    "wsgi": through_wsgi,
    "asgi": through_asgi,
    "websocket": through_websocket,
}


def run(protocol: str, guard: Guard, sent: Sent, at: Callable[[Site], None]) -> Outcome:
    """Send the request. `at` gets each call until the application is called."""
    outcome = Outcome()

    def before_the_application(site: Site) -> None:
        if not outcome.reached and not SECRECY.looking:
            at(site)

    def wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
        outcome.reached.append(environ[guard.annotate_as])
        return []

    async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
        outcome.reached.append(scope[guard.annotate_as])

    guarded: Any = guard.wsgi(wsgi_app) if protocol == "wsgi" else guard.asgi(asgi_app)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "unraisablehook", outcome.stray.append)
            PROTOCOLS[protocol](guarded, sent, Watch("hmac_guard", before_the_application), outcome)
    except Exception as error:
        outcome.error = error
    return outcome


async def later(claim: Any) -> Any:
    await asyncio.sleep(0)
    return Keyring([Key(KEY, not_after=2e11)])


def inline(claim: Any) -> Any:
    return [KEY] if claim.tenant == "acme" else None


def broken(claim: Any) -> Any:
    raise Fault(QUOTE)


def fail_on_verdict(verdict: Verdict, claim: Any) -> None:
    raise Fault(QUOTE)


inline.blocking = broken.blocking = False  # type: ignore[attr-defined]

#: Guards, and the requests that are sent to each.
SWEPT: dict[str, tuple[Callable[[], Guard], list[Sent]]] = {
    "one key": (lambda: Guard(ORDERS, KEY), [sent for sent, _ in CASES.values()]),
    "an async key source, keys with a time": (lambda: Guard(ORDERS, later), [GOOD, GOOD_JSON, UNSIGNED]),
    "keys by tenant": (
        lambda: Guard(TENANTS, inline),
        [
            Sent("GET", "/orgs/o", headers=[*TENANT_SIGNED, ("Cookie", "a=b"), ("Cookie", "user=u")]),
            Sent("GET", "/orgs/o", "user=u", TENANT_SIGNED),
            Sent("GET", "/orgs/o", "user=u", [("X-Tenant", "unknown-tenant"), ("X-Signature", "0;")]),
            Sent("GET", "/orgs/o//", "user=u", TENANT_SIGNED),
        ],
    ),
    "some paths": (
        lambda: Guard(ORDERS, KEY, only=("/orders",), exempt=("/health",)),
        [GOOD, UNSIGNED, Sent(path="/health"), Sent(path="/other"), Sent("OPTIONS", "/orders", headers=PREFLIGHT)],
    ),
    "report": (
        lambda: Guard(ORDERS, KEY, mode="report", max_body=400),
        [GOOD, UNSIGNED, Sent("POST", "/orders", query_of(), [JSON], b" " * 401), GOOD_JSON],
    ),
    "keys that fail": (lambda: Guard(ORDERS, broken), [GOOD, UNSIGNED]),
    "on_verdict that fails": (lambda: Guard(ORDERS, KEY, on_verdict=fail_on_verdict), [GOOD, UNSIGNED]),
    "off": (lambda: Guard(ORDERS, KEY, mode="off"), [UNSIGNED]),
    "a tenant whose mode is off": (
        lambda: Guard(TENANTS, {"acme": Keyring(KEY, mode="off")}),
        [Sent("GET", "/orgs/o", headers=[("X-Tenant", "acme")])],
    ),
}


@dataclass
class Case:
    name: str
    protocol: str
    make: Callable[[], Guard]
    sent: Sent

    def __post_init__(self) -> None:
        self.guard = self.make()
        # Run once before, because the first request fills caches that all guards share.
        run(self.protocol, self.make(), self.sent, lambda site: None)
        self.sites: list[Site] = []
        self.outcome = run(self.protocol, self.guard, self.sent, self.sites.append)
        assert self.outcome.error is None

    def fail(self, index: int, error: Callable[[], Exception]) -> tuple[Site | None, Outcome]:
        """Return the result of the request if the call with this number fails, and the call."""
        left, failed = index, list[Site]()

        def at(site: Site) -> None:
            nonlocal left
            left -= 1
            if left == -1:
                failed.append(site)
                raise error()

        outcome = run(self.protocol, self.make(), self.sent, at)
        return (failed[0] if failed else None), outcome


def cases(*names: str) -> Iterator[Case]:
    for name in names or SWEPT:
        make, requests = SWEPT[name]
        for sent in requests:
            for protocol in PROTOCOLS:
                if protocol != "websocket" or not sent.body:
                    yield Case(f"{protocol}, {name}, {sent.method} {sent.path}", protocol, make, sent)


@contextmanager
def captured_output() -> Iterator[io.StringIO]:
    """Everything that is logged or printed."""
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    logger = logging.getLogger()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        with redirect_stdout(output), redirect_stderr(output):
            yield output
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def check(case: Case, site: Site, outcome: Outcome, output: str, *, expected: bool) -> None:
    """Check that the request did not pass, and that the answer is one of the guard."""
    reports = case.guard.mode == "report"
    what = f"{case.name}: {site}: {outcome}"
    assert KEY not in output, output
    assert len(outcome.starts) <= 1, what
    if outcome.reached:
        # Exceptions of `on_verdict` and of log formatting change nothing. In report mode the application is also called
        # if keys or body were not available, with that reason.
        # `secrecy` puts a function `call` around each callback.
        is_callback = site.code.co_name == "_call" or (site.code.co_name, site.callee) == ("_call_back", "call")
        harmless = expected or is_callback or site.module == "hmac_guard.log"
        decided_alike = harmless and outcome.reached == case.outcome.reached
        assert decided_alike or (reports and not outcome.reached[0]), what
    elif outcome.error is not None:
        # When a refusal has started, no other one can be sent. Faults of the application, and those of a layer outside
        # in its `receive` or in its `wsgi.input`, do not count. `_received` goes on where it waits for `receive`.
        reads_input = (site.module, site.callee) == ("hmac_guard.wsgi.body", "BytesIO.read")
        not_ours = reads_input or site.callee in ("wsgi_app", "asgi_app", "receive", "_received")
        assert "send_refusal" in (site.code.co_name, site.callee) or not_ours, what
    elif case.protocol == "websocket":
        assert outcome.starts == [0], what
    else:
        refusals = decider_of("test", case.guard).refusals.values()
        assert (*outcome.starts, outcome.body) in {(each.status.value, each.body) for each in refusals}, what


def sweep(
    error: Callable[[], Exception], *names: str, every: bool = False, expected: bool = False
) -> tuple[int, set[Site]]:
    """Return the number of faults for each call: once for each outcome, or each time it is made."""
    count, swept = 0, set[tuple[Any, ...]]()
    with captured_output() as output:
        for case in cases(*names):
            kind = (case.protocol == "wsgi", case.guard.mode, *case.outcome.starts, bool(case.outcome.reached))
            for index, site in enumerate(case.sites):
                if not every and (site, kind) in swept:
                    continue
                failed, outcome = case.fail(index, error)
                # Calls during garbage collection do not count.
                if failed == site and not outcome.stray:
                    swept.add((site, kind))
                    count += 1
                    check(case, site, outcome, output.getvalue(), expected=expected)
                output.seek(0)
                output.truncate()
    return count, {site for site, _ in swept}


@pytest.mark.without_coverage
def test_a_fault_in_any_call_lets_no_request_pass() -> None:
    count, sites = sweep(lambda: Fault(QUOTE))

    print(f"{count:,} faults in place of {len(sites)} calls")
    assert len(sites) > 300


@pytest.mark.without_coverage
def test_a_stop_iteration_in_the_guard_does_not_exempt_a_path() -> None:
    """It ended the iteration over the paths of a request, as if all of them were exempt."""
    sweep(lambda: StopIteration(QUOTE), "some paths", expected=True)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_fault_in_any_call_at_any_time_lets_no_request_pass() -> None:
    count, sites = sweep(lambda: Fault(QUOTE), every=True)

    print(f"{count:,} faults in place of {len(sites)} calls")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("error", EXPECTED)
def test_an_expected_error_does_not_verify_a_bad_request(error: type[Exception]) -> None:
    count, sites = sweep(lambda: error(QUOTE), expected=True)

    print(f"{count:,} faults in place of {len(sites)} calls")


def test_the_fault_sweep_covers_every_part_of_the_guard() -> None:
    """The modules with failing calls are all modules that a request uses."""
    met = {site.module.removeprefix("hmac_guard.") for case in cases() for site in case.sites}

    assert met >= {
        *(f"asgi.{name}" for name in ("body", "deadline", "driver", "middleware", "request")),
        *(f"wsgi.{name}" for name in ("body", "driver", "middleware", "request")),
        *(f"core.{name}" for name in ("bodies", "cookies", "judge", "key", "message", "multipart", "paths")),
        *(f"core.{name}" for name in ("reader", "request", "scheme", "text")),
        *(f"keys.{name}" for name in ("calling", "resolver")),
        "decider",
        "log",
    }
