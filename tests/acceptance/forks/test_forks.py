"""Servers that fork, with real databases: which requests fail, and whether each worker hears of a change."""

from pathlib import Path

import pytest

from acceptance.forks.rows import HEAD, OLD_UWSGI, ROWS, Row, line_of, run_once

pytestmark = [pytest.mark.forks, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", autouse=True)
def head() -> None:
    print(f"\n{HEAD}", flush=True)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_server_that_forks(row: Row, tmp_path: Path) -> None:
    assert row.server.version
    if "2.0.26" in row.kind.name and not Path(OLD_UWSGI).is_file():
        pytest.skip("not run: HMAC_GUARD_OLD_UWSGI names no uWSGI 2.0.26")
    outcome = run_once(row, tmp_path)
    print(line_of(row, outcome), flush=True)

    assert outcome.faults == []
