"""The ASGI middleware on trio: bodies, their deadline, and key sources."""

from typing import Any

import pytest
from support import Sent, scope_for

from hmac_guard import Guard, Json, Query, Scheme, Verdict, verdict_from
from hmac_guard.asgi import body as asgi_body

trio = pytest.importorskip("trio", reason="not run: trio is not installed")

KEY = "a key that is long enough"
SCHEME = Scheme(name="one", ids={"a": Json("/a") | Query("a")}, message="{a}", signature=Query("sig"))
QUERY = f"sig={SCHEME.sign(KEY, a='x')}"
JSON = [("Content-Type", "application/json")]


def ask(guard: Guard, *messages: dict[str, Any], waits: bool = False, opens_scope: bool = False) -> tuple[int, Any]:
    """The status and the verdict that the application saw."""
    seen: list[Verdict] = []
    sent: list[Any] = []
    pending = list(messages)

    async def receive() -> Any:
        if opens_scope:  # As Starlette's BaseHTTPMiddleware does.
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
def test_a_body_in_pieces_is_read_and_given_to_the_application(opens_scope: bool) -> None:
    assert ask(Guard(SCHEME, KEY), *PIECES, opens_scope=opens_scope) == (200, "x")


def test_a_body_that_does_not_arrive_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi_body, "DEADLINE", 0.05)

    assert ask(Guard(SCHEME, KEY), PIECES[0]) == (408, [])


def blocking(claim: Any) -> str:
    return KEY


async def native(claim: Any) -> str:
    await trio.sleep(0)
    return KEY


@pytest.mark.parametrize("keys", [blocking, native], ids=["a sync source", "an async source"])
def test_a_key_source_is_asked(keys: Any) -> None:
    assert ask(Guard(SCHEME, keys), *PIECES) == (200, "x")
