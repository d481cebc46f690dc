"""`python -m benchmarks [suite …]` measures, and prints a table for each suite and the goals."""

import argparse
from collections.abc import Callable, Iterable

from benchmarks import (
    frameworks,
    function,
    goals,
    growth,
    hostile,
    imports,
    interfaces,
    memory,
    middleware,
    served,
    speed,
    webhooks,
)
from benchmarks.harness import Result, Row, measure
from benchmarks.report import about, keep, table


def _timed(groups: Callable[[], Iterable[list[Row]]]) -> Callable[[int], Result]:
    return lambda rounds: measure(groups(), rounds)


SUITES: dict[str, Callable[[int], Result]] = {
    "function": _timed(function.groups),
    "interfaces": _timed(interfaces.groups),
    "middleware": _timed(middleware.groups),
    "frameworks": _timed(frameworks.groups),
    "growth": _timed(growth.groups),
    "hostile": lambda rounds: measure(hostile.groups(), min(rounds, 20)),
    "imports": imports.run,
    "memory": memory.run,
    "served": served.run,
    "webhooks": webhooks.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="suite", help=f"any of {', '.join(SUITES)}; default: all")
    parser.add_argument("--rounds", type=int, default=50, help="the number of rounds (default: 50)")
    parser.add_argument("--keep", action="store_true", help="save the results and write docs/speed.md")
    options = parser.parse_args()
    if unknown := set(options.suites) - set(SUITES):
        parser.error(f"there is no suite {', '.join(unknown)}; choose from {', '.join(SUITES)}")
    print(" · ".join(about().values()))
    results = {suite: _run(suite, options.rounds, options.keep) for suite in options.suites or SUITES}
    print(f"\n## goal and measured\n\n{goals.table(results)}")
    if options.keep:
        speed.write()


def _run(suite: str, rounds: int, keeps: bool) -> Result:
    print(f"\n## {suite}\n", flush=True)
    result = SUITES[suite](rounds)
    print(table(result), flush=True)
    if keeps:
        keep(suite, result)
    return result


if __name__ == "__main__":
    main()
