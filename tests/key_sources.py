"""Sources of keys that count their calls and can be made to fail, and caches that are notified of changes."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from waiting import becomes_true

from hmac_guard import Claim
from hmac_guard.keys import CachedKeys, RedisInvalidation

KEY = "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19"
OTHER_KEY = "1b2c3d4e5f60718293a4b5c6d7e8f901"


def claim_of(tenant: str | None) -> Claim:
    return Claim("orders", {}, tenant)


class Source:
    """A sync or async resolver. `answer` is its return value, or a function of the claim."""

    def __init__(self, answer: Any = KEY) -> None:
        self.answer = answer
        self.asked: list[Claim] = []
        self._lock = threading.Lock()

    def sync(self, claim: Claim) -> Any:
        with self._lock:
            self.asked.append(claim)
        return self.answer(claim) if callable(self.answer) else self.answer

    async def asynchronous(self, claim: Claim) -> Any:
        answer = self.sync(claim)
        return await answer if asyncio.iscoroutine(answer) else answer


def failing(error: BaseException) -> Callable[[Claim], Any]:
    def answer(claim: Claim) -> Any:
        raise error

    return answer


class Clock:
    """A clock that the test sets."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


def follow(keys: CachedKeys, news: RedisInvalidation, tenant: str) -> None:
    """Subscribe the cache, and wait until it is subscribed: then a known tenant is looked up again."""
    known = keys(claim_of(tenant))
    news.watch(keys)
    assert becomes_true(lambda: keys(claim_of(tenant)) is not known)
