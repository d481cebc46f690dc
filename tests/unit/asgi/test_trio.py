"""The ASGI middleware on trio: bodies, their deadline, and key sources."""

import time
from typing import Any

import pytest
from support import Sent, scope_for
from waiting import TIMEOUT

from hmac_guard import Claim, Guard, Json, Query, Scheme, Verdict, verdict_from
from hmac_guard.asgi import body as asgi_body
from hmac_guard.keys import CachedKeys, ChainKeys

trio = pytest.importorskip("trio", reason="not run: trio is not installed")

KEY = "a key that is long enough"
SCHEME = Scheme(name="one", ids={"a": Json("/a") | Query("a")}, message="{a}", signature=Query("sig"))
QUERY = f"sig={SCHEME.sign(KEY, a='x')}"
JSON = [("Content-Type", "application/json")]


def ask(guard: Guard, *messages: dict[str, Any], waits: bool = False, opens_scope: bool = False) -> tuple[int, Any]:
    """Return the status, and the verdict that the application got."""
    seen: list[Verdict] = []
    sent: list[Any] = []
    pending = list(messages)

    async def receive() -> Any:
        if opens_scope:  # Like Starlette's BaseHTTPMiddleware.
            with trio.CancelScope():
                await trio.sleep(0)
        await trio.sleep(0)
        return pending.pop(0) if pending else await trio.sleep_forever()

    async def send(message: Any) -> None:
        await trio.sleep(0)
        sent.append(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(verdict_from(scope))
        message = await receive()
        assert message["body"] == b'{"a": "x"}'
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def main() -> None:
        with trio.fail_after(10):
            await guard.asgi(app)(scope_for(Sent("POST", query=QUERY, headers=JSON)), receive, send)

    trio.run(main)
    return sent[0]["status"], seen and seen[0].ids["a"]


PIECES = [
    {"type": "http.request", "body": b'{"a": ', "more_body": True},
    {"type": "http.request", "body": b'"x"}', "more_body": False},
]


@pytest.mark.parametrize("opens_scope", [False, True])
def test_a_body_in_chunks_is_read_and_passed_to_the_application(opens_scope: bool) -> None:
    assert ask(Guard(SCHEME, KEY), *PIECES, opens_scope=opens_scope) == (200, "x")


@pytest.mark.parametrize("pieces", [PIECES, PIECES[:1]], ids=["a whole body", "a part of a body"])
def test_a_cancelled_scope_takes_no_message_away(pieces: list[Any]) -> None:
    """Starlette asks in such a scope whether the client has gone."""
    anyio = pytest.importorskip("anyio", reason="not run: anyio is not installed")
    pending, asked = [*pieces], []

    async def receive() -> Any:
        asked.append(True)
        await trio.sleep_forever()

    async def main() -> Any:
        with anyio.CancelScope() as scope:
            scope.cancel()
            return await asgi_body.replay(pending, receive)

    assert trio.run(main) is None
    assert pending == pieces
    # Otherwise each question would take one more piece of a large body into memory.
    assert len(asked) == (pieces == PIECES)


def test_a_body_that_does_not_arrive_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi_body, "DEADLINE", 0.05)

    assert ask(Guard(SCHEME, KEY), PIECES[0]) == (408, [])


def blocking(claim: Any) -> str:
    return KEY


def blocking_for_long(claim: Any) -> str:
    time.sleep(0.3)
    return KEY


async def sleeping(claim: Any) -> str:
    await trio.sleep(TIMEOUT)
    return KEY


async def native(claim: Any) -> str:
    await trio.sleep(0)
    return KEY


SOURCES = {
    "a sync source": blocking,
    "an async source": native,
    "a sync source of an awaitable": lambda claim: native(claim),
}
ALL = pytest.mark.parametrize("keys", SOURCES.values(), ids=SOURCES)


@ALL
def test_a_key_source_is_called(keys: Any) -> None:
    assert ask(Guard(SCHEME, keys), *PIECES) == (200, "x")


@ALL
def test_a_source_in_a_chain_is_asked(keys: Any) -> None:
    assert ask(Guard(SCHEME, ChainKeys(lambda claim: None, keys)), *PIECES) == (200, "x")


@ALL
def test_keys_are_remembered(keys: Any) -> None:
    asked: list[str | None] = []

    def counted(claim: Claim) -> Any:
        asked.append(claim.tenant)
        return keys(claim)

    guard = Guard(SCHEME, CachedKeys(counted))

    assert [ask(guard, *PIECES) for _ in range(3)] == [(200, "x")] * 3
    assert len(asked) == 1


def test_requests_that_miss_a_tenant_at_once_share_one_look_up() -> None:
    asked, rings = [], []

    async def slow(claim: Claim) -> str:
        asked.append(claim.tenant)
        await trio.sleep(0.05)
        return KEY

    cached = CachedKeys(slow)

    async def main() -> None:
        async def one() -> None:
            rings.append(await cached.on_loop(Claim("one", {}, "acme")))

        with trio.fail_after(TIMEOUT):
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(one)

    trio.run(main)

    assert (len(asked), len(rings), len(set(rings))) == (1, 20, 1)


def test_a_look_up_outlives_the_request_that_began_it() -> None:
    asked, rings = [], []

    async def slow(claim: Claim) -> str:
        asked.append(claim.tenant)
        await trio.sleep(0.05)
        return KEY

    cached = CachedKeys(slow)

    async def main() -> None:
        with trio.move_on_after(0.01):
            await cached.on_loop(Claim("one", {}, "acme"))
        with trio.fail_after(TIMEOUT):
            rings.append(await cached.on_loop(Claim("one", {}, "acme")))

    trio.run(main)

    assert (len(asked), len(rings)) == (1, 1)


@pytest.mark.parametrize("hanging", [blocking_for_long, sleeping], ids=["a sync source", "an async source"])
def test_a_request_waits_for_a_cached_source_no_longer_than_its_timeout(hanging: Any) -> None:
    assert ask(Guard(SCHEME, CachedKeys(hanging, timeout=0.05)), *PIECES) == (503, [])
