"""Fixtures for all tests.

The fixture `call` runs a test over WSGI and ASGI. Tests of stored keys run on each database. A test fails if a key is
leaked.
"""

import gc
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial, wraps
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import redis
import werkzeug.test
from databases import ASYNC, SYNC, Database, database_of
from secrecy import SECRECY, watch, watched
from support import CALLS, Call

watch()

# The test client of werkzeug makes the boundary of an upload from the time and this. Now and then it has over 70
# characters, the most that RFC 2046 allows, and the guard refuses it.
vars(werkzeug.test)["random"] = lambda: 0.5

# No test speaks TLS with the web. Otherwise each client of httpx reads its 140 certificates, for 20 ms of CPU time.
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)

#: The pools of connections to Redis that a test has made. Neither a guard nor Django's cache of each thread closes its
#: pool. The socket of a pool may be garbage before the pool, and then Python warns in a later test.
POOLS: list[redis.ConnectionPool] = []
make_pool = redis.ConnectionPool.__init__


@wraps(make_pool)
def keep_pool(pool: redis.ConnectionPool, *arguments: Any, **options: Any) -> None:
    make_pool(pool, *arguments, **options)
    POOLS.append(pool)


redis.ConnectionPool.__init__ = keep_pool  # type: ignore[assignment]

#: Counts the tests of this process, and how many run before the garbage collector looks at all new objects.
TESTS = count(1)
TESTS_PER_COLLECTION = 250

UNITS = Path(__file__).parent / "unit"
#: The ids of the tests whose coverage is measured.
MEASURED: set[str] = set()

#: What measures coverage in this thread and in new ones. A debugger is left alone.
TRACERS = (sys.gettrace(), threading.gettrace()) if "coverage" in type(sys.gettrace()).__module__ else None

#: A package, its first version without the warning, and the warning.
WARNINGS_OF_OLD_VERSIONS = (
    # It does not close the body of an ASGI request.
    ("django", (5, 0), "ignore:Unclosed file <tempfile.SpooledTemporaryFile:ResourceWarning"),
    # Its test client uses an old name of anyio.
    ("starlette", (0, 45), "ignore:The anyio.abc.BlockingPortal alias is deprecated:DeprecationWarning"),
)


@pytest.fixture(autouse=True)
def secrecy() -> Iterator[None]:
    yield from watched()


@pytest.fixture(autouse=True)
def close_pools() -> Iterator[None]:
    yield
    while POOLS:
        POOLS.pop().disconnect(inuse_connections=False)


def pytest_configure(config: pytest.Config) -> None:
    """Measure coverage in the processes that run tests, and neither in the one that distributes them nor in those that
    a test starts. Other tests run most of their lines, and to measure them takes a fifth of the time."""
    if hasattr(config, "workerinput"):
        os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
    elif getattr(config.option, "dist", "no") != "no":
        trace(False)
    for package, first, line in WARNINGS_OF_OLD_VERSIONS:
        with suppress(PackageNotFoundError):
            if tuple(map(int, version(package).split(".")[:2])) < first:
                config.addinivalue_line("filterwarnings", line)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than the processors: many tests wait for a database, a server or a time limit. Each further process
    reads all tests once more, which takes eight seconds."""
    return (os.cpu_count() or 1) + 1


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not read a file whose tests are all of a suite that is not asked for: half of all tests are."""
    if collection_path.suffix != ".py":
        return None
    marker = re.search(r"^pytestmark = \[?pytest\.mark\.(\w+)", collection_path.read_text(), re.MULTILINE)
    return True if marker and f"not {marker[1]}" in config.option.markexpr else None


@pytest.hookimpl(hookwrapper=True)
def pytest_collection() -> Iterator[None]:
    """What the collection makes stays until the end of the run: to look for garbage takes a quarter of its time, and
    later up to a second each time. So the garbage collector never looks at it."""
    gc.disable()
    sys.meta_path.insert(0, MeasuredImports)
    trace(False)
    yield
    sys.meta_path.remove(MeasuredImports)
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Choose the tests whose coverage is measured: those of units, without those that need a database server. Outside
    of the core, a case is left out if earlier cases of its test have each of its parameters: it hardly runs another
    line."""
    seen: set[tuple[str, str, int]] = set()
    for item in items:
        has_server = re.search("postgres|psycopg|mariadb|pymysql", item.name)
        if has_server or not item.path.is_relative_to(UNITS) or item.get_closest_marker("without_coverage"):
            continue
        test = item.nodeid.partition("[")[0]
        case: Any = getattr(item, "callspec", None)
        values = {(test, name, id(value)) for name, value in case.params.items()} if case else set()
        if not values or not values <= seen or item.path.is_relative_to(UNITS / "core"):
            MEASURED.add(item.nodeid)
        seen |= values


@pytest.hookimpl(hookwrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Measure the chosen tests without their fixtures."""
    trace(pyfuncitem.nodeid in MEASURED)
    yield
    trace(False)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """Look for garbage between two tests. What is left stays: then no test takes long because it looks for garbage."""
    yield
    if next(TESTS) % TESTS_PER_COLLECTION == 0:
        gc.collect()
        gc.freeze()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Save what was measured in a process that runs tests. xdist kills it if it does not end within ten seconds, and
    without this its part of the coverage is lost.

    Look for garbage once. Otherwise pytest and the end of the process do it eight times, which takes those ten seconds.
    """
    gc.unfreeze()  # In its summary, Hypothesis asks the garbage collector who refers to an object.
    if not hasattr(session.config, "workerinput"):
        return
    if TRACERS is not None:
        from coverage import Coverage

        measured = Coverage.current()
        if measured is not None:
            measured.save()
    gc.collect()
    gc.freeze()


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


def trace(is_measured: bool) -> None:
    """Begin or cease to measure coverage. To measure takes a third of the time."""
    if TRACERS is not None:
        tracer, tracer_of_threads = TRACERS if is_measured else (None, None)
        sys.settrace(tracer)
        threading.settrace(tracer_of_threads)


class MeasuredImports(PathFinder):
    """Measures the lines of the package that run when it is imported."""

    @classmethod
    def find_spec(cls, name: str, *places: Any) -> ModuleSpec | None:
        spec = super().find_spec(name, *places) if name.startswith("hmac_guard") else None
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = partial(_run_measured, spec.loader.exec_module)  # type: ignore[method-assign]
        return spec


def _run_measured(run: Callable[[ModuleType], None], module: ModuleType) -> None:
    is_inside = sys.gettrace() is not None  # A module of the package imports it.
    trace(True)
    try:
        run(module)
    finally:
        trace(is_inside)
