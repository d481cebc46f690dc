"""Metrics for Prometheus."""

import math
import os
import sys
import threading
import time
import weakref
from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate
from typing import Any

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.numbers import check_count, check_flag
from hmac_guard.core.verdict import Decision, Verdict
from hmac_guard.forking import after_fork
from hmac_guard.keys.resolver import MappingKeys, StaticKeys, as_resolver
from hmac_guard.log import FailureLog, failure_of
from hmac_guard.metrics.series import BUCKETS, result_of

REQUESTS = ("hmac_guard_requests", "Decisions of a guard.", ("scheme", "mode", "result", "reason"))
SECONDS = ("hmac_guard_decision_seconds", "Time of a decision, without the wait for the body.", ("scheme",))
CACHE = ("hmac_guard_key_cache", "Requests for keys by how CachedKeys served them.", ("outcome",))
ENDING = ("hmac_guard_keys_ending", "Keys that end within so many days.", ("days",))
#: prometheus_client still knows the second one.
_MULTIPROC = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
_OUTCOMES = ("hit", "miss", "stale", "error")


_FIRST = BUCKETS[0]
#: With it, no other thread runs between the read and the write of `numbers[bucket] += 1`: CPython changes threads at
#: calls and backward jumps alone. A lock takes a quarter of the time of a count.
_HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
#: What distinguishes decisions: reason, mode, whether it was refused, scheme, and the tenant where it is a label.
_Key = tuple[Any, ...]
#: The values of the labels; a number for each bucket, and the sum of the seconds.
_Cell = tuple[tuple[str, ...], list[float]]


