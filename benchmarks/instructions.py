"""`python -m benchmarks.instructions` compares the instructions of one request with the recorded ones.

It fails if a shape of request takes over 3 % more than recorded. `--update` records what is counted now. Two runs on
one machine differ by less than 0.1 %; another build of Python counts differently.
"""

import argparse
import json
import sys
from pathlib import Path

from benchmarks import valgrind
from benchmarks.counted import bare
from benchmarks.report import python_minor

RECORDED = Path(__file__).parent / "instructions.json"
TOLERANCE = 0.03


def main() -> int:
    """Count, compare and print. Return the exit code: 1 if a shape takes more, 2 if valgrind is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("--update", action="store_true", help="record what is counted now")
    options = parser.parse_args()
    if not valgrind.is_there():
        print("not run: valgrind is not installed (Debian: apt-get install valgrind)")
        return 2
    counted = valgrind.instructions()
    everything = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    recorded = everything.get(python_minor())
    if options.update or recorded is None:
        everything[python_minor()] = recorded = {"build": sys.version, "instructions": counted}
        RECORDED.write_text(json.dumps(everything, indent=1, sort_keys=True) + "\n")
        print(f"recorded for Python {python_minor()}")
    if recorded["build"] != sys.version:
        print(f"recorded with another build of Python ({recorded['build']}), which may be the cause of a difference")
    return _compare(recorded["instructions"], counted)


def _compare(recorded: dict[str, int], counted: dict[str, int]) -> int:
    print("instructions of one request; in brackets what the guard adds, in floors")
    changes = {shape: count / recorded[shape] - 1 for shape, count in counted.items() if shape in recorded}
    for shape, count in counted.items():
        change = f"{changes[shape]:+.1%}" if shape in changes else "not recorded"
        print(f"{shape:22}{count:>9,}  {_added(shape, counted):8}{change}")
    if max(changes.values()) > TOLERANCE:
        print(f"FAILED: over {TOLERANCE:.0%} more than recorded; find the cause, or use --update and say why")
        return 1
    if min(changes.values()) < -TOLERANCE or len(changes) < len(counted):
        print("better than recorded, or new: record it with `python -m benchmarks.instructions --update`")
    return 0


def _added(shape: str, counted: dict[str, int]) -> str:
    """Return what the guard adds. A refused request does not reach the application, so nothing is subtracted."""
    if not shape.startswith(("ASGI", "WSGI")) or "bare" in shape:
        return ""
    return f"({(counted[shape] - counted.get(bare(shape) or '', 0)) / counted['floor']:.2f})"


if __name__ == "__main__":
    sys.exit(main())
