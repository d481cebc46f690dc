"""Counts the calls to the allocator for one request, without those of the bare application."""

from benchmarks import valgrind
from benchmarks.harness import FLOOR, Result


def run(rounds: int) -> Result:
    """Count, by valgrind; the count does not vary."""
    if not valgrind.is_there():
        print("not run: valgrind is not installed (Debian: apt-get install valgrind)")
        return {}
    counted = valgrind.allocations()
    result: Result = {FLOOR: {"allocations": counted["floor"]}}
    for shape, count in counted.items():
        door, kind = shape[:4], shape[5:]
        if "bare" not in shape and shape != "floor":
            # A refused request does not reach the bare application, so there is nothing to subtract.
            bare = 0 if "refused" in shape else counted[f"{door} bare, {kind}"]
            result[shape] = {"allocations": count - bare}
    return result
