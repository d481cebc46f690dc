"""Fixtures for the languages, and the table of results."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from acceptance.languages.cases import PLANS
from acceptance.languages.guarded import Send, guarded
from acceptance.languages.runtimes import PSQL, RUNTIMES, call, missing_crates

TALLY = pytest.StashKey[dict[str, list[int]]]()
VERSIONS = pytest.StashKey[dict[str, str]]()
NEEDS = {"typescript": "node_types", "rust": "crates", "plpgsql": "database"}


@pytest.fixture(scope="session")
def send() -> Iterator[Send]:
    with guarded(PLANS) as send:
        yield send


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("languages")


@pytest.fixture(scope="session")
def node_types(workshop: Path) -> None:
    """The npm packages of a TypeScript project besides the compiler."""
    types = workshop / "types"
    types.mkdir()
    try:
        call(("npm", "install", "--silent", "--no-fund", "--no-audit", "@types/node@18"), types)
    except (OSError, AssertionError, subprocess.TimeoutExpired):
        pytest.skip("not run: typescript, npm did not give @types/node")


@pytest.fixture(scope="session")
def crates() -> None:
    """The crates that the Rust code uses."""
    if missing := missing_crates():
        pytest.skip(f"not run: rust, Debian's sources of {', '.join(missing)} are not installed")


@pytest.fixture(scope="session")
def database(workshop: Path) -> Iterator[None]:
    """A new database on the server of PGHOST and PGUSER."""
    name = f"hmac_guard_languages_{os.getpid()}"
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("PGHOST", os.environ.get("PGHOST", "127.0.0.1"))
        environ.setenv("PGUSER", os.environ.get("PGUSER", "postgres"))
        environ.setenv("PGDATABASE", "postgres")
        try:
            call((*PSQL, "-c", f"CREATE DATABASE {name}"), workshop)
        except (OSError, AssertionError):
            pytest.skip("not run: plpgsql, no PostgreSQL server answers")
        environ.setenv("PGDATABASE", name)
        yield
        environ.setenv("PGDATABASE", "postgres")
        call((*PSQL, "-c", f"DROP DATABASE {name}"), workshop)


@pytest.fixture(params=list(RUNTIMES))
def language(request: pytest.FixtureRequest, workshop: Path) -> str:
    """A language with an installed runtime."""
    name: str = request.param
    if name in NEEDS:
        request.getfixturevalue(NEEDS[name])
    versions = request.config.stash.setdefault(VERSIONS, {})
    if name not in versions:
        try:
            versions[name] = call(RUNTIMES[name].version, workshop).splitlines()[-1]
        except FileNotFoundError as error:
            pytest.skip(f"not run: {name}, {error.filename} is not installed")
    return name


@pytest.fixture
def agreed(request: pytest.FixtureRequest) -> Callable[[str, int], None]:
    """Count the signatures of a language for the final table."""
    tally = request.config.stash.setdefault(TALLY, {})
    return lambda language, count: tally.setdefault(language, []).append(count)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    tally, versions = config.stash.get(TALLY, {}), config.stash.get(VERSIONS, {})
    if tally:
        terminalreporter.section("signatures that agree and open a running guard")
    for language, counts in tally.items():
        terminalreporter.write_line(f"{language:<12}{sum(counts):>5} of {len(counts)} schemes   {versions[language]}")