class PrometheusMetrics(Collector):
    """Counts decisions for Prometheus. Needs the extra `prometheus`.

    The metrics are `hmac_guard_requests_total`, `hmac_guard_decision_seconds`, `hmac_guard_key_cache_total` and
    `hmac_guard_keys_ending`. If `PROMETHEUS_MULTIPROC_DIR` is set, prometheus_client keeps the numbers, in files that
    all processes of the server share. A request then takes longer.

    Args:
        key_cache: The `CachedKeys` whose hits, misses, stale answers and errors are counted.
        keys: A `SqlKeys` with a sync engine, or the key, the list or the mapping of a guard, to count those that end
            soon. Give the `SqlKeys` itself, without `CachedKeys` or `ChainKeys` around it. They are read beside the
            scrapes, at most once a minute. With `PROMETHEUS_MULTIPROC_DIR`, each process reads them once a minute, from
            its first request on.
        ending_days: How soon, in days.
        tenants: Add the label `tenant`, the proven tenant of a verified request; empty for every other request. Each
            tenant is a series.
        registry: The `CollectorRegistry` of prometheus_client where the metrics are registered.

    Raises:
        ConfigError: An argument is not valid, or `PROMETHEUS_MULTIPROC_DIR` is set and names no folder.

    Example::

        guard = Guard(NANGO, keys="...", on_decision=PrometheusMetrics())
    """

    def __init__(
        self,
        *,
        key_cache: Any = None,
        keys: Any = None,
        ending_days: int = 30,
        tenants: bool = False,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        hidden = hide(keys)
        del keys
        check_count("PrometheusMetrics: ending_days", ending_days)
        check_flag("PrometheusMetrics: tenants", tenants)
        if key_cache is not None and not hasattr(key_cache, "stats"):
            raise ConfigError(f"PrometheusMetrics: key_cache must be a CachedKeys, not {type(key_cache).__name__}")
        if not isinstance(registry, CollectorRegistry):
            raise ConfigError(
                "PrometheusMetrics: registry must be a CollectorRegistry of prometheus_client, not "
                f"{type(registry).__name__}; leave registry= out for the default one"
            )
        is_multiprocess = _is_multiprocess()
        self._labels = (*REQUESTS[2], "tenant") if tenants else REQUESTS[2]
        self._cache = key_cache
        self._ending = None if hidden.get() is None else EndingKeys(hidden, ending_days)
        self._tenants = tenants
        self._make_lock()
        after_fork(self._make_lock)
        self._cells: dict[_Key, _Cell] = {}
        self._shared = None
        try:
            if is_multiprocess:
                self._shared = _Shared(self._labels, key_cache, self._ending, registry)
            else:
                registry.register(self)
        except ValueError:
            raise ConfigError(
                "PrometheusMetrics: the registry has these metrics already; make one for each process, and give it to "
                "every guard"
            ) from None

    def _make_lock(self) -> None:
        self._lock = threading.Lock()

    def __call__(self, decision: Decision) -> None:
        self.count_decision(decision.verdict, decision.mode, decision.refused, decision.seconds)

    def count_decision(self, verdict: Verdict, mode: str, refused: bool, seconds: float) -> None:
        """Count one decision. A guard calls this in place of the object, so that no `Decision` is made."""
        # `_value_`, since to hash a member of an enumeration takes as long as all the rest.
        key: _Key = (verdict.reason._value_, mode, refused, verdict.scheme)
        if self._tenants:
            key += (verdict.tenant,)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._new_cell(key)
        if self._shared is not None:
            self._shared.add(cell[0], seconds)
            return
        numbers = cell[1]
        # Most decisions are in the first bucket.
        bucket = 0 if seconds <= _FIRST else bisect_left(BUCKETS, seconds)
        if _HAS_GIL:
            numbers[bucket] += 1
            numbers[-1] += seconds
            return
        with self._lock:
            numbers[bucket] += 1
            numbers[-1] += seconds

    def _new_cell(self, key: _Key) -> _Cell:
        reason, mode, refused, scheme, *tenant = key
        labels = (scheme, mode, result_of(reason, refused), reason, *([each or "" for each in tenant]))
        return self._cells.setdefault(key, (labels, [0.0] * (len(BUCKETS) + 2)))

    def describe(self) -> Iterator[Any]:
        """Yield the names of the metrics, so that a registry refuses a second set of them."""
        yield CounterMetricFamily(*REQUESTS[:2])
        yield HistogramMetricFamily(*SECONDS[:2])
        if self._cache is not None:
            yield CounterMetricFamily(*CACHE[:2])
        if self._ending is not None:
            yield GaugeMetricFamily(*ENDING[:2])

    def collect(self) -> Iterator[Any]:
        """Yield the numbers, for a scrape."""
        with self._lock:
            cells = [(labels, list(numbers)) for labels, numbers in list(self._cells.values())]
        requests = CounterMetricFamily(*REQUESTS[:2], labels=self._labels)
        by_scheme: dict[str, list[float]] = {}
        for values, numbers in cells:
            requests.add_metric(values, sum(numbers[:-1]))
            before = by_scheme.get(values[0], [0.0] * len(numbers))
            by_scheme[values[0]] = [sum(pair) for pair in zip(before, numbers, strict=True)]
        yield requests
        seconds = HistogramMetricFamily(*SECONDS[:2], labels=SECONDS[2])
        for scheme, (*numbers, total) in by_scheme.items():
            bounds = [*map(floatToGoString, BUCKETS), "+Inf"]
            seconds.add_metric([scheme], list(zip(bounds, accumulate(numbers), strict=True)), sum_value=total)
        yield seconds
        if self._cache is not None:
            cache = CounterMetricFamily(*CACHE[:2], labels=CACHE[2])
            for outcome, number in zip(_OUTCOMES, self._cache.stats, strict=True):
                cache.add_metric([outcome], number)
            yield cache
        if self._ending is not None:
            ending, number = GaugeMetricFamily(*ENDING[:2], labels=ENDING[2]), self._ending.value()
            if number is not None:
                ending.add_metric([str(self._ending.days)], number)
            yield ending

    def __repr__(self) -> str:
        return "<PrometheusMetrics>"


def _is_multiprocess() -> bool:
    """Return whether the processes share their numbers.

    Raises:
        ConfigError: There is no folder for them. prometheus_client finds this out at the first request.
    """
    name = next((name for name in _MULTIPROC if name in os.environ), None)
    if name is not None and not os.path.isdir(os.environ[name]):
        raise ConfigError(
            f"PrometheusMetrics: {name} is {os.environ[name]!r}, which is no folder; make the folder before the server "
            "starts, or unset the variable"
        )
    return name is not None


class _Shared:
    """prometheus_client's own metrics, whose numbers several processes add up in files."""

    def __init__(
        self, labels: tuple[str, ...], cache: Any, ending: "EndingKeys | None", registry: CollectorRegistry
    ) -> None:
        self._requests = Counter(REQUESTS[0], REQUESTS[1], labels, registry=registry)
        self._seconds = Histogram(SECONDS[0], SECONDS[1], SECONDS[2], registry=registry, buckets=BUCKETS)
        self._children: dict[tuple[str, ...], tuple[Any, Any]] = {}
        self._cache = cache
        self._cached = None if cache is None else Counter(CACHE[0], CACHE[1], CACHE[2], registry=registry)
        self._ending = None if ending is None else _EndingGauge(ending, registry)
        self._begin()
        after_fork(self._begin)

    def _begin(self) -> None:
        self._seen = (0, 0, 0, 0)
        self._lock = threading.Lock()

    def add(self, labels: tuple[str, ...], seconds: float) -> None:
        children = self._children.get(labels)
        if children is None:
            children = self._requests.labels(*labels), self._seconds.labels(labels[0])
            children = self._children.setdefault(labels, children)
        children[0].inc()
        children[1].observe(seconds)
        # There is no collector that a scrape asks, so the requests bring the numbers of the cache up to date.
        if self._cached is not None:
            self._add_cached(self._cached)
        if self._ending is not None and not self._ending.is_kept:
            self._ending.keep()

    def _add_cached(self, counter: Counter) -> None:
        with self._lock:
            stats, seen = self._cache.stats, self._seen
            self._seen = stats
        for outcome, now, before in zip(_OUTCOMES, stats, seen, strict=True):
            if now != before:
                counter.labels(outcome).inc(now - before)


class _EndingGauge:
    """The gauge of the keys that end soon. A thread of each process keeps it up to date."""

    def __init__(self, ending: "EndingKeys", registry: CollectorRegistry) -> None:
        gauge = Gauge(ENDING[0], ENDING[1], ENDING[2], registry=registry, multiprocess_mode="mostrecent")
        self._gauge = gauge.labels(str(ending.days))
        self._ending = ending
        self._begin()
        after_fork(self._begin)

    def _begin(self) -> None:
        self.is_kept = False
        self._was_set = False
        self._lock = threading.Lock()

    def keep(self) -> None:
        """Start the thread of this process. A request calls this: a process that only forks others reads no keys."""
        with self._lock:
            is_first, self.is_kept = not self.is_kept, True
        if is_first and not start_thread(partial(_keep_up_to_date, weakref.ref(self))):
            self.is_kept = False

    def set(self) -> None:
        """Set the gauge to the last reading, and begin a new one if it is a minute old."""
        number = self._ending.value()
        if number is not None or self._was_set:
            self._gauge.set(math.nan if number is None else number)
            self._was_set = True


def _keep_up_to_date(gauge: "weakref.ref[_EndingGauge]") -> None:
    while (found := gauge()) is not None:
        found.set()
        del found
        time.sleep(PAUSE)


DAY = 86_400
#: Seconds between two readings, and between two looks at the last one.
EVERY, PAUSE = 60.0, 2.0
#: Tenants of one page.
_PAGE = 500


def start_thread(work: Callable[[], None]) -> bool:
    """Start a thread. Return False if the system has none left, or if the process ends."""
    try:
        threading.Thread(target=work, name="hmac_guard-metrics", daemon=True).start()
    except RuntimeError:
        return False
    return True


class EndingKeys:
    """The number of keys that end within some days. They are read on their own thread, at most once a minute.

    Args:
        keys: A `SqlKeys` with a sync engine, or keys as a guard takes them.
        days: The days.
        clock: Returns seconds that never jump.
    """

    def __init__(self, keys: Any, days: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.days = days
        hidden = hide(keys)
        del keys
        self._count = _counter_of(hidden)
        self._clock = clock
        self._failures = FailureLog(
            "the source of the metrics", clock, warning="metrics: the keys that end soon cannot be read"
        )
        self._begin()
        after_fork(self._begin)

    def _begin(self) -> None:
        self._value: int | None = None
        self._begun: float | None = None
        self._reading = threading.Lock()

    def value(self) -> int | None:
        """Return the last reading, and begin a new one if it is a minute old.

        None before the first reading, if the last one failed, and if it has not ended after a minute: an old number
        would hide that the number is unknown.
        """
        known, now = self._value, self._clock()
        if self._begun is None or now - self._begun >= EVERY:
            if not self._reading.acquire(blocking=False):
                return None
            self._begun = now
            if not start_thread(self._read):
                self._value = None
                self._reading.release()
        return known

    def _read(self) -> None:
        failure = None
        try:
            self._value = self._count(self.days * DAY)
        except Exception as error:
            self._value = None
            failure = failure_of(error)
        finally:
            self._reading.release()
        self._failures.ended(failure)


def _counter_of(keys: Hidden[Any]) -> Callable[[float], int]:
    if hasattr(keys.get(), "tenants"):
        if keys.get().asgi_only:
            raise ConfigError("PrometheusMetrics: keys needs a SqlKeys with a sync engine; make a second one for it")
        return lambda seconds: _in_pages(keys.get(), seconds)
    resolver = as_resolver(keys)
    # Of any other resolver, the known keys may not be all.
    known = list(resolver.known_keys()) if isinstance(resolver, (StaticKeys, MappingKeys)) else []
    kind = type(keys.get()).__name__
    if not known:
        raise ConfigError(
            f"PrometheusMetrics: the keys of {kind} cannot be listed; leave keys= out, or give the SqlKeys itself, "
            "without CachedKeys or ChainKeys around it"
        )
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
