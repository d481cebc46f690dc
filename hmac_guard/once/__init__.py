"""Stores of used signatures, so that a guard accepts each signature once.

A single-use store is any object with `use(token, until)` (see `hmac_guard.once.store`); these are ready-made ones. A
store that needs another library is imported when it is first used.
"""

from typing import TYPE_CHECKING, Any

from hmac_guard.later import load
from hmac_guard.once.store import MemoryOnce as MemoryOnce
from hmac_guard.once.store import OnceStore as OnceStore
from hmac_guard.once.store import StoreFull as StoreFull

if TYPE_CHECKING:
    from hmac_guard.once.django_cache import DjangoCacheOnce as DjangoCacheOnce
    from hmac_guard.once.redis import RedisOnce as RedisOnce
    from hmac_guard.once.sql import SqlOnce as SqlOnce

__all__ = ["MemoryOnce", "OnceStore", "StoreFull"]

# The module of each, and what to install for it.
_LATER = {
    "DjangoCacheOnce": ("hmac_guard.once.django_cache", "django"),
    "RedisOnce": ("hmac_guard.once.redis", "'hmac-guard[redis]'"),
    "SqlOnce": ("hmac_guard.once.sql", "'hmac-guard[sql]'"),
}


def __getattr__(name: str) -> Any:
    return load(__name__, name, _LATER)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
