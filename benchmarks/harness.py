"""Measures rows: all in one process, in many rounds, together with the floor.

The floor is the necessary work: the standard library's HMAC of one short message, and the comparison.
Other work on the machine slows all rows of a round alike, so the ratio to the floor of the same round holds where the
microseconds do not.
"""

import asyncio
import gc
import hashlib
import hmac
import math
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from benchmarks.samples import KEY, MESSAGE, SIGNATURE

FLOOR = "floor: stdlib hmac"
EMPTY = "an empty call"
#: One row's share of a round, in seconds: short beside a time slice, so that the best round had none taken away.
SHARE = 0.001
FEWEST = 5
LOOP = asyncio.new_event_loop()
#: CPU time, of all threads: what other processes on the machine do meanwhile is not counted.
clock = time.process_time

#: Seconds for so many calls.
Timed = Callable[[int], float]
#: One row of a result: what its columns hold.
Cells = dict[str, float]
Result = dict[str, Cells]


@dataclass(frozen=True)
class Row:
    """One thing to measure. The row called `above` is subtracted from it: the bare application, say."""

    name: str
    timed: Timed
    above: str = EMPTY


def called(call: Callable[[], Any]) -> Timed:
    """Times a plain call."""

    def timed(times: int) -> float:
        started = clock()
        for _ in repeat(None, times):
            call()
        return clock() - started

    return timed


def await_if_needed(call: Callable[[], Awaitable[Any]]) -> Timed:
    """Times a call that is awaited in a running event loop, all in one task."""

    async def batch(times: int) -> float:
        started = clock()
        for _ in repeat(None, times):
            await call()
        return clock() - started

    return lambda times: LOOP.run_until_complete(batch(times))


def floor() -> bool:
    return hmac.compare_digest(hmac.new(KEY, MESSAGE, hashlib.sha256).hexdigest(), SIGNATURE)


def measure(groups: Iterable[list[Row]], rounds: int) -> Result:
    """Measure all rows, in another order each round; the rows of one group side by side, with the floor among them.

    What a call itself costs is subtracted from all.
    """
    measured = [_Group(rows) for rows in groups]
    shuffled = random.Random(0)
    # Collections go on as they do in a server, but need not walk through every module that a peer has imported.
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
    return max(FEWEST, round(SHARE / once))


def _error_of_median(values: list[float]) -> float:
    """The standard error of the median, by the quartiles, which a few disturbed rounds do not move."""
    low, _, high = statistics.quantiles(values, n=4)
    return 1.25 * (high - low) / 1.35 / math.sqrt(len(values))
