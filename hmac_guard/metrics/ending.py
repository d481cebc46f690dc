"""How many keys end soon, read beside the scrapes."""

import threading
import time
from collections.abc import Callable
from typing import Any

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.forking import after_fork
from hmac_guard.keys.resolver import as_resolver
from hmac_guard.log import logger, where

DAY = 86_400
#: Seconds between two readings.
EVERY = 60.0
#: Tenants of one page.
_PAGE = 500


class EndingKeys:
    """The number of keys that end within some days. A reading runs on a thread of its own, at most once a minute.

    Args:
        keys: A `SqlKeys` with a sync engine, or keys as a guard takes them.
        days: The days.
        clock: Gives seconds that never jump.
    """

    def __init__(self, keys: Any, days: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.days = days
        hidden = hide(keys)
        del keys
        self._count = _counter_of(hidden)
        self._clock = clock
        self._begin()
        after_fork(self._begin)

    def _begin(self) -> None:
        self._value: int | None = None
        self._begun: float | None = None
        self._reading = threading.Lock()

    def value(self) -> int | None:
        """Return what was read last, and begin to read where that is a minute ago; None before the first reading."""
        known, now = self._value, self._clock()
        if (self._begun is None or now - self._begun >= EVERY) and self._reading.acquire(blocking=False):
            self._begun = now
            try:
                threading.Thread(target=self._read, name="hmac_guard-metrics", daemon=True).start()
            except RuntimeError:  # The system has no thread left, or the process ends.
                self._value = None
                self._reading.release()
        return known

    def _read(self) -> None:
        try:
            self._value = self._count(self.days * DAY)
        except Exception as error:
            self._value = None  # An old number would hide that nothing is known.
            logger.warning("metrics: the keys that end soon cannot be read: %s", where(error))
        finally:
            self._reading.release()


def _counter_of(keys: Hidden[Any]) -> Callable[[float], int]:
    if hasattr(keys.get(), "tenants"):
        if keys.get().asgi_only:
            raise ConfigError("PrometheusMetrics: keys needs a SqlKeys with a sync engine; make a second one for it")
        return lambda seconds: _in_pages(keys.get(), seconds)
    known = list(as_resolver(keys).known_keys())
    kind = type(keys.get()).__name__
    if not known:
        raise ConfigError(f"PrometheusMetrics: the keys of {kind} cannot be listed; leave keys= out")
    return lambda seconds: _ending(known, time.time(), seconds)


def _in_pages(keys: Any, seconds: float) -> int:
    found, after = 0, None
    while True:
        page = keys.tenants(after=after, limit=_PAGE, ending=seconds)
        found += sum(_ending(tenant.keys, keys.clock(), seconds) for tenant in page)
        if len(page) < _PAGE:
            return found
        after = page[-1].name


def _ending(keys: Any, now: float, seconds: float) -> int:
    return sum(key.not_after is not None and now <= key.not_after <= now + seconds for key in keys)
