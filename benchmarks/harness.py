"""Measures rows: all in one process, in many rounds, together with the floor.

The floor is the necessary work: the standard library's HMAC of one short message, and the comparison.
Other work on the machine slows all rows of a round alike, so the ratio to the floor of the same round holds where the
microseconds do not.
"""

import asyncio
import gc
import hashlib
import hmac
import logging
import math
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from benchmarks.samples import KEY, MESSAGE, SIGNATURE

FLOOR = "floor: stdlib hmac"
EMPTY = "an empty call"
#: One row's share of a round, in seconds: less than a time slice, so that nothing interrupts the best round.
SHARE = 0.001
MIN_CALLS = 5
LOOP = asyncio.new_event_loop()
#: CPU time, of all threads: the work of other processes is not counted.
clock = time.process_time

#: Returns the seconds for a number of calls.
Timed = Callable[[int], float]
#: One row of a result: its values by column.
Cells = dict[str, float]
Result = dict[str, Cells]


@dataclass(frozen=True)
class Row:
    """One thing to measure. The row called `above`, for example the bare application, is subtracted from it."""

    name: str
    timed: Timed
    above: str = EMPTY


def called(call: Callable[[], Any]) -> Timed:
    """Return a timer of a plain call."""

    def timed(times: int) -> float:
        started = clock()
        for _ in repeat(None, times):
            call()
        return clock() - started

    return timed


def await_if_needed(call: Callable[[], Awaitable[Any]]) -> Timed:
    """Return a timer of a call that is awaited in a running event loop. All calls run in one task."""

    async def batch(times: int) -> float:
        started = clock()
        for _ in repeat(None, times):
            await call()
        return clock() - started

    return lambda times: LOOP.run_until_complete(batch(times))


def floor() -> bool:
    return hmac.compare_digest(hmac.new(KEY, MESSAGE, hashlib.sha256).hexdigest(), SIGNATURE)


def measure(groups: Iterable[list[Row]], rounds: int) -> Result:
    """Measure all rows, in a different order in each round. The cost of an empty call is subtracted from all.

    Args:
        groups: Rows that are measured one after the other, together with the floor.
        rounds: The number of rounds.

    Returns:
        For each row the whole cost and the cost above its base, in microseconds of CPU time; the ratio to the floor;
        and the standard error of that ratio.
    """
    measured = [_Group(rows) for rows in groups]
    shuffled = random.Random(0)
    # The garbage collector stays on, as in a server, but it does not scan the modules that the peers have imported.
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        for group in shuffled.sample(measured, len(measured)):
            group.visit(shuffled)
    gc.unfreeze()
    return {name: cells for group in measured for name, cells in group.cells()}


class _Group:
    def __init__(self, rows: list[Row]) -> None:
        self.rows = [Row(EMPTY, called(lambda: None), ""), Row(FLOOR, called(floor)), *rows]
        self.counts = {row.name: _count(row.timed) for row in self.rows}
        self.micros: dict[str, list[float]] = {row.name: [] for row in self.rows}

    def visit(self, shuffled: random.Random) -> None:
        for row in shuffled.sample(self.rows, len(self.rows)):
            count = self.counts[row.name]
            self.micros[row.name].append(row.timed(count) / count * 1e6)

    def cells(self) -> Iterator[tuple[str, Cells]]:
        for row in self.rows[1:]:
            whole, costs = self.micros[row.name], self._above(row.name, row.above)
            best = min(whole) - min(self.micros[row.above])
            best_floor = min(self.micros[FLOOR]) - min(self.micros[EMPTY])
            ratios = [cost / unit for cost, unit in zip(costs, self._above(FLOOR, EMPTY), strict=True)]
            yield (
                row.name,
                {
                    "whole µs": min(whole),
                    "best µs": best,
                    "median µs": statistics.median(costs),
                    "best / floor": best / best_floor,
                    "median / floor": statistics.median(ratios),
                    "±": _error_of_median(ratios),
                },
            )

    def _above(self, name: str, base: str) -> list[float]:
        return [whole - bare for whole, bare in zip(self.micros[name], self.micros[base], strict=True)]


def _count(timed: Timed) -> int:
    timed(3)
    once = min(timed(3) for _ in range(5)) / 3
    return max(MIN_CALLS, round(SHARE / once))


def _error_of_median(values: list[float]) -> float:
    """Return the standard error of the median, from the quartiles, which a few disturbed rounds do not change."""
    low, _, high = statistics.quantiles(values, n=4)
    return 1.25 * (high - low) / 1.35 / math.sqrt(len(values))


#: A refused request writes a log line, which costs more than the refusal.
_logger = logging.getLogger("hmac_guard")


class Formatting(logging.Handler):
    """Formats the line, like a handler that writes it, and drops it."""

    def emit(self, record: logging.LogRecord) -> None:
        self.format(record)


@contextmanager
def only(handler: logging.Handler | None) -> Iterator[None]:
    """Give the logger of the package only this handler. None turns the logger off."""
    _logger.disabled, _logger.propagate, _logger.handlers = handler is None, False, [handler] if handler else []
    try:
        yield
    finally:
        _logger.disabled, _logger.propagate, _logger.handlers = False, True, []


def logged(timed: Timed, handler: logging.Handler | None) -> Timed:
    """Return the same timer, with only this handler at the logger."""

    def wrapped(times: int) -> float:
        with only(handler):
            return timed(times)

    return wrapped
