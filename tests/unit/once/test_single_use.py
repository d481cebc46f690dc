"""A guard with a single-use store, over WSGI and ASGI: each signature passes once, none if the store fails."""

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from databases import POSTGRES, REDIS, needs
from once_stores import store_of
from ports import LOCAL
from support import Call, Reply, Sent, ask_asgi, call_asgi, call_wsgi, scope_for
from waiting import TIMEOUT, becomes_true
from wires import own_redis, wire_to

from hmac_guard import ConfigError, Expires, Guard, Header, Keyring, Query, Reason, Scheme, Timestamp, Verdict
from hmac_guard.keys import per_tenant
from hmac_guard.once import MemoryOnce, RedisOnce, StoreFull
from hmac_guard.once.store import token_of
from hmac_guard.schemes import GITHUB, STANDARD_WEBHOOKS

KEY = "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19"
OTHER_KEY = "1b2c3d4e5f60718293a4b5c6d7e8f901"
NOW = 1_800_000_000
SCHEME = Scheme(
    name="once",
    ids={"user_id": Query("user_id"), "nonce": Header("X-Nonce")},
    message="{user_id}.{nonce}.{timestamp}",
    signature=Query("sig"),
    timestamp=Timestamp(Query("t"), max_age=300, leeway=60),
)
TENANTS = SCHEME.replace(tenant=Query("tenant"))


def request(scheme: Scheme = SCHEME, key: str = KEY, now: int = NOW, tenant: str | None = None, **ids: str) -> Sent:
    fields = scheme.sign_fields(key, {"user_id": "u1", "nonce": "n1", **ids}, now=now, tenant=tenant)
    query = "&".join(f"{name}={value}" for name, value in fields.query.items())
    return Sent(query=query, headers=list(fields.headers.items()))


class Store:
    """A store that notes what it is asked. `answer` is its answer, the exception that it raises, or a function."""

    def __init__(self, answer: Any = True, timeout: float = TIMEOUT) -> None:
        self.answer = answer
        self.timeout = timeout
        self.asked: list[tuple[bytes, float]] = []

    def use(self, token: bytes, until: float) -> Any:
        self.asked.append((token, until))
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer() if callable(self.answer) else self.answer


class AsyncStore(Store):
    async def use(self, token: bytes, until: float) -> Any:
        answer = super().use(token, until)
        return await answer if asyncio.iscoroutine(answer) else answer


STORES = {"sync": Store, "async": AsyncStore}


class Asked:
    def __init__(self, store: Any, scheme: Scheme = SCHEME, keys: Any = KEY, **options: Any) -> None:
        self.now: float = NOW
        self.seen: list[Verdict] = []
        self.details: list[str] = []
        self.guard = Guard(scheme, keys, single_use=store, clock=lambda: self.now, on_verdict=self._note, **options)

    def _note(self, verdict: Verdict, claim: Any) -> None:
        self.seen.append(verdict)
        self.details.append(claim.detail)

    def ask(self, call: Call, sent: Sent) -> tuple[int, Reason]:
        reply = call(self.guard, sent)
        return reply.status, self.seen[-1].reason


@pytest.fixture(params=list(STORES))
def kind(request: pytest.FixtureRequest) -> Any:
    return STORES[request.param]


def test_a_signature_passes_once(call: Call) -> None:
    asked = Asked(MemoryOnce(100))
    sent = request()

    assert asked.ask(call, sent) == (200, Reason.VERIFIED)
    assert [asked.ask(call, sent) for _ in range(3)] == [(401, Reason.REPLAYED)] * 3
    assert asked.details[1:] == ["the signature was used before"] * 3
    assert asked.ask(call, request(nonce="n2")) == (200, Reason.VERIFIED)
    assert asked.ask(call, request(now=NOW + 1)) == (200, Reason.VERIFIED)


def test_the_answer_says_that_the_signature_was_used(call: Call) -> None:
    asked = Asked(MemoryOnce(100))
    call(asked.guard, request())
    reply = call(asked.guard, request())

    assert b'"code": "replayed"' in reply.body
    assert reply.headers["www-authenticate"] == 'HMAC realm="hmac_guard"'


