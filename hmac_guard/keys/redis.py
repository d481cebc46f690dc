"""Tells every worker, on every host, that a tenant's keys have changed."""

import inspect
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import hide
from hmac_guard.core.strict import Strict
from hmac_guard.forking import after_fork, check_process
from hmac_guard.keys.cached import CachedKeys
from hmac_guard.keys.threads import runs_threads
from hmac_guard.log import logger, where

#: Seconds: between two attempts to reach a Redis that is away, for which one may last, between two signs of life on a
#: quiet channel, and without one until the connection counts as lost.
RETRY = 0.25
TIMEOUT = 1.0
HEARTBEAT = 0.5
SILENCE = 3.0

#: Seconds between two renewals of everything, where Redis cannot tell whether a change was missed.
RENEW_EVERY = 5.0

# Counts that are further apart are not of one Redis: each begins at random.
_MOST_MISSED = 2**20


class RedisInvalidation(Strict):
    """Invalidates caches through Redis, by publish and subscribe. Needs the extras `redis` and `cache`.

        news = RedisInvalidation("redis://localhost:6379/0")
        keys = CachedKeys(SqlKeys(engine, on_change=news.publish))
        news.watch(keys)

    `redis`    where Redis is, as redis-py takes it ("rediss://" for TLS); or a client of your own, for Sentinel, a
               cluster or Valkey: any that has `publish`, `pubsub`, `incr`, `get` and `set` as redis-py's has. It needs
               time-outs of its own (`socket_timeout`), and is not closed
    `channel`  the channel's name; caches of different tables need different ones

    Each worker that watches forgets a tenant within a second of its change, wherever that was made. While Redis is
    away, a change is seen within the cache's `ttl`.

    Each change also counts in the key `<channel>:changes`. A worker that was cut off compares the count when it is
    connected again, and looks up every tenant again only if it missed a change. Where the count cannot be read, or
    does not follow the changes, since something else publishes them, it does so after each connection, at most once in
    5 seconds. Who can publish on the channel can cause look-ups, and nothing else. Times are measured by
    `time.monotonic`. Raises `ConfigError`.
    """

    def __init__(self, redis: Any, channel: str = "hmac_guard:keys") -> None:
        hidden = hide(redis)  # it may have a password
        del redis
        if not isinstance(channel, str) or not channel:
            raise ConfigError("RedisInvalidation: channel must be text")
        self._given = hidden
        self._is_own = isinstance(hidden.get(), (str, type(None)))
        self._redis: Any = _client_of(hidden) if self._is_own else _checked(hidden).get()
        self._channel = channel
        self._counter = f"{channel}:changes"
        self._watches: list[Background] = []
        after_fork(self._renew_client)

    def publish(self, tenant: str) -> None:
        """Tell every worker that watches that a tenant's keys have changed. Raises what the client raises
        (`redis.RedisError`) where it cannot."""
        check_process()
        # First the count: a worker that misses the message finds the count changed.
        self._redis.incr(self._counter)
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
        check_process()
        while self._watches:
            self._watches.pop().stop()
        if self._is_own:
            self._redis.close()

    def _follow(self, keys: CachedKeys, stop: threading.Event) -> None:
        changes, is_away = _Changes(), False
        while not stop.is_set():
            try:
                with self._redis.pubsub() as channel:
                    channel.subscribe(self._channel)
                    for message in _messages(channel, stop):
                        is_away = False
                        self._handle_message(message, keys, changes)
            except Exception as error:  # The thread has to survive every exception of redis-py.
                if not is_away:
                    logger.warning("Redis is away, changes of keys are seen within the ttl: %s", where(error))
                is_away = True
                stop.wait(RETRY)

    def _handle_message(self, message: dict[str, Any] | None, keys: CachedKeys, changes: "_Changes") -> None:
        if message is not None and message["type"] == "subscribe":
            changes.connected(self._count())
        elif message is not None and message["type"] == "message":
            changes.heard()
            data = message["data"]
            keys.invalidate(data if isinstance(data, str) else data.decode("utf-8", "replace"))
        if changes.must_renew(time.monotonic()):
            keys.expire()

    def _count(self) -> int | None:
        """How many changes there were. It begins at random: a Redis that has lost its data must not count the same."""
        try:
            self._redis.set(self._counter, secrets.randbits(48), nx=True)
            return int(self._redis.get(self._counter))
        except Exception as error:
            logger.info("the count of changes in Redis cannot be read: %s", where(error))
            return None

    def _renew_client(self) -> None:
        # A thread of the parent may hold a lock of its pool. To close it would wait for that.
        if self._is_own:
            self._redis.auto_close_connection_pool = False
            self._redis = _client_of(self._given)

    def __repr__(self) -> str:
        return f"<RedisInvalidation on {self._channel!r}>"


