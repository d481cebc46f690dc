"""Signers for HTTP clients: they place ids, times and signature into each request that the client sends.

`HttpxAuth` is for httpx and httpx2, sync and async; `RequestsAuth` is for requests. Install the library yourself.
"""

from typing import TYPE_CHECKING, Any

from hmac_guard.later import load

if TYPE_CHECKING:
    from hmac_guard.client.for_httpx import HttpxAuth as HttpxAuth
    from hmac_guard.client.for_requests import RequestsAuth as RequestsAuth

__all__ = ["HttpxAuth", "RequestsAuth"]

_LATER = {
    "HttpxAuth": ("hmac_guard.client.for_httpx", "httpx"),
    "RequestsAuth": ("hmac_guard.client.for_requests", "requests"),
}


def __getattr__(name: str) -> Any:
    return load(__name__, name, _LATER)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
