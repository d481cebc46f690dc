"""Measures the peak memory of one request, without the bare application, and the memory that it does not free."""

import gc
import tracemalloc
from collections.abc import Iterator
from functools import partial

from benchmarks.drivers import IN_LOOP, WSGI, Driver, Interface
from benchmarks.harness import Cells, Result, only
from benchmarks.samples import FORGED, SECRET, SHAPES, Shape, by_json
from hmac_guard import Guard

BIG = Shape("pair by JSON of 256 KB", SHAPES[2].scheme, partial(by_json, size=262_144))
REQUESTS = 1000


def run(rounds: int) -> Result:
    """Measure, by tracemalloc; how often does not matter, since memory does not vary."""
    with only(None):
        return {name: cells for interface in (IN_LOOP, WSGI) for name, cells in _peaks(interface)}


def _peaks(interface: Interface) -> Iterator[tuple[str, Cells]]:
    for shape in (*SHAPES[:3], BIG):
        guarded = interface.guarded(Guard(shape.scheme, SECRET), interface.app)
        bare = _peak(interface.driver(interface.app, shape.sample()))
        for what, sample in (("", shape.sample()), (", refused", shape.sample(FORGED))):
            driver = interface.driver(guarded, sample)
            above = (_peak(driver) - bare) / 1024
            yield f"{interface.name}: {shape.name}{what}", {"peak KiB": above, "left bytes": _left(driver)}


def _peak(driver: Driver) -> int:
    """Return the peak memory of one request, in bytes."""
    driver.timed(50)
    gc.collect()
    tracemalloc.start()
    peaks = []
    for _ in range(5):
        before, _peak_before = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        driver.timed(1)
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    return min(peaks)


def _left(driver: Driver) -> float:
    """Return the bytes that one request does not free."""
    gc.collect()
    tracemalloc.start()
    driver.timed(50)
    before, _ = tracemalloc.get_traced_memory()
    driver.timed(REQUESTS)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / REQUESTS
