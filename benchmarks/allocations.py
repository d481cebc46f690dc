"""Counts the calls to the allocator for one request, without those of the bare application."""

from benchmarks import valgrind
from benchmarks.counted import bare
from benchmarks.harness import FLOOR, Result


def run(rounds: int) -> Result:
    """Count, by valgrind; the count does not vary."""
    if not valgrind.is_there():
        print("not run: valgrind is not installed (Debian: apt-get install valgrind)")
        return {}
    counted = valgrind.allocations()
    result: Result = {FLOOR: {"allocations": counted["floor"]}}
    for shape, count in counted.items():
        if shape.startswith(("ASGI", "WSGI")) and "bare" not in shape:
            # A refused request does not reach the bare application, so there is nothing to subtract.
            result[shape] = {"allocations": count - counted.get(bare(shape) or "", 0)}
    return result