def test_a_signature_is_used_at_either_interface() -> None:
    asked = Asked(MemoryOnce(100))

    assert asked.ask(call_wsgi, request()) == (200, Reason.VERIFIED)
    assert asked.ask(call_asgi, request()) == (401, Reason.REPLAYED)


def test_what_is_not_proven_spends_nothing(call: Call, kind: Any) -> None:
    store = kind()
    asked = Asked(store)
    sent = request()
    forged = Sent(query=sent.query.replace("u1", "u2"), headers=sent.headers)
    late, early = request(now=NOW - 301), request(now=NOW + 61)

    for wrong in (forged, late, early, Sent(query="user_id=u1"), Sent(query=sent.query)):
        assert asked.ask(call, wrong)[0] == 401
    assert store.asked == []
    assert asked.ask(call, sent) == (200, Reason.VERIFIED)
    assert len(store.asked) == 1


def test_the_token_is_that_of_scope_tenant_and_message(call: Call, kind: Any) -> None:
    store = kind()
    message = b"u1.n1.%d" % NOW
    for given, scope in ((None, "once"), ("shared", "shared")):
        Asked(store, single_use_scope=given).ask(call, request())
        assert store.asked.pop()[0] == token_of(scope, None, message)
    keys = {"acme": KEY, "umbrella": OTHER_KEY}
    Asked(store, TENANTS, keys).ask(call, request(TENANTS, tenant="acme"))
    assert store.asked.pop()[0] == token_of("once", "acme", message)
    # One secret for all tenants: which one the request names is not proven, and makes no other token.
    Asked(store, TENANTS).ask(call, request(TENANTS, tenant="umbrella"))
    assert store.asked.pop()[0] == token_of("once", None, message)


@pytest.mark.parametrize(
    ("scheme", "now", "sent_at", "seconds"),
    [
        (SCHEME, NOW, NOW, 300),
        (SCHEME, NOW, NOW - 300, 0),
        (SCHEME, NOW, NOW + 60, 360),
        (SCHEME, NOW + 0.5, NOW, 299.5),
    ],
)
def test_a_token_is_remembered_for_its_lifetime_and_a_minute_and_a_second(
    call: Call, scheme: Scheme, now: float, sent_at: int, seconds: float
) -> None:
    store = Store()
    asked = Asked(store, scheme)
    asked.now = now
    before = time.time()
    assert asked.ask(call, request(scheme, now=sent_at))[0] == 200
    [(_, until)] = store.asked

    assert before + seconds + 61 <= until <= time.time() + seconds + 61


def test_of_two_times_the_sooner_one_counts(call: Call) -> None:
    store = Store()
    scheme = Scheme(
        name="two",
        ids={"a": Query("a")},
        message="{a}.{timestamp}.{expires}",
        signature=Query("sig"),
        timestamp=Timestamp(Query("t"), max_age=1_000),
        expires=Expires(Query("e"), max_lifetime=100, leeway=7, unit="ms"),
    )
    query = "&".join(f"{name}={value}" for name, value in scheme.sign_fields(KEY, a="x", now=NOW).query.items())
    before = time.time()
    assert Asked(store, scheme).ask(call, Sent(query=query))[0] == 200

    assert before + 118 <= store.asked[0][1] <= time.time() + 118


def test_a_token_is_remembered_while_a_clock_that_is_a_minute_slow_accepts_its_signature(call: Call) -> None:
    """Times are compared in whole seconds, so a signature is valid until almost a second after its end."""
    store = Store()
    asked = Asked(store)
    difference = time.time() - NOW
    assert asked.ask(call, request())[0] == 200
    slow = Asked(MemoryOnce(10))
    slow.now = NOW + 300.99

    assert slow.ask(call, request())[0] == 200
    assert store.asked[0][1] > slow.now + 59.99 + difference


def test_two_guards_share_what_was_used_where_they_share_store_and_scope(call: Call) -> None:
    store = MemoryOnce(100)
    renamed = SCHEME.replace(name="other")

    assert Asked(store).ask(call, request())[0] == 200
    assert Asked(store).ask(call, request()) == (401, Reason.REPLAYED)
    assert Asked(store, renamed).ask(call, request())[0] == 200
    assert Asked(store, renamed, single_use_scope="once").ask(call, request()) == (401, Reason.REPLAYED)
    assert Asked(store, single_use_scope="third").ask(call, request())[0] == 200


