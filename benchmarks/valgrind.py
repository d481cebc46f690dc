"""Counts the instructions of a request under valgrind. Other work on the machine does not change them."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Requests of each shape.
REQUESTS = 1000
_ROOT = Path(__file__).parent.parent
_CALLGRIND = ("--tool=callgrind", "--callgrind-out-file=/dev/null")
# A fixed environment: its size moves addresses, and the cost of a hash table depends on addresses.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(_ROOT), "PYTHONHASHSEED": "0"}


def is_there() -> bool:
    return shutil.which("valgrind") is not None


def instructions(*shapes: str) -> dict[str, int]:
    """Return the instructions of one request of each shape. `shapes` is the argument of `benchmarks.counted`."""
    command = [sys.executable, "-m", "benchmarks.counted", *shapes]
    # Once before, so that every module is compiled.
    subprocess.run(command, env=_ENVIRONMENT, check=True, capture_output=True)
    done = subprocess.run(["valgrind", *_CALLGRIND, *command], env=_ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"valgrind failed: {done.stderr[-2000:]}")
    totals = _totals(done.stderr)
    lines = (line.split(" ", 2) for line in done.stdout.splitlines())
    return {shape: round((totals[sent] - totals[idle]) / REQUESTS) for idle, sent, shape in lines}


def _totals(printed: str) -> dict[str, int]:
    """Return the instructions that callgrind counted, for each process."""
    found = re.findall(r"==(\d+)== +Collected : ([\d,]+)", printed)
    return {process: int(total.replace(",", "")) for process, total in found}


@contextmanager
def counted_server(*words: str, **options: Any) -> Iterator[list[int]]:
    """Start a server under valgrind: `words` follow `python -m`, and `options` are those of `Popen`.

    The list that this yields gets the instructions of the server and its workers when the server has ended.
    """
    command = ["valgrind", *_CALLGRIND, sys.executable, "-m", *words]
    counted: list[int] = []
    with tempfile.TemporaryFile("w+") as printed:
        server = subprocess.Popen(command, env=_ENVIRONMENT, stderr=printed, stdout=subprocess.DEVNULL, **options)
        try:
            yield counted
        finally:
            server.terminate()
            server.wait(60)
        printed.seek(0)
        counted.append(sum(_totals(printed.read()).values()))
