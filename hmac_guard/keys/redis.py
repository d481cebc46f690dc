"""Announces to every worker, on every host, that a tenant's keys have changed."""

import inspect
import logging
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import redis

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.strict import Strict
from hmac_guard.forking import after_fork, check_process
from hmac_guard.keys.cached import CachedKeys
from hmac_guard.keys.threads import runs_threads
from hmac_guard.log import FailureLog, failure_of, log_failure
from hmac_guard.redis_clients import check_name, client_of_url, is_pipeline

#: Seconds between two attempts to connect, and for which one may last.
RETRY, TIMEOUT = 0.25, 1.0
#: Seconds between two pings on a channel without messages, and without an answer until the connection counts as lost.
HEARTBEAT, SILENCE = 0.5, 3.0

#: Seconds between two renewals of all entries, if Redis cannot show whether a change was missed.
RENEW_EVERY = 5.0

# Counts with a larger difference come from two Redis servers: each count begins at a random number.
_MAX_MISSED = 2**20

# With each byte that continues a character in UTF-8, and that begins one of two bytes.
_NAMES = "".join(map(chr, range(0x80, 0x800))).encode()


class RedisInvalidation(Strict):
    """Invalidates caches through Redis, by publish and subscribe. Needs the extras `redis` and `cache`.

    Each worker that watches forgets a tenant within a second of its change, wherever the change was made. While Redis
    cannot be reached, a change is seen within the cache's `ttl`.

    Each change also counts in the key `<channel>:changes`. A worker that lost its connection compares the count after
    it has connected again with the count at its last connection. If there was a change in between, it looks up every
    tenant again: the messages that it received do not show whether it missed others. If the count cannot be read, or
    does not follow the changes because something else publishes them, the worker does so after each connection, at most
    once in 5 seconds. A client that can publish on the channel can cause look-ups, and nothing else. While the source
    fails, a tenant whose keys were dropped so is answered 503. Times are measured by `time.monotonic`.

    Args:
        redis: The URL of Redis, as redis-py takes it ("rediss://" for TLS). Or your own client, for Sentinel, a cluster
            or Valkey: any client with the `publish`, `pubsub`, `incr`, `get` and `set` of redis-py. It needs its own
            time-outs (`socket_timeout`) and `retry_on_error=[redis.TimeoutError]`, and is not closed.
        channel: The name of the channel. Caches of different tables need different ones.

    Raises:
        ConfigError: An argument is not valid.

    Example::

        changes = RedisInvalidation("redis://localhost:6379/0")
        keys = CachedKeys(SqlKeys(engine, on_change=changes.publish))
        changes.watch(keys)
    """

    def __init__(self, redis: Any, channel: str = "hmac_guard:keys") -> None:
        hidden = hide(redis)  # it may have a password
        del redis
        check_name("RedisInvalidation: channel", channel or None)
        self._given = hidden
        self._is_own = isinstance(hidden.get(), (str, type(None)))
        self._redis: Hidden[Any] = _client_of(hidden) if self._is_own else _checked(hidden)
        _check_names(self._redis)
        self._channel = channel
        self._counter = f"{channel}:changes"
        self._watches: list[Background] = []
        after_fork(self._renew_client)

    def publish(self, tenant: str) -> None:
        """Announce to every worker that watches that a tenant's keys have changed.

        A change is announced even if Redis refuses to count it, for example because its memory is full.

        Raises:
            redis.RedisError: Redis cannot be reached, or refuses. Your own client may raise other exceptions.
        """
        check_process()
        if self._is_own:
            # A connection that was not used for some time may be lost, and so may all others in the pool. One that was
            # lost silently looks like a Redis that gives no answer.
            self._redis.get().connection_pool.disconnect(inuse_connections=False)
        message = tenant.encode()  # The encoding of the client may be another one.
        # First the count: a worker that misses the message finds the count changed.
        try:
            self._start_count()
            self._redis.get().incr(self._counter)
        except (redis.ConnectionError, redis.TimeoutError):
            raise  # To publish would only wait for Redis a second time.
        except Exception:
            self._redis.get().publish(self._channel, message)
            raise
        self._redis.get().publish(self._channel, message)

    def watch(self, keys: CachedKeys) -> None:
        """Invalidate a cache on each announced change, on its own thread, until `close` or the end of the process.

        It returns after the first attempt to connect, which takes a second at most.

        Args:
            keys: The cache.

        Raises:
            ConfigError: `keys` is not a `CachedKeys`, or `max_connections` permits only one.
        """
        check_process()
        hidden = hide(keys)
        del keys
        if not isinstance(hidden.get(), CachedKeys):
            raise ConfigError("RedisInvalidation: watch takes the CachedKeys whose keys may change")
        _check_connections(self._redis)
        has_tried = threading.Event()
        self._watches.append(Background("hmac_guard-news", partial(self._follow, hidden.get(), has_tried)))
        # The first connection imports modules. A child that is forked during an import gets half of a module.
        if runs_threads():
            has_tried.wait(TIMEOUT)

    def close(self) -> None:
        """Stop watching."""
        check_process()
        while self._watches:
            self._watches.pop().stop()
        if self._is_own:
            self._redis.get().close()

    def _follow(self, keys: CachedKeys, has_tried: threading.Event, stop: threading.Event) -> None:
        changes = _Changes()
        failures = FailureLog("Redis", warning="Redis is not available, changes of keys are seen within the ttl")
        while not stop.is_set():
            failure = None
            try:
                with self._redis.get().pubsub() as channel:
                    channel.subscribe(self._channel)
                    for message in _messages(channel, stop):
                        failures.succeeded()
                        self._handle_message(message, keys, changes, channel)
                        _set_once(has_tried)
            except Exception as error:  # The thread has to survive every exception of redis-py.
                failure = failure_of(error)
            if failure is not None:
                failures.failed(failure)
                _set_once(has_tried)
                self._find_nodes()
                stop.wait(RETRY)

    def _find_nodes(self) -> None:
        """Let a client of a cluster look up its nodes: it does so after a failed command, not after a subscription."""
        nodes = getattr(self._redis.get(), "nodes_manager", None)
        if nodes is not None:
            with suppress(Exception):  # No node can be reached, or this is another library's client.
                nodes.initialize()

    def _handle_message(
        self, message: dict[str, Any] | None, keys: CachedKeys, changes: "_Changes", channel: Any
    ) -> None:
        if message is not None and message["type"] == "subscribe":
            changes.connected(self._count(), is_up_to_date=False)
            channel.ping()
        elif message is None or message["type"] == "pong":
            changes.is_up_to_date = True
        elif message["type"] == "message":
            changes.heard()
            keys.invalidate(_tenant_of(message["data"], channel))
        if changes.must_renew(time.monotonic()):
            keys.expire()

    def _count(self) -> int | None:
        """Return the number of changes so far; None if it cannot be read."""
        try:
            self._start_count()
            return int(self._redis.get().get(self._counter))
        except Exception as error:
            failure = failure_of(error)
        log_failure(logging.INFO, "the count of changes in Redis cannot be read", failure)
        return None

    def _start_count(self) -> None:
        """Begin the count at a random number: a Redis that has lost its data must not count the same."""
        self._redis.get().set(self._counter, secrets.randbits(48), nx=True)

    def _renew_client(self) -> None:
        # A thread of the parent may hold a lock of its pool. To close it would wait for that.
        if self._is_own:
            self._redis.get().auto_close_connection_pool = False
            self._redis = _client_of(self._given)

    def _description(self) -> str:
        return f"<RedisInvalidation on {self._channel!r}>"