def test_a_second_signature_over_one_message_is_a_second_use(call: Call) -> None:
    asked = Asked(MemoryOnce(100), keys=[KEY, OTHER_KEY])

    assert asked.ask(call, request())[0] == 200
    assert asked.ask(call, request(key=OTHER_KEY)) == (401, Reason.REPLAYED)


def test_report_mode_spends_tokens_and_off_does_not(call: Call) -> None:
    store = MemoryOnce(100)
    off, report = Asked(store, mode="off"), Asked(store, mode="report")
    assert call(off.guard, request()).status == 200
    assert store.size == 0

    assert report.ask(call, request()) == (200, Reason.VERIFIED)
    reply = call(report.guard, request())
    assert (reply.status, reply.verdict.reason, bool(reply.verdict)) == (200, Reason.REPLAYED, False)
    assert dict(reply.verdict.claimed) == {"user_id": "u1", "nonce": "n1"}
    assert Asked(store).ask(call, request()) == (401, Reason.REPLAYED)


def test_a_tenant_that_is_off_spends_nothing(call: Call) -> None:
    store = MemoryOnce(100)
    keys = {"acme": Keyring(KEY, mode="off"), "umbrella": Keyring(OTHER_KEY, mode="report")}
    asked = Asked(store, TENANTS, keys)

    for _ in range(2):
        reply = call(asked.guard, request(TENANTS, tenant="acme"))
        assert (reply.status, reply.verdict.reason) == (200, Reason.OFF)
    assert store.size == 0
    sent = request(TENANTS, OTHER_KEY, tenant="umbrella")
    assert [call(asked.guard, sent).verdict.reason for _ in range(2)] == [Reason.VERIFIED, Reason.REPLAYED]


# A store that cannot answer.

WRONG: dict[str, Any] = {
    "it raises": ConnectionError("no redis at redis://:open-sesame-open@host"),
    "it is full": StoreFull("full"),
    "it says None": None,
    "it says 1": 1,
    "it says text": "True",
    "it raises StopIteration": StopIteration(),
}
if sys.version_info >= (3, 11):  # A task of Python 3.10 does not say whether it is cancelled.
    WRONG["it raises CancelledError"] = asyncio.CancelledError()


