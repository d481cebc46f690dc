"""Fixtures for all tests.

The fixture `call` runs a test over WSGI and ASGI. Tests of stored keys run on each database. A test fails if a key is
leaked.
"""

import gc
import os
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from databases import ASYNC, SYNC, Database, database_of
from secrecy import SECRECY, watch, watched
from support import CALLS, Call

watch()


@pytest.fixture(autouse=True)
def secrecy() -> Iterator[None]:
    yield from watched()


def pytest_configure(config: pytest.Config) -> None:
    """Measure coverage in the processes that run tests, and not in those that a test starts. Other tests run most of
    their lines, and to measure them takes a fifth of the time."""
    if hasattr(config, "workerinput"):
        os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than the processors: many tests wait for a database, a server or a time limit."""
    return (os.cpu_count() or 1) + 1


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not read a file whose tests are all of a suite that is not asked for: half of all tests are."""
    if collection_path.suffix != ".py":
        return None
    marker = re.search(r"^pytestmark = \[?pytest\.mark\.(\w+)", collection_path.read_text(), re.MULTILINE)
    return True if marker and f"not {marker[1]}" in config.option.markexpr else None


@pytest.hookimpl(hookwrapper=True)
def pytest_collection() -> Iterator[None]:
    """What the collection makes stays until the end of the run: to look for garbage takes a quarter of its time. No
    `gc.freeze` afterwards: Hypothesis asks the garbage collector who refers to an object."""
    gc.disable()
    yield
    gc.enable()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Coverage doubles the time of a test that makes thousands of requests, and other tests run the same lines. A test
    that runs with each database is measured with SQLite."""
    tracers = sys.gettrace(), threading.gettrace()
    if item.get_closest_marker("without_coverage") or re.search("postgres|psycopg|mariadb|pymysql", item.name):
        sys.settrace(None)
        threading.settrace(None)
    yield
    sys.settrace(tracers[0])
    threading.settrace(tracers[1])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Check the output of a test after it has run, and before its fixtures end."""
    outcome: Any = yield
    if call.when == "call":
        report = outcome.get_result()
        SECRECY.record(report.capstdout, report.capstderr)


@pytest.fixture(params=list(CALLS))
def call(request: pytest.FixtureRequest) -> Call:
    return CALLS[request.param]


@pytest.fixture(params=[*SYNC, *ASYNC])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with database_of(request.param, tmp_path) as found:
        yield found


@pytest.fixture(params=SYNC)
def sync_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with database_of(request.param, tmp_path) as found:
        yield found