class _Changes:
    """What one watching worker knows about the changes, and whether it may have missed one.

    Attributes:
        is_up_to_date: Whether the messages from before the count was read have been received. The count has the changes
            of earlier ones already. If one of them is not in it, all tenants are looked up once too often.
    """

    def __init__(self) -> None:
        self.is_up_to_date = True
        self._count: int | None = None
        self._heard = 0
        self._is_trusted = True
        self._must_renew = self._is_certain = False
        self._renewed_at = -math.inf

    def connected(self, count: int | None, *, is_up_to_date: bool = True) -> None:
        """Record that the worker is connected. `count` is the number of changes so far; None if it is not known."""
        self.is_up_to_date = is_up_to_date
        known, self._count = self._count, count
        heard, self._heard = self._heard, 0
        if count is None or known is None or not self._is_trusted:
            self._must_renew = True
        elif count != known or heard:
            # Also after as many messages as changes: one may be of an earlier change, or of one that is not counted.
            self._must_renew = True
            self._is_certain |= 0 < count - known < _MAX_MISSED
            # More messages than counted changes: a publisher does not count, so missed messages cannot be noticed.
            self._is_trusted = not 0 < known + heard - count < _MAX_MISSED

    def heard(self) -> None:
        """Record that the worker has received a change."""
        if self.is_up_to_date:
            self._heard += 1

    def must_renew(self, now: float) -> bool:
        """Return whether the cache must look up everything again now."""
        if not self._must_renew or (not self._is_certain and now - self._renewed_at < RENEW_EVERY):
            return False
        self._must_renew, self._is_certain, self._renewed_at = False, False, now
        return True