class _Changes:
    """What one watching worker knows of the changes: whether it has missed one."""

    def __init__(self) -> None:
        self._count: int | None = None
        self._is_trusted = True
        self._must_renew = self._is_certain = False
        self._renewed_at = -math.inf

    def connected(self, count: int | None) -> None:
        """The worker hears of changes from now on; so many there were, or their number is not known."""
        known, self._count = self._count, count
        if count is None or known is None or not self._is_trusted:
            self._must_renew = True
        elif count != known:
            self._must_renew = True
            self._is_certain |= 0 < count - known < _MOST_MISSED
            # More changes were heard of than counted: something publishes without counting, also what is missed.
            self._is_trusted = not 0 < known - count < _MOST_MISSED

    def heard(self) -> None:
        """The worker has heard of a change."""
        if self._count is not None:
            self._count += 1

    def must_renew(self, now: float) -> bool:
        """Whether the cache has to look up everything again now."""
        if not self._must_renew or (not self._is_certain and now - self._renewed_at < RENEW_EVERY):
            return False
        self._must_renew, self._is_certain, self._renewed_at = False, False, now
        return True


def _client_of(url: Any) -> Any:
    try:
        return redis.Redis.from_url(
            url.get(), retry=Retry(NoBackoff(), 0), socket_connect_timeout=TIMEOUT, socket_timeout=TIMEOUT
        )
    except (ValueError, TypeError, AttributeError):
        raise ConfigError(
            'RedisInvalidation: give a URL like "redis://localhost:6379/0", or a client of your own'
        ) from None


def _checked(client: Any) -> Any:
    missing = [name for name in ("publish", "pubsub", "incr", "get", "set") if not hasattr(client.get(), name)]
    if missing or inspect.iscoroutinefunction(client.get().publish) or "asyncio" in type(client.get()).__module__:
        raise ConfigError(
            'RedisInvalidation: give a URL like "redis://localhost:6379/0", or a sync client like redis.Redis'
        )
    return client


def _messages(channel: Any, stop: threading.Event) -> Iterator[dict[str, Any] | None]:
    """The messages on a channel, and None now and then where there are none. Raises `TimeoutError` where the other side
    has fallen silent: a connection that a firewall dropped would otherwise look like a quiet channel."""
    heard = time.monotonic()
    while not stop.is_set():
        message = channel.get_message(timeout=HEARTBEAT)
        if message is not None:
            heard = time.monotonic()
        elif time.monotonic() - heard > SILENCE:
            raise TimeoutError
        else:
            channel.ping()
        yield message


Work = Callable[[threading.Event], None]


class Background:
    """A daemon thread that does `work` until the event that it is given is set. A forked child, in which no thread of
    its parent lives on, starts it again, after what was made before it. Where no threads run, it does nothing."""

    def __init__(self, name: str, work: Work) -> None:
        self._name = name
        self._work = work
        self._thread: threading.Thread | None = None
        self._start()
        _at_work.add(self)
        after_fork(self._start_again)

    def stop(self) -> None:
        """Have the work end, and wait for that."""
        _at_work.discard(self)
        if self._thread is not None:
            self._stop.set()
            self._thread.join()

    def _start(self) -> None:
        if runs_threads():
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._work, args=[self._stop], name=self._name, daemon=True)
            self._thread.start()

    def _start_again(self) -> None:
        if self in _at_work:
            self._start()


# Python forgets the threads of the parent in a child. This keeps what they did.
_at_work: set[Background] = set()
