"""Servers in separate processes, each on a free port of the loopback interface."""

import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from ports import accepts, own_port
from waiting import becomes_true

STOP_TIMEOUT = 5.0
_TESTS = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Server:
    """A server. `interface` is "wsgi" or "asgi". `command` is a command line with `{port}` and `{app}`."""

    name: str
    interface: str
    distribution: str
    command: str

    @property
    def version(self) -> str:
        """Return the installed version. Skip the test if it is not installed."""
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            pytest.skip(f"not run: {self.distribution} is not installed")

    def words(self, app: str, port: int) -> list[str]:
        program, *words = self.command.format(app=app, port=port).split()
        path = sys.executable if program == "python" else str(Path(sysconfig.get_path("scripts"), program))
        return [path, *words]


@dataclass(frozen=True)
class Running:
    """A running server. `pid` is the leader of its process group. `output` is what it printed."""

    server: Server
    port: int
    pid: int
    output: Path

    def printed(self) -> str:
        return self.output.read_text(errors="replace")


def _gunicorn(workers: str) -> str:
    return f"gunicorn --bind 127.0.0.1:{{port}} --no-control-socket --worker-class {workers} {{app}}"


SERVERS = [
    Server("werkzeug", "wsgi", "werkzeug", "python -m werkzeug_server {port} {app}"),
    Server("gunicorn-sync", "wsgi", "gunicorn", _gunicorn("sync")),
    Server("gunicorn-gthread", "wsgi", "gunicorn", _gunicorn("gthread --threads 8")),
    Server("waitress", "wsgi", "waitress", "waitress-serve --listen=127.0.0.1:{port} {app}"),
    Server("cheroot", "wsgi", "cheroot", "cheroot --bind 127.0.0.1:{port} --request-queue-size 256 {app}"),
    Server(
        "uvicorn-h11", "asgi", "uvicorn", "uvicorn --port {port} --loop asyncio --ws websockets-sansio --http h11 {app}"
    ),
    Server(
        "uvicorn-httptools",
        "asgi",
        "uvicorn",
        "uvicorn --port {port} --loop asyncio --ws websockets-sansio --http httptools {app}",
    ),
    Server("hypercorn", "asgi", "hypercorn", "hypercorn --bind 127.0.0.1:{port} {app}"),
    Server("daphne", "asgi", "daphne", "daphne -p {port} {app}"),
    Server("granian", "asgi", "granian", "granian --port {port} --interface asgi {app}"),
]
ON_TRIO = Server("hypercorn, trio", "asgi", "hypercorn", "hypercorn -k trio --bind 127.0.0.1:{port} {app}")


@contextmanager
def serving(server: Server, app: str, folder: Path, environ: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Run a server with `app` (`module:name` in the tests) until the end of the block."""
    output = folder / "output"
    search = os.pathsep.join(filter(None, [str(_TESTS), os.environ.get("PYTHONPATH", "")]))
    with own_port() as port, output.open("wb") as out:
        process = subprocess.Popen(
            server.words(app, port),
            env={**os.environ, "PYTHONPATH": search, "PYTHONUNBUFFERED": "1", **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
        )
        try:
            _wait_until_it_accepts(process, port, output)
            yield Running(server, port, process.pid, output)
        finally:
            _stop(process)


def _wait_until_it_accepts(process: "subprocess.Popen[bytes]", port: int, output: Path) -> None:
    if not becomes_true(lambda: accepts(port) or process.poll() is not None) or not accepts(port):
        pytest.fail(f"the server did not start: {output.read_text(errors='replace')[-2000:]}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop the server and its workers, which are in one process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(STOP_TIMEOUT)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
