"""Checks docs/threats.md: it has every threat once, in order, and the named tests exist."""

import re
from pathlib import Path

DOCUMENT = (Path(__file__).parents[2] / "docs" / "threats.md").read_text()
ROWS = re.findall(r"^\| (T\d{3}) \| (.+?) \| (.+) \|$", DOCUMENT, re.MULTILINE)


def test_every_test_that_is_named_exists() -> None:
    tests = "\n".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py"))
    named = {name for _, _, held_by in ROWS for name in re.findall(r"`(test_\w+)`", held_by)}

    assert len(named) > 60
    assert {name for name in named if not re.search(rf"^(async )?def {name}\(", tests, re.MULTILINE)} == set()


def test_every_threat_has_a_row_with_a_test_or_not() -> None:
    assert [number for number, _, _ in ROWS] == [f"T{number:03}" for number in range(1, 123)]
    assert [number for number, _, held_by in ROWS if "`test_" not in held_by and "**not**" not in held_by] == []
