"""`python -m benchmarks.stops` counts the stops of one request: how often a function of the package is entered.

The request has its pair of ids in the query. A stop in a module of the core is one like any other.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import hmac_guard
from benchmarks.drivers import DOORS, Driver
from benchmarks.frameworks import GUARD, stacks
from benchmarks.harness import Result
from benchmarks.report import table
from benchmarks.samples import by_query

PACKAGE = str(Path(hmac_guard.__file__).parent)


def run() -> Result:
    result: Result = {}
    for door in DOORS[1:]:
        result[f"{door.name}: middleware"] = _stops(door.driver(door.guarded(GUARD, door.app), by_query()))
    for stack in stacks():
        for how, app in stack.checked.items():
            if how.startswith("guard"):
                sample = replace(by_query(), path=stack.path)
                result[f"{stack.framework}, {how}"] = _stops(stack.door.driver(app, sample))
    return result


def _stops(driver: Driver) -> dict[str, float]:
    assert driver.status() == 200
    modules: list[str] = []

    def note(frame: Any, event: str, _: Any) -> None:
        # A coroutine that goes on after it has waited counts again: there is no way to tell.
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            modules.append(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        driver.timed(1)
    finally:
        sys.setprofile(None)
    return {"stops": len(modules), "modules": len({*modules})}


if __name__ == "__main__":
    print(table(run()))
