"""Clients of redis-py. They are hidden: in some releases, the attributes of a client show its password."""

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden, hide


def client_of_url(url: Hidden[Any], timeout: float) -> Hidden[Any] | None:
    """Return a client for a URL, which does not connect yet; None if redis-py cannot use the URL.

    It repeats nothing: a first `SET NX` whose answer was lost would be answered as a second one.

    Args:
        url: The URL.
        timeout: Seconds for which a connection, and each answer, may last.
    """
    try:
        client = hide(
            redis.Redis.from_url(
                url.get(), retry=Retry(NoBackoff(), 0), socket_connect_timeout=timeout, socket_timeout=timeout
            )
        )
        pool = client.get().connection_pool
        pool.connection_class(**pool.connection_kwargs)  # It refuses unknown options in the URL.
    except Exception:  # redis-py raises errors of many kinds, and their frames have the password.
        return None
    return client


def is_pipeline(client: Hidden[Any]) -> bool:
    """Return whether this is a pipeline, which only collects commands."""
    return hasattr(client.get(), "execute")


def check_name(argument: str, value: object) -> None:
    """Raise `ConfigError` unless the value is printable text: half a character could never be sent."""
    if not isinstance(value, str) or not value.isprintable():
        raise ConfigError(f"{argument} must be printable text")
