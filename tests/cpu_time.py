"""Measures the CPU time of a block of a test."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager


class CpuTime:
    """The CPU time of a block, in seconds, once the block has ended."""

    seconds: float


@contextmanager
def cpu_time() -> Iterator[CpuTime]:
    """Measure the CPU time of this thread, without the search for garbage in what earlier tests have left.

    That search may begin in any test, and in a run of all tests it takes up to a second.
    """
    took = CpuTime()
    gc.freeze()
    began = time.thread_time()
    try:
        yield took
    finally:
        took.seconds = time.thread_time() - began
        gc.unfreeze()
