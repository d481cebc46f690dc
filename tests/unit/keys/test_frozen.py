"""`CachedKeys` where the event loop runs during requests alone: AWS Lambda freezes the process between two of them."""

import asyncio
import time
from collections.abc import Awaitable, Iterator
from typing import Any

import pytest
from key_sources import KEY, OTHER_KEY, Source, claim_of, failing
from waiting import TIMEOUT

from hmac_guard import Guard, Query, Scheme
from hmac_guard.keys import CachedKeys, cache_state

mangum = pytest.importorskip("mangum", reason="not run: mangum is not installed")

SCHEME = Scheme(name="orders", ids={"order_id": Query("order_id")}, message="{order_id}", signature=Query("sig"))
ROUND_TRIPS = 5


class FreezableClock:
    """Seconds that pass as they do, and at once where the process is frozen."""

    def __init__(self) -> None:
        self.frozen = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.frozen

    def freeze(self, seconds: float) -> None:
        self.frozen += seconds


class Loop(asyncio.SelectorEventLoop):
    """An event loop that goes by such a clock."""

    def __init__(self, clock: FreezableClock) -> None:
        self.time = clock  # type: ignore[method-assign]
        super().__init__()


@pytest.fixture
def clock() -> FreezableClock:
    return FreezableClock()


@pytest.fixture(autouse=True)
def loop(clock: FreezableClock) -> Iterator[Loop]:
    loop = Loop(clock)
    asyncio.set_event_loop(loop)  # Mangum takes the one that is set.
    yield loop
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_default_executor())
    asyncio.set_event_loop(None)
    loop.close()


class Remote(Source):
    """A source that takes some turns of the event loop, as one over a network does."""

    async def asynchronous(self, claim: Any) -> Any:
        for _ in range(ROUND_TRIPS):
            await asyncio.sleep(0.001)
        return await super().asynchronous(claim)


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def event(key: str) -> dict[str, Any]:
    """What API Gateway gives a function (HTTP API, version 2.0)."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/orders",
        "rawQueryString": f"order_id=42&sig={SCHEME.sign(key, order_id='42')}",
        "headers": {"host": "api.example"},
        "requestContext": {"http": {"method": "GET", "path": "/orders", "sourceIp": "192.0.2.1"}, "stage": "$default"},
        "isBase64Encoded": False,
    }


@pytest.mark.parametrize("colour", ["sync", "asynchronous"], ids=["sync source", "async source"])
@pytest.mark.parametrize("gap", [2.0, 4.99, 5.05, 30.0])
@pytest.mark.parametrize("outside", [False, True], ids=["nothing outside", "a middleware outside that awaits"])
def test_after_a_failure_a_healthy_source_is_heard_of_in_a_few_requests(
    clock: FreezableClock, colour: str, gap: float, outside: bool
) -> None:
    source = Remote()
    keys = CachedKeys(getattr(source, colour), ttl=60, stale_if_error=300, clock=clock)
    guarded = Guard(SCHEME, keys).asgi(app)

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.01)
        await guarded(scope, receive, send)

    function = mangum.Mangum(middleware if outside else guarded, lifespan="off")

    def ask(key: str) -> int:
        clock.freeze(gap)
        status: int = function(event(key), None)["statusCode"]
        return status

    assert ask(KEY) == 200
    clock.freeze(60)
    source.answer = failing(OSError())
    assert ask(KEY) == 200
    source.answer = OTHER_KEY

    assert 200 in [ask(OTHER_KEY) for _ in range(4)]


def test_no_request_waits_for_a_source_that_hangs_while_the_event_loop_runs(
    loop: Loop, clock: FreezableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_state, "RETRY", 0.02)
    source = Source()
    keys = CachedKeys(source.asynchronous, ttl=60, timeout=0.6, clock=clock)

    async def ask() -> float:
        began = time.monotonic()
        answer = keys.on_loop(claim_of("acme"))
        ring = await answer if isinstance(answer, Awaitable) else answer
        assert ring is not None
        return time.monotonic() - began

    async def requests() -> list[float]:
        waited = []
        until = time.monotonic() + 1.6  # two look-ups that come to nothing
        while time.monotonic() < until:
            waited.append(await ask())
            await asyncio.sleep(0.005)
        return waited

    loop.run_until_complete(ask())
    clock.freeze(60)
    source.answer = failing(OSError())
    loop.run_until_complete(ask())
    source.answer = lambda claim: asyncio.sleep(TIMEOUT)
    asked = len(source.asked)
    waited = loop.run_until_complete(requests())

    assert len(source.asked) - asked >= 2
    assert [seconds for seconds in waited if seconds > 0.5] == []
