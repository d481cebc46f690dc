"""`python -m benchmarks.instructions` holds the instructions of one request against the ones that were kept.

It fails where a shape takes over 3 % more than was kept. `--update` keeps what is counted now. Two runs on one machine
differ by less than 0.1 %; another build of Python counts otherwise.
"""

import argparse
import json
import sys
from pathlib import Path

from benchmarks import valgrind
from benchmarks.counted import bare
from benchmarks.report import python_minor

KEPT = Path(__file__).parent / "instructions.json"
TOLERANCE = 0.03


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("--update", action="store_true", help="keep what is counted now")
    options = parser.parse_args()
    if not valgrind.is_there():
        print("not run: valgrind is not installed (Debian: apt-get install valgrind)")
        return 2
    counted = valgrind.instructions()
    everything = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    kept = everything.get(python_minor())
    if options.update or kept is None:
        everything[python_minor()] = kept = {"build": sys.version, "instructions": counted}
        KEPT.write_text(json.dumps(everything, indent=1, sort_keys=True) + "\n")
        print(f"kept for Python {python_minor()}")
    if kept["build"] != sys.version:
        print(f"kept with another build of Python ({kept['build']}); a difference may come from there")
    return _compare(kept["instructions"], counted)


def _compare(kept: dict[str, int], counted: dict[str, int]) -> int:
    print("instructions of one request; in brackets what the guard adds, in floors")
    changes = {shape: count / kept[shape] - 1 for shape, count in counted.items() if shape in kept}
    for shape, count in counted.items():
        change = f"{changes[shape]:+.1%}" if shape in changes else "not kept"
        print(f"{shape:22}{count:>9,}  {_added(shape, counted):8}{change}")
    if max(changes.values()) > TOLERANCE:
        print(f"FAILED: over {TOLERANCE:.0%} more than was kept; find what grew, or keep it with --update and say why")
        return 1
    if min(changes.values()) < -TOLERANCE or len(changes) < len(counted):
        print("better than what was kept, or new: keep it with `python -m benchmarks.instructions --update`")
    return 0


def _added(shape: str, counted: dict[str, int]) -> str:
    """What the guard adds. The whole request, if it is refused: it does not reach the bare application."""
    if not shape.startswith(("ASGI", "WSGI")) or "bare" in shape:
        return ""
    return f"({(counted[shape] - counted.get(bare(shape) or '', 0)) / counted['floor']:.2f})"


if __name__ == "__main__":
    sys.exit(main())
