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


def printed_by(code: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=4 * TIMEOUT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("error", ["asyncio.CancelledError", "KeyboardInterrupt", "SystemExit", "GeneratorExit"])
def test_the_text_of_no_exception_is_printed(error: str) -> None:
    out, printed = printed_by(f"""
from gevent import monkey
monkey.patch_all()
import asyncio
from hmac_guard.keys.calling import run_to_completion

async def resolve():
    raise {error}("password=hunter2")

try:
    run_to_completion(resolve())
except BaseException as raised:
    print(type(raised).__name__)
""")

    assert out.strip() == error.removeprefix("asyncio.")
    assert "hunter2" not in printed


ENDED = """
from gevent import monkey
monkey.patch_all()
import gevent
from hmac_guard.core.verdict import Claim
from hmac_guard.keys import CachedKeys
from hmac_guard.once.calling import StoreCalls

class Store:
    def use(self, token, until):
        return True

calls = StoreCalls(Store())
keys = CachedKeys(lambda claim: "a key of more than sixteen bytes", timeout=1)
ended = 0
for number in range(40):
    for call in (lambda: calls.wait(b"t" * 32, 1e12), lambda: keys(Claim("", {}, f"tenant-{number}"))):
        request = gevent.spawn(call)
        gevent.sleep(0)  # The request starts a thread.
        ended += not request.dead
        request.kill()
gevent.sleep(2)
print(ended > 40, calls.wait(b"u" * 32, 1e12), bool(keys(Claim("", {}, "acme"))))
print(len(keys._queue.running), keys._queue.stuck)
"""


def test_a_request_that_ends_while_a_thread_starts_leaves_nothing() -> None:
    assert printed_by(ENDED)[0].split() == ["True", "True", "True", "0", "0"]
