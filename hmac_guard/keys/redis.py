"""Tells every worker, on every host, that a tenant's keys have changed."""

import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import hide
from hmac_guard.core.strict import Strict
from hmac_guard.keys.background import Background
from hmac_guard.keys.cached import CachedKeys
from hmac_guard.log import logger, where

#: Seconds: between two attempts to reach a Redis that is away, for which one may last, between two signs of life on a
#: quiet channel, and without one until the connection counts as lost.
RETRY = 0.25
PATIENCE = 1.0
HEARTBEAT = 0.5
SILENCE = 3.0


class RedisInvalidation(Strict):
    """Invalidates caches through Redis, by publish and subscribe. Needs the extras `redis` and `cache`.

        news = RedisInvalidation("redis://localhost:6379/0")
        keys = CachedKeys(SqlKeys(engine, on_change=news.publish))
        news.watch(keys)

    `url`      where Redis is, as redis-py takes it; "rediss://" for TLS
    `channel`  the channel's name; caches of different tables need different ones

    Each worker that watches forgets a tenant within a second of its change, wherever that was made. While Redis is
    away, a change is seen within the cache's `ttl`; once it is back, every tenant is looked up again before it is used
    again, since a change may have been missed. Who can publish on the channel can cause look-ups, and nothing else.
    Raises `ConfigError`.
    """

    def __init__(self, url: str, channel: str = "hmac_guard:keys") -> None:
        hidden = hide(url)  # it may have a password
        del url
        if not isinstance(channel, str) or not channel:
            raise ConfigError("RedisInvalidation: channel must be text")
        try:
            self._redis: Any = redis.Redis.from_url(
                hidden.get(), retry=Retry(NoBackoff(), 0), socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE
            )
        except (ValueError, TypeError, AttributeError):
            raise ConfigError('RedisInvalidation: url must be like "redis://localhost:6379/0"') from None
        self._channel = channel
        self._watches: list[Background] = []

    def publish(self, tenant: str) -> None:
        """Tell everybody who watches that a tenant's keys have changed. Raises `redis.RedisError` where it cannot."""
        self._redis.publish(self._channel, tenant)

    def watch(self, keys: CachedKeys) -> None:
        """Have a cache follow the news, on a thread of its own, until `close` is called or the process ends."""
        hidden = hide(keys)
        del keys
        if not isinstance(hidden.get(), CachedKeys):
            raise ConfigError("RedisInvalidation: watch takes the CachedKeys that is to hear of changes")
        self._watches.append(Background("hmac_guard-news", partial(self._follow, hidden.get())))

    def close(self) -> None:
        """Watch no longer."""
        while self._watches:
            self._watches.pop().stop()
        self._redis.close()

    def _follow(self, keys: CachedKeys, stop: threading.Event) -> None:
        is_away = False
        while not stop.is_set():
            try:
                with self._redis.pubsub() as channel:
                    channel.subscribe(self._channel)
                    for message in _heard(channel, stop):
                        is_away = False
                        self._heed(message, keys)
            except Exception as error:  # The thread has to outlive whatever a broken connection makes redis-py raise.
                if not is_away:
                    logger.warning("Redis is away, changes of keys are seen within the ttl: %s", where(error))
                is_away = True
                stop.wait(RETRY)

    def _heed(self, message: dict[str, Any], keys: CachedKeys) -> None:
        if message["type"] == "subscribe":
            keys.expire()
        elif message["type"] == "message":
            keys.invalidate(message["data"].decode("utf-8", "replace"))

    def __repr__(self) -> str:
        return f"<RedisInvalidation on {self._channel!r}>"


def _heard(channel: redis.client.PubSub, stop: threading.Event) -> Iterator[dict[str, Any]]:
    """The messages on a channel. Raises `redis.TimeoutError` where the other side has fallen silent: a connection that
    a firewall dropped would otherwise look like a quiet channel."""
    heard = time.monotonic()
    while not stop.is_set():
        message = channel.get_message(timeout=HEARTBEAT)
        if message is not None:
            heard = time.monotonic()
            yield message
        elif time.monotonic() - heard > SILENCE:
            raise redis.TimeoutError
        else:
            channel.ping()
