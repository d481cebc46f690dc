"""What mutmut needs of pytest, which it runs many times in one process, or in forks of one."""

import sys
from types import ModuleType

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests keep their names when they are collected again: pytest escapes given names each time."""
    for mark in metafunc.definition.iter_markers("parametrize"):
        if mark._param_ids_from is not None:
            object.__setattr__(mark._param_ids_from, "_param_ids_generated", None)


def pytest_runtest_setup(item: pytest.Function) -> None:
    """No test goes by what another one, or the run before the fork, has left in a cache: the package's or its own."""
    _clear(item.module)
    for name, module in list(sys.modules.items()):
        if name.startswith("hmac_guard.core."):
            _clear(module)


def _clear(module: ModuleType) -> None:
    for value in vars(module).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()
