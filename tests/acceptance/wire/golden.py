"""One file for each server: what was answered to each request, as a table that a person can read."""

from collections.abc import Iterable, Mapping
from pathlib import Path

_FOLDER = Path(__file__).parent / "golden"
_HEAD = """\
# {server} {version}; written by `make test-wire ARGS=--write-golden`
#
# A cell is the status that the client got (---: none), "app" if the application was reached, what became of the
# connection, and "late" if there was no answer before the client had closed its own side.
"""
_NAME, _CELL = 38, 20


class Golden:
    """The table of one server."""

    def __init__(self, server: str) -> None:
        self._path = _FOLDER / f"{server}.txt"
        self._written: dict[str, list[str]] = {}

    def line(self, section: str, columns: Iterable[str], name: str, cells: Mapping[str, str]) -> str:
        """The line of one case, kept to be written."""
        lines = self._written.setdefault(section, [_line("", {column: column for column in columns}, columns)])
        lines.append(_line(name, cells, columns))
        return lines[-1]

    def expected(self, section: str, name: str) -> str:
        """The line of one case as the file has it; empty where it has none."""
        if not self._path.exists():
            return ""
        lines = self._path.read_text().partition(f"\n== {section}\n")[2].partition("\n== ")[0].splitlines()
        return next((line for line in lines[1:] if line[:_NAME] == _title(name)), "")

    def written_for(self) -> str:
        """The server and its version, as the file has them."""
        return self._path.read_text().partition(";")[0] if self._path.exists() else "nothing is written for it"

    def write(self, version: str) -> None:
        """Replace the file by what was seen."""
        sections = [f"\n== {section}\n" + "\n".join(lines) + "\n" for section, lines in self._written.items()]
        self._path.write_text(_HEAD.format(server=self._path.stem, version=version) + "".join(sections))


def _title(name: str) -> str:
    text = ascii(name)[1:-1]
    return (text if len(text) < _NAME else text[: _NAME - 4] + "...").ljust(_NAME)


def _line(name: str, cells: Mapping[str, str], columns: Iterable[str]) -> str:
    return (_title(name) + "".join(f"| {cells.get(column, ''):{_CELL}}" for column in columns)).rstrip()
