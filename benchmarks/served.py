"""Real servers on loopback, guarded and bare in turn, under wrk: the remaining throughput, and the latency.

Other processes reduce the throughput, but they hardly change the server's CPU time for one request.
"""

import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import Cells, Result
from benchmarks.samples import FORGED, Sample, by_json, by_query

ALTERNATIONS = 8
SECONDS = 3
CONNECTIONS = 16
_UVICORN = ("uvicorn", "--no-access-log", "--log-level=critical", "--fd={fd}", "benchmarks.served_apps:{app}")
_GUNICORN = ("gunicorn", "--log-level=critical", "--worker-class=gthread", "--threads=4", "--bind=fd://{fd}")
SERVERS = {
    "uvicorn + FastAPI": ("fastapi", _UVICORN),
    "gunicorn + Flask": ("flask", (*_GUNICORN, "benchmarks.served_apps:{app}")),
}
SHAPES: dict[str, Callable[..., Sample]] = {"by query": by_query, "by JSON": by_json}


class Server(NamedTuple):
    address: str
    process: int

    def cpu_seconds(self) -> float:
        """What the server and its workers have used until now."""
        children = Path(f"/proc/{self.process}/task/{self.process}/children").read_text().split()
        stats = [Path(f"/proc/{process}/stat").read_text() for process in (self.process, *children)]
        ticks = sum(sum(map(int, stat.rpartition(")")[2].split()[11:13])) for stat in stats)
        return ticks / os.sysconf("SC_CLK_TCK")


class Load(NamedTuple):
    """What one run of the load generator saw, and what it cost the server."""

    per_second: float
    p50: float
    p99: float
    cpu: float


def run(rounds: int) -> Result:
    if shutil.which("wrk") is None:
        print("not run: wrk is not installed (Debian: apt-get install wrk)")
        return {}
    result: Result = {}
    for server, (framework, command) in SERVERS.items():
        for shape, sample in SHAPES.items():
            app = f"{framework}_{shape.lower().replace(' ', '_')}"
            with _serving(command, f"{framework}_bare") as bare, _serving(command, app) as guarded:
                _check(bare, guarded, sample)
                loads = _alternate(bare, guarded, sample(), min(ALTERNATIONS, rounds))
            for what, seen in loads.items():
                result[f"{server}, pair {shape}: {what}"] = _cells(seen, loads["bare"])
    return result


def _cells(seen: list[Load], bare: list[Load]) -> Cells:
    ratios = [load.per_second / base.per_second for load, base in zip(seen, bare, strict=True)]
    return {
        "requests/s": statistics.median(load.per_second for load in seen),
        "p50 ms": statistics.median(load.p50 for load in seen),
        "p99 ms": statistics.median(load.p99 for load in seen),
        "CPU µs": statistics.median(load.cpu for load in seen),
        "/ bare": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "by CPU": statistics.median(base.cpu / load.cpu for load, base in zip(seen, bare, strict=True)),
    }


@contextmanager
def _serving(command: tuple[str, ...], app: str) -> Iterator[Server]:
    """A server with one worker on a free port."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        # Without it headers and body of an answer wait for each other; a server that is given a socket may not set it.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        words = [word.format(fd=listening.fileno(), app=app) for word in command]
        server = subprocess.Popen(
            [sys.executable, "-m", *words],
            pass_fds=[listening.fileno()],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        )
        try:
            yield Server(f"http://127.0.0.1:{listening.getsockname()[1]}", server.pid)
        finally:
            server.terminate()
            server.wait(10)


def _check(bare: Server, guarded: Server, sample: Callable[..., Sample]) -> None:
    """Check that the guarded server refuses a forged signature, and that the bare server does not."""
    seen = _status(bare, sample(FORGED)), _status(guarded, sample(FORGED)), _status(guarded, sample())
    assert seen == (200, 401, 200), seen


def _status(server: Server, sent: Sample) -> int:
    headers = {"content-type": "application/json"} if sent.body else {}
    request = urllib.request.Request(f"{server.address}{sent.path}?{sent.query}", sent.body or None, headers)  # noqa: S310
    for _ in range(100):
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except (ConnectionError, urllib.error.URLError):
            time.sleep(0.1)
    raise RuntimeError(f"{server.address} does not answer")


def _alternate(bare: Server, guarded: Server, sample: Sample, times: int) -> dict[str, list[Load]]:
    loads: dict[str, list[Load]] = {"bare": [], "guarded": []}
    for server in (bare, guarded):
        _load(server, sample, seconds=1)
    for number in range(times):
        turns = [("bare", bare), ("guarded", guarded)]
        for what, server in turns[:: -1 if number % 2 else 1]:
            loads[what].append(_load(server, sample, SECONDS))
    return loads


def _load(server: Server, sample: Sample, seconds: int) -> Load:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(f"wrk.method = {sample.method!r}\nwrk.body = [[{sample.body.decode()}]]\n")
        script.write('wrk.headers["Content-Type"] = "application/json"\n' if sample.body else "")
        script.flush()
        command = ["wrk", "--threads=1", f"--connections={CONNECTIONS}", f"--duration={seconds}s", "--latency"]
        command += [f"--script={script.name}", f"{server.address}{sample.path}?{sample.query}"]
        before = server.cpu_seconds()
        shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
        used = server.cpu_seconds() - before
    if "Non-2xx" in shown or "Socket errors" in shown:
        raise RuntimeError(f"the load generator saw errors: {shown}")
    [requests], [per_second] = re.findall(r"(\d+) requests in", shown), re.findall(r"Requests/sec: +([\d.]+)", shown)
    return Load(float(per_second), _milliseconds(shown, 50), _milliseconds(shown, 99), used / int(requests) * 1e6)


def _milliseconds(shown: str, part: int) -> float:
    number, unit = re.findall(rf" {part}% +([\d.]+)(us|ms|s)", shown)[0]
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]
