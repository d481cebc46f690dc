"""One worker of a race: a guarded application on its own port.

python race_worker.py KIND PLACE      prints the port, and serves until it is killed
"""

import sys
from typing import Any

from once_stores import Used
from redis import Redis
from waitress.server import create_server

from hmac_guard import Guard, Header, Query, Scheme, Timestamp

KEY = "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19"
SCHEME = Scheme(
    name="race",
    ids={"user_id": Query("user_id"), "nonce": Header("X-Nonce")},
    message="{user_id}.{nonce}.{timestamp}",
    signature=Query("sig"),
    timestamp=Timestamp(Query("t"), max_age=3_600),
)


class GetThenSet:
    """A store as it must not be: it gets the token, and then sets it."""

    def __init__(self, url: str) -> None:
        self._client: Any = Redis.from_url(url)

    def use(self, token: bytes, until: float) -> bool:
        if self._client.get(token.hex()) is not None:
            return False
        self._client.set(token.hex(), 1, ex=600)
        return True


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def main(kind: str, place: str) -> None:
    store = GetThenSet(place.partition("@")[2]) if kind == "get-then-set" else Used(kind, place).store
    guard = Guard(SCHEME, KEY, single_use=store)
    server: Any = create_server(guard.wsgi(app), host="127.0.0.1", port=0, threads=16)
    print(server.effective_port, flush=True)
    server.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