def _client_of(url: Hidden[Any]) -> Hidden[Any]:
    client = client_of_url(url, TIMEOUT)
    if client is None:
        raise ConfigError(
            'RedisInvalidation: give a URL like "redis://localhost:6379/0", with options that redis-py knows, or a '
            "client of your own"
        )
    return client


def _checked(client: Hidden[Any]) -> Hidden[Any]:
    missing = [name for name in ("publish", "pubsub", "incr", "get", "set") if not hasattr(client.get(), name)]
    is_async = not missing and inspect.iscoroutinefunction(client.get().publish)
    if missing or is_async or "asyncio" in type(client.get()).__module__ or is_pipeline(client):
        raise ConfigError(
            'RedisInvalidation: give a URL like "redis://localhost:6379/0", or a sync client like redis.Redis that is '
            "no pipeline"
        )
    return client


def _check_connections(client: Hidden[Any]) -> None:
    """Raise `ConfigError` if the connection that listens is the only one: no change could be announced."""
    pool = getattr(client.get(), "connection_pool", None)
    most = getattr(pool, "max_connections", None)
    if isinstance(most, int) and most < 2:
        raise ConfigError(
            "RedisInvalidation: watch keeps one connection, and publish needs another; permit at least two in "
            "max_connections"
        )


def _check_names(client: Hidden[Any]) -> None:
    """Raise `ConfigError` if a client decodes messages so that different names become the same text."""
    if hasattr(client.get(), "get_encoder"):  # Of redis-py.
        encoder = client.get().get_encoder()
        with suppress(UnicodeError):
            if encoder.encode(encoder.decode(_NAMES)) == _NAMES:
                return
        raise ConfigError(
            "RedisInvalidation: this client cannot decode some names of tenants; leave encoding and encoding_errors out"
        )


def _messages(channel: Any, stop: threading.Event) -> Iterator[dict[str, Any] | None]:
    """Yield the messages of a channel, and None now and then if there are none.

    Raises:
        TimeoutError: The other side sends nothing. Otherwise a connection that a firewall dropped would look like a
            quiet channel.
    """
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


def _tenant_of(data: Any, channel: Any) -> str:
    """Return the tenant of a message. It is in UTF-8, also if the client decodes and encodes text otherwise."""
    if isinstance(data, str):
        data = channel.encoder.encode(data)
    tenant: str = data.decode("utf-8", "replace")
    return tenant


def _set_once(event: threading.Event) -> None:
    # `set` takes a lock, which a fork may leave held in the child.
    if not event.is_set():
        event.set()


Work = Callable[[threading.Event], None]


class Background:
    """A daemon thread that runs `work` until the event in its argument is set. Without threads, it does nothing.

    A forked child has no thread of its parent, so it starts its own, after what was made before this object.
    """

    def __init__(self, name: str, work: Work) -> None:
        self._name = name
        self._work = work
        self._thread: threading.Thread | None = None
        self._start()
        _at_work.add(self)
        after_fork(self._start_again)

    def stop(self) -> None:
        """Stop the work, and wait until it has stopped."""
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


# In a child, Python forgets the threads of the parent. This keeps their work, to start it again.
_at_work: set[Background] = set()
