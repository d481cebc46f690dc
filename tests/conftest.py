"""Every behaviour test runs on both doors, through the fixture `call`; every test of stored keys on each database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import ASYNC, SYNC, Database, database_of
from support import DOORS, Call


@pytest.fixture(params=list(DOORS))
def call(request: pytest.FixtureRequest) -> Call:
    return DOORS[request.param]


@pytest.fixture(params=[*SYNC, *ASYNC])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with database_of(request.param, tmp_path) as found:
        yield found


@pytest.fixture(params=SYNC)
def sync_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with database_of(request.param, tmp_path) as found:
        yield found
