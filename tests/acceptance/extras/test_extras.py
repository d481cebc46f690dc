"""Checks that `make test-extras` has a program for each extra and runs all programs."""

import re
from pathlib import Path

from acceptance.extras.__main__ import ENVIRONMENTS, HERE


def test_each_extra_has_a_program_and_each_program_is_run() -> None:
    pyproject = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    [section] = re.findall(r"^\[project\.optional-dependencies\]\n(.*?)\n\n", pyproject, re.MULTILINE | re.DOTALL)
    extras = set(re.findall(r"^([\w-]+) = \[", section, re.MULTILINE))

    assert len(extras) >= 6
    assert {extra for extras in ENVIRONMENTS for extra in extras.split(",") if extra} == extras
    assert {path.stem for path in HERE.glob("use_*.py")} == {
        program for programs in ENVIRONMENTS.values() for program in programs
    }
