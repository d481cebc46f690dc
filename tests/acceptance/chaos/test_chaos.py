"""Faults of the database and of the network, with real servers, while requests come."""

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from acceptance.chaos.networks import PART
from acceptance.chaos.rows import HEAD, KNOWN_AFTER, ROWS, Row, World, line_of, run_once

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

RUNS = int(os.environ.get("CHAOS_RUNS", "3"))
SEED = int(os.environ.get("CHAOS_SEED", str(int(time.time()))))
#: "1/3" is the second of three parts of the rows.
PARTS = int(os.environ.get("CHAOS_PART", "0/1").partition("/")[2])

#: Seconds that the slowest of a hundred requests may take longer than before.
MARGIN = 0.1

#: How many times as many packets go to the database while Redis comes and goes: it renews everything once in 5 seconds.
MAX_EXTRA_PACKETS = 4.0


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    print(f"\nseed {SEED}, {RUNS} runs, part {PART} of {PARTS}\n{HEAD}", flush=True)
    with ExitStack() as stack:
        yield World(stack)


@pytest.mark.parametrize("row", ROWS[PART::PARTS], ids=lambda row: row.id)
def test_a_fault_of_the_source(row: Row, world: World, tmp_path: Path) -> None:
    runs = []
    for number in range(RUNS):
        folder = tmp_path / str(number)
        folder.mkdir()
        runs.append(run_once(row, world, folder, SEED + number))
    print(line_of(row, runs), flush=True)

    wrong = [answer for run in runs for answer in run.wrong]
    assert not wrong, wrong[:5]
    assert statistics.median(run.during("hot", 0.99) - run.before("hot", 0.99) for run in runs) <= MARGIN
    assert max(run.recovery for run in runs) <= 2.0
    if row.is_of_redis:
        assert statistics.median(run.packets_during / run.packets_before for run in runs) <= MAX_EXTRA_PACKETS
    for run in runs:
        assert len(run.lines) <= 100, run.lines[:5]
        if row.hangs:
            assert run.during("known", 0.95, KNOWN_AFTER) <= run.before("known", 0.95) + MARGIN
            assert run.during("new", 1.0, KNOWN_AFTER, 503) <= MARGIN
