"""Runs each example application on a real server, in its own process."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from hmac_guard.cli.demo.requests import HOST
from hmac_guard.cli.output import CliError

APPS = ("flask", "fastapi", "django")
#: Seconds to wait: until an application listens, until it has ended, and for a verdict.
_START, _STOP, _REASON = 30.0, 5.0, 2.0


def examples() -> Path:
    """Return the folder of the example applications. A wheel has it in `hmac_guard/cli`, a source tree at the top."""
    package = Path(__file__).parents[2]
    shipped = package / "cli" / "examples"
    return shipped if shipped.is_dir() else package.parent / "examples"


@contextmanager
def running(keys: Mapping[str, str], origin: str = "", host: str = HOST) -> Iterator[dict[str, "App"]]:
    """Start all applications, and stop them at the end of the block.

    Args:
        keys: The environment variables that the applications read.
        origin: The origin of the page that may call the applications. If it is given, their logs are shown.
        host: The address at which they listen.

    Yields:
        The running applications by name.

    Raises:
        CliError: An application did not start.
    """
    with ExitStack() as stack:
        apps = {name: stack.enter_context(_started(name, keys, origin, host)) for name in APPS}
        for app in apps.values():
            app.await_port()
        yield apps


class App:
    """One running application: its port, and the verdicts that it prints."""

    def __init__(self, name: str, process: "subprocess.Popen[str]", log: IO[str]) -> None:
        self.name = name
        self.port = 0
        self._log = log
        self._lines: list[str] = []
        self._ended = False
        self._more = threading.Condition()
        self._listener = threading.Thread(target=self._listen, args=(process.stdout,), daemon=True)
        self._listener.start()

    def await_port(self) -> None:
        """Wait until the application listens.

        Raises:
            CliError: It does not start within 30 seconds.
        """
        with self._more:
            self._more.wait_for(lambda: self._lines or self._ended, _START)
        if not self._lines:
            self._log.seek(0)
            last = self._log.read().strip().rpartition("\n")[2]
            raise CliError(f"the example application {self.name} did not start; last log line: {last or 'see above'}")
        self.port = int(self._lines[0])

    @property
    def verdict_count(self) -> int:
        """The number of verdicts that the application has printed."""
        return len(self._lines) - 1

    def reason(self, number: int) -> str:
        """Return the reason of one verdict.

        Args:
            number: The number of the verdict, from 0.

        Returns:
            The reason, or "" if there is no such verdict within 2 seconds.
        """
        with self._more:
            self._more.wait_for(lambda: self.verdict_count > number or self._ended, _REASON)
            return self._lines[number + 1].rpartition(": ")[2] if self.verdict_count > number else ""

    def _listen(self, output: IO[str]) -> None:
        with output:
            for line in output:
                with self._more:
                    self._lines.append(line.strip())
                    self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()

    def join(self) -> None:
        """Wait until the whole output of the application is read."""
        self._listener.join()


@contextmanager
def _started(name: str, keys: Mapping[str, str], origin: str, host: str) -> Iterator[App]:
    command = [sys.executable, "-m", "hmac_guard.cli.demo.serve_app", name, *([origin, host] if origin else [])]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(  # noqa: S603
            command,
            cwd=examples(),
            env={**os.environ, **keys},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if origin else log,
            text=True,
        )
        app = App(name, process, log)
        try:
            yield app
        finally:
            _stop(process)
            app.join()


def _stop(process: "subprocess.Popen[str]") -> None:
    # The application stops when its standard input is closed. This also works if the demo itself is killed.
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
