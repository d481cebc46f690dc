"""What mutmut needs of pytest, which it runs many times in one process, or in forks of one."""

import sys

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests keep their names when they are collected again: pytest escapes given names each time anew."""
    for mark in metafunc.definition.iter_markers("parametrize"):
        if mark._param_ids_from is not None:
            object.__setattr__(mark._param_ids_from, "_param_ids_generated", None)


def pytest_sessionstart() -> None:
    """Nothing is remembered of the run before the fork, which was without a mistake."""
    for name, module in list(sys.modules.items()):
        if name.startswith("hmac_guard."):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