@pytest.mark.parametrize("case", WRONG)
def test_a_store_that_cannot_tell_passes_nothing(
    call: Call, kind: Any, case: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hmac_guard.log.RECOVERED_AFTER", 0.0)
    store = kind(WRONG[case])
    asked = Asked(store)
    assert [asked.ask(call, request()) for _ in range(3)] == [(503, Reason.KEYS_UNAVAILABLE)] * 3
    assert set(asked.details) == {"the single-use store gave no answer"}
    store.answer = True
    assert asked.ask(call, request()) == (200, Reason.VERIFIED)

    lines = [record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG]
    assert [line.split(" failed")[0] for line in lines[:1]] == ["the single-use store"]
    assert "the single-use store works again; it failed 3 times" in lines[1]
    assert len(lines) == 2
    assert "sesame" not in caplog.text


def test_a_failing_store_is_reported_to_the_application_in_report_mode(call: Call, kind: Any) -> None:
    reply = call(Asked(kind(RuntimeError()), mode="report").guard, request())

    assert (reply.status, reply.verdict.reason, bool(reply.verdict)) == (200, Reason.KEYS_UNAVAILABLE, False)
    assert dict(reply.verdict.claimed) == {"user_id": "u1", "nonce": "n1"}


def test_a_sync_store_that_is_slow_is_given_up(call: Call) -> None:
    released = threading.Event()
    asked = Asked(Store(lambda: released.wait(TIMEOUT), timeout=0.1))
    began = time.monotonic()

    assert asked.ask(call, request()) == (503, Reason.KEYS_UNAVAILABLE)
    assert time.monotonic() - began < TIMEOUT / 2
    released.set()


def test_an_async_store_that_is_slow_is_given_up(call: Call) -> None:
    async def slow() -> bool:
        await asyncio.sleep(TIMEOUT)
        return True

    began = time.monotonic()
    assert Asked(AsyncStore(slow, timeout=0.1)).ask(call, request()) == (503, Reason.KEYS_UNAVAILABLE)
    assert time.monotonic() - began < TIMEOUT / 2


def test_cancellation_during_a_question_to_the_store_is_not_caught() -> None:
    async def cancelled() -> tuple[bool, list[Any]]:
        is_asked = asyncio.Event()
        sent: list[Any] = []

        async def wait() -> bool:
            is_asked.set()
            await asyncio.sleep(TIMEOUT)
            return True

        async def send(message: Any) -> None:
            sent.append(message)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            sent.append(scope)

        guarded = Asked(AsyncStore(wait)).guard.asgi(app)
        task = asyncio.ensure_future(guarded(scope_for(request()), None, send))
        await is_asked.wait()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled(), sent

    assert asyncio.run(cancelled()) == (True, [])


def test_one_tenant_that_fills_a_memory_leaves_room_for_the_others(call: Call) -> None:
    asked = Asked(MemoryOnce(8), TENANTS, {"greedy": KEY, "acme": OTHER_KEY})

    def ask(tenant: str, key: str, nonce: str) -> int:
        return asked.ask(call, request(TENANTS, key, tenant=tenant, nonce=nonce))[0]

    assert [ask("greedy", KEY, f"n{number}") for number in range(4)] == [200, 200, 503, 503]
    assert [ask("acme", OTHER_KEY, f"n{number}") for number in range(3)] == [200, 200, 503]


@pytest.fixture(params=["wsgi", "asgi"])
def interface(request: pytest.FixtureRequest) -> Iterator[Any]:
    """One event loop for all requests of a test: a store may be bound to it."""
    loop = asyncio.new_event_loop()

    def call(guard: Guard, sent: Sent) -> Reply:
        return loop.run_until_complete(ask_asgi(guard, sent)) if request.param == "asgi" else call_wsgi(guard, sent)

    call.loop = loop  # type: ignore[attr-defined]
    yield call
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_a_store_that_is_away_slow_or_started_anew_is_503_and_heals(interface: Any, kind: str, tmp_path: Path) -> None:
    target = POSTGRES if kind == "postgres" else REDIS
    needs(target, kind)
    with wire_to(str(target.host), int(target.port or 0)) as wire:
        url = target.set(host=LOCAL, port=wire.port).render_as_string(hide_password=False)
        with store_of(kind, tmp_path, url, timeout=1.0) as used:
            asked = Asked(used.store)
            assert asked.ask(interface, request())[0] == 200
            for number, (fail, heal) in enumerate(
                ((wire.cut, wire.restore), (wire.hold, wire.release), (wire.drop, lambda: None))
            ):
                fail()
                if fail != wire.drop:  # New connections work at once.
                    assert asked.ask(interface, request(nonce=f"away{number}"))[0] == 503
                heal()
                assert becomes_true(partial(_passes, asked, interface, f"healed{number}"))
                assert asked.ask(interface, request()) == (401, Reason.REPLAYED)


def _passes(asked: Asked, interface: Any, name: str) -> bool:
    """Whether a new request passes. One that was answered 503 may have spent its token."""
    return asked.ask(interface, request(nonce=f"{name}-{len(asked.seen)}"))[0] == 200


def test_requests_are_503_while_redis_restarts(interface: Any) -> None:
    with own_redis() as server:
        asked = Asked(RedisOnce(server.url))
        assert asked.ask(interface, request())[0] == 200
        server.stop()
        assert asked.ask(interface, request(nonce="n2"))[0] == 503
        server.start()
        assert becomes_true(partial(_passes, asked, interface, "healed"))


@pytest.mark.parametrize(
    "kind", ["memory", "redis", "redis-async", "sqlite", "sqlite-async", "postgres-async", "django"]
)
def test_each_store_works_behind_a_guard(kind: str, tmp_path: Path) -> None:
    with store_of(kind, tmp_path) as used:
        asked = Asked(used.store)
        interfaces = {
            "asgi": lambda guard, sent: used.loop.run_until_complete(ask_asgi(guard, sent)),
            "wsgi": call_wsgi,
        }
        if kind.endswith("-async"):
            del interfaces["wsgi"]
        for name, call in interfaces.items():
            assert asked.ask(call, request(nonce=name)) == (200, Reason.VERIFIED)
            assert asked.ask(call, request(nonce=name)) == (401, Reason.REPLAYED)


# What cannot be meant.


def test_a_store_that_is_bound_to_a_loop_cannot_serve_wsgi(tmp_path: Path) -> None:
    with store_of("redis-async", tmp_path) as used, pytest.raises(ConfigError, match="single-use store is bound"):
        Asked(used.store).guard.wsgi(lambda environ, start_response: [])


CASES: dict[str, tuple[Any, str]] = {
    "a scheme without a time": (lambda: Guard(GITHUB, KEY, single_use=MemoryOnce()), "needs a scheme with a time"),
    "no store": (lambda: Guard(SCHEME, KEY, single_use="redis://localhost"), "takes a store"),  # type: ignore[arg-type]
    "a time-out beyond what a thread can wait for": (
        lambda: Guard(SCHEME, KEY, single_use=RedisOnce("redis://x", timeout=1e10)),
        "the timeout of the single-use store must be at most",
    ),
    "the class of a store": (lambda: Guard(SCHEME, KEY, single_use=MemoryOnce), "takes a store"),  # type: ignore[arg-type]
    "True": (lambda: Guard(SCHEME, KEY, single_use=True), "takes a store"),  # type: ignore[arg-type]
    "a scope without a store": (lambda: Guard(SCHEME, KEY, single_use_scope="s"), "single_use_scope"),
    "an empty scope": (lambda: Guard(SCHEME, KEY, single_use=MemoryOnce(), single_use_scope=""), "single_use_scope"),
    "a scope that is no text": (
        lambda: Guard(SCHEME, KEY, single_use=MemoryOnce(), single_use_scope=b"s"),  # type: ignore[arg-type]
        "single_use_scope",
    ),
    "keys that do not say whose they are": (
        lambda: Guard(TENANTS, lambda claim: KEY, single_use=MemoryOnce()),
        "does not say whether",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_work_is_refused_when_the_guard_is_made(case: str) -> None:
    make, says = CASES[case]
    with pytest.raises(ConfigError, match=says):
        make()


def test_keys_that_say_whose_they_are_are_taken(call: Call) -> None:
    @per_tenant
    def theirs(claim: Any) -> str:
        return KEY

    def shared(claim: Any) -> str:
        return KEY

    shared.per_tenant = False  # type: ignore[attr-defined]

    class Ring(Keyring):
        """A ring of the user's own."""

    for keys in (theirs, shared, KEY, {"acme": KEY}, Ring(KEY), per_tenant(lambda claim: Ring(KEY))):
        asked = Asked(MemoryOnce(10), TENANTS, keys)
        sent = request(TENANTS, tenant="acme")
        assert [asked.ask(call, sent)[0] for _ in range(2)] == [200, 401]
    asked = Asked(MemoryOnce(10), SCHEME, lambda claim: KEY)
    assert [asked.ask(call, request())[0] for _ in range(2)] == [200, 401]


def test_a_redelivery_that_is_signed_anew_passes(call: Call) -> None:
    """As a retry of Standard Webhooks: the same id and body, another time."""
    asked = Asked(MemoryOnce(10), STANDARD_WEBHOOKS)

    def delivery(now: int) -> Sent:
        fields = STANDARD_WEBHOOKS.sign_fields(KEY, now=now, message_id="m1", body=b"{}")
        return Sent(method="POST", headers=list(fields.headers.items()), body=b"{}")

    assert asked.ask(call, delivery(NOW)) == (200, Reason.VERIFIED)
    assert asked.ask(call, delivery(NOW)) == (401, Reason.REPLAYED)
    assert asked.ask(call, delivery(NOW + 5)) == (200, Reason.VERIFIED)
