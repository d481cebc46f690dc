"""The table of docs/frameworks.md: for each application on each server how many tests passed, written by the run."""

import re
from collections import Counter
from importlib import metadata
from pathlib import Path

from servers import ON_TRIO, SERVERS

PAGE = Path(__file__).parents[3] / "docs" / "frameworks.md"
START, END = "<!-- written by make test-conformance -->", "<!-- until here -->"


class Matrix:
    """What became of the tests of each pair."""

    def __init__(self, applications: dict[str, tuple[str, str, str]]) -> None:
        self._applications = applications
        self._counts: dict[str, Counter[str]] = {}

    def add(self, test: str, outcome: str) -> None:
        """Count one test, whose id names the pair in brackets: `[Flask on waitress-…]`."""
        for application in self._applications:
            for server in (*SERVERS, ON_TRIO):
                pair = f"{application} on {server.name}"
                if re.search(rf"\[{pair}[-\]]", test):
                    self._counts.setdefault(pair, Counter())[outcome] += 1

    def write(self) -> None:
        """Put the tables into the page."""
        page = PAGE.read_text()
        before, rest = page.split(START)
        _, after = rest.split(END)
        tables = "\n".join(self._table(interface) for interface in ("wsgi", "asgi"))
        PAGE.write_text(f"{before}{START}\n\n{tables}\n{END}{after}")

    def _table(self, interface: str) -> str:
        names = [name for name, (kind, _, _) in self._applications.items() if kind == interface]
        titles = [f"{name} {metadata.version(self._applications[name][1])}" for name in names]
        lines = [["", *titles], ["---"] * (len(titles) + 1)]
        for server in (*SERVERS, ON_TRIO):
            if server.interface == interface:
                cells = [self._cell(f"{name} on {server.name}") for name in names]
                lines.append([f"{server.name} {metadata.version(server.distribution)}", *cells])
        return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"

    def _cell(self, pair: str) -> str:
        counts = self._counts.get(pair, Counter())
        run = counts["passed"] + counts["failed"]
        if not run:
            return "not run"
        return f"{counts['passed']} of {run}" if counts["failed"] else f"all {run}"
