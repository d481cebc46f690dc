"""Checks CONTRIBUTING.md: what it names exists, and its map has each unit test, in the folder of its part."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()


UNIT = ROOT / "tests" / "unit"
PACKAGE = ROOT / "hmac_guard"
MAP = PAGE[PAGE.index("| rule | code | test |") : PAGE.index("## How to add")]
#: The cells of the map that name code or tests.
CELLS = [(row.split(" | ")[0], cell) for row in MAP.splitlines()[2:] for cell in row.split(" | ")[1:] if "`" in cell]


def find(name: str) -> Path | None:
    return next((folder / name for folder in (ROOT, PACKAGE, UNIT) if (folder / name).exists()), None)


def test_each_named_file_is_there() -> None:
    named = {name for name in re.findall(r"`([\w/.]+/[\w/.]*)`", PAGE) if not name.startswith(".")}
    assert len(named) >= 30
    assert [name for name in named if find(name) is None] == []


@pytest.mark.parametrize(("rule", "cell"), CELLS)
def test_the_map_names_functions_that_are_in_the_files_of_their_cell(rule: str, cell: str) -> None:
    named = re.findall(r"`([\w/.]+)`", cell)
    files = [find(name) for name in named if "/" in name or "." in name]
    assert None not in files
    text = "\n".join(file.read_text() for file in files if file is not None and file.is_file())
    functions = [name for name in named if "/" not in name and "." not in name]
    assert [name for name in functions if not re.search(rf"(def|class) {name}\b", text)] == []


def test_the_map_has_each_file_of_unit_tests() -> None:
    named = {find(name) for _, cell in CELLS for name in re.findall(r"`([\w/.]+\.py)`", cell)}
    assert sorted(str(path.relative_to(ROOT)) for path in {*UNIT.rglob("test_*.py")} - named) == []


def test_the_folders_of_unit_tests_are_those_of_the_package() -> None:
    folders = {path.parent.relative_to(UNIT) for path in UNIT.rglob("test_*.py")}
    assert [str(folder) for folder in folders if not (PACKAGE / folder).is_dir()] == []


def test_each_named_target_is_in_the_makefile() -> None:
    targets = set(re.findall(r"make ([a-z-]+)`", PAGE)) | set(re.findall(r"^\$ make ([a-z-]+)", PAGE, re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text()
    assert len(targets) >= 12
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


def test_each_suite_of_the_makefile_is_in_the_table() -> None:
    suites = re.findall(
        r"^(test[a-z-]*|check|mutants|fuzz-differential|bench-check):", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert [suite for suite in suites if f"| `make {suite}` |" not in PAGE] == []
