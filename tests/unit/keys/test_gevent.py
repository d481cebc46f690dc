"""Async key resolvers under gevent, where all requests share one operating system thread."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from waiting import TIMEOUT

pytest.importorskip("gevent", reason="not run: gevent is not installed")

PROGRAM = Path(__file__).parents[2] / "on_gevent.py"


def run(patched: str, does: str) -> tuple[dict[str, Any], str]:
    paths = os.pathsep.join([str(PROGRAM.parent), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", PROGRAM, patched, does],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": paths},
        text=True,
        timeout=4 * TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found, done.stderr


@pytest.mark.parametrize("patched", ["first", "late"])
def test_sixty_requests_at_once_get_their_keys_each_in_its_own_context(patched: str) -> None:
    found, _ = run(patched, "answer")

    assert found["statuses"] == ["200"] * 60
    assert found["seen"] == list(range(60))
    assert found["sockets"] == ["200"] * 3


def test_other_greenlets_run_during_concurrent_look_ups() -> None:
    found, _ = run("first", "answer")

    assert found["ticks"] >= 3
    assert found["at_once"] >= 10


def test_a_resolver_that_raises_is_503_and_its_text_is_not_printed() -> None:
    found, printed = run("first", "raise")

    assert found["statuses"] == ["503"] * 60
    assert "the key resolver failed: builtins.RuntimeError" in printed
    assert "hunter2" not in printed
