"""Results as Markdown tables and as small JSON files."""

import json
import platform
import sys
from pathlib import Path
from typing import Any

from benchmarks.harness import Result

RESULTS = Path(__file__).parent / "results"


def python_minor() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def table(result: Result, first: str = "row") -> str:
    """Return a Markdown table with a line for each row. A cell that a row does not have is empty."""
    columns = list(dict.fromkeys(column for cells in result.values() for column in cells))
    lines = [[first, *columns], ["---", *("--:" for _ in columns)]]
    lines += [[name, *(shown(cells.get(column)) for column in columns)] for name, cells in result.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(cell: float | None) -> str:
    """Return a number with three significant digits, or "" for None."""
    if cell is None:
        return ""
    return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}" if abs(cell) < 1 else f"{cell:.2f}"


def keep(suite: str, result: Result) -> None:
    """Save the result of a suite for this minor version of Python."""
    rounded = {name: {column: round(cell, 3) for column, cell in cells.items()} for name, cells in result.items()}
    path = RESULTS / python_minor() / f"{suite}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(cells)}" for name, cells in rounded.items())
    path.write_text(f'{{"about": {json.dumps(about())},\n"rows": {{\n{rows}\n}}}}\n')


def kept(version: str, suite: str) -> Any:
    """Return the saved result, or None."""
    path = RESULTS / version / f"{suite}.json"
    return json.loads(path.read_text()) if path.exists() else None


def about() -> dict[str, str]:
    """Return the versions and the machine of a measurement."""
    return {"python": platform.python_version(), "machine": f"{_processor()}, {platform.system()}"}


def _processor() -> str:
    names = [line.split(":")[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return f"{len(names)} x {names[0].strip()}" if names else platform.machine()
