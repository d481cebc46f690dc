"""Checks that the written-out mutants name existing code. `make mutants` runs them, which takes an hour."""

import sys
from pathlib import Path

import pytest
from acceptance.mutants.__main__ import mutated, selected_tests
from acceptance.mutants.beyond import BEYOND_MUTMUT
from acceptance.mutants.named import NAMED, Mutant

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("mutant", [pytest.param(each, id=each.name) for each in (*NAMED, *BEYOND_MUTMUT)])
def test_a_mistake_names_a_symbol_and_a_test_file_that_are_there(mutant: Mutant) -> None:
    assert mutated(mutant) != (ROOT / "hmac_guard" / mutant.file).read_text()
    assert selected_tests(mutant)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="not run: this Python has no tomllib")
def test_the_tests_that_mutmut_runs_are_there() -> None:
    import tomllib

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
    named = [name for name in settings["pytest_add_cli_args_test_selection"] if not name.startswith("--")]
    assert [name for name in named if not (ROOT / name).is_file()] == []
    assert [pattern for pattern in settings["only_mutate"] if not list(ROOT.glob(pattern))] == []
