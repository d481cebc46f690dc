"""A single-use store in one of Django's caches, on Redis."""

import os
import sys
from math import ceil

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.redis import RedisCache
from django.utils.module_loading import import_string

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.numbers import check_seconds
from hmac_guard.core.strict import Strict
from hmac_guard.once.store import TIMEOUT, seconds_until


class DjangoCacheOnce(Strict):
    """Remembers used tokens in one of Django's `CACHES`, on Django's own Redis backend.

    Each token is one `cache.add`, a `SET NX EX`. As for `RedisOnce`, Redis must not evict keys early. `cache.clear()`
    forgets every token. With redis-py before 8, give the cache time-outs, since a call that hangs keeps its thread:
    `"OPTIONS": {"socket_timeout": 2, "socket_connect_timeout": 2}`.

    Args:
        alias: The cache's name in the setting `CACHES`.
        timeout: Seconds that a request waits for the store. After that it is answered 503.

    Raises:
        ConfigError: The cache has another backend. Memcached evicts, and the file and database caches get a value
            before they set it.
    """

    def __init__(self, alias: str = "default", *, timeout: float = TIMEOUT) -> None:
        check_seconds("DjangoCacheOnce: timeout", timeout)
        _check_cache(alias)
        self.alias = alias
        self.timeout = timeout

    def use(self, token: bytes, until: float) -> bool:
        """Return whether this is the first use of the token. Raise what redis-py raises."""
        is_first: bool = caches[self.alias].add(f"hmac_guard:once:{token.hex()}", 1, timeout=ceil(seconds_until(until)))
        return is_first

    def _description(self) -> str:
        return f"DjangoCacheOnce({self.alias!r})"


def _check_cache(alias: object) -> None:
    # Django would take a half-read settings module for the whole of it.
    if not settings.configured and os.environ.get("DJANGO_SETTINGS_MODULE") in sys.modules:
        raise ConfigError(
            "DjangoCacheOnce: it is made while Django still reads its settings; make the Guard in another module, and "
            "give HMAC_GUARD its dotted path"
        )
    known = settings.CACHES
    if alias not in known:
        raise ConfigError(f"DjangoCacheOnce: CACHES has no {alias!r}; it has {', '.join(map(repr, known))}")
    backend = known[alias]["BACKEND"]
    if not issubclass(import_string(backend), RedisCache):
        raise ConfigError(
            f"DjangoCacheOnce: the cache {alias!r} is a {backend}, which may forget early or let two requests pass at "
            "once; take django.core.cache.backends.redis.RedisCache"
        )
