"""The code blocks of README.md, CONTRIBUTING.md, SECURITY.md and docs, as the tests run them.

`make test-docs` notes each block whose code a test takes, and fails if a block is left.
"""

import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
#: Names the file with the blocks whose code was taken.
RECORD = "HMAC_GUARD_BLOCKS"

_PART = re.compile(
    r"^#+ (?P<heading>[^\n]+)$|"
    r"^(?:<!-- not run by a test: (?P<mark>[^\n]+) -->\n\n)?```(?P<language>[\w{}-]*)(?: [\w-]+)?\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code.

    `page` is the path in the repository, `heading` the heading above the block. `mark` is the reason why no test can
    run it, which a comment above the block gives.
    """

    page: str
    line: int
    heading: str
    language: str
    text: str
    mark: str | None

    @property
    def name(self) -> str:
        """Return the name of the file that the first line gives, or an empty text."""
        found = re.match(r"(?:#|//) (\S+\.\w+)\n", self.text)
        return found[1] if found else ""

    @property
    def code(self) -> str:
        """The code, for a test that runs it."""
        record = os.environ.get(RECORD)
        if record and "PYTEST_CURRENT_TEST" in os.environ:  # not while pytest collects the tests
            with open(record, "a") as noted:
                noted.write(f"{self.page}:{self.line}\n")
        return self.text

    def run(self, **names: Any) -> dict[str, Any]:
        """Run the code with these names. Return the names that it defines."""
        given = {"__name__": "code_of_the_docs", **names}  # Some packages install a folder `docs`.
        exec(compile(self.code, f"{self.page}:{self.line}", "exec"), given)
        return given

    def load(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        """Save the code as a file and import it. The test ends the import."""
        path = folder / f"documented_{self.line}.py"
        path.write_text(self.code)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, path.stem, module)
        spec.loader.exec_module(module)
        return module

    def commands(self) -> list[tuple[str, str]]:
        """Return the commands of a console, each with what it prints."""
        return _COMMAND.findall(self.code)


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def blocks(page: str, language: str = "python") -> list[Block]:
    """Return the blocks of a page in this language."""
    return [block for block in all_blocks(page) if block.language == language]


def under(page: str, heading: str, language: str = "python") -> Block:
    """Return the only block in this language under a heading."""
    [block] = [block for block in blocks(page, language) if block.heading == heading]
    return block


def all_blocks(page: str) -> Iterator[Block]:
    text, heading = text_of(page), ""
    for part in _PART.finditer(text):
        if part["heading"] is not None:
            heading = part["heading"]
        else:
            yield Block(
                page, text.count("\n", 0, part.start()) + 1, heading, part["language"], part["code"], part["mark"]
            )
