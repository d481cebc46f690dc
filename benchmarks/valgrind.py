"""Counts what `benchmarks.counted` costs under valgrind, where nothing else on the machine matters."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.counted import REQUESTS

_ROOT = Path(__file__).parent.parent
_INSTRUCTIONS = ("--tool=callgrind", "--callgrind-out-file=/dev/null")
_ALLOCATIONS = ("--tool=memcheck", "--leak-check=no", "--undef-value-errors=no")


def is_there() -> bool:
    return shutil.which("valgrind") is not None


def instructions(*shapes: str) -> dict[str, int]:
    """Instructions for one request of each shape; `shapes` is the argument of `benchmarks.counted`."""
    return _each(_INSTRUCTIONS, "Collected : ", *shapes)


def allocations() -> dict[str, int]:
    """Calls to the allocator for one request of each shape; what CPython takes from its free lists is none."""
    return _each(_ALLOCATIONS, "total heap usage: ", PYTHONMALLOC="malloc")


def _each(tool: tuple[str, ...], label: str, *shapes: str, **environment: str) -> dict[str, int]:
    # A fixed environment: its size alone moves addresses, and with them what a hash table costs.
    fixed = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(_ROOT), "PYTHONHASHSEED": "0", **environment}
    command = [sys.executable, "-m", "benchmarks.counted", *shapes]
    subprocess.run(command, env=fixed, check=True, capture_output=True)  # So that no module is left to compile.
    done = subprocess.run(["valgrind", *tool, *command], env=fixed, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"valgrind failed: {done.stderr[-2000:]}")
    totals = _totals(done.stderr, label)
    counted = {
        shape: totals[process] for process, _, shape in (line.partition(" ") for line in done.stdout.splitlines())
    }
    nothing = counted.pop("")
    return {shape: round((total - nothing) / REQUESTS) for shape, total in counted.items()}


def _totals(printed: str, label: str) -> dict[str, int]:
    """What valgrind counted, for each process."""
    found = re.findall(rf"==(\d+)== +{label}([\d,]+)", printed)
    return {process: int(total.replace(",", "")) for process, total in found}


@contextmanager
def counted_server(*words: str, **options: Any) -> Iterator[list[int]]:
    """Start a server under valgrind: `words` follow `python -m`, and `options` are those of `Popen`.

    The list that this yields gets the instructions of the server and its workers when the server has ended.
    """
    command = ["valgrind", *_INSTRUCTIONS, sys.executable, "-m", *words]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(_ROOT), "PYTHONHASHSEED": "0"}
    counted: list[int] = []
    with tempfile.TemporaryFile("w+") as printed:
        server = subprocess.Popen(command, env=environment, stderr=printed, stdout=subprocess.DEVNULL, **options)
        try:
            yield counted
        finally:
            server.terminate()
            server.wait(60)
        printed.seek(0)
        counted.append(sum(_totals(printed.read(), "Collected : ").values()))
